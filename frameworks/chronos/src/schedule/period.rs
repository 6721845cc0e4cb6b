//! Periods as ISO 8601 writes them: `P1Y2M3W4DT5H6M7S`.

use super::ScheduleError;

/// The longest period, in months and in days: 1,000 years.
const MAX_MONTHS: i64 = 12_000;
const MAX_DAYS: i64 = 366_000;
const MAX_EXACT_MS: i64 = MAX_DAYS * DAY_MS;

pub(super) const DAY_MS: i64 = 86_400_000;

/// What lies between two occurrences: so much of the calendar, and so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) months: i64,
    pub(super) days: i64,
    pub(super) exact_ms: i64,
}

/// A component of a period: what it is called, and what one of it is in months,
/// in days, or in milliseconds.
type Unit = (char, i64);

const MONTHS_IN: [Unit; 2] = [('Y', 12), ('M', 1)];
const DAYS_IN: [Unit; 2] = [('W', 7), ('D', 1)];
const MILLIS_IN: [Unit; 3] = [('H', 3_600_000), ('M', 60_000), ('S', 1000)];

impl Period {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let wrong = |problem: &str| ScheduleError::part("period", text, problem);
        let form = "is no ISO 8601 period, as PT1H, P1D or P1Y2M3W4DT5H6M7S is";
        let components = text.strip_prefix('P').ok_or_else(|| wrong(form))?;
        if components.contains('-') {
            return Err(wrong("goes back in time; all of its numbers are positive"));
        }
        let (date, time) = match components.split_once('T') {
            Some((_, "")) => return Err(wrong("has a T that no hours, minutes or seconds follow")),
            Some((date, time)) => (date, time),
            None if components.is_empty() => return Err(wrong(form)),
            None => (components, ""),
        };
        let (months, rest) = sum(date, &MONTHS_IN).ok_or_else(|| wrong(form))?;
        let (days, rest) = sum(rest, &DAYS_IN).ok_or_else(|| wrong(form))?;
        let (exact_ms, rest_of_time) = sum(time, &MILLIS_IN).ok_or_else(|| wrong(form))?;
        if !rest.is_empty() || !rest_of_time.is_empty() {
            return Err(wrong(form));
        }
        if months == 0 && days == 0 && exact_ms < 1000 {
            return Err(wrong("is shorter than a second; the shortest is PT1S"));
        }
        if months > MAX_MONTHS || days > MAX_DAYS || exact_ms > MAX_EXACT_MS {
            return Err(wrong("is longer than 1000 years"));
        }
        Ok(Self {
            months,
            days,
            exact_ms,
        })
    }

    pub(super) fn is_exact(self) -> bool {
        self.months == 0 && self.days == 0
    }

    /// The least and the most time one of it takes, clocks left alone.
    pub(super) fn bounds_ms(self) -> (i64, i64) {
        let rest = self.days * DAY_MS + self.exact_ms;
        (
            self.months * 28 * DAY_MS + rest,
            self.months * 31 * DAY_MS + rest,
        )
    }
}

/// Adds up components in the order of the units, and says what is left.
fn sum<'a>(mut text: &'a str, units: &[Unit]) -> Option<(i64, &'a str)> {
    let mut total = 0_i64;
    for (name, of_it) in units {
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')
            .unwrap_or(text.len());
        let (number, rest) = text.split_at(digits);
        let Some(rest) = rest.strip_prefix(*name) else {
            continue;
        };
        total = total.checked_add(scaled(number, *of_it, *name == 'S')?)?;
        text = rest;
    }
    Some((total, text))
}

/// A number of units; seconds may have up to three decimals.
fn scaled(number: &str, of_it: i64, has_decimals: bool) -> Option<i64> {
    let (whole, decimals) = match number.split_once(['.', ',']) {
        None => (number, ""),
        Some((_, decimals)) if !has_decimals || decimals.is_empty() || decimals.len() > 3 => {
            return None;
        }
        Some(parts) => parts,
    };
    let millis = if decimals.is_empty() {
        0
    } else {
        format!("{decimals:0<3}").parse::<i64>().ok()?
    };
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(of_it)?
        .checked_add(millis)
}
