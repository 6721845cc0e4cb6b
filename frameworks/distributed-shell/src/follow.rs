//! Reads a task's output from its sandbox, through the agent's files API, as
//! it is written and to its end once the task is over.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use mesos_sdk::{
    credentials::Credentials,
    operator::{self, AgentClient},
    transport::Transport,
    v1,
};
use tokio::sync::{mpsc, oneshot};

use crate::{output::Stream, shell};

/// How often a running task's output is looked at: soon at first, then less
/// and less while it is silent.
const SHORTEST_WAIT: Duration = Duration::from_millis(30);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How much is read at once.
const PIECE: u64 = 64 * 1024;
/// An agent that does not answer for so many reads in a row is given up once
/// the task is over.
const LAST_TRIES: u32 = 5;

/// What following a task's output tells.
#[derive(Debug)]
pub(crate) enum Followed {
    Data {
        run: usize,
        stream: Stream,
        data: Bytes,
    },
    /// Both outputs have been read to their end.
    Ended { run: usize, task_id: String },
    /// Some output could not be read.
    Lost { run: usize, why: String },
}

/// Follows the outputs of many tasks, one spawned future each.
#[derive(Debug)]
pub(crate) struct Followers {
    transport: Transport,
    credentials: Option<Credentials>,
    tell: mpsc::Sender<Followed>,
    draining: BTreeMap<String, oneshot::Sender<()>>,
}

impl Followers {
    pub(crate) fn new(
        transport: Transport,
        credentials: Option<Credentials>,
        tell: mpsc::Sender<Followed>,
    ) -> Self {
        Self {
            transport,
            credentials,
            tell,
            draining: BTreeMap::new(),
        }
    }

    /// Starts to follow a task that runs on the agent with this URL. `false`
    /// when the URL names no server.
    pub(crate) fn follow(
        &mut self,
        agent: &v1::Url,
        framework_id: &v1::FrameworkId,
        output: shell::Output,
    ) -> bool {
        let (transport, credentials) = (self.transport.clone(), self.credentials.clone());
        let Some(agent) = AgentClient::of_url(agent, transport, credentials) else {
            return false;
        };
        let executor_id = v1::ExecutorId {
            value: output.task_id.clone(),
        };
        let sandbox = operator::sandbox_path(framework_id, &executor_id, &output.container_id);
        let (drain, is_over) = oneshot::channel();
        self.draining.insert(output.task_id.clone(), drain);
        let follower = Follower {
            agent,
            run: output.run,
            files: [
                OpenFile::new(Stream::Stdout, &sandbox),
                OpenFile::new(Stream::Stderr, &sandbox),
            ],
            tell: self.tell.clone(),
        };
        tokio::spawn(follower.run(output.task_id, is_over));
        true
    }

    /// The task is over: its output is read to the end.
    pub(crate) fn drain(&mut self, task_id: &str) {
        self.draining.remove(task_id);
    }
}

#[derive(Debug)]
struct OpenFile {
    stream: Stream,
    path: String,
    offset: u64,
}

impl OpenFile {
    fn new(stream: Stream, sandbox: &str) -> Self {
        Self {
            stream,
            path: format!("{sandbox}/{}", stream.name()),
            offset: 0,
        }
    }
}

struct Follower {
    agent: AgentClient,
    run: usize,
    files: [OpenFile; 2],
    tell: mpsc::Sender<Followed>,
}

impl Follower {
    async fn run(mut self, task_id: String, mut is_over: oneshot::Receiver<()>) {
        let mut wait = SHORTEST_WAIT;
        loop {
            // A dropped sender is the signal, a sent value is never used.
            if tokio::time::timeout(wait, &mut is_over).await.is_ok() {
                break;
            }
            match self.read_new().await {
                Ok(true) => wait = SHORTEST_WAIT,
                // Unreachable now may be reachable later; the end decides.
                Ok(false) | Err(_) => wait = (wait * 2).min(LONGEST_WAIT),
            }
        }
        self.read_rest().await;
        let run = self.run;
        self.send(Followed::Ended { run, task_id }).await;
    }

    async fn read_rest(&mut self) {
        let mut tries = 0;
        loop {
            match self.read_new().await {
                Ok(_) => return,
                Err(error) => {
                    tries += 1;
                    if tries == LAST_TRIES || !error.is_retryable() {
                        let why = error.to_string();
                        let run = self.run;
                        self.send(Followed::Lost { run, why }).await;
                        return;
                    }
                    tokio::time::sleep(SHORTEST_WAIT * 2_u32.pow(tries)).await;
                }
            }
        }
    }

    /// Reads both files to where they end now; whether there was anything.
    async fn read_new(&mut self) -> Result<bool, operator::Error> {
        let mut has_data = false;
        for index in 0..self.files.len() {
            loop {
                let file = &self.files[index];
                let piece = self
                    .agent
                    .read_file(&file.path, file.offset, Some(PIECE))
                    .await?;
                if piece.data.is_empty() {
                    break;
                }
                has_data = true;
                let read = piece.data.len() as u64;
                let stream = file.stream;
                self.files[index].offset += read;
                let run = self.run;
                let data = piece.data;
                self.send(Followed::Data { run, stream, data }).await;
                if self.files[index].offset >= piece.size {
                    break;
                }
            }
        }
        Ok(has_data)
    }

    async fn send(&self, followed: Followed) {
        // The receiver only goes away at the end of the whole run.
        let _ = self.tell.send(followed).await;
    }
}
