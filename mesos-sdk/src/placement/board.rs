//! What has been placed so far, and what that leaves: everything here can be
//! taken back, last placed first.

use std::collections::{BTreeMap, HashMap};

use super::draw;
use super::ports::PortUse;
use super::problem::{Problem, Shape, Taking};
use super::supply::Amounts;
use super::tally::{Rule, Tally};

/// Scalars of one name promised at one site, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Promised {
    reserved: i64,
    unreserved: i64,
    revocable: i64,
    any: i64,
}

impl Promised {
    fn of(&mut self, taking: Taking) -> &mut i64 {
        match taking {
            Taking::Any => &mut self.any,
            Taking::Reserved => &mut self.reserved,
            Taking::Unreserved => &mut self.unreserved,
            Taking::Revocable => &mut self.revocable,
        }
    }

    fn plain(self) -> i64 {
        self.any + self.reserved + self.unreserved
    }
}

#[derive(Debug, Clone)]
pub(super) struct Board {
    names: usize,
    promised: Vec<Promised>,
    /// What is neither revocable nor promised.
    free: Vec<i64>,
    ports: Vec<PortUse>,
    /// Instances that take what is not merely counted, by site.
    specials: BTreeMap<usize, Vec<usize>>,
    tallies: Vec<Tally>,
    /// Instances of each group by agent.
    on_agents: Vec<HashMap<usize, u32>>,
}

impl Board {
    /// Nothing is placed but what runs already.
    pub(super) fn new(problem: &Problem) -> Self {
        let names = problem.names.len();
        let sites = problem.sites.iter();
        Self {
            names,
            promised: vec![Promised::default(); names * problem.sites.len()],
            free: sites
                .flat_map(|site| site.amounts.iter().map(|amounts| amounts.plain()))
                .collect(),
            ports: vec![PortUse::default(); problem.sites.len()],
            specials: BTreeMap::new(),
            tallies: problem
                .tallies
                .iter()
                .map(|(_, tally)| tally.clone())
                .collect(),
            on_agents: problem.on_agents.clone(),
        }
    }

    /// What is free of each scalar, revocable resources left aside.
    pub(super) fn free(&self, site: usize) -> &[i64] {
        &self.free[site * self.names..(site + 1) * self.names]
    }

    /// Whether one more instance of the class may go to the site.
    pub(super) fn admits(&self, problem: &Problem, class: usize, site: usize) -> bool {
        let class = &problem.classes[class];
        let shape = &problem.shapes[class.shape];
        problem.masks[shape.mask].admits(site)
            && self.has_room(problem, class.shape, site)
            && class.counting.iter().all(|(tally, rule)| {
                let column = problem.tallies[*tally].0;
                let value = problem.columns[column].of_site[site];
                self.tallies[*tally].admits(*rule, value)
            })
    }

    /// Whether one more instance of the class may go to the site now or, when
    /// it waits for others of its group, later. Once this is not so it never
    /// will be.
    pub(super) fn may_admit(&self, problem: &Problem, class: usize, site: usize) -> bool {
        let class = &problem.classes[class];
        let shape = &problem.shapes[class.shape];
        let waits = |rule: &Rule| matches!(rule, Rule::GroupBy(_));
        problem.masks[shape.mask].admits(site)
            && self.has_room(problem, class.shape, site)
            && class.counting.iter().all(|(tally, rule)| {
                let column = problem.tallies[*tally].0;
                let value = problem.columns[column].of_site[site];
                waits(rule) || self.tallies[*tally].admits(*rule, value)
            })
    }

    /// Whether the resources are there.
    pub(super) fn has_room(&self, problem: &Problem, shape: usize, site: usize) -> bool {
        let number = shape;
        let shape = &problem.shapes[number];
        if shape.is_labelled() {
            if !draw::admits_labelled(problem, self, number, site) {
                return false;
            }
        } else {
            let has_scalars = shape
                .scalars
                .iter()
                .all(|(name, amount, taking)| self.left(problem, site, *name, *taking) >= *amount);
            if !has_scalars
                || (shape.wants_ports() && !self.ports[site].admits(&problem.sites[site], shape))
            {
                return false;
            }
        }
        shape.exact.is_empty() || draw::admits_exact(problem, self, number, site)
    }

    /// How much of a scalar one more instance could have. Whoever takes from
    /// anywhere makes way for those who cannot.
    pub(super) fn left(&self, problem: &Problem, site: usize, name: usize, taking: Taking) -> i64 {
        let free = self.free[site * self.names + name];
        if taking == Taking::Any {
            return free;
        }
        let amounts: Amounts = problem.sites[site].amounts[name];
        let promised = self.promised[site * self.names + name];
        match taking {
            Taking::Any => free,
            Taking::Reserved => free.min(amounts.reserved - promised.reserved),
            Taking::Unreserved => free.min(amounts.unreserved - promised.unreserved),
            Taking::Revocable => amounts.revocable - promised.revocable,
        }
    }

    /// Places an instance.
    pub(super) fn put(&mut self, problem: &Problem, class: usize, site: usize) {
        let class = &problem.classes[class];
        let shape = &problem.shapes[class.shape];
        if !shape.is_labelled() {
            self.promise(problem, shape, site, 1);
            if shape.wants_ports() {
                let is_there = self.ports[site].put(&problem.sites[site], shape);
                debug_assert!(is_there, "the site was asked");
            }
        }
        if shape.is_labelled() || !shape.exact.is_empty() {
            self.specials.entry(site).or_default().push(class.shape);
        }
        for tally in &class.counted_in {
            let column = problem.tallies[*tally].0;
            self.tallies[*tally].add(problem.columns[column].of_site[site]);
        }
    }

    /// Takes the instance that was placed last back.
    pub(super) fn take_back(&mut self, problem: &Problem, class: usize, site: usize) {
        let class = &problem.classes[class];
        let shape = &problem.shapes[class.shape];
        if !shape.is_labelled() {
            self.promise(problem, shape, site, -1);
            if shape.wants_ports() {
                self.ports[site].take_back(&problem.sites[site], shape);
            }
        }
        if shape.is_labelled() || !shape.exact.is_empty() {
            let placed = self.specials.get_mut(&site);
            placed.expect("it was placed").pop();
        }
        for tally in &class.counted_in {
            let column = problem.tallies[*tally].0;
            self.tallies[*tally].remove_last(problem.columns[column].of_site[site]);
        }
    }

    fn promise(&mut self, problem: &Problem, shape: &Shape, site: usize, times: i64) {
        for (name, amount, taking) in &shape.scalars {
            let at = site * self.names + name;
            *self.promised[at].of(*taking) += times * amount;
            self.free[at] = problem.sites[site].amounts[*name].plain() - self.promised[at].plain();
        }
    }

    /// Counts an instance of the group on the site's agent.
    pub(super) fn count_on_agent(&mut self, problem: &Problem, group: usize, site: usize) {
        let agent = problem.sites[site].agent;
        *self.on_agents[group].entry(agent).or_default() += 1;
    }

    /// How many instances of the group are on the site's agent.
    pub(super) fn on_agent(&self, problem: &Problem, group: usize, site: usize) -> u32 {
        let counts = &self.on_agents[group];
        if counts.is_empty() {
            return 0;
        }
        let agent = problem.sites[site].agent;
        counts.get(&agent).copied().unwrap_or(0)
    }

    /// The shapes placed at a site that take what is not merely counted.
    pub(super) fn specials(&self, site: usize) -> impl Iterator<Item = usize> + '_ {
        self.specials.get(&site).into_iter().flatten().copied()
    }

    pub(super) fn tally(&self, tally: usize) -> &Tally {
        &self.tallies[tally]
    }

    pub(super) fn ports(&self, site: usize) -> &PortUse {
        &self.ports[site]
    }
}
