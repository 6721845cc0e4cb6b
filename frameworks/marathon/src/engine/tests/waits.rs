//! What deployments say that they wait for.

use std::time::Duration;

use mesos_sdk::v1::TaskState;
use serde_json::json;

use crate::effects::{Input, Notice};
use crate::engine::{Reason, Wait, waits};
use crate::request::Request;

use super::world::World;

fn waiting(world: &World) -> Vec<Wait> {
    let deployments = world.state.deployments.values();
    deployments
        .flat_map(|it| waits(&world.state, it, world.now))
        .collect()
}

fn reasons(world: &World) -> Vec<(Reason, usize)> {
    let waits = waiting(world).into_iter();
    waits.map(|it| (it.reason, it.instances)).collect()
}

fn offers(world: &mut World) {
    world.offer();
    world.pass(Duration::from_secs(1));
}

#[test]
fn an_app_comes_to_run_and_each_thing_on_the_way_is_said() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 1", "instances": 2,
        "portDefinitions": [{"port": 0, "name": "http-api"}],
        "healthChecks": [{"path": "/", "gracePeriodSeconds": 1, "maxConsecutiveFailures": 0}],
        "readinessChecks": [{"intervalSeconds": 5, "timeoutSeconds": 2}],
    }));
    assert_eq!(reasons(&world), [(Reason::Offers, 2)]);
    assert!(waiting(&world)[0].message.contains("none has come yet"));
    offers(&mut world);
    assert_eq!(reasons(&world), [(Reason::Start, 2)]);
    world.go_on();
    assert_eq!(reasons(&world), [(Reason::Start, 1), (Reason::Health, 1)]);
    world.go_on();
    assert!(
        waiting(&world)[0]
            .message
            .contains("not known to be healthy")
    );
    world.health.insert("/web".to_owned(), 503);
    for _ in 0..10 {
        world.answer();
        world.pass(Duration::from_secs(1));
    }
    let said = &waiting(&world)[0];
    assert_eq!((said.reason, said.instances), (Reason::Health, 2));
    assert!(said.message.ends_with("HTTP status 503"), "{said}");
    assert!(said.to_string().starts_with("/web: 2 instances"), "{said}");
    world.restart();
    assert!(!waiting(&world).is_empty());
    world.health.clear();
    world.settle();
    assert_eq!(waiting(&world), []);
}

#[test]
fn readiness_is_said_to_be_missing() {
    let mut world = World::new();
    world.health.insert("/web".to_owned(), 503);
    world.create(json!({
        "id": "/web", "cmd": "sleep 1",
        "portDefinitions": [{"port": 0, "name": "http-api"}],
        "readinessChecks": [{"intervalSeconds": 5, "timeoutSeconds": 2}],
    }));
    offers(&mut world);
    while world.go_on() || world.answer() {}
    assert_eq!(reasons(&world), [(Reason::Readiness, 1)]);
}

#[test]
fn offers_that_are_refused_are_counted_with_why() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 2, "cpus": 99}));
    offers(&mut world);
    let said = &waiting(&world)[0];
    assert_eq!((said.reason, said.instances), (Reason::Offers, 2));
    let expected = "2 instances are without an offer: 3 of 3 offers refused: 3 InsufficientCpus (";
    assert!(said.message.starts_with(expected), "{said}");
    assert!(said.message.contains("cpus short"), "{said}");
}

#[test]
fn a_delay_after_failures_has_an_end() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "backoffSeconds": 60}));
    offers(&mut world);
    world.fail_next();
    world.go_on();
    let said = &waiting(&world)[0];
    assert_eq!((said.reason, said.instances), (Reason::Backoff, 1));
    assert_eq!(said.until, Some(world.now.after(Duration::from_secs(60))));
    let until = said.until.unwrap().to_string();
    assert!(said.message.contains(&until), "{said}");
}

#[test]
fn an_upgrade_says_what_its_strategy_keeps_it_from() {
    let mut world = World::new();
    let taken = json!({"id": "/web", "cmd": "sleep 1", "instances": 2, "cpus": 4});
    world.create(taken);
    world.settle();
    world.update("/web", json!({"cpus": 99}));
    offers(&mut world);
    let expected = [(Reason::Offers, 2), (Reason::MinimumHealthCapacity, 2)];
    assert_eq!(reasons(&world), expected);
    let said = &waiting(&world)[1].message;
    assert!(
        said.ends_with("minimumHealthCapacity wants 2, and there are 2"),
        "{said}"
    );
    let easy = json!({"minimumHealthCapacity": 0, "maximumOverCapacity": 0});
    let change = json!({"upgradeStrategy": easy});
    world.try_update("/web", change, true).unwrap();
    let expected = [(Reason::Kill, 2)];
    assert_eq!(reasons(&world), expected);
}

#[test]
fn those_out_of_reach_and_those_that_are_killed_are_told_apart() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 1", "instances": 2,
        "unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600},
    }));
    world.settle();
    let lost = world.running("/web")[0].task_id().to_string();
    world.tell(&lost, TaskState::TaskUnreachable);
    let id = "/web".parse().unwrap();
    world.ask(Request::DeleteApp { id, force: false });
    let mut said = waiting(&world);
    said.sort_by_key(|it| it.reason != Reason::Kill);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((said[0].reason, said[0].instances), (Reason::Kill, 1));
    assert_eq!(
        (said[1].reason, said[1].instances),
        (Reason::Unreachable, 1)
    );
    assert_eq!(
        said[1].until,
        Some(world.now.after(Duration::from_secs(600)))
    );
}

#[test]
fn after_a_new_connection_news_are_waited_for() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 2}));
    offers(&mut world);
    world.go_on();
    world.step(Input::Disconnected);
    assert_eq!(reasons(&world)[0], (Reason::Master, 0));
    world.connect();
    assert_eq!(reasons(&world), [(Reason::Reconciliation, 2)]);
    world.reconcile();
    assert_eq!(reasons(&world), [(Reason::Start, 1)]);
}

#[test]
fn the_log_tells_what_takes_long_ever_more_rarely() {
    let mut world = World::new();
    let made = world.create(json!({"id": "/web", "cmd": "sleep 1", "cpus": 99}));
    let told = |world: &World| {
        let of_it = world.notices.iter().filter(|notice| match notice {
            Notice::Info(text) => text.contains(&made.id) && text.contains("/web: 1 instance is"),
            Notice::Warning(_) => false,
        });
        of_it.count()
    };
    let pass = |world: &mut World, seconds: u64| {
        let end = world.now.after(Duration::from_secs(seconds));
        while world.now < end {
            offers(world);
        }
    };
    pass(&mut world, 29);
    assert_eq!(told(&world), 0);
    pass(&mut world, 2);
    assert_eq!(told(&world), 1);
    pass(&mut world, 58);
    assert_eq!(told(&world), 1);
    pass(&mut world, 5);
    assert_eq!(told(&world), 2);
    pass(&mut world, 3600);
    assert!((7..=10).contains(&told(&world)), "{:?}", world.notices);
}
