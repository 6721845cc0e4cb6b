//! What the model of an agent is told, and what it asks for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::v1;

use crate::agent::docker::{ContainerPlan, Image, Started};
use crate::agent::{ExitStatus, Finding, Probe};
use crate::messages::{FromAgent, ToAgent};

/// The id of a container: one run of one executor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey(String);

impl ContainerKey {
    pub(crate) fn new(id: impl fmt::Display) -> Self {
        Self(id.to_string())
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as messages have it.
    #[must_use]
    pub fn to_id(&self) -> v1::ContainerId {
        v1::ContainerId {
            value: self.0.clone(),
            parent: None,
        }
    }
}

impl fmt::Display for ContainerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something an agent has to react to.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once through a channel"
)]
pub enum Input {
    /// There is a master to talk to.
    Connected,
    /// The master has gone.
    Disconnected,
    /// The agent is to leave in good order.
    Unregister,
    /// A message of the master.
    FromMaster(ToAgent),
    /// The time of [`crate::agent::Agent::wake_at`] has come.
    Due,
    /// A command has been started.
    Launched {
        /// Where.
        container: ContainerKey,
        /// Its process, which there is none of when the command could not be
        /// executed: then [`Input::Exited`] follows.
        pid: Option<u32>,
    },
    /// A command was not started, because its surroundings could not be made.
    LaunchFailed {
        /// Where.
        container: ContainerKey,
        /// What went wrong.
        message: String,
        /// It went wrong while URIs were fetched.
        is_fetch: bool,
    },
    /// The sandbox of a container is filled and its image is there.
    Prepared {
        /// Which.
        container: ContainerKey,
    },
    /// The Docker engine has started a container.
    Started {
        /// Which.
        container: ContainerKey,
        /// What the engine says of it.
        started: Started,
    },
    /// The Docker engine has not started a container, or has lost it.
    RunFailed {
        /// Which.
        container: ContainerKey,
        /// The status with which `docker run` would have exited.
        status: ExitStatus,
        /// The engine's own message.
        message: String,
    },
    /// A command has ended.
    Exited {
        /// Where.
        container: ContainerKey,
        /// How.
        status: ExitStatus,
    },
    /// A probe has ended.
    Probed {
        /// Where.
        container: ContainerKey,
        /// For which check.
        kind: ProbeKind,
        /// What it found.
        finding: Finding,
    },
}

/// Which of a task's checks a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// `TaskInfo.check`.
    Check,
    /// `TaskInfo.health_check`.
    Health,
}

/// What a step of the model leads to. Messages leave before actions are done.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the master.
    pub to_master: Vec<FromAgent>,
    /// For the shell.
    pub actions: Vec<Action>,
}

/// Something the model wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make a sandbox, fill it and start a command in it, or see to it that the
    /// image of its container is there.
    Launch(Box<Launch>),
    /// Make and start a container whose image is there.
    StartContainer {
        /// Which.
        container: ContainerKey,
        /// Its sandbox.
        directory: PathBuf,
        /// What it is to be like.
        plan: Box<ContainerPlan>,
    },
    /// Add a line to what a task writes to its standard error.
    Complain {
        /// Its sandbox.
        directory: PathBuf,
        /// The line.
        line: String,
    },
    /// Stop making the container, nothing of it is wanted any more.
    Abandon {
        /// Which.
        container: ContainerKey,
    },
    /// Send a signal to the process group of a command.
    Signal {
        /// Whose.
        container: ContainerKey,
        /// Which signal.
        signal: Signal,
    },
    /// Find out how a task is.
    Probe {
        /// Which container.
        container: ContainerKey,
        /// For which check.
        kind: ProbeKind,
        /// What to do.
        probe: Probe,
        /// How long it may take.
        timeout: Option<Duration>,
    },
    /// Remove a sandbox that is not kept any longer.
    RemoveSandbox {
        /// Where it is.
        directory: PathBuf,
    },
    /// End the agent.
    Exit {
        /// Why, for the log.
        message: String,
    },
}

/// The signals with which a task is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// All that is needed to start a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// The container's id.
    pub container: ContainerKey,
    /// The sandbox, to be made.
    pub directory: PathBuf,
    /// What to run, with its URIs.
    pub command: v1::CommandInfo,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Whom to run it as, instead of the agent's own user.
    pub user: Option<String>,
    /// Persistent volumes to show in the sandbox.
    pub volumes: Vec<Volume>,
    /// The image of the container that the command is to run in, which is
    /// started separately.
    pub image: Option<Image>,
}

/// A directory that outlives its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is.
    pub source: PathBuf,
    /// Where the task sees it, relative to its sandbox.
    pub target: PathBuf,
}
