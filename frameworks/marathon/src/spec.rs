//! What runs: an app or a pod. What both have in common is asked here, so that
//! deployments, the queue and launches know only one kind of thing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::{
    App, KillSelection, Persistent, UnreachableStrategy, UpgradeStrategy, VersionInfo,
};
use crate::path_id::PathId;
use crate::pod::Pod;
use crate::timestamp::Timestamp;

/// An app or a pod. Cheap to copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spec {
    /// Instances of one task.
    App(Arc<App>),
    /// Instances of a task for each container.
    Pod(Arc<Pod>),
}

/// How long launches wait after failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// After the first.
    pub first: Duration,
    /// By how much longer after each.
    pub factor: f64,
    /// The longest.
    pub longest: Duration,
}

/// How patient Marathon is with an app or pod. Instances know nothing of it: it
/// changes without any of them being replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// How long a deployment may take before it is rolled back by itself.
    pub deployment: Option<Duration>,
    /// How long an instance that fails its health checks is kept until another is
    /// healthy.
    pub unhealthy: Option<Duration>,
}

impl From<App> for Spec {
    fn from(app: App) -> Self {
        Self::App(Arc::new(app))
    }
}

impl From<Arc<App>> for Spec {
    fn from(app: Arc<App>) -> Self {
        Self::App(app)
    }
}

impl From<Pod> for Spec {
    fn from(pod: Pod) -> Self {
        Self::Pod(Arc::new(pod))
    }
}

/// The field of either that has the same meaning.
macro_rules! of_both {
    ($spec:expr, $app:ident => $of_app:expr, $pod:ident => $of_pod:expr) => {
        match $spec {
            Spec::App($app) => $of_app,
            Spec::Pod($pod) => $of_pod,
        }
    };
}

impl Spec {
    /// The app, if it is one.
    #[must_use]
    pub fn app(&self) -> Option<&Arc<App>> {
        of_both!(self, app => Some(app), _pod => None)
    }

    /// The pod, if it is one.
    #[must_use]
    pub fn pod(&self) -> Option<&Arc<Pod>> {
        of_both!(self, _app => None, pod => Some(pod))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &PathId {
        of_both!(self, app => &app.id, pod => &pod.id)
    }

    /// When this definition was made.
    #[must_use]
    pub fn version(&self) -> Timestamp {
        of_both!(self, app => app.version, pod => pod.version)
    }

    /// What changed when.
    #[must_use]
    pub fn version_info(&self) -> VersionInfo {
        of_both!(self, app => app.version_info, pod => pod.version_info)
    }

    /// When anything but the number of instances last changed: instances of one
    /// configuration are alike.
    #[must_use]
    pub fn config(&self) -> Timestamp {
        self.version_info().last_config_change_at
    }

    /// How many instances are wanted.
    #[must_use]
    pub fn instances(&self) -> u32 {
        of_both!(self, app => app.instances, pod => pod.scaling.instances)
    }

    /// The role of Mesos that its resources are of.
    #[must_use]
    pub fn role(&self) -> &str {
        of_both!(self, app => &app.role, pod => &pod.role)
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        of_both!(self, app => &app.labels, pod => &pod.labels)
    }

    /// Apps, pods and groups that are deployed before it.
    #[must_use]
    pub fn dependencies(&self) -> &[PathId] {
        of_both!(self, app => &app.dependencies, _pod => &[])
    }

    /// Where instances may run: field, operator and often a value.
    #[must_use]
    pub fn constraints(&self) -> Cow<'_, [Vec<String>]> {
        match self {
            Self::App(app) => Cow::Borrowed(&app.constraints),
            Self::Pod(pod) => {
                let constraints = pod.scheduling.placement.constraints.iter();
                Cow::Owned(constraints.map(crate::pod::PodConstraint::parts).collect())
            }
        }
    }

    /// Roles whose resources may be used; nothing, as the flags say.
    #[must_use]
    pub fn accepted_resource_roles(&self) -> Option<&[String]> {
        match self {
            Self::App(app) => app.accepted_resource_roles.as_deref(),
            Self::Pod(pod) => Some(pod.scheduling.placement.accepted_resource_roles.as_slice())
                .filter(|roles| !roles.is_empty()),
        }
    }

    /// How long launches wait after failures.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        match self {
            Self::App(app) => Backoff {
                first: Duration::from_secs(app.backoff_seconds),
                factor: app.backoff_factor,
                longest: Duration::from_secs(app.max_launch_delay_seconds),
            },
            Self::Pod(pod) => {
                let of = pod.scheduling.backoff;
                let seconds = |seconds: f64| {
                    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(3600))
                };
                Backoff {
                    first: seconds(of.backoff),
                    factor: of.backoff_factor,
                    longest: seconds(of.max_launch_delay),
                }
            }
        }
    }

    /// How many run at least and at most while a deployment replaces them.
    #[must_use]
    pub fn upgrade_strategy(&self) -> UpgradeStrategy {
        of_both!(self, app => app.upgrade_strategy, pod => pod.scheduling.upgrade)
    }

    /// How patient Marathon is with it.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let seconds = of_both!(self,
            app => app.deployment_timeout_seconds,
            pod => pod.deployment_timeout_seconds);
        let unhealthy = self.app().and_then(|app| app.start_before_kill_seconds);
        Patience {
            deployment: seconds.map(Duration::from_secs),
            unhealthy: unhealthy.map(Duration::from_secs),
        }
    }

    /// Which instances go first when there are too many.
    #[must_use]
    pub fn kill_selection(&self) -> KillSelection {
        of_both!(self, app => app.kill_selection, pod => pod.scheduling.kill_selection)
    }

    /// What becomes of instances whose agent is out of reach.
    #[must_use]
    pub fn unreachable_strategy(&self) -> UnreachableStrategy {
        of_both!(self,
            app => app.unreachable_strategy,
            pod => pod.scheduling.unreachable_strategy)
    }

    /// How long it takes at most until health checks say something of an instance
    /// that has begun to run.
    #[must_use]
    pub fn known_in(&self) -> Duration {
        let checks: Vec<[u64; 3]> = match self {
            Self::App(app) => {
                let checks = app.health_checks.iter();
                let times = checks.map(|it| {
                    let first = it.delay_seconds.max(it.grace_period_seconds);
                    [first, it.interval_seconds, it.timeout_seconds]
                });
                times.collect()
            }
            Self::Pod(pod) => {
                let containers = pod.containers.iter();
                let checks = containers.filter_map(|it| it.health_check.as_ref());
                let times = checks.map(|it| {
                    let first = it.delay_seconds.max(it.grace_period_seconds);
                    [first, it.interval_seconds, it.timeout_seconds]
                });
                times.collect()
            }
        };
        let sum = |times: [u64; 3]| times.into_iter().fold(0, u64::saturating_add);
        let times = checks.into_iter().map(sum);
        Duration::from_secs(times.max().unwrap_or_default())
    }

    /// Whether its instances keep volumes when their tasks end.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        of_both!(self, app => app.is_resident(), pod => pod.is_resident())
    }

    /// Whether its instances are tied to agents.
    #[must_use]
    pub fn is_bonding(&self) -> bool {
        self.is_resident() || self.is_everywhere()
    }

    /// Whether there is nowhere but its own place for an instance: a volume is in
    /// one place only, whoever provides it.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.is_bonding() || self.app().is_some_and(|app| app.has_exclusive_volumes())
    }

    /// Whether one instance runs on every agent that its constraints admit.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.app().is_some_and(|app| app.on_every_agent)
    }

    /// The volumes that an instance keeps: where they are mounted, of pods their
    /// names, and what they are like.
    #[must_use]
    pub fn persistent_volumes(&self) -> Vec<(String, &Persistent)> {
        match self {
            Self::App(app) => {
                let volumes = app.container.iter().flat_map(|it| &it.volumes);
                let kept = volumes.filter_map(|it| Some((it, it.persistent.as_ref()?)));
                kept.map(|(it, kept)| (it.container_path.clone(), kept))
                    .collect()
            }
            Self::Pod(pod) => {
                let volumes = pod.volumes.iter();
                let kept = volumes.filter_map(|it| Some((it, it.persistent.as_ref()?)));
                kept.map(|(it, kept)| (it.name.clone(), kept)).collect()
            }
        }
    }

    /// The ports that an instance wants on its host, in the order of its ports:
    /// 0 is any, and nothing where a port has none on the host.
    #[must_use]
    pub fn host_ports(&self) -> Vec<Option<u16>> {
        match self {
            Self::App(app) => app.host_ports(),
            Self::Pod(pod) => pod.endpoints().map(|(_, it)| it.host_port).collect(),
        }
    }

    /// The containers that an instance has a task for; an app's has no name.
    #[must_use]
    pub fn containers(&self) -> Vec<Option<String>> {
        match self {
            Self::App(_) => vec![None],
            Self::Pod(pod) => {
                let containers = pod.containers.iter();
                containers.map(|it| Some(it.name.clone())).collect()
            }
        }
    }

    /// Whether its instances are to be replaced when it becomes `next`: whether
    /// anything that concerns them is another.
    #[must_use]
    pub fn is_upgrade(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::App(app), Self::App(next)) => app.is_upgrade(next),
            (Self::Pod(pod), Self::Pod(next)) => {
                let mut same = Pod::clone(pod);
                same.scaling = next.scaling;
                same.deployment_timeout_seconds = next.deployment_timeout_seconds;
                same.version = next.version;
                same.version_info = next.version_info;
                same != **next
            }
            _ => true,
        }
    }

    /// Whether instances are to be replaced though nothing but their number may
    /// differ: a restart was asked for.
    #[must_use]
    pub fn needs_restart(&self, next: &Self) -> bool {
        self.version_info() != next.version_info() && self.instances() == next.instances()
    }

    /// Whether both are one and the same, and nothing needs to be compared.
    #[must_use]
    pub fn is_very(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::App(one), Self::App(other)) => Arc::ptr_eq(one, other),
            (Self::Pod(one), Self::Pod(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The same, as another version, of which `info` says what it changes.
    #[must_use]
    pub fn renamed(&self, version: Timestamp, info: VersionInfo) -> Self {
        self.with(
            |app| (app.version, app.version_info) = (version, info),
            |pod| (pod.version, pod.version_info) = (version, info),
        )
    }

    /// The same, as another version, in another number.
    #[must_use]
    pub fn scaled(&self, instances: u32, version: Timestamp) -> Self {
        let scaled = self.with(
            |app| app.instances = instances,
            |pod| pod.scaling.instances = instances,
        );
        let info = VersionInfo {
            last_scaling_at: version,
            ..self.version_info()
        };
        scaled.renamed(version, info)
    }

    fn with(&self, change_app: impl FnOnce(&mut App), change_pod: impl FnOnce(&mut Pod)) -> Self {
        match self {
            Self::App(app) => {
                let mut app = App::clone(app);
                change_app(&mut app);
                app.into()
            }
            Self::Pod(pod) => {
                let mut pod = Pod::clone(pod);
                change_pod(&mut pod);
                pod.into()
            }
        }
    }

    /// `app` or `pod`, as the API names them.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        of_both!(self, _app => "app", _pod => "pod")
    }
}
