//! The fields of a cron expression: `*`, `5`, `1-5`, `*/10`, `10-50/20`,
//! `MON,WED`, and of days `L`, `FRI#2` and `FRIL`.

use super::{DaysOfMonth, DaysOfWeek};
use crate::schedule::ScheduleError;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What a field of plain values may hold.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the values from the least on.
    names: &'static [&'static str],
}

impl Field {
    pub(super) const SECOND: Self = Self::of("second", 0, 59);
    pub(super) const MINUTE: Self = Self::of("minute", 0, 59);
    pub(super) const HOUR: Self = Self::of("hour", 0, 23);
    pub(super) const MONTH: Self = Self {
        names: &MONTHS,
        ..Self::of("month", 1, 12)
    };
    const DAY_OF_MONTH: Self = Self::of("day of the month", 1, 31);
    /// Sunday is 0 and 7.
    const DAY_OF_WEEK: Self = Self {
        names: &WEEKDAYS,
        ..Self::of("day of the week", 0, 7)
    };

    const fn of(name: &'static str, least: u32, most: u32) -> Self {
        Self {
            name,
            least,
            most,
            names: &[],
        }
    }

    /// The values that match, a bit for each.
    pub(super) fn parse(&self, text: &str) -> Result<u64, ScheduleError> {
        let mut values = 0;
        for item in text.split(',') {
            values |= self.item(text, item)?;
        }
        Ok(values)
    }

    /// One item of a list: a value or a range, and how far apart values are.
    fn item(&self, text: &str, item: &str) -> Result<u64, ScheduleError> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (first, last) = if range == "*" {
            (self.least, self.most)
        } else if let Some((first, last)) = range.split_once('-') {
            (self.value(text, first)?, self.value(text, last)?)
        } else {
            let value = self.value(text, range)?;
            (value, if step.is_some() { self.most } else { value })
        };
        // A week may end on Sunday.
        let last = if self.most == 7 && last == 0 && first > 0 {
            7
        } else {
            last
        };
        if first > last {
            return Err(self.wrong(text, format!("goes back from {first} to {last}")));
        }
        let step = match step {
            None => 1,
            Some(step) => match step.parse::<u8>() {
                Ok(step) if step > 0 => usize::from(step),
                _ => return Err(self.wrong(text, format!("has no step after / but '{step}'"))),
            },
        };
        Ok((first..=last)
            .step_by(step)
            .fold(0, |mask, value| mask | 1 << value))
    }

    fn value(&self, text: &str, value: &str) -> Result<u32, ScheduleError> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(value));
        let number = match named {
            Some(position) => u32::try_from(position)
                .ok()
                .map(|position| position + self.least),
            None if value.bytes().all(|byte| byte.is_ascii_digit()) => value.parse().ok(),
            None => None,
        };
        match number {
            Some(number) if (self.least..=self.most).contains(&number) => Ok(number),
            _ => Err(self.wrong(text, format!("has '{value}'"))),
        }
    }

    fn wrong(&self, text: &str, problem: String) -> ScheduleError {
        let Self { least, most, .. } = self;
        let names = match self.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let right = format!(
            "{problem}; it takes {least} to {most}{names}, *, ranges as {least}-{most}, \
             steps as */5, and lists of these"
        );
        ScheduleError::part(self.name, text, right)
    }
}

/// Reads days of the month, of which `L` is the last.
pub(super) fn parse_days_of_month(text: &str) -> Result<DaysOfMonth, ScheduleError> {
    let field = Field::DAY_OF_MONTH;
    let mut days = DaysOfMonth {
        is_open: is_open(text),
        ..DaysOfMonth::default()
    };
    for item in text.split(',') {
        match item {
            "L" => days.last = true,
            "?" => days.days |= field.parse("*")?,
            _ => days.days |= field.item(text, item)?,
        }
    }
    Ok(days)
}

/// Reads days of the week: `FRI#2` is the second Friday of a month, `FRIL` the
/// last.
pub(super) fn parse_days_of_week(text: &str) -> Result<DaysOfWeek, ScheduleError> {
    let field = Field::DAY_OF_WEEK;
    let weekday = |item: &str| field.value(text, item).map(|day| 1_u64 << (day % 7));
    let mut days = DaysOfWeek {
        is_open: is_open(text),
        ..DaysOfWeek::default()
    };
    for item in text.split(',') {
        if item == "?" {
            days.days |= field.parse("*")?;
        } else if let Some((day, nth)) = item.split_once('#') {
            match nth.parse::<usize>() {
                Ok(nth @ 1..=5) => days.nth[nth - 1] |= weekday(day)?,
                _ => {
                    let problem = format!("has '#{nth}'; a month has up to 5 of each, as FRI#2");
                    return Err(ScheduleError::part(field.name, text, problem));
                }
            }
        } else if let Some(day) = item.strip_suffix('L') {
            days.last |= weekday(day)?;
        } else {
            let values = field.item(text, item)?;
            days.days |= (values & 0x7f) | (values >> 7 & 1);
        }
    }
    Ok(days)
}

fn is_open(text: &str) -> bool {
    text.starts_with(['*', '?'])
}
