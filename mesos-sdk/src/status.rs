//! A task's status update, and its acknowledgement.

use std::sync::{Mutex, PoisonError};

use mesos_proto::v1;

use crate::scheduler::calls::Calls;

/// A status update of a task. The driver acknowledges it once the scheduler's
/// method has returned `Ok`, unless [`acknowledge_later`] was called: until then
/// the agent keeps it, sends it again, and holds back what follows it.
///
/// [`acknowledge_later`]: StatusUpdate::acknowledge_later
#[derive(Debug)]
pub struct StatusUpdate {
    status: v1::TaskStatus,
    is_redelivery: bool,
    acknowledgement: Mutex<Option<Ack>>,
}

impl StatusUpdate {
    pub(crate) fn new(status: v1::TaskStatus, is_redelivery: bool, calls: Calls) -> Self {
        let acknowledgement = Ack::of(&status, calls);
        Self {
            status,
            is_redelivery,
            acknowledgement: Mutex::new(acknowledgement),
        }
    }

    /// Which task.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.status.task_id.value
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> v1::TaskState {
        self.status.state()
    }

    /// The whole status.
    #[must_use]
    pub fn status(&self) -> &v1::TaskStatus {
        &self.status
    }

    /// What the executor, the agent or the master says about it.
    #[must_use]
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// The reason of a state that is not the task's own doing.
    #[must_use]
    pub fn reason(&self) -> Option<v1::task_status::Reason> {
        self.status.reason.map(|_| self.status.reason())
    }

    /// Whether the task has ended. `TASK_UNREACHABLE` is no end: its agent may
    /// come back with it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        is_terminal(self.state())
    }

    /// Whether nothing more is to be heard of the task: it has ended, or nobody
    /// knows it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        is_over(self.state())
    }

    /// Whether somebody waits for an acknowledgement. Updates that the master
    /// makes, and answers to reconciliation, need none.
    #[must_use]
    pub fn needs_acknowledgement(&self) -> bool {
        self.status.uuid.is_some()
    }

    /// Whether this very update was handled before without being acknowledged.
    #[must_use]
    pub fn is_redelivery(&self) -> bool {
        self.is_redelivery
    }

    /// Takes the acknowledgement out of the driver's hands: it is sent with
    /// [`Ack::send`], from any task, at any time. Dropping it sends nothing, and
    /// the update comes again. `None` when there is nothing to acknowledge.
    pub fn acknowledge_later(&self) -> Option<Ack> {
        self.take_acknowledgement()
    }

    pub(crate) fn take_acknowledgement(&self) -> Option<Ack> {
        self.acknowledgement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The acknowledgement of one update, to be sent once what the update changed
/// is safe.
#[derive(Debug)]
#[must_use = "an update that is not acknowledged comes again"]
pub struct Ack {
    pub(crate) agent_id: v1::AgentId,
    pub(crate) task_id: v1::TaskId,
    pub(crate) uuid: bytes::Bytes,
    calls: Calls,
}

impl Ack {
    pub(crate) fn of(status: &v1::TaskStatus, calls: Calls) -> Option<Self> {
        Some(Self {
            agent_id: status.agent_id.clone()?,
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone()?,
            calls,
        })
    }

    /// Sends the acknowledgement in the background. When it is lost with its
    /// subscription the agent sends the update again.
    pub fn send(self) {
        let calls = self.calls.clone();
        calls.acknowledge_in_background(self);
    }
}

/// Whether a task in this state has ended for good. `TASK_UNREACHABLE` is no
/// end, and `TASK_UNKNOWN` only says that the master does not know the task:
/// for those who wait see [`is_over`].
#[must_use]
pub fn is_terminal(state: v1::TaskState) -> bool {
    use v1::TaskState::{
        TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskGoneByOperator, TaskKilled,
        TaskLost,
    };
    matches!(
        state,
        TaskFinished
            | TaskFailed
            | TaskKilled
            | TaskError
            | TaskLost
            | TaskDropped
            | TaskGone
            | TaskGoneByOperator
    )
}

/// Whether nothing more is to be heard of a task in this state: it has [ended
/// for good](is_terminal), or nobody knows it.
#[must_use]
pub fn is_over(state: v1::TaskState) -> bool {
    is_terminal(state) || state == v1::TaskState::TaskUnknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_ends_a_task_or_the_waiting_for_it_or_neither() {
        // As Mesos numbers them (`mesos.proto`, TaskState).
        let states = (0..=13).filter_map(|number| v1::TaskState::try_from(number).ok());
        let (mut goes_on, mut ends, mut is_given_up) = (Vec::new(), 0, Vec::new());
        for state in states {
            match (is_terminal(state), is_over(state)) {
                (false, false) => goes_on.push(state.as_str_name()),
                (true, true) => ends += 1,
                (false, true) => is_given_up.push(state.as_str_name()),
                (true, false) => panic!("{state:?} has ended and is not over"),
            }
        }
        let expected = [
            "TASK_STARTING",
            "TASK_RUNNING",
            "TASK_STAGING",
            "TASK_KILLING",
            "TASK_UNREACHABLE",
        ];
        assert_eq!(goes_on, expected);
        assert_eq!(ends, 8);
        assert_eq!(is_given_up, ["TASK_UNKNOWN"]);
    }
}
