//! The input and output of a process that clients attach to: what it writes
//! goes to each of them as records, what one of them sends goes to it
//! (`src/slave/containerizer/mesos/io/switchboard.cpp`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mesos_sdk::{recordio, v1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use v1::agent::ProcessIo;
use v1::agent::process_io::{Control, Data, control, data};

use crate::agent::process::{Account, split};
use crate::agent::shell::Stream;

/// How often a client that listens is told that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How much of an output is read at once.
const CHUNK_BYTES: usize = 32 << 10;
/// How many pieces of input wait for a process that does not read.
const INPUT_PIECES: usize = 16;

/// What is told to a process.
#[derive(Debug)]
pub(crate) enum ToProcess {
    Data(Bytes),
    /// There is nothing more to come.
    End,
    /// Its window has so many rows and columns.
    Resize(u16, u16),
}

/// Where clients attach.
#[derive(Debug, Clone)]
pub(crate) struct Switchboard {
    clients: mpsc::UnboundedSender<Stream>,
    input: mpsc::Sender<ToProcess>,
    /// One client at a time writes.
    turn: Arc<Semaphore>,
}

/// The right to write to a process.
#[derive(Debug)]
pub(crate) struct InputTurn {
    pub(crate) input: mpsc::Sender<ToProcess>,
    #[expect(dead_code, reason = "acts when it is dropped")]
    turn: OwnedSemaphorePermit,
}

type Output = Box<dyn AsyncRead + Send + Unpin>;

impl Switchboard {
    /// Starts a command whose standard streams are pipes. Nothing is read of
    /// them before the first client has come, so that it misses nothing.
    pub(crate) fn start_piped(mut command: Command) -> io::Result<(Child, Self)> {
        use std::process::Stdio;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (board, clients, input) = Self::new();
        let writing = child
            .stdin
            .take()
            .map(|stdin| tokio::spawn(write_pipe(stdin, input)).abort_handle());
        let outputs = Outputs {
            stdout: child.stdout.take().map(|out| Box::new(out) as Output),
            stderr: child.stderr.take().map(|out| Box::new(out) as Output),
            log: None,
            clients,
        };
        tokio::spawn(async move {
            outputs.carry(true).await;
            if let Some(writing) = writing {
                writing.abort();
            }
        });
        Ok((child, board))
    }

    /// Starts a command on a terminal of its own. With a log, what it writes
    /// goes there too and waits for nobody.
    pub(crate) fn start_on_terminal(
        info: &v1::CommandInfo,
        environment: &[(String, String)],
        directory: &std::path::Path,
        account: Option<Account>,
        size: Option<(u32, u32)>,
        log: Option<std::fs::File>,
    ) -> io::Result<(Child, Self)> {
        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        if let Some((rows, columns)) = size {
            let bound = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
            pty.resize(pty_process::Size::new(bound(rows), bound(columns)))
                .map_err(io::Error::other)?;
        }
        let (program, name, arguments) = split(info);
        let mut command = pty_process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(directory);
        if let Some(name) = name {
            command = command.arg0(name);
        }
        if let Some(account) = account {
            command = command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let child = command.spawn(pts).map_err(|error| match error {
            pty_process::Error::Io(error) => error,
            error => io::Error::other(error),
        })?;
        let (board, clients, input) = Self::new();
        let (reader, writer) = pty.into_split();
        let writing = tokio::spawn(write_terminal(writer, input)).abort_handle();
        let waits = log.is_none();
        let outputs = Outputs {
            stdout: Some(Box::new(reader)),
            stderr: None,
            log: log.map(tokio::fs::File::from_std),
            clients,
        };
        tokio::spawn(async move {
            outputs.carry(waits).await;
            writing.abort();
        });
        Ok((child, board))
    }

    fn new() -> (
        Self,
        mpsc::UnboundedReceiver<Stream>,
        mpsc::Receiver<ToProcess>,
    ) {
        let (clients, attached) = mpsc::unbounded_channel();
        let (input, pieces) = mpsc::channel(INPUT_PIECES);
        let board = Self {
            clients,
            input,
            turn: Arc::new(Semaphore::new(1)),
        };
        (board, attached, pieces)
    }

    /// Sends the output to one more client. When all has been written already
    /// its stream ends at once.
    pub(crate) fn attach(&self, client: Stream) {
        // An error drops the client, which ends its stream.
        let _ = self.clients.send(client);
    }

    /// Takes the turn to write; `None` while another client has it.
    pub(crate) fn take_input(&self) -> Option<InputTurn> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().ok()?;
        Some(InputTurn {
            input: self.input.clone(),
            turn,
        })
    }
}

struct Outputs {
    stdout: Option<Output>,
    stderr: Option<Output>,
    log: Option<tokio::fs::File>,
    clients: mpsc::UnboundedReceiver<Stream>,
}

impl Outputs {
    /// Carries all that is written to all who listen, until both ends are reached.
    async fn carry(mut self, waits_for_client: bool) {
        let mut listeners = Vec::new();
        if waits_for_client {
            match self.clients.recv().await {
                Some(client) => listeners.push(client),
                None => return,
            }
        }
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        let (mut out, mut err) = (BytesMut::new(), BytesMut::new());
        while self.stdout.is_some() || self.stderr.is_some() {
            tokio::select! {
                biased;
                Some(client) = self.clients.recv() => listeners.push(client),
                count = read(self.stdout.as_mut(), &mut out) => match count {
                    0 => self.stdout = None,
                    _ => {
                        let data = out.split().freeze();
                        if let Some(log) = &mut self.log
                            && let Err(error) = log.write_all(&data).await
                        {
                            tracing::warn!(%error, "cannot log what a container writes");
                        }
                        tell(&mut listeners, &data_of(data::Type::Stdout, data)).await;
                    }
                },
                count = read(self.stderr.as_mut(), &mut err) => match count {
                    0 => self.stderr = None,
                    _ => {
                        let data = err.split().freeze();
                        tell(&mut listeners, &data_of(data::Type::Stderr, data)).await;
                    }
                },
                _ = heartbeat.tick() => tell(&mut listeners, &heart_beats()).await,
            }
        }
    }
}

/// Reads a piece; 0 when there is no more, for ever when there never was any.
async fn read(output: Option<&mut Output>, buffer: &mut BytesMut) -> usize {
    match output {
        Some(output) => {
            buffer.reserve(CHUNK_BYTES);
            // A terminal whose process has gone ends with an error.
            output.read_buf(buffer).await.unwrap_or(0)
        }
        None => std::future::pending().await,
    }
}

/// Writes a record to each listener, as fast as they read. Who has gone is
/// forgotten.
async fn tell(listeners: &mut Vec<Stream>, message: &ProcessIo) {
    let mut kept = Vec::new();
    for listener in listeners.drain(..) {
        let record = recordio::encode(&listener.encoding.encode(message));
        if listener
            .events
            .send_when_there_is_room(record)
            .await
            .is_ok()
        {
            kept.push(listener);
        }
    }
    *listeners = kept;
}

fn data_of(kind: data::Type, data: Bytes) -> ProcessIo {
    ProcessIo {
        r#type: Some(v1::agent::process_io::Type::Data.into()),
        data: Some(Data {
            r#type: Some(kind.into()),
            data: Some(data),
        }),
        ..ProcessIo::default()
    }
}

fn heart_beats() -> ProcessIo {
    let interval = v1::DurationInfo {
        nanoseconds: i64::try_from(HEARTBEAT.as_nanos()).unwrap_or(i64::MAX),
    };
    ProcessIo {
        r#type: Some(v1::agent::process_io::Type::Control.into()),
        control: Some(Control {
            r#type: Some(control::Type::Heartbeat.into()),
            heartbeat: Some(control::Heartbeat {
                interval: Some(interval),
            }),
            ..Control::default()
        }),
        ..ProcessIo::default()
    }
}

async fn write_pipe(mut stdin: impl AsyncWrite + Unpin, mut input: mpsc::Receiver<ToProcess>) {
    while let Some(piece) = input.recv().await {
        match piece {
            ToProcess::Data(data) => {
                if stdin.write_all(&data).await.is_err() {
                    break;
                }
            }
            ToProcess::End => break,
            // A pipe has no window.
            ToProcess::Resize(..) => {}
        }
    }
    drop(stdin);
    // Whatever comes later is taken, and nobody reads it.
    while input.recv().await.is_some() {}
}

async fn write_terminal(
    mut terminal: pty_process::OwnedWritePty,
    mut input: mpsc::Receiver<ToProcess>,
) {
    /// What a terminal reads as the end of its input.
    const END_OF_TRANSMISSION: &[u8] = &[4];
    while let Some(piece) = input.recv().await {
        let written = match piece {
            ToProcess::Data(data) => terminal.write_all(&data).await,
            ToProcess::End => terminal.write_all(END_OF_TRANSMISSION).await,
            ToProcess::Resize(rows, columns) => terminal
                .resize(pty_process::Size::new(rows, columns))
                .map_err(io::Error::other),
        };
        if let Err(error) = written {
            tracing::debug!(%error, "a terminal takes no input");
        }
    }
}
