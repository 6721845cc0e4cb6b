//! `/state`, `/containers` and `/monitor/statistics` of an agent.

use std::collections::BTreeMap;

use mesos_proto::json;
use mesos_sdk::v1;
use serde_json::{Map, Value, json};

use super::{Container, flags};
use crate::agent::Agent;
use crate::agent::executor::{Executor, Phase, Stage};
use crate::agent::framework::Framework;
use crate::views::legacy::reserved_role;
use crate::views::model::{attributes, resources, role, task};

/// What an agent of Mesos 1.12 can do.
const CAPABILITIES: [&str; 8] = [
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
];

pub(crate) fn state(agent: &Agent, version: &v1::VersionInfo) -> Value {
    let config = &agent.config;
    let used: Vec<v1::Resource> = agent.all_active().flat_map(allocation).collect();
    let total = agent.total_resources().into_vec();
    let (reserved, unreserved) = by_role(&total);
    let (reserved_used, unreserved_used) = by_role(&used);
    let host = config.master.rsplit_once(':');
    let mut object = json!({
        "version": version.version,
        "git_sha": version.git_sha,
        "build_date": version.build_date,
        "build_time": version.build_time,
        "build_user": version.build_user,
        "start_time": agent.started.as_secs_f64(),
        "pid": config.pid(),
        "hostname": config.hostname,
        "capabilities": CAPABILITIES,
        "resources": resources(&total),
        "reserved_resources": sums(&reserved),
        "unreserved_resources": resources(&unreserved),
        "reserved_resources_full": full_by_role(&reserved),
        "unreserved_resources_full": unreserved.iter().map(full).collect::<Vec<_>>(),
        "reserved_resources_allocated": sums(&reserved_used),
        "unreserved_resources_allocated": resources(&unreserved_used),
        "resource_providers": [],
        "attributes": attributes(&config.attributes),
        "master_hostname": host.map_or(config.master.as_str(), |(host, _)| host),
        "flags": flags(agent).into_iter().map(|(name, value)| (name, json!(value))).collect::<Map<_, _>>(),
        "frameworks": agent.frameworks.values().map(framework).collect::<Vec<_>>(),
        "completed_frameworks": agent.completed_frameworks.iter().map(framework).collect::<Vec<_>>(),
    });
    if let Some(id) = &agent.id {
        object["id"] = json!(id.value);
    }
    if let Some(domain) = &config.domain {
        object["domain"] = json::to_value(domain);
    }
    object
}

/// What an executor and its task hold.
fn allocation(executor: &Executor) -> Vec<v1::Resource> {
    if executor.phase == Phase::Terminated {
        return Vec::new();
    }
    let own = executor.info.resources.iter();
    own.chain(executor.held()).cloned().collect()
}

type ByRole = BTreeMap<String, Vec<v1::Resource>>;

/// Resources reserved for roles, and those that are not.
fn by_role(all: &[v1::Resource]) -> (ByRole, Vec<v1::Resource>) {
    let mut reserved = ByRole::new();
    let mut unreserved = Vec::new();
    for resource in all {
        match reserved_role(resource) {
            Some(role) => reserved
                .entry(role.to_owned())
                .or_default()
                .push(resource.clone()),
            None => unreserved.push(resource.clone()),
        }
    }
    (reserved, unreserved)
}

fn sums(reserved: &ByRole) -> Value {
    reserved
        .iter()
        .map(|(role, held)| (role.clone(), resources(held)))
        .collect::<Map<_, _>>()
        .into()
}

fn full_by_role(reserved: &ByRole) -> Value {
    reserved
        .iter()
        .map(|(role, held)| (role.clone(), held.iter().map(full).collect()))
        .collect::<Map<_, _>>()
        .into()
}

/// A resource as a message, with the role that old readers look for.
fn full(resource: &v1::Resource) -> Value {
    let mut object = json::to_value(resource);
    object["role"] = json!(reserved_role(resource).unwrap_or("*"));
    object
}

fn framework(framework: &Framework) -> Value {
    let info = &framework.info;
    let mut object = json!({
        "id": info.id.as_ref().map_or("", |id| id.value.as_str()),
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
        "executors": framework.executors.values().map(|it| active_executor(it)).collect::<Vec<_>>(),
        "completed_executors": framework.completed.iter().map(|it| completed_executor(it)).collect::<Vec<_>>(),
    });
    if let Some(principal) = &info.principal {
        object["principal"] = json!(principal);
    }
    let is_multi_role = framework.has_capability(v1::framework_info::capability::Type::MultiRole);
    if is_multi_role {
        object["roles"] = json!(info.roles);
    } else {
        object["role"] = json!(info.role());
    }
    object
}

fn active_executor(executor: &Executor) -> Value {
    let own = executor.info.resources.iter();
    let held: Vec<_> = own.chain(executor.held()).cloned().collect();
    show_executor(executor, &held)
}

fn completed_executor(executor: &Executor) -> Value {
    show_executor(executor, &executor.info.resources)
}

fn show_executor(executor: &Executor, held: &[v1::Resource]) -> Value {
    let records = |stage: Stage| {
        let tasks = executor.tasks.values();
        let of_stage = tasks.filter(move |task| task.stage == stage);
        of_stage.map(|task| &*task.record)
    };
    let tasks: Vec<Value> = records(Stage::Launched).map(task).collect();
    let queued: Vec<Value> = records(Stage::Queued).map(queued_task).collect();
    // What has ended is shown as completed, acknowledged or not.
    let ended = executor.completed_tasks.iter().map(Box::as_ref);
    let ended = ended.chain(records(Stage::Terminated));
    let completed: Vec<Value> = ended.map(task).collect();
    let info = &executor.info;
    let mut object = json!({
        "id": info.executor_id.value,
        "name": info.name(),
        "source": executor.source(),
        "container": executor.container.as_str(),
        "directory": executor.directory.to_string_lossy(),
        "resources": resources(held),
        "tasks": tasks,
        "queued_tasks": queued,
        "completed_tasks": completed,
    });
    if info.r#type() != v1::executor_info::Type::Unknown {
        object["type"] = json!(info.r#type().as_str_name());
    }
    if let Some(role) = role(&info.resources) {
        object["role"] = json!(role);
    }
    if let Some(labels) = &info.labels {
        object["labels"] = json::to_value(labels)["labels"].take();
    }
    object
}

/// A task that its executor does not have yet has no state and no history.
fn queued_task(record: &v1::Task) -> Value {
    let mut object = task(record);
    if let Some(object) = object.as_object_mut() {
        object.remove("state");
        object.remove("statuses");
    }
    object
}

pub(crate) fn containers_json(containers: &[Container]) -> Value {
    let show = |container: &Container| {
        let mut object = statistics(container);
        object["container_id"] = json!(container.message.container_id.value);
        if let Some(status) = &container.message.container_status {
            object["status"] = json::to_value(status);
        }
        object
    };
    containers.iter().map(show).collect()
}

pub(crate) fn statistics_json(containers: &[Container]) -> Value {
    containers.iter().map(statistics).collect()
}

fn statistics(container: &Container) -> Value {
    let message = &container.message;
    let id = |value: Option<&String>| json!(value.map_or("", String::as_str));
    let mut object = json!({
        "executor_id": id(message.executor_id.as_ref().map(|id| &id.value)),
        "executor_name": message.executor_name(),
        "framework_id": id(message.framework_id.as_ref().map(|id| &id.value)),
        "source": container.source,
    });
    if let Some(statistics) = &message.resource_statistics {
        object["statistics"] = json::to_value(statistics);
    }
    object
}
