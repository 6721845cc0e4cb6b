//! An executor that is a process of the framework's own and speaks the executor
//! API: what it is sent, and what becomes of its tasks when it does not come, or
//! goes (docs/executor-http-api.md, `src/slave/slave.cpp`).

mod docker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use mesos_sdk::status::is_terminal;
use mesos_sdk::v1;
use v1::executor::{Event, event};
use v1::task_status::{Reason, Source};

use crate::agent::executor::{Executor, Kind, Outcome, Stage};
use crate::agent::task_run::{Phase, network_info};
use crate::agent::{Action, CallId, ContainerKey, ContainerPlan, Refusal, Signal};
use crate::random::Random;
use crate::time::Timestamp;

/// What the agent knows of the process.
#[derive(Debug)]
pub(crate) struct Custom {
    pid: Option<u32>,
    stage: Connection,
    /// Tasks that wait for the subscription, in order.
    queue: Vec<Queued>,
    /// Uuids of the updates that were taken, by task.
    seen: BTreeMap<String, BTreeSet<Bytes>>,
    address: std::net::IpAddr,
    limits: CustomLimits,
    /// When the process is killed unless it has done what it should.
    deadline: Option<Timestamp>,
    next_heartbeat: Option<Timestamp>,
    /// What its tasks are told when it has ended.
    end: (v1::TaskState, Reason, String),
    /// The container it is to be started in, until it is.
    plan: Option<Result<Box<ContainerPlan>, Refusal>>,
    is_docker: bool,
}

/// How patient the agent is with the process.
#[derive(Debug, Clone)]
pub(crate) struct CustomLimits {
    pub(crate) registration_timeout: Duration,
    pub(crate) reregistration_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) heartbeat: Duration,
}

/// How things stand with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// It has never subscribed.
    Registering,
    /// It has; its stream may be gone for now.
    Running(Option<CallId>),
    /// It was told to end, or will be killed.
    Terminating(Option<CallId>),
}

/// What waits for the subscription.
#[derive(Debug, Clone)]
pub(crate) enum Queued {
    Task(Box<v1::TaskInfo>),
    Group(v1::TaskGroupInfo),
}

impl Queued {
    fn task_ids(&self) -> Vec<&str> {
        match self {
            Self::Task(task) => vec![&task.task_id.value],
            Self::Group(group) => group
                .tasks
                .iter()
                .map(|task| task.task_id.value.as_str())
                .collect(),
        }
    }

    fn event(self) -> Event {
        match self {
            Self::Task(task) => Event {
                launch: Some(event::Launch { task: *task }),
                ..of_type(event::Type::Launch)
            },
            Self::Group(task_group) => Event {
                launch_group: Some(event::LaunchGroup { task_group }),
                ..of_type(event::Type::LaunchGroup)
            },
        }
    }
}

fn of_type(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.into()),
        ..Event::default()
    }
}

impl Custom {
    pub(crate) fn new(now: Timestamp, limits: CustomLimits, address: std::net::IpAddr) -> Self {
        Self {
            pid: None,
            stage: Connection::Registering,
            queue: Vec::new(),
            seen: BTreeMap::new(),
            address,
            deadline: Some(now + limits.registration_timeout),
            next_heartbeat: None,
            limits,
            end: (
                v1::TaskState::TaskFailed,
                Reason::ExecutorTerminated,
                "Executor terminated".to_owned(),
            ),
            plan: None,
            is_docker: false,
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    pub(crate) fn launched(&mut self, pid: Option<u32>) {
        self.pid = pid;
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Connection::Registering => Phase::Launching,
            Connection::Running(_) | Connection::Terminating(_) => Phase::Running,
        }
    }

    pub(crate) fn has_registered(&self) -> bool {
        self.stage != Connection::Registering
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.stream().is_some()
    }

    pub(crate) fn is_terminating(&self) -> bool {
        matches!(self.stage, Connection::Terminating(_))
    }

    pub(crate) fn will_end_with(&mut self, state: v1::TaskState, reason: Reason, message: &str) {
        self.end = (state, reason, message.to_owned());
    }

    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        [self.deadline, self.next_heartbeat]
            .into_iter()
            .flatten()
            .min()
    }

    /// Gives it a task or a group, now or when it subscribes. `true` when it
    /// has it.
    pub(crate) fn launch(&mut self, launch: Queued, outcome: &mut Outcome) -> bool {
        match self.stage {
            Connection::Registering => {
                self.queue.push(launch);
                false
            }
            Connection::Running(_) | Connection::Terminating(_) => {
                self.send(launch.event(), outcome);
                true
            }
        }
    }

    pub(crate) fn message(&self, data: Bytes) -> Outcome {
        let mut outcome = Outcome::default();
        let event = Event {
            message: Some(event::Message { data }),
            ..of_type(event::Type::Message)
        };
        self.send(event, &mut outcome);
        outcome
    }

    pub(crate) fn shut_down(&mut self, now: Timestamp) -> Outcome {
        let mut outcome = Outcome::default();
        if self.is_terminating() {
            return outcome;
        }
        self.send(of_type(event::Type::Shutdown), &mut outcome);
        self.stage = Connection::Terminating(self.stream());
        self.deadline = Some(now + self.limits.shutdown_grace);
        self.next_heartbeat = None;
        outcome
    }

    /// Its process is not waited for any longer.
    pub(crate) fn destroy(&mut self, container: &ContainerKey) -> Outcome {
        self.stage = Connection::Terminating(self.stream());
        self.deadline = None;
        self.next_heartbeat = None;
        let container = container.clone();
        // One that still fetches its URIs is abandoned; one that runs is killed.
        let action = match self.pid {
            Some(_) => Action::Signal {
                container,
                signal: Signal::Kill,
            },
            None => Action::Abandon { container },
        };
        Outcome {
            actions: vec![action],
            ..Outcome::default()
        }
    }

    pub(crate) fn due(&mut self, now: Timestamp, container: &ContainerKey) -> Outcome {
        let mut outcome = Outcome::default();
        if self.next_heartbeat.is_some_and(|at| at <= now) {
            self.next_heartbeat = Some(now + self.limits.heartbeat);
            self.send(of_type(event::Type::Heartbeat), &mut outcome);
        }
        if self.deadline.is_none_or(|at| at > now) {
            return outcome;
        }
        match self.stage {
            Connection::Registering => {
                let waited = crate::duration::display(self.limits.registration_timeout);
                self.will_end_with(
                    v1::TaskState::TaskFailed,
                    Reason::ExecutorRegistrationTimeout,
                    &format!("Executor did not register within {waited}"),
                );
            }
            Connection::Running(_) => {
                let waited = crate::duration::display(self.limits.reregistration_timeout);
                self.will_end_with(
                    v1::TaskState::TaskGone,
                    Reason::ExecutorReregistrationTimeout,
                    &format!("Executor did not reregister within {waited}"),
                );
            }
            Connection::Terminating(_) => {}
        }
        outcome.extend(self.destroy(container));
        outcome
    }

    /// The stream is over from the other side.
    pub(crate) fn disconnected(&mut self, stream: CallId) {
        if self.stream() == Some(stream) {
            self.disconnect();
        }
    }

    fn disconnect(&mut self) {
        self.next_heartbeat = None;
        self.stage = match self.stage {
            Connection::Registering => Connection::Registering,
            Connection::Running(_) => Connection::Running(None),
            Connection::Terminating(_) => Connection::Terminating(None),
        };
    }

    /// The agent has gone: the stream ends, and what was queued is as good as
    /// launched, for nobody will remember that it was not.
    pub(crate) fn agent_gone(&mut self) -> Outcome {
        let closes = self.stream().into_iter().collect();
        self.disconnect();
        self.queue.clear();
        if !self.is_terminating() {
            self.deadline = None;
        }
        Outcome {
            closes,
            ..Outcome::default()
        }
    }

    /// The agent is back, and waits for the executor to subscribe again.
    pub(crate) fn agent_back(&mut self, now: Timestamp) {
        if !self.is_terminating() {
            self.stage = Connection::Running(None);
            self.deadline = Some(now + self.limits.reregistration_timeout);
        }
    }

    fn stream(&self) -> Option<CallId> {
        match self.stage {
            Connection::Registering => None,
            Connection::Running(stream) | Connection::Terminating(stream) => stream,
        }
    }

    fn send(&self, event: Event, outcome: &mut Outcome) {
        if let Some(stream) = self.stream() {
            outcome.events.push((stream, event));
        }
    }
}

/// What SUBSCRIBED tells besides the executor itself.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) framework: v1::FrameworkInfo,
    pub(crate) agent: v1::AgentInfo,
    pub(crate) is_partition_aware: bool,
}

impl Executor {
    /// The process subscribes, for the first time or again.
    pub(crate) fn subscribed(
        &mut self,
        now: Timestamp,
        stream: CallId,
        call: v1::executor::call::Subscribe,
        welcome: Welcome,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let info = self.info.clone();
        let container_id = self.container.to_id();
        let Kind::Custom(custom) = &mut self.kind else {
            return outcome;
        };
        outcome.closes.extend(custom.stream());
        if custom.is_terminating() {
            outcome
                .events
                .push((stream, of_type(event::Type::Shutdown)));
            outcome.closes.push(stream);
            custom.stage = Connection::Terminating(None);
            return outcome;
        }
        let is_new = !custom.has_registered();
        custom.stage = Connection::Running(Some(stream));
        custom.deadline = None;
        custom.next_heartbeat = Some(now + custom.limits.heartbeat);
        let subscribed = Event {
            subscribed: Some(event::Subscribed {
                executor_info: info,
                framework_info: welcome.framework,
                agent_info: welcome.agent,
                container_id: Some(container_id),
            }),
            ..of_type(event::Type::Subscribed)
        };
        custom.send(subscribed, &mut outcome);
        let queue = std::mem::take(&mut custom.queue);
        for update in call.unacknowledged_updates {
            let taken = self.updated(now, update.status);
            outcome.extend(taken);
        }
        if !is_new {
            let state = if welcome.is_partition_aware {
                v1::TaskState::TaskDropped
            } else {
                v1::TaskState::TaskLost
            };
            self.drop_unknown(now, state, &call.unacknowledged_tasks, random, &mut outcome);
        }
        if let Kind::Custom(custom) = &mut self.kind {
            for launch in queue {
                for id in launch.task_ids() {
                    if let Some(task) = self.tasks.get_mut(id) {
                        task.stage = Stage::Launched;
                    }
                }
                custom.send(launch.event(), &mut outcome);
            }
        }
        self.phase = Phase::Running;
        outcome
    }

    /// Tasks that were sent to the process while its stream broke, or while the
    /// agent was away, and that it does not name, never came to it.
    fn drop_unknown(
        &mut self,
        now: Timestamp,
        state: v1::TaskState,
        named: &[v1::TaskInfo],
        random: &mut Random,
        outcome: &mut Outcome,
    ) {
        let is_named = |id: &str| named.iter().any(|task| task.task_id.value == id);
        let heard: BTreeSet<String> = outcome
            .statuses
            .iter()
            .map(|status| status.task_id.value.clone())
            .collect();
        let lost = self.tasks.iter().filter(|(id, task)| {
            task.stage == Stage::Launched
                && task.record.state() == v1::TaskState::TaskStaging
                && !is_named(id)
                && !heard.contains(*id)
        });
        for (id, _) in lost {
            let message = "Task launched during agent restart";
            let reason = Reason::AgentRestarted;
            let status = self.agent_status(now, id, state, reason, message, random);
            outcome.statuses.push(status);
        }
    }

    /// The process tells of a task. It hears at once that it was taken, also
    /// when it was taken before, or says nothing of interest.
    pub(crate) fn updated(&mut self, now: Timestamp, mut status: v1::TaskStatus) -> Outcome {
        let mut outcome = Outcome::default();
        let Kind::Custom(custom) = &mut self.kind else {
            return outcome;
        };
        let uuid = status.uuid.clone().unwrap_or_default();
        let acknowledged = Event {
            acknowledged: Some(event::Acknowledged {
                task_id: status.task_id.clone(),
                uuid: uuid.clone(),
            }),
            ..of_type(event::Type::Acknowledged)
        };
        custom.send(acknowledged, &mut outcome);
        let id = &status.task_id.value;
        let task = self
            .tasks
            .get_mut(id)
            .filter(|task| task.stage != Stage::Terminated);
        let Some(task) = task else {
            return outcome;
        };
        if !custom.seen.entry(id.clone()).or_default().insert(uuid) {
            return outcome;
        }
        if is_terminal(status.state()) {
            custom.seen.remove(id);
        }
        status.agent_id = Some(task.record.agent_id.clone());
        status.executor_id = Some(self.info.executor_id.clone());
        status.source = Some(Source::Executor.into());
        status.timestamp = status.timestamp.or(Some(now.as_secs_f64()));
        let place = status.container_status.get_or_insert_default();
        place.container_id = Some(self.container.to_id());
        place.executor_pid = place.executor_pid.or(custom.pid);
        if place.network_infos.is_empty() {
            place.network_infos.push(network_info(custom.address));
        }
        outcome.statuses.push(status);
        outcome
    }

    pub(super) fn kill_custom(
        &mut self,
        now: Timestamp,
        task_id: &str,
        policy: Option<&v1::KillPolicy>,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let Kind::Custom(custom) = &mut self.kind else {
            return outcome;
        };
        let position = custom
            .queue
            .iter()
            .position(|queued| queued.task_ids().contains(&task_id));
        let Some(position) = position else {
            let kill = Event {
                kill: Some(event::Kill {
                    task_id: mesos_sdk::ids::task_id(task_id),
                    kill_policy: policy.copied(),
                }),
                ..of_type(event::Type::Kill)
            };
            custom.send(kill, &mut outcome);
            return outcome;
        };
        let queued = custom.queue.remove(position);
        if custom.queue.is_empty() {
            // It has never had a task, and none is left to give it.
            outcome.extend(custom.destroy(&self.container));
        }
        let message = match queued {
            Queued::Task(_) => "Killed before delivery to the executor",
            Queued::Group(_) => {
                "A task within the task group was killed before delivery to the executor"
            }
        };
        for id in queued.task_ids() {
            let state = v1::TaskState::TaskKilled;
            let reason = Reason::TaskKilledDuringLaunch;
            let status = self.agent_status(now, id, state, reason, message, random);
            outcome.statuses.push(status);
        }
        // An abandoned container reports no end of its own.
        let is_abandoned = |action: &Action| matches!(action, Action::Abandon { .. });
        if outcome.actions.iter().any(is_abandoned) {
            self.phase = Phase::Terminated;
            outcome.exit = Some(-1);
        }
        outcome
    }

    /// The process has ended: so have its tasks.
    pub(super) fn custom_exited(
        &mut self,
        now: Timestamp,
        status: i32,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase == Phase::Terminated {
            return outcome;
        }
        let Kind::Custom(custom) = &mut self.kind else {
            return outcome;
        };
        outcome.closes.extend(custom.stream());
        custom.stage = Connection::Terminating(None);
        custom.deadline = None;
        custom.next_heartbeat = None;
        custom.queue.clear();
        let (state, reason, message) = custom.end.clone();
        self.phase = Phase::Terminated;
        outcome.exit = Some(status);
        self.end_tasks(now, state, reason, &message, random, &mut outcome);
        outcome
    }
}
