//! How an agent ends and comes back: alone, with the machine, or in good order.
//! What an agent of Mesos finds in its work directory afterwards is what the
//! model still knows here (docs/agent-recovery.md).
//!
//! The executors of commands and of task groups live in this model and cannot
//! lose their connection. As those of Mesos that use the executor API they run
//! on while the agent is away, and what they have to say arrives once it is
//! back. Mesos waits two seconds for executors in any case; here the wait ends
//! when all have subscribed again. What a framework without checkpoints runs is
//! killed at once, where Mesos would leave some of it running unowned.

use mesos_sdk::v1;

use crate::agent::executor::{Executor, Kind, Outcome, Phase, Stage};
use crate::agent::{Action, Agent, ContainerKey, Counters, Effects, Link};
use crate::messages::FromAgent;
use crate::time::Timestamp;

/// An agent that has come back waits for its executors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recovery {
    pub(super) ends_at: Timestamp,
    /// There is a master to register with afterwards.
    is_connected: bool,
}

/// What goes when an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Everything, and nobody is told of it by the agent.
    Forgotten,
    /// Everything that runs.
    Processes,
    /// Streams of executors.
    Streams,
}

impl Agent {
    /// The agent leaves in good order: its tasks end, and nothing of them is
    /// left to tell.
    pub(super) fn unregister(&mut self, now: Timestamp, effects: &mut Effects) {
        effects.to_master.push(FromAgent::Unregister);
        self.end(now, |_| Loss::Forgotten, effects);
        self.forget_standalone(effects);
    }

    /// The process of the agent has ended, and all others of the machine too
    /// when it was the machine that ended.
    pub(super) fn crashed(&mut self, now: Timestamp, with_machine: bool, effects: &mut Effects) {
        let loss = |framework: &v1::FrameworkInfo| match (framework.checkpoint(), with_machine) {
            (false, _) => Loss::Forgotten,
            (true, true) => Loss::Processes,
            (true, false) => Loss::Streams,
        };
        self.end(now, loss, effects);
        if with_machine {
            self.forget_standalone(effects);
        }
    }

    fn end(
        &mut self,
        now: Timestamp,
        loss: impl Fn(&v1::FrameworkInfo) -> Loss,
        effects: &mut Effects,
    ) {
        self.updates.pause();
        self.operations.pause();
        self.link = Link::Disconnected;
        self.recovery = None;
        let mut ending: Vec<(String, String, ContainerKey, Loss)> = Vec::new();
        for (id, framework) in &mut self.frameworks {
            let loss = loss(&framework.info);
            if loss == Loss::Forgotten {
                framework.is_terminating = true;
                framework.refused.clear();
                self.updates.remove_framework(id);
            }
            let executors = framework.executors.iter();
            ending.extend(executors.map(|(executor_id, executor)| {
                let container = executor.container.clone();
                (id.clone(), executor_id.clone(), container, loss)
            }));
        }
        for (framework_id, executor_id, container, loss) in ending {
            self.with_executor(now, &container, effects, |executor, random| {
                if loss == Loss::Streams {
                    return executor.agent_gone();
                }
                let containers = executor.all_containers().into_iter();
                let mut outcome = executor.lost(now, random);
                let abandoned = containers.map(|container| Action::Abandon { container });
                outcome.actions.extend(abandoned);
                outcome
            });
            // One that had ended before waited for an acknowledgement only.
            self.complete_executor(&framework_id, &executor_id, effects);
        }
        self.streams.clear();
        let idle: Vec<String> = self.frameworks.keys().cloned().collect();
        for id in idle {
            self.complete_executor(&id, "", effects);
        }
    }

    /// The agent is back, and waits a little for executors that run.
    pub(super) fn restarted(&mut self, now: Timestamp, effects: &mut Effects) {
        self.started = now;
        self.counters = Counters::default();
        let containers: Vec<ContainerKey> = self
            .frameworks
            .values()
            .flat_map(|framework| framework.executors.values())
            .filter(|executor| executor.is_away())
            .map(|executor| executor.container.clone())
            .collect();
        if containers.is_empty() {
            return;
        }
        self.recovery = Some(Recovery {
            ends_at: now + self.config.limits.executor_reregistration_timeout,
            is_connected: false,
        });
        for container in containers {
            self.with_executor(now, &container, effects, |executor, _| {
                if let Kind::Custom(custom) = &mut executor.kind {
                    custom.agent_back(now);
                }
                Outcome::default()
            });
        }
    }

    /// There is a master; it hears of the agent when recovery is over.
    pub(super) fn connected(&mut self, now: Timestamp, effects: &mut Effects) {
        self.updates.pause();
        self.operations.pause();
        match &mut self.recovery {
            Some(recovery) => recovery.is_connected = true,
            None => self.register(now, self.config.limits.registration_retry, effects),
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.updates.pause();
        self.operations.pause();
        self.link = Link::Disconnected;
        if let Some(recovery) = &mut self.recovery {
            recovery.is_connected = false;
        }
    }

    /// Ends the recovery when nobody is waited for any longer.
    pub(super) fn recover(&mut self, now: Timestamp, effects: &mut Effects) {
        let Some(recovery) = self.recovery else {
            return;
        };
        let is_waiting = self
            .frameworks
            .values()
            .flat_map(|framework| framework.executors.values())
            .any(Executor::is_away);
        if is_waiting && recovery.ends_at > now {
            return;
        }
        self.recovery = None;
        if recovery.is_connected {
            self.register(now, self.config.limits.registration_retry, effects);
        }
    }
}

impl Executor {
    /// A process that runs, and has no stream.
    fn is_away(&self) -> bool {
        match &self.kind {
            Kind::Custom(custom) => {
                self.phase != Phase::Terminated
                    && !custom.is_terminating()
                    && !custom.is_connected()
            }
            Kind::Command(_) | Kind::Default(_) => false,
        }
    }

    fn agent_gone(&mut self) -> Outcome {
        let Kind::Custom(custom) = &mut self.kind else {
            return Outcome::default();
        };
        for task in self.tasks.values_mut() {
            if task.stage == Stage::Queued {
                task.stage = Stage::Launched;
            }
        }
        custom.agent_gone()
    }
}
