//! How much a master or an agent logs: more for a while, when an operator wants
//! it (SET_LOGGING_LEVEL; `3rdparty/libprocess/src/logging.cpp`).

use std::time::Duration;

use mesos_sdk::v1;

use crate::time::Timestamp;

/// The level that everything starts with.
const USUAL: u32 = 0;
/// The highest level there is.
const HIGHEST: u32 = 127;

/// How much is logged now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Logging {
    /// A level that is not the usual one, and until when.
    raised: Option<(u32, Timestamp)>,
}

/// Says why there is no such level, if there is none.
pub(crate) fn validate(level: u32) -> Result<(), String> {
    if level > HIGHEST {
        return Err(format!(
            "It's invalid to set logging level to {level} which is greater than {HIGHEST}"
        ));
    }
    Ok(())
}

impl Logging {
    /// Logs so much for so long.
    pub(crate) fn set(&mut self, now: Timestamp, level: u32, duration: v1::DurationInfo) {
        let nanos = u64::try_from(duration.nanoseconds).unwrap_or_default();
        let until = now + Duration::from_nanos(nanos);
        self.raised = (level != USUAL).then_some((level, until));
    }

    /// 0 is the usual level; above it every step is logged.
    pub(crate) fn level(&self) -> u32 {
        self.raised.map_or(USUAL, |(level, _)| level)
    }

    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        self.raised.map(|(_, until)| until)
    }

    /// Back to the usual level, when it is time.
    pub(crate) fn due(&mut self, now: Timestamp) {
        self.raised = self.raised.filter(|(_, until)| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_kept_as_long_as_was_asked_for() {
        let start = Timestamp::from_nanos(1_000_000_000);
        let second = v1::DurationInfo {
            nanoseconds: 1_000_000_000,
        };
        let mut logging = Logging::default();
        logging.set(start, 3, second);
        let end = logging.ends_at().expect("it ends");
        assert_eq!(end, start + Duration::from_secs(1));
        logging.due(start);
        assert_eq!(logging.level(), 3);
        logging.due(end);
        assert_eq!((logging.level(), logging.ends_at()), (USUAL, None));
        assert!(validate(HIGHEST).is_ok());
        assert!(validate(HIGHEST + 1).is_err());
    }
}
