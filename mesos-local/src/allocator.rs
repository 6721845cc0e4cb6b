//! The allocator: decides which free resources are offered to which framework.
//!
//! Hierarchical DRF as Mesos's built-in allocator does it
//! (`src/master/allocator/mesos/hierarchical.cpp`): roles are ordered by their
//! dominant share over their weight, the frameworks of a role likewise, and the
//! first that takes an agent gets all of the agent that its role may have.
//! Agents are visited in a random order drawn from a seed. The books are kept
//! here; `run` gives, `shares` orders, `quota` holds back.

pub mod constraints;
mod filters;
mod quota;
mod run;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_sdk::resources::{Resources, Scalar};
use mesos_sdk::v1;

use crate::time::Timestamp;
use filters::Filters;
pub use quota::{Quantities, Quota};

/// What the allocator has to know of a framework.
#[derive(Debug, Clone, Default)]
pub struct FrameworkProfile {
    /// The roles it subscribes to.
    pub roles: BTreeSet<String>,
    /// Roles in which it wants no offers now.
    pub suppressed: BTreeSet<String>,
    /// It has GPU_RESOURCES.
    pub takes_gpus: bool,
    /// It has RESERVATION_REFINEMENT.
    pub takes_refined: bool,
    /// It has SHARED_RESOURCES.
    pub takes_shared: bool,
    /// It has REVOCABLE_RESOURCES.
    pub takes_revocable: bool,
    /// The least it wants to be offered, by role.
    pub offer_filters: BTreeMap<String, v1::OfferFilters>,
    /// Which agents it wants offers of, by role.
    pub constraints: Option<v1::scheduler::OfferConstraints>,
}

/// What is given: to be offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// To which framework.
    pub framework: String,
    /// In which role.
    pub role: String,
    /// Of which agent.
    pub agent: String,
    /// Marked as allocated to the role.
    pub resources: Resources,
}

/// Books of what is allocated to whom.
#[derive(Debug)]
pub struct Allocator {
    interval: Duration,
    frameworks: BTreeMap<String, Framework>,
    agents: BTreeMap<String, Agent>,
    /// Those that have shared volumes.
    sharing: BTreeSet<String>,
    total: BTreeMap<String, Scalar>,
    weights: BTreeMap<String, f64>,
    quotas: BTreeMap<String, Quota>,
    news: News,
}

/// What has changed since the last run. Of an agent of which there is no news
/// nobody wants more than then.
#[derive(Debug, Default)]
struct News {
    /// Of frameworks, shares or quotas: every agent is to be looked at.
    of_all: bool,
    /// Agents that have something new to give.
    agents: BTreeSet<String>,
}

#[derive(Debug)]
struct Framework {
    profile: FrameworkProfile,
    constraints: constraints::Compiled,
    is_active: bool,
    /// What it holds, by role.
    allocated: BTreeMap<String, BTreeMap<String, Scalar>>,
    /// How often it was given something, by role: breaks ties.
    count: BTreeMap<String, u64>,
    filters: Filters,
}

#[derive(Debug)]
struct Agent {
    info: v1::AgentInfo,
    total: Resources,
    allocated: Resources,
    is_active: bool,
}

impl Allocator {
    /// An allocator without agents and frameworks, which is run every
    /// `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            frameworks: BTreeMap::new(),
            agents: BTreeMap::new(),
            sharing: BTreeSet::new(),
            total: BTreeMap::new(),
            weights: BTreeMap::new(),
            quotas: BTreeMap::new(),
            news: News::default(),
        }
    }

    /// Adds a framework, or changes what is known of it.
    pub fn set_framework(&mut self, key: &str, profile: FrameworkProfile, is_active: bool) {
        self.news.of_all = true;
        let constraints = constraints::Compiled::new(profile.constraints.as_ref());
        match self.frameworks.get_mut(key) {
            Some(framework) => {
                framework.filters.keep_roles(&profile.roles);
                framework.profile = profile;
                framework.constraints = constraints;
                framework.is_active = is_active;
            }
            None => {
                let framework = Framework {
                    profile,
                    constraints,
                    is_active,
                    allocated: BTreeMap::new(),
                    count: BTreeMap::new(),
                    filters: Filters::default(),
                };
                self.frameworks.insert(key.to_owned(), framework);
            }
        }
    }

    /// A framework that is not active gets nothing; its filters are forgotten.
    pub fn set_active(&mut self, key: &str, is_active: bool) {
        self.news.of_all = true;
        if let Some(framework) = self.frameworks.get_mut(key) {
            framework.is_active = is_active;
            framework.filters = Filters::default();
        }
    }

    /// Forgets a framework. What it held is given back by whoever booked it.
    pub fn remove_framework(&mut self, key: &str) {
        self.frameworks.remove(key);
    }

    /// Adds an agent, or changes its resources.
    pub fn set_agent(&mut self, key: &str, info: &v1::AgentInfo, total: Resources) {
        let known = self.agents.remove(key);
        if let Some(known) = &known {
            self.count(&known.total, false);
        }
        self.count(&total, true);
        let agent = Agent {
            info: info.clone(),
            total,
            allocated: known.map(|known| known.allocated).unwrap_or_default(),
            is_active: true,
        };
        self.put_agent(key, agent);
    }

    /// An agent turns out to have something else than was thought.
    pub fn set_agent_total(&mut self, key: &str, total: Resources) {
        self.change_agent(key, |agent| agent.total = total);
    }

    /// Nothing of an agent that is not active is given.
    pub fn set_agent_active(&mut self, key: &str, is_active: bool) {
        self.change_agent(key, |agent| agent.is_active = is_active);
    }

    /// Forgets an agent and everything that was allocated on it.
    pub fn remove_agent(&mut self, key: &str) {
        if let Some(agent) = self.agents.remove(key) {
            self.count(&agent.total, false);
        }
        self.news.agents.remove(key);
        self.sharing.remove(key);
        for framework in self.frameworks.values_mut() {
            framework.filters.forget_agent(key);
        }
    }

    /// Changes an agent; what the cluster has follows.
    fn change_agent(&mut self, key: &str, change: impl FnOnce(&mut Agent)) {
        let Some(mut agent) = self.agents.remove(key) else {
            return;
        };
        self.count(&agent.total, false);
        change(&mut agent);
        self.count(&agent.total, true);
        self.put_agent(key, agent);
    }

    fn put_agent(&mut self, key: &str, agent: Agent) {
        if agent.total.iter().any(|item| item.shared.is_some()) {
            self.sharing.insert(key.to_owned());
        } else {
            self.sharing.remove(key);
        }
        self.agents.insert(key.to_owned(), agent);
        self.agent_news(key);
    }

    fn count(&mut self, resources: &Resources, is_there: bool) {
        for (name, amount) in resources.quantities() {
            let sum = self.total.entry(name).or_default();
            *sum = if is_there {
                *sum + amount
            } else {
                *sum - amount
            };
        }
    }

    fn agent_news(&mut self, key: &str) {
        if !self.news.agents.contains(key) {
            self.news.agents.insert(key.to_owned());
        }
    }

    /// Books resources that a framework already has: of a task that came with
    /// its agent.
    pub fn book(&mut self, framework: &str, agent: &str, resources: &Resources) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.allocated += resources;
        }
        self.charge(framework, resources, true);
    }

    /// Takes resources back.
    pub fn recover(&mut self, framework: &str, agent: &str, resources: &Resources) {
        self.agent_news(agent);
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.allocated -= resources;
        }
        self.charge(framework, resources, false);
    }

    fn charge(&mut self, framework: &str, resources: &Resources, is_given: bool) {
        let Some(framework) = self.frameworks.get_mut(framework) else {
            return;
        };
        for item in resources {
            let role = mesos_sdk::resources::allocation_role(item).unwrap_or("*");
            let held = entry(&mut framework.allocated, role);
            let sum = entry(held, &item.name);
            let amount = mesos_sdk::resources::quantity(item);
            *sum = if is_given {
                *sum + amount
            } else {
                *sum - amount
            };
        }
    }

    /// What nobody holds of an agent has been converted.
    pub fn convert_free(&mut self, agent: &str, consumed: &Resources, converted: &Resources) {
        self.change_agent(agent, |agent| {
            agent.total -= consumed;
            agent.total += converted;
        });
    }

    /// What a framework holds of an agent has been converted: reserved, or made
    /// into a volume.
    pub fn convert(&mut self, agent: &str, consumed: &Resources, converted: &Resources) {
        self.change_agent(agent, |agent| {
            agent.total -= &consumed.unallocate();
            agent.total += converted.unallocate();
            agent.allocated -= consumed;
            agent.allocated += converted;
        });
    }

    /// All resources of an agent, reserved or not.
    #[must_use]
    pub fn agent_total(&self, agent: &str) -> Option<&Resources> {
        self.agents.get(agent).map(|agent| &agent.total)
    }

    /// What of an agent is allocated.
    #[must_use]
    pub fn agent_allocated(&self, agent: &str) -> Option<&Resources> {
        self.agents.get(agent).map(|agent| &agent.allocated)
    }

    /// A role's weight.
    #[must_use]
    pub fn weight(&self, role: &str) -> f64 {
        self.weights.get(role).copied().unwrap_or(1.0)
    }

    /// The weights that were set, by role.
    #[must_use]
    pub fn weights(&self) -> &BTreeMap<String, f64> {
        &self.weights
    }

    /// Gives a role a weight; 1 is the default.
    pub fn set_weight(&mut self, role: &str, weight: f64) {
        self.news.of_all = true;
        self.weights.insert(role.to_owned(), weight);
    }

    /// A framework does not want to see these resources for a while.
    pub fn refuse(
        &mut self,
        now: Timestamp,
        framework: &str,
        role: &str,
        agent: &str,
        resources: &Resources,
        filters: Option<&v1::Filters>,
    ) {
        const LONGEST: f64 = 365.0 * 24.0 * 3600.0;
        let seconds = filters.map_or(5.0, v1::Filters::refuse_seconds);
        let seconds = if seconds.is_nan() || seconds < 0.0 {
            5.0
        } else {
            seconds.min(LONGEST)
        };
        if seconds == 0.0 || resources.is_empty() {
            return;
        }
        if let Some(framework) = self.frameworks.get_mut(framework) {
            let until = now + Duration::from_secs_f64(seconds).max(self.interval);
            framework.filters.add(role, agent, resources.clone(), until);
        }
    }

    /// Forgets what a framework refused in these roles, and that it wanted no
    /// offers.
    pub fn revive(&mut self, framework: &str, roles: &[String]) {
        self.news.of_all = true;
        if let Some(framework) = self.frameworks.get_mut(framework) {
            for role in roles {
                framework.profile.suppressed.remove(role);
                framework.filters.forget_role(role);
            }
        }
    }

    /// A framework wants no offers in these roles.
    pub fn suppress(&mut self, framework: &str, roles: &[String]) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.profile.suppressed.extend(roles.iter().cloned());
        }
    }

    /// When a run may give something that the last one did not: now, when
    /// something has changed, or when a filter expires.
    pub(crate) fn next_news(&self, now: Timestamp) -> Option<Timestamp> {
        if self.news.of_all || !self.news.agents.is_empty() {
            return Some(now);
        }
        let frameworks = self.frameworks.values();
        frameworks.filter_map(|f| f.filters.next_expiry()).min()
    }
}

/// The value of a key, made when it is not there.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("it was made just now")
}
