//! What an agent shows of itself: pure functions from the model to the messages
//! of the operator API and the JSON of the older endpoints.

mod flags;
mod legacy;
mod metrics;

use mesos_sdk::v1;
use v1::agent::response::{
    GetAgent, GetContainers, GetExecutors, GetFrameworks, GetState, GetTasks, get_containers,
    get_executors, get_frameworks,
};

pub(crate) use flags::flags;
pub(crate) use legacy::state;
pub(crate) use metrics::metrics;

use crate::agent::executor::{Executor, Kind, Phase, Stage};
use crate::agent::framework::Framework;
use crate::agent::task_run::TaskRun;
use crate::agent::{Agent, ContainerKey, Usage};
use crate::time::Timestamp;

const MIB: f64 = 1024.0 * 1024.0;

/// A container and what says how much it uses.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) message: get_containers::Container,
    pub(crate) source: String,
    pub(crate) pid: Option<u32>,
}

/// Operations that are not over, or whose end nobody has acknowledged.
pub(crate) fn operations(agent: &Agent) -> Vec<v1::Operation> {
    agent.operations.all()
}

impl Agent {
    /// Frameworks that have executors here, then those that had.
    fn all_frameworks(&self) -> impl Iterator<Item = &Framework> {
        self.frameworks.values().chain(&self.completed_frameworks)
    }

    fn all_completed(&self) -> impl Iterator<Item = &Executor> {
        self.all_frameworks()
            .flat_map(|framework| &framework.completed)
            .map(Box::as_ref)
    }

    fn all_active(&self) -> impl Iterator<Item = &Executor> {
        self.frameworks
            .values()
            .flat_map(|framework| framework.executors.values())
            .map(Box::as_ref)
    }
}

pub(crate) fn get_state(agent: &Agent) -> GetState {
    GetState {
        get_tasks: Some(get_tasks(agent)),
        get_executors: Some(get_executors(agent)),
        get_frameworks: Some(get_frameworks(agent)),
    }
}

pub(crate) fn get_tasks(agent: &Agent) -> GetTasks {
    let mut tasks = GetTasks::default();
    for task in agent
        .all_active()
        .flat_map(|executor| executor.tasks.values())
    {
        let list = match task.stage {
            Stage::Queued => &mut tasks.queued_tasks,
            Stage::Launched => &mut tasks.launched_tasks,
            Stage::Terminated => &mut tasks.terminated_tasks,
        };
        list.push((*task.record).clone());
    }
    let refused = agent.frameworks.values().flat_map(|f| f.refused.values());
    tasks.terminated_tasks.extend(refused.cloned());
    let completed = agent
        .all_completed()
        .chain(agent.all_active())
        .flat_map(|executor| &executor.completed_tasks);
    let completed = completed.map(|task| (**task).clone());
    tasks.completed_tasks.extend(completed);
    tasks
}

pub(crate) fn get_executors(agent: &Agent) -> GetExecutors {
    let show = |executor: &Executor| get_executors::Executor {
        executor_info: executor.info.clone(),
    };
    GetExecutors {
        executors: agent.all_active().map(show).collect(),
        completed_executors: agent.all_completed().map(show).collect(),
    }
}

pub(crate) fn get_frameworks(agent: &Agent) -> GetFrameworks {
    let show = |framework: &Framework| get_frameworks::Framework {
        framework_info: framework.info.clone(),
    };
    GetFrameworks {
        frameworks: agent.frameworks.values().map(show).collect(),
        completed_frameworks: agent.completed_frameworks.iter().map(show).collect(),
    }
}

pub(crate) fn get_agent(agent: &Agent) -> GetAgent {
    GetAgent {
        agent_info: Some(agent.info()),
        ..Default::default()
    }
}

/// The containers in which something runs, without what they use; those inside
/// of others only when they are asked for.
pub(crate) fn containers(agent: &Agent, with_nested: bool) -> Vec<Container> {
    let mut containers = Vec::new();
    let running = agent
        .all_active()
        .filter(|executor| executor.phase == Phase::Running);
    for executor in running {
        containers.push(of_executor(executor));
        if let (true, Kind::Default(pod)) = (with_nested, &executor.kind) {
            let runs = pod.runs().filter(|run| run.phase == Phase::Running);
            containers.extend(runs.map(of_run));
        }
    }
    if with_nested {
        let named = agent.nested.running();
        containers.extend(named.map(|(key, pid)| of_named(key, pid)));
    }
    containers
}

fn of_executor(executor: &Executor) -> Container {
    let held = executor.info.resources.iter().chain(executor.held());
    Container {
        message: get_containers::Container {
            framework_id: executor.info.framework_id.clone(),
            executor_id: Some(executor.info.executor_id.clone()),
            executor_name: Some(executor.info.name().to_owned()),
            container_id: executor.container.to_id(),
            container_status: Some(v1::ContainerStatus {
                container_id: Some(executor.container.to_id()),
                executor_pid: executor.pid(),
                ..Default::default()
            }),
            resource_statistics: Some(limits(held)),
        },
        source: executor.source(),
        pid: executor.pid().or(executor.container_pid()),
    }
}

fn of_named(key: &ContainerKey, pid: Option<u32>) -> Container {
    Container {
        message: get_containers::Container {
            container_id: v1::ContainerId {
                parent: None,
                ..key.to_id()
            },
            container_status: Some(v1::ContainerStatus {
                container_id: Some(key.to_id()),
                executor_pid: pid,
                ..Default::default()
            }),
            resource_statistics: Some(v1::ResourceStatistics::default()),
            ..Default::default()
        },
        source: String::new(),
        pid,
    }
}

fn of_run(run: &TaskRun) -> Container {
    Container {
        message: get_containers::Container {
            container_id: v1::ContainerId {
                parent: None,
                ..run.container.to_id()
            },
            container_status: Some(v1::ContainerStatus {
                container_id: Some(run.container.to_id()),
                executor_pid: run.pid,
                ..Default::default()
            }),
            resource_statistics: Some(limits(run.info.resources.iter())),
            ..Default::default()
        },
        source: String::new(),
        pid: run.pid,
    }
}

impl Executor {
    /// What its tasks hold.
    pub(super) fn held(&self) -> impl Iterator<Item = &v1::Resource> {
        self.tasks
            .values()
            .filter(|task| task.stage != Stage::Terminated)
            .flat_map(|task| &task.record.resources)
    }

    /// The first process of its container of the Docker engine.
    fn container_pid(&self) -> Option<u32> {
        match &self.kind {
            Kind::Command(run) => run.container_pid,
            Kind::Default(_) | Kind::Custom(_) => None,
        }
    }

    /// What it says it comes from; of a command that is its task.
    pub(super) fn source(&self) -> String {
        self.info.source().to_owned()
    }
}

/// What a container may use.
fn limits<'a>(held: impl Iterator<Item = &'a v1::Resource>) -> v1::ResourceStatistics {
    let (mut cpus, mut mem) = (0.0, 0.0);
    for resource in held {
        let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
        match resource.name.as_str() {
            "cpus" => cpus += value,
            "mem" => mem += value,
            _ => {}
        }
    }
    let bytes = Some((mem * MIB) as u64);
    v1::ResourceStatistics {
        cpus_soft_limit: Some((cpus * 1000.0_f64).round() / 1000.0),
        mem_limit_bytes: bytes,
        mem_soft_limit_bytes: bytes,
        ..Default::default()
    }
}

/// Adds what containers use to what they may use.
pub(crate) fn with_usage(
    mut containers: Vec<Container>,
    now: Timestamp,
    usage: impl Fn(u32) -> Option<Usage>,
) -> Vec<Container> {
    for container in &mut containers {
        let Some(statistics) = &mut container.message.resource_statistics else {
            continue;
        };
        statistics.timestamp = now.as_secs_f64();
        if let Some(usage) = container.pid.and_then(&usage) {
            statistics.cpus_user_time_secs = Some(usage.user_secs);
            statistics.cpus_system_time_secs = Some(usage.system_secs);
            statistics.mem_rss_bytes = Some(usage.rss_bytes);
        }
    }
    containers
}

/// Virtual paths of sandboxes and the directories they stand for.
pub(crate) fn sandboxes(agent: &Agent) -> Vec<(String, String)> {
    let show = |executor: &Executor| {
        let framework_id = executor.info.framework_id.as_ref();
        let path = format!(
            "/frameworks/{}/executors/{}/runs/latest",
            framework_id.map_or("", |id| id.value.as_str()),
            executor.info.executor_id.value
        );
        (path, executor.directory.to_string_lossy().into_owned())
    };
    agent
        .all_completed()
        .chain(agent.all_active())
        .map(show)
        .collect()
}

pub(crate) fn get_containers(containers: Vec<Container>) -> GetContainers {
    GetContainers {
        containers: containers.into_iter().map(|c| c.message).collect(),
    }
}

pub(crate) use legacy::{containers_json, statistics_json};
