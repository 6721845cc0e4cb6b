//! A framework as an agent knows it: its executors, those that have ended, and
//! what is kept of them.

use std::collections::{BTreeMap, VecDeque};

use mesos_sdk::v1;
use v1::framework_info::capability::Type as Capability;

use crate::agent::executor::{Executor, Phase, Task};
use crate::agent::{Action, Agent, Effects};
use crate::time::Timestamp;

/// A framework that has, or had, executors here.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) info: v1::FrameworkInfo,
    /// By executor id.
    pub(crate) executors: BTreeMap<String, Box<Executor>>,
    /// Oldest first.
    pub(crate) completed: VecDeque<Box<Executor>>,
    /// Tasks that were never given to an executor and whose end has not been
    /// acknowledged, by task id.
    pub(crate) refused: BTreeMap<String, v1::Task>,
    /// The master wants it gone: nothing is reported, nothing is launched.
    pub(crate) is_terminating: bool,
}

impl Framework {
    pub(crate) fn new(info: v1::FrameworkInfo) -> Self {
        Self {
            info,
            executors: BTreeMap::new(),
            completed: VecDeque::new(),
            refused: BTreeMap::new(),
            is_terminating: false,
        }
    }

    pub(crate) fn has_capability(&self, capability: Capability) -> bool {
        self.info
            .capabilities
            .iter()
            .any(|known| known.r#type() == capability)
    }

    pub(crate) fn is_partition_aware(&self) -> bool {
        self.has_capability(Capability::PartitionAware)
    }

    /// Tasks that are not over, or whose end has not been acknowledged.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = v1::Task> {
        self.executors
            .values()
            .flat_map(|executor| executor.tasks.values())
            .map(|task| &*task.record)
            .chain(self.refused.values())
            .cloned()
    }

    /// The executor that has, or had, a task that is not completed.
    pub(crate) fn executor_of(&self, task_id: &str) -> Option<&Executor> {
        let has = |executor: &&Executor| executor.tasks.contains_key(task_id);
        // A command executor has its task's id.
        let own = self.executors.get(task_id).map(Box::as_ref);
        own.filter(has)
            .or_else(|| self.executors.values().map(Box::as_ref).find(has))
    }

    pub(crate) fn note_sent_update(&mut self, status: &v1::TaskStatus) {
        let id = &status.task_id.value;
        let executor = status
            .executor_id
            .as_ref()
            .and_then(|executor| self.executors.get_mut(&executor.value));
        let task = match executor.and_then(|executor| executor.tasks.get_mut(id)) {
            Some(Task { record, .. }) => &mut **record,
            None => match self.refused.get_mut(id) {
                Some(task) => task,
                None => return,
            },
        };
        task.status_update_state = Some(status.state);
        task.status_update_uuid.clone_from(&status.uuid);
    }

    fn is_idle(&self) -> bool {
        self.executors.is_empty() && self.refused.is_empty()
    }
}

impl Agent {
    /// The framework, made or brought back when it has no executor here.
    pub(super) fn framework(&mut self, info: v1::FrameworkInfo) -> &mut Framework {
        let id = info.id.clone().unwrap_or_default().value;
        let completed = &mut self.completed_frameworks;
        let framework = self.frameworks.entry(id).or_insert_with_key(|id| {
            let position = completed
                .iter()
                .position(|framework| framework.info.id.as_ref().is_some_and(|i| i.value == *id));
            let mut framework = position
                .and_then(|position| completed.remove(position))
                .unwrap_or_else(|| Framework::new(v1::FrameworkInfo::default()));
            framework.is_terminating = false;
            framework
        });
        framework.info = info;
        framework
    }

    /// A framework has subscribed again, or was known to the master when the
    /// agent registered again: whatever is not acknowledged is sent at once.
    pub(super) fn update_framework(
        &mut self,
        now: Timestamp,
        info: v1::FrameworkInfo,
        effects: &mut Effects,
    ) {
        let id = info.id.clone().unwrap_or_default().value;
        if let Some(known) = self.frameworks.get_mut(&id) {
            known.info = info;
            self.updates
                .resume(now, &self.config.limits, &mut effects.to_master);
        }
    }

    /// Moves what is over, and has been acknowledged, to what is completed: the
    /// tasks of an executor, the executor when it has ended, its framework when
    /// it was the last one.
    pub(super) fn complete_executor(
        &mut self,
        framework_id: &str,
        executor_id: &str,
        effects: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            return;
        };
        let is_complete = framework
            .executors
            .get_mut(executor_id)
            .is_some_and(|executor| {
                executor.complete_tasks(|task| self.updates.is_waiting(framework_id, task));
                executor.phase == Phase::Terminated && executor.tasks.is_empty()
            });
        if is_complete && let Some(executor) = framework.executors.remove(executor_id) {
            framework.completed.push_back(executor);
            if framework.completed.len() > self.config.limits.max_completed_executors
                && let Some(forgotten) = framework.completed.pop_front()
            {
                self.forgotten_sandboxes.push_back(forgotten.directory);
            }
        }
        if framework.is_idle()
            && let Some(framework) = self.frameworks.remove(framework_id)
        {
            self.completed_frameworks.push_back(framework);
            if self.completed_frameworks.len() > self.config.limits.max_completed_frameworks
                && let Some(forgotten) = self.completed_frameworks.pop_front()
            {
                let sandboxes = forgotten.completed.into_iter().map(|e| e.directory);
                self.forgotten_sandboxes.extend(sandboxes);
            }
        }
        while self.forgotten_sandboxes.len() > self.config.limits.max_forgotten_sandboxes {
            if let Some(directory) = self.forgotten_sandboxes.pop_front() {
                self.counters.sandboxes_removed += 1;
                effects.actions.push(Action::RemoveSandbox { directory });
            }
        }
    }
}
