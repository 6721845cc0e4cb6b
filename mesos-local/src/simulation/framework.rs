//! What a framework's logic looks like from outside: it is told what happened,
//! and answers with what is to be done.

use std::fmt::Debug;
use std::rc::Rc;

use mesos_sdk::v1::offer::{Operation, operation};
use mesos_sdk::v1::scheduler::{Call, Event, call};
use mesos_sdk::{CallError, v1};

use super::judge::Then;

/// Time since some fixed moment, the Unix epoch for example. It goes on while a
/// framework's process is away, so it may be saved.
pub use mesos_sdk::session::Now;

/// The logic of a framework, without io: no clock, no randomness, no threads.
///
/// Whoever runs it saves what it asks to be saved, makes its calls and wakes it.
/// In a [`Simulation`](super::Simulation) that is the simulation; in production
/// it is a few lines of a [`Scheduler`](mesos_sdk::scheduler::Scheduler).
pub trait Framework: 'static {
    /// Something to be saved. A framework that starts is given all of them, the
    /// oldest first, so a change should say "this key now has this value".
    type Change: Clone + Debug + 'static;

    /// Reacts to one input.
    fn step(&mut self, now: Now, input: Input) -> Effects<Self::Change>;

    /// When [`Input::Tick`] is due; never when `None`.
    fn wake_at(&self) -> Option<Now> {
        None
    }

    /// The id that the master gave, as it was saved.
    fn framework_id(&self) -> Option<v1::FrameworkId>;

    /// Every task that was launched, or is being launched, and is not known to
    /// be over, with its agent. They are reconciled.
    fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)>;

    /// What the framework still has to bring about; `None` when everything is as
    /// it should be. It must come to that once nothing is broken any more.
    fn unmet(&self) -> Option<String>;
}

/// What a framework is told. As with the SDK's driver, one input is handled to
/// its end, saving included, before the next one comes.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once; a framework matches on what is in them"
)]
pub enum Input {
    /// The framework is subscribed, for the first time or again.
    Subscribed {
        /// Its id, to be saved.
        framework_id: v1::FrameworkId,
    },
    /// The subscription is lost; another is sought. Offers are void.
    Disconnected,
    /// Resources are offered. Each offer is to be used or declined.
    Offers(Vec<v1::Offer>),
    /// An offer is void.
    Rescinded(v1::OfferId),
    /// A status of a task.
    Update(Update),
    /// An agent is gone, perhaps for good.
    AgentLost(v1::AgentId),
    /// Any other event.
    Event(Box<Event>),
    /// A call has failed.
    Failed {
        /// The call.
        call: Box<Call>,
        /// Why, and whether it may have had an effect.
        error: CallError,
    },
    /// The time of [`Framework::wake_at`] has come.
    Tick,
}

/// A status update. It is acknowledged when everything that the framework
/// answered to it is done.
#[derive(Debug, Clone)]
pub struct Update {
    /// The status.
    pub status: v1::TaskStatus,
    /// Whether this very update was handled before, without being acknowledged.
    pub is_redelivery: bool,
}

impl Update {
    /// Which task.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.status.task_id.value
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> v1::TaskState {
        self.status.state()
    }

    /// Whether the task has ended. `TASK_UNREACHABLE` is no end.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        mesos_sdk::status::is_terminal(self.state())
    }

    /// Whether the task may be forgotten: it has ended, nobody knows it, or it
    /// is out of reach, perhaps for good. One that is heard of again all the same
    /// is to be killed, or to be taken up again.
    #[must_use]
    pub fn may_be_forgotten(&self) -> bool {
        use v1::TaskState::{TaskUnknown, TaskUnreachable};
        self.is_terminal() || matches!(self.state(), TaskUnknown | TaskUnreachable)
    }
}

/// Something to be done.
#[derive(Debug, Clone)]
pub(super) enum Effect<C> {
    Save(C),
    Call(Box<Call>),
    Acknowledge(Box<v1::TaskStatus>),
    Then(Then),
}

/// What is to be done, in this order: nothing begins before what stands ahead of
/// it is done. So what is saved before a call is safe when the call is made.
#[derive(Debug, Clone)]
#[must_use = "nothing is done unless it is returned"]
pub struct Effects<C> {
    pub(super) list: Vec<Effect<C>>,
}

impl<C> Default for Effects<C> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<C> Effects<C> {
    /// Nothing to do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Saves a change.
    pub fn save(&mut self, change: C) {
        self.list.push(Effect::Save(change));
    }

    /// Makes any call; the framework's id is filled in.
    pub fn call(&mut self, call: Call) {
        self.list.push(Effect::Call(Box::new(call)));
    }

    /// Acknowledges an update now, instead of when all is done.
    pub fn acknowledge(&mut self, update: &Update) {
        let status = Box::new(update.status.clone());
        self.list.push(Effect::Acknowledge(status));
    }

    /// Lets somebody outside hear of it once everything ahead is done, as an
    /// answer leaves only when what it tells of is saved. Nobody hears anything
    /// when the process ends before that.
    pub fn then(&mut self, hear: impl Fn() + 'static) {
        self.list.push(Effect::Then(Then(Rc::new(hear))));
    }

    /// Launches tasks on an offer; what is left of it comes back.
    pub fn launch(&mut self, offer: &v1::Offer, tasks: Vec<v1::TaskInfo>) {
        let operation = Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        self.accept(vec![offer.id.clone()], vec![operation], None);
    }

    /// Carries out operations on offers of one agent and role.
    pub fn accept(
        &mut self,
        offer_ids: Vec<v1::OfferId>,
        operations: Vec<Operation>,
        filters: Option<v1::Filters>,
    ) {
        self.call(Call {
            r#type: Some(call::Type::Accept as i32),
            accept: Some(call::Accept {
                offer_ids,
                operations,
                filters,
            }),
            ..Default::default()
        });
    }

    /// Declines an offer; its resources come back after so many seconds, five
    /// unless told otherwise.
    pub fn decline(&mut self, offer: &v1::Offer, refuse_seconds: Option<f64>) {
        self.call(Call {
            r#type: Some(call::Type::Decline as i32),
            decline: Some(call::Decline {
                offer_ids: vec![offer.id.clone()],
                filters: refuse_seconds.map(|seconds| v1::Filters {
                    refuse_seconds: Some(seconds),
                }),
            }),
            ..Default::default()
        });
    }

    /// Kills a task.
    pub fn kill(&mut self, task_id: &v1::TaskId, agent_id: Option<&v1::AgentId>) {
        self.call(Call {
            r#type: Some(call::Type::Kill as i32),
            kill: Some(call::Kill {
                task_id: task_id.clone(),
                agent_id: agent_id.cloned(),
                kill_policy: None,
            }),
            ..Default::default()
        });
    }

    /// Asks for offers in every role again, and forgets what was declined.
    pub fn revive(&mut self) {
        self.call(Call {
            r#type: Some(call::Type::Revive as i32),
            ..Default::default()
        });
    }

    /// Asks for no more offers in any role.
    pub fn suppress(&mut self) {
        self.call(Call {
            r#type: Some(call::Type::Suppress as i32),
            ..Default::default()
        });
    }

    /// Asks for the states of tasks, of all when none is named.
    pub fn reconcile(&mut self, tasks: Vec<(v1::TaskId, Option<v1::AgentId>)>) {
        let tasks = tasks
            .into_iter()
            .map(|(task_id, agent_id)| call::reconcile::Task { task_id, agent_id });
        self.call(Call {
            r#type: Some(call::Type::Reconcile as i32),
            reconcile: Some(call::Reconcile {
                tasks: tasks.collect(),
            }),
            ..Default::default()
        });
    }
}
