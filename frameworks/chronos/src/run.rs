//! A run: one execution of a job, in as many attempts as it takes, each of which
//! is a task.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::job::Job;

/// Names a run. Numbers are given out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The longest a task's id may be: a sandbox is a directory of that name.
const MAX_TASK_ID: usize = 240;

/// One execution of a job that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The job.
    pub job: String,
    /// When it was due.
    pub due_ms: i64,
    /// The same as its tasks' ids have it; another only where two runs of the
    /// job would be named alike.
    pub id_ms: i64,
    /// Why it runs.
    pub cause: Cause,
    /// Arguments in place of the job's.
    pub arguments: Option<String>,
    /// Which attempt this is, from 0.
    pub attempt: u32,
    /// How many attempts have failed.
    pub failures: u32,
    /// How many tasks were never started through no fault of theirs.
    pub drops: u32,
    /// How many other occurrences it stands for.
    pub collapsed: u64,
    /// When it was made.
    pub created_ms: i64,
    /// It is not launched before.
    pub not_before_ms: i64,
    /// It is not launched later.
    pub expires_ms: Option<i64>,
    /// When its owner is told that it is overdue.
    pub overdue_ms: Option<i64>,
    /// How far it is.
    pub phase: Phase,
}

/// Why a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It is due.
    Schedule,
    /// Its parents have succeeded.
    Parents,
    /// Somebody wanted it.
    Forced,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits: for its time, for another run, for an agent.
    Waiting,
    /// A task of it was launched and is not known to be over.
    Launched(Box<Launched>),
}

/// A task of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launched {
    /// Its id.
    pub task_id: String,
    /// Its agent.
    pub agent_id: String,
    /// The agent's host.
    pub hostname: String,
    /// Where the agent answers, as a URL.
    pub agent_url: Option<String>,
    /// The agent's attributes, where constraints compare them.
    pub attributes: BTreeMap<String, String>,
    /// When it was launched.
    pub launched_ms: i64,
    /// Whether anything was heard of it.
    pub is_heard: bool,
    /// When it was heard to run.
    pub started_ms: Option<i64>,
    /// What runs it.
    pub executor_id: String,
    /// Its container.
    pub container_id: Option<String>,
    /// Since when its agent is out of reach.
    pub unreachable_ms: Option<i64>,
    /// When it was last asked what became of it, as long as that is so.
    #[serde(default)]
    pub asked_ms: Option<i64>,
    /// Why it is to end, and when that was last asked for.
    pub kill: Option<(KillReason, i64)>,
    /// The task is over, and somebody else is to tell how it went.
    pub is_awaited: bool,
    /// What somebody told of how it went: 0 for well.
    pub told: Option<i64>,
    /// How many elements it has processed.
    pub elements: u64,
}

/// Why a task is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillReason {
    /// Somebody wanted it.
    Asked,
    /// It took too long.
    Timeout,
    /// The next run takes its place.
    Replaced,
    /// Its job was deleted.
    Deleted,
}

impl Run {
    /// The id of the present attempt's task:
    /// `ct:<due>:<attempt>:<job>:<arguments>`.
    #[must_use]
    pub fn task_id(&self, job: &Job) -> String {
        let joined = || job.arguments.join(" ");
        let arguments = self.arguments.clone().unwrap_or_else(joined);
        let start = format!("ct:{}:{}:{}:", self.id_ms, self.attempt, self.job);
        let safe = arguments
            .chars()
            .filter(|c| *c != ';')
            .map(|c| if c == '/' || c.is_control() { '_' } else { c });
        let mut id = start;
        for c in safe {
            if id.len() + c.len_utf8() > MAX_TASK_ID {
                break;
            }
            id.push(c);
        }
        id
    }

    /// Whether no task of it was ever launched.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.phase == Phase::Waiting && self.attempt == 0
    }

    /// Its task, if it has one.
    #[must_use]
    pub fn launched(&self) -> Option<&Launched> {
        match &self.phase {
            Phase::Waiting => None,
            Phase::Launched(launched) => Some(launched),
        }
    }

    /// Whether a task of it may be running.
    #[must_use]
    pub fn may_be_running(&self) -> bool {
        self.launched().is_some_and(|it| !it.is_awaited)
    }
}

/// What a task's id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskId<'a> {
    /// Its run's due time, as the id has it.
    pub id_ms: i64,
    /// Which attempt.
    pub attempt: u32,
    /// The job.
    pub job: &'a str,
}

impl<'a> TaskId<'a> {
    /// Reads an id of the form that [`Run::task_id`] makes.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(5, ':');
        if parts.next() != Some("ct") {
            return None;
        }
        let id_ms = parts.next()?.parse().ok()?;
        let attempt = parts.next()?.parse().ok()?;
        let job = parts.next().filter(|job| !job.is_empty())?;
        Some(Self {
            id_ms,
            attempt,
            job,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tasks_say_what_they_are_of() {
        let id = TaskId::parse("ct:1420843781398:0:sample-name:-a 1 -b 2").unwrap();
        assert_eq!((id.id_ms, id.attempt), (1_420_843_781_398, 0));
        assert_eq!(id.job, "sample-name");
        assert!(TaskId::parse("ct:1:2:x").is_some());
        for text in [
            "",
            "ct:",
            "ct:a:0:x:",
            "ct:1:-1:x:",
            "tc:1:0:x:",
            "ct:1:0::",
        ] {
            assert_eq!(TaskId::parse(text), None, "{text}");
        }
    }
}
