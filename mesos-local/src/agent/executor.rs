//! Executors: what they are to the agent, whatever kind they are of. How each
//! kind lives is in `task_run` (commands), `pod` (task groups of the default
//! executor) and `custom` (processes that speak the executor API).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;

use mesos_sdk::status::is_terminal;
use mesos_sdk::v1;
use v1::executor::Event;
use v1::task_status::Reason;

use crate::agent::custom::Custom;
use crate::agent::nested::Place;
use crate::agent::pod::Pod;
pub(crate) use crate::agent::task_run::Phase;
use crate::agent::task_run::TaskRun;
use crate::agent::{Action, CallId, ContainerKey, ExitStatus, Finding, ProbeKind, Started};
use crate::random::Random;
use crate::time::Timestamp;

/// How many tasks of one executor are remembered whose end is acknowledged.
const MAX_COMPLETED_TASKS: usize = 200;

/// An executor and its tasks.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) info: v1::ExecutorInfo,
    pub(crate) container: ContainerKey,
    /// The sandbox.
    pub(crate) directory: PathBuf,
    /// What its processes see of their surroundings.
    pub(crate) place: Place,
    /// By task id: those that are not over, or whose end nobody acknowledged.
    pub(crate) tasks: BTreeMap<String, Task>,
    /// Oldest first.
    pub(crate) completed_tasks: VecDeque<Box<v1::Task>>,
    pub(crate) phase: Phase,
    pub(crate) kind: Kind,
}

/// The kinds of executors.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One command.
    Command(Box<TaskRun>),
    /// Task groups, each task a container inside the executor's.
    Default(Pod),
    /// A process of the framework's own.
    Custom(Box<Custom>),
}

/// A task as the read side shows it.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) record: Box<v1::Task>,
    pub(crate) stage: Stage,
}

/// Where a task is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its executor does not have it yet.
    Queued,
    /// Its executor has it.
    Launched,
    /// It is over.
    Terminated,
}

/// What a step of an executor leads to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// To be reported, oldest first.
    pub(crate) statuses: Vec<v1::TaskStatus>,
    /// To be done.
    pub(crate) actions: Vec<Action>,
    /// For the executor.
    pub(crate) events: Vec<(CallId, Event)>,
    /// Streams to end, after their events.
    pub(crate) closes: Vec<CallId>,
    /// How the executor ended, as `wait` gives it.
    pub(crate) exit: Option<i32>,
}

impl Outcome {
    pub(crate) fn extend(&mut self, other: Self) {
        self.statuses.extend(other.statuses);
        self.actions.extend(other.actions);
        self.events.extend(other.events);
        self.closes.extend(other.closes);
        self.exit = other.exit.or(self.exit);
    }
}

/// Why a container was not made.
#[derive(Debug)]
pub(crate) struct LaunchFailure {
    pub(crate) message: String,
    /// It lacks what its URIs name.
    pub(crate) is_fetch: bool,
}

impl fmt::Display for LaunchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed to launch container: {}", self.message)
    }
}

impl Executor {
    /// When [`Executor::due`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Command(run) => run.wake_at(),
            Kind::Default(pod) => pod.wake_at(),
            Kind::Custom(custom) => custom.wake_at(),
        }
    }

    /// The process of a container runs.
    pub(crate) fn launched(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        pid: Option<u32>,
        random: &mut Random,
    ) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.launched(now, pid, random),
            Kind::Default(pod) => pod.launched(now, container, pid, random),
            Kind::Custom(custom) => {
                custom.launched(pid);
                Outcome::default()
            }
        };
        self.follow();
        outcome
    }

    /// A container could not be made.
    pub(crate) fn failed_to_launch(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        failure: &LaunchFailure,
        random: &mut Random,
    ) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.failed_to_launch(now, failure, random),
            Kind::Default(pod) => pod.failed_to_launch(now, container, failure, random),
            Kind::Custom(custom) => {
                let reason = Reason::ContainerLaunchFailed;
                custom.will_end_with(v1::TaskState::TaskFailed, reason, &failure.to_string());
                // Nothing ran that could have a status; Mesos says so.
                self.custom_exited(now, -1, random)
            }
        };
        self.follow();
        outcome
    }

    /// The process of a container has ended.
    pub(crate) fn exited(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        status: ExitStatus,
        random: &mut Random,
    ) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.exited(now, status, random),
            Kind::Default(pod) => pod.exited(now, container, status, random),
            Kind::Custom(_) => self.custom_exited(now, status.raw(), random),
        };
        self.follow();
        outcome
    }

    /// The image of its container is there.
    pub(crate) fn prepared(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.prepared(now, random),
            Kind::Default(_) => Outcome::default(),
            Kind::Custom(_) => self.custom_prepared(now, random),
        };
        self.follow();
        outcome
    }

    /// Its container runs.
    pub(crate) fn started(
        &mut self,
        now: Timestamp,
        started: Started,
        random: &mut Random,
    ) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.started(now, started, random),
            Kind::Default(_) => Outcome::default(),
            Kind::Custom(custom) => {
                custom.launched(started.pid);
                Outcome::default()
            }
        };
        self.follow();
        outcome
    }

    /// Its container did not start.
    pub(crate) fn run_failed(
        &mut self,
        now: Timestamp,
        status: ExitStatus,
        message: &str,
        random: &mut Random,
    ) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.run_failed(now, status, message, random),
            Kind::Default(_) => Outcome::default(),
            Kind::Custom(_) => self.custom_run_failed(now, status, message, random),
        };
        self.follow();
        outcome
    }

    /// A probe has ended.
    pub(crate) fn probed(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        kind: ProbeKind,
        finding: Finding,
        random: &mut Random,
    ) -> Outcome {
        match &mut self.kind {
            Kind::Command(run) => run.probed(now, kind, finding, random),
            Kind::Default(pod) => pod.probed(now, container, kind, finding, random),
            Kind::Custom(_) => Outcome::default(),
        }
    }

    /// Does what its time has come for.
    pub(crate) fn due(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        match &mut self.kind {
            Kind::Command(run) => run.due(now, random),
            Kind::Default(pod) => pod.due(now, random),
            Kind::Custom(custom) => {
                let mut outcome = custom.due(now, &self.container);
                // An abandoned container reports no end of its own.
                let is_abandoned = |action: &Action| matches!(action, Action::Abandon { .. });
                if outcome.actions.iter().any(is_abandoned) {
                    outcome.extend(self.custom_exited(now, -1, random));
                }
                outcome
            }
        }
    }

    /// Asks a task to end.
    pub(crate) fn kill(
        &mut self,
        now: Timestamp,
        task_id: &str,
        policy: Option<&v1::KillPolicy>,
        random: &mut Random,
    ) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.kill(now, policy, random),
            Kind::Default(pod) => pod.kill(now, task_id, policy, random),
            Kind::Custom(_) => self.kill_custom(now, task_id, policy, random),
        };
        self.follow();
        outcome
    }

    /// Asks the executor to end with all its tasks.
    pub(crate) fn shut_down(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let outcome = match &mut self.kind {
            Kind::Command(run) => run.kill(now, None, random),
            Kind::Default(pod) => pod.shut_down(now, random),
            Kind::Custom(custom) => custom.shut_down(now),
        };
        self.follow();
        outcome
    }

    /// Whether it takes no more tasks.
    pub(crate) fn is_ending(&self) -> bool {
        self.phase == Phase::Terminated
            || match &self.kind {
                Kind::Command(_) => true,
                Kind::Default(pod) => pod.is_shutting_down(),
                Kind::Custom(custom) => custom.is_terminating(),
            }
    }

    pub(crate) fn is_command(&self) -> bool {
        matches!(self.kind, Kind::Command(_))
    }

    /// Whether something runs, or is about to, in a container inside its own.
    pub(crate) fn has_container(&self, container: &ContainerKey) -> bool {
        match &self.kind {
            Kind::Default(pod) => pod.runs().any(|run| run.container == *container),
            Kind::Command(_) | Kind::Custom(_) => false,
        }
    }

    /// Its container and those in it.
    pub(crate) fn all_containers(&self) -> Vec<ContainerKey> {
        let nested = match &self.kind {
            Kind::Default(pod) => pod.runs().map(|run| run.container.clone()).collect(),
            Kind::Command(_) | Kind::Custom(_) => Vec::new(),
        };
        [vec![self.container.clone()], nested].concat()
    }

    /// The process of the executor's own container.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.kind {
            Kind::Command(run) => run.pid,
            Kind::Default(_) => None,
            Kind::Custom(custom) => custom.pid(),
        }
    }

    /// Its processes died with the machine: what was not over has failed.
    pub(crate) fn lost(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        match &mut self.kind {
            Kind::Command(run) => run.lost(),
            Kind::Default(pod) => pod.lost(),
            Kind::Custom(_) => return self.custom_exited(now, -1, random),
        }
        self.phase = Phase::Terminated;
        let mut outcome = Outcome {
            exit: Some(-1),
            ..Outcome::default()
        };
        self.end_tasks(
            now,
            v1::TaskState::TaskFailed,
            Reason::ExecutorTerminated,
            "Executor terminated",
            random,
            &mut outcome,
        );
        outcome
    }

    /// Takes a status into the task that the read side shows: of several with
    /// the same state the last one stays.
    pub(crate) fn record(&mut self, status: &v1::TaskStatus) {
        let Some(task) = self.tasks.get_mut(&status.task_id.value) else {
            return;
        };
        task.record.state = status.state;
        task.stage = if is_terminal(status.state()) {
            Stage::Terminated
        } else {
            Stage::Launched
        };
        let statuses = &mut task.record.statuses;
        if let Some(last) = statuses.last_mut()
            && last.state == status.state
        {
            *last = status.clone();
        } else {
            statuses.push(status.clone());
        }
    }

    /// The framework is told nothing any more: the read side shows the task as
    /// it was told of last, but it may be over.
    pub(crate) fn conclude(&mut self, status: &v1::TaskStatus) {
        if let Some(task) = self.tasks.get_mut(&status.task_id.value)
            && is_terminal(status.state())
        {
            task.stage = Stage::Terminated;
        }
    }

    /// Moves tasks that are over, and of which nothing waits for an
    /// acknowledgement, to the completed ones.
    pub(crate) fn complete_tasks(&mut self, is_waiting: impl Fn(&str) -> bool) {
        let done: Vec<String> = self
            .tasks
            .keys()
            .filter(|id| !is_waiting(id))
            .cloned()
            .collect();
        for id in done {
            self.complete_task(&id);
        }
    }

    /// Nothing of a task waits any more: if it is over it is completed.
    pub(crate) fn complete_task(&mut self, id: &str) {
        let is_over = |task: &Task| task.stage == Stage::Terminated;
        if !self.tasks.get(id).is_some_and(is_over) {
            return;
        }
        if let Some(task) = self.tasks.remove(id) {
            self.completed_tasks.push_back(task.record);
            if self.completed_tasks.len() > MAX_COMPLETED_TASKS {
                self.completed_tasks.pop_front();
            }
        }
    }

    /// A status that the agent makes because the executor cannot.
    pub(crate) fn agent_status(
        &self,
        now: Timestamp,
        task_id: &str,
        state: v1::TaskState,
        reason: Reason,
        message: &str,
        random: &mut Random,
    ) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: mesos_sdk::ids::task_id(task_id),
            state: state.into(),
            source: Some(v1::task_status::Source::Agent.into()),
            reason: Some(reason.into()),
            message: Some(message.to_owned()),
            agent_id: self
                .tasks
                .get(task_id)
                .map(|task| task.record.agent_id.clone()),
            executor_id: Some(self.info.executor_id.clone()),
            timestamp: Some(now.as_secs_f64()),
            uuid: Some(random.uuid_bytes()),
            ..Default::default()
        }
    }

    /// Reports the same end of every task that is not over.
    pub(crate) fn end_tasks(
        &mut self,
        now: Timestamp,
        state: v1::TaskState,
        reason: Reason,
        message: &str,
        random: &mut Random,
        outcome: &mut Outcome,
    ) {
        let open = self
            .tasks
            .iter()
            .filter(|(_, task)| task.stage != Stage::Terminated);
        for (id, _) in open {
            let status = self.agent_status(now, id, state, reason, message, random);
            outcome.statuses.push(status);
        }
    }

    /// The phase of the executor is that of what it is made of.
    fn follow(&mut self) {
        match &self.kind {
            Kind::Command(run) => self.phase = run.phase,
            Kind::Default(pod) => self.phase = pod.phase(),
            Kind::Custom(custom) => {
                if self.phase != Phase::Terminated {
                    self.phase = custom.phase();
                }
            }
        }
    }
}
