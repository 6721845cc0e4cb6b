//! Describes tasks: a command, what it needs, and whether an offer has it.

use mesos_proto::v1;

use crate::offer::Offer;
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
        self.resources.push(v1::Resource {
            name: name.to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar {
                value: Scalar::from_f64(amount).as_f64(),
            }),
            ..Default::default()
        });
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

    /// Whether the offer has what the task asks for.
    #[must_use]
    pub fn fits(&self, offer: &Offer) -> bool {
        offer
            .resources()
            .find(&self.resources, offer.role())
            .is_some()
    }

    /// The task for this offer: its agent, and resources as they were offered.
    /// When the offer lacks something the task carries what it asks for, and
    /// Mesos says what is missing.
    #[must_use]
    pub fn on(&self, offer: &Offer) -> v1::TaskInfo {
        let found = offer.resources().find(&self.resources, offer.role());
        v1::TaskInfo {
            agent_id: offer.agent_id().clone(),
            resources: found.unwrap_or_else(|| self.resources.clone()).into_vec(),
            ..self.info.clone()
        }
    }
}
