//! What must hold after every step, and what must have come about once nothing
//! is broken any more.

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::{Call, call};

use super::driver::launched;
use super::framework::{Effect, Input, Now};
use super::judge::{Judge, Sight};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// One offer stands in two calls.
    #[error("offer {offer} was used twice")]
    OfferUsedTwice {
        /// The offer.
        offer: String,
    },
    /// An offer was accepted although the framework had been told that it is
    /// void: it was rescinded, or its subscription has ended.
    #[error("offer {offer} was used after it was void")]
    VoidOfferUsed {
        /// The offer.
        offer: String,
    },
    /// A task was launched that was launched before and is not known to be over.
    #[error("task {task} was launched twice")]
    TaskLaunchedTwice {
        /// The task.
        task: String,
    },
    /// An update was acknowledged, and a framework that started now would not
    /// know what it said.
    #[error("an update of task {task} was acknowledged before what it changed was saved")]
    AcknowledgedBeforeSave {
        /// The task.
        task: String,
    },
    /// A task that was launched, or was heard to be alive, is not among the
    /// framework's tasks, nor was it killed.
    #[error("task {task} was forgotten while it may be running")]
    Forgotten {
        /// The task.
        task: String,
    },
    /// Tasks on an agent hold more than it has.
    #[error("agent {agent} is overspent: {what}")]
    Overspent {
        /// The agent.
        agent: String,
        /// What does not fit.
        what: String,
    },
    /// The master's books do not agree with each other.
    #[error("the master's books are wrong: {what}")]
    Books {
        /// What does not agree.
        what: String,
    },
    /// The framework was refused or removed.
    #[error("the framework cannot go on: {reason}")]
    Refused {
        /// The SDK's error.
        reason: String,
    },
    /// The framework asks to be woken without end.
    #[error("the framework's time does not go on")]
    Spinning,
    /// A judge says so; see [`Judge`].
    #[error("{what}")]
    Judged {
        /// What is wrong.
        what: String,
    },
    /// Nothing is broken any more, and for a long time nothing has come of it.
    #[error("nothing is broken any more, and still {what}")]
    Unmet {
        /// What the framework has not brought about.
        what: String,
    },
}

/// What the framework has been told and has decided so far.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) violation: Option<Violation>,
    /// Offers that the framework has been shown and that were not void then.
    shown: BTreeSet<String>,
    void: BTreeSet<String>,
    used: BTreeSet<String>,
    /// Tasks that may be running, as far as the framework can know.
    alive: BTreeMap<String, Since>,
    launches: u64,
    judge: Option<Box<dyn Judge>>,
}

/// How the framework knows that a task may be running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// It has decided to launch it; nothing has left yet.
    Decision,
    /// The launch has left.
    Launch,
    /// It is being told so. A crash now undoes that.
    Hearing,
    /// It was told so.
    Told,
}

impl Checks {
    pub(super) fn with(judge: Option<Box<dyn Judge>>) -> Self {
        Self {
            judge,
            ..Self::default()
        }
    }

    /// What the judge still waits for.
    pub(super) fn unmet(&self) -> Option<String> {
        self.judge.as_ref().and_then(|judge| judge.unmet())
    }

    pub(super) fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// How many launches have left.
    pub(super) fn launches(&self) -> u64 {
        self.launches
    }

    /// Shows something to the judge, if there is one.
    pub(super) fn show(&mut self, now: Now, sight: Sight<'_>) {
        if let Some(judge) = &mut self.judge
            && let Err(what) = judge.see(now, sight)
        {
            self.violate(Violation::Judged { what });
        }
    }

    /// The framework is about to be told something.
    pub(super) fn told(&mut self, now: Now, input: &Input) {
        self.show(now, Sight::Told(input));
        match input {
            Input::Offers(offers) => {
                self.shown
                    .extend(offers.iter().map(|offer| offer.id.value.clone()));
            }
            Input::Rescinded(id) => {
                self.void.insert(id.value.clone());
            }
            Input::Disconnected => self.void.append(&mut self.shown),
            Input::Update(update) => {
                let task = update.task_id().to_owned();
                if update.may_be_forgotten() {
                    self.alive.remove(&task);
                } else {
                    self.alive.entry(task).or_insert(Since::Hearing);
                }
            }
            _ => {}
        }
    }

    /// The framework has answered.
    pub(super) fn decided<C>(
        &mut self,
        effects: &[Effect<C>],
        tasks: &[(v1::TaskId, Option<v1::AgentId>)],
    ) {
        for effect in effects {
            if let Effect::Call(call) = effect {
                self.call_decided(call);
            }
        }
        let tasks = tasks.iter().map(|(task, _)| task);
        self.none_forgotten(tasks);
    }

    fn call_decided(&mut self, call: &Call) {
        if let Some(kill) = &call.kill {
            // Whoever is killed need not be remembered to be alive.
            self.alive.remove(&kill.task_id.value);
        }
        let accept = call.accept.iter().flat_map(|accept| &accept.offer_ids);
        let decline = call.decline.iter().flat_map(|decline| &decline.offer_ids);
        for offer in accept.chain(decline).map(|id| &id.value) {
            if call.r#type() == call::Type::Accept && self.void.contains(offer) {
                let offer = offer.clone();
                self.violate(Violation::VoidOfferUsed { offer });
            }
            if !self.used.insert(offer.clone()) {
                let offer = offer.clone();
                self.violate(Violation::OfferUsedTwice { offer });
            }
        }
        for (task, _) in launched(call) {
            let task = task.value;
            if self.alive.insert(task.clone(), Since::Decision).is_some() {
                self.violate(Violation::TaskLaunchedTwice { task });
            }
        }
    }

    /// Every task that may be running is among these.
    pub(super) fn none_forgotten<'a>(&mut self, tasks: impl Iterator<Item = &'a v1::TaskId>) {
        let known: BTreeSet<&str> = tasks.map(|task| task.value.as_str()).collect();
        let forgotten = self
            .alive
            .keys()
            .find(|task| !known.contains(task.as_str()));
        if let Some(task) = forgotten.cloned() {
            self.violate(Violation::Forgotten { task });
        }
    }

    /// A launch has left.
    pub(super) fn launched(&mut self, task: &v1::TaskId) {
        self.launches += 1;
        // It may have been told to be over since it was decided.
        if let Some(since) = self.alive.get_mut(&task.value) {
            *since = Since::Launch;
        }
    }

    /// A launch has certainly had no effect.
    pub(super) fn not_launched(&mut self, task: &v1::TaskId) {
        self.alive.remove(&task.value);
    }

    /// An acknowledgement is about to leave, while changes of the same step are
    /// not saved.
    pub(super) fn acknowledged(&mut self, status: &v1::TaskStatus, is_unsaved: bool) {
        if is_unsaved {
            let task = status.task_id.value.clone();
            self.violate(Violation::AcknowledgedBeforeSave { task });
        }
    }

    /// All that was answered to an input is done.
    pub(super) fn step_is_done(&mut self) {
        for since in self.alive.values_mut() {
            if *since == Since::Hearing {
                *since = Since::Told;
            }
        }
    }

    /// The framework's process has ended: what it did not do it does not know.
    pub(super) fn crashed(&mut self) {
        self.alive
            .retain(|_, since| matches!(since, Since::Launch | Since::Told));
        self.shown.clear();
        self.void.clear();
    }
}
