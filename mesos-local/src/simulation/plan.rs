//! What a simulation is made of, apart from the framework.

use std::time::Duration;

use mesos_sdk::reconciler::ReconcilerConfig;
use mesos_sdk::session::SessionConfig;
use mesos_sdk::v1;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// The framework's process ends, perhaps while it saves, and is started
    /// again with what it saved.
    FrameworkCrash,
    /// The framework and the master do not reach each other for a while.
    FrameworkPartition,
    /// The framework's stream of events ends; now and then without a word.
    StreamCut,
    /// Another master leads, after a while without any.
    MasterFailover,
    /// The process of an agent ends and is started again; tasks run on.
    AgentCrash,
    /// The machine of an agent goes down with its tasks, and comes back.
    MachineCrash,
    /// The machine of an agent goes for good, and another takes its place.
    MachineLoss,
    /// An agent leaves in good order, and comes back.
    AgentLeave,
    /// An agent and the master do not reach each other for a while: shorter or
    /// longer than it takes the master to give it up.
    AgentPartition,
    /// The network falls into two halves for a while: the agents and the
    /// framework that chance puts on the other side do not reach the master. It
    /// is several others at once, and not in [`ALL`](Self::ALL).
    Halves,
    /// The connection between an agent and the master breaks.
    LinkBreak,
    /// For a while everything takes seconds to arrive.
    Slowness,
    /// For a while calls, updates and acknowledgements are lost, or arrive
    /// twice.
    Loss,
}

impl Fault {
    /// All there are that strike one thing.
    pub const ALL: [Self; 12] = [
        Self::FrameworkCrash,
        Self::FrameworkPartition,
        Self::StreamCut,
        Self::MasterFailover,
        Self::AgentCrash,
        Self::MachineCrash,
        Self::MachineLoss,
        Self::AgentLeave,
        Self::AgentPartition,
        Self::LinkBreak,
        Self::Slowness,
        Self::Loss,
    ];
}

/// The world of a simulation.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) info: v1::FrameworkInfo,
    pub(super) session: SessionConfig,
    pub(super) reconciler: Option<ReconcilerConfig>,
    /// Resources and attributes of each agent, in Mesos's text form.
    pub(super) agents: Vec<(String, String)>,
    pub(super) faults: Vec<Fault>,
    /// The mean time between two faults.
    pub(super) fault_interval: Duration,
    /// For how long things go wrong.
    pub(super) duration: Duration,
    /// How long the framework may then take to set everything right.
    pub(super) patience: Duration,
    pub(super) offer_timeout: Option<Duration>,
}

impl Plan {
    pub(super) fn new(info: v1::FrameworkInfo) -> Self {
        let agent = ("cpus:4;mem:4096;disk:10240".to_owned(), String::new());
        Self {
            info,
            session: SessionConfig::default(),
            reconciler: Some(ReconcilerConfig::default()),
            agents: vec![agent; 3],
            faults: Fault::ALL.to_vec(),
            fault_interval: Duration::from_secs(90),
            duration: Duration::from_secs(3600),
            patience: Duration::from_secs(3 * 3600),
            offer_timeout: Some(Duration::from_secs(300)),
        }
    }
}
