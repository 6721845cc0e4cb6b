//! Schedules and lengths of time as jobs hold them: the text that was posted,
//! and what it means.

use jiff::{Span, SpanRelativeTo, Unit};
use serde::{Deserialize, Serialize};

use crate::schedule::{Schedule, ScheduleError};

/// A schedule in a time zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Timetable {
    schedule: Schedule,
    zone: String,
}

#[derive(Serialize, Deserialize)]
struct Text {
    schedule: String,
    zone: String,
}

impl Timetable {
    /// Reads a schedule; `now_ms` is its start if it names none.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str, zone: &str, now_ms: i64) -> Result<Self, ScheduleError> {
        let named = Some(zone).filter(|zone| !zone.is_empty());
        Ok(Self {
            schedule: Schedule::parse(text, named, now_ms)?,
            zone: zone.to_owned(),
        })
    }

    /// When it is due.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The text, with the start filled in.
    #[must_use]
    pub fn text(&self) -> &str {
        self.schedule.text()
    }

    /// The zone as it was named; empty for none.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The start of an interval; a cron expression has none.
    #[must_use]
    pub fn start(&self) -> Option<&str> {
        let text = self.schedule.text();
        text.starts_with('R').then(|| text.split('/').nth(1))?
    }
}

impl TryFrom<Text> for Timetable {
    type Error = ScheduleError;

    fn try_from(text: Text) -> Result<Self, ScheduleError> {
        Self::parse(&text.schedule, &text.zone, 0)
    }
}

impl From<Timetable> for Text {
    fn from(timetable: Timetable) -> Self {
        Self {
            schedule: timetable.schedule.text().to_owned(),
            zone: timetable.zone,
        }
    }
}

/// A length of time as ISO 8601 writes it, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    text: String,
    ms: i64,
}

impl Period {
    /// How long it is; a day has 24 hours.
    #[must_use]
    pub fn as_millis(&self) -> i64 {
        self.ms
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no length of time as ISO 8601 writes it in weeks, days, hours, \
                 minutes and seconds, such as PT15M"
            )
        };
        let is_iso = text.starts_with('P');
        let span = text.parse::<Span>().ok().filter(|_| is_iso);
        let span = span.ok_or_else(wrong)?;
        let relative = SpanRelativeTo::days_are_24_hours();
        let ms = span.total((Unit::Millisecond, relative));
        let ms = ms.map_err(|_| wrong())?;
        if !(0.0..=1e15).contains(&ms) {
            return Err(wrong());
        }
        Ok(Self {
            ms: ms as i64,
            text,
        })
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_kept_as_they_were_written() {
        for (text, ms) in [
            ("PT15M", 900_000),
            ("PT0S", 0),
            ("PT0.5S", 500),
            ("P1D", 86_400_000),
            ("P1WT1H", 608_400_000),
        ] {
            let period = Period::try_from(text.to_owned()).unwrap();
            assert_eq!((period.as_millis(), period.text()), (ms, text));
        }
        for text in ["", "15m", "P1M", "-PT1S", "PT", "P"] {
            let error = Period::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("PT15M"), "{text}: {error}");
        }
    }
}
