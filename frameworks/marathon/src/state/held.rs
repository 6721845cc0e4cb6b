//! Offers in hand: numbered in the order in which they came, so that whoever
//! looked at some knows which are new to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesos_sdk::placement::Offered;
use mesos_sdk::v1;

use crate::timestamp::Timestamp;

/// Offers that nothing has used yet.
#[derive(Clone, Debug, Default)]
pub struct HeldOffers {
    /// The oldest first.
    by_number: BTreeMap<u64, HeldOffer>,
    numbers: BTreeMap<String, u64>,
    last: u64,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct HeldOffer {
    /// As it came.
    pub offer: Arc<v1::Offer>,
    /// Since when it is in hand.
    pub since: Timestamp,
}

impl Offered for HeldOffer {
    fn offer_info(&self) -> &v1::Offer {
        &self.offer
    }
}

impl HeldOffers {
    /// One more.
    pub fn insert(&mut self, offer: v1::Offer, since: Timestamp) {
        self.last += 1;
        let id = offer.id.value.clone();
        if let Some(before) = self.numbers.insert(id, self.last) {
            self.by_number.remove(&before);
        }
        let offer = Arc::new(offer);
        self.by_number.insert(self.last, HeldOffer { offer, since });
    }

    /// It is used, or void.
    pub fn remove(&mut self, id: &str) -> Option<HeldOffer> {
        let number = self.numbers.remove(id)?;
        self.by_number.remove(&number)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&HeldOffer> {
        self.by_number.get(self.numbers.get(id)?)
    }

    /// All are void.
    pub fn clear(&mut self) {
        self.by_number.clear();
        self.numbers.clear();
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// The number of the newest of all that ever came; the first is 1.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// Since when the oldest is in hand.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.by_number.values().next().map(|held| held.since)
    }

    /// Those in hand for so long, out of hand.
    pub fn take_until(&mut self, since: Timestamp) -> Vec<Arc<v1::Offer>> {
        let mut taken = Vec::new();
        while let Some(first) = self.by_number.first_entry()
            && first.get().since <= since
        {
            let offer = first.remove().offer;
            self.numbers.remove(&offer.id.value);
            taken.push(offer);
        }
        taken
    }

    /// Those that came after the one of that number, with the older ones of the
    /// same agents, since an instance may need all that an agent offers.
    #[must_use]
    pub fn after(&self, number: u64) -> Vec<(u64, &HeldOffer)> {
        let new = self.by_number.range(number.saturating_add(1)..);
        let agents: BTreeSet<&str> = new
            .map(|(_, held)| held.offer.agent_id.value.as_str())
            .collect();
        let all = self.by_number.iter();
        all.filter(|(_, held)| agents.contains(held.offer.agent_id.value.as_str()))
            .map(|(number, held)| (*number, held))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: &str, agent: &str) -> v1::Offer {
        v1::Offer {
            id: v1::OfferId {
                value: id.to_owned(),
            },
            agent_id: v1::AgentId {
                value: agent.to_owned(),
            },
            ..v1::Offer::default()
        }
    }

    fn ids(held: &HeldOffers, after: u64) -> Vec<&str> {
        let those = held.after(after).into_iter();
        those
            .map(|(_, held)| held.offer.id.value.as_str())
            .collect()
    }

    #[test]
    fn what_is_new_comes_with_what_its_agent_offered_before() {
        let at = Timestamp::from_millis;
        let mut held = HeldOffers::default();
        for (moment, id, agent) in [(1, "o1", "a"), (2, "o2", "b"), (3, "o3", "a")] {
            held.insert(offer(id, agent), at(moment));
        }
        assert_eq!(ids(&held, 0), ["o1", "o2", "o3"]);
        assert_eq!(ids(&held, 2), ["o1", "o3"]);
        assert_eq!(ids(&held, held.last_number()), Vec::<&str>::new());

        assert_eq!(held.oldest(), Some(at(1)));
        assert_eq!(held.take_until(at(1)).len(), 1);
        assert_eq!(held.oldest(), Some(at(2)));
        assert!(held.remove("o2").is_some() && held.remove("o1").is_none());
        assert_eq!(ids(&held, 0), ["o3"]);
        held.clear();
        assert!(held.is_empty() && held.oldest().is_none());
        assert_eq!(held.last_number(), 3, "numbers are not used again");
    }
}
