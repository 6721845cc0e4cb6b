//! What is not offered: resources that were refused for a while, and offers too
//! small to be of use.

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::resources::{Resources, Scalar};
use mesos_sdk::v1;

use crate::time::Timestamp;

/// What a framework has refused, by role and agent.
#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<(String, String), Vec<(Resources, Timestamp)>>);

impl Filters {
    pub(super) fn add(&mut self, role: &str, agent: &str, refused: Resources, until: Timestamp) {
        let key = (role.to_owned(), agent.to_owned());
        self.0.entry(key).or_default().push((refused, until));
    }

    /// A filter blocks what it contains.
    pub(super) fn refuses(&self, role: &str, agent: &str, offered: &Resources) -> bool {
        let key = (role.to_owned(), agent.to_owned());
        self.0
            .get(&key)
            .is_some_and(|filters| filters.iter().any(|(refused, _)| refused.contains(offered)))
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, filters| {
            filters.retain(|(_, until)| *until > now);
            !filters.is_empty()
        });
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.0.values().flatten().map(|(_, until)| *until).min()
    }

    pub(super) fn forget_role(&mut self, role: &str) {
        self.0.retain(|(filtered, _), _| filtered != role);
    }

    pub(super) fn forget_agent(&mut self, agent: &str) {
        self.0.retain(|(_, filtered), _| filtered != agent);
    }

    pub(super) fn keep_roles(&mut self, roles: &BTreeSet<String>) {
        self.0.retain(|(role, _), _| roles.contains(role));
    }
}

/// Whether an offer is worth making: any of the framework's minimal quantities
/// is met, or, by default, there are 0.01 cpus or 32 MiB of memory.
pub(super) fn is_allocatable(
    resources: &Resources,
    minimum: Option<&v1::offer_filters::MinAllocatableResources>,
) -> bool {
    const LEAST_CPUS: Scalar = Scalar::from_thousandths(10);
    const LEAST_MEM_MIB: Scalar = Scalar::from_thousandths(32_000);
    let Some(minimum) = minimum else {
        return resources.cpus() >= LEAST_CPUS || resources.mem_mib() >= LEAST_MEM_MIB;
    };
    if resources.is_empty() {
        return false;
    }
    let has = resources.quantities();
    minimum.quantities.is_empty()
        || minimum.quantities.iter().any(|wanted| {
            wanted.quantities.iter().all(|(name, least)| {
                has.get(name).copied().unwrap_or_default() >= Scalar::from_f64(least.value)
            })
        })
}
