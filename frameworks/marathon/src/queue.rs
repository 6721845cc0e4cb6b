//! Why instances wait: what became of the offers that were looked at for them.
//! The queue of the API and the log show the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesos_sdk::placement::{Reason, ReasonKind, Refusal, Summary};
use mesos_sdk::v1;

use crate::path_id::PathId;
use crate::timestamp::Timestamp;

/// So many offers that were of no use are kept.
const MOST_SHOWN: usize = 10;

/// So many agents are named in explanations.
const MOST_NAMED: usize = 20;

/// What was seen of offers, for each app that waits.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// The apps.
    pub waiting: BTreeMap<PathId, Waiting>,
}

/// What was seen of offers for one app.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Since when it waits.
    pub since: Timestamp,
    /// How many offers were looked at.
    pub processed: usize,
    /// How many of them were of no use.
    pub unused: usize,
    /// When the last one was of use.
    pub last_used_at: Option<Timestamp>,
    /// When the last one was of no use.
    pub last_unused_at: Option<Timestamp>,
    /// Why offers were of no use, since it waits.
    pub declined: BTreeMap<ReasonKind, usize>,
    /// The same of the last offers.
    pub last: Summary,
    /// In words: which agent is short of what.
    pub explanation: String,
    /// The last offers that were of no use, each with why.
    pub last_unused: Vec<UnusedOffer>,
    /// The number of the newest offer that was counted.
    counted: u64,
    /// Of each version, up to which offer there is no room for one more.
    exhausted: BTreeMap<Timestamp, u64>,
}

/// An offer that was of no use.
#[derive(Clone, Debug)]
pub struct UnusedOffer {
    /// As it came.
    pub offer: Arc<v1::Offer>,
    /// Why, what counts first.
    pub reasons: Vec<ReasonKind>,
    /// When it was looked at.
    pub at: Timestamp,
}

/// What became of some offers.
#[derive(Clone, Debug)]
pub struct Looked<'a> {
    /// For which version of the app.
    pub version: Timestamp,
    /// The offers.
    pub offers: &'a [Arc<v1::Offer>],
    /// The numbers of the offers, in the order in which they were looked at.
    pub numbers: &'a [u64],
    /// The places among them of those that are used.
    pub used: BTreeSet<usize>,
    /// Why there is no room for one more; nothing when there is.
    pub refusals: Option<Vec<Refusal>>,
}

impl Waiting {
    /// Since the moment, and nothing was seen yet.
    #[must_use]
    pub fn since(now: Timestamp) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }

    /// The newest of the offers in which there is no room for that version; 0
    /// for none.
    #[must_use]
    pub fn exhausted(&self, version: Timestamp) -> u64 {
        self.exhausted.get(&version).copied().unwrap_or(0)
    }

    /// Something has changed: offers in which there was no room may have some.
    pub fn look_again(&mut self) {
        self.exhausted.clear();
    }

    /// Notes what became of some offers. Each is counted once, however often it
    /// is looked at.
    pub fn note(&mut self, looked: &Looked<'_>, now: Timestamp) {
        let numbers = looked.numbers;
        let is_new = |place: &usize| numbers[*place] > self.counted;
        self.processed += (0..numbers.len()).filter(is_new).count();
        let mut last = Summary {
            processed: numbers.len(),
            ..Summary::default()
        };
        let mut unused = Vec::new();
        for refusal in looked.refusals.iter().flatten() {
            let refused = refusal.offers.iter();
            let refused = refused.filter(|place| !looked.used.contains(place));
            let (mut all, mut new) = (0, 0);
            for place in refused {
                if unused.len() < MOST_SHOWN {
                    unused.push(UnusedOffer {
                        offer: Arc::clone(&looked.offers[*place]),
                        reasons: refusal.reasons.iter().map(Reason::kind).collect(),
                        at: now,
                    });
                }
                all += 1;
                new += usize::from(is_new(place));
            }
            last.unused += all;
            self.unused += new;
            if let Some(kind) = refusal.kind().filter(|_| all > 0) {
                *last.declined.entry(kind).or_default() += all;
                *self.declined.entry(kind).or_default() += new;
            }
        }
        if !looked.used.is_empty() {
            self.last_used_at = Some(now);
        }
        if last.unused > 0 {
            self.last_unused_at = Some(now);
        }
        self.last = last;
        if looked.refusals.is_some() {
            self.last_unused = unused;
        }
        let newest = numbers.iter().copied().max().unwrap_or(0);
        if let Some(refusals) = &looked.refusals {
            self.explanation = explained(refusals);
            self.exhausted.insert(looked.version, newest);
        }
        self.counted = self.counted.max(newest);
    }
}

fn explained(refusals: &[Refusal]) -> String {
    let named = refusals.iter().take(MOST_NAMED);
    let mut texts: Vec<String> = named.map(ToString::to_string).collect();
    let others = refusals.len() - texts.len();
    if others > 0 {
        texts.push(format!("and {others} more agents"));
    }
    texts.join("; ")
}
