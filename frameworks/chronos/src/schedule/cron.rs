//! Cron expressions: which local times they name.

mod field;
mod occurrences;

use jiff::ToSpan as _;
use jiff::civil::{Date, Time};

use super::ScheduleError;
use field::{Field, parse_days_of_month, parse_days_of_week};

/// Names of whole expressions.
const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// After so many years the same days of the week come again.
const YEARS_OF_CYCLE: i16 = 400;

/// The local times that match each field of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    /// A bit for each second, minute, hour and month (of which the first is 1).
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u64,
    days: Days,
}

/// The days of a month: of both kinds the ones that either names; when one kind
/// is left open (its field begins with `*` or `?`) the days that both name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Days {
    of_month: DaysOfMonth,
    of_week: DaysOfWeek,
    is_either: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct DaysOfMonth {
    is_open: bool,
    /// A bit for each day from 1 to 31.
    days: u64,
    /// Whether the last day is one.
    last: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct DaysOfWeek {
    is_open: bool,
    /// A bit for each day from Sunday, 0.
    days: u64,
    /// The same for the first, second and up to the fifth such day of a month.
    nth: [u64; 5],
    /// The same for the last such day of a month.
    last: u64,
}

impl Cron {
    /// Reads an expression of five or six fields, or the name of one.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.starts_with('@') {
            return match MACROS.iter().find(|(name, _)| *name == text) {
                Some((_, expression)) => Self::parse(expression),
                None => Err(ScheduleError::form(
                    text,
                    "the names are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually",
                )),
            };
        }
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let problem = "the zone belongs in scheduleTimeZone";
            return Err(ScheduleError::form(text, problem));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, rest) = match fields[..] {
            [_, _, _, _, _] => ("0", &fields[..]),
            [second, ..] if fields.len() == 6 => (second, &fields[1..]),
            _ => {
                let problem = format!("it has {} fields", fields.len());
                return Err(ScheduleError::form(text, problem));
            }
        };
        let of_month = parse_days_of_month(rest[2])?;
        let of_week = parse_days_of_week(rest[4])?;
        let cron = Self {
            seconds: Field::SECOND.parse(second)?,
            minutes: Field::MINUTE.parse(rest[0])?,
            hours: Field::HOUR.parse(rest[1])?,
            months: Field::MONTH.parse(rest[3])?,
            days: Days {
                is_either: !of_month.is_open && !of_week.is_open,
                of_month,
                of_week,
            },
        };
        let first = Date::constant(2000, 1, 1);
        let cycle_ends = Date::constant(2000 + YEARS_OF_CYCLE, 1, 1);
        match cron.date_from(first, cycle_ends) {
            Some(_) => Ok(cron),
            None => Err(ScheduleError::never_due(text)),
        }
    }

    fn matches(&self, date: Date) -> bool {
        has(self.months, date.month()) && self.days.match_date(date)
    }

    /// The first day that matches from that one on, before the end.
    fn date_from(&self, from: Date, end: Date) -> Option<Date> {
        let mut date = from;
        while date < end {
            if !has(self.months, date.month()) {
                date = date.first_of_month().checked_add(1.month()).ok()?;
            } else if self.days.match_date(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    /// The last day that matches up to that one, not before the end.
    fn date_until(&self, until: Date, end: Date) -> Option<Date> {
        let mut date = until;
        while date >= end {
            if !has(self.months, date.month()) {
                date = date.first_of_month().yesterday().ok()?;
            } else if self.days.match_date(date) {
                return Some(date);
            } else {
                date = date.yesterday().ok()?;
            }
        }
        None
    }

    /// The first time of a day that matches and is not before that one.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (hour, minute) = (from.hour(), from.minute());
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = lowest_from(self.seconds, from.second())
            {
                return Some(Time::constant(hour, minute, second, 0));
            }
            if let Some(minute) = lowest_from(self.minutes, minute + 1) {
                let second = lowest_from(self.seconds, 0)?;
                return Some(Time::constant(hour, minute, second, 0));
            }
        }
        let hour = lowest_from(self.hours, hour + 1)?;
        let (minute, second) = (lowest_from(self.minutes, 0)?, lowest_from(self.seconds, 0)?);
        Some(Time::constant(hour, minute, second, 0))
    }

    /// The last time of a day that matches and is not after that one.
    fn time_until(&self, until: Time) -> Option<Time> {
        let (hour, minute) = (until.hour(), until.minute());
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = highest_until(self.seconds, until.second())
            {
                return Some(Time::constant(hour, minute, second, 0));
            }
            if let Some(minute) = highest_until(self.minutes, minute - 1) {
                let second = highest_until(self.seconds, 59)?;
                return Some(Time::constant(hour, minute, second, 0));
            }
        }
        let hour = highest_until(self.hours, hour - 1)?;
        let minute = highest_until(self.minutes, 59)?;
        let second = highest_until(self.seconds, 59)?;
        Some(Time::constant(hour, minute, second, 0))
    }

    /// How many times of a day match up to that one.
    fn times_until(&self, until: Time) -> u64 {
        let ones = |mask: u64, below: i8| u64::from((mask & ((1 << below) - 1)).count_ones());
        let (hour, minute) = (until.hour(), until.minute());
        let per_minute = ones(self.seconds, 60);
        let per_hour = ones(self.minutes, 60) * per_minute;
        let mut times = ones(self.hours, hour) * per_hour;
        if has(self.hours, hour) {
            times += ones(self.minutes, minute) * per_minute;
            if has(self.minutes, minute) {
                times += ones(self.seconds, until.second() + 1);
            }
        }
        times
    }
}

impl Days {
    fn match_date(&self, date: Date) -> bool {
        let (of_month, of_week) = (self.of_month.contain(date), self.of_week.contain(date));
        if self.is_either {
            of_month || of_week
        } else {
            of_month && of_week
        }
    }
}

impl DaysOfMonth {
    fn contain(&self, date: Date) -> bool {
        has(self.days, date.day()) || (self.last && date.day() == date.days_in_month())
    }
}

impl DaysOfWeek {
    fn contain(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let nth =
            usize::try_from((date.day() - 1) / 7).expect("days of a month are counted from 1");
        has(self.days, weekday)
            || has(self.nth[nth], weekday)
            || (has(self.last, weekday) && date.day() + 7 > date.days_in_month())
    }
}

fn has(mask: u64, bit: i8) -> bool {
    mask & (1 << bit) != 0
}

fn lowest_from(mask: u64, from: i8) -> Option<i8> {
    let rest = mask.checked_shr(u32::try_from(from).ok()?)?;
    (rest != 0).then(|| from + i8::try_from(rest.trailing_zeros()).unwrap_or(i8::MAX))
}

fn highest_until(mask: u64, until: i8) -> Option<i8> {
    let rest = mask & ((1 << (u32::try_from(until).ok()? + 1)) - 1);
    rest.checked_ilog2().and_then(|bit| i8::try_from(bit).ok())
}
