//! An agent in virtual time, with a master and executors that do as they are
//! told.

use std::time::Duration;

use mesos_sdk::v1;
use v1::framework_info::capability::Type as Capability;

use super::*;
use crate::agent::{
    Action, Agent, CallId, ContainerAnswer, ContainerKey, Effects, ExitStatus, Input, Reply, Signal,
};
use crate::messages::{FromAgent, ToAgent};
use crate::time::Timestamp;

/// An agent with a registered master that acknowledges what it is told to.
pub(super) struct Scene {
    pub(super) agent: Agent,
    pub(super) now: Timestamp,
    pub(super) framework: v1::FrameworkInfo,
    /// Every update that was sent and not yet looked at.
    pub(super) sent: Vec<v1::TaskStatus>,
    pub(super) messages: Vec<FromAgent>,
    pub(super) actions: Vec<Action>,
    pub(super) acknowledges: bool,
    /// What executors were answered and sent, and which streams ended.
    pub(super) replies: Vec<(CallId, Reply)>,
    pub(super) events: Vec<(CallId, v1::executor::Event)>,
    pub(super) closes: Vec<CallId>,
    /// What was answered to calls about containers.
    pub(super) answers: Vec<(CallId, ContainerAnswer)>,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut AgentConfig)) -> Self {
        let now = Timestamp::from_secs(1_000_000);
        let mut config = config(Path::new("/agent"));
        change(&mut config);
        let mut scene = Self {
            agent: Agent::new(Arc::new(config), now),
            now,
            framework: framework(&[Capability::TaskKillingState, Capability::PartitionAware]),
            sent: Vec::new(),
            messages: Vec::new(),
            actions: Vec::new(),
            acknowledges: true,
            replies: Vec::new(),
            events: Vec::new(),
            closes: Vec::new(),
            answers: Vec::new(),
        };
        scene.give(Input::Connected);
        scene.tell(ToAgent::Registered {
            agent_id: agent_id(),
        });
        scene.messages.clear();
        scene
    }

    pub(super) fn give(&mut self, input: Input) {
        let Effects {
            to_master,
            actions,
            replies,
            events,
            closes,
            answers,
        } = self.agent.step(self.now, input);
        self.actions.extend(actions);
        self.replies.extend(replies);
        self.events.extend(events);
        self.closes.extend(closes);
        self.answers.extend(answers);
        for message in to_master {
            if let FromAgent::StatusUpdate { status, .. } = &message {
                self.sent.push(status.clone());
                if self.acknowledges {
                    self.acknowledge(&status.clone());
                }
            }
            self.messages.push(message);
        }
    }

    pub(super) fn acknowledge(&mut self, status: &v1::TaskStatus) {
        self.tell(ToAgent::Acknowledge {
            framework_id: framework_id(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap().to_vec(),
        });
    }

    pub(super) fn tell(&mut self, message: ToAgent) {
        self.give(Input::FromMaster(message));
    }

    /// Lets time pass, waking the agent whenever it asked to be.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.agent.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.give(Input::Due);
        }
        self.now = end;
    }

    pub(super) fn run(&mut self, task: v1::TaskInfo) -> ContainerKey {
        self.tell(ToAgent::RunTask {
            framework: self.framework.clone(),
            task,
        });
        match self.actions.pop() {
            Some(Action::Launch(launch)) => launch.container,
            other => panic!("expected a launch, got {other:?}"),
        }
    }

    pub(super) fn start(&mut self, task: v1::TaskInfo) -> ContainerKey {
        let container = self.run(task);
        self.give(Input::Launched {
            container: container.clone(),
            pid: Some(4711),
        });
        container
    }

    pub(super) fn kill(&mut self, id: &str, grace: Option<Duration>) {
        self.tell(ToAgent::KillTask {
            framework_id: framework_id(),
            task_id: task_id(id),
            kill_policy: grace.map(|grace| v1::KillPolicy {
                grace_period: Some(v1::DurationInfo {
                    nanoseconds: i64::try_from(grace.as_nanos()).unwrap(),
                }),
            }),
        });
    }

    pub(super) fn exit(&mut self, container: &ContainerKey, status: ExitStatus) {
        self.give(Input::Exited {
            container: container.clone(),
            status,
        });
    }

    pub(super) fn signals(&mut self) -> Vec<Signal> {
        self.actions
            .drain(..)
            .filter_map(|action| match action {
                Action::Signal { signal, .. } => Some(signal),
                _ => None,
            })
            .collect()
    }

    /// The states that were sent since the last look.
    pub(super) fn states(&mut self) -> Vec<v1::TaskState> {
        self.sent.drain(..).map(|status| status.state()).collect()
    }
}
