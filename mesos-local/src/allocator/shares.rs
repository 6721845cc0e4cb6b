//! Who is next: dominant shares over weights, along the tree of roles, then by
//! how often somebody was given something, then by name
//! (`src/master/allocator/mesos/sorter/drf`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::resources::{Resources, Scalar, quantity};

use super::{Allocator, entry};

/// The order in which roles are served, and frameworks in them: the most
/// entitled first. It is made when a run begins and follows what the run gives,
/// so that serving many agents does not mean to sort for each of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Order {
    roles: BTreeSet<(Path, u64, String)>,
    /// Where each role stands.
    places: BTreeMap<String, (Path, u64)>,
    /// What is held in each role and below it.
    held: BTreeMap<String, BTreeMap<String, Scalar>>,
    /// By role.
    frameworks: BTreeMap<String, BTreeSet<(Share, u64, String)>>,
}

/// The largest fraction of any resource of the cluster, over the weight.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share(f64);

/// The shares of the roles from the root down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path(Vec<Share>);

impl Eq for Share {}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl Order {
    /// Roles in which somebody wants offers.
    pub(super) fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|(_, _, role)| role.as_str())
    }

    /// Frameworks that want offers in the role.
    pub(super) fn frameworks(&self, role: &str) -> impl Iterator<Item = &str> {
        let frameworks = self.frameworks.get(role).into_iter().flatten();
        frameworks.map(|(_, _, framework)| framework.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    /// A framework was given something in a role.
    pub(super) fn gave(
        &mut self,
        allocator: &Allocator,
        framework: &str,
        role: &str,
        given: &Resources,
    ) {
        for part in parts(role) {
            let held = entry(&mut self.held, part);
            for item in given {
                *entry(held, &item.name) += quantity(item);
            }
        }
        if let Some(frameworks) = self.frameworks.get_mut(role) {
            frameworks.retain(|(_, _, known)| known != framework);
            frameworks.insert(allocator.place_of(framework, role));
        }
        if let Some((path, count)) = self.places.get_mut(role) {
            let old = (path.clone(), *count, role.to_owned());
            *count += 1;
            let new = (path.clone(), *count, role.to_owned());
            self.roles.remove(&old);
            self.roles.insert(new);
        }
        let top = super::quota::top(role).to_owned();
        let family: Vec<String> = self
            .places
            .range(top.clone()..)
            .map(|(role, _)| role)
            .take_while(|role| role.starts_with(&top))
            .filter(|role| super::quota::top(role) == top)
            .cloned()
            .collect();
        for role in family {
            self.move_role(allocator, &role);
        }
    }

    /// Puts a role where its share says.
    fn move_role(&mut self, allocator: &Allocator, role: &str) {
        let new = self.path(allocator, role);
        if let Some((path, count)) = self.places.get_mut(role)
            && *path != new
        {
            let old = std::mem::replace(path, new.clone());
            self.roles.remove(&(old, *count, role.to_owned()));
            self.roles.insert((new, *count, role.to_owned()));
        }
    }

    /// The share over weight of each role on the path from the root.
    fn path(&self, allocator: &Allocator, role: &str) -> Path {
        let share = |part: &str| {
            let share = self
                .held
                .get(part)
                .map_or(0.0, |held| allocator.share(held));
            Share(share / allocator.weight(part))
        };
        Path(parts(role).map(share).collect())
    }
}

/// A role and those above it, from the root down.
fn parts(role: &str) -> impl Iterator<Item = &str> {
    let above = role.match_indices('/').map(|(at, _)| &role[..at]);
    above.chain([role])
}

impl Allocator {
    /// The order as things stand.
    pub(super) fn order(&self) -> Order {
        let mut order = Order::default();
        for framework in self.frameworks.values() {
            for (role, held) in &framework.allocated {
                for part in parts(role) {
                    let sum = entry(&mut order.held, part);
                    for (name, amount) in held {
                        *entry(sum, name) += *amount;
                    }
                }
            }
        }
        for (framework, role) in self.wanting() {
            let place = self.place_of(framework, role);
            entry(&mut order.frameworks, role).insert(place);
        }
        let wanted: Vec<String> = order.frameworks.keys().cloned().collect();
        for role in wanted {
            let path = order.path(self, &role);
            let count = self.role_count(&role);
            order.places.insert(role.clone(), (path.clone(), count));
            order.roles.insert((path, count, role));
        }
        order
    }

    /// Where a framework stands among those of a role.
    fn place_of(&self, key: &str, role: &str) -> (Share, u64, String) {
        let framework = self.frameworks.get(key);
        let held = framework.and_then(|framework| framework.allocated.get(role));
        let count = framework.and_then(|framework| framework.count.get(role));
        (
            Share(held.map_or(0.0, |held| self.share(held))),
            count.copied().unwrap_or(0),
            key.to_owned(),
        )
    }

    fn role_count(&self, role: &str) -> u64 {
        self.frameworks
            .values()
            .filter_map(|framework| framework.count.get(role))
            .sum()
    }

    /// The largest fraction of any resource of the cluster. Ports do not count,
    /// as only scalars do in Mesos.
    fn share(&self, held: &BTreeMap<String, Scalar>) -> f64 {
        held.iter()
            .filter(|(name, _)| *name != "ports")
            .filter_map(|(name, amount)| {
                let total = self
                    .total
                    .get(name)
                    .filter(|total| **total > Scalar::ZERO)?;
                Some(amount.as_f64() / total.as_f64())
            })
            .fold(0.0, f64::max)
    }
}
