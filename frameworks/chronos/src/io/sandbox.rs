//! Reads the output of tasks where their agents keep it.

use bytes::Bytes;
use mesos_sdk::address::HostAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::operator::{AgentClient, sandbox_path};
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::v1;

use crate::progress::Sandbox;

/// The most that is read at a time.
const MAX_PIECE: u64 = 1 << 20;

/// Asks agents for files.
#[derive(Clone, Debug)]
pub(crate) struct Sandboxes {
    transport: Transport,
    credentials: Option<Credentials>,
}

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Piece {
    /// What was read.
    pub(crate) data: Bytes,
    /// How large the file is now.
    pub(crate) size: u64,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// The agent's address makes no sense.
    #[error("the agent's address '{0}' cannot be used")]
    Address(String),
    /// The agent does not know the file, or does not answer.
    #[error("{0}")]
    Agent(#[from] mesos_sdk::operator::Error),
}

impl Sandboxes {
    pub(crate) fn new(credentials: Option<Credentials>) -> Self {
        Self {
            transport: Transport::new(TransportConfig::default()),
            credentials,
        }
    }

    /// Reads from `offset` on; `length` bytes at most.
    pub(crate) async fn read(
        &self,
        framework_id: &str,
        sandbox: &Sandbox,
        file: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Piece, SandboxError> {
        let wrong = |_| SandboxError::Address(sandbox.agent_url.clone());
        let server: HostAddress = sandbox.agent_url.parse().map_err(wrong)?;
        let agent = AgentClient::new(server, self.transport.clone(), self.credentials.clone());
        let directory = sandbox_path(
            &v1::FrameworkId {
                value: framework_id.to_owned(),
            },
            &v1::ExecutorId {
                value: sandbox.executor_id.clone(),
            },
            &v1::ContainerId {
                value: sandbox.container_id.clone(),
                ..v1::ContainerId::default()
            },
        );
        let path = format!("{directory}/{file}");
        let most = length.unwrap_or(MAX_PIECE).min(MAX_PIECE);
        let files = agent.files();
        let mut data = Vec::new();
        let mut size = 0;
        // Agents give less at a time than they are asked for.
        while (data.len() as u64) < most {
            let at = offset + data.len() as u64;
            let rest = most - data.len() as u64;
            let part = files.read(&path, at, Some(rest)).await?;
            size = part.size;
            if part.data.is_empty() {
                break;
            }
            data.extend_from_slice(&part.data);
        }
        let data = data.into();
        Ok(Piece { data, size })
    }
}
