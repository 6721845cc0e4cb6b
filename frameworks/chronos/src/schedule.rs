//! When a job is due: ISO 8601 repeating intervals and cron expressions, in the
//! time of a zone. Whether a due job runs is the engine's affair.
//!
//! # What is written
//!
//! - `R[n]/start/period`: the start, then again each period, `n` times in all,
//!   for ever without `n`. Without a start it is now. `R5/2026-01-31/P1M`.
//! - Cron expressions of five fields (minute, hour, day of the month, month, day
//!   of the week), of six with the second before them, and `@hourly`, `@daily`,
//!   `@weekly`, `@monthly`, `@yearly`.
//!
//! # Time zones
//!
//! A zone is named as the IANA database does, and its clock is what the text
//! speaks of: the fields of a start are kept and an offset in it is overridden.
//! Without a zone, a start is in the offset it names, and all else in UTC.
//!
//! - Hours, minutes and seconds of a period are exact: `PT24H` is 24 hours.
//!   Years, months, weeks and days are of the calendar and the clock on the wall:
//!   `P1D` keeps the time of day. Of `P1DT12H` the days come first.
//! - A local time that a clock skips is due at the first instant after the gap.
//! - A local time that a clock repeats is due once, the first time.
//!   That holds for each time that a cron expression names, so `*/10 * * * *`
//!   rests while an hour repeats; `R//PT10M` does not.
//! - Each occurrence is calculated from the original start, so nothing drifts:
//!   `P1M` from January 31 is due on February 28 and on March 31.
//! - Of occurrences due at the same instant (a zone that skips a whole day) the
//!   last counts, and it is one.

mod cron;
mod error;
mod interval;
mod period;
mod start;
mod zone;

use std::fmt;

use cron::Cron;
pub use error::ScheduleError;
use interval::Interval;
use zone::Zone;

/// The longest schedule that is read, in bytes.
const MAX_TEXT_BYTES: usize = 1000;

/// When a job is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    text: String,
    zone: Zone,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Interval(Interval),
    Cron(Cron),
}

/// One time at which a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Occurrence {
    /// Which one it is. Those of an interval are counted from 0 at its start;
    /// those of a cron expression, which has none, are called after the second
    /// since 1970 they are due at. Later ones have larger numbers.
    pub index: u64,
    /// When it is due, in milliseconds since 1970 (UTC).
    pub due_ms: i64,
}

impl Schedule {
    /// Reads a schedule. `now_ms` is the start of an interval that names none.
    ///
    /// # Errors
    ///
    /// Says which part of the text is wrong, and what would be right.
    pub fn parse(text: &str, zone: Option<&str>, now_ms: i64) -> Result<Self, ScheduleError> {
        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return Err(ScheduleError::TooLong {
                bytes: text.len(),
                limit: MAX_TEXT_BYTES,
            });
        }
        let zone = match zone.map(str::trim) {
            None | Some("") => None,
            Some(name) => Some(Zone::find(name)?),
        };
        if Interval::is_meant(text) {
            let (interval, zone, text) = Interval::parse(text, zone, now_ms)?;
            let rule = Rule::Interval(interval);
            return Ok(Self { text, zone, rule });
        }
        let cron = Cron::parse(text)?;
        Ok(Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            zone: zone.unwrap_or_else(Zone::utc),
            rule: Rule::Cron(cron),
        })
    }

    /// The canonical text: what was read, with the start filled in. Read again
    /// with the same zone, it is the same schedule at any time.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How often a job is due in all; nothing when that has no end.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match &self.rule {
            Rule::Interval(interval) => interval.count(),
            Rule::Cron(_) => None,
        }
    }

    /// The first occurrence that is due later than that instant.
    #[must_use]
    pub fn next_after(&self, instant_ms: i64) -> Option<Occurrence> {
        let instant_ms = instant_ms.min(zone::LATEST_MS);
        match &self.rule {
            Rule::Interval(interval) => interval.next_after(&self.zone, instant_ms),
            Rule::Cron(cron) => cron.next_after(&self.zone, instant_ms),
        }
    }

    /// The last occurrence that is due at that instant or before.
    #[must_use]
    pub fn previous_at_or_before(&self, instant_ms: i64) -> Option<Occurrence> {
        let instant_ms = instant_ms.min(zone::LATEST_MS);
        match &self.rule {
            Rule::Interval(interval) => interval.previous_at_or_before(&self.zone, instant_ms),
            Rule::Cron(cron) => cron.previous_at_or_before(&self.zone, instant_ms),
        }
    }

    /// How many occurrences are due later than `after_ms` and not later than
    /// `until_ms`. What it costs does not grow with their number.
    #[must_use]
    pub fn count_between(&self, after_ms: i64, until_ms: i64) -> u64 {
        let (after_ms, until_ms) = (after_ms.min(zone::LATEST_MS), until_ms.min(zone::LATEST_MS));
        if until_ms <= after_ms {
            return 0;
        }
        match &self.rule {
            Rule::Interval(interval) => interval.count_between(&self.zone, after_ms, until_ms),
            Rule::Cron(cron) => cron.count_between(&self.zone, after_ms, until_ms),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
