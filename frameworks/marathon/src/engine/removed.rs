//! What is left when the master has removed the framework: what is wanted, and
//! what was reserved. Every task is killed, and the id is used up; Marathon
//! registers anew when it is started again.

use crate::instance::{Condition, Goal, Instance};
use crate::spec::Spec;
use crate::state::Change;

use super::Step;

impl Step<'_> {
    pub(super) fn removed(&mut self) {
        self.state.offers.clear();
        self.state.unconfirmed.clear();
        if self.state.master.take().is_some() {
            self.tell("scheduler_disconnected_event", serde_json::json!({}));
        }
        self.change(Change::Framework(None));
        let launched = self.state.instances.values().filter(|it| it.is_launched());
        let launched: Vec<Instance> = launched.map(|it| Instance::clone(it)).collect();
        for instance in launched {
            self.killed_with_the_framework(instance);
        }
    }

    fn killed_with_the_framework(&mut self, mut instance: Instance) {
        let open = instance.tasks.iter_mut();
        for task in open.filter(|task| !task.condition.is_over()) {
            (task.condition, task.since) = (Condition::Gone, self.now);
        }
        // Whether anything was reserved is known of those that were heard of.
        if instance.bond.as_ref().is_some_and(|it| !it.is_confirmed) {
            self.abandon(&instance);
            instance.bond = None;
        }
        let spec = self.state.root.spec(&instance.app);
        let is_of_its_agent = spec.is_some_and(Spec::is_everywhere) && instance.bond.is_none();
        let is_known = spec.is_some() && self.state.definition_of(&instance).is_some();
        match instance.goal {
            Goal::Running if is_known && !is_of_its_agent => self.schedule_again(instance),
            Goal::Stopped if is_known && instance.bond.is_some() => {
                self.put(instance, Condition::Gone);
            }
            _ => self.forget(&instance.id, Condition::Gone.name()),
        }
    }
}
