//! An executor in a container of the Docker engine. Nothing of it is known until
//! it subscribes, as of any executor; the engine only says how it ends.

use mesos_sdk::v1;
use v1::task_status::Reason;

use super::Custom;
use crate::agent::executor::{Executor, Kind, Outcome};
use crate::agent::{Action, ContainerPlan, ExitStatus, Refusal};
use crate::random::Random;
use crate::time::Timestamp;

impl Custom {
    /// It is to be started in this container.
    pub(crate) fn runs_in(&mut self, plan: Result<Box<ContainerPlan>, Refusal>) {
        self.plan = Some(plan);
        self.is_docker = true;
    }

    /// Runs in a container of the engine.
    pub(crate) fn is_docker(&self) -> bool {
        self.is_docker
    }
}

impl Executor {
    /// The sandbox is filled and the image of the executor is there.
    pub(crate) fn custom_prepared(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let Kind::Custom(custom) = &mut self.kind else {
            return Outcome::default();
        };
        match custom.plan.take() {
            None => Outcome::default(),
            Some(Ok(plan)) => Outcome {
                actions: vec![Action::StartContainer {
                    container: self.container.clone(),
                    directory: self.directory.clone(),
                    plan,
                }],
                ..Outcome::default()
            },
            Some(Err(refusal)) => {
                let complaint = Action::Complain {
                    directory: self.directory.clone(),
                    line: refusal.to_string(),
                };
                let mut outcome = self.custom_not_started(now, -1, &refusal.to_string(), random);
                outcome.actions.push(complaint);
                outcome
            }
        }
    }

    /// The container did not start, or the engine has lost it.
    pub(crate) fn custom_run_failed(
        &mut self,
        now: Timestamp,
        status: ExitStatus,
        message: &str,
        random: &mut Random,
    ) -> Outcome {
        let message = format!("Container {status}: {message}");
        self.custom_not_started(now, status.raw(), &message, random)
    }

    fn custom_not_started(
        &mut self,
        now: Timestamp,
        status: i32,
        message: &str,
        random: &mut Random,
    ) -> Outcome {
        if let Kind::Custom(custom) = &mut self.kind {
            custom.will_end_with(
                v1::TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                &format!("Failed to launch container: {message}"),
            );
        }
        self.custom_exited(now, status, random)
    }
}
