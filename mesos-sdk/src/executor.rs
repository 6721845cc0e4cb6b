//! Executors: what runs the tasks of a framework on an agent.
//!
//! A framework that is content with commands needs none: Mesos brings its own.
//! One that wants many tasks in one process, or tasks that are no processes,
//! writes an [`Executor`] and names its program in the tasks' `ExecutorInfo`.
//!
//! ```no_run
//! use mesos_sdk::executor::{Executor, ExecutorDriver, ExecutorEnvironment, Handle};
//! use mesos_sdk::{async_trait, scheduler::BoxError, v1};
//!
//! struct Echo;
//!
//! #[async_trait]
//! impl Executor for Echo {
//!     async fn launch(&mut self, handle: &Handle, task: v1::TaskInfo) -> Result<(), BoxError> {
//!         handle.running(&task.task_id);
//!         println!("{}", String::from_utf8_lossy(task.data()));
//!         handle.finished(&task.task_id);
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result<(), BoxError> {
//!     // First of all: tasks are not to inherit the executor's token.
//!     let environment = ExecutorEnvironment::take()?;
//!     let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//!     runtime.block_on(ExecutorDriver::new(environment).run(Echo))?;
//!     Ok(())
//! }
//! ```
//!
//! # What the driver does
//!
//! - It subscribes with the agent over HTTP, or through the agent's domain
//!   socket when there is one, and reads the stream whatever the executor's
//!   methods do.
//! - It keeps every update until the agent acknowledges it, sends those of one
//!   task in order, and tells the agent all that is open with each subscription.
//!   So an update is lost only with the executor itself.
//! - When the agent goes away and the framework checkpoints, it tries again
//!   until the recovery timeout is over. Otherwise, and then, it has the
//!   executor [shut down](Executor::shutdown) and ends.
//! - When the agent says SHUTDOWN, the executor has the grace period to end its
//!   tasks; then the run ends, whatever its methods are doing.
//!
//! # The token
//!
//! An agent that authenticates executors gives each a token in its environment.
//! A program that starts tasks as processes must not let them inherit it:
//! [`ExecutorEnvironment::take`] takes it out for good,
//! [`ExecutorEnvironment::from_env`] leaves it there, and then tasks are to be
//! started with [`child_command`], or without [`TOKEN_VARIABLE`] otherwise.

mod client;
mod connector;
mod environment;
mod handle;
pub mod session;
mod status;
mod token;
mod unacknowledged;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::executor::{Event, event};
use tokio::sync::{mpsc, watch};

use crate::client::Encoding;
use crate::error::BoxError;
use crate::transport::TransportConfig;
use client::Client;
use connector::{Connector, Told};
pub use environment::{EnvironmentError, ExecutorEnvironment};
pub use handle::Handle;
use handle::Shared;
pub use session::Disconnect;
use session::SessionConfig;
pub use status::Status;
pub use token::{TOKEN_VARIABLE, child_command};

/// What an executor does: one method for each thing that can happen.
///
/// Methods are called one at a time. What a task does goes on elsewhere: in a
/// process, or a task of the runtime that has a clone of the [`Handle`]. An
/// error ends [`ExecutorDriver::run`].
#[async_trait]
pub trait Executor: Send {
    /// The executor is subscribed, for the first time or again.
    async fn subscribed(
        &mut self,
        handle: &Handle,
        info: &event::Subscribed,
    ) -> Result<(), BoxError> {
        let _ = handle;
        tracing::info!(agent = %info.agent_info.hostname, "subscribed");
        Ok(())
    }

    /// The agent is away. The driver tries again by itself, and tasks go on.
    async fn disconnected(&mut self, handle: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        let _ = handle;
        tracing::warn!(%reason, retry_in = ?reason.retry_in, "disconnected");
        Ok(())
    }

    /// A task is to be run. By default it fails.
    async fn launch(&mut self, handle: &Handle, task: v1::TaskInfo) -> Result<(), BoxError> {
        handle.failed(&task.task_id, "this executor runs no tasks");
        Ok(())
    }

    /// Tasks are to be run that live and die together. By default they fail.
    async fn launch_group(
        &mut self,
        handle: &Handle,
        tasks: Vec<v1::TaskInfo>,
    ) -> Result<(), BoxError> {
        for task in tasks {
            handle.failed(&task.task_id, "this executor runs no task groups");
        }
        Ok(())
    }

    /// A task is to be ended. By default nothing happens: whether it can be is
    /// known to the executor only.
    async fn kill(
        &mut self,
        handle: &Handle,
        task_id: v1::TaskId,
        kill_policy: Option<v1::KillPolicy>,
    ) -> Result<(), BoxError> {
        let _ = (handle, kill_policy);
        tracing::warn!(task_id = %task_id.value, "this executor kills no tasks");
        Ok(())
    }

    /// The agent has an update for certain.
    async fn acknowledged(
        &mut self,
        handle: &Handle,
        task_id: v1::TaskId,
        uuid: Bytes,
    ) -> Result<(), BoxError> {
        let _ = (handle, task_id, uuid);
        Ok(())
    }

    /// The agent refuses an update, and it is not kept: it breaks a rule.
    async fn update_refused(
        &mut self,
        handle: &Handle,
        status: v1::TaskStatus,
        reason: String,
    ) -> Result<(), BoxError> {
        let _ = handle;
        let state = status.state().as_str_name();
        tracing::error!(task_id = %status.task_id.value, state, reason, "update refused");
        Ok(())
    }

    /// The scheduler has sent a message.
    async fn message(&mut self, handle: &Handle, data: Bytes) -> Result<(), BoxError> {
        let _ = handle;
        tracing::debug!(bytes = data.len(), "message");
        Ok(())
    }

    /// All tasks are to be ended, within the grace period of the
    /// [environment](ExecutorEnvironment::shutdown_grace_period), and their
    /// last updates told. When this returns, and these are acknowledged, the run
    /// ends.
    async fn shutdown(&mut self, handle: &Handle) -> Result<(), BoxError> {
        let _ = handle;
        tracing::info!("shutting down");
        Ok(())
    }

    /// The agent says that something is wrong with the executor.
    /// [`shutdown`](Self::shutdown) follows.
    async fn error(&mut self, handle: &Handle, message: String) -> Result<(), BoxError> {
        let _ = handle;
        tracing::error!(message, "the agent reports an error");
        Ok(())
    }
}

/// Why an executor's run ended otherwise than it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The agent went away, and did not come back while it was waited for.
    #[error("no agent for {waited:?}: {reason}")]
    AgentLost {
        /// How long it was waited for.
        waited: Duration,
        /// The last failure.
        reason: String,
    },
    /// The agent does not know this executor.
    #[error("the agent refuses the executor: {message}")]
    Refused {
        /// The agent's words.
        message: String,
    },
    /// The agent does not accept the token, or wants one.
    #[error("the agent does not accept the executor's token: {message}")]
    Unauthenticated {
        /// The agent's words.
        message: String,
    },
    /// The agent sent ERROR.
    #[error("the agent reports an error: {message}")]
    Agent {
        /// The agent's words.
        message: String,
    },
    /// The run was to end, and the agent did not acknowledge what it was told.
    #[error("{count} updates were not acknowledged")]
    Unacknowledged {
        /// How many updates.
        count: usize,
    },
    /// A method of the executor returned an error.
    #[error("the executor failed in `{method}`")]
    Executor {
        /// Which method.
        method: &'static str,
        /// Its error.
        source: BoxError,
    },
}

/// Runs an [`Executor`].
#[derive(Debug)]
pub struct ExecutorDriver {
    environment: ExecutorEnvironment,
    encoding: Encoding,
    session: SessionConfig,
    transport: TransportConfig,
    seed: Option<u64>,
}

impl ExecutorDriver {
    /// A driver for the executor of this environment. Nothing is contacted yet.
    #[must_use]
    pub fn new(environment: ExecutorEnvironment) -> Self {
        let session = SessionConfig {
            is_checkpointing: environment.is_checkpointing,
            recovery_timeout: environment.recovery_timeout,
            subscription_backoff_max: environment.subscription_backoff_max,
            shutdown_grace_period: environment.shutdown_grace_period,
            ..SessionConfig::default()
        };
        Self {
            environment,
            encoding: Encoding::default(),
            session,
            transport: TransportConfig::default(),
            seed: None,
        }
    }

    /// How messages are written on the wire.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How the subscription is kept, instead of how the environment says.
    #[must_use]
    pub fn session(mut self, config: SessionConfig) -> Self {
        self.session = config;
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

    /// Runs the executor until [`Handle::stop`] is called or the agent says
    /// SHUTDOWN. When it returns the process is to exit: the agent ends what it
    /// leaves behind.
    ///
    /// # Errors
    ///
    /// [`Error`] when the agent is lost or refuses the executor, or one of the
    /// executor's methods fails.
    pub async fn run(self, mut executor: impl Executor) -> Result<(), Error> {
        let (inputs, received) = mpsc::unbounded_channel();
        let (to_executor, told) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            client: Client::new(self.environment, self.transport, self.encoding),
            inputs,
            is_subscribed: AtomicBool::new(false),
            unacknowledged: watch::Sender::new(0),
        });
        let seed = self
            .seed
            .unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        let connector = Connector::new(
            Arc::clone(&shared),
            self.session,
            seed,
            received,
            to_executor,
        );
        // A task of its own: the stream is read whatever the methods do.
        let mut connector = tokio::spawn(connector.run());
        let _guard = AbortOnDrop(connector.abort_handle());
        let handle = Handle::new(shared);
        tokio::select! {
            ended = &mut connector => ended.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Ok(()),
            }),
            error = dispatch(&handle, &mut executor, told) => Err(error),
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls the executor's methods, one at a time, until one fails.
async fn dispatch(
    handle: &Handle,
    executor: &mut impl Executor,
    mut told: mpsc::UnboundedReceiver<Told>,
) -> Error {
    while let Some(told) = told.recv().await {
        let (method, result) = tell(handle, executor, told).await;
        if let Err(source) = result {
            return Error::Executor { method, source };
        }
    }
    // The connector has ended, and says why.
    std::future::pending().await
}

async fn tell(
    handle: &Handle,
    executor: &mut impl Executor,
    told: Told,
) -> (&'static str, Result<(), BoxError>) {
    match told {
        Told::Subscribed(info) => ("subscribed", executor.subscribed(handle, &info).await),
        Told::Disconnected(reason) => {
            ("disconnected", executor.disconnected(handle, &reason).await)
        }
        Told::UpdateRefused(status, reason) => {
            let result = executor.update_refused(handle, *status, reason).await;
            ("update_refused", result)
        }
        Told::Event(event) => self::event(handle, executor, *event).await,
    }
}

async fn event(
    handle: &Handle,
    executor: &mut impl Executor,
    event: Event,
) -> (&'static str, Result<(), BoxError>) {
    match event.r#type() {
        event::Type::Launch => {
            let task = event.launch.unwrap_or_default().task;
            ("launch", executor.launch(handle, task).await)
        }
        event::Type::LaunchGroup => {
            let group = event.launch_group.unwrap_or_default().task_group;
            let result = executor.launch_group(handle, group.tasks).await;
            ("launch_group", result)
        }
        event::Type::Kill => {
            let kill = event.kill.unwrap_or_default();
            let result = executor.kill(handle, kill.task_id, kill.kill_policy).await;
            ("kill", result)
        }
        event::Type::Acknowledged => {
            let acknowledged = event.acknowledged.unwrap_or_default();
            let (task_id, uuid) = (acknowledged.task_id, acknowledged.uuid);
            let result = executor.acknowledged(handle, task_id, uuid).await;
            ("acknowledged", result)
        }
        event::Type::Message => {
            let data = event.message.unwrap_or_default().data;
            ("message", executor.message(handle, data).await)
        }
        event::Type::Error => {
            let message = event.error.unwrap_or_default().message;
            ("error", executor.error(handle, message).await)
        }
        event::Type::Shutdown => {
            let result = executor.shutdown(handle).await;
            handle.shut_down();
            ("shutdown", result)
        }
        event::Type::Unknown | event::Type::Subscribed | event::Type::Heartbeat => {
            ("event", Ok(()))
        }
    }
}
