//! What an agent tells an executor in its environment
//! (`docs/executor-http-api.md`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mesos_proto::v1;

use super::token::{self, TOKEN_VARIABLE};
use crate::address::HostAddress;
use crate::credentials::Credentials;
use crate::{duration, ids};

/// Where the executor API answers, below the name of the agent's process.
const PATH: &str = "/api/v1/executor";

/// The environment of an executor. `Debug` does not show the token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExecutorEnvironment {
    /// `MESOS_FRAMEWORK_ID`.
    pub framework_id: v1::FrameworkId,
    /// `MESOS_EXECUTOR_ID`.
    pub executor_id: v1::ExecutorId,
    /// `MESOS_SLAVE_ID`.
    pub agent_id: Option<v1::AgentId>,
    /// The agent: `MESOS_AGENT_ENDPOINT`, or the address in `MESOS_SLAVE_PID`.
    pub agent: HostAddress,
    /// The path of the executor API. It has the name of the agent's process
    /// from `MESOS_SLAVE_PID`, which agents want on their domain socket.
    pub path: String,
    /// `MESOS_DOMAIN_SOCKET`: the way to the agent when it is there.
    pub domain_socket: Option<PathBuf>,
    /// `MESOS_SANDBOX` as the executor sees it, else `MESOS_DIRECTORY`.
    pub sandbox: Option<PathBuf>,
    /// `MESOS_CHECKPOINT`: whether the executor outlives its agent's restart.
    pub is_checkpointing: bool,
    /// `MESOS_RECOVERY_TIMEOUT`: how long it waits for its agent.
    pub recovery_timeout: Duration,
    /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`: the longest wait between two tries.
    pub subscription_backoff_max: Duration,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`: how long it has when it is told
    /// to end, before it is killed.
    pub shutdown_grace_period: Duration,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`.
    pub credentials: Option<Credentials>,
}

/// An environment that is not an executor's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A variable that agents set is absent: this process was not started by
    /// an agent.
    #[error("{variable} is not set: executors are started by an agent")]
    Missing {
        /// Which.
        variable: &'static str,
    },
    /// A variable cannot be read.
    #[error("{variable} is `{value}`: {reason}")]
    Invalid {
        /// Which.
        variable: &'static str,
        /// Its value; never the token's.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be used, or not be taken out of the environment.
    #[error("the executor's token: {reason}")]
    Token {
        /// What went wrong, without the token.
        reason: String,
    },
}

impl ExecutorEnvironment {
    /// Reads the environment of this process. The token, if there is one, stays
    /// in it, and processes that are started inherit it unless they are started
    /// with [`child_command`](super::child_command); see [`take`](Self::take).
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the variable.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        Self::from_vars(std::env::vars_os().filter_map(|(name, value)| {
            // What an agent sets is text.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Reads the environment of this process and takes the token out of it, so
    /// that no task inherits it and nobody sees it in `/proc`. To be called
    /// first in `main`, and once.
    ///
    /// A variable cannot be removed from a running process safely: other threads
    /// may be reading the environment. So when there is a token the process
    /// executes its own program anew, with the same process id and arguments,
    /// an environment without the token, and the token waiting on its standard
    /// input, which is otherwise empty. That is why it comes first: what was
    /// done before is done twice, and only in the second process this function
    /// returns.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the variable, or says why the program could
    /// not be executed anew.
    pub fn take() -> Result<Self, EnvironmentError> {
        if let Some(token) = token::handed_over()? {
            let mut environment = Self::from_env()?;
            environment.credentials = Some(credentials(&token)?);
            return Ok(environment);
        }
        match std::env::var(TOKEN_VARIABLE) {
            Ok(token) => Err(token::execute_anew(&token)),
            Err(_) => Self::from_env(),
        }
    }

    /// Reads an environment that is given.
    ///
    /// ```
    /// use mesos_sdk::executor::ExecutorEnvironment;
    ///
    /// let environment = ExecutorEnvironment::from_vars([
    ///     ("MESOS_FRAMEWORK_ID", "f-1"),
    ///     ("MESOS_EXECUTOR_ID", "e-1"),
    ///     ("MESOS_SLAVE_PID", "slave(1)@10.0.0.7:5051"),
    ///     ("MESOS_CHECKPOINT", "1"),
    ///     ("MESOS_RECOVERY_TIMEOUT", "15mins"),
    /// ])?;
    /// assert_eq!(environment.agent.authority(), "10.0.0.7:5051");
    /// assert_eq!(environment.path, "/slave(1)/api/v1/executor");
    /// assert!(environment.is_checkpointing);
    /// assert_eq!(environment.recovery_timeout.as_secs(), 900);
    /// # Ok::<(), mesos_sdk::executor::EnvironmentError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the variable.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, EnvironmentError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let vars = vars.into_iter().map(|(k, v)| (k.into(), v.into()));
        let vars = Vars(vars.filter(|(_, value)| !value.is_empty()).collect());
        let pid = vars
            .get("MESOS_SLAVE_PID")
            .and_then(|pid| pid.split_once('@'));
        let (variable, endpoint) = match (vars.get("MESOS_AGENT_ENDPOINT"), pid) {
            (Some(endpoint), _) => ("MESOS_AGENT_ENDPOINT", endpoint),
            (None, Some((_, endpoint))) => ("MESOS_SLAVE_PID", endpoint),
            (None, None) => {
                return Err(EnvironmentError::Missing {
                    variable: "MESOS_AGENT_ENDPOINT",
                });
            }
        };
        let mut agent: HostAddress = endpoint
            .parse()
            .map_err(|error| invalid(variable, endpoint, error))?;
        agent.is_https = ["LIBPROCESS_SSL_ENABLED", "SSL_ENABLED"]
            .iter()
            .any(|name| matches!(vars.get(name), Some("1" | "true")));
        Ok(Self {
            framework_id: ids::framework_id(vars.required("MESOS_FRAMEWORK_ID")?),
            executor_id: ids::executor_id(vars.required("MESOS_EXECUTOR_ID")?),
            agent_id: vars.get("MESOS_SLAVE_ID").map(ids::agent_id),
            agent,
            path: pid.map_or_else(|| PATH.to_owned(), |(name, _)| format!("/{name}{PATH}")),
            domain_socket: vars.get("MESOS_DOMAIN_SOCKET").map(PathBuf::from),
            sandbox: vars
                .get("MESOS_SANDBOX")
                .or_else(|| vars.get("MESOS_DIRECTORY"))
                .map(PathBuf::from),
            is_checkpointing: matches!(vars.get("MESOS_CHECKPOINT"), Some("1" | "true")),
            recovery_timeout: vars.duration("MESOS_RECOVERY_TIMEOUT", 15 * 60)?,
            subscription_backoff_max: vars.duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", 2)?,
            shutdown_grace_period: vars.duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", 5)?,
            credentials: vars.get(TOKEN_VARIABLE).map(credentials).transpose()?,
        })
    }
}

/// The variables that are set to something.
struct Vars(BTreeMap<String, String>);

impl Vars {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn required(&self, variable: &'static str) -> Result<&str, EnvironmentError> {
        self.get(variable)
            .ok_or(EnvironmentError::Missing { variable })
    }

    fn duration(
        &self,
        variable: &'static str,
        default_secs: u64,
    ) -> Result<Duration, EnvironmentError> {
        match self.get(variable) {
            Some(text) => duration::parse(text).map_err(|error| invalid(variable, text, error)),
            None => Ok(Duration::from_secs(default_secs)),
        }
    }
}

fn invalid(variable: &'static str, value: &str, reason: impl fmt::Display) -> EnvironmentError {
    EnvironmentError::Invalid {
        variable,
        value: value.to_owned(),
        reason: reason.to_string(),
    }
}

fn credentials(token: &str) -> Result<Credentials, EnvironmentError> {
    Credentials::bearer(token).map_err(|error| EnvironmentError::Token {
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: [(&str, &str); 3] = [
        ("MESOS_FRAMEWORK_ID", "f-1"),
        ("MESOS_EXECUTOR_ID", "e-1"),
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:7051"),
    ];

    fn with(more: &[(&str, &str)]) -> Result<ExecutorEnvironment, EnvironmentError> {
        ExecutorEnvironment::from_vars(BASE.iter().chain(more).copied())
    }

    #[test]
    fn an_environment_of_a_real_agent_is_read() {
        // As recorded in `executor-environment`.
        let environment = with(&[
            ("MESOS_CHECKPOINT", "1"),
            ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            ("MESOS_RECOVERY_TIMEOUT", "15mins"),
            ("MESOS_SANDBOX", "/sandbox"),
            ("MESOS_DIRECTORY", "/var/lib/mesos/runs/1"),
            ("MESOS_SLAVE_ID", "a-1"),
            ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:7051"),
        ])
        .unwrap();
        assert_eq!(environment.framework_id.value, "f-1");
        assert_eq!(environment.executor_id.value, "e-1");
        assert_eq!(environment.agent_id.unwrap().value, "a-1");
        assert_eq!(environment.agent, HostAddress::http("127.0.0.1", 7051));
        assert_eq!(environment.path, "/slave(1)/api/v1/executor");
        assert_eq!(environment.sandbox.unwrap(), PathBuf::from("/sandbox"));
        assert!(environment.is_checkpointing);
        assert_eq!(environment.recovery_timeout, Duration::from_secs(900));
        assert_eq!(environment.subscription_backoff_max, Duration::from_secs(2));
        assert_eq!(environment.shutdown_grace_period, Duration::from_secs(5));
        assert!(environment.credentials.is_none() && environment.domain_socket.is_none());
    }

    #[test]
    fn checkpointing_is_written_as_a_digit() {
        for (text, expected) in [("1", true), ("0", false), ("true", true), ("false", false)] {
            let environment = with(&[("MESOS_CHECKPOINT", text)]).unwrap();
            assert_eq!(environment.is_checkpointing, expected, "{text}");
        }
        assert!(!with(&[]).unwrap().is_checkpointing);
    }

    #[test]
    fn an_agent_that_speaks_tls_is_spoken_to_with_tls() {
        for name in ["LIBPROCESS_SSL_ENABLED", "SSL_ENABLED"] {
            for (text, expected) in [("1", true), ("true", true), ("0", false)] {
                let environment = with(&[(name, text)]).unwrap();
                assert_eq!(environment.agent.is_https, expected, "{name}={text}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let no_agent = ExecutorEnvironment::from_vars(BASE[..2].to_vec()).unwrap_err();
        assert_eq!(
            no_agent.to_string(),
            "MESOS_AGENT_ENDPOINT is not set: executors are started by an agent"
        );
        let no_id = ExecutorEnvironment::from_vars(BASE[1..].to_vec()).unwrap_err();
        assert!(no_id.to_string().starts_with("MESOS_FRAMEWORK_ID"));
        let error = with(&[("MESOS_RECOVERY_TIMEOUT", "15 fortnights")]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("MESOS_RECOVERY_TIMEOUT is `15 fortnights`")
        );
    }

    #[test]
    fn the_token_is_sent_and_never_shown() {
        let environment = with(&[(TOKEN_VARIABLE, "s3cret")]).unwrap();
        assert!(!format!("{environment:?}").contains("s3cret"));
        let header = environment.credentials.unwrap().authorization();
        assert_eq!(header.to_str().unwrap(), "Bearer s3cret");
        let error = with(&[(TOKEN_VARIABLE, "s3cret\nx")]).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
