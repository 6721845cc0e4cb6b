//! What the API shows of pods: their definitions, and how they do.

use serde_json::{Value, json};

use crate::instance::{Condition, Instance, Task};
use crate::pod::{Pod, PodContainer, Resources};
use crate::probes::Wellness;
use crate::spec::Spec;
use crate::state::State;
use crate::timestamp::Timestamp;

/// A pod's definition.
pub(in crate::api) fn pod(pod: &Pod) -> Value {
    let mut shown = json!(pod);
    if let Value::Object(members) = &mut shown {
        members.remove("versionInfo");
        // What says nothing is left out, as clients know it.
        for name in ["labels", "environment", "secrets", "volumes"] {
            let is_empty = match &members[name] {
                Value::Object(members) => members.is_empty(),
                Value::Array(elements) => elements.is_empty(),
                _ => false,
            };
            if is_empty {
                members.remove(name);
            }
        }
    }
    shown
}

/// How a pod does.
pub(in crate::api) fn pod_status(state: &State, of: &Pod, now: Timestamp) -> Value {
    let placed = state.instances_of(&of.id).filter(|it| it.place.is_some());
    let placed: Vec<&Instance> = placed.collect();
    let stable = placed.iter().filter(|it| phase(state, it) == "STABLE");
    let is_stable = stable.count() >= of.scaling.instances as usize;
    let since = placed.iter().map(|it| it.since).max().unwrap_or(now);
    let instances: Vec<Value> = placed.iter().map(|it| pod_instance(state, it)).collect();
    json!({
        "id": of.id,
        "spec": pod(of),
        "status": if is_stable { "STABLE" } else { "DEGRADED" },
        "statusSince": since,
        "instances": instances,
        "terminationHistory": history(state, of),
        "lastUpdated": now,
        "lastChanged": since,
    })
}

/// The last failure of the pod, as far as it is known.
fn history(state: &State, pod: &Pod) -> Vec<Value> {
    let failure = state.failures.get(&pod.id);
    let shown = failure.map(|failure| {
        let instance = failure.task_id.rsplitn(3, '.').last().unwrap_or_default();
        json!({
            "instanceID": instance,
            "startedAt": failure.started_at.unwrap_or(failure.timestamp),
            "terminatedAt": failure.timestamp,
            "message": failure.message,
            "containers": [{
                "containerId": failure.task_id,
                "lastKnownState": failure.state,
            }],
        })
    });
    shown.into_iter().collect()
}

/// `PENDING`, `STAGING`, `STABLE`, `DEGRADED` or `TERMINAL`.
fn phase(state: &State, instance: &Instance) -> &'static str {
    match instance.condition {
        Condition::Scheduled | Condition::Provisioned => "PENDING",
        Condition::Staging | Condition::Starting => "STAGING",
        Condition::Unreachable | Condition::UnreachableInactive => "DEGRADED",
        Condition::Running => {
            let spec = state.definition_of(instance);
            let wellness = spec.map(|spec| state.probes.wellness(instance, spec));
            match wellness {
                Some(Wellness::Unhealthy | Wellness::Unknown) => "DEGRADED",
                Some(Wellness::Healthy) | None => "STABLE",
            }
        }
        _ => "TERMINAL",
    }
}

/// How an instance of a pod does.
pub(in crate::api) fn pod_instance(state: &State, instance: &Instance) -> Value {
    let pod = state.definition_of(instance).and_then(Spec::pod);
    let place = instance.place.as_ref();
    let status = phase(state, instance);
    let containers: Vec<Value> = instance
        .tasks
        .iter()
        .map(|task| container(pod.map(|it| &**it), instance, task))
        .collect();
    let addresses: std::collections::BTreeSet<_> =
        instance.addresses().map(|it| &it.ip_address).collect();
    let networks = pod.iter().flat_map(|pod| &pod.networks);
    let networks: Vec<Value> = networks
        .map(|network| match &network.name {
            Some(name) => json!({"name": name, "addresses": addresses}),
            None => json!({"addresses": addresses}),
        })
        .collect();
    let mut shown = json!({
        "id": instance.id,
        "status": status,
        "statusSince": instance.since,
        "conditions": [],
        "networks": networks,
        "containers": containers,
        "specReference": format!("/v2/pods{}::versions/{}", instance.app, instance.version),
        "localVolumes": super::local_volumes(instance),
        "lastUpdated": instance.since,
        "lastChanged": instance.since,
    });
    let message = match (status, instance.condition) {
        ("DEGRADED", Condition::Running) => Some("at least one container is not healthy"),
        ("DEGRADED", _) => Some("pod instance has become unreachable"),
        _ => None,
    };
    let role = place.map(|it| it.role.as_str());
    let role = role.or(pod.map(|pod| pod.role.as_str()));
    let optional = [
        ("message", message.map(|it| json!(it))),
        ("agentHostname", place.map(|it| json!(it.hostname))),
        ("agentId", place.map(|it| json!(it.agent_id))),
        (
            "agentRegion",
            place.and_then(|it| it.region.as_ref()).map(|it| json!(it)),
        ),
        (
            "agentZone",
            place.and_then(|it| it.zone.as_ref()).map(|it| json!(it)),
        ),
        ("resources", pod.map(|pod| json!(pod.total()))),
        ("role", role.map(|it| json!(it))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = value;
        }
    }
    shown
}

fn container(pod: Option<&Pod>, instance: &Instance, task: &Task) -> Value {
    let name = task.container.as_deref().unwrap_or_default();
    let spec = pod.and_then(|pod| pod.container(name));
    let mut shown = json!({
        "name": name,
        "status": task.condition.task_state(),
        "statusSince": task.since,
        "conditions": conditions(spec, task),
        "containerId": instance.id_of(task.container.clone()).to_string(),
        "endpoints": pod.map_or_else(Vec::new, |pod| endpoints(pod, instance, task)),
        "lastUpdated": task.since,
        "lastChanged": task.since,
    });
    let resources: Option<Resources> = spec
        .filter(|_| !task.condition.is_over())
        .map(|it| it.resources);
    if let Some(resources) = resources {
        shown["resources"] = json!(resources);
    }
    if let Some(message) = &task.message {
        shown["termination"] = json!({"message": message});
    }
    shown
}

/// Whether it is healthy, if there is a check of that and it runs.
fn conditions(spec: Option<&PodContainer>, task: &Task) -> Vec<Value> {
    let has_check = spec.is_some_and(|it| it.health_check.is_some());
    let is_up = matches!(task.condition, Condition::Running | Condition::Killing);
    if !has_check || !is_up {
        return Vec::new();
    }
    let reason = match task.is_healthy {
        Some(_) => "health-reported-by-mesos",
        None => "health-unreported-by-mesos",
    };
    vec![json!({
        "name": "healthy",
        "value": task.is_healthy.unwrap_or(false).to_string(),
        "reason": reason,
        "lastChanged": task.since,
        "lastUpdated": task.since,
    })]
}

fn endpoints(pod: &Pod, instance: &Instance, task: &Task) -> Vec<Value> {
    if task.condition.is_over() {
        return Vec::new();
    }
    let ports = instance.place.as_ref().map_or(&[][..], |it| &it.ports);
    let own = pod.endpoint_ports(ports);
    let own = own.filter(|(it, ..)| Some(&it.name) == task.container.as_ref());
    let shown = own.map(|(container, endpoint, on_host)| {
        let mut shown = json!({"name": endpoint.name});
        if let Some(port) = on_host {
            shown["allocatedHostPort"] = port.into();
        }
        let check = container.health_check.as_ref();
        let checked = check.and_then(crate::pod::Health::endpoint);
        if let (true, Some(is_healthy)) = (checked == Some(&*endpoint.name), task.is_healthy) {
            shown["healthy"] = is_healthy.into();
        }
        shown
    });
    shown.collect()
}
