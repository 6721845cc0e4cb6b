//! Numbers about what Marathon does, under the names that its alerts know.

use std::sync::OnceLock;
use std::time::Instant;

use mesos_sdk::v1;
use mesos_sdk::v1::offer::operation::Type;
use mesos_sdk::v1::task_status::Reason;
use metrics::{counter, gauge};

use crate::effects::Call;
use crate::instance::Condition;
use crate::machine::Action;
use crate::state::State;
use crate::timestamp::Timestamp;

/// When the first Marathon of this process began.
static BEGUN: OnceLock<Instant> = OnceLock::new();

const COUNTERS: [&str; 12] = [
    "deployments.counter",
    "deployments.dismissed.counter",
    "mesos.calls.revive.counter",
    "mesos.calls.suppress.counter",
    "mesos.offer-operations.launch-group.counter",
    "mesos.offer-operations.launch.counter",
    "mesos.offer-operations.reserve.counter",
    "mesos.offers.declined.counter",
    "mesos.offers.incoming.counter",
    "mesos.offers.used.counter",
    "mesos.task.oom.memory-limit-exceeded.counter",
    "tasks.launched.counter",
];

/// Lets everything that is counted be seen before it happens: an alert on what
/// is not there stays silent.
pub(crate) fn register() {
    let _ = BEGUN.set(Instant::now());
    COUNTERS
        .iter()
        .for_each(|name| counter!(*name).increment(0));
}

/// What is about to be done.
pub(super) fn count(action: &Action) {
    match action {
        Action::Call(call) => count_call(call),
        Action::Probe(_) => counter!("health.checks.counter").increment(1),
        Action::Tell(_) | Action::Log(_) => {}
    }
}

fn count_call(call: &Call) {
    match call {
        Call::Accept { offers, operations } => {
            counter!("mesos.offers.used.counter").increment(offers.len() as u64);
            operations.iter().for_each(count_operation);
        }
        Call::Decline { offers, .. } => {
            counter!("mesos.offers.declined.counter").increment(offers.len() as u64);
        }
        Call::Suppress(_) => counter!("mesos.calls.suppress.counter").increment(1),
        Call::Revive(_) => counter!("mesos.calls.revive.counter").increment(1),
        _ => {}
    }
}

fn count_operation(operation: &v1::offer::Operation) {
    match operation.r#type() {
        Type::Launch => {
            let launch = operation.launch.as_ref();
            let tasks = launch.map_or(0, |launch| launch.task_infos.len());
            counter!("mesos.offer-operations.launch.counter").increment(1);
            counter!("tasks.launched.counter").increment(tasks as u64);
        }
        Type::LaunchGroup => {
            let launch = operation.launch_group.as_ref();
            let tasks = launch.map_or(0, |launch| launch.task_group.tasks.len());
            counter!("mesos.offer-operations.launch-group.counter").increment(1);
            counter!("tasks.launched.counter").increment(tasks as u64);
        }
        Type::Reserve => counter!("mesos.offer-operations.reserve.counter").increment(1),
        _ => {}
    }
}

/// Offers that came.
pub(super) fn count_offers(count: usize) {
    counter!("mesos.offers.incoming.counter").increment(count as u64);
}

/// A status that came.
pub(super) fn count_update(status: &v1::TaskStatus) {
    let state = status
        .state()
        .as_str_name()
        .to_lowercase()
        .replace('_', "-");
    counter!(format!("mesos.task-updates.{state}.counter")).increment(1);
    if status.reason() == Reason::ContainerLimitationMemory {
        counter!("mesos.task.oom.memory-limit-exceeded.counter").increment(1);
    }
}

/// Shows how things are.
pub fn gauges(state: &State, tenure: std::time::Duration, now: Timestamp) {
    let set = |name: &'static str, value: usize| gauge!(name).set(value as f64);
    set("apps.active.gauge", state.root.apps().count());
    set("pods.active.gauge", state.root.pods().count());
    set("groups.active.gauge", state.root.groups().count());
    set("deployments.active.gauge", state.deployments.len());
    let (mut running, mut staged, mut overdue, mut killing) = (0, 0, 0, 0);
    for instance in state.instances.values() {
        match instance.condition {
            Condition::Running => running += 1,
            Condition::Provisioned | Condition::Staging | Condition::Starting => {
                staged += 1;
                let limit = state.settings.launch_timeout.as_millis() as i64;
                let waited = now.as_millis() - instance.since.as_millis();
                overdue += usize::from(waited > limit);
            }
            Condition::Killing => killing += 1,
            _ => {}
        }
    }
    set("instances.running.gauge", running);
    set("instances.staged.gauge", staged);
    set("instances.launch-overdue.gauge", overdue);
    set("instances.inflight-kills.gauge", killing);
    // Each has one that is not answered yet.
    set("instances.inflight-kill-attempts.gauge", killing);
    let uptime = BEGUN.get().map(Instant::elapsed).unwrap_or_default();
    gauge!("uptime.gauge.seconds").set(uptime.as_secs_f64());
    gauge!("leadership.duration.gauge.seconds").set(tenure.as_secs_f64());
}
