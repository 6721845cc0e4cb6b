//! What becomes of a run: its task's states, the end of its output, another try.

use mesos_sdk::{
    status::is_over,
    v1::{self, TaskState},
};

use super::{Effects, Notice, Output, Phase, Shell};
use crate::outcome::Outcome;

impl Shell {
    pub(super) fn update(&mut self, status: &v1::TaskStatus, effects: &mut Effects) {
        let task_id = &status.task_id.value;
        let Some(&index) = self.by_task.get(task_id) else {
            return;
        };
        let state = status.state();
        let is_reconciliation =
            status.reason == Some(v1::task_status::Reason::Reconciliation as i32);
        if !is_reconciliation || is_over(state) {
            effects.notices.push(Notice::State {
                run: index,
                task_id: task_id.clone(),
                state,
                message: status.message().to_owned(),
            });
        }
        self.follow_output(index, status, effects);
        let Phase::Launched {
            is_started,
            is_tailed,
            ..
        } = &mut self.runs[index].phase
        else {
            return;
        };
        if is_over(state) {
            let (was_started, has_output) = (*is_started, *is_tailed);
            self.over(index, status, was_started, has_output, effects);
        } else {
            *is_started |= state != TaskState::TaskStaging;
        }
    }

    /// As soon as it is known where a task's output is.
    fn follow_output(&mut self, index: usize, status: &v1::TaskStatus, effects: &mut Effects) {
        let Phase::Launched {
            agent_id,
            is_tailed: is_tailed @ false,
            ..
        } = &mut self.runs[index].phase
        else {
            return;
        };
        let container = status.container_status.as_ref();
        let has_begun = status.state() == TaskState::TaskRunning || is_over(status.state());
        if let Some(container_id) = container.and_then(|it| it.container_id.clone())
            && has_begun
        {
            *is_tailed = true;
            effects.follow.push(Output {
                run: index,
                task_id: status.task_id.value.clone(),
                agent_id: agent_id.clone(),
                container_id,
            });
        }
    }

    fn over(
        &mut self,
        index: usize,
        status: &v1::TaskStatus,
        was_started: bool,
        has_output: bool,
        effects: &mut Effects,
    ) {
        let (state, message) = (status.state(), status.message());
        let task_id = status.task_id.value.clone();
        if never_ran(state) && !was_started && self.stop.is_none() {
            self.by_task.remove(&task_id);
            let why = format!("{}: {message}", state.as_str_name());
            return self.wait_again(index, why, effects);
        }
        let outcome = match &self.stop {
            Some(stop) if state == TaskState::TaskKilled => stop.outcome.clone(),
            _ => Outcome::of(state, message),
        };
        self.runs[index].phase = Phase::Draining { outcome };
        if has_output {
            effects.drain.push(task_id);
        } else {
            self.output_ended(&task_id, effects);
        }
        self.wants_revive |= !self.waiting.is_empty();
    }

    pub(super) fn output_ended(&mut self, task_id: &str, effects: &mut Effects) {
        let Some(index) = self.by_task.get(task_id).copied() else {
            return;
        };
        let Phase::Draining { outcome } = &self.runs[index].phase else {
            return;
        };
        let outcome = outcome.clone();
        self.by_task.remove(task_id);
        let may_retry = self.runs[index].failures < self.settings.retries;
        if !outcome.is_success() && may_retry && self.stop.is_none() {
            self.runs[index].failures += 1;
            self.wait_again(index, outcome.to_string(), effects);
        } else {
            self.end(index, outcome, effects);
        }
    }

    pub(super) fn wait_again(&mut self, index: usize, why: String, effects: &mut Effects) {
        let run = &mut self.runs[index];
        run.launches += 1;
        run.phase = Phase::Waiting;
        self.waiting.insert(index);
        self.wants_revive = true;
        effects.notices.push(Notice::Again { run: index, why });
    }

    pub(super) fn end(&mut self, index: usize, outcome: Outcome, effects: &mut Effects) {
        self.ended += 1;
        self.runs[index].phase = Phase::Ended(outcome.clone());
        effects.notices.push(Notice::Ended {
            run: index,
            outcome,
        });
    }
}

/// States in which a task that nobody saw start has certainly not run.
fn never_ran(state: TaskState) -> bool {
    matches!(state, TaskState::TaskDropped | TaskState::TaskUnknown)
}
