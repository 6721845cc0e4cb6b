mod apps;
mod condemned;
mod deadlines;
mod deployments;
mod everywhere;
mod faults;
mod groups;
mod health;
mod pods;
mod removed;
mod resident;
mod waits;
mod world;

use serde_json::json;

use crate::request::{Kill, Refusal, Reply, Request};

use world::World;

#[test]
fn an_app_is_deployed_and_runs() {
    let mut world = World::new();
    let deployed = world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 3}));
    assert_eq!(world.state.deployments.len(), 1);
    world.settle();
    assert_eq!(world.running("/web").len(), 3);
    assert!(world.state.deployments.is_empty());
    let kinds = world.kinds();
    for kind in [
        "deployment_info",
        "instance_changed_event",
        "status_update_event",
        "deployment_step_success",
        "deployment_success",
    ] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let success = world
        .events
        .iter()
        .find(|it| it.kind == "deployment_success");
    assert_eq!(success.unwrap().data["id"], deployed.id.as_str());
}

#[test]
fn what_was_saved_is_all_there_is() {
    let mut world = World::new();
    world.create(json!({"id": "/a/web", "cmd": "sleep 100", "instances": 2}));
    world.create(json!({"id": "/b", "cmd": "sleep 100", "healthChecks": [{"path": "/"}]}));
    world.fail_next();
    world.offer();
    world.restart();
    world.settle_with(&["/a/web"]);
    let before = world.state.clone();
    world.restart();
    assert_eq!(world.state.root, before.root);
    assert_eq!(world.state.instances, before.instances);
    assert_eq!(world.state.by_app, before.by_app);
    assert_eq!(world.state.waiting, before.waiting);
    assert_eq!(world.state.versions, before.versions);
    assert_eq!(world.state.delays, before.delays);
    assert_eq!(world.state.failures, before.failures);
    assert_eq!(world.state.framework_id, before.framework_id);
    assert_eq!(world.state.ids_made, before.ids_made);
    assert_eq!(
        world.state.deployments.keys().collect::<Vec<_>>(),
        before.deployments.keys().collect::<Vec<_>>()
    );
}

#[test]
fn instances_are_named_by_ids_and_ended() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 3}));
    world.settle();
    let first = world.running("/web")[0].clone();
    let kill = |instances, scale, wipe| Request::Kill {
        instances,
        scale,
        wipe,
        force: false,
    };
    let reply = world.ask(kill(
        Kill::Ids(vec![first.task_id().to_string()]),
        true,
        true,
    ));
    assert!(matches!(reply, Reply::Refused(Refusal::Bad(_))));
    let reply = world.ask(kill(Kill::Ids(vec!["nobody".to_owned()]), false, false));
    assert!(matches!(reply, Reply::Refused(Refusal::Bad(_))));
    let one = Kill::One {
        app: "/web".parse().unwrap(),
        id: first.id.to_string(),
    };
    let Reply::Killed(killed) = world.ask(kill(one.clone(), false, false)) else {
        panic!("not killed");
    };
    assert_eq!(killed[0].id, first.id);
    world.settle();
    let running = world.running("/web");
    assert_eq!(running.len(), 3, "another one took its place");
    assert!(running.iter().all(|instance| instance.id != first.id));
    let reply = world.ask(kill(one, false, false));
    assert!(matches!(reply, Reply::Refused(Refusal::NotFound(_))));
    let scaled = Kill::Ids(vec![running[0].id.to_string()]);
    let Reply::Deployed(_) = world.ask(kill(scaled, true, false)) else {
        panic!("not deployed");
    };
    world.settle();
    assert_eq!(world.running("/web").len(), 2);
    assert!(
        world
            .running("/web")
            .iter()
            .all(|it| it.id != running[0].id)
    );
}

#[test]
fn roles_without_demand_are_suppressed_until_there_is_some() {
    let mut world = World::new();
    world.settle();
    assert!(world.state.suppressed.contains("*"));
    assert!(world.declined > 0 || world.state.offers.is_empty());
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    assert!(world.state.suppressed.is_empty());
    world.settle();
    assert!(world.state.suppressed.contains("*"));
}

#[test]
fn tasks_that_are_none_of_ours_are_killed() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.settle();
    world.start_stranger("web.instance-00000000-0000-0000-0000-000000000009._app.1");
    world.start_stranger("something else");
    world.settle();
    assert_eq!(world.tasks.len(), 1);
    assert_eq!(world.running("/web").len(), 1);
}
