//! Instances that keep volumes: resources are reserved and volumes made when
//! they are first launched, they come back to them, and what belongs to nobody
//! any more is given back.

use std::collections::BTreeMap;

use mesos_sdk::placement::{Launch, Source};
use mesos_sdk::resources::{Resources, dynamic_reservation, persistent_volume};
use mesos_sdk::{operation, v1};
use regex::Regex;
use v1::resource::disk_info::source::Type as Disk;

use crate::app::{Persistent, PersistentKind};
use crate::effects::Call;
use crate::instance::{Bond, Goal, Instance, InstanceId, LocalVolume};
use crate::spec::Spec;
use crate::state::{Change, Garbage, HeldOffer};

use super::Step;

/// The label that says whose a reservation is.
const FRAMEWORK: &str = "marathon_framework_id";

/// The label that says for which instance it was made.
pub(super) const INSTANCE: &str = "marathon_task_id";

/// Garbage that no offer has shown for so long is nobody's business any more.
const GARBAGE_KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What is reserved and made for an instance that is launched.
pub(super) struct Founded {
    /// What comes before the launch.
    pub(super) operations: Vec<v1::offer::Operation>,
    /// What the instance gets then.
    pub(super) resources: Resources,
    /// What it keeps.
    pub(super) bond: Bond,
}

impl Step<'_> {
    /// Reserves what was placed for an instance, and makes its volumes of it.
    pub(super) fn found(&mut self, id: &InstanceId, spec: &Spec, launch: &Launch) -> Founded {
        let principal = self.state.settings.principal.clone();
        let principal = principal.as_deref();
        let mut reservation = dynamic_reservation(&launch.role, principal);
        let labels = self.labels(id).into_iter();
        let labels = labels.map(|(key, value)| v1::Label {
            key,
            value: Some(value),
        });
        reservation.labels = Some(v1::Labels {
            labels: labels.collect(),
        });
        let reserved = launch.resources.push_reservation(&reservation);
        let mut left = reserved.clone().into_vec();
        let mut made = Vec::new();
        let mut volumes = Vec::new();
        for (name, persistent) in spec.persistent_volumes() {
            let uuid = self.next_uuid();
            let persistence_id = format!("{}#{name}#{uuid}", spec.id().to_safe());
            if let Some(disk) = take_disk(&mut left, persistent) {
                made.push(persistent_volume(disk, &persistence_id, principal, &name));
            }
            volumes.push(LocalVolume {
                container_path: name,
                uuid: uuid.to_string(),
                persistence_id,
            });
        }
        let reserve = operation::reserve(reserved.into_vec());
        let create = operation::create(made.clone());
        left.extend(made);
        Founded {
            operations: vec![reserve.into(), create.into()],
            resources: Resources::from(left),
            bond: Bond {
                agent_id: launch.agent_id.value.clone(),
                hostname: launch.hostname.clone(),
                volumes,
                is_confirmed: false,
                framework_id: self.state.framework_id.clone(),
            },
        }
    }

    fn labels(&self, id: &InstanceId) -> BTreeMap<String, String> {
        let bond = self.state.instance(id).and_then(|it| it.bond.as_ref());
        let founded = bond.and_then(|bond| bond.framework_id.as_ref());
        let framework = founded.or(self.state.framework_id.as_ref());
        let framework = framework.cloned().unwrap_or_default();
        BTreeMap::from([
            (FRAMEWORK.to_owned(), framework),
            (INSTANCE.to_owned(), id.to_string()),
        ])
    }

    /// What is reserved for an instance, and nothing else.
    pub(super) fn own_source(&self, id: &InstanceId) -> Source {
        Source::Labelled(self.labels(id))
    }

    /// An instance is to end; one that keeps volumes rests then, and may be
    /// started again.
    pub(super) fn end(&mut self, id: &InstanceId) {
        let Some(instance) = self.state.instance(id) else {
            return;
        };
        if instance.bond.is_none() {
            return self.decommission(id);
        }
        if instance.goal == Goal::Running {
            let mut instance = instance.clone();
            instance.goal = Goal::Stopped;
            let condition = match instance.is_launched() {
                true => instance.condition,
                false => crate::instance::Condition::Killed,
            };
            self.put(instance, condition);
        }
    }

    /// Instances that rest are started again, as `spec` says now; so many at
    /// most. Says how many are taken care of: those that are about to rest too.
    pub(super) fn wake_up(&mut self, spec: &Spec, count: usize) -> usize {
        let instances = self.state.instances_of(spec.id());
        let resting: Vec<Instance> = instances
            .filter(|it| it.goal == Goal::Stopped)
            .take(count)
            .cloned()
            .collect();
        let taken = resting.len();
        for mut instance in resting.into_iter().filter(|it| !it.is_launched()) {
            instance.goal = Goal::Running;
            instance.version = spec.version();
            instance.config = spec.config();
            self.put(instance.again(), crate::instance::Condition::Scheduled);
        }
        taken
    }

    /// What an instance had is nobody's any more.
    pub(super) fn abandon(&mut self, instance: &Instance) {
        let Some(bond) = instance.bond.as_ref().filter(|it| !it.volumes.is_empty()) else {
            return;
        };
        let role = instance.place.as_ref().map(|place| place.role.clone());
        let spec = self.state.definition_of(instance);
        let role = role.or_else(|| spec.map(|spec| spec.role().to_owned()));
        let garbage = Garbage {
            agent_id: bond.agent_id.clone(),
            role: role.unwrap_or_else(|| self.state.settings.defaults.role.clone()),
            framework_id: bond.framework_id.clone(),
            since: self.now,
        };
        self.has_new_demand = true;
        self.change(Change::Garbage(instance.id.clone(), Some(garbage)));
    }

    /// Gives back what is offered of reservations and volumes that belong to
    /// nobody we know.
    pub(super) fn free(&mut self) {
        let Some(framework) = self.state.framework_id.clone() else {
            return;
        };
        let old: Vec<InstanceId> = self
            .state
            .garbage
            .iter()
            .filter(|(_, garbage)| garbage.since.after(GARBAGE_KEPT) <= self.now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in old {
            self.change(Change::Garbage(id, None));
        }
        for offer in std::mem::take(&mut self.state.reserved_offers) {
            let Some(held) = self.state.offers.get(&offer) else {
                continue;
            };
            let (owners, resources) = self.nobodys(held, &framework);
            if resources.is_empty() {
                continue;
            }
            self.state.offers.remove(&offer);
            let volumes: Vec<v1::Resource> = resources
                .iter()
                .filter(|it| is_volume(it))
                .cloned()
                .collect();
            let mut operations = Vec::new();
            if !volumes.is_empty() {
                operations.push(operation::destroy(volumes).into());
            }
            let plain = resources.into_iter().map(without_volume).collect();
            operations.push(operation::unreserve(plain).into());
            self.effects.calls.push(Call::Accept {
                offers: vec![offer],
                operations,
            });
            for owner in owners {
                if self.state.garbage.contains_key(&owner) {
                    self.change(Change::Garbage(owner, None));
                }
            }
        }
    }

    /// What an offer shows of that, and whose it was.
    fn nobodys(&self, held: &HeldOffer, framework: &str) -> (Vec<InstanceId>, Vec<v1::Resource>) {
        let agent = &held.offer.agent_id.value;
        let mut owners = Vec::new();
        let mut resources = Vec::new();
        for resource in &held.offer.resources {
            let owner = label(resource, INSTANCE).and_then(|id| id.parse::<InstanceId>().ok());
            let garbage = owner.as_ref().and_then(|id| self.state.garbage.get(id));
            let once = garbage.and_then(|garbage| garbage.framework_id.as_deref());
            let whose = label(resource, FRAMEWORK);
            if whose.is_none() || (whose != Some(framework) && whose != once) {
                continue;
            }
            let instance = owner.as_ref().and_then(|id| self.state.instances.get(id));
            let bond = instance.and_then(|instance| instance.bond.as_ref());
            if bond.is_some_and(|bond| bond.agent_id == *agent) {
                continue;
            }
            owners.extend(owner);
            resources.push(resource.clone());
        }
        (owners, resources)
    }
}

/// Whether an offer shows anything that somebody like us has reserved.
pub(super) fn has_reservations(offer: &v1::Offer) -> bool {
    let mut resources = offer.resources.iter();
    resources.any(|resource| label(resource, FRAMEWORK).is_some())
}

fn label<'a>(resource: &'a v1::Resource, key: &str) -> Option<&'a str> {
    let labels = &resource.reservations.last()?.labels.as_ref()?.labels;
    labels
        .iter()
        .find(|label| label.key == key)?
        .value
        .as_deref()
}

fn is_volume(resource: &v1::Resource) -> bool {
    let disk = resource.disk.as_ref();
    disk.is_some_and(|disk| disk.persistence.is_some())
}

/// What is left of a volume when it is destroyed: its disk.
fn without_volume(mut resource: v1::Resource) -> v1::Resource {
    if let Some(mut disk) = resource.disk.take() {
        disk.persistence = None;
        disk.volume = None;
        if disk.source.is_some() {
            resource.disk = Some(disk);
        }
    }
    resource
}

fn scalar(resource: &v1::Resource) -> f64 {
    resource.scalar.map_or(0.0, |scalar| scalar.value)
}

#[expect(clippy::cast_precision_loss, reason = "a number of MiB")]
pub(super) fn size(persistent: &Persistent) -> f64 {
    persistent.size as f64
}

fn kind_of(resource: &v1::Resource) -> Option<Disk> {
    let source = resource.disk.as_ref()?.source.as_ref()?;
    Some(source.r#type())
}

/// Takes the disk of a volume out of what an instance was given.
fn take_disk(left: &mut Vec<v1::Resource>, persistent: &Persistent) -> Option<v1::Resource> {
    let wanted = size(persistent);
    let is_it = |resource: &v1::Resource| {
        resource.name == "disk" && scalar(resource) >= wanted && is_of(resource, persistent)
    };
    let place = left.iter().position(is_it)?;
    if persistent.kind == PersistentKind::Mount {
        return Some(left.remove(place));
    }
    let rest = scalar(&left[place]) - wanted;
    let mut disk = left[place].clone();
    disk.scalar = Some(v1::value::Scalar { value: wanted });
    if rest > 0.0 {
        left[place].scalar = Some(v1::value::Scalar { value: rest });
    } else {
        left.remove(place);
    }
    Some(disk)
}

/// Whether a resource is a disk of that kind.
fn is_of(resource: &v1::Resource, persistent: &Persistent) -> bool {
    match persistent.kind {
        PersistentKind::Root => resource.disk.is_none(),
        PersistentKind::Path => kind_of(resource) == Some(Disk::Path),
        PersistentKind::Mount => kind_of(resource) == Some(Disk::Mount),
    }
}

/// The disks of an offer that an app's volumes could be made of, besides those
/// of the agent's own disk; nothing when one of them is missing.
pub(super) fn disks(offer: &v1::Offer, spec: &Spec) -> Option<Vec<v1::Resource>> {
    let mut free: Vec<v1::Resource> = offer
        .resources
        .iter()
        .filter(|it| it.name == "disk" && it.reservations.is_empty() && !is_volume(it))
        .cloned()
        .collect();
    let mut taken = Vec::new();
    for (_, persistent) in spec.persistent_volumes() {
        if persistent.kind == PersistentKind::Root {
            continue;
        }
        let wanted = size(persistent);
        let is_fit = |it: &v1::Resource| {
            is_of(it, persistent)
                && scalar(it) >= wanted
                && persistent.max_size.is_none_or(|max| scalar(it) <= mib(max))
                && profile(it) == persistent.profile_name.as_deref()
                && persistent.constraints.iter().all(|parts| holds(it, parts))
        };
        let place = free.iter().position(is_fit)?;
        let mut disk = free.remove(place);
        disk.allocation_info = None;
        if persistent.kind == PersistentKind::Path {
            disk.scalar = Some(v1::value::Scalar { value: wanted });
        }
        taken.push(disk);
    }
    Some(taken)
}

#[expect(clippy::cast_precision_loss, reason = "a number of MiB")]
fn mib(size: u64) -> f64 {
    size as f64
}

fn profile(disk: &v1::Resource) -> Option<&str> {
    disk.disk.as_ref()?.source.as_ref()?.profile.as_deref()
}

/// `["path", "LIKE", "…"]` and the like.
fn holds(disk: &v1::Resource, parts: &[String]) -> bool {
    let source = disk.disk.as_ref().and_then(|disk| disk.source.as_ref());
    let root = source.and_then(|source| {
        let path = source.path.as_ref().and_then(|path| path.root.as_deref());
        path.or(source
            .mount
            .as_ref()
            .and_then(|mount| mount.root.as_deref()))
    });
    let [_, operator, value] = parts else {
        return false;
    };
    // It was compiled when the definition was validated.
    let matches = Regex::new(&format!("^(?:{value})$"))
        .is_ok_and(|regex| regex.is_match(root.unwrap_or_default()));
    matches == (operator == "LIKE")
}

/// The volumes of an instance as an offer of its agent shows them; something
/// that no offer has where one is missing.
pub(super) fn volumes(bond: &Bond, offers: &[&HeldOffer]) -> Vec<v1::Resource> {
    let on_agent = offers
        .iter()
        .filter(|held| held.offer.agent_id.value == bond.agent_id);
    let offered: Vec<&v1::Resource> = on_agent
        .flat_map(|held| &held.offer.resources)
        .filter(|it| is_volume(it))
        .collect();
    let volumes = bond.volumes.iter().map(|volume| {
        let is_it = |it: &&&v1::Resource| {
            let disk = it.disk.as_ref();
            let persistence = disk.and_then(|disk| disk.persistence.as_ref());
            persistence.is_some_and(|it| it.id == volume.persistence_id)
        };
        let mut resource = match offered.iter().find(is_it) {
            Some(resource) => (**resource).clone(),
            None => v1::Resource {
                name: volume.persistence_id.clone(),
                scalar: Some(v1::value::Scalar { value: 1.0 }),
                r#type: v1::value::Type::Scalar.into(),
                disk: Some(Default::default()),
                ..v1::Resource::default()
            },
        };
        resource.allocation_info = None;
        resource
    });
    volumes.collect()
}
