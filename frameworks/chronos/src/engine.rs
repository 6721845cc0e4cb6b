//! One step: an input is taken in; then what is due becomes runs, runs are
//! looked at whose time has come, and those that wait find offers.
//!
//! The way of an occurrence: `due` makes a run of it, `launch` finds an agent
//! and notes the launch before the master is told, `update` takes in what
//! becomes of the task, and `finish` draws the conclusions: counters, further
//! attempts, dependent jobs. `request` is what people and programs want.

mod due;
mod finish;
mod launch;
mod request;
mod task;
mod update;

pub(crate) use launch::constraints_of;

use std::sync::Arc;

use crate::effects::{Call, Effects, Fact, Input, Notice, NoticeKind};
use crate::job::{Job, seconds_to_ms};
use crate::progress::{History, PastRun, Progress};
use crate::run::{Cause, KillReason, Phase, Run, RunId};
use crate::state::{Change, State};

/// Takes an input in, and says what is to be done.
pub fn step(state: &mut State, now_ms: i64, input: Input) -> Effects {
    let mut step = Step {
        state,
        now: now_ms,
        effects: Effects::default(),
        has_news: false,
    };
    step.take_in(input);
    step.make_due_runs();
    step.look_at_runs();
    step.launch();
    step.effects.wake_at = step.next_wake();
    step.effects
}

/// A state, the moment, and what has been decided so far.
struct Step<'a> {
    state: &'a mut State,
    now: i64,
    effects: Effects,
    /// Whether runs may find offers that found none before.
    has_news: bool,
}

impl Step<'_> {
    fn take_in(&mut self, input: Input) {
        match input {
            Input::Request(token, request) => {
                let reply = self.request(request);
                self.effects.replies.push((token, reply));
            }
            Input::Offers(offers) => {
                for offer in offers {
                    let id = offer.id.value.clone();
                    self.state.offers.insert(id, (offer, self.now));
                }
                self.has_news = true;
            }
            Input::Rescind(id) => {
                self.state.offers.remove(&id);
            }
            Input::Update(status) => self.update(&status),
            Input::NotLaunched(tasks) => {
                for task in tasks {
                    if let Some(id) = self.state.tasks.get(&task).copied() {
                        self.dropped(id, "the launch did not reach the master");
                    }
                }
            }
            Input::Subscribed { framework_id } => {
                if self.state.framework_id.as_ref() != Some(&framework_id) {
                    self.change(Change::Framework(Some(framework_id)));
                }
                self.state.is_connected = true;
                self.state.offers.clear();
                self.state.is_suppressed = false;
                self.state.asked_ms = self.now;
                self.ask_again_for_ends();
            }
            Input::Disconnected => {
                self.state.is_connected = false;
                self.state.offers.clear();
            }
            Input::Wake => {}
        }
    }

    /// Kills may have been lost with the connection.
    fn ask_again_for_ends(&mut self) {
        let ids: Vec<RunId> = self.state.tasks.values().copied().collect();
        for id in ids {
            let run = self.state.runs.get(&id);
            let kill = run.and_then(|run| run.launched()).and_then(|it| it.kill);
            if let Some((reason, _)) = kill {
                self.kill(id, reason);
            }
        }
    }

    /// Makes it so, and remembers that it is to be saved.
    fn change(&mut self, change: Change) {
        self.effects.changes.push(change.clone());
        self.state.apply(change);
    }

    fn put_run(&mut self, id: RunId, run: Run) {
        self.change(Change::Run(id, Some(Arc::new(run))));
    }

    fn change_progress(&mut self, job: &str, how: impl FnOnce(&mut Progress)) {
        let before = self.state.progress_of(job);
        let mut progress = (*before).clone();
        how(&mut progress);
        if progress != *before {
            self.change(Change::Progress(job.to_owned(), Some(Arc::new(progress))));
        }
    }

    fn remember(&mut self, job: &Job, past: PastRun) {
        let limit = self.state.settings.history_limit;
        let successes = job.successful_runs_history_limit.unwrap_or(limit);
        let others = job.failed_runs_history_limit.unwrap_or(limit);
        let before = self.state.histories.get(&job.name);
        let mut history: History = before.map(|it| (**it).clone()).unwrap_or_default();
        history.add(past, successes as usize, others as usize);
        let change = Change::History(job.name.clone(), Some(Arc::new(history)));
        self.change(change);
    }

    /// A run begins to wait.
    fn add_run(&mut self, job: &Job, due_ms: i64, cause: Cause, delay_ms: i64) -> RunId {
        let id = RunId(self.state.runs_made);
        self.change(Change::RunsMade(id.0 + 1));
        let not_before_ms = due_ms + delay_ms;
        let queue = job.queue_timeout_seconds.map(seconds_to_ms);
        let queue = queue.map(|queue| self.now.max(not_before_ms).saturating_add(queue));
        let late = match cause {
            Cause::Schedule => job.lateness_ms(),
            Cause::Parents | Cause::Forced => None,
        };
        let late = late.map(|late| not_before_ms.saturating_add(late));
        let overdue = job.overdue_after_seconds.map(seconds_to_ms);
        let id_ms = self.free_id_ms(&job.name, due_ms);
        self.change_progress(&job.name, |it| it.note_id(id_ms));
        let run = Run {
            job: job.name.clone(),
            due_ms,
            id_ms,
            cause,
            arguments: None,
            attempt: 0,
            failures: 0,
            drops: 0,
            collapsed: 0,
            created_ms: self.now,
            not_before_ms,
            expires_ms: [queue, late].into_iter().flatten().min(),
            overdue_ms: overdue.map(|overdue| not_before_ms.saturating_add(overdue)),
            phase: Phase::Waiting,
        };
        self.put_run(id, run);
        self.has_news = true;
        id
    }

    /// A due time for the ids of a new run's tasks that no other task of the job
    /// has, nor had lately.
    fn free_id_ms(&self, job: &str, due_ms: i64) -> i64 {
        let recent = self.state.progress_of(job);
        let mut free = self.state.free_id_ms(job, due_ms);
        while recent.recent_ids.contains(&free) {
            free = self.state.free_id_ms(job, free + 1);
        }
        free
    }

    /// A task is to end. It is asked for again until it has.
    fn kill(&mut self, id: RunId, reason: KillReason) {
        let Some(run) = self.state.runs.get(&id) else {
            return;
        };
        let Some(launched) = run.launched() else {
            return;
        };
        let call = Call::Kill {
            task_id: launched.task_id.clone(),
            agent_id: Some(launched.agent_id.clone()),
        };
        let is_over = launched.is_awaited;
        let mut run = (**run).clone();
        if let Phase::Launched(launched) = &mut run.phase {
            launched.kill = Some((reason, self.now));
        }
        self.put_run(id, run);
        if is_over {
            // Nothing of it runs any more.
            return self.ended(id, finish::Ending::Killed, "", self.now);
        }
        self.effects.calls.push(call);
    }

    fn notice(&mut self, job: &Arc<Job>, kind: NoticeKind, subject: String, message: String) {
        self.effects.notices.push(Notice {
            kind,
            subject,
            message,
            progress: self.state.progress_of(&job.name),
            job: job.clone(),
        });
    }

    fn count_queue(&mut self) {
        let length = |lane: usize| self.state.waiting[lane].len() + self.state.blocked[lane].len();
        let (high, normal) = (length(0), length(1));
        self.effects.facts.push(Fact::Queue { high, normal });
    }

    fn next_wake(&self) -> Option<i64> {
        let state = &self.state;
        let due = state.due.first();
        let run = state.run_timers.first();
        let waiting = state.waiting.iter().filter_map(|waiting| {
            // Those whose time has come wait for something else.
            let mut later = waiting.range((self.now + 1, RunId(0))..);
            later.next().map(|(at, _)| *at)
        });
        let lead = state.settings.offer_lead_ms;
        let asking = match state.is_connected && state.is_suppressed {
            true => self.next_wanted().map(|at| (at - lead).max(self.now + 1)),
            false => None,
        };
        let held = self.next_return();
        let again = match state.is_connected && !state.is_suppressed && state.offers.is_empty() {
            true => Some(state.asked_ms + state.settings.revive_interval_ms),
            false => None,
        };
        let again = again.filter(|_| self.has_ready_runs());
        let those = [due, run, asking, held, again];
        let wake = those.into_iter().flatten().chain(waiting).min();
        wake.map(|at| at.max(self.now + 1))
    }
}

#[cfg(test)]
mod tests;
