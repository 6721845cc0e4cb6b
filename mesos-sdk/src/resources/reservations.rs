//! Reservations: the stack that a resource carries, the older format that has
//! one role and one reservation, and finding resources for a role
//! (`docs/reservation.md`).

use mesos_proto::v1;

use super::{Ranges, Resources, Scalar, item_contains};

/// The role a resource is reserved for: that of the top of the stack.
#[must_use]
pub fn reservation_role(resource: &v1::Resource) -> Option<&str> {
    resource.reservations.last()?.role.as_deref()
}

/// Whether anybody may have the resource.
#[must_use]
pub fn is_unreserved(resource: &v1::Resource) -> bool {
    resource.reservations.is_empty()
}

/// Whether the resource is reserved, for `role` when one is given.
#[must_use]
pub fn is_reserved(resource: &v1::Resource, role: Option<&str>) -> bool {
    match reservation_role(resource) {
        Some(reserved) => role.is_none_or(|role| role == reserved),
        None => false,
    }
}

/// A reservation that a framework makes for a role of its own. The principal is
/// the framework's, where it has one.
#[must_use]
pub fn dynamic_reservation(role: &str, principal: Option<&str>) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
        role: Some(role.to_owned()),
        principal: principal.map(str::to_owned),
        ..Default::default()
    }
}

/// Makes a persistent volume of reserved disk: what is written below
/// `container_path` in a task's sandbox outlives the task. The id is to be
/// unique for the role on an agent.
#[must_use]
pub fn persistent_volume(
    disk: v1::Resource,
    id: &str,
    principal: Option<&str>,
    container_path: &str,
) -> v1::Resource {
    v1::Resource {
        disk: Some(Box::new(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence {
                id: id.to_owned(),
                principal: principal.map(str::to_owned),
            }),
            volume: Some(v1::Volume {
                container_path: container_path.to_owned(),
                mode: v1::volume::Mode::Rw.into(),
                ..Default::default()
            }),
            // Where the disk is comes from the offer.
            ..disk.disk.map(|disk| *disk).unwrap_or_default()
        })),
        ..disk
    }
}

/// Writes a resource of the older format (`role` and `reservation`) in that of
/// today, as a stack of reservations. [`Resources`] are always in the latter.
pub fn refine(resource: &mut v1::Resource) {
    use v1::resource::{ReservationInfo, reservation_info::Type};
    let role = resource.role.take();
    let reservation = resource.reservation.take();
    if !resource.reservations.is_empty() {
        return;
    }
    let Some(role) = role.filter(|role| role != "*") else {
        return;
    };
    resource.reservations = vec![match reservation {
        Some(reservation) => ReservationInfo {
            r#type: Some(Type::Dynamic as i32),
            role: Some(role),
            ..reservation
        },
        None => ReservationInfo {
            r#type: Some(Type::Static as i32),
            role: Some(role),
            ..Default::default()
        },
    }];
}

impl Resources {
    /// The resources in the format for frameworks without
    /// `RESERVATION_REFINEMENT`: `role`, and `reservation` for a dynamic one.
    /// Resources whose reservation is refined have no such form and are left
    /// out.
    #[must_use]
    pub fn to_pre_refinement(&self) -> Vec<v1::Resource> {
        use v1::resource::{ReservationInfo, reservation_info::Type};
        let mut resources = Vec::with_capacity(self.len());
        for item in self {
            let mut item = item.clone();
            match item.reservations.len() {
                0 => item.role = Some("*".to_owned()),
                1 => {
                    let reservation = item.reservations.remove(0);
                    let is_dynamic = reservation.r#type() == Type::Dynamic;
                    item.role.clone_from(&reservation.role);
                    item.reservation = is_dynamic.then_some(ReservationInfo {
                        r#type: None,
                        role: None,
                        ..reservation
                    });
                }
                _ => continue,
            }
            resources.push(item);
        }
        resources
    }

    /// What is reserved, for `role` when one is given.
    #[must_use]
    pub fn reserved(&self, role: Option<&str>) -> Self {
        self.filter(|item| is_reserved(item, role))
    }

    /// What is reserved for nobody.
    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.filter(is_unreserved)
    }

    /// The same quantities without any reservation.
    #[must_use]
    pub fn flatten(&self) -> Self {
        self.map(|item| item.reservations.clear())
    }

    /// Puts a reservation on top of each resource's stack.
    #[must_use]
    pub fn push_reservation(&self, reservation: &v1::resource::ReservationInfo) -> Self {
        self.map(|item| item.reservations.push(reservation.clone()))
    }

    /// Takes the top reservation off each resource's stack.
    #[must_use]
    pub fn pop_reservation(&self) -> Self {
        self.map(|item| {
            item.reservations.pop();
        })
    }

    /// Finds quantities for a role: what is reserved for the role first, then
    /// what is unreserved. Names, quantities and, when `wanted` names one, disks
    /// matter; reservations and allocations of `wanted` do not. The result is
    /// what was found, in the form in which it is here.
    #[must_use]
    pub fn find(&self, wanted: &Self, role: &str) -> Option<Self> {
        let mut found = Self::new();
        let mut left = self.clone();
        for want in wanted {
            let mut want = want.clone();
            let candidates: Vec<v1::Resource> = [true, false]
                .into_iter()
                .flat_map(|reserved| {
                    left.iter().filter(move |item| {
                        item.name == want_name(item)
                            && if reserved {
                                is_reserved(item, Some(role)) && role != "*"
                            } else {
                                is_unreserved(item)
                            }
                    })
                })
                .filter(|item| {
                    item.name == want.name
                        && item.disk == want.disk
                        && item.revocable.is_some() == want.revocable.is_some()
                        && item.shared.is_some() == want.shared.is_some()
                })
                .cloned()
                .collect();
            let mut is_found = false;
            for candidate in candidates {
                let Some(part) = take_part(&candidate, &mut want) else {
                    continue;
                };
                left.remove(&part);
                found.push(part);
                if is_nothing(&want) {
                    is_found = true;
                    break;
                }
            }
            if !is_found {
                return None;
            }
        }
        Some(found)
    }
}

fn want_name(item: &v1::Resource) -> &str {
    &item.name
}

/// The part of `candidate` that `want` still needs; `want` shrinks by it.
fn take_part(candidate: &v1::Resource, want: &mut v1::Resource) -> Option<v1::Resource> {
    let mut part = candidate.clone();
    match (&mut part.scalar, &mut part.ranges, &mut part.set) {
        (Some(has), _, _) => {
            let wanted = Scalar::from_f64(want.scalar.as_ref()?.value);
            let amount = wanted.min(Scalar::from_f64(has.value));
            has.value = amount.as_f64();
            want.scalar = Some(v1::value::Scalar {
                value: (wanted - amount).as_f64(),
            });
        }
        (_, Some(has), _) => {
            let mut wanted = Ranges::from(want.ranges.as_ref()?);
            let both = wanted.intersect(&Ranges::from(&*has));
            wanted.subtract(&both);
            want.ranges = Some(wanted.into());
            *has = both.into();
        }
        (_, _, Some(has)) => {
            let wanted = want.set.as_mut()?;
            has.item.retain(|item| wanted.item.contains(item));
            wanted.item.retain(|item| !has.item.contains(item));
        }
        _ => return None,
    }
    (!is_nothing(&part) && item_contains(candidate, &part)).then_some(part)
}

fn is_nothing(resource: &v1::Resource) -> bool {
    super::is_empty_item(resource)
}
