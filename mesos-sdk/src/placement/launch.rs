//! The answer: what is launched where, and what is not and why.

use std::collections::BTreeMap;

use mesos_proto::v1;

use super::board::Board;
use super::draw::{self, Share};
use super::explain;
use super::problem::{Problem, Shape};
use super::reason::{Reason, Refusal, Summary};
use super::run::Commit;
use super::supply::Keepsakes;
use crate::ids;
use crate::offer::Offer;
use crate::operation::Operation;
use crate::resources::Resources;
use crate::task::{Group, Task};

/// One instance, placed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Launch {
    /// Which of the demands.
    pub demand: usize,
    /// Which instance of it, counted from zero.
    pub instance: u32,
    /// Which of the offers its resources are taken from, all of one agent.
    pub offers: Vec<usize>,
    /// The agent.
    pub agent_id: v1::AgentId,
    /// Its host name.
    pub hostname: String,
    /// The role for which the offers were made.
    pub role: String,
    /// What it gets, as it was offered: with reservations and allocation.
    pub resources: Resources,
    /// Its host ports, in the order in which the demand asked for them. They
    /// are in `resources` too.
    pub ports: Vec<u16>,
}

impl Launch {
    /// The message that launches a task here. Its executor gets what it asks
    /// for, the task everything else, ports included.
    #[must_use]
    pub fn task(&self, task: &Task) -> v1::TaskInfo {
        task.with(&self.agent_id, &self.resources)
    }

    /// The operation that launches a group of tasks here. The executor and each
    /// task get what they ask for; the ports of the demand go to the first task.
    #[must_use]
    pub fn group(&self, group: &Group) -> Operation {
        group.with(&self.agent_id, &self.resources)
    }
}

/// Launches that go into one ACCEPT: those of one agent and role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accept {
    /// Which offers are used.
    pub offers: Vec<usize>,
    /// Which of the [launches](Placement::launches) use them.
    pub launches: Vec<usize>,
}

/// How far the promise of completeness goes for a placement; see
/// [the module](super#what-is-promised).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Search {
    /// Everything found its place at once.
    NotNeeded,
    /// What is not placed cannot be placed.
    Finished,
    /// The budget ended the search: another one might place more.
    GaveUp,
}

/// What [`Placer::place`](super::Placer::place) decided.
#[derive(Debug)]
pub struct Placement {
    pub(super) launches: Vec<Launch>,
    /// The site of each launch.
    pub(super) sites: Vec<usize>,
    pub(super) missing: Vec<u32>,
    pub(super) search: Search,
    pub(super) offers: usize,
    pub(super) problem: Problem,
    pub(super) board: Board,
    pub(super) has_fitness: bool,
}

impl Placement {
    /// What is launched, in an order in which all constraints hold after each.
    #[must_use]
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// How many instances of a demand found no place.
    #[must_use]
    pub fn missing(&self, demand: usize) -> u32 {
        self.missing.get(demand).copied().unwrap_or(0)
    }

    /// The demands of which instances found no place.
    pub fn unplaced(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.missing.len()).filter(|demand| self.missing[*demand] > 0)
    }

    /// Whether every instance found a place.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.iter().all(|missing| *missing == 0)
    }

    /// Whether another search might place more.
    #[must_use]
    pub fn search(&self) -> Search {
        self.search
    }

    /// Why one more instance of the demand cannot go to an agent, for every
    /// agent where it cannot, as things are after all launches.
    #[must_use]
    pub fn refusals(&self, demand: usize) -> Vec<Refusal> {
        let sites = 0..self.problem.sites.len();
        sites
            .filter_map(|site| self.refusal(demand, site))
            .collect()
    }

    fn refusal(&self, demand: usize, site: usize) -> Option<Refusal> {
        let class = self.problem.entries.get(demand)?.class;
        let mut reasons = explain::reasons(&self.problem, &self.board, class, site);
        if reasons.is_empty() && self.has_fitness && self.missing(demand) > 0 {
            reasons.push(Reason::Fitness);
        }
        let place = &self.problem.sites[site];
        (!reasons.is_empty()).then(|| Refusal {
            offers: place.offers.clone(),
            agent_id: place.agent_id.clone(),
            hostname: place.hostname.clone(),
            reasons,
        })
    }

    /// The [`refusals`](Self::refusals) in one line: `agent-7: 0.5 cpus short;
    /// agent-8: UNIQUE hostname`.
    #[must_use]
    pub fn explain(&self, demand: usize) -> String {
        let refusals = self.refusals(demand);
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        texts.join("; ")
    }

    /// The [`refusals`](Self::refusals), counted by offer: what a queue shows.
    /// An offer that was used for the demand counts as processed only.
    #[must_use]
    pub fn summary(&self, demand: usize) -> Summary {
        let mut summary = Summary {
            processed: self.offers,
            ..Summary::default()
        };
        let launches = self.launches.iter();
        let used: Vec<usize> = launches
            .filter(|launch| launch.demand == demand)
            .flat_map(|launch| launch.offers.iter().copied())
            .collect();
        for refusal in self.refusals(demand) {
            let refused = refusal.offers.iter().filter(|offer| !used.contains(offer));
            let refused = refused.count();
            summary.unused += refused;
            if let Some(kind) = refusal.kind().filter(|_| refused > 0) {
                *summary.declined.entry(kind).or_default() += refused;
            }
        }
        summary
    }

    /// The launches by what goes into one ACCEPT.
    #[must_use]
    pub fn accepts(&self) -> Vec<Accept> {
        let mut accepts: BTreeMap<usize, Accept> = BTreeMap::new();
        for (number, (launch, site)) in self.launches.iter().zip(&self.sites).enumerate() {
            let accept = accepts.entry(*site).or_insert_with(|| Accept {
                offers: Vec::new(),
                launches: Vec::new(),
            });
            accept.launches.push(number);
            accept.offers.extend(&launch.offers);
        }
        let mut accepts: Vec<Accept> = accepts.into_values().collect();
        for accept in &mut accepts {
            accept.offers.sort_unstable();
            accept.offers.dedup();
        }
        accepts
    }

    /// The offers that no launch uses: to be declined, or kept.
    #[must_use]
    pub fn unused_offers(&self) -> Vec<usize> {
        let mut is_used = vec![false; self.offers];
        for offer in self.launches.iter().flat_map(|launch| &launch.offers) {
            is_used[*offer] = true;
        }
        (0..self.offers).filter(|offer| !is_used[*offer]).collect()
    }

    /// Hands out the offers for which this placement was made: those of each
    /// ACCEPT with its launches, and those that nothing uses.
    ///
    /// # Panics
    ///
    /// When there are fewer offers than the placement was made for.
    #[must_use]
    pub fn divide(&self, offers: Vec<Offer>) -> Divided<'_> {
        let mut offers: Vec<Option<Offer>> = offers.into_iter().map(Some).collect();
        let accepts = self.accepts().into_iter().map(|accept| {
            let launches = accept.launches.iter().map(|launch| &self.launches[*launch]);
            let launches = launches.collect();
            let mut take = |offer: &usize| offers[*offer].take().expect("an offer has one agent");
            (accept.offers.iter().map(&mut take).collect(), launches)
        });
        Divided {
            accepts: accepts.collect(),
            unused: offers.into_iter().flatten().collect(),
        }
    }
}

/// Offers, as a [`Placement`] uses them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Divided<'a> {
    /// For each ACCEPT its offers and the launches on them: for
    /// [`Handle::accept`](crate::scheduler::Handle::accept).
    pub accepts: Vec<(Vec<Offer>, Vec<&'a Launch>)>,
    /// Offers that nothing uses. Dropping them declines them.
    pub unused: Vec<Offer>,
}

/// Takes the resources of all launches out of the offers.
pub(super) fn draw(
    problem: &Problem,
    offers: &[&v1::Offer],
    keepsakes: &Keepsakes<'_>,
    commits: &[Commit],
    seed: u64,
) -> Vec<Launch> {
    let mut by_site: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, commit) in commits.iter().enumerate() {
        by_site.entry(commit.site).or_default().push(number);
    }
    let mut shares: Vec<Share> = commits.iter().map(|_| Share::default()).collect();
    for (site, numbers) in by_site {
        let shapes = numbers.iter().map(|number| {
            let class = &problem.classes[commits[*number].class];
            &problem.shapes[class.shape]
        });
        let shapes: Vec<&Shape> = shapes.collect();
        let drawn = draw::shares(problem, offers, keepsakes, site, &shapes, seed);
        for (number, share) in numbers.into_iter().zip(drawn) {
            shares[number] = share;
        }
    }
    let mut instances = vec![0; problem.entries.len()];
    let launches = commits.iter().zip(shares).map(|(commit, share)| {
        let site = &problem.sites[commit.site];
        let instance = instances[commit.demand];
        instances[commit.demand] += 1;
        Launch {
            demand: commit.demand,
            instance,
            offers: share.offers,
            agent_id: ids::agent_id(site.agent_id.clone()),
            hostname: site.hostname.clone(),
            role: site.role.clone(),
            resources: share.resources,
            ports: share.ports,
        }
    });
    launches.collect()
}
