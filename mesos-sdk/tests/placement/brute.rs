//! Tries everything: every instance on every agent, in every order, with every
//! choice of ports.

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::placement::{Demand, Place, Port, Running, Source};
use mesos_sdk::resources::{Resources, is_reserved};
use mesos_sdk::v1;

use super::checker::{Wanted, holds};

/// An agent, all its offers together.
struct Agent {
    place: Place,
    /// In thousandths: reserved and unreserved, of each scalar.
    reserved: [i64; 2],
    unreserved: [i64; 2],
    /// Each port, and whether it is reserved.
    ports: Vec<(u16, bool)>,
}

fn agents(offers: &[v1::Offer]) -> Vec<Agent> {
    let mut all: BTreeMap<&str, (Place, Resources)> = BTreeMap::new();
    for offer in offers {
        let agent = all
            .entry(&offer.agent_id.value)
            .or_insert_with(|| (Place::of(offer), Resources::new()));
        agent.1 += Resources::from(offer.resources.as_slice());
    }
    let sums = |resources: &Resources| {
        [
            resources.cpus().thousandths(),
            resources.mem_mib().thousandths(),
        ]
    };
    all.into_values()
        .map(|(place, resources)| {
            let reserved = resources.filter(|resource| is_reserved(resource, None));
            let unreserved = resources.filter(|resource| !is_reserved(resource, None));
            let of = |resources: &Resources, is_reserved: bool| {
                let ports: Vec<u64> = resources.ports().values().collect();
                let ports = ports.into_iter();
                ports
                    .map(move |port| (u16::try_from(port).expect("the test knows it"), is_reserved))
                    .collect::<Vec<_>>()
            };
            Agent {
                place,
                reserved: sums(&reserved),
                unreserved: sums(&unreserved),
                ports: [of(&reserved, true), of(&unreserved, false)].concat(),
            }
        })
        .collect()
}

/// The most of the first demand, then the most of the second with that, and so
/// on.
pub(crate) fn best(
    offers: &[v1::Offer],
    demands: &[Demand],
    wanted: &[Wanted],
    running: &[Running],
) -> Vec<u32> {
    let mut search = Search {
        agents: agents(offers),
        demands,
        wanted,
        running,
        seen: BTreeSet::new(),
        best: vec![0; demands.len()],
    };
    search.go(&mut Vec::new());
    search.best
}

/// Demand and agent of each instance.
type Placed = Vec<(usize, usize)>;

struct Search<'a> {
    agents: Vec<Agent>,
    demands: &'a [Demand],
    wanted: &'a [Wanted],
    running: &'a [Running],
    seen: BTreeSet<(Placed, Placed)>,
    best: Vec<u32>,
}

impl Search<'_> {
    /// `placed`: demand and agent of each instance so far, in order.
    fn go(&mut self, placed: &mut Placed) {
        let mut counts = vec![0; self.demands.len()];
        for (demand, _) in placed.iter() {
            counts[*demand] += 1;
        }
        // What comes next depends on what is where, and on who was first of its
        // group.
        let mut sorted = placed.clone();
        sorted.sort_unstable();
        let mut groups = BTreeSet::new();
        let firsts: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(demand, _)| groups.insert(self.demands[*demand].group_name()))
            .copied()
            .collect();
        if !self.seen.insert((sorted, firsts)) {
            return;
        }
        if counts > self.best {
            self.best.clone_from(&counts);
        }
        for (demand, count) in counts.into_iter().enumerate() {
            if count == self.demands[demand].instances() {
                continue;
            }
            for agent in 0..self.agents.len() {
                if self.may_go(placed, demand, agent) {
                    placed.push((demand, agent));
                    self.go(placed);
                    placed.pop();
                }
            }
        }
    }

    fn may_go(&self, placed: &[(usize, usize)], demand: usize, agent: usize) -> bool {
        let group = self.demands[demand].group_name();
        let before = self.running.iter().filter(|r| r.group == group);
        let now = placed
            .iter()
            .filter(|(demand, _)| self.demands[*demand].group_name() == group);
        let members: Vec<&Place> = before
            .map(|instance| &instance.place)
            .chain(now.map(|(_, agent)| &self.agents[*agent].place))
            .collect();
        let place = &self.agents[agent].place;
        let constraints = self.demands[demand].all_constraints();
        constraints.iter().all(|c| holds(c, place, &members)) && {
            let together = placed.iter().filter(|(_, at)| *at == agent);
            let together: Vec<&Wanted> = together
                .map(|(demand, _)| &self.wanted[*demand])
                .chain([&self.wanted[demand]])
                .collect();
            fit(&self.agents[agent], &together)
        }
    }
}

fn fit(agent: &Agent, together: &[&Wanted]) -> bool {
    let has_scalars = (0..2).all(|scalar| {
        let need = |source: &Source| -> i64 {
            let of_source = together.iter().filter(|wanted| wanted.source == *source);
            of_source
                .map(|wanted| [wanted.cpus, wanted.mem][scalar])
                .map(|amount| (amount * 1000.0).round() as i64)
                .sum()
        };
        let reserved = agent.reserved[scalar] - need(&Source::Reserved);
        let unreserved = agent.unreserved[scalar] - need(&Source::Unreserved);
        reserved >= 0 && unreserved >= 0 && reserved + unreserved >= need(&Source::Any)
    });
    let wishes: Vec<(Port, &Source)> = together
        .iter()
        .flat_map(|wanted| wanted.ports.iter().map(|port| (*port, &wanted.source)))
        .collect();
    has_scalars && choose(&wishes, &agent.ports)
}

fn choose(wishes: &[(Port, &Source)], ports: &[(u16, bool)]) -> bool {
    let Some(((wish, source), others)) = wishes.split_first() else {
        return true;
    };
    (0..ports.len()).any(|index| {
        let (port, is_reserved) = ports[index];
        let is_right = match wish {
            Port::Any => true,
            Port::Fixed(fixed) => port == *fixed,
            Port::Within(first, last) => (*first..=*last).contains(&port),
        };
        let is_accepted = match source {
            Source::Reserved => is_reserved,
            Source::Unreserved => !is_reserved,
            _ => true,
        };
        is_right && is_accepted && {
            let mut left = ports.to_vec();
            left.remove(index);
            choose(others, &left)
        }
    })
}
