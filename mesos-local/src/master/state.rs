//! What the master knows. Keys are the text of Mesos's ids.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use mesos_sdk::resources::Resources;
pub(super) use mesos_sdk::status::is_terminal;
use mesos_sdk::v1;
use mesos_sdk::v1::framework_info::capability::Type as Capability;
use serde::{Deserialize, Serialize};

use super::maintenance::Maintenance;
use super::{ConnectionId, LinkId};
use crate::as_json;
use crate::logging::Logging;
use crate::messages::AgentRegistration;
use crate::time::Timestamp;

pub(super) type FrameworkKey = String;
pub(super) type AgentKey = String;
pub(super) type TaskKey = String;
pub(super) type OfferKey = String;
pub(super) type ExecutorKey = String;
/// An operation's uuid.
pub(super) type OperationKey = Vec<u8>;

/// What outlives a master: which agents are part of the cluster, and what
/// operators have set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registry {
    /// Agents that were registered.
    #[serde(with = "as_json::many")]
    pub agents: Vec<v1::AgentInfo>,
    /// Ids of agents that were marked gone for good.
    pub gone_agents: Vec<String>,
    /// Ids of agents of which nothing is offered.
    pub deactivated_agents: Vec<String>,
    /// How far agents are drained, by id.
    #[serde(with = "as_json::by_name")]
    pub draining_agents: BTreeMap<String, v1::DrainInfo>,
    /// Weights of roles that were given one.
    pub weights: BTreeMap<String, f64>,
    /// Quotas of roles that were given one.
    #[serde(with = "as_json::many")]
    pub quotas: Vec<v1::quota::QuotaConfig>,
    /// When machines will be down.
    #[serde(with = "as_json::one")]
    pub schedule: v1::maintenance::Schedule,
    /// Machines in the schedule, and whether they are down.
    #[serde(with = "as_json::many")]
    pub machines: Vec<v1::MachineInfo>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) frameworks: BTreeMap<FrameworkKey, Framework>,
    /// Removed frameworks, the oldest first.
    pub(super) completed_frameworks: VecDeque<Framework>,
    pub(super) connections: BTreeMap<ConnectionId, FrameworkKey>,
    pub(super) agents: BTreeMap<AgentKey, Agent>,
    pub(super) links: BTreeMap<LinkId, AgentKey>,
    /// Which agent listens where.
    pub(super) addresses: BTreeMap<SocketAddr, AgentKey>,
    /// When agents are to be pinged; old entries stay until their time comes.
    pub(super) pings: BTreeSet<(Timestamp, AgentKey)>,
    /// Agents known from the registry that have not come back yet.
    pub(super) recovered_agents: BTreeMap<AgentKey, (v1::AgentInfo, Timestamp)>,
    pub(super) unreachable_agents: BTreeMap<AgentKey, Timestamp>,
    pub(super) gone_agents: BTreeSet<AgentKey>,
    /// Agents of which an operator wants nothing to be offered.
    pub(super) deactivated_agents: BTreeSet<AgentKey>,
    pub(super) draining_agents: BTreeMap<AgentKey, Draining>,
    pub(super) maintenance: Maintenance,
    pub(super) logging: Logging,
    pub(super) inverse_offers: BTreeMap<OfferKey, InverseOffer>,
    /// Operations that are not over, or whose end nobody has acknowledged.
    pub(super) operations: BTreeMap<OperationKey, v1::Operation>,
    /// Operations by their framework and the id that it gave them.
    pub(super) operation_names: BTreeMap<(FrameworkKey, String), OperationKey>,
    pub(super) offers: BTreeMap<OfferKey, Offer>,
    /// When offers run out, with `--offer_timeout`.
    pub(super) offer_deadlines: BTreeSet<(Timestamp, OfferKey)>,
    /// Operators who watch: when each is due a heartbeat, and who it is.
    pub(super) operators: BTreeMap<ConnectionId, (Timestamp, Option<String>)>,
    pub(super) framework_count: u64,
    pub(super) agent_count: u64,
    pub(super) offer_count: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Framework {
    pub(super) info: v1::FrameworkInfo,
    pub(super) capabilities: BTreeSet<i32>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) stream_id: Option<String>,
    /// Known from its tasks only: it has not subscribed with this master.
    pub(super) is_recovered: bool,
    pub(super) registered: Timestamp,
    pub(super) reregistered: Timestamp,
    pub(super) unregistered: Option<Timestamp>,
    pub(super) failover_deadline: Option<Timestamp>,
    pub(super) next_heartbeat: Timestamp,
    pub(super) suppressed: BTreeSet<String>,
    pub(super) offer_constraints: Option<v1::scheduler::OfferConstraints>,
    pub(super) offers: BTreeSet<OfferKey>,
    /// Tasks that run, and ended ones that nobody acknowledged yet.
    pub(super) tasks: BTreeMap<TaskKey, v1::Task>,
    pub(super) completed_tasks: VecDeque<v1::Task>,
    pub(super) unreachable_tasks: BTreeMap<TaskKey, v1::Task>,
    pub(super) executors: BTreeMap<AgentKey, BTreeMap<ExecutorKey, v1::ExecutorInfo>>,
}

impl Framework {
    pub(super) fn id(&self) -> v1::FrameworkId {
        self.info.id.clone().unwrap_or_default()
    }

    pub(super) fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&(capability as i32))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The roles it subscribes to, whichever field they stand in.
    pub(super) fn roles(&self) -> BTreeSet<String> {
        roles_of(&self.info)
    }

    /// The state to tell it: those without PARTITION_AWARE know only LOST.
    pub(super) fn told(&self, state: v1::TaskState) -> v1::TaskState {
        use v1::TaskState::{
            TaskDropped, TaskGone, TaskGoneByOperator, TaskLost, TaskUnknown, TaskUnreachable,
        };
        let is_new = matches!(
            state,
            TaskDropped | TaskGone | TaskGoneByOperator | TaskUnknown | TaskUnreachable
        );
        if is_new && !self.has(Capability::PartitionAware) {
            TaskLost
        } else {
            state
        }
    }
}

pub(super) fn capabilities_of(info: &v1::FrameworkInfo) -> BTreeSet<i32> {
    info.capabilities.iter().filter_map(|c| c.r#type).collect()
}

pub(super) fn roles_of(info: &v1::FrameworkInfo) -> BTreeSet<String> {
    if capabilities_of(info).contains(&(Capability::MultiRole as i32)) {
        info.roles.iter().cloned().collect()
    } else {
        BTreeSet::from([info.role.clone().unwrap_or_else(|| "*".to_owned())])
    }
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) info: v1::AgentInfo,
    pub(super) registration: AgentRegistration,
    pub(super) link: Option<LinkId>,
    pub(super) registered: Timestamp,
    pub(super) reregistered: Option<Timestamp>,
    pub(super) total: Resources,
    pub(super) offers: BTreeSet<OfferKey>,
    pub(super) tasks: BTreeSet<(FrameworkKey, TaskKey)>,
    pub(super) next_ping: Timestamp,
    pub(super) missed_pings: u32,
    pub(super) is_ping_open: bool,
    /// Kills asked for while it was disconnected.
    pub(super) pending_kills: Vec<crate::messages::ToAgent>,
}

impl Agent {
    pub(super) fn id(&self) -> v1::AgentId {
        self.info.id.clone().unwrap_or_default()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.link.is_some()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) framework: FrameworkKey,
    pub(super) agent: AgentKey,
    pub(super) role: String,
    pub(super) resources: Resources,
    pub(super) deadline: Option<Timestamp>,
}

/// An agent that an operator drains, or has drained.
#[derive(Debug, Clone)]
pub(super) struct Draining {
    pub(super) info: v1::DrainInfo,
    /// When this master told the agent.
    pub(super) started: Option<Timestamp>,
}

/// What a framework is asked to give back before a machine goes down.
#[derive(Debug, Clone)]
pub(super) struct InverseOffer {
    pub(super) framework: FrameworkKey,
    pub(super) agent: AgentKey,
    pub(super) deadline: Option<Timestamp>,
}
