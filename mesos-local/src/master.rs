//! The master, as a model: it is stepped with the time and an input and answers
//! with what is to be sent. It has no socket, no clock and no randomness but a
//! seed; the cluster's shell around it decides nothing.
//!
//! How a call travels: [`Master::step`] hands it to `call`, which makes the
//! checks of the scheduler API and calls the file named by the noun: `accept`,
//! `reconcile`, `updates`. What has to be told to whom is collected in
//! [`Effects`]. `state` holds the data, `agents` and `subscribe` the life of
//! agents and frameworks, `report` what operators are shown.
//!
//! Facts about Mesos's behaviour come from its `docs/scheduler-http-api.md`,
//! `src/master/master.cpp`, `src/master/validation.cpp`, and from dialogues
//! recorded from a real master, which the conformance tests replay.

mod accept;
mod agents;
mod audit;
mod authorize;
mod call;
mod drain;
mod events;
mod gone;
mod inverse_offers;
mod losses;
mod maintenance;
mod offers;
mod operations;
mod operator;
mod operator_operations;
mod quota;
mod reconcile;
mod report;
mod resource_acls;
mod state;
mod subscribe;
mod task_validation;
#[cfg(test)]
mod tests;
mod updates;
mod weights;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::v1;
use mesos_sdk::v1::scheduler;

use crate::allocator::{Allocator, Quota};
use crate::messages::{FromAgent, ToAgent};
use crate::random::Random;
use crate::security::Acls;
use crate::time::Timestamp;

use maintenance::Maintenance;
pub use operator::OperatorReport;
pub use state::Registry;
use state::{Draining, State};

/// How often a subscriber is told that the connection lives
/// (`src/master/constants.hpp`).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// The version of Mesos whose behaviour this is.
pub const VERSION: &str = "1.12.0";

/// What a master is started with.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// The id of this master's reign, a uuid; part of every id it gives.
    pub id: String,
    /// Where its HTTP API listens.
    pub address: SocketAddr,
    /// The name under which it says it can be reached.
    pub hostname: String,
    /// How often free resources are offered.
    pub allocation_interval: Duration,
    /// After which time an unused offer is rescinded; never when absent.
    pub offer_timeout: Option<Duration>,
    /// How often each agent is asked whether it is there.
    pub agent_ping_timeout: Duration,
    /// After how many unanswered pings an agent is unreachable.
    pub max_agent_ping_timeouts: u32,
    /// How long agents of the time before a failover may take to come back.
    pub agent_reregister_timeout: Duration,
    /// How many removed frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many ended tasks of a framework are remembered.
    pub max_completed_tasks_per_framework: usize,
    /// How many tasks on unreachable agents are remembered of a framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// How many operators may watch at once; the oldest is closed beyond that.
    pub max_operator_subscribers: usize,
    /// Who may do and see what.
    pub acls: Arc<Acls>,
    /// Makes ids and the order of agents.
    pub seed: u64,
}

impl MasterConfig {
    /// Mesos's defaults.
    #[must_use]
    pub fn new(id: impl Into<String>, address: SocketAddr, hostname: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            address,
            hostname: hostname.into(),
            allocation_interval: Duration::from_secs(1),
            offer_timeout: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            max_operator_subscribers: 1000,
            acls: Arc::default(),
            seed: 0,
        }
    }
}

/// A streaming response that is open: of a framework or of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A request that waits for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One run of one agent, as the messages with it are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Something the master has to react to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once through a channel"
)]
pub enum Input {
    /// A SUBSCRIBE of a scheduler. Answered with [`Effects::replies`] when the
    /// call is refused as such, else with [`Effects::accepted`] and events.
    Subscribe {
        /// The response stream that would be used.
        connection: ConnectionId,
        /// To reply to when it is refused with a status.
        request: RequestId,
        /// The call, of type SUBSCRIBE.
        call: Box<scheduler::Call>,
        /// Whether the request had a `Mesos-Stream-Id` header.
        has_stream_id: bool,
        /// Who was authenticated.
        principal: Option<String>,
    },
    /// Any other call of a scheduler. Answered with [`Effects::replies`].
    Call {
        /// To reply to.
        request: RequestId,
        /// The call.
        call: Box<scheduler::Call>,
        /// The `Mesos-Stream-Id` header.
        stream_id: Option<String>,
        /// Who was authenticated.
        principal: Option<String>,
    },
    /// A scheduler's or an operator's stream has ended from the other side.
    Disconnected {
        /// Which.
        connection: ConnectionId,
    },
    /// An operator subscribes to the event stream.
    OperatorSubscribe {
        /// Its stream.
        connection: ConnectionId,
        /// Who was authenticated.
        principal: Option<String>,
    },
    /// A call of an operator that changes something. Answered with
    /// [`Effects::replies`].
    OperatorCall {
        /// To reply to.
        request: RequestId,
        /// The call.
        call: Box<v1::master::Call>,
        /// Who was authenticated.
        principal: Option<String>,
    },
    /// A message of an agent.
    FromAgent {
        /// Over which link.
        link: LinkId,
        /// The message.
        message: FromAgent,
    },
    /// A link to an agent has broken.
    AgentDisconnected {
        /// Which.
        link: LinkId,
    },
    /// The time of [`Master::wake_at`] has come.
    Tick,
}

/// What a step leads to. Replies and events are sent in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Replies to requests.
    pub replies: Vec<(RequestId, Reply)>,
    /// Subscriptions that are answered with 200, and their stream ids; their
    /// events are among `events`.
    pub accepted: Vec<(ConnectionId, Option<String>)>,
    /// Events for schedulers.
    pub events: Vec<(ConnectionId, scheduler::Event)>,
    /// Events for operators.
    pub operator_events: Vec<(ConnectionId, v1::master::Event)>,
    /// Streams to end, after their events.
    pub closes: Vec<ConnectionId>,
    /// Messages for agents.
    pub to_agents: Vec<(LinkId, ToAgent)>,
    /// Lines for the log.
    pub notices: Vec<String>,
}

/// A plain response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl Reply {
    fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
        }
    }

    fn forbidden() -> Self {
        Self::new(403, "403 Forbidden.")
    }

    fn accepted() -> Self {
        Self::new(202, "")
    }
}

/// The model of a master.
#[derive(Debug)]
pub struct Master {
    config: MasterConfig,
    state: State,
    allocator: Allocator,
    random: Random,
    now: Timestamp,
    started: Timestamp,
    next_allocation: Timestamp,
    out: Effects,
}

impl Master {
    /// A master that knows nothing.
    #[must_use]
    pub fn new(config: MasterConfig, now: Timestamp) -> Self {
        Self::recover(config, Registry::default(), now)
    }

    /// A master that takes over: it knows which agents there were, and waits for
    /// them and for their frameworks to come back.
    #[must_use]
    pub fn recover(config: MasterConfig, registry: Registry, now: Timestamp) -> Self {
        let mut state = State::default();
        let deadline = now + config.agent_reregister_timeout;
        for agent in registry.agents {
            let id = agent.id.clone().unwrap_or_default().value;
            state.recovered_agents.insert(id, (agent, deadline));
        }
        state.gone_agents = registry.gone_agents.into_iter().collect();
        state.deactivated_agents = registry.deactivated_agents.into_iter().collect();
        for (key, info) in registry.draining_agents {
            let started = None;
            state
                .draining_agents
                .insert(key, Draining { info, started });
        }
        state.maintenance = Maintenance::new(registry.schedule, registry.machines);
        let mut allocator = Allocator::new(config.allocation_interval);
        for (role, weight) in &registry.weights {
            allocator.set_weight(role, *weight);
        }
        for config in &registry.quotas {
            allocator.set_quota(&config.role, Quota::new(config));
        }
        Self {
            random: Random::new(config.seed),
            next_allocation: now + config.allocation_interval,
            allocator,
            config,
            state,
            now,
            started: now,
            out: Effects::default(),
        }
    }

    /// What a master that takes over must know.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let recovered = self.state.recovered_agents.values().map(|(info, _)| info);
        let registered = self.state.agents.values().map(|agent| &agent.info);
        Registry {
            agents: registered.chain(recovered).cloned().collect(),
            gone_agents: self.state.gone_agents.iter().cloned().collect(),
            deactivated_agents: self.state.deactivated_agents.iter().cloned().collect(),
            draining_agents: self
                .state
                .draining_agents
                .iter()
                .map(|(key, draining)| (key.clone(), draining.info))
                .collect(),
            weights: self.allocator.weights().clone(),
            quotas: self.quota_configs(),
            schedule: self.state.maintenance.schedule.clone(),
            machines: self.state.maintenance.machines.values().cloned().collect(),
        }
    }

    /// Who this master is, as SUBSCRIBED and GET_MASTER tell it.
    #[must_use]
    pub fn info(&self) -> v1::MasterInfo {
        events::master_info(&self.config)
    }

    /// When this master started.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Reacts to one input.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Effects {
        self.now = now.max(self.now);
        self.run_batch();
        match input {
            Input::Subscribe {
                connection,
                request,
                call,
                has_stream_id,
                principal,
            } => self.subscribe(connection, request, *call, has_stream_id, principal),
            Input::Call {
                request,
                call,
                stream_id,
                principal,
            } => {
                let reply = self.call(*call, stream_id.as_deref(), principal.as_deref());
                self.out.replies.push((request, reply));
            }
            Input::Disconnected { connection } => self.disconnected(connection),
            Input::OperatorSubscribe {
                connection,
                principal,
            } => self.operator_subscribe(connection, principal),
            Input::OperatorCall {
                request,
                call,
                principal,
            } => {
                let reply = self.operator_call(*call, principal.as_deref());
                self.out.replies.push((request, reply));
            }
            Input::FromAgent { link, message } => self.agent_message(link, message),
            Input::AgentDisconnected { link } => self.agent_disconnected(link),
            Input::Tick => {}
        }
        self.pass_time();
        std::mem::take(&mut self.out)
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let frameworks = self.state.frameworks.values().flat_map(|framework| {
            let heartbeat = framework.connection.map(|_| framework.next_heartbeat);
            heartbeat.into_iter().chain(framework.failover_deadline)
        });
        let operators = self.state.operators.values().map(|(due, _)| *due);
        let agents = self.state.pings.first().map(|(at, _)| *at);
        let recovered = self.state.recovered_agents.values().map(|(_, at)| *at);
        let offers = self.state.offer_deadlines.iter().map(|(at, _)| *at).next();
        // Batches that could give nothing are left out.
        let allocation = self.next_news(self.now).map(|news| self.tick_after(news));
        frameworks
            .chain(operators)
            .chain(agents)
            .chain(recovered)
            .chain(offers)
            .chain(self.state.logging.ends_at())
            .chain(allocation)
            .min()
    }

    /// Everything that is due, whatever the input was.
    fn pass_time(&mut self) {
        self.beat_hearts();
        self.remove_frameworks_that_are_late();
        self.ping_agents();
        self.give_recovered_agents_up();
        self.finish_draining();
        self.state.logging.due(self.now);
        self.rescind_old_offers();
    }

    /// Allocates a batch, when one was due since the last step and there is
    /// something to give. What this step frees waits for the next.
    fn run_batch(&mut self) {
        if self.now < self.next_allocation {
            return;
        }
        let last_news = self.next_allocation;
        self.next_allocation = self.next_tick();
        let is_due = self
            .next_news(last_news)
            .is_some_and(|news| news + self.config.allocation_interval <= self.next_allocation);
        if is_due {
            self.allocate();
        }
    }

    /// When there is, or was, something to allocate.
    fn next_news(&self, now: Timestamp) -> Option<Timestamp> {
        let news = self.allocator.next_news(now).into_iter();
        news.chain(self.next_inverse_offer()).min()
    }

    /// The first batch at or after a time.
    fn tick_after(&self, time: Timestamp) -> Timestamp {
        let interval = self.config.allocation_interval.as_nanos().max(1);
        let ahead = time
            .since(self.next_allocation)
            .as_nanos()
            .div_ceil(interval);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.next_allocation + self.config.allocation_interval.saturating_mul(ahead)
    }

    /// The next of the ticks at which batches are allocated.
    fn next_tick(&self) -> Timestamp {
        self.tick_after(self.now + Duration::from_nanos(1))
    }

    fn notice(&mut self, text: String) {
        self.out.notices.push(text);
    }
}
