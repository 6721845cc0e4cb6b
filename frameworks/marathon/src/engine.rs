//! One step: an input is taken in, then what is wanted is compared with what is
//! there, and the difference asked for.
//!
//! The way of a request: `request` makes a new root of it and a plan
//! ([`crate::deployment`]); `deploy` carries plans on; `tend` makes one app
//! as it is to be, instance by instance; `launch` finds offers for those that
//! wait. The way of a status update: `update` notes it, and the same passes
//! follow. None of them depends on which input came before.

mod condemned;
mod deploy;
mod health;
mod launch;
mod overdue;
mod removed;
mod request;
mod resident;
mod task;
mod tend;
mod update;
mod waits;
mod wanted;

pub use waits::{Reason, Wait, waits};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effects::{Effects, Event, Input};
use crate::instance::{Condition, Goal, Instance, InstanceId};
use crate::path_id::PathId;
use crate::spec::Spec;
use crate::state::{Change, State};
use crate::timestamp::Timestamp;

/// Takes an input in, and says what is to be done.
pub fn step(state: &mut State, now: Timestamp, input: Input) -> Effects {
    let mut step = Step::new(state, now);
    step.take_in(input);
    step.settle();
    step.effects
}

/// Takes an input in. What follows from it is seen by [`settle`], once for all
/// inputs that come together.
pub fn take_in(state: &mut State, now: Timestamp, input: Input) -> Effects {
    let mut step = Step::new(state, now);
    step.take_in(input);
    step.leave()
}

/// Compares what is wanted with what is there, wherever something happened.
pub fn settle(state: &mut State, now: Timestamp) -> Effects {
    let mut step = Step::new(state, now);
    step.settle();
    step.effects
}

/// A state, the moment, and what has been decided so far.
struct Step<'a> {
    state: &'a mut State,
    now: Timestamp,
    effects: Effects,
    /// Apps and pods that something happened to, to be looked at.
    touched: BTreeSet<PathId>,
    /// Whether something waits that did not before.
    has_new_demand: bool,
}

impl<'a> Step<'a> {
    fn new(state: &'a mut State, now: Timestamp) -> Self {
        let (touched, has_new_demand) = std::mem::take(&mut state.unsettled);
        Self {
            state,
            now,
            effects: Effects::default(),
            touched,
            has_new_demand,
        }
    }

    /// What follows from it is left for later.
    fn leave(self) -> Effects {
        self.state.unsettled = (self.touched, self.has_new_demand);
        self.effects
    }

    fn settle(&mut self) {
        self.touch_what_is_due();
        self.carry_on();
        self.roll_back_overdue();
        self.launch();
        self.log_waits();
        self.effects.wake_at = self.next_wake();
    }
}

impl Step<'_> {
    fn take_in(&mut self, input: Input) {
        match input {
            Input::Request(token, request) => {
                // It finds deployments as far as they have come.
                self.carry_on();
                let reply = self.request(*request);
                self.effects.replies.push((token, reply));
            }
            Input::Offers(offers) => {
                for offer in offers {
                    if resident::has_reservations(&offer) {
                        self.state.reserved_offers.push(offer.id.value.clone());
                    }
                    let role = offer
                        .allocation_info
                        .as_ref()
                        .and_then(|it| it.role.as_ref());
                    if let Some(asked_at) = role.and_then(|it| self.state.asked_at.get_mut(it)) {
                        *asked_at = self.now;
                    }
                    self.state.offers.insert(offer, self.now);
                }
            }
            Input::Rescind(id) => {
                self.state.offers.remove(&id);
            }
            Input::NotLaunched(tasks) => self.not_launched(&tasks),
            Input::Update(status) => self.update(*status),
            Input::Probed(probe, outcome) => self.probed(&probe, &outcome),
            Input::Subscribed {
                framework_id,
                master,
            } => self.subscribed(framework_id, master.map(|master| *master)),
            Input::Disconnected => {
                self.state.offers.clear();
                self.state.doubt_everything();
                if self.state.master.take().is_some() {
                    self.tell("scheduler_disconnected_event", serde_json::json!({}));
                }
            }
            Input::Removed => self.removed(),
            Input::Wake => {}
        }
    }

    fn subscribed(&mut self, framework_id: String, master: Option<mesos_sdk::v1::MasterInfo>) {
        let is_new = self.state.framework_id.as_ref() != Some(&framework_id);
        let address = master.as_ref().map(|master| {
            let host = master.hostname.clone().unwrap_or_default();
            format!("{host}:{}", master.port)
        });
        let address = address.unwrap_or_default();
        if is_new {
            self.change(Change::Framework(Some(framework_id.clone())));
            let data = serde_json::json!({"frameworkId": framework_id, "master": address});
            self.tell("scheduler_registered_event", data);
        } else {
            let data = serde_json::json!({"master": address});
            self.tell("scheduler_reregistered_event", data);
        }
        self.state.master = Some(master.unwrap_or_default());
        self.state.offers.clear();
        self.state.suppressed.clear();
        // What it was told besides may not have come.
        self.state.told_roles = self.state.first_roles.clone();
        self.state.asked_at.clear();
        self.state.subscribed_at = self.now;
        self.state.doubt_everything();
        // Whatever was asked for before may have been lost on the way.
        let apps: Vec<_> = self.state.by_app.keys().cloned().collect();
        self.touched.extend(apps);
        let specs: Vec<_> = self.state.root.specs().map(|it| it.id().clone()).collect();
        self.touched.extend(specs);
        // Some have neither instances nor a definition left, and yet their
        // deployment waits for it to be seen.
        self.touched.extend(self.state.changing.keys().cloned());
    }

    /// Makes it so, and remembers that it is to be saved.
    fn change(&mut self, change: Change) {
        self.effects.changes.push(change.clone());
        self.state.apply(change);
    }

    fn tell(&mut self, kind: &'static str, mut data: serde_json::Value) {
        data["eventType"] = kind.into();
        data["timestamp"] = self.now.to_string().into();
        self.effects.events.push(Event { kind, data });
    }

    fn next_uuid(&mut self) -> uuid::Uuid {
        let (uuid, change) = self.state.next_uuid();
        self.change(change);
        uuid
    }

    fn touch_what_is_due(&mut self) {
        let due = self.state.timers.iter().filter(|(_, at)| **at <= self.now);
        let due: Vec<_> = due.map(|(app, _)| app.clone()).collect();
        self.touched.extend(due);
    }

    /// Looks at apps until nothing more follows from what was seen.
    fn carry_on(&mut self) {
        loop {
            while let Some(app) = self.touched.pop_first() {
                self.tend(&app);
            }
            self.finish_steps();
            if self.touched.is_empty() {
                return;
            }
        }
    }

    /// An instance is from now on as it is said here.
    fn put(&mut self, instance: Instance, condition: Condition) {
        self.touched.insert(instance.app.clone());
        self.note(instance, condition);
    }

    /// The same, where nothing more follows from it now.
    fn note(&mut self, mut instance: Instance, condition: Condition) {
        let before = self.state.instances.get(&instance.id);
        let is_other = before.is_none_or(|before| before.condition != condition);
        if is_other {
            instance.since = self.now;
            instance.condition = condition;
            self.tell_of_instance(&instance, condition.name());
        }
        if condition == Condition::Scheduled {
            self.has_new_demand = true;
        }
        let change = Change::Instance(instance.id.clone(), Some(Arc::new(instance)));
        self.change(change);
    }

    fn tell_of_instance(&mut self, instance: &Instance, condition: &str) {
        let place = instance.place.as_ref();
        let data = serde_json::json!({
            "instanceId": instance.id,
            "condition": condition,
            "runSpecId": instance.app,
            "agentId": place.map(|place| &place.agent_id),
            "host": place.map(|place| &place.hostname),
            "runSpecVersion": instance.version,
        });
        self.tell("instance_changed_event", data);
    }

    /// An instance is no more.
    fn forget(&mut self, id: &InstanceId, condition: &str) {
        let Some(instance) = self.state.instances.get(id).map(Arc::clone) else {
            return;
        };
        self.state.probes.health.remove(id);
        self.state.probes.readiness.remove(id);
        self.state.unconfirmed.remove(id);
        self.tell_of_instance(&instance, condition);
        self.abandon(&instance);
        self.touched.insert(instance.app.clone());
        self.change(Change::Instance(id.clone(), None));
    }

    /// An instance is to end. One that was never sent anywhere is gone at once.
    fn decommission(&mut self, id: &InstanceId) {
        let Some(instance) = self.state.instance(id) else {
            return;
        };
        if !instance.is_launched() {
            return self.forget(id, "Killed");
        }
        if instance.goal == Goal::Decommissioned {
            return;
        }
        let mut instance = instance.clone();
        instance.goal = Goal::Decommissioned;
        let condition = instance.condition;
        self.put(instance, condition);
    }

    /// Instances of an app or pod wait for offers: those that rest, and new ones.
    fn schedule(&mut self, spec: &Spec, count: usize) {
        let awake = self.wake_up(spec, count);
        for _ in awake..count {
            let id = InstanceId::new(spec.id(), self.next_uuid());
            let instance = Instance::scheduled(id, spec, self.now);
            self.put(instance, Condition::Scheduled);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        let timers = self.state.timers.values().copied().min();
        let settings = &self.state.settings;
        let next = if self.lacks_tokens() {
            Some(self.state.tokens_at.after(settings.launch_token_refresh))
        } else {
            let oldest = self.state.offers.oldest();
            oldest.map(|since| since.after(settings.offer_hold))
        };
        let asked = self.state.asked_at.values().copied().min();
        let again = asked.map(|asked| asked.after(self.offer_patience()));
        let again = again.filter(|_| self.state.master.is_some());
        let overdue = self.next_overdue();
        let logged = self.next_log();
        [timers, next, again, overdue, logged]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests;
