//! What goes into a step, and what comes out of it.

use mesos_sdk::v1;

use crate::job::Job;
use crate::request::{Reply, Request};
use crate::state::Change;

/// What happens to Chronos.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody wants something; the number names who waits for the reply.
    Request(u64, Request),
    /// Offers of agents.
    Offers(Vec<v1::Offer>),
    /// An offer that is no more.
    Rescind(String),
    /// What became of a task.
    Update(Box<v1::TaskStatus>),
    /// Launches that have certainly not been made, by the ids of their tasks.
    NotLaunched(Vec<String>),
    /// The master took the framework in.
    Subscribed {
        /// The framework's id.
        framework_id: String,
    },
    /// The connection to the master is gone, and with it all offers.
    Disconnected,
    /// Nothing but time.
    Wake,
}

/// What a step asks for. The changes are saved before anything else of it is
/// done.
#[derive(Debug, Default)]
pub struct Effects {
    /// What is stored.
    pub changes: Vec<Change>,
    /// What those who asked are answered.
    pub replies: Vec<(u64, Reply)>,
    /// What the master is told.
    pub calls: Vec<Call>,
    /// What owners are told.
    pub notices: Vec<Notice>,
    /// What is counted.
    pub facts: Vec<Fact>,
    /// When to step again though nothing happens.
    pub wake_at: Option<i64>,
}

/// What the master is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Launches tasks.
    Launch {
        /// The offers that are used, all of one agent.
        offers: Vec<String>,
        /// The tasks.
        tasks: Vec<v1::TaskInfo>,
    },
    /// Gives offers back.
    Decline {
        /// Their ids.
        offers: Vec<String>,
        /// For how long the like are not to be made.
        refuse_seconds: f64,
    },
    /// Ends a task.
    Kill {
        /// Its id.
        task_id: String,
        /// Where it is, if that is known.
        agent_id: Option<String>,
    },
    /// Asks what became of tasks.
    Reconcile {
        /// Their ids, and those of their agents.
        tasks: Vec<(String, String)>,
    },
    /// Nothing is wanted for now.
    Suppress,
    /// Something is wanted.
    Revive,
}

/// What an owner is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The job, as it was then.
    pub job: std::sync::Arc<Job>,
    /// One line.
    pub subject: String,
    /// All there is to say.
    pub message: String,
    /// What became of the job so far.
    pub progress: std::sync::Arc<crate::progress::Progress>,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The job was deleted.
    Removed,
    /// It was disabled after failures.
    Disabled,
    /// A run has failed for good.
    Failed,
    /// A run went well.
    Succeeded,
    /// A run is late or was missed.
    Overdue,
    /// A run went well after some that did not.
    Recovered,
}

/// Something that is counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A task was launched, so long after it was due.
    Launched {
        /// How late, in milliseconds.
        late_ms: i64,
    },
    /// A run went well.
    Succeeded {
        /// Of this job.
        job: String,
        /// How long the task ran, in milliseconds.
        took_ms: i64,
    },
    /// An attempt has failed.
    Failed {
        /// Of this job.
        job: String,
    },
    /// Occurrences did not run.
    Missed {
        /// How many.
        count: u64,
    },
    /// So many runs wait: those that go first, and the others.
    Queue {
        /// Those that go first.
        high: usize,
        /// The others.
        normal: usize,
    },
}
