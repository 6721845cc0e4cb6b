//! One execution of one command, and how far it has come.

use mesos_sdk::v1;

use crate::outcome::Outcome;

/// One execution of one command: on any agent, or on a given one.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) command: usize,
    pub(crate) text: String,
    pub(crate) hostname: Option<String>,
    pub(super) only_on: Option<v1::AgentId>,
    /// How often it was launched before: part of the next task's id.
    pub(super) launches: u32,
    /// How often it ran and failed.
    pub(super) failures: u32,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Waiting,
    Launched {
        agent_id: v1::AgentId,
        /// An update from the task's executor has been seen.
        is_started: bool,
        is_tailed: bool,
    },
    /// The task is over, its output is still being read.
    Draining {
        outcome: Outcome,
    },
    Ended(Outcome),
}

impl Run {
    pub(super) fn outcome(&self) -> Outcome {
        match &self.phase {
            Phase::Ended(outcome) | Phase::Draining { outcome } => outcome.clone(),
            Phase::Waiting | Phase::Launched { .. } => Outcome::TimedOut,
        }
    }
}
