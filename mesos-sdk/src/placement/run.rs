//! Places demand after demand, each instance where it is best placed; what is
//! left over goes to the search.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mesos_proto::v1;

use super::board::Board;
use super::demand::Demand;
use super::fitness::{Candidate, Preference};
use super::index::Index;
use super::problem::{Entry, Problem};
use super::search::{self, Budget};
use super::tally::Rule;

/// An instance that is placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commit {
    pub(super) demand: usize,
    pub(super) class: usize,
    pub(super) site: usize,
}

pub(super) struct Run<'a> {
    problem: &'a Problem,
    offers: &'a [&'a v1::Offer],
    demands: &'a [Demand],
    preference: &'a Preference,
    pub(super) board: Board,
    index: Index,
    pub(super) commits: Vec<Commit>,
    /// How many instances of each demand are placed.
    pub(super) placed: Vec<u32>,
    /// Of a class for which there was no place: how many instances were placed.
    failed: Vec<Option<u64>>,
    /// For which classes a search found nothing either.
    is_hopeless: Vec<bool>,
    /// How many instances have been placed in all.
    version: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        problem: &'a Problem,
        offers: &'a [&'a v1::Offer],
        demands: &'a [Demand],
        preference: &'a Preference,
    ) -> Self {
        let board = Board::new(problem);
        Self {
            problem,
            offers,
            demands,
            preference,
            index: Index::new(problem, &board, preference),
            board,
            commits: Vec::new(),
            placed: vec![0; demands.len()],
            failed: vec![None; problem.classes.len()],
            is_hopeless: vec![false; problem.classes.len()],
            version: 0,
        }
    }

    /// Places what can be placed.
    pub(super) fn run(&mut self, budget: &mut Budget) {
        for demand in 0..self.demands.len() {
            self.place_rest(demand);
            while self.is_missing(demand) && self.search(demand, budget) {
                self.place_rest(demand);
            }
        }
        self.place_what_others_made_way_for();
    }

    /// Places whose turn came too early: an instance of a group may be welcome
    /// only after another one was placed.
    fn place_what_others_made_way_for(&mut self) {
        let ordered: Vec<usize> = (0..self.demands.len())
            .filter(|demand| {
                let class = self.problem.entries[*demand].class;
                self.problem.classes[class].is_ordered && self.is_missing(*demand)
            })
            .collect();
        loop {
            let before = self.commits.len();
            for demand in &ordered {
                self.place_rest(*demand);
            }
            if self.commits.len() == before {
                return;
            }
        }
    }

    fn is_missing(&self, demand: usize) -> bool {
        self.placed[demand] < self.problem.entries[demand].count
    }

    fn place_rest(&mut self, demand: usize) {
        let entry = self.problem.entries[demand];
        let missing = entry.count - self.placed[demand];
        let class = &self.problem.classes[entry.class];
        let groups_by = class
            .counting
            .iter()
            .any(|(_, rule)| matches!(rule, Rule::GroupBy(_)));
        let spreads = matches!(self.preference, Preference::Spread);
        if missing > 1 && spreads && !groups_by {
            self.place_many(demand, entry);
            return;
        }
        for _ in 0..missing {
            if !self.place_one(demand, entry) {
                return;
            }
        }
    }

    fn place_one(&mut self, demand: usize, entry: Entry) -> bool {
        if self.has_failed(entry.class) {
            return false;
        }
        match self.best(demand, entry) {
            Some(site) => {
                self.commit(demand, site);
                true
            }
            None => {
                self.failed[entry.class] = Some(self.version);
                false
            }
        }
    }

    /// Whether there is no use in looking again: places only become fewer,
    /// except for those who wait for others of their group.
    fn has_failed(&self, class: usize) -> bool {
        self.failed[class].is_some_and(|version| {
            !self.problem.classes[class].is_ordered || version == self.version
        })
    }

    fn commit(&mut self, demand: usize, site: usize) {
        let entry = self.problem.entries[demand];
        self.board.put(self.problem, entry.class, site);
        self.board.count_on_agent(self.problem, entry.group, site);
        self.index.update(&self.board, site);
        self.placed[demand] += 1;
        self.version += 1;
        self.commits.push(Commit {
            demand,
            class: entry.class,
            site,
        });
    }

    fn best(&mut self, demand: usize, entry: Entry) -> Option<usize> {
        if let Preference::Own(_) = self.preference {
            return self.best_of_all(demand, entry);
        }
        let Self {
            problem,
            board,
            index,
            preference,
            ..
        } = self;
        let shape = &problem.shapes[problem.classes[entry.class].shape];
        let mask = &problem.masks[shape.mask];
        let crowd = |site| match preference {
            Preference::Spread => board.on_agent(problem, entry.group, site),
            Preference::Pack | Preference::Own(_) => 0,
        };
        if let Some(few) = &mask.few {
            let admitted = few.iter().copied();
            let admitted = admitted.filter(|site| board.admits(problem, entry.class, *site));
            return admitted.min_by_key(|site| (crowd(*site), index.rank(*site), *site));
        }
        // The first that has none of the group; else one of those with fewest.
        let mut best: Option<(u32, usize)> = None;
        index.walk(board, shape, |site| {
            if !board.admits(problem, entry.class, site) {
                return false;
            }
            let crowd = crowd(site);
            if best.is_none_or(|(fewest, _)| crowd < fewest) {
                best = Some((crowd, site));
            }
            crowd == 0
        });
        best.map(|(_, site)| site)
    }

    fn best_of_all(&self, demand: usize, entry: Entry) -> Option<usize> {
        let admitted = (0..self.problem.sites.len())
            .filter(|site| self.board.admits(self.problem, entry.class, *site));
        let scored = admitted.filter_map(|site| Some((self.score(demand, site)?, site)));
        // Of equals the first.
        scored
            .fold(
                None,
                |best: Option<(f64, usize)>, (score, site)| match best {
                    Some((highest, _)) if score <= highest => best,
                    _ => Some((score, site)),
                },
            )
            .map(|(_, site)| site)
    }

    fn score(&self, demand: usize, site: usize) -> Option<f64> {
        let Preference::Own(fitness) = self.preference else {
            return Some(0.0);
        };
        let candidate = Candidate {
            problem: self.problem,
            board: &self.board,
            offers: self.offers,
            site,
            group: self.problem.entries[demand].group,
        };
        let score = fitness.score(&self.demands[demand], &candidate);
        score.filter(|score| !score.is_nan())
    }

    /// The same as one after the other: a site that got one is of no interest
    /// while there are others without any of the group, so these can be looked
    /// up at once.
    fn place_many(&mut self, demand: usize, entry: Entry) {
        while self.is_missing(demand) && !self.has_failed(entry.class) {
            let missing = entry.count - self.placed[demand];
            let empty = self.without_group(entry, missing as usize);
            let is_none = empty.is_empty();
            for site in empty {
                let crowd = self.board.on_agent(self.problem, entry.group, site);
                if crowd == 0 && self.board.admits(self.problem, entry.class, site) {
                    self.commit(demand, site);
                }
            }
            if is_none {
                self.place_beside(demand, entry);
                return;
            }
        }
    }

    /// The best sites that have no instance of the group.
    fn without_group(&mut self, entry: Entry, most: usize) -> Vec<usize> {
        let Self {
            problem,
            board,
            index,
            ..
        } = self;
        let shape = &problem.shapes[problem.classes[entry.class].shape];
        let mut sites = Vec::with_capacity(most);
        index.walk(board, shape, |site| {
            let crowd = board.on_agent(problem, entry.group, site);
            if crowd == 0 && board.admits(problem, entry.class, site) {
                sites.push(site);
            }
            sites.len() >= most
        });
        sites
    }

    /// Places instances where others of the group are, looking at each site once
    /// and then only at those that got one.
    fn place_beside(&mut self, demand: usize, entry: Entry) {
        let key = |run: &Self, site| {
            let crowd = run.board.on_agent(run.problem, entry.group, site);
            Reverse((crowd, run.index.rank(site), site))
        };
        let sites = 0..self.problem.sites.len();
        let admitted = sites.filter(|site| self.board.admits(self.problem, entry.class, *site));
        let mut heap: BinaryHeap<_> = admitted.map(|site| key(self, site)).collect();
        while self.is_missing(demand) {
            let Some(Reverse((crowd, rank, site))) = heap.pop() else {
                self.failed[entry.class] = Some(self.version);
                return;
            };
            // A site of the same agent may have got one since.
            let now = key(self, site);
            if now != Reverse((crowd, rank, site)) {
                heap.push(now);
                continue;
            }
            if self.board.admits(self.problem, entry.class, site) {
                self.commit(demand, site);
                heap.push(key(self, site));
            }
        }
    }

    /// Looks for a way to place one more instance of the demand beside all that
    /// was placed of it and those before it.
    fn search(&mut self, demand: usize, budget: &mut Budget) -> bool {
        let class = self.problem.entries[demand].class;
        let is_own = matches!(self.preference, Preference::Own(_));
        if is_own || budget.is_spent || self.is_hopeless[class] {
            return false;
        }
        let found = search::is_thinkable(self.problem, class)
            .then(|| {
                let rank = |site| self.index.rank(site);
                search::one_more(self.problem, &self.placed, demand, budget, rank)
            })
            .flatten();
        match found {
            Some(steps) => {
                self.replay(&steps);
                true
            }
            None => {
                self.is_hopeless[class] = true;
                false
            }
        }
    }

    /// Starts anew with what the search found.
    fn replay(&mut self, steps: &[(usize, usize)]) {
        self.board = Board::new(self.problem);
        self.index = Index::new(self.problem, &self.board, self.preference);
        self.commits.clear();
        self.placed.fill(0);
        self.failed.fill(None);
        for (class, site) in steps {
            let entries = self.problem.entries.iter().enumerate();
            let demand = entries
                .filter(|(_, entry)| entry.class == *class)
                .find(|(demand, entry)| self.placed[*demand] < entry.count)
                .map(|(demand, _)| demand);
            let demand = demand.expect("the search places what is wanted");
            self.commit(demand, *site);
        }
    }
}
