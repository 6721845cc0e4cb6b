//! Deployments: their order, their locks, and how they end.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_sdk::v1::TaskState;
use serde_json::json;

use crate::instance::Condition;
use crate::request::{Refusal, Reply, Request};

use super::world::World;

#[test]
fn a_change_replaces_every_instance_and_never_goes_below_its_minimum() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 100", "instances": 4,
        "upgradeStrategy": {"minimumHealthCapacity": 0.75, "maximumOverCapacity": 0.25},
    }));
    world.settle();
    let old: Vec<_> = world.running("/web").into_iter().map(|it| it.id).collect();
    world.update("/web", json!({"env": {"K": "v"}}));
    for _ in 0..200 {
        assert!(world.running("/web").len() >= 3);
        assert!(world.tasks.len() <= 5);
        if !world.go_on() {
            world.offer();
            world.pass(Duration::from_secs(1));
        }
    }
    assert!(world.state.deployments.is_empty());
    let new = world.running("/web");
    assert_eq!(new.len(), 4);
    assert!(new.iter().all(|instance| !old.contains(&instance.id)));
}

#[test]
fn a_restart_replaces_though_nothing_differs() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 2}));
    world.settle();
    let old: Vec<_> = world.running("/web").into_iter().map(|it| it.id).collect();
    let app = |world: &World| {
        world
            .state
            .root
            .app(&"/web".parse().unwrap())
            .unwrap()
            .clone()
    };
    let before = app(&world);
    let id = "/web".parse().unwrap();
    world.ask(Request::Restart { id, force: false });
    world.settle();
    assert!(world.running("/web").iter().all(|it| !old.contains(&it.id)));
    assert_eq!(world.running("/web").len(), 2);
    let after = app(&world).version_info;
    assert!(after.last_scaling_at > before.version_info.last_scaling_at);
    assert_eq!(
        after.last_config_change_at,
        before.version_info.last_config_change_at
    );
}

#[test]
fn saying_the_same_again_replaces_nothing() {
    let mut world = World::new();
    let body = json!({"id": "/web", "cmd": "sleep 100", "portDefinitions": [{"port": 0}]});
    world.create(body.clone());
    world.settle();
    let old = world.running("/web");
    let reply = world.ask(Request::UpdateApps {
        id: Some("/web".parse().unwrap()),
        inputs: vec![crate::input::read(body.to_string().as_bytes()).unwrap()],
        is_partial: false,
        may_create: true,
        force: false,
    });
    assert!(matches!(reply, Reply::Deployed(_)));
    world.settle();
    assert_eq!(world.running("/web"), old);
}

#[test]
fn an_app_that_is_being_changed_is_locked() {
    let mut world = World::new();
    let first = world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    let refusal = world
        .try_update("/web", json!({"instances": 2}), false)
        .unwrap_err();
    assert_eq!(refusal, Refusal::Locked(vec![first.id.clone()]));
    world
        .try_update("/web", json!({"instances": 2}), true)
        .unwrap();
    assert!(!world.state.deployments.contains_key(&first.id));
    assert!(world.kinds().contains(&"deployment_failed"));
    world.settle();
    assert_eq!(world.running("/web").len(), 2);
}

#[test]
fn others_are_not_locked_and_there_may_be_so_many() {
    let settings = crate::state::Settings {
        max_running_deployments: 2,
        ..crate::state::Settings::default()
    };
    let mut world = World::with(settings);
    world.create(json!({"id": "/a", "cmd": "sleep 100"}));
    world.create(json!({"id": "/b", "cmd": "sleep 100"}));
    let refusal = world
        .try_create(json!({"id": "/c", "cmd": "sleep 100"}))
        .unwrap_err();
    assert_eq!(refusal, Refusal::TooMany(2));
    world.settle();
    world.create(json!({"id": "/c", "cmd": "sleep 100"}));
}

#[test]
fn a_deployment_is_undone_by_another_one() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 2}));
    world.settle();
    let old: Vec<_> = world.running("/web").into_iter().map(|it| it.id).collect();
    let bad = world.update("/web", json!({"cmd": "false", "instances": 4}));
    world.offer();
    let cancel = |id: &str, force| Request::CancelDeployment {
        id: id.to_owned(),
        force,
    };
    let Reply::Deployed(undone) = world.ask(cancel(&bad.id, false)) else {
        panic!("not undone");
    };
    assert_ne!(undone.id, bad.id);
    world.settle();
    let app = world
        .state
        .root
        .app(&"/web".parse().unwrap())
        .unwrap()
        .clone();
    assert_eq!((app.cmd.as_deref(), app.instances), (Some("sleep 100"), 2));
    assert_eq!(world.running("/web").len(), 2);
    assert!(
        world
            .running("/web")
            .iter()
            .all(|it| old.contains(&it.id) || it.version == app.version)
    );
    let reply = world.ask(cancel(&bad.id, false));
    assert!(matches!(reply, Reply::Refused(Refusal::NotFound(_))));
    let third = world.update("/web", json!({"instances": 3}));
    assert!(matches!(world.ask(cancel(&third.id, true)), Reply::Done));
    assert!(world.state.deployments.is_empty());
}

#[test]
fn what_others_depend_on_runs_before_they_start() {
    let mut world = World::new();
    world
        .put_group(
            "/shop",
            json!({
                "apps": [
                    {"id": "web", "cmd": "sleep 100", "dependencies": ["db"]},
                    {"id": "db", "cmd": "sleep 100", "instances": 2},
                ],
            }),
        )
        .unwrap();
    world.offer();
    assert_eq!(world.tasks.len(), 2, "only the database");
    world.settle();
    assert_eq!(world.running("/shop/web").len(), 1);
    let order = |id: &str| {
        let events = world
            .events
            .iter()
            .filter(|it| it.kind == "instance_changed_event");
        let mut of_app = events
            .enumerate()
            .filter(|(_, it)| it.data["runSpecId"] == id);
        of_app.next().unwrap().0
    };
    assert!(order("/shop/db") < order("/shop/web"));
}

#[test]
fn a_group_is_replaced_scaled_and_removed() {
    let mut world = World::new();
    let apps = |ids: &[&str]| {
        let apps = ids
            .iter()
            .map(|id| json!({"id": id, "cmd": "sleep 100", "instances": 2}));
        json!({"apps": apps.collect::<Vec<_>>()})
    };
    world.put_group("/g", apps(&["a", "b"])).unwrap();
    world.settle();
    world.put_group("/g", apps(&["b", "c"])).unwrap();
    world.settle();
    assert_eq!(world.running("/g/a").len(), 0);
    assert_eq!(world.running("/g/c").len(), 2);
    world.put_group("/g", json!({"scaleBy": 1.3})).unwrap();
    world.settle();
    assert_eq!(world.running("/g/b").len(), 3);
    let outside = world.put_group("/g", json!({"apps": [{"id": "/x", "cmd": "sleep 1"}]}));
    assert!(matches!(outside, Err(Refusal::Invalid(_))));
    let id = "/g".parse().unwrap();
    world.ask(Request::DeleteGroup { id, force: false });
    world.settle();
    assert!(world.tasks.is_empty());
}

#[test]
fn an_app_goes_back_to_an_earlier_version() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1"}));
    world.settle();
    let first = world
        .state
        .root
        .app(&"/web".parse().unwrap())
        .unwrap()
        .version;
    world.update("/web", json!({"cmd": "sleep 2", "instances": 3}));
    world.settle();
    world.update("/web", json!({"version": first.to_string()}));
    world.settle();
    let app = world
        .state
        .root
        .app(&"/web".parse().unwrap())
        .unwrap()
        .clone();
    assert_eq!((app.cmd.as_deref(), app.instances), (Some("sleep 1"), 1));
    assert_eq!(world.state.versions[&app.id].len(), 3);
    let unknown = world.try_update(
        "/web",
        json!({"version": "2015-04-09T12:30:00.000Z"}),
        false,
    );
    assert!(matches!(unknown, Err(Refusal::NotFound(_))));
}

#[test]
fn old_versions_go_but_not_those_that_still_run() {
    let settings = crate::state::Settings {
        max_versions: 3,
        ..crate::state::Settings::default()
    };
    let mut world = World::with(settings);
    world.create(json!({"id": "/web", "cmd": "sleep 1"}));
    world.settle();
    let first = world.running("/web")[0].version;
    for instances in 2..8 {
        world.update("/web", json!({"instances": instances}));
        world.settle();
    }
    let versions = &world.state.versions[&"/web".parse().unwrap()];
    assert!(versions.contains_key(&first), "an instance runs it");
    assert!(
        world
            .running("/web")
            .iter()
            .all(|it| versions.contains_key(&it.version))
    );
}

#[test]
fn readiness_is_waited_for() {
    let mut world = World::new();
    let body = json!({
        "id": "/web", "cmd": "sleep 1",
        "portDefinitions": [{"port": 0, "name": "http-api"}],
        "readinessChecks": [{"intervalSeconds": 5, "timeoutSeconds": 2}],
    });
    world.health = BTreeMap::from([("/web".to_owned(), 503)]);
    world.create(body);
    for _ in 0..30 {
        world.offer();
        while world.go_on() || world.answer() {}
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.running("/web").len(), 1);
    assert_eq!(world.state.deployments.len(), 1);
    world.health.clear();
    world.settle();
    assert!(world.state.deployments.is_empty());
}

#[test]
fn a_deployment_goes_on_after_a_failover() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 1", "instances": 3}));
    world.settle();
    let change = world.update("/web", json!({"cmd": "sleep 2"}));
    world.offer();
    world.go_on();
    world.restart();
    assert!(world.state.deployments.contains_key(&change.id));
    world.settle();
    assert!(world.state.deployments.is_empty());
    let version = world
        .state
        .root
        .app(&"/web".parse().unwrap())
        .unwrap()
        .version;
    assert!(world.running("/web").iter().all(|it| it.version == version));
    assert_eq!(world.tasks.len(), 3);
}

#[test]
fn what_waits_for_its_turn_loses_nothing_to_what_never_came_to_be() {
    let mut world = World::new();
    let group = |cpus: f64, cmd: &str, instances: u32| {
        json!({"apps": [
            {"id": "x", "cmd": "sleep 100", "cpus": cpus},
            {"id": "y", "cmd": cmd, "instances": instances, "dependencies": ["/g/x"]},
        ]})
    };
    let ids = |world: &World| -> Vec<_> {
        let running = world.running("/g/y").into_iter();
        running.map(|it| it.id).collect()
    };
    world.put_group("/g", group(0.1, "sleep 100", 3)).unwrap();
    world.settle();
    let before = ids(&world);
    assert_eq!(before.len(), 3);
    // No agent has room for that, so the turn of the other one never comes.
    let stuck = world.put_group("/g", group(1e6, "sleep 200", 2)).unwrap();
    for _ in 0..20 {
        if !world.go_on() {
            world.offer();
            world.pass(Duration::from_secs(1));
        }
    }
    assert_eq!(ids(&world), before);
    let reply = world.ask(Request::CancelDeployment {
        id: stuck.id,
        force: false,
    });
    assert!(matches!(reply, Reply::Deployed(_)));
    world.settle();
    assert_eq!(ids(&world), before);
}

#[test]
fn a_stuck_deployment_can_be_forced_aside() {
    let mut world = World::new();
    world.agents = 0;
    world.create(json!({"id": "/web", "cmd": "sleep 1"}));
    world.offer();
    assert!(world.state.waiting.len() == 1 && world.tasks.is_empty());
    world
        .try_update("/web", json!({"cpus": 0.1}), true)
        .unwrap();
    world.agents = 3;
    world.settle();
    let running = world.running("/web");
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].condition, Condition::Running);
    assert_eq!(
        world
            .tasks
            .values()
            .filter(|it| it.1 == TaskState::TaskRunning)
            .count(),
        1
    );
}

#[test]
fn what_left_nothing_behind_keeps_no_deployment_waiting_after_a_failover() {
    let mut world = World::new();
    let app =
        |id: &str, instances: u32| json!({"id": id, "cmd": "sleep 100", "instances": instances});
    let apps = json!({"apps": [app("x", 1), app("y", 0)]});
    world.put_group("/g", apps).unwrap();
    world.settle();
    world.put_group("/g", json!({"apps": []})).unwrap();
    assert_eq!(world.state.deployments.len(), 1);
    world.restart();
    world.settle();
    assert!(world.tasks.is_empty() && world.state.deployments.is_empty());
}
