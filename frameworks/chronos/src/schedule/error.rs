//! What is wrong with a schedule, and what would be right.

/// The most that is repeated of a wrong text, in characters.
const SHOWN_CHARS: usize = 100;

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// More than any schedule needs.
    #[error("the schedule has {bytes} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that is read.
        limit: usize,
    },
    /// Neither of the forms there are.
    #[error(
        "schedule '{text}' is neither R[n]/start/period, as R/2026-01-01T00:00:00Z/PT1H, \
         nor a cron expression of 5 or 6 fields, as '30 2 * * MON-FRI' or @daily: {problem}"
    )]
    Form {
        /// What was given.
        text: String,
        /// What tells that.
        problem: String,
    },
    /// One part of it is wrong.
    #[error("{part} '{value}' of the schedule {problem}")]
    Part {
        /// Which one: repetitions, start, period, or the name of a cron field.
        part: &'static str,
        /// What was given.
        value: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// There is no such zone.
    #[error("scheduleTimeZone '{name}' {problem}")]
    Zone {
        /// What was given.
        name: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// It names days that no calendar has.
    #[error("schedule '{text}' is never due: no year has such a day")]
    NeverDue {
        /// What was given.
        text: String,
    },
}

impl ScheduleError {
    /// The field of a job that is to be changed.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Zone { .. } => "scheduleTimeZone",
            _ => "schedule",
        }
    }

    pub(super) fn form(text: &str, problem: impl Into<String>) -> Self {
        Self::Form {
            text: shown(text),
            problem: problem.into(),
        }
    }

    pub(super) fn part(part: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self::Part {
            part,
            value: shown(value),
            problem: problem.into(),
        }
    }

    pub(super) fn zone(name: &str, problem: impl Into<String>) -> Self {
        Self::Zone {
            name: shown(name),
            problem: problem.into(),
        }
    }

    pub(super) fn never_due(text: &str) -> Self {
        Self::NeverDue { text: shown(text) }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
