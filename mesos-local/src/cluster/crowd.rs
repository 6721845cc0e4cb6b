//! Simulated agents: the models of many agents on one task, and processes that
//! are entries in a queue.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::election::AbortOnDrop;
use super::master_shell::MasterHandle;
use super::network::{Arrival, ForOne, ToAgentEnd};
use super::{ClusterConfig, Error};
use crate::agent::{
    Action, Agent, AgentConfig, AgentLimits, ContainerKey, EngineAddress, ExitStatus, Finding,
    Input, Probe, Signal,
};
use crate::master::LinkId;
use crate::time::Timestamp;
use crate::version::MESOS_VERSION;

/// The port that simulated agents claim to listen on.
const PORT: u16 = 5051;
/// Their addresses begin here; nothing listens on them.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 128, 0, 1);
/// How many messages are taken at once.
const BATCH: usize = 1024;

/// The simulated agents of a cluster. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    orders: mpsc::UnboundedSender<()>,
    _task: AbortOnDrop,
}

/// What each simulated agent is started with.
pub(super) fn configs(
    config: &ClusterConfig,
    seed: u64,
    work_dir: &Path,
) -> Result<Vec<AgentConfig>, Error> {
    let simulated = &config.simulated_agents;
    if simulated.count == 0 {
        return Ok(Vec::new());
    }
    if config.zookeeper.is_some() {
        return Err(Error::Simulated);
    }
    let resources = simulated.offered()?;
    let attributes = simulated.parsed_attributes()?;
    let one = |index: usize| {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let ip = Ipv4Addr::from(u32::from(FIRST_ADDRESS).saturating_add(number));
        AgentConfig {
            hostname: format!("simulated-{index}"),
            address: SocketAddr::from((ip, PORT)),
            resources: resources.clone(),
            attributes: attributes.clone(),
            domain: None,
            work_dir: work_dir.join(format!("simulated-{index}")),
            master: String::new(),
            version: MESOS_VERSION.to_owned(),
            resources_flag: simulated.resources.clone(),
            attributes_flag: simulated.attributes.clone().unwrap_or_default(),
            seed: seed ^ (index as u64 + 1) << 32,
            switch_user: false,
            tokens: None,
            is_https: false,
            http_command_executor: false,
            docker: EngineAddress::default(),
            limits: AgentLimits {
                kill_grace: config.kill_grace,
                update_retry_min: config.update_retry,
                max_completed_executors: 10,
                ..AgentLimits::default()
            },
        }
    };
    Ok((0..simulated.count).map(one).collect())
}

impl Crowd {
    /// Starts the agents on the current runtime; they register at once.
    pub(super) fn start(
        configs: Vec<AgentConfig>,
        task_time: Duration,
        master: MasterHandle,
    ) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (sender, messages) = mpsc::unbounded_channel();
        let now = Timestamp::now();
        let members = configs.into_iter().map(|config| Member {
            agent: Agent::new(Arc::new(config), now),
            link: None,
            wakes: None,
            containers: BTreeSet::new(),
        });
        let shell = Shell {
            members: members.collect(),
            master,
            task_time,
            sender,
            wakes: BTreeSet::new(),
            ends: BTreeMap::new(),
            next: 0,
        };
        let task = tokio::spawn(shell.run(inbox, messages));
        let crowd = Self {
            orders,
            _task: AbortOnDrop(task.abort_handle()),
        };
        crowd.connect();
        crowd
    }

    /// Lays new links to the master, which has lost the old ones.
    pub(super) fn connect(&self) {
        // They end with this, not before.
        let _ = self.orders.send(());
    }
}

struct Member {
    agent: Agent,
    link: Option<LinkId>,
    /// Where it stands among those to be woken.
    wakes: Option<Timestamp>,
    /// What runs.
    containers: BTreeSet<ContainerKey>,
}

struct Shell {
    members: Vec<Member>,
    master: MasterHandle,
    task_time: Duration,
    /// The other end of all links.
    sender: mpsc::UnboundedSender<ForOne>,
    wakes: BTreeSet<(Timestamp, usize)>,
    /// When which process ends.
    ends: BTreeMap<(Timestamp, u64), (usize, ContainerKey)>,
    next: u64,
}

impl Shell {
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<()>,
        mut messages: mpsc::UnboundedReceiver<ForOne>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let delay = self.wake_at().map(|at| at.since(Timestamp::now()));
            let timer = async {
                match delay {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(()) => self.connect().await,
                    None => return,
                },
                count = messages.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for message in batch.drain(..) {
                        self.receive(message);
                    }
                }
                () = timer => {}
            }
            self.pass_time();
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let end = self.ends.first_key_value().map(|((at, _), _)| *at);
        wake.into_iter().chain(end).min()
    }

    async fn connect(&mut self) {
        for index in 0..self.members.len() {
            let link = self.master.next_link();
            let end = ToAgentEnd::shared(self.sender.clone(), index, link);
            self.master.attach(link, end);
            let is_new = self.members[index].link.replace(link).is_none();
            if !is_new {
                self.step(index, Input::Disconnected);
            }
            self.step(index, Input::Connected);
            // The master has its turn too.
            if index % 100 == 99 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn receive(&mut self, message: ForOne) {
        let ForOne {
            index,
            link,
            message,
        } = message;
        if self.members[index].link == Some(link) {
            self.step(index, Input::FromMaster(message));
        }
    }

    /// Wakes whoever is to be woken, and ends what is to end.
    fn pass_time(&mut self) {
        let now = Timestamp::now();
        while let Some(end) = self.ends.first_entry().filter(|end| end.key().0 <= now) {
            let (index, container) = end.remove();
            self.end(index, container, ExitStatus::Exited(0));
        }
        while let Some((_, index)) = self.wakes.first().filter(|(at, _)| *at <= now) {
            self.step(*index, Input::Due);
        }
    }

    fn end(&mut self, index: usize, container: ContainerKey, status: ExitStatus) {
        if self.members[index].containers.remove(&container) {
            self.step(index, Input::Exited { container, status });
        }
    }

    fn step(&mut self, index: usize, input: Input) {
        let now = Timestamp::now();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = self.members[index].agent.step(now, input);
            if let Some(link) = self.members[index].link {
                for message in effects.to_master {
                    self.master.arrive(link, Arrival::Message(message));
                }
            }
            for action in effects.actions {
                inputs.extend(self.perform(now, index, action));
            }
        }
        let member = &mut self.members[index];
        let wakes = member.agent.wake_at().map(|at| at.max(now));
        let old = std::mem::replace(&mut member.wakes, wakes);
        if old != wakes {
            self.wakes.extend(wakes.map(|at| (at, index)));
            if let Some(old) = old {
                self.wakes.remove(&(old, index));
            }
        }
    }

    fn perform(&mut self, now: Timestamp, index: usize, action: Action) -> Option<Input> {
        let containers = &mut self.members[index].containers;
        match action {
            Action::Launch(launch) => {
                let container = launch.container;
                containers.insert(container.clone());
                self.next += 1;
                let end = (now + self.task_time, self.next);
                self.ends.insert(end, (index, container.clone()));
                let pid = None;
                Some(Input::Launched { container, pid })
            }
            Action::Signal { container, signal } => {
                let signal = match signal {
                    Signal::Terminate => 15,
                    Signal::Kill => 9,
                };
                killed(containers, container, signal)
            }
            Action::Raise { container, signal } => killed(containers, container, signal),
            Action::Abandon { container } => {
                containers.remove(&container);
                None
            }
            Action::Probe {
                container,
                kind,
                probe,
                ..
            } => {
                let finding = match probe {
                    Probe::Command { .. } => Finding::ExitCode(0),
                    Probe::Http { .. } => Finding::StatusCode(200),
                    Probe::Tcp { .. } => Finding::Connected(true),
                };
                Some(Input::Probed {
                    container,
                    kind,
                    finding,
                })
            }
            Action::StartContainer { container, .. } => Some(Input::RunFailed {
                container,
                status: ExitStatus::Exited(125),
                message: "simulated agents have no Docker engine".to_owned(),
            }),
            Action::ChangeVolumes { operation, .. } => {
                let problem = None;
                Some(Input::VolumesChanged { operation, problem })
            }
            Action::Exit { message } => {
                tracing::info!(index, %message, "a simulated agent ends as the master asked");
                self.members[index].link = None;
                None
            }
            Action::Complain { .. } | Action::RemoveSandbox { .. } => None,
        }
    }
}

/// A process that is sent a signal ends at once.
fn killed(
    containers: &mut BTreeSet<ContainerKey>,
    container: ContainerKey,
    signal: i32,
) -> Option<Input> {
    containers.remove(&container).then_some(Input::Exited {
        container,
        status: ExitStatus::Signaled {
            signal,
            core_dumped: false,
        },
    })
}
