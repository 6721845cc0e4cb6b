//! Another root is saved, one change after the other, and what is old goes.

use serde_json::json;

use crate::app::HealthCheck;
use crate::deployment::Plan;
use crate::path_id::PathId;
use crate::root::Root;
use crate::spec::Spec;
use crate::state::Change;
use crate::timestamp::Timestamp;

use super::super::Step;

impl Step<'_> {
    pub(super) fn save_root(&mut self, plan: &Plan, root: &Root) {
        for (id, group) in root.groups() {
            if self.state.root.group(id) != Some(group) {
                self.effects
                    .changes
                    .push(Change::Group(id.clone(), Some(group.clone())));
            }
        }
        let gone: Vec<PathId> = self
            .state
            .root
            .groups()
            .filter(|(id, _)| root.group(id).is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.effects.changes.push(Change::Group(id, None));
        }
        // Groups as a whole: the changes above say the same, one by one.
        self.state.root = root.clone();
        for (id, change) in &plan.changes {
            self.tell_of_checks(id, change.from.as_ref(), change.to.as_ref());
            match &change.to {
                Some(spec) => {
                    let version = spec.version();
                    self.change(Change::Version(id.clone(), version, Some(spec.clone())));
                    self.change(Change::Wanted(id.clone(), Some(version)));
                    self.prune_versions(id);
                }
                None => {
                    self.change(Change::Wanted(id.clone(), None));
                    self.change(Change::Deleted(root.version(), id.clone(), true));
                    if self.state.failures.contains_key(id) {
                        self.change(Change::Failure(id.clone(), None));
                    }
                }
            }
        }
        self.prune_deleted();
    }

    /// Which health checks of an app come and go.
    fn tell_of_checks(&mut self, id: &PathId, from: Option<&Spec>, to: Option<&Spec>) {
        let checks = |spec: Option<&Spec>| -> Vec<HealthCheck> {
            let app = spec.and_then(Spec::app);
            app.map(|app| app.health_checks.clone()).unwrap_or_default()
        };
        let (had, has) = (checks(from), checks(to));
        for _ in had.iter().filter(|check| !has.contains(check)) {
            self.tell("remove_health_check_event", json!({"appId": id}));
        }
        let version = to.map(Spec::version);
        for check in has.iter().filter(|check| !had.contains(check)) {
            let data = json!({"appId": id, "version": version, "healthCheck": check});
            self.tell("add_health_check_event", data);
        }
    }

    /// What went long ago is forgotten with all its versions.
    fn prune_deleted(&mut self) {
        while self.state.deleted.len() > self.state.settings.max_versions {
            let Some((moment, gone)) = self.state.deleted.first_key_value() else {
                return;
            };
            let (moment, gone) = (*moment, gone.clone());
            for id in gone {
                self.change(Change::Deleted(moment, id.clone(), false));
                if self.state.root.spec(&id).is_some() {
                    continue;
                }
                let versions = self.state.versions.get(&id).into_iter();
                let old = versions.flat_map(|versions| versions.range(..=moment));
                let used: Vec<Timestamp> =
                    self.state.instances_of(&id).map(|it| it.version).collect();
                let old: Vec<Timestamp> = old
                    .map(|(version, _)| *version)
                    .filter(|version| !used.contains(version))
                    .collect();
                for version in old {
                    self.change(Change::Version(id.clone(), version, None));
                }
            }
        }
    }

    /// Old versions go, but for those that something still runs or may become
    /// again.
    fn prune_versions(&mut self, id: &PathId) {
        let Some(versions) = self.state.versions.get(id) else {
            return;
        };
        let surplus = versions
            .len()
            .saturating_sub(self.state.settings.max_versions);
        if surplus == 0 {
            return;
        }
        let mut kept: Vec<Timestamp> = self.state.instances_of(id).map(|it| it.version).collect();
        kept.extend(self.state.root.spec(id).map(Spec::version));
        let old = versions.keys().filter(|version| !kept.contains(version));
        let old: Vec<Timestamp> = old.take(surplus).copied().collect();
        for version in old {
            self.change(Change::Version(id.clone(), version, None));
        }
    }
}
