//! Everything that is left to chance, from one seed.

use std::time::Duration;

use crate::random::Random;

/// Draws numbers: the same ones for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(Random);

impl Dice {
    /// Dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed ^ 0x6d65_736f_732d_7369))
    }

    /// Dice of their own for a purpose, so that what is drawn for one does not
    /// change what is drawn for another.
    pub(super) fn fork(&mut self) -> Self {
        Self(Random::new(self.draw()))
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0.next()
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit.max(1)
    }

    /// An index into something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub fn permille(&mut self, times: u32) -> bool {
        self.below(1000) < u64::from(times)
    }

    /// A time from `least` to `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_nanos();
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        least + Duration::from_nanos(self.below(span.saturating_add(1)))
    }

    /// A time around `mean`, mostly shorter, now and then much longer: the time
    /// between things that happen independently of each other.
    pub fn around(&mut self, mean: Duration) -> Duration {
        // Without a logarithm, whose last digits differ between machines: the
        // number of the first success, each one in sixteen.
        let mut sixteenths = self.below(16);
        while !self.permille(632) && sixteenths < 16 * 8 {
            sixteenths += 16;
        }
        let span = mean / 16;
        span * u32::try_from(sixteenths).unwrap_or(0) + self.between(Duration::ZERO, span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let five = |seed| {
            let mut dice = Dice::new(seed);
            [(); 5].map(|()| dice.draw())
        };
        assert_eq!(five(7), five(7));
        assert_ne!(five(7), five(8));
    }

    #[test]
    fn times_lie_around_their_mean() {
        let mut dice = Dice::new(1);
        let mean = Duration::from_secs(60);
        let sum: Duration = (0..1000).map(|_| dice.around(mean)).sum();
        let average = sum / 1000;
        assert!(average > mean / 2 && average < mean * 2, "{average:?}");
        for _ in 0..1000 {
            let drawn = dice.between(mean, mean * 2);
            assert!(drawn >= mean && drawn <= mean * 2);
        }
    }
}
