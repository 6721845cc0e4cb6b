//! Clients of the operator API, as far as frameworks need it: what a master
//! knows, and the files of tasks (`docs/operator-http-api.md`,
//! `docs/sandbox.md`).

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use mesos_proto::v1;
use mesos_proto::v1::{agent, master};

use crate::address::HostAddress;
use crate::client::Encoding;
use crate::credentials::Credentials;
use crate::transport::{self, Transport};

/// Why an operator call gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The server refuses the call.
    #[error("{server} answers {call} with status {status}: {message}")]
    Refused {
        /// `host:port`.
        server: String,
        /// The call.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The body.
        message: String,
    },
    /// The answer cannot be read.
    #[error("the answer of {server} to {call} cannot be read: {reason}")]
    Answer {
        /// `host:port`.
        server: String,
        /// The call.
        call: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may go through later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_retryable(),
            Self::Refused { status, .. } => *status >= 500,
            Self::Answer { .. } => false,
        }
    }
}

#[derive(Debug, Clone)]
struct Client {
    server: HostAddress,
    path: String,
    transport: Transport,
    credentials: Option<Credentials>,
}

impl Client {
    async fn call<C, R>(&self, name: &'static str, call: &C) -> Result<R, Error>
    where
        C: prost::Message + prost::Name + Default,
        R: prost::Message + prost::Name + Default,
    {
        let encoding = Encoding::Protobuf;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, encoding.media_type());
        headers.insert(ACCEPT, encoding.media_type());
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.authorization());
        }
        let body = encoding.encode(call);
        let response = self
            .transport
            .post(&self.server, &self.path, headers, body)
            .await?;
        if !response.status.is_success() {
            return Err(Error::Refused {
                server: self.server.authority(),
                call: name,
                status: response.status.as_u16(),
                message: response.text(),
            });
        }
        encoding
            .decode(response.body)
            .map_err(|reason| Error::Answer {
                server: self.server.authority(),
                call: name,
                reason,
            })
    }
}

/// Asks a master.
#[derive(Debug, Clone)]
pub struct MasterClient(Client);

impl MasterClient {
    /// A client of the master at `server`.
    #[must_use]
    pub fn new(
        server: HostAddress,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Self {
        Self(Client {
            server,
            path: "/api/v1".to_owned(),
            transport,
            credentials,
        })
    }

    /// Makes any call that has no stream for an answer.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn call(&self, call: master::Call) -> Result<master::Response, Error> {
        self.0.call(call.r#type().as_str_name(), &call).await
    }

    async fn get(&self, kind: master::call::Type) -> Result<master::Response, Error> {
        self.call(master::Call {
            r#type: Some(kind as i32),
            ..Default::default()
        })
        .await
    }

    /// The agents.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn agents(&self) -> Result<master::response::GetAgents, Error> {
        let response = self.get(master::call::Type::GetAgents).await?;
        Ok(response.get_agents.unwrap_or_default())
    }

    /// The frameworks.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn frameworks(&self) -> Result<master::response::GetFrameworks, Error> {
        let response = self.get(master::call::Type::GetFrameworks).await?;
        Ok(response.get_frameworks.unwrap_or_default())
    }

    /// The tasks.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn tasks(&self) -> Result<master::response::GetTasks, Error> {
        let response = self.get(master::call::Type::GetTasks).await?;
        Ok(response.get_tasks.unwrap_or_default())
    }

    /// Everything.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn state(&self) -> Result<master::response::GetState, Error> {
        let response = self.get(master::call::Type::GetState).await?;
        Ok(response.get_state.unwrap_or_default())
    }

    /// The version.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn version(&self) -> Result<v1::VersionInfo, Error> {
        let response = self.get(master::call::Type::GetVersion).await?;
        let version = response.get_version.unwrap_or_default();
        Ok(version.version_info)
    }
}

/// Asks an agent.
#[derive(Debug, Clone)]
pub struct AgentClient(Client);

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// The size of the whole file now.
    pub size: u64,
    /// What was read.
    pub data: Bytes,
}

impl AgentClient {
    /// A client of the agent at `server`.
    #[must_use]
    pub fn new(
        server: HostAddress,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Self {
        Self(Client {
            server,
            path: "/api/v1".to_owned(),
            transport,
            credentials,
        })
    }

    /// A client of the agent that an offer names.
    #[must_use]
    pub fn of_url(
        url: &v1::Url,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Option<Self> {
        let address = &url.address;
        let server = HostAddress {
            is_https: url.scheme == "https",
            host: address.ip.clone().or_else(|| address.hostname.clone())?,
            port: u16::try_from(address.port).ok()?,
        };
        let prefix = url.path.clone().unwrap_or_default();
        Some(Self(Client {
            server,
            path: format!("{prefix}/api/v1"),
            transport,
            credentials,
        }))
    }

    /// Makes any call that has no stream for an answer.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn call(&self, call: agent::Call) -> Result<agent::Response, Error> {
        self.0.call(call.r#type().as_str_name(), &call).await
    }

    /// Reads a part of a file. Without a length the agent decides how much.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such file.
    pub async fn read_file(
        &self,
        path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<FilePart, Error> {
        let response = self
            .call(agent::Call {
                r#type: Some(agent::call::Type::ReadFile as i32),
                read_file: Some(agent::call::ReadFile {
                    path: path.to_owned(),
                    offset,
                    length,
                }),
                ..Default::default()
            })
            .await?;
        let part = response.read_file.unwrap_or_default();
        Ok(FilePart {
            size: part.size,
            data: part.data,
        })
    }

    /// Lists a directory.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such directory.
    pub async fn list_files(&self, path: &str) -> Result<Vec<v1::FileInfo>, Error> {
        let response = self
            .call(agent::Call {
                r#type: Some(agent::call::Type::ListFiles as i32),
                list_files: Some(agent::call::ListFiles {
                    path: path.to_owned(),
                }),
                ..Default::default()
            })
            .await?;
        Ok(response.list_files.unwrap_or_default().file_infos)
    }
}

/// Where an agent's files API shows the sandbox of a run of an executor. The
/// command executor's id is the task's.
#[must_use]
pub fn sandbox_path(
    framework_id: &v1::FrameworkId,
    executor_id: &v1::ExecutorId,
    container_id: &v1::ContainerId,
) -> String {
    format!(
        "/frameworks/{}/executors/{}/runs/{}",
        framework_id.value, executor_id.value, container_id.value
    )
}
