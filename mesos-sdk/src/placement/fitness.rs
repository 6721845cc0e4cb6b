//! Which of the agents that will do is taken.

use std::fmt;
use std::sync::Arc;

use mesos_proto::v1;

use super::board::Board;
use super::constraint::Field;
use super::demand::Demand;
use super::place;
use super::problem::Problem;
use super::supply;
use crate::resources::Scalar;

/// A framework's own opinion of where an instance is best placed.
///
/// Closures are one: `|demand: &Demand, candidate: &Candidate<'_>| ..`. To keep
/// placement deterministic, the answer has to depend on the arguments only.
pub trait Fitness: Send + Sync {
    /// How well the demand's next instance would be placed there: the highest
    /// score wins, among equals the agent that was offered first. `None` (or
    /// what is not a number) refuses the agent.
    fn score(&self, demand: &Demand, candidate: &Candidate<'_>) -> Option<f64>;
}

impl<F> Fitness for F
where
    F: Fn(&Demand, &Candidate<'_>) -> Option<f64> + Send + Sync,
{
    fn score(&self, demand: &Demand, candidate: &Candidate<'_>) -> Option<f64> {
        self(demand, candidate)
    }
}

/// Which agent is best.
#[derive(Clone, Default)]
pub(super) enum Preference {
    #[default]
    Spread,
    Pack,
    Own(Arc<dyn Fitness>),
}

impl fmt::Debug for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spread => "Spread",
            Self::Pack => "Pack",
            Self::Own(_) => "Own",
        })
    }
}

/// An agent that has what a demand wants and satisfies its constraints.
pub struct Candidate<'a> {
    pub(super) problem: &'a Problem,
    pub(super) board: &'a Board,
    pub(super) offers: &'a [&'a v1::Offer],
    pub(super) site: usize,
    pub(super) group: usize,
}

impl Candidate<'_> {
    /// The first of the agent's offers.
    #[must_use]
    pub fn offer(&self) -> &v1::Offer {
        self.offers[self.problem.sites[self.site].offers[0]]
    }

    /// The agent.
    #[must_use]
    pub fn agent_id(&self) -> &str {
        &self.problem.sites[self.site].agent_id
    }

    /// Its host name.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.problem.sites[self.site].hostname
    }

    /// The value of one of its fields, as constraints see it.
    #[must_use]
    pub fn value(&self, field: &Field) -> Option<String> {
        place::value(self.offer(), field).map(std::borrow::Cow::into_owned)
    }

    /// How much of a scalar its offers had at first.
    #[must_use]
    pub fn offered(&self, name: &str) -> Scalar {
        let offers = self.problem.sites[self.site].offers.iter();
        let resources = offers.flat_map(|offer| &self.offers[*offer].resources);
        let named = resources.filter(|resource| resource.name == name);
        named
            .map(|resource| Scalar::from_thousandths(supply::thousandths(resource)))
            .sum()
    }

    /// How much of a scalar that some demand wants is left, revocable resources
    /// left aside, before the instance is placed.
    #[must_use]
    pub fn free(&self, name: &str) -> Scalar {
        let names = &self.problem.names;
        let number = names.iter().position(|known| known == name);
        number.map_or_else(
            || self.offered(name),
            |number| Scalar::from_thousandths(self.board.free(self.site)[number]),
        )
    }

    /// How many instances of the demand's group are on the agent.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.board.on_agent(self.problem, self.group, self.site)
    }
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("agent_id", &self.agent_id())
            .field("hostname", &self.hostname())
            .finish_non_exhaustive()
    }
}
