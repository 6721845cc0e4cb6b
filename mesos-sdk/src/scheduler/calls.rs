//! The calls of a scheduler, all 17, under one subscription.

mod background;
mod link;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{Call, OfferConstraints, call};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::address::HostAddress;
use crate::client::Encoding;
use crate::error::CallError;
use crate::status::Ack;
use crate::transport::Transport;
use background::{Background, acknowledgement, in_background, operation_acknowledgement};
use link::Link;
pub(crate) use link::Tracked;

/// Makes calls under one subscription. When that has ended, they fail with
/// [`CallError::SessionLost`] instead of reaching another one. Clones share the
/// subscription.
#[derive(Debug, Clone)]
pub struct Calls {
    link: Arc<Link>,
    background: mpsc::UnboundedSender<Background>,
}

impl Calls {
    pub(crate) fn new(
        transport: Transport,
        server: HostAddress,
        mut headers: HeaderMap,
        stream_id: Option<HeaderValue>,
        framework_id: v1::FrameworkId,
        encoding: Encoding,
    ) -> Self {
        if let Some(stream_id) = stream_id {
            headers.insert("Mesos-Stream-Id", stream_id);
        }
        let link = Arc::new(Link {
            transport,
            server,
            headers,
            framework_id,
            encoding,
            is_over: AtomicBool::new(false),
            ended: Notify::new(),
            tracker: Mutex::new(None),
        });
        let (background, work) = mpsc::unbounded_channel();
        tokio::spawn(in_background(Arc::clone(&link), work));
        Self { link, background }
    }

    /// Tasks and operations that are launched are told to their reconcilers.
    pub(crate) fn track(&self, tracked: Tracked) {
        *self
            .link
            .tracker
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(tracked);
    }

    /// The subscription is over: no call leaves any more, and those under way
    /// are not waited for much longer.
    pub(crate) fn end(&self) {
        self.link.is_over.store(true, Ordering::Release);
        self.link.ended.notify_waiters();
    }

    /// The framework's id.
    #[must_use]
    pub fn framework_id(&self) -> &v1::FrameworkId {
        &self.link.framework_id
    }

    /// The master that leads.
    #[must_use]
    pub fn master(&self) -> &HostAddress {
        &self.link.server
    }

    /// Makes any call; the framework's id is filled in. `Ok` means that the
    /// master has queued it, not that it is done.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether the call may have had an effect.
    pub async fn send(&self, call: Call) -> Result<(), CallError> {
        self.link.send(call).await
    }

    /// Carries out operations on offers of one agent and role, in order.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn accept(
        &self,
        offer_ids: Vec<v1::OfferId>,
        operations: Vec<v1::offer::Operation>,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        let launched = launched(&operations);
        let named: Vec<_> = operations.iter().filter_map(|o| o.id.as_ref()).collect();
        let named: Vec<_> = named
            .iter()
            .map(|id| crate::ids::task_id(&*id.value))
            .collect();
        // Before the call, since an update may be read before its answer.
        self.link.with_reconcilers(|tasks, operations| {
            for (task_id, agent_id) in &launched {
                tasks.launched(task_id, Some(agent_id));
            }
            for id in &named {
                operations.launched(id, None);
            }
        });
        let result = self
            .send(Call {
                r#type: Some(call::Type::Accept as i32),
                accept: Some(call::Accept {
                    offer_ids,
                    operations,
                    filters,
                }),
                ..Default::default()
            })
            .await;
        if result.as_ref().is_err_and(CallError::had_no_effect) {
            self.link.with_reconcilers(|tasks, operations| {
                for (task_id, _) in &launched {
                    tasks.settle(task_id);
                }
                for id in &named {
                    operations.settle(id);
                }
            });
        }
        result
    }

    /// Declines offers; without filters for five seconds.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn decline(
        &self,
        offer_ids: Vec<v1::OfferId>,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Decline as i32),
            decline: Some(call::Decline { offer_ids, filters }),
            ..Default::default()
        })
        .await
    }

    /// Agrees to give resources back before a maintenance.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn accept_inverse_offers(
        &self,
        inverse_offer_ids: Vec<v1::OfferId>,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::AcceptInverseOffers as i32),
            accept_inverse_offers: Some(call::AcceptInverseOffers {
                inverse_offer_ids,
                filters,
            }),
            ..Default::default()
        })
        .await
    }

    /// Does not agree to give resources back.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn decline_inverse_offers(
        &self,
        inverse_offer_ids: Vec<v1::OfferId>,
        filters: Option<v1::Filters>,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::DeclineInverseOffers as i32),
            decline_inverse_offers: Some(call::DeclineInverseOffers {
                inverse_offer_ids,
                filters,
            }),
            ..Default::default()
        })
        .await
    }

    /// Asks for offers in these roles again, in all when none is named, and
    /// forgets what was declined.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn revive(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Revive as i32),
            revive: (!roles.is_empty()).then_some(call::Revive { roles }),
            ..Default::default()
        })
        .await
    }

    /// Asks for no more offers in these roles, in all when none is named.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn suppress(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Suppress as i32),
            suppress: (!roles.is_empty()).then_some(call::Suppress { roles }),
            ..Default::default()
        })
        .await
    }

    /// Kills a task.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn kill(
        &self,
        task_id: v1::TaskId,
        agent_id: Option<v1::AgentId>,
        kill_policy: Option<v1::KillPolicy>,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Kill as i32),
            kill: Some(call::Kill {
                task_id,
                agent_id,
                kill_policy,
            }),
            ..Default::default()
        })
        .await
    }

    /// Shuts an executor and its tasks down.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn shutdown_executor(
        &self,
        executor_id: v1::ExecutorId,
        agent_id: v1::AgentId,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Shutdown as i32),
            shutdown: Some(call::Shutdown {
                executor_id,
                agent_id,
            }),
            ..Default::default()
        })
        .await
    }

    /// Acknowledges a status update. The driver does this by itself.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn acknowledge(
        &self,
        agent_id: v1::AgentId,
        task_id: v1::TaskId,
        uuid: Bytes,
    ) -> Result<(), CallError> {
        self.send(acknowledgement(call::Acknowledge {
            agent_id,
            task_id,
            uuid,
        }))
        .await
    }

    /// Acknowledges the status of an operation.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn acknowledge_operation(
        &self,
        acknowledge: call::AcknowledgeOperationStatus,
    ) -> Result<(), CallError> {
        self.send(operation_acknowledgement(acknowledge)).await
    }

    /// Asks for the states of tasks, of all when none is named. The driver does
    /// this by itself for the tasks it knows.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn reconcile(&self, tasks: Vec<call::reconcile::Task>) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Reconcile as i32),
            reconcile: Some(call::Reconcile { tasks }),
            ..Default::default()
        })
        .await
    }

    /// Asks for the states of operations, of all when none is named.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn reconcile_operations(
        &self,
        operations: Vec<call::reconcile_operations::Operation>,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::ReconcileOperations as i32),
            reconcile_operations: Some(call::ReconcileOperations { operations }),
            ..Default::default()
        })
        .await
    }

    /// Sends bytes to an executor. They may be lost on the way.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn message(
        &self,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        data: Bytes,
    ) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Message as i32),
            message: Some(call::Message {
                agent_id,
                executor_id,
                data,
            }),
            ..Default::default()
        })
        .await
    }

    /// Tells the allocator what is wanted. Mesos's own does not listen.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn request(&self, requests: Vec<v1::Request>) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Request as i32),
            request: Some(call::Request { requests }),
            ..Default::default()
        })
        .await
    }

    /// Removes the framework: all its tasks are killed, and its id is used up.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn teardown(&self) -> Result<(), CallError> {
        self.send(Call {
            r#type: Some(call::Type::Teardown as i32),
            ..Default::default()
        })
        .await
    }

    /// Replaces the framework's info, suppressed roles and offer constraints.
    ///
    /// # Errors
    ///
    /// As [`Calls::send`].
    pub async fn update_framework(
        &self,
        mut framework_info: v1::FrameworkInfo,
        suppressed_roles: Vec<String>,
        offer_constraints: Option<OfferConstraints>,
    ) -> Result<(), CallError> {
        framework_info.id = Some(self.link.framework_id.clone());
        self.send(Call {
            r#type: Some(call::Type::UpdateFramework as i32),
            update_framework: Some(call::UpdateFramework {
                framework_info,
                suppressed_roles,
                offer_constraints,
            }),
            ..Default::default()
        })
        .await
    }

    pub(crate) fn acknowledge_in_background(&self, ack: Ack) {
        let acknowledge = call::Acknowledge {
            agent_id: ack.agent_id,
            task_id: ack.task_id,
            uuid: ack.uuid,
        };
        // The worker lives as long as anybody can send to it.
        let _ = self.background.send(Background::Acknowledge(acknowledge));
    }

    pub(crate) fn acknowledge_operation_in_background(
        &self,
        acknowledge: call::AcknowledgeOperationStatus,
    ) {
        let _ = self
            .background
            .send(Background::AcknowledgeOperation(acknowledge));
    }

    /// Waits until what was given to the background has been sent.
    pub(crate) async fn flush(&self) {
        let (sent, wait) = oneshot::channel();
        if self.background.send(Background::Flush(sent)).is_ok() {
            // An error is the worker's end, which has nothing left to send.
            let _ = wait.await;
        }
    }

    pub(crate) fn decline_in_background(&self, offer_id: v1::OfferId) {
        let _ = self.background.send(Background::Decline(offer_id));
    }
}

/// The tasks that operations launch, and where.
fn launched(operations: &[v1::offer::Operation]) -> Vec<(v1::TaskId, v1::AgentId)> {
    let single = operations.iter().filter_map(|o| o.launch.as_ref());
    let grouped = operations.iter().filter_map(|o| o.launch_group.as_ref());
    single
        .flat_map(|launch| &launch.task_infos)
        .chain(grouped.flat_map(|launch| &launch.task_group.tasks))
        .map(|task| (task.task_id.clone(), task.agent_id.clone()))
        .collect()
}
