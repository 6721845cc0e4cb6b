//! What the API shows of apps, instances and groups.

mod pod;

pub(super) use pod::{pod, pod_instance, pod_status};

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::deployment::Action;
use crate::instance::{Address, CheckResult, Condition, Instance};
use crate::path_id::PathId;
use crate::probes::{Health, Wellness};
use crate::root::Root;
use crate::spec::Spec;
use crate::state::{Deployment, State, TaskFailure};
use crate::timestamp::Timestamp;

/// What is to be shown of an app besides its definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Embed {
    pub(super) tasks: bool,
    pub(super) counts: bool,
    pub(super) deployments: bool,
    pub(super) readiness: bool,
    pub(super) last_task_failure: bool,
    pub(super) task_stats: bool,
}

impl Embed {
    /// What `embed` parameters ask for, each with or without what it belongs to
    /// in front.
    pub(super) fn read<'a>(parameters: impl Iterator<Item = &'a str>) -> Self {
        let mut embed = Self::default();
        for parameter in parameters {
            let name = ["group.apps.", "apps.", "app."]
                .iter()
                .find_map(|prefix| parameter.strip_prefix(prefix));
            match name.unwrap_or(parameter) {
                "tasks" => (embed.tasks, embed.deployments) = (true, true),
                "counts" => embed.counts = true,
                "deployments" => embed.deployments = true,
                "readiness" => embed.readiness = true,
                "lastTaskFailure" => embed.last_task_failure = true,
                "failures" => {
                    (embed.tasks, embed.deployments, embed.last_task_failure) = (true, true, true);
                }
                "taskStats" | "tasksStats" => embed.task_stats = true,
                _ => {}
            }
        }
        embed
    }
}

/// An app with what is asked for besides. It is written as it is read, without
/// anything in between, for lists of them are long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownApp<'a> {
    #[serde(flatten)]
    app: Cow<'a, App>,
    #[serde(flatten)]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployments: Option<Vec<ShownDeployment<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readiness_check_results: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<ShownTask<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_task_failure: Option<&'a TaskFailure>,
    /// The page reads one name, clients of later versions the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_stats: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_stats: Option<Value>,
}

/// A deployment that changes an app.
#[derive(Serialize)]
struct ShownDeployment<'a> {
    id: &'a str,
}

impl<'a> ShownApp<'a> {
    pub(super) fn of(state: &'a State, app: &'a App, embed: Embed, now: Timestamp) -> Self {
        let instances: Vec<&Instance> = state.instances_of(&app.id).collect();
        let counts = || Counts::of(state, instances.iter().copied());
        let deployments = || {
            let deployment = state.deployment_of(&app.id).into_iter();
            let shown = deployment.map(|it| ShownDeployment { id: &it.plan.id });
            shown.collect()
        };
        let tasks = || {
            let launched = instances.iter().filter(|it| it.is_launched());
            launched.map(|it| ShownTask::of(state, it, false)).collect()
        };
        let stats = embed
            .task_stats
            .then(|| task_stats(state, app, &instances, now));
        let failure = state.failures.get(&app.id);
        let mut shown = Cow::Borrowed(app);
        if app.on_every_agent && app.instances > 0 {
            // So many as there are agents for it.
            let there = instances.iter().filter(|it| it.is_active()).count();
            shown.to_mut().instances = u32::try_from(there.max(1)).unwrap_or(u32::MAX);
        }
        Self {
            app: shown,
            counts: embed.counts.then(counts),
            deployments: embed.deployments.then(deployments),
            readiness_check_results: embed.readiness.then(|| readiness(state, &instances)),
            tasks: embed.tasks.then(tasks),
            last_task_failure: failure.filter(|_| embed.last_task_failure),
            task_stats: stats.clone(),
            tasks_stats: stats,
        }
    }
}

/// The same as a value.
pub(super) fn app(state: &State, app: &App, embed: Embed, now: Timestamp) -> Value {
    json!(ShownApp::of(state, app, embed, now))
}

/// How many instances do how well.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    #[serde(rename = "tasksStaged")]
    staged: u64,
    #[serde(rename = "tasksRunning")]
    running: u64,
    #[serde(rename = "tasksHealthy")]
    healthy: u64,
    #[serde(rename = "tasksUnhealthy")]
    unhealthy: u64,
}

impl Counts {
    fn of<'a>(state: &State, instances: impl Iterator<Item = &'a Instance>) -> Self {
        let mut counts = Self::default();
        for instance in instances {
            match instance.condition {
                Condition::Provisioned | Condition::Staging | Condition::Starting => {
                    counts.staged += 1;
                }
                Condition::Running | Condition::Killing => counts.running += 1,
                _ => continue,
            }
            let Some(spec) = state.definition_of(instance) else {
                continue;
            };
            let has_checks = spec.app().is_some_and(|app| !app.health_checks.is_empty());
            if !has_checks || instance.condition != Condition::Running {
                continue;
            }
            match state.probes.wellness(instance, spec) {
                Wellness::Healthy => counts.healthy += 1,
                Wellness::Unhealthy => counts.unhealthy += 1,
                Wellness::Unknown => {}
            }
        }
        counts
    }
}

fn task_stats(state: &State, app: &App, instances: &[&Instance], now: Timestamp) -> Value {
    let config = app.version_info.last_config_change_at;
    let scaling = app.version_info.last_scaling_at;
    let stats = |those: Vec<&Instance>| {
        if those.is_empty() {
            return None;
        }
        let counts = Counts::of(state, those.iter().copied());
        let mut lives: Vec<f64> = those
            .iter()
            .filter_map(|it| it.started_at())
            .map(|started| now.since(started).as_secs_f64())
            .collect();
        lives.sort_by(f64::total_cmp);
        let mut stats = json!({"counts": {
            "staged": counts.staged, "running": counts.running,
            "healthy": counts.healthy, "unhealthy": counts.unhealthy,
        }});
        if !lives.is_empty() {
            let count = u32::try_from(lives.len()).unwrap_or(u32::MAX);
            stats["lifeTime"] = json!({
                "averageSeconds": lives.iter().sum::<f64>() / f64::from(count),
                "medianSeconds": lives[lives.len() / 2],
            });
        }
        Some(json!({"stats": stats}))
    };
    let launched: Vec<&Instance> = instances
        .iter()
        .filter(|it| it.is_launched())
        .copied()
        .collect();
    let of = |is_it: &dyn Fn(&Instance) -> bool| {
        launched
            .iter()
            .filter(|it| is_it(it))
            .copied()
            .collect::<Vec<_>>()
    };
    let mut all = Map::new();
    for (name, those) in [
        ("startedAfterLastScaling", of(&|it| it.version >= scaling)),
        ("withLatestConfig", of(&|it| it.config >= config)),
        ("withOutdatedConfig", of(&|it| it.config < config)),
        ("totalSummary", launched.clone()),
    ] {
        if let Some(stats) = stats(those) {
            all.insert(name.to_owned(), stats);
        }
    }
    Value::Object(all)
}

/// An instance as a task.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownTask<'a> {
    id: String,
    app_id: &'a PathId,
    host: Option<&'a str>,
    slave_id: Option<&'a str>,
    state: &'static str,
    ports: Vec<u16>,
    ip_addresses: Vec<&'a Address>,
    staged_at: Option<Timestamp>,
    version: Timestamp,
    role: Option<&'a str>,
    local_volumes: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_ports: Option<Vec<u16>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    health_check_results: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check_result: Option<CheckResult>,
}

impl<'a> ShownTask<'a> {
    fn of(state: &'a State, instance: &'a Instance, has_service_ports: bool) -> Self {
        let place = instance.place.as_ref();
        let ports = place.map_or(&[][..], |place| &place.ports);
        let service_ports = || {
            let current = state.root.app(&instance.app);
            let own = || state.definition_of(instance).and_then(Spec::app);
            let app = current.or_else(own);
            app.map(|app| app.service_ports()).unwrap_or_default()
        };
        Self {
            id: instance.task_id().to_string(),
            app_id: &instance.app,
            host: place.map(|place| place.hostname.as_str()),
            slave_id: place.map(|place| place.agent_id.as_str()),
            state: instance.condition.task_state(),
            ports: ports.iter().copied().filter(|port| *port != 0).collect(),
            ip_addresses: instance.addresses().collect(),
            staged_at: place.map(|place| place.staged_at),
            version: instance.version,
            role: place.map(|place| place.role.as_str()),
            local_volumes: local_volumes(instance),
            started_at: instance.started_at(),
            region: place.and_then(|place| place.region.as_deref()),
            zone: place.and_then(|place| place.zone.as_deref()),
            service_ports: has_service_ports.then(service_ports),
            health_check_results: health_results(state, instance),
            check_result: instance.tasks.first().and_then(|task| task.check_result),
        }
    }
}

/// The same as a value.
pub(super) fn task(state: &State, instance: &Instance, has_service_ports: bool) -> Value {
    json!(ShownTask::of(state, instance, has_service_ports))
}

/// What an instance keeps.
fn local_volumes(instance: &Instance) -> Vec<Value> {
    let bond = instance.bond.iter();
    let volumes = bond.flat_map(|bond| &bond.volumes);
    let shown = volumes.map(|volume| {
        json!({
            "runSpecId": instance.app,
            "containerPath": volume.container_path,
            "uuid": volume.uuid,
            "persistenceId": volume.persistence_id,
        })
    });
    shown.collect()
}

fn health_results(state: &State, instance: &Instance) -> Vec<Value> {
    let Some(app) = state.definition_of(instance).and_then(Spec::app) else {
        return Vec::new();
    };
    let found = state.probes.health.get(&instance.id);
    let mut results = Vec::new();
    for (index, check) in app.health_checks.iter().enumerate() {
        if check.protocol.is_of_mesos() {
            if let Some(alive) = instance.is_healthy() {
                results.push(json!({
                    "alive": alive, "consecutiveFailures": 0, "instanceId": instance.id,
                }));
            }
            continue;
        }
        let known = found.and_then(|found| found.get(&index));
        if let Some(health) = known.filter(|health| health.is_known()) {
            results.push(health_result(instance, health));
        }
    }
    results
}

fn health_result(instance: &Instance, health: &Health) -> Value {
    json!({
        "alive": health.is_alive(),
        "consecutiveFailures": health.consecutive_failures,
        "firstSuccess": health.first_success,
        "lastSuccess": health.last_success,
        "lastFailure": health.last_failure,
        "lastFailureCause": health.last_failure_cause,
        "instanceId": instance.id,
    })
}

fn readiness(state: &State, instances: &[&Instance]) -> Vec<Value> {
    let found = instances.iter().filter_map(|instance| {
        let readiness = state.probes.readiness.get(&instance.id)?;
        let app = state.definition_of(instance)?.app()?;
        let mut result = json!({
            "name": app.readiness_checks.first()?.name,
            "taskId": instance.task_id().to_string(),
            "ready": readiness.is_ready,
        });
        if let Some(response) = &readiness.last_response {
            result["lastResponse"] = json!(response);
        }
        Some(result)
    });
    found.collect()
}

/// Which parts of groups are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) groups: bool,
    pub(super) apps: bool,
    pub(super) pods: bool,
}

/// A group with what is in it, as `root` has it.
pub(super) fn group(
    state: &State,
    root: &Root,
    id: &PathId,
    parts: Parts,
    embed: Embed,
    now: Timestamp,
) -> Option<Value> {
    let group = root.group(id)?;
    let apps = root.apps_in(id).filter(|app| app.id.parent() == *id);
    let apps = apps.filter(|_| parts.apps);
    let pods = root.pods_in(id).filter(|pod| pod.id.parent() == *id);
    let pods = pods.filter(|_| parts.pods);
    let inner = root.groups_right_in(id).filter(|_| parts.groups);
    let inner = inner.filter_map(|(id, _)| self::group(state, root, id, parts, embed, now));
    let mut shown = json!({
        "id": id,
        "version": group.version,
        "dependencies": group.dependencies,
        "apps": apps.map(|it| app(state, it, embed, now)).collect::<Vec<_>>(),
        "pods": pods.map(|it| pod_status(state, it, now)).collect::<Vec<_>>(),
        "groups": inner.collect::<Vec<_>>(),
    });
    // Clients from before roles know no such field.
    if group.enforce_role {
        shown["enforceRole"] = true.into();
    }
    Some(shown)
}

/// A deployment, with exactly the fields that clients know.
pub(super) fn deployment(state: &State, deployment: &Deployment) -> Value {
    let plan = &deployment.plan;
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|actions| json!({"actions": actions.iter().map(Action::shown).collect::<Vec<_>>()}))
        .collect();
    let current = plan.steps.get(deployment.step).into_iter().flatten();
    let current = current.map(|action| {
        let instances: Vec<&Instance> = state.instances_of(&action.id).collect();
        let mut shown = action.shown();
        shown["readinessCheckResults"] = readiness(state, &instances).into();
        shown
    });
    let affected = |is_pod: bool| -> BTreeSet<&PathId> {
        let changes = plan.changes.iter();
        let those = changes.filter(|(_, change)| change.is_pod() == is_pod);
        those.map(|(id, _)| id).collect()
    };
    json!({
        "id": plan.id,
        "version": plan.version,
        "affectedApps": affected(false),
        "affectedPods": affected(true),
        "steps": steps,
        "currentActions": current.collect::<Vec<_>>(),
        "currentStep": deployment.step + 1,
        "totalSteps": plan.steps.len(),
    })
}
