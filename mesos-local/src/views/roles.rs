//! `/roles` and GET_ROLES: who holds what under which role.

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::resources::allocation_role;
use mesos_sdk::v1;
use serde_json::{Value, json};

use super::Snapshot;
use super::legacy::reserved_role;
use super::model::quantities;
use crate::security::Action;

/// One role that somebody uses.
struct Role<'a> {
    frameworks: BTreeSet<&'a str>,
    allocated: Vec<v1::Resource>,
    offered: Vec<v1::Resource>,
    reserved: Vec<v1::Resource>,
    weight: Option<f64>,
    quota: Option<&'a v1::quota::QuotaConfig>,
}

impl Role<'_> {
    /// What counts against the role: all that is allocated, offered or
    /// reserved, nothing twice.
    fn resources(&self) -> BTreeMap<String, f64> {
        let held = self.allocated.iter().chain(&self.offered);
        let is_unreserved = |resource: &&v1::Resource| reserved_role(resource).is_none();
        let all: Vec<v1::Resource> = held
            .filter(is_unreserved)
            .chain(&self.reserved)
            .cloned()
            .collect();
        quantities(&all)
    }

    /// What is charged to its quota: what is allocated, and what is reserved.
    fn consumed(&self) -> BTreeMap<String, f64> {
        let is_unreserved = |resource: &&v1::Resource| reserved_role(resource).is_none();
        let held = self.allocated.iter().filter(is_unreserved);
        let all: Vec<v1::Resource> = held.chain(&self.reserved).cloned().collect();
        quantities(&all)
    }

    fn weight(&self) -> f64 {
        self.weight.unwrap_or(1.0)
    }
}

fn amounts<'a>(
    scalars: Option<impl IntoIterator<Item = (&'a String, &'a v1::value::Scalar)>>,
) -> BTreeMap<&'a str, f64> {
    let amounts = scalars.into_iter().flatten();
    amounts
        .map(|(name, scalar)| (name.as_str(), scalar.value))
        .collect()
}

fn roles_of(snapshot: &Snapshot) -> BTreeMap<&str, Role<'_>> {
    let mut roles: BTreeMap<&str, Role<'_>> = BTreeMap::new();
    for framework in snapshot.frameworks() {
        let info = &framework.framework_info;
        let names: Vec<&str> = if info.roles.is_empty() {
            vec![info.role.as_deref().unwrap_or("*")]
        } else {
            info.roles.iter().map(String::as_str).collect()
        };
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        for name in names {
            role(&mut roles, name).frameworks.insert(id);
        }
    }
    let operator = &snapshot.operator;
    for config in &operator.quota.configs {
        role(&mut roles, &config.role).quota = Some(config);
    }
    for info in &operator.weights {
        role(&mut roles, info.role()).weight = Some(info.weight);
    }
    for agent in snapshot.agents() {
        for resource in &agent.allocated_resources {
            if let Some(name) = allocation_role(resource) {
                role(&mut roles, name).allocated.push(resource.clone());
            }
        }
        for resource in &agent.offered_resources {
            if let Some(name) = allocation_role(resource) {
                role(&mut roles, name).offered.push(resource.clone());
            }
        }
        for resource in &agent.total_resources {
            if let Some(name) = reserved_role(resource) {
                role(&mut roles, name).reserved.push(resource.clone());
            }
        }
    }
    roles.retain(|name, _| snapshot.viewer.may(Action::ViewRoles, Some(name)));
    roles
}

fn role<'a, 'b>(roles: &'b mut BTreeMap<&'a str, Role<'a>>, name: &'a str) -> &'b mut Role<'a> {
    roles.entry(name).or_insert_with(|| Role {
        frameworks: BTreeSet::new(),
        allocated: Vec::new(),
        offered: Vec::new(),
        reserved: Vec::new(),
        weight: None,
        quota: None,
    })
}

/// `/roles`.
pub(crate) fn roles(snapshot: &Snapshot) -> Value {
    let roles = roles_of(snapshot);
    let write = |(name, role): (&&str, &Role<'_>)| {
        json!({
            "name": name,
            "weight": role.weight(),
            "quota": {
                "role": name,
                "guarantee": amounts(role.quota.map(|quota| &quota.guarantees)),
                "limit": amounts(role.quota.map(|quota| &quota.limits)),
                "consumed": role.consumed(),
            },
            "resources": role.resources(),
            "allocated": quantities(&role.allocated),
            "offered": quantities(&role.offered),
            "reserved": quantities(&role.reserved),
            "frameworks": role.frameworks,
        })
    };
    json!({ "roles": roles.iter().map(write).collect::<Vec<_>>() })
}

/// What GET_ROLES answers.
pub(crate) fn role_messages(snapshot: &Snapshot) -> Vec<v1::Role> {
    let write = |(name, role): (&str, Role<'_>)| v1::Role {
        name: name.to_owned(),
        weight: role.weight(),
        frameworks: role
            .frameworks
            .iter()
            .map(|id| mesos_sdk::ids::framework_id(*id))
            .collect(),
        resources: role
            .resources()
            .into_iter()
            .map(|(name, value)| v1::Resource {
                name,
                r#type: v1::value::Type::Scalar as i32,
                scalar: Some(v1::value::Scalar { value }),
                ..Default::default()
            })
            .collect(),
    };
    roles_of(snapshot).into_iter().map(write).collect()
}
