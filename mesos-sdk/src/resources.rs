//! Arithmetic of resources, exact to the thousandth as Mesos does it.
//!
//! [`Resources`] is a bag of [`v1::Resource`] in canonical form: what can be
//! added is added, nothing is zero, and reservations are written as a stack
//! (the form that frameworks with `RESERVATION_REFINEMENT` see). Text forms are
//! in `parse` and `display`, checks of what comes from outside in `validate`.

mod display;
mod parse;
mod ranges;
mod reservations;
mod scalar;
mod validate;

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use mesos_proto::v1;

pub use parse::{ParseError, parse_value};
pub use ranges::Ranges;
pub use reservations::{
    dynamic_reservation, is_reserved, is_unreserved, persistent_volume, refine, reservation_role,
};
pub use scalar::Scalar;
pub use validate::InvalidResource;

/// A bag of resources in canonical form.
///
/// The order of first appearance is kept, because Mesos keeps it: an offer
/// lists resources in the order the agent declared them.
///
/// ```
/// use mesos_sdk::resources::Resources;
///
/// let offered = Resources::parse("cpus:4;mem:1024;ports:[31000-31005]", "*")?;
/// let wanted = Resources::parse("cpus:0.5;mem:128;ports:[31002-31002]", "*")?;
/// assert!(offered.contains(&wanted));
/// let left = offered - wanted;
/// assert_eq!(left.to_string(), "cpus:3.5; mem:896; ports:[31000-31001, 31003-31005]");
/// # Ok::<(), mesos_sdk::resources::ParseError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Resources {
    items: Vec<v1::Resource>,
}

impl Resources {
    /// No resources.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing in the bag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many different resources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The resources, each in post-refinement form.
    pub fn iter(&self) -> std::slice::Iter<'_, v1::Resource> {
        self.items.iter()
    }

    /// The resources as messages carry them.
    #[must_use]
    pub fn into_vec(self) -> Vec<v1::Resource> {
        self.items
    }

    /// The resources as messages carry them, copied.
    #[must_use]
    pub fn to_vec(&self) -> Vec<v1::Resource> {
        self.items.clone()
    }

    /// Whether `other` can be subtracted without anything missing.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match other.items.as_slice() {
            [] => true,
            [one] => self.items.iter().any(|item| item_contains(item, one)),
            _ => self.checked_sub(other).is_some(),
        }
    }

    /// `self - other`, or `None` when `other` is not contained.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        let mut left = self.clone();
        for item in &other.items {
            let at = left.items.iter().position(|i| item_contains(i, item))?;
            left.subtract_at(at, item);
        }
        Some(left)
    }

    /// Adds one resource, in either format; an empty one is ignored.
    pub fn push(&mut self, mut resource: v1::Resource) {
        refine(&mut resource);
        if is_empty_item(&resource) {
            return;
        }
        match self.items.iter_mut().find(|i| is_addable(i, &resource)) {
            Some(item) => add_value(item, &resource),
            None => {
                normalise_value(&mut resource);
                self.items.push(resource);
            }
        }
    }

    /// Takes one resource away as far as it is there.
    pub fn remove(&mut self, resource: &v1::Resource) {
        let exact = self.items.iter().position(|i| item_contains(i, resource));
        let at = exact.or_else(|| self.items.iter().position(|i| is_subtractable(i, resource)));
        if let Some(at) = at {
            self.subtract_at(at, resource);
        }
    }

    fn subtract_at(&mut self, at: usize, resource: &v1::Resource) {
        let item = &mut self.items[at];
        if item.shared.is_some() || is_exclusive(item) {
            self.items.remove(at);
            return;
        }
        subtract_value(item, resource);
        if is_empty_item(item) {
            self.items.remove(at);
        }
    }

    /// The sum of a scalar over all roles, reservations and disks; `None` when
    /// there is no such scalar.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Option<Scalar> {
        let mut values = self
            .items
            .iter()
            .filter(|item| item.name == name)
            .filter_map(|item| item.scalar.as_ref())
            .map(|scalar| Scalar::from_f64(scalar.value))
            .peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// Processors.
    #[must_use]
    pub fn cpus(&self) -> Scalar {
        self.scalar("cpus").unwrap_or_default()
    }

    /// Memory in MiB.
    #[must_use]
    pub fn mem_mib(&self) -> Scalar {
        self.scalar("mem").unwrap_or_default()
    }

    /// Disk in MiB.
    #[must_use]
    pub fn disk_mib(&self) -> Scalar {
        self.scalar("disk").unwrap_or_default()
    }

    /// GPUs.
    #[must_use]
    pub fn gpus(&self) -> Scalar {
        self.scalar("gpus").unwrap_or_default()
    }

    /// Host ports, over all roles and reservations.
    #[must_use]
    pub fn ports(&self) -> Ranges {
        self.ranges("ports")
    }

    /// A ranges resource, over all roles and reservations.
    #[must_use]
    pub fn ranges(&self, name: &str) -> Ranges {
        let mut all = Ranges::new();
        for item in self.items.iter().filter(|item| item.name == name) {
            if let Some(ranges) = &item.ranges {
                all.add(&Ranges::from(ranges));
            }
        }
        all
    }

    /// Scalars summed by name, and the number of values of ranges and sets:
    /// what DRF and quota count.
    #[must_use]
    pub fn quantities(&self) -> BTreeMap<String, Scalar> {
        let mut quantities: BTreeMap<String, Scalar> = BTreeMap::new();
        for item in &self.items {
            *quantities.entry(item.name.clone()).or_default() += quantity(item);
        }
        quantities
    }

    /// The resources for which `keep` holds.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&v1::Resource) -> bool) -> Self {
        Self {
            items: self.items.iter().filter(|i| keep(i)).cloned().collect(),
        }
    }

    fn map(&self, change: impl Fn(&mut v1::Resource)) -> Self {
        let mut changed = self.items.clone();
        changed.iter_mut().for_each(change);
        Self::from(changed)
    }

    /// Marks everything as allocated to `role`
    /// (`Resource.allocation_info.role`).
    #[must_use]
    pub fn allocate(&self, role: &str) -> Self {
        self.map(|item| {
            item.allocation_info = Some(v1::resource::AllocationInfo {
                role: Some(role.to_owned()),
            });
        })
    }

    /// Takes the mark of [`allocate`](Self::allocate) off.
    #[must_use]
    pub fn unallocate(&self) -> Self {
        self.map(|item| item.allocation_info = None)
    }

    /// What is allocated to `role`.
    #[must_use]
    pub fn allocated_to(&self, role: &str) -> Self {
        self.filter(|item| allocation_role(item) == Some(role))
    }
}

/// The role a resource is allocated to, if it is.
#[must_use]
pub fn allocation_role(resource: &v1::Resource) -> Option<&str> {
    resource.allocation_info.as_ref()?.role.as_deref()
}

impl PartialEq for Resources {
    /// Order does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.contains(other) && other.contains(self)
    }
}

impl From<Vec<v1::Resource>> for Resources {
    fn from(resources: Vec<v1::Resource>) -> Self {
        resources.into_iter().collect()
    }
}

impl From<&[v1::Resource]> for Resources {
    fn from(resources: &[v1::Resource]) -> Self {
        resources.iter().cloned().collect()
    }
}

impl From<Resources> for Vec<v1::Resource> {
    fn from(resources: Resources) -> Self {
        resources.items
    }
}

impl FromIterator<v1::Resource> for Resources {
    fn from_iter<T: IntoIterator<Item = v1::Resource>>(resources: T) -> Self {
        let mut all = Self::new();
        all.extend(resources);
        all
    }
}

impl Extend<v1::Resource> for Resources {
    fn extend<T: IntoIterator<Item = v1::Resource>>(&mut self, resources: T) {
        for resource in resources {
            self.push(resource);
        }
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a v1::Resource;
    type IntoIter = std::slice::Iter<'a, v1::Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl IntoIterator for Resources {
    type Item = v1::Resource;
    type IntoIter = std::vec::IntoIter<v1::Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        self.extend(other.items);
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Self) {
        self.extend(other.items.iter().cloned());
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl SubAssign<&Resources> for Resources {
    /// Takes away as much of `other` as is there, as Mesos does.
    fn sub_assign(&mut self, other: &Self) {
        for item in &other.items {
            self.remove(item);
        }
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Self) {
        *self -= &other;
    }
}

impl Sub for Resources {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= &other;
        self
    }
}

impl Sub<&Resources> for Resources {
    type Output = Self;

    fn sub(mut self, other: &Self) -> Self {
        self -= other;
        self
    }
}

/// Same name, type, allocation, reservations, disk, provider, revocability.
fn is_same_kind(left: &v1::Resource, right: &v1::Resource) -> bool {
    left.name == right.name
        && left.r#type == right.r#type
        && left.shared.is_some() == right.shared.is_some()
        && left.revocable.is_some() == right.revocable.is_some()
        && left.allocation_info == right.allocation_info
        && left.reservations == right.reservations
        && left.disk == right.disk
        && left.provider_id == right.provider_id
}

/// Resources that are one thing, whole or not at all: persistent volumes and
/// disks with an identity.
fn is_exclusive(resource: &v1::Resource) -> bool {
    use v1::resource::disk_info::source::Type;
    let Some(disk) = &resource.disk else {
        return false;
    };
    if disk.persistence.is_some() {
        return true;
    }
    disk.source.as_ref().is_some_and(|source| {
        matches!(source.r#type(), Type::Block | Type::Mount)
            || (source.r#type() == Type::Raw && source.id.is_some())
    })
}

fn is_addable(left: &v1::Resource, right: &v1::Resource) -> bool {
    left.shared.is_none() && is_same_kind(left, right) && !is_exclusive(left)
}

fn is_subtractable(left: &v1::Resource, right: &v1::Resource) -> bool {
    if left.shared.is_some() || is_exclusive(left) {
        return left == right;
    }
    is_same_kind(left, right)
}

fn item_contains(left: &v1::Resource, right: &v1::Resource) -> bool {
    if !is_subtractable(left, right) {
        return false;
    }
    match (&left.scalar, &left.ranges, &left.set) {
        (Some(scalar), _, _) => right
            .scalar
            .as_ref()
            .is_some_and(|r| Scalar::from_f64(r.value) <= Scalar::from_f64(scalar.value)),
        (_, Some(ranges), _) => right
            .ranges
            .as_ref()
            .is_some_and(|r| Ranges::from(ranges).contains(&Ranges::from(r))),
        (_, _, Some(set)) => right
            .set
            .as_ref()
            .is_some_and(|r| r.item.iter().all(|item| set.item.contains(item))),
        _ => false,
    }
}

fn is_empty_item(resource: &v1::Resource) -> bool {
    match (&resource.scalar, &resource.ranges, &resource.set) {
        (Some(scalar), _, _) => Scalar::from_f64(scalar.value).thousandths() == 0,
        (_, Some(ranges), _) => ranges.range.is_empty(),
        (_, _, Some(set)) => set.item.is_empty(),
        _ => true,
    }
}

/// The amount of a scalar, or the number of values of a range or set.
#[must_use]
pub fn quantity(resource: &v1::Resource) -> Scalar {
    let count = |n: u64| {
        Scalar::from_thousandths(i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(1000))
    };
    match (&resource.scalar, &resource.ranges, &resource.set) {
        (Some(scalar), _, _) => Scalar::from_f64(scalar.value),
        (_, Some(ranges), _) => count(Ranges::from(ranges).len()),
        (_, _, Some(set)) => count(set.item.len() as u64),
        _ => Scalar::default(),
    }
}

fn normalise_value(resource: &mut v1::Resource) {
    if let Some(scalar) = &mut resource.scalar {
        scalar.value = Scalar::from_f64(scalar.value).as_f64();
    }
    if let Some(ranges) = &mut resource.ranges {
        *ranges = Ranges::from(&*ranges).into();
    }
}

fn add_value(left: &mut v1::Resource, right: &v1::Resource) {
    if let (Some(l), Some(r)) = (&mut left.scalar, &right.scalar) {
        l.value = (Scalar::from_f64(l.value) + Scalar::from_f64(r.value)).as_f64();
    }
    if let (Some(l), Some(r)) = (&mut left.ranges, &right.ranges) {
        let mut sum = Ranges::from(&*l);
        sum.add(&Ranges::from(r));
        *l = sum.into();
    }
    if let (Some(l), Some(r)) = (&mut left.set, &right.set) {
        for item in &r.item {
            if !l.item.contains(item) {
                l.item.push(item.clone());
            }
        }
    }
}

fn subtract_value(left: &mut v1::Resource, right: &v1::Resource) {
    if let (Some(l), Some(r)) = (&mut left.scalar, &right.scalar) {
        let rest = Scalar::from_f64(l.value) - Scalar::from_f64(r.value);
        l.value = rest.max(Scalar::default()).as_f64();
    }
    if let (Some(l), Some(r)) = (&mut left.ranges, &right.ranges) {
        let mut rest = Ranges::from(&*l);
        rest.subtract(&Ranges::from(r));
        *l = rest.into();
    }
    if let (Some(l), Some(r)) = (&mut left.set, &right.set) {
        l.item.retain(|item| !r.item.contains(item));
    }
}

#[cfg(test)]
mod tests;
