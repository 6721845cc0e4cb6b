//! One run of the allocator: agents are visited in a random order, and on each
//! the roles and frameworks in the order of their shares. First roles get what
//! they are guaranteed, then everybody gets the rest, as far as quotas permit.

use std::collections::BTreeMap;

use mesos_sdk::ids;
use mesos_sdk::resources::{Resources, Scalar, is_reserved, is_unreserved, reservation_role};
use mesos_sdk::v1;

use super::quota::{Books, Quantities, counts, shrink, top};
use super::shares::Order;
use super::{Allocation, Allocator, filters};
use crate::random::Random;
use crate::time::Timestamp;

/// What a run is about to do, and has done.
struct Run {
    books: Option<Books>,
    /// A shared volume is given once a run.
    shared: BTreeMap<String, Resources>,
    given: BTreeMap<(String, String, String), Resources>,
}

/// What a framework is to be offered.
struct Share {
    all: Resources,
    /// What of it counts against quotas.
    counted: Quantities,
    /// What of that was held back for the role.
    guaranteed: Quantities,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Guarantees,
    FairShare,
}

impl Allocator {
    /// Gives what is free. The result is sorted by framework.
    pub(crate) fn allocate(&mut self, now: Timestamp, random: &mut Random) -> Vec<Allocation> {
        let mut agents = self.agents_to_visit(now);
        let mut order = self.order();
        if order.is_empty() {
            return Vec::new();
        }
        let mut run = Run {
            books: self.books(),
            shared: BTreeMap::new(),
            given: BTreeMap::new(),
        };
        if self.quotas.values().any(|q| !q.guarantees.is_empty()) {
            random.shuffle(&mut agents);
            for agent in &agents {
                self.allocate_agent(agent, Stage::Guarantees, &mut run, &mut order);
            }
        }
        random.shuffle(&mut agents);
        for agent in &agents {
            self.allocate_agent(agent, Stage::FairShare, &mut run, &mut order);
        }
        debug_assert_eq!(order, self.order(), "the order follows what is given");
        let given = run.given.into_iter();
        given
            .map(|((framework, agent, role), resources)| Allocation {
                framework,
                role,
                agent,
                resources: in_order(&resources),
            })
            .collect()
    }

    /// Agents of which somebody may want something that nobody wanted when the
    /// last run was made.
    fn agents_to_visit(&mut self, now: Timestamp) -> Vec<String> {
        let mut news = std::mem::take(&mut self.news);
        for framework in self.frameworks.values_mut() {
            framework.filters.expire(now, &mut news.agents);
        }
        let is_active = |key: &&String| self.agents.get(*key).is_some_and(|a| a.is_active);
        // What quotas permit depends on what happens on any agent.
        if news.of_all || !self.quotas.is_empty() {
            return self.agents.keys().filter(is_active).cloned().collect();
        }
        // A shared volume is never used up.
        news.agents.extend(self.sharing.iter().cloned());
        news.agents.iter().filter(is_active).cloned().collect()
    }

    /// The same, with agents visited in an order of its own.
    pub fn allocate_with_seed(&mut self, now: Timestamp, seed: u64) -> Vec<Allocation> {
        self.allocate(now, &mut Random::new(seed))
    }

    /// Frameworks that would take an offer, with the role.
    pub(super) fn wanting(&self) -> impl Iterator<Item = (&str, &str)> {
        self.frameworks
            .iter()
            .filter(|(_, framework)| framework.is_active)
            .flat_map(|(key, framework)| {
                let profile = &framework.profile;
                profile
                    .roles
                    .difference(&profile.suppressed)
                    .map(|role| (key.as_str(), role.as_str()))
            })
    }

    fn allocate_agent(&mut self, agent: &str, stage: Stage, run: &mut Run, order: &mut Order) {
        let mut free = self.free(agent, run);
        if free.is_empty() {
            return;
        }
        let mut given = Vec::new();
        for role in order.roles() {
            if free.is_empty() {
                break;
            }
            if stage == Stage::Guarantees && self.missing(role, run).is_empty() {
                continue;
            }
            let mut for_role = free.filter(|item| is_for_role(item, role));
            for framework in order.frameworks(role) {
                if for_role.is_empty() {
                    break;
                }
                let share = self.share_of(framework, role, agent, &for_role, stage, run);
                let Some(share) = share else {
                    continue;
                };
                free -= &share.all;
                for_role -= &share.all;
                let resources = self.give(framework, role, agent, share, run);
                given.push((framework.to_owned(), role.to_owned(), resources));
            }
        }
        for (framework, role, resources) in given {
            order.gave(self, &framework, &role, &resources);
        }
    }

    /// What of an agent nobody has; shared volumes may be had by many.
    fn free(&self, key: &str, run: &Run) -> Resources {
        let Some(agent) = self.agents.get(key) else {
            return Resources::new();
        };
        let mut free = agent.total.clone() - agent.allocated.unallocate();
        let shared = agent.total.filter(|item| item.shared.is_some());
        if !shared.is_empty() {
            free = free.filter(|item| item.shared.is_none());
            free += shared;
            if let Some(given) = run.shared.get(key) {
                free -= given;
            }
        }
        free
    }

    fn missing(&self, role: &str, run: &Run) -> Quantities {
        match (&run.books, self.quotas.get(role)) {
            (Some(books), Some(quota)) => books.missing(role, quota),
            _ => Quantities::default(),
        }
    }

    fn give(
        &mut self,
        framework: &str,
        role: &str,
        agent: &str,
        share: Share,
        run: &mut Run,
    ) -> Resources {
        let resources = share.all.allocate(role);
        self.book(framework, agent, &resources);
        if let Some(taker) = self.frameworks.get_mut(framework) {
            *taker.count.entry(role.to_owned()).or_default() += 1;
        }
        if let Some(books) = &mut run.books {
            books.give(role, &share.counted, &share.guaranteed);
        }
        let shared = share.all.filter(|item| item.shared.is_some());
        if !shared.is_empty() {
            *run.shared.entry(agent.to_owned()).or_default() += shared;
        }
        let key = (framework.to_owned(), agent.to_owned(), role.to_owned());
        *run.given.entry(key).or_default() += &resources;
        resources
    }

    /// What of the free resources of an agent the framework may be offered in
    /// the role, if that is enough and it has not refused it.
    fn share_of(
        &self,
        framework: &str,
        role: &str,
        agent_key: &str,
        free: &Resources,
        stage: Stage,
        run: &Run,
    ) -> Option<Share> {
        let framework = self.frameworks.get(framework)?;
        let agent = self.agents.get(agent_key)?;
        let profile = &framework.profile;
        if agent.total.gpus() > Scalar::ZERO && !profile.takes_gpus {
            return None;
        }
        if !framework.constraints.admit(role, &agent.info) {
            return None;
        }
        let available = free.filter(|item| {
            (profile.takes_refined || item.reservations.len() <= 1)
                && (profile.takes_shared || item.shared.is_none())
                && (profile.takes_revocable || item.revocable.is_none())
        });
        let share = match &run.books {
            Some(books) => self.permitted(role, &available, stage, books)?,
            None => Share {
                all: available,
                counted: Quantities::default(),
                guaranteed: Quantities::default(),
            },
        };
        let minimum = profile
            .offer_filters
            .get(role)
            .and_then(|filters| filters.min_allocatable_resources.as_ref());
        let refuses = || {
            framework.filters.concern(role, agent_key) && {
                let offered = share.all.allocate(role);
                framework.filters.refuses(role, agent_key, &offered)
            }
        };
        (filters::is_allocatable(&share.all, minimum) && !refuses()).then_some(share)
    }

    /// What quotas leave of it; nothing in the first stage when it does not
    /// bring the role nearer to its guarantees.
    fn permitted(
        &self,
        role: &str,
        available: &Resources,
        stage: Stage,
        books: &Books,
    ) -> Option<Share> {
        let counted = available.filter(counts);
        let quota = self.quotas.get(top(role));
        let is_first = stage == Stage::Guarantees;
        let guaranteed = match quota {
            Some(quota) if is_first => {
                let missing = books.missing(role, quota);
                shrink(&counted, |name| Some(missing.of(name)))
            }
            _ => Resources::new(),
        };
        if is_first && guaranteed.is_empty() {
            return None;
        }
        let guaranteed_amounts = Quantities::of_scalars(&guaranteed);
        let rest = counted - &guaranteed;
        let mut given = guaranteed;
        given += books.permitted(role, quota, rest, &guaranteed_amounts);
        let counted = Quantities::of_scalars(&given);
        let besides = |item: &v1::Resource| {
            !counts(item) && (!is_first || is_unreserved(item) || is_reserved(item, Some(role)))
        };
        let mut all = available.filter(besides);
        all += given;
        Some(Share {
            all,
            counted,
            guaranteed: guaranteed_amounts,
        })
    }
}

/// Whether resources may go to a role: unreserved ones, and those reserved for
/// it or for one of its ancestors.
fn is_for_role(item: &v1::Resource, role: &str) -> bool {
    is_unreserved(item)
        || is_reserved(item, Some(role))
        || reservation_role(item).is_some_and(|reserved| ids::is_strict_subrole_of(role, reserved))
}

/// The order in which Mesos lists what it offers: ranges and sets, then what is
/// reserved, then free scalars.
fn in_order(resources: &Resources) -> Resources {
    let free_scalar = |item: &v1::Resource| is_unreserved(item) && item.scalar.is_some();
    let mut ordered = resources.filter(|item| is_unreserved(item) && !free_scalar(item));
    ordered += resources.filter(|item| !is_unreserved(item));
    ordered += resources.filter(free_scalar);
    ordered
}
