//! Resources, attributes, tasks, executors and offers as the older endpoints
//! write them.

use std::collections::BTreeMap;

use mesos_proto::json;
use mesos_sdk::resources::{Ranges, Resources, Scalar};
use mesos_sdk::v1;
use serde_json::{Map, Value, json};

/// The sums of resources by name: numbers, and ranges and sets as text. The
/// four usual ones are always there; revocable ones have names of their own.
pub(crate) fn resources(resources: &[v1::Resource]) -> Value {
    let mut object = Map::new();
    for name in ["cpus", "gpus", "mem", "disk"] {
        object.insert(name.to_owned(), json!(0.0));
    }
    let mut by_name: BTreeMap<String, Vec<v1::Resource>> = BTreeMap::new();
    for resource in resources {
        let suffix = if resource.revocable.is_some() {
            "_revocable"
        } else {
            ""
        };
        by_name
            .entry(format!("{}{suffix}", resource.name))
            .or_default()
            .push(resource.clone());
    }
    for (name, same) in by_name {
        object.insert(name, sum(&same));
    }
    Value::Object(object)
}

/// The sum of resources of one name.
fn sum(same: &[v1::Resource]) -> Value {
    match same[0].r#type() {
        v1::value::Type::Scalar => {
            let sum = Resources::from(same.to_vec()).scalar(&same[0].name);
            json!(sum.map_or(0.0, Scalar::as_f64))
        }
        v1::value::Type::Ranges => {
            let ranges = same.iter().filter_map(|resource| resource.ranges.as_ref());
            json!(ranges_text(ranges))
        }
        _ => {
            let items = same.iter().filter_map(|resource| resource.set.as_ref());
            let items: Vec<&str> = items
                .flat_map(|set| &set.item)
                .map(String::as_str)
                .collect();
            json!(format!("{{{}}}", items.join(", ")))
        }
    }
}

fn ranges_text<'a>(ranges: impl Iterator<Item = &'a v1::value::Ranges>) -> String {
    let all: Ranges = ranges
        .flat_map(|ranges| &ranges.range)
        .map(|range| (range.begin, range.end))
        .collect();
    all.to_string()
}

/// Quantities alone, without those that are zero.
pub(super) fn quantities(resources: &[v1::Resource]) -> BTreeMap<String, f64> {
    Resources::from(resources)
        .quantities()
        .into_iter()
        .map(|(name, quantity)| (name, quantity.as_f64()))
        .filter(|(_, quantity)| *quantity > 0.0)
        .collect()
}

/// Attributes by name, of several of one name the last.
pub(crate) fn attributes(attributes: &[v1::Attribute]) -> Value {
    let value = |attribute: &v1::Attribute| match attribute.r#type() {
        v1::value::Type::Scalar => attribute.scalar.as_ref().map(|scalar| json!(scalar.value)),
        v1::value::Type::Ranges => attribute
            .ranges
            .as_ref()
            .map(|ranges| json!(ranges_text(std::iter::once(ranges)))),
        v1::value::Type::Set => attribute
            .set
            .as_ref()
            .map(|set| json!(format!("{{{}}}", set.item.join(", ")))),
        v1::value::Type::Text => attribute.text.as_ref().map(|text| json!(text.value)),
    };
    attributes
        .iter()
        .filter_map(|attribute| Some((attribute.name.clone(), value(attribute)?)))
        .collect::<Map<_, _>>()
        .into()
}

/// The role that resources are allocated to.
pub(crate) fn role(resources: &[v1::Resource]) -> Option<&str> {
    resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
}

pub(crate) fn task(task: &v1::Task) -> Value {
    let mut object = json!({
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.as_ref().map_or("", |id| id.value.as_str()),
        "slave_id": task.agent_id.value,
        "state": task.state().as_str_name(),
        "resources": resources(&task.resources),
        "statuses": task.statuses.iter().map(status).collect::<Vec<_>>(),
    });
    if let Some(role) = role(&task.resources) {
        object["role"] = json!(role);
    }
    if let Some(user) = &task.user {
        object["user"] = json!(user);
    }
    if let Some(labels) = &task.labels {
        object["labels"] = json::to_value(labels)["labels"].take();
    }
    if let Some(discovery) = &task.discovery {
        object["discovery"] = json::to_value(discovery);
    }
    if let Some(container) = &task.container {
        object["container"] = json::to_value(container);
    }
    if let Some(health_check) = &task.health_check {
        object["health_check"] = json::to_value(health_check);
    }
    object
}

fn status(status: &v1::TaskStatus) -> Value {
    let mut object = json!({ "state": status.state().as_str_name() });
    if let Some(timestamp) = status.timestamp {
        object["timestamp"] = json!(timestamp);
    }
    if let Some(labels) = &status.labels {
        object["labels"] = json::to_value(labels)["labels"].take();
    }
    if let Some(container) = &status.container_status {
        object["container_status"] = json::to_value(&v1::ContainerStatus {
            container_id: container.container_id.clone(),
            network_infos: container.network_infos.clone(),
            ..Default::default()
        });
    }
    if let Some(healthy) = status.healthy {
        object["healthy"] = json!(healthy);
    }
    object
}

pub(super) fn executor(executor: &v1::master::response::get_executors::Executor) -> Value {
    let info = &executor.executor_info;
    let mut object = json!({
        "executor_id": info.executor_id.value,
        "name": info.name(),
        "framework_id": info.framework_id.as_ref().map_or("", |id| id.value.as_str()),
        "command": command(info.command.as_ref()),
        "resources": resources(&info.resources),
        "slave_id": executor.agent_id.value,
    });
    if let Some(role) = role(&info.resources) {
        object["role"] = json!(role);
    }
    if info.r#type.is_some() {
        object["type"] = json!(info.r#type().as_str_name());
    }
    if let Some(labels) = &info.labels {
        object["labels"] = json::to_value(labels)["labels"].take();
    }
    object
}

fn command(command: Option<&v1::CommandInfo>) -> Value {
    let mut object = json!({ "argv": [], "uris": [] });
    let Some(command) = command else {
        return object;
    };
    if command.shell.is_some() {
        object["shell"] = json!(command.shell());
    }
    if let Some(value) = &command.value {
        object["value"] = json!(value);
    }
    object["argv"] = json!(command.arguments);
    if let Some(environment) = &command.environment {
        object["environment"] = json::to_value(environment);
    }
    object["uris"] = command
        .uris
        .iter()
        .map(|uri| json!({ "value": uri.value, "executable": uri.executable() }))
        .collect();
    object
}

pub(super) fn offer(offer: &v1::Offer) -> Value {
    let mut object = json!({
        "id": offer.id.value,
        "framework_id": offer.framework_id.value,
        "slave_id": offer.agent_id.value,
        "resources": resources(&offer.resources),
    });
    if let Some(allocation) = &offer.allocation_info {
        object["allocation_info"] = json::to_value(allocation);
    }
    object
}

/// Seconds since the epoch.
pub(super) fn seconds(time: Option<&v1::TimeInfo>) -> f64 {
    time.map_or(0.0, |time| time.nanoseconds as f64 / 1e9)
}
