//! How an agent ends and comes back: alone, with the machine, or in good order.
//! What an agent of Mesos finds in its work directory afterwards is what the
//! model still knows here (docs/agent-recovery.md).
//!
//! The executors of commands and of task groups live in this model. They do as
//! those of Mesos: while the agent is away they run on, until the recovery
//! timeout, and what they have to say arrives once it is back; without
//! checkpoints they kill their tasks and end. The executor of a command that
//! ends before its agent is back has gone with what it had to say, unless it
//! uses the executor API (`--http_command_executor`) or the Docker engine. Mesos
//! waits two seconds for executors in any case; here the wait ends when all have
//! subscribed again.

use mesos_sdk::v1;

use crate::agent::executor::{Executor, Kind, Outcome, Phase, Stage};
use crate::agent::{Action, Agent, ContainerKey, Counters, Effects, Link};
use crate::messages::FromAgent;
use crate::random::Random;
use crate::time::Timestamp;

/// Whether there is an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It runs.
    Here,
    /// It does not, and its executors wait for it for as long.
    Away { until: Option<Timestamp> },
    /// It has come back and waits for executors.
    Recovering {
        until: Timestamp,
        /// There is a master to register with afterwards.
        is_connected: bool,
    },
}

impl Presence {
    pub(super) fn wake_at(self) -> Option<Timestamp> {
        match self {
            Self::Here => None,
            Self::Away { until } => until,
            Self::Recovering { until, .. } => Some(until),
        }
    }
}

/// What goes when an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Everything, and nobody is told of it by the agent.
    Forgotten,
    /// The same, but processes that speak the executor API are left alone: to
    /// end is up to them.
    Disowned,
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
            (false, true) => Loss::Forgotten,
            (false, false) => Loss::Disowned,
            (true, true) => Loss::Processes,
            (true, false) => Loss::Streams,
        };
        self.end(now, loss, effects);
        if with_machine {
            self.forget_standalone(effects);
        }
        self.presence = Presence::Away {
            until: Some(now + self.config.limits.recovery_timeout),
        };
        self.forget_volatile();
    }

    /// Frameworks that do not checkpoint leave nothing but sandboxes behind.
    fn forget_volatile(&mut self) {
        let completed = std::mem::take(&mut self.completed_frameworks);
        let (kept, forgotten) = completed
            .into_iter()
            .partition(|framework| framework.info.checkpoint());
        self.completed_frameworks = kept;
        let executors = forgotten
            .into_iter()
            .flat_map(|framework| framework.completed);
        let sandboxes = executors.map(|executor| executor.directory);
        self.forgotten_sandboxes.extend(sandboxes);
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
        self.presence = Presence::Away { until: None };
        let mut ending: Vec<(String, String, ContainerKey, Loss)> = Vec::new();
        for (id, framework) in &mut self.frameworks {
            let loss = loss(&framework.info);
            if matches!(loss, Loss::Forgotten | Loss::Disowned) {
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
            self.with_executor(now, &container, effects, |executor, random| match loss {
                Loss::Streams => executor.agent_gone(),
                Loss::Disowned if executor.is_process() => executor.lost(now, random),
                _ => executor.destroy(now, random),
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
        self.presence = Presence::Here;
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
        self.presence = Presence::Recovering {
            until: now + self.config.limits.executor_reregistration_timeout,
            is_connected: false,
        };
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
        match &mut self.presence {
            Presence::Recovering { is_connected, .. } => *is_connected = true,
            Presence::Here | Presence::Away { .. } => {
                self.register(now, self.config.limits.registration_retry, effects);
            }
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.updates.pause();
        self.operations.pause();
        self.link = Link::Disconnected;
        if let Presence::Recovering { is_connected, .. } = &mut self.presence {
            *is_connected = false;
        }
    }

    /// Ends the recovery when nobody is waited for any longer.
    pub(super) fn recover(&mut self, now: Timestamp, effects: &mut Effects) {
        let Presence::Recovering {
            until,
            is_connected,
        } = self.presence
        else {
            return;
        };
        let is_waiting = self
            .frameworks
            .values()
            .flat_map(|framework| framework.executors.values())
            .any(|executor| executor.is_away());
        if is_waiting && until > now {
            return;
        }
        self.presence = Presence::Here;
        if is_connected {
            self.register(now, self.config.limits.registration_retry, effects);
        }
    }

    /// Executors that have waited long enough for their agent kill their tasks
    /// and end; those that are processes do so by themselves.
    pub(super) fn give_the_agent_up(&mut self, now: Timestamp, effects: &mut Effects) {
        let Presence::Away { until: Some(until) } = self.presence else {
            return;
        };
        if until > now {
            return;
        }
        self.presence = Presence::Away { until: None };
        let waiting: Vec<ContainerKey> = self
            .frameworks
            .values()
            .flat_map(|framework| framework.executors.values())
            .filter(|executor| executor.phase != Phase::Terminated && !executor.is_process())
            .map(|executor| executor.container.clone())
            .collect();
        for container in waiting {
            self.with_executor(now, &container, effects, |executor, random| {
                executor.destroy(now, random)
            });
        }
    }

    /// Whether what the executor of a command says reaches nobody.
    pub(super) fn is_out_of_reach(&self) -> bool {
        matches!(self.presence, Presence::Away { .. }) && !self.config.http_command_executor
    }
}

impl Executor {
    /// A process of the framework's own that runs.
    fn is_process(&self) -> bool {
        matches!(&self.kind, Kind::Custom(custom) if custom.pid().is_some())
    }

    /// It ends a second after its task, whether or not it was heard.
    pub(super) fn leaves_at_once(&self) -> bool {
        matches!(&self.kind, Kind::Command(run) if !run.is_docker())
    }

    /// Ends with all that runs in it.
    fn destroy(&mut self, now: Timestamp, random: &mut Random) -> Outcome {
        let containers = self.all_containers().into_iter();
        let mut outcome = self.lost(now, random);
        let abandoned = containers.map(|container| Action::Abandon { container });
        outcome.actions.extend(abandoned);
        outcome
    }

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
