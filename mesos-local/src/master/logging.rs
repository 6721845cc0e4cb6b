//! How much the master logs: more for a while, when an operator wants it
//! (SET_LOGGING_LEVEL; `3rdparty/libprocess/src/logging.cpp`).

use std::time::Duration;

use mesos_sdk::v1::master::call;

use super::{Master, Reply};
use crate::time::Timestamp;

/// The level a master starts with.
const USUAL: u32 = 0;
/// The highest level there is.
const HIGHEST: u32 = 127;

/// A level that is not the usual one.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoggingLevel {
    level: u32,
    until: Timestamp,
}

impl Master {
    pub(super) fn set_logging_level(&mut self, call: &call::SetLoggingLevel) -> Reply {
        if call.level > HIGHEST {
            let text = format!(
                "It's invalid to set logging level to {} which is greater than {HIGHEST}",
                call.level
            );
            return Reply::new(400, text);
        }
        let nanos = u64::try_from(call.duration.nanoseconds).unwrap_or_default();
        let level = LoggingLevel {
            level: call.level,
            until: self.now + Duration::from_nanos(nanos),
        };
        self.state.logging = Some(level).filter(|level| level.level != USUAL);
        Reply::new(200, "")
    }

    /// How much is to be logged now: 0 is the usual, above it every step is.
    #[must_use]
    pub fn logging_level(&self) -> u32 {
        self.state.logging.map_or(USUAL, |logging| logging.level)
    }

    pub(super) fn end_of_logging(&self) -> Option<Timestamp> {
        self.state.logging.map(|logging| logging.until)
    }

    pub(super) fn log_as_usual(&mut self) {
        let now = self.now;
        self.state.logging = self.state.logging.filter(|logging| logging.until > now);
    }
}
