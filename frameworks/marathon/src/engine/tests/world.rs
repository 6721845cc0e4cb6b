//! A cluster in a few lines: agents that offer, tasks that start when they are
//! told and end when somebody wants it, and a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::v1::{self, TaskState};
use serde_json::Value;

use crate::effects::{Call, Effects, Event, Input, Notice, Probe};
use crate::engine::step;
use crate::input::read;
use crate::instance::{Condition, Instance, InstanceId};
use crate::probes::{Outcome, Response};
use crate::request::{Deployed, GroupInput, Refusal, Reply, Request};
use crate::state::{Settings, State};
use crate::timestamp::Timestamp;

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Timestamp,
    /// What the master knows: the tasks, with their agents and states.
    pub(super) tasks: BTreeMap<String, (String, TaskState)>,
    pub(super) events: Vec<Event>,
    /// What the log told.
    pub(super) notices: Vec<Notice>,
    /// Every call that was made.
    pub(super) calls: Vec<Call>,
    /// Instances that answer health checks with a failure.
    pub(super) sick: BTreeSet<InstanceId>,
    /// All that was launched, in order.
    pub(super) launched: Vec<v1::TaskInfo>,
    pub(super) declined: usize,
    pub(super) agents: usize,
    /// When agents are to be unavailable.
    pub(super) unavailable: BTreeMap<usize, v1::Unavailability>,
    /// Tasks of these apps answer health checks with this status.
    pub(super) health: BTreeMap<String, u16>,
    pub(super) probes: Vec<Probe>,
    /// What is reserved and not in use, by agent.
    pub(super) kept: BTreeMap<String, Vec<v1::Resource>>,
    /// What tasks use of that.
    used: BTreeMap<String, (String, Vec<v1::Resource>)>,
    /// The kinds of operations, in order.
    pub(super) operations: Vec<v1::offer::operation::Type>,
    disk: BTreeMap<String, Vec<u8>>,
    replies: Vec<Reply>,
    wake_at: Option<Timestamp>,
    offers_made: usize,
    failing: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let mut world = Self {
            state: State::new(settings, 7),
            now: Timestamp::from_millis(1_000_000),
            tasks: BTreeMap::new(),
            events: Vec::new(),
            notices: Vec::new(),
            calls: Vec::new(),
            sick: BTreeSet::new(),
            launched: Vec::new(),
            declined: 0,
            agents: 3,
            unavailable: BTreeMap::new(),
            health: BTreeMap::new(),
            probes: Vec::new(),
            kept: BTreeMap::new(),
            used: BTreeMap::new(),
            operations: Vec::new(),
            disk: BTreeMap::new(),
            replies: Vec::new(),
            wake_at: None,
            offers_made: 0,
            failing: false,
        };
        world.subscribe();
        world
    }

    pub(super) fn subscribe(&mut self) {
        self.connect();
        self.reconcile();
    }

    /// A connection, before anything is heard over it.
    pub(super) fn connect(&mut self) {
        self.step(Input::Subscribed {
            framework_id: "f".to_owned(),
            master: Some(Box::default()),
        });
    }

    /// What became of every task is told, as it is after a new connection.
    pub(super) fn reconcile(&mut self) {
        let known: Vec<_> = self
            .tasks
            .iter()
            .map(|(id, (_, state))| (id.clone(), *state))
            .collect();
        for (id, state) in known {
            self.tell(&id, state);
        }
        let launched = self.state.instances.values().filter(|it| it.is_launched());
        let launched: Vec<String> = launched.map(|it| it.task_id().to_string()).collect();
        for id in launched {
            if !self.tasks.contains_key(&id) {
                self.tell(&id, TaskState::TaskUnknown);
            }
        }
    }

    pub(super) fn step(&mut self, input: Input) {
        let Effects {
            changes,
            calls,
            replies,
            events,
            probes,
            notices,
            wake_at,
        } = step(&mut self.state, self.now, input);
        for change in changes {
            let (key, value) = change.encode();
            match value {
                Some(value) => self.disk.insert(key, value),
                None => self.disk.remove(&key),
            };
        }
        self.replies
            .extend(replies.into_iter().map(|(_, reply)| reply));
        self.events.extend(events);
        self.probes.extend(probes);
        self.notices.extend(notices);
        self.wake_at = wake_at;
        for call in calls {
            self.calls.push(call.clone());
            self.call(call);
        }
    }

    /// Reserved resources that a task gets are not offered while it runs.
    fn use_kept(&mut self, task: &v1::TaskInfo) {
        let resources = task.resources.iter();
        let reserved = resources.filter(|it| !it.reservations.is_empty()).cloned();
        let reserved: Vec<v1::Resource> = reserved
            .map(|mut resource| {
                resource.allocation_info = None;
                resource
            })
            .collect();
        let agent = task.agent_id.value.clone();
        if let Some(kept) = self.kept.get_mut(&agent) {
            kept.retain(|resource| !reserved.contains(resource));
        }
        if !reserved.is_empty() {
            let used = (agent, reserved);
            self.used.insert(task.task_id.value.clone(), used);
        }
    }

    /// What is unreserved is everybody's again.
    fn give_back(&mut self, operation: &v1::offer::Operation) {
        let Some(unreserve) = &operation.unreserve else {
            return;
        };
        let label = |it: &v1::Resource| it.reservations.last()?.labels.clone();
        let labels: Vec<_> = unreserve.resources.iter().map(label).collect();
        for kept in self.kept.values_mut() {
            kept.retain(|resource| !labels.contains(&label(resource)));
        }
    }

    /// Tells of all tasks of an executor that one of them is to end.
    fn kill(&mut self, id: &str) {
        let container = |id: &str| id.rsplitn(3, '.').last().map(str::to_owned);
        let group = container(id);
        for (other, (_, state)) in &mut self.tasks {
            if container(other) == group {
                *state = TaskState::TaskKilling;
            }
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Accept { operations, .. } => {
                for operation in &operations {
                    self.operations.push(operation.r#type());
                    self.give_back(operation);
                }
                for task in operations.into_iter().flat_map(tasks_of) {
                    self.launched.push(task.clone());
                    self.use_kept(&task);
                    let id = task.task_id.value;
                    assert!(!self.tasks.contains_key(&id), "{id} is launched twice");
                    let agent = task.agent_id.value;
                    self.tasks.insert(id, (agent, TaskState::TaskStaging));
                }
            }
            Call::Kill { task_id, .. } => {
                if self.tasks.contains_key(&task_id) {
                    self.kill(&task_id);
                }
            }
            Call::Decline { offers, .. } => self.declined += offers.len(),
            Call::Suppress(_) | Call::Revive(_) | Call::Roles { .. } => {}
        }
    }

    /// Marathon dies, and another one reads what it saved.
    pub(super) fn restart(&mut self) {
        self.restore();
        self.subscribe();
    }

    /// The same, where the master has given another id.
    pub(super) fn restart_as(&mut self, framework_id: &str) {
        self.restore();
        self.step(Input::Subscribed {
            framework_id: framework_id.to_owned(),
            master: Some(Box::default()),
        });
        self.reconcile();
    }

    /// The master removes the framework with all its tasks.
    pub(super) fn remove_framework(&mut self) {
        for (agent, resources) in std::mem::take(&mut self.used).into_values() {
            self.kept.entry(agent).or_default().extend(resources);
        }
        self.tasks.clear();
        self.step(Input::Removed);
    }

    /// Another one reads what was saved, and has no connection yet.
    pub(super) fn restore(&mut self) {
        let mut state = State::new(self.state.settings.clone(), 8);
        let entities = self.disk.iter();
        let entities = entities.map(|(key, value)| (key.as_str(), value.as_slice()));
        state.restore(entities).unwrap();
        self.state = state;
        self.probes.clear();
    }

    pub(super) fn ask(&mut self, request: Request) -> Reply {
        self.step(Input::Request(1, Box::new(request)));
        self.replies.pop().unwrap()
    }

    pub(super) fn try_create(&mut self, body: Value) -> Result<Deployed, Refusal> {
        deployed(self.ask(Request::CreateApp {
            input: Box::new(read(body.to_string().as_bytes()).unwrap()),
            force: false,
        }))
    }

    pub(super) fn create(&mut self, body: Value) -> Deployed {
        self.try_create(body).unwrap()
    }

    pub(super) fn try_update(
        &mut self,
        id: &str,
        body: Value,
        force: bool,
    ) -> Result<Deployed, Refusal> {
        deployed(self.ask(Request::UpdateApps {
            id: Some(id.parse().unwrap()),
            inputs: vec![read(body.to_string().as_bytes()).unwrap()],
            is_partial: true,
            may_create: true,
            force,
        }))
    }

    pub(super) fn update(&mut self, id: &str, body: Value) -> Deployed {
        self.try_update(id, body, false).unwrap()
    }

    pub(super) fn put_group(&mut self, id: &str, body: Value) -> Result<Deployed, Refusal> {
        let input: GroupInput = read(body.to_string().as_bytes()).unwrap();
        deployed(self.ask(Request::UpdateGroup {
            id: id.parse().unwrap(),
            input,
            must_create: false,
            is_dry_run: false,
            force: false,
        }))
    }

    /// Each agent offers what it always has.
    pub(super) fn offer(&mut self) {
        let role = self.state.settings.defaults.role.clone();
        if self.state.suppressed.contains(&role) {
            return;
        }
        let offers = (0..self.agents).map(|agent| {
            self.offers_made += 1;
            let resources = "cpus:16;mem:16384;disk:9999;ports:[31000-31999]";
            let mut resources = Resources::parse(resources, "*").unwrap().into_vec();
            let kept = self.kept.get(&format!("a{agent}"));
            resources.extend(kept.cloned().unwrap_or_default());
            for resource in &mut resources {
                resource.allocation_info = Some(allocation(&role));
            }
            v1::Offer {
                id: v1::OfferId {
                    value: format!("o{}", self.offers_made),
                },
                agent_id: v1::AgentId {
                    value: format!("a{agent}"),
                },
                hostname: format!("host{agent}"),
                allocation_info: Some(allocation(&role)),
                resources,
                unavailability: self.unavailable.get(&agent).copied(),
                ..v1::Offer::default()
            }
        });
        let offers = offers.collect();
        self.step(Input::Offers(offers));
    }

    /// The next tasks that start fail at once.
    pub(super) fn fail_next(&mut self) {
        self.failing = true;
    }

    pub(super) fn start_stranger(&mut self, id: &str) {
        let task = ("a0".to_owned(), TaskState::TaskStaging);
        self.tasks.insert(id.to_owned(), task);
    }

    pub(super) fn tell(&mut self, id: &str, state: TaskState) {
        self.tell_as(id, state, v1::task_status::Source::Executor);
    }

    /// What somebody other than an executor says.
    pub(super) fn tell_as(&mut self, id: &str, state: TaskState, source: v1::task_status::Source) {
        let agent = self.tasks.get(id).map(|(agent, _)| agent.clone());
        let is_over = !matches!(
            state,
            TaskState::TaskStaging
                | TaskState::TaskStarting
                | TaskState::TaskRunning
                | TaskState::TaskKilling
                | TaskState::TaskUnreachable
        );
        if is_over {
            if let Some((agent, resources)) = self.used.remove(id) {
                self.kept.entry(agent).or_default().extend(resources);
            }
            self.tasks.remove(id);
        } else if let Some((_, known)) = self.tasks.get_mut(id) {
            *known = state;
        }
        self.step(Input::Update(Box::new(v1::TaskStatus {
            task_id: v1::TaskId {
                value: id.to_owned(),
            },
            agent_id: agent.map(|value| v1::AgentId { value }),
            state: state.into(),
            message: Some("as it was told".to_owned()),
            source: Some(source.into()),
            ..v1::TaskStatus::default()
        })));
    }

    /// One task goes on by one state. Says whether any did.
    pub(super) fn go_on(&mut self) -> bool {
        let next = self.tasks.iter().find_map(|(id, (_, state))| match state {
            TaskState::TaskStaging if self.failing => Some((id.clone(), TaskState::TaskFailed)),
            TaskState::TaskStaging => Some((id.clone(), TaskState::TaskRunning)),
            TaskState::TaskKilling => Some((id.clone(), TaskState::TaskKilled)),
            _ => None,
        });
        let Some((id, state)) = next else {
            return false;
        };
        self.failing = false;
        self.tell(&id, state);
        true
    }

    /// Answers what was asked of instances. Says whether anything was.
    pub(super) fn answer(&mut self) -> bool {
        let probes = std::mem::take(&mut self.probes);
        let any = !probes.is_empty();
        for probe in probes {
            let app = self.state.instances.get(&probe.instance);
            let app = app
                .map(|instance| instance.app.to_string())
                .unwrap_or_default();
            let is_sick = self.sick.contains(&probe.instance);
            let status = if is_sick {
                Some(500)
            } else {
                self.health.get(&app).copied()
            };
            let status = status.unwrap_or(200);
            let outcome = match status {
                0 => Outcome::Failure("connection refused".to_owned()),
                status => Outcome::Answer(Response {
                    status,
                    content_type: "text/plain".to_owned(),
                    body: "body".to_owned(),
                }),
            };
            self.step(Input::Probed(probe, outcome));
        }
        any
    }

    /// Time goes by until the next thing that is due, but no more than this.
    pub(super) fn pass(&mut self, most: Duration) {
        let latest = self.now.after(most);
        self.now = self.wake_at.map_or(latest, |at| at.clamp(self.now, latest));
        self.step(Input::Wake);
    }

    /// All goes well, for as long as anything does.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let any = self.go_on() || self.answer();
            let waits = !self.state.waiting.is_empty() || !self.state.deployments.is_empty();
            if !any && waits {
                self.offer();
                self.pass(Duration::from_secs(1));
            } else if !any {
                self.offer();
                self.pass(Duration::from_secs(5));
                return;
            }
        }
        panic!(
            "it does not settle: {:?} {:?}",
            self.state.deployments, self.state.instances
        );
    }

    /// The same, until these run as many instances as they are to.
    pub(super) fn settle_with(&mut self, apps: &[&str]) {
        for _ in 0..1000 {
            let wants = |id: &&&str| {
                let app = self.state.root.app(&id.parse().unwrap()).unwrap();
                self.running(id).len() != app.instances as usize
            };
            if !apps.iter().any(|id| wants(&id)) {
                return;
            }
            if !self.go_on() {
                self.offer();
                self.pass(Duration::from_secs(1));
            }
        }
        panic!("it does not settle");
    }

    pub(super) fn running(&self, app: &str) -> Vec<Instance> {
        let app = app.parse().unwrap();
        let instances = self.state.instances_of(&app);
        instances
            .filter(|instance| instance.condition == Condition::Running)
            .cloned()
            .collect()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.events.iter().map(|event| event.kind).collect()
    }
}

fn allocation(role: &str) -> v1::resource::AllocationInfo {
    v1::resource::AllocationInfo {
        role: Some(role.to_owned()),
    }
}

fn deployed(reply: Reply) -> Result<Deployed, Refusal> {
    match reply {
        Reply::Deployed(deployed) => Ok(deployed),
        Reply::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

fn tasks_of(operation: v1::offer::Operation) -> Vec<v1::TaskInfo> {
    let launch = operation.launch.map(|launch| launch.task_infos);
    let group = operation.launch_group.map(|group| group.task_group.tasks);
    launch.or(group).unwrap_or_default()
}
