//! The end before everything is done: an interrupt, or the time is over.

use std::time::Duration;

use mesos_sdk::v1;

use super::{Effects, Notice, Now, Phase, Shell};
use crate::outcome::Outcome;

/// How long killed tasks may take until they are left to the teardown.
const KILL_PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(super) struct Stop {
    pub(super) outcome: Outcome,
    pub(super) give_up_at: Now,
}

impl Shell {
    pub(super) fn interrupt(&mut self, now: Now, effects: &mut Effects) {
        if self.stop.is_some() {
            // Asked twice: leave at once, the teardown kills what is left.
            effects.exit = Some(130);
            return;
        }
        effects.notices.push(Notice::Interrupted {
            running: self.by_task.len(),
        });
        self.stop_all(now, Outcome::Interrupted, effects);
    }

    pub(super) fn watch_deadline(&mut self, now: Now, effects: &mut Effects) {
        let is_over = self.settings.deadline.is_some_and(|at| at <= now);
        if is_over && self.stop.is_none() && self.is_registered {
            effects.notices.push(Notice::TimedOut);
            self.stop_all(now, Outcome::TimedOut, effects);
        }
    }

    fn stop_all(&mut self, now: Now, outcome: Outcome, effects: &mut Effects) {
        self.stop = Some(Stop {
            outcome: outcome.clone(),
            give_up_at: now + KILL_PATIENCE,
        });
        self.wants_revive = false;
        for index in std::mem::take(&mut self.waiting) {
            self.end(index, outcome.clone(), effects);
        }
        for (task_id, index) in &self.by_task {
            if let Phase::Launched { agent_id, .. } = &self.runs[*index].phase {
                let task_id = v1::TaskId {
                    value: task_id.clone(),
                };
                effects.kills.push((task_id, agent_id.clone()));
            }
        }
    }
}
