//! What people and programs may ask to be changed, and what they are answered.

use serde::Deserialize;

use crate::app::App;
use crate::deployment::Action;
use crate::input::AppInput;
use crate::instance::Instance;
use crate::path_id::PathId;
use crate::pod::{Pod, PodInput};
use crate::timestamp::Timestamp;
use crate::violations::Violations;

/// Something to be changed.
#[derive(Clone, Debug)]
pub enum Request {
    /// A new app.
    CreateApp {
        /// What it is to be.
        input: Box<AppInput>,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// Apps are to become this.
    UpdateApps {
        /// The app that the path names, for one of them.
        id: Option<PathId>,
        /// What they are to be.
        inputs: Vec<AppInput>,
        /// Whether what is not said stays as it was.
        is_partial: bool,
        /// Whether apps that are not there are made.
        may_create: bool,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// An app is to be no more.
    DeleteApp {
        /// Which.
        id: PathId,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// A new pod.
    CreatePod {
        /// What it is to be.
        input: Box<PodInput>,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// A pod is to become this.
    UpdatePod {
        /// Which.
        id: PathId,
        /// What it is to be.
        input: Box<PodInput>,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// A pod is to be no more.
    DeletePod {
        /// Which.
        id: PathId,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// All instances are to be replaced.
    Restart {
        /// Of which app.
        id: PathId,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// A group is to become this.
    UpdateGroup {
        /// Which.
        id: PathId,
        /// What it is to be.
        input: GroupInput,
        /// Whether it must be new.
        must_create: bool,
        /// Whether only the plan is wanted.
        is_dry_run: bool,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// A group at the top is to have its apps be of its role, or not any more.
    PatchGroup {
        /// Which.
        id: PathId,
        /// Whether; as the flags say where it is not said.
        enforce_role: Option<bool>,
    },
    /// A group is to be no more, and nothing in it.
    DeleteGroup {
        /// Which.
        id: PathId,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// Instances are to end.
    Kill {
        /// Which.
        instances: Kill,
        /// Whether as many fewer are wanted from now on.
        scale: bool,
        /// Whether their volumes go with them.
        wipe: bool,
        /// Whether deployments in the way are cancelled.
        force: bool,
    },
    /// A deployment is to end.
    CancelDeployment {
        /// Which.
        id: String,
        /// Whether it stops where it is; otherwise what it did is undone.
        force: bool,
    },
    /// An app or pod that waits after failures is to wait no longer.
    ResetDelay(PathId),
}

/// Which instances are to end.
#[derive(Clone, Debug)]
pub enum Kill {
    /// Those of an app, of one host only if it is named.
    OfApp {
        /// The app, or the group whose apps are meant.
        id: PathId,
        /// Whether a group is meant.
        is_group: bool,
        /// Of one host only.
        host: Option<String>,
    },
    /// One of an app, by the id of its task or its own.
    One {
        /// The app.
        app: PathId,
        /// The task or instance.
        id: String,
    },
    /// Those of a pod, by their own ids.
    OfPod {
        /// The pod.
        id: PathId,
        /// The instances; what is none of them is passed over.
        instances: Vec<String>,
    },
    /// These, by the ids of their tasks or their own.
    Ids(Vec<String>),
}

/// What a request says of a group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupInput {
    /// Its path.
    pub id: Option<String>,
    /// All apps right in it, if given.
    pub apps: Option<Vec<AppInput>>,
    /// All pods right in it, if given.
    pub pods: Option<Vec<PodInput>>,
    /// All groups right in it, if given.
    pub groups: Option<Vec<GroupInput>>,
    /// What is deployed before what is in it.
    pub dependencies: Option<Vec<String>>,
    /// Whether apps in it have its role.
    pub enforce_role: Option<bool>,
    /// The factor that all apps in it are scaled by; with nothing else.
    pub scale_by: Option<f64>,
    /// The version that it goes back to; with nothing else.
    pub version: Option<Timestamp>,
}

/// What a request says of a group that changes nothing of what is in it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupPatch {
    /// Whether apps in it have its role.
    pub enforce_role: Option<bool>,
}

/// What somebody is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It is being done.
    Deployed(Deployed),
    /// What a deployment would do.
    Planned(Vec<Vec<Action>>),
    /// These end.
    Killed(Vec<Instance>),
    /// It is done.
    Done,
    /// It is not done, and why.
    Refused(Refusal),
}

/// A deployment that was begun.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its id.
    pub id: String,
    /// The version that it leads to.
    pub version: Timestamp,
    /// Whether something was made that was not there.
    pub is_new: bool,
    /// The app, where it is about one.
    pub app: Option<std::sync::Arc<App>>,
    /// The pod, where it is about one.
    pub pod: Option<std::sync::Arc<Pod>>,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It makes no sense.
    #[error("Object is not valid")]
    Invalid(Violations),
    /// It contradicts itself.
    #[error("{0}")]
    Bad(String),
    /// It is about something that is not there.
    #[error("{0}")]
    NotFound(String),
    /// It is there already.
    #[error("{0}")]
    Exists(String),
    /// Deployments are in the way.
    #[error(
        "App is locked by one or more deployments. Override with the option '?force=true'. \
         View details at '/v2/deployments/<DEPLOYMENT_ID>'."
    )]
    Locked(Vec<String>),
    /// There are too many deployments.
    #[error(
        "Max number ({0}) of running deployments is achieved. Wait for existing deployments to complete or cancel one using force=true parameter. You can increase max deployment number by using --max_running_deployments parameter but be advised that this can have negative effects on the performance."
    )]
    TooMany(usize),
}
