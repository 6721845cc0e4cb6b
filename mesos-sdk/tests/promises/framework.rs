//! A framework that tells the test what its scheduler sees, and whose handler
//! of updates waits for the test where the test wants that.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use mesos_sdk::{
    Error,
    address::MasterAddress,
    framework_info::FrameworkInfo,
    offer::Offer,
    operation::OperationUpdate,
    scheduler::{BoxError, Disconnect, Handle, Scheduler, SchedulerDriver, SchedulerDriverBuilder},
    status::{Ack, StatusUpdate},
    v1::{self, OperationState, TaskState, scheduler::event},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use crate::master::soon;

#[derive(Debug)]
pub(crate) enum Seen {
    Subscribed(String),
    Disconnected(String),
    Offers(Vec<Offer>),
    Rescinded(String),
    Update {
        task_id: String,
        state: TaskState,
        is_redelivery: bool,
    },
    Operation(String, OperationState),
    Message(Bytes),
    AgentLost(String),
    ExecutorLost(String, Option<i32>),
    Heartbeat,
}

/// What the handler of updates does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUpdate {
    Succeed,
    Fail,
    /// Succeeds when the test lets it.
    Wait,
    /// Takes the acknowledgement over and leaves it to the test.
    TakeOver,
}

struct Recorder {
    on_update: OnUpdate,
    gate: Arc<Semaphore>,
    acks: Arc<Mutex<Vec<Ack>>>,
    seen: mpsc::UnboundedSender<Seen>,
}

#[async_trait]
impl Scheduler for Recorder {
    async fn subscribed(
        &mut self,
        _: &Handle,
        framework_id: &v1::FrameworkId,
        _: &event::Subscribed,
    ) -> Result<(), BoxError> {
        Ok(self
            .seen
            .send(Seen::Subscribed(framework_id.value.clone()))?)
    }

    async fn disconnected(&mut self, _: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Disconnected(reason.to_string()))?)
    }

    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Offers(offers))?)
    }

    async fn rescinded(&mut self, _: &Handle, offer_id: v1::OfferId) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Rescinded(offer_id.value))?)
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        self.seen.send(Seen::Update {
            task_id: update.status().task_id.value.clone(),
            state: update.state(),
            is_redelivery: update.is_redelivery(),
        })?;
        match self.on_update {
            OnUpdate::Succeed => {}
            OnUpdate::Fail => return Err("the disk is full".into()),
            OnUpdate::Wait => self.gate.acquire().await?.forget(),
            OnUpdate::TakeOver => self.acks.lock().unwrap().extend(update.acknowledge_later()),
        }
        Ok(())
    }

    async fn operation_update(
        &mut self,
        _: &Handle,
        update: &OperationUpdate,
    ) -> Result<(), BoxError> {
        let id = update.operation_id().to_owned();
        self.seen.send(Seen::Operation(id, update.state()))?;
        match self.on_update {
            OnUpdate::Succeed | OnUpdate::TakeOver => {}
            OnUpdate::Fail => return Err("the disk is full".into()),
            OnUpdate::Wait => self.gate.acquire().await?.forget(),
        }
        Ok(())
    }

    async fn message(
        &mut self,
        _: &Handle,
        _: v1::AgentId,
        _: v1::ExecutorId,
        data: Bytes,
    ) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Message(data))?)
    }

    async fn agent_lost(&mut self, _: &Handle, agent_id: v1::AgentId) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::AgentLost(agent_id.value))?)
    }

    async fn executor_lost(
        &mut self,
        _: &Handle,
        _: v1::AgentId,
        executor_id: v1::ExecutorId,
        status: Option<i32>,
    ) -> Result<(), BoxError> {
        Ok(self
            .seen
            .send(Seen::ExecutorLost(executor_id.value, status))?)
    }

    async fn heartbeat(&mut self, _: &Handle) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Heartbeat)?)
    }
}

/// A driver that runs, with the recorder as its scheduler.
pub(crate) struct Framework {
    pub(crate) handle: Handle,
    pub(crate) run: JoinHandle<Result<(), Error>>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) acks: Arc<Mutex<Vec<Ack>>>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

pub(crate) fn builder(master: MasterAddress) -> SchedulerDriverBuilder {
    SchedulerDriver::builder(master, FrameworkInfo::service("promises").build())
}

impl Framework {
    pub(crate) fn start(builder: SchedulerDriverBuilder, on_update: OnUpdate) -> Self {
        let driver = builder.build().unwrap();
        let handle = driver.handle();
        let gate = Arc::new(Semaphore::new(0));
        let acks = Arc::default();
        let (sender, seen) = mpsc::unbounded_channel();
        let recorder = Recorder {
            on_update,
            gate: Arc::clone(&gate),
            acks: Arc::clone(&acks),
            seen: sender,
        };
        Self {
            handle,
            run: tokio::spawn(driver.run(recorder)),
            gate,
            acks,
            seen,
        }
    }

    /// What the scheduler sees next, heartbeats apart.
    pub(crate) async fn sees(&mut self) -> Seen {
        loop {
            match soon("an event", self.seen.recv()).await.unwrap() {
                Seen::Heartbeat => {}
                seen => return seen,
            }
        }
    }

    pub(crate) async fn sees_heartbeat(&mut self) {
        let seen = soon("a heartbeat", self.seen.recv()).await.unwrap();
        assert!(matches!(seen, Seen::Heartbeat), "{seen:?}");
    }

    pub(crate) async fn sees_subscribed(&mut self) {
        let seen = self.sees().await;
        assert!(
            matches!(&seen, Seen::Subscribed(id) if id == "F-1"),
            "{seen:?}"
        );
    }

    pub(crate) async fn sees_disconnected(&mut self) -> String {
        match self.sees().await {
            Seen::Disconnected(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn sees_offers(&mut self) -> Vec<Offer> {
        match self.sees().await {
            Seen::Offers(offers) => offers,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn sees_update(&mut self) -> (String, TaskState) {
        match self.sees().await {
            Seen::Update { task_id, state, .. } => (task_id, state),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ends(self) -> Result<(), Error> {
        soon("the end of the run", self.run).await.unwrap()
    }
}
