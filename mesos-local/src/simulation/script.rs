//! How the processes of tasks behave.

use std::time::Duration;

use super::Dice;
use crate::agent::ExitStatus;

/// A process that is about to be started.
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    /// The task's id.
    pub task_id: &'a str,
    /// The command line, or the program, that would be run.
    pub command: &'a str,
}

/// What becomes of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// How long it takes to start; fetching and the making of the sandbox
    /// included.
    pub starts_in: Duration,
    /// After which time it ends by itself, and how; never when `None`.
    pub ends: Option<(Duration, ExitStatus)>,
    /// How long after SIGTERM it ends; it takes a SIGKILL when `None`.
    pub terminates_in: Option<Duration>,
}

impl Script {
    /// Runs for some time and exits with a status.
    #[must_use]
    pub fn runs_for(time: Duration, status: i32) -> Self {
        Self {
            starts_in: Duration::from_millis(50),
            ends: Some((time, ExitStatus::Exited(status))),
            terminates_in: Some(Duration::from_millis(20)),
        }
    }

    /// Runs until it is killed.
    #[must_use]
    pub fn runs_for_ever() -> Self {
        Self {
            ends: None,
            ..Self::runs_for(Duration::ZERO, 0)
        }
    }

    /// The script of whoever does not write one: some seconds or minutes, now
    /// and then a failure, now and then one that does not heed SIGTERM.
    #[must_use]
    pub fn drawn(dice: &mut Dice) -> Self {
        let status = i32::from(dice.permille(100));
        let time = dice.around(Duration::from_secs(60));
        Self {
            starts_in: dice.around(Duration::from_millis(500)),
            ends: Some((time, ExitStatus::Exited(status))),
            terminates_in: (!dice.permille(50)).then(|| dice.around(Duration::from_millis(200))),
        }
    }
}
