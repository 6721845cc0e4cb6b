//! What an executor says of a task.

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::TaskState;
use mesos_proto::v1::task_status::{Reason, Source};

/// A task's state as its executor tells it. The driver fills in the rest: the
/// executor, the time and the uuid by which the update is acknowledged.
///
/// ```
/// use mesos_sdk::{executor::Status, ids, v1::TaskState};
///
/// let status = Status::failed(&ids::task_id("backup-1"), "no space left").healthy(false);
/// assert_eq!(status.state(), TaskState::TaskFailed);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Status(v1::TaskStatus);

impl Status {
    /// A task in a state. `TASK_STAGING` is no state for an executor to tell;
    /// agents refuse it.
    #[must_use]
    pub fn new(task_id: &v1::TaskId, state: TaskState) -> Self {
        Self(v1::TaskStatus {
            task_id: task_id.clone(),
            state: state.into(),
            ..Default::default()
        })
    }

    /// The task has arrived and prepares to run.
    #[must_use]
    pub fn starting(task_id: &v1::TaskId) -> Self {
        Self::new(task_id, TaskState::TaskStarting)
    }

    /// The task runs.
    #[must_use]
    pub fn running(task_id: &v1::TaskId) -> Self {
        Self::new(task_id, TaskState::TaskRunning)
    }

    /// The task was asked to end and has not yet. For frameworks with the
    /// capability `TASK_KILLING_STATE`.
    #[must_use]
    pub fn killing(task_id: &v1::TaskId) -> Self {
        Self::new(task_id, TaskState::TaskKilling)
    }

    /// The task has done what it was to do.
    #[must_use]
    pub fn finished(task_id: &v1::TaskId) -> Self {
        Self::new(task_id, TaskState::TaskFinished)
    }

    /// The task has ended otherwise than it should.
    #[must_use]
    pub fn failed(task_id: &v1::TaskId, message: impl Into<String>) -> Self {
        Self::new(task_id, TaskState::TaskFailed).message(message)
    }

    /// The task has ended because it was asked to.
    #[must_use]
    pub fn killed(task_id: &v1::TaskId) -> Self {
        Self::new(task_id, TaskState::TaskKilled)
    }

    /// The task as it was described cannot run.
    #[must_use]
    pub fn error(task_id: &v1::TaskId, message: impl Into<String>) -> Self {
        Self::new(task_id, TaskState::TaskError).message(message)
    }

    /// What people should read about it.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    /// Why, in a word that programs read.
    #[must_use]
    pub fn reason(mut self, reason: Reason) -> Self {
        self.0.reason = Some(reason.into());
        self
    }

    /// Whether the task's health check succeeds.
    #[must_use]
    pub fn healthy(mut self, is_healthy: bool) -> Self {
        self.0.healthy = Some(is_healthy);
        self
    }

    /// Bytes for the scheduler.
    #[must_use]
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.0.data = Some(data.into());
        self
    }

    /// Where the task's container is reached, and how it ended.
    #[must_use]
    pub fn container_status(mut self, status: v1::ContainerStatus) -> Self {
        self.0.container_status = Some(status);
        self
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.0.state()
    }

    /// The message that is sent.
    pub(super) fn complete(
        self,
        executor_id: &v1::ExecutorId,
        agent_id: Option<&v1::AgentId>,
        timestamp: f64,
    ) -> v1::TaskStatus {
        let mut status = self.0;
        status.source = Some(Source::Executor.into());
        status.executor_id = Some(executor_id.clone());
        if status.agent_id.is_none() {
            status.agent_id = agent_id.cloned();
        }
        if status.timestamp.is_none() {
            status.timestamp = Some(timestamp);
        }
        // Each update has its own, whatever the message had.
        status.uuid = Some(Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes()));
        status
    }
}

impl From<v1::TaskStatus> for Status {
    /// A message of one's own; source, executor and uuid are filled in.
    fn from(status: v1::TaskStatus) -> Self {
        Self(status)
    }
}
