//! One instance of an app or a pod: its ids, its tasks, how far they have come,
//! and where it is. An app's instance has one task, a pod's has one for each
//! container; all else is the same.

mod check_result;

pub use check_result::CheckResult;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path_id::PathId;
use crate::spec::Spec;
use crate::timestamp::Timestamp;

/// The id of an instance: `<app with _ for />.instance-<uuid>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(String);

/// The id of a task in one try to run an instance: `<instance>._app.<number>`, or
/// `<instance>.<container>.<number>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// Whose it is.
    pub instance: InstanceId,
    /// Which container of a pod it is; nothing of an app.
    pub container: Option<String>,
    /// Which try, from 1.
    pub incarnation: u32,
}

/// An id of a task that Marathon did not make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no id of a task: <app>.instance-<uuid>.<container or _app>.<number>")]
pub struct InvalidTaskId(String);

/// What stands between an app and what makes its instance unlike others.
const MARK: &str = ".instance-";

/// What stands in the place of a container's name in the ids of apps' tasks.
pub const ANONYMOUS: &str = "_app";

impl InstanceId {
    /// The id of the instance of `app` with this UUID.
    #[must_use]
    pub fn new(app: &PathId, uuid: uuid::Uuid) -> Self {
        Self(format!("{}{MARK}{uuid}", app.to_safe()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the executor that runs the tasks of a pod's instance.
    #[must_use]
    pub fn executor(&self) -> String {
        let (app, uuid) = self.0.rsplit_once(MARK).unwrap_or((&self.0, ""));
        format!("instance-{app}.{uuid}")
    }
}

impl FromStr for InstanceId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let uuid = text.rsplit_once(MARK).map(|(_, uuid)| uuid);
        match uuid.map(uuid::Uuid::try_parse) {
            Some(Ok(_)) => Ok(Self(text.to_owned())),
            _ => Err(InvalidTaskId(text.to_owned())),
        }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let container = self.container.as_deref().unwrap_or(ANONYMOUS);
        write!(f, "{}.{container}.{}", self.instance, self.incarnation)
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let invalid = || InvalidTaskId(text.to_owned());
        let (rest, number) = text.rsplit_once('.').ok_or_else(invalid)?;
        let (instance, container) = rest.rsplit_once('.').ok_or_else(invalid)?;
        Ok(Self {
            instance: instance.parse().map_err(|_| invalid())?,
            container: (container != ANONYMOUS).then(|| container.to_owned()),
            incarnation: number.parse().map_err(|_| invalid())?,
        })
    }
}

/// What is to become of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// It runs, and is started again when it ends.
    Running,
    /// It ends, and rests until it is wanted again: its agent and what it keeps
    /// there stay its own.
    Stopped,
    /// It ends, and is forgotten then.
    Decommissioned,
}

/// How far a task has come, and an instance with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Condition {
    /// Waits for an offer.
    Scheduled,
    /// Was sent to the master.
    Provisioned,
    /// The master knows of it.
    Staging,
    /// Its executor starts it.
    Starting,
    /// Runs.
    Running,
    /// Was told to end.
    Killing,
    /// Its agent is out of reach.
    Unreachable,
    /// For so long that another one takes its place.
    UnreachableInactive,
    /// Could not be started as it was described.
    Error,
    /// Ended without success.
    Failed,
    /// Is no more, and nobody knows how it ended.
    Gone,
    /// Never reached its agent.
    Dropped,
    /// The master does not know it.
    Unknown,
    /// Ended with success.
    Finished,
    /// Ended because somebody wanted it.
    Killed,
}

/// The condition of an instance is the first of these that one of its tasks is
/// in.
const TELLING: [Condition; 15] = [
    Condition::Error,
    Condition::Failed,
    Condition::Gone,
    Condition::Dropped,
    Condition::Unreachable,
    Condition::UnreachableInactive,
    Condition::Killing,
    Condition::Starting,
    Condition::Staging,
    Condition::Unknown,
    Condition::Provisioned,
    Condition::Running,
    Condition::Finished,
    Condition::Killed,
    Condition::Scheduled,
];

impl Condition {
    /// As events and tasks name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Provisioned => "Provisioned",
            Self::Staging => "Staging",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Killing => "Killing",
            Self::Unreachable => "Unreachable",
            Self::UnreachableInactive => "UnreachableInactive",
            Self::Error => "Error",
            Self::Failed => "Failed",
            Self::Gone => "Gone",
            Self::Dropped => "Dropped",
            Self::Unknown => "Unknown",
            Self::Finished => "Finished",
            Self::Killed => "Killed",
        }
    }

    /// Whether a task in it is no more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Error
                | Self::Failed
                | Self::Gone
                | Self::Dropped
                | Self::Unknown
                | Self::Finished
                | Self::Killed
        )
    }

    /// The state of Mesos that says the same.
    #[must_use]
    pub fn task_state(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Provisioned | Self::Staging => "TASK_STAGING",
            Self::Starting => "TASK_STARTING",
            Self::Running => "TASK_RUNNING",
            Self::Killing => "TASK_KILLING",
            Self::Unreachable | Self::UnreachableInactive => "TASK_UNREACHABLE",
            Self::Error => "TASK_ERROR",
            Self::Failed => "TASK_FAILED",
            Self::Gone => "TASK_GONE",
            Self::Dropped => "TASK_DROPPED",
            Self::Unknown => "TASK_UNKNOWN",
            Self::Finished => "TASK_FINISHED",
            Self::Killed => "TASK_KILLED",
        }
    }
}

/// One instance of an app or a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its app or pod.
    pub app: PathId,
    /// The version of it that it was made from.
    pub version: Timestamp,
    /// When that version's configuration last changed: instances of one
    /// configuration are alike.
    pub config: Timestamp,
    /// What is to become of it.
    pub goal: Goal,
    /// How far it has come.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// Which try this is, from 1.
    pub incarnation: u32,
    /// Where it is, once it was placed.
    pub place: Option<Place>,
    /// Its tasks, once it was placed: one for each container.
    pub tasks: Vec<Task>,
    /// When its end was last asked for.
    pub killed_at: Option<Timestamp>,
    /// When its health checks had failed too often, where another is to be healthy
    /// before it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condemned_at: Option<Timestamp>,
    /// What ties it to one agent, of those that keep something there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
}

/// What ties an instance to one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bond {
    /// The agent.
    pub agent_id: String,
    /// Its host name.
    pub hostname: String,
    /// What it keeps there, in reserved resources.
    pub volumes: Vec<LocalVolume>,
    /// Whether the agent has been heard of it.
    pub is_confirmed: bool,
    /// The framework's id when it was made, which stands on the reservations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<String>,
}

/// A volume that an instance keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalVolume {
    /// Where it is mounted; of pods, its name.
    pub container_path: String,
    /// What makes it unlike others.
    pub uuid: String,
    /// Its name among all volumes of the role on the agent.
    pub persistence_id: String,
}

/// One task of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Which container of a pod it is; nothing of an app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How far it has come.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// When it was first seen running.
    pub started_at: Option<Timestamp>,
    /// What its executor's health check says.
    pub is_healthy: Option<bool>,
    /// What its executor's check that only tells found last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_result: Option<CheckResult>,
    /// Its addresses, once its executor told them.
    pub addresses: Vec<Address>,
    /// What was said of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where an instance is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The agent.
    pub agent_id: String,
    /// Its host name.
    pub hostname: String,
    /// Its region.
    pub region: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its attributes as constraints read them.
    pub attributes: BTreeMap<String, String>,
    /// The role whose resources it uses.
    pub role: String,
    /// Its ports on the host, in the order of those of the app or pod; 0 for
    /// one that has none there.
    pub ports: Vec<u16>,
    /// When it was sent to the master.
    pub staged_at: Timestamp,
    /// When its agent was last said to be out of reach.
    pub lost_at: Option<Timestamp>,
}

impl Place {
    /// The value of a field of constraints.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<String> {
        match field {
            "hostname" | "@hostname" => Some(self.hostname.clone()),
            "@region" => self.region.clone(),
            "@zone" => self.zone.clone(),
            name => self.attributes.get(name).cloned(),
        }
    }
}

/// An address of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// In the usual form.
    pub ip_address: String,
    /// `IPv4` or `IPv6`.
    pub protocol: String,
}

impl Instance {
    /// One that waits for an offer.
    #[must_use]
    pub fn scheduled(id: InstanceId, spec: &Spec, now: Timestamp) -> Self {
        Self {
            id,
            app: spec.id().clone(),
            version: spec.version(),
            config: spec.config(),
            goal: Goal::Running,
            condition: Condition::Scheduled,
            since: now,
            incarnation: 1,
            place: None,
            tasks: Vec::new(),
            killed_at: None,
            condemned_at: None,
            bond: None,
        }
    }

    /// The same, on its way to a place, with a task for each container.
    #[must_use]
    pub fn placed(mut self, place: Place, containers: Vec<Option<String>>) -> Self {
        let since = place.staged_at;
        let tasks = containers.into_iter().map(|container| Task {
            container,
            condition: Condition::Provisioned,
            since,
            started_at: None,
            is_healthy: None,
            check_result: None,
            addresses: Vec::new(),
            message: None,
        });
        self.tasks = tasks.collect();
        self.place = Some(place);
        self
    }

    /// The same, waiting for its next try.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.incarnation += 1;
        self.place = None;
        self.tasks = Vec::new();
        self.killed_at = None;
        self.condemned_at = None;
        self
    }

    /// The id of its task; of a pod's, of the first one.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        let container = self.tasks.first().and_then(|task| task.container.clone());
        self.id_of(container)
    }

    /// The ids of all its tasks that are not over.
    pub fn open_task_ids(&self) -> impl Iterator<Item = TaskId> {
        let open = self.tasks.iter().filter(|task| !task.condition.is_over());
        open.map(|task| self.id_of(task.container.clone()))
    }

    /// The id of the task of a container.
    #[must_use]
    pub fn id_of(&self, container: Option<String>) -> TaskId {
        TaskId {
            instance: self.id.clone(),
            container,
            incarnation: self.incarnation,
        }
    }

    /// What its tasks are like, all together.
    #[must_use]
    pub fn condition_of_tasks(&self) -> Condition {
        let is_in =
            |condition: &&Condition| self.tasks.iter().any(|it| it.condition == **condition);
        TELLING
            .iter()
            .find(is_in)
            .copied()
            .unwrap_or(Condition::Scheduled)
    }

    /// When all of it ran for the first time.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        let started = self.tasks.iter().map(|task| task.started_at);
        started.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// What the health check of the executor of an app's task says.
    #[must_use]
    pub fn is_healthy(&self) -> Option<bool> {
        self.tasks.first().and_then(|task| task.is_healthy)
    }

    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.tasks.iter().flat_map(|task| &task.addresses)
    }

    /// Whether it counts among those that are wanted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.goal == Goal::Running && self.condition != Condition::UnreachableInactive
    }

    /// Whether it has a task that may run somewhere.
    #[must_use]
    pub fn is_launched(&self) -> bool {
        self.tasks.iter().any(|task| !task.condition.is_over())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let app: PathId = "/shop/web".parse().unwrap();
        let uuid = uuid::Uuid::from_u128(1);
        let mut task = TaskId {
            instance: InstanceId::new(&app, uuid),
            container: None,
            incarnation: 3,
        };
        let text = "shop_web.instance-00000000-0000-0000-0000-000000000001._app.3";
        assert_eq!(task.to_string(), text);
        assert_eq!(text.parse(), Ok(task.clone()));
        task.container = Some("side-car".to_owned());
        let text = "shop_web.instance-00000000-0000-0000-0000-000000000001.side-car.3";
        assert_eq!(task.to_string(), text);
        assert_eq!(text.parse(), Ok(task.clone()));
        let executor = "instance-shop_web.00000000-0000-0000-0000-000000000001";
        assert_eq!(task.instance.executor(), executor);
        assert_eq!(task.instance.to_string().parse(), Ok(task.instance));
        for other in [
            "",
            "x",
            "a.instance-1._app.1",
            "shop_web.instance-x",
            "a._app.1",
        ] {
            assert!(other.parse::<TaskId>().is_err(), "{other}");
        }
    }
}
