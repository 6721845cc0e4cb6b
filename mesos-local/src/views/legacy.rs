//! The endpoints from before the v1 API: `/state`, `/state-summary`, `/slaves`,
//! `/frameworks` and `/tasks`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use mesos_proto::json;
use mesos_sdk::v1;
use mesos_sdk::v1::master::response::get_agents::Agent;
use mesos_sdk::v1::master::response::get_frameworks::Framework;
use serde_json::{Map, Value, json};

use super::Snapshot;
use super::model;

/// `/state`: everything.
pub(crate) fn state(snapshot: &Snapshot) -> Value {
    let master = &snapshot.master;
    let version = &snapshot.version;
    let agents = snapshot.agents();
    let active = agents.iter().filter(|agent| agent.active).count();
    let mut object = json!({
        "version": version.version,
        "git_sha": version.git_sha(),
        "build_date": version.build_date(),
        "build_time": version.build_time(),
        "build_user": version.build_user(),
        "start_time": snapshot.start_time,
        "elected_time": snapshot.elected_time,
        "id": master.id,
        "pid": master.pid(),
        "hostname": master.hostname(),
        "capabilities": master_capabilities(master),
        "activated_slaves": active as f64,
        "deactivated_slaves": (agents.len() - active) as f64,
        "unreachable_slaves": snapshot.unreachable_agents as f64,
        "leader": master.pid(),
        "leader_info": {
            "id": master.id,
            "pid": master.pid(),
            "port": master.port,
            "hostname": master.hostname(),
        },
        "flags": snapshot.flags,
        "slaves": agents.iter().map(agent).collect::<Vec<_>>(),
        "recovered_slaves": recovered_agents(snapshot),
        "orphan_tasks": [],
    });
    if let Some(cluster) = &snapshot.cluster {
        object["cluster"] = json!(cluster);
    }
    if let Some(directory) = snapshot.flags.get("log_dir") {
        object["log_dir"] = json!(directory);
    }
    let Value::Object(frameworks) = frameworks(snapshot, None) else {
        return object;
    };
    for (name, value) in frameworks {
        object[name] = value;
    }
    object
}

fn master_capabilities(master: &v1::MasterInfo) -> Vec<&'static str> {
    master
        .capabilities
        .iter()
        .map(|capability| capability.r#type().as_str_name())
        .collect()
}

/// `/state-summary`: agents and frameworks with their tasks counted by state.
pub(crate) fn state_summary(snapshot: &Snapshot) -> Value {
    let by_agent = Summary::of(snapshot, |task| &task.agent_id.value);
    let by_framework = Summary::of(snapshot, |task| &task.framework_id.value);
    let none = Summary::default();
    let agents = snapshot.agents().iter().map(|agent_| {
        let mut object = agent(agent_);
        let summary = by_agent.get(agent_id(agent_)).unwrap_or(&none);
        summary.write(&mut object);
        object["framework_ids"] = json!(summary.frameworks);
        object
    });
    let frameworks = snapshot.frameworks().iter().map(|framework| {
        let mut object = framework_summary(framework);
        let summary = by_framework.get(framework_id(framework)).unwrap_or(&none);
        summary.write(&mut object);
        object["slave_ids"] = json!(summary.agents);
        object
    });
    let mut object = json!({
        "hostname": snapshot.master.hostname(),
        "slaves": agents.collect::<Vec<_>>(),
        "frameworks": frameworks.collect::<Vec<_>>(),
    });
    if let Some(cluster) = &snapshot.cluster {
        object["cluster"] = json!(cluster);
    }
    object
}

/// Tasks counted by state, and where they are.
#[derive(Default)]
struct Summary<'a> {
    states: BTreeMap<v1::TaskState, u64>,
    frameworks: BTreeSet<&'a str>,
    agents: BTreeSet<&'a str>,
}

impl<'a> Summary<'a> {
    fn of(
        snapshot: &'a Snapshot,
        key: impl Fn(&'a v1::Task) -> &'a str,
    ) -> BTreeMap<&'a str, Summary<'a>> {
        let mut summaries: BTreeMap<&str, Summary<'_>> = BTreeMap::new();
        for task in snapshot.all_tasks() {
            let summary = summaries.entry(key(task)).or_default();
            *summary.states.entry(task.state()).or_default() += 1;
            summary.frameworks.insert(&task.framework_id.value);
            summary.agents.insert(&task.agent_id.value);
        }
        summaries
    }

    fn write(&self, object: &mut Value) {
        use v1::TaskState;
        for state in [
            TaskState::TaskStaging,
            TaskState::TaskStarting,
            TaskState::TaskRunning,
            TaskState::TaskKilling,
            TaskState::TaskFinished,
            TaskState::TaskKilled,
            TaskState::TaskFailed,
            TaskState::TaskLost,
            TaskState::TaskError,
            TaskState::TaskUnreachable,
        ] {
            let count = self.states.get(&state).copied().unwrap_or_default();
            object[state.as_str_name()] = json!(count);
        }
    }
}

/// `/slaves`, all of them or one.
pub(crate) fn slaves(snapshot: &Snapshot, id: Option<&str>) -> Value {
    let wanted = |agent: &&Agent| id.is_none_or(|id| agent_id(agent) == id);
    let slaves = snapshot.agents().iter().filter(wanted).map(|agent_| {
        let mut object = agent(agent_);
        object["reserved_resources_full"] = by_reservation(&agent_.total_resources)
            .into_iter()
            .map(|(role, resources)| (role, messages(&resources)))
            .collect::<Map<_, _>>()
            .into();
        object["unreserved_resources_full"] = messages(&unreserved(&agent_.total_resources));
        object["used_resources_full"] = messages(&agent_.allocated_resources);
        object["offered_resources_full"] = messages(&agent_.offered_resources);
        object
    });
    json!({
        "slaves": slaves.collect::<Vec<_>>(),
        "recovered_slaves": recovered_agents(snapshot),
    })
}

fn recovered_agents(snapshot: &Snapshot) -> Vec<Value> {
    let recovered = snapshot.state.get_agents.as_ref();
    let recovered = recovered.map_or(&[][..], |get| &get.recovered_agents);
    let write = |info: &v1::AgentInfo| {
        json!({
            "id": info.id.as_ref().map_or("", |id| id.value.as_str()),
            "hostname": info.hostname,
            "port": info.port(),
            "attributes": model::attributes(&info.attributes),
            "resources": model::resources(&info.resources),
        })
    };
    recovered.iter().map(write).collect()
}

fn messages(resources: &[v1::Resource]) -> Value {
    resources.iter().map(json::to_value).collect()
}

fn agent_id(agent: &Agent) -> &str {
    agent.agent_info.id.as_ref().map_or("", |id| &id.value)
}

fn agent(agent: &Agent) -> Value {
    let info = &agent.agent_info;
    let reserved: Map<String, Value> = by_reservation(&agent.total_resources)
        .into_iter()
        .map(|(role, resources)| (role, model::resources(&resources)))
        .collect();
    let capabilities = agent.capabilities.iter();
    let mut object = json!({
        "id": agent_id(agent),
        "hostname": info.hostname,
        "port": info.port(),
        "attributes": model::attributes(&info.attributes),
        "pid": agent.pid(),
        "registered_time": model::seconds(agent.registered_time.as_ref()),
        "resources": model::resources(&agent.total_resources),
        "used_resources": model::resources(&agent.allocated_resources),
        "offered_resources": model::resources(&agent.offered_resources),
        "reserved_resources": reserved,
        "unreserved_resources": model::resources(&unreserved(&agent.total_resources)),
        "active": agent.active,
        "deactivated": agent.deactivated(),
        "version": agent.version,
        "capabilities": capabilities
            .map(|capability| capability.r#type().as_str_name())
            .collect::<Vec<_>>(),
    });
    if agent.reregistered_time.is_some() {
        object["reregistered_time"] = json!(model::seconds(agent.reregistered_time.as_ref()));
    }
    if let Some(domain) = &info.domain {
        object["domain"] = json::to_value(domain);
    }
    if let Some(drain) = &agent.drain_info {
        object["drain_info"] = json::to_value(drain);
    }
    object
}

/// The role a resource is reserved for, in either format; `None` when it is not.
pub(crate) fn reserved_role(resource: &v1::Resource) -> Option<&str> {
    match resource.reservations.last() {
        Some(reservation) => Some(reservation.role()),
        None => resource.role.as_deref().filter(|role| *role != "*"),
    }
}

fn unreserved(resources: &[v1::Resource]) -> Vec<v1::Resource> {
    let is_unreserved = |resource: &&v1::Resource| reserved_role(resource).is_none();
    resources.iter().filter(is_unreserved).cloned().collect()
}

fn by_reservation(resources: &[v1::Resource]) -> BTreeMap<String, Vec<v1::Resource>> {
    let mut roles: BTreeMap<String, Vec<v1::Resource>> = BTreeMap::new();
    for resource in resources {
        if let Some(role) = reserved_role(resource) {
            roles
                .entry(role.to_owned())
                .or_default()
                .push(resource.clone());
        }
    }
    roles
}

/// `/frameworks`, all of them or one.
pub(crate) fn frameworks(snapshot: &Snapshot, id: Option<&str>) -> Value {
    let write = |frameworks: &[Framework]| -> Vec<Value> {
        let wanted = |framework: &&Framework| id.is_none_or(|id| framework_id(framework) == id);
        frameworks
            .iter()
            .filter(wanted)
            .map(|one| framework(snapshot, one))
            .collect()
    };
    json!({
        "frameworks": write(snapshot.frameworks()),
        "completed_frameworks": write(snapshot.completed_frameworks()),
        "unregistered_frameworks": [],
    })
}

fn framework_id(framework: &Framework) -> &str {
    framework
        .framework_info
        .id
        .as_ref()
        .map_or("", |id| &id.value)
}

fn framework_summary(framework: &Framework) -> Value {
    let info = &framework.framework_info;
    let mut object = json!({
        "id": framework_id(framework),
        "name": info.name,
        "used_resources": model::resources(&framework.allocated_resources),
        "offered_resources": model::resources(&framework.offered_resources),
        "capabilities": info
            .capabilities
            .iter()
            .map(|capability| capability.r#type().as_str_name())
            .collect::<Vec<_>>(),
        "hostname": info.hostname(),
        "webui_url": info.webui_url(),
        "active": framework.active,
        "connected": framework.connected,
        "recovered": framework.recovered,
    });
    if let Some(pid) = &info.principal {
        object["principal"] = json!(pid);
    }
    object
}

fn framework(snapshot: &Snapshot, framework: &Framework) -> Value {
    let info = &framework.framework_info;
    let id = framework_id(framework);
    let tasks = |tasks: &[v1::Task]| -> Vec<Value> {
        let own = tasks.iter().filter(|task| task.framework_id.value == id);
        own.map(model::task).collect()
    };
    let executors = snapshot.executors().iter().filter(|executor| {
        let owner = executor.executor_info.framework_id.as_ref();
        owner.is_some_and(|owner| owner.value == id)
    });
    let held: Vec<v1::Resource> = framework
        .allocated_resources
        .iter()
        .chain(&framework.offered_resources)
        .cloned()
        .collect();
    let mut object = framework_summary(framework);
    let rest = json!({
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "registered_time": model::seconds(framework.registered_time.as_ref()),
        "unregistered_time": model::seconds(framework.unregistered_time.as_ref()),
        "resources": model::resources(&held),
        "tasks": tasks(snapshot.active_tasks()),
        "unreachable_tasks": tasks(snapshot.unreachable_tasks()),
        "completed_tasks": tasks(snapshot.completed_tasks()),
        "offers": framework.offers.iter().map(model::offer).collect::<Vec<_>>(),
        "executors": executors.map(model::executor).collect::<Vec<_>>(),
    });
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    // A framework registers again when it does so later than the first time.
    if framework.reregistered_time != framework.registered_time {
        object["reregistered_time"] = json!(model::seconds(framework.reregistered_time.as_ref()));
    }
    if info.roles.is_empty() {
        let role = info.role();
        object["role"] = json!(role);
    } else {
        object["roles"] = json!(info.roles);
    }
    if let Some(constraints) = &framework.offer_constraints {
        object["offer_constraints"] = json::to_value(constraints);
    }
    if let Some(labels) = &info.labels {
        object["labels"] = json::to_value(labels)["labels"].take();
    }
    object
}

/// What `/tasks` is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TasksQuery {
    /// How many; 100 when nothing that is a number is said.
    pub(crate) limit: Option<usize>,
    /// After how many.
    pub(crate) offset: usize,
    /// The oldest first.
    pub(crate) is_ascending: bool,
    /// Of this framework alone.
    pub(crate) framework_id: Option<String>,
    /// This task alone.
    pub(crate) task_id: Option<String>,
}

/// `/tasks`: a page of tasks, the latest first unless asked otherwise.
pub(crate) fn tasks(snapshot: &Snapshot, query: &TasksQuery) -> Value {
    let wanted = |task: &&v1::Task| {
        let framework = query.framework_id.as_ref();
        let id = query.task_id.as_ref();
        framework.is_none_or(|framework| task.framework_id.value == *framework)
            && id.is_none_or(|id| task.task_id.value == *id)
    };
    let mut tasks: Vec<&v1::Task> = snapshot.all_tasks().filter(wanted).collect();
    tasks.sort_by(|left, right| {
        let order = match (first_told(left), first_told(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
        };
        if query.is_ascending {
            order
        } else {
            order.reverse()
        }
    });
    let page = tasks
        .into_iter()
        .skip(query.offset)
        .take(query.limit.unwrap_or(100));
    json!({ "tasks": page.map(model::task).collect::<Vec<_>>() })
}

/// When the first status of a task was made.
fn first_told(task: &v1::Task) -> Option<f64> {
    task.statuses.first().map(v1::TaskStatus::timestamp)
}
