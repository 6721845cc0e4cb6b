//! What somebody must be allowed to do before an operation on resources is
//! carried out (`src/master/authorization.cpp`).

use std::collections::BTreeSet;

use mesos_proto::json;
use mesos_sdk::resources::reservation_role;
use mesos_sdk::v1;
use mesos_sdk::v1::offer::operation::Type;

use crate::security::Action;

/// Something to be allowed: an action on a resource, of which a value counts,
/// or on anything at all.
#[derive(Debug)]
pub(super) struct Need<'a> {
    pub(super) action: Action,
    object: Option<(String, &'a v1::Resource)>,
}

impl Need<'_> {
    /// What rules compare.
    pub(super) fn value(&self) -> Option<&str> {
        self.object.as_ref().map(|(value, _)| value.as_str())
    }
}

/// `perform action RESERVE_RESOURCES on object {..}`
impl std::fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.action {
            Action::UnreserveResources => "UNRESERVE_RESOURCES",
            Action::CreateVolumes => "CREATE_VOLUME",
            Action::DestroyVolumes => "DESTROY_VOLUME",
            Action::ResizeVolumes => "RESIZE_VOLUME",
            _ => "RESERVE_RESOURCES",
        };
        match &self.object {
            Some((value, resource)) => write!(
                f,
                "perform action {name} on object {{\"value\":{},\"resource\":{}}}",
                serde_json::Value::from(value.as_str()),
                json::to_string(*resource)
            ),
            None => write!(f, "perform action {name} on ANY object"),
        }
    }
}

/// All that must be allowed for an operation whose resources are in the format
/// of today.
pub(super) fn needs(operation: &v1::offer::Operation) -> Vec<Need<'_>> {
    match operation.r#type() {
        Type::Reserve => operation.reserve.iter().flat_map(reserving).collect(),
        Type::Unreserve => {
            let unreserve = operation.unreserve.iter();
            let resources: Vec<_> = unreserve.flat_map(|u| &u.resources).collect();
            unreserving(&resources, usize::MAX)
        }
        Type::Create => {
            let create = operation.create.iter();
            let volumes: Vec<_> = create.flat_map(|create| &create.volumes).collect();
            or_anything(
                Action::CreateVolumes,
                of_roles(Action::CreateVolumes, &volumes, usize::MAX),
            )
        }
        Type::Destroy => {
            let destroy = operation.destroy.iter();
            let volumes = destroy.flat_map(|destroy| &destroy.volumes);
            let needs = volumes.filter_map(|volume| {
                let persistence = volume.disk.as_ref()?.persistence.as_ref()?;
                Some(Need {
                    action: Action::DestroyVolumes,
                    object: Some((persistence.principal().to_owned(), volume)),
                })
            });
            or_anything(Action::DestroyVolumes, needs.collect())
        }
        Type::GrowVolume => {
            let volume = operation.grow_volume.as_ref().map(|grow| &grow.volume);
            of_roles(Action::ResizeVolumes, volume.as_slice(), usize::MAX)
        }
        Type::ShrinkVolume => {
            let volume = operation.shrink_volume.as_ref().map(|s| &s.volume);
            of_roles(Action::ResizeVolumes, volume.as_slice(), usize::MAX)
        }
        _ => Vec::new(),
    }
}

/// A reservation that takes the place of another: what only that one has is
/// unreserved, what is left of the new one is reserved, step by step.
fn reserving(reserve: &v1::offer::operation::Reserve) -> Vec<Need<'_>> {
    let source: Vec<_> = reserve.source.iter().collect();
    let target: Vec<_> = reserve.resources.iter().collect();
    let (Some(from), Some(to)) = (source.first(), target.first()) else {
        return of_roles(Action::ReserveResources, &target, usize::MAX);
    };
    let pairs = from.reservations.iter().zip(&to.reservations);
    let common = pairs.take_while(|(from, to)| from == to).count();
    let down = (common + 1..=from.reservations.len()).rev();
    let up = common + 1..=to.reservations.len();
    down.flat_map(|depth| unreserving(&source, depth))
        .chain(up.flat_map(|depth| of_roles(Action::ReserveResources, &target, depth)))
        .collect()
}

/// Takes the reservation at a depth off, which is allowed by whose it is.
fn unreserving<'a>(resources: &[&'a v1::Resource], depth: usize) -> Vec<Need<'a>> {
    let action = Action::UnreserveResources;
    let reserver = |resource: &v1::Resource| {
        let reservations = &resource.reservations;
        let top = reservations[..depth.min(reservations.len())].last();
        top.and_then(|reservation| reservation.principal.clone())
    };
    let mut needs = Vec::new();
    let mut is_anybodys = false;
    for resource in resources {
        match reserver(resource) {
            Some(principal) => needs.push(Need {
                action,
                object: Some((principal, resource)),
            }),
            None => is_anybodys = true,
        }
    }
    needs.extend(is_anybodys.then_some(Need {
        action,
        object: None,
    }));
    needs
}

/// An action on resources of roles, each role once: those of the reservations
/// at a depth.
fn of_roles<'a>(action: Action, resources: &[&'a v1::Resource], depth: usize) -> Vec<Need<'a>> {
    let mut seen = BTreeSet::new();
    let mut needs = Vec::new();
    for resource in resources {
        let below = resource.reservations.get(depth.saturating_sub(1));
        let role = match below {
            Some(reservation) => Some(reservation.role()),
            None => reservation_role(resource),
        };
        let role = role.unwrap_or("*");
        if seen.insert(role) {
            needs.push(Need {
                action,
                object: Some((role.to_owned(), resource)),
            });
        }
    }
    needs
}

fn or_anything(action: Action, needs: Vec<Need<'_>>) -> Vec<Need<'_>> {
    if needs.is_empty() {
        let object = None;
        return vec![Need { action, object }];
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::resource::{ReservationInfo, reservation_info};

    fn disk(stack: &[(&str, Option<&str>)]) -> v1::Resource {
        let reservation = |(role, principal): &(&str, Option<&str>)| ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some((*role).to_owned()),
            principal: principal.map(str::to_owned),
            ..Default::default()
        };
        v1::Resource {
            name: "disk".to_owned(),
            reservations: stack.iter().map(reservation).collect(),
            ..Default::default()
        }
    }

    fn shown(operation: &v1::offer::Operation) -> Vec<(Action, Option<String>)> {
        let needs = needs(operation).into_iter();
        needs
            .map(|need| (need.action, need.value().map(str::to_owned)))
            .collect()
    }

    fn reserve(source: Vec<v1::Resource>, resources: Vec<v1::Resource>) -> v1::offer::Operation {
        v1::offer::Operation {
            r#type: Some(Type::Reserve as i32),
            reserve: Some(v1::offer::operation::Reserve { source, resources }),
            ..Default::default()
        }
    }

    #[test]
    fn reservations_are_of_roles_and_undone_by_whose_they_are() {
        let some = |text: &str| Some(text.to_owned());
        let both = vec![
            disk(&[("a", None)]),
            disk(&[("a", None)]),
            disk(&[("b", None)]),
        ];
        assert_eq!(
            shown(&reserve(vec![], both)),
            [
                (Action::ReserveResources, some("a")),
                (Action::ReserveResources, some("b"))
            ]
        );
        let (from, to) = (
            disk(&[("a", Some("alice")), ("a/b", Some("bob"))]),
            disk(&[("a", Some("alice")), ("a/c", None), ("a/c/d", None)]),
        );
        assert_eq!(
            shown(&reserve(vec![from], vec![to])),
            [
                (Action::UnreserveResources, some("bob")),
                (Action::ReserveResources, some("a/c")),
                (Action::ReserveResources, some("a/c/d"))
            ]
        );
        let unreserve = v1::offer::Operation {
            r#type: Some(Type::Unreserve as i32),
            unreserve: Some(v1::offer::operation::Unreserve {
                resources: vec![disk(&[("a", None)]), disk(&[("a", Some("alice"))])],
            }),
            ..Default::default()
        };
        assert_eq!(
            shown(&unreserve),
            [
                (Action::UnreserveResources, some("alice")),
                (Action::UnreserveResources, None)
            ]
        );
    }

    #[test]
    fn volumes_are_of_roles_and_destroyed_by_whose_they_are() {
        let mut volume = disk(&[("a", None)]);
        let create = |volume: &v1::Resource| v1::offer::Operation {
            r#type: Some(Type::Create as i32),
            create: Some(v1::offer::operation::Create {
                volumes: vec![volume.clone()],
            }),
            ..Default::default()
        };
        let destroy = |volume: &v1::Resource| v1::offer::Operation {
            r#type: Some(Type::Destroy as i32),
            destroy: Some(v1::offer::operation::Destroy {
                volumes: vec![volume.clone()],
            }),
            ..Default::default()
        };
        let of_a = (Action::CreateVolumes, Some("a".to_owned()));
        assert_eq!(shown(&create(&volume)), [of_a]);
        // What is no volume is refused later.
        assert_eq!(shown(&destroy(&volume)), [(Action::DestroyVolumes, None)]);
        volume.disk = Some(Box::new(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence {
                id: "v".to_owned(),
                principal: Some("alice".to_owned()),
            }),
            ..Default::default()
        }));
        let of_alice = (Action::DestroyVolumes, Some("alice".to_owned()));
        assert_eq!(shown(&destroy(&volume)), [of_alice]);
        let text = needs(&destroy(&disk(&[])))[0].to_string();
        assert_eq!(text, "perform action DESTROY_VOLUME on ANY object");
    }
}
