//! The sites in the order of preference, in buckets of which whole ones can be
//! passed over.

use std::collections::BTreeSet;

use super::board::Board;
use super::fitness::Preference;
use super::problem::{Problem, Shape, Taking};

/// How full a site can be, at most.
const FULL: u32 = 1 << 16;
/// How many bits of a rank tell the bucket.
const IN_BUCKET: u32 = 8;

/// Sites by rank: the lowest is the best.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Vec<Bucket>,
    ranks: Vec<u32>,
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

impl Index {
    pub(super) fn new(problem: &Problem, board: &Board, preference: &Preference) -> Self {
        let names = problem.names.len();
        let bucket = Bucket {
            sites: BTreeSet::new(),
            bounds: vec![0; names],
        };
        let mut index = Self {
            buckets: vec![bucket; (FULL >> IN_BUCKET) as usize + 1],
            ranks: vec![0; problem.sites.len()],
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
        let rank = self.ranks[site];
        let bucket = &mut self.buckets[(rank >> IN_BUCKET) as usize];
        bucket.sites.remove(&(rank, site));
        self.insert(board, site);
    }

    fn insert(&mut self, board: &Board, site: usize) {
        let free = board.free(site);
        let full = fullness(&self.largest, free);
        let rank = if self.packs { FULL - full } else { full };
        self.ranks[site] = rank;
        let bucket = &mut self.buckets[(rank >> IN_BUCKET) as usize];
        bucket.sites.insert((rank, site));
        for (bound, free) in bucket.bounds.iter_mut().zip(free) {
            *bound = (*bound).max(*free);
        }
    }

    /// Looks at sites that may have room, the best first, until `look` says that
    /// it has seen enough.
    pub(super) fn walk(
        &mut self,
        board: &Board,
        shape: &Shape,
        mut look: impl FnMut(usize) -> bool,
    ) {
        let needs = |free: &[i64]| {
            shape.scalars.iter().all(|(name, amount, taking)| {
                *taking == Taking::Revocable || free[*name] >= *amount
            })
        };
        for bucket in &mut self.buckets {
            if bucket.sites.is_empty() || !needs(&bucket.bounds) {
                continue;
            }
            let mut bounds = vec![0; bucket.bounds.len()];
            for (_, site) in &bucket.sites {
                let free = board.free(*site);
                for (bound, free) in bounds.iter_mut().zip(free) {
                    *bound = (*bound).max(*free);
                }
                if needs(free) && look(*site) {
                    return;
                }
            }
            bucket.bounds = bounds;
        }
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

/// How little is free of what is scarcest, against the largest site.
fn fullness(largest: &[i64], free: &[i64]) -> u32 {
    let full = i64::from(FULL);
    let shares = largest
        .iter()
        .zip(free)
        .filter(|(largest, _)| **largest > 0);
    let shares = shares.map(|(largest, free)| {
        let share = i128::from(*free) * i128::from(full) / i128::from(*largest);
        u32::try_from(share.clamp(0, i128::from(full))).unwrap_or(FULL)
    });
    FULL - shares.min().unwrap_or(FULL)
}
