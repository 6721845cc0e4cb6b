//! The master's io: one task that owns the model, waits, stamps the time, steps
//! it, and sends what it asks for. It decides nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::StatusCode;
use mesos_proto::v1;
use mesos_sdk::recordio;
use mesos_sdk::v1::scheduler;
use tokio::sync::{mpsc, oneshot};

use super::network::{Arrival, ToAgentEnd};
use super::{ClusterConfig, flags};
use crate::http::Refusal;
use crate::http::negotiate::Encoding;
use crate::http::stream::EventSender;
use crate::master::{ConnectionId, Effects, Input, LinkId, Master, MasterConfig, Reply, RequestId};
use crate::operator_api;
use crate::time::Timestamp;
use crate::version;
use crate::views::Snapshot;

/// What a master is started with, and its successors after it.
#[derive(Debug, Clone)]
pub(super) struct MasterPlan {
    config: MasterConfig,
    flags: BTreeMap<String, String>,
    cluster: Option<String>,
    host_port: String,
    stream_buffer_bytes: usize,
}

impl MasterPlan {
    pub(super) fn new(config: &ClusterConfig, address: SocketAddr, hostname: String) -> Self {
        let host_port = format!("{hostname}:{}", address.port());
        let flags = flags::of(config, address, &hostname);
        Self {
            config: MasterConfig {
                allocation_interval: config.allocation_interval,
                offer_timeout: config.offer_timeout,
                agent_ping_timeout: config.agent_ping_timeout,
                max_agent_ping_timeouts: config.max_agent_ping_timeouts,
                agent_reregister_timeout: config.agent_reregister_timeout,
                max_completed_frameworks: config.max_completed_frameworks,
                max_completed_tasks_per_framework: config.max_completed_tasks_per_framework,
                max_unreachable_tasks_per_framework: config.max_unreachable_tasks_per_framework,
                seed: config.seed.unwrap_or_default(),
                ..MasterConfig::new(String::new(), address, hostname)
            },
            flags,
            cluster: config.name.clone(),
            host_port,
            stream_buffer_bytes: config.stream_buffer_bytes,
        }
    }

    /// The configuration of one reign; each has an id of its own, which follows
    /// from the seed.
    fn reign(&self, generation: u64) -> MasterConfig {
        let seed = self.config.seed.wrapping_add(generation);
        let bits = u128::from(seed) << 64 | u128::from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        MasterConfig {
            id: id.to_string(),
            seed,
            ..self.config.clone()
        }
    }
}

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
    Snapshot(oneshot::Sender<Box<Snapshot>>),
    FailOver(oneshot::Sender<()>),
}

/// A client's stream, whose events are written in its encoding.
#[derive(Debug)]
struct Stream {
    encoding: Encoding,
    events: EventSender,
}

/// How a request for a stream was answered.
#[derive(Debug)]
enum Opened {
    Accepted { stream_id: Option<String> },
    Refused(Reply),
}

impl MasterHandle {
    /// Starts a master on the current runtime.
    pub(super) fn start(plan: MasterPlan) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let shell = Shell {
            master: Master::new(plan.reign(0), Timestamp::now()),
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

    /// The master's host name and port, as redirects have it.
    pub(crate) fn host_port(&self) -> &str {
        &self.shared.plan.host_port
    }

    /// A scheduler's SUBSCRIBE; gives back the stream's id.
    pub(crate) async fn subscribe(
        &self,
        connection: ConnectionId,
        call: scheduler::Call,
        has_stream_id: bool,
        encoding: Encoding,
        events: EventSender,
    ) -> Result<Option<String>, Refusal> {
        let input = Input::Subscribe {
            connection,
            request: RequestId(connection.0),
            call: Box::new(call),
            has_stream_id,
            principal: None,
        };
        self.open(connection, Stream { encoding, events }, input)
            .await
    }

    /// Any other call of a scheduler.
    pub(crate) async fn call(
        &self,
        call: scheduler::Call,
        stream_id: Option<String>,
    ) -> Result<StatusCode, Refusal> {
        let call = Box::new(call);
        self.ask(|request| Input::Call {
            request,
            call,
            stream_id,
            principal: None,
        })
        .await
    }

    /// An operator's SUBSCRIBE.
    pub(crate) async fn watch(
        &self,
        connection: ConnectionId,
        encoding: Encoding,
        events: EventSender,
    ) -> Result<(), Refusal> {
        let input = Input::OperatorSubscribe { connection };
        self.open(connection, Stream { encoding, events }, input)
            .await?;
        Ok(())
    }

    /// A call of an operator that changes something.
    pub(crate) async fn operate(&self, call: v1::master::Call) -> Result<StatusCode, Refusal> {
        let call = Box::new(call);
        self.ask(|request| Input::OperatorCall {
            request,
            call,
            principal: None,
        })
        .await
    }

    /// What the master shows of itself now.
    pub(crate) async fn snapshot(&self) -> Result<Box<Snapshot>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Snapshot(reply));
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
            let delay = self.master.wake_at().map(|due| due.since(Timestamp::now()));
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
                    Some(order) => self.obey(order),
                    None => return,
                },
                () = timer => self.step(Input::Tick),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Step(input) => {
                if let Input::AgentDisconnected { link } = &*input {
                    self.agents.remove(link);
                }
                self.step(*input);
            }
            Order::Ask(request, input, reply) => {
                self.waiting.insert(request, reply);
                self.step(*input);
                // A reply that does not come at once never comes.
                self.waiting.remove(&request);
            }
            Order::Open(connection, stream, input, reply) => {
                self.streams.insert(connection, stream);
                self.openings.insert(connection, reply);
                self.step(*input);
                if self.openings.remove(&connection).is_some() {
                    self.streams.remove(&connection);
                }
            }
            Order::Closed(connection) => {
                if self.streams.remove(&connection).is_some() {
                    self.step(Input::Disconnected { connection });
                }
            }
            Order::Attach(link, end) => {
                self.agents.insert(link, end);
            }
            Order::Snapshot(reply) => {
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(Box::new(self.snapshot()));
            }
            Order::FailOver(done) => {
                self.fail_over();
                let _ = done.send(());
            }
        }
    }

    fn step(&mut self, input: Input) {
        let effects = self.master.step(Timestamp::now(), input);
        self.send(effects);
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

    fn fail_over(&mut self) {
        self.generation += 1;
        let config = self.plan.reign(self.generation);
        self.master = Master::recover(config, self.master.registry(), Timestamp::now());
        self.streams.clear();
        self.openings.clear();
        self.waiting.clear();
        self.agents.clear();
    }

    fn snapshot(&self) -> Snapshot {
        let start_time = self.master.started().as_secs_f64();
        Snapshot {
            version: version::info(),
            cluster: self.plan.cluster.clone(),
            flags: self.plan.flags.clone(),
            master: self.master.info(),
            start_time,
            elected_time: start_time,
            now: Timestamp::now().as_secs_f64(),
            state: self.master.state_report(),
            operator: self.master.operator_report(),
            unreachable_agents: self.master.unreachable_agent_count(),
            counters: BTreeMap::new(),
        }
    }
}
