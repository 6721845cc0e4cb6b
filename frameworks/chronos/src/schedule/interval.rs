//! ISO 8601 repeating intervals: `R[n]/start/period`.

use jiff::civil::{Date, DateTime};

use super::period::{DAY_MS, Period};
use super::start::Start;
use super::zone::Zone;
use super::{Occurrence, ScheduleError};

/// How far clocks may be off what calendars say: a day skipped, and more.
const SLACK_MS: i64 = 3 * DAY_MS;

/// A start, and how often which period follows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interval {
    /// Nothing when there is no end.
    count: Option<u64>,
    local_start: DateTime,
    start_ms: i64,
    period: Period,
}

impl Interval {
    /// Whether a text is meant to be one, right or wrong.
    pub(super) fn is_meant(text: &str) -> bool {
        text.starts_with('R') && text.contains('/')
    }

    /// Reads one, and says in which zone it is and how it is written in full.
    pub(super) fn parse(
        text: &str,
        zone: Option<Zone>,
        now_ms: i64,
    ) -> Result<(Self, Zone, String), ScheduleError> {
        let parts: Vec<&str> = text.split('/').collect();
        let [repetitions, start, period] = parts[..] else {
            let problem = format!("it has {} parts between slashes, not 3", parts.len());
            return Err(ScheduleError::form(text, problem));
        };
        let count = parse_count(repetitions)?;
        let period_of = Period::parse(period)?;
        let (start_of, start_text) = if start.is_empty() {
            Start::at(now_ms, zone)?
        } else {
            (Start::parse(start, zone)?, start.to_owned())
        };
        let interval = Self {
            count,
            local_start: start_of.local,
            start_ms: start_of.instant_ms,
            period: period_of,
        };
        let text = format!("{repetitions}/{start_text}/{period}");
        Ok((interval, start_of.zone, text))
    }

    pub(super) fn count(&self) -> Option<u64> {
        self.count
    }

    pub(super) fn next_after(&self, zone: &Zone, instant_ms: i64) -> Option<Occurrence> {
        let mut index = self.first_after(zone, instant_ms);
        let due_ms = self.due_ms(zone, index)?;
        while self.due_ms(zone, index + 1) == Some(due_ms) {
            index += 1;
        }
        Some(Occurrence { index, due_ms })
    }

    pub(super) fn previous_at_or_before(&self, zone: &Zone, instant_ms: i64) -> Option<Occurrence> {
        let index = self.first_after(zone, instant_ms).checked_sub(1)?;
        let due_ms = self.due_ms(zone, index)?;
        Some(Occurrence { index, due_ms })
    }

    pub(super) fn count_between(&self, zone: &Zone, after_ms: i64, until_ms: i64) -> u64 {
        self.first_after(zone, until_ms) - self.first_after(zone, after_ms)
    }

    /// The number of occurrences that are due by then, which is the index of the
    /// first that is not.
    fn first_after(&self, zone: &Zone, instant_ms: i64) -> u64 {
        let Some(elapsed_ms) = instant_ms.checked_sub(self.start_ms).filter(|e| *e >= 0) else {
            return 0;
        };
        let (least_ms, most_ms) = self.period.bounds_ms();
        let due = if self.period.is_exact() {
            elapsed_ms / least_ms + 1
        } else {
            let mut low = (elapsed_ms - SLACK_MS).max(0) / most_ms;
            let mut high = elapsed_ms.saturating_add(SLACK_MS) / least_ms + 1;
            while low < high {
                let middle = low + (high - low) / 2;
                match self.local_due_ms(zone, middle) {
                    Some(due_ms) if due_ms <= instant_ms => low = middle + 1,
                    _ => high = middle,
                }
            }
            low
        };
        let due = u64::try_from(due).expect("what is counted from the start is not negative");
        self.count.map_or(due, |count| due.min(count))
    }

    /// When the occurrence of that index is due, if there is one.
    fn due_ms(&self, zone: &Zone, index: u64) -> Option<i64> {
        if self.count.is_some_and(|count| index >= count) {
            return None;
        }
        let index = i64::try_from(index).ok()?;
        if self.period.is_exact() {
            let after_ms = self.period.exact_ms.checked_mul(index)?;
            // No later than calendars count.
            let due_ms = self.start_ms.checked_add(after_ms)?;
            zone.local(due_ms).map(|_| due_ms)
        } else {
            self.local_due_ms(zone, index)
        }
    }

    /// The same by the calendar: months from the start, then days, then time.
    fn local_due_ms(&self, zone: &Zone, index: i64) -> Option<i64> {
        if index == 0 {
            return Some(self.start_ms);
        }
        let date = plus_months(
            self.local_start.date(),
            self.period.months.checked_mul(index)?,
        )?;
        let days = i32::try_from(self.period.days.checked_mul(index)?).ok()?;
        let date = date
            .checked_add(jiff::Span::new().try_days(days).ok()?)
            .ok()?;
        let local = date.to_datetime(self.local_start.time());
        let exact_ms = self.period.exact_ms.checked_mul(index)?;
        let due_ms = zone.instant(local)?.checked_add(exact_ms)?;
        zone.local(due_ms).map(|_| due_ms)
    }
}

/// The same day so many months later, or the last of a month that is shorter.
fn plus_months(date: Date, months: i64) -> Option<Date> {
    let months = jiff::Span::new().try_months(months).ok()?;
    date.checked_add(months).ok()
}

fn parse_count(text: &str) -> Result<Option<u64>, ScheduleError> {
    let digits = &text[1..];
    if digits.is_empty() {
        return Ok(None);
    }
    let wrong = |problem| ScheduleError::part("repetitions", text, problem);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("are neither R, for ever, nor R and a number, as R5"));
    }
    match digits.parse::<u64>() {
        Ok(count) if i64::try_from(count).is_ok() => Ok(Some(count)),
        _ => Err(wrong("are too many; R without a number is for ever")),
    }
}
