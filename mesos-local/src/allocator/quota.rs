//! Quotas: what a role is guaranteed and what it may have at most
//! (`docs/quota.md`; `src/master/allocator/mesos/hierarchical.cpp`).
//!
//! A role is charged for everything that is reserved for it or for a role
//! below it, and for what it holds besides that is neither reserved nor
//! revocable. Only roles of the top level have quotas.

use std::collections::BTreeMap;
use std::fmt;

use mesos_sdk::resources::{Resources, Scalar, allocation_role, is_unreserved, reservation_role};
use mesos_sdk::v1;

use super::Allocator;

/// Amounts by name of the resource; none of them is zero unless it is a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantities(BTreeMap<String, Scalar>);

impl Quantities {
    /// The amounts of a message.
    #[must_use]
    pub fn from_scalars<'a>(
        scalars: impl IntoIterator<Item = (&'a String, &'a v1::value::Scalar)>,
    ) -> Self {
        let amount = |(name, scalar): (&String, &v1::value::Scalar)| {
            (name.clone(), Scalar::from_f64(scalar.value))
        };
        Self(scalars.into_iter().map(amount).collect())
    }

    /// The sums of scalars; ranges and sets do not count.
    #[must_use]
    pub fn of_scalars(resources: &Resources) -> Self {
        Self(resources.filter(|item| item.scalar.is_some()).quantities())
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|amount| amount.is_zero())
    }

    /// How much there is of a resource.
    #[must_use]
    pub fn of(&self, name: &str) -> Scalar {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The amounts by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Scalar)> {
        self.0.iter()
    }

    /// Adds to each amount.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            *self.0.entry(name.clone()).or_default() += *amount;
        }
    }

    /// Takes away as far as there is something.
    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in &mut self.0 {
            *amount = (*amount - other.of(name)).max(Scalar::ZERO);
        }
        self.0.retain(|_, amount| !amount.is_zero());
    }

    /// Whether there is at least as much of everything.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|(name, amount)| *amount <= self.of(name))
    }

    /// Whether nothing is above these limits; what has none is unlimited.
    #[must_use]
    pub fn permit(&self, held: &Self) -> bool {
        self.0.iter().all(|(name, limit)| held.of(name) <= *limit)
    }
}

impl fmt::Display for Quantities {
    /// `cpus:4; mem:32`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("{}");
        }
        for (index, (name, amount)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{name}:{amount}")?;
        }
        Ok(())
    }
}

/// The quota of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// Held back for the role until it has it.
    pub guarantees: Quantities,
    /// Never exceeded by offers; what is not named is not limited.
    pub limits: Quantities,
}

impl Quota {
    /// The quota of a message.
    #[must_use]
    pub fn new(config: &v1::quota::QuotaConfig) -> Self {
        let mut guarantees = Quantities::from_scalars(&config.guarantees);
        guarantees.0.retain(|_, amount| !amount.is_zero());
        Self {
            guarantees,
            limits: Quantities::from_scalars(&config.limits),
        }
    }
}

impl Allocator {
    /// The quotas that were set, by role.
    #[must_use]
    pub fn quotas(&self) -> &BTreeMap<String, Quota> {
        &self.quotas
    }

    /// Gives a role a quota; one that says nothing takes it away.
    pub fn set_quota(&mut self, role: &str, quota: Quota) {
        self.news.of_all = true;
        if quota == Quota::default() {
            self.quotas.remove(role);
        } else {
            self.quotas.insert(role.to_owned(), quota);
        }
    }

    /// Opens the books of one run, when there are quotas to keep.
    pub(super) fn books(&self) -> Option<Books> {
        if self.quotas.is_empty() {
            return None;
        }
        let mut books = Books::default();
        for agent in self.agents.values() {
            for item in agent.total.iter().filter(|item| item.scalar.is_some()) {
                if let Some(role) = reservation_role(item) {
                    books.charge(role, &one(item));
                }
            }
            for item in agent.allocated.iter().filter(|item| counts(item)) {
                books.charge(allocation_role(item).unwrap_or("*"), &one(item));
            }
            let free = agent.total.clone() - agent.allocated.unallocate();
            books
                .available
                .add(&Quantities::of_scalars(&free.filter(counts)));
        }
        for (role, quota) in &self.quotas {
            let mut missing = quota.guarantees.clone();
            missing.subtract(&books.consumed(role));
            books.required.add(&missing);
        }
        Some(books)
    }
}

/// What quotas are about: neither reserved nor revocable, and a number.
pub(super) fn counts(item: &v1::Resource) -> bool {
    is_unreserved(item) && item.revocable.is_none() && item.scalar.is_some()
}

fn one(item: &v1::Resource) -> Quantities {
    Quantities::of_scalars(&Resources::from(vec![item.clone()]))
}

/// The role of the top level, which has the quota.
pub(super) fn top(role: &str) -> &str {
    role.split_once('/').map_or(role, |(top, _)| top)
}

/// What is consumed and what must be held back, while a run goes on.
#[derive(Debug, Default)]
pub(super) struct Books {
    consumed: BTreeMap<String, Quantities>,
    /// What roles lack to have what they are guaranteed.
    required: Quantities,
    /// What is free and could be given to them.
    available: Quantities,
}

impl Books {
    pub(super) fn consumed(&self, role: &str) -> Quantities {
        self.consumed.get(role).cloned().unwrap_or_default()
    }

    fn charge(&mut self, role: &str, quantities: &Quantities) {
        let consumed = self.consumed.entry(top(role).to_owned()).or_default();
        consumed.add(quantities);
    }

    /// What a role lacks of its guarantees.
    pub(super) fn missing(&self, role: &str, quota: &Quota) -> Quantities {
        let mut missing = quota.guarantees.clone();
        missing.subtract(&self.consumed(role));
        missing
    }

    /// Notes that a role is given something free, of which a part was held back
    /// for it.
    pub(super) fn give(&mut self, role: &str, given: &Quantities, guaranteed: &Quantities) {
        self.charge(role, given);
        self.required.subtract(guaranteed);
        self.available.subtract(given);
    }

    /// As much as the role may still have, of `free` that `also` comes on top
    /// of, with enough left for the guarantees of others.
    pub(super) fn permitted(
        &self,
        role: &str,
        quota: Option<&Quota>,
        free: Resources,
        also: &Quantities,
    ) -> Resources {
        let mut permitted = free;
        if let Some(quota) = quota {
            let mut held = self.consumed(top(role));
            held.add(also);
            permitted = shrink(&permitted, |name| {
                let limit = quota.limits.0.get(name)?;
                Some((*limit - held.of(name)).max(Scalar::ZERO))
            });
        }
        if !self.required.is_empty() {
            permitted = shrink(&permitted, |name| {
                let surplus = self.available.of(name) - self.required.of(name);
                Some(surplus.max(Scalar::ZERO))
            });
        }
        permitted
    }
}

/// No more of each scalar than `most` says, when it says something.
pub(super) fn shrink(resources: &Resources, most: impl Fn(&str) -> Option<Scalar>) -> Resources {
    let mut left: BTreeMap<String, Scalar> = BTreeMap::new();
    let mut kept = Resources::new();
    for item in resources {
        let Some(most) = most(&item.name) else {
            kept.push(item.clone());
            continue;
        };
        let left = left.entry(item.name.clone()).or_insert(most);
        let amount = Scalar::from_f64(item.scalar.map_or(0.0, |scalar| scalar.value)).min(*left);
        *left -= amount;
        let mut item = item.clone();
        item.scalar = Some(v1::value::Scalar {
            value: amount.as_f64(),
        });
        kept.push(item);
    }
    kept
}
