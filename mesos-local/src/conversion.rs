//! What operations make of resources: reservations and volumes, taken and made
//! (`docs/reservation.md`, `docs/persistent-volume.md`,
//! `src/common/protobuf_utils.cpp`). The master checks with it what may be
//! done, the agent does it.

mod format;

use mesos_sdk::resources::{Resources, Scalar, is_unreserved, reservation_role};
use mesos_sdk::v1::offer::operation::Type;
use mesos_sdk::{ids, v1};

pub(crate) use format::{allocate, upgrade};

/// What an operation takes away, and what it puts in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversion {
    pub(crate) consumed: Resources,
    pub(crate) made: Resources,
}

impl Conversion {
    /// What a valid operation does.
    ///
    /// # Errors
    ///
    /// Why it is none, in Mesos's words.
    pub(crate) fn of(operation: &v1::offer::Operation) -> Result<Self, String> {
        let missing = || format!("Expecting the body of {}", operation.r#type().as_str_name());
        match operation.r#type() {
            Type::Reserve => reserve(operation.reserve.as_ref().ok_or_else(missing)?),
            Type::Unreserve => unreserve(operation.unreserve.as_ref().ok_or_else(missing)?),
            Type::Create => create(operation.create.as_ref().ok_or_else(missing)?),
            Type::Destroy => destroy(operation.destroy.as_ref().ok_or_else(missing)?),
            Type::GrowVolume => grow(operation.grow_volume.as_ref().ok_or_else(missing)?),
            Type::ShrinkVolume => shrink(operation.shrink_volume.as_ref().ok_or_else(missing)?),
            other => Err(format!(
                "{} operations are not supported: there is no storage plugin",
                other.as_str_name()
            )),
        }
    }

    /// The same, of resources that nobody holds.
    pub(crate) fn unallocated(&self) -> Self {
        Self {
            consumed: self.consumed.unallocate(),
            made: self.made.unallocate(),
        }
    }
}

/// What is there, with the reservations and volumes that were kept in place of
/// what they were made of.
pub(crate) fn with_kept(started_with: &[v1::Resource], kept: &[v1::Resource]) -> Resources {
    // Nothing kept is made of something else that was kept.
    let mut left = Resources::from(started_with);
    let mut total = Resources::new();
    for item in kept {
        let kept = Resources::from(vec![item.clone()]);
        if let Some(origin) = origin(&left, &kept) {
            left -= &origin;
            total += kept;
        }
    }
    left + total
}

/// What must be kept to know it again: all that is not as it was at the start.
pub(crate) fn to_keep(started_with: &[v1::Resource], total: &Resources) -> Resources {
    let started_with = Resources::from(started_with);
    total.filter(|item| {
        let is_reserved_by_operation = item.reservations.iter().any(is_dynamic);
        let one = Resources::from(vec![item.clone()]);
        (is_reserved_by_operation || is_volume(item)) && !started_with.contains(&one)
    })
}

/// The resources of `from` that something was made of: without volume, and
/// with as much less of its reservations as needed.
fn origin(from: &Resources, kept: &Resources) -> Option<Resources> {
    let mut origin = kept.clone();
    loop {
        if from.contains(&origin) {
            return Some(origin);
        }
        let plain = without_volume(&origin);
        let less = if plain == origin {
            plain.pop_reservation()
        } else {
            plain
        };
        if less == origin {
            return None;
        }
        origin = less;
    }
}

fn validate(resources: &[v1::Resource]) -> Result<Resources, String> {
    Resources::validate(resources)
        .map(|()| Resources::from(resources))
        .map_err(|error| format!("Invalid resources: {error}"))
}

fn reserve(reserve: &v1::offer::operation::Reserve) -> Result<Conversion, String> {
    let made = validate(&reserve.resources)?;
    for item in &made {
        check_reserved(item)?;
    }
    if reserve.source.is_empty() {
        let consumed = made.pop_reservation();
        return Ok(Conversion { consumed, made });
    }
    let consumed = validate(&reserve.source)
        .map_err(|text| text.replacen("Invalid resources", "Invalid source", 1))?;
    check_alike(&consumed).map_err(|text| format!("Invalid source: {text}"))?;
    check_alike(&made).map_err(|text| format!("Invalid resources: {text}"))?;
    if consumed.flatten() != made.flatten() {
        return Err(format!(
            "Source and target resources should refer to identical resource quantities: {} vs. {}",
            consumed.flatten(),
            made.flatten()
        ));
    }
    Ok(Conversion { consumed, made })
}

/// A reservation is changed for all resources in the same way.
fn check_alike(resources: &Resources) -> Result<(), String> {
    let Some(first) = resources.iter().next() else {
        return Err("Resource cannot be empty".to_owned());
    };
    if resources
        .iter()
        .all(|item| item.reservations == first.reservations)
    {
        return Ok(());
    }
    Err(format!("Mixed reservations are not supported {resources}"))
}

fn unreserve(unreserve: &v1::offer::operation::Unreserve) -> Result<Conversion, String> {
    let consumed = validate(&unreserve.resources)?;
    for item in &consumed {
        check_reserved(item)?;
        if is_volume(item) {
            return Err(format!(
                "A dynamically reserved persistent volume {} cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource",
                printed(item)
            ));
        }
    }
    let made = consumed.pop_reservation();
    Ok(Conversion { consumed, made })
}

fn create(create: &v1::offer::operation::Create) -> Result<Conversion, String> {
    let made = validate(&create.volumes)?;
    check_volumes(&made)?;
    check_unique(&made)?;
    let consumed = without_volume(&made);
    Ok(Conversion { consumed, made })
}

fn destroy(destroy: &v1::offer::operation::Destroy) -> Result<Conversion, String> {
    let consumed = validate(&destroy.volumes)?;
    check_volumes(&consumed)?;
    let made = without_volume(&consumed);
    Ok(Conversion { consumed, made })
}

fn grow(grow: &v1::offer::operation::GrowVolume) -> Result<Conversion, String> {
    let name = |field: &str, text: String| {
        let text = text.trim_start_matches("Invalid resources: ").to_owned();
        format!("Invalid resource in the 'GrowVolume.{field}' field: {text}")
    };
    let volume =
        validate(std::slice::from_ref(&grow.volume)).map_err(|text| name("volume", text))?;
    let addition =
        validate(std::slice::from_ref(&grow.addition)).map_err(|text| name("addition", text))?;
    let amount = scalar(&grow.addition);
    if amount <= Scalar::ZERO {
        return Err("The size of 'GrowVolume.addition' field must be greater than zero".to_owned());
    }
    check_resizable(&volume, "Growing", "GrowVolume.volume")?;
    let mut sum = without_volume(&volume);
    sum += &addition;
    if sum.len() != 1 {
        return Err(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
                .to_owned(),
        );
    }
    let made = resized(&volume, amount);
    Ok(Conversion {
        consumed: volume + addition,
        made,
    })
}

fn shrink(shrink: &v1::offer::operation::ShrinkVolume) -> Result<Conversion, String> {
    let volume = validate(std::slice::from_ref(&shrink.volume)).map_err(|text| {
        let text = text.trim_start_matches("Invalid resources: ").to_owned();
        format!("Invalid resource in the 'ShrinkVolume.volume' field: {text}")
    })?;
    let amount = Scalar::from_f64(shrink.subtract.value);
    if amount <= Scalar::ZERO {
        return Err("Value of 'ShrinkVolume.subtract' must be greater than zero".to_owned());
    }
    if scalar(&shrink.volume) <= amount {
        return Err("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'".to_owned());
    }
    if is_mount(&shrink.volume) {
        return Err("Shrinking a volume on a MOUNT disk is not supported".to_owned());
    }
    check_resizable(&volume, "Shrinking", "ShrinkVolume.volume")?;
    let freed = without_volume(&volume).into_vec().into_iter();
    let mut made: Resources = freed.map(|item| with_scalar(item, amount)).collect();
    made += resized(&volume, -amount);
    Ok(Conversion {
        consumed: volume,
        made,
    })
}

fn check_resizable(volume: &Resources, doing: &str, field: &str) -> Result<(), String> {
    check_volumes(volume).map_err(|text| {
        let text = text.trim_start_matches("Not a persistent volume: ");
        format!("Invalid persistent volume in the '{field}' field: {text}")
    })?;
    if volume.iter().any(|item| item.shared.is_some()) {
        return Err(format!(
            "{doing} a shared persistent volume is not supported"
        ));
    }
    Ok(())
}

fn is_dynamic(reservation: &v1::resource::ReservationInfo) -> bool {
    reservation.r#type() == v1::resource::reservation_info::Type::Dynamic
}

fn check_reserved(item: &v1::Resource) -> Result<(), String> {
    if item.reservations.last().is_some_and(is_dynamic) {
        return Ok(());
    }
    Err(format!(
        "Resource {} is not dynamically reserved",
        printed(item)
    ))
}

fn printed(item: &v1::Resource) -> String {
    Resources::from(vec![item.clone()]).to_string()
}

/// Whether a resource is a persistent volume.
pub(crate) fn is_volume(item: &v1::Resource) -> bool {
    let disk = item.disk.as_ref();
    disk.is_some_and(|disk| disk.persistence.is_some())
}

fn is_mount(item: &v1::Resource) -> bool {
    use v1::resource::disk_info::source::Type;
    let source = item.disk.as_ref().and_then(|disk| disk.source.as_ref());
    source.is_some_and(|source| source.r#type() == Type::Mount)
}

fn check_volumes(volumes: &Resources) -> Result<(), String> {
    for volume in volumes {
        let wrong = |why: &str| {
            Err(format!(
                "Not a persistent volume: Resource {} {why}",
                printed(volume)
            ))
        };
        let Some(disk) = volume.disk.as_ref() else {
            return wrong("does not have persistence");
        };
        let Some(persistence) = &disk.persistence else {
            return wrong("does not have persistence");
        };
        // The id becomes the name of a directory.
        if let Err(error) = ids::validate_id(&persistence.id) {
            return Err(format!(
                "Not a persistent volume: Invalid persistence ID: {error}"
            ));
        }
        if is_unreserved(volume) {
            return wrong("is not reserved");
        }
        if volume.revocable.is_some() {
            return wrong("is revocable");
        }
        match &disk.volume {
            None => return wrong("does not have a volume"),
            Some(volume) if volume.host_path.is_some() => {
                return wrong("sets a host path, which is not allowed");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// No two volumes of a role have the same id.
pub(crate) fn check_unique<'a>(
    volumes: impl IntoIterator<Item = &'a v1::Resource>,
) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for volume in volumes {
        let disk = volume.disk.as_ref();
        let Some(persistence) = disk.and_then(|disk| disk.persistence.as_ref()) else {
            continue;
        };
        if !seen.insert((reservation_role(volume), &persistence.id)) {
            return Err(format!("Persistence ID '{}' is not unique", persistence.id));
        }
    }
    Ok(())
}

/// The disk that a volume is made of.
fn without_volume(volumes: &Resources) -> Resources {
    let plain = |mut item: v1::Resource| {
        item.shared = None;
        item.disk = item.disk.and_then(|disk| {
            disk.source.map(|source| {
                Box::new(v1::resource::DiskInfo {
                    source: Some(source),
                    ..Default::default()
                })
            })
        });
        item
    };
    volumes.iter().cloned().map(plain).collect()
}

fn scalar(item: &v1::Resource) -> Scalar {
    Scalar::from_f64(item.scalar.map_or(0.0, |scalar| scalar.value))
}

fn with_scalar(mut item: v1::Resource, amount: Scalar) -> v1::Resource {
    item.scalar = Some(v1::value::Scalar {
        value: amount.as_f64(),
    });
    item
}

fn resized(volume: &Resources, by: Scalar) -> Resources {
    let resize = |item: &v1::Resource| with_scalar(item.clone(), scalar(item) + by);
    volume.iter().map(resize).collect()
}

#[cfg(test)]
mod tests;
