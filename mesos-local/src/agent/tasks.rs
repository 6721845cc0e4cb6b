//! What the master says of single tasks: kills, acknowledgements, and tasks that
//! were to be here and are not.

use mesos_sdk::v1;

use crate::agent::executor::Phase;
use crate::agent::{Agent, Effects};
use crate::messages::{FromAgent, UnknownTask};
use crate::time::Timestamp;

impl Agent {
    pub(super) fn acknowledge(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task_id: &v1::TaskId,
        uuid: &[u8],
        effects: &mut Effects,
    ) {
        let acknowledged = self.updates.acknowledge(
            now,
            &framework_id.value,
            &task_id.value,
            uuid,
            &self.config.limits,
            &mut effects.to_master,
        );
        let Some(acknowledged) = acknowledged else {
            return;
        };
        if self.updates.is_waiting(&framework_id.value, &task_id.value) {
            return;
        }
        let executor_id = acknowledged.executor_id.unwrap_or_default().value;
        if let Some(framework) = self.frameworks.get_mut(&framework_id.value) {
            framework.refused.remove(&task_id.value);
            if let Some(executor) = framework.executors.get_mut(&executor_id) {
                executor.complete_task(&task_id.value);
                if executor.phase != Phase::Terminated {
                    return;
                }
            }
        }
        self.complete_executor(&framework_id.value, &executor_id, effects);
    }

    pub(super) fn kill_task(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task_id: v1::TaskId,
        policy: Option<&v1::KillPolicy>,
        effects: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get(&framework_id.value) else {
            return;
        };
        if framework.is_terminating || framework.refused.contains_key(&task_id.value) {
            return;
        }
        match framework.executor_of(&task_id.value) {
            Some(executor) => {
                let container = executor.container.clone();
                self.with_executor(now, &container, effects, |executor, random| {
                    executor.kill(now, &task_id.value, policy, random)
                });
            }
            None => {
                let is_aware = framework.is_partition_aware();
                self.report_missing(
                    now,
                    framework_id,
                    task_id,
                    is_aware,
                    v1::task_status::Reason::ExecutorTerminated,
                    "Cannot find executor",
                    effects,
                );
            }
        }
    }

    pub(super) fn drop_unknown_task(
        &mut self,
        now: Timestamp,
        task: UnknownTask,
        effects: &mut Effects,
    ) {
        let is_known = self
            .frameworks
            .get(&task.framework_id.value)
            .is_some_and(|framework| framework.executor_of(&task.task_id.value).is_some());
        if !is_known {
            self.report_missing(
                now,
                &task.framework_id,
                task.task_id,
                task.is_partition_aware,
                v1::task_status::Reason::Reconciliation,
                "Reconciliation: task unknown to the agent",
                effects,
            );
        }
    }

    /// A task that was to be here is not: dropped, or lost in the eyes of a
    /// framework that does not know that word.
    #[expect(clippy::too_many_arguments, reason = "a status has that many parts")]
    pub(super) fn report_missing(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        task_id: v1::TaskId,
        is_aware: bool,
        reason: v1::task_status::Reason,
        message: &str,
        effects: &mut Effects,
    ) {
        let state = if is_aware {
            v1::TaskState::TaskDropped
        } else {
            v1::TaskState::TaskLost
        };
        let status = self.agent_status(now, task_id, state, reason, message);
        self.counters.count(state);
        self.updates.push(
            now,
            &framework_id.value,
            status,
            &self.config.limits,
            &mut effects.to_master,
        );
    }

    /// A status about a task without an executor.
    pub(super) fn agent_status(
        &mut self,
        now: Timestamp,
        task_id: v1::TaskId,
        state: v1::TaskState,
        reason: v1::task_status::Reason,
        message: &str,
    ) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id,
            state: state.into(),
            message: Some(message.to_owned()),
            source: Some(v1::task_status::Source::Agent.into()),
            reason: Some(reason.into()),
            agent_id: self.id.clone(),
            timestamp: Some(now.as_secs_f64()),
            uuid: Some(self.random.uuid_bytes()),
            ..Default::default()
        }
    }

    /// Remembers which update of a task is on the wire, as the read side and a
    /// re-registration show it.
    pub(super) fn note_sent_updates(&mut self, effects: &Effects) {
        for message in &effects.to_master {
            let FromAgent::StatusUpdate {
                framework_id,
                status,
                ..
            } = message
            else {
                continue;
            };
            if let Some(framework) = self.frameworks.get_mut(&framework_id.value) {
                framework.note_sent_update(status);
            }
        }
    }
}
