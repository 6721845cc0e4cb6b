//! One instance of an app: its ids, how far it has come, and where it is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path_id::PathId;
use crate::timestamp::Timestamp;

/// The id of an instance: `<app with _ for />.instance-<uuid>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(String);

/// The id of one try to run an instance: `<instance>._app.<number>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// Whose it is.
    pub instance: InstanceId,
    /// Which try, from 1.
    pub incarnation: u32,
}

/// An id of a task that Marathon did not make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no id of a task: <app>.instance-<uuid>._app.<number>")]
pub struct InvalidTaskId(String);

/// What stands between an app and what makes its instance unlike others.
const MARK: &str = ".instance-";

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
        write!(f, "{}._app.{}", self.instance, self.incarnation)
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let invalid = || InvalidTaskId(text.to_owned());
        let (rest, number) = text.rsplit_once('.').ok_or_else(invalid)?;
        let instance = rest.strip_suffix("._app").ok_or_else(invalid)?;
        Ok(Self {
            instance: instance.parse()?,
            incarnation: number.parse().map_err(|_| invalid())?,
        })
    }
}

/// What is to become of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// It runs, and is started again when it ends.
    Running,
    /// It ends, and is forgotten then.
    Decommissioned,
}

/// How far an instance has come.
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
}

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
        }
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
        }
    }
}

/// One instance of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its app.
    pub app: PathId,
    /// The version of the app that it was made from.
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
    /// When its end was last asked for.
    pub killed_at: Option<Timestamp>,
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
    /// Its ports on the host, in the order of those of the app.
    pub ports: Vec<u16>,
    /// Its addresses, once its executor told them.
    pub addresses: Vec<Address>,
    /// When it was sent to the master.
    pub staged_at: Timestamp,
    /// When it was first seen running.
    pub started_at: Option<Timestamp>,
    /// What its executor's health check says.
    pub is_healthy: Option<bool>,
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
    pub fn scheduled(id: InstanceId, app: &crate::app::App, now: Timestamp) -> Self {
        Self {
            id,
            app: app.id.clone(),
            version: app.version,
            config: app.version_info.last_config_change_at,
            goal: Goal::Running,
            condition: Condition::Scheduled,
            since: now,
            incarnation: 1,
            place: None,
            killed_at: None,
        }
    }

    /// The id of its task.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        TaskId {
            instance: self.id.clone(),
            incarnation: self.incarnation,
        }
    }

    /// Whether it counts among those that are wanted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.goal == Goal::Running && self.condition != Condition::UnreachableInactive
    }

    /// Whether it has a task that may run somewhere.
    #[must_use]
    pub fn is_launched(&self) -> bool {
        self.condition != Condition::Scheduled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let app: PathId = "/shop/web".parse().unwrap();
        let uuid = uuid::Uuid::from_u128(1);
        let task = TaskId {
            instance: InstanceId::new(&app, uuid),
            incarnation: 3,
        };
        let text = "shop_web.instance-00000000-0000-0000-0000-000000000001._app.3";
        assert_eq!(task.to_string(), text);
        assert_eq!(text.parse(), Ok(task.clone()));
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
