//! What becomes of everything when the master has removed the framework.

use serde_json::json;

use crate::instance::Condition;
use crate::request::Request;

use super::world::World;

#[test]
fn what_is_wanted_runs_again_under_another_id() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 2}));
    world.create(json!({"id": "/going", "cmd": "sleep 100"}));
    world.settle();
    world.ask(Request::DeleteApp {
        id: "/going".parse().unwrap(),
        force: false,
    });
    let task_ids = |world: &World| -> Vec<String> {
        let running = world.running("/web").into_iter();
        running.map(|it| it.task_id().to_string()).collect()
    };
    let before = task_ids(&world);
    world.remove_framework();
    assert_eq!(world.state.framework_id, None);
    let mut instances = world.state.instances.values();
    assert!(instances.all(|it| it.condition == Condition::Scheduled));
    world.restart_as("another");
    world.settle();
    assert_eq!(world.state.framework_id.as_deref(), Some("another"));
    let after = task_ids(&world);
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|id| !before.contains(id)), "{after:?}");
    assert_eq!(world.tasks.len(), 2, "what was deleted is gone");
    assert!(world.state.deployments.is_empty());
}
