//! What can change, and how it is stored: a key and its value, so that saying it
//! twice does no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesos_service::store::InvalidEntity;
use serde::{Deserialize, Serialize};

use crate::deployment::{Kind, Plan};
use crate::instance::{Condition, Instance, InstanceId};
use crate::launch_delay::LaunchDelay;
use crate::path_id::PathId;
use crate::root::Group;
use crate::spec::Spec;
use crate::timestamp::Timestamp;

use super::State;

/// "This now is so." Nothing, where a value is optional, is "this is gone".
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The framework's id.
    Framework(Option<String>),
    /// How many ids were made, and the seed they were made with.
    Ids(u64, u64),
    /// What is said of a group.
    Group(PathId, Option<Group>),
    /// A version of an app or pod.
    Version(PathId, Timestamp, Option<Spec>),
    /// The version of an app or pod that is wanted.
    Wanted(PathId, Option<Timestamp>),
    /// Whether an app or pod went at that moment.
    Deleted(Timestamp, PathId, bool),
    /// An instance.
    Instance(InstanceId, Option<Arc<Instance>>),
    /// What a deployment is to do.
    Deployment(String, Option<Box<Plan>>),
    /// Which step it is at, and since when.
    Progress(String, Option<(usize, Timestamp)>),
    /// How long launches of an app wait.
    Delay(PathId, Option<LaunchDelay>),
    /// The last failure of an app.
    Failure(PathId, Option<Box<TaskFailure>>),
    /// What an instance had belongs to nobody any more.
    Garbage(InstanceId, Option<Garbage>),
}

/// Reservations and volumes that belong to nobody any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// Where they are.
    pub agent_id: String,
    /// The role they are reserved for.
    pub role: String,
    /// The framework's id that stands on them, if it may be another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A deployment on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// What it does.
    pub plan: Plan,
    /// The step that it is at, from 0.
    pub step: usize,
    /// Since when.
    pub since: Timestamp,
    /// Follows from the plan: in which steps an app changes, and how.
    pub actions: BTreeMap<PathId, Vec<(usize, Kind)>>,
    /// Found out again after a restart: the apps that are not yet as this step
    /// wants them.
    pub open: BTreeSet<PathId>,
    /// Not stored: why it could not be rolled back when its time was over, and
    /// when that was tried.
    pub kept: Option<(Timestamp, String)>,
    /// Not stored: when the log last told what this step waits for, and how
    /// often it did.
    pub told: Option<(Timestamp, u32)>,
}

impl Deployment {
    fn new(plan: Plan) -> Self {
        let mut actions: BTreeMap<PathId, Vec<(usize, Kind)>> = BTreeMap::new();
        for (step, those) in plan.steps.iter().enumerate() {
            for action in those {
                let of_app = actions.entry(action.id.clone()).or_default();
                of_app.push((step, action.kind));
            }
        }
        let mut deployment = Self {
            plan,
            step: 0,
            since: Timestamp::default(),
            actions,
            open: BTreeSet::new(),
            kept: None,
            told: None,
        };
        deployment.go_to(0, Timestamp::default());
        deployment
    }

    fn go_to(&mut self, step: usize, since: Timestamp) {
        (self.step, self.since, self.told) = (step, since, None);
        let actions = self.plan.steps.get(step).into_iter().flatten();
        self.open = actions.map(|action| action.id.clone()).collect();
    }

    /// In which steps an app changes, and how.
    #[must_use]
    pub fn actions_of(&self, app: &PathId) -> &[(usize, Kind)] {
        self.actions.get(app).map_or(&[], Vec::as_slice)
    }

    /// Whether an app is as this step wants it.
    pub fn note(&mut self, app: &PathId, is_as_wanted: bool) {
        let mut steps = self.actions_of(app).iter();
        if !steps.any(|(step, _)| *step == self.step) {
            return;
        }
        if is_as_wanted {
            self.open.remove(app);
        } else {
            self.open.insert(app.clone());
        }
    }

    /// Whether every app is as this step wants it.
    #[must_use]
    pub fn is_step_complete(&self) -> bool {
        self.open.is_empty()
    }
}

/// The last failure of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure {
    /// Whose.
    pub app_id: PathId,
    /// Where.
    pub host: String,
    /// What Mesos said of it.
    pub message: String,
    /// What it ended as.
    pub state: String,
    /// The task.
    pub task_id: String,
    /// When.
    pub timestamp: Timestamp,
    /// The version of the app that it ran.
    pub version: Timestamp,
    /// The agent.
    pub slave_id: Option<String>,
    /// When the container had started, of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

impl State {
    /// Makes it so. Nothing else changes what is stored.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Framework(id) => self.framework_id = id,
            Change::Ids(made, seed) => (self.ids_made, self.seed) = (made, seed),
            Change::Group(id, group) => self.root.set_group(&id, group),
            Change::Version(id, version, app) => self.set_version(id, version, app),
            Change::Wanted(id, version) => {
                let versions = self.versions.get(&id);
                let spec = version.and_then(|version| versions?.get(&version));
                self.root.set(&id, spec.cloned());
            }
            Change::Deleted(moment, id, is_so) => self.set_deleted(moment, id, is_so),
            Change::Instance(id, instance) => self.set_instance(id, instance),
            Change::Deployment(id, plan) => self.set_deployment(id, plan.map(|plan| *plan)),
            Change::Progress(id, progress) => {
                if let (Some(deployment), Some((step, since))) =
                    (self.deployments.get_mut(&id), progress)
                {
                    deployment.go_to(step, since);
                }
            }
            Change::Delay(id, delay) => {
                set(&mut self.delays, id, delay);
            }
            Change::Failure(id, failure) => {
                set(&mut self.failures, id, failure.map(|failure| *failure));
            }
            Change::Garbage(id, garbage) => set(&mut self.garbage, id, garbage),
        }
    }

    fn set_version(&mut self, id: PathId, version: Timestamp, spec: Option<Spec>) {
        let versions = self.versions.entry(id.clone()).or_default();
        set(versions, version, spec);
        if versions.is_empty() {
            self.versions.remove(&id);
        }
    }

    fn set_deleted(&mut self, moment: Timestamp, id: PathId, is_so: bool) {
        let gone = self.deleted.entry(moment).or_default();
        if is_so {
            gone.insert(id);
        } else {
            gone.remove(&id);
        }
        if gone.is_empty() {
            self.deleted.remove(&moment);
        }
    }

    fn set_instance(&mut self, id: InstanceId, instance: Option<Arc<Instance>>) {
        if let Some(before) = self.instances.remove(&id) {
            if let Some(instances) = self.by_app.get_mut(&before.app) {
                instances.remove(&id);
                if instances.is_empty() {
                    self.by_app.remove(&before.app);
                }
            }
            let key = (before.app.clone(), before.version);
            if let Some(ids) = self.waiting.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.waiting.remove(&key);
                }
            }
        }
        if let Some(instance) = instance {
            if instance.condition == Condition::Scheduled {
                let key = (instance.app.clone(), instance.version);
                self.waiting.entry(key).or_default().insert(id.clone());
            }
            let of_app = self.by_app.entry(instance.app.clone()).or_default();
            of_app.insert(id.clone(), Arc::clone(&instance));
            self.instances.insert(id, instance);
        }
    }

    fn set_deployment(&mut self, id: String, plan: Option<Plan>) {
        if let Some(before) = self.deployments.remove(&id) {
            for app in before.plan.affected() {
                if self.changing.get(app) == Some(&id) {
                    self.changing.remove(app);
                }
            }
        }
        if let Some(plan) = plan {
            for app in plan.affected() {
                self.changing.insert(app.clone(), id.clone());
            }
            self.deployments.insert(id, Deployment::new(plan));
        }
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
        // What is wanted names versions, and progress is that of deployments.
        changes.sort_by_key(|change| match change {
            Change::Wanted(..) | Change::Progress(..) => 1,
            _ => 0,
        });
        for change in changes {
            self.apply(change);
        }
        self.first_roles = self.roles();
        self.told_roles = self.roles();
        self.doubt_everything();
        Ok(())
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Change {
    /// As it is stored: a key, and what it holds from now on, or nothing.
    #[must_use]
    pub fn encode(&self) -> (String, Option<Vec<u8>>) {
        match self {
            Self::Framework(id) => ("framework-id".to_owned(), json(id.as_ref())),
            Self::Ids(made, seed) => ("ids".to_owned(), json(Some(&(made, seed)))),
            Self::Group(id, group) => (format!("group/{id}"), json(group.as_ref())),
            Self::Version(id, version, spec) => {
                let key = format!("version/{id}@{}", version.as_millis());
                (key, json(spec.as_ref()))
            }
            Self::Wanted(id, version) => (format!("wanted/{id}"), json(version.as_ref())),
            Self::Deleted(moment, id, is_so) => {
                let key = format!("deleted/{}@{id}", moment.as_millis());
                (key, json(is_so.then_some(&true)))
            }
            Self::Instance(id, instance) => (format!("instance/{id}"), json(instance.as_ref())),
            Self::Deployment(id, plan) => (format!("deployment/{id}"), json(plan.as_ref())),
            Self::Progress(id, progress) => (format!("progress/{id}"), json(progress.as_ref())),
            Self::Delay(id, delay) => (format!("delay/{id}"), json(delay.as_ref())),
            Self::Failure(id, failure) => (format!("failure/{id}"), json(failure.as_ref())),
            Self::Garbage(id, garbage) => (format!("garbage/{id}"), json(garbage.as_ref())),
        }
    }

    /// What was stored.
    ///
    /// # Errors
    ///
    /// When it is none of ours.
    pub fn decode(key: &str, value: &[u8]) -> Result<Self, InvalidEntity> {
        Self::read(key, value).map_err(|reason| InvalidEntity::new(key, reason))
    }

    fn read(key: &str, value: &[u8]) -> Result<Self, Box<dyn std::error::Error>> {
        use serde_json::from_slice as read;
        let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
        Ok(match kind {
            "framework-id" => Self::Framework(read(value)?),
            "ids" => {
                let (made, seed) = read(value)?;
                Self::Ids(made, seed)
            }
            "group" => Self::Group(rest.parse()?, read(value)?),
            "version" => {
                let (id, millis) = rest.rsplit_once('@').ok_or("no version")?;
                let version = Timestamp::from_millis(millis.parse()?);
                Self::Version(id.parse()?, version, read(value)?)
            }
            "wanted" => Self::Wanted(rest.parse()?, read(value)?),
            "deleted" => {
                let (millis, id) = rest.split_once('@').ok_or("no moment")?;
                let moment = Timestamp::from_millis(millis.parse()?);
                Self::Deleted(moment, id.parse()?, read(value)?)
            }
            "instance" => Self::Instance(rest.parse()?, read(value)?),
            "deployment" => Self::Deployment(rest.to_owned(), read(value)?),
            "progress" => Self::Progress(rest.to_owned(), read(value)?),
            "delay" => Self::Delay(rest.parse()?, read(value)?),
            "failure" => Self::Failure(rest.parse()?, read(value)?),
            "garbage" => Self::Garbage(rest.parse()?, read(value)?),
            _ => return Err("no entity has such a key".into()),
        })
    }
}

fn json<T: Serialize>(value: Option<&T>) -> Option<Vec<u8>> {
    value.map(|value| serde_json::to_vec(value).expect("keys are text and numbers are finite"))
}
