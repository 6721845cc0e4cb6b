//! A search for a placement where choosing the best place for one instance
//! after the other found none: depth first, with a memory of what was tried.

use std::collections::{HashMap, HashSet};

use super::board::Board;
use super::problem::{Problem, Taking};
use super::supply::{Amounts, Site};
use super::tally::Value;
use crate::resources::Ranges;

/// How much a call may search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Looks at one site for one instance.
    steps: u64,
    /// Whether a search was given up, or not begun.
    pub(super) is_spent: bool,
    /// Whether there was any.
    pub(super) is_used: bool,
}

/// Larger problems are not searched: a level of the search is a call.
const DEEPEST: usize = 1000;

impl Budget {
    pub(super) fn new(steps: u64) -> Self {
        Self {
            steps,
            is_spent: false,
            is_used: false,
        }
    }

    fn pay(&mut self, steps: usize) -> bool {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        if self.is_spent || self.steps < steps {
            self.is_spent = true;
            return false;
        }
        self.steps -= steps;
        true
    }
}

/// Whether an empty site exists that has what an instance of the class wants.
pub(super) fn is_thinkable(problem: &Problem, class: usize) -> bool {
    let shape = &problem.shapes[problem.classes[class].shape];
    let mask = &problem.masks[shape.mask];
    let has = |amounts: &[Amounts]| {
        shape.is_labelled()
            || shape.scalars.iter().all(|(name, amount, taking)| {
                let amounts = amounts[*name];
                *amount
                    <= match taking {
                        Taking::Any => amounts.plain(),
                        Taking::Reserved => amounts.reserved,
                        Taking::Unreserved => amounts.unreserved,
                        Taking::Revocable => amounts.revocable,
                    }
            })
    };
    mask.count > 0
        && (0..problem.sites.len())
            .any(|site| mask.admits(site) && has(&problem.sites[site].amounts))
}

/// Looks for a placement of what is placed of the demands up to this one, and
/// one more instance of it. Where order matters later demands of the group may
/// be placed as well, if that helps. The answer is classes and sites, in an
/// order in which constraints hold all along.
pub(super) fn one_more(
    problem: &Problem,
    placed: &[u32],
    demand: usize,
    budget: &mut Budget,
    rank: impl Fn(usize) -> u32,
) -> Option<Vec<(usize, usize)>> {
    budget.is_used = true;
    let wanted = wanted(problem, placed, demand);
    let instances: usize = wanted.iter().map(|(_, must, _)| *must as usize).sum();
    // What one descent costs at least.
    let cost = problem.sites.len() + problem.groups + instances * wanted.len();
    if instances > DEEPEST || !budget.pay(cost) {
        budget.is_spent = true;
        return None;
    }
    let mask = |class: usize| &problem.masks[problem.shapes[problem.classes[class].shape].mask];
    let mut sites: Vec<usize> = (0..problem.sites.len())
        .filter(|site| {
            wanted
                .iter()
                .any(|(class, _, _)| mask(*class).admits(*site))
        })
        .collect();
    sites.sort_by_key(|site| (rank(*site), *site));
    let mut search = Search {
        problem,
        board: Board::new(problem),
        kinds: kinds(problem, &wanted, &sites),
        placed: vec![0; wanted.len()],
        usage: vec![0; sites.len() * wanted.len()],
        wanted,
        sites,
        steps: Vec::with_capacity(instances),
        seen: HashSet::new(),
        budget,
    };
    search.descend().then_some(search.steps)
}

/// Of each class how many must, and how many more may be placed.
fn wanted(problem: &Problem, placed: &[u32], demand: usize) -> Vec<(usize, u32, u32)> {
    let mut wanted: HashMap<usize, (u32, u32)> = HashMap::new();
    for (entry, placed) in problem.entries.iter().zip(placed).take(demand + 1) {
        wanted.entry(entry.class).or_default().0 += placed;
    }
    wanted.entry(problem.entries[demand].class).or_default().0 += 1;
    wanted.retain(|_, (must, _)| *must > 0);
    // Whoever counts in a tally that somebody's order depends on.
    let ordered: HashSet<usize> = wanted
        .keys()
        .map(|class| &problem.classes[*class])
        .filter(|class| class.is_ordered)
        .flat_map(|class| class.counted_in.iter().copied())
        .collect();
    for (number, entry) in problem.entries.iter().enumerate().skip(demand) {
        let class = &problem.classes[entry.class];
        if class.counted_in.iter().any(|tally| ordered.contains(tally)) {
            let taken = if number == demand {
                placed[number] + 1
            } else {
                0
            };
            wanted.entry(entry.class).or_default().1 += entry.count - taken;
        }
    }
    let mut wanted: Vec<_> = wanted
        .into_iter()
        .map(|(class, (must, may))| (class, must, may))
        .collect();
    wanted.sort_unstable();
    wanted
}

/// What makes two sites alike while the same is placed on both.
#[derive(PartialEq, Eq, Hash)]
struct Kind<'a> {
    admits: Vec<bool>,
    values: Vec<Value>,
    amounts: &'a [Amounts],
    reserved_ports: &'a Ranges,
    unreserved_ports: &'a Ranges,
    /// Sites with anything that is not merely counted are like no other.
    number: Option<usize>,
}

/// The number of the kind of each site.
fn kinds(problem: &Problem, wanted: &[(usize, u32, u32)], sites: &[usize]) -> Vec<usize> {
    let mut known: HashMap<Kind<'_>, usize> = HashMap::new();
    let classes = || wanted.iter().map(|(class, _, _)| &problem.classes[*class]);
    let of_site = |number: &usize| {
        let site: &Site = &problem.sites[*number];
        let admits = classes().map(|class| {
            let mask = problem.shapes[class.shape].mask;
            problem.masks[mask].admits(*number)
        });
        let tallies = classes().flat_map(|class| &class.counted_in);
        let values = tallies.map(|tally| {
            let column = problem.tallies[*tally].0;
            problem.columns[column].of_site[*number]
        });
        let is_plain = site.labelled.is_empty() && site.special.is_empty();
        Kind {
            admits: admits.collect(),
            values: values.collect(),
            amounts: &site.amounts,
            reserved_ports: &site.reserved_ports,
            unreserved_ports: &site.unreserved_ports,
            number: (!is_plain).then_some(*number),
        }
    };
    let sites = sites.iter().map(|site| {
        let next = known.len();
        *known.entry(of_site(site)).or_insert(next)
    });
    sites.collect()
}

struct Search<'a> {
    problem: &'a Problem,
    board: Board,
    /// Classes; of each how many must and how many more may be placed.
    wanted: Vec<(usize, u32, u32)>,
    /// How many of each are.
    placed: Vec<u32>,
    sites: Vec<usize>,
    kinds: Vec<usize>,
    /// How many of each class are at each site.
    usage: Vec<u16>,
    steps: Vec<(usize, usize)>,
    seen: HashSet<(Vec<u16>, Vec<Option<Value>>)>,
    budget: &'a mut Budget,
}

impl Search<'_> {
    /// How many of the class must still be placed.
    fn must(&self, class: usize) -> u32 {
        self.wanted[class].1.saturating_sub(self.placed[class])
    }

    fn may(&self, class: usize) -> bool {
        let (_, must, more) = self.wanted[class];
        self.placed[class] < must + more
    }

    fn is_ordered(&self, class: usize) -> bool {
        self.problem.classes[self.wanted[class].0].is_ordered
    }

    /// Whether what is left to place is not more than what is left to take.
    fn has_enough(&self) -> bool {
        let mut need = vec![0_i64; self.problem.names.len()];
        for (number, (class, _, _)) in self.wanted.iter().enumerate() {
            let shape = &self.problem.shapes[self.problem.classes[*class].shape];
            let must = i64::from(self.must(number));
            if shape.is_labelled() || must == 0 {
                continue;
            }
            for (name, amount, taking) in &shape.scalars {
                if *taking != Taking::Revocable {
                    let amount = amount.saturating_mul(must);
                    need[*name] = need[*name].saturating_add(amount);
                }
            }
        }
        need.iter().enumerate().all(|(name, need)| {
            let free = self.sites.iter().map(|site| self.board.free(*site)[name]);
            free.fold(0_i64, i64::saturating_add) >= *need
        })
    }

    /// Places what is left; whether that went well.
    fn descend(&mut self) -> bool {
        if (0..self.wanted.len()).all(|class| self.must(class) == 0) {
            return true;
        }
        let looks = self.wanted.len() * self.sites.len();
        if !self.budget.pay(looks) || !self.has_enough() || !self.seen.insert(self.key()) {
            return false;
        }
        for (class, places) in self.choices() {
            for place in places {
                self.put(class, place);
                if self.descend() {
                    return true;
                }
                self.take_back(class, place);
                if self.budget.is_spent {
                    return false;
                }
            }
        }
        false
    }

    /// Which classes to try next, and where. Where order matters each class is
    /// tried; of the others only the one with the fewest places. None when one
    /// has no place left and will not get any.
    fn choices(&self) -> Vec<(usize, Vec<usize>)> {
        let mut ordered = Vec::new();
        let mut tightest: Option<(usize, Vec<usize>)> = None;
        let mut is_open = false;
        for class in 0..self.wanted.len() {
            if !self.may(class) {
                continue;
            }
            let places = self.places(class);
            if self.is_ordered(class) {
                if self.must(class) > 0 {
                    is_open = true;
                    if places.is_empty() && !self.may_wait(class) {
                        return Vec::new();
                    }
                }
                ordered.push((class, places));
            } else if places.is_empty() {
                return Vec::new();
            } else if tightest
                .as_ref()
                .is_none_or(|(_, p)| places.len() < p.len())
            {
                tightest = Some((class, places));
            }
        }
        match is_open {
            true => ordered,
            false => tightest.into_iter().collect(),
        }
    }

    /// Whether the class can get a place once others of its group have theirs.
    fn may_wait(&self, class: usize) -> bool {
        let (class, _, _) = self.wanted[class];
        let mut sites = self.sites.iter();
        sites.any(|site| self.board.may_admit(self.problem, class, *site))
    }

    /// The sites that admit the class, one of each that are alike.
    fn places(&self, class: usize) -> Vec<usize> {
        let classes = self.wanted.len();
        let usage = |at: usize| &self.usage[at * classes..(at + 1) * classes];
        let mut places: Vec<usize> = Vec::new();
        for at in 0..self.sites.len() {
            let is_like =
                |other: &usize| self.kinds[*other] == self.kinds[at] && usage(*other) == usage(at);
            let (class, _, _) = self.wanted[class];
            if self.board.admits(self.problem, class, self.sites[at]) && !places.iter().any(is_like)
            {
                places.push(at);
            }
        }
        places
    }

    fn put(&mut self, class: usize, at: usize) {
        let (number, _, _) = self.wanted[class];
        self.board.put(self.problem, number, self.sites[at]);
        self.usage[at * self.wanted.len() + class] += 1;
        self.placed[class] += 1;
        self.steps.push((number, self.sites[at]));
    }

    fn take_back(&mut self, class: usize, at: usize) {
        let (number, _, _) = self.wanted[class];
        self.board.take_back(self.problem, number, self.sites[at]);
        self.usage[at * self.wanted.len() + class] -= 1;
        self.placed[class] -= 1;
        self.steps.pop();
    }

    /// What the future depends on: how many of what are where, and the first of
    /// each group.
    fn key(&self) -> (Vec<u16>, Vec<Option<Value>>) {
        let classes = self.wanted.iter().map(|(class, _, _)| *class);
        let tallies = classes.flat_map(|class| &self.problem.classes[class].counted_in);
        let heads = tallies.map(|tally| self.board.tally(*tally).head());
        (self.usage.clone(), heads.collect())
    }
}
