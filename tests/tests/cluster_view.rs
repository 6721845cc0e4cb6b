//! The SDK's view of a cluster, fed with the events of a real master.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

use std::collections::BTreeSet;

use mesos_sdk::operator::Cluster;
use mesos_sdk::status::is_terminal;
use mesos_sdk::v1::master::{Event, event};
use mesos_tests::captures;

fn events(name: &str) -> Vec<Event> {
    let capture = captures::read(name);
    let records = capture["response"]["records"].as_array().unwrap();
    let events = records.iter();
    events
        .map(|record| mesos_proto::json::from_slice(record.to_string().as_bytes()).unwrap())
        .collect()
}

#[test]
fn after_every_event_there_is_what_was_added_and_has_not_ended() {
    for name in ["master-subscribe-stream", "master-subscribe-drain"] {
        let mut cluster = Cluster::default();
        let (mut tasks, mut frameworks) = (BTreeSet::new(), BTreeSet::new());
        for event in events(name) {
            cluster.apply(&event);
            if let Some(subscribed) = &event.subscribed {
                let state = subscribed.get_state.clone().unwrap();
                let running = state.get_tasks.unwrap().tasks;
                tasks.extend(running.into_iter().map(|task| task.task_id.value));
                let known = state.get_frameworks.unwrap().frameworks;
                let ids = known.into_iter().map(|known| known.framework_info.id);
                frameworks.extend(ids.map(|id| id.unwrap().value));
            }
            if let Some(added) = &event.task_added {
                tasks.insert(added.task.task_id.value.clone());
            }
            if let Some(updated) = event.task_updated.as_ref()
                && is_terminal(updated.state())
            {
                tasks.remove(&updated.status.task_id.value);
            }
            if let Some(added) = &event.framework_added {
                let id = added.framework.framework_info.id.clone();
                frameworks.insert(id.unwrap().value);
            }
            if let Some(removed) = &event.framework_removed {
                let id = removed.framework_info.id.clone().unwrap();
                frameworks.remove(&id.value);
                assert_eq!(cluster.tasks_of(&id).count(), 0, "{name}");
            }
            let seen: BTreeSet<_> = cluster.tasks().map(|t| t.task_id.value.clone()).collect();
            assert_eq!(seen, tasks, "{name}: {:?}", event.r#type());
            let seen = cluster.frameworks();
            let seen = seen.map(|known| known.framework_info.id.clone().unwrap().value);
            assert_eq!(seen.collect::<BTreeSet<_>>(), frameworks, "{name}");
        }
        assert_eq!(cluster.agents().count(), 1, "{name}");
    }
}

#[test]
fn a_task_is_in_the_state_it_was_told_last() {
    let mut cluster = Cluster::default();
    for event in events("master-subscribe-stream") {
        let has_changed = cluster.apply(&event);
        match event.r#type() {
            event::Type::Heartbeat => assert!(!has_changed),
            event::Type::TaskUpdated => {
                let updated = event.task_updated.unwrap();
                let task = cluster.task(&updated.framework_id, &updated.status.task_id);
                let state = task.map(|task| (task.state(), task.statuses.last().cloned()));
                let expected = (updated.state(), Some(updated.status.clone()));
                let is_over = is_terminal(updated.state());
                assert_eq!(state, (!is_over).then_some(expected));
            }
            _ => {}
        }
    }
}
