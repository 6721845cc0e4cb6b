//! A Chronos, a cluster that takes what it launches, and a store that is read
//! again after each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesos_sdk::resources::Resources;
use mesos_sdk::{ids, v1};
use serde_json::{Value, json};

use crate::effects::{Call, Effects, Input, Notice};
use crate::engine::step;
use crate::input::{self, Kind};
use crate::progress::{Outcome, PastRun, Progress};
use crate::request::{Reply, Request};
use crate::run::Run;
use crate::state::{Settings, State};

/// Noon of a day in January.
pub(super) const NOON: i64 = 1_769_860_800_000;

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: i64,
    pub(super) store: BTreeMap<String, Vec<u8>>,
    /// Tasks that were launched, in order.
    pub(super) launched: Vec<v1::TaskInfo>,
    pub(super) killed: Vec<String>,
    pub(super) notices: Vec<Notice>,
    pub(super) wake_at: Option<i64>,
    pub(super) asked: Vec<Call>,
    offers_made: u64,
    has_offers: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let mut world = Self {
            state: State::new(settings),
            now: NOON,
            store: BTreeMap::new(),
            launched: Vec::new(),
            killed: Vec::new(),
            notices: Vec::new(),
            wake_at: None,
            asked: Vec::new(),
            offers_made: 0,
            has_offers: true,
        };
        world.step(Input::Subscribed {
            framework_id: "F".to_owned(),
        });
        world
    }

    /// Agents have nothing to offer from now on.
    pub(super) fn without_offers(mut self) -> Self {
        self.withdraw_offers();
        self
    }

    pub(super) fn withdraw_offers(&mut self) {
        self.has_offers = false;
        let offers: Vec<String> = self.state.offers.keys().cloned().collect();
        for offer in offers {
            self.step(Input::Rescind(offer));
        }
    }

    pub(super) fn with_offers(&mut self) {
        self.has_offers = true;
        self.offer();
    }

    pub(super) fn step(&mut self, input: Input) -> Vec<(u64, Reply)> {
        let effects = step(&mut self.state, self.now, input);
        let replies = self.take(effects);
        self.offer();
        replies
    }

    fn take(&mut self, effects: Effects) -> Vec<(u64, Reply)> {
        for change in &effects.changes {
            match change.encode() {
                (key, Some(value)) => drop(self.store.insert(key, value)),
                (key, None) => drop(self.store.remove(&key)),
            }
        }
        for call in effects.calls {
            match &call {
                Call::Launch { tasks, .. } => {
                    for task in tasks {
                        let id = &task.task_id.value;
                        let known = self.launched.iter().any(|it| it.task_id.value == *id);
                        assert!(!known, "{id} is launched twice");
                        self.launched.push(task.clone());
                    }
                }
                Call::Kill { task_id, .. } => self.killed.push(task_id.clone()),
                _ => {}
            }
            self.asked.push(call);
        }
        self.notices.extend(effects.notices);
        self.wake_at = effects.wake_at;
        if let Some(at) = effects.wake_at {
            assert!(at > self.now, "it is woken without end");
        }
        self.check_store();
        effects.replies
    }

    /// What is stored makes the same state again.
    fn check_store(&self) {
        let again = self.restored();
        assert_eq!(again.jobs, self.state.jobs);
        assert_eq!(again.progress, self.state.progress);
        assert_eq!(again.histories, self.state.histories);
        assert_eq!(again.runs, self.state.runs);
        assert_eq!(again.runs_made, self.state.runs_made);
        assert_eq!(again.children, self.state.children);
        assert_eq!(again.tasks, self.state.tasks);
        assert_eq!(again.waiting, self.state.waiting);
        assert_eq!(again.blocked, self.state.blocked);
    }

    fn restored(&self) -> State {
        let mut state = State::new(self.state.settings.clone());
        let entities = self.store.iter();
        let entities = entities.map(|(key, value)| (key.as_str(), value.as_slice()));
        state.restore(entities).unwrap();
        state
    }

    /// The process ends and another begins with what is stored.
    pub(super) fn restart(&mut self) {
        self.state = self.restored();
        self.step(Input::Wake);
        self.step(Input::Subscribed {
            framework_id: "F".to_owned(),
        });
    }

    fn offer(&mut self) {
        if !self.has_offers || !self.state.offers.is_empty() || self.state.is_suppressed {
            return;
        }
        self.offer_of(1);
    }

    /// So many agents make an offer each.
    pub(super) fn offer_of(&mut self, agents: u64) {
        let offer = |agent: u64| v1::Offer {
            id: ids::offer_id(format!("O{}", self.offers_made + agent)),
            framework_id: v1::FrameworkId {
                value: "F".to_owned(),
            },
            agent_id: ids::agent_id(format!("S{agent}")),
            hostname: format!("agent-{agent}"),
            resources: Resources::parse("cpus:64;mem:65536;disk:65536", "*")
                .unwrap()
                .into_vec(),
            ..v1::Offer::default()
        };
        let offers = (0..agents).map(offer).collect();
        self.offers_made += agents;
        let effects = step(&mut self.state, self.now, Input::Offers(offers));
        assert!(effects.replies.is_empty());
        self.take(effects);
    }

    /// Lets time pass, and whatever is to be done meanwhile be done.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(at) = self.wake_at.filter(|at| *at <= end) {
            self.now = at;
            self.step(Input::Wake);
        }
        self.now = end;
        self.step(Input::Wake);
    }

    pub(super) fn ask(&mut self, request: Request) -> Reply {
        let replies = self.step(Input::Request(1, request));
        assert_eq!(replies.len(), 1);
        replies.into_iter().next().unwrap().1
    }

    pub(super) fn try_post(&mut self, job: &Value) -> Reply {
        let kind = match job["parents"].is_array() {
            true => Kind::Dependent,
            false => Kind::Scheduled,
        };
        let body = job.to_string();
        let read = input::read(body.as_bytes(), kind, self.now, &self.state.settings);
        let (job, progress) = match read {
            Ok(read) => read,
            Err(problems) => return Reply::Refused(problems.join("; ")),
        };
        self.ask(Request::Put {
            job: Arc::new(job),
            progress: Arc::new(progress),
        })
    }

    pub(super) fn post(&mut self, job: &Value) {
        assert_eq!(self.try_post(job), Reply::Done);
    }

    /// A job that runs after others.
    pub(super) fn post_child(&mut self, name: &str, parents: &[&str]) {
        self.post(&json!({"name": name, "command": "x", "parents": parents}));
    }

    /// A job that only runs when it is made to.
    pub(super) fn post_idle(&mut self, name: &str) {
        let schedule = "R1/2126-01-01T00:00:00Z/P1D";
        self.post(&json!({"name": name, "command": "x", "schedule": schedule}));
    }

    pub(super) fn force(&mut self, job: &str) {
        let reply = self.ask(Request::Force {
            job: job.to_owned(),
            arguments: None,
        });
        assert_eq!(reply, Reply::Done);
    }

    pub(super) fn force_if_enabled(&mut self, job: &str) {
        if !self.state.jobs[job].disabled {
            self.force(job);
        }
    }

    /// The last task that was launched.
    pub(super) fn last(&self) -> String {
        self.launched.last().unwrap().task_id.value.clone()
    }

    /// The jobs of all tasks that were launched, in order.
    pub(super) fn order(&self) -> Vec<String> {
        let jobs = self.launched.iter();
        let jobs = jobs.map(|task| task.task_id.value.split(':').nth(3).unwrap().to_owned());
        jobs.collect()
    }

    pub(super) fn count(&self, job: &str) -> usize {
        self.order().iter().filter(|it| *it == job).count()
    }

    pub(super) fn says(&mut self, task: &str, state: v1::TaskState) {
        self.says_why(task, state, None);
    }

    pub(super) fn says_why(
        &mut self,
        task: &str,
        state: v1::TaskState,
        reason: Option<v1::task_status::Reason>,
    ) {
        let status = v1::TaskStatus {
            task_id: ids::task_id(task),
            state: state.into(),
            reason: reason.map(Into::into),
            agent_id: Some(ids::agent_id("S0")),
            timestamp: Some(self.now as f64 / 1000.0),
            ..v1::TaskStatus::default()
        };
        self.step(Input::Update(Box::new(status)));
    }

    /// The last task runs and ends so.
    pub(super) fn ends(&mut self, state: v1::TaskState) {
        let task = self.last();
        self.says(&task, v1::TaskState::TaskRunning);
        self.says(&task, state);
    }

    pub(super) fn progress(&self, job: &str) -> Arc<Progress> {
        self.state.progress_of(job)
    }

    pub(super) fn runs(&self, job: &str) -> Vec<Arc<Run>> {
        self.state
            .runs_of(job)
            .map(|(_, run)| run.clone())
            .collect()
    }

    pub(super) fn past(&self, job: &str) -> Vec<PastRun> {
        let history = self.state.histories.get(job);
        history.map_or(Vec::new(), |it| it.0.iter().cloned().collect())
    }

    pub(super) fn outcomes(&self, job: &str) -> Vec<Outcome> {
        self.past(job).iter().map(|past| past.outcome).collect()
    }
}
