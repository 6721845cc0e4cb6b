//! What there was: which apps and pods a group held at a moment.

use std::collections::BTreeSet;

use crate::path_id::PathId;
use crate::root::{Group, Root};
use crate::spec::Spec;
use crate::timestamp::Timestamp;

use super::State;

impl State {
    /// The versions of a group, as far as they are known: the moments at which
    /// something in it changed. Nothing where there is no such group.
    #[must_use]
    pub fn versions_of_group(&self, group: &PathId) -> Option<BTreeSet<Timestamp>> {
        let current = self.root.group(group)?.version;
        let mut all = self.moments_of(group);
        all.insert(current);
        Some(all)
    }

    /// When apps and pods of a group changed, and when they went.
    fn moments_of(&self, group: &PathId) -> BTreeSet<Timestamp> {
        let versions = self.versions.range(group.clone()..);
        let versions = versions.take_while(|(id, _)| id.is_in(group));
        let came = versions.flat_map(|(_, versions)| versions.keys().copied());
        let is_of_it = |gone: &BTreeSet<PathId>| {
            let next = gone.range(group.clone()..).next();
            next.is_some_and(|id| id.is_in(group))
        };
        let went = self.deleted.iter().filter(|(_, gone)| is_of_it(gone));
        came.chain(went.map(|(moment, _)| *moment)).collect()
    }

    /// The apps and pods that a group held in one of its versions, as they were;
    /// nothing where it had no such version.
    #[must_use]
    pub fn specs_then(&self, group: &PathId, version: Timestamp) -> Option<Vec<&Spec>> {
        let current = self.root.group(group).map(|group| group.version);
        if current != Some(version) && !self.moments_of(group).contains(&version) {
            return None;
        }
        let versions = self.versions.range(group.clone()..);
        let versions = versions.take_while(|(id, _)| id.is_in(group));
        let then = versions.filter_map(|(id, versions)| {
            let (made, spec) = versions.range(..=version).next_back()?;
            let mut deleted = self.deleted.range(*made..=version);
            let is_gone = deleted.any(|(_, gone)| gone.contains(id));
            (!is_gone).then_some(spec)
        });
        Some(then.collect())
    }

    /// A group with all that was in it, in one of its versions. What is said of
    /// groups themselves is as it is now.
    #[must_use]
    pub fn group_then(&self, group: &PathId, version: Timestamp) -> Option<Root> {
        let mut specs = self.specs_then(group, version)?;
        specs.sort_by_key(|spec| spec.version());
        let as_now = |id: &PathId, version| {
            let now = self.root.group(id).cloned();
            let group = now.unwrap_or_else(|| Group::new(version));
            Group { version, ..group }
        };
        let mut root = Root::new(Timestamp::default());
        for spec in specs {
            for id in spec.id().ancestors() {
                root.put_group(&id, as_now(&id, spec.version()));
            }
            root.put(spec.clone(), spec.version());
        }
        let last = root.group(group).map(|group| group.version);
        if last.is_none_or(|last| last < version) {
            // What changed then is gone.
            root.put_group(group, as_now(group, version));
        }
        Some(root)
    }
}
