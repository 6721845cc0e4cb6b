//! What is not offered: resources that were refused for a while, and offers too
//! small to be of use.

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::resources::{Resources, Scalar};
use mesos_sdk::v1;

use crate::time::Timestamp;

/// What a framework has refused.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// By agent and role.
    refused: BTreeMap<String, BTreeMap<String, Vec<(Resources, Timestamp)>>>,
    /// When something expires, of which agent.
    expiries: BTreeSet<(Timestamp, String)>,
}

impl Filters {
    pub(super) fn add(&mut self, role: &str, agent: &str, refused: Resources, until: Timestamp) {
        let roles = self.refused.entry(agent.to_owned()).or_default();
        roles
            .entry(role.to_owned())
            .or_default()
            .push((refused, until));
        self.expiries.insert((until, agent.to_owned()));
    }

    /// A filter blocks what it contains.
    pub(super) fn refuses(&self, role: &str, agent: &str, offered: &Resources) -> bool {
        let filters = self.refused.get(agent).and_then(|roles| roles.get(role));
        filters.is_some_and(|filters| filters.iter().any(|(refused, _)| refused.contains(offered)))
    }

    /// Whether there is anything that may block an agent in a role.
    pub(super) fn concern(&self, role: &str, agent: &str) -> bool {
        let roles = self.refused.get(agent);
        roles.is_some_and(|roles| roles.contains_key(role))
    }

    /// Forgets what has expired, and says of which agents.
    pub(super) fn expire(&mut self, now: Timestamp, agents: &mut BTreeSet<String>) {
        while self
            .expiries
            .first()
            .is_some_and(|(until, _)| *until <= now)
        {
            let Some((_, agent)) = self.expiries.pop_first() else {
                return;
            };
            if let Some(roles) = self.refused.get_mut(&agent) {
                roles.retain(|_, filters| {
                    filters.retain(|(_, until)| *until > now);
                    !filters.is_empty()
                });
                if roles.is_empty() {
                    self.refused.remove(&agent);
                }
            }
            agents.insert(agent);
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(until, _)| *until)
    }

    pub(super) fn forget_role(&mut self, role: &str) {
        self.retain(|filtered| filtered != role);
    }

    pub(super) fn forget_agent(&mut self, agent: &str) {
        for (_, until) in self
            .refused
            .remove(agent)
            .into_iter()
            .flatten()
            .flat_map(|(_, f)| f)
        {
            self.expiries.remove(&(until, agent.to_owned()));
        }
    }

    pub(super) fn keep_roles(&mut self, roles: &BTreeSet<String>) {
        self.retain(|role| roles.contains(role));
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.refused.retain(|_, roles| {
            roles.retain(|role, _| keep(role));
            !roles.is_empty()
        });
        self.expiries = self
            .refused
            .iter()
            .flat_map(|(agent, roles)| {
                let untils = roles.values().flatten().map(|(_, until)| *until);
                untils.map(|until| (until, agent.clone()))
            })
            .collect();
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
