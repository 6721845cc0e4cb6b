//! A Docker engine: the requests that an agent makes of it, each with a limit
//! of time, and what went wrong in words for a task's status.

use std::error::Error as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::errors::Error as ClientError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use mesos_sdk::v1;

use super::reference::Reference;
use super::{ContainerPlan, EngineAddress, Image, inspect};

/// How long the engine may take to begin an answer.
const ANSWER_SECS: u64 = 120;
/// Between two tries to hear how a container fares.
const RETRY: Duration = Duration::from_secs(1);
/// After so many of them it is given up.
const MAX_RETRIES: u32 = 30;

/// One engine. It need not be there before the first container is wanted.
#[derive(Debug)]
pub(crate) struct Engine {
    address: EngineAddress,
    /// Speaks the version that engine and client both know.
    client: Mutex<Option<Docker>>,
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// It is not there.
    #[error("Cannot connect to the Docker daemon at {address}: {cause}")]
    Unreachable {
        /// Where it should be.
        address: EngineAddress,
        /// What happened instead.
        cause: String,
    },
    /// It would not.
    #[error("Error response from daemon: {message}")]
    Refused {
        /// The status of HTTP; none when it came late, in the answer's body.
        status: Option<u16>,
        /// Its own words.
        message: String,
    },
    /// It began no answer in time.
    #[error("the Docker daemon at {0} does not answer")]
    Silent(EngineAddress),
}

impl EngineError {
    fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: Some(404),
                ..
            }
        )
    }
}

impl Engine {
    pub(crate) fn new(address: EngineAddress) -> Self {
        Self {
            address,
            client: Mutex::new(None),
        }
    }

    pub(crate) fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// A client that has agreed on a version with the engine.
    async fn client(&self) -> Result<Docker, EngineError> {
        if let Some(client) = &*self.client.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(client.clone());
        }
        let version = bollard::API_DEFAULT_VERSION;
        let client = match &self.address {
            EngineAddress::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), ANSWER_SECS, version)
            }
            EngineAddress::Tcp(authority) => {
                Docker::connect_with_http(&format!("http://{authority}"), ANSWER_SECS, version)
            }
        };
        let client = client.map_err(|error| self.error(error))?;
        let client = client
            .negotiate_version()
            .await
            .map_err(|error| self.error(error))?;
        let mut known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(client.clone());
        Ok(client)
    }

    fn error(&self, error: ClientError) -> EngineError {
        let address = self.address.clone();
        match error {
            ClientError::DockerResponseServerError {
                status_code,
                message,
            } => EngineError::Refused {
                status: Some(status_code),
                message: message.trim().to_owned(),
            },
            ClientError::DockerStreamError { error } => EngineError::Refused {
                status: None,
                message: error,
            },
            ClientError::RequestTimeoutError => EngineError::Silent(address),
            ClientError::SocketNotFoundError(_) => EngineError::Unreachable {
                address,
                cause: "No such file or directory".to_owned(),
            },
            error => {
                // The last cause says what the others only wrap.
                let mut cause = error.to_string();
                let mut source = error.source();
                while let Some(inner) = source {
                    cause = inner.to_string();
                    source = inner.source();
                }
                EngineError::Unreachable { address, cause }
            }
        }
    }

    /// Sees to it that the engine has an image. The error is the text of a
    /// task's status.
    pub(super) async fn prepare(&self, image: &Image) -> Result<(), String> {
        // The words of the command with which one would try it.
        let pull = |error: &dyn std::fmt::Display| {
            format!(
                "Failed to run 'docker -H {} pull {}': exited with status 1; stderr='{error}\n'",
                self.address,
                Reference::full(&image.name)
            )
        };
        let reference = Reference::parse(&image.name).map_err(|error| pull(&error))?;
        let client = self.client().await.map_err(|error| error.to_string())?;
        if !image.force_pull {
            match client.inspect_image(&image.name).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let error = self.error(error);
                    if !error.is_missing() {
                        return Err(error.to_string());
                    }
                }
            }
        }
        let options = CreateImageOptionsBuilder::default()
            .from_image(&reference.repository)
            .tag(&reference.version)
            .build();
        let mut progress = client.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            step.map_err(|error| pull(&self.error(error)))?;
        }
        Ok(())
    }

    pub(super) async fn create(&self, plan: &ContainerPlan) -> Result<(), EngineError> {
        let options = CreateContainerOptionsBuilder::default()
            .name(&plan.name)
            .build();
        self.client()
            .await?
            .create_container(Some(options), plan.body.clone())
            .await
            .map(drop)
            .map_err(|error| self.error(error))
    }

    /// What a container will write.
    pub(super) async fn attach(&self, name: &str) -> Result<AttachContainerResults, EngineError> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdout(true)
            .stderr(true)
            .build();
        self.client()
            .await?
            .attach_container(name, Some(options))
            .await
            .map_err(|error| self.error(error))
    }

    pub(super) async fn start(&self, name: &str) -> Result<(), EngineError> {
        self.client()
            .await?
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(|error| self.error(error))
    }

    pub(super) async fn inspect(&self, name: &str) -> Result<String, EngineError> {
        let answer = inspect::inspect(&self.address, name).await;
        answer.map_err(|cause| EngineError::Unreachable {
            address: self.address.clone(),
            cause,
        })
    }

    /// Waits for a container's end and gives its exit status. The engine may be
    /// gone for a while meanwhile.
    pub(super) async fn wait(&self, name: &str) -> Result<i32, EngineError> {
        let mut retries = 0;
        loop {
            let error = match self.wait_once(name).await {
                Ok(code) => return Ok(code),
                Err(error) => error,
            };
            retries += 1;
            if error.is_missing() || retries > MAX_RETRIES {
                return Err(error);
            }
            if matches!(error, EngineError::Silent(_)) {
                // An engine that answers at the end only.
                retries = 0;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn wait_once(&self, name: &str) -> Result<i32, EngineError> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let client = self.client().await?;
        let mut answers = std::pin::pin!(client.wait_container(name, Some(options)));
        let code = match answers.next().await {
            Some(Ok(answer)) => answer.status_code,
            // A status other than 0 counts as an error to the client.
            Some(Err(ClientError::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(self.error(error)),
            None => {
                return Err(EngineError::Unreachable {
                    address: self.address.clone(),
                    cause: "the connection was closed".to_owned(),
                });
            }
        };
        Ok(i32::try_from(code).unwrap_or(i32::MAX))
    }

    pub(super) async fn kill(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        self.client()
            .await?
            .kill_container(name, Some(options))
            .await
            .map_err(|error| self.error(error))
    }

    /// Removes a container with its anonymous volumes, running or not.
    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let client = self.client().await?;
        match client.remove_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) => match self.error(error) {
                error if error.is_missing() => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Runs a command in a container and gives its exit status.
    pub(super) async fn exec(
        &self,
        name: &str,
        command: &v1::CommandInfo,
    ) -> Result<Option<i32>, EngineError> {
        let value = command.value.clone().unwrap_or_default();
        let words = if command.shell() {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), value]
        } else {
            std::iter::once(value)
                .chain(command.arguments.clone())
                .collect()
        };
        let mut variables = Vec::new();
        crate::agent::environment::add_variables(&mut variables, command.environment.as_ref());
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(words),
            env: Some(
                variables
                    .into_iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect(),
            ),
            ..CreateExecOptions::default()
        };
        let client = self.client().await?;
        let refuse = |error| self.error(error);
        let exec = client.create_exec(name, options).await.map_err(refuse)?;
        if let StartExecResults::Attached { mut output, .. } =
            client.start_exec(&exec.id, None).await.map_err(refuse)?
        {
            // Ends when the command does.
            while output.next().await.is_some() {}
        }
        let end = client.inspect_exec(&exec.id).await.map_err(refuse)?;
        Ok(end.exit_code.and_then(|code| i32::try_from(code).ok()))
    }
}

/// The status with which `docker run` exits when a container did not start.
pub(super) fn run_status(error: &EngineError) -> i32 {
    let EngineError::Refused { message, .. } = error else {
        return 125;
    };
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if has(&["executable file not found", "no such file or directory"]) {
        127
    } else if has(&["permission denied", "not a directory"]) {
        126
    } else {
        125
    }
}

/// Adds what `docker run` would have said to the sandbox.
pub(super) fn complain(directory: &Path, error: &EngineError) {
    crate::agent::sandbox::complain(directory, &format!("docker: {error}"));
}
