//! Makes one app or pod as it is to be: instances start, end, are given up and are
//! asked for again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::app::UnreachableStrategy;
use crate::deployment::rolling::{self, ByHealth, Counts};
use crate::deployment::scale_down::{self, Candidate, Stage};
use crate::effects::Call;
use crate::instance::{Condition, Goal, Instance, InstanceId};
use crate::path_id::PathId;
use crate::probes::Wellness;
use crate::spec::Spec;
use crate::state::{Change, State};
use crate::timestamp::Timestamp;

use super::Step;
use super::deploy::Aim;

/// After so long without a launch an agent is taken to be gone.
const AGENT_GONE: Duration = Duration::from_secs(600);

/// How many instances there are to be: so many as were asked for, or one for
/// each agent that is known to be there.
fn wanted<'a>(spec: &Spec, instances: impl Iterator<Item = &'a Instance>) -> usize {
    if !spec.is_everywhere() || spec.instances() == 0 {
        return spec.instances() as usize;
    }
    let there = instances.filter(|it| {
        it.goal != Goal::Decommissioned && it.condition != Condition::UnreachableInactive
    });
    there.count()
}

/// After a new connection, how long instances that nothing is heard of are
/// waited for before it is decided which ones go.
pub(super) const RECONCILED_IN: Duration = Duration::from_secs(30);

/// Which instances are as an app is to be: those of its configuration, and when
/// it is restarted those of its very version only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike {
    version: Timestamp,
    config: Option<Timestamp>,
}

impl Alike {
    pub(super) fn are(self, instance: &Instance) -> bool {
        instance.version == self.version || Some(instance.config) == self.config
    }
}

impl State {
    /// Which instances are as an app or pod is to be.
    pub(super) fn alike(&self, spec: &Spec) -> Alike {
        let deployment = self.deployment_of(spec.id());
        let change = deployment.and_then(|it| it.plan.changes.get(spec.id()));
        let is_restart = change.is_some_and(|change| match (&change.from, &change.to) {
            (Some(from), Some(to)) => {
                let is_it = to.version() == spec.version();
                is_it && from.needs_restart(to) && from.config() == to.config()
            }
            _ => false,
        });
        Alike {
            version: spec.version(),
            config: (!is_restart).then_some(spec.config()),
        }
    }
}

impl Step<'_> {
    /// Looks at one app or pod, and does what is to be done to it now.
    pub(super) fn tend(&mut self, id: &PathId) {
        self.state.timers.remove(id);
        if let Some(waiting) = self.state.queue.waiting.get_mut(id) {
            waiting.look_again();
        }
        self.give_up_lost(id);
        self.give_up_overdue(id);
        self.give_up_agents(id);
        self.end_condemned(id);
        let is_as_wanted = match self.aim(id) {
            Aim::Nothing => true,
            Aim::Stop => self.stop(id),
            Aim::Scale(spec) => self.scale(&spec),
            Aim::Replace(spec) => self.replace(&spec),
        };
        self.is_as_wanted(id, is_as_wanted);
        self.kill_what_is_to_end(id);
        self.probe(id);
    }

    /// Looks at the app again at that time.
    pub(super) fn look_again(&mut self, id: &PathId, at: Timestamp) {
        let timer = self.state.timers.entry(id.clone()).or_insert(at);
        *timer = at.min(*timer);
    }

    fn of(&self, id: &PathId) -> Vec<Arc<Instance>> {
        self.those(id, |_| true)
    }

    /// The instances of an app of which that is true.
    pub(super) fn those(
        &self,
        id: &PathId,
        is_it: impl Fn(&Instance) -> bool,
    ) -> Vec<Arc<Instance>> {
        let instances = self.state.by_app.get(id).into_iter();
        let instances = instances.flat_map(|them| them.values());
        instances.filter(|it| is_it(it)).cloned().collect()
    }

    fn stop(&mut self, id: &PathId) -> bool {
        for instance in self.of(id) {
            self.decommission(&instance.id);
        }
        let is_gone = !self.state.by_app.contains_key(id);
        if is_gone {
            self.state.queue.waiting.remove(id);
        }
        is_gone
    }

    fn scale(&mut self, spec: &Spec) -> bool {
        self.drop_outdated(spec, self.alike(spec));
        let wanted = wanted(spec, self.state.instances_of(spec.id())) + self.condemned(spec);
        let instances = self.state.instances_of(spec.id());
        let active = instances.filter(|it| it.is_active()).count();
        if active < wanted {
            self.schedule(spec, wanted - active);
            return false;
        }
        if active > wanted {
            // What it is said to have been may never have come to be, and more of
            // it may be wanted when its turn comes: what runs stays.
            if self.state.is_ahead(spec.id()) {
                let waits =
                    |it: &Instance| it.is_active() && !it.is_launched() && it.bond.is_none();
                let waiting = self.those(spec.id(), waits).into_iter();
                for instance in waiting.take(active - wanted) {
                    self.decommission(&instance.id);
                }
                return false;
            }
            let those = self.those(spec.id(), Instance::is_active);
            let least = rolling::bounds(wanted, spec.upgrade_strategy(), false).0;
            self.shed(spec, &those, active - wanted, least);
            let mut left = self.state.instances_of(spec.id());
            return wanted == 0 && left.all(|it| it.goal == Goal::Stopped && !it.is_launched());
        }
        let is_ending = |it: &Instance| {
            it.goal != Goal::Running
                && it.is_launched()
                && it.condition != Condition::UnreachableInactive
        };
        // Nobody knows how many agents there are before they offer something.
        let is_seen = !spec.is_everywhere() || spec.instances() == 0 || active > 0;
        self.has_new_demand |= !is_seen;
        let mut all = self.state.instances_of(spec.id());
        // What is quick to see comes first: of many some are mostly on their way.
        let is_there = |it: &Instance| {
            !is_ending(it) && (!it.is_active() || it.condition == Condition::Running)
        };
        is_seen
            && all.all(is_there)
            && self.state.instances_of(spec.id()).all(|it| {
                !it.is_active() || self.wellness(it) == Wellness::Healthy && self.is_ready(it)
            })
    }

    /// Which instances are as an app or pod is to be.
    pub(super) fn alike(&self, spec: &Spec) -> Alike {
        self.state.alike(spec)
    }

    /// What waits for an offer to run as it was waits no longer.
    fn drop_outdated(&mut self, spec: &Spec, alike: Alike) {
        if spec.is_everywhere() {
            return; // They stand for the agents that there are.
        }
        // One that has volumes keeps them, and waits where they are.
        let is_free = |it: &Instance| !it.is_launched() && it.bond.is_none();
        let is_outdated = |it: &Instance| is_free(it) && !alike.are(it);
        for instance in self.those(spec.id(), is_outdated) {
            self.decommission(&instance.id);
        }
    }

    fn replace(&mut self, spec: &Spec) -> bool {
        let alike = self.alike(spec);
        self.drop_outdated(spec, alike);
        let instances = self.of(spec.id());
        let mut counts = Counts {
            target: wanted(spec, instances.iter().map(Arc::as_ref)),
            ..Counts::default()
        };
        let mut old: BTreeMap<u8, Vec<Arc<Instance>>> = BTreeMap::new();
        let mut new = Vec::new();
        for instance in instances {
            let is_ending = instance.goal != Goal::Running
                && instance.is_launched()
                && instance.condition != Condition::UnreachableInactive;
            if is_ending {
                counts.killed += 1;
            } else if alike.are(&instance) {
                if !instance.is_active() {
                    continue;
                }
                counts.new += 1;
                let is_ready =
                    self.wellness(&instance) == Wellness::Healthy && self.is_ready(&instance);
                counts.new_ready += usize::from(is_ready);
                new.push(instance);
            } else if instance.goal == Goal::Running {
                let (place, number) = match self.wellness(&instance) {
                    Wellness::Unhealthy => (0, &mut counts.old.unhealthy),
                    Wellness::Unknown => (1, &mut counts.old.unknown),
                    Wellness::Healthy => (2, &mut counts.old.healthy),
                };
                *number += 1;
                old.entry(place).or_default().push(instance);
            }
        }
        let bounds = rolling::bounds_of(spec, counts.target);
        let moves = rolling::moves(counts, bounds);
        let surplus = counts.new.saturating_sub(counts.target);
        if surplus > 0 {
            let old = counts.old.healthy - moves.kill.healthy;
            self.shed(spec, &new, surplus, bounds.0.saturating_sub(old));
        }
        let ByHealth {
            healthy,
            unknown,
            unhealthy,
        } = moves.kill;
        for (place, count) in [(0, unhealthy), (1, unknown), (2, healthy)] {
            let those = old.remove(&place).unwrap_or_default();
            for id in self.chosen(spec, &those, count, 0) {
                self.end(&id);
            }
        }
        self.schedule(spec, moves.start);
        counts.is_done()
    }

    /// So many of these are too many, and so many that are well are to stay. As
    /// long as nobody knows who is there, those go that were sent nowhere.
    fn shed(&mut self, spec: &Spec, those: &[Arc<Instance>], surplus: usize, least: usize) {
        let gone = if self.is_sure(spec.id(), those) {
            self.chosen(spec, those, surplus, least)
        } else {
            let waits =
                |it: &&Arc<Instance>| it.condition == Condition::Scheduled && it.bond.is_none();
            let waiting = those.iter().filter(waits).take(surplus);
            waiting.map(|it| it.id.clone()).collect()
        };
        for id in gone {
            self.end(&id);
        }
    }

    /// Whether enough is known to say which of these are to go: something was
    /// heard of each since there is a connection, or they had their time.
    fn is_sure(&mut self, id: &PathId, those: &[Arc<Instance>]) -> bool {
        let unconfirmed = &self.state.unconfirmed;
        if !those.iter().any(|it| unconfirmed.contains(&it.id)) {
            return true;
        }
        if self.state.master.is_none() {
            return false; // A new connection looks at every app.
        }
        let due = self.state.subscribed_at.after(RECONCILED_IN);
        if self.now < due {
            self.look_again(id, due);
        }
        self.now >= due
    }

    /// Those that go when so many are to go, and so many that are well are to
    /// stay.
    fn chosen(
        &mut self,
        spec: &Spec,
        those: &[Arc<Instance>],
        count: usize,
        least: usize,
    ) -> Vec<InstanceId> {
        if count == 0 {
            return Vec::new();
        }
        let constraints = spec.constraints();
        let fields: Vec<&str> = constraints
            .iter()
            .filter(|constraint| constraint.get(1).is_some_and(|it| it == "GROUP_BY"))
            .filter_map(|constraint| constraint.first())
            .map(String::as_str)
            .collect();
        let running: Vec<Stage> = those.iter().map(|it| self.stage_of_running(it)).collect();
        let candidates = those
            .iter()
            .zip(running)
            .map(|(instance, running)| Candidate {
                id: instance.id.clone(),
                stage: match instance.condition {
                    Condition::Killing => Stage::Ending,
                    Condition::Unreachable | Condition::UnreachableInactive => Stage::Unreachable,
                    Condition::Scheduled => Stage::Waiting,
                    Condition::Provisioned | Condition::Staging => Stage::Staging,
                    Condition::Starting => Stage::Starting,
                    Condition::Running => running,
                    // Part of it has ended, and the rest is about to.
                    _ => Stage::Ending,
                },
                staged_at: instance
                    .place
                    .as_ref()
                    .map_or(instance.since, |place| place.staged_at),
                groups: fields
                    .iter()
                    .map(|field| {
                        let place = instance.place.as_ref();
                        place
                            .and_then(|place| place.value(field))
                            .unwrap_or_default()
                    })
                    .collect(),
            });
        scale_down::choose(candidates.collect(), count, spec.kill_selection(), least)
    }

    /// What is known of an instance that runs. Of whom nothing is known though
    /// its checks had their time, they say nothing good.
    fn stage_of_running(&mut self, instance: &Instance) -> Stage {
        match self.wellness(instance) {
            Wellness::Healthy => Stage::Running,
            Wellness::Unhealthy => Stage::Unhealthy,
            Wellness::Unknown => {
                let since = instance.started_at().unwrap_or(instance.since);
                let since = since.max(self.state.subscribed_at);
                let spec = self.state.definition_of(instance);
                let due = since.after(spec.map(Spec::known_in).unwrap_or_default());
                if self.now >= due {
                    return Stage::Unhealthy;
                }
                self.look_again(&instance.app, due);
                Stage::Unknown
            }
        }
    }

    /// Instances whose agent is out of reach for too long.
    fn give_up_lost(&mut self, id: &PathId) {
        let is_lost = |it: &Instance| {
            matches!(
                it.condition,
                Condition::Unreachable | Condition::UnreachableInactive
            )
        };
        for instance in self.those(id, is_lost) {
            let strategy = self.state.definition_of(&instance);
            let strategy = strategy.map(Spec::unreachable_strategy).unwrap_or_default();
            let UnreachableStrategy::Enabled {
                inactive_after_seconds,
                expunge_after_seconds,
            } = strategy
            else {
                continue;
            };
            let since = instance.place.as_ref().and_then(|place| place.lost_at);
            let since = since.unwrap_or(instance.since);
            let inactive = since.after(Duration::from_secs(inactive_after_seconds));
            let expunged = since.after(Duration::from_secs(expunge_after_seconds));
            if self.now >= expunged {
                self.forget(&instance.id, "Gone");
            } else if self.now >= inactive && instance.condition == Condition::Unreachable {
                let mut instance = Instance::clone(&instance);
                for task in &mut instance.tasks {
                    if task.condition == Condition::Unreachable {
                        task.condition = Condition::UnreachableInactive;
                    }
                }
                self.put(instance, Condition::UnreachableInactive);
                self.look_again(id, expunged);
            } else {
                self.look_again(
                    id,
                    if self.now < inactive {
                        inactive
                    } else {
                        expunged
                    },
                );
            }
        }
    }

    /// Instances that were sent out and do not come to run.
    fn give_up_overdue(&mut self, id: &PathId) {
        let is_on_its_way = |it: &Instance| {
            it.goal == Goal::Running
                && matches!(
                    it.condition,
                    Condition::Provisioned | Condition::Staging | Condition::Starting
                )
        };
        let settings = &self.state.settings;
        let due = |instance: &Instance| {
            let timeout = if instance.condition == Condition::Provisioned {
                settings.launch_confirm_timeout
            } else {
                settings.launch_timeout
            };
            let staged_at = instance.place.as_ref().map(|place| place.staged_at);
            staged_at.unwrap_or(instance.since).after(timeout)
        };
        let mut overdue = Vec::new();
        let mut next = None;
        for instance in self.state.instances_of(id).filter(|it| is_on_its_way(it)) {
            let due = due(instance);
            if self.now >= due {
                overdue.push(instance.id.clone());
            } else {
                next = Some(next.map_or(due, |next: Timestamp| next.min(due)));
            }
        }
        for instance in overdue {
            self.end(&instance);
        }
        if let Some(next) = next {
            self.look_again(id, next);
        }
    }

    /// Instances of apps that run everywhere, whose agent offers nothing any
    /// more. When it is back, so are they.
    fn give_up_agents(&mut self, id: &PathId) {
        if !self.state.root.spec(id).is_some_and(Spec::is_everywhere) {
            return;
        }
        let waits = |it: &Instance| it.condition == Condition::Scheduled;
        for instance in self.those(id, waits) {
            let due = instance.since.after(AGENT_GONE);
            if self.now >= due {
                self.forget(&instance.id, "Gone");
            } else {
                self.look_again(id, due);
            }
        }
    }

    fn kill_what_is_to_end(&mut self, id: &PathId) {
        let is_to_end = |it: &Instance| it.goal != Goal::Running && it.is_launched();
        if self.state.master.is_none() {
            return; // A new connection looks at every app.
        }
        let retry = self.state.settings.kill_retry;
        for instance in self.those(id, is_to_end) {
            // What was said over an earlier connection may not have arrived.
            let said = instance
                .killed_at
                .filter(|at| *at >= self.state.subscribed_at);
            let due = said.map(|killed| killed.after(retry));
            if let Some(due) = due.filter(|due| self.now < *due) {
                self.look_again(id, due);
                continue;
            }
            let agent_id = instance.place.as_ref().map(|place| place.agent_id.clone());
            self.effects
                .calls
                .extend(instance.open_task_ids().map(|id| Call::Kill {
                    task_id: id.to_string(),
                    agent_id: agent_id.clone(),
                }));
            let mut instance = Instance::clone(&instance);
            instance.killed_at = Some(self.now);
            let change = Change::Instance(instance.id.clone(), Some(Arc::new(instance)));
            self.change(change);
            self.look_again(id, self.now.after(retry));
        }
    }

    pub(super) fn wellness(&self, instance: &Instance) -> Wellness {
        self.state.wellness(instance)
    }

    pub(super) fn is_ready(&self, instance: &Instance) -> bool {
        self.state.is_ready(instance)
    }
}
