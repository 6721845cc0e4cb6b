//! How large something is: a histogram of the latest values, exact to three
//! digits, which forgets the older ones.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Values are exact to so many digits.
const DIGITS: u8 = 3;
/// What is larger counts as this: an hour in nanoseconds.
const LARGEST: f64 = 3.6e12;

pub(super) struct Reservoir {
    /// How many units make one of what is recorded.
    scale: f64,
    window: Duration,
    turned: Duration,
    now: Histogram<u32>,
    before: Histogram<u32>,
    count: u64,
}

/// What a reservoir shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    /// Of all values ever recorded.
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) max: f64,
    pub(super) deviation: f64,
    /// At each of [`QUANTILES`].
    pub(super) quantiles: [f64; 6],
}

pub(super) const QUANTILES: [f64; 6] = [0.5, 0.75, 0.95, 0.98, 0.99, 0.999];

impl Reservoir {
    pub(super) fn new(is_seconds: bool, window: Duration) -> Self {
        let empty = || Histogram::new(DIGITS).expect("from no to five digits are possible");
        Self {
            scale: if is_seconds { 1e6 } else { 1.0 },
            window,
            turned: Duration::ZERO,
            now: empty(),
            before: empty(),
            count: 0,
        }
    }

    pub(super) fn record(&mut self, value: f64, now: Duration) {
        self.turn(now);
        self.count += 1;
        let units = (value * self.scale).clamp(0.0, LARGEST).round();
        // It grows as it has to, and cannot grow too far.
        let _ = self.now.record(units as u64);
    }

    pub(super) fn snapshot(&mut self, now: Duration) -> Snapshot {
        self.turn(now);
        let mut all = self.before.clone();
        let _ = all.add(&self.now);
        let of = |units: f64| units / self.scale;
        Snapshot {
            count: self.count,
            min: of(all.min() as f64),
            mean: of(all.mean()),
            max: of(all.max() as f64),
            deviation: of(all.stdev()),
            quantiles: QUANTILES.map(|quantile| of(all.value_at_quantile(quantile) as f64)),
        }
    }

    fn turn(&mut self, now: Duration) {
        let since = now.saturating_sub(self.turned);
        if since < self.window {
            return;
        }
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.reset();
        if since >= self.window * 2 {
            self.before.reset();
        }
        self.turned = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_values_are_shown() {
        let second = Duration::from_secs;
        let mut reservoir = Reservoir::new(true, second(60));
        for milliseconds in 1..=1000 {
            reservoir.record(f64::from(milliseconds) / 1000.0, second(1));
        }
        let shown = reservoir.snapshot(second(61));
        assert_eq!((shown.count, shown.min), (1000, 0.001));
        let near = |value: f64, expected: f64| (value - expected).abs() < expected / 500.0;
        assert!(
            near(shown.max, 1.0) && near(shown.mean, 0.5005),
            "{shown:?}"
        );
        for (value, quantile) in shown.quantiles.into_iter().zip(QUANTILES) {
            assert!(near(value, quantile), "{value} {quantile}");
        }
        assert!(near(shown.deviation, 0.2887), "{shown:?}");
        reservoir.record(7.0, second(122));
        let shown = reservoir.snapshot(second(122));
        assert!(near(shown.quantiles[0], 7.0), "{shown:?}");
        assert_eq!(shown.count, 1001);
        let shown = reservoir.snapshot(second(1000));
        assert_eq!((shown.count, shown.max), (1001, 0.0));
    }

    #[test]
    fn what_is_no_size_does_no_harm() {
        let mut reservoir = Reservoir::new(false, Duration::from_secs(60));
        for value in [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, -1.0, 1e300] {
            reservoir.record(value, Duration::ZERO);
        }
        assert_eq!(reservoir.snapshot(Duration::ZERO).count, 5);
    }
}
