//! The sites in the order of preference, in buckets of which whole ones can be
//! passed over.

use std::collections::BTreeSet;
use std::collections::btree_set;
use std::iter::Peekable;

use super::board::Board;
use super::fitness::Preference;
use super::problem::{Problem, Shape, Taking};

/// The share of an agent on which everything is free.
const WHOLE: u32 = 1 << 16;
/// A level for each eighth of a power of two: where little is free, levels are
/// narrow, and what is wanted is more or less than all that they have.
const LEVELS: usize = 113;

/// Sites by rank: the lowest is the best.
#[derive(Debug)]
pub(super) struct Index {
    /// By level and, within it, by the scalar that is scarcest.
    buckets: Vec<Bucket>,
    kinds: usize,
    ranks: Vec<u32>,
    /// The bucket of each site.
    places: Vec<usize>,
    /// The most that any site offers of each scalar that makes a site full;
    /// zero for the others.
    largest: Vec<i64>,
    packs: bool,
}

#[derive(Debug, Clone)]
struct Bucket {
    sites: BTreeSet<(u32, usize)>,
    /// No site here has more free of a scalar.
    bounds: Vec<i64>,
}

/// A bucket that is looked through, and the bounds as seen so far.
struct Looked<'a> {
    bucket: usize,
    sites: Peekable<btree_set::Iter<'a, (u32, usize)>>,
    bounds: Vec<i64>,
}

impl Index {
    pub(super) fn new(problem: &Problem, board: &Board, preference: &Preference) -> Self {
        let kinds = problem.names.len().max(1);
        let bucket = Bucket {
            sites: BTreeSet::new(),
            bounds: vec![0; problem.names.len()],
        };
        let mut index = Self {
            buckets: vec![bucket; LEVELS * kinds],
            kinds,
            ranks: vec![0; problem.sites.len()],
            places: vec![0; problem.sites.len()],
            largest: largest(problem),
            packs: matches!(preference, Preference::Pack),
        };
        for site in 0..problem.sites.len() {
            index.insert(board, site);
        }
        index
    }

    /// How good the site is: the lower the better.
    pub(super) fn rank(&self, site: usize) -> u32 {
        self.ranks[site]
    }

    /// Puts the site where it belongs after something was placed there.
    pub(super) fn update(&mut self, board: &Board, site: usize) {
        let key = (self.ranks[site], site);
        self.buckets[self.places[site]].sites.remove(&key);
        self.insert(board, site);
    }

    fn insert(&mut self, board: &Board, site: usize) {
        let free = board.free(site);
        let (share, scarcest) = scarcest(&self.largest, free);
        let rank = if self.packs { share } else { WHOLE - share };
        let place = level(share) * self.kinds + scarcest;
        self.ranks[site] = rank;
        self.places[site] = place;
        let bucket = &mut self.buckets[place];
        bucket.sites.insert((rank, site));
        widen(&mut bucket.bounds, free);
    }

    /// Looks at sites that may have room, the best first, until `look` says that
    /// it has seen enough.
    pub(super) fn walk(
        &mut self,
        board: &Board,
        shape: &Shape,
        mut look: impl FnMut(usize) -> bool,
    ) {
        for step in 0..LEVELS {
            let level = if self.packs { step } else { LEVELS - 1 - step };
            if self.walk_level(board, shape, level, &mut look) {
                return;
            }
        }
    }

    fn walk_level(
        &mut self,
        board: &Board,
        shape: &Shape,
        level: usize,
        look: &mut impl FnMut(usize) -> bool,
    ) -> bool {
        let first = level * self.kinds;
        let mut open: Vec<Looked<'_>> = Vec::new();
        for (offset, bucket) in self.buckets[first..first + self.kinds].iter().enumerate() {
            if !bucket.sites.is_empty() && has(shape, &bucket.bounds) {
                open.push(Looked {
                    bucket: first + offset,
                    sites: bucket.sites.iter().peekable(),
                    bounds: vec![0; bucket.bounds.len()],
                });
            }
        }
        loop {
            let heads = open.iter_mut().enumerate();
            let heads = heads.filter_map(|(n, looked)| Some((**looked.sites.peek()?, n)));
            let Some(((_, site), next)) = heads.min() else {
                break;
            };
            let looked = &mut open[next];
            looked.sites.next();
            let free = board.free(site);
            widen(&mut looked.bounds, free);
            if has(shape, free) && look(site) {
                return true;
            }
        }
        let seen = open
            .into_iter()
            .map(|looked| (looked.bucket, looked.bounds));
        let seen: Vec<_> = seen.collect();
        for (bucket, bounds) in seen {
            self.buckets[bucket].bounds = bounds;
        }
        false
    }
}

fn has(shape: &Shape, free: &[i64]) -> bool {
    shape.is_labelled()
        || shape
            .scalars
            .iter()
            .all(|(name, amount, taking)| *taking == Taking::Revocable || free[*name] >= *amount)
}

fn widen(bounds: &mut [i64], free: &[i64]) {
    for (bound, free) in bounds.iter_mut().zip(free) {
        *bound = (*bound).max(*free);
    }
}

/// Only what nearly every task needs makes a site full; an agent without GPUs
/// is not full because of that.
fn largest(problem: &Problem) -> Vec<i64> {
    let most = |number: usize| {
        let sites = problem.sites.iter();
        sites.map(|site| site.amounts[number].plain()).max()
    };
    let names = problem.names.iter().enumerate();
    names
        .map(|(number, name)| match name.as_str() {
            "cpus" | "mem" | "disk" => most(number).unwrap_or(0),
            _ => 0,
        })
        .collect()
}

/// How little is free of what is scarcest, against the largest site, and what
/// that is.
fn scarcest(largest: &[i64], free: &[i64]) -> (u32, usize) {
    let whole = i64::from(WHOLE);
    let shares = largest.iter().zip(free).enumerate();
    let shares = shares.filter(|(_, (largest, _))| **largest > 0);
    let shares = shares.map(|(name, (largest, free))| {
        let share = match free.checked_mul(whole) {
            Some(product) => product / largest,
            None => free / (largest / whole).max(1),
        };
        (u32::try_from(share.clamp(0, whole)).unwrap_or(WHOLE), name)
    });
    shares.min().unwrap_or((WHOLE, 0))
}

fn level(share: u32) -> usize {
    if share < 8 {
        return share as usize;
    }
    let power = 31 - share.leading_zeros();
    let eighth = (share >> (power - 3)) & 7;
    (8 + (power - 3) * 8 + eighth) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_shares() {
        assert_eq!((level(0), level(7), level(8)), (0, 7, 8));
        assert_eq!(level(WHOLE), LEVELS - 1);
        let levels: Vec<usize> = (0..=WHOLE).map(level).collect();
        assert!(levels.is_sorted());
    }

    #[test]
    fn the_scarcest_is_measured_against_the_largest_site() {
        assert_eq!(scarcest(&[8000, 1000], &[2000, 500]), (WHOLE / 4, 0));
        assert_eq!(scarcest(&[8000, 0], &[8000, 0]), (WHOLE, 0));
        assert_eq!(scarcest(&[], &[]), (WHOLE, 0));
        assert_eq!(scarcest(&[i64::MAX], &[i64::MAX]), (WHOLE, 0));
    }
}
