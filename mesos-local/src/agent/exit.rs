//! How a process ended, in the words Mesos has for it.

use std::fmt;

/// A wait status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// It left a core file.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// Exit code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The status as `wait` gives it.
    #[must_use]
    pub fn raw(self) -> i32 {
        match self {
            Self::Exited(code) => (code & 0xff) << 8,
            Self::Signaled {
                signal,
                core_dumped,
            } => signal & 0x7f | i32::from(core_dumped) << 7,
        }
    }
}

impl From<std::process::ExitStatus> for ExitStatus {
    fn from(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signaled {
                signal: signal.unwrap_or_default(),
                core_dumped: status.core_dumped(),
            },
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exited with status {code}"),
            Self::Signaled {
                signal,
                core_dumped,
            } => {
                write!(f, "terminated with signal ")?;
                match signal_name(signal) {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "Unknown signal {signal}")?,
                }
                if core_dumped {
                    f.write_str(" (core dumped)")?;
                }
                Ok(())
            }
        }
    }
}

/// What `strsignal` says on Linux.
fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "Hangup",
        "Interrupt",
        "Quit",
        "Illegal instruction",
        "Trace/breakpoint trap",
        "Aborted",
        "Bus error",
        "Floating point exception",
        "Killed",
        "User defined signal 1",
        "Segmentation fault",
        "User defined signal 2",
        "Broken pipe",
        "Alarm clock",
        "Terminated",
        "Stack fault",
        "Child exited",
        "Continued",
        "Stopped (signal)",
        "Stopped",
        "Stopped (tty input)",
        "Stopped (tty output)",
        "Urgent I/O condition",
        "CPU time limit exceeded",
        "File size limit exceeded",
        "Virtual timer expired",
        "Profiling timer expired",
        "Window changed",
        "I/O possible",
        "Power failure",
        "Bad system call",
    ];
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_as_the_captures_do() {
        let killed = ExitStatus::Signaled {
            signal: 15,
            core_dumped: false,
        };
        assert_eq!(ExitStatus::Exited(3).to_string(), "exited with status 3");
        assert_eq!(killed.to_string(), "terminated with signal Terminated");
        let dumped = ExitStatus::Signaled {
            signal: 11,
            core_dumped: true,
        };
        assert_eq!(
            dumped.to_string(),
            "terminated with signal Segmentation fault (core dumped)"
        );
    }

    #[test]
    fn raw_statuses_are_those_of_wait() {
        assert_eq!(ExitStatus::Exited(7).raw(), 1792);
        let killed = ExitStatus::Signaled {
            signal: 9,
            core_dumped: false,
        };
        assert_eq!(killed.raw(), 9);
    }
}
