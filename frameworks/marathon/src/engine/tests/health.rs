//! Health checks that Marathon makes itself.

use std::time::Duration;

use serde_json::json;

use super::world::World;

fn checked(id: &str, instances: u32) -> serde_json::Value {
    json!({
        "id": id, "cmd": "sleep 1", "instances": instances,
        "healthChecks": [{
            "path": "/", "gracePeriodSeconds": 5, "intervalSeconds": 10, "maxConsecutiveFailures": 2,
        }],
    })
}

fn live(world: &mut World, seconds: u64) {
    let end = world.now.after(Duration::from_secs(seconds));
    while world.now < end {
        while world.go_on() || world.answer() {}
        world.offer();
        world.pass(Duration::from_secs(1));
    }
}

#[test]
fn a_deployment_waits_for_health() {
    let mut world = World::new();
    world.health.insert("/web".to_owned(), 500);
    world.create(checked("/web", 1));
    live(&mut world, 12);
    assert_eq!(world.state.deployments.len(), 1);
    world.health.clear();
    live(&mut world, 30);
    assert!(world.state.deployments.is_empty());
    assert!(world.kinds().contains(&"health_status_changed_event"));
}

#[test]
fn the_unhealthy_are_replaced() {
    let mut world = World::new();
    world.create(checked("/good", 1));
    world.create(checked("/web", 1));
    live(&mut world, 20);
    let first = world.running("/web")[0].id.clone();
    world.health.insert("/web".to_owned(), 500);
    live(&mut world, 45);
    assert!(world.kinds().contains(&"unhealthy_instance_kill_event"));
    assert!(world.running("/web").iter().all(|it| it.id != first));
}

#[test]
fn when_nothing_at_all_answers_nothing_is_killed() {
    let mut world = World::new();
    world.create(checked("/a", 3));
    world.create(checked("/b", 3));
    live(&mut world, 30);
    let before: Vec<_> = world.tasks.keys().cloned().collect();
    world.health.insert("/a".to_owned(), 0);
    world.health.insert("/b".to_owned(), 0);
    live(&mut world, 120);
    let after: Vec<_> = world.tasks.keys().cloned().collect();
    let killed = before.iter().filter(|id| !after.contains(id)).count();
    assert_eq!(killed, 1, "one, to find out");
    let spared = world.kinds().into_iter();
    let spared = spared.filter(|kind| *kind == "unhealthy_instance_spared_event");
    assert!(spared.count() >= 5);
    // Where anything answers again, whoever does not is at fault.
    world.health.remove("/b");
    live(&mut world, 120);
    let last: Vec<_> = world.tasks.keys().cloned().collect();
    let of_a = before.iter().filter(|id| id.starts_with("a."));
    assert!(of_a.clone().count() == 3 && of_a.clone().all(|id| !last.contains(id)));
}

#[test]
fn whoever_answers_badly_is_at_fault_whatever_the_others_do() {
    let mut world = World::new();
    world.create(checked("/a", 3));
    world.create(checked("/b", 3));
    live(&mut world, 30);
    let before: Vec<_> = world.tasks.keys().cloned().collect();
    world.health.insert("/a".to_owned(), 500);
    world.health.insert("/b".to_owned(), 500);
    live(&mut world, 60);
    assert!(before.iter().all(|id| !world.tasks.contains_key(id)));
}

#[test]
fn where_there_is_nobody_else_to_ask_the_silent_are_replaced() {
    let mut world = World::new();
    world.create(checked("/a", 1));
    live(&mut world, 30);
    let first = world.running("/a")[0].id.clone();
    world.health.insert("/a".to_owned(), 0);
    live(&mut world, 60);
    assert!(world.running("/a").iter().all(|it| it.id != first));
}

#[test]
fn of_too_many_those_stay_that_are_known_to_be_well() {
    let mut world = World::new();
    let mut app = checked("/web", 2);
    app["killSelection"] = json!("OLDEST_FIRST");
    world.create(app);
    live(&mut world, 30);
    let old: Vec<_> = world.running("/web").into_iter().map(|it| it.id).collect();
    let update = |world: &mut World, instances: u32| {
        world
            .try_update("/web", json!({"instances": instances}), true)
            .unwrap();
    };
    update(&mut world, 3);
    world.offer();
    world.go_on();
    assert_eq!(world.running("/web").len(), 3);
    update(&mut world, 2);
    while world.go_on() {}
    let left: Vec<_> = world.running("/web").into_iter().map(|it| it.id).collect();
    assert_eq!(left, old, "nobody has asked the third yet");
}

#[test]
fn nobody_goes_who_may_be_needed_until_it_is_known() {
    let mut world = World::new();
    world.create(checked("/web", 3));
    live(&mut world, 30);
    world.restart();
    world.update("/web", json!({"instances": 2}));
    while world.go_on() {}
    assert_eq!(world.running("/web").len(), 3);
    live(&mut world, 10);
    assert_eq!(world.running("/web").len(), 2);
    // Those that never say anything hold nobody up for ever.
    world.restart();
    world.update("/web", json!({"instances": 1}));
    for _ in 0..5 {
        world.pass(Duration::from_secs(20));
        while world.go_on() {}
    }
    assert_eq!(world.running("/web").len(), 1);
}
