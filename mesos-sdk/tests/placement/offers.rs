//! Offers to place things on.

use mesos_sdk::resources::Resources;
use mesos_sdk::{attributes, ids, v1};

/// An offer of the agent `S<n>` on `agent-<n>` in role `*`.
pub(crate) fn offer(n: usize, resources: &str) -> v1::Offer {
    offer_in_role(n, resources, "*")
}

pub(crate) fn offer_in_role(n: usize, resources: &str, role: &str) -> v1::Offer {
    let resources = Resources::parse(resources, "*").expect("the test knows it");
    v1::Offer {
        id: ids::offer_id(format!("O{n}")),
        framework_id: ids::framework_id("F"),
        agent_id: ids::agent_id(format!("S{n}")),
        hostname: format!("agent-{n}"),
        resources: resources.allocate(role).into_vec(),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some(role.to_owned()),
        }),
        ..Default::default()
    }
}

/// Adds attributes, as `rack:r1;level:10`.
pub(crate) fn with_attributes(mut offer: v1::Offer, text: &str) -> v1::Offer {
    offer.attributes = attributes::parse(text).expect("the test knows it");
    offer
}

/// Puts the agent into a fault domain.
pub(crate) fn in_zone(mut offer: v1::Offer, region: &str, zone: &str) -> v1::Offer {
    offer.domain = Some(v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo {
                name: region.to_owned(),
            },
            zone: v1::domain_info::fault_domain::ZoneInfo {
                name: zone.to_owned(),
            },
        }),
    });
    offer
}

/// A reservation: static, or dynamic with labels.
pub(crate) fn reservation(
    role: &str,
    labels: Option<&[(&str, &str)]>,
) -> v1::resource::ReservationInfo {
    use v1::resource::reservation_info::Type;
    let kind = if labels.is_some() {
        Type::Dynamic
    } else {
        Type::Static
    };
    let labels = labels.filter(|labels| !labels.is_empty()).map(|labels| {
        let labels = labels.iter().map(|(key, value)| v1::Label {
            key: (*key).to_owned(),
            value: Some((*value).to_owned()),
        });
        v1::Labels {
            labels: labels.collect(),
        }
    });
    v1::resource::ReservationInfo {
        r#type: Some(kind as i32),
        role: Some(role.to_owned()),
        labels,
        ..Default::default()
    }
}

/// Adds reserved resources; the last reservation is on top.
pub(crate) fn with_reserved(
    mut offer: v1::Offer,
    resources: &str,
    stack: &[v1::resource::ReservationInfo],
) -> v1::Offer {
    let role = offer
        .allocation_info
        .as_ref()
        .expect("the test knows it")
        .role()
        .to_owned();
    let mut resources = Resources::parse(resources, "*").expect("the test knows it");
    for reservation in stack {
        resources = resources.push_reservation(reservation);
    }
    offer.resources.extend(resources.allocate(&role));
    offer
}
