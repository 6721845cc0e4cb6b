//! How often something happens: averages that forget the past in one, five and
//! fifteen minutes, as load averages do.

use std::time::Duration;

/// So often the averages move.
const TICK: Duration = Duration::from_secs(5);
/// After so many ticks without a mark, nothing of the averages is left.
const LONGEST_SILENCE: u128 = 100_000;

#[derive(Debug)]
pub(super) struct Meter {
    begun: Duration,
    ticked: Duration,
    count: u64,
    uncounted: u64,
    /// A second, over one, five and fifteen minutes; `None` before the first
    /// tick.
    rates: Option<[f64; 3]>,
}

/// What a meter shows, in events a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) count: u64,
    pub(super) mean: f64,
    pub(super) minutes: [f64; 3],
}

impl Meter {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            begun: now,
            ticked: now,
            count: 0,
            uncounted: 0,
            rates: None,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn mark(&mut self, count: u64, now: Duration) {
        self.tick(now);
        self.count += count;
        self.uncounted += count;
    }

    pub(super) fn rates(&mut self, now: Duration) -> Rates {
        self.tick(now);
        let seconds = now.saturating_sub(self.begun).as_secs_f64();
        Rates {
            count: self.count,
            mean: if seconds > 0.0 {
                self.count as f64 / seconds
            } else {
                0.0
            },
            minutes: self.rates.unwrap_or_default(),
        }
    }

    fn tick(&mut self, now: Duration) {
        let ticks = now.saturating_sub(self.ticked).as_nanos() / TICK.as_nanos();
        if ticks == 0 {
            return;
        }
        for _ in 0..ticks.min(LONGEST_SILENCE) {
            let seen = self.uncounted as f64 / TICK.as_secs_f64();
            self.uncounted = 0;
            self.rates = Some(match self.rates {
                None => [seen; 3],
                Some(rates) => {
                    let minutes = [1.0, 5.0, 15.0];
                    let share = |minutes: f64| 1.0 - (-TICK.as_secs_f64() / 60.0 / minutes).exp();
                    std::array::from_fn(|i| rates[i] + share(minutes[i]) * (seen - rates[i]))
                }
            });
        }
        let passed = TICK.as_nanos() * ticks;
        self.ticked += Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_what_happens_and_fade() {
        let second = Duration::from_secs;
        let mut meter = Meter::new(second(100));
        for now in 100..400 {
            meter.mark(10, second(now));
        }
        let rates = meter.rates(second(400));
        assert_eq!((rates.count, rates.mean), (3000, 10.0));
        for rate in rates.minutes {
            assert!((rate - 10.0).abs() < 1e-9, "{rate}");
        }
        // A minute of silence leaves a share of 1/e after one minute.
        let rates = meter.rates(second(460));
        let [one, five, fifteen] = rates.minutes;
        assert!((one - 10.0 / std::f64::consts::E).abs() < 0.01, "{one}");
        assert!(one < five && five < fifteen && fifteen < 10.0);
        let rates = meter.rates(second(1_000_000_000));
        assert!(rates.minutes[2] < 1e-6);
    }
}
