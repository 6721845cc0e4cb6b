//! Everything that is wanted: apps, pods and the groups they are in, in one
//! version.
//!
//! Groups are kept flat, by their paths: what is in a group follows it in the
//! order of paths. The nested form is made where it is asked for.

mod dependencies;
mod service_ports;

pub use dependencies::{Cycle, Dependencies};
pub use service_ports::{NoPortLeft, ServicePorts};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::path_id::PathId;
use crate::pod::Pod;
use crate::spec::Spec;
use crate::timestamp::Timestamp;

/// All apps, pods and groups. Cheap to copy: apps and pods are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    specs: BTreeMap<PathId, Spec>,
    /// Those of the apps that run on every agent.
    everywhere: BTreeSet<PathId>,
    groups: BTreeMap<PathId, Group>,
    /// Whether new groups at the top enforce their role.
    enforces_new: bool,
}

/// A group by itself; what is in it says so by its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Apps and groups that are deployed before what is in it.
    #[serde(default)]
    pub dependencies: Vec<PathId>,
    /// Whether apps in it have its role; of groups right below the root.
    #[serde(default)]
    pub enforce_role: bool,
    /// When it, or anything in it, last changed.
    pub version: Timestamp,
}

impl Root {
    /// Nothing but the root group.
    #[must_use]
    pub fn new(version: Timestamp) -> Self {
        let root = Group::new(version);
        Self {
            specs: BTreeMap::new(),
            everywhere: BTreeSet::new(),
            groups: BTreeMap::from([(PathId::root(), root)]),
            enforces_new: false,
        }
    }

    /// The same, where new groups at the top enforce their role, or do not.
    #[must_use]
    pub fn enforcing(self, enforces_new: bool) -> Self {
        Self {
            enforces_new,
            ..self
        }
    }

    /// A group that nobody said anything of.
    #[must_use]
    pub fn new_group(&self, id: &PathId, version: Timestamp) -> Group {
        Group {
            enforce_role: self.enforces_new && id.segments().len() == 1,
            ..Group::new(version)
        }
    }

    /// When anything last changed.
    #[must_use]
    pub fn version(&self) -> Timestamp {
        self.groups
            .get(&PathId::root())
            .map_or_else(Timestamp::default, |root| root.version)
    }

    /// An app or pod.
    #[must_use]
    pub fn spec(&self, id: &PathId) -> Option<&Spec> {
        self.specs.get(id)
    }

    /// An app.
    #[must_use]
    pub fn app(&self, id: &PathId) -> Option<&Arc<App>> {
        self.spec(id)?.app()
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, id: &PathId) -> Option<&Arc<Pod>> {
        self.spec(id)?.pod()
    }

    /// All apps and pods in the order of their paths.
    pub fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.specs.values()
    }

    /// The apps that run on every agent.
    pub fn everywhere(&self) -> impl Iterator<Item = &Spec> {
        self.everywhere.iter().filter_map(|id| self.spec(id))
    }

    /// All apps in the order of their paths.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<App>> {
        self.specs().filter_map(Spec::app)
    }

    /// All pods in the order of their paths.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.specs().filter_map(Spec::pod)
    }

    /// The apps and pods in a group, however deep, or the one of that very path.
    pub fn specs_in(&self, group: &PathId) -> impl Iterator<Item = &Spec> {
        let group = group.clone();
        self.specs
            .range(group.clone()..)
            .take_while(move |(id, _)| id.is_in(&group))
            .map(|(_, spec)| spec)
    }

    /// The apps in a group, however deep, or the app of that very path.
    pub fn apps_in(&self, group: &PathId) -> impl Iterator<Item = &Arc<App>> {
        self.specs_in(group).filter_map(Spec::app)
    }

    /// The pods in a group, however deep, or the pod of that very path.
    pub fn pods_in(&self, group: &PathId) -> impl Iterator<Item = &Arc<Pod>> {
        self.specs_in(group).filter_map(Spec::pod)
    }

    /// A group.
    #[must_use]
    pub fn group(&self, id: &PathId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// All groups in the order of their paths, the root first.
    pub fn groups(&self) -> impl Iterator<Item = (&PathId, &Group)> {
        self.groups.iter()
    }

    /// The groups right in a group.
    pub fn groups_right_in(&self, group: &PathId) -> impl Iterator<Item = (&PathId, &Group)> {
        let parent = group.clone();
        let below = self.groups.range(group.clone()..);
        let inside = parent.clone();
        below
            .take_while(move |(id, _)| id.is_in(&inside))
            .filter(move |(id, _)| !id.is_root() && id.parent() == parent)
    }

    /// Adds an app or pod or replaces it, and makes the groups that it is in.
    pub fn put(&mut self, spec: impl Into<Spec>, version: Timestamp) {
        let spec = spec.into();
        self.touch(spec.id(), version);
        let id = spec.id().clone();
        self.set(&id, Some(spec));
    }

    /// Removes an app or pod. Its groups stay.
    pub fn remove(&mut self, id: &PathId, version: Timestamp) -> Option<Spec> {
        let spec = self.specs.get(id)?.clone();
        self.set(id, None);
        self.touch(id, version);
        Some(spec)
    }

    /// Adds a group or replaces what is said of it; not what is in it.
    pub fn put_group(&mut self, id: &PathId, group: Group) {
        self.touch(id, group.version);
        self.groups.insert(id.clone(), group);
    }

    /// Removes a group with all that is in it; of the root, all that is in it.
    /// Says whether it was there.
    pub fn remove_group(&mut self, id: &PathId, version: Timestamp) -> bool {
        if !self.groups.contains_key(id) {
            return false;
        }
        self.specs.retain(|spec, _| !spec.is_in(id));
        self.everywhere.retain(|spec| !spec.is_in(id));
        self.groups
            .retain(|group, _| group.is_root() || !group.is_in(id));
        self.touch(id, version);
        true
    }

    /// Makes an app or pod be what it is, or not be; its groups are left alone.
    pub fn set(&mut self, id: &PathId, spec: Option<Spec>) {
        if spec.as_ref().is_some_and(Spec::is_everywhere) {
            self.everywhere.insert(id.clone());
        } else {
            self.everywhere.remove(id);
        }
        match spec {
            Some(spec) => self.specs.insert(id.clone(), spec),
            None => self.specs.remove(id),
        };
    }

    /// Makes a group be what it is, or not be; the root stays.
    pub fn set_group(&mut self, id: &PathId, group: Option<Group>) {
        match group {
            Some(group) => {
                self.groups.insert(id.clone(), group);
            }
            None if id.is_root() => {}
            None => {
                self.groups.remove(id);
            }
        }
    }

    /// The groups that hold `id` get this version, and are made if need be.
    fn touch(&mut self, id: &PathId, version: Timestamp) {
        for group in id.ancestors() {
            let new = self.new_group(&group, version);
            self.groups.entry(group).or_insert(new).version = version;
        }
        if id.is_root()
            && let Some(root) = self.groups.get_mut(id)
        {
            root.version = version;
        }
    }

    /// The role that apps of this path must have, if their top-level group
    /// enforces its own.
    #[must_use]
    pub fn enforced_role(&self, id: &PathId) -> Option<String> {
        let name = id.top_level().filter(|_| id.segments().len() > 1)?;
        let group = PathId::root().child(name).ok()?;
        let known = self.groups.get(&group).map(|group| group.enforce_role);
        let enforces = known.unwrap_or(self.enforces_new);
        enforces.then(|| name.to_owned())
    }
}

impl Group {
    /// A group that nobody said anything of.
    #[must_use]
    pub fn new(version: Timestamp) -> Self {
        Self {
            dependencies: Vec::new(),
            enforce_role: false,
            version,
        }
    }
}

#[cfg(test)]
mod tests;
