//! The agents on their hosts, with processes that follow a script.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::{attributes, v1};

use super::{Happening, World};
use crate::agent::{
    Action, Agent, AgentConfig, AgentLimits, ContainerKey, EngineAddress, ExitStatus, Finding,
    Input, Launch, Probe, Signal,
};
use crate::master::LinkId;
use crate::messages::{FromAgent, ToAgent};
use crate::simulation::checks::Violation;
use crate::simulation::framework::Framework;
use crate::simulation::judge::Sight;
use crate::simulation::network::Route;
use crate::simulation::script::Process;
use crate::time::Timestamp;

/// How long agents wait for a ping: as long as the master does for the answers,
/// five times 15 seconds.
const UNPINGED: Duration = Duration::from_secs(75);

/// A machine with an agent.
pub(super) struct Host {
    config: Arc<AgentConfig>,
    agent: Agent,
    /// How many machines were here before this one.
    birth: u64,
    pub(super) is_up: bool,
    link: Option<LinkId>,
    pinged_at: Timestamp,
    /// What tasks that came here may use.
    demands: BTreeMap<String, Resources>,
    processes: BTreeMap<ContainerKey, Running>,
}

/// A process.
#[derive(Debug)]
struct Running {
    task: String,
    terminates_in: Option<Duration>,
}

impl Host {
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.agent.wake_at().filter(|_| self.is_up)
    }

    /// Whose processes run here.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.processes.values().map(|running| running.task.as_str())
    }

    pub(super) fn is_registered(&self) -> bool {
        self.is_up && self.link.is_some() && self.agent.is_registered()
    }

    /// What does not fit here any more with what runs.
    fn overspent(&self) -> Option<String> {
        let mut free = Resources::from(self.config.resources.clone());
        for running in self.processes.values() {
            let wanted = self.demands.get(&running.task)?;
            match free.checked_sub(wanted) {
                Some(less) => free = less,
                None => {
                    return Some(format!(
                        "task {} needs {wanted} and only {free} are left",
                        running.task
                    ));
                }
            }
        }
        None
    }
}

impl<F: Framework> World<'_, F> {
    pub(super) fn new_host(&mut self, index: usize) {
        let birth = self.hosts.get(index).map_or(0, |host| host.birth + 1);
        let (resources, attributes) = &self.plan.agents[index];
        let resources = Resources::parse(resources, "*").expect("checked when it was given");
        let last = u8::try_from(index % 250 + 1).unwrap_or(1);
        let address = SocketAddr::from(([10, 0, 1, last], 5051));
        let config = Arc::new(AgentConfig {
            hostname: format!("agent-{index}"),
            address,
            resources_flag: resources.to_string(),
            resources: resources.into_vec(),
            attributes: attributes::parse(attributes).expect("checked when it was given"),
            attributes_flag: attributes.clone(),
            domain: None,
            work_dir: "/agent".into(),
            master: String::new(),
            version: crate::master::VERSION.to_owned(),
            seed: self.dice.draw(),
            http_command_executor: false,
            switch_user: false,
            tokens: None,
            is_https: false,
            docker: EngineAddress::default(),
            limits: AgentLimits::default(),
        });
        let host = Host {
            agent: Agent::new(Arc::clone(&config), self.now),
            config,
            birth,
            is_up: true,
            link: None,
            pinged_at: self.now,
            demands: BTreeMap::new(),
            processes: BTreeMap::new(),
        };
        let now = self.clock();
        match self.hosts.get_mut(index) {
            Some(old) => {
                let gone = std::mem::replace(old, host);
                for task in gone.tasks() {
                    self.checks.show(now, Sight::TaskEnded { task });
                }
            }
            None => self.hosts.push(host),
        }
    }

    pub(super) fn step_agent(&mut self, index: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let effects = self.hosts[index].agent.step(self.now, input);
            for message in effects.to_master {
                self.send_to_master(index, message);
            }
            for action in effects.actions {
                inputs.extend(self.perform(index, action));
            }
        }
    }

    fn send_to_master(&mut self, index: usize, message: FromAgent) {
        let Some(link) = self.hosts[index].link.filter(|_| self.hosts[index].is_up) else {
            return;
        };
        if self.network.loses_from_agent(&message) {
            return;
        }
        let is_twice =
            matches!(message, FromAgent::StatusUpdate { .. }) && self.network.duplicates();
        for message in std::iter::repeat_n(message, 1 + usize::from(is_twice)) {
            let at = self.network.arrival(self.now, Route::FromAgent(link));
            self.at(at, Happening::FromAgent(self.reign, link, message));
        }
    }

    /// Does what the agent wants, and gives back what it hears of it at once.
    fn perform(&mut self, index: usize, action: Action) -> Option<Input> {
        match action {
            Action::Launch(launch) => self.launch(index, *launch),
            Action::Abandon { container } => {
                if let Some(running) = self.hosts[index].processes.remove(&container) {
                    let task = &running.task;
                    self.show(Sight::TaskEnded { task });
                }
            }
            Action::Signal { container, signal } => self.signal(index, container, signal),
            Action::Raise { container, signal } => {
                let delay = Duration::from_millis(1);
                self.end_by_signal(index, container, signal, delay);
            }
            Action::Probe {
                container,
                kind,
                probe,
                ..
            } => {
                // Whoever runs is well.
                let finding = match probe {
                    Probe::Command { .. } => Finding::ExitCode(0),
                    Probe::Http { .. } => Finding::StatusCode(200),
                    Probe::Tcp { .. } => Finding::Connected(true),
                };
                return Some(Input::Probed {
                    container,
                    kind,
                    finding,
                });
            }
            Action::StartContainer { container, .. } => {
                return Some(Input::RunFailed {
                    container,
                    status: ExitStatus::Exited(125),
                    message: "there is no Docker engine in a simulation".to_owned(),
                });
            }
            Action::ChangeVolumes { operation, .. } => {
                let problem = None;
                return Some(Input::VolumesChanged { operation, problem });
            }
            Action::Exit { message } => {
                self.note(|| format!("agent-{index}: ends: {message}"));
                self.lose_machine(index);
            }
            Action::Complain { .. } | Action::RemoveSandbox { .. } => {}
        }
        None
    }

    fn launch(&mut self, index: usize, launch: Launch) {
        let find =
            |(name, value): &(String, String)| (name == "MESOS_TASK_ID").then(|| value.clone());
        let task = launch.environment.iter().find_map(find).unwrap_or_default();
        let process = Process {
            task_id: &task,
            command: launch.command.value(),
        };
        let script = (self.hooks.scripts)(&process, &mut self.script_dice);
        let runs_already = |host: &Host| host.tasks().any(|other| other == task);
        if self.hosts.iter().any(runs_already) {
            let task = task.clone();
            self.checks.violate(Violation::TaskLaunchedTwice { task });
        }
        let agent = self.hosts[index].config.hostname.clone();
        self.show(Sight::TaskStarted {
            task: &task,
            agent: &agent,
        });
        let container = launch.container;
        let running = Running {
            task,
            terminates_in: script.terminates_in,
        };
        let host = &mut self.hosts[index];
        host.processes.insert(container.clone(), running);
        if let Some(what) = host.overspent() {
            let agent = host.config.hostname.clone();
            self.checks.violate(Violation::Overspent { agent, what });
        }
        let started = Happening::Launched(index, container.clone());
        self.after(script.starts_in, started);
        if let Some((time, status)) = script.ends {
            let ended = Happening::Exited(index, container, status);
            self.after(script.starts_in + time, ended);
        }
    }

    pub(super) fn launched(&mut self, index: usize, container: ContainerKey) {
        if self.hosts[index].processes.contains_key(&container) {
            let pid = Some(1);
            self.step_agent(index, Input::Launched { container, pid });
        }
    }

    pub(super) fn exited(&mut self, index: usize, container: ContainerKey, status: ExitStatus) {
        let running = self.hosts[index].processes.remove(&container);
        if let Some(running) = running {
            self.note(|| format!("agent-{index}: {} {status}", running.task));
            self.show(Sight::TaskEnded {
                task: &running.task,
            });
            self.step_agent(index, Input::Exited { container, status });
        }
    }

    fn signal(&mut self, index: usize, container: ContainerKey, signal: Signal) {
        let running = self.hosts[index].processes.get(&container);
        let (number, delay) = match signal {
            Signal::Kill => (9, Some(Duration::from_millis(1))),
            Signal::Terminate => (15, running.and_then(|running| running.terminates_in)),
        };
        if let Some(delay) = delay {
            self.end_by_signal(index, container, number, delay);
        }
    }

    fn end_by_signal(
        &mut self,
        index: usize,
        container: ContainerKey,
        signal: i32,
        delay: Duration,
    ) {
        let status = ExitStatus::Signaled {
            signal,
            core_dumped: false,
        };
        self.after(delay, Happening::Exited(index, container, status));
    }

    pub(super) fn arrive_at_agent(&mut self, index: usize, link: LinkId, message: ToAgent) {
        let route = Route::ToAgent(link);
        if self.network.cut_agents.contains(&index) {
            self.network.breaks(route);
        }
        let host = &mut self.hosts[index];
        if self.network.is_broken(route) || host.link != Some(link) || !host.is_up {
            return;
        }
        if matches!(message, ToAgent::Ping) {
            host.pinged_at = self.now;
        }
        let tasks: &[v1::TaskInfo] = match &message {
            ToAgent::RunTask { task, .. } => std::slice::from_ref(task),
            ToAgent::RunTaskGroup { group, .. } => &group.tasks,
            _ => &[],
        };
        for task in tasks {
            let demand = Resources::from(task.resources.as_slice());
            host.demands
                .insert(task.task_id.value.clone(), plain(&demand));
        }
        self.step_agent(index, Input::FromMaster(message));
    }

    /// The agent connects to whoever leads, or tries again later.
    pub(super) fn connect(&mut self, index: usize, birth: u64) {
        let host = &self.hosts[index];
        if host.birth != birth || !host.is_up || host.link.is_some() {
            return;
        }
        if self.master.is_none() || self.network.cut_agents.contains(&index) {
            let delay = Duration::from_secs(1) + self.dice.around(Duration::from_secs(2));
            return self.after(delay, Happening::Connect(index, birth));
        }
        let link = LinkId(self.number());
        self.links.insert(link, index);
        let host = &mut self.hosts[index];
        (host.link, host.pinged_at) = (Some(link), self.now);
        self.after(UNPINGED, Happening::Pinged(index, link));
        self.note(|| format!("agent-{index}: connects"));
        self.step_agent(index, Input::Connected);
    }

    /// An agent that nobody pings takes its connection to be broken, for the
    /// master may have given it up.
    pub(super) fn miss_pings(&mut self, index: usize, link: LinkId) {
        let host = &self.hosts[index];
        if host.link != Some(link) {
            return;
        }
        let due = host.pinged_at + UNPINGED;
        if self.now < due {
            return self.at(due, Happening::Pinged(index, link));
        }
        // Where it reaches nobody, there is nobody else to connect to.
        if self.network.cut_agents.contains(&index) {
            return self.after(UNPINGED, Happening::Pinged(index, link));
        }
        self.note(|| format!("agent-{index}: nobody pings it"));
        self.break_link(index);
    }

    /// The agent notices that its connection has ended, and seeks another.
    pub(super) fn link_lost(&mut self, index: usize, link: LinkId) {
        if self.hosts[index].link != Some(link) {
            return;
        }
        self.hosts[index].link = None;
        self.step_agent(index, Input::Disconnected);
        let birth = self.hosts[index].birth;
        let delay = self.dice.around(Duration::from_secs(1));
        self.after(delay, Happening::Connect(index, birth));
    }

    /// The agent's end of its connection closes; the master notices, or not.
    fn drop_link(&mut self, index: usize, is_silent: bool) {
        if let Some(link) = self.hosts[index].link.take() {
            self.network.breaks(Route::ToAgent(link));
            if !is_silent {
                let at = self.network.arrival(self.now, Route::FromAgent(link));
                self.at(at, Happening::AgentGone(self.reign, link));
            }
        }
    }

    /// Both ends notice that the connection has broken.
    pub(super) fn break_link(&mut self, index: usize) {
        if let Some(link) = self.hosts[index].link {
            self.network.breaks(Route::ToAgent(link));
            self.network.breaks(Route::FromAgent(link));
            let delay = self.dice.around(Duration::from_secs(1));
            self.after(delay, Happening::LinkLost(index, link));
            let delay = self.dice.around(Duration::from_secs(1));
            self.after(delay, Happening::AgentGone(self.reign, link));
        }
    }

    /// The agent ends as the input says, and comes back.
    pub(super) fn end_host(&mut self, index: usize, how: Input, away_for: Duration) {
        if !self.hosts[index].is_up {
            return;
        }
        let is_silent =
            matches!(how, Input::Crashed { with_machine: true }) && self.chance.permille(500);
        self.step_agent(index, how);
        self.hosts[index].is_up = false;
        self.drop_link(index, is_silent);
        let birth = self.hosts[index].birth;
        self.after(away_for, Happening::HostBack(index, birth));
    }

    pub(super) fn host_back(&mut self, index: usize, birth: u64) {
        let host = &mut self.hosts[index];
        if host.birth != birth || host.is_up {
            return;
        }
        host.is_up = true;
        self.note(|| format!("agent-{index}: starts again"));
        self.step_agent(index, Input::Restarted);
        self.after(Duration::ZERO, Happening::Connect(index, birth));
    }

    /// The machine goes with all that is on it, and another takes its place.
    pub(super) fn lose_machine(&mut self, index: usize) {
        self.drop_link(index, false);
        self.new_host(index);
        let birth = self.hosts[index].birth;
        let delay = self.dice.around(Duration::from_secs(20));
        self.after(delay, Happening::Connect(index, birth));
    }
}

/// What is used of the machine, whoever it is reserved for or allocated to.
fn plain(resources: &Resources) -> Resources {
    resources
        .iter()
        .map(|item| v1::Resource {
            allocation_info: None,
            role: None,
            reservation: None,
            reservations: Vec::new(),
            disk: None,
            ..item.clone()
        })
        .collect()
}
