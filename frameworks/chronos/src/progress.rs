//! What became of a job so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// What is to be remembered of a job beside its definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Occurrences up to then are dealt with.
    pub handled_ms: i64,
    /// Runs that went well.
    pub success_count: u64,
    /// Runs that did not.
    pub error_count: u64,
    /// How many of them since the last that did.
    pub errors_since_last_success: u64,
    /// Occurrences that did not run at all.
    pub missed_count: u64,
    /// When a run last went well.
    pub last_success_ms: Option<i64>,
    /// When one last did not.
    pub last_error_ms: Option<i64>,
    /// The parents that have succeeded since the job was last made to run.
    pub satisfied: BTreeSet<String>,
    /// How long its tasks ran.
    pub durations: Durations,
    /// The times in the ids of its last tasks, the newest first: no other task
    /// is called so.
    pub recent_ids: VecDeque<i64>,
    /// When the job was deleted; for a while its last tasks are remembered.
    pub deleted_ms: Option<i64>,
}

/// How many tasks are remembered for the sake of their names.
const RECENT_IDS: usize = 32;

impl Default for Progress {
    fn default() -> Self {
        Self {
            handled_ms: i64::MIN,
            success_count: 0,
            error_count: 0,
            errors_since_last_success: 0,
            missed_count: 0,
            last_success_ms: None,
            last_error_ms: None,
            satisfied: BTreeSet::new(),
            durations: Durations::default(),
            recent_ids: VecDeque::new(),
            deleted_ms: None,
        }
    }
}

impl Progress {
    /// A task is called after this time.
    pub fn note_id(&mut self, id_ms: i64) {
        self.recent_ids.push_front(id_ms);
        self.recent_ids.truncate(RECENT_IDS);
    }

    /// What is left of a job that is deleted.
    #[must_use]
    pub fn of_deleted(&self, now_ms: i64) -> Option<Self> {
        (!self.recent_ids.is_empty()).then(|| Self {
            recent_ids: self.recent_ids.clone(),
            deleted_ms: Some(now_ms),
            ..Self::default()
        })
    }

    /// How the last run went.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match (self.last_success_ms, self.last_error_ms) {
            (None, None) => "fresh",
            (Some(success), Some(error)) if success <= error => "failure",
            (None, Some(_)) => "failure",
            (Some(_), _) => "success",
        }
    }
}

/// Lengths of time, counted to one part in 64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    sum_ms: u64,
}

/// Lengths below this are counted exactly.
const EXACT_MS: u64 = 128;

impl Durations {
    /// Counts one more.
    pub fn record(&mut self, ms: i64) {
        let ms = u64::try_from(ms).unwrap_or(0);
        *self.buckets.entry(bucket(ms)).or_default() += 1;
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        match self.count {
            0 => 0.0,
            count => self.sum_ms as f64 / count as f64,
        }
    }

    /// So many parts of them were not longer, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return middle(*bucket);
            }
        }
        0.0
    }
}

/// Of values from 64 to 127 times a power of two there are 64 buckets each.
fn bucket(ms: u64) -> u32 {
    if ms < EXACT_MS {
        return ms as u32;
    }
    let shift = ms.ilog2() - 6;
    shift * 64 + (ms >> shift) as u32
}

fn middle(bucket: u32) -> f64 {
    if u64::from(bucket) < EXACT_MS {
        return f64::from(bucket);
    }
    let shift = bucket / 64 - 1;
    let least = u64::from(bucket - shift * 64) << shift;
    least as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

/// The tasks of a job that are over, the newest first, and occurrences that had
/// none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History(pub VecDeque<PastRun>);

/// A task that is over, or what had none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// The task's id; empty where there was none.
    pub task_id: String,
    /// When it was due.
    pub due_ms: i64,
    /// Which attempt.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began to run.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: i64,
    /// The agent.
    pub agent_id: String,
    /// Its host.
    pub hostname: String,
    /// What there is to say.
    pub message: String,
    /// How many occurrences this speaks of.
    pub occurrences: u64,
    /// How many elements were processed.
    pub elements: u64,
    /// Where its output is.
    pub sandbox: Option<Sandbox>,
}

/// Where the output of a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Where the agent answers.
    pub agent_url: String,
    /// The executor that ran the task.
    pub executor_id: String,
    /// Its container.
    pub container_id: String,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// Because somebody wanted it.
    Killed,
    /// It never ran.
    Missed,
    /// Nobody knows: its agent was out of reach for too long.
    Lost,
}

impl Outcome {
    /// As it is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Killed => "killed",
            Self::Missed => "missed",
            Self::Lost => "lost",
        }
    }
}

impl History {
    /// Adds what is over now, and drops what is more than is remembered.
    pub fn add(&mut self, past: PastRun, successes: usize, others: usize) {
        self.0.push_front(past);
        let mut seen = [0, 0];
        self.0.retain(|past| {
            let kind = usize::from(past.outcome != Outcome::Success);
            seen[kind] += 1;
            seen[kind] <= [successes, others][kind]
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_one_part_in_sixty_four() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile_ms(0.5), 0.0);
        for ms in 1..=100_000 {
            durations.record(ms);
        }
        for quantile in [0.001, 0.5, 0.75, 0.95, 0.98, 0.99, 1.0] {
            let right = quantile * 100_000.0;
            let told = durations.quantile_ms(quantile);
            assert!((told - right).abs() <= right / 64.0, "{quantile}: {told}");
        }
        assert_eq!(durations.count(), 100_000);
        assert!((durations.mean_ms() - 50_000.5).abs() < 1.0);
        durations.record(-5);
        durations.record(i64::MAX);
        assert!(durations.quantile_ms(1.0) > 9e18);
    }

    #[test]
    fn successes_and_the_rest_are_remembered_apart() {
        let past = |outcome, due_ms| PastRun {
            task_id: String::new(),
            due_ms,
            attempt: 0,
            outcome,
            started_ms: None,
            ended_ms: 0,
            agent_id: String::new(),
            hostname: String::new(),
            message: String::new(),
            occurrences: 1,
            elements: 0,
            sandbox: None,
        };
        let mut history = History::default();
        history.add(past(Outcome::Failure, 0), 2, 1);
        for due_ms in 1..10 {
            history.add(past(Outcome::Success, due_ms), 2, 1);
        }
        let due: Vec<i64> = history.0.iter().map(|it| it.due_ms).collect();
        assert_eq!(due, [9, 8, 0]);
    }
}
