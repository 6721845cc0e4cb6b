//! The operator's side: what masters and agents know and do
//! (`docs/operator-http-api.md`).
//!
//! | to | see |
//! |---|---|
//! | ask or tell a master | [`MasterClient`], a method for each call |
//! | ask or tell an agent | [`AgentClient`], a method for each call |
//! | know agents, frameworks and tasks at any time | [`ClusterWatch`], [`Cluster`] |
//! | read the files of tasks | [`Files`]: browse, read, follow, download |
//! | run a command in a container | [`AgentClient::exec`], [`AgentClient::attach`] |
//!
//! Calls are refused with [`Error::Refused`], which has Mesos's own words.

mod agent;
mod calls;
mod cluster;
mod container;
mod files;
mod master;
mod watch;

use mesos_proto::v1;

pub use agent::AgentClient;
use calls::Client;
pub use cluster::Cluster;
pub use container::{ContainerExit, ContainerInput, ContainerOutput, Exec, Output, Session};
pub use files::{Download, FilePart, Files, Follow, FollowEnd};
pub use master::MasterClient;
pub use watch::{Change, Changes, ClusterWatch, ClusterWatchBuilder};

use crate::transport;

/// Why an operator call gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The server does not accept the credentials, or wants some.
    #[error("{server} does not accept the credentials: {message}")]
    Unauthenticated {
        /// `host:port`.
        server: String,
        /// The body, with the realm that was asked for.
        message: String,
    },
    /// The server refuses the call.
    #[error("{server} answers {call} with status {status}: {message}")]
    Refused {
        /// `host:port`.
        server: String,
        /// The call.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The body.
        message: String,
    },
    /// The answer cannot be read.
    #[error("the answer of {server} to {call} cannot be read: {reason}")]
    Answer {
        /// `host:port`.
        server: String,
        /// The call.
        call: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may go through later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_retryable(),
            Self::Refused { status, .. } => *status >= 500 && *status != 501,
            Self::Unauthenticated { .. } | Self::Answer { .. } => false,
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthenticated { .. } => Some(401),
            Self::Refused { status, .. } => Some(*status),
            Self::Transport(_) | Self::Answer { .. } => None,
        }
    }

    /// Whether what was named does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// Where an agent's files API shows the sandbox of a run of an executor. The
/// command executor's id is the task's.
#[must_use]
pub fn sandbox_path(
    framework_id: &v1::FrameworkId,
    executor_id: &v1::ExecutorId,
    container_id: &v1::ContainerId,
) -> String {
    format!(
        "/frameworks/{}/executors/{}/runs/{}",
        framework_id.value, executor_id.value, container_id.value
    )
}
