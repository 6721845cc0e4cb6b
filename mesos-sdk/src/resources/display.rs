//! Prints resources as Mesos prints them in messages and logs.

use std::fmt;

use mesos_proto::v1;

use super::{Ranges, Resources, Scalar, allocation_role};

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (index, resource) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{}", Printed(resource))?;
        }
        Ok(())
    }
}

/// One resource, printed as Mesos prints it:
/// `disk(allocated: db)(reservations: [(DYNAMIC,db,alice)])[v1:data]:64`.
#[derive(Debug)]
pub(super) struct Printed<'a>(pub &'a v1::Resource);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.0;
        f.write_str(&resource.name)?;
        if resource.allocation_info.is_some() {
            write!(
                f,
                "(allocated: {})",
                allocation_role(resource).unwrap_or_default()
            )?;
        }
        if !resource.reservations.is_empty() {
            f.write_str("(reservations: [")?;
            for (index, reservation) in resource.reservations.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                f.write_str(comma)?;
                print_reservation(f, reservation)?;
            }
            f.write_str("])")?;
        }
        if let Some(disk) = &resource.disk {
            f.write_str("[")?;
            print_disk(f, disk)?;
            f.write_str("]")?;
        }
        if resource.revocable.is_some() {
            f.write_str("{REV}")?;
        }
        if resource.shared.is_some() {
            f.write_str("<SHARED>")?;
        }
        f.write_str(":")?;
        print_value(f, resource)
    }
}

fn print_value(f: &mut fmt::Formatter<'_>, resource: &v1::Resource) -> fmt::Result {
    if let Some(scalar) = &resource.scalar {
        // Not through `Scalar`: a value that is refused is shown as it came.
        let exact = Scalar::from_f64(scalar.value);
        if exact.is_zero() && scalar.value != 0.0 {
            return write!(f, "{}", scalar.value);
        }
        return write!(f, "{exact}");
    }
    if let Some(ranges) = &resource.ranges {
        return write!(f, "{}", Ranges::from(ranges));
    }
    let items = resource.set.as_ref().map_or(&[][..], |set| &set.item);
    write!(f, "{{{}}}", items.join(", "))
}

fn print_reservation(
    f: &mut fmt::Formatter<'_>,
    reservation: &v1::resource::ReservationInfo,
) -> fmt::Result {
    let kind = reservation.r#type().as_str_name();
    write!(
        f,
        "({kind},{}",
        reservation.role.as_deref().unwrap_or_default()
    )?;
    if let Some(principal) = &reservation.principal {
        write!(f, ",{principal}")?;
    }
    if let Some(labels) = &reservation.labels {
        f.write_str(",{")?;
        for (index, label) in labels.labels.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", label.key)?;
            if let Some(value) = &label.value {
                write!(f, ": {value}")?;
            }
        }
        f.write_str("}")?;
    }
    f.write_str(")")
}

fn print_disk(f: &mut fmt::Formatter<'_>, disk: &v1::resource::DiskInfo) -> fmt::Result {
    if let Some(source) = &disk.source {
        print_source(f, source)?;
    }
    if let Some(persistence) = &disk.persistence {
        let comma = if disk.source.is_some() { "," } else { "" };
        write!(f, "{comma}{}", persistence.id)?;
    }
    if let Some(volume) = &disk.volume {
        f.write_str(":")?;
        match &volume.host_path {
            Some(host_path) => {
                let mode = match volume.mode() {
                    v1::volume::Mode::Rw => ":rw",
                    v1::volume::Mode::Ro => ":ro",
                };
                write!(f, "{host_path}:{}{mode}", volume.container_path)?;
            }
            None => f.write_str(&volume.container_path)?,
        }
    }
    Ok(())
}

fn print_source(
    f: &mut fmt::Formatter<'_>,
    source: &v1::resource::disk_info::Source,
) -> fmt::Result {
    use v1::resource::disk_info::source::Type;
    f.write_str(source.r#type().as_str_name())?;
    if source.id.is_some() || source.profile.is_some() {
        return write!(
            f,
            "({},{},{})",
            source.vendor.as_deref().unwrap_or_default(),
            source.id.as_deref().unwrap_or_default(),
            source.profile.as_deref().unwrap_or_default(),
        );
    }
    let root = match source.r#type() {
        Type::Mount => source.mount.as_ref().and_then(|m| m.root.as_deref()),
        Type::Path => source.path.as_ref().and_then(|p| p.root.as_deref()),
        _ => None,
    };
    root.map_or(Ok(()), |root| write!(f, ":{root}"))
}
