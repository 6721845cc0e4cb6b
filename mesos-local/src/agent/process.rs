//! Starts commands and watches them end. Everything here is done because the
//! model asked for it, and is reported to it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use nix::sys::signal::{Signal as NixSignal, killpg};
use nix::unistd::{Gid, Pid, Uid, User};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::agent::docker::Containers;
use crate::agent::fetcher::Fetcher;
use crate::agent::switchboard::Switchboard;
use crate::agent::{
    Action, AgentConfig, ContainerKey, ExitStatus, Input, Io, Launch, Signal, Warden, probe,
    sandbox,
};

/// The processes and files of one agent.
#[derive(Debug)]
pub(crate) struct Processes {
    warden: Arc<Warden>,
    fetcher: Arc<Fetcher>,
    reports: mpsc::UnboundedSender<Report>,
    containers: BTreeMap<ContainerKey, Container>,
    docker: Containers,
    /// Where clients attach to the input and output of containers.
    boards: BTreeMap<ContainerKey, Switchboard>,
    /// Waiters, probes and removals.
    tasks: JoinSet<()>,
}

/// What background work comes back with.
#[derive(Debug)]
pub(crate) enum Report {
    /// For the model as it is.
    Input(Box<Input>),
    /// A sandbox has been filled, or could not be.
    Fetched {
        launch: Box<Launch>,
        outputs: sandbox::Outputs,
        result: Result<(), String>,
    },
}

#[derive(Debug)]
struct Container {
    directory: PathBuf,
    environment: Arc<[(String, String)]>,
    user: Option<Account>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Fetching(JoinHandle<()>),
    Running(Group),
}

/// A process group, which dies with this value.
#[derive(Debug)]
pub(crate) struct Group {
    warden: Arc<Warden>,
    leader: Pid,
}

impl Group {
    /// Guards the group that a process just started leads.
    pub(crate) fn new(warden: Arc<Warden>, leader: Pid) -> Self {
        warden.register(leader);
        Self { warden, leader }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.warden.release(self.leader);
    }
}

/// Whom a command runs as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

impl Processes {
    pub(crate) fn new(
        config: &AgentConfig,
        warden: Arc<Warden>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        Self {
            docker: Containers::new(config, Arc::clone(&warden), reports.clone()),
            warden,
            fetcher: Arc::new(Fetcher::new(config)),
            reports,
            containers: BTreeMap::new(),
            boards: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Does what the model asks for; what is known at once is returned.
    pub(crate) fn perform(&mut self, action: Action) -> Vec<Input> {
        // Finished tasks are let go of now and then.
        while self.tasks.try_join_next().is_some() {}
        match action {
            Action::Launch(launch) => return self.launch(launch),
            Action::StartContainer {
                container,
                directory,
                plan,
            } => self.docker.start(container, directory, *plan),
            Action::Complain { directory, line } => sandbox::complain(&directory, &line),
            Action::Abandon { container } => {
                self.boards.remove(&container);
                if self.docker.abandon(&container) {
                    return Vec::new();
                }
                // What runs dies with its group.
                if let Some(Container {
                    stage: Stage::Fetching(task),
                    ..
                }) = self.containers.remove(&container)
                {
                    task.abort();
                }
            }
            Action::Raise { container, signal } => match NixSignal::try_from(signal) {
                Ok(signal) => self.raise(&container, signal),
                Err(error) => tracing::debug!(%container, %error, "there is no such signal"),
            },
            Action::Signal { container, signal } => {
                if !self.docker.signal(&container, signal) {
                    self.signal(&container, signal);
                }
            }
            Action::Probe {
                container,
                kind,
                probe,
                timeout,
            } => {
                if let Some(surroundings) = self.surroundings(&container) {
                    let reports = self.reports.clone();
                    self.tasks.spawn(async move {
                        let finding = probe::run(probe, timeout, surroundings).await;
                        let _ = reports.send(Report::Input(Box::new(Input::Probed {
                            container,
                            kind,
                            finding,
                        })));
                    });
                }
            }
            Action::ChangeVolumes { operation, volumes } => {
                let result = volumes.carry_out();
                let problem = result.as_ref().err().map(ToString::to_string);
                for directory in result.unwrap_or_default() {
                    self.tasks.spawn_blocking(move || {
                        if let Err(error) = std::fs::remove_dir_all(&directory) {
                            tracing::warn!(directory = %directory.display(), %error, "cannot delete a volume");
                        }
                    });
                }
                return vec![Input::VolumesChanged { operation, problem }];
            }
            Action::RemoveSandbox { directory } => {
                self.tasks.spawn_blocking(move || {
                    if let Err(error) = sandbox::remove(&directory) {
                        tracing::warn!(directory = %directory.display(), %error, "cannot remove a sandbox");
                    }
                });
            }
            Action::Exit { .. } => {}
        }
        Vec::new()
    }

    /// Takes a report of background work.
    pub(crate) fn take(&mut self, report: Report) -> Vec<Input> {
        match report {
            Report::Input(input) => {
                if let Input::Exited { container, .. }
                | Input::RunFailed { container, .. }
                | Input::LaunchFailed { container, .. }
                | Input::Prepared { container } = &*input
                {
                    // What is left of the group dies with its leader.
                    self.containers.remove(container);
                    self.docker.ended(container);
                }
                vec![*input]
            }
            Report::Fetched {
                launch,
                outputs,
                result,
            } => {
                // Abandoned meanwhile.
                let Some(container) = self.containers.remove(&launch.container) else {
                    return Vec::new();
                };
                match result {
                    Ok(()) => self.start(launch, Some(outputs), container.user),
                    Err(message) => vec![Input::LaunchFailed {
                        container: launch.container,
                        message,
                        is_fetch: true,
                    }],
                }
            }
        }
    }

    /// Kills everything and waits for nothing but its own background work.
    pub(crate) async fn stop(mut self) {
        self.containers.clear();
        self.tasks.shutdown().await;
        self.docker.stop().await;
    }

    fn launch(&mut self, launch: Box<Launch>) -> Vec<Input> {
        let account = match launch.user.as_deref().map(account).transpose() {
            Ok(account) => account.flatten(),
            Err(message) => return vec![failure(&launch, message)],
        };
        if launch.is_guest {
            return self.start(launch, None, account);
        }
        let owner = account.map(|account| (account.uid, account.gid));
        let outputs = match sandbox::create(&launch, owner) {
            Ok(outputs) => outputs,
            Err(error) => {
                let message = format!(
                    "Failed to create the sandbox '{}': {error}",
                    launch.directory.display()
                );
                return vec![failure(&launch, message)];
            }
        };
        if launch.command.uris.is_empty() {
            return self.start(launch, Some(outputs), account);
        }
        let container = launch.container.clone();
        let place = Container {
            directory: launch.directory.clone(),
            environment: Arc::from([]),
            user: account,
            stage: Stage::Fetching({
                let fetcher = Arc::clone(&self.fetcher);
                let reports = self.reports.clone();
                tokio::spawn(async move {
                    let result = fetcher.fetch_all(&launch, account).await;
                    if let Err(error) = &result
                        && let Some(line) = error.complaint()
                    {
                        sandbox::complain(&launch.directory, &line);
                    }
                    let _ = reports.send(Report::Fetched {
                        launch,
                        outputs,
                        result: result.map_err(|error| error.to_string()),
                    });
                })
            }),
        };
        self.containers.insert(container, place);
        Vec::new()
    }

    fn start(
        &mut self,
        launch: Box<Launch>,
        outputs: Option<sandbox::Outputs>,
        account: Option<Account>,
    ) -> Vec<Input> {
        let launch = *launch;
        let container = launch.container;
        if let Some(image) = launch.image {
            self.docker.prepare(container, launch.directory, image);
            return Vec::new();
        }
        let spawned = spawn(
            launch.io,
            &launch.command,
            &launch.environment,
            &launch.directory,
            outputs,
            account,
        );
        let mut child = match spawned {
            Ok((child, board)) => {
                self.boards
                    .extend(board.map(|board| (container.clone(), board)));
                child
            }
            Err(error) => {
                // As the process that Mesos puts before a command does: it
                // complains in the sandbox and exits with 1.
                sandbox::complain(
                    &launch.directory,
                    &format!("Failed to execute command: {}", without_code(&error)),
                );
                let launched = Input::Launched {
                    container: container.clone(),
                    pid: None,
                };
                let exited = Input::Exited {
                    container,
                    status: ExitStatus::Exited(1),
                };
                return vec![launched, exited];
            }
        };
        let pid = child.id().expect("a child that was not waited for has one");
        let group = Group::new(Arc::clone(&self.warden), Pid::from_raw(pid.cast_signed()));
        let reports = self.reports.clone();
        let key = container.clone();
        self.tasks.spawn(async move {
            let status = match child.wait().await {
                Ok(status) => status.into(),
                Err(error) => {
                    tracing::error!(container = %key, %error, "cannot wait for a task");
                    ExitStatus::Exited(1)
                }
            };
            let _ = reports.send(Report::Input(Box::new(Input::Exited {
                container: key,
                status,
            })));
        });
        self.containers.insert(
            container.clone(),
            Container {
                directory: launch.directory,
                environment: launch.environment.into(),
                user: account,
                stage: Stage::Running(group),
            },
        );
        vec![Input::Launched {
            container,
            pid: Some(pid),
        }]
    }

    /// What a check sees of its task.
    fn surroundings(&self, container: &ContainerKey) -> Option<probe::Surroundings> {
        let warden = Arc::clone(&self.warden);
        if let Some((neighbour, directory)) = self.docker.neighbour(container) {
            return Some(probe::Surroundings {
                directory: directory.to_owned(),
                environment: Arc::from([]),
                user: None,
                warden,
                container: Some(neighbour),
            });
        }
        let place = self.containers.get(container)?;
        Some(probe::Surroundings {
            directory: place.directory.clone(),
            environment: Arc::clone(&place.environment),
            user: place.user,
            warden,
            container: None,
        })
    }

    /// Where clients attach to a container, when they can.
    pub(crate) fn switchboard(&self, container: &ContainerKey) -> Option<Switchboard> {
        self.boards.get(container).cloned()
    }

    fn signal(&self, container: &ContainerKey, signal: Signal) {
        let signal = match signal {
            Signal::Terminate => NixSignal::SIGTERM,
            Signal::Kill => NixSignal::SIGKILL,
        };
        self.raise(container, signal);
    }

    fn raise(&self, container: &ContainerKey, signal: NixSignal) {
        let Some(Container {
            stage: Stage::Running(group),
            ..
        }) = self.containers.get(container)
        else {
            return;
        };
        if let Err(error) = killpg(group.leader, signal) {
            tracing::debug!(%container, %error, "cannot signal a task");
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for container in self.containers.values() {
            if let Stage::Fetching(task) = &container.stage {
                task.abort();
            }
        }
    }
}

fn failure(launch: &Launch, message: String) -> Input {
    Input::LaunchFailed {
        container: launch.container.clone(),
        message,
        is_fetch: false,
    }
}

/// Starts a command with the input and output it is to have.
fn spawn(
    io: Io,
    info: &mesos_sdk::v1::CommandInfo,
    environment: &[(String, String)],
    directory: &std::path::Path,
    outputs: Option<sandbox::Outputs>,
    account: Option<Account>,
) -> io::Result<(Child, Option<Switchboard>)> {
    let attachable = |(child, board)| (child, Some(board));
    match io {
        Io::Files => {
            let mut command = build(info, environment, directory, account);
            match outputs {
                Some(outputs) => command.stdout(outputs.stdout).stderr(outputs.stderr),
                None => command.stdout(Stdio::null()).stderr(Stdio::null()),
            };
            Ok((command.spawn()?, None))
        }
        Io::Streams => {
            let command = build(info, environment, directory, account);
            Switchboard::start_piped(command).map(attachable)
        }
        Io::Terminal { size, is_logged } => {
            let log = outputs.filter(|_| is_logged).map(|outputs| outputs.stdout);
            Switchboard::start_on_terminal(info, environment, directory, account, size, log)
                .map(attachable)
        }
    }
}

/// A program, the name it sees itself under, and its arguments.
pub(crate) fn split(info: &mesos_sdk::v1::CommandInfo) -> (String, Option<String>, Vec<String>) {
    let value = info.value.clone().unwrap_or_default();
    if info.shell() {
        return ("/bin/sh".to_owned(), None, vec!["-c".to_owned(), value]);
    }
    // The first argument is the name the program sees itself under.
    match info.arguments.split_first() {
        Some((name, arguments)) => (value, Some(name.clone()), arguments.to_vec()),
        None => (value, None, Vec::new()),
    }
}

/// A command ready to be started: its own process group, nothing to read, and
/// no descriptor of ours.
pub(crate) fn build(
    info: &mesos_sdk::v1::CommandInfo,
    environment: &[(String, String)],
    directory: &std::path::Path,
    account: Option<Account>,
) -> Command {
    let (program, name, arguments) = split(info);
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(name) = name {
        command.arg0(name);
    }
    command
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .process_group(0)
        .stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    command
}

/// The account of a user; `None` when that is whom we run as, or when we may
/// not become anybody else.
fn account(name: &str) -> Result<Option<Account>, String> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    match User::from_name(name) {
        Ok(Some(user)) if user.uid.is_root() => Ok(None),
        Ok(Some(user)) => Ok(Some(Account {
            uid: user.uid,
            gid: user.gid,
        })),
        Ok(None) => Err(format!("No such user '{name}'")),
        Err(error) => Err(format!("Failed to look up the user '{name}': {error}")),
    }
}

/// `No such file or directory`, without `(os error 2)`.
fn without_code(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
