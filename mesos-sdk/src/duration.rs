//! Durations as people write them on command lines and as Mesos prints them in
//! its flags: `500ms`, `15secs`, `1.5hrs`, also the short `15s`, `10m`, `1h`.

use std::time::Duration;

/// Mesos's units, the largest first, each with the spellings that are read.
const UNITS: &[(&str, &[&str], u64)] = &[
    ("weeks", &["weeks", "week", "w"], 604_800_000_000_000),
    ("days", &["days", "day", "d"], 86_400_000_000_000),
    (
        "hrs",
        &["hrs", "hr", "hours", "hour", "h"],
        3_600_000_000_000,
    ),
    (
        "mins",
        &["mins", "min", "minutes", "minute", "m"],
        60_000_000_000,
    ),
    (
        "secs",
        &["secs", "sec", "seconds", "second", "s"],
        1_000_000_000,
    ),
    ("ms", &["ms", "millis"], 1_000_000),
    ("us", &["us", "micros"], 1_000),
    ("ns", &["ns", "nanos"], 1),
];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no duration; write a number and a unit, such as 500ms, 15secs, 10mins or 1hrs"
)]
pub struct ParseDurationError {
    text: String,
}

/// Reads a duration: a number, with a fraction or without, and its unit.
///
/// # Errors
///
/// When either is missing or unknown, or the duration is negative or longer
/// than what 64 bits of nanoseconds hold, about 584 years.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(mesos_sdk::duration::parse("15secs")?, Duration::from_secs(15));
/// assert_eq!(mesos_sdk::duration::parse("1.5m")?, Duration::from_secs(90));
/// # Ok::<(), mesos_sdk::duration::ParseDurationError>(())
/// ```
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let refuse = || ParseDurationError {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let digits = trimmed
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .ok_or_else(refuse)?;
    let (number, unit) = trimmed.split_at(digits);
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let unit = unit.trim_start();
    let (_, _, nanoseconds) = UNITS
        .iter()
        .find(|(_, spellings, _)| spellings.contains(&unit))
        .ok_or_else(refuse)?;
    let total = number * *nanoseconds as f64;
    if total >= u64::MAX as f64 {
        return Err(refuse());
    }
    Ok(Duration::from_nanos(total.round() as u64))
}

/// Prints a duration as Mesos does: in the largest unit of which it is at least
/// one, `15secs`, `1.5hrs`.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(mesos_sdk::duration::display(Duration::from_secs(600)), "10mins");
/// assert_eq!(mesos_sdk::duration::display(Duration::from_millis(1500)), "1.5secs");
/// ```
#[must_use]
pub fn display(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (name, _, unit) = UNITS
        .iter()
        .find(|(_, _, unit)| nanoseconds >= u128::from(*unit))
        .unwrap_or(&UNITS[UNITS.len() - 1]);
    format!("{}{name}", nanoseconds as f64 / *unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, expected) in [
            ("1s", Duration::from_secs(1)),
            ("500ms", Duration::from_millis(500)),
            ("15secs", Duration::from_secs(15)),
            ("10mins", Duration::from_secs(600)),
            ("1.5hrs", Duration::from_secs(5400)),
            ("2 weeks", Duration::from_secs(1_209_600)),
            ("0ns", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "15",
            "s",
            "-1s",
            "1 fortnight",
            "1.2.3s",
            "999999999weeks",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in [
            "1secs", "500ms", "10mins", "1.5hrs", "2weeks", "3days", "0ns",
        ] {
            assert_eq!(display(parse(text).unwrap()), text);
        }
    }
}
