//! All that Chronos knows, and the only way to change it.

mod change;
mod settings;

pub use change::Change;
pub use settings::Settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesos_sdk::v1;
use mesos_service::store::InvalidEntity;

use crate::job::{Job, Policy, Trigger, seconds_to_ms};
use crate::progress::{History, Progress};
use crate::run::{Cause, Phase, Run, RunId};

/// All that Chronos knows. What is stored is changed by [`State::apply`] only;
/// the rest follows from it, or is found out again after a restart.
#[derive(Clone, Debug)]
pub struct State {
    /// How it was started.
    pub settings: Settings,
    /// The jobs.
    pub jobs: BTreeMap<String, Arc<Job>>,
    /// What became of them so far.
    pub progress: BTreeMap<String, Arc<Progress>>,
    /// Their tasks that are over.
    pub histories: BTreeMap<String, Arc<History>>,
    /// What is not over.
    pub runs: BTreeMap<RunId, Arc<Run>>,
    /// The framework's id, once the master gave one.
    pub framework_id: Option<String>,
    /// How many runs were made.
    pub runs_made: u64,

    /// The dependent jobs of each job.
    pub children: BTreeMap<String, BTreeSet<String>>,
    /// The runs of each job.
    pub runs_of: BTreeMap<String, BTreeSet<RunId>>,
    /// Runs by the ids of their tasks.
    pub tasks: BTreeMap<String, RunId>,
    /// When jobs are due.
    pub(crate) due: Timers<String>,
    /// When runs are to be looked at.
    pub(crate) run_timers: Timers<RunId>,
    /// When jobs are due that may begin then: none that is busy.
    pub(crate) wanted: Timers<String>,
    /// Runs that wait, by when they may be launched: those that go before
    /// others, and those others. None of a busy job.
    pub(crate) waiting: [BTreeSet<(i64, RunId)>; 2],
    /// Runs of busy jobs that wait, in the same two lanes.
    pub(crate) blocked: [BTreeSet<RunId>; 2],
    /// Jobs of which one run is under way, and no other may be.
    busy: BTreeSet<String>,

    /// Not stored: whether there is a master.
    pub is_connected: bool,
    /// Not stored: offers that nothing has used yet, and since when.
    pub offers: BTreeMap<String, (v1::Offer, i64)>,
    /// Not stored: why runs of jobs found no agent.
    pub refusals: BTreeMap<String, String>,
    /// Not stored: whether the master was told that nothing is wanted.
    pub(crate) is_suppressed: bool,
    /// Not stored: when offers were last asked for.
    pub(crate) asked_ms: i64,
    /// Not stored: when offers were last given back.
    pub(crate) returned_ms: i64,
    /// Not stored: runs were last matched with offers then.
    pub(crate) matched_ms: i64,
}

/// Times at which something is to be looked at; one for each.
#[derive(Clone, Debug)]
pub(crate) struct Timers<K> {
    at: BTreeMap<K, i64>,
    order: BTreeSet<(i64, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            at: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) fn set(&mut self, key: &K, at: Option<i64>) {
        if let Some(before) = self.at.remove(key) {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.at.insert(key.clone(), at);
            self.order.insert((at, key.clone()));
        }
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.order.first().map(|(at, _)| *at)
    }

    pub(crate) fn until(&self, now: i64) -> Vec<K> {
        let due = self.order.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, key)| key.clone()).collect()
    }
}

impl State {
    /// No job, no run.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            jobs: BTreeMap::new(),
            progress: BTreeMap::new(),
            histories: BTreeMap::new(),
            runs: BTreeMap::new(),
            framework_id: None,
            runs_made: 0,
            children: BTreeMap::new(),
            runs_of: BTreeMap::new(),
            tasks: BTreeMap::new(),
            due: Timers::default(),
            run_timers: Timers::default(),
            wanted: Timers::default(),
            waiting: [BTreeSet::new(), BTreeSet::new()],
            blocked: [BTreeSet::new(), BTreeSet::new()],
            busy: BTreeSet::new(),
            is_connected: false,
            offers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            is_suppressed: false,
            asked_ms: i64::MIN,
            returned_ms: i64::MIN,
            matched_ms: i64::MIN,
        }
    }

    /// What became of a job so far.
    #[must_use]
    pub fn progress_of(&self, job: &str) -> Arc<Progress> {
        self.progress.get(job).cloned().unwrap_or_default()
    }

    /// The runs of a job that are not over, the oldest first.
    pub fn runs_of<'a>(&'a self, job: &str) -> impl Iterator<Item = (RunId, &'a Arc<Run>)> {
        let ids = self.runs_of.get(job).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.runs.get(id)?)))
    }

    /// When a job is due next, if time makes it run.
    #[must_use]
    pub fn next_due(&self, job: &str) -> Option<i64> {
        let job = self.jobs.get(job)?;
        let progress = self.progress.get(&job.name);
        let handled = progress.map_or(i64::MIN, |it| it.handled_ms);
        let next = job.timetable()?.schedule().next_after(handled)?;
        Some(next.due_ms)
    }

    /// What a job does: `idle`, `queued` or `2 running`.
    #[must_use]
    pub fn activity(&self, job: &str) -> String {
        let mut running = 0;
        let mut is_queued = false;
        for (_, run) in self.runs_of(job) {
            match run.launched() {
                Some(launched) if launched.is_heard => running += 1,
                _ => is_queued = true,
            }
        }
        match (running, is_queued) {
            (0, false) => "idle".to_owned(),
            (0, true) => "queued".to_owned(),
            (running, _) => format!("{running} running"),
        }
    }

    /// The only way to change what is stored.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Framework(id) => self.framework_id = id,
            Change::RunsMade(count) => self.runs_made = count,
            Change::Job(name, job) => self.apply_job(name, job),
            Change::Progress(name, progress) => {
                let handled = |it: Option<&Arc<Progress>>| it.map(|it| it.handled_ms);
                let is_other = handled(self.progress.get(&name)) != handled(progress.as_ref());
                set(&mut self.progress, name.clone(), progress);
                if is_other {
                    self.plan(&name);
                }
            }
            Change::History(name, history) => set(&mut self.histories, name, history),
            Change::Run(id, run) => self.apply_run(id, run),
        }
    }

    fn apply_job(&mut self, name: String, job: Option<Arc<Job>>) {
        let before = self.jobs.get(&name).cloned();
        for parent in before.iter().flat_map(|job| job.parents()) {
            if let Some(children) = self.children.get_mut(parent) {
                children.remove(&name);
                if children.is_empty() {
                    self.children.remove(parent);
                }
            }
        }
        for parent in job.iter().flat_map(|job| job.parents()) {
            let children = self.children.entry(parent.clone()).or_default();
            children.insert(name.clone());
        }
        set(&mut self.jobs, name.clone(), job);
        self.plan(&name);
        // Whether its runs go first may have changed.
        let ids: Vec<RunId> = self.runs_of(&name).map(|(id, _)| id).collect();
        for id in ids {
            let run = self.runs.get(&id).cloned();
            self.apply_run(id, run);
        }
        self.note_whether_busy(&name);
    }

    /// When a job is due follows from its schedule and its progress.
    fn plan(&mut self, name: &str) {
        let is_resting = self.jobs.get(name).is_none_or(|job| job.disabled);
        let due = match is_resting {
            true => None,
            false => self.next_due(name),
        };
        let name = name.to_owned();
        self.due.set(&name, due);
        let wanted = due.filter(|_| !self.busy.contains(&name));
        self.wanted.set(&name, wanted);
    }

    /// What waits for nothing but the end of the run before it wants no offers.
    fn note_whether_busy(&mut self, name: &str) {
        let job = self.jobs.get(name);
        let is_alone = job.is_some_and(|job| job.policy() == Policy::Forbid);
        let is_busy = is_alone && self.runs_of(name).any(|(_, run)| run.launched().is_some());
        if is_busy == self.busy.contains(name) {
            return;
        }
        if is_busy {
            self.busy.insert(name.to_owned());
        } else {
            self.busy.remove(name);
        }
        self.plan(name);
        let runs = self.runs_of(name).map(|(id, run)| (id, Arc::clone(run)));
        let waiting = runs.filter(|(_, run)| run.phase == Phase::Waiting);
        for (id, run) in waiting.collect::<Vec<_>>() {
            self.stop_waiting(id, &run);
            self.wait(id, &run);
        }
    }

    fn wait(&mut self, id: RunId, run: &Run) {
        let job = self.jobs.get(&run.job);
        let lane = usize::from(!job.is_some_and(|job| job.high_priority));
        if self.busy.contains(&run.job) {
            self.blocked[lane].insert(id);
        } else {
            self.waiting[lane].insert((run.not_before_ms, id));
        }
    }

    fn stop_waiting(&mut self, id: RunId, run: &Run) {
        for waiting in &mut self.waiting {
            waiting.remove(&(run.not_before_ms, id));
        }
        for blocked in &mut self.blocked {
            blocked.remove(&id);
        }
    }

    fn apply_run(&mut self, id: RunId, run: Option<Arc<Run>>) {
        let before = self.runs.remove(&id);
        if let Some(before) = &before {
            self.stop_waiting(id, before);
            if let Some(ids) = self.runs_of.get_mut(&before.job) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.runs_of.remove(&before.job);
                }
            }
            if let Some(launched) = before.launched()
                && self.tasks.get(&launched.task_id) == Some(&id)
            {
                self.tasks.remove(&launched.task_id);
            }
        }
        let timer = run.as_ref().and_then(|run| self.next_look(run));
        self.run_timers.set(&id, timer);
        let job = run.as_ref().or(before.as_ref()).map(|run| run.job.clone());
        if let Some(run) = run {
            let ids = self.runs_of.entry(run.job.clone()).or_default();
            ids.insert(id);
            match &run.phase {
                Phase::Waiting => self.wait(id, &run),
                Phase::Launched(launched) => {
                    self.tasks.insert(launched.task_id.clone(), id);
                }
            }
            self.runs.insert(id, run);
        }
        if let Some(job) = job {
            self.note_whether_busy(&job);
        }
    }

    /// When something is to be done about a run though nothing happens.
    fn next_look(&self, run: &Run) -> Option<i64> {
        let overdue = run.overdue_ms;
        match &run.phase {
            Phase::Waiting => [run.expires_ms, overdue].into_iter().flatten().min(),
            Phase::Launched(launched) => {
                let settings = &self.settings;
                let unreachable = launched.unreachable_ms;
                let unreachable = unreachable.map(|at| at + settings.unreachable_timeout_ms);
                let asked = launched.asked_ms.map(|at| at + settings.reconcile_ms);
                let kill = launched.kill.map(|(_, at)| at + settings.kill_retry_ms);
                let kill = kill.filter(|_| !launched.is_awaited);
                let job = self.jobs.get(&run.job);
                let most = job.map(|it| it.max_completion_time).filter(|it| *it > 0);
                let begun = launched.started_ms.filter(|_| launched.kill.is_none());
                let end = begun.zip(most).map(|(begun, most)| {
                    // Mesos ends it by itself, unless it cannot.
                    let grace = if launched.is_awaited { 0 } else { 5000 };
                    begun.saturating_add(seconds_to_ms(most) + grace)
                });
                [unreachable, asked, kill, end].into_iter().flatten().min()
            }
        }
    }

    /// Every task that was launched and is not known to be over, with its agent.
    #[must_use]
    pub fn tracked_tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        let runs = self.tasks.values().filter_map(|id| self.runs.get(id));
        let launched = runs.filter(|run| run.may_be_running());
        let launched = launched.filter_map(|run| run.launched());
        launched
            .map(|launched| {
                let task_id = v1::TaskId {
                    value: launched.task_id.clone(),
                };
                let agent_id = v1::AgentId {
                    value: launched.agent_id.clone(),
                };
                (task_id, Some(agent_id))
            })
            .collect()
    }

    /// What a store held becomes a state again.
    ///
    /// # Errors
    ///
    /// When something in it cannot be read.
    pub fn restore<'a>(
        &mut self,
        entities: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<(), InvalidEntity> {
        let mut changes = Vec::new();
        for (key, value) in entities {
            changes.push(Change::decode(key, value)?);
        }
        // Progress first: when jobs are due depends on it.
        changes.sort_by_key(|change| match change {
            Change::Progress(..) => 0,
            Change::Job(..) => 1,
            _ => 2,
        });
        for change in changes {
            self.apply(change);
        }
        Ok(())
    }

    /// A due time for the ids of a new run's tasks that no other run of the job
    /// has.
    #[must_use]
    pub fn free_id_ms(&self, job: &str, due_ms: i64) -> i64 {
        let mut taken: BTreeSet<i64> = self.runs_of(job).map(|(_, run)| run.id_ms).collect();
        if let Some(history) = self.histories.get(job) {
            let past = history.0.iter().filter(|past| !past.task_id.is_empty());
            let past = past.filter_map(|past| crate::run::TaskId::parse(&past.task_id));
            taken.extend(past.map(|id| id.id_ms));
        }
        let mut free = due_ms;
        while taken.contains(&free) {
            free += 1;
        }
        free
    }

    /// The run of a job that no task was launched for yet, of a cause.
    #[must_use]
    pub fn untouched(&self, job: &str, cause: Cause) -> Option<RunId> {
        let mut runs = self.runs_of(job);
        let found = runs.find(|(_, run)| run.is_untouched() && run.cause == cause);
        found.map(|(id, _)| id)
    }

    /// The jobs that a job with these parents would come after, itself perhaps
    /// among them.
    #[must_use]
    pub fn ancestors(&self, parents: &BTreeSet<String>) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = parents.iter().cloned().collect();
        while let Some(name) = open.pop() {
            if !found.insert(name.clone()) {
                continue;
            }
            if let Some(job) = self.jobs.get(&name)
                && let Trigger::Parents(parents) = &job.trigger
            {
                open.extend(parents.iter().cloned());
            }
        }
        found
    }
}

fn set<V>(map: &mut BTreeMap<String, V>, key: String, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
