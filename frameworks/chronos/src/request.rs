//! What can be asked of Chronos, and what is answered.

use std::sync::Arc;

use crate::job::Job;
use crate::progress::Progress;

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Request {
    /// A job is to be as it is said here.
    Put {
        /// The job.
        job: Arc<Job>,
        /// What became of it elsewhere; of use for jobs that are new here.
        progress: Arc<Progress>,
    },
    /// A job is to be no more.
    Delete(String),
    /// A job is to run now.
    Force {
        /// The job.
        job: String,
        /// With these arguments in place of its own.
        arguments: Option<String>,
    },
    /// A job is to be taken for having run well.
    MarkSuccess(String),
    /// The tasks of a job are to end.
    Kill {
        /// The job.
        job: String,
        /// Whether what waits of it is dropped, too.
        with_waiting: bool,
    },
    /// Somebody tells how a task went; 0 is well.
    Complete {
        /// The task's id.
        task_id: String,
        /// How it went.
        status: i64,
    },
    /// Whatever waits is dropped.
    Purge,
    /// A task has processed more elements.
    Processed {
        /// The job.
        job: String,
        /// The task's id.
        task_id: String,
        /// How many more.
        elements: u64,
    },
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// It is not done, as what was asked cannot be.
    Refused(String),
    /// It is not done, as there is no such job.
    NoJob(String),
}
