//! The life of a task in a container of the Docker engine: an image first, then
//! a container of it (`src/docker/executor.cpp`).

use mesos_sdk::v1;

use super::{Dockered, Phase, TaskRun};
use crate::agent::executor::Outcome;
use crate::agent::{Action, ExitStatus, Refusal, Signal, Started};
use crate::random::Random;
use crate::time::Timestamp;

impl TaskRun {
    /// Runs in a container of the engine.
    pub(crate) fn is_docker(&self) -> bool {
        self.docker.is_some()
    }

    /// The engine makes the container; nothing can be asked of that yet.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.docker, Some(Dockered::Starting))
    }

    /// The sandbox is filled and the image is there.
    pub(crate) fn prepared(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Launching {
            return outcome;
        }
        let Some(Dockered::Preparing(plan)) = self.docker.replace(Dockered::Starting) else {
            return outcome;
        };
        self.phase = Phase::Running;
        let starting = v1::TaskState::TaskStarting;
        outcome.statuses.push(self.status(now, starting, random));
        match plan {
            Ok(plan) => outcome.actions.push(Action::StartContainer {
                container: self.container.clone(),
                directory: self.place.directory.clone(),
                plan,
            }),
            Err(refusal) => {
                self.phase = Phase::Terminated;
                let mut status = self.status(now, v1::TaskState::TaskFailed, random);
                status.message = Some(refusal.to_string());
                outcome.statuses.push(status);
                let line = match &refusal {
                    Refusal::Options(_) => refusal.to_string(),
                    Refusal::Parameter(text) => text.clone(),
                };
                outcome.actions.push(Action::Complain {
                    directory: self.place.directory.clone(),
                    line,
                });
            }
        }
        outcome
    }

    /// The container runs. Its address and what the engine shows of it are news
    /// of this status; of those that follow, the address alone.
    pub(crate) fn started(
        &mut self,
        now: Timestamp,
        started: Started,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase != Phase::Running || !self.is_starting() {
            return outcome;
        }
        self.docker = Some(Dockered::Running);
        self.container_pid = started.pid;
        if let Some(kill) = &mut self.kill {
            // Asked to end meanwhile: its time to do so begins now.
            kill.since = now;
            kill.escalate_at = Some(now + kill.grace);
            outcome.actions.push(Action::Signal {
                container: self.container.clone(),
                signal: Signal::Terminate,
            });
            return outcome;
        }
        let mut status = self.status(now, v1::TaskState::TaskRunning, random);
        if let Some(address) = started.address {
            status
                .container_status
                .get_or_insert_default()
                .network_infos = vec![super::network_info(address)];
        }
        self.last_status = Some(status.clone());
        status.data = Some(started.inspect.into());
        outcome.statuses.push(status);
        self.begin(now);
        outcome
    }

    /// The container did not start, or the engine has lost it.
    pub(crate) fn run_failed(
        &mut self,
        now: Timestamp,
        status: ExitStatus,
        message: &str,
        random: &mut Random,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase == Phase::Running {
            let message = format!("Container {status}: {message}");
            outcome
                .statuses
                .push(self.end(now, status, message, random));
        }
        outcome
    }
}
