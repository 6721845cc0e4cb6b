//! Asks instances how they are, when it is time, and draws conclusions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::app::{App, HealthProtocol, NetworkMode, ReadinessProtocol};
use crate::effects::{Probe, ProbeKind};
use crate::instance::{Condition, Instance, InstanceId};
use crate::path_id::PathId;
use crate::probes::{Health, Outcome, Readiness, Response};
use crate::spec::Spec;

use super::Step;
use super::deploy::Aim;

/// The first check comes no later than this after an instance runs.
const FIRST_CHECK: Duration = Duration::from_secs(5);

/// How much of an answer of a readiness check is kept.
const MAX_RESPONSE: usize = 4096;

impl Step<'_> {
    /// Asks the instances of an app whatever is to be asked now.
    pub(super) fn probe(&mut self, id: &PathId) {
        let has_checks = |spec: &Spec| {
            let app = spec.app();
            app.is_some_and(|app| !app.health_checks.is_empty() || !app.readiness_checks.is_empty())
        };
        let versions = self.state.versions.get(id).into_iter();
        if !versions.flat_map(|it| it.values()).any(has_checks) {
            return;
        }
        let deploys = matches!(self.aim(id), Aim::Scale(_) | Aim::Replace(_))
            && self.state.deployment_of(id).is_some();
        for instance in self.those(id, |it| it.condition == Condition::Running) {
            // Containers of pods are asked by their executors.
            let Some(app) = self.app_of(&instance) else {
                continue;
            };
            self.probe_health(&instance, &app);
            if deploys {
                self.probe_readiness(&instance, &app);
            }
        }
    }

    fn app_of(&self, instance: &Instance) -> Option<Arc<App>> {
        let spec = self.state.definition_of(instance);
        spec.and_then(Spec::app).cloned()
    }

    fn probe_health(&mut self, instance: &Instance, app: &App) {
        for (index, check) in app.health_checks.iter().enumerate() {
            if check.protocol.is_of_mesos() {
                continue;
            }
            let interval = Duration::from_secs(check.interval_seconds);
            let found = self.state.probes.health.entry(instance.id.clone());
            let mut is_new = false;
            let health = found.or_default().entry(index).or_insert_with(|| {
                is_new = true;
                Health::default()
            });
            if is_new {
                health.next_at = Some(self.now.after(interval.min(FIRST_CHECK)));
            }
            let Some(at) = health.next_at else {
                continue; // It is being asked.
            };
            if at > self.now || self.state.probes.open >= self.state.settings.max_concurrent_probes
            {
                let at = at.max(self.now.after(Duration::from_millis(10)));
                self.look_again(&instance.app, at);
                continue;
            }
            let address = address(
                instance,
                app,
                check.port_index.map(|at| at as usize),
                check.port,
            );
            let Some((host, port)) = address else {
                continue;
            };
            health.next_at = None;
            self.state.probes.open += 1;
            self.effects.probes.push(Probe {
                instance: instance.id.clone(),
                incarnation: instance.incarnation,
                kind: ProbeKind::Health(index),
                protocol: check.protocol,
                host,
                port,
                path: check.path.clone().unwrap_or_else(|| "/".to_owned()),
                timeout: Duration::from_secs(check.timeout_seconds),
            });
        }
    }

    fn probe_readiness(&mut self, instance: &Instance, app: &App) {
        let Some(check) = app.readiness_checks.first() else {
            return;
        };
        let found = self.state.probes.readiness.entry(instance.id.clone());
        let readiness = found.or_insert_with(|| Readiness {
            next_at: Some(self.now),
            ..Readiness::default()
        });
        let Some(at) = readiness.next_at.filter(|_| !readiness.is_ready) else {
            return;
        };
        if at > self.now || self.state.probes.open >= self.state.settings.max_concurrent_probes {
            let at = at.max(self.now.after(Duration::from_millis(10)));
            return self.look_again(&instance.app, at);
        }
        let index = port_named(app, &check.port_name);
        let Some((host, port)) = address(instance, app, index, None) else {
            return;
        };
        readiness.next_at = None;
        self.state.probes.open += 1;
        self.effects.probes.push(Probe {
            instance: instance.id.clone(),
            incarnation: instance.incarnation,
            kind: ProbeKind::Readiness,
            protocol: match check.protocol {
                ReadinessProtocol::Http => HealthProtocol::Http,
                ReadinessProtocol::Https => HealthProtocol::Https,
            },
            host,
            port,
            path: check.path.clone(),
            timeout: Duration::from_secs(check.timeout_seconds),
        });
    }

    pub(super) fn probed(&mut self, probe: &Probe, outcome: &Outcome) {
        self.state.probes.open = self.state.probes.open.saturating_sub(1);
        let instance = self.state.instance(&probe.instance);
        let Some(instance) = instance
            .filter(|instance| instance.incarnation == probe.incarnation)
            .cloned()
        else {
            return;
        };
        if instance.condition != Condition::Running {
            // It says nothing now. Should it run again it is asked again.
            return self.ask_again(probe);
        }
        let Some(app) = self.app_of(&instance) else {
            return;
        };
        self.touched.insert(instance.app.clone());
        match probe.kind {
            ProbeKind::Health(index) => self.health_found(&instance, &app, index, outcome),
            ProbeKind::Readiness => self.readiness_found(&instance, &app, outcome),
        }
    }

    fn ask_again(&mut self, probe: &Probe) {
        let next_at = match probe.kind {
            ProbeKind::Health(index) => {
                let found = self.state.probes.health.get_mut(&probe.instance);
                let health = found.and_then(|found| found.get_mut(&index));
                health.map(|health| &mut health.next_at)
            }
            ProbeKind::Readiness => {
                let readiness = self.state.probes.readiness.get_mut(&probe.instance);
                readiness.map(|readiness| &mut readiness.next_at)
            }
        };
        if let Some(next_at) = next_at {
            *next_at = Some(self.now);
        }
    }

    fn health_found(
        &mut self,
        instance: &Instance,
        app: &Arc<App>,
        index: usize,
        outcome: &Outcome,
    ) {
        let Some(check) = app.health_checks.get(index) else {
            return;
        };
        let spec = Spec::App(app.clone());
        let before = self.state.probes.wellness(instance, &spec);
        let started_at = instance.started_at();
        let verdict = outcome.verdict(check);
        let found = self.state.probes.health.entry(instance.id.clone());
        let health = found.or_default().entry(index).or_default();
        let interval = Duration::from_secs(check.interval_seconds);
        health.next_at = Some(self.now.after(interval));
        let is_too_bad = health.note(
            &verdict,
            check,
            started_at.unwrap_or(instance.since),
            self.now,
        );
        // What others answered before this question was asked.
        let others_answer = health.others_answer;
        let is_silent = matches!(outcome, Outcome::Failure(_));
        if is_silent {
            let timeout = Duration::from_secs(check.timeout_seconds);
            let since = *health.silent_since.get_or_insert(self.now);
            let answers = &self.state.probes.answers;
            health.others_answer |= answers.came_after(since.after(timeout), &instance.id);
        } else {
            (health.silent_since, health.others_answer) = (None, false);
            self.state.probes.answers.note(&instance.id, self.now);
        }
        // Should they answer again now, the next answer tells.
        let nobody_answers = !health.others_answer;
        let is_alive = health.is_alive();
        let failures = health.consecutive_failures;
        let cause = health.last_failure_cause.clone();
        if !is_alive && health.last_failure == Some(self.now) {
            self.tell(
                "failed_health_check_event",
                json!({
                    "appId": instance.app,
                    "taskId": instance.id,
                    "instanceId": instance.id,
                    "healthCheck": check,
                }),
            );
        }
        if self.state.probes.wellness(instance, &spec) != before {
            self.tell(
                "health_status_changed_event",
                json!({
                    "appId": instance.app,
                    "instanceId": instance.id,
                    "version": instance.version,
                    "alive": is_alive,
                }),
            );
            self.tell(
                "instance_health_changed_event",
                json!({
                    "instanceId": instance.id,
                    "runSpecId": instance.app,
                    "healthy": is_alive,
                    "runSpecVersion": instance.version,
                }),
            );
        }
        if !is_too_bad || instance.condemned_at.is_some() {
            return;
        }
        if !is_silent || others_answer || (nobody_answers && self.is_tried(app)) {
            if !self.condemn(instance) {
                self.tell_of_unhealthy("unhealthy_instance_kill_event", instance, cause);
                self.end(&instance.id);
            }
        } else if failures == check.max_consecutive_failures + 1 {
            let cause = format!(
                "{}; so it is with every other one",
                cause.unwrap_or_default()
            );
            self.tell_of_unhealthy("unhealthy_instance_spared_event", instance, Some(cause));
        }
    }

    pub(super) fn tell_of_unhealthy(
        &mut self,
        kind: &'static str,
        instance: &Instance,
        cause: Option<String>,
    ) {
        let place = instance.place.as_ref();
        self.tell(
            kind,
            json!({
                "appId": instance.app,
                "taskId": instance.task_id().to_string(),
                "instanceId": instance.id,
                "version": instance.version,
                "reason": cause,
                "host": place.map(|place| &place.hostname),
                "slaveId": place.map(|place| &place.agent_id),
            }),
        );
    }

    /// Whether an instance that does not answer is killed though none of the
    /// others answered since. One that answers badly is at fault itself, and so
    /// is one that is silent while others answer. Where nobody answers our own
    /// network is broken, and to kill everybody would make it worse: then one is
    /// killed, of an app that has more, and no other before anything answers
    /// again. Where there are no others to ask nobody can tell.
    fn is_tried(&mut self, app: &App) -> bool {
        let probes = &self.state.probes;
        if probes.health.len() <= 1 {
            return true;
        }
        if !probes.answers.came_after_trial() {
            return false;
        }
        let has_more = |id: &PathId| {
            let app = self.state.root.app(id);
            app.is_some_and(|app| app.instances > 1)
        };
        let mut asked = probes.health.keys();
        let is_better = |id: &InstanceId| {
            let other = self.state.instances.get(id);
            other.is_some_and(|other| has_more(&other.app))
        };
        if !has_more(&app.id) && asked.any(is_better) {
            return false;
        }
        self.state.probes.answers.tried_at = Some(self.now);
        true
    }

    fn readiness_found(&mut self, instance: &Instance, app: &App, outcome: &Outcome) {
        let Some(check) = app.readiness_checks.first() else {
            return;
        };
        let readiness = self.state.probes.readiness.entry(instance.id.clone());
        let readiness = readiness.or_default();
        let response = match outcome {
            Outcome::Answer(response) => Some(response),
            Outcome::Connected | Outcome::Failure(_) => None,
        };
        if response.is_some() {
            self.state.probes.answers.note(&instance.id, self.now);
        }
        readiness.is_ready =
            response.is_some_and(|it| check.http_status_codes_for_ready.contains(&it.status));
        readiness.last_response = response.filter(|_| check.preserve_last_response).map(|it| {
            let end = it.body.floor_char_boundary(MAX_RESPONSE);
            Response {
                body: it.body[..end].to_owned(),
                ..it.clone()
            }
        });
        let interval = Duration::from_secs(check.interval_seconds);
        readiness.next_at = Some(self.now.after(interval));
    }
}

fn port_named(app: &App, name: &str) -> Option<usize> {
    if app.has_host_network() {
        let mut definitions = app.port_definitions.iter().flatten();
        definitions.position(|definition| definition.name.as_deref() == Some(name))
    } else {
        let mut mappings = app.port_mappings().iter();
        mappings.position(|mapping| mapping.name.as_deref() == Some(name))
    }
}

/// Where one of an instance's ports is reached: on its host, or in its container
/// where the host has none for it.
fn address(
    instance: &Instance,
    app: &App,
    index: Option<usize>,
    fixed: Option<u16>,
) -> Option<(String, u16)> {
    let place = instance.place.as_ref()?;
    let mapping = index.and_then(|index| app.port_mappings().get(index));
    let is_inside = app
        .networks
        .iter()
        .any(|network| network.mode == NetworkMode::Container)
        && mapping.is_none_or(|mapping| mapping.host_port.is_none());
    if is_inside {
        let address = instance.addresses().next()?.ip_address.clone();
        let port = fixed.or(mapping.map(|mapping| mapping.container_port))?;
        return Some((address, port));
    }
    let port = match (fixed, index) {
        (Some(port), _) => port,
        (None, Some(index)) => *place.ports.get(index)?,
        (None, None) => return None,
    };
    Some((place.hostname.clone(), port))
}
