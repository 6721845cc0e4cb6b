//! Whether jobs ran as they were promised to, from nothing but what the jobs
//! wrote down and what Chronos says of occurrences that did not run.
//!
//! Two judgements. The lenient one asks for one complete run in the window of
//! each occurrence, and for nothing else: an occurrence's window begins when it
//! is due and lasts as long as it may be late, and a little longer. The strict
//! one asks besides that there are no two complete runs in a window, no more
//! complete runs than occurrences, and none that overlap.
//!
//! Where things are broken some windows pass in which nothing could run. Such an
//! occurrence is excused when Chronos says itself that it did not run, and the
//! window touches a time of trouble; in quiet times nothing is excused.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

/// How much later than it may be late a run may still write down its start.
const FORGIVENESS_MS: i64 = 5000;

/// A job as it was asked for. Its period is longer than a window and a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) start_ms: i64,
    pub(crate) interval_ms: i64,
    pub(crate) count: i64,
    /// How late an occurrence may start.
    pub(crate) epsilon_ms: i64,
    /// How long a run takes.
    pub(crate) duration_ms: i64,
}

/// A run, as the job wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ran {
    pub(crate) start_ms: i64,
    pub(crate) end: End,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// To its last line.
    Complete(i64),
    /// It was cut off then.
    Cut(i64),
    /// Nobody knows when.
    Unknown,
}

/// What Chronos says of occurrences that did not run, or not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excuse {
    /// When the last of them was due.
    pub(crate) due_ms: i64,
    /// How many there are.
    pub(crate) occurrences: i64,
    /// Whether it says that they did not run at all.
    pub(crate) is_missed: bool,
    pub(crate) why: String,
}

/// What a job did, and what was said of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deeds {
    pub(crate) runs: Vec<Ran>,
    pub(crate) excuses: Vec<Excuse>,
}

/// When nothing was broken and everything had had time to recover.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quiet(pub(crate) Vec<(i64, i64)>);

impl Quiet {
    fn holds(&self, (from, until): (i64, i64)) -> bool {
        let mut times = self.0.iter();
        times.any(|(begin, end)| *begin <= from && until <= *end)
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// An occurrence did not run in time.
    Missed {
        due_ms: i64,
        /// What is wrong with what Chronos said of it.
        excuse: &'static str,
    },
    /// Several runs in one window.
    Twice { due_ms: i64, starts_ms: Vec<i64> },
    /// More runs than occurrences.
    PastTheCount { count: i64, runs: usize },
    /// A run began before the one before it had ended.
    Overlap { first: Ran, second: Ran },
    /// Chronos says that an occurrence did not run which did.
    FalselyExcused { due_ms: i64, why: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed { due_ms, excuse } => {
                write!(f, "what was due at {due_ms} did not run in time: {excuse}")
            }
            Self::Twice { due_ms, starts_ms } => {
                write!(f, "what was due at {due_ms} ran at {starts_ms:?}")
            }
            Self::PastTheCount { count, runs } => write!(f, "{runs} runs of {count}"),
            Self::Overlap { first, second } => write!(f, "{first:?} and {second:?} overlap"),
            Self::FalselyExcused { due_ms, why } => {
                write!(
                    f,
                    "what was due at {due_ms} ran, and is said not to have: {why}"
                )
            }
        }
    }
}

/// What is to be said of one job, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Occurrences that were to run until somebody looked.
    pub(crate) targets: usize,
    /// Those of them that did.
    pub(crate) in_time: usize,
    /// Those of them that could not, as Chronos says.
    pub(crate) excused: usize,
    /// Complete runs in no window.
    pub(crate) extra: usize,
    /// Runs that were cut off.
    pub(crate) incomplete: usize,
    pub(crate) violations: Vec<Violation>,
}

impl Verdict {
    pub(crate) fn add(&mut self, other: Self) {
        self.targets += other.targets;
        self.in_time += other.in_time;
        self.excused += other.excused;
        self.extra += other.extra;
        self.incomplete += other.incomplete;
        self.violations.extend(other.violations);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} occurrences: {} ran in time, {} were excused; {} runs out of time, {} cut off; \
             {} violations",
            self.targets,
            self.in_time,
            self.excused,
            self.extra,
            self.incomplete,
            self.violations.len()
        )
    }
}

impl Asked {
    pub(crate) fn due_ms(&self, index: i64) -> i64 {
        self.start_ms + index * self.interval_ms
    }

    fn window(&self, index: i64) -> (i64, i64) {
        let due_ms = self.due_ms(index);
        (due_ms, due_ms + self.epsilon_ms + FORGIVENESS_MS)
    }

    /// The occurrences in whose windows a moment is.
    fn windows_at(&self, moment_ms: i64) -> impl Iterator<Item = i64> {
        let last = (moment_ms + 1000 - self.start_ms).div_euclid(self.interval_ms);
        let length = (self.epsilon_ms + FORGIVENESS_MS) / self.interval_ms + 2;
        let near = (last - length).max(0)..=last.min(self.count - 1);
        near.filter(move |index| is_within(moment_ms, self.window(*index)))
    }

    /// The occurrences whose runs must have ended when somebody looked.
    fn targets(&self, read_ms: i64) -> impl Iterator<Item = i64> {
        let finish_ms = read_ms - self.epsilon_ms - self.duration_ms;
        (0..self.count).take_while(move |index| self.due_ms(*index) < finish_ms)
    }
}

/// Whether a moment is in a window, as far as clocks that show seconds tell.
fn is_within(moment_ms: i64, window: (i64, i64)) -> bool {
    let second = |ms: i64| ms.div_euclid(1000);
    (second(window.0)..=second(window.1)).contains(&second(moment_ms))
}

/// Judges one job by what was there when somebody looked.
pub(crate) fn judge(asked: &Asked, deeds: &Deeds, quiet: &Quiet, read_ms: i64) -> Verdict {
    let mut runs = deeds.runs.clone();
    runs.sort_unstable();
    let mut complete: Vec<i64> = Vec::new();
    for run in &runs {
        if let End::Complete(_) = run.end {
            complete.push(run.start_ms);
        }
    }
    let mut verdict = Verdict {
        incomplete: runs.len() - complete.len(),
        ..Verdict::default()
    };
    let matched = match_windows(asked, &complete, read_ms);
    verdict.targets = matched.len();
    let in_some_window = |start: &&i64| asked.windows_at(**start).next().is_some();
    verdict.extra = complete.len() - complete.iter().filter(in_some_window).count();
    let excuses = excused(asked, &deeds.excuses);
    for (index, run) in &matched {
        let due_ms = asked.due_ms(*index);
        if run.is_some() {
            verdict.in_time += 1;
            continue;
        }
        let excuse = match excuses.get(index) {
            None => "Chronos does not say why",
            Some(_) if quiet.holds(asked.window(*index)) => "nothing was broken then",
            Some(_) => {
                verdict.excused += 1;
                continue;
            }
        };
        verdict
            .violations
            .push(Violation::Missed { due_ms, excuse });
    }
    verdict.violations.extend(strict(asked, &runs, &complete));
    for (index, excuse) in excuses.into_iter().filter(|(_, excuse)| excuse.is_missed) {
        let window = asked.window(index);
        if let Some(run) = runs.iter().find(|run| is_within(run.start_ms, window))
            && matches!(run.end, End::Complete(_))
        {
            verdict.violations.push(Violation::FalselyExcused {
                due_ms: asked.due_ms(index),
                why: excuse.why.clone(),
            });
        }
    }
    verdict
}

/// A run of its own for each target. Windows come in their order and are of one
/// length, so the earliest run that is left is as good as any.
fn match_windows(asked: &Asked, complete: &[i64], read_ms: i64) -> BTreeMap<i64, Option<i64>> {
    let mut left = complete.iter().copied().peekable();
    let mut matched = BTreeMap::new();
    for index in asked.targets(read_ms) {
        let (begin, _) = asked.window(index);
        while left
            .next_if(|start| start.div_euclid(1000) < begin.div_euclid(1000))
            .is_some()
        {}
        let run = left.next_if(|start| is_within(*start, asked.window(index)));
        matched.insert(index, run);
    }
    matched
}

/// What Chronos says of each occurrence that it says did not run, or not well.
fn excused<'a>(asked: &Asked, excuses: &'a [Excuse]) -> BTreeMap<i64, &'a Excuse> {
    let mut excused = BTreeMap::new();
    for excuse in excuses {
        let offset = excuse.due_ms - asked.start_ms;
        if offset.rem_euclid(asked.interval_ms) == 0 {
            let last = offset / asked.interval_ms;
            for index in last + 1 - excuse.occurrences..=last {
                excused.insert(index, excuse);
            }
        }
    }
    excused
}

fn strict(asked: &Asked, runs: &[Ran], complete: &[i64]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut starts: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for start_ms in complete {
        for index in asked.windows_at(*start_ms) {
            starts.entry(index).or_default().push(*start_ms);
        }
    }
    for (index, starts_ms) in starts {
        if starts_ms.len() > 1 {
            let due_ms = asked.due_ms(index);
            violations.push(Violation::Twice { due_ms, starts_ms });
        }
    }
    if i64::try_from(complete.len()).is_ok_and(|runs| runs > asked.count) {
        violations.push(Violation::PastTheCount {
            count: asked.count,
            runs: complete.len(),
        });
    }
    for pair in runs.windows(2) {
        let (first, second) = (pair[0], pair[1]);
        let end_ms = match first.end {
            End::Complete(end_ms) | End::Cut(end_ms) => end_ms,
            End::Unknown => continue,
        };
        if second.start_ms < end_ms {
            violations.push(Violation::Overlap { first, second });
        }
    }
    violations
}
