//! What people and programs want.

use std::sync::Arc;

use crate::effects::NoticeKind;
use crate::job::{Job, Trigger};
use crate::progress::Progress;
use crate::request::{Reply, Request};
use crate::run::{Cause, KillReason, Phase, RunId};
use crate::state::Change;

use super::Step;
use super::finish::Ending;

/// How long the names of a deleted job's tasks are not given to others.
const NAMES_KEPT_MS: i64 = 86_400_000;

impl Step<'_> {
    pub(super) fn request(&mut self, request: Request) -> Reply {
        match request {
            Request::Put { job, progress } => self.put(&job, &progress),
            Request::Delete(name) => self.delete(&name),
            Request::Force { job, arguments } => self.force(&job, arguments),
            Request::MarkSuccess(name) => self.mark_success(&name),
            Request::Kill { job, with_waiting } => self.kill_all(&job, with_waiting),
            Request::Complete { task_id, status } => self.complete(&task_id, status),
            Request::Purge => {
                let jobs: Vec<String> = self.state.runs_of.keys().cloned().collect();
                for job in jobs {
                    self.drop_waiting(&job, "the queue was purged");
                }
                Reply::Done
            }
            Request::Processed {
                job,
                task_id,
                elements,
            } => self.processed(&job, &task_id, elements),
        }
    }

    fn put(&mut self, job: &Arc<Job>, told: &Progress) -> Reply {
        if let Trigger::Parents(parents) = &job.trigger {
            let unknown = parents.iter().find(|it| !self.state.jobs.contains_key(*it));
            if let Some(unknown) = unknown.filter(|it| **it != job.name) {
                return Reply::Refused(format!("parents: there is no job '{unknown}'"));
            }
            if self.state.ancestors(parents).contains(&job.name) {
                return Reply::Refused(format!("parents: '{}' would come after itself", job.name));
            }
        }
        let name = job.name.clone();
        let before = self.state.jobs.get(&name).cloned();
        if before.as_ref() == Some(job) {
            return Reply::Done;
        }
        let now = self.now;
        let is_cron = job.timetable().is_some_and(|it| it.start().is_none());
        match &before {
            None => {
                let mut progress = told.clone();
                progress.recent_ids = self.state.progress_of(&name).recent_ids.clone();
                if is_cron {
                    progress.handled_ms = now;
                }
                self.change(Change::Progress(name.clone(), Some(Arc::new(progress))));
            }
            Some(before) => {
                let (old, new) = (before.timetable(), job.timetable());
                let is_same_start = old.zip(new).is_some_and(|(old, new)| {
                    (old.start(), old.zone()) == (new.start(), new.zone())
                });
                let was_resting = before.disabled && !job.disabled;
                self.change_progress(&name, |it| {
                    if is_cron && old != new {
                        it.handled_ms = it.handled_ms.max(now);
                    } else if !is_same_start {
                        it.handled_ms = i64::MIN;
                    }
                    if was_resting && is_same_start {
                        // What was due while it rested was not to run.
                        it.handled_ms = it.handled_ms.max(now);
                    }
                    // What parents have done counts as long as they are parents.
                    it.satisfied.retain(|parent| match &job.trigger {
                        Trigger::Parents(parents) => parents.contains(parent),
                        Trigger::Schedule(_) => false,
                    });
                });
            }
        }
        self.change(Change::Job(name.clone(), Some(job.clone())));
        if job.disabled {
            self.drop_waiting(&name, "the job was disabled");
        }
        self.has_news = true;
        Reply::Done
    }

    fn delete(&mut self, name: &str) -> Reply {
        let Some(job) = self.state.jobs.get(name).cloned() else {
            return no_job(name);
        };
        self.adopt_children(&job);
        let runs: Vec<RunId> = self.state.runs_of(name).map(|(id, _)| id).collect();
        self.notice(
            &job,
            NoticeKind::Removed,
            format!("Your job '{name}' was deleted!"),
            String::new(),
        );
        self.change(Change::Job(name.to_owned(), None));
        let left = self.state.progress_of(name).of_deleted(self.now);
        self.change(Change::Progress(name.to_owned(), left.map(Arc::new)));
        self.forget_old_names();
        self.change(Change::History(name.to_owned(), None));
        self.state.refusals.remove(name);
        for id in runs {
            let run = self.state.runs.get(&id);
            match run.is_some_and(|run| run.may_be_running()) {
                true => self.kill(id, KillReason::Deleted),
                false => self.change(Change::Run(id, None)),
            }
        }
        Reply::Done
    }

    /// What is left of jobs that were deleted long ago is of no use.
    fn forget_old_names(&mut self) {
        let until = self.now - NAMES_KEPT_MS;
        let is_old = |it: &Progress| it.deleted_ms.is_some_and(|at| at < until);
        let old = self.state.progress.iter().filter(|(_, it)| is_old(it));
        let old: Vec<String> = old.map(|(name, _)| name.clone()).collect();
        for name in old {
            self.change(Change::Progress(name, None));
        }
    }

    /// The jobs that depend on one that is deleted depend on what it depended on,
    /// or are due when it was, if they depended on nothing else.
    fn adopt_children(&mut self, job: &Arc<Job>) {
        let children = self.state.children.get(&job.name).cloned();
        for name in children.unwrap_or_default() {
            let Some(child) = self.state.jobs.get(&name) else {
                continue;
            };
            let mut adopted = (**child).clone();
            let Trigger::Parents(parents) = &mut adopted.trigger else {
                continue;
            };
            parents.remove(&job.name);
            match &job.trigger {
                Trigger::Parents(grandparents) => parents.extend(grandparents.iter().cloned()),
                Trigger::Schedule(timetable) if parents.is_empty() => {
                    adopted.trigger = Trigger::Schedule(timetable.clone());
                }
                Trigger::Schedule(_) => {}
            }
            let handled_ms = self.state.progress_of(&job.name).handled_ms;
            let is_scheduled = adopted.timetable().is_some();
            self.change_progress(&name, |it| {
                it.satisfied.remove(&job.name);
                if is_scheduled {
                    it.handled_ms = handled_ms;
                }
            });
            self.change(Change::Job(name, Some(Arc::new(adopted))));
        }
    }

    fn force(&mut self, name: &str, arguments: Option<String>) -> Reply {
        let Some(job) = self.state.jobs.get(name).cloned() else {
            return no_job(name);
        };
        if job.disabled {
            return Reply::Refused(format!(
                "job '{name}' is disabled; enable it to run it, even by hand"
            ));
        }
        let waiting = self.state.untouched(name, Cause::Forced);
        let waiting = waiting.and_then(|id| self.state.runs.get(&id));
        if waiting.is_some_and(|run| run.arguments == arguments) {
            return Reply::Done;
        }
        let id = self.add_run(&job, self.now, Cause::Forced, 0);
        if let Some(run) = self.state.runs.get(&id).filter(|_| arguments.is_some()) {
            let mut run = (**run).clone();
            run.arguments = arguments;
            self.put_run(id, run);
        }
        Reply::Done
    }

    fn mark_success(&mut self, name: &str) -> Reply {
        if !self.state.jobs.contains_key(name) {
            return no_job(name);
        }
        let now = self.now;
        self.change_progress(name, |it| {
            it.success_count += 1;
            it.errors_since_last_success = 0;
            it.last_success_ms = Some(now);
            it.satisfied.clear();
        });
        self.tell_children(name);
        Reply::Done
    }

    fn kill_all(&mut self, name: &str, with_waiting: bool) -> Reply {
        if !self.state.jobs.contains_key(name) {
            return no_job(name);
        }
        if with_waiting {
            self.drop_waiting(name, "the job was killed");
        }
        let runs = self.state.runs_of(name);
        let runs = runs.filter(|(_, run)| matches!(run.phase, Phase::Launched(_)));
        let runs: Vec<RunId> = runs.map(|(id, _)| id).collect();
        for id in runs {
            self.kill(id, KillReason::Asked);
        }
        Reply::Done
    }

    fn complete(&mut self, task_id: &str, status: i64) -> Reply {
        let Some(id) = self.state.tasks.get(task_id).copied() else {
            return Reply::Refused(format!("there is no task '{task_id}' that has not ended"));
        };
        let Some(run) = self.state.runs.get(&id) else {
            return Reply::Refused(format!("there is no task '{task_id}' that has not ended"));
        };
        let mut run = (**run).clone();
        let Phase::Launched(launched) = &mut run.phase else {
            return Reply::Done;
        };
        launched.told = Some(status);
        let is_awaited = launched.is_awaited;
        self.put_run(id, run);
        if is_awaited {
            let message = format!("it was told to have ended with status {status}");
            let ending = match status {
                0 => Ending::Success,
                _ => Ending::Failure,
            };
            self.ended(id, ending, &message, self.now);
        }
        // A task that still runs counts when it ends.
        Reply::Done
    }

    fn processed(&mut self, name: &str, task_id: &str, elements: u64) -> Reply {
        let Some(job) = self.state.jobs.get(name) else {
            return no_job(name);
        };
        if !job.data_processing_job_type {
            return Reply::Refused(format!(
                "job '{name}' is none that tells of its progress: its dataProcessingJobType is \
                 false"
            ));
        }
        let id = self.state.tasks.get(task_id).copied();
        let run = id.and_then(|id| Some((id, self.state.runs.get(&id)?)));
        if let Some((id, run)) = run.filter(|(_, run)| run.job == name) {
            let mut run = (**run).clone();
            if let Phase::Launched(launched) = &mut run.phase {
                launched.elements = launched.elements.saturating_add(elements);
            }
            self.put_run(id, run);
            return Reply::Done;
        }
        // It may have ended before it could tell.
        let history = self.state.histories.get(name);
        let mut history = history.map(|it| (**it).clone()).unwrap_or_default();
        let past = history.0.iter_mut().find(|past| past.task_id == task_id);
        let Some(past) = past else {
            return Reply::Refused(format!("job '{name}' has no task '{task_id}'"));
        };
        past.elements = past.elements.saturating_add(elements);
        self.change(Change::History(name.to_owned(), Some(Arc::new(history))));
        Reply::Done
    }
}

fn no_job(name: &str) -> Reply {
    Reply::NoJob(name.to_owned())
}
