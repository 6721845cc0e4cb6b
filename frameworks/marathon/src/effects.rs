//! What goes into a step, and what comes out of it.

use std::collections::BTreeSet;

use mesos_sdk::v1;
use serde_json::Value;

use crate::app::HealthProtocol;
use crate::instance::InstanceId;
use crate::probes::Outcome;
use crate::request::{Reply, Request};
use crate::state::Change;
use crate::timestamp::Timestamp;

/// What happens to Marathon.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody wants a change; the number names who waits for the reply.
    Request(u64, Box<Request>),
    /// Offers of agents.
    Offers(Vec<v1::Offer>),
    /// An offer that is no more.
    Rescind(String),
    /// These tasks, which were to be launched, certainly were not: the call did
    /// not leave.
    NotLaunched(Vec<String>),
    /// What became of a task.
    Update(Box<v1::TaskStatus>),
    /// What a probe found.
    Probed(Probe, Outcome),
    /// The master took the framework in.
    Subscribed {
        /// The framework's id.
        framework_id: String,
        /// The master, if it tells.
        master: Option<Box<v1::MasterInfo>>,
    },
    /// The connection to the master is gone, and with it all offers.
    Disconnected,
    /// The master has removed the framework, and with it all its tasks.
    Removed,
    /// Nothing but time.
    Wake,
}

/// What a step asks for. The changes are saved before anything else of it is
/// done.
#[derive(Debug, Default)]
pub struct Effects {
    /// What is stored.
    pub changes: Vec<Change>,
    /// What the master is told.
    pub calls: Vec<Call>,
    /// What those who asked are answered.
    pub replies: Vec<(u64, Reply)>,
    /// What everybody may know.
    pub events: Vec<Event>,
    /// What is to be found out.
    pub probes: Vec<Probe>,
    /// What the log tells.
    pub notices: Vec<Notice>,
    /// When to step again though nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// What the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// So it is.
    Info(String),
    /// So it should not be.
    Warning(String),
}

/// What the master is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Uses offers.
    Accept {
        /// Their ids, all of one agent.
        offers: Vec<String>,
        /// What is done with them.
        operations: Vec<v1::offer::Operation>,
    },
    /// Gives offers back.
    Decline {
        /// Their ids.
        offers: Vec<String>,
        /// For how long the like are not to be made.
        refuse_seconds: f64,
    },
    /// Ends a task.
    Kill {
        /// Its id.
        task_id: String,
        /// Where it is, if that is known.
        agent_id: Option<String>,
    },
    /// Nothing is wanted in a role for now.
    Suppress(String),
    /// Something is wanted in a role.
    Revive(String),
    /// The framework is in these roles from now on.
    Roles {
        /// All of them.
        roles: BTreeSet<String>,
        /// Those in which nothing is wanted for now.
        suppressed: BTreeSet<String>,
    },
}

impl Call {
    /// The tasks that it launches.
    #[must_use]
    pub fn launches(&self) -> Vec<String> {
        let Self::Accept { operations, .. } = self else {
            return Vec::new();
        };
        let tasks = operations.iter().flat_map(|operation| {
            let single = operation.launch.iter().flat_map(|it| &it.task_infos);
            let groups = operation.launch_group.iter();
            single.chain(groups.flat_map(|it| &it.task_group.tasks))
        });
        tasks.map(|task| task.task_id.value.clone()).collect()
    }
}

/// Something that everybody may know.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub kind: &'static str,
    /// All there is to say of it.
    pub data: Value,
}

/// Something to find out about an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which instance.
    pub instance: InstanceId,
    /// Which try of it.
    pub incarnation: u32,
    /// Which of the app's health checks, or its readiness.
    pub kind: ProbeKind,
    /// How to ask.
    pub protocol: HealthProtocol,
    /// Whom to ask.
    pub host: String,
    /// Where.
    pub port: u16,
    /// For what, of HTTP.
    pub path: String,
    /// How long to wait for the answer.
    pub timeout: std::time::Duration,
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// The health check at this place among those of the app.
    Health(usize),
    /// The readiness check.
    Readiness,
}
