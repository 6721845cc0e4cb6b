//! The life of a task that is a command: of the one task of a command executor,
//! and of each task in the groups of a default executor.
//!
//! Apache Mesos starts a process of its own as the executor, which starts the
//! command (`src/launcher/executor.cpp`, `src/launcher/default_executor.cpp`).
//! Here the command is started directly and this model reports what that
//! process would.

mod docker;

use std::time::Duration;

use mesos_sdk::v1;
use v1::task_status::{Reason, Source};

use crate::agent::checks::{Check, Finding, HealthCheck, empty_check_status};
use crate::agent::executor::{LaunchFailure, Outcome};
use crate::agent::nested::Place;
use crate::agent::{Action, ContainerKey, ContainerPlan, ExitStatus, ProbeKind, Refusal, Signal};
use crate::random::Random;
use crate::time::Timestamp;

/// A task and its command.
#[derive(Debug)]
pub(crate) struct TaskRun {
    pub(crate) container: ContainerKey,
    pub(crate) info: v1::TaskInfo,
    pub(crate) phase: Phase,
    pub(crate) pid: Option<u32>,
    /// The first process of its container of the Docker engine.
    pub(crate) container_pid: Option<u32>,
    /// What is particular to a task in such a container.
    docker: Option<Dockered>,
    /// What its processes see of their surroundings.
    pub(crate) place: Place,
    executor_id: v1::ExecutorId,
    is_nested: bool,
    /// The framework knows TASK_KILLING.
    has_killing_state: bool,
    default_grace: Duration,
    address: std::net::IpAddr,
    kill: Option<Kill>,
    completion_at: Option<Timestamp>,
    check: Option<Check>,
    health_check: Option<HealthCheck>,
    /// The newest status of the executor; check results change a copy of it.
    last_status: Option<v1::TaskStatus>,
}

/// Where a command, or an executor, is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its sandbox is being filled; the task is queued.
    Launching,
    /// The command runs.
    Running,
    /// Nothing runs any more.
    Terminated,
}

#[derive(Debug, Clone, Copy)]
struct Kill {
    cause: Cause,
    since: Timestamp,
    grace: Duration,
    /// When SIGKILL follows; `None` once it has.
    escalate_at: Option<Timestamp>,
}

/// How far the container of a task is.
#[derive(Debug)]
enum Dockered {
    /// Its image is wanted. Then this is to be started.
    Preparing(Result<Box<ContainerPlan>, Refusal>),
    /// The engine makes and starts it.
    Starting,
    /// It runs.
    Running,
}

/// Why a command was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// By the framework, or for it.
    Asked,
    Unhealthy,
    CompletionTime,
}

/// What a new run is told of its surroundings.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) container: ContainerKey,
    pub(crate) info: v1::TaskInfo,
    pub(crate) executor_id: v1::ExecutorId,
    /// In a container of its own inside the executor's.
    pub(crate) is_nested: bool,
    pub(crate) has_killing_state: bool,
    pub(crate) default_grace: Duration,
    pub(crate) address: std::net::IpAddr,
    pub(crate) place: Place,
    /// The container to run the command in, when it is to have one of the
    /// Docker engine.
    pub(crate) plan: Option<Result<Box<ContainerPlan>, Refusal>>,
}

impl TaskRun {
    pub(crate) fn new(birth: Birth) -> Self {
        Self {
            container: birth.container,
            info: birth.info,
            phase: Phase::Launching,
            pid: None,
            container_pid: None,
            docker: birth.plan.map(Dockered::Preparing),
            place: birth.place,
            executor_id: birth.executor_id,
            is_nested: birth.is_nested,
            has_killing_state: birth.has_killing_state,
            default_grace: birth.default_grace,
            address: birth.address,
            kill: None,
            completion_at: None,
            check: None,
            health_check: None,
            last_status: None,
        }
    }

    /// The task has come to an executor that runs already.
    pub(crate) fn starting(&mut self, now: Timestamp, random: &mut Random) -> v1::TaskStatus {
        self.status(now, v1::TaskState::TaskStarting, random)
    }

    /// When [`TaskRun::due`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        if self.phase != Phase::Running || self.is_starting() {
            return None;
        }
        if let Some(kill) = self.kill {
            return kill.escalate_at;
        }
        [
            self.completion_at,
            self.check.as_ref().and_then(Check::wake_at),
            self.health_check.as_ref().and_then(HealthCheck::wake_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The command runs, as this process unless it could not even be executed.
    pub(crate) fn launched(
        &mut self,
        now: Timestamp,
        pid: Option<u32>,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Launching {
            return outcome;
        }
        self.phase = Phase::Running;
        self.pid = pid;
        if !self.is_nested {
            outcome.statuses.push(self.starting(now, random));
        }
        let running = self.status(now, v1::TaskState::TaskRunning, random);
        outcome.statuses.push(running);
        self.begin(now);
        outcome
    }

    /// What is done while the task runs begins now.
    fn begin(&mut self, now: Timestamp) {
        self.completion_at = self
            .info
            .max_completion_time
            .and_then(|time| u64::try_from(time.nanoseconds).ok())
            .filter(|nanos| *nanos > 0)
            .map(|nanos| now + Duration::from_nanos(nanos));
        self.check = self
            .info
            .check
            .as_ref()
            .and_then(|info| Check::new(info, now));
        self.health_check = self
            .info
            .health_check
            .as_ref()
            .and_then(|info| HealthCheck::new(info, now));
    }

    /// The container could not be made: nothing ran.
    pub(crate) fn failed_to_launch(
        &mut self,
        now: Timestamp,
        failure: &LaunchFailure,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Launching {
            return outcome;
        }
        self.phase = Phase::Terminated;
        let failed = v1::TaskState::TaskFailed;
        let mut status;
        if self.is_nested && failure.is_fetch {
            // All that the executor hears is a status (`pod-missing` of the
            // scene `fetch-uris`); the agent knows more.
            status = self.status(now, failed, random);
            status.message = Some(format!("Command exited with status 1: {}", failure.message));
        } else {
            let reason = Reason::ContainerLaunchFailed;
            status = self.agent_status(now, failed, reason, &failure.to_string(), random);
            if self.is_nested {
                status.source = Some(Source::Executor.into());
            }
        }
        outcome.statuses.push(status);
        outcome
    }

    /// The task names no command: the executor of Mesos starts, and breaks
    /// (`shell-no-value` of the scene `check-invalid`).
    pub(crate) fn collapsed(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        self.phase = Phase::Terminated;
        let starting = self.status(now, v1::TaskState::TaskStarting, random);
        let failed = self.agent_status(
            now,
            v1::TaskState::TaskFailed,
            Reason::ExecutorTerminated,
            "Executor terminated",
            random,
        );
        Outcome {
            statuses: vec![starting, failed],
            ..Outcome::default()
        }
    }

    /// The command has ended.
    pub(crate) fn exited(
        &mut self,
        now: Timestamp,
        exit: ExitStatus,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Running {
            return outcome;
        }
        let what = if self.docker.is_some() {
            "Container"
        } else {
            "Command"
        };
        let message = format!("{what} {exit}");
        outcome.statuses.push(self.end(now, exit, message, random));
        outcome
    }

    /// The last status of a task: what it is follows from how it ended and why.
    fn end(
        &mut self,
        now: Timestamp,
        exit: ExitStatus,
        message: String,
        random: &mut Random,
    ) -> v1::TaskStatus {
        self.phase = Phase::Terminated;
        let cause = self.kill.map(|kill| kill.cause);
        let state = match cause {
            Some(Cause::CompletionTime) => v1::TaskState::TaskFailed,
            Some(Cause::Asked | Cause::Unhealthy) => v1::TaskState::TaskKilled,
            None if exit.is_success() => v1::TaskState::TaskFinished,
            None => v1::TaskState::TaskFailed,
        };
        let mut status = self.status(now, state, random);
        status.message = Some(message);
        match cause {
            Some(Cause::CompletionTime) => {
                status.reason = Some(Reason::MaxCompletionTimeReached.into());
            }
            Some(Cause::Unhealthy) => status.healthy = Some(false),
            Some(Cause::Asked) | None => {}
        }
        status
    }

    /// Asks the command to end, and sees to it that it does. Asking again may
    /// move the end but never starts the grace period anew.
    pub(crate) fn kill(
        &mut self,
        now: Timestamp,
        policy: Option<&v1::KillPolicy>,
        random: &mut Random,
    ) -> Outcome {
        let grace = self.grace(policy);
        match (self.phase, &mut self.kill) {
            (Phase::Launching, _) => {
                self.phase = Phase::Terminated;
                let status = if self.is_nested {
                    self.status(now, v1::TaskState::TaskKilled, random)
                } else {
                    self.agent_status(
                        now,
                        v1::TaskState::TaskKilled,
                        Reason::TaskKilledDuringLaunch,
                        "Killed before delivery to the executor",
                        random,
                    )
                };
                Outcome {
                    statuses: vec![status],
                    actions: vec![Action::Abandon {
                        container: self.container.clone(),
                    }],
                    ..Outcome::default()
                }
            }
            (Phase::Running, None) => self.terminate(now, Cause::Asked, grace, random),
            (Phase::Running, Some(kill)) => {
                if kill.escalate_at.is_some() && kill.grace != grace {
                    kill.grace = grace;
                    kill.escalate_at = Some((kill.since + grace).max(now));
                }
                Outcome::default()
            }
            (Phase::Terminated, _) => Outcome::default(),
        }
    }

    /// Does what its time has come for.
    pub(crate) fn due(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Running {
            return outcome;
        }
        if let Some(kill) = &mut self.kill {
            if kill.escalate_at.is_some_and(|at| at <= now) {
                kill.escalate_at = None;
                outcome.actions.push(Action::Signal {
                    container: self.container.clone(),
                    signal: Signal::Kill,
                });
            }
            return outcome;
        }
        if self.completion_at.is_some_and(|at| at <= now) {
            return self.terminate(now, Cause::CompletionTime, Duration::ZERO, random);
        }
        let check = self.check.as_mut().and_then(|check| check.begin(now));
        let health = self
            .health_check
            .as_mut()
            .and_then(|check| check.begin(now));
        for (kind, begun) in [(ProbeKind::Check, check), (ProbeKind::Health, health)] {
            if let Some((probe, timeout)) = begun {
                outcome.actions.push(Action::Probe {
                    container: self.container.clone(),
                    kind,
                    probe,
                    timeout,
                });
            }
        }
        outcome
    }

    /// A probe has ended.
    pub(crate) fn probed(
        &mut self,
        now: Timestamp,
        kind: ProbeKind,
        finding: Finding,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Running || self.kill.is_some() {
            return outcome;
        }
        match kind {
            ProbeKind::Check => {
                let changed = self
                    .check
                    .as_mut()
                    .and_then(|check| check.end(now, finding));
                if let Some(check_status) = changed {
                    let status = self.changed_status(
                        now,
                        Reason::TaskCheckStatusUpdated,
                        random,
                        |status| {
                            status.check_status = Some(check_status);
                        },
                    );
                    outcome.statuses.extend(status);
                }
            }
            ProbeKind::Health => {
                let news = self
                    .health_check
                    .as_mut()
                    .and_then(|check| check.end(now, finding));
                if let Some(health) = news {
                    let reason = Reason::TaskHealthCheckStatusUpdated;
                    let status = self.changed_status(now, reason, random, |status| {
                        status.healthy = Some(health.is_healthy);
                    });
                    outcome.statuses.extend(status);
                    if health.kill {
                        let grace = self.grace(None);
                        let killing = self.terminate(now, Cause::Unhealthy, grace, random);
                        outcome.statuses.extend(killing.statuses);
                        outcome.actions.extend(killing.actions);
                    }
                }
            }
        }
        outcome
    }

    /// The executor has gone, whatever the command did meanwhile.
    pub(crate) fn lost(&mut self) {
        self.phase = Phase::Terminated;
    }

    /// Whether it is killed because its health check said so.
    pub(crate) fn is_unhealthy(&self) -> bool {
        self.kill.is_some_and(|kill| kill.cause == Cause::Unhealthy)
    }

    /// The grace period of a kill: its own, or the task's, or the usual one.
    fn grace(&self, policy: Option<&v1::KillPolicy>) -> Duration {
        policy
            .or(self.info.kill_policy.as_ref())
            .and_then(|policy| policy.grace_period)
            .map_or(self.default_grace, |grace| {
                Duration::from_nanos(u64::try_from(grace.nanoseconds).unwrap_or_default())
            })
    }

    fn terminate(
        &mut self,
        now: Timestamp,
        cause: Cause,
        grace: Duration,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        // A task whose time is over is not announced to be killed.
        if self.has_killing_state && cause != Cause::CompletionTime {
            outcome
                .statuses
                .push(self.status(now, v1::TaskState::TaskKilling, random));
        }
        // The default executor kills a task whose time is over without asking.
        let is_asked = cause != Cause::CompletionTime || !self.is_nested;
        self.kill = Some(Kill {
            cause,
            since: now,
            grace,
            escalate_at: is_asked.then_some(now + grace),
        });
        if self.is_starting() {
            // There is nothing yet that a signal could reach.
            return outcome;
        }
        outcome.actions.push(Action::Signal {
            container: self.container.clone(),
            signal: if is_asked {
                Signal::Terminate
            } else {
                Signal::Kill
            },
        });
        outcome
    }

    /// A new status of the executor.
    fn status(
        &mut self,
        now: Timestamp,
        state: v1::TaskState,
        random: &mut Random,
    ) -> v1::TaskStatus {
        // A nested container that does not run has no address to show.
        let has_network = !self.is_nested || self.phase == Phase::Running;
        let address = network_info(self.address);
        let status = v1::TaskStatus {
            source: Some(Source::Executor.into()),
            check_status: self.info.check.as_ref().map(empty_check_status),
            container_status: Some(v1::ContainerStatus {
                container_id: Some(self.container.to_id()),
                network_infos: if has_network {
                    vec![address]
                } else {
                    Vec::new()
                },
                executor_pid: self.pid.filter(|_| has_network),
                ..Default::default()
            }),
            ..self.bare_status(now, state, random)
        };
        self.last_status = Some(status.clone());
        status
    }

    /// The last status with something changed by a check.
    fn changed_status(
        &mut self,
        now: Timestamp,
        reason: Reason,
        random: &mut Random,
        change: impl FnOnce(&mut v1::TaskStatus),
    ) -> Option<v1::TaskStatus> {
        let last = self.last_status.as_mut()?;
        last.uuid = Some(random.uuid_bytes());
        last.timestamp = Some(now.as_secs_f64());
        last.reason = Some(reason.into());
        change(last);
        Some(last.clone())
    }

    /// A status that the agent makes because there is no executor to make one.
    fn agent_status(
        &self,
        now: Timestamp,
        state: v1::TaskState,
        reason: Reason,
        message: &str,
        random: &mut Random,
    ) -> v1::TaskStatus {
        v1::TaskStatus {
            source: Some(Source::Agent.into()),
            reason: Some(reason.into()),
            message: Some(message.to_owned()),
            ..self.bare_status(now, state, random)
        }
    }

    fn bare_status(
        &self,
        now: Timestamp,
        state: v1::TaskState,
        random: &mut Random,
    ) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: self.info.task_id.clone(),
            state: state.into(),
            agent_id: Some(self.info.agent_id.clone()),
            executor_id: Some(self.executor_id.clone()),
            timestamp: Some(now.as_secs_f64()),
            uuid: Some(random.uuid_bytes()),
            ..Default::default()
        }
    }
}

/// Where a task, or an executor, is to be found.
pub(crate) fn network_info(address: std::net::IpAddr) -> v1::NetworkInfo {
    v1::NetworkInfo {
        ip_addresses: vec![v1::network_info::IpAddress {
            protocol: Some(protocol(address).into()),
            ip_address: Some(address.to_string()),
        }],
        ..Default::default()
    }
}

fn protocol(address: std::net::IpAddr) -> v1::network_info::Protocol {
    if address.is_ipv4() {
        v1::network_info::Protocol::IPv4
    } else {
        v1::network_info::Protocol::IPv6
    }
}
