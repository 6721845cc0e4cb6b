//! All that Marathon knows, and the only way to change it.

mod change;
mod held;
mod history;
mod settings;

pub use change::{Change, Deployment, Garbage, TaskFailure};
pub use held::{HeldOffer, HeldOffers};
pub use settings::Settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesos_sdk::v1;

use crate::instance::{Condition, Instance, InstanceId};
use crate::launch_delay::LaunchDelay;
use crate::path_id::PathId;
use crate::probes::{Probes, Wellness};
use crate::queue::Queue;
use crate::root::Root;
use crate::spec::Spec;
use crate::timestamp::Timestamp;

/// All that Marathon knows. What is stored is changed by [`State::apply`] only;
/// the rest is found out again after a restart.
#[derive(Clone, Debug)]
pub struct State {
    /// How it was started.
    pub settings: Settings,
    /// What is wanted.
    pub root: Root,
    /// What was wanted: versions of apps and pods, the newest last.
    pub versions: BTreeMap<PathId, BTreeMap<Timestamp, Spec>>,
    /// What is wanted no more, by when it went.
    pub deleted: BTreeMap<Timestamp, BTreeSet<PathId>>,
    /// What is there.
    pub instances: BTreeMap<InstanceId, Arc<Instance>>,
    /// The same, by app.
    pub by_app: BTreeMap<PathId, BTreeMap<InstanceId, Arc<Instance>>>,
    /// Those that wait for offers, by app and version.
    pub waiting: BTreeMap<(PathId, Timestamp), BTreeSet<InstanceId>>,
    /// What is on its way from the one to the other, the oldest first.
    pub deployments: BTreeMap<String, Deployment>,
    /// Which of them changes an app.
    pub changing: BTreeMap<PathId, String>,
    /// Apps whose launches wait.
    pub delays: BTreeMap<PathId, LaunchDelay>,
    /// The last failure of each app.
    pub failures: BTreeMap<PathId, TaskFailure>,
    /// Reservations and volumes that belong to nobody any more, by the instances
    /// that had them.
    pub garbage: BTreeMap<InstanceId, Garbage>,
    /// The framework's id, once the master gave one.
    pub framework_id: Option<String>,
    /// How many ids were made.
    pub ids_made: u64,
    /// What makes ids unlike those of another Marathon.
    pub seed: u64,

    /// Not stored: the master, while there is a connection.
    pub master: Option<v1::MasterInfo>,
    /// Not stored: offers that nothing has used yet.
    pub offers: HeldOffers,
    /// Not stored: offers that came with something that was reserved by us.
    pub reserved_offers: Vec<String>,
    /// Not stored: what health and readiness checks found.
    pub probes: Probes,
    /// Not stored: why instances wait.
    pub queue: Queue,
    /// Not stored: the roles that the framework subscribes with.
    pub first_roles: BTreeSet<String>,
    /// Not stored: the roles that the master was told of since then, too.
    pub told_roles: BTreeSet<String>,
    /// Not stored: roles in which nothing is asked for at present.
    pub suppressed: BTreeSet<String>,
    /// Not stored: roles in which offers were declined for long.
    pub filtered: BTreeSet<String>,
    /// Not stored: when offers were last made in a role in which something waits,
    /// or asked for.
    pub asked_at: BTreeMap<String, Timestamp>,
    /// Not stored: instances of which nothing was heard since there is a
    /// connection. What is known of them may be over.
    pub unconfirmed: BTreeSet<InstanceId>,
    /// Not stored: since when there is a connection.
    pub subscribed_at: Timestamp,
    /// Not stored: when each app is to be looked at again.
    pub timers: BTreeMap<PathId, Timestamp>,
    /// Not stored: apps that something happened to and that nobody looked at
    /// yet, and whether something waits that did not before.
    pub unsettled: (BTreeSet<PathId>, bool),
    /// Not stored: launches that may be made before more tasks run.
    pub launch_tokens: u32,
    /// Not stored: when launch tokens were last refreshed.
    pub tokens_at: Timestamp,
}

impl State {
    /// Nothing is wanted, nothing is there.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        let launch_tokens = settings.launch_tokens;
        let root = Root::new(Timestamp::default()).enforcing(settings.new_groups_enforce_role);
        Self {
            first_roles: BTreeSet::from([settings.defaults.role.clone()]),
            told_roles: BTreeSet::from([settings.defaults.role.clone()]),
            settings,
            root,
            versions: BTreeMap::new(),
            deleted: BTreeMap::new(),
            instances: BTreeMap::new(),
            by_app: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deployments: BTreeMap::new(),
            changing: BTreeMap::new(),
            delays: BTreeMap::new(),
            failures: BTreeMap::new(),
            garbage: BTreeMap::new(),
            framework_id: None,
            ids_made: 0,
            seed,
            master: None,
            offers: HeldOffers::default(),
            reserved_offers: Vec::new(),
            probes: Probes::default(),
            queue: Queue::default(),
            suppressed: BTreeSet::new(),
            filtered: BTreeSet::new(),
            asked_at: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            subscribed_at: Timestamp::default(),
            timers: BTreeMap::new(),
            unsettled: (BTreeSet::new(), false),
            launch_tokens,
            tokens_at: Timestamp::default(),
        }
    }

    /// An instance.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.instances.get(id).map(Arc::as_ref)
    }

    /// The instances of an app.
    pub fn instances_of(&self, app: &PathId) -> impl Iterator<Item = &Instance> {
        let instances = self.by_app.get(app).into_iter();
        instances.flat_map(|them| them.values()).map(Arc::as_ref)
    }

    /// The definition that an instance was made from, if it is still known.
    #[must_use]
    pub fn definition_of(&self, instance: &Instance) -> Option<&Spec> {
        let versions = self.versions.get(&instance.app)?;
        versions.get(&instance.version)
    }

    /// How well an instance does, as far as is known.
    #[must_use]
    pub fn wellness(&self, instance: &Instance) -> Wellness {
        if instance.condition != Condition::Running {
            return Wellness::Unhealthy;
        }
        if self.unconfirmed.contains(&instance.id) {
            return Wellness::Unknown;
        }
        let Some(spec) = self.definition_of(instance) else {
            return Wellness::Healthy;
        };
        self.probes.wellness(instance, spec)
    }

    /// What a health check last found wrong with an instance.
    #[must_use]
    pub fn last_failure(&self, instance: &Instance) -> Option<String> {
        let found = self.probes.health.get(&instance.id)?;
        let failed = found.values().find(|it| it.is_known() && !it.is_alive())?;
        failed.last_failure_cause.clone()
    }

    /// Whether the readiness check of its app is content; without one, it is.
    #[must_use]
    pub fn is_ready(&self, instance: &Instance) -> bool {
        let app = self.definition_of(instance).and_then(Spec::app);
        let has_check = app.is_some_and(|app| !app.readiness_checks.is_empty());
        let readiness = self.probes.readiness.get(&instance.id);
        !has_check || readiness.is_some_and(|readiness| readiness.is_ready)
    }

    /// The roles that the framework is in: that of the flags, and those of
    /// groups, apps and pods.
    #[must_use]
    pub fn roles(&self) -> BTreeSet<String> {
        let groups = self.root.groups().filter(|(_, group)| group.enforce_role);
        let of_groups = groups.map(|(id, _)| id.name().to_owned());
        let of_specs = self.root.specs().map(|spec| spec.role().to_owned());
        let own = std::iter::once(self.settings.defaults.role.clone());
        own.chain(of_groups).chain(of_specs).collect()
    }

    /// The deployment that changes an app, and what it is to become.
    #[must_use]
    pub fn deployment_of(&self, app: &PathId) -> Option<&Deployment> {
        self.deployments.get(self.changing.get(app)?)
    }

    /// What became of instances is heard when they are reconciled.
    pub(crate) fn doubt_everything(&mut self) {
        let launched = self.instances.values().filter(|it| it.is_launched());
        self.unconfirmed = launched.map(|it| it.id.clone()).collect();
    }

    /// A number that nobody has drawn before, and how to remember that.
    #[must_use]
    pub fn next_uuid(&self) -> (uuid::Uuid, Change) {
        let number = self.ids_made + 1;
        let high = mixed(self.seed ^ number.rotate_left(32));
        let low = mixed(high ^ number);
        let bytes = (u128::from(high) << 64) | u128::from(low);
        let uuid = uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid();
        (uuid, Change::Ids(number, self.seed))
    }
}

/// A number that looks like chance: the finaliser of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
