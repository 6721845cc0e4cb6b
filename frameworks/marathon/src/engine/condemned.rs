//! Start before kill: instances that fail their health checks and are kept, for
//! a while, until others that were started for them are healthy. Only apps that
//! want it, with `startBeforeKillSeconds`, have any.

use std::sync::Arc;
use std::time::Duration;

use crate::deployment::rolling;
use crate::effects::Notice;
use crate::instance::{Condition, Goal, Instance};
use crate::path_id::PathId;
use crate::probes::Wellness;
use crate::spec::Spec;

use super::Step;
use super::deploy::Aim;

fn is_condemned(instance: &Instance) -> bool {
    instance.condemned_at.is_some()
        && instance.goal == Goal::Running
        && instance.condition == Condition::Running
}

impl Step<'_> {
    /// An instance that is to be killed is kept instead until another one is
    /// healthy, if its app wants that and there is room for one more.
    pub(super) fn condemn(&mut self, instance: &Instance) -> bool {
        let Some((spec, _)) = self.patient(&instance.app) else {
            return false;
        };
        if self.condemned(&spec) >= rolling::room(&spec) {
            return false;
        }
        let id = &instance.id;
        let text = format!("{id} is not healthy: another is started before it is killed");
        self.effects.notices.push(Notice::Info(text));
        let mut instance = instance.clone();
        instance.condemned_at = Some(self.now);
        let condition = instance.condition;
        self.put(instance, condition);
        true
    }

    /// How many are kept though others are to take their places.
    pub(super) fn condemned(&self, spec: &Spec) -> usize {
        let instances = self.state.instances_of(spec.id());
        instances.filter(|it| is_condemned(it)).count()
    }

    /// What an app is to be that wants others to be started first, and for how
    /// long it waits for them. While everything is replaced nobody is kept.
    fn patient(&self, id: &PathId) -> Option<(Spec, Duration)> {
        let Aim::Scale(spec) = self.state.aim(id) else {
            return None;
        };
        let patience = spec.patience().unhealthy?;
        Some((spec, patience))
    }

    /// Condemned instances go when others have taken their places, or when these
    /// had their time; those that are healthy again stay.
    pub(super) fn end_condemned(&mut self, id: &PathId) {
        let mut condemned = self.those(id, is_condemned);
        if condemned.is_empty() {
            return;
        }
        condemned.sort_by_key(|it| it.condemned_at);
        condemned.retain(|it| {
            let is_well = self.wellness(it) == Wellness::Healthy;
            if is_well {
                let mut pardoned = Instance::clone(it);
                pardoned.condemned_at = None;
                self.put(pardoned, Condition::Running);
            }
            !is_well
        });
        let Some((spec, patience)) = self.patient(id) else {
            condemned.iter().for_each(|it| self.kill_unhealthy(it));
            return;
        };
        let is_well = |it: &&Instance| it.is_active() && self.wellness(it) == Wellness::Healthy;
        let well = self.state.instances_of(id).filter(is_well).count();
        let kept = (spec.instances() as usize).saturating_sub(well);
        let relieved = condemned.len().saturating_sub(kept);
        for (index, instance) in condemned.iter().enumerate() {
            let since = instance.condemned_at.unwrap_or(instance.since);
            let due = since.after(patience);
            if index < relieved || self.now >= due {
                self.kill_unhealthy(instance);
            } else {
                self.look_again(id, due);
            }
        }
    }

    /// An instance is killed because of its health checks.
    pub(super) fn kill_unhealthy(&mut self, instance: &Arc<Instance>) {
        let cause = self.state.last_failure(instance);
        self.tell_of_unhealthy("unhealthy_instance_kill_event", instance, cause);
        self.end(&instance.id);
    }
}
