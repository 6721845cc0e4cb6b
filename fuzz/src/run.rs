//! Runs a target on one input after the other and keeps book.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate::{Random, mutated};
use crate::targets::Target;

/// How many inputs of new outcomes are kept.
const MOST_KEPT: usize = 20_000;
/// An input that takes longer is a finding: somebody could send many of them.
const SLOWEST: Duration = Duration::from_secs(5);

/// When a run is over, unless something is found.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many inputs.
    Inputs(u64),
    /// After so long.
    Elapsed(Duration),
}

/// What a run covered.
#[derive(Debug)]
pub struct Report {
    /// The target's name.
    pub target: &'static str,
    /// How many inputs were given.
    pub inputs: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// How many recorded inputs it began with.
    pub recorded: usize,
    /// How many kinds of outcome there were.
    pub outcomes: usize,
    /// The longest that one input took.
    pub slowest: Duration,
    /// What broke a promise, and how.
    pub finding: Option<Finding>,
}

/// An input that breaks a promise.
#[derive(Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} inputs from {} recorded ones in {:.0} s, {} kinds of outcome, the slowest input {:.1} ms: {}",
            self.target,
            self.inputs,
            self.recorded,
            self.elapsed.as_secs_f64(),
            self.outcomes,
            self.slowest.as_secs_f64() * 1000.0,
            match &self.finding {
                None => "no finding",
                Some(finding) => &finding.what,
            }
        )
    }
}

/// Runs a target on recorded inputs, then on changed ones.
pub fn run(target: &mut dyn Target, recorded: &[Vec<u8>], seed: u64, until: Until) -> Report {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut kept: Vec<Vec<u8>> = recorded.to_vec();
    kept.push(Vec::new());
    let mut outcomes = BTreeSet::new();
    let mut report = Report {
        target: target.name(),
        inputs: 0,
        elapsed: Duration::ZERO,
        recorded: recorded.len(),
        outcomes: 0,
        slowest: Duration::ZERO,
        finding: None,
    };
    loop {
        let is_over = match until {
            Until::Inputs(most) => report.inputs >= most,
            Until::Elapsed(longest) => started.elapsed() >= longest,
        };
        if is_over || report.finding.is_some() {
            break;
        }
        let given = usize::try_from(report.inputs).unwrap_or(usize::MAX);
        let input = match recorded.get(given) {
            Some(input) => input.clone(),
            None => {
                let (one, other) = (random.below(kept.len()), random.below(kept.len()));
                mutated(&mut random, &kept[one], &kept[other])
            }
        };
        report.inputs += 1;
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target.take(&input)));
        let took = began.elapsed();
        report.slowest = report.slowest.max(took);
        match outcome {
            Ok(_) if took > SLOWEST => {
                let what = format!("one input took {took:?}");
                report.finding = Some(Finding { input, what });
            }
            Ok(outcome) => {
                if outcomes.insert(outcome) && kept.len() < MOST_KEPT {
                    kept.push(input);
                }
            }
            Err(panic) => {
                let what = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("a panic")
                    .to_owned();
                report.finding = Some(Finding { input, what });
            }
        }
    }
    report.elapsed = started.elapsed();
    report.outcomes = outcomes.len();
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fragile;

    impl Target for Fragile {
        fn name(&self) -> &'static str {
            "fragile"
        }

        fn take(&mut self, input: &[u8]) -> u64 {
            assert!(!input.contains(&b'%'), "a per cent sign");
            input.len() as u64
        }
    }

    #[test]
    fn what_breaks_a_promise_is_found() {
        let recorded = [b"nothing in it".to_vec()];
        let report = run(&mut Fragile, &recorded, 1, Until::Inputs(100_000));
        let finding = report.finding.expect("a finding");
        assert!(finding.input.contains(&b'%'));
        assert_eq!(finding.what, "a per cent sign");
        assert!(report.outcomes > 3);
    }
}
