//! Many seeds: which ones, how they went, and how one that failed is seen again.

use std::env;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::checks::Violation;
use super::framework::Framework;
use super::{Report, Simulation};

/// One seed alone, with everything that happens.
const ONE: &str = "MESOS_SIMULATION_SEED";
/// How many seeds, or which: `1000`, `500..600`.
const MANY: &str = "MESOS_SIMULATION_SEEDS";
/// How many seeds a test runs that is not told otherwise.
const USUAL: u64 = 20;

/// A seed with which a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The rule.
    pub violation: Violation,
    /// When, in virtual time.
    pub elapsed: Duration,
    /// Everything that happened until then, a line each, with its time in
    /// seconds.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, elapsed, violation) = (self.seed, Hours(self.elapsed), &self.violation);
        writeln!(f, "seed {seed} fails after {elapsed}: {violation}")?;
        write!(f, "to see how: {}", replay(seed))
    }
}

impl std::error::Error for Failure {}

/// What many seeds came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// How many.
    pub seeds: u64,
    /// The virtual time of all.
    pub elapsed: Duration,
    /// What it took.
    pub wall: Duration,
    /// How many things happened.
    pub steps: u64,
    /// How many launches left the framework.
    pub launches: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.elapsed += report.elapsed;
        self.steps += report.steps;
        self.launches += report.launches;
    }

    /// Virtual hours a second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        let hours = self.elapsed.as_secs_f64() / 3600.0;
        hours / self.wall.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, no violation: {:.1} virtual hours in {:.2?} ({:.1} a second), {} steps, {} launches",
            self.seeds,
            self.elapsed.as_secs_f64() / 3600.0,
            self.wall,
            self.speed(),
            self.steps,
            self.launches,
        )
    }
}

impl<F: Framework> Simulation<F> {
    /// Runs seeds one after the other, up to the first that fails.
    ///
    /// # Errors
    ///
    /// That one.
    pub fn run_seeds(&self, seeds: Range<u64>) -> Result<Totals, Box<Failure>> {
        let begun = Instant::now();
        let mut totals = Totals::default();
        for seed in seeds {
            let _guard = Guard(seed);
            totals.add(&self.run(seed)?);
        }
        totals.wall = begun.elapsed();
        Ok(totals)
    }

    /// For tests: runs 20 seeds, or those that the environment names, and says
    /// how it went.
    ///
    /// # Panics
    ///
    /// With a seed that fails.
    pub fn check(&self) -> Totals {
        let one = env::var(ONE).ok();
        let seeds = match (&one, env::var(MANY)) {
            (Some(one), _) => parse(one, true),
            (None, Ok(many)) => parse(&many, false),
            (None, Err(_)) => Some(0..USUAL),
        };
        let Some(seeds) = seeds else {
            panic!("{ONE} is a number; {MANY} is one, or two with .. between");
        };
        if one.is_some() {
            let _guard = Guard(seeds.start);
            for line in self.trace(seeds.start) {
                eprintln!("{line}");
            }
        }
        match self.run_seeds(seeds) {
            Ok(totals) => {
                println!("{totals}");
                totals
            }
            Err(failure) => panic!("{failure}"),
        }
    }
}

fn parse(text: &str, is_one: bool) -> Option<Range<u64>> {
    if is_one {
        let seed: u64 = text.parse().ok()?;
        return Some(seed..seed + 1);
    }
    match text.split_once("..") {
        Some((first, end)) => Some(first.parse().ok()?..end.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

/// The command that runs a seed alone: of the test that runs now, or of this
/// program.
fn replay(seed: u64) -> String {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let package = env::var("CARGO_PKG_NAME").ok();
    let program: Vec<String> = env::args().collect();
    command(seed, package.as_deref(), test, &program.join(" "))
}

fn command(seed: u64, package: Option<&str>, test: Option<&str>, program: &str) -> String {
    match (package, test) {
        (Some(package), Some(test)) => {
            format!("{ONE}={seed} cargo test -p {package} {test} -- --nocapture")
        }
        _ => format!("{ONE}={seed} {program}"),
    }
}

/// Names the seed when the framework itself panics.
struct Guard(u64);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the framework panics with seed {}", self.0);
            eprintln!("to see how: {}", replay(self.0));
        }
    }
}

/// A time in words.
struct Hours(Duration);

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours}h {minutes}m {}s", seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_counted_or_named() {
        assert_eq!(parse("17", true), Some(17..18));
        assert_eq!(parse("1000", false), Some(0..1000));
        assert_eq!(parse("5..7", false), Some(5..7));
        assert_eq!(parse("many", false), None);
    }

    #[test]
    fn a_failing_seed_is_named_with_its_command() {
        let failure = Failure {
            seed: 17,
            violation: Violation::Forgotten { task: "t".into() },
            elapsed: Duration::from_secs(3723),
            trace: Vec::new(),
        };
        let text = failure.to_string();
        assert!(
            text.starts_with("seed 17 fails after 1h 2m 3s: task t was"),
            "{text}"
        );
        assert!(text.contains("MESOS_SIMULATION_SEED=17 "), "{text}");
    }

    #[test]
    fn a_test_is_run_again_by_cargo_and_a_program_as_it_was() {
        assert_eq!(
            command(17, Some("mine"), Some("survives"), "deps/mine-1"),
            "MESOS_SIMULATION_SEED=17 cargo test -p mine survives -- --nocapture"
        );
        assert_eq!(
            command(17, Some("mine"), None, "mine --fast"),
            "MESOS_SIMULATION_SEED=17 mine --fast"
        );
    }
}
