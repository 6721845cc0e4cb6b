//! What lies between the framework, the master and the agents. Along one
//! connection everything keeps its order, and nothing gets through any more once
//! something was lost; requests on connections of their own overtake each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Dice;
use crate::master::{ConnectionId, LinkId};
use crate::messages::{FromAgent, ToAgent};
use crate::time::Timestamp;

/// One direction of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Route {
    ToAgent(LinkId),
    FromAgent(LinkId),
    Events(ConnectionId),
    Calls(ConnectionId),
}

#[derive(Debug)]
pub(super) struct Network {
    dice: Dice,
    /// When the last message of each connection arrives.
    last: BTreeMap<Route, Timestamp>,
    /// Connections on which something was lost.
    broken: BTreeSet<Route>,
    /// Agents that do not reach the master.
    pub(super) cut_agents: BTreeSet<usize>,
    /// The framework does not reach the master.
    pub(super) is_framework_cut: bool,
    pub(super) is_slow: bool,
    pub(super) is_lossy: bool,
}

impl Network {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            last: BTreeMap::new(),
            broken: BTreeSet::new(),
            cut_agents: BTreeSet::new(),
            is_framework_cut: false,
            is_slow: false,
            is_lossy: false,
        }
    }

    /// How long something is under way.
    pub(super) fn delay(&mut self) -> Duration {
        let mean = if self.is_slow { 3_000_000 } else { 1_000 };
        Duration::from_micros(100) + self.dice.around(Duration::from_micros(mean))
    }

    /// When the next message of a connection arrives: not before the last one.
    pub(super) fn arrival(&mut self, now: Timestamp, route: Route) -> Timestamp {
        let earliest = now + self.delay();
        let last = self.last.entry(route).or_default();
        *last = earliest.max(*last + Duration::from_nanos(1));
        *last
    }

    /// Whether a request, or the answer to one, is lost.
    pub(super) fn loses(&mut self) -> bool {
        self.is_lossy && self.dice.permille(100)
    }

    /// Whether a request arrives twice.
    pub(super) fn duplicates(&mut self) -> bool {
        self.is_lossy && self.dice.permille(100)
    }

    /// Whether a message to an agent is lost, of those that are made again.
    pub(super) fn loses_to_agent(&mut self, message: &ToAgent) -> bool {
        matches!(
            message,
            ToAgent::Acknowledge { .. } | ToAgent::KillTask { .. } | ToAgent::Ping
        ) && self.loses()
    }

    /// Whether a message of an agent is lost, of those that are made again.
    pub(super) fn loses_from_agent(&mut self, message: &FromAgent) -> bool {
        matches!(message, FromAgent::StatusUpdate { .. } | FromAgent::Pong) && self.loses()
    }

    pub(super) fn breaks(&mut self, route: Route) {
        self.broken.insert(route);
    }

    pub(super) fn is_broken(&self, route: Route) -> bool {
        self.broken.contains(&route)
    }

    /// Nothing more comes along it.
    pub(super) fn forget(&mut self, route: Route) {
        self.last.remove(&route);
        self.broken.remove(&route);
    }
}
