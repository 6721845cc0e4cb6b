//! Why instances wait: what became of the offers that were looked at for them.
//! The queue of the API and the log show the same.

use std::collections::BTreeMap;

use mesos_sdk::placement::{ReasonKind, Summary};

use crate::path_id::PathId;
use crate::timestamp::Timestamp;

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
}

impl Waiting {
    /// Notes what became of some offers.
    pub fn note(&mut self, summary: Summary, explanation: String, now: Timestamp) {
        self.processed += summary.processed;
        self.unused += summary.unused;
        if summary.processed > summary.unused {
            self.last_used_at = Some(now);
        }
        if summary.unused > 0 {
            self.last_unused_at = Some(now);
        }
        for (kind, count) in &summary.declined {
            *self.declined.entry(*kind).or_default() += count;
        }
        self.last = summary;
        self.explanation = explanation;
    }
}
