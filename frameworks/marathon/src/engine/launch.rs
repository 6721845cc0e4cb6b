//! Finds offers for the instances that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::placement::{
    Constraint, Demand, Launch, Place as OfferPlace, Placement, Placer, Port, Running, Source,
    value_text,
};
use mesos_sdk::{operation, v1};

use crate::app::PersistentKind;
use crate::effects::Call;
use crate::input::AcceptedRoles;
use crate::instance::{Bond, Condition, Instance, InstanceId, Place};
use crate::path_id::PathId;
use crate::queue::{Looked, Waiting};
use crate::spec::Spec;
use crate::state::HeldOffer;
use crate::timestamp::Timestamp;

use super::Step;
use super::deploy::Aim;
use super::{resident, task};

/// Instances of one app or pod and version that wait for nothing but offers.
struct Group {
    spec: Spec,
    version: Timestamp,
    count: u32,
    /// The one that is meant, where it is tied to an agent.
    instance: Option<InstanceId>,
    /// The agent that it must be, if it must be one.
    agent: Option<String>,
    /// Disks and volumes that it must have.
    disks: Vec<v1::Resource>,
}

impl Group {
    fn key(&self) -> (PathId, Timestamp) {
        (self.spec.id().clone(), self.version)
    }
}

impl Step<'_> {
    pub(super) fn launch(&mut self) {
        self.refresh_tokens();
        self.cover();
        let groups = self.groups();
        self.note_who_waits(&groups);
        if self.state.launch_tokens > 0 && self.state.master.is_some() {
            self.match_offers(groups);
        }
        self.free();
        self.give_back_old_offers();
        self.say_what_is_wanted();
    }

    /// Apps that run everywhere get an instance for each agent that offers
    /// something and has none.
    fn cover(&mut self) {
        let specs: Vec<PathId> = self
            .state
            .root
            .everywhere()
            .map(|it| it.id().clone())
            .collect();
        for id in specs {
            let (Aim::Scale(spec) | Aim::Replace(spec)) = self.aim(&id) else {
                continue;
            };
            if !spec.is_everywhere() || spec.instances() == 0 {
                continue;
            }
            for (agent_id, hostname) in self.uncovered(&spec) {
                let uuid = self.next_uuid();
                let mut instance = Instance::scheduled(InstanceId::new(&id, uuid), &spec, self.now);
                instance.bond = Some(Bond {
                    agent_id,
                    hostname,
                    volumes: Vec::new(),
                    is_confirmed: true,
                    framework_id: None,
                });
                self.note(instance, Condition::Scheduled);
            }
        }
    }

    /// The agents that a spec's constraints admit and that have no instance of
    /// it, with their host names.
    fn uncovered(&self, spec: &Spec) -> BTreeMap<String, String> {
        let instances = self.state.instances_of(spec.id());
        let bonds = instances.filter_map(|it| it.bond.as_ref());
        let covered: BTreeSet<&str> = bonds.map(|bond| bond.agent_id.as_str()).collect();
        let offers: Vec<&HeldOffer> = self
            .state
            .offers
            .after(0)
            .into_iter()
            .map(|(_, held)| held)
            .filter(|held| !covered.contains(held.offer.agent_id.value.as_str()))
            .collect();
        if offers.is_empty() {
            return BTreeMap::new();
        }
        let constraints = spec.constraints();
        let constraints = constraints
            .iter()
            .filter_map(|parts| Constraint::parse(parts).ok());
        let any = Demand::new(spec.id().to_string())
            .role(spec.role())
            .constraints(constraints)
            .count(0);
        let refusals = Placer::spread().place(&offers, &[any], &[]).refusals(0);
        let refused: BTreeSet<&str> = refusals.iter().map(|it| it.agent_id.as_str()).collect();
        let offers = offers.iter().map(|held| &held.offer);
        offers
            .filter(|offer| !refused.contains(offer.agent_id.value.as_str()))
            .map(|offer| (offer.agent_id.value.clone(), offer.hostname.clone()))
            .collect()
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
                let group = |count: usize, instance: Option<&InstanceId>| Group {
                    spec: spec.clone(),
                    version: *version,
                    count: u32::try_from(count).unwrap_or(u32::MAX),
                    instance: instance.cloned(),
                    agent: None,
                    disks: Vec::new(),
                };
                if !spec.is_bonding() {
                    groups.push(group(instances.len(), None));
                    continue;
                }
                let is_free = |id: &&InstanceId| self.bond(id).is_none();
                let free = instances.iter().filter(is_free).count();
                let tied = instances.iter().filter(|id| !is_free(id));
                groups.extend(tied.map(|id| group(1, Some(id))));
                groups.extend((free > 0).then(|| group(free, None)));
            }
        }
        for (app, until) in delayed {
            self.look_again(&app, until);
        }
        groups
    }

    fn bond(&self, id: &InstanceId) -> Option<&Bond> {
        self.state.instances.get(id)?.bond.as_ref()
    }

    /// Groups that need more than numbers, with the disks and volumes that are
    /// offered for them.
    fn with_disks(&self, groups: Vec<Group>, offers: &[&HeldOffer]) -> Vec<Group> {
        let mut all = Vec::with_capacity(groups.len());
        for mut group in groups {
            if let Some(bond) = group.instance.as_ref().and_then(|id| self.bond(id)) {
                group.agent = Some(bond.agent_id.clone());
                group.disks = resident::volumes(bond, offers);
                all.push(group);
                continue;
            }
            let volumes = group.spec.persistent_volumes();
            let mut kinds = volumes.iter().map(|(_, it)| it.kind);
            if kinds.all(|kind| kind == PersistentKind::Root) {
                all.push(group);
                continue;
            }
            // One for each agent that has such disks.
            let fit = offers.iter().filter(|held| {
                let role = held.offer.allocation_info.as_ref();
                role.and_then(|it| it.role.as_deref()) == Some(group.spec.role())
            });
            let fit = fit.filter_map(|held| {
                let disks = resident::disks(&held.offer, &group.spec)?;
                Some((held.offer.agent_id.value.clone(), disks))
            });
            all.extend(fit.take(group.count as usize).map(|(agent, disks)| Group {
                count: 1,
                agent: Some(agent),
                disks,
                spec: group.spec.clone(),
                instance: None,
                version: group.version,
            }));
        }
        all
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
        let groups = self.with_disks(groups, &offers);
        // Several versions of one app may wait, and none counts twice.
        let mut running = BTreeMap::new();
        for group in &groups {
            running.extend(self.running(&group.spec, &offers));
        }
        let running: Vec<Running> = running.into_values().collect();
        let demands = groups.iter().map(|it| self.demand(it));
        let demands: Vec<Demand> = demands.collect();
        let seed = self.state.seed ^ self.state.ids_made;
        let mut placer = Placer::spread().seed(seed).label_key(resident::INSTANCE);
        if let Some(draining) = self.state.settings.maintenance {
            let now = u64::try_from(self.now.as_millis()).unwrap_or(0);
            placer = placer.maintenance(Duration::from_millis(now), draining);
        }
        let placement = placer.place(&offers, &demands, &running);
        let infos: Vec<Arc<v1::Offer>> = offers.iter().map(|it| Arc::clone(&it.offer)).collect();
        let id = |offer: usize| offers[offer].offer.id.value.clone();
        let accepts = placement.accepts().into_iter();
        let accepts: Vec<_> = accepts
            .map(|it| (it.offers.into_iter().map(id).collect(), it.launches))
            .collect();
        self.note_what_was_seen(&groups, &infos, &numbers, &placement);
        for (offers, launches) in accepts {
            let launches = launches.iter().map(|it| &placement.launches()[*it]);
            self.accept(offers, launches, &groups);
        }
    }

    fn note_what_was_seen(
        &mut self,
        groups: &[Group],
        offers: &[Arc<v1::Offer>],
        numbers: &[u64],
        placement: &Placement,
    ) {
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
                offers,
                numbers,
                used,
                refusals: is_short.then(|| placement.refusals(index)),
            };
            waiting.note(&looked, self.now);
        }
    }

    fn demand(&self, group: &Group) -> Demand {
        let spec = &group.spec;
        let mut total = task::total(spec, &self.state.settings);
        let tied = group.instance.as_ref().filter(|_| spec.is_resident());
        let source = match tied {
            Some(id) => self.own_source(id),
            // What is reserved already cannot be reserved again.
            None if spec.is_resident() => Source::Unreserved,
            None => self.source(spec),
        };
        if spec.is_resident() && tied.is_none() {
            let volumes = spec.persistent_volumes().into_iter();
            let on_root = volumes.filter(|(_, it)| it.kind == PersistentKind::Root);
            total.disk += on_root.map(|(_, it)| resident::size(it)).sum::<f64>();
        }
        let constraints = spec.constraints();
        let constraints = constraints
            .iter()
            .filter(|_| group.instance.is_none())
            .filter_map(|parts| Constraint::parse(parts).ok());
        let mut demand = Demand::new(spec.id().to_string())
            .count(group.count)
            .cpus(total.cpus)
            .mem_mib(total.mem)
            .disk_mib(total.disk)
            .gpus(f64::from(total.gpus))
            .gpu_agents(self.state.settings.gpu_agents)
            .role(spec.role())
            .source(source)
            .constraints(constraints);
        for disk in &group.disks {
            demand = demand.exactly(disk.clone());
        }
        if let Some(agent) = &group.agent {
            demand = demand.on_agent(agent.clone());
        }
        for port in spec.host_ports().into_iter().flatten() {
            demand = demand.port(match port {
                0 => Port::Any,
                port => Port::Fixed(port),
            });
        }
        demand
    }

    /// The resources that an app or pod may use, by reservation.
    fn source(&self, spec: &Spec) -> Source {
        match (
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
        }
    }

    /// The instances that constraints look at: those like the new ones, until
    /// they have ended. While they are being replaced the old ones are about to
    /// go.
    fn running(&self, spec: &Spec, offers: &[&HeldOffer]) -> Vec<(InstanceId, Running)> {
        let id = spec.id();
        let replaced = matches!(self.aim(id), Aim::Replace(_)).then(|| self.alike(spec));
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
            .filter(|it| it.is_launched() && it.condition != Condition::UnreachableInactive)
            .filter(|it| it.config >= config)
            .filter(|it| replaced.is_none_or(|alike| alike.are(it)))
            .filter_map(|it| Some((it.id.clone(), it.place.as_ref()?)))
            // Without such constraints, others are nothing to keep away from.
            .filter(|(_, place)| offered.is_empty() || offered.contains(place.agent_id.as_str()))
            .map(|(own, place)| (own, Running::new(id.to_string(), offer_place(place))))
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
            // Whoever is sent waits no more, so this is another one each time.
            if let Some(id) = self.next_of(group) {
                self.send(&id, &group.spec, launch, offer, &mut operations);
            }
        }
        self.effects.calls.push(Call::Accept {
            offers,
            operations: operations.in_order(),
        });
    }

    /// Who of a group waits and is sent next.
    fn next_of(&self, group: &Group) -> Option<InstanceId> {
        if group.instance.is_some() {
            return group.instance.clone();
        }
        let mut waiting = self.state.waiting.get(&group.key())?.iter();
        let is_bonding = group.spec.is_bonding();
        let next = waiting.find(|id| !is_bonding || self.bond(id).is_none());
        next.cloned()
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
        let instance = Instance::clone(&self.state.instances[id]);
        let mut instance = instance.placed(place, spec.containers());
        let mut launch = launch.clone();
        if spec.is_resident() && instance.bond.is_none() {
            let founded = self.found(id, spec, &launch);
            operations.before.extend(founded.operations);
            launch.resources = founded.resources;
            instance.bond = Some(founded.bond);
        }
        self.state.launch_tokens = self.state.launch_tokens.saturating_sub(1);
        let enforces = self.state.root.enforced_role(spec.id()).is_some();
        let settings = &self.state.settings;
        match spec {
            Spec::App(app) => {
                let info = task::info(app, &instance, &launch, enforces, settings);
                operations.tasks.push(info);
            }
            Spec::Pod(pod) => {
                let group = task::group(pod, &instance, &launch, enforces, settings);
                operations.groups.push(group);
            }
        }
        self.note(instance, Condition::Provisioned);
        let due = self.now.after(self.state.settings.launch_confirm_timeout);
        self.look_again(spec.id(), due);
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
    before: Vec<v1::offer::Operation>,
    tasks: Vec<v1::TaskInfo>,
    groups: Vec<v1::offer::Operation>,
}

impl Operations {
    fn in_order(self) -> Vec<v1::offer::Operation> {
        let launch = (!self.tasks.is_empty()).then(|| operation::launch(self.tasks).into());
        self.before
            .into_iter()
            .chain(launch)
            .chain(self.groups)
            .collect()
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
