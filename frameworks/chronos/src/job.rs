//! A job: what is run, when or after what, and what follows from how it ends.
//! What became of it so far is in [`Progress`](crate::progress::Progress).

mod container;
mod timetable;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use container::{
    Container, ContainerKind, ExternalVolume, NetworkInfo, NetworkMode, Pair, PortMapping, Volume,
    VolumeMode,
};
pub use timetable::{Period, Timetable};

/// A job as it was posted, checked and complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name, by which everything else knows it.
    pub name: String,
    /// What is run; by a shell unless `shell` is false.
    pub command: String,
    /// Whether a shell runs the command.
    pub shell: bool,
    /// Behind the command, or what is run without a shell.
    pub arguments: Vec<String>,
    /// The command of an executor of the job's own; empty for Mesos's.
    pub executor: String,
    /// What stands before the command in the data of such an executor.
    pub executor_flags: String,
    /// The data of such an executor, in place of flags and command.
    pub task_info_data: String,
    /// How many further attempts a run has.
    pub retries: u32,
    /// Mail addresses with commas between.
    pub owner: String,
    /// Whom a person should ask.
    pub owner_name: String,
    /// What it is for.
    pub description: String,
    /// Processors.
    pub cpus: f64,
    /// Memory in MiB.
    pub mem: f64,
    /// Disk in MiB.
    pub disk: f64,
    /// GPUs.
    pub gpus: f64,
    /// Whether it rests.
    pub disabled: bool,
    /// Whether its dependent jobs run after its failures, too.
    pub soft_error: bool,
    /// Whether its tasks tell how many elements they have processed.
    pub data_processing_job_type: bool,
    /// Whether it goes before others.
    pub high_priority: bool,
    /// The user of the agent that it runs as.
    pub run_as_user: String,
    /// Seconds after which a task is ended; 0 for never.
    pub max_completion_time: u64,
    /// What is fetched.
    pub fetch: Vec<Artifact>,
    /// The environment.
    pub environment_variables: Vec<Variable>,
    /// Which agents will do: attribute, operator, value.
    pub constraints: Vec<Vec<String>>,
    /// What it runs in.
    pub container: Option<Container>,
    /// Whether somebody else tells when it is done.
    #[serde(rename = "async")]
    pub is_async: bool,
    /// How late an occurrence may start; later it is missed.
    pub epsilon: Option<Period>,
    /// Whether runs may overlap.
    pub concurrent: bool,
    /// The same with more choice, where it was asked for.
    pub concurrency_policy: Option<Policy>,
    /// Whether each missed occurrence is made up for.
    pub catch_up: bool,
    /// As `epsilon`, in seconds.
    pub starting_deadline_seconds: Option<u64>,
    /// How long a run may wait for an agent.
    pub queue_timeout_seconds: Option<u64>,
    /// Each occurrence starts up to so many seconds later, always the same.
    pub jitter_seconds: u64,
    /// Seconds before the first further attempt.
    pub retry_delay_seconds: Option<f64>,
    /// How many times longer each next delay is.
    pub retry_backoff_factor: Option<f64>,
    /// The longest delay in seconds.
    pub retry_delay_max_seconds: Option<f64>,
    /// Whether a run whose agent is out of reach for too long is tried again
    /// though its task may still run.
    pub retry_unreachable: bool,
    /// How many tasks that went well are remembered.
    pub successful_runs_history_limit: Option<u32>,
    /// How many others are.
    pub failed_runs_history_limit: Option<u32>,
    /// What its owner is told, beside what everybody is.
    pub notify_on: BTreeSet<NotifyOn>,
    /// After how many seconds a run that waits is overdue.
    pub overdue_after_seconds: Option<u64>,
    /// What makes it run.
    pub trigger: Trigger,
}

/// What makes a job run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// Time.
    Schedule(Timetable),
    /// The success of all these jobs.
    Parents(BTreeSet<String>),
}

/// Nothing starts in no time: what is less late than this is in time, however
/// little is asked for.
const LEAST_LATENESS_MS: i64 = 1000;

/// What happens when a job is due while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// It runs beside itself.
    Allow,
    /// It runs as soon as the run before has ended.
    Forbid,
    /// The run before is ended first.
    Replace,
}

impl Policy {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Forbid => "Forbid",
            Self::Replace => "Replace",
        }
    }
}

/// Something that owners may want to be told. Failures, deletions and that a job
/// was disabled are told in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyOn {
    /// A run went well.
    Success,
    /// A run has not started in time.
    Overdue,
    /// A run went well after some that did not.
    Recovery,
}

/// Something that is fetched before a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// From where.
    pub uri: String,
    /// Under which name, if not its own.
    #[serde(default)]
    pub output_file: String,
    /// Whether it may be run.
    #[serde(default)]
    pub executable: bool,
    /// Whether the agent keeps it.
    #[serde(default)]
    pub cache: bool,
    /// Whether archives are unpacked.
    pub extract: bool,
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Job {
    /// What happens when it is due while it runs.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match (self.concurrency_policy, self.concurrent) {
            (Some(policy), _) => policy,
            (None, true) => Policy::Allow,
            (None, false) => Policy::Forbid,
        }
    }

    /// How many milliseconds after it is due a run may start; a second in any
    /// case.
    #[must_use]
    pub fn lateness_ms(&self) -> Option<i64> {
        let epsilon = self.epsilon.as_ref().map(Period::as_millis);
        let deadline = self.starting_deadline_seconds.map(seconds_to_ms);
        match (epsilon, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
        .map(|lateness| lateness.max(LEAST_LATENESS_MS))
    }

    /// Its timetable, if time makes it run.
    #[must_use]
    pub fn timetable(&self) -> Option<&Timetable> {
        match &self.trigger {
            Trigger::Schedule(timetable) => Some(timetable),
            Trigger::Parents(_) => None,
        }
    }

    /// The jobs that it runs after.
    pub fn parents(&self) -> impl Iterator<Item = &String> {
        let parents = match &self.trigger {
            Trigger::Schedule(_) => None,
            Trigger::Parents(parents) => Some(parents),
        };
        parents.into_iter().flatten()
    }

    /// Milliseconds before the next attempt after so many failures.
    #[must_use]
    pub fn retry_delay_ms(&self, failures: u32, default_ms: i64) -> i64 {
        let default = default_ms as f64 / 1000.0;
        let first = self.retry_delay_seconds.unwrap_or(default);
        let factor = self.retry_backoff_factor.unwrap_or(1.0);
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let most = self.retry_delay_max_seconds.unwrap_or(86_400.0).max(0.0);
        let delay = first * factor.powi(exponent);
        // What grows out of all bounds is bounded, infinity included.
        let delay = if delay.is_finite() { delay } else { most };
        (delay.clamp(0.0, most) * 1000.0) as i64
    }
}

/// Seconds as milliseconds, without overflow.
#[must_use]
pub fn seconds_to_ms(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}
