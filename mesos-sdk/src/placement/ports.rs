//! Host ports of one site: which are taken, and whether what else is wanted can
//! be had together.

use super::problem::{Shape, Taking};
use super::supply::Site;
use crate::resources::Ranges;

/// A wish for a port that may be one of several.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) taking: Taking,
    /// Where to begin to look, counted in ports that would do.
    pub(super) start: u64,
}

/// What has been promised of a site's ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct PortUse {
    fixed: Vec<u16>,
    fixed_reserved: u64,
    /// Ports that may be any: from anywhere, reserved, unreserved.
    any: [u64; 3],
    ranged: Vec<(u16, u16, Taking)>,
}

fn index(taking: Taking) -> usize {
    match taking {
        Taking::Any => 0,
        Taking::Reserved => 1,
        // There are no revocable ports; nothing asks for them.
        Taking::Unreserved | Taking::Revocable => 2,
    }
}

fn takes_reserved(taking: Taking) -> bool {
    matches!(taking, Taking::Any | Taking::Reserved)
}

fn takes_unreserved(taking: Taking) -> bool {
    matches!(taking, Taking::Any | Taking::Unreserved)
}

impl PortUse {
    /// Whether one more instance of the shape finds its ports.
    pub(super) fn admits(&self, site: &Site, shape: &Shape) -> bool {
        if shape.fixed_ports.is_empty() && shape.ranged_ports.is_empty() && self.ranged.is_empty() {
            let mut any = self.any;
            any[index(shape.taking)] += u64::from(shape.any_ports);
            return self.has_room(site, any);
        }
        let mut with = self.clone();
        with.put(site, shape) && with.is_possible(site)
    }

    /// Promises ports to an instance; whether the fixed ones were there.
    pub(super) fn put(&mut self, site: &Site, shape: &Shape) -> bool {
        for port in &shape.fixed_ports {
            if self.fixed.contains(port) {
                return false;
            }
            let is_reserved = site.reserved_ports.contains_value(u64::from(*port));
            let is_there = is_reserved || site.unreserved_ports.contains_value(u64::from(*port));
            let is_accepted = match is_reserved {
                true => takes_reserved(shape.taking),
                false => takes_unreserved(shape.taking),
            };
            if !is_there || !is_accepted {
                return false;
            }
            self.fixed.push(*port);
            self.fixed_reserved += u64::from(is_reserved);
        }
        self.any[index(shape.taking)] += u64::from(shape.any_ports);
        let ranged = shape.ranged_ports.iter();
        self.ranged
            .extend(ranged.map(|(first, last)| (*first, *last, shape.taking)));
        true
    }

    /// Takes the last promise back.
    pub(super) fn take_back(&mut self, site: &Site, shape: &Shape) {
        for port in &shape.fixed_ports {
            self.fixed.retain(|taken| taken != port);
            let is_reserved = site.reserved_ports.contains_value(u64::from(*port));
            self.fixed_reserved -= u64::from(is_reserved);
        }
        self.any[index(shape.taking)] -= u64::from(shape.any_ports);
        let left = self.ranged.len() - shape.ranged_ports.len();
        self.ranged.truncate(left);
    }

    /// Which of the shape's fixed ports it cannot have.
    pub(super) fn missing(&self, site: &Site, shape: &Shape) -> Vec<u16> {
        let fixed = shape.fixed_ports.iter().copied();
        let missing = fixed.filter(|port| {
            let number = u64::from(*port);
            let has_reserved = site.reserved_ports.contains_value(number);
            let has_unreserved = site.unreserved_ports.contains_value(number);
            let is_there = has_reserved && takes_reserved(shape.taking)
                || has_unreserved && takes_unreserved(shape.taking);
            !is_there || self.fixed.contains(port)
        });
        missing.collect()
    }

    /// How many ports are neither taken nor promised.
    pub(super) fn left(&self, site: &Site) -> u64 {
        let promised = self.fixed.len() as u64 + self.any.iter().sum::<u64>();
        let promised = promised + self.ranged.len() as u64;
        let all = site.reserved_ports.len() + site.unreserved_ports.len();
        all.saturating_sub(promised)
    }

    fn has_room(&self, site: &Site, [any, reserved, unreserved]: [u64; 3]) -> bool {
        let free_reserved = site.reserved_ports.len() - self.fixed_reserved;
        let fixed_unreserved = self.fixed.len() as u64 - self.fixed_reserved;
        let free_unreserved = site.unreserved_ports.len() - fixed_unreserved;
        reserved <= free_reserved
            && unreserved <= free_unreserved
            && any + reserved + unreserved <= free_reserved + free_unreserved
    }

    fn is_possible(&self, site: &Site) -> bool {
        if self.ranged.is_empty() {
            return self.has_room(site, self.any);
        }
        let ranged = self.ranged.iter().map(|(first, last, taking)| Wish {
            first: *first,
            last: *last,
            taking: *taking,
            start: 0,
        });
        let kinds = [Taking::Any, Taking::Reserved, Taking::Unreserved];
        let any = kinds.into_iter().flat_map(|taking| {
            let count = usize::try_from(self.any[index(taking)]).unwrap_or(usize::MAX);
            let wish = Wish {
                first: 1,
                last: u16::MAX,
                taking,
                start: 0,
            };
            std::iter::repeat_n(wish, count)
        });
        let wishes: Vec<Wish> = ranged.chain(any).collect();
        choose(site, &self.fixed, &wishes).is_some()
    }
}

/// A different port for each wish, none of them taken; `None` when there is no
/// such choice. Where a wish may have reserved and unreserved ports it gets a
/// reserved one, if that leaves enough for the others.
pub(super) fn choose(site: &Site, taken: &[u16], wishes: &[Wish]) -> Option<Vec<u16>> {
    let mut reserved = site.reserved_ports.clone();
    let mut unreserved = site.unreserved_ports.clone();
    for port in taken {
        reserved.remove(u64::from(*port), u64::from(*port));
        unreserved.remove(u64::from(*port), u64::from(*port));
    }
    // More candidates than wishes are not needed: one of them is free.
    let most = wishes.len();
    let candidates = wishes.iter().map(|wish| {
        let within = Ranges::from_iter([(u64::from(wish.first), u64::from(wish.last))]);
        let mut candidates = Vec::new();
        if takes_reserved(wish.taking) {
            pick(
                &reserved.intersect(&within),
                wish.start,
                most,
                &mut candidates,
            );
        }
        if takes_unreserved(wish.taking) {
            pick(
                &unreserved.intersect(&within),
                wish.start,
                most,
                &mut candidates,
            );
        }
        candidates
    });
    Matching::new(candidates.collect()).solve()
}

/// Adds ports, from the one with the number `start` on and around, until there
/// are `most`.
fn pick(ports: &Ranges, start: u64, most: usize, into: &mut Vec<u16>) {
    let count = ports.len();
    if count == 0 {
        return;
    }
    let start = start % count;
    let mut before = 0;
    let mut wrapped = Vec::new();
    for (first, last) in ports.iter() {
        let size = last - first + 1;
        let skip = start.saturating_sub(before).min(size);
        wrapped.push((first, first + skip));
        before += size;
        for port in first + skip..=last {
            if into.len() >= most {
                return;
            }
            into.extend(u16::try_from(port));
        }
    }
    let wrapped = wrapped.into_iter().flat_map(|(first, end)| first..end);
    for port in wrapped {
        if into.len() >= most {
            return;
        }
        into.extend(u16::try_from(port));
    }
}

/// Gives each wish a port of its own, by augmenting paths.
struct Matching {
    candidates: Vec<Vec<u16>>,
    owners: std::collections::BTreeMap<u16, usize>,
}

impl Matching {
    fn new(candidates: Vec<Vec<u16>>) -> Self {
        Self {
            candidates,
            owners: std::collections::BTreeMap::new(),
        }
    }

    fn solve(mut self) -> Option<Vec<u16>> {
        for wish in 0..self.candidates.len() {
            let mut seen = Vec::new();
            if !self.assign(wish, &mut seen) {
                return None;
            }
        }
        let mut chosen = vec![0; self.candidates.len()];
        for (port, wish) in self.owners {
            chosen[wish] = port;
        }
        Some(chosen)
    }

    fn assign(&mut self, wish: usize, seen: &mut Vec<u16>) -> bool {
        let mut free = self.candidates[wish].iter();
        if let Some(port) = free.find(|port| !self.owners.contains_key(port)) {
            self.owners.insert(*port, wish);
            return true;
        }
        for index in 0..self.candidates[wish].len() {
            let port = self.candidates[wish][index];
            if seen.contains(&port) {
                continue;
            }
            seen.push(port);
            let owner = self.owners[&port];
            if self.assign(owner, seen) {
                self.owners.insert(port, wish);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_picked_from_a_start_and_around() {
        let ports = Ranges::from_iter([(10, 12), (20, 21)]);
        let picked = |start, most| {
            let mut into = Vec::new();
            pick(&ports, start, most, &mut into);
            into
        };
        assert_eq!(picked(0, 9), [10, 11, 12, 20, 21]);
        assert_eq!(picked(2, 9), [12, 20, 21, 10, 11]);
        assert_eq!(picked(4, 2), [21, 10]);
        assert_eq!(picked(8, 1), [20]);
    }

    #[test]
    fn a_wish_makes_way_for_one_that_has_no_other() {
        let matching = |candidates: &[&[u16]]| {
            let candidates = candidates.iter().map(|ports| ports.to_vec());
            Matching::new(candidates.collect()).solve()
        };
        assert_eq!(matching(&[&[1, 2], &[1]]), Some(vec![2, 1]));
        assert_eq!(matching(&[&[1, 2], &[2, 3], &[1], &[2]]), None);
        assert_eq!(matching(&[]), Some(vec![]));
    }
}
