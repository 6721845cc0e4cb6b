//! Who is next: dominant shares over weights, along the tree of roles, then by
//! how often somebody was given something, then by name
//! (`src/master/allocator/mesos/sorter/drf`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::resources::Scalar;

use super::Allocator;

impl Allocator {
    /// Roles in which somebody wants offers, the most entitled first.
    pub(super) fn roles_in_order(&self) -> Vec<String> {
        let roles: BTreeSet<&str> = self.wanting().map(|(_, role)| role).collect();
        if roles.len() <= 1 {
            return roles.into_iter().map(str::to_owned).collect();
        }
        let mut keyed: Vec<(Vec<f64>, u64, &str)> = roles
            .into_iter()
            .map(|role| (self.path_shares(role), self.role_count(role), role))
            .collect();
        keyed.sort_by(|a, b| {
            compare_paths(&a.0, &b.0)
                .then(a.1.cmp(&b.1))
                .then(a.2.cmp(b.2))
        });
        keyed
            .into_iter()
            .map(|(_, _, role)| role.to_owned())
            .collect()
    }

    /// Frameworks that want offers in the role, the most entitled first.
    pub(super) fn frameworks_in_order(&self, role: &str) -> Vec<String> {
        let mut keyed: Vec<(f64, u64, &str)> = self
            .wanting()
            .filter(|(_, wanted)| *wanted == role)
            .map(|(key, _)| {
                let framework = &self.frameworks[key];
                let share = framework
                    .allocated
                    .get(role)
                    .map_or(0.0, |held| self.share(held));
                (share, framework.count.get(role).copied().unwrap_or(0), key)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(b.2)));
        keyed
            .into_iter()
            .map(|(_, _, key)| key.to_owned())
            .collect()
    }

    fn role_count(&self, role: &str) -> u64 {
        self.frameworks
            .values()
            .filter_map(|framework| framework.count.get(role))
            .sum()
    }

    /// The share over weight of each role on the path from the root.
    fn path_shares(&self, role: &str) -> Vec<f64> {
        role.match_indices('/')
            .map(|(at, _)| &role[..at])
            .chain([role])
            .map(|part| self.share(&self.held_below(part)) / self.weight(part))
            .collect()
    }

    fn held_below(&self, role: &str) -> BTreeMap<String, Scalar> {
        let mut sum: BTreeMap<String, Scalar> = BTreeMap::new();
        for framework in self.frameworks.values() {
            for (held_role, held) in &framework.allocated {
                if held_role == role || mesos_sdk::ids::is_strict_subrole_of(held_role, role) {
                    for (name, amount) in held {
                        *sum.entry(name.clone()).or_default() += *amount;
                    }
                }
            }
        }
        sum
    }

    /// The largest fraction of any resource of the cluster. Ports do not count,
    /// as only scalars do in Mesos.
    fn share(&self, held: &BTreeMap<String, Scalar>) -> f64 {
        held.iter()
            .filter(|(name, _)| *name != "ports")
            .filter_map(|(name, amount)| {
                let total = self
                    .total
                    .get(name)
                    .filter(|total| **total > Scalar::ZERO)?;
                Some(amount.as_f64() / total.as_f64())
            })
            .fold(0.0, f64::max)
    }
}

fn compare_paths(a: &[f64], b: &[f64]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| a.total_cmp(b))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}
