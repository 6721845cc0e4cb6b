//! The agent's io: one task that owns the model, waits, stamps the time, steps
//! it and does what it asks for. It decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mesos_sdk::{recordio, v1};
use tokio::sync::{mpsc, oneshot};

use crate::agent::api::AgentApi;
use crate::agent::process::{Processes, Report};
use crate::agent::switchboard::Switchboard;
use crate::agent::{
    Action, Agent, AgentConfig, CallId, ContainerAnswer, ContainerCall, ContainerKey, Input, Reply,
    Warden,
};
use crate::http::negotiate::Encoding;
use crate::http::stream::EventSender;
use crate::messages::{FromAgent, ToAgent};
use crate::time::Timestamp;

/// The two ends of a connection to a master. The master has gone when
/// `from_master` closes.
#[derive(Debug)]
pub struct MasterLink {
    /// What the agent says.
    pub to_master: mpsc::UnboundedSender<FromAgent>,
    /// What the master says.
    pub from_master: mpsc::UnboundedReceiver<ToAgent>,
}

/// Starts agents.
#[derive(Debug)]
pub struct AgentShell;

impl AgentShell {
    /// Starts an agent that has no master yet; see [`AgentHandle::connect`].
    /// Its work directory must lie under the warden's.
    ///
    /// # Errors
    ///
    /// When its work directory cannot be made.
    pub fn start(config: AgentConfig, warden: Arc<Warden>) -> io::Result<AgentHandle> {
        std::fs::create_dir_all(&config.work_dir)?;
        let config = Arc::new(AgentConfig {
            work_dir: config.work_dir.canonicalize()?,
            ..config
        });
        let (orders, inbox) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::unbounded_channel();
        let driver = Driver {
            agent: Agent::new(Arc::clone(&config), Timestamp::now()),
            processes: Processes::new(&config, warden, reports),
            link: None,
            inbox,
            reported,
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            asking: BTreeMap::new(),
        };
        tokio::spawn(driver.run());
        let calls = Arc::new(AtomicU64::new(1));
        Ok(AgentHandle {
            orders,
            config,
            calls,
        })
    }
}

/// Gives orders to a running agent. The agent, and every task of it, ends when
/// the last handle is dropped.
#[derive(Debug, Clone)]
pub struct AgentHandle {
    orders: mpsc::UnboundedSender<Order>,
    config: Arc<AgentConfig>,
    /// How many calls executors have made.
    calls: Arc<AtomicU64>,
}

/// An executor's stream, whose events are written in its encoding.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) encoding: Encoding,
    pub(crate) events: EventSender,
}

type Question = Box<dyn FnOnce(&Agent, Timestamp) + Send>;

enum Order {
    Connect(MasterLink),
    Disconnect,
    Ask(Question),
    Call(
        CallId,
        Box<v1::executor::Call>,
        Option<Stream>,
        oneshot::Sender<Reply>,
    ),
    Gone(CallId),
    Container(
        CallId,
        ContainerCall,
        Option<oneshot::Sender<ContainerAnswer>>,
    ),
    Switchboard(ContainerKey, oneshot::Sender<Option<Switchboard>>),
    SetLoggingLevel(u32, v1::DurationInfo),
    Unregister(oneshot::Sender<()>),
    Crash(bool, oneshot::Sender<()>),
    Restart(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

impl AgentHandle {
    /// What the agent was started with.
    #[must_use]
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// Gives the agent a master, instead of the one it had. It registers, or
    /// registers again with the tasks it runs when it has an id already.
    pub fn connect(&self, link: MasterLink) {
        self.order(Order::Connect(link));
    }

    /// Takes the master away: tasks run on, and their updates wait.
    pub fn disconnect(&self) {
        self.order(Order::Disconnect);
    }

    /// Leaves in good order: the master is told, and tasks are killed. Until
    /// [`AgentHandle::restart`] the agent is as good as gone.
    pub async fn unregister(&self) {
        self.order_and_wait(Order::Unregister).await;
    }

    /// The agent's process ends without a word, and every task with it when it
    /// is the machine that ends. What its work directory would tell an agent of
    /// Mesos is kept for [`AgentHandle::restart`].
    pub async fn crash(&self, with_machine: bool) {
        self.order_and_wait(|done| Order::Crash(with_machine, done))
            .await;
    }

    /// Comes back under the same id. It registers again once its executors have
    /// subscribed again, or had the time to, and there is a master to connect to.
    pub async fn restart(&self) {
        self.order_and_wait(Order::Restart).await;
    }

    /// Kills every task and ends the agent for good; the master is told nothing.
    /// Returns once it has.
    pub async fn stop(&self) {
        self.order_and_wait(Order::Stop).await;
    }

    /// What answers the agent's HTTP requests.
    pub(crate) fn api(&self) -> AgentApi {
        let agent = WeakHandle {
            orders: self.orders.downgrade(),
            calls: Arc::clone(&self.calls),
        };
        AgentApi::new(agent, Arc::clone(&self.config))
    }

    fn order(&self, order: Order) {
        // An agent that has ended has nothing left to obey with.
        let _ = self.orders.send(order);
    }

    async fn order_and_wait(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, wait) = oneshot::channel();
        self.order(order(done));
        // An error says that the agent had ended before: the same to us.
        let _ = wait.await;
    }
}

/// Asks an agent that may have ended; it does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakHandle {
    orders: mpsc::WeakUnboundedSender<Order>,
    calls: Arc<AtomicU64>,
}

impl WeakHandle {
    /// A number that no call has had before.
    pub(crate) fn next_call(&self) -> CallId {
        CallId(self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// A call of an executor, with the stream to open when it is a SUBSCRIBE.
    /// `None` when the agent has ended.
    pub(crate) async fn executor_call(
        &self,
        id: CallId,
        call: v1::executor::Call,
        stream: Option<Stream>,
    ) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Call(id, Box::new(call), stream, reply);
        let _ = self.orders.upgrade()?.send(order);
        answer.await.ok()
    }

    /// A call about a container. `None` when the agent has ended.
    pub(crate) async fn container_call(&self, call: ContainerCall) -> Option<ContainerAnswer> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Container(self.next_call(), call, Some(reply));
        let _ = self.orders.upgrade()?.send(order);
        answer.await.ok()
    }

    /// Whoever wanted a container has gone.
    pub(crate) fn destroy_container(&self, container: ContainerKey) {
        if let Some(orders) = self.orders.upgrade() {
            let call = ContainerCall::Destroy(container);
            let _ = orders.send(Order::Container(self.next_call(), call, None));
        }
    }

    /// Where clients attach to a container, when they can.
    pub(crate) async fn switchboard(&self, container: ContainerKey) -> Option<Switchboard> {
        let (reply, answer) = oneshot::channel();
        let _ = self
            .orders
            .upgrade()?
            .send(Order::Switchboard(container, reply));
        answer.await.ok()?
    }

    /// A valid level of logging, and for how long.
    pub(crate) fn set_logging_level(&self, level: u32, duration: v1::DurationInfo) {
        if let Some(orders) = self.orders.upgrade() {
            let _ = orders.send(Order::SetLoggingLevel(level, duration));
        }
    }

    /// The stream of an executor is over.
    pub(crate) fn executor_gone(&self, id: CallId) {
        if let Some(orders) = self.orders.upgrade() {
            let _ = orders.send(Order::Gone(id));
        }
    }

    /// Looks at the model. `None` when the agent has ended.
    pub(crate) async fn ask<T, F>(&self, question: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&Agent, Timestamp) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |agent, now| {
            // Whoever asked may have gone meanwhile.
            let _ = reply.send(question(agent, now));
        });
        let _ = self.orders.upgrade()?.send(Order::Ask(question));
        answer.await.ok()
    }
}

struct Driver {
    agent: Agent,
    processes: Processes,
    link: Option<MasterLink>,
    inbox: mpsc::UnboundedReceiver<Order>,
    reported: mpsc::UnboundedReceiver<Report>,
    streams: BTreeMap<CallId, Stream>,
    waiting: BTreeMap<CallId, oneshot::Sender<Reply>>,
    /// Calls about containers.
    asking: BTreeMap<CallId, oneshot::Sender<ContainerAnswer>>,
}

/// What the loop waits for.
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once a turn of the loop"
)]
enum Event {
    Order(Option<Order>),
    Report(Report),
    Master(Option<ToAgent>),
    Due,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let event = self.wait().await;
            let inputs = match event {
                Event::Order(None) => return,
                Event::Order(Some(order)) => match order {
                    Order::Connect(link) => {
                        self.link = Some(link);
                        vec![Input::Connected]
                    }
                    Order::Disconnect => {
                        self.link = None;
                        vec![Input::Disconnected]
                    }
                    Order::Ask(question) => {
                        question(&self.agent, Timestamp::now());
                        continue;
                    }
                    Order::Call(id, call, stream, reply) => {
                        self.waiting.insert(id, reply);
                        if let Some(stream) = stream {
                            self.streams.insert(id, stream);
                        }
                        vec![Input::FromExecutor { id, call }]
                    }
                    Order::Gone(id) => {
                        self.streams.remove(&id);
                        vec![Input::ExecutorGone { id }]
                    }
                    Order::Container(id, call, reply) => {
                        if let Some(reply) = reply {
                            self.asking.insert(id, reply);
                        }
                        vec![Input::Container { id, call }]
                    }
                    Order::Switchboard(container, reply) => {
                        // Whoever asked may have gone meanwhile.
                        let _ = reply.send(self.processes.switchboard(&container));
                        continue;
                    }
                    Order::SetLoggingLevel(level, duration) => {
                        vec![Input::SetLoggingLevel { level, duration }]
                    }
                    Order::Unregister(done) => {
                        self.leave(Input::Unregister, done);
                        continue;
                    }
                    Order::Crash(with_machine, done) => {
                        self.leave(Input::Crashed { with_machine }, done);
                        continue;
                    }
                    Order::Restart(done) => {
                        self.step(vec![Input::Restarted]);
                        let _ = done.send(());
                        continue;
                    }
                    Order::Stop(done) => return self.end(done).await,
                },
                Event::Report(report) => self.processes.take(report),
                Event::Master(Some(message)) => vec![Input::FromMaster(message)],
                Event::Master(None) => {
                    self.link = None;
                    vec![Input::Disconnected]
                }
                Event::Due => vec![Input::Due],
            };
            if self.step(inputs) {
                return self.processes.stop().await;
            }
        }
    }

    /// The agent goes, one way or another; what the model knows stays.
    fn leave(&mut self, how: Input, done: oneshot::Sender<()>) {
        self.step(vec![how]);
        self.link = None;
        self.streams.clear();
        // Whoever ordered it may have gone meanwhile.
        let _ = done.send(());
    }

    async fn end(self, done: oneshot::Sender<()>) {
        self.processes.stop().await;
        let _ = done.send(());
    }

    async fn wait(&mut self) -> Event {
        let delay = self.agent.wake_at().map(|due| due.since(Timestamp::now()));
        let from_master = async {
            match &mut self.link {
                Some(link) => link.from_master.recv().await,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = self.inbox.recv() => Event::Order(order),
            Some(report) = self.reported.recv() => Event::Report(report),
            message = from_master => Event::Master(message),
            () = timer => Event::Due,
        }
    }

    /// Steps the model and does what it asks. `true` when the agent is to end.
    fn step(&mut self, inputs: Vec<Input>) -> bool {
        let mut inputs = VecDeque::from(inputs);
        let mut ends = false;
        while let Some(input) = inputs.pop_front() {
            let effects = self.agent.step(Timestamp::now(), input);
            if self.agent.logging_level() > 0 {
                tracing::info!(
                    to_master = effects.to_master.len(),
                    actions = effects.actions.len(),
                    events = effects.events.len(),
                    "the agent took a step"
                );
            }
            for message in effects.to_master {
                if let Some(link) = &self.link {
                    // A master that has gone is noticed by its receiver.
                    let _ = link.to_master.send(message);
                }
            }
            self.answer(effects.replies);
            for (id, answer) in effects.answers {
                if let Some(asking) = self.asking.remove(&id) {
                    let _ = asking.send(answer);
                }
            }
            self.send_events(effects.events);
            for id in effects.closes {
                self.streams.remove(&id);
            }
            for action in effects.actions {
                match action {
                    Action::Exit { message } => {
                        tracing::info!(%message, "the agent ends as the master asked");
                        ends = true;
                    }
                    action => inputs.extend(self.processes.perform(action)),
                }
            }
        }
        ends
    }

    fn answer(&mut self, replies: Vec<(CallId, Reply)>) {
        for (id, reply) in replies {
            if reply.status != 200 {
                // Whatever it was, it is no stream.
                self.streams.remove(&id);
            }
            if let Some(waiting) = self.waiting.remove(&id) {
                // Whoever called may have gone meanwhile.
                let _ = waiting.send(reply);
            }
        }
    }

    /// Writes events. An executor that has gone, or is cut off because it reads
    /// too slowly, is told of by the end of its stream.
    fn send_events(&self, events: Vec<(CallId, v1::executor::Event)>) {
        for (id, event) in events {
            let Some(stream) = self.streams.get(&id) else {
                continue;
            };
            let record = recordio::encode(&stream.encoding.encode(&event));
            if let Err(error) = stream.events.send(record) {
                tracing::debug!(?id, ?error, "an event was not sent");
            }
        }
    }
}
