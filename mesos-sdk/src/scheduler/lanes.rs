//! What waits between the stream and the scheduler's methods.
//!
//! The stream is read whatever the scheduler does. Updates and everything else
//! that must not be missed wait in one lane, in order; offers wait in another,
//! where one that is rescinded meanwhile disappears. Updates wait as the bytes
//! they came in.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{Event, event};
use tokio::sync::Notify;

use super::calls::Calls;
use crate::client::Encoding;
use crate::error::Error;
use crate::offer::Standing;
use crate::session::Disconnect;

/// Something for one of the scheduler's methods.
#[derive(Debug)]
pub(super) enum Item {
    Subscribed(Box<event::Subscribed>),
    Disconnected(Disconnect),
    /// An UPDATE, not decoded yet.
    Update(Bytes, Encoding, Calls),
    Operation(Box<v1::OperationStatus>, Calls),
    Event(Box<Event>),
    Rescinded(v1::OfferId),
    Offers(Vec<(v1::Offer, Standing)>, Calls),
    Heartbeat,
    End(Error),
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    inner: Mutex<Inner>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    first: VecDeque<Item>,
    offers: Vec<(v1::Offer, Standing)>,
    calls: Option<Calls>,
    /// Offers that were made and neither rescinded nor voided.
    standing: HashMap<String, Standing>,
    has_heartbeat: bool,
}

impl Lanes {
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        self.ready.notify_one();
        result
    }

    pub(super) fn push(&self, item: Item) {
        self.with(|inner| inner.first.push_back(item));
    }

    /// How much waits, offers apart.
    pub(super) fn waiting(&self) -> usize {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.first.len()
    }

    pub(super) fn heartbeat(&self) {
        self.with(|inner| inner.has_heartbeat = true);
    }

    pub(super) fn offers(&self, offers: Vec<v1::Offer>, calls: &Calls) {
        self.with(|inner| {
            inner.calls = Some(calls.clone());
            for offer in offers {
                let standing = Standing::default();
                inner
                    .standing
                    .insert(offer.id.value.clone(), standing.clone());
                inner.offers.push((offer, standing));
            }
        });
    }

    /// An offer is void. One that the scheduler has not seen it never sees.
    pub(super) fn rescind(&self, offer_id: v1::OfferId) {
        self.with(|inner| {
            if let Some(standing) = inner.standing.remove(&offer_id.value) {
                standing.rescind();
            }
            let before = inner.offers.len();
            inner.offers.retain(|(offer, _)| offer.id != offer_id);
            if inner.offers.len() == before {
                inner.first.push_back(Item::Rescinded(offer_id));
            }
        });
    }

    /// Every offer is void: its subscription has ended.
    pub(super) fn void_offers(&self) {
        self.with(|inner| {
            for standing in inner.standing.values() {
                standing.rescind();
            }
            inner.standing.clear();
            inner.offers.clear();
        });
    }

    /// What is next: whatever must not be missed before offers.
    pub(super) async fn next(&self) -> Item {
        loop {
            let next = {
                let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
                metrics::gauge!("mesos_sdk_waiting_events").set(count(inner.first.len()));
                inner.next()
            };
            if let Some(item) = next {
                return item;
            }
            self.ready.notified().await;
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a double; queues are shorter than 2^53"
)]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

impl Inner {
    fn next(&mut self) -> Option<Item> {
        if let Some(item) = self.first.pop_front() {
            if self.first.capacity() > 1024 && self.first.len() < self.first.capacity() / 4 {
                self.first.shrink_to(self.first.len() * 2);
            }
            return Some(item);
        }
        if !self.offers.is_empty() {
            let calls = self.calls.clone()?;
            // Those that were used or dropped need not be remembered.
            self.standing.retain(|_, standing| !standing.is_forgotten());
            return Some(Item::Offers(std::mem::take(&mut self.offers), calls));
        }
        std::mem::take(&mut self.has_heartbeat).then_some(Item::Heartbeat)
    }
}
