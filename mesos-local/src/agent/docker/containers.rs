//! The containers of one agent. Each has one task here, which makes it, watches
//! it and removes it; everything is done because the model asked for it and is
//! reported to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bollard::container::AttachContainerResults;
use mesos_sdk::v1;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::engine::{self, Engine, EngineError};
use super::{ContainerPlan, Image, inspect, name, output};
use crate::agent::process::Report;
use crate::agent::{AgentConfig, ContainerKey, ExitStatus, Finding, Input, Signal, Warden};

/// How long the rest of a container's output may take after its end.
const DRAIN: Duration = Duration::from_secs(10);
/// How long stopping may take to remove containers; the warden does the rest.
const REMOVAL: Duration = Duration::from_secs(10);

/// The containers of one agent.
#[derive(Debug)]
pub(crate) struct Containers {
    engine: Arc<Engine>,
    warden: Arc<Warden>,
    reports: mpsc::UnboundedSender<Report>,
    pull_timeout: Duration,
    containers: BTreeMap<ContainerKey, Container>,
    /// Names of containers that the engine may have.
    names: Arc<Mutex<BTreeSet<String>>>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Container {
    work: AbortHandle,
    directory: PathBuf,
    facts: Arc<OnceLock<Facts>>,
}

/// What is known of a container once it runs.
#[derive(Debug)]
struct Facts {
    address: Option<IpAddr>,
    stop_signal: String,
}

/// A running container, for the checks of its task.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    engine: Arc<Engine>,
    name: String,
    /// Its address, when it has one of its own.
    pub(crate) address: Option<IpAddr>,
}

impl Neighbour {
    /// Runs a command of a check.
    pub(crate) async fn exec(&self, command: &v1::CommandInfo) -> Finding {
        match self.engine.exec(&self.name, command).await {
            Ok(Some(code)) => Finding::ExitCode(code),
            Ok(None) => Finding::Nothing,
            Err(error) => {
                tracing::debug!(%error, "cannot run the command of a check");
                Finding::Nothing
            }
        }
    }
}

impl Containers {
    pub(crate) fn new(
        config: &AgentConfig,
        warden: Arc<Warden>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        Self {
            engine: Arc::new(Engine::new(config.docker.clone())),
            warden,
            reports,
            pull_timeout: config.limits.fetch_timeout,
            containers: BTreeMap::new(),
            names: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Sees to it that an image is there.
    pub(crate) fn prepare(&mut self, container: ContainerKey, directory: PathBuf, image: Image) {
        while self.tasks.try_join_next().is_some() {}
        let engine = Arc::clone(&self.engine);
        let reports = self.reports.clone();
        let key = container.clone();
        let timeout = self.pull_timeout;
        let work = self.tasks.spawn(async move {
            let prepared = tokio::time::timeout(timeout, engine.prepare(&image)).await;
            let input = match prepared {
                Ok(Ok(())) => Input::Prepared { container: key },
                Ok(Err(message)) => failed(key, message),
                Err(_) => failed(key, format!("pulling '{}' took too long", image.name)),
            };
            report(&reports, input);
        });
        self.insert(container, work, directory, Arc::default());
    }

    /// Makes and starts a container whose image is there.
    pub(crate) fn start(
        &mut self,
        container: ContainerKey,
        directory: PathBuf,
        plan: ContainerPlan,
    ) {
        while self.tasks.try_join_next().is_some() {}
        // The guard knows the name before the engine does.
        self.warden
            .register_container(self.engine.address(), &plan.name);
        lock(&self.names).insert(plan.name.clone());
        let facts = Arc::default();
        let watch = Watch {
            engine: Arc::clone(&self.engine),
            reports: self.reports.clone(),
            removal: self.removal(plan.name.clone()),
            container: container.clone(),
            name: plan.name.clone(),
            directory: directory.clone(),
            facts: Arc::clone(&facts),
        };
        let work = self.tasks.spawn(watch.run(plan));
        self.insert(container, work, directory, facts);
    }

    fn insert(
        &mut self,
        container: ContainerKey,
        work: AbortHandle,
        directory: PathBuf,
        facts: Arc<OnceLock<Facts>>,
    ) {
        let value = Container {
            work,
            directory,
            facts,
        };
        self.containers.insert(container, value);
    }

    /// Stops getting an image, or removes a container as it is. Whether there
    /// was such a container.
    pub(crate) fn abandon(&mut self, container: &ContainerKey) -> bool {
        let Some(found) = self.containers.remove(container) else {
            return false;
        };
        found.work.abort();
        let name = name(container);
        if lock(&self.names).contains(&name) {
            let removal = self.removal(name);
            self.tasks.spawn(removal.run());
        }
        true
    }

    fn removal(&self, name: String) -> Removal {
        Removal {
            engine: Arc::clone(&self.engine),
            warden: Arc::clone(&self.warden),
            names: Arc::clone(&self.names),
            name,
        }
    }

    /// Sends a signal to a container. Whether there is such a container.
    pub(crate) fn signal(&mut self, container: &ContainerKey, signal: Signal) -> bool {
        let Some(known) = self.containers.get(container) else {
            return false;
        };
        let signal = match signal {
            Signal::Terminate => known
                .facts
                .get()
                .map_or("SIGTERM", |facts| &facts.stop_signal),
            Signal::Kill => "SIGKILL",
        }
        .to_owned();
        let engine = Arc::clone(&self.engine);
        let name = name(container);
        self.tasks.spawn(async move {
            // One that has ended meanwhile is an error too.
            if let Err(error) = engine.kill(&name, &signal).await {
                tracing::debug!(%name, %error, "cannot signal a container");
            }
        });
        true
    }

    /// What a check needs to know of a container, and its sandbox.
    pub(crate) fn neighbour(&self, container: &ContainerKey) -> Option<(Neighbour, &Path)> {
        let known = self.containers.get(container)?;
        let neighbour = Neighbour {
            engine: Arc::clone(&self.engine),
            name: name(container),
            address: known.facts.get().and_then(|facts| facts.address),
        };
        Some((neighbour, &known.directory))
    }

    /// A container's end has been reported.
    pub(crate) fn ended(&mut self, container: &ContainerKey) {
        self.containers.remove(container);
    }

    /// Removes all containers.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        let names = lock(&self.names).clone();
        let removals = names.into_iter().map(|name| self.removal(name).run());
        let all = futures::future::join_all(removals);
        if tokio::time::timeout(REMOVAL, all).await.is_err() {
            tracing::warn!("containers are left to the warden to remove");
        }
    }
}

/// What takes a container out of the engine, and out of everybody's lists.
struct Removal {
    engine: Arc<Engine>,
    warden: Arc<Warden>,
    names: Arc<Mutex<BTreeSet<String>>>,
    name: String,
}

impl Removal {
    async fn run(self) {
        match self.engine.remove(&self.name).await {
            Ok(()) => {
                lock(&self.names).remove(&self.name);
                self.warden.release_container(&self.name);
            }
            // It is tried again when the agent stops.
            Err(error) => tracing::warn!(name = %self.name, %error, "cannot remove a container"),
        }
    }
}

/// The task of one container.
struct Watch {
    engine: Arc<Engine>,
    reports: mpsc::UnboundedSender<Report>,
    removal: Removal,
    container: ContainerKey,
    name: String,
    directory: PathBuf,
    facts: Arc<OnceLock<Facts>>,
}

impl Watch {
    async fn run(self, plan: ContainerPlan) {
        let output = match self.start(&plan).await {
            Ok(output) => output,
            Err(error) => {
                engine::complain(&self.directory, &error);
                self.give_up(&error);
                return self.removal.run().await;
            }
        };
        self.follow(output).await;
    }

    /// Creates, attaches, starts, and looks.
    async fn start(&self, plan: &ContainerPlan) -> Result<AttachContainerResults, EngineError> {
        self.engine.create(plan).await?;
        // Before the start, so that nothing is missed.
        let output = self.engine.attach(&self.name).await?;
        self.engine.start(&self.name).await?;
        self.look().await?;
        Ok(output)
    }

    async fn look(&self) -> Result<(), EngineError> {
        let text = self.engine.inspect(&self.name).await?;
        let (started, stop_signal) =
            inspect::read(&text).map_err(|cause| EngineError::Unreachable {
                address: self.engine.address().clone(),
                cause,
            })?;
        let facts = Facts {
            address: started.address,
            stop_signal,
        };
        // Looked at once only.
        let _ = self.facts.set(facts);
        let container = self.container.clone();
        report(&self.reports, Input::Started { container, started });
        Ok(())
    }

    /// Copies what a container writes until it ends.
    async fn follow(self, output: AttachContainerResults) {
        let mut copying = std::pin::pin!(output::copy(output.output, &self.directory));
        let mut waiting = std::pin::pin!(self.engine.wait(&self.name));
        let mut is_copied = false;
        let end = loop {
            tokio::select! {
                end = &mut waiting => break end,
                copied = &mut copying, if !is_copied => {
                    is_copied = true;
                    self.note(copied);
                }
            }
        };
        if !is_copied && let Ok(copied) = tokio::time::timeout(DRAIN, copying).await {
            self.note(copied);
        }
        match end {
            Ok(code) => {
                let input = Input::Exited {
                    container: self.container.clone(),
                    status: ExitStatus::Exited(code),
                };
                report(&self.reports, input);
            }
            Err(error) => self.give_up(&error),
        }
        self.removal.run().await;
    }

    fn note(&self, copied: std::io::Result<()>) {
        if let Err(error) = copied {
            tracing::warn!(name = %self.name, %error, "a container's output was cut off");
        }
    }

    fn give_up(&self, error: &EngineError) {
        let input = Input::RunFailed {
            container: self.container.clone(),
            status: ExitStatus::Exited(engine::run_status(error)),
            message: error.to_string(),
        };
        report(&self.reports, input);
    }
}

fn failed(container: ContainerKey, message: String) -> Input {
    Input::LaunchFailed {
        container,
        message,
        is_fetch: false,
    }
}

fn report(reports: &mpsc::UnboundedSender<Report>, input: Input) {
    // An agent that has ended wants no reports.
    let _ = reports.send(Report::Input(Box::new(input)));
}

fn lock(names: &Mutex<BTreeSet<String>>) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}
