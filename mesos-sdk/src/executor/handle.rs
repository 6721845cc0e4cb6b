//! What an executor can say, from any task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mesos_proto::v1;
use tokio::sync::{mpsc, watch};

use super::client::Client;
use super::session::Input;
use super::{ExecutorEnvironment, Status};
use crate::error::CallError;

/// Speaks for an executor that a driver runs. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

/// What the driver, its connector and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    pub(super) is_subscribed: AtomicBool,
    /// Updates that were told and not acknowledged.
    pub(super) unacknowledged: watch::Sender<usize>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// What the agent said in the environment.
    #[must_use]
    pub fn environment(&self) -> &ExecutorEnvironment {
        self.0.client.environment()
    }

    /// Tells the agent the state of a task. The driver keeps the update until
    /// it is acknowledged, through disconnects, and sends those of one task in
    /// the order of these calls. Updates of a run that has ended go nowhere.
    pub fn update(&self, status: impl Into<Status>) {
        let environment = self.environment();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let status = status.into().complete(
            &environment.executor_id,
            environment.agent_id.as_ref(),
            now.map_or(0.0, |now| now.as_secs_f64()),
        );
        self.0.unacknowledged.send_modify(|count| *count += 1);
        // Nobody receives when the run has ended.
        let _ = self.0.inputs.send(Input::Update(Box::new(status)));
    }

    /// [`Status::starting`].
    pub fn starting(&self, task_id: &v1::TaskId) {
        self.update(Status::starting(task_id));
    }

    /// [`Status::running`].
    pub fn running(&self, task_id: &v1::TaskId) {
        self.update(Status::running(task_id));
    }

    /// [`Status::finished`].
    pub fn finished(&self, task_id: &v1::TaskId) {
        self.update(Status::finished(task_id));
    }

    /// [`Status::failed`].
    pub fn failed(&self, task_id: &v1::TaskId, message: impl Into<String>) {
        self.update(Status::failed(task_id, message));
    }

    /// [`Status::killing`].
    pub fn killing(&self, task_id: &v1::TaskId) {
        self.update(Status::killing(task_id));
    }

    /// [`Status::killed`].
    pub fn killed(&self, task_id: &v1::TaskId) {
        self.update(Status::killed(task_id));
    }

    /// Sends bytes to the scheduler. They may be lost on the way, and are never
    /// sent again.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether the agent may have taken them.
    pub async fn message(&self, data: impl Into<Bytes>) -> Result<(), CallError> {
        if !self.0.is_subscribed.load(Ordering::Acquire) {
            return Err(CallError::NotSubscribed { call: "MESSAGE" });
        }
        self.0.client.message(data.into()).await
    }

    /// How many updates the agent has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        *self.0.unacknowledged.borrow()
    }

    /// Waits until the agent has acknowledged every update.
    pub async fn all_acknowledged(&self) {
        let mut count = self.0.unacknowledged.subscribe();
        // The sender is in `self`, so there is no end to see.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Ends [`ExecutorDriver::run`](super::ExecutorDriver::run) when every
    /// update is acknowledged.
    pub fn stop(&self) {
        let _ = self.0.inputs.send(Input::Stop);
    }

    /// The executor has shut its tasks down.
    pub(super) fn shut_down(&self) {
        let _ = self.0.inputs.send(Input::ShutDown);
    }
}
