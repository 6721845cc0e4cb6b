//! What is stored, as keys and values.

use std::sync::Arc;

use mesos_service::store::InvalidEntity;
use serde::Serialize;

use crate::job::Job;
use crate::progress::{History, Progress};
use crate::run::{Run, RunId};

/// A key has this value from now on, or none. Repeating it is harmless.
#[derive(Clone, Debug)]
pub enum Change {
    /// The framework's id.
    Framework(Option<String>),
    /// How many runs were made.
    RunsMade(u64),
    /// A job.
    Job(String, Option<Arc<Job>>),
    /// What became of it so far.
    Progress(String, Option<Arc<Progress>>),
    /// Its tasks that are over.
    History(String, Option<Arc<History>>),
    /// A run that is not over.
    Run(RunId, Option<Arc<Run>>),
}

impl Change {
    /// As it is stored: a key, and what it holds from now on, or nothing.
    #[must_use]
    pub fn encode(&self) -> (String, Option<Vec<u8>>) {
        match self {
            Self::Framework(id) => ("framework-id".to_owned(), json(id.as_ref())),
            Self::RunsMade(count) => ("runs-made".to_owned(), json(Some(count))),
            Self::Job(name, job) => (format!("job/{name}"), json(job.as_ref())),
            Self::Progress(name, it) => (format!("progress/{name}"), json(it.as_ref())),
            Self::History(name, it) => (format!("history/{name}"), json(it.as_ref())),
            Self::Run(id, run) => (format!("run/{id}"), json(run.as_ref())),
        }
    }

    /// What was stored.
    ///
    /// # Errors
    ///
    /// When it is none of ours.
    pub fn decode(key: &str, value: &[u8]) -> Result<Self, InvalidEntity> {
        Self::read(key, value).map_err(|reason| InvalidEntity::new(key, reason))
    }

    fn read(key: &str, value: &[u8]) -> Result<Self, Box<dyn std::error::Error>> {
        use serde_json::from_slice as read;
        let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
        let name = || rest.to_owned();
        Ok(match kind {
            "framework-id" => Self::Framework(read(value)?),
            "runs-made" => Self::RunsMade(read(value)?),
            "job" => Self::Job(name(), read(value)?),
            "progress" => Self::Progress(name(), read(value)?),
            "history" => Self::History(name(), read(value)?),
            "run" => Self::Run(RunId(rest.parse()?), read(value)?),
            _ => return Err("no entity has such a key".into()),
        })
    }
}

fn json<T: Serialize>(value: Option<&T>) -> Option<Vec<u8>> {
    value.map(|value| serde_json::to_vec(value).expect("keys are text and numbers are finite"))
}
