//! What follows from how a run's task ended.

use std::sync::Arc;

use crate::effects::{Fact, NoticeKind};
use crate::job::{Job, NotifyOn, Trigger};
use crate::progress::{Outcome, PastRun, Sandbox};
use crate::run::{Cause, KillReason, Launched, Phase, Run, RunId};
use crate::state::Change;
use crate::timestamp::iso;

use super::Step;

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 2000;
/// Before a task is launched again that never started.
const DROP_DELAY_MS: i64 = 1000;
/// The longest such delay.
const MAX_DROP_DELAY_MS: i64 = 60_000;

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// Because somebody wanted it.
    Killed,
}

impl Step<'_> {
    /// The task of a run is over.
    pub(super) fn ended(&mut self, id: RunId, ending: Ending, message: &str, at_ms: i64) {
        let Some(run) = self.state.runs.get(&id).cloned() else {
            return;
        };
        let Phase::Launched(launched) = &run.phase else {
            return;
        };
        self.has_news = true;
        let reason = launched.kill.map(|(reason, _)| reason);
        let job = self.state.jobs.get(&run.job).cloned();
        let Some(job) = job.filter(|_| reason != Some(KillReason::Deleted)) else {
            return self.change(Change::Run(id, None));
        };
        let (ending, message) = match (ending, reason) {
            (Ending::Killed, Some(KillReason::Timeout)) => {
                (Ending::Failure, "it took longer than maxCompletionTime")
            }
            (Ending::Killed, Some(KillReason::Replaced)) => {
                (Ending::Killed, "the next run took its place")
            }
            (ending, _) => (ending, message),
        };
        let outcome = match ending {
            Ending::Success => Outcome::Success,
            Ending::Failure => Outcome::Failure,
            Ending::Killed => Outcome::Killed,
        };
        self.remember(&job, past(&run, launched, outcome, message, at_ms));
        match ending {
            Ending::Success => {
                self.change(Change::Run(id, None));
                self.succeeded(&job, &run, launched, at_ms);
            }
            Ending::Killed => self.change(Change::Run(id, None)),
            Ending::Failure => {
                let job_name = job.name.clone();
                self.effects.facts.push(Fact::Failed { job: job_name });
                let is_final = run.failures >= job.retries
                    || job.disabled
                    || reason == Some(KillReason::Asked);
                if is_final {
                    self.change(Change::Run(id, None));
                    self.failed_for_good(&job.name, message, Some((&run, launched)));
                } else {
                    self.try_again(id, &run, &job);
                }
            }
        }
    }

    fn try_again(&mut self, id: RunId, run: &Run, job: &Job) {
        let failures = run.failures + 1;
        let delay = job.retry_delay_ms(failures, self.state.settings.failure_retry_ms);
        let not_before_ms = self.now.saturating_add(delay);
        let queue = job.queue_timeout_seconds.map(crate::job::seconds_to_ms);
        let next = Run {
            attempt: run.attempt + 1,
            failures,
            drops: 0,
            not_before_ms,
            expires_ms: queue.map(|queue| not_before_ms.saturating_add(queue)),
            overdue_ms: None,
            phase: Phase::Waiting,
            ..run.clone()
        };
        self.put_run(id, next);
    }

    /// A task never started, through no fault of its own: it counts for nothing.
    pub(super) fn dropped(&mut self, id: RunId, why: &str) {
        let Some(run) = self.state.runs.get(&id).cloned() else {
            return;
        };
        let Some(launched) = run.launched() else {
            return;
        };
        if launched.kill.is_some() {
            return self.ended(id, Ending::Killed, why, self.now);
        }
        self.has_news = true;
        let delay = DROP_DELAY_MS << run.drops.min(6);
        let next = Run {
            attempt: run.attempt + 1,
            drops: run.drops + 1,
            not_before_ms: self.now + delay.min(MAX_DROP_DELAY_MS),
            phase: Phase::Waiting,
            ..(*run).clone()
        };
        self.put_run(id, next);
    }

    /// The agent of a task is out of reach for too long. Whether the task runs
    /// is not known, so it is not launched again unless the job says so.
    pub(super) fn give_up(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get(&id).cloned() else {
            return;
        };
        let Phase::Launched(launched) = &run.phase else {
            return;
        };
        let job = self.state.jobs.get(&run.job).cloned();
        let is_wanted = launched.kill.is_none();
        let Some(job) = job.filter(|_| is_wanted) else {
            return self.ended(id, Ending::Killed, "its agent is out of reach", self.now);
        };
        self.has_news = true;
        let seconds = self.state.settings.unreachable_timeout_ms / 1000;
        let message = format!(
            "its agent has been out of reach for {seconds} s; it is not known whether it has run"
        );
        self.remember(
            &job,
            past(&run, launched, Outcome::Lost, &message, self.now),
        );
        let job_name = job.name.clone();
        self.effects.facts.push(Fact::Failed { job: job_name });
        if job.retry_unreachable && run.failures < job.retries && !job.disabled {
            self.try_again(id, &run, &job);
        } else {
            self.change(Change::Run(id, None));
            self.failed_for_good(&job.name, &message, Some((&run, launched)));
        }
    }

    fn succeeded(&mut self, job: &Arc<Job>, run: &Run, launched: &Launched, at_ms: i64) {
        let took_ms = at_ms - launched.started_ms.unwrap_or(launched.launched_ms);
        self.effects.facts.push(Fact::Succeeded {
            job: job.name.clone(),
            took_ms,
        });
        let before = self.state.progress_of(&job.name).errors_since_last_success;
        let now = self.now;
        self.change_progress(&job.name, |it| {
            it.success_count += 1;
            it.errors_since_last_success = 0;
            it.last_success_ms = Some(now);
            it.durations.record(took_ms);
        });
        let what = format!(
            "The run that was due at {} has ended well on {}.\nTask id: {}",
            iso(run.due_ms),
            launched.hostname,
            launched.task_id
        );
        if before > 0 && job.notify_on.contains(&NotifyOn::Recovery) {
            let subject = format!("job '{}' runs again", job.name);
            let message = format!("{what}\nRuns that failed before: {before}");
            self.notice(job, NoticeKind::Recovered, subject, message);
        } else if job.notify_on.contains(&NotifyOn::Success) {
            let subject = format!("job '{}' succeeded", job.name);
            self.notice(job, NoticeKind::Succeeded, subject, what);
        }
        self.tell_children(&job.name);
    }

    /// A run has failed and is not tried again.
    pub(super) fn failed_for_good(
        &mut self,
        name: &str,
        why: &str,
        task: Option<(&Run, &Launched)>,
    ) {
        let Some(job) = self.state.jobs.get(name).cloned() else {
            return;
        };
        let now = self.now;
        self.change_progress(name, |it| {
            it.error_count += 1;
            it.errors_since_last_success += 1;
            it.last_error_ms = Some(now);
        });
        let failures = self.state.progress_of(name).errors_since_last_success;
        let most = self.state.settings.disable_after_failures;
        // Whoever is disabled stays so.
        if most > 0 && failures >= most && !job.disabled {
            let mut disabled = (*job).clone();
            disabled.disabled = true;
            let disabled = Arc::new(disabled);
            self.change(Change::Job(name.to_owned(), Some(disabled.clone())));
            self.drop_waiting(name, "the job was disabled");
            let subject = format!("job '{name}' disabled");
            let message = format!("It has failed {failures} times in a row, the last time: {why}");
            self.notice(&disabled, NoticeKind::Disabled, subject, message);
        } else {
            let attempts = task.map_or(0, |(run, _)| run.failures);
            let id = task.map_or("", |(_, launched)| launched.task_id.as_str());
            let message = format!(
                "'{}'. Retries attempted: {attempts}.\nTask id: {id}\n\
                 The scheduler provided this message:\n{why}",
                iso(now)
            );
            let subject = format!("job '{name}' failed!");
            self.notice(&job, NoticeKind::Failed, subject, message);
        }
        if job.soft_error {
            self.tell_children(name);
        }
    }

    /// What waits of a job does not run.
    pub(super) fn drop_waiting(&mut self, name: &str, why: &str) {
        let Some(job) = self.state.jobs.get(name).cloned() else {
            return;
        };
        let waiting = self.state.runs_of(name);
        let waiting = waiting.filter(|(_, run)| run.phase == Phase::Waiting);
        let waiting: Vec<(RunId, Arc<Run>)> = waiting.map(|(id, run)| (id, run.clone())).collect();
        for (id, run) in waiting {
            self.change(Change::Run(id, None));
            self.missed(&job, run.due_ms, run.collapsed + 1, why);
        }
    }

    /// A job counts as done: those that depend on it may run.
    pub(super) fn tell_children(&mut self, parent: &str) {
        let children = self.state.children.get(parent).cloned().unwrap_or_default();
        for name in children {
            let Some(child) = self.state.jobs.get(&name).cloned() else {
                continue;
            };
            let Trigger::Parents(parents) = &child.trigger else {
                continue;
            };
            if child.disabled {
                continue;
            }
            let progress = self.state.progress_of(&name);
            let is_satisfied = |it: &String| it == parent || progress.satisfied.contains(it);
            if !parents.iter().all(is_satisfied) {
                self.change_progress(&name, |it| {
                    it.satisfied.insert(parent.to_owned());
                });
                continue;
            }
            self.change_progress(&name, |it| it.satisfied.clear());
            // One that waits has not run yet: it runs after this, too.
            match self.state.untouched(&name, Cause::Parents) {
                Some(_) => {}
                None => drop(self.add_run(&child, self.now, Cause::Parents, 0)),
            }
        }
    }
}

/// What is remembered of a task.
fn past(run: &Run, launched: &Launched, outcome: Outcome, message: &str, ended_ms: i64) -> PastRun {
    let sandbox = launched
        .agent_url
        .clone()
        .zip(launched.container_id.clone());
    PastRun {
        task_id: launched.task_id.clone(),
        due_ms: run.due_ms,
        attempt: run.attempt,
        outcome,
        started_ms: launched.started_ms,
        ended_ms,
        agent_id: launched.agent_id.clone(),
        hostname: launched.hostname.clone(),
        message: message.chars().take(MAX_MESSAGE).collect(),
        occurrences: run.collapsed + 1,
        elements: launched.elements,
        sandbox: sandbox.map(|(agent_url, container_id)| Sandbox {
            agent_url,
            executor_id: launched.executor_id.clone(),
            container_id,
        }),
    }
}
