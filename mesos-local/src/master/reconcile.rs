//! Reconciliation of tasks: what the master knows of them, told without a uuid
//! (`docs/reconciliation.md`).

use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::call;
use mesos_sdk::v1::task_status::Reason;

use super::{Master, events};

impl Master {
    /// Answers for the tasks that are named, or for all that are known.
    pub(super) fn reconcile(&mut self, framework: &str, tasks: Vec<call::reconcile::Task>) {
        if tasks.is_empty() {
            self.reconcile_all(framework);
            return;
        }
        for task in tasks {
            self.reconcile_task(framework, &task.task_id, task.agent_id.as_ref());
        }
    }

    fn reconcile_all(&mut self, key: &str) {
        let Some(framework) = self.state.frameworks.get(key) else {
            return;
        };
        let answers: Vec<_> = framework
            .tasks
            .values()
            .map(|task| events::update(self.latest(task)))
            .collect();
        for answer in answers {
            self.send(key, answer);
        }
    }

    /// Silence is an answer too: of a task whose agent has not come back yet
    /// nothing can be said.
    pub(super) fn reconcile_task(
        &mut self,
        key: &str,
        task_id: &v1::TaskId,
        agent_id: Option<&v1::AgentId>,
    ) {
        let Some(framework) = self.state.frameworks.get(key) else {
            return;
        };
        if let Some(task) = framework.tasks.get(&task_id.value) {
            let status = self.latest(task);
            self.send(key, events::update(status));
            return;
        }
        let is_unknowable = match agent_id {
            Some(agent) => self.state.recovered_agents.contains_key(&agent.value),
            None => !self.state.recovered_agents.is_empty(),
        };
        if is_unknowable {
            return;
        }
        let (state, message, since) = self.state_of_unknown_task(agent_id);
        let mut status = events::master_status(
            self.now,
            task_id.clone(),
            agent_id.cloned(),
            framework.told(state),
            Reason::Reconciliation,
            message,
        );
        status.unreachable_time = since;
        self.send(key, events::update(status));
    }

    fn state_of_unknown_task(
        &self,
        agent_id: Option<&v1::AgentId>,
    ) -> (v1::TaskState, &'static str, Option<v1::TimeInfo>) {
        use v1::TaskState::{TaskGone, TaskGoneByOperator, TaskUnknown, TaskUnreachable};
        let Some(agent) = agent_id.map(|id| &id.value) else {
            return (TaskUnknown, "Reconciliation: Task is unknown", None);
        };
        if self.state.agents.contains_key(agent) {
            return (
                TaskGone,
                "Reconciliation: Task is unknown to the agent",
                None,
            );
        }
        if let Some(since) = self.state.unreachable_agents.get(agent) {
            let since = super::report::time_info(*since);
            return (
                TaskUnreachable,
                "Reconciliation: Task is unreachable",
                Some(since),
            );
        }
        if self.state.gone_agents.contains(agent) {
            return (TaskGoneByOperator, "Reconciliation: Task is gone", None);
        }
        (TaskUnknown, "Reconciliation: Task is unknown", None)
    }

    /// The status of a task that is known.
    fn latest(&self, task: &v1::Task) -> v1::TaskStatus {
        let state = match task.status_update_state {
            Some(_) => task.status_update_state(),
            None => task.state(),
        };
        let last = task.statuses.last();
        v1::TaskStatus {
            executor_id: task.executor_id.clone(),
            container_status: last.and_then(|status| status.container_status.clone()),
            healthy: last.and_then(|status| status.healthy),
            check_status: last.and_then(|status| status.check_status),
            ..events::master_status(
                self.now,
                task.task_id.clone(),
                Some(task.agent_id.clone()),
                state,
                Reason::Reconciliation,
                "Reconciliation: Latest task state",
            )
        }
    }
}
