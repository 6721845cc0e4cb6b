//! Decides which offers run what, and says why not.
//!
//! A framework has *demands*: so many instances of something, each of which
//! wants resources, ports, and certain agents. A [`Placer`] matches many demands
//! with many offers in one call. It is logic without io and deterministic: the
//! same offers, demands, running instances and seed give the same
//! [`Placement`].
//!
//! ```
//! use mesos_sdk::placement::{Constraint, Demand, Placer, Port};
//! # use mesos_sdk::resources::Resources;
//! # use mesos_sdk::{ids, v1};
//! # let offer = |n: usize, resources: &str| v1::Offer {
//! #     id: ids::offer_id(format!("O{n}")),
//! #     agent_id: ids::agent_id(format!("S{n}")),
//! #     hostname: format!("agent-{n}"),
//! #     resources: Resources::parse(resources, "*").unwrap().into_vec(),
//! #     ..Default::default()
//! # };
//! # let offers = [
//! #     offer(7, "cpus:0.5;mem:512"),
//! #     offer(8, "cpus:4;mem:512;ports:[31000-31009]"),
//! # ];
//! // offers: agent-7 with 0.5 cpus, agent-8 with 4 cpus and ports
//! let web = Demand::new("web")
//!     .count(2)
//!     .cpus(1.0)
//!     .mem_mib(128.0)
//!     .port(Port::Any)
//!     .constraint(Constraint::unique("hostname"));
//! let placement = Placer::spread().seed(1).place(&offers, &[web], &[]);
//!
//! let launch = &placement.launches()[0];
//! assert_eq!(launch.hostname, "agent-8");
//! assert!(launch.ports[0] >= 31000);
//! assert_eq!(placement.missing(0), 1);
//! assert_eq!(
//!     placement.explain(0),
//!     "agent-7: 0.5 cpus short, 1 port short; agent-8: UNIQUE hostname",
//! );
//! ```
//!
//! # In a scheduler
//!
//! [`Placer::place`] reads offers and leaves them alone;
//! [`Placement::divide`] then hands out the offers of each ACCEPT. Offers that
//! are not used are in `unused`, and declined when they are dropped.
//!
//! ```no_run
//! # use mesos_sdk::{offer::{self, Offer}, placement::{Demand, Placer, Running}};
//! # use mesos_sdk::{scheduler::{BoxError, Handle}, task::Task};
//! async fn offers(
//!     handle: &Handle,
//!     offers: Vec<Offer>,
//!     tasks: &[Task],
//!     running: &[Running],
//! ) -> Result<(), BoxError> {
//!     let demands: Vec<Demand> = tasks.iter().map(Demand::of).collect();
//!     let placement = Placer::spread().place(&offers, &demands, running);
//!     for (offers, launches) in placement.divide(offers).accepts {
//!         let infos = launches.iter().map(|launch| launch.task(&tasks[launch.demand]));
//!         let launch = offer::launch_operation(infos.collect());
//!         handle.accept(offers, vec![launch], None).await?;
//!     }
//!     for demand in placement.unplaced() {
//!         println!("{}: {}", demands[demand].name(), placement.explain(demand));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What a demand takes
//!
//! Offers of one agent and role are used together, as one ACCEPT allows; offers
//! of one agent in two roles are not. A demand with a [role](Demand::role) takes
//! offers of that role only.
//!
//! Scalars are exact to the thousandth. Of what is offered for the role, a
//! demand's [`Source`] says what it may take; it takes in this order:
//!
//! 1. reserved resources, the deepest (most refined) reservation first,
//! 2. of equal depth, dynamic reservations before static ones,
//! 3. unreserved resources,
//! 4. within these, in the order of the offers.
//!
//! What is reserved for the role is of no use to others, so it goes first. But
//! whoever may take from anywhere makes way for those who may not: one demand
//! for reserved and one for any resources both find a place where one of each is
//! left. Resources whose reservation has labels that some demand of the call
//! names ([`Source::Labelled`]), or labels with a key of
//! [`Placer::label_key`], are kept for demands that name them.
//!
//! Ports are [fixed, within a range, or any](Port). What is not fixed is drawn
//! by the [seed](Placer::seed), ports of one instance side by side where
//! possible; a drawn port never is one that another demand of the call needs as
//! a fixed one.
//!
//! Volumes and disks are taken [exactly](Demand::exactly) or not at all.
//!
//! # Constraints
//!
//! [`Constraint`] has the operators of Marathon, with its semantics. Those that
//! count ([`Operator::counts`]) look at the instances of the demand's
//! [group](Demand::group): the [`Running`] ones that are given, and what the call
//! placed before. Launches are in an order in which every constraint holds at
//! each step.
//!
//! | operator | accepts an agent if |
//! |---|---|
//! | `UNIQUE` | no instance has its value |
//! | `CLUSTER` | its value is the one given, or that of the first instance |
//! | `GROUP_BY` | no instance has its value, or there are as many values in use as expected and none has fewer instances |
//! | `MAX_PER` | fewer instances than that have its value |
//! | `LIKE`, `UNLIKE` | its value matches, or does not match, the whole regular expression |
//! | `IS` | its value is this text or number |
//!
//! Some of them the master can check, so that offers which are of no use are
//! never made: see [`compile_offer_constraints`].
//!
//! # Fitness
//!
//! Of several agents that will do, [`Placer::spread`] (the default) takes one
//! with the fewest instances of the group, and of those the emptiest;
//! [`Placer::pack`] takes the fullest; [`Placer::by`] asks a [`Fitness`] of the
//! framework's own. An agent is as full as its scarcest of `cpus`, `mem` and
//! `disk`, measured against the largest agent of the call. Among equals the
//! first offered wins.
//!
//! # What is promised
//!
//! - Nothing is taken twice, and nothing that is not offered.
//! - Every constraint holds when an instance is placed.
//! - **The order of the demands is their priority.** With `spread` and `pack`,
//!   as many instances of the first demand are placed as is possible at all;
//!   then, without giving up any of these, as many of the second; and so on. In
//!   particular everything is placed whenever there is a way to place
//!   everything.
//!
//! The last is a search when placing one after the other leaves something over,
//! and a search can take long. It ends when its [budget](Placer::search_budget)
//! does, and then [`Placement::search`] says [`Search::GaveUp`]: what was placed
//! stands and is right, but more might have been possible. The default budget is
//! enough for cases of half a dozen instances on as many agents, and is
//! spent in a few milliseconds. The promise leaves out demands for labelled
//! reservations and for resources that are wanted exactly; these are placed one
//! after the other.
//!
//! A framework's own fitness may change its mind with what was placed, so with
//! [`Placer::by`] there is no search, and what is left over is `GaveUp`.
//!
//! # Cost
//!
//! Demands that are alike are compiled once, and sites are kept in the order of
//! preference with bounds of what is free, so that as a rule few sites are looked
//! at for an instance: 50,000 demands on 10,000 offers take a fraction of a
//! second (`cargo bench -p mesos-benches --bench placement`). A fitness of one's
//! own looks at every agent for every instance.

mod board;
mod constraint;
mod demand;
mod draw;
mod explain;
mod fitness;
mod index;
mod launch;
mod offer_constraints;
mod pattern;
mod place;
mod ports;
mod problem;
mod reason;
mod run;
mod search;
mod supply;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use mesos_proto::v1;

pub use constraint::{Constraint, Field, InvalidConstraint, Operator};
pub use demand::{Demand, Gpus, Port, Source};
pub use fitness::{Candidate, Fitness};
pub use launch::{Accept, Divided, Launch, Placement, Search};
pub use offer_constraints::{CompiledConstraints, compile_offer_constraints};
pub use pattern::Pattern;
pub use place::{Place, Running, value_text};
pub use reason::{Reason, ReasonKind, Refusal, Step, Summary};

use fitness::Preference;
use problem::Problem;
use run::Run;
use supply::Keepsakes;

/// What can be offered: a message, or an [`Offer`](crate::offer::Offer).
pub trait Offered {
    /// The offer as it came.
    fn offer_info(&self) -> &v1::Offer;
}

impl Offered for v1::Offer {
    fn offer_info(&self) -> &v1::Offer {
        self
    }
}

impl Offered for crate::offer::Offer {
    fn offer_info(&self) -> &v1::Offer {
        self.info()
    }
}

impl<T: Offered + ?Sized> Offered for &T {
    fn offer_info(&self) -> &v1::Offer {
        (**self).offer_info()
    }
}

/// How much is searched unless told otherwise.
const BUDGET: u64 = 1_000_000;

/// Matches demands with offers; see [the module](self).
#[derive(Debug, Clone)]
pub struct Placer {
    preference: Preference,
    seed: u64,
    gpus: Gpus,
    home_region: Option<String>,
    maintenance: Option<(Duration, Duration)>,
    label_keys: Vec<String>,
    budget: u64,
}

impl Default for Placer {
    fn default() -> Self {
        Self::spread()
    }
}

impl Placer {
    fn new(preference: Preference) -> Self {
        Self {
            preference,
            seed: 0,
            gpus: Gpus::default(),
            home_region: None,
            maintenance: None,
            label_keys: Vec::new(),
            budget: BUDGET,
        }
    }

    /// Prefers agents with few instances of the same group, then empty ones.
    #[must_use]
    pub fn spread() -> Self {
        Self::new(Preference::Spread)
    }

    /// Prefers full agents, so that whole ones stay free.
    #[must_use]
    pub fn pack() -> Self {
        Self::new(Preference::Pack)
    }

    /// Prefers what a fitness of one's own scores highest.
    pub fn by(fitness: impl Fitness + 'static) -> Self {
        Self::new(Preference::Own(Arc::new(fitness)))
    }

    /// The seed of drawn ports. With another one for each call, a counter for
    /// instance, a port that was given up is not soon used again.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What to do with agents that offer GPUs, for demands that do not say.
    #[must_use]
    pub fn gpu_agents(mut self, gpus: Gpus) -> Self {
        self.gpus = gpus;
        self
    }

    /// Leaves agents of other regions to demands that have a constraint on
    /// `@region` or `@zone`. Without a home region all regions are alike.
    #[must_use]
    pub fn home_region(mut self, region: impl Into<String>) -> Self {
        self.home_region = Some(region.into());
        self
    }

    /// Leaves agents alone that are to be unavailable, from `draining` before
    /// the announced start until the announced end. `now` is the time since the
    /// Unix epoch. By default announcements are ignored.
    #[must_use]
    pub fn maintenance(mut self, now: Duration, draining: Duration) -> Self {
        self.maintenance = Some((now, draining));
        self
    }

    /// A key of labels on reservations: resources reserved with such a label are
    /// for demands that name it. Repeat for more.
    #[must_use]
    pub fn label_key(mut self, key: impl Into<String>) -> Self {
        self.label_keys.push(key.into());
        self
    }

    /// How many looks at an agent for an instance a call may spend on searching
    /// when placing one after the other leaves something over; a million by
    /// default, none with zero. See [what is promised](self#what-is-promised).
    #[must_use]
    pub fn search_budget(mut self, looks: u64) -> Self {
        self.budget = looks;
        self
    }

    /// Decides what runs where. The order of the demands is their priority;
    /// `running` are the instances that count for constraints and for spreading,
    /// in the order in which they were placed.
    #[must_use]
    pub fn place<O: Offered>(
        &self,
        offers: &[O],
        demands: &[Demand],
        running: &[Running],
    ) -> Placement {
        let offers: Vec<&v1::Offer> = offers.iter().map(Offered::offer_info).collect();
        let problem = Problem::new(self, &offers, demands, running);
        let mut budget = search::Budget::new(self.budget);
        let mut run = Run::new(&problem, &offers, demands, &self.preference);
        run.run(&mut budget);
        let missing = problem.entries.iter().zip(&run.placed);
        let missing = missing.map(|(entry, placed)| entry.count - placed);
        let missing: Vec<u32> = missing.collect();
        let Run { board, commits, .. } = run;
        let has_fitness = matches!(self.preference, Preference::Own(_));
        let search = match missing.iter().any(|missing| *missing > 0) {
            true if budget.is_spent || has_fitness => Search::GaveUp,
            false if !budget.is_used => Search::NotNeeded,
            _ => Search::Finished,
        };
        let keepsakes = Keepsakes::new(&self.label_keys, demands);
        let launches = launch::draw(&problem, &offers, &keepsakes, &commits, self.seed);
        Placement {
            launches,
            sites: commits.iter().map(|commit| commit.site).collect(),
            missing,
            search,
            offers: offers.len(),
            problem,
            board,
            has_fitness,
        }
    }

    fn is_in_maintenance(&self, unavailability: &v1::Unavailability) -> bool {
        let Some((now, draining)) = self.maintenance else {
            return false;
        };
        let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
        let start = i128::from(unavailability.start.nanoseconds);
        let is_over = unavailability
            .duration
            .as_ref()
            .is_some_and(|duration| nanos(now) > start + i128::from(duration.nanoseconds));
        nanos(now) > start - nanos(draining) && !is_over
    }
}
