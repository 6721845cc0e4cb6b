//! A world in which a framework's logic meets every fault in a millisecond.
//!
//! A scheduler has to be right when its process dies between a save and a call,
//! when the master fails over while an ACCEPT is under way, when an agent that
//! was given up comes back with its tasks. Such things happen once a month in a
//! cluster, and never in a test that waits for them. Here they happen all the
//! time: the master, the allocator and the agents of this crate are stepped in
//! virtual time, a network between them delays, loses and repeats what is sent,
//! machines, masters and the framework's process come and go, and everything
//! that is left to chance follows from one seed. There is no socket, no thread
//! and no sleep, so an hour takes a fraction of a second, and a seed that fails
//! fails again.
//!
//! # What is needed of a framework
//!
//! Its logic in a type that implements [`Framework`]: it is told what happened
//! and what time it is, and answers with what is to be saved and which calls are
//! to be made, in order. The SDK's own logic, the
//! [session](mesos_sdk::session) that subscribes and the
//! [reconciler](mesos_sdk::reconciler) that asks, stands around it as in the
//! SDK's driver.
//!
//! ```
//! use std::collections::BTreeMap;
//! use mesos_local::simulation::{Effects, Framework, Input, Now, Script, Simulation};
//! use mesos_sdk::{framework_info::FrameworkInfo, task, v1};
//!
//! /// Runs ten tasks until each of them has finished.
//! #[derive(Default)]
//! struct Ten {
//!     id: Option<v1::FrameworkId>,
//!     /// Where each task is, by its number and how often it was tried.
//!     tasks: BTreeMap<(u32, u32), Option<v1::AgentId>>,
//!     tries: BTreeMap<u32, u32>,
//!     finished: u32,
//! }
//!
//! #[derive(Debug, Clone)]
//! enum Change {
//!     Id(v1::FrameworkId),
//!     Launching(u32, v1::AgentId),
//!     Ended(u32, bool),
//! }
//!
//! impl Ten {
//!     fn start(saved: &[Change]) -> Self {
//!         let mut this = Self { tries: (0..10).map(|n| (n, 0)).collect(), ..Self::default() };
//!         saved.iter().for_each(|change| this.apply(change));
//!         this
//!     }
//!
//!     fn apply(&mut self, change: &Change) {
//!         match change {
//!             Change::Id(id) => self.id = Some(id.clone()),
//!             Change::Launching(n, agent) => {
//!                 let tried = self.tries[n];
//!                 self.tasks.insert((*n, tried), Some(agent.clone()));
//!             }
//!             Change::Ended(n, well) => {
//!                 let tried = self.tries[n];
//!                 self.tasks.remove(&(*n, tried));
//!                 if *well {
//!                     self.finished += 1;
//!                     self.tries.remove(n);
//!                 } else {
//!                     self.tries.insert(*n, tried + 1);
//!                 }
//!             }
//!         }
//!     }
//!
//!     /// A change is applied when it is decided, and then saved.
//!     fn save(&mut self, change: Change, effects: &mut Effects<Change>) {
//!         self.apply(&change);
//!         effects.save(change);
//!     }
//!
//!     fn next(&self) -> Option<(u32, u32)> {
//!         let tries = self.tries.iter().map(|(n, tried)| (*n, *tried));
//!         tries.into_iter().find(|key| !self.tasks.contains_key(key))
//!     }
//! }
//!
//! impl Framework for Ten {
//!     type Change = Change;
//!
//!     fn step(&mut self, _: Now, input: Input) -> Effects<Change> {
//!         let mut effects = Effects::new();
//!         match input {
//!             Input::Subscribed { framework_id } if self.id.is_none() => {
//!                 self.save(Change::Id(framework_id), &mut effects);
//!             }
//!             Input::Offers(offers) => {
//!                 for offer in offers {
//!                     let next = self.next().and_then(|(n, tried)| {
//!                         let task = task::command(format!("{n}.{tried}"), "work").cpus(1.0);
//!                         Some((n, task.for_offer(&offer)?))
//!                     });
//!                     let Some((n, task)) = next else {
//!                         effects.decline(&offer, None);
//!                         continue;
//!                     };
//!                     self.save(Change::Launching(n, offer.agent_id.clone()), &mut effects);
//!                     effects.launch(&offer, vec![task]);
//!                 }
//!             }
//!             Input::Update(update) => {
//!                 let Some((n, tried)) = update.task_id().split_once('.') else { return effects };
//!                 let key = (n.parse().unwrap(), tried.parse().unwrap());
//!                 let is_over = update.may_be_forgotten();
//!                 if is_over && self.tasks.contains_key(&key) {
//!                     let well = update.state() == v1::TaskState::TaskFinished;
//!                     self.save(Change::Ended(key.0, well), &mut effects);
//!                 } else if !is_over && !self.tasks.contains_key(&key) {
//!                     // It was given up too early, and is not waited for again.
//!                     let agent = update.status.agent_id.as_ref();
//!                     effects.kill(&update.status.task_id, agent);
//!                 }
//!             }
//!             Input::Failed { call, error } if error.had_no_effect() => {
//!                 for task in call.accept.into_iter().flat_map(|a| a.operations).filter_map(|o| o.launch) {
//!                     let id = &task.task_infos[0].task_id.value;
//!                     let n = id.split_once('.').unwrap().0.parse().unwrap();
//!                     self.save(Change::Ended(n, false), &mut effects);
//!                 }
//!             }
//!             _ => {}
//!         }
//!         effects
//!     }
//!
//!     fn framework_id(&self) -> Option<v1::FrameworkId> {
//!         self.id.clone()
//!     }
//!
//!     fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
//!         let name = |(n, tried): &(u32, u32)| mesos_sdk::ids::task_id(format!("{n}.{tried}"));
//!         self.tasks.iter().map(|(key, agent)| (name(key), agent.clone())).collect()
//!     }
//!
//!     fn unmet(&self) -> Option<String> {
//!         (self.finished < 10).then(|| format!("{} tasks have finished", self.finished))
//!     }
//! }
//!
//! let info = FrameworkInfo::service("ten").build();
//! Simulation::new(info, Ten::start).check();
//! ```
//!
//! # What is checked
//!
//! After every step, whatever is broken at that time ([`Violation`]):
//!
//! - no offer is used twice, and none after the framework was told it is void;
//! - no task is launched twice;
//! - no update is acknowledged before what it changed is saved: a framework that
//!   started at that moment with what is saved would know of the task what this
//!   one knows;
//! - no task is forgotten that was launched or is known to be running, not even
//!   by a framework that has just started;
//! - nothing of an agent is spent twice, and the master's books agree.
//!
//! For [`duration`](Simulation::duration) things go wrong, then no more. From
//! then on the framework has [`patience`](Simulation::patience) to come to what
//! it wants ([`Framework::unmet`]), and what it takes for running must be what
//! runs.
//!
//! What a framework promises besides is for a [`Judge`] to say.
//!
//! # Seeds
//!
//! [`check`](Simulation::check) is made for tests. It runs 20 seeds;
//! `MESOS_SIMULATION_SEEDS=1000` runs a thousand, `MESOS_SIMULATION_SEEDS=500..600`
//! those. One that fails is named with the command that runs it alone and shows
//! everything that happened, from the first event to the rule that was broken:
//!
//! ```text
//! seed 17 fails after 0h 12m 31s: task 3.1 was forgotten while it may be running
//! to see how: MESOS_SIMULATION_SEED=17 cargo test -p my-framework survives
//! ```

mod checks;
mod dice;
mod driver;
mod framework;
mod judge;
mod network;
mod plan;
mod script;
mod seeds;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::time::Duration;

use mesos_sdk::attributes;
use mesos_sdk::reconciler::ReconcilerConfig;
use mesos_sdk::resources::Resources;
use mesos_sdk::session::SessionConfig;
use mesos_sdk::v1;

pub use checks::Violation;
pub use dice::Dice;
pub use framework::{Effects, Framework, Input, Now, Update};
pub use judge::{Judge, Sight};
pub use plan::Fault;
pub use script::{Process, Script};
pub use seeds::{Failure, Totals};

use plan::Plan;
use world::{Hooks, MakeJudge, Outcome, Scripts, Start, Torn, World};

/// A framework in a world; see the [module](self).
pub struct Simulation<F: Framework> {
    plan: Plan,
    start: Box<Start<F>>,
    scripts: Box<Scripts>,
    torn: Box<Torn<F>>,
    judge: Option<Box<MakeJudge>>,
}

/// How a seed went that broke no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How long it took, in virtual time, until all was well.
    pub elapsed: Duration,
    /// How many things happened.
    pub steps: u64,
    /// How many launches left the framework.
    pub launches: u64,
}

impl<F: Framework> Simulation<F> {
    /// A framework that subscribes with this info. `start` makes one out of what
    /// it saved, the oldest change first; at first that is nothing. The world
    /// has three agents of `cpus:4;mem:4096;disk:10240` and every [`Fault`].
    pub fn new(info: v1::FrameworkInfo, start: impl Fn(&[F::Change]) -> F + 'static) -> Self {
        Self {
            plan: Plan::new(info),
            start: Box::new(start),
            scripts: Box::new(|_, dice| Script::drawn(dice)),
            torn: Box::new(|_, _, dice| dice.permille(500)),
            judge: None,
        }
    }

    /// So many agents with these resources, in Mesos's text form.
    ///
    /// # Panics
    ///
    /// When the text is not one of resources.
    #[must_use]
    pub fn agents(mut self, count: usize, resources: &str) -> Self {
        Resources::parse(resources, "*").expect("a text of resources");
        self.plan.agents = vec![(resources.to_owned(), String::new()); count];
        self
    }

    /// One more agent, with attributes.
    ///
    /// # Panics
    ///
    /// When a text is not one of resources or attributes.
    #[must_use]
    pub fn agent(mut self, resources: &str, with_attributes: &str) -> Self {
        Resources::parse(resources, "*").expect("a text of resources");
        attributes::parse(with_attributes).expect("a text of attributes");
        let agent = (resources.to_owned(), with_attributes.to_owned());
        self.plan.agents.push(agent);
        self
    }

    /// What goes wrong. Each seed picks some of these.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.plan.faults = faults.into_iter().collect();
        self
    }

    /// How much time lies between two faults, on average.
    #[must_use]
    pub fn fault_interval(mut self, interval: Duration) -> Self {
        self.plan.fault_interval = interval;
        self
    }

    /// For how long things go wrong; by default one hour.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.plan.duration = duration;
        self
    }

    /// How long the framework may take to come to what it wants once nothing is
    /// broken any more; by default three hours.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.plan.patience = patience;
        self
    }

    /// After which time the master rescinds offers that are not used; by default
    /// five minutes. In a master without `--offer_timeout` they stand, and those
    /// of which a DECLINE was lost on the way are lost to everybody.
    #[must_use]
    pub fn offer_timeout(mut self, timeout: Duration) -> Self {
        self.plan.offer_timeout = Some(timeout);
        self
    }

    /// What becomes of the processes of tasks. By default each runs for some
    /// seconds or minutes, and one in ten fails.
    #[must_use]
    pub fn script(mut self, script: impl Fn(&Process<'_>, &mut Dice) -> Script + 'static) -> Self {
        self.scripts = Box::new(script);
        self
    }

    /// Says whether a change that was being saved when the process ended is
    /// there afterwards, given those that were saved before; by default a coin
    /// does. A framework with a store of its own lets that decide.
    #[must_use]
    pub fn torn_saves(
        mut self,
        is_there: impl Fn(&[F::Change], &F::Change, &mut Dice) -> bool + 'static,
    ) -> Self {
        self.torn = Box::new(is_there);
        self
    }

    /// Who looks at each world besides the rules that hold for every framework.
    /// It is made when a world begins, before the framework is.
    #[must_use]
    pub fn judge(mut self, make: impl Fn(&mut Dice) -> Box<dyn Judge> + 'static) -> Self {
        self.judge = Some(Box::new(make));
        self
    }

    /// How the session behaves.
    #[must_use]
    pub fn session(mut self, session: SessionConfig) -> Self {
        self.plan.session = session;
        self
    }

    /// How the reconciler behaves; with `None` there is none, and the framework
    /// reconciles by itself.
    #[must_use]
    pub fn reconciler(mut self, reconciler: Option<ReconcilerConfig>) -> Self {
        self.plan.reconciler = reconciler;
        self
    }

    /// Runs one seed.
    ///
    /// # Errors
    ///
    /// The rule that was broken, and everything that happened before.
    pub fn run(&self, seed: u64) -> Result<Report, Box<Failure>> {
        let outcome = self.world(seed, false).run();
        let Some(violation) = outcome.violation else {
            return Ok(report(&outcome));
        };
        // Once more, to see how.
        let trace = self.world(seed, true).run().trace;
        Err(Box::new(Failure {
            seed,
            violation,
            elapsed: outcome.elapsed,
            trace,
        }))
    }

    /// Everything that happens with a seed, a line each.
    #[must_use]
    pub fn trace(&self, seed: u64) -> Vec<String> {
        self.world(seed, true).run().trace
    }

    fn world(&self, seed: u64, is_traced: bool) -> World<'_, F> {
        let hooks = Hooks {
            start: &*self.start,
            scripts: &*self.scripts,
            torn: &*self.torn,
            judge: self.judge.as_deref(),
        };
        World::new(&self.plan, hooks, seed, is_traced)
    }
}

fn report(outcome: &Outcome) -> Report {
    Report {
        elapsed: outcome.elapsed,
        steps: outcome.steps,
        launches: outcome.launches,
    }
}

impl<F: Framework> fmt::Debug for Simulation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
