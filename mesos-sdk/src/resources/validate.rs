//! Checks of resources that come from outside, with the texts of Mesos.

use mesos_proto::v1;

use super::{Resources, display::Printed};
use crate::ids;

/// A resource that Mesos refuses. The text is Mesos's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Resource '{resource}' is invalid: {reason}")]
pub struct InvalidResource {
    /// The resource as Mesos prints it.
    pub resource: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Resources {
    /// Checks resources as they came in a message.
    ///
    /// # Errors
    ///
    /// The first resource that is wrong.
    pub fn validate(resources: &[v1::Resource]) -> Result<(), InvalidResource> {
        for resource in resources {
            validate_one(resource).map_err(|reason| InvalidResource {
                resource: Printed(resource).to_string(),
                reason,
            })?;
        }
        Ok(())
    }
}

pub(super) fn validate_one(resource: &v1::Resource) -> Result<(), String> {
    if resource.name.is_empty() {
        return Err("Empty resource name".to_owned());
    }
    validate_value(resource)?;
    validate_disk(resource)?;
    if resource.reservations.is_empty() {
        validate_role_and_reservation(resource)?;
    } else {
        validate_stack(resource)?;
    }
    if resource.shared.is_some() {
        if resource.name != "disk" {
            return Err(format!("Resource {} cannot be shared", resource.name));
        }
        let has_volume = resource
            .disk
            .as_ref()
            .is_some_and(|disk| disk.persistence.is_some());
        if !has_volume {
            return Err("Only persistent volumes can be shared".to_owned());
        }
    }
    Ok(())
}

fn validate_value(resource: &v1::Resource) -> Result<(), String> {
    use v1::value::Type;
    let has = (
        resource.scalar.as_ref(),
        resource.ranges.as_ref(),
        resource.set.as_ref(),
    );
    match (Type::try_from(resource.r#type), has) {
        (Err(_), _) => Err("Invalid resource type".to_owned()),
        (Ok(Type::Scalar), (Some(scalar), None, None)) => {
            // A NaN is refused too.
            if scalar.value >= 0.0 {
                Ok(())
            } else {
                Err("Invalid scalar resource: value <= 0".to_owned())
            }
        }
        (Ok(Type::Scalar), _) => Err("Invalid scalar resource".to_owned()),
        (Ok(Type::Ranges), (None, Some(ranges), None)) => validate_ranges(ranges),
        (Ok(Type::Ranges), _) => Err("Invalid ranges resource".to_owned()),
        (Ok(Type::Set), (None, None, Some(set))) => {
            let mut items: Vec<&String> = set.item.iter().collect();
            items.sort_unstable();
            items.dedup();
            if items.len() < set.item.len() {
                return Err("Invalid set resource: duplicated elements".to_owned());
            }
            Ok(())
        }
        (Ok(Type::Set), _) => Err("Invalid set resource".to_owned()),
        (Ok(Type::Text), _) => Err("Unsupported resource type".to_owned()),
    }
}

fn validate_ranges(ranges: &v1::value::Ranges) -> Result<(), String> {
    if ranges.range.iter().any(|range| range.begin > range.end) {
        return Err("Invalid ranges resource: begin > end".to_owned());
    }
    let mut sorted: Vec<(u64, u64)> = ranges.range.iter().map(|r| (r.begin, r.end)).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return Err("Invalid ranges resource: overlapping ranges".to_owned());
    }
    Ok(())
}

fn validate_disk(resource: &v1::Resource) -> Result<(), String> {
    use v1::resource::disk_info::source::Type;
    let Some(disk) = &resource.disk else {
        return Ok(());
    };
    if resource.name != "disk" {
        return Err(format!(
            "DiskInfo should not be set for {} resource",
            resource.name
        ));
    }
    let Some(source) = &disk.source else {
        return Ok(());
    };
    let kind = source.r#type();
    match kind {
        Type::Path | Type::Mount => Ok(()),
        Type::Block | Type::Raw if source.mount.is_some() => Err(format!(
            "Mount should not be set for {} disk source",
            kind.as_str_name()
        )),
        Type::Block | Type::Raw if source.path.is_some() => Err(format!(
            "Path should not be set for {} disk source",
            kind.as_str_name()
        )),
        Type::Block | Type::Raw => Ok(()),
        Type::Unknown => Err("Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'".to_owned()),
    }
}

fn validate_role_and_reservation(resource: &v1::Resource) -> Result<(), String> {
    let role = resource.role.as_deref().unwrap_or("*");
    ids::validate_role(role).map_err(|error| error.to_string())?;
    let Some(reservation) = &resource.reservation else {
        return Ok(());
    };
    let must_not = |field: &str| {
        Err(format!(
            "'Resource.ReservationInfo.{field}' must not be set for the 'Resource.reservation' field"
        ))
    };
    if reservation.r#type.is_some() {
        return must_not("type");
    }
    if reservation.role.is_some() {
        return must_not("role");
    }
    if role == "*" {
        return Err("Invalid reservation: role \"*\" cannot be dynamically reserved".to_owned());
    }
    Ok(())
}

fn validate_stack(resource: &v1::Resource) -> Result<(), String> {
    use v1::resource::reservation_info::Type;
    for reservation in &resource.reservations {
        let must = |field: &str| {
            Err(format!(
                "Invalid reservation: 'Resource.ReservationInfo.{field}' field must be set."
            ))
        };
        if reservation.r#type.is_none() {
            return must("type");
        }
        let Some(role) = &reservation.role else {
            return must("role");
        };
        ids::validate_role(role).map_err(|error| error.to_string())?;
        if role == "*" {
            return Err("Invalid reservation: role \"*\" cannot be reserved".to_owned());
        }
    }
    for pair in resource.reservations.windows(2) {
        let ancestor = pair[0].role.as_deref().unwrap_or_default();
        let descendant = pair[1].role.as_deref().unwrap_or_default();
        if pair[1].r#type() == Type::Static {
            return Err(
                "Invalid refined reservation: A refined reservation cannot be STATIC".to_owned(),
            );
        }
        if !ids::is_strict_subrole_of(descendant, ancestor) {
            return Err(format!(
                "Invalid refined reservation: role '{descendant}' is not a refinement of '{ancestor}'"
            ));
        }
    }
    if resource.reservations.len() > 1 {
        for (field, is_set) in [
            ("role", resource.role.is_some()),
            ("reservation", resource.reservation.is_some()),
        ] {
            if is_set {
                return Err(format!(
                    "Invalid resource format: 'Resource.{field}' must not be set if there is more than one reservation in 'Resource.reservations'"
                ));
            }
        }
        return Ok(());
    }
    validate_both_formats(resource, &resource.reservations[0])
}

/// A single reservation may stand in both formats when they agree.
fn validate_both_formats(
    resource: &v1::Resource,
    reservation: &v1::resource::ReservationInfo,
) -> Result<(), String> {
    use v1::resource::reservation_info::Type;
    let reserved_for = reservation.role.as_deref().unwrap_or_default();
    if let Some(role) = resource
        .role
        .as_deref()
        .filter(|role| *role != reserved_for)
    {
        return Err(format!(
            "Invalid resource format: 'Resource.role' field with '{role}' does not match the role '{reserved_for}' in 'Resource.reservations'"
        ));
    }
    match reservation.r#type() {
        Type::Unknown => Err("Unsupported 'Resource.ReservationInfo.Type'".to_owned()),
        Type::Static if resource.reservation.is_some() => Err("Invalid resource format: 'Resource.reservation' must not be set if the single reservation in 'Resource.reservations' is STATIC".to_owned()),
        Type::Dynamic if resource.role.is_some() != resource.reservation.is_some() => Err("Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or both not set if the single reservation in 'Resource.reservations' is DYNAMIC".to_owned()),
        Type::Static | Type::Dynamic => Ok(()),
    }
}
