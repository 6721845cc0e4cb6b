//! What is due becomes runs, and what waits for too long does not run at all.

use std::sync::Arc;

use crate::effects::{Call, Fact, NoticeKind};
use crate::job::{Job, NotifyOn, Timetable, seconds_to_ms};
use crate::progress::{Outcome, PastRun};
use crate::run::{Cause, KillReason, Launched, Phase, RunId};
use crate::timestamp::iso;

use super::Step;
use super::finish::Ending;

/// How long until a job is looked at again of which enough waits.
const LATER_MS: i64 = 1000;

impl Step<'_> {
    pub(super) fn make_due_runs(&mut self) {
        for name in self.state.due.until(self.now) {
            let Some(job) = self.state.jobs.get(&name).cloned() else {
                continue;
            };
            if job.catch_up || job.epsilon.is_some() {
                self.make_each(&job);
            } else {
                self.make_latest(&job);
            }
        }
    }

    /// Of several occurrences one runs: the latest.
    fn make_latest(&mut self, job: &Arc<Job>) {
        let Some(schedule) = job.timetable().map(Timetable::schedule) else {
            return;
        };
        let handled = self.state.progress_of(&job.name).handled_ms;
        let Some(latest) = schedule.previous_at_or_before(self.now) else {
            return;
        };
        let count = schedule.count_between(handled, self.now).max(1);
        let jitter = self.jitter_ms(job, latest.index);
        self.change_progress(&job.name, |it| it.handled_ms = latest.due_ms);
        let late = job.lateness_ms();
        if late.is_some_and(|late| latest.due_ms.saturating_add(jitter + late) < self.now) {
            return self.missed(
                job,
                latest.due_ms,
                count,
                "nothing could be launched in time",
            );
        }
        let Some(id) = self.state.untouched(&job.name, Cause::Schedule) else {
            let id = self.add_run(job, latest.due_ms, Cause::Schedule, jitter);
            return self.collapse(id, count - 1);
        };
        // One waits already: it stands for this one, too.
        let Some(run) = self.state.runs.get(&id) else {
            return;
        };
        let mut run = (**run).clone();
        run.due_ms = latest.due_ms;
        if let Some(late) = late {
            run.expires_ms = Some(latest.due_ms.saturating_add(jitter + late));
        }
        self.put_run(id, run);
        self.collapse(id, count);
    }

    fn collapse(&mut self, id: RunId, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(run) = self.state.runs.get(&id) {
            let mut run = (**run).clone();
            run.collapsed += count;
            self.put_run(id, run);
        }
    }

    /// Each occurrence runs that is not too late.
    fn make_each(&mut self, job: &Arc<Job>) {
        let Some(schedule) = job.timetable().map(Timetable::schedule) else {
            return;
        };
        let mut handled = self.state.progress_of(&job.name).handled_ms;
        if let Some(late) = job.lateness_ms() {
            // Jitter is added to what an occurrence may be late.
            let most = seconds_to_ms(job.jitter_seconds);
            let too_late = self.now.saturating_sub(late).saturating_sub(most) - 1;
            let count = schedule.count_between(handled, too_late);
            if let Some(last) = schedule
                .previous_at_or_before(too_late)
                .filter(|_| count > 0)
            {
                handled = last.due_ms;
                self.change_progress(&job.name, |it| it.handled_ms = handled);
                self.missed(job, handled, count, "nothing could be launched in time");
            }
        }
        let limit = self.state.settings.catch_up_limit;
        let mut waiting = self.state.runs_of(&job.name).count();
        while let Some(next) = schedule.next_after(handled) {
            if next.due_ms > self.now {
                return;
            }
            if waiting >= limit {
                let later = Some(self.now + LATER_MS);
                return self.state.due.set(&job.name, later);
            }
            handled = next.due_ms;
            self.change_progress(&job.name, |it| it.handled_ms = handled);
            let jitter = self.jitter_ms(job, next.index);
            self.add_run(job, handled, Cause::Schedule, jitter);
            waiting += 1;
        }
    }

    fn jitter_ms(&self, job: &Job, index: u64) -> i64 {
        let most = seconds_to_ms(job.jitter_seconds);
        self.state.settings.jitter_ms(&job.name, index, most)
    }

    /// Occurrences did not run, and will not.
    pub(super) fn missed(&mut self, job: &Arc<Job>, due_ms: i64, count: u64, why: &str) {
        self.effects.facts.push(Fact::Missed { count });
        self.change_progress(&job.name, |it| it.missed_count += count);
        let past = PastRun {
            task_id: String::new(),
            due_ms,
            attempt: 0,
            outcome: Outcome::Missed,
            started_ms: None,
            ended_ms: self.now,
            agent_id: String::new(),
            hostname: String::new(),
            message: why.to_owned(),
            occurrences: count,
            elements: 0,
            sandbox: None,
        };
        self.remember(job, past);
        if job.notify_on.contains(&NotifyOn::Overdue) {
            let subject = format!("job '{}' did not run", job.name);
            let message = format!(
                "{count} of its occurrences, the last of them due at {}, did not run: {why}",
                iso(due_ms)
            );
            self.notice(job, NoticeKind::Overdue, subject, message);
        }
    }

    pub(super) fn look_at_runs(&mut self) {
        let mut asked = Vec::new();
        for id in self.state.run_timers.until(self.now) {
            let Some(run) = self.state.runs.get(&id).cloned() else {
                continue;
            };
            match &run.phase {
                Phase::Waiting => self.look_at_waiting(id),
                Phase::Launched(launched) => {
                    let timeout = self.state.settings.unreachable_timeout_ms;
                    let since = launched.unreachable_ms;
                    if since.is_some_and(|since| since + timeout <= self.now) {
                        self.give_up(id);
                    } else if self.is_to_be_asked_for(launched) {
                        asked.push((launched.task_id.clone(), launched.agent_id.clone()));
                        let mut run = (*run).clone();
                        if let Phase::Launched(launched) = &mut run.phase {
                            launched.asked_ms = Some(self.now);
                        }
                        self.put_run(id, run);
                    } else if let Some((reason, _)) = launched.kill {
                        self.kill(id, reason);
                    } else if launched.is_awaited {
                        let why = "nobody told in time how it went";
                        self.ended(id, Ending::Failure, why, self.now);
                    } else {
                        self.kill(id, KillReason::Timeout);
                    }
                }
            }
        }
        if !asked.is_empty() && self.state.is_connected {
            self.effects.calls.push(Call::Reconcile { tasks: asked });
        }
    }

    /// An agent may have come back without a task, and nobody tells.
    fn is_to_be_asked_for(&self, launched: &Launched) -> bool {
        let interval = self.state.settings.reconcile_ms;
        let asked = launched.asked_ms;
        asked.is_some_and(|asked| asked + interval <= self.now)
    }

    fn look_at_waiting(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get(&id).cloned() else {
            return;
        };
        let Some(job) = self.state.jobs.get(&run.job).cloned() else {
            return self.change(crate::state::Change::Run(id, None));
        };
        let why = || {
            let others = self.state.runs_of(&run.job);
            let mut others = others.filter(|(other, _)| *other != id);
            let refusal = self.state.refusals.get(&run.job);
            if others.any(|(_, run)| run.may_be_running()) {
                "it still ran from before".to_owned()
            } else if let Some(refusal) = refusal {
                format!("no agent could take it: {refusal}")
            } else {
                "there were no offers".to_owned()
            }
        };
        let why = why();
        if run.expires_ms.is_some_and(|at| at < self.now) {
            self.change(crate::state::Change::Run(id, None));
            if run.failures > 0 {
                let why = format!("no further attempt: {why}");
                return self.failed_for_good(&run.job, &why, None);
            }
            return self.missed(&job, run.due_ms, run.collapsed + 1, &why);
        }
        if run.overdue_ms.is_some_and(|at| at <= self.now) {
            let mut told = (*run).clone();
            told.overdue_ms = None;
            self.put_run(id, told);
            if job.notify_on.contains(&NotifyOn::Overdue) {
                let subject = format!("job '{}' is overdue", job.name);
                let message = format!("It was due at {} and waits: {why}", iso(run.due_ms));
                self.notice(&job, NoticeKind::Overdue, subject, message);
            }
        }
    }
}
