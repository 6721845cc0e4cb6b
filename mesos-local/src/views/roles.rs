//! `/roles`: who holds what under which role.

use std::collections::BTreeMap;

use mesos_sdk::v1;
use serde_json::{Value, json};

use super::Snapshot;
use super::model::quantities;

/// `/roles`.
pub(crate) fn roles(snapshot: &Snapshot) -> Value {
    let agents = snapshot.agents();
    let allocated = by_allocation(agents.iter().flat_map(|agent| &agent.allocated_resources));
    let offered = by_allocation(agents.iter().flat_map(|agent| &agent.offered_resources));
    let none = Vec::new();
    let of = |map: &BTreeMap<String, Vec<v1::Resource>>, role: &str| {
        quantities(map.get(role).unwrap_or(&none))
    };
    let roles = snapshot.roles.iter().map(|role| {
        let name = role.name.as_str();
        let frameworks: Vec<&str> = role.frameworks.iter().map(|id| id.value.as_str()).collect();
        let reserved: Vec<v1::Resource> = agents
            .iter()
            .flat_map(|agent| &agent.total_resources)
            .filter(|resource| super::legacy::reserved_role(resource) == Some(name))
            .cloned()
            .collect();
        json!({
            "name": name,
            "weight": role.weight,
            "quota": {
                "role": name,
                "guarantee": {},
                "limit": {},
                "consumed": of(&allocated, name),
            },
            "resources": quantities(&role.resources),
            "allocated": of(&allocated, name),
            "offered": of(&offered, name),
            "reserved": quantities(&reserved),
            "frameworks": frameworks,
        })
    });
    json!({ "roles": roles.collect::<Vec<_>>() })
}

fn by_allocation<'a>(
    resources: impl Iterator<Item = &'a v1::Resource>,
) -> BTreeMap<String, Vec<v1::Resource>> {
    let mut roles: BTreeMap<String, Vec<v1::Resource>> = BTreeMap::new();
    for resource in resources {
        let allocation = resource.allocation_info.as_ref();
        if let Some(role) = allocation.and_then(|allocation| allocation.role.clone()) {
            roles.entry(role).or_default().push(resource.clone());
        }
    }
    roles
}
