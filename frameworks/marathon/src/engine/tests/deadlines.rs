//! Deployments that may take so long and no longer.

use std::time::Duration;

use serde_json::json;

use crate::effects::{Input, Notice};
use crate::request::{Reply, Request};
use crate::state::Deployment;
use crate::timestamp::Timestamp;

use super::world::World;

/// Too much for every agent.
const HUGE: u32 = 99;

fn live(world: &mut World, seconds: u64) {
    let end = world.now.after(Duration::from_secs(seconds));
    while world.now < end {
        while world.go_on() || world.answer() {}
        world.offer();
        world.pass(Duration::from_secs(1));
    }
}

fn reasons(world: &World, kind: &str) -> Vec<String> {
    let told = world.events.iter().filter(|it| it.kind == kind);
    told.map(|it| it.data["reason"].as_str().unwrap().to_owned())
        .collect()
}

fn deadline(deployment: &Deployment) -> Option<Timestamp> {
    deployment.plan.deadline
}

#[test]
fn a_deployment_that_takes_too_long_is_undone_by_itself() {
    let mut world = World::new();
    let body = json!({"id": "/web", "cmd": "sleep 1", "deploymentTimeoutSeconds": 60});
    world.create(body);
    world.settle();
    let first = world.running("/web")[0].id.clone();
    let bad = world.update("/web", json!({"cmd": "sleep 2", "cpus": HUGE}));
    live(&mut world, 58);
    assert!(world.state.deployments.contains_key(&bad.id));
    live(&mut world, 4);
    assert!(world.state.deployments.is_empty());
    let app = world.state.root.app(&"/web".parse().unwrap()).unwrap();
    assert_eq!((app.cmd.as_deref(), app.cpus), (Some("sleep 1"), 1.0));
    let running = world.running("/web");
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].id, first, "it ran all the time");
    let failed = reasons(&world, "deployment_failed");
    assert_eq!(failed.len(), 1);
    assert!(failed[0].contains("rolled back by"), "{failed:?}");
    let last = world.kinds().into_iter().rfind(|it| it.starts_with("depl"));
    assert_eq!(last, Some("deployment_success"), "of the rollback");
    let is_told = |it: &Notice| matches!(it, Notice::Warning(text) if text.contains(&bad.id));
    assert!(world.notices.iter().any(is_told), "{:?}", world.notices);
}

#[test]
fn a_deployment_that_is_done_in_time_stays() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "deploymentTimeoutSeconds": 60}));
    world.settle();
    live(&mut world, 120);
    assert_eq!(world.running("/web").len(), 1);
    assert!(!world.kinds().contains(&"deployment_failed"));
}

#[test]
fn of_several_apps_the_shortest_time_counts_and_only_of_those_that_change() {
    let mut world = World::new();
    let app = |id: &str, more: serde_json::Value| {
        let mut body = json!({"id": id, "cmd": "sleep 1"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    };
    let put = |world: &mut World, apps: serde_json::Value| {
        let made = world.put_group("/g", json!({"apps": apps})).unwrap();
        deadline(&world.state.deployments[&made.id])
    };
    let slow = app("a", json!({"deploymentTimeoutSeconds": 300}));
    let fast = app("b", json!({"deploymentTimeoutSeconds": 20}));
    let other = app("c", json!({}));
    let at = put(&mut world, json!([slow, fast, other]));
    assert_eq!(at, Some(world.now.after(Duration::from_secs(20))));
    world.settle();
    let slow = app("a", json!({"deploymentTimeoutSeconds": 300, "cpus": 0.5}));
    let at = put(&mut world, json!([slow, fast, other]));
    assert_eq!(at, Some(world.now.after(Duration::from_secs(300))));
    world.settle();
    let other = app("c", json!({"cpus": 0.5}));
    assert_eq!(put(&mut world, json!([slow, fast, other])), None);
    world.settle();
    assert_eq!(put(&mut world, json!([])), None, "what goes, goes");
}

#[test]
fn a_new_app_that_does_not_come_to_run_in_time_is_no_more() {
    let mut world = World::new();
    world.agents = 0;
    world.create(json!({"id": "/web", "cmd": "sleep 1", "deploymentTimeoutSeconds": 5}));
    let other = world.create(json!({"id": "/other", "cmd": "sleep 1"}));
    live(&mut world, 10);
    assert!(world.state.root.app(&"/web".parse().unwrap()).is_none());
    let left: Vec<_> = world.state.deployments.keys().collect();
    assert_eq!(left, [&other.id], "it has all the time there is");
}

#[test]
fn what_undoes_another_has_no_deadline() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 1", "deploymentTimeoutSeconds": 60,
        "upgradeStrategy": {"minimumHealthCapacity": 0},
    }));
    world.settle();
    let bad = world.update("/web", json!({"cpus": HUGE}));
    let Reply::Deployed(undone) = world.ask(Request::CancelDeployment {
        id: bad.id,
        force: false,
    }) else {
        panic!("not undone");
    };
    let deployment = &world.state.deployments[&undone.id];
    assert_eq!(deadline(deployment), None);
}

#[test]
fn a_deadline_outlives_failovers_and_strikes_when_it_can_be_judged() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "deploymentTimeoutSeconds": 60}));
    world.settle();
    let change = world.update("/web", json!({"cmd": "sleep 2"}));
    let at = deadline(&world.state.deployments[&change.id]);
    assert!(at.is_some());
    world.restart();
    assert_eq!(deadline(&world.state.deployments[&change.id]), at);

    // Long after, with a master who has yet to say what became of everything.
    world.step(Input::Disconnected);
    world.pass(Duration::from_secs(600));
    world.pass(Duration::from_secs(600));
    assert!(world.now > at.unwrap());
    assert!(world.state.deployments.contains_key(&change.id));
    world.subscribe();
    live(&mut world, 20);
    assert!(world.state.deployments.is_empty());
    let app = world.state.root.app(&"/web".parse().unwrap()).unwrap();
    assert_eq!(app.cmd.as_deref(), Some("sleep 2"), "it was done after all");

    let change = world.update("/web", json!({"cmd": "sleep 3", "cpus": HUGE}));
    world.now = world.now.after(Duration::from_secs(1));
    world.restart();
    live(&mut world, 100);
    assert!(!world.state.deployments.contains_key(&change.id));
    let app = world.state.root.app(&"/web".parse().unwrap()).unwrap();
    assert_eq!(app.cmd.as_deref(), Some("sleep 2"));
}

#[test]
fn a_rollback_that_others_made_impossible_is_tried_again() {
    let mut world = World::new();
    let app = |id: &str, more: serde_json::Value| {
        let mut body = json!({"id": id, "cmd": "sleep 1"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    };
    world.create(app("/a", json!({})));
    world.settle();
    world.create(app("/b", json!({"dependencies": ["/a"]})));
    world.settle();
    world.update("/b", json!({"dependencies": []}));
    world.settle();
    world.update("/a", json!({"dependencies": ["/b"]}));
    world.settle();
    // Undone, /a would wait for /b, which waits for /a by then.
    let more = json!({"dependencies": [], "cpus": HUGE, "deploymentTimeoutSeconds": 10});
    let stuck = world.update("/a", more);
    world.update("/b", json!({"dependencies": ["/a"], "instances": 0}));
    live(&mut world, 100);
    assert!(world.state.deployments.contains_key(&stuck.id));
    let refused = reasons(&world, "group_change_failed");
    assert_eq!(refused.len(), 1, "it is told once");
    assert!(refused[0].contains("cyclic"), "{refused:?}");
    world
        .try_update("/b", json!({"dependencies": []}), true)
        .unwrap();
    live(&mut world, 40);
    assert!(world.state.deployments.is_empty());
    let a = world.state.root.app(&"/a".parse().unwrap()).unwrap();
    assert_eq!((a.cpus, a.dependencies.len()), (1.0, 1));
}

#[test]
fn the_time_that_deployments_may_take_changes_without_any_being_replaced() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 2}));
    world.settle();
    let before = world.running("/web");
    world.update("/web", json!({"deploymentTimeoutSeconds": 30}));
    world.settle();
    assert!(world.state.deployments.is_empty());
    assert_eq!(world.running("/web"), before);
    world.restart();
    let id = "/web".parse().unwrap();
    let app = world.state.root.app(&id).unwrap();
    assert_eq!(app.deployment_timeout_seconds, Some(30));
    assert_eq!(world.state.versions[&id].len(), 2);
    let again = world.update("/web", json!({"deploymentTimeoutSeconds": 30}));
    assert!(world.state.root.app(&id).unwrap().version < again.version);
}
