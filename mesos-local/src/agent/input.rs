//! What the model of an agent is told, and what it asks for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::v1;

use crate::agent::docker::{ContainerPlan, Image, Started};
use crate::agent::{ContainerAnswer, ContainerCall, ExitStatus, Finding, Probe, VolumeChanges};
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
        // No id has a period: it separates a container from those in it.
        let (parent, value) = match self.0.rsplit_once('.') {
            Some((parent, value)) => (Some(Self(parent.to_owned())), value),
            None => (None, self.0.as_str()),
        };
        v1::ContainerId {
            value: value.to_owned(),
            parent: parent.map(|parent| Box::new(parent.to_id())),
        }
    }

    /// The container that an id names, with those around it.
    pub(crate) fn of(id: &v1::ContainerId) -> Self {
        match &id.parent {
            Some(parent) => Self::of(parent).nested(&id.value),
            None => Self(id.value.clone()),
        }
    }

    /// The container around this one.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('.')?;
        Some(Self(parent.to_owned()))
    }

    /// Its own id, without those around it.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }

    /// Whether it is this container, or inside of it.
    pub(crate) fn is_in(&self, outer: &Self) -> bool {
        let rest = self.0.strip_prefix(&outer.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// A container inside this one.
    pub(crate) fn nested(&self, id: impl fmt::Display) -> Self {
        Self(format!("{self}.{id}"))
    }
}

impl fmt::Display for ContainerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request of an executor; when it is a SUBSCRIBE, its stream too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// The answer to a call of an executor. With 200 its stream is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
        }
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
    /// The agent leaves in good order; [`Input::Restarted`] brings it back.
    Unregister,
    /// The agent's process has ended without a word.
    Crashed {
        /// And every other process of its machine.
        with_machine: bool,
    },
    /// The agent has started again, with the same work directory.
    Restarted,
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
    /// Directories of volumes were made and removed.
    VolumesChanged {
        /// For which operation.
        operation: Vec<u8>,
        /// Why they were not.
        problem: Option<String>,
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
    /// An operator wants more to be logged, or less.
    SetLoggingLevel {
        /// How much: a valid level.
        level: u32,
        /// For how long.
        duration: v1::DurationInfo,
    },
    /// A valid call about a container. Answered with [`Effects::answers`].
    Container {
        /// Which.
        id: CallId,
        /// The call.
        call: ContainerCall,
    },
    /// A valid call of an executor. Answered with [`Effects::replies`].
    FromExecutor {
        /// Which.
        id: CallId,
        /// The call.
        call: Box<v1::executor::Call>,
    },
    /// The stream of an executor has ended from the other side.
    ExecutorGone {
        /// The SUBSCRIBE it belongs to.
        id: CallId,
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

/// What a step of the model leads to. Messages leave before actions are done,
/// replies before events, events before the streams that end.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the master.
    pub to_master: Vec<FromAgent>,
    /// Replies to calls of executors.
    pub replies: Vec<(CallId, Reply)>,
    /// Answers to calls about containers.
    pub answers: Vec<(CallId, ContainerAnswer)>,
    /// Events for executors.
    pub events: Vec<(CallId, v1::executor::Event)>,
    /// Streams of executors to end, after their events.
    pub closes: Vec<CallId>,
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
    /// Stop making the container, or kill what runs in it: nothing of it is
    /// wanted any more, its end neither.
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
    /// Send any signal to the process group of a command.
    Raise {
        /// Whose.
        container: ContainerKey,
        /// The signal's number.
        signal: i32,
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
    /// Make and remove directories of persistent volumes, then say so with
    /// [`Input::VolumesChanged`].
    ChangeVolumes {
        /// For which operation.
        operation: Vec<u8>,
        /// Which directories.
        volumes: VolumeChanges,
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
    /// The sandbox of the executor, when this is a container inside its one.
    pub executor_directory: Option<PathBuf>,
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
    /// The sandbox is somebody else's, and made already.
    pub is_guest: bool,
    /// What its input and output are.
    pub io: Io,
}

/// What a command reads from and writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// Nothing to read, and two files in its sandbox.
    Files,
    /// Pipes that clients attach to.
    Streams,
    /// A terminal that clients attach to.
    Terminal {
        /// Rows and columns.
        size: Option<(u32, u32)>,
        /// What it writes goes to its sandbox too.
        is_logged: bool,
    },
}

/// A directory that outlives its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is.
    pub source: PathBuf,
    /// Where the task sees it, relative to its sandbox.
    pub target: PathBuf,
}
