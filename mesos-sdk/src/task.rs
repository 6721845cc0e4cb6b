//! Describes tasks: a command or an executor, what they need, and whether an
//! offer has it.

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::executor_info::Type;

use crate::offer::Offer;
use crate::operation::{self, Operation};
use crate::resources::{Resources, Scalar};

/// A task to be launched on some offer.
///
/// ```
/// use mesos_sdk::task;
///
/// let task = task::command("backup-1", "tar czf backup.tgz /srv").cpus(0.5).mem_mib(128.0);
/// assert_eq!(task.resources().to_string(), "cpus:0.5; mem:128");
/// ```
#[derive(Debug, Clone)]
pub struct Task {
    info: v1::TaskInfo,
    resources: Resources,
}

/// A task that runs a command line with `/bin/sh -c`. It asks for nothing until
/// it is told what to ask for; Mesos refuses tasks that ask for nothing.
pub fn command(id: impl Into<String>, command: impl Into<String>) -> Task {
    let id = id.into();
    Task {
        info: v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            command: Some(v1::CommandInfo {
                shell: Some(true),
                value: Some(command.into()),
                ..Default::default()
            }),
            ..Default::default()
        },
        resources: Resources::new(),
    }
}

/// A task that an executor of the framework's own runs. It shares the executor
/// with every task that names the same one on the same agent.
pub fn with_executor(id: impl Into<String>, executor: v1::ExecutorInfo) -> Task {
    let mut task = command(id, "");
    task.info.command = None;
    task.info.executor = Some(executor);
    task
}

/// An executor that is a program of the framework's own, started by a command
/// line; see [`crate::executor`]. It asks for 0.1 processors and 32 MiB.
pub fn custom_executor(id: impl Into<String>, command: impl Into<String>) -> v1::ExecutorInfo {
    let mut info = executor(id, Type::Custom);
    info.command = Some(v1::CommandInfo {
        shell: Some(true),
        value: Some(command.into()),
        ..Default::default()
    });
    info
}

/// The executor that Mesos brings for [task groups](group). It asks for 0.1
/// processors, 32 MiB, and 32 MiB of disk.
pub fn default_executor(id: impl Into<String>) -> v1::ExecutorInfo {
    let mut info = executor(id, Type::Default);
    info.resources.push(scalar("disk", 32.0));
    info
}

fn executor(id: impl Into<String>, kind: Type) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        r#type: Some(kind.into()),
        executor_id: crate::ids::executor_id(id),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        ..Default::default()
    }
}

fn scalar(name: &str, amount: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar {
            value: Scalar::from_f64(amount).as_f64(),
        }),
        ..Default::default()
    }
}

/// Takes what is wanted out of what is left of an offer.
fn take(left: &mut Resources, wanted: &Resources, role: &str) -> Option<Resources> {
    let found = left.find(wanted, role)?;
    *left = left.checked_sub(&found)?;
    Some(found)
}

/// Takes what is wanted out of what is left of resources that were chosen for
/// it: scalars and ports by name, in whatever reservation they are.
fn carve(left: &mut Resources, wanted: &Resources) -> Resources {
    let mut carved = Resources::new();
    for wanted in &wanted.flatten().unallocate() {
        let mut missing = Resources::from_iter([wanted.clone()]);
        for item in left.clone().iter().filter(|item| item.name == wanted.name) {
            let mut bare = v1::Resource {
                reservations: Vec::new(),
                allocation_info: None,
                ..item.clone()
            };
            // As much of it as is wanted and there.
            let mut rest = Resources::from_iter([bare.clone()]);
            rest -= &missing;
            let mut part = Resources::from_iter([bare.clone()]);
            part -= &rest;
            let Some(taken) = part.into_vec().pop() else {
                continue;
            };
            missing.remove(&taken);
            bare = v1::Resource {
                reservations: item.reservations.clone(),
                allocation_info: item.allocation_info.clone(),
                ..taken
            };
            left.remove(&bare);
            carved.push(bare);
        }
    }
    carved
}

/// Tasks that live and die together, under one executor.
///
/// ```
/// use mesos_sdk::task;
///
/// let web = task::command("web-1", "serve").cpus(0.5).mem_mib(128.0);
/// let log = task::command("log-1", "ship-logs").cpus(0.1).mem_mib(32.0);
/// let group = task::group(task::default_executor("pod-1"), vec![web, log]);
/// assert_eq!(group.tasks().len(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct Group {
    executor: v1::ExecutorInfo,
    tasks: Vec<Task>,
}

/// A group of tasks under an executor, as a rule a [`default_executor`].
#[must_use]
pub fn group(executor: v1::ExecutorInfo, tasks: Vec<Task>) -> Group {
    Group { executor, tasks }
}

impl Group {
    /// Its tasks.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Whether the offer has what the tasks and the executor ask for.
    #[must_use]
    pub fn fits(&self, offer: &Offer) -> bool {
        self.place(offer).is_some()
    }

    /// The operation that launches the group on this offer. When the offer lacks
    /// something it asks for it all the same, and Mesos says what is missing.
    #[must_use]
    pub fn on(&self, offer: &Offer) -> Operation {
        let (executor, tasks) = self.place(offer).unwrap_or_else(|| {
            let executor = Resources::from(self.executor.resources.as_slice());
            let tasks = self.tasks.iter().map(|task| task.resources.clone());
            (executor, tasks.collect())
        });
        let executor = v1::ExecutorInfo {
            resources: executor.into_vec(),
            ..self.executor.clone()
        };
        let infos = self.tasks.iter().zip(tasks);
        let infos = infos.map(|(task, resources)| v1::TaskInfo {
            agent_id: offer.agent_id().clone(),
            resources: resources.into_vec(),
            ..task.info.clone()
        });
        operation::launch_group(executor, infos.collect())
    }

    /// The operation that launches the group on an agent with these resources:
    /// the executor and each task get what they ask for, the first task also
    /// what is left over.
    pub(crate) fn with(&self, agent_id: &v1::AgentId, resources: &Resources) -> Operation {
        let mut left = resources.clone();
        let executor = Resources::from(self.executor.resources.as_slice());
        let executor = v1::ExecutorInfo {
            resources: carve(&mut left, &executor).into_vec(),
            ..self.executor.clone()
        };
        let tasks = self.tasks.iter();
        let mut parts: Vec<Resources> = tasks
            .map(|task| carve(&mut left, &task.resources))
            .collect();
        if let Some(first) = parts.first_mut() {
            *first += left;
        }
        let infos = self.tasks.iter().zip(parts);
        let infos = infos.map(|(task, resources)| v1::TaskInfo {
            agent_id: agent_id.clone(),
            resources: resources.into_vec(),
            ..task.info.clone()
        });
        operation::launch_group(executor, infos.collect())
    }

    fn place(&self, offer: &Offer) -> Option<(Resources, Vec<Resources>)> {
        let mut left = offer.resources().clone();
        let executor = Resources::from(self.executor.resources.as_slice());
        let executor = take(&mut left, &executor, offer.role())?;
        let tasks = self.tasks.iter();
        let tasks = tasks.map(|task| take(&mut left, &task.resources, offer.role()));
        Some((executor, tasks.collect::<Option<_>>()?))
    }
}

impl Task {
    /// The name that people see; by default the id.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.info.name = name.into();
        self
    }

    /// Processors.
    #[must_use]
    pub fn cpus(self, cpus: f64) -> Self {
        self.scalar("cpus", cpus)
    }

    /// Memory in MiB.
    #[must_use]
    pub fn mem_mib(self, mem_mib: f64) -> Self {
        self.scalar("mem", mem_mib)
    }

    /// Disk in MiB.
    #[must_use]
    pub fn disk_mib(self, disk_mib: f64) -> Self {
        self.scalar("disk", disk_mib)
    }

    /// Any scalar resource.
    #[must_use]
    pub fn scalar(mut self, name: &str, amount: f64) -> Self {
        self.resources.push(scalar(name, amount));
        self
    }

    /// Bytes for the executor.
    #[must_use]
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.info.data = Some(data.into());
        self
    }

    /// A variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let command = self.info.command.get_or_insert_default();
        let environment = command.environment.get_or_insert_default();
        environment.variables.push(v1::environment::Variable {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        });
        self
    }

    /// What the task asks for.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Whether the offer has what the task and its executor ask for. An executor
    /// that runs there already asks for nothing more; Mesos counts it once.
    #[must_use]
    pub fn fits(&self, offer: &Offer) -> bool {
        self.place(offer).is_some()
    }

    /// The task for this offer: its agent, and resources as they were offered.
    /// When the offer lacks something the task carries what it asks for, and
    /// Mesos says what is missing.
    #[must_use]
    pub fn on(&self, offer: &Offer) -> v1::TaskInfo {
        let (resources, executor) = self.place(offer).unwrap_or_else(|| {
            let executor = self.info.executor.as_ref();
            let executor = executor.map(|info| Resources::from(info.resources.as_slice()));
            (self.resources.clone(), executor)
        });
        let mut info = v1::TaskInfo {
            agent_id: offer.agent_id().clone(),
            resources: resources.into_vec(),
            ..self.info.clone()
        };
        if let (Some(info), Some(resources)) = (&mut info.executor, executor) {
            info.resources = resources.into_vec();
        }
        info
    }

    /// The same for an offer as a message, as logic without io sees it; `None`
    /// when the offer lacks something.
    #[must_use]
    pub fn for_offer(&self, offer: &v1::Offer) -> Option<v1::TaskInfo> {
        let allocation = offer.allocation_info.as_ref();
        let role = allocation.and_then(|info| info.role.as_deref());
        let left = Resources::from(offer.resources.as_slice());
        let (resources, executor) = self.place_in(left, role.unwrap_or("*"))?;
        let mut info = v1::TaskInfo {
            agent_id: offer.agent_id.clone(),
            resources: resources.into_vec(),
            ..self.info.clone()
        };
        if let (Some(info), Some(resources)) = (&mut info.executor, executor) {
            info.resources = resources.into_vec();
        }
        Some(info)
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.info.task_id.value
    }

    /// What its executor asks for, if it has one of its own.
    pub(crate) fn executor_resources(&self) -> Option<Resources> {
        let executor = self.info.executor.as_ref()?;
        Some(Resources::from(executor.resources.as_slice()))
    }

    /// The task on an agent with these resources: its executor gets what it asks
    /// for, the task everything else.
    pub(crate) fn with(&self, agent_id: &v1::AgentId, resources: &Resources) -> v1::TaskInfo {
        let mut left = resources.clone();
        let mut info = self.info.clone();
        if let (Some(executor), Some(wanted)) = (&mut info.executor, self.executor_resources()) {
            executor.resources = carve(&mut left, &wanted).into_vec();
        }
        info.agent_id = agent_id.clone();
        info.resources = left.into_vec();
        info
    }

    fn place(&self, offer: &Offer) -> Option<(Resources, Option<Resources>)> {
        self.place_in(offer.resources().clone(), offer.role())
    }

    fn place_in(&self, mut left: Resources, role: &str) -> Option<(Resources, Option<Resources>)> {
        let resources = take(&mut left, &self.resources, role)?;
        let Some(executor) = &self.info.executor else {
            return Some((resources, None));
        };
        let executor = Resources::from(executor.resources.as_slice());
        let executor = take(&mut left, &executor, role)?;
        Some((resources, Some(executor)))
    }
}
