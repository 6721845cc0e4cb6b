//! Finds offers for the instances that wait, and gives back what nobody needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesos_sdk::placement::{
    Constraint, Demand, Gpus, Launch, Place as OfferPlace, Placement, Placer, Port, Running,
    Source, value_text,
};
use mesos_sdk::v1;

use crate::app::App;
use crate::effects::Call;
use crate::input::AcceptedRoles;
use crate::instance::{Condition, InstanceId, Place};
use crate::path_id::PathId;
use crate::queue::Waiting;

use super::Step;
use super::deploy::Aim;
use super::task;

/// Instances of one app and version that wait.
struct Group {
    app: Arc<App>,
    instances: Vec<InstanceId>,
}

impl Step<'_> {
    pub(super) fn launch(&mut self) {
        self.refresh_tokens();
        let groups = self.groups();
        self.forget_who_waits_no_more(&groups);
        if !groups.is_empty() && !self.state.offers.is_empty() && self.state.master.is_some() {
            self.match_offers(&groups);
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

    /// Those that wait for nothing but an offer.
    fn groups(&mut self) -> Vec<Group> {
        let mut groups: BTreeMap<(PathId, crate::timestamp::Timestamp), Group> = BTreeMap::new();
        let mut delayed = BTreeMap::new();
        for id in &self.state.waiting {
            let Some(instance) = self.state.instances.get(id) else {
                continue;
            };
            let delay = self.state.delays.get(&instance.app).map(|it| it.until());
            if let Some(until) = delay.filter(|until| *until > self.now) {
                delayed.insert(instance.app.clone(), until);
                continue;
            }
            let Some(app) = self.state.definition_of(instance) else {
                continue;
            };
            let group = groups
                .entry((instance.app.clone(), instance.version))
                .or_insert_with(|| Group {
                    app: app.clone(),
                    instances: Vec::new(),
                });
            group.instances.push(id.clone());
        }
        for (app, until) in delayed {
            self.look_again(&app, until);
        }
        groups.into_values().collect()
    }

    fn forget_who_waits_no_more(&mut self, groups: &[Group]) {
        let waiting: BTreeSet<&PathId> = groups.iter().map(|group| &group.app.id).collect();
        let is_waiting =
            |app: &PathId| waiting.contains(app) || self.state.delays.contains_key(app);
        self.state.queue.waiting.retain(|app, _| is_waiting(app));
        for group in groups {
            let entry = self.state.queue.waiting.entry(group.app.id.clone());
            entry.or_insert_with(|| Waiting {
                since: self.now,
                ..Waiting::default()
            });
        }
    }

    fn match_offers(&mut self, groups: &[Group]) {
        let offers: Vec<v1::Offer> = self
            .state
            .offers
            .values()
            .map(|(it, _)| it.clone())
            .collect();
        let mut tokens = self.state.launch_tokens;
        let mut demands = Vec::new();
        let mut running = Vec::new();
        for group in groups {
            let wanted = u32::try_from(group.instances.len()).unwrap_or(u32::MAX);
            let count = wanted.min(tokens);
            tokens -= count;
            demands.push(self.demand(&group.app, count));
            running.extend(self.running(&group.app));
        }
        let seed = self.state.seed ^ self.state.ids_made;
        let placement = Placer::spread()
            .seed(seed)
            .place(&offers, &demands, &running);
        for (index, group) in groups.iter().enumerate() {
            let waiting = self
                .state
                .queue
                .waiting
                .entry(group.app.id.clone())
                .or_default();
            waiting.note(placement.summary(index), placement.explain(index), self.now);
        }
        self.accept(&offers, groups, &placement);
    }

    fn demand(&self, app: &App, count: u32) -> Demand {
        let source = match (
            &app.accepted_resource_roles,
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
        let constraints = app.constraints.iter();
        let constraints = constraints.filter_map(|parts| Constraint::parse(parts).ok());
        let mut demand = Demand::new(app.id.to_string())
            .count(count)
            .cpus(app.cpus)
            .mem_mib(app.mem)
            .disk_mib(app.disk)
            .gpus(f64::from(app.gpus))
            .gpu_agents(Gpus::Restricted)
            .role(app.role.clone())
            .source(source)
            .constraints(constraints);
        if task::has_custom_executor(app) {
            let own = app.executor_resources.unwrap_or_default();
            demand = demand.cpus(own.cpus).mem_mib(own.mem).disk_mib(own.disk);
        }
        for port in host_ports(app).into_iter().flatten() {
            demand = demand.port(match port {
                0 => Port::Any,
                port => Port::Fixed(port),
            });
        }
        demand
    }

    /// The instances that constraints look at: those like the new ones. While
    /// an app is being replaced its old instances are about to go.
    fn running(&self, app: &App) -> Vec<Running> {
        let replaced = matches!(self.aim(&app.id), Aim::Replace(_));
        let config = app.version_info.last_config_change_at;
        self.state
            .instances_of(&app.id)
            .filter(|it| it.is_active() && it.config >= config)
            .filter(|it| !replaced || it.version == app.version)
            .filter_map(|it| it.place.as_ref())
            .map(|place| Running::new(app.id.to_string(), offer_place(place)))
            .collect()
    }

    fn accept(&mut self, offers: &[v1::Offer], groups: &[Group], placement: &Placement) {
        let mut next: Vec<usize> = vec![0; groups.len()];
        for accept in placement.accepts() {
            let launches = accept.launches.iter().map(|it| &placement.launches()[*it]);
            let mut tasks = Vec::new();
            for launch in launches {
                let group = &groups[launch.demand];
                let id = &group.instances[next[launch.demand]];
                next[launch.demand] += 1;
                tasks.push(self.send(id, &group.app, launch, &offers[launch.offers[0]]));
            }
            let ids: Vec<String> = accept
                .offers
                .iter()
                .map(|offer| offers[*offer].id.value.clone())
                .collect();
            for id in &ids {
                self.state.offers.remove(id);
            }
            self.effects.calls.push(Call::Accept {
                offers: ids,
                operations: vec![v1::offer::Operation {
                    r#type: Some(v1::offer::operation::Type::Launch.into()),
                    launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
                    ..v1::offer::Operation::default()
                }],
            });
        }
    }

    /// An instance goes to an agent: it is noted before the master is told.
    fn send(
        &mut self,
        id: &InstanceId,
        app: &App,
        launch: &Launch,
        offer: &v1::Offer,
    ) -> v1::TaskInfo {
        let mut drawn = launch.ports.iter().copied();
        let ports = host_ports(app).into_iter();
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
            addresses: Vec::new(),
            staged_at: self.now,
            started_at: None,
            is_healthy: None,
            lost_at: None,
        };
        let mut instance = self.state.instances[id].clone();
        instance.place = Some(place);
        self.state.launch_tokens = self.state.launch_tokens.saturating_sub(1);
        let enforces = self.state.root.enforced_role(&app.id).is_some();
        let info = task::info(app, &instance, launch, enforces, &self.state.settings);
        self.put(instance, Condition::Provisioned);
        // What follows from it is seen at the next step.
        if let Some(app) = self.touched.pop_last() {
            let due = self.now.after(self.state.settings.launch_confirm_timeout);
            self.look_again(&app, due);
        }
        info
    }

    fn give_back_old_offers(&mut self) {
        let hold = self.state.settings.offer_hold;
        let is_old = |since: &crate::timestamp::Timestamp| since.after(hold) <= self.now;
        let old = self
            .state
            .offers
            .iter()
            .filter(|(_, (_, since))| is_old(since));
        let old: Vec<String> = old.map(|(id, _)| id.clone()).collect();
        if old.is_empty() {
            return;
        }
        for id in &old {
            if let Some((offer, _)) = self.state.offers.remove(id) {
                let role = offer.allocation_info.and_then(|info| info.role);
                self.state.filtered.extend(role);
            }
        }
        self.effects.calls.push(Call::Decline {
            offers: old,
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
        let waiting = self.state.waiting.iter();
        let waiting = waiting.filter_map(|id| self.state.instances.get(id));
        let wanted: BTreeSet<String> = waiting
            .filter_map(|instance| self.state.definition_of(instance))
            .map(|app| app.role.clone())
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

/// The host ports of an app, in the order of its ports: 0 is any, and nothing
/// where a port has none on the host.
fn host_ports(app: &App) -> Vec<Option<u16>> {
    if app.has_host_network() {
        let definitions = app.port_definitions.iter().flatten();
        let fixed = |port| if app.require_ports { port } else { 0 };
        definitions.map(|it| Some(fixed(it.port))).collect()
    } else {
        app.port_mappings().iter().map(|it| it.host_port).collect()
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
