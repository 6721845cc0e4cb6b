//! An agent that brings its tasks to an end because an operator wants it empty
//! (`src/slave/slave.cpp`, `Slave::drain`).

use mesos_sdk::v1;
use v1::task_status::Reason;

use crate::agent::{Agent, Effects};
use crate::time::Timestamp;

impl Agent {
    /// Kills every task, within the time that the operator grants at most. An
    /// agent that has nothing is drained already.
    pub(super) fn drain(&mut self, now: Timestamp, config: v1::DrainConfig, effects: &mut Effects) {
        if self.is_empty() {
            return;
        }
        self.draining = Some(config);
        let tasks: Vec<v1::Task> = self
            .frameworks
            .values()
            .flat_map(super::Framework::tasks)
            .collect();
        for task in tasks {
            let policy = shorter(config.max_grace_period, task.kill_policy.as_ref());
            self.kill_task(
                now,
                &task.framework_id,
                task.task_id,
                policy.as_ref(),
                effects,
            );
        }
    }

    /// Once nothing is left, tasks are welcome again as far as the agent is
    /// concerned; that none comes is the master's business.
    pub(super) fn finish_draining(&mut self) {
        if self.is_empty() {
            self.draining = None;
        }
    }

    fn is_empty(&self) -> bool {
        self.frameworks.is_empty() && self.operations.is_empty()
    }
}

/// Says of a task that it ends because its agent is drained, whatever reason
/// its executor gave. One that is being killed is not called gone before it is.
pub(super) fn explain(
    draining: Option<v1::DrainConfig>,
    is_partition_aware: bool,
    status: &mut v1::TaskStatus,
) {
    use v1::TaskState::{TaskGoneByOperator, TaskKilled, TaskKilling};
    let Some(config) = draining else {
        return;
    };
    if matches!(status.state(), TaskKilling | TaskKilled) {
        status.set_reason(Reason::AgentDraining);
        let is_over = status.state() == TaskKilled;
        if is_over && config.mark_gone() && is_partition_aware {
            status.set_state(TaskGoneByOperator);
        }
    }
}

/// The policy that overrides a task's own, when the operator grants less time
/// than it asks for.
fn shorter(most: Option<v1::DurationInfo>, own: Option<&v1::KillPolicy>) -> Option<v1::KillPolicy> {
    let most = most?;
    let own = own.and_then(|policy| policy.grace_period);
    let is_shorter = own.is_none_or(|own| most.nanoseconds < own.nanoseconds);
    is_shorter.then_some(v1::KillPolicy {
        grace_period: Some(most),
    })
}
