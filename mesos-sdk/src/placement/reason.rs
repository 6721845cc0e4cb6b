//! Why an agent's offers were refused, for people and in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use super::constraint::Constraint;
use crate::resources::Scalar;

/// One thing that an agent lacks for a demand.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Its offers are for another role, or nothing in them may be taken by the
    /// demand's [`Source`](super::Source).
    Role {
        /// The role for which they were made.
        offered: String,
    },
    /// Nothing is reserved there with the labels the demand names, or a resource
    /// that is wanted exactly is not there.
    Reservation,
    /// A constraint does not hold.
    Constraint(Constraint),
    /// The agent is in another region, and no constraint names regions or zones.
    Region(String),
    /// The demand is for other agents.
    Agent,
    /// The agent is to be unavailable.
    Maintenance,
    /// There is less of a scalar than is wanted.
    Short {
        /// Which one.
        name: String,
        /// How much is missing.
        by: Scalar,
    },
    /// Host ports are missing.
    Ports {
        /// Fixed ports that are not offered, or taken.
        taken: Vec<u16>,
        /// How many others are missing.
        short: u64,
    },
    /// The agent has GPUs, and the demand wants none.
    ScarceGpus,
    /// The framework's own fitness refused it.
    Fitness,
}

impl Reason {
    /// What it is counted as.
    #[must_use]
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::Role { .. } => ReasonKind::UnfulfilledRole,
            Self::Constraint(_) | Self::Region(_) | Self::Agent | Self::Fitness => {
                ReasonKind::UnfulfilledConstraint
            }
            Self::Reservation => ReasonKind::NoCorrespondingReservationFound,
            Self::Maintenance => ReasonKind::AgentMaintenance,
            Self::Short { name, .. } => match name.as_str() {
                "cpus" => ReasonKind::InsufficientCpus,
                "mem" => ReasonKind::InsufficientMemory,
                "disk" => ReasonKind::InsufficientDisk,
                "gpus" => ReasonKind::InsufficientGpus,
                _ => ReasonKind::InsufficientResources,
            },
            Self::Ports { .. } => ReasonKind::InsufficientPorts,
            Self::ScarceGpus => ReasonKind::DeclinedScarceResources,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { offered } => write!(f, "nothing for it in role {offered}"),
            Self::Reservation => f.write_str("no such reservation"),
            Self::Constraint(constraint) => write!(f, "{constraint}"),
            Self::Region(region) => write!(f, "in region {region}"),
            Self::Agent => f.write_str("not the agent asked for"),
            Self::Maintenance => f.write_str("in maintenance"),
            Self::Short { name, by } => match name.as_str() {
                "mem" | "disk" => write!(f, "{by} MiB {name} short"),
                name => write!(f, "{by} {name} short"),
            },
            Self::Ports { taken, short } => {
                let taken: Vec<String> = taken.iter().map(ToString::to_string).collect();
                let word = if taken.len() == 1 { "port" } else { "ports" };
                match (taken.is_empty(), short) {
                    (false, _) => write!(f, "{word} {} not free", taken.join(", ")),
                    (true, 1) => f.write_str("1 port short"),
                    (true, short) => write!(f, "{short} ports short"),
                }
            }
            Self::ScarceGpus => f.write_str("its GPUs are kept for others"),
            Self::Fitness => f.write_str("refused by fitness"),
        }
    }
}

/// What reasons are counted by. The names are Marathon's, and so is the order:
/// of several reasons the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ReasonKind {
    /// No resources for the role.
    UnfulfilledRole,
    /// A constraint does not hold.
    UnfulfilledConstraint,
    /// No reservation of the kind that is wanted.
    NoCorrespondingReservationFound,
    /// The agent is to be unavailable.
    AgentMaintenance,
    /// Too few processors.
    InsufficientCpus,
    /// Too little memory.
    InsufficientMemory,
    /// Too little disk.
    InsufficientDisk,
    /// Too few GPUs.
    InsufficientGpus,
    /// Too little of another scalar. Not one of Marathon's.
    InsufficientResources,
    /// Host ports are missing.
    InsufficientPorts,
    /// GPUs are kept for those who want them.
    DeclinedScarceResources,
}

impl ReasonKind {
    /// All of them, in their order.
    pub const ALL: [Self; 11] = [
        Self::UnfulfilledRole,
        Self::UnfulfilledConstraint,
        Self::NoCorrespondingReservationFound,
        Self::AgentMaintenance,
        Self::InsufficientCpus,
        Self::InsufficientMemory,
        Self::InsufficientDisk,
        Self::InsufficientGpus,
        Self::InsufficientResources,
        Self::InsufficientPorts,
        Self::DeclinedScarceResources,
    ];
}

impl fmt::Display for ReasonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Offers of one agent and role that a demand could not use, and all reasons.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// Which of the offers that were given to the placer.
    pub offers: Vec<usize>,
    /// The agent.
    pub agent_id: String,
    /// Its host name.
    pub hostname: String,
    /// Everything it lacks, the one that counts first.
    pub reasons: Vec<Reason>,
}

impl Refusal {
    /// What the refusal is counted as.
    #[must_use]
    pub fn kind(&self) -> Option<ReasonKind> {
        self.reasons.first().map(Reason::kind)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
        write!(f, "{}: {}", self.hostname, reasons.join(", "))
    }
}

/// How many offers were looked at for a demand, and why they were refused: what
/// a queue shows. Summaries of several calls can be added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Offers that were looked at.
    pub processed: usize,
    /// Those that were not used for it.
    pub unused: usize,
    /// How many were refused for which reason, by the first of their reasons.
    pub declined: BTreeMap<ReasonKind, usize>,
}

/// One step of the funnel of a [`Summary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The reason.
    pub reason: ReasonKind,
    /// How many offers were refused for it.
    pub declined: usize,
    /// How many had passed all steps before.
    pub processed: usize,
}

impl Summary {
    /// Every reason in its order, with the offers that got so far: what Marathon
    /// calls a reject summary.
    #[must_use]
    pub fn funnel(&self) -> Vec<Step> {
        let mut processed = self.processed;
        let steps = ReasonKind::ALL.into_iter().map(|reason| {
            let declined = self.declined.get(&reason).copied().unwrap_or(0);
            let step = Step {
                reason,
                declined,
                processed,
            };
            processed = processed.saturating_sub(declined);
            step
        });
        steps.collect()
    }
}

impl AddAssign<&Summary> for Summary {
    fn add_assign(&mut self, other: &Summary) {
        self.processed += other.processed;
        self.unused += other.unused;
        for (reason, declined) in &other.declined {
            *self.declined.entry(*reason).or_default() += declined;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} offers refused", self.unused, self.processed)?;
        for (index, (reason, declined)) in self.declined.iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{declined} {reason}")?;
        }
        Ok(())
    }
}
