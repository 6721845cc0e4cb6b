//! What the shell is told.

use mesos_sdk::{resources::Resources, v1};

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The framework is registered, for the first time or again.
    Subscribed {
        framework_id: v1::FrameworkId,
    },
    /// The agents there are, for `--on-every-agent`.
    Agents(Vec<(v1::AgentId, String)>),
    Offers(Vec<OfferView>),
    Update(Box<v1::TaskStatus>),
    /// A launch had no effect: its offer was void, or the connection was lost.
    NotLaunched {
        task_ids: Vec<String>,
        why: String,
    },
    /// All output of the task has been read and printed.
    OutputEnded {
        task_id: String,
    },
    /// Ctrl-C, or nobody reads our output any more.
    Interrupt,
    /// Time has passed.
    Tick,
}

/// An offer, as far as placing commands needs it.
#[derive(Debug, Clone)]
pub(crate) struct OfferView {
    pub(crate) id: v1::OfferId,
    pub(crate) agent_id: v1::AgentId,
    pub(crate) hostname: String,
    pub(crate) resources: Resources,
    pub(crate) attributes: Vec<v1::Attribute>,
}
