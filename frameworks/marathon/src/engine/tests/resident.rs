//! Instances that keep volumes.

use mesos_sdk::v1::offer::operation::Type;
use mesos_sdk::v1::{self, TaskState};
use serde_json::{Value, json};

use crate::instance::{Goal, Instance};
use crate::request::{Kill, Refusal, Request};
use crate::state::Settings;

use super::world::World;

fn world() -> World {
    let mut settings = Settings::default();
    settings.defaults.role = "kept".to_owned();
    World::with(settings)
}

fn db(instances: u32) -> Value {
    json!({
        "id": "/db", "cmd": "serve data", "cpus": 1, "mem": 64, "instances": instances,
        "container": {
            "type": "MESOS",
            "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 100}}],
        },
    })
}

fn volume_of(task: &v1::TaskInfo) -> (String, String) {
    let mut disks = task.resources.iter().filter_map(|it| it.disk.as_ref());
    let disk = disks.next().expect("it has a volume");
    let persistence = disk.persistence.as_ref().unwrap();
    let volume = disk.volume.as_ref().unwrap();
    (persistence.id.clone(), volume.container_path.clone())
}

fn agent(instance: &Instance) -> String {
    instance.place.as_ref().unwrap().agent_id.clone()
}

#[test]
fn a_volume_is_made_with_the_first_launch_and_found_again_after_a_failure() {
    let mut world = world();
    world.create(db(1));
    world.settle();
    assert_eq!(
        world.operations,
        [Type::Reserve, Type::Create, Type::Launch]
    );
    let before = world.running("/db")[0].clone();
    let (persistence_id, path) = volume_of(&world.launched[0]);
    assert_eq!(path, "data");
    let volume = &before.bond.as_ref().unwrap().volumes[0];
    assert_eq!(volume.persistence_id, persistence_id);
    assert!(persistence_id.starts_with("db#data#"), "{persistence_id}");
    let reserved = world.launched[0].resources.iter();
    for resource in reserved {
        let labels = resource.reservations[0].labels.as_ref().unwrap();
        let named = |key: &str| {
            let mut labels = labels.labels.iter();
            labels
                .find(|it| it.key == key)
                .and_then(|it| it.value.clone())
        };
        assert_eq!(named("marathon_framework_id").as_deref(), Some("f"));
        assert_eq!(named("marathon_task_id"), Some(before.id.to_string()));
    }
    world.tell(&before.task_id().to_string(), TaskState::TaskFailed);
    world.restart();
    world.settle();
    let after = world.running("/db")[0].clone();
    assert_eq!((&after.id, after.incarnation), (&before.id, 2));
    assert_eq!(agent(&after), agent(&before));
    assert_eq!(volume_of(&world.launched[1]).0, persistence_id);
    assert_eq!(world.operations[3..], [Type::Launch]);
}

#[test]
fn what_was_reserved_is_found_again_when_the_framework_was_removed() {
    let mut world = world();
    world.create(db(1));
    world.settle();
    let before = world.running("/db")[0].clone();
    world.remove_framework();
    world.restart_as("another");
    world.settle();
    let after = world.running("/db")[0].clone();
    assert_eq!((&after.id, after.incarnation), (&before.id, 2));
    assert_eq!(volume_of(&world.launched[1]), volume_of(&world.launched[0]));
    // It still is given back when it is not wanted any more.
    world.ask(Request::DeleteApp {
        id: "/db".parse().unwrap(),
        force: false,
    });
    world.settle();
    world.settle();
    assert!(world.kept.values().all(Vec::is_empty), "{:?}", world.kept);
}

#[test]
fn a_suspended_instance_keeps_its_volume_and_a_wiped_one_loses_it() {
    let mut world = world();
    world.create(db(2));
    world.settle();
    let ids = |world: &World| -> Vec<String> {
        let running = world.running("/db").into_iter();
        running.map(|it| it.id.to_string()).collect()
    };
    let before = ids(&world);
    world.update("/db", json!({"instances": 0}));
    world.settle();
    assert!(world.state.deployments.is_empty() && world.tasks.is_empty());
    let resting = world.state.instances.values();
    assert!(resting.clone().all(|it| it.goal == Goal::Stopped));
    assert_eq!(resting.count(), 2);
    world.restart();
    world.update("/db", json!({"instances": 2}));
    world.settle();
    assert_eq!(ids(&world), before, "they came back to what they had");
    let count = world.operations.iter().filter(|it| **it == Type::Reserve);
    assert_eq!(count.count(), 2);

    let wiped = world.running("/db")[0].clone();
    world.ask(Request::Kill {
        instances: Kill::Ids(vec![wiped.id.to_string()]),
        scale: false,
        wipe: true,
        force: false,
    });
    world.settle();
    world.settle();
    assert!(!ids(&world).contains(&wiped.id.to_string()));
    assert_eq!(ids(&world).len(), 2, "another one took its place");
    let ended: Vec<_> = world.operations[4..].to_vec();
    assert!(ended.contains(&Type::Destroy) && ended.contains(&Type::Unreserve));
    assert!(world.state.garbage.is_empty());
    assert!(world.kept.values().all(Vec::is_empty));
}

#[test]
fn an_upgrade_stops_one_and_starts_it_again_on_its_volume() {
    let mut world = world();
    world.create(db(2));
    world.settle();
    let before: Vec<_> = world.running("/db");
    world.update("/db", json!({"env": {"K": "v"}}));
    let mut least = 2;
    for _ in 0..100 {
        least = least.min(world.running("/db").len());
        assert!(world.tasks.len() <= 2, "volumes are never doubled");
        if !world.go_on() {
            world.offer();
            world.pass(std::time::Duration::from_secs(1));
        }
    }
    assert_eq!(least, 1);
    assert!(world.state.deployments.is_empty());
    let after = world.running("/db");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.id, after.id);
        assert_eq!(before.bond, after.bond);
        assert!(after.version > before.version);
    }
}

#[test]
fn what_a_deleted_app_had_is_given_back() {
    let mut world = world();
    world.create(db(2));
    world.settle();
    let id = "/db".parse().unwrap();
    world.ask(Request::DeleteApp { id, force: false });
    while world.go_on() {}
    assert_eq!(world.state.garbage.len(), 2);
    assert!(world.state.instances.is_empty());
    world.restart();
    world.settle();
    world.settle();
    assert!(world.state.garbage.is_empty());
    assert!(world.kept.values().all(Vec::is_empty));
    assert!(world.state.suppressed.contains("kept"));
}

#[test]
fn a_launch_that_never_reached_its_agent_begins_anew() {
    let mut world = world();
    world.create(db(1));
    world.offer();
    let task = world.launched[0].task_id.value.clone();
    world.tell_as(
        &task,
        TaskState::TaskDropped,
        v1::task_status::Source::Master,
    );
    world.kept.clear();
    world.settle();
    assert_eq!(world.running("/db").len(), 1);
    let reserves = world.operations.iter().filter(|it| **it == Type::Reserve);
    assert_eq!(reserves.count(), 2);
}

#[test]
fn an_instance_out_of_reach_is_waited_for_and_never_doubled() {
    let mut world = world();
    world.create(db(1));
    world.settle();
    let lost = world.running("/db")[0].clone();
    world.tell(&lost.task_id().to_string(), TaskState::TaskUnreachable);
    for _ in 0..50 {
        world.offer();
        world.pass(std::time::Duration::from_secs(600));
    }
    assert_eq!(world.tasks.len(), 1);
    world.tell(&lost.task_id().to_string(), TaskState::TaskRunning);
    assert_eq!(world.running("/db")[0].id, lost.id);
    world.tell(&lost.task_id().to_string(), TaskState::TaskGoneByOperator);
    world.kept.clear();
    world.settle();
    let bond = world.running("/db")[0].bond.clone();
    assert_ne!(bond, lost.bond, "its agent is no more, so it begins anew");
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut world = World::new();
    let Err(Refusal::Invalid(wrong)) = world.try_create(db(1)) else {
        panic!("it was taken in the role *");
    };
    assert_eq!(wrong.details()[0].path, "/role");
    let mut world = self::world();
    world.create(db(1));
    world.settle();
    for change in [json!({"cpus": 2}), json!({"portDefinitions": []})] {
        let refused = world.try_update("/db", change.clone(), false);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{change}");
    }
    assert!(
        world
            .try_update("/db", json!({"cmd": "serve"}), false)
            .is_ok()
    );
}

#[test]
fn a_pod_keeps_volumes_too() {
    let mut world = world();
    let pod = json!({
        "id": "/pod",
        "containers": [{
            "name": "db",
            "exec": {"command": {"shell": "serve"}},
            "resources": {"cpus": 1, "mem": 64},
            "volumeMounts": [{"name": "data", "mountPath": "data"}],
        }],
        "volumes": [{"name": "data", "persistent": {"size": 100}}],
    });
    let input = crate::input::read(pod.to_string().as_bytes()).unwrap();
    world.ask(Request::CreatePod {
        input: Box::new(input),
        force: false,
    });
    world.settle();
    assert_eq!(
        world.operations,
        [Type::Reserve, Type::Create, Type::LaunchGroup]
    );
    let bond = world.running("/pod")[0].bond.clone().unwrap();
    assert_eq!(bond.volumes[0].container_path, "data");
}
