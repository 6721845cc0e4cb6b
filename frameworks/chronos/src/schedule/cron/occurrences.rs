//! From the local times that an expression names to the instants they are due.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, Time};

use super::{Cron, YEARS_OF_CYCLE};
use crate::schedule::Occurrence;
use crate::schedule::zone::Zone;

/// Cron expressions name no time before this one.
const FIRST_MS: i64 = 0;

impl Cron {
    /// Local times are due in their order, some at the same instant, so it is
    /// enough to go through those later than what the clock shows.
    pub(in crate::schedule) fn next_after(
        &self,
        zone: &Zone,
        instant_ms: i64,
    ) -> Option<Occurrence> {
        let instant_ms = instant_ms.max(FIRST_MS - 1);
        let mut local = second_of(zone.local(instant_ms)?);
        loop {
            local = self.local_from(local.checked_add(1.second()).ok()?)?;
            let due_ms = zone.instant(local)?;
            if due_ms > instant_ms {
                return Some(occurrence(due_ms));
            }
        }
    }

    pub(in crate::schedule) fn previous_at_or_before(
        &self,
        zone: &Zone,
        instant_ms: i64,
    ) -> Option<Occurrence> {
        let mut local = self.local_until(second_of(zone.due_before(instant_ms)?))?;
        loop {
            let due_ms = zone.instant(local)?;
            if due_ms < FIRST_MS {
                return None;
            }
            if due_ms <= instant_ms {
                return Some(occurrence(due_ms));
            }
            local = self.local_until(local.checked_sub(1.second()).ok()?)?;
        }
    }

    /// Counts local times a day at a time, and those that a clock skips as one.
    pub(in crate::schedule) fn count_between(
        &self,
        zone: &Zone,
        after_ms: i64,
        until_ms: i64,
    ) -> u64 {
        let bounds = || {
            let first = self.next_after(zone, after_ms)?;
            let last = self.previous_at_or_before(zone, until_ms)?;
            let locals = (zone.local(first.due_ms)?, zone.local(last.due_ms)?);
            (first <= last).then_some((first, last, locals))
        };
        let Some((first, last, (mut from, until))) = bounds() else {
            return 0;
        };
        let gaps: Vec<_> = zone.gaps(first.due_ms - 1, last.due_ms).collect();
        if let Some((skipped, resumed)) = gaps.first()
            && *resumed == from
        {
            // What is skipped there is due with the first.
            from = *skipped;
        }
        let mut count = self.locals_within(from, until);
        for (skipped, resumed) in gaps {
            count -= self.locals_within(skipped, resumed).saturating_sub(1);
        }
        count
    }

    fn local_from(&self, from: DateTime) -> Option<DateTime> {
        let end = from
            .date()
            .checked_add(YEARS_OF_CYCLE.years())
            .unwrap_or(Date::MAX);
        let date = self.date_from(from.date(), end)?;
        if date == from.date() {
            if let Some(time) = self.time_from(from.time()) {
                return Some(date.to_datetime(time));
            }
            let date = self.date_from(date.tomorrow().ok()?, end)?;
            return Some(date.to_datetime(self.time_from(Time::MIN)?));
        }
        Some(date.to_datetime(self.time_from(Time::MIN)?))
    }

    fn local_until(&self, until: DateTime) -> Option<DateTime> {
        // Nothing is due before 1970.
        let end = Date::constant(1969, 12, 30);
        let date = self.date_until(until.date(), end)?;
        if date == until.date() {
            if let Some(time) = self.time_until(until.time()) {
                return Some(date.to_datetime(time));
            }
            let date = self.date_until(date.yesterday().ok()?, end)?;
            return Some(date.to_datetime(self.time_until(Time::MAX)?));
        }
        Some(date.to_datetime(self.time_until(Time::MAX)?))
    }

    /// How many local times match from one to another, both included.
    fn locals_within(&self, from: DateTime, until: DateTime) -> u64 {
        if from > until {
            return 0;
        }
        let mut count = 0;
        let mut date = from.date();
        while let Some(matching) = self.date_from(date, until.date()) {
            count += self.times_until(Time::MAX);
            match matching.tomorrow() {
                Ok(tomorrow) => date = tomorrow,
                Err(_) => break,
            }
        }
        if self.matches(until.date()) {
            count += self.times_until(until.time());
        }
        if self.matches(from.date()) && from.time() > Time::MIN {
            count -= self.times_until(before(from).time());
        }
        count
    }
}

fn occurrence(due_ms: i64) -> Occurrence {
    let index = u64::try_from(due_ms / 1000).expect("none is due before 1970");
    Occurrence { index, due_ms }
}

fn second_of(local: DateTime) -> DateTime {
    let time = local.time();
    let second = Time::constant(time.hour(), time.minute(), time.second(), 0);
    local.date().to_datetime(second)
}

fn before(local: DateTime) -> DateTime {
    local.saturating_sub(1.second())
}
