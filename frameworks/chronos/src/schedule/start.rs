//! Starts as ISO 8601 writes them: a date, a time of day, an offset, of which
//! only the year is needed.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, ISOWeekDate, Time, Weekday};
use jiff::tz::Offset;

use super::ScheduleError;
use super::zone::{Zone, parse_offset};

const FORM: &str =
    "is no ISO 8601 date and time, as 2026-01-31T14:30:00Z or 2026-01-31T14:30:00.000+01:00 is";

/// A start: what a clock shows, where, and when that is.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) local: DateTime,
    pub(super) instant_ms: i64,
    pub(super) zone: Zone,
}

impl Start {
    /// Reads a start. In a zone its fields are kept; an offset says no more than
    /// which of two times with the same fields is meant.
    pub(super) fn parse(text: &str, zone: Option<Zone>) -> Result<Self, ScheduleError> {
        let wrong = |problem: &str| ScheduleError::part("start", text, problem);
        let (local, offset) = fields(text).ok_or_else(|| wrong(FORM))?;
        let zone = match (zone, offset) {
            (Some(zone), _) => zone,
            (None, Some(offset)) => Zone::fixed(offset),
            (None, None) => Zone::utc(),
        };
        let instant_ms = offset
            .and_then(|offset| zone.instant_at(local, offset))
            .or_else(|| zone.instant(local))
            .ok_or_else(|| wrong("is later than time is counted"))?;
        if instant_ms < 1000 {
            return Err(wrong("is too early; the earliest is 1970-01-01T00:00:01Z"));
        }
        Ok(Self {
            local,
            instant_ms,
            zone,
        })
    }

    /// A start at that instant, and how it is written.
    pub(super) fn at(instant_ms: i64, zone: Option<Zone>) -> Result<(Self, String), ScheduleError> {
        let instant_ms = instant_ms.max(1000);
        let zone = zone.unwrap_or_else(Zone::utc);
        let (Some(local), Some(offset)) = (zone.local(instant_ms), zone.offset(instant_ms)) else {
            return Err(ScheduleError::part(
                "start",
                "",
                "is later than time is counted",
            ));
        };
        let text = format!(
            "{}{}",
            local.strftime("%Y-%m-%dT%H:%M:%S.%3f"),
            offset_text(offset)
        );
        let start = Self {
            local,
            instant_ms,
            zone,
        };
        Ok((start, text))
    }
}

fn offset_text(offset: Offset) -> String {
    if offset == Offset::UTC {
        return "Z".to_owned();
    }
    Timestamp::UNIX_EPOCH
        .to_zoned(jiff::tz::TimeZone::fixed(offset))
        .strftime("%:z")
        .to_string()
}

fn fields(text: &str) -> Option<(DateTime, Option<Offset>)> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let date = parse_date(date)?;
    let Some(time) = time else {
        return Some((date.at(0, 0, 0, 0), None));
    };
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], Some(parse_offset(&time[at..])?)),
        None => (time, None),
    };
    Some((date.to_datetime(parse_time(time)?), offset))
}

/// A date by month, by week or by day of the year; short forms begin the month
/// or the year.
fn parse_date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    if parts[0].len() == 8 && parts.len() == 1 {
        let month_day = text.get(4..)?;
        return Date::new(
            number(text.get(..4)?, 4)?,
            number(&month_day[..2], 2)?,
            number(&month_day[2..], 2)?,
        )
        .ok();
    }
    let year: i16 = number(parts[0], 4)?;
    match parts[1..] {
        [] => Date::new(year, 1, 1).ok(),
        [week] if week.starts_with('W') => week_date(year, week, "1"),
        [week, day] if week.starts_with('W') => week_date(year, week, day),
        [day] if day.len() == 3 => {
            let day: i16 = number(day, 3)?;
            let first = Date::new(year, 1, 1).ok()?;
            first.with().day_of_year(day).build().ok()
        }
        [month] => Date::new(year, number(month, 2)?, 1).ok(),
        [month, day] => Date::new(year, number(month, 2)?, number(day, 2)?).ok(),
        _ => None,
    }
}

fn week_date(year: i16, week: &str, day: &str) -> Option<Date> {
    let weekday = Weekday::from_monday_one_offset(number(day, 1)?).ok()?;
    let date = ISOWeekDate::new(year, number(week.strip_prefix('W')?, 2)?, weekday).ok()?;
    Some(date.date())
}

/// `14`, `14:30`, `14:30:15`, `14:30:15.250` and the same without colons.
fn parse_time(text: &str) -> Option<Time> {
    let (clock, decimals) = match text.split_once(['.', ',']) {
        Some((clock, decimals)) => (clock, Some(decimals)),
        None => (text, None),
    };
    let spread;
    let clock = if clock.contains(':') || clock.len() <= 2 {
        clock
    } else {
        spread = clock
            .as_bytes()
            .chunks(2)
            .map(std::str::from_utf8)
            .collect::<Result<Vec<_>, _>>()
            .ok()?
            .join(":");
        &spread
    };
    let mut numbers = [0_i8; 3];
    let parts: Vec<&str> = clock.split(':').collect();
    if parts.len() > 3 || (decimals.is_some() && parts.len() < 3) {
        return None;
    }
    for (slot, part) in numbers.iter_mut().zip(&parts) {
        *slot = number(part, 2)?;
    }
    let millis: i32 = match decimals {
        None => 0,
        Some(decimals) if decimals.len() <= 9 => {
            number::<i32>(decimals, decimals.len())?;
            format!("{decimals:0<3}")[..3].parse().ok()?
        }
        Some(_) => return None,
    };
    let [hour, minute, second] = numbers;
    Time::new(hour, minute, second, millis * 1_000_000).ok()
}

/// A number of exactly so many digits.
fn number<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    let is_one = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { text.parse().ok() } else { None }
}
