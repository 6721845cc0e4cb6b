//! The resources of an operation as they come in a message: whether they are
//! any, and in which format (`src/common/resources_utils.cpp`).

use mesos_sdk::resources::{Resources, allocation_role, refine};
use mesos_sdk::v1;
use mesos_sdk::v1::offer::operation::Type;

/// Checks the resources of an operation that is no launch, and writes them in
/// the format of today.
///
/// # Errors
///
/// Why they are none, in Mesos's words.
pub(crate) fn upgrade(operation: &mut v1::offer::Operation) -> Result<(), String> {
    let missing = |article: &str, field: &str| {
        let name = field.to_uppercase();
        Err(format!(
            "{article} {name} offer operation must have the Offer.Operation.{field} field set."
        ))
    };
    match operation.r#type() {
        Type::Reserve if operation.reserve.is_none() => return missing("A", "reserve"),
        Type::Unreserve if operation.unreserve.is_none() => return missing("An", "unreserve"),
        Type::Create if operation.create.is_none() => return missing("A", "create"),
        Type::Destroy if operation.destroy.is_none() => return missing("A", "destroy"),
        Type::GrowVolume if operation.grow_volume.is_none() => return missing("A", "grow_volume"),
        Type::ShrinkVolume if operation.shrink_volume.is_none() => {
            return missing("A", "shrink_volume");
        }
        _ => {}
    }
    for resource in resources(operation) {
        validate(resource)?;
        refine(resource);
    }
    Ok(())
}

/// Frameworks may leave `allocation_info` out; the offer's role is meant. And
/// they may write reservations in the older format.
pub(crate) fn allocate(operation: &mut v1::offer::Operation, role: &str) {
    for resource in resources(operation) {
        // What mixes the formats is refused as it is.
        if validate(resource).is_ok() {
            refine(resource);
        }
        if allocation_role(resource).is_none() {
            resource.allocation_info = Some(v1::resource::AllocationInfo {
                role: Some(role.to_owned()),
            });
        }
    }
}

fn validate(resource: &v1::Resource) -> Result<(), String> {
    Resources::validate(std::slice::from_ref(resource)).map_err(|error| error.to_string())
}

/// Every resource that an operation names.
fn resources(operation: &mut v1::offer::Operation) -> Vec<&mut v1::Resource> {
    let mut all: Vec<&mut v1::Resource> = Vec::new();
    for task in operation.launch.iter_mut().flat_map(|l| &mut l.task_infos) {
        all.extend(&mut task.resources);
        let executor = task.executor.iter_mut();
        all.extend(executor.flat_map(|executor| &mut executor.resources));
    }
    if let Some(launch) = &mut operation.launch_group {
        all.extend(&mut launch.executor.resources);
        let tasks = launch.task_group.tasks.iter_mut();
        all.extend(tasks.flat_map(|task| &mut task.resources));
    }
    if let Some(reserve) = &mut operation.reserve {
        all.extend(reserve.source.iter_mut().chain(&mut reserve.resources));
    }
    all.extend(
        operation
            .unreserve
            .iter_mut()
            .flat_map(|u| &mut u.resources),
    );
    all.extend(operation.create.iter_mut().flat_map(|c| &mut c.volumes));
    all.extend(operation.destroy.iter_mut().flat_map(|d| &mut d.volumes));
    if let Some(grow) = &mut operation.grow_volume {
        all.extend([&mut grow.volume, &mut grow.addition]);
    }
    all.extend(operation.shrink_volume.iter_mut().map(|s| &mut s.volume));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(mib: f64) -> v1::Resource {
        v1::Resource {
            name: "disk".to_owned(),
            scalar: Some(v1::value::Scalar { value: mib }),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_no_resource_is_refused_with_its_reason() {
        let mut operation = v1::offer::Operation::default();
        operation.set_type(Type::Unreserve);
        assert_eq!(
            upgrade(&mut operation).unwrap_err(),
            "An UNRESERVE offer operation must have the Offer.Operation.unreserve field set."
        );
        operation.set_type(Type::GrowVolume);
        let (volume, addition) = (disk(1.0), disk(-1.0));
        operation.grow_volume = Some(v1::offer::operation::GrowVolume { volume, addition });
        let text = upgrade(&mut operation).unwrap_err();
        assert!(
            text.ends_with("Invalid scalar resource: value <= 0"),
            "{text}"
        );
    }

    #[test]
    fn the_older_format_becomes_the_one_of_today() {
        let mut old = disk(1.0);
        old.role = Some("db".to_owned());
        let mut operation = v1::offer::Operation::default();
        operation.set_type(Type::Destroy);
        operation.destroy = Some(v1::offer::operation::Destroy { volumes: vec![old] });
        upgrade(&mut operation).unwrap();
        allocate(&mut operation, "db");
        let new = &operation.destroy.unwrap().volumes[0];
        assert_eq!((&new.role, new.reservations[0].role()), (&None, "db"));
        assert_eq!(allocation_role(new), Some("db"));
    }
}
