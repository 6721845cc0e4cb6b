//! The calls of a scheduler, under whichever subscription there is.

use std::sync::Arc;

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{Call, OfferConstraints, call};

use super::Shared;
use super::calls::Calls;
use crate::address::HostAddress;
use crate::error::{CallError, call_name};
use crate::offer::{self, Offer};

/// Makes calls for a framework that a driver runs, from any task. Clones are
/// the same handle.
///
/// Calls are made under the subscription that there is at that moment; without
/// one they fail with [`CallError::NotSubscribed`]. Calls that follow one
/// another reach the master in that order when each is awaited.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The calls of the current subscription.
    #[must_use]
    pub fn calls(&self) -> Option<Calls> {
        self.0.current().calls.clone()
    }

    fn calls_for(&self, name: &'static str) -> Result<Calls, CallError> {
        self.calls().ok_or(CallError::NotSubscribed { call: name })
    }

    /// The framework's id, once it has one.
    #[must_use]
    pub fn framework_id(&self) -> Option<v1::FrameworkId> {
        self.0.current().framework_id.clone()
    }

    /// The master that leads, while there is a subscription.
    #[must_use]
    pub fn master(&self) -> Option<HostAddress> {
        self.calls().map(|calls| calls.master().clone())
    }

    /// Ends [`SchedulerDriver::run`](super::SchedulerDriver::run) with `Ok`.
    /// The framework stays registered and its tasks go on.
    pub fn stop(&self) {
        self.0.current().is_stopped = true;
        self.0.stopped.notify_one();
    }

    /// Tells the driver of tasks from before: it asks for their states as soon
    /// as there is a subscription. Tasks that are launched through the driver,
    /// or heard of, are known to it.
    pub fn track_tasks(&self, tasks: impl IntoIterator<Item = (v1::TaskId, Option<v1::AgentId>)>) {
        let mut reconciler = self.0.reconciler();
        for (task_id, agent_id) in tasks {
            reconciler.track(&task_id, agent_id.as_ref());
        }
        drop(reconciler);
        self.0.answered.notify_one();
    }

    /// Tells the driver of operations from before, as
    /// [`track_tasks`](Self::track_tasks) does of tasks.
    pub fn track_operations(
        &self,
        operations: impl IntoIterator<Item = (v1::OperationId, Option<v1::AgentId>)>,
    ) {
        let mut reconciler = self.0.operations();
        for (id, agent_id) in operations {
            reconciler.track(&crate::ids::task_id(id.value), agent_id.as_ref());
        }
        drop(reconciler);
        self.0.answered.notify_one();
    }

    /// Makes any call.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether the call may have had an effect.
    pub async fn send(&self, call: Call) -> Result<(), CallError> {
        self.calls_for(call_name(&call))?.send(call).await
    }

    /// Launches tasks on an offer.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether anything may have been launched.
    pub async fn launch(&self, offer: Offer, tasks: Vec<v1::TaskInfo>) -> Result<(), CallError> {
        offer.launch(tasks).await
    }

    /// Carries out operations on offers of one agent and role.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether anything may have been done.
    pub async fn accept(
        &self,
        offers: Vec<Offer>,
        operations: Vec<v1::offer::Operation>,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        offer::accept_all(offers, operations, filters).await
    }

    /// Declines an offer.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the offer is gone all the same.
    pub async fn decline(
        &self,
        offer: Offer,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        offer.decline(filters).await
    }

    /// Declines offers, all in one call.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the offers are gone all the same.
    pub async fn decline_all(
        &self,
        offers: Vec<Offer>,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        offer::decline_all(offers, filters).await
    }

    /// See [`Calls::accept_inverse_offers`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn accept_inverse_offers(&self, ids: Vec<v1::OfferId>) -> Result<(), CallError> {
        let calls = self.calls_for("ACCEPT_INVERSE_OFFERS")?;
        calls.accept_inverse_offers(ids, None).await
    }

    /// See [`Calls::decline_inverse_offers`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn decline_inverse_offers(&self, ids: Vec<v1::OfferId>) -> Result<(), CallError> {
        let calls = self.calls_for("DECLINE_INVERSE_OFFERS")?;
        calls.decline_inverse_offers(ids, None).await
    }

    /// See [`Calls::revive`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn revive(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.calls_for("REVIVE")?.revive(roles).await
    }

    /// See [`Calls::suppress`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn suppress(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.calls_for("SUPPRESS")?.suppress(roles).await
    }

    /// See [`Calls::kill`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn kill(
        &self,
        task_id: v1::TaskId,
        agent_id: Option<v1::AgentId>,
        kill_policy: Option<v1::KillPolicy>,
    ) -> Result<(), CallError> {
        self.calls_for("KILL")?
            .kill(task_id, agent_id, kill_policy)
            .await
    }

    /// See [`Calls::shutdown_executor`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn shutdown_executor(
        &self,
        executor_id: v1::ExecutorId,
        agent_id: v1::AgentId,
    ) -> Result<(), CallError> {
        let calls = self.calls_for("SHUTDOWN")?;
        calls.shutdown_executor(executor_id, agent_id).await
    }

    /// See [`Calls::acknowledge`]. The driver acknowledges by itself; this is
    /// for updates whose acknowledgement was kept beyond their subscription.
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn acknowledge(
        &self,
        agent_id: v1::AgentId,
        task_id: v1::TaskId,
        uuid: Bytes,
    ) -> Result<(), CallError> {
        let calls = self.calls_for("ACKNOWLEDGE")?;
        calls.acknowledge(agent_id, task_id, uuid).await
    }

    /// See [`Calls::acknowledge_operation`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn acknowledge_operation(
        &self,
        acknowledge: call::AcknowledgeOperationStatus,
    ) -> Result<(), CallError> {
        let calls = self.calls_for("ACKNOWLEDGE_OPERATION_STATUS")?;
        calls.acknowledge_operation(acknowledge).await
    }

    /// See [`Calls::reconcile`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn reconcile(&self, tasks: Vec<call::reconcile::Task>) -> Result<(), CallError> {
        self.calls_for("RECONCILE")?.reconcile(tasks).await
    }

    /// See [`Calls::reconcile_operations`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn reconcile_operations(
        &self,
        operations: Vec<call::reconcile_operations::Operation>,
    ) -> Result<(), CallError> {
        let calls = self.calls_for("RECONCILE_OPERATIONS")?;
        calls.reconcile_operations(operations).await
    }

    /// See [`Calls::message`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn message(
        &self,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        data: Bytes,
    ) -> Result<(), CallError> {
        let calls = self.calls_for("MESSAGE")?;
        calls.message(agent_id, executor_id, data).await
    }

    /// See [`Calls::request`].
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn request(&self, requests: Vec<v1::Request>) -> Result<(), CallError> {
        self.calls_for("REQUEST")?.request(requests).await
    }

    /// Removes the framework: all its tasks are killed, and its id is used up.
    /// When the master has taken the call, the run ends with `Ok`.
    ///
    /// # Errors
    ///
    /// As [`Handle::send`]; then the run goes on.
    pub async fn teardown(&self) -> Result<(), CallError> {
        let calls = self.calls_for("TEARDOWN")?;
        // The stream may end before the answer comes.
        self.0.current().is_leaving = true;
        let result = calls.teardown().await;
        match &result {
            Ok(()) => self.stop(),
            Err(error) => self.0.current().is_leaving = !error.had_no_effect(),
        }
        result
    }

    /// See [`Calls::update_framework`]. Subscriptions after this one are made with
    /// the same info and offer constraints; which roles are suppressed then is as
    /// the builder said.
    ///
    /// # Errors
    ///
    /// As [`Handle::send`].
    pub async fn update_framework(
        &self,
        framework_info: v1::FrameworkInfo,
        suppressed_roles: Vec<String>,
        offer_constraints: Option<OfferConstraints>,
    ) -> Result<(), CallError> {
        let calls = self.calls_for("UPDATE_FRAMEWORK")?;
        let updated = (framework_info.clone(), offer_constraints.clone());
        calls
            .update_framework(framework_info, suppressed_roles, offer_constraints)
            .await?;
        self.0.current().updated = Some(updated);
        Ok(())
    }
}
