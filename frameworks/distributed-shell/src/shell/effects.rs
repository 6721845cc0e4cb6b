//! What the shell wants done, and what it tells the user.

use mesos_sdk::v1::{self, TaskState};

use crate::outcome::Outcome;

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) notices: Vec<Notice>,
    pub(crate) launches: Vec<(v1::OfferId, Vec<v1::TaskInfo>)>,
    pub(crate) declines: Vec<v1::OfferId>,
    pub(crate) kills: Vec<(v1::TaskId, v1::AgentId)>,
    pub(crate) revive: bool,
    pub(crate) suppress: bool,
    pub(crate) follow: Vec<Output>,
    pub(crate) drain: Vec<String>,
    pub(crate) exit: Option<u8>,
}

/// Where the output of a task is read.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) run: usize,
    pub(crate) task_id: String,
    pub(crate) agent_id: v1::AgentId,
    pub(crate) container_id: v1::ContainerId,
}

/// What the user is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notice {
    Registered {
        framework_id: String,
    },
    Launched {
        run: usize,
        task_id: String,
        hostname: String,
    },
    State {
        run: usize,
        task_id: String,
        state: TaskState,
        message: String,
    },
    Again {
        run: usize,
        why: String,
    },
    NothingFits {
        why: String,
    },
    Ended {
        run: usize,
        outcome: Outcome,
    },
    Interrupted {
        running: usize,
    },
    TimedOut,
}
