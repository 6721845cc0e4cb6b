//! What is lost on the way, and what was true before a connection broke.

use std::time::Duration;

use mesos_sdk::v1::TaskState;
use serde_json::json;

use crate::effects::{Call, Input};
use crate::instance::{Condition, Goal};
use crate::request::{Kill, Reply, Request};

use super::world::World;

#[test]
fn offers_that_do_not_come_are_asked_for_again() {
    let mut world = World::new();
    world.settle();
    world.calls.clear();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    let revives = |world: &World| {
        let calls = world.calls.iter();
        calls.filter(|call| matches!(call, Call::Revive(_))).count()
    };
    assert_eq!(revives(&world), 1);
    for _ in 0..100 {
        world.pass(Duration::from_secs(4));
    }
    assert_eq!(revives(&world), 3, "after two and a half minutes each");
    world.settle();
    world.calls.clear();
    for _ in 0..100 {
        world.pass(Duration::from_secs(4));
    }
    assert_eq!(revives(&world), 0, "nothing waits");
}

#[test]
fn a_launch_that_never_left_is_tried_again_at_once() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.offer();
    let first = world.tasks.keys().next().unwrap().clone();
    world.tasks.clear();
    world.step(Input::NotLaunched(vec![first.clone()]));
    assert!(world.state.delays.is_empty() && world.state.failures.is_empty());
    world.offer();
    let second = world.tasks.keys().next().unwrap().clone();
    assert_eq!(second, first.replace("_app.1", "_app.2"));
    world.step(Input::NotLaunched(vec![first]));
    world.settle();
    assert_eq!(world.running("/web").len(), 1, "what is old says nothing");
}

#[test]
fn whoever_is_about_to_end_still_takes_its_place() {
    let mut world = World::new();
    world.agents = 1;
    world.create(json!({
        "id": "/web", "cmd": "sleep 100", "constraints": [["hostname", "UNIQUE"]],
    }));
    world.settle();
    let task = world.running("/web")[0].task_id().to_string();
    world.ask(Request::Kill {
        instances: Kill::Ids(vec![task.clone()]),
        scale: false,
        wipe: false,
        force: false,
    });
    world.offer();
    world.offer();
    assert_eq!(world.tasks.len(), 1, "there are never two on a host");
    world.tell(&task, TaskState::TaskKilled);
    world.settle();
    assert_eq!(world.running("/web").len(), 1);
}

#[test]
fn what_waits_to_run_as_it_was_is_dropped() {
    let mut world = World::new();
    world.agents = 0;
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 3}));
    world
        .try_update("/web", json!({"cmd": "sleep 2"}), true)
        .unwrap();
    let app = world.state.root.app(&"/web".parse().unwrap()).unwrap();
    let version = app.version;
    assert_eq!(world.state.instances.len(), 3);
    let instances = world.state.instances.values();
    assert!(instances.clone().all(|it| it.version == version));
    world.agents = 3;
    world.settle();
    assert_eq!(world.launched.len(), 3);
}

#[test]
fn scaling_what_is_half_replaced_replaces_the_rest() {
    let mut world = World::new();
    let strategy = json!({"minimumHealthCapacity": 1, "maximumOverCapacity": 0});
    world.create(json!({
        "id": "/web", "cmd": "sleep 1", "instances": 3, "upgradeStrategy": strategy,
    }));
    world.settle();
    let change = world.update("/web", json!({"cmd": "sleep 2"}));
    world.offer();
    world.go_on();
    let id = change.id;
    world.ask(Request::CancelDeployment { id, force: true });
    while world.go_on() {}
    let configs = |world: &World| {
        let running = world.running("/web").into_iter();
        running
            .map(|it| it.config)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(configs(&world).len(), 2, "it stops where it is");
    let new = world.running("/web").into_iter().max_by_key(|it| it.config);
    world.update("/web", json!({"instances": 4}));
    world.settle();
    assert_eq!((world.running("/web").len(), configs(&world).len()), (4, 1));
    let new = new.unwrap().id;
    assert!(world.running("/web").iter().any(|it| it.id == new));
}

#[test]
fn an_old_one_that_fails_comes_back_as_a_new_one() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 2}));
    world.settle();
    let change = world.update("/web", json!({"cmd": "sleep 2"}));
    let id = change.id;
    world.ask(Request::CancelDeployment { id, force: true });
    world.settle();
    let task = world.running("/web")[0].task_id().to_string();
    world.tell(&task, TaskState::TaskFailed);
    world.settle();
    for _ in 0..5 {
        world.pass(Duration::from_secs(5));
        world.offer();
        while world.go_on() {}
    }
    let app = world.state.root.app(&"/web".parse().unwrap()).unwrap();
    let config = app.version_info.last_config_change_at;
    let running = world.running("/web");
    assert_eq!(running.len(), 2);
    assert_eq!(running.iter().filter(|it| it.config == config).count(), 1);
}

#[test]
fn going_back_keeps_whoever_runs_already_as_it_was() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1"}));
    world.settle();
    let first = world.running("/web")[0].id.clone();
    let change = world.update("/web", json!({"instances": 2, "cmd": "false"}));
    world.offer();
    let id = change.id;
    let Reply::Deployed(_) = world.ask(Request::CancelDeployment { id, force: false }) else {
        panic!("not undone");
    };
    world.settle();
    let running = world.running("/web");
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].id, first);
}

/// A connection was lost, and tasks were meanwhile: what goes is decided when
/// it is known what is left.
#[test]
fn what_is_known_from_before_a_connection_kills_nothing() {
    let mut world = World::new();
    let strategy = json!({"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0});
    world.create(json!({
        "id": "/web", "cmd": "sleep 1", "instances": 4, "upgradeStrategy": strategy,
    }));
    world.settle();
    let tasks: Vec<String> = world.tasks.keys().cloned().collect();
    world.step(Input::Disconnected);
    world.update("/web", json!({"cmd": "sleep 2"}));
    // Two of them ended while nobody listened.
    world.tasks.remove(&tasks[0]);
    world.tasks.remove(&tasks[1]);
    world.calls.clear();
    world.connect();
    let kills = |world: &World| {
        let calls = world.calls.iter();
        calls
            .filter(|call| matches!(call, Call::Kill { .. }))
            .count()
    };
    assert_eq!(kills(&world), 0, "nothing was heard yet");
    world.reconcile();
    assert_eq!(kills(&world), 0, "two are the least");
    world.settle();
    assert_eq!(world.running("/web").len(), 4);
}

#[test]
fn fewer_instances_are_those_that_nothing_is_heard_of() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 3}));
    world.settle();
    let lost = world.running("/web")[0].clone();
    world.step(Input::Disconnected);
    world.update("/web", json!({"instances": 2}));
    world.connect();
    let heard: Vec<String> = world.tasks.keys().cloned().collect();
    for id in heard.iter().filter(|id| **id != lost.task_id().to_string()) {
        world.tell(id, TaskState::TaskRunning);
    }
    let ending = |world: &World| {
        let instances = world.state.instances.values();
        let ending = instances.filter(|it| it.goal == Goal::Decommissioned);
        ending.map(|it| it.id.clone()).collect::<Vec<_>>()
    };
    assert!(ending(&world).is_empty(), "it is waited for");
    for _ in 0..40 {
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(ending(&world), [lost.id]);
}

#[test]
fn the_unhealthy_go_first_when_there_are_too_many() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 1", "instances": 3,
        "healthChecks": [{"gracePeriodSeconds": 0, "intervalSeconds": 5,
                          "timeoutSeconds": 2, "maxConsecutiveFailures": 0}],
    }));
    world.settle();
    let mut running = world.running("/web");
    running.sort_by_key(|it| it.place.as_ref().map(|place| place.staged_at));
    let sick = running[0].id.clone();
    world.sick.insert(sick.clone());
    for _ in 0..10 {
        world.pass(Duration::from_secs(1));
        world.answer();
    }
    world.update("/web", json!({"instances": 2}));
    world.settle();
    assert!(world.running("/web").iter().all(|it| it.id != sick));
}

/// The answer comes while its agent is out of reach; when that is back it is
/// asked again.
#[test]
fn whoever_was_out_of_reach_is_asked_again() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 1",
        "unreachableStrategy": {"inactiveAfterSeconds": 600, "expungeAfterSeconds": 900},
        "healthChecks": [{"gracePeriodSeconds": 0, "intervalSeconds": 5, "timeoutSeconds": 2}],
    }));
    world.settle();
    let task = world.running("/web")[0].task_id().to_string();
    while world.probes.is_empty() {
        world.pass(Duration::from_secs(1));
    }
    world.tell(&task, TaskState::TaskUnreachable);
    assert!(world.answer());
    world.tell(&task, TaskState::TaskRunning);
    assert_eq!(world.running("/web")[0].condition, Condition::Running);
    for _ in 0..10 {
        world.pass(Duration::from_secs(1));
    }
    assert!(world.answer(), "it is asked");
}

/// The process ended after it saved that an instance is to end, and before it
/// said so.
#[test]
fn whoever_is_to_end_is_told_again_over_a_new_connection() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1"}));
    world.settle();
    let task = world.running("/web")[0].task_id().to_string();
    world.ask(Request::Kill {
        instances: Kill::Ids(vec![task.clone()]),
        scale: false,
        wipe: false,
        force: false,
    });
    world.pass(Duration::from_secs(1));
    world.calls.clear();
    world.restart();
    let is_it = |call: &Call| matches!(call, Call::Kill { task_id, .. } if *task_id == task);
    assert!(world.calls.iter().any(is_it));
}

#[test]
fn of_too_many_those_go_at_once_that_were_sent_nowhere() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 2}));
    world.settle();
    let before = world.running("/web");
    world.step(Input::Disconnected);
    world.update("/web", json!({"instances": 3}));
    assert_eq!(world.state.instances.len(), 3);
    world
        .try_update("/web", json!({"instances": 2}), true)
        .unwrap();
    assert_eq!(world.state.instances.len(), 2, "nobody waits for an offer");
    world.subscribe();
    world.settle();
    let left: Vec<_> = world.running("/web").into_iter().map(|it| it.id).collect();
    assert!(before.iter().all(|it| left.contains(&it.id)));
}

#[test]
fn nothing_is_known_of_anybody_after_a_failover_until_it_is_heard() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 3}));
    world.settle();
    world.restore();
    world.update("/web", json!({"instances": 1}));
    let goals = world.state.instances.values().map(|it| it.goal);
    assert!(goals.eq([Goal::Running; 3]), "it is too early to choose");
    world.subscribe();
    world.settle();
    assert_eq!(world.running("/web").len(), 1);
}

#[test]
fn whoever_names_an_earlier_task_does_not_mean_the_one_there_is() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.settle();
    let earlier = world.running("/web")[0].task_id().to_string();
    world.tell(&earlier, TaskState::TaskFailed);
    world.settle();
    let kill = Kill::Ids(vec![earlier]);
    let reply = world.ask(Request::Kill {
        instances: kill,
        scale: false,
        wipe: false,
        force: false,
    });
    assert!(matches!(reply, Reply::Killed(killed) if killed.is_empty()));
    assert_eq!(world.running("/web").len(), 1);
}
