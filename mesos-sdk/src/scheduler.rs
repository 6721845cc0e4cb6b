//! Frameworks: the [`Scheduler`] trait, and the driver that keeps what it
//! promises.
//!
//! The driver subscribes, follows the leading master, watches heartbeats,
//! reconciles, and calls the scheduler's methods one at a time.
//!
//! - An update is acknowledged once [`Scheduler::update`] has returned `Ok`.
//! - The stream is read however long a method takes; updates never wait behind
//!   offers.
//! - A call belongs to its subscription. After a reconnect it fails instead of
//!   reaching another one.
//! - An offer is used once, or declined when it is dropped.
//! - Nothing is torn down unless [`Handle::teardown`] is called.
//!
//! What it cannot promise: updates arrive at least once and become effectively
//! once because they are recognised and acknowledged after the fact; a launch
//! happens at most once for each ACCEPT; that a call was taken means that it is
//! queued, not done; of a call that was cut off only reconciliation tells.
//!
//! # Metrics
//!
//! Recorded through the [`metrics`](https://docs.rs/metrics) facade; without a
//! recorder they cost next to nothing.
//!
//! | name | kind | labels | counts |
//! |---|---|---|---|
//! | `mesos_sdk_subscriptions_total` | counter | | subscriptions that began |
//! | `mesos_sdk_disconnects_total` | counter | | subscriptions that were lost, and tries that failed |
//! | `mesos_sdk_events_total` | counter | `type` | events read |
//! | `mesos_sdk_calls_total` | counter | `type`, `outcome`: `accepted`, `failed` | calls made |
//! | `mesos_sdk_call_seconds` | histogram | `type` | how long the master took to answer |
//! | `mesos_sdk_waiting_events` | gauge | | events read and not handled yet, offers apart |
//! | `mesos_sdk_tracked_tasks` | gauge | | tasks not known to be over |

pub mod calls;
mod connector;
mod dispatch;
mod forward;
mod handle;
mod lanes;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{OfferConstraints, event};
use tokio::sync::Notify;

use crate::address::MasterAddress;
use crate::client::{Encoding, SchedulerClient};
use crate::credentials::Credentials;
use crate::detect::Detector;
use crate::error::Error;
use crate::offer::Offer;
use crate::operation::OperationUpdate;
use crate::reconciler::{Reconciler, ReconcilerConfig};
use crate::recordio;
use crate::session::SessionConfig;
use crate::status::StatusUpdate;
use crate::transport::{TlsConfig, Transport, TransportConfig};

pub use crate::error::BoxError;
pub use crate::session::Disconnect;
pub use handle::Handle;
use lanes::Lanes;

/// The logic of a framework: one method for each thing that can happen.
///
/// Methods are called one at a time. Every method has a default that is safe:
/// offers that nobody wants are declined, the rest is logged. An error ends
/// [`SchedulerDriver::run`]: the update at hand stays unacknowledged, nothing is
/// torn down, and whoever runs the driver again gets it again.
#[async_trait]
pub trait Scheduler: Send {
    /// The framework is subscribed, for the first time or again. Its id stays
    /// the same; it is worth saving before anything is launched.
    async fn subscribed(
        &mut self,
        handle: &Handle,
        framework_id: &v1::FrameworkId,
        info: &event::Subscribed,
    ) -> Result<(), BoxError> {
        let _ = (handle, info);
        tracing::info!(framework_id = %framework_id.value, "subscribed");
        Ok(())
    }

    /// There is no subscription now: it is lost, or a try has failed. The driver
    /// tries again by itself. Offers in hand are void.
    async fn disconnected(&mut self, handle: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        let _ = handle;
        tracing::warn!(%reason, retry_in = ?reason.retry_in, "disconnected");
        Ok(())
    }

    /// Resources are offered. An offer that is dropped is declined.
    async fn offers(&mut self, handle: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let _ = handle;
        tracing::debug!(count = offers.len(), "declining offers nobody wants");
        Ok(())
    }

    /// Resources are wanted back, for a maintenance.
    async fn inverse_offers(
        &mut self,
        handle: &Handle,
        inverse_offers: Vec<v1::InverseOffer>,
    ) -> Result<(), BoxError> {
        let _ = handle;
        tracing::info!(count = inverse_offers.len(), "inverse offers");
        Ok(())
    }

    /// An offer that was handed out is void. Using it fails before anything is
    /// sent.
    async fn rescinded(&mut self, handle: &Handle, offer_id: v1::OfferId) -> Result<(), BoxError> {
        let _ = handle;
        tracing::debug!(offer_id = %offer_id.value, "offer rescinded");
        Ok(())
    }

    /// An inverse offer is void.
    async fn inverse_offer_rescinded(
        &mut self,
        handle: &Handle,
        inverse_offer_id: v1::OfferId,
    ) -> Result<(), BoxError> {
        let _ = handle;
        tracing::debug!(offer_id = %inverse_offer_id.value, "inverse offer rescinded");
        Ok(())
    }

    /// A task has a new state. `Ok` acknowledges it, so whatever it changes
    /// must be saved before.
    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        let _ = handle;
        let state = update.state().as_str_name();
        tracing::info!(task_id = update.task_id(), state, "status update");
        Ok(())
    }

    /// An operation that has an id has a new state. `Ok` acknowledges it.
    async fn operation_update(
        &mut self,
        handle: &Handle,
        update: &OperationUpdate,
    ) -> Result<(), BoxError> {
        let _ = handle;
        let state = update.state().as_str_name();
        tracing::info!(
            operation_id = update.operation_id(),
            state,
            "operation update"
        );
        Ok(())
    }

    /// An executor has sent a message.
    async fn message(
        &mut self,
        handle: &Handle,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        data: Bytes,
    ) -> Result<(), BoxError> {
        let _ = (handle, agent_id);
        let bytes = data.len();
        tracing::debug!(executor_id = %executor_id.value, bytes, "message");
        Ok(())
    }

    /// An agent has gone. Updates tell what became of its tasks.
    async fn agent_lost(&mut self, handle: &Handle, agent_id: v1::AgentId) -> Result<(), BoxError> {
        let _ = handle;
        tracing::warn!(agent_id = %agent_id.value, "agent lost");
        Ok(())
    }

    /// An executor has ended. Updates tell what became of its tasks.
    async fn executor_lost(
        &mut self,
        handle: &Handle,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        status: Option<i32>,
    ) -> Result<(), BoxError> {
        let _ = (handle, agent_id);
        tracing::info!(executor_id = %executor_id.value, ?status, "executor ended");
        Ok(())
    }

    /// The master lives.
    async fn heartbeat(&mut self, handle: &Handle) -> Result<(), BoxError> {
        let _ = handle;
        Ok(())
    }
}

/// Runs a [`Scheduler`].
#[derive(Debug)]
pub struct SchedulerDriver {
    shared: Arc<Shared>,
    settings: Settings,
}

/// What the driver, its connector and its handles share.
#[derive(Debug)]
struct Shared {
    lanes: Lanes,
    current: Mutex<Current>,
    reconciler: Arc<Mutex<Reconciler>>,
    /// Operations are reconciled as tasks are, those with an id.
    operations: Arc<Mutex<Reconciler>>,
    /// An answer came, so the reconciler may go on.
    answered: Notify,
    stopped: Notify,
}

#[derive(Debug)]
struct Current {
    calls: Option<calls::Calls>,
    framework_id: Option<v1::FrameworkId>,
    /// What UPDATE_FRAMEWORK said last, for the next subscription.
    updated: Option<(v1::FrameworkInfo, Option<OfferConstraints>)>,
    is_stopped: bool,
    /// A TEARDOWN was sent: that the framework is removed is what was wanted.
    is_leaving: bool,
}

/// What the connector needs.
#[derive(Debug)]
struct Settings {
    client: SchedulerClient,
    detector: Detector,
    framework: v1::FrameworkInfo,
    suppressed_roles: Vec<String>,
    offer_constraints: Option<OfferConstraints>,
    session: SessionConfig,
    seed: u64,
}

/// Builds a [`SchedulerDriver`].
#[derive(Debug)]
pub struct SchedulerDriverBuilder {
    master: MasterAddress,
    framework: v1::FrameworkInfo,
    credentials: Option<Credentials>,
    encoding: Encoding,
    record_limit: u64,
    suppressed_roles: Vec<String>,
    offer_constraints: Option<OfferConstraints>,
    session: SessionConfig,
    reconciler: ReconcilerConfig,
    transport: TransportConfig,
    seed: Option<u64>,
}

impl SchedulerDriver {
    /// Begins to build a driver for a framework.
    #[must_use]
    pub fn builder(master: MasterAddress, framework: v1::FrameworkInfo) -> SchedulerDriverBuilder {
        SchedulerDriverBuilder {
            master,
            framework,
            credentials: None,
            encoding: Encoding::default(),
            record_limit: recordio::DEFAULT_LIMIT,
            suppressed_roles: Vec::new(),
            offer_constraints: None,
            session: SessionConfig::default(),
            reconciler: ReconcilerConfig::default(),
            transport: TransportConfig::default(),
            seed: None,
        }
    }

    /// Makes calls, from any task.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Runs the scheduler until [`Handle::stop`] or [`Handle::teardown`] is
    /// called. When it ends, and also when it is dropped, the stream is closed
    /// and calls fail; the framework and its tasks go on unless they were torn
    /// down.
    ///
    /// # Errors
    ///
    /// [`Error`] when the framework cannot go on. Its tasks do.
    pub async fn run(self, mut scheduler: impl Scheduler) -> Result<(), Error> {
        let handle = self.handle();
        let connector = tokio::spawn(connector::run(Arc::clone(&self.shared), self.settings));
        let _guard = Leave {
            connector: connector.abort_handle(),
            shared: Arc::clone(&self.shared),
        };
        let result = dispatch::run(&self.shared, &handle, &mut scheduler).await;
        let calls = self.shared.current().calls.clone();
        if let Some(calls) = calls {
            // What was handled is acknowledged; what cannot be comes again.
            let _ = tokio::time::timeout(LAST_CALLS, calls.flush()).await;
        }
        result
    }
}

/// How long a run that ends waits for the acknowledgements it owes.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Ends the connector and its subscription with the run, also when the run is
/// dropped.
struct Leave {
    connector: tokio::task::AbortHandle,
    shared: Arc<Shared>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.connector.abort();
        self.shared.end_subscription();
    }
}

impl SchedulerDriverBuilder {
    /// The id the framework had before: it takes its tasks over.
    #[must_use]
    pub fn framework_id(mut self, framework_id: Option<v1::FrameworkId>) -> Self {
        self.framework.id = framework_id;
        self
    }

    /// Sends credentials with every request. Their principal becomes the
    /// framework's unless it has one.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// How messages are written on the wire.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The largest record that is read, in bytes; 1 GiB by default.
    #[must_use]
    pub fn record_limit(mut self, limit: u64) -> Self {
        self.record_limit = limit;
        self
    }

    /// Roles in which no offers are wanted at first.
    #[must_use]
    pub fn suppressed_roles(mut self, roles: Vec<String>) -> Self {
        self.suppressed_roles = roles;
        self
    }

    /// Which agents offers are wanted of.
    #[must_use]
    pub fn offer_constraints(mut self, constraints: OfferConstraints) -> Self {
        self.offer_constraints = Some(constraints);
        self
    }

    /// Gives up when there is no subscription for this long. By default the
    /// driver never does.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.session.connect_timeout = Some(timeout);
        self
    }

    /// How the subscription is kept.
    #[must_use]
    pub fn session(mut self, config: SessionConfig) -> Self {
        self.session = config;
        self
    }

    /// How tasks are reconciled.
    #[must_use]
    pub fn reconciler(mut self, config: ReconcilerConfig) -> Self {
        self.reconciler = config;
        self
    }

    /// Trusts certificates besides those of the system.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.transport.tls = tls;
        self
    }

    /// How requests are made.
    #[must_use]
    pub fn transport(mut self, config: TransportConfig) -> Self {
        self.transport = config;
        self
    }

    /// Makes the jitter of waits repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the driver. Nothing is contacted yet.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the address names no master.
    pub fn build(mut self) -> Result<SchedulerDriver, Error> {
        if let (None, Some(credentials)) = (&self.framework.principal, &self.credentials) {
            self.framework.principal = credentials.principal().map(str::to_owned);
        }
        let detector = Detector::new(&self.master)?;
        let transport = Transport::new(self.transport);
        let client = SchedulerClient::new(transport)
            .credentials(self.credentials)
            .encoding(self.encoding)
            .record_limit(self.record_limit);
        let seed = self
            .seed
            .unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        let shared = Shared {
            lanes: Lanes::default(),
            current: Mutex::new(Current {
                calls: None,
                framework_id: self.framework.id.clone(),
                updated: None,
                is_stopped: false,
                is_leaving: false,
            }),
            operations: Arc::new(Mutex::new(Reconciler::new(self.reconciler.explicit_only()))),
            reconciler: Arc::new(Mutex::new(Reconciler::new(self.reconciler))),
            answered: Notify::new(),
            stopped: Notify::new(),
        };
        Ok(SchedulerDriver {
            shared: Arc::new(shared),
            settings: Settings {
                client,
                detector,
                framework: self.framework,
                suppressed_roles: self.suppressed_roles,
                offer_constraints: self.offer_constraints,
                session: self.session,
                seed,
            },
        })
    }
}
