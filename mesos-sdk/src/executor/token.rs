//! Keeps the executor's token from the processes it starts.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::EnvironmentError;

/// The variable in which an agent gives an executor its token.
pub const TOKEN_VARIABLE: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// Says that the token waits on standard input, and for which process: its
/// children inherit the variable and are not meant.
const HANDED_OVER: &str = "MESOS_SDK_TOKEN_FOR_PID";

/// A pipe holds this much without a reader.
const LONGEST_TOKEN: usize = 16 * 1024;

/// A command for a task, without the executor's token in its environment.
///
/// Whatever starts processes by other means removes [`TOKEN_VARIABLE`] itself,
/// or begins with [`ExecutorEnvironment::take`](super::ExecutorEnvironment::take).
#[must_use]
pub fn child_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove(TOKEN_VARIABLE).env_remove(HANDED_OVER);
    command
}

/// The token that the program's first execution left for this one.
pub(super) fn handed_over() -> Result<Option<String>, EnvironmentError> {
    let own = std::process::id().to_string();
    if std::env::var(HANDED_OVER).as_deref() != Ok(&*own) {
        return Ok(None);
    }
    let mut token = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST_TOKEN as u64)
        .read_to_string(&mut token)
        .map_err(|error| wrong(&error.to_string()))?;
    if token.is_empty() {
        return Err(wrong("it was taken out of the environment before"));
    }
    Ok(Some(token))
}

/// Executes this program anew; what is returned is why that failed.
pub(super) fn execute_anew(token: &str) -> EnvironmentError {
    match try_execute_anew(token) {
        Ok(error) | Err(error) => wrong(&error.to_string()),
    }
}

fn try_execute_anew(token: &str) -> std::io::Result<std::io::Error> {
    if token.len() >= LONGEST_TOKEN {
        return Ok(std::io::Error::other("it is too long"));
    }
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(token.as_bytes())?;
    drop(writer);
    let mut arguments = std::env::args_os();
    let mut command = child_command(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command
        .args(arguments)
        .env(HANDED_OVER, std::process::id().to_string())
        .stdin(reader);
    // Returns only when it fails.
    Ok(command.exec())
}

fn wrong(reason: &str) -> EnvironmentError {
    EnvironmentError::Token {
        reason: reason.to_owned(),
    }
}
