//! Files of agents and masters: browse, read, follow, download
//! (`docs/sandbox.md`).

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::CONTENT_LENGTH;
use mesos_proto::v1;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::calls::opened;
use super::{AgentClient, Client, Error, MasterClient};
use crate::transport::BodyStream;

/// How often a file is looked at that is being followed.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The longest wait when the server does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// How large the file is now.
    pub size: u64,
    /// What was read.
    pub data: Bytes,
}

/// The files that a server shows.
#[derive(Debug, Clone)]
pub struct Files(Server);

#[derive(Debug, Clone)]
enum Server {
    Agent(AgentClient),
    Master(MasterClient),
}

impl Files {
    pub(super) fn of_agent(agent: AgentClient) -> Self {
        Self(Server::Agent(agent))
    }

    pub(super) fn of_master(master: MasterClient) -> Self {
        Self(Server::Master(master))
    }

    fn client(&self) -> &Client {
        match &self.0 {
            Server::Agent(agent) => &agent.0,
            Server::Master(master) => &master.0,
        }
    }

    /// Lists a directory.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such directory.
    pub async fn browse(&self, path: &str) -> Result<Vec<v1::FileInfo>, Error> {
        match &self.0 {
            Server::Agent(agent) => agent.list_files(path).await,
            Server::Master(master) => master.list_files(path).await,
        }
    }

    /// Reads a part of a file. The server decides how much at most, 64 KiB with
    /// Mesos's own.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such file.
    pub async fn read(
        &self,
        path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<FilePart, Error> {
        match &self.0 {
            Server::Agent(agent) => agent.read_file(path, offset, length).await,
            Server::Master(master) => master.read_file(path, offset, length).await,
        }
    }

    /// How large a file is.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such file.
    pub async fn size(&self, path: &str) -> Result<u64, Error> {
        Ok(self.read(path, 0, Some(0)).await?.size)
    }

    /// Reads a file from `offset` on as it grows. Servers that do not answer are
    /// asked again; a file that becomes shorter is read from its beginning.
    #[must_use]
    pub fn follow(&self, path: impl Into<String>, offset: u64) -> Follow {
        let (end, is_complete) = watch::channel(false);
        Follow {
            files: self.clone(),
            path: path.into(),
            offset,
            failures: 0,
            end,
            is_complete,
        }
    }

    /// Fetches a whole file as it is now, of any size.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such file, and 400 when it is
    /// a directory.
    pub async fn download(&self, path: &str) -> Result<Download, Error> {
        let client = self.client();
        let server = client.server();
        let path = utf8_percent_encode(path, NON_ALPHANUMERIC);
        let path = format!("/files/download?path={path}");
        let response = client
            .transport
            .open_download(&server, &path, client.authorization())
            .await?;
        let response = opened(&server, "files/download", response).await?;
        let length = response.headers.get(CONTENT_LENGTH);
        Ok(Download {
            size: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            body: response.body,
        })
    }
}

/// A file that is being fetched.
#[derive(Debug)]
pub struct Download {
    size: Option<u64>,
    body: BodyStream,
}

impl Download {
    /// How large the file is, where the server says so.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next bytes, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        Some(self.body.chunk().await?.map_err(Error::from))
    }

    /// Writes the rest, and says how much it was.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or writing fails.
    pub async fn write_to(
        mut self,
        writer: &mut (impl AsyncWrite + Unpin + Send),
    ) -> std::io::Result<u64> {
        let mut written = 0;
        while let Some(chunk) = self.next().await {
            let chunk = chunk.map_err(std::io::Error::other)?;
            writer.write_all(&chunk).await?;
            written += chunk.len() as u64;
        }
        writer.flush().await?;
        Ok(written)
    }
}

/// A file that is being read as it grows.
#[derive(Debug)]
pub struct Follow {
    files: Files,
    path: String,
    offset: u64,
    failures: u32,
    end: watch::Sender<bool>,
    is_complete: watch::Receiver<bool>,
}

/// Tells a [`Follow`] that its file does not grow any more.
#[derive(Debug, Clone)]
pub struct FollowEnd(watch::Sender<bool>);

impl FollowEnd {
    /// The file is complete, since its task has ended: what there is is read,
    /// and then the following ends.
    pub fn is_complete(&self) {
        self.0.send_replace(true);
    }
}

impl Follow {
    /// Where the next bytes will be from.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Ends the following once the rest is read.
    #[must_use]
    pub fn end(&self) -> FollowEnd {
        FollowEnd(self.end.clone())
    }

    /// The next bytes, or `None` when the file is complete and read. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error`] when the server refuses; asking again asks it again.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let was_complete = *self.is_complete.borrow_and_update();
            match self.files.read(&self.path, self.offset, None).await {
                Ok(part) if part.data.is_empty() => {
                    self.failures = 0;
                    if part.size < self.offset {
                        self.offset = 0;
                        continue;
                    }
                    if was_complete {
                        return None;
                    }
                }
                Ok(part) => {
                    self.failures = 0;
                    self.offset += part.data.len() as u64;
                    return Some(Ok(part.data));
                }
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, path = self.path, "asking again for a file");
                    self.failures += 1;
                }
                Err(error) => return Some(Err(error)),
            }
            self.pause().await;
        }
    }

    async fn pause(&mut self) {
        let wait = POLL_INTERVAL.saturating_mul(1 << self.failures.min(10));
        let wait = tokio::time::sleep(wait.min(LONGEST_WAIT));
        if *self.is_complete.borrow() {
            return wait.await;
        }
        tokio::select! {
            () = wait => {}
            // The sender is in `self`.
            _ = self.is_complete.changed() => {}
        }
    }

    /// The bytes as a [`Stream`], which ends at the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        futures::stream::unfold(Some(self), |follow| async move {
            let mut follow = follow?;
            let next = follow.next().await?;
            let rest = next.is_ok().then_some(follow);
            Some((next, rest))
        })
    }
}
