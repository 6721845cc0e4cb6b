//! Finds offers for the instances that wait, and gives back what nobody needs.

use std::collections::BTreeSet;

use mesos_sdk::placement::{
    Constraint, Demand, Gpus, Launch, Place as OfferPlace, Placement, Placer, Port, Running,
    Source, value_text,
};
use mesos_sdk::{operation, v1};

use crate::effects::Call;
use crate::input::AcceptedRoles;
use crate::instance::{Condition, InstanceId, Place};
use crate::path_id::PathId;
use crate::queue::{Looked, Waiting};
use crate::spec::Spec;
use crate::state::HeldOffer;
use crate::timestamp::Timestamp;

use super::Step;
use super::deploy::Aim;
use super::task;

/// Instances of one app or pod and version that wait for nothing but offers.
struct Group {
    spec: Spec,
    version: Timestamp,
    count: u32,
}

impl Group {
    fn key(&self) -> (PathId, Timestamp) {
        (self.spec.id().clone(), self.version)
    }
}

impl Step<'_> {
    pub(super) fn launch(&mut self) {
        self.refresh_tokens();
        let groups = self.groups();
        self.note_who_waits(&groups);
        if self.state.launch_tokens > 0 && self.state.master.is_some() {
            self.match_offers(groups);
        }
        self.give_back_old_offers();
        self.say_what_is_wanted();
    }

    fn refresh_tokens(&mut self) {
        let settings = &self.state.settings;
        if self.now >= self.state.tokens_at.after(settings.launch_token_refresh) {
            self.state.launch_tokens = settings.launch_tokens;
            self.state.tokens_at = self.now;
        }
    }

    /// Whether something waits for others to run.
    pub(super) fn lacks_tokens(&self) -> bool {
        self.state.launch_tokens == 0 && !self.state.waiting.is_empty()
    }

    fn groups(&mut self) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut delayed = Vec::new();
        for ((id, version), instances) in &self.state.waiting {
            let delay = self.state.delays.get(id).map(|it| it.until());
            if let Some(until) = delay.filter(|until| *until > self.now) {
                delayed.push((id.clone(), until));
                continue;
            }
            let versions = self.state.versions.get(id);
            if let Some(spec) = versions.and_then(|versions| versions.get(version)) {
                groups.push(Group {
                    spec: spec.clone(),
                    version: *version,
                    count: u32::try_from(instances.len()).unwrap_or(u32::MAX),
                });
            }
        }
        for (app, until) in delayed {
            self.look_again(&app, until);
        }
        groups
    }

    fn note_who_waits(&mut self, groups: &[Group]) {
        let waiting: BTreeSet<&PathId> = groups.iter().map(|group| group.spec.id()).collect();
        let is_waiting =
            |app: &PathId| waiting.contains(app) || self.state.delays.contains_key(app);
        self.state.queue.waiting.retain(|app, _| is_waiting(app));
        for app in waiting {
            if !self.state.queue.waiting.contains_key(app) {
                let new = Waiting::since(self.now);
                self.state.queue.waiting.insert(app.clone(), new);
            }
        }
    }

    /// Places what waits on offers that it has not seen yet.
    fn match_offers(&mut self, mut groups: Vec<Group>) {
        let newest = self.state.offers.last_number();
        let seen = |group: &Group| {
            let waiting = self.state.queue.waiting.get(group.spec.id());
            waiting.map_or(0, |waiting| waiting.exhausted(group.version))
        };
        groups.retain(|group| seen(group) < newest);
        // Those for which no token is left see nothing.
        let mut tokens = self.state.launch_tokens;
        groups.retain_mut(|group| {
            group.count = group.count.min(tokens);
            tokens -= group.count;
            group.count > 0
        });
        let Some(oldest) = groups.iter().map(seen).min() else {
            return;
        };
        let held = self.state.offers.after(oldest);
        if held.is_empty() {
            return;
        }
        let (numbers, offers): (Vec<u64>, Vec<&HeldOffer>) = held.into_iter().unzip();
        let mut running = Vec::new();
        for group in &groups {
            running.extend(self.running(&group.spec, &offers));
        }
        let demands = groups.iter().map(|it| self.demand(&it.spec, it.count));
        let demands: Vec<Demand> = demands.collect();
        let seed = self.state.seed ^ self.state.ids_made;
        let placement = Placer::spread()
            .seed(seed)
            .place(&offers, &demands, &running);
        let id = |offer: usize| offers[offer].offer.id.value.clone();
        let accepts = placement.accepts().into_iter();
        let accepts: Vec<_> = accepts
            .map(|it| (it.offers.into_iter().map(id).collect(), it.launches))
            .collect();
        self.note_what_was_seen(&groups, &numbers, &placement);
        for (offers, launches) in accepts {
            let launches = launches.iter().map(|it| &placement.launches()[*it]);
            self.accept(offers, launches, &groups);
        }
    }

    fn note_what_was_seen(&mut self, groups: &[Group], numbers: &[u64], placement: &Placement) {
        let mut used: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); groups.len()];
        for launch in placement.launches() {
            used[launch.demand].extend(&launch.offers);
        }
        for (index, (group, used)) in groups.iter().zip(used).enumerate() {
            let Some(waiting) = self.state.queue.waiting.get_mut(group.spec.id()) else {
                continue;
            };
            let is_short = placement.missing(index) > 0;
            let looked = Looked {
                version: group.version,
                numbers,
                used,
                refusals: is_short.then(|| placement.refusals(index)),
            };
            waiting.note(&looked, self.now);
        }
    }

    fn demand(&self, spec: &Spec, count: u32) -> Demand {
        let source = match (
            spec.accepted_resource_roles(),
            self.state.settings.defaults.accepted_roles,
        ) {
            (Some(roles), _) => match (roles.iter().any(|it| it == "*"), roles.len()) {
                (true, 1) => Source::Unreserved,
                (true, _) => Source::Any,
                (false, _) => Source::Reserved,
            },
            (None, AcceptedRoles::Any) => Source::Any,
            (None, AcceptedRoles::Unreserved) => Source::Unreserved,
            (None, AcceptedRoles::Reserved) => Source::Reserved,
        };
        let constraints = spec.constraints();
        let constraints = constraints
            .iter()
            .filter_map(|parts| Constraint::parse(parts).ok());
        let total = task::total(spec);
        let mut demand = Demand::new(spec.id().to_string())
            .count(count)
            .cpus(total.cpus)
            .mem_mib(total.mem)
            .disk_mib(total.disk)
            .gpus(f64::from(total.gpus))
            .gpu_agents(Gpus::Restricted)
            .role(spec.role())
            .source(source)
            .constraints(constraints);
        for port in spec.host_ports().into_iter().flatten() {
            demand = demand.port(match port {
                0 => Port::Any,
                port => Port::Fixed(port),
            });
        }
        demand
    }

    /// The instances that constraints look at: those like the new ones. While
    /// they are being replaced the old ones are about to go.
    fn running(&self, spec: &Spec, offers: &[&HeldOffer]) -> Vec<Running> {
        let id = spec.id();
        let replaced = matches!(self.aim(id), Aim::Replace(_));
        let config = spec.config();
        let offered: BTreeSet<&str> = match counts_instances(spec) {
            true => BTreeSet::new(),
            false => offers
                .iter()
                .map(|it| it.offer.agent_id.value.as_str())
                .collect(),
        };
        self.state
            .instances_of(id)
            .filter(|it| it.is_active() && it.config >= config)
            .filter(|it| !replaced || it.version == spec.version())
            .filter_map(|it| it.place.as_ref())
            // Without such constraints, others are nothing to keep away from.
            .filter(|place| offered.is_empty() || offered.contains(place.agent_id.as_str()))
            .map(|place| Running::new(id.to_string(), offer_place(place)))
            .collect()
    }

    fn accept<'a>(
        &mut self,
        offers: Vec<String>,
        launches: impl Iterator<Item = &'a Launch>,
        groups: &[Group],
    ) {
        let used = offers.iter().map(|id| self.state.offers.remove(id));
        let used: Vec<HeldOffer> = used.flatten().collect();
        // All of them are of one agent, and tell the same of it.
        let Some(offer) = used.first().map(|held| &held.offer) else {
            return;
        };
        let mut operations = Operations::default();
        for launch in launches {
            let group = &groups[launch.demand];
            let waiting = self.state.waiting.get(&group.key());
            // Whoever is sent waits no more, so this is another one each time.
            if let Some(id) = waiting.and_then(BTreeSet::first).cloned() {
                self.send(&id, &group.spec, launch, offer, &mut operations);
            }
        }
        self.effects.calls.push(Call::Accept {
            offers,
            operations: operations.in_order(),
        });
    }

    /// An instance goes to an agent: it is noted before the master is told.
    fn send(
        &mut self,
        id: &InstanceId,
        spec: &Spec,
        launch: &Launch,
        offer: &v1::Offer,
        operations: &mut Operations,
    ) {
        let mut drawn = launch.ports.iter().copied();
        let ports = spec.host_ports().into_iter();
        let ports = ports.map(|port| port.and_then(|_| drawn.next()).unwrap_or(0));
        let of_offer = OfferPlace::of(offer);
        let place = Place {
            agent_id: launch.agent_id.value.clone(),
            hostname: launch.hostname.clone(),
            region: of_offer.region,
            zone: of_offer.zone,
            attributes: offer
                .attributes
                .iter()
                .map(|attribute| (attribute.name.clone(), value_text(attribute)))
                .collect(),
            role: launch.role.clone(),
            ports: ports.collect(),
            staged_at: self.now,
            lost_at: None,
        };
        let instance = self.state.instances[id].clone();
        let instance = instance.placed(place, spec.containers());
        self.state.launch_tokens = self.state.launch_tokens.saturating_sub(1);
        let enforces = self.state.root.enforced_role(spec.id()).is_some();
        let settings = &self.state.settings;
        match spec {
            Spec::App(app) => {
                let info = task::info(app, &instance, launch, enforces, settings);
                operations.tasks.push(info);
            }
            Spec::Pod(pod) => {
                let group = task::group(pod, &instance, launch, enforces, settings);
                operations.groups.push(group);
            }
        }
        self.note(instance, Condition::Provisioned);
        let due = self.now.after(self.state.settings.launch_confirm_timeout);
        self.look_again(spec.id(), due);
    }

    fn give_back_old_offers(&mut self) {
        // What waits only for others to run will want them.
        if self.lacks_tokens() {
            return;
        }
        let hold = self.state.settings.offer_hold;
        let old = self.state.offers.take_until(self.now.before(hold));
        if old.is_empty() {
            return;
        }
        let mut ids = Vec::new();
        for offer in old {
            let role = offer.allocation_info.and_then(|info| info.role);
            self.state.filtered.extend(role);
            ids.push(offer.id.value);
        }
        self.effects.calls.push(Call::Decline {
            offers: ids,
            refuse_seconds: self.state.settings.decline_duration.as_secs_f64(),
        });
    }

    /// Roles in which nothing waits are suppressed; they are revived when
    /// something does, and when something new waits that may use what was
    /// declined before.
    fn say_what_is_wanted(&mut self) {
        if self.state.master.is_none() {
            return;
        }
        let waiting = self.state.waiting.keys();
        let wanted: BTreeSet<String> = waiting
            .filter_map(|(id, version)| self.state.versions.get(id)?.get(version))
            .map(|spec| spec.role().to_owned())
            .collect();
        for role in self.state.roles() {
            let is_suppressed = self.state.suppressed.contains(&role);
            let is_filtered = self.state.filtered.contains(&role);
            if wanted.contains(&role) {
                if is_suppressed || (is_filtered && self.has_new_demand) {
                    self.state.suppressed.remove(&role);
                    self.state.filtered.remove(&role);
                    self.effects.calls.push(Call::Revive(role));
                }
            } else if !is_suppressed && self.state.settings.suppress_offers {
                self.state.suppressed.insert(role.clone());
                self.effects.calls.push(Call::Suppress(role));
            }
        }
    }

    /// Says that an app waits no longer after failures.
    pub(super) fn reset_delay(&mut self, id: &PathId) {
        self.change(crate::state::Change::Delay(id.clone(), None));
        self.touched.insert(id.clone());
        self.has_new_demand = true;
    }
}

/// Whether a constraint looks at other instances.
fn counts_instances(spec: &Spec) -> bool {
    let constraints = spec.constraints();
    let operators = constraints.iter().filter_map(|parts| parts.get(1));
    let mut operators = operators.map(String::as_str);
    operators.any(|operator| !matches!(operator, "LIKE" | "UNLIKE" | "IS"))
}

/// What is done with the offers of one agent.
#[derive(Default)]
struct Operations {
    tasks: Vec<v1::TaskInfo>,
    groups: Vec<v1::offer::Operation>,
}

impl Operations {
    fn in_order(self) -> Vec<v1::offer::Operation> {
        let launch = (!self.tasks.is_empty()).then(|| operation::launch(self.tasks).into());
        launch.into_iter().chain(self.groups).collect()
    }
}

fn offer_place(place: &Place) -> OfferPlace {
    let attributes = place.attributes.iter().map(|(name, text)| v1::Attribute {
        name: name.clone(),
        r#type: v1::value::Type::Text.into(),
        text: Some(v1::value::Text {
            value: text.clone(),
        }),
        ..v1::Attribute::default()
    });
    OfferPlace {
        agent_id: place.agent_id.clone(),
        hostname: place.hostname.clone(),
        region: place.region.clone(),
        zone: place.zone.clone(),
        attributes: attributes.collect(),
    }
}
