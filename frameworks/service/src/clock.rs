//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// The clock of the machine, which may be set.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(_) => 0,
        }
    }
}

/// The runtime's clock, which tests stop and move on.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeClock {
    start: Instant,
    start_ms: i64,
}

impl RuntimeClock {
    /// A clock that shows this time now.
    #[must_use]
    pub fn starting_at(start_ms: i64) -> Self {
        Self {
            start: Instant::now(),
            start_ms,
        }
    }
}

impl Clock for RuntimeClock {
    fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_millis());
        self.start_ms.saturating_add(elapsed.unwrap_or(i64::MAX))
    }
}
