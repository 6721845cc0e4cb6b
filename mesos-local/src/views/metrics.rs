//! `/metrics/snapshot`: what the master counts, and what can be counted in its
//! state now.

use std::collections::BTreeMap;

use mesos_sdk::resources::{Resources, Scalar};
use mesos_sdk::v1;
use mesos_sdk::v1::TaskState;

use super::Snapshot;

/// Every metric by its name.
pub(crate) fn metrics(snapshot: &Snapshot) -> BTreeMap<String, f64> {
    let mut metrics = snapshot.counters.clone();
    let mut gauge = |name: &str, value: f64| {
        metrics.insert(name.to_owned(), value);
    };
    gauge("master/elected", f64::from(snapshot.leads));
    gauge("master/uptime_secs", snapshot.now - snapshot.start_time);
    agents(snapshot, &mut gauge);
    frameworks(snapshot, &mut gauge);
    resources(snapshot, &mut gauge);
    tasks(snapshot, &mut gauge);
    system(&mut gauge);
    metrics
}

fn count<T>(items: &[T], is: impl Fn(&&T) -> bool) -> f64 {
    items.iter().filter(is).count() as f64
}

fn agents(snapshot: &Snapshot, gauge: &mut impl FnMut(&str, f64)) {
    let agents = snapshot.agents();
    let inactive = count(agents, |agent| !agent.active);
    gauge("master/slaves_active", count(agents, |agent| agent.active));
    gauge("master/slaves_inactive", inactive);
    // An agent that is deactivated by an operator stays connected.
    let disconnected = count(agents, |agent| !agent.active && !agent.deactivated());
    gauge(
        "master/slaves_connected",
        agents.len() as f64 - disconnected,
    );
    gauge("master/slaves_disconnected", disconnected);
    gauge(
        "master/slaves_unreachable",
        snapshot.unreachable_agents as f64,
    );
}

fn frameworks(snapshot: &Snapshot, gauge: &mut impl FnMut(&str, f64)) {
    let frameworks = snapshot.frameworks();
    for (name, value) in [
        ("active", count(frameworks, |framework| framework.active)),
        ("inactive", count(frameworks, |framework| !framework.active)),
        (
            "connected",
            count(frameworks, |framework| framework.connected),
        ),
        (
            "disconnected",
            count(frameworks, |framework| !framework.connected),
        ),
    ] {
        gauge(&format!("master/frameworks_{name}"), value);
    }
    let offers: usize = frameworks
        .iter()
        .map(|framework| framework.offers.len())
        .sum();
    gauge("master/outstanding_offers", offers as f64);
}

fn resources(snapshot: &Snapshot, gauge: &mut impl FnMut(&str, f64)) {
    let sum = |of: &dyn Fn(&v1::master::response::get_agents::Agent) -> Vec<v1::Resource>,
               is_revocable: bool| {
        snapshot
            .agents()
            .iter()
            .flat_map(of)
            .filter(|resource| resource.revocable.is_some() == is_revocable)
            .collect::<Resources>()
    };
    for (suffix, is_revocable) in [("", false), ("_revocable", true)] {
        let total = sum(&|agent| agent.total_resources.clone(), is_revocable);
        let used = sum(&|agent| agent.allocated_resources.clone(), is_revocable);
        for name in ["cpus", "mem", "disk", "gpus"] {
            let value = |resources: &Resources| resources.scalar(name).map_or(0.0, Scalar::as_f64);
            let (total, used) = (value(&total), value(&used));
            let percent = if total > 0.0 { used / total } else { 0.0 };
            gauge(&format!("master/{name}{suffix}_total"), total);
            gauge(&format!("master/{name}{suffix}_used"), used);
            gauge(&format!("master/{name}{suffix}_percent"), percent);
        }
    }
}

fn tasks(snapshot: &Snapshot, gauge: &mut impl FnMut(&str, f64)) {
    let active = snapshot.active_tasks();
    for (name, state) in [
        ("staging", TaskState::TaskStaging),
        ("starting", TaskState::TaskStarting),
        ("running", TaskState::TaskRunning),
        ("killing", TaskState::TaskKilling),
    ] {
        gauge(
            &format!("master/tasks_{name}"),
            count(active, |task| task.state() == state),
        );
    }
    gauge(
        "master/tasks_unreachable",
        snapshot.unreachable_tasks().len() as f64,
    );
}

/// What Linux tells of the machine; elsewhere nothing.
fn system(gauge: &mut impl FnMut(&str, f64)) {
    if let Ok(cpus) = std::thread::available_parallelism() {
        gauge("system/cpus_total", cpus.get() as f64);
    }
    if let Ok(text) = std::fs::read_to_string("/proc/loadavg") {
        let loads = text.split_whitespace().filter_map(|load| load.parse().ok());
        for (name, load) in ["1min", "5min", "15min"].into_iter().zip(loads) {
            gauge(&format!("system/load_{name}"), load);
        }
    }
    if let Ok(text) = std::fs::read_to_string("/proc/meminfo") {
        for (name, field) in [
            ("mem_total_bytes", "MemTotal:"),
            ("mem_free_bytes", "MemFree:"),
        ] {
            let kib = text.lines().find_map(|line| {
                let rest = line.strip_prefix(field)?;
                rest.split_whitespace().next()?.parse::<f64>().ok()
            });
            if let Some(kib) = kib {
                gauge(&format!("system/{name}"), kib * 1024.0);
            }
        }
    }
}
