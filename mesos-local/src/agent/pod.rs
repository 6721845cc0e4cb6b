//! The default executor: groups of tasks, each task a container inside the
//! executor's. A task that fails or is killed takes its group with it, and the
//! executor leaves when no task is left (docs/app-framework-development-guide.md,
//! `src/launcher/default_executor.cpp`).
//!
//! In Apache Mesos it is a process of its own; here it is this model, as the
//! executor of a command is one too.

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::status::is_terminal;
use mesos_sdk::v1;

use crate::agent::executor::{LaunchFailure, Outcome};
use crate::agent::task_run::{Phase, TaskRun};
use crate::agent::{ContainerKey, ExitStatus, Finding, ProbeKind};
use crate::random::Random;
use crate::time::Timestamp;

/// The task groups of one executor.
#[derive(Debug, Default)]
pub(crate) struct Pod {
    /// By task id: those that are not over.
    runs: BTreeMap<String, TaskRun>,
    groups: Vec<BTreeSet<String>>,
    /// A health check has failed for good: from then on every task that ends
    /// is said to have been unhealthy.
    is_unhealthy: bool,
    is_shutting_down: bool,
    has_ended: bool,
}

impl Pod {
    /// Takes a group whose containers are about to be made.
    pub(crate) fn add(
        &mut self,
        now: Timestamp,
        runs: Vec<TaskRun>,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        self.groups
            .push(runs.iter().map(|run| id(run).to_owned()).collect());
        for mut run in runs {
            outcome.statuses.push(run.starting(now, random));
            self.runs.insert(id(&run).to_owned(), run);
        }
        outcome
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.has_ended {
            Phase::Terminated
        } else {
            Phase::Running
        }
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down || self.has_ended
    }

    /// The runs that are not over.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &TaskRun> {
        self.runs.values()
    }

    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.runs.values().filter_map(TaskRun::wake_at).min()
    }

    pub(crate) fn launched(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        pid: Option<u32>,
        random: &mut Random,
    ) -> Outcome {
        self.with_run(now, container, random, |run, random| {
            run.launched(now, pid, random)
        })
    }

    pub(crate) fn failed_to_launch(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        failure: &LaunchFailure,
        random: &mut Random,
    ) -> Outcome {
        self.with_run(now, container, random, |run, random| {
            run.failed_to_launch(now, failure, random)
        })
    }

    pub(crate) fn exited(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        status: ExitStatus,
        random: &mut Random,
    ) -> Outcome {
        self.with_run(now, container, random, |run, random| {
            run.exited(now, status, random)
        })
    }

    pub(crate) fn probed(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        kind: ProbeKind,
        finding: Finding,
        random: &mut Random,
    ) -> Outcome {
        self.with_run(now, container, random, |run, random| {
            run.probed(now, kind, finding, random)
        })
    }

    pub(crate) fn due(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let mut outcome = Outcome::default();
        for run in self.runs.values_mut() {
            outcome.extend(run.due(now, random));
        }
        outcome
    }

    pub(crate) fn kill(
        &mut self,
        now: Timestamp,
        task_id: &str,
        policy: Option<&v1::KillPolicy>,
        random: &mut Random,
    ) -> Outcome {
        let Some(container) = self.runs.get(task_id).map(|run| run.container.clone()) else {
            return Outcome::default();
        };
        self.with_run(now, &container, random, |run, random| {
            run.kill(now, policy, random)
        })
    }

    /// Kills every task, and ends once none is left.
    pub(crate) fn shut_down(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        self.is_shutting_down = true;
        let mut outcome = Outcome::default();
        for run in self.runs.values_mut() {
            outcome.extend(run.kill(now, None, random));
        }
        self.settle(now, &mut outcome, random);
        outcome
    }

    /// Every container has gone.
    pub(crate) fn lost(&mut self) {
        self.runs.clear();
        self.has_ended = true;
    }

    fn with_run(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        random: &mut Random,
        step: impl FnOnce(&mut TaskRun, &mut Random) -> Outcome,
    ) -> Outcome {
        let run = self
            .runs
            .values_mut()
            .find(|run| run.container == *container);
        let Some(run) = run else {
            return Outcome::default();
        };
        let mut outcome = step(run, random);
        self.is_unhealthy |= run.is_unhealthy();
        self.settle(now, &mut outcome, random);
        outcome
    }

    /// Lets go of runs that are over: each that did not finish takes its group
    /// along.
    fn settle(&mut self, now: Timestamp, outcome: &mut Outcome, random: &mut Random) {
        let mut looked_at = 0;
        while looked_at < outcome.statuses.len() {
            let status = &mut outcome.statuses[looked_at];
            looked_at += 1;
            let state = status.state();
            if !is_terminal(state) {
                continue;
            }
            if self.is_unhealthy {
                status.healthy = Some(false);
            }
            let task_id = status.task_id.value.clone();
            self.runs.remove(&task_id);
            if state == v1::TaskState::TaskFinished || self.is_shutting_down {
                continue;
            }
            let group = self.groups.iter().find(|group| group.contains(&task_id));
            for member in group.into_iter().flatten() {
                if let Some(run) = self.runs.get_mut(member) {
                    outcome.extend(run.kill(now, None, random));
                }
            }
        }
        self.groups
            .retain(|group| group.iter().any(|member| self.runs.contains_key(member)));
        if self.runs.is_empty() && !self.has_ended {
            self.has_ended = true;
            outcome.exit = Some(0);
        }
    }
}

fn id(run: &TaskRun) -> &str {
    &run.info.task_id.value
}
