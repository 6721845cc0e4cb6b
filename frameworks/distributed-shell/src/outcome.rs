//! How a command ended, read from its task's last status, and what the whole
//! run exits with because of it.

use std::fmt;

use mesos_sdk::v1::TaskState;

/// How one command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and exited with this status.
    Exited(u8),
    /// It ran and this signal ended it.
    Signaled(u8),
    /// It did not run, or the cluster ended it; the text says why.
    Failed(String),
    /// Its time was over.
    TimedOut,
    /// We were interrupted.
    Interrupted,
}

impl Outcome {
    /// Reads the outcome out of a terminal status. The command executor tells
    /// the exit in words: `Command exited with status 3`, `Command terminated
    /// with signal Killed`.
    pub(crate) fn of(state: TaskState, message: &str) -> Self {
        if let Some(status) = word_after(message, "exited with status ")
            && let Ok(status) = status.parse()
        {
            return Self::Exited(status);
        }
        if let Some(at) = message.find("terminated with signal ") {
            let name = &message[at + "terminated with signal ".len()..];
            if let Some(signal) = signal_number(name) {
                return Self::Signaled(signal);
            }
        }
        if state == TaskState::TaskFinished {
            return Self::Exited(0);
        }
        let state = state.as_str_name();
        Self::Failed(if message.is_empty() {
            state.to_owned()
        } else {
            format!("{state}: {message}")
        })
    }

    pub(crate) fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// As a shell tells it in `$?`, for a run of one command.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Exited(status) => *status,
            Self::Signaled(signal) => 128_u8.saturating_add(*signal),
            Self::Failed(_) => 125,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signaled(signal) => write!(f, "was ended by signal {signal}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::TimedOut => f.write_str("ran out of time"),
            Self::Interrupted => f.write_str("was interrupted"),
        }
    }
}

/// What the process exits with: the command's own status when there is one
/// command, else the number that failed, at most 101.
pub(crate) fn exit_status<'a>(outcomes: impl ExactSizeIterator<Item = &'a Outcome>) -> u8 {
    let several = outcomes.len() != 1;
    let mut failed = 0_u8;
    for outcome in outcomes {
        if !several {
            return outcome.exit_status();
        }
        if !outcome.is_success() {
            failed = failed.saturating_add(1);
        }
    }
    failed.min(101)
}

fn word_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    rest.split(|c: char| !c.is_ascii_digit()).next()
}

/// The names that libc gives signals, which is how Mesos spells them.
fn signal_number(name: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 16] = [
        ("Hangup", 1),
        ("Interrupt", 2),
        ("Quit", 3),
        ("Illegal instruction", 4),
        ("Trace/breakpoint trap", 5),
        ("Aborted", 6),
        ("Bus error", 7),
        ("Floating point exception", 8),
        ("Killed", 9),
        ("User defined signal 1", 10),
        ("Segmentation fault", 11),
        ("User defined signal 2", 12),
        ("Broken pipe", 13),
        ("Alarm clock", 14),
        ("Terminated", 15),
        ("CPU time limit exceeded", 24),
    ];
    NAMES
        .iter()
        .find(|(known, _)| name.starts_with(known))
        .map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_exit_status_out_of_the_message() {
        let failed = |message| Outcome::of(TaskState::TaskFailed, message);
        assert_eq!(failed("Command exited with status 3"), Outcome::Exited(3));
        assert_eq!(
            failed("Command terminated with signal Killed"),
            Outcome::Signaled(9)
        );
        assert_eq!(
            failed("Container could not be launched"),
            Outcome::Failed("TASK_FAILED: Container could not be launched".into())
        );
        assert_eq!(Outcome::of(TaskState::TaskFinished, ""), Outcome::Exited(0));
    }

    #[test]
    fn one_command_gives_its_own_status() {
        assert_eq!(exit_status([Outcome::Exited(3)].iter()), 3);
        assert_eq!(exit_status([Outcome::Signaled(9)].iter()), 137);
    }

    #[test]
    fn several_commands_give_the_number_that_failed() {
        let outcomes = [Outcome::Exited(0), Outcome::Exited(7), Outcome::TimedOut];
        assert_eq!(exit_status(outcomes.iter()), 2);
        let many = vec![Outcome::Exited(1); 300];
        assert_eq!(exit_status(many.iter()), 101);
    }
}
