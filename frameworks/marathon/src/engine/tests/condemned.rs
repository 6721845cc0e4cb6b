//! Unhealthy instances that are kept until others have taken their places.

use std::time::Duration;

use serde_json::{Value, json};

use crate::instance::InstanceId;

use super::world::World;

/// How long they are kept.
const KEPT: u64 = 100;

fn app(id: &str, instances: u32) -> Value {
    json!({
        "id": id, "cmd": "sleep 1", "instances": instances, "startBeforeKillSeconds": KEPT,
        "healthChecks": [{
            "path": "/", "gracePeriodSeconds": 5, "intervalSeconds": 10, "maxConsecutiveFailures": 2,
        }],
    })
}

/// Time goes by. Says how many instances of an app there were at most and how
/// many healthy ones at least.
fn live(world: &mut World, id: &str, seconds: u64) -> (usize, usize) {
    let end = world.now.after(Duration::from_secs(seconds));
    let (mut most, mut least) = (0, usize::MAX);
    while world.now < end {
        while world.go_on() || world.answer() {
            let running = world.running(id);
            most = most.max(running.len());
            let well = running.iter().filter(|it| !world.sick.contains(&it.id));
            least = least.min(well.count());
        }
        world.offer();
        world.pass(Duration::from_secs(1));
    }
    (most, least)
}

fn ids(world: &World, id: &str) -> Vec<InstanceId> {
    world.running(id).into_iter().map(|it| it.id).collect()
}

fn kills(world: &World) -> usize {
    let kinds = world.kinds().into_iter();
    kinds
        .filter(|kind| *kind == "unhealthy_instance_kill_event")
        .count()
}

#[test]
fn another_is_healthy_before_the_unhealthy_one_is_killed() {
    let mut world = World::new();
    world.create(app("/web", 2));
    live(&mut world, "/web", 30);
    let before = ids(&world, "/web");
    world.sick.insert(before[0].clone());
    let (most, least) = live(&mut world, "/web", 60);
    assert_eq!((most, least), (3, 1));
    let after = ids(&world, "/web");
    assert_eq!(after.len(), 2);
    assert!(!after.contains(&before[0]) && after.contains(&before[1]));
    assert_eq!(kills(&world), 1);
    // Nobody was killed before there were as many well ones as are wanted.
    let position = |kind: &str, id: Option<&InstanceId>| {
        let mut events = world.events.iter();
        events.rposition(|it| {
            it.kind == kind && id.is_none_or(|id| it.data["instanceId"] == json!(id))
        })
    };
    let new = after.iter().find(|id| !before.contains(id));
    let healthy = position("instance_health_changed_event", new);
    assert!(healthy.is_some());
    assert!(healthy < position("unhealthy_instance_kill_event", None));
}

#[test]
fn it_waits_no_longer_than_that() {
    let mut world = World::new();
    world.create(app("/web", 1));
    live(&mut world, "/web", 30);
    let first = ids(&world, "/web")[0].clone();
    world.agents = 0; // There is no place for another.
    live(&mut world, "/web", 5);
    world.sick.insert(first.clone());
    live(&mut world, "/web", 40);
    assert_eq!(ids(&world, "/web"), std::slice::from_ref(&first));
    let condemned_at = world.running("/web")[0].condemned_at;
    assert!(condemned_at.is_some());
    world.restart();
    assert_eq!(world.running("/web")[0].condemned_at, condemned_at);
    let left = KEPT - world.now.since(condemned_at.unwrap()).as_secs();
    live(&mut world, "/web", left - 2);
    assert_eq!(ids(&world, "/web"), std::slice::from_ref(&first));
    live(&mut world, "/web", 4);
    assert_eq!(kills(&world), 1);
    world.agents = 3;
    live(&mut world, "/web", 60);
    let last = ids(&world, "/web");
    assert!(last.len() == 1 && last[0] != first);
}

#[test]
fn whoever_is_healthy_again_stays_and_the_other_goes() {
    let mut world = World::new();
    world.create(app("/web", 1));
    live(&mut world, "/web", 30);
    let first = ids(&world, "/web")[0].clone();
    world.agents = 0;
    live(&mut world, "/web", 5);
    world.sick.insert(first.clone());
    live(&mut world, "/web", 40);
    assert_eq!(world.state.waiting.len(), 1);
    world.sick.clear();
    live(&mut world, "/web", 20);
    assert_eq!(ids(&world, "/web"), [first]);
    assert!(world.running("/web")[0].condemned_at.is_none());
    assert!(world.state.waiting.is_empty());
    assert_eq!(kills(&world), 0);
}

#[test]
fn so_many_are_kept_as_there_is_room_for_and_further_ones_are_killed_at_once() {
    let mut world = World::new();
    let mut body = app("/web", 4);
    body["upgradeStrategy"] = json!({"minimumHealthCapacity": 1, "maximumOverCapacity": 0.5});
    world.create(body);
    live(&mut world, "/web", 60);
    world.agents = 0;
    live(&mut world, "/web", 5);
    let all = ids(&world, "/web");
    assert_eq!(all.len(), 4);
    world.sick.extend(all[..3].to_vec());
    live(&mut world, "/web", 40);
    assert_eq!(kills(&world), 1);
    assert_eq!(ids(&world, "/web").len(), 3);
    world.agents = 3;
    let (most, least) = live(&mut world, "/web", 80);
    assert!(most <= 6 && least >= 1, "{most} {least}");
    let after = ids(&world, "/web");
    assert_eq!(after.len(), 4);
    assert!(after.iter().all(|id| !world.sick.contains(id)));
}

#[test]
fn who_does_not_ask_for_it_has_them_killed_at_once() {
    let mut world = World::new();
    let mut body = app("/web", 2);
    body["startBeforeKillSeconds"] = Value::Null;
    world.create(body);
    live(&mut world, "/web", 30);
    let first = ids(&world, "/web")[0].clone();
    world.sick.insert(first);
    let (most, _) = live(&mut world, "/web", 60);
    assert_eq!((most, kills(&world)), (2, 1));
}

#[test]
fn an_upgrade_keeps_no_unhealthy_ones() {
    let mut world = World::new();
    world.create(app("/web", 1));
    live(&mut world, "/web", 30);
    let first = ids(&world, "/web")[0].clone();
    world.agents = 0;
    live(&mut world, "/web", 5);
    world.sick.insert(first);
    live(&mut world, "/web", 40);
    assert_eq!(kills(&world), 0);
    world.update("/web", json!({"cmd": "sleep 2"}));
    assert_eq!(kills(&world), 1);
    world.agents = 3;
    world.settle();
    assert_eq!(world.running("/web").len(), 1);
    assert!(world.state.deployments.is_empty());
}

#[test]
fn one_that_dies_by_itself_is_started_again_as_one_like_the_others() {
    let mut world = World::new();
    world.create(app("/web", 1));
    live(&mut world, "/web", 30);
    let first = world.running("/web")[0].clone();
    world.agents = 0;
    live(&mut world, "/web", 5);
    world.sick.insert(first.id.clone());
    live(&mut world, "/web", 40);
    assert!(world.running("/web")[0].condemned_at.is_some());
    let failed = mesos_sdk::v1::TaskState::TaskFailed;
    world.tell(&first.task_id().to_string(), failed);
    world.sick.clear();
    world.agents = 3;
    let (most, _) = live(&mut world, "/web", 60);
    assert_eq!(most, 1);
    let running = world.running("/web");
    assert!(running.len() == 1 && running[0].condemned_at.is_none());
}
