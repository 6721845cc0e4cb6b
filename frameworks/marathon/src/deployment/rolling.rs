//! How many instances of an app are started and killed while all of them are
//! replaced. Asked again after every change, with what there is then; nothing
//! is remembered in between.

use crate::app::UpgradeStrategy;
use crate::spec::Spec;

/// What there is of an app that is being replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many are wanted.
    pub target: usize,
    /// New ones that run or are on their way.
    pub new: usize,
    /// Of those, how many are healthy and ready.
    pub new_ready: usize,
    /// The old ones that nobody kills yet.
    pub old: ByHealth,
    /// Those of either kind that are being killed and have not ended.
    pub killed: usize,
}

/// Numbers of instances by their health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByHealth {
    /// Those known to be healthy.
    pub healthy: usize,
    /// Those that are yet to be asked, as after a failover.
    pub unknown: usize,
    /// Those known to be unhealthy.
    pub unhealthy: usize,
}

impl ByHealth {
    /// All of them.
    #[must_use]
    pub fn total(self) -> usize {
        self.healthy + self.unknown + self.unhealthy
    }

    /// So many of them, those that serve nobody first.
    #[must_use]
    pub fn worst(self, count: usize) -> Self {
        let unhealthy = self.unhealthy.min(count);
        let unknown = self.unknown.min(count - unhealthy);
        let healthy = self.healthy.min(count - unhealthy - unknown);
        Self {
            healthy,
            unknown,
            unhealthy,
        }
    }
}

/// What is to be done at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// New ones to start.
    pub start: usize,
    /// Old ones to kill.
    pub kill: ByHealth,
}

impl Counts {
    /// Whether the new ones have taken the place of the old.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let old = self.old.total() + self.killed;
        self.new_ready >= self.target && self.new == self.target && old == 0
    }

    /// How many are healthy, of either kind.
    #[must_use]
    pub fn healthy(&self) -> usize {
        self.new_ready + self.old.healthy
    }

    /// How many there are, of either kind.
    #[must_use]
    pub fn total(&self) -> usize {
        self.new + self.old.total() + self.killed
    }
}

/// How many are healthy at least and run at most, for an app of so many.
#[must_use]
pub fn bounds(target: usize, strategy: UpgradeStrategy, is_resident: bool) -> (usize, usize) {
    let (min, over) = shares(target, strategy);
    let max = target + over;
    // With no room to move, one more is started; volumes are never doubled, so
    // there one is missing instead.
    match (min == max, is_resident) {
        (true, false) => (min, max + 1),
        (true, true) => (min.saturating_sub(1), max),
        (false, _) => (min, max),
    }
}

/// How many are healthy at least, and how many more than wanted there may be.
fn shares(target: usize, strategy: UpgradeStrategy) -> (usize, usize) {
    let share = |share: f64| share.clamp(0.0, 1.0);
    let count = u32::try_from(target).unwrap_or(u32::MAX);
    let min = f64::from(count) * share(strategy.minimum_health_capacity);
    let over = f64::from(count) * share(strategy.maximum_over_capacity);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and at most the target"
    )]
    // A share such as 0.1 times 30 is 3, though doubles make it a little more.
    let shares = (
        (min - 1e-9).ceil().max(0.0) as usize,
        (over + 1e-9).floor() as usize,
    );
    shares
}

/// How many more than wanted there may be of an app or pod that is not being
/// replaced.
#[must_use]
pub fn room(spec: &Spec) -> usize {
    match spec.is_alone() {
        true => 0,
        false => shares(spec.instances() as usize, spec.upgrade_strategy()).1,
    }
}

/// The same for an app or pod that is to have so many.
#[must_use]
pub fn bounds_of(spec: &Spec, target: usize) -> (usize, usize) {
    let mut strategy = spec.upgrade_strategy();
    if spec.is_everywhere() {
        strategy.maximum_over_capacity = 0.0; // One for each agent.
    }
    bounds(target, strategy, spec.is_alone())
}

/// What may be done now so that never fewer than `min` are healthy nor more than
/// `max` there by our own doing, and so that it goes on.
#[must_use]
pub fn moves(counts: Counts, (min, max): (usize, usize)) -> Moves {
    let missing = counts.target.saturating_sub(counts.new);
    let start = missing.min(max.saturating_sub(counts.total()));
    if counts.new_ready >= counts.target {
        return Moves {
            start,
            kill: counts.old,
        };
    }
    let spare = counts.healthy().saturating_sub(min);
    let mut kill = counts.old.worst(spare);
    // Those beyond the maximum go as well, as far as the healthy stay.
    let there = counts.new + counts.old.total() - kill.total();
    let excess = there.saturating_sub(max);
    let unhealthy = excess.min(counts.old.unhealthy - kill.unhealthy);
    kill.unhealthy += unhealthy;
    if counts.healthy() >= min {
        let unknown = counts.old.unknown - kill.unknown;
        kill.unknown += unknown.min(excess - unhealthy);
    }
    let is_stuck = missing > 0
        && start == 0
        && counts.new == counts.new_ready
        && counts.killed == 0
        && kill.total() == 0;
    if is_stuck {
        // Those known to be unhealthy hold the room and serve nobody.
        kill.unhealthy = counts.old.unhealthy.min(missing);
    }
    Moves { start, kill }
}

#[cfg(test)]
mod tests;
