//! What an agent counts, under the names that Mesos's monitoring knows.

use std::collections::BTreeMap;

use mesos_sdk::v1;

use crate::agent::executor::Phase;
use crate::agent::{Agent, System};
use crate::time::Timestamp;

/// Metrics by name.
pub(crate) fn metrics(agent: &Agent, now: Timestamp, system: &System) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let mut put = |name: &str, value: f64| {
        metrics.insert(name.to_owned(), value);
    };
    let phases = |phase: Phase| agent.all_active().filter(|e| e.phase == phase).count() as f64;
    let tasks = |state: v1::TaskState| {
        let all = agent.all_active().flat_map(|e| e.tasks.values());
        all.filter(|task| task.record.state() == state).count() as f64
    };
    let counters = &agent.counters;
    put(
        "slave/container_launch_errors",
        counters.launch_errors as f64,
    );
    put("slave/executors_preempted", 0.0);
    put("slave/executors_registering", phases(Phase::Launching));
    put("slave/executors_running", phases(Phase::Running));
    put(
        "slave/executors_terminated",
        counters.executors_terminated as f64,
    );
    put("slave/executors_terminating", 0.0);
    put("slave/frameworks_active", agent.frameworks.len() as f64);
    put(
        "slave/invalid_framework_messages",
        counters.invalid_framework_messages as f64,
    );
    put("slave/invalid_status_updates", 0.0);
    put("slave/recovery_errors", 0.0);
    put("slave/recovery_time_secs", 0.0);
    put(
        "slave/registered",
        f64::from(u8::from(agent.is_registered())),
    );
    put("slave/tasks_failed", counters.tasks_failed as f64);
    put("slave/tasks_finished", counters.tasks_finished as f64);
    put("slave/tasks_gone", counters.tasks_gone as f64);
    put("slave/tasks_killed", counters.tasks_killed as f64);
    put("slave/tasks_killing", tasks(v1::TaskState::TaskKilling));
    put("slave/tasks_lost", counters.tasks_lost as f64);
    put("slave/tasks_running", tasks(v1::TaskState::TaskRunning));
    put("slave/tasks_staging", tasks(v1::TaskState::TaskStaging));
    put("slave/tasks_starting", tasks(v1::TaskState::TaskStarting));
    put("slave/uptime_secs", now.since(agent.started).as_secs_f64());
    put(
        "slave/valid_framework_messages",
        counters.valid_framework_messages as f64,
    );
    put(
        "slave/valid_status_updates",
        counters.valid_status_updates as f64,
    );
    for name in ["cpus", "gpus", "mem", "disk"] {
        let total = sum(name, agent.total_resources().iter());
        let held = agent
            .all_active()
            .filter(|executor| executor.phase != Phase::Terminated)
            .flat_map(|executor| executor.info.resources.iter().chain(executor.held()));
        let used = sum(name, held);
        put(&format!("slave/{name}_total"), total);
        put(&format!("slave/{name}_used"), used);
        let percent = if total > 0.0 { used / total } else { 0.0 };
        put(&format!("slave/{name}_percent"), percent);
        for kind in ["total", "used", "percent"] {
            put(&format!("slave/{name}_revocable_{kind}"), 0.0);
        }
    }
    put("system/cpus_total", system.cpus as f64);
    put("system/load_1min", system.load[0]);
    put("system/load_5min", system.load[1]);
    put("system/load_15min", system.load[2]);
    put("system/mem_free_bytes", system.mem_free_bytes as f64);
    put("system/mem_total_bytes", system.mem_total_bytes as f64);
    metrics
}

/// The sum of a scalar, exact to the thousandth.
fn sum<'a>(name: &str, resources: impl Iterator<Item = &'a v1::Resource>) -> f64 {
    let thousandths: f64 = resources
        .filter(|resource| resource.name == name && resource.revocable.is_none())
        .filter_map(|resource| resource.scalar.as_ref())
        .map(|scalar| (scalar.value * 1000.0).round())
        .sum();
    thousandths / 1000.0
}
