//! How instances are replaced, chosen, given up and limited.

use serde::{Deserialize, Serialize};

use super::number;

/// How many run at least and at most while a deployment replaces them, as
/// shares of the number wanted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStrategy {
    /// The share that is healthy at all times, 0 to 1.
    #[serde(default = "one", serialize_with = "number::write")]
    pub minimum_health_capacity: f64,
    /// The share that may run beyond the number wanted, 0 to 1.
    #[serde(default = "one", serialize_with = "number::write")]
    pub maximum_over_capacity: f64,
}

fn one() -> f64 {
    1.0
}

impl Default for UpgradeStrategy {
    fn default() -> Self {
        Self {
            minimum_health_capacity: 1.0,
            maximum_over_capacity: 1.0,
        }
    }
}

impl UpgradeStrategy {
    /// The default of apps with volumes, of which no second may be mounted.
    #[must_use]
    pub fn resident() -> Self {
        Self {
            minimum_health_capacity: 0.5,
            maximum_over_capacity: 0.0,
        }
    }

    /// The default of apps that have one instance at most: by their label, or
    /// because their ports on their only host are taken by the one that there is.
    #[must_use]
    pub fn single() -> Self {
        Self {
            minimum_health_capacity: 0.0,
            maximum_over_capacity: 0.0,
        }
    }
}

/// Which instances are killed first when there are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KillSelection {
    /// Those that were staged last.
    #[default]
    YoungestFirst,
    /// Those that were staged first.
    OldestFirst,
}

/// What becomes of instances whose agent is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UnreachableStrategy {
    /// They are waited for, for ever.
    Disabled(Disabled),
    /// They are replaced after a while, and forgotten after another.
    #[serde(rename_all = "camelCase")]
    Enabled {
        /// Until they are replaced.
        #[serde(default)]
        inactive_after_seconds: u64,
        /// Until they are forgotten; not before they are replaced.
        #[serde(default)]
        expunge_after_seconds: u64,
    },
}

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disabled {
    /// `"disabled"`.
    Disabled,
}

impl UnreachableStrategy {
    /// Instances out of reach are waited for.
    pub const DISABLED: Self = Self::Disabled(Disabled::Disabled);
}

impl Default for UnreachableStrategy {
    fn default() -> Self {
        Self::Enabled {
            inactive_after_seconds: 0,
            expunge_after_seconds: 0,
        }
    }
}

/// How much more than its resources an instance may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Limit>,
    /// Memory in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Limit>,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// This much.
    #[serde(serialize_with = "number::write")]
    Value(f64),
    /// As much as there is.
    Unlimited(Unlimited),
}

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlimited {
    /// `"unlimited"`.
    Unlimited,
}
