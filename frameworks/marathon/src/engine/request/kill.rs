//! Instances that somebody wants to end.

use std::collections::BTreeMap;

use crate::instance::{Instance, InstanceId, TaskId};
use crate::path_id::PathId;
use crate::request::{Kill, Refusal, Reply};

use super::pod::no_pod;
use super::{Step, no_app};

impl Step<'_> {
    pub(super) fn kill(
        &mut self,
        kill: &Kill,
        scale: bool,
        wipe: bool,
        force: bool,
    ) -> Result<Reply, Refusal> {
        if scale && wipe {
            return Err(Refusal::Bad(
                "You cannot use scale and wipe at the same time.".to_owned(),
            ));
        }
        let instances = self.meant(kill)?;
        if !scale {
            for instance in &instances {
                if wipe {
                    self.decommission(&instance.id);
                } else {
                    self.end(&instance.id);
                }
            }
            return Ok(Reply::Killed(instances));
        }
        let mut fewer: BTreeMap<PathId, u32> = BTreeMap::new();
        for instance in instances.iter().filter(|it| it.is_active()) {
            *fewer.entry(instance.app.clone()).or_default() += 1;
        }
        let version = self.version();
        let mut root = self.state.root.clone();
        for (id, count) in fewer {
            if let Some(spec) = root.spec(&id).cloned() {
                let instances = spec.instances().saturating_sub(count);
                root.put(spec.scaled(instances, version), version);
            }
        }
        let deployed = self.deploy(root, version, force)?;
        for instance in &instances {
            self.end(&instance.id);
        }
        Ok(Reply::Deployed(deployed))
    }

    fn meant(&self, kill: &Kill) -> Result<Vec<Instance>, Refusal> {
        match kill {
            Kill::OfApp { id, is_group, host } => {
                if !is_group && self.state.root.app(id).is_none() {
                    return Err(no_app(id));
                }
                let apps: Vec<PathId> = if *is_group {
                    let apps = self.state.root.apps_in(id);
                    apps.map(|app| app.id.clone()).collect()
                } else {
                    vec![id.clone()]
                };
                let instances = apps.iter().flat_map(|app| self.state.instances_of(app));
                let on_host = |it: &&Instance| {
                    let place = it.place.as_ref();
                    host.as_ref()
                        .is_none_or(|host| place.is_some_and(|place| place.hostname == *host))
                };
                let launched = instances.filter(|it| it.is_launched());
                Ok(launched.filter(on_host).cloned().collect())
            }
            Kill::One { app, id } => {
                if self.state.root.app(app).is_none() {
                    return Err(no_app(app));
                }
                let instance = self.named(id).filter(|it| it.app == *app);
                let missing = || Refusal::NotFound(format!("Task '{id}' does not exist"));
                Ok(vec![instance.cloned().ok_or_else(missing)?])
            }
            Kill::OfPod { id, instances } => {
                self.state.root.pod(id).ok_or_else(|| no_pod(id))?;
                let mut found = Vec::new();
                for text in instances {
                    let instance = text.parse::<InstanceId>();
                    let instance = instance.map_err(|error| Refusal::Bad(error.to_string()))?;
                    let instance = self.state.instance(&instance);
                    found.extend(instance.filter(|it| it.app == *id).cloned());
                }
                Ok(found)
            }
            Kill::Ids(ids) => {
                let mut instances = Vec::new();
                for id in ids {
                    let is_id = id.parse::<TaskId>().is_ok() || id.parse::<InstanceId>().is_ok();
                    if !is_id {
                        return Err(Refusal::Bad(format!("Invalid task id '{id}'")));
                    }
                    instances.extend(self.named(id).cloned());
                }
                Ok(instances)
            }
        }
    }

    /// An instance by its own id, or by that of a task of it: of one that it has
    /// now, for whoever names an earlier one does not mean this one.
    fn named(&self, id: &str) -> Option<&Instance> {
        if let Ok(task) = id.parse::<TaskId>() {
            let instance = self.state.instance(&task.instance);
            return instance.filter(|it| it.incarnation == task.incarnation);
        }
        self.state.instance(&id.parse::<InstanceId>().ok()?)
    }
}
