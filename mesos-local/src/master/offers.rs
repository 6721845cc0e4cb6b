//! The life of an offer: made of what the allocator gives, rescinded when its
//! agent or its time has gone, discarded when its framework has.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1::framework_info::capability::Type as Capability;
use mesos_sdk::{ids, v1};

use super::state::{Agent, Framework, Offer, OfferKey};
use super::{Master, events};
use crate::allocator::Allocation;

/// Which offers are meant when some are rescinded.
impl Master {
    /// Runs the allocator and offers what it gives, one OFFERS event a
    /// framework.
    pub(super) fn allocate(&mut self) {
        let allocations = self.allocator.allocate(self.now, &mut self.random);
        let mut last: Option<(String, Vec<v1::Offer>)> = None;
        for allocation in allocations {
            let framework = allocation.framework.clone();
            let Some(offer) = self.make_offer(allocation) else {
                continue;
            };
            match &mut last {
                Some((key, offers)) if *key == framework => offers.push(offer),
                _ => {
                    self.send_offers(last.take());
                    last = Some((framework, vec![offer]));
                }
            }
        }
        self.send_offers(last);
        self.make_inverse_offers();
    }

    /// Offers and inverse offers are numbered alike.
    pub(super) fn next_offer_key(&mut self) -> OfferKey {
        let number = self.state.offer_count;
        self.state.offer_count += 1;
        format!("{}-O{number}", self.config.id)
    }

    fn send_offers(&mut self, offers: Option<(String, Vec<v1::Offer>)>) {
        if let Some((framework, offers)) = offers {
            self.send(&framework, events::offers(offers));
        }
    }

    fn make_offer(&mut self, allocation: Allocation) -> Option<v1::Offer> {
        let Allocation {
            framework: framework_key,
            role,
            agent: agent_key,
            resources,
        } = allocation;
        let key = self.next_offer_key();
        let deadline = self.config.offer_timeout.map(|timeout| self.now + timeout);
        let framework = self.state.frameworks.get_mut(&framework_key)?;
        let agent = self.state.agents.get_mut(&agent_key)?;
        framework.offers.insert(key.clone());
        agent.offers.insert(key.clone());
        if let Some(deadline) = deadline {
            self.state.offer_deadlines.insert((deadline, key.clone()));
        }
        let offer = Offer {
            framework: framework_key,
            agent: agent_key,
            role,
            resources,
            deadline,
        };
        self.state.offers.insert(key.clone(), offer);
        self.told_offer(&key)
    }

    /// An offer as its framework sees it.
    pub(super) fn told_offer(&self, key: &str) -> Option<v1::Offer> {
        let offer = self.state.offers.get(key)?;
        let framework = self.state.frameworks.get(&offer.framework)?;
        let agent = self.state.agents.get(&offer.agent)?;
        let executors = framework.executors.get(&offer.agent);
        Some(v1::Offer {
            id: ids::offer_id(key),
            framework_id: framework.id(),
            agent_id: agent.id(),
            hostname: agent.info.hostname.clone(),
            url: Some(agent_url(agent)),
            domain: agent.info.domain.clone(),
            resources: told_resources(framework, &offer.resources),
            attributes: agent.info.attributes.clone(),
            executor_ids: executors
                .into_iter()
                .flat_map(|executors| executors.keys().map(ids::executor_id))
                .collect(),
            unavailability: self.unavailability_of(&offer.agent),
            allocation_info: framework.has(Capability::MultiRole).then(|| {
                v1::resource::AllocationInfo {
                    role: Some(offer.role.clone()),
                }
            }),
        })
    }

    /// Takes an offer out of all books and returns it.
    pub(super) fn take_offer(&mut self, key: &str) -> Option<Offer> {
        let offer = self.state.offers.remove(key)?;
        if let Some(deadline) = offer.deadline {
            self.state
                .offer_deadlines
                .remove(&(deadline, key.to_owned()));
        }
        if let Some(framework) = self.state.frameworks.get_mut(&offer.framework) {
            framework.offers.remove(key);
        }
        if let Some(agent) = self.state.agents.get_mut(&offer.agent) {
            agent.offers.remove(key);
        }
        Some(offer)
    }

    /// Takes an offer back without a filter, silently.
    pub(super) fn discard_offer(&mut self, key: &str) {
        if let Some(offer) = self.take_offer(key) {
            self.allocator
                .recover(&offer.framework, &offer.agent, &offer.resources);
        }
    }

    /// Takes an offer back and tells its framework.
    pub(super) fn rescind_offer(&mut self, key: &str) {
        let Some(framework) = self
            .state
            .offers
            .get(key)
            .map(|offer| offer.framework.clone())
        else {
            return;
        };
        self.discard_offer(key);
        self.send(&framework, events::rescind(key));
    }

    pub(super) fn discard_offers_of(&mut self, framework: &str) {
        let offers: Vec<OfferKey> = self
            .state
            .frameworks
            .get(framework)
            .map(|framework| framework.offers.iter().cloned().collect())
            .unwrap_or_default();
        for offer in offers {
            self.discard_offer(&offer);
        }
    }

    pub(super) fn rescind_offers_of_agent(&mut self, agent: &str) {
        let offers: Vec<OfferKey> = self
            .state
            .agents
            .get(agent)
            .map(|agent| agent.offers.iter().cloned().collect())
            .unwrap_or_default();
        for offer in offers {
            self.rescind_offer(&offer);
        }
    }

    pub(super) fn rescind_roles(&mut self, framework: &str, roles: &[String]) {
        let offers: Vec<OfferKey> = self
            .state
            .frameworks
            .get(framework)
            .map(|framework| framework.offers.iter().cloned().collect())
            .unwrap_or_default();
        for key in offers {
            let is_meant = self
                .state
                .offers
                .get(&key)
                .is_some_and(|offer| roles.contains(&offer.role));
            if is_meant {
                self.rescind_offer(&key);
            }
        }
    }

    pub(super) fn rescind_old_offers(&mut self) {
        while let Some((deadline, key)) = self.state.offer_deadlines.first().cloned() {
            if deadline > self.now {
                break;
            }
            self.state.offer_deadlines.remove(&(deadline, key.clone()));
            self.rescind_offer(&key);
            self.rescind_inverse_offer(&key);
        }
    }

    pub(super) fn decline(
        &mut self,
        framework: &str,
        offers: &[v1::OfferId],
        filters: Option<&v1::Filters>,
    ) {
        for id in offers {
            let is_own = self
                .state
                .offers
                .get(&id.value)
                .is_some_and(|offer| offer.framework == framework);
            if !is_own {
                continue;
            }
            if let Some(offer) = self.take_offer(&id.value) {
                self.recover_with_filter(&offer, &offer.resources, filters);
            }
        }
    }

    /// Gives back what an offer did not use; the framework does not want to see
    /// it again for a while.
    pub(super) fn recover_with_filter(
        &mut self,
        offer: &Offer,
        resources: &Resources,
        filters: Option<&v1::Filters>,
    ) {
        self.allocator
            .recover(&offer.framework, &offer.agent, resources);
        self.allocator.refuse(
            self.now,
            &offer.framework,
            &offer.role,
            &offer.agent,
            resources,
            filters,
        );
    }
}

/// Where an agent is reached.
pub(super) fn agent_url(agent: &Agent) -> v1::Url {
    let address = agent.registration.address;
    v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(address.ip().to_string()),
            port: i32::from(address.port()),
        },
        path: Some("/slave(1)".to_owned()),
        ..Default::default()
    }
}

/// Resources in the form that the framework's capabilities ask for.
pub(super) fn told_resources(framework: &Framework, resources: &Resources) -> Vec<v1::Resource> {
    let resources = if framework.has(Capability::MultiRole) {
        resources.clone()
    } else {
        resources.unallocate()
    };
    if framework.has(Capability::ReservationRefinement) {
        resources.into_vec()
    } else {
        resources.to_pre_refinement()
    }
}
