//! Commands in containers: run one beside a task and speak with it, or attach to
//! one that runs (`docs/operator-http-api.md`, LAUNCH_NESTED_CONTAINER_SESSION,
//! ATTACH_CONTAINER_INPUT, ATTACH_CONTAINER_OUTPUT).

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use mesos_proto::v1;
use mesos_proto::v1::agent::call::{self, attach_container_input};
use mesos_proto::v1::agent::process_io::{self, control, data};
use mesos_proto::v1::agent::{Call, ProcessIo, response};
use tokio::task::JoinHandle;

use super::calls::{ENCODING, nanoseconds, refused};
use super::{AgentClient, Error};
use crate::client::EventStream;
use crate::recordio;
use crate::transport::BodySender;

/// How often an agent hears that an input that is silent is still there.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Larger pieces of input are cut.
const LARGEST_PIECE: usize = 64 * 1024;

/// A command that is to be run in a container beside a task's.
#[derive(Debug, Clone)]
#[must_use = "nothing runs until it is started"]
pub struct Exec {
    agent: AgentClient,
    launch: call::LaunchNestedContainerSession,
}

/// A command that runs in a container.
#[derive(Debug)]
pub struct Session {
    agent: AgentClient,
    container_id: v1::ContainerId,
    /// What it prints. When this is dropped, the agent ends a command that was
    /// started with [`AgentClient::exec`].
    pub output: ContainerOutput,
    exit: JoinHandle<Result<response::WaitContainer, Error>>,
}

/// What a container has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On standard output, or its terminal.
    Stdout(Bytes),
    /// On standard error.
    Stderr(Bytes),
}

/// The output of a container as it comes.
#[derive(Debug)]
pub struct ContainerOutput(EventStream<ProcessIo>);

/// How a container ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ContainerExit {
    /// The command's exit status, where the agent knows it.
    pub status: Option<ExitStatus>,
    /// What became of it when the agent ended it.
    pub state: Option<v1::TaskState>,
    /// Why.
    pub reason: Option<v1::task_status::Reason>,
    /// In words.
    pub message: String,
}

impl ContainerExit {
    /// The exit code of a command that was not ended by a signal.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }
}

impl AgentClient {
    /// A command line for a new container inside `parent`, which is the
    /// container of a running task or executor: it shares its sandbox and
    /// resources. A status update of a task says which that is
    /// (`container_status.container_id`).
    pub fn exec(&self, parent: &v1::ContainerId, command: impl Into<String>) -> Exec {
        let command = v1::CommandInfo {
            shell: Some(true),
            value: Some(command.into()),
            ..Default::default()
        };
        Exec {
            agent: self.clone(),
            launch: call::LaunchNestedContainerSession {
                container_id: v1::ContainerId {
                    value: uuid::Uuid::new_v4().to_string(),
                    parent: Some(Box::new(parent.clone())),
                },
                command: Some(command),
                container: None,
            },
        }
    }

    /// Attaches to what a container prints from now on. Only containers with a
    /// terminal, and those inside others, can be attached to.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such container.
    pub async fn attach(&self, container_id: v1::ContainerId) -> Result<Session, Error> {
        let call = Call {
            r#type: Some(call::Type::AttachContainerOutput.into()),
            attach_container_output: Some(call::AttachContainerOutput {
                container_id: container_id.clone(),
            }),
            ..Default::default()
        };
        let body = ENCODING.encode(&call);
        drop(call);
        self.session("ATTACH_CONTAINER_OUTPUT", body, container_id)
            .await
    }

    async fn session(
        &self,
        name: &'static str,
        call: Bytes,
        container_id: v1::ContainerId,
    ) -> Result<Session, Error> {
        let response = self
            .0
            .open(name, call, |headers| {
                headers.insert(ACCEPT, RECORDIO);
                headers.insert("Message-Accept", ENCODING.media_type());
            })
            .await?;
        let limit = recordio::DEFAULT_LIMIT;
        let output = ContainerOutput(EventStream::new(response.body, ENCODING, limit));
        // From now on, since an agent may forget a container that has ended.
        let exit = tokio::spawn({
            let (agent, container_id) = (self.clone(), container_id.clone());
            async move { agent.wait_container(container_id).await }
        });
        Ok(Session {
            agent: self.clone(),
            container_id,
            output,
            exit,
        })
    }

    /// Attaches to the standard input of a container.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no connection. That an agent refuses shows in
    /// [`ContainerInput::finish`].
    pub async fn attach_input(
        &self,
        container_id: v1::ContainerId,
    ) -> Result<ContainerInput, Error> {
        let client = &self.0;
        let server = client.server();
        let mut headers: HeaderMap = client.authorization();
        headers.insert(CONTENT_TYPE, RECORDIO);
        headers.insert("Message-Content-Type", ENCODING.media_type());
        headers.insert(ACCEPT, ENCODING.media_type());
        let (body, upload) = client
            .transport
            .upload(&server, client.path(), headers)
            .await?;
        let first = call::AttachContainerInput {
            r#type: Some(attach_container_input::Type::ContainerId.into()),
            container_id: Some(container_id),
            process_io: None,
        };
        // Refused at once or never: then the response says so.
        body.send(record(first)).await;
        body.send(heartbeat_record()).await;
        let beats = body.clone();
        let task = tokio::spawn(async move {
            let answered = upload.response();
            let response = tokio::select! {
                response = answered => response?,
                never = heartbeats(&beats) => match never {},
            };
            if response.status.is_success() {
                return Ok(());
            }
            Err(refused(&server, "ATTACH_CONTAINER_INPUT", &response))
        });
        Ok(ContainerInput { body, task })
    }
}

const RECORDIO: HeaderValue = HeaderValue::from_static("application/recordio");

fn record(input: call::AttachContainerInput) -> Bytes {
    recordio::encode(&ENCODING.encode(&Call {
        r#type: Some(call::Type::AttachContainerInput.into()),
        attach_container_input: Some(input),
        ..Default::default()
    }))
}

fn io_record(io: ProcessIo) -> Bytes {
    record(call::AttachContainerInput {
        r#type: Some(attach_container_input::Type::ProcessIo.into()),
        container_id: None,
        process_io: Some(io),
    })
}

fn control_record(control: process_io::Control) -> Bytes {
    io_record(ProcessIo {
        r#type: Some(process_io::Type::Control.into()),
        control: Some(control),
        data: None,
    })
}

/// Says that somebody is there.
fn heartbeat_record() -> Bytes {
    control_record(process_io::Control {
        r#type: Some(control::Type::Heartbeat.into()),
        tty_info: None,
        heartbeat: Some(control::Heartbeat {
            interval: Some(nanoseconds(HEARTBEAT_INTERVAL)),
        }),
    })
}

async fn heartbeats(body: &BodySender) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        if !body.send(heartbeat_record()).await {
            // The response is on its way.
            std::future::pending::<()>().await;
        }
    }
}

fn window(rows: u32, columns: u32) -> v1::TtyInfo {
    v1::TtyInfo {
        window_size: Some(v1::tty_info::WindowSize { rows, columns }),
    }
}

impl Exec {
    /// Runs a program with these arguments, the first being its name for
    /// itself, instead of a command line.
    pub fn program(mut self, path: impl Into<String>, arguments: Vec<String>) -> Self {
        let command = self.launch.command.get_or_insert_default();
        command.shell = Some(false);
        command.value = Some(path.into());
        command.arguments = arguments;
        self
    }

    /// The user it runs as.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.launch.command.get_or_insert_default().user = Some(user.into());
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let command = self.launch.command.get_or_insert_default();
        let environment = command.environment.get_or_insert_default();
        environment.variables.push(v1::environment::Variable {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        });
        self
    }

    /// Gives it a terminal of this size; then all it prints is
    /// [`Output::Stdout`].
    pub fn tty(mut self, rows: u32, columns: u32) -> Self {
        self.launch.container = Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Mesos.into(),
            tty_info: Some(window(rows, columns)),
            ..Default::default()
        });
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`Error`] when the agent does not start it.
    pub async fn start(self) -> Result<Session, Error> {
        let Self { agent, launch } = self;
        let container_id = launch.container_id.clone();
        let call = Call {
            r#type: Some(call::Type::LaunchNestedContainerSession.into()),
            launch_nested_container_session: Some(launch),
            ..Default::default()
        };
        let body = ENCODING.encode(&call);
        drop(call);
        let name = "LAUNCH_NESTED_CONTAINER_SESSION";
        agent.session(name, body, container_id).await
    }
}

impl Session {
    /// The container.
    #[must_use]
    pub fn container_id(&self) -> &v1::ContainerId {
        &self.container_id
    }

    /// Its standard input.
    ///
    /// # Errors
    ///
    /// As [`AgentClient::attach_input`].
    pub async fn input(&self) -> Result<ContainerInput, Error> {
        self.agent.attach_input(self.container_id.clone()).await
    }

    /// Sends it a signal, SIGKILL unless another is named.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when it has ended.
    pub async fn kill(&self, signal: Option<i32>) -> Result<(), Error> {
        let container_id = self.container_id.clone();
        self.agent.kill_container(container_id, signal).await
    }

    /// How it ended, once it has. Its output is read and thrown away meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error`] when the agent does not know.
    pub async fn wait(mut self) -> Result<ContainerExit, Error> {
        while let Some(Ok(_)) = self.output.next().await {}
        let exit = (&mut self.exit).await;
        let exit = exit.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Ok(response::WaitContainer::default()),
        })?;
        Ok(ContainerExit {
            status: exit.exit_status.map(ExitStatus::from_raw),
            state: exit.state.map(|_| exit.state()),
            reason: exit.reason.map(|_| exit.reason()),
            message: exit.message.unwrap_or_default(),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.exit.abort();
    }
}

impl ContainerOutput {
    /// What is printed next, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn next(&mut self) -> Option<Result<Output, Error>> {
        loop {
            let io = match self.0.next().await? {
                Ok(io) => io,
                Err(error) => {
                    return Some(Err(Error::Answer {
                        server: "the agent".to_owned(),
                        call: "ATTACH_CONTAINER_OUTPUT",
                        reason: error.to_string(),
                    }));
                }
            };
            let Some(data) = io.data else {
                // A heartbeat.
                continue;
            };
            let kind = data.r#type();
            let bytes = data.data.unwrap_or_default();
            match kind {
                data::Type::Stdout => return Some(Ok(Output::Stdout(bytes))),
                data::Type::Stderr => return Some(Ok(Output::Stderr(bytes))),
                data::Type::Stdin | data::Type::Unknown => {}
            }
        }
    }

    /// Everything that is printed until the end: standard output and standard
    /// error. Cut at `limit` bytes of each.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn collect(&mut self, limit: usize) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(output) = self.next().await {
            let (all, bytes) = match output? {
                Output::Stdout(bytes) => (&mut stdout, bytes),
                Output::Stderr(bytes) => (&mut stderr, bytes),
            };
            let room = limit.saturating_sub(all.len());
            all.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        Ok((stdout, stderr))
    }
}

/// The standard input of a container. Dropping it breaks the connection;
/// [`finish`](Self::finish) is the way to end the input.
#[derive(Debug)]
pub struct ContainerInput {
    body: BodySender,
    task: JoinHandle<Result<(), Error>>,
}

impl ContainerInput {
    /// Writes. `false` when the agent reads no further: then
    /// [`finish`](Self::finish) says why.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> bool {
        let mut bytes = bytes.into();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(LARGEST_PIECE));
            if !self.body.send(stdin_record(piece)).await {
                return false;
            }
        }
        true
    }

    /// Tells a terminal its new size. `false` as with [`write`](Self::write).
    pub async fn resize(&self, rows: u32, columns: u32) -> bool {
        let control = process_io::Control {
            r#type: Some(control::Type::TtyInfo.into()),
            tty_info: Some(window(rows, columns)),
            heartbeat: None,
        };
        self.body.send(control_record(control)).await
    }

    /// Ends the input: the command reads an end of file. Returns when the agent
    /// has taken it all.
    ///
    /// # Errors
    ///
    /// [`Error`] when the agent refused the input, or the connection broke.
    pub async fn finish(mut self) -> Result<(), Error> {
        // An empty piece is the end of the file.
        self.body.send(stdin_record(Bytes::new())).await;
        self.body.end().await;
        let answered = (&mut self.task).await;
        answered.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Ok(()),
        })
    }
}

impl Drop for ContainerInput {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn stdin_record(data: Bytes) -> Bytes {
    io_record(ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(process_io::Data {
            r#type: Some(data::Type::Stdin.into()),
            data: Some(data),
        }),
        control: None,
    })
}
