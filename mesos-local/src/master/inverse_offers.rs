//! The life of an inverse offer: made for every framework that has something on
//! a machine that will be down, answered or rescinded
//! (`docs/maintenance.md`; `src/master/allocator/mesos/hierarchical.cpp`,
//! `generateInverseOffers`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_sdk::v1::allocator::{InverseOfferStatus, inverse_offer_status::Status};
use mesos_sdk::v1::scheduler::{Event, event};
use mesos_sdk::{ids, v1};

use super::Master;
use super::offers::agent_url;
use super::state::{InverseOffer, is_terminal};
use crate::time::Timestamp;

impl Master {
    /// Asks everybody who has something on such a machine, was not asked yet and
    /// did not answer just now. One INVERSE_OFFERS event a framework.
    pub(super) fn make_inverse_offers(&mut self) {
        if self.state.maintenance.machines.is_empty() {
            return;
        }
        let now = self.now;
        self.state
            .maintenance
            .filters
            .retain(|_, until| *until > now);
        let mut made: BTreeMap<String, Vec<v1::InverseOffer>> = BTreeMap::new();
        for agent in self.state.agents.keys().cloned().collect::<Vec<_>>() {
            let Some(unavailability) = self.unavailability_of(&agent) else {
                continue;
            };
            for framework in self.frameworks_to_ask(&agent) {
                let offer = self.make_inverse_offer(&framework, &agent, unavailability);
                made.entry(framework).or_default().extend(offer);
            }
        }
        for (framework, inverse_offers) in made {
            let event = Event {
                r#type: Some(event::Type::InverseOffers as i32),
                inverse_offers: Some(event::InverseOffers { inverse_offers }),
                ..Default::default()
            };
            self.send(&framework, event);
        }
    }

    fn frameworks_to_ask(&self, key: &str) -> BTreeSet<String> {
        let Some(agent) = self.state.agents.get(key).filter(|a| a.is_connected()) else {
            return BTreeSet::new();
        };
        if self.state.deactivated_agents.contains(key) {
            return BTreeSet::new();
        }
        let offered = agent
            .offers
            .iter()
            .filter_map(|offer| Some(&self.state.offers.get(offer)?.framework));
        let holders = self.state.frameworks.iter().filter_map(|(id, framework)| {
            let runs = framework.executors.get(key).is_some_and(|e| !e.is_empty())
                || framework
                    .tasks
                    .values()
                    .any(|task| task.agent_id.value == *key && !is_terminal(task.state()));
            runs.then_some(id)
        });
        let was_asked = |framework: &String| {
            let mut asked = self.state.inverse_offers.values();
            asked.any(|offer| offer.agent == *key && offer.framework == *framework)
        };
        let is_filtered = |framework: &String| {
            let filter = (framework.clone(), key.to_owned());
            self.state.maintenance.filters.contains_key(&filter)
        };
        let is_connected = |framework: &String| {
            let framework = self.state.frameworks.get(framework);
            framework.is_some_and(super::state::Framework::is_connected)
        };
        offered
            .chain(holders)
            .filter(|framework| {
                is_connected(framework) && !was_asked(framework) && !is_filtered(framework)
            })
            .cloned()
            .collect()
    }

    fn make_inverse_offer(
        &mut self,
        framework: &str,
        agent_key: &str,
        unavailability: v1::Unavailability,
    ) -> Option<v1::InverseOffer> {
        let agent = self.state.agents.get(agent_key)?;
        let (agent_id, url) = (agent.id(), agent_url(agent));
        let key = self.next_offer_key();
        let deadline = self.config.offer_timeout.map(|timeout| self.now + timeout);
        if let Some(deadline) = deadline {
            self.state.offer_deadlines.insert((deadline, key.clone()));
        }
        let offer = InverseOffer {
            framework: framework.to_owned(),
            agent: agent_key.to_owned(),
            deadline,
        };
        self.state.inverse_offers.insert(key.clone(), offer);
        Some(v1::InverseOffer {
            id: ids::offer_id(key),
            url: Some(url),
            framework_id: ids::framework_id(framework),
            agent_id: Some(agent_id),
            unavailability,
            resources: Vec::new(),
        })
    }

    /// ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS: the answer is noted for
    /// operators and binds nobody.
    pub(super) fn answer_inverse_offers(
        &mut self,
        framework: &str,
        offers: &[v1::OfferId],
        answer: Status,
        filters: Option<&v1::Filters>,
    ) {
        for id in offers {
            let is_own = |offer: &&InverseOffer| offer.framework == framework;
            let known = self.state.inverse_offers.get(&id.value);
            if known.filter(is_own).is_none() {
                continue;
            }
            let Some(offer) = self.take_inverse_offer(&id.value) else {
                continue;
            };
            let status = InverseOfferStatus {
                status: answer.into(),
                framework_id: ids::framework_id(framework),
                timestamp: self.now_info(),
            };
            let until = self.now + refusal(filters);
            let maintenance = &mut self.state.maintenance;
            maintenance
                .answers
                .entry(offer.agent.clone())
                .or_default()
                .insert(framework.to_owned(), status);
            if until > self.now {
                let filter = (framework.to_owned(), offer.agent);
                maintenance.filters.insert(filter, until);
            }
        }
    }

    fn take_inverse_offer(&mut self, key: &str) -> Option<InverseOffer> {
        let offer = self.state.inverse_offers.remove(key)?;
        if let Some(deadline) = offer.deadline {
            let deadline = (deadline, key.to_owned());
            self.state.offer_deadlines.remove(&deadline);
        }
        Some(offer)
    }

    pub(super) fn rescind_inverse_offer(&mut self, key: &str) {
        if let Some(offer) = self.take_inverse_offer(key) {
            let event = Event {
                r#type: Some(event::Type::RescindInverseOffer as i32),
                rescind_inverse_offer: Some(event::RescindInverseOffer {
                    inverse_offer_id: ids::offer_id(key),
                }),
                ..Default::default()
            };
            self.send(&offer.framework, event);
        }
    }

    pub(super) fn rescind_inverse_offers_of_agent(&mut self, agent: &str) {
        for key in self.inverse_offers_where(|offer| offer.agent == agent) {
            self.rescind_inverse_offer(&key);
        }
    }

    /// A framework that is away is not asked, and asked anew when it is back.
    pub(super) fn discard_inverse_offers_of(&mut self, framework: &str) {
        for key in self.inverse_offers_where(|offer| offer.framework == framework) {
            self.take_inverse_offer(&key);
        }
        self.forget_inverse_filters(framework);
    }

    pub(super) fn forget_inverse_filters(&mut self, framework: &str) {
        let filters = &mut self.state.maintenance.filters;
        filters.retain(|(filtered, _), _| filtered != framework);
    }

    /// The framework is gone, and so is what it said.
    pub(super) fn forget_inverse_answers(&mut self, framework: &str) {
        for answers in self.state.maintenance.answers.values_mut() {
            answers.remove(framework);
        }
    }

    fn inverse_offers_where(&self, is_meant: impl Fn(&InverseOffer) -> bool) -> Vec<String> {
        let offers = self.state.inverse_offers.iter();
        offers
            .filter(|(_, offer)| is_meant(offer))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// When a framework that has answered may be asked again.
    pub(super) fn next_inverse_offer(&self) -> Option<Timestamp> {
        self.state.maintenance.filters.values().min().copied()
    }
}

/// For how long no further inverse offer is wanted.
fn refusal(filters: Option<&v1::Filters>) -> Duration {
    const LONGEST: f64 = 365.0 * 24.0 * 3600.0;
    let seconds = filters.map_or(5.0, v1::Filters::refuse_seconds);
    if seconds.is_nan() || seconds < 0.0 {
        return Duration::from_secs(5);
    }
    Duration::from_secs_f64(seconds.min(LONGEST))
}
