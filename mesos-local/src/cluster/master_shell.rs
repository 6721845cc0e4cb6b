//! The master's io: one task that owns the model, waits, stamps the time, steps
//! it, and sends what it asks for. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::StatusCode;
use mesos_proto::v1;
use mesos_sdk::recordio;
use mesos_sdk::v1::scheduler;
use tokio::sync::{mpsc, oneshot, watch};

use super::election::Standing;
use super::links::RemoteLinks;
use super::master_plan::MasterPlan;
use super::network::{Arrival, ToAgentEnd};
use super::registry_store::RegistryStore;
use crate::http::Refusal;
use crate::http::negotiate::Encoding;
use crate::http::stream::EventSender;
use crate::master::{ConnectionId, Effects, Input, LinkId, Master, Registry, Reply, RequestId};
use crate::operator_api;
use crate::time::Timestamp;
use crate::version;
use crate::views::{Snapshot, Viewer};

/// Talks to the running master. Clones talk to the same one.
#[derive(Debug, Clone)]
pub(crate) struct MasterHandle {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    next: AtomicU64,
    plan: MasterPlan,
    /// Whether this master leads, or which one does.
    standing: watch::Receiver<Standing>,
    /// How many reigns ended because the registry could not be kept.
    abdications: watch::Receiver<u64>,
    remote_links: RemoteLinks,
}

#[derive(Debug)]
enum Order {
    Step(Box<Input>),
    /// Step with a request that waits for its reply.
    Ask(RequestId, Box<Input>, oneshot::Sender<Reply>),
    /// Open a stream, then step with the request for it.
    Open(ConnectionId, Stream, Box<Input>, oneshot::Sender<Opened>),
    Closed(ConnectionId),
    Attach(LinkId, ToAgentEnd),
    Snapshot(Option<String>, oneshot::Sender<Box<Snapshot>>),
    FailOver(oneshot::Sender<()>),
    Die(oneshot::Sender<()>),
    ComeBack(oneshot::Sender<()>),
    /// Who this master is to be in its next reign.
    NextReign(oneshot::Sender<v1::MasterInfo>),
    /// Begin that reign.
    Reign(Box<(RegistryStore, Registry)>, oneshot::Sender<()>),
    Abdicate(oneshot::Sender<()>),
}

/// A client's stream, whose events are written in its encoding.
#[derive(Debug)]
struct Stream {
    encoding: Encoding,
    events: EventSender,
}

impl From<(Encoding, EventSender)> for Stream {
    fn from((encoding, events): (Encoding, EventSender)) -> Self {
        Self { encoding, events }
    }
}

/// How a request for a stream was answered.
#[derive(Debug)]
enum Opened {
    Accepted { stream_id: Option<String> },
    Refused(Reply),
}

impl MasterHandle {
    /// Starts a master on the current runtime. With an election's standing it
    /// does nothing before it is told to reign; without, it reigns at once.
    pub(super) fn start(plan: MasterPlan, standing: Option<watch::Receiver<Standing>>) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (tell_abdications, abdications) = watch::channel(0);
        let (reigns, standing) = match standing {
            Some(standing) => (false, standing),
            None => (true, watch::channel(plan.leads()).1),
        };
        let shell = Shell {
            master: Master::new(plan.reign(0), Timestamp::now()),
            reigns,
            store: None,
            abdications: tell_abdications,
            plan: plan.clone(),
            generation: 0,
            streams: BTreeMap::new(),
            openings: BTreeMap::new(),
            waiting: BTreeMap::new(),
            agents: BTreeMap::new(),
        };
        tokio::spawn(shell.run(inbox));
        let shared = Shared {
            next: AtomicU64::new(1),
            plan,
            standing,
            abdications,
            remote_links: RemoteLinks::default(),
        };
        Self {
            orders,
            shared: Arc::new(shared),
        }
    }

    /// A number that no stream, request or link has had before.
    fn next(&self) -> u64 {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Names a stream that is about to be opened.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next())
    }

    /// Names a link that is about to be laid.
    pub(super) fn next_link(&self) -> LinkId {
        LinkId(self.next())
    }

    /// How many bytes may wait for one client.
    pub(crate) fn stream_buffer_bytes(&self) -> usize {
        self.shared.plan.stream_buffer_bytes
    }

    /// Whether this master leads, or which one does.
    pub(crate) fn standing(&self) -> Standing {
        self.shared.standing.borrow().clone()
    }

    pub(super) fn remote_links(&self) -> &RemoteLinks {
        &self.shared.remote_links
    }

    /// A scheduler's SUBSCRIBE; gives back the stream's id.
    pub(crate) async fn subscribe(
        &self,
        connection: ConnectionId,
        call: scheduler::Call,
        has_stream_id: bool,
        principal: Option<String>,
        stream: (Encoding, EventSender),
    ) -> Result<Option<String>, Refusal> {
        let input = Input::Subscribe {
            connection,
            request: RequestId(connection.0),
            call: Box::new(call),
            has_stream_id,
            principal,
        };
        self.open(connection, stream.into(), input).await
    }

    /// Any other call of a scheduler.
    pub(crate) async fn call(
        &self,
        call: scheduler::Call,
        stream_id: Option<String>,
        principal: Option<String>,
    ) -> Result<StatusCode, Refusal> {
        let call = Box::new(call);
        self.ask(|request| Input::Call {
            request,
            call,
            stream_id,
            principal,
        })
        .await
    }

    /// An operator's SUBSCRIBE.
    pub(crate) async fn watch(
        &self,
        connection: ConnectionId,
        principal: Option<String>,
        stream: (Encoding, EventSender),
    ) -> Result<(), Refusal> {
        let input = Input::OperatorSubscribe {
            connection,
            principal,
        };
        self.open(connection, stream.into(), input).await?;
        Ok(())
    }

    /// A call of an operator that changes something.
    pub(crate) async fn operate(
        &self,
        call: v1::master::Call,
        principal: Option<String>,
    ) -> Result<StatusCode, Refusal> {
        let call = Box::new(call);
        self.ask(|request| Input::OperatorCall {
            request,
            call,
            principal,
        })
        .await
    }

    /// What the master shows of itself now, to somebody.
    pub(crate) async fn snapshot(
        &self,
        principal: Option<String>,
    ) -> Result<Box<Snapshot>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Snapshot(principal, reply));
        answer.await.map_err(|_| stopping())
    }

    /// A client's stream is over.
    pub(crate) fn disconnected(&self, connection: ConnectionId) {
        self.order(Order::Closed(connection));
    }

    /// A link to an agent is laid.
    pub(super) fn attach(&self, link: LinkId, end: ToAgentEnd) {
        self.order(Order::Attach(link, end));
    }

    /// Something arrived on an agent's link. `false` when the master has ended.
    pub(super) fn arrive(&self, link: LinkId, arrival: Arrival) -> bool {
        let input = match arrival {
            Arrival::Message(message) => Input::FromAgent { link, message },
            Arrival::Closed => Input::AgentDisconnected { link },
        };
        self.orders.send(Order::Step(Box::new(input))).is_ok()
    }

    /// Replaces the model by its successor. Streams end, links are dropped.
    pub(super) async fn fail_over(&self) {
        let (done, wait) = oneshot::channel();
        self.order(Order::FailOver(done));
        // An error says that the master has ended, which is no matter here.
        let _ = wait.await;
    }

    /// Nobody leads: all but the registry is forgotten, until
    /// [`MasterHandle::come_back`].
    pub(super) async fn die(&self) {
        let (done, wait) = oneshot::channel();
        self.order(Order::Die(done));
        let _ = wait.await;
    }

    /// A master that has the registry leads again.
    pub(super) async fn come_back(&self) {
        let (done, wait) = oneshot::channel();
        self.order(Order::ComeBack(done));
        let _ = wait.await;
    }

    /// Who the master is to be in its next reign.
    pub(super) async fn next_reign(&self) -> Result<v1::MasterInfo, String> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::NextReign(reply));
        let ended = |_| "the master has ended".to_owned();
        answer.await.map_err(ended)
    }

    /// Begins the reign that was asked for last.
    pub(super) async fn reign(&self, store: RegistryStore, registry: Registry) {
        let (done, wait) = oneshot::channel();
        self.order(Order::Reign(Box::new((store, registry)), done));
        // An error says that the master has ended, which is no matter here.
        let _ = wait.await;
    }

    /// Ends the reign, if there is one: all that was known is forgotten, and
    /// every stream ends.
    pub(super) async fn abdicate(&self) {
        let (done, wait) = oneshot::channel();
        self.order(Order::Abdicate(done));
        let _ = wait.await;
    }

    /// Changes whenever the master ends its reign by itself, from now on.
    pub(super) fn abdications(&self) -> watch::Receiver<u64> {
        let mut abdications = self.shared.abdications.clone();
        abdications.mark_unchanged();
        abdications
    }

    async fn ask(&self, input: impl FnOnce(RequestId) -> Input) -> Result<StatusCode, Refusal> {
        let request = RequestId(self.next());
        let (reply, answer) = oneshot::channel();
        self.order(Order::Ask(request, Box::new(input(request)), reply));
        let reply = answer.await.map_err(|_| stopping())?;
        let status = status(&reply);
        if reply.body.is_empty() && !status.is_client_error() && !status.is_server_error() {
            return Ok(status);
        }
        Err(Refusal::new(status, reply.body))
    }

    async fn open(
        &self,
        connection: ConnectionId,
        stream: Stream,
        input: Input,
    ) -> Result<Option<String>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Open(connection, stream, Box::new(input), reply));
        match answer.await.map_err(|_| stopping())? {
            Opened::Accepted { stream_id } => Ok(stream_id),
            Opened::Refused(reply) => Err(Refusal::new(status(&reply), reply.body)),
        }
    }

    fn order(&self, order: Order) {
        // Without a master whoever waits for an answer hears of it at once: the
        // order is dropped, and the answer's sender with it.
        let _ = self.orders.send(order);
    }
}

fn status(reply: &Reply) -> StatusCode {
    StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn stopping() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The master is stopping")
}

/// The task that owns the model.
struct Shell {
    master: Master,
    /// Otherwise nothing is done: another master leads.
    reigns: bool,
    /// Where the registry is kept when other processes may lead after us.
    store: Option<RegistryStore>,
    abdications: watch::Sender<u64>,
    plan: MasterPlan,
    generation: u64,
    streams: BTreeMap<ConnectionId, Stream>,
    openings: BTreeMap<ConnectionId, oneshot::Sender<Opened>>,
    waiting: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    agents: BTreeMap<LinkId, ToAgentEnd>,
}

impl Shell {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        loop {
            let due = self.master.wake_at().filter(|_| self.reigns);
            let delay = due.map(|due| due.since(Timestamp::now()));
            let timer = async {
                match delay {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => std::future::pending().await,
                }
            };
            // A flood of orders does not keep time from passing: every step is
            // given the time.
            tokio::select! {
                biased;
                order = inbox.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                () = timer => self.step(Input::Tick).await,
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            // Whoever waits for an answer hears that there is none.
            Order::Step(_) | Order::Ask(..) | Order::Open(..) | Order::Attach(..)
                if !self.reigns => {}
            Order::Step(input) => {
                if let Input::AgentDisconnected { link } = &*input {
                    self.agents.remove(link);
                }
                self.step(*input).await;
            }
            Order::Ask(request, input, reply) => {
                self.waiting.insert(request, reply);
                self.step(*input).await;
                // A reply that does not come at once never comes.
                self.waiting.remove(&request);
            }
            Order::Open(connection, stream, input, reply) => {
                self.streams.insert(connection, stream);
                self.openings.insert(connection, reply);
                self.step(*input).await;
                if self.openings.remove(&connection).is_some() {
                    self.streams.remove(&connection);
                }
            }
            Order::Closed(connection) => {
                if self.streams.remove(&connection).is_some() {
                    self.step(Input::Disconnected { connection }).await;
                }
            }
            Order::Attach(link, end) => {
                self.agents.insert(link, end);
            }
            Order::Snapshot(principal, reply) => {
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(Box::new(self.snapshot(principal)));
            }
            Order::FailOver(done) => {
                self.generation += 1;
                self.begin_reign(self.master.registry());
                let _ = done.send(());
            }
            Order::Die(done) => {
                self.begin_reign(self.master.registry());
                self.reigns = false;
                let _ = done.send(());
            }
            Order::ComeBack(done) => {
                self.generation += 1;
                self.begin_reign(self.master.registry());
                self.reigns = true;
                let _ = done.send(());
            }
            Order::NextReign(reply) => {
                self.generation += 1;
                let config = self.plan.reign(self.generation);
                let _ = reply.send(Master::new(config, Timestamp::now()).info());
            }
            Order::Reign(taken, done) => {
                let (store, registry) = *taken;
                self.begin_reign(registry);
                self.store = Some(store);
                self.reigns = true;
                let _ = done.send(());
            }
            Order::Abdicate(done) => {
                self.abdicate();
                let _ = done.send(());
            }
        }
    }

    /// Steps the model. What must outlive this master is kept before anybody
    /// hears of what it led to.
    async fn step(&mut self, input: Input) {
        let effects = self.master.step(Timestamp::now(), input);
        if self.master.logging_level() > 0 {
            tracing::info!(
                replies = effects.replies.len(),
                events = effects.events.len(),
                to_agents = effects.to_agents.len(),
                "the master took a step"
            );
        }
        if let Some(store) = &mut self.store
            && let Err(reason) = store.save(self.master.registry()).await
        {
            tracing::warn!(reason, "the registry cannot be kept; another master leads");
            self.abdicate();
            self.abdications.send_modify(|count| *count += 1);
            return;
        }
        self.send(effects);
    }

    fn abdicate(&mut self) {
        if self.reigns && self.store.is_some() {
            self.generation += 1;
            self.begin_reign(Registry::default());
            self.store = None;
            self.reigns = false;
        }
    }

    fn send(&mut self, effects: Effects) {
        for (request, reply) in effects.replies {
            // A refused SUBSCRIBE is replied to under its stream's number.
            if let Some(opening) = self.openings.remove(&ConnectionId(request.0)) {
                self.streams.remove(&ConnectionId(request.0));
                let _ = opening.send(Opened::Refused(reply));
            } else if let Some(waiting) = self.waiting.remove(&request) {
                let _ = waiting.send(reply);
            }
        }
        for (connection, stream_id) in effects.accepted {
            if let Some(opening) = self.openings.remove(&connection) {
                let _ = opening.send(Opened::Accepted { stream_id });
            }
        }
        for (connection, event) in effects.events {
            self.send_event(connection, |encoding| encoding.encode(&event));
        }
        for (connection, event) in effects.operator_events {
            self.send_event(connection, |encoding| match event.subscribed {
                Some(_) => operator_api::written(encoding, &event),
                None => encoding.encode(&event),
            });
        }
        for connection in effects.closes {
            self.streams.remove(&connection);
        }
        for (link, message) in effects.to_agents {
            if let Some(agent) = self.agents.get(&link) {
                agent.send(message);
            }
        }
        for notice in effects.notices {
            tracing::info!("{notice}");
        }
    }

    /// Writes an event. A client that has gone, or is cut off because it reads
    /// too slowly, is told of by the end of its stream.
    fn send_event(&self, connection: ConnectionId, write: impl FnOnce(Encoding) -> Bytes) {
        let Some(stream) = self.streams.get(&connection) else {
            return;
        };
        let record = recordio::encode(&write(stream.encoding));
        if let Err(error) = stream.events.send(record) {
            tracing::debug!(?connection, ?error, "an event was not sent");
        }
    }

    /// A master that knows the registry alone takes over.
    fn begin_reign(&mut self, registry: Registry) {
        let config = self.plan.reign(self.generation);
        self.master = Master::recover(config, registry, Timestamp::now());
        self.streams.clear();
        self.openings.clear();
        self.waiting.clear();
        self.agents.clear();
    }

    fn snapshot(&self, principal: Option<String>) -> Snapshot {
        let start_time = self.master.started().as_secs_f64();
        Snapshot {
            version: version::info(),
            cluster: self.plan.cluster.clone(),
            flags: self.plan.flags.clone(),
            master: self.master.info(),
            start_time,
            elected_time: start_time,
            now: Timestamp::now().as_secs_f64(),
            state: self.master.state_report_for(principal.as_deref()),
            viewer: Viewer {
                acls: Arc::clone(&self.plan.config.acls),
                principal,
            },
            operator: self.master.operator_report(),
            unreachable_agents: self.master.unreachable_agent_count(),
            leads: self.reigns,
            counters: BTreeMap::new(),
        }
    }
}
