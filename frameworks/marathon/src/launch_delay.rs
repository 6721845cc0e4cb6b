//! How long an app waits before its next launch: nothing until an instance
//! fails, then ever longer. Kept as data, so that it survives a failover.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::Spec;
use crate::timestamp::Timestamp;

/// The delay of one configuration of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchDelay {
    /// The configuration: the moment at which it last changed.
    pub config: Timestamp,
    /// How long to wait.
    pub delay_millis: u64,
    /// Since when: the last failure, or the last sign of life.
    pub since: Timestamp,
}

impl LaunchDelay {
    /// What it is after a failure.
    #[must_use]
    pub fn after_failure(before: Option<Self>, spec: &Spec, now: Timestamp) -> Self {
        let backoff = spec.backoff();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let max = millis(backoff.longest);
        let config = spec.config();
        let before = before.filter(|delay| delay.config == config && !delay.is_over(spec, now));
        let delay_millis = match before {
            None => millis(backoff.first).min(max),
            Some(delay) => grown(delay.delay_millis, backoff.factor).min(max),
        };
        Self {
            config,
            delay_millis,
            since: now,
        }
    }

    /// What it is after a task of the app was seen on its way: as long, but
    /// counted from now.
    #[must_use]
    pub fn after_progress(self, now: Timestamp) -> Self {
        Self { since: now, ..self }
    }

    /// When the next launch may be.
    #[must_use]
    pub fn until(self) -> Timestamp {
        self.since.after(Duration::from_millis(self.delay_millis))
    }

    /// Whether it is so long ago that it is forgotten.
    #[must_use]
    pub fn is_over(self, spec: &Spec, now: Timestamp) -> bool {
        now > self.since.after(spec.backoff().longest)
    }
}

fn grown(millis: u64, factor: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a delay, never negative; what is too long is cut to the greatest"
    )]
    let grown = (millis as f64 * factor).round() as u64;
    grown.max(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[test]
    fn grows_with_each_failure_up_to_the_longest() {
        let mut app = App::new("/a".parse().unwrap(), "*", Timestamp::from_millis(0));
        app.backoff_factor = 2.0;
        app.max_launch_delay_seconds = 5;
        let now = Timestamp::from_millis(1_000);
        let mut delay = None;
        let mut delays = Vec::new();
        for _ in 0..5 {
            let next = LaunchDelay::after_failure(delay, &app.clone().into(), now);
            delays.push(next.delay_millis);
            delay = Some(next);
        }
        assert_eq!(delays, [1_000, 2_000, 4_000, 5_000, 5_000]);
        let delay = delay.unwrap();
        assert_eq!(delay.until().as_millis(), 6_000);
        let later = delay.after_progress(Timestamp::from_millis(3_000));
        assert_eq!(later.until().as_millis(), 8_000);
        assert!(!later.is_over(&app.clone().into(), Timestamp::from_millis(8_000)));
        assert!(later.is_over(&app.clone().into(), Timestamp::from_millis(8_001)));
        let anew = LaunchDelay::after_failure(
            Some(later),
            &app.clone().into(),
            Timestamp::from_millis(9_000),
        );
        assert_eq!(anew.delay_millis, 1_000, "what is long ago is forgotten");
        app.version_info.last_config_change_at = Timestamp::from_millis(7);
        let other = LaunchDelay::after_failure(Some(later), &app.clone().into(), now);
        assert_eq!(
            other.delay_millis, 1_000,
            "another configuration is another app"
        );
    }
}
