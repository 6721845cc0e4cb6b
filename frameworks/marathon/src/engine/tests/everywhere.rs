//! Apps of which one instance runs on every agent.

use std::collections::BTreeSet;
use std::time::Duration;

use mesos_sdk::v1::TaskState;
use serde_json::json;

use crate::request::Refusal;

use super::world::World;

fn agents(world: &World) -> BTreeSet<String> {
    let running = world.running("/agent").into_iter();
    running.map(|it| it.place.unwrap().agent_id).collect()
}

#[test]
fn one_runs_on_every_agent_that_its_constraints_admit_and_follows_new_ones() {
    let mut world = World::new();
    world.create(json!({
        "id": "/agent", "cmd": "sleep 100", "onEveryAgent": true,
        "constraints": [["hostname", "UNLIKE", "host1"]],
    }));
    world.settle();
    assert_eq!(agents(&world), ["a0", "a2"].map(str::to_owned).into());
    assert!(world.state.deployments.is_empty());
    world.agents = 5;
    for _ in 0..5 {
        world.settle();
    }
    let all = ["a0", "a2", "a3", "a4"].map(str::to_owned);
    assert_eq!(agents(&world), all.into());
    assert_eq!(world.tasks.len(), 4);
    let gone = world.running("/agent")[0].clone();
    world.agents = 0;
    for _ in 0..5 {
        world.pass(Duration::from_secs(5)); // Nothing is offered any more.
    }
    assert!(world.state.offers.is_empty());
    world.tell(&gone.task_id().to_string(), TaskState::TaskGoneByOperator);
    world.settle();
    assert_eq!(world.tasks.len(), 3, "nobody takes its place elsewhere");
}

#[test]
fn a_failed_one_is_back_on_its_agent_and_an_upgrade_replaces_them_there() {
    let mut world = World::new();
    world.create(json!({"id": "/agent", "cmd": "sleep 100", "onEveryAgent": true}));
    world.settle();
    let before = world.running("/agent");
    assert_eq!(before.len(), 3);
    world.tell(&before[0].task_id().to_string(), TaskState::TaskFailed);
    world.settle();
    assert_eq!(agents(&world).len(), 3);
    world.update("/agent", json!({"env": {"K": "v"}}));
    for _ in 0..100 {
        assert!(world.running("/agent").len() >= 2);
        assert!(world.tasks.len() <= 3);
        if !world.go_on() {
            world.offer();
            world.pass(Duration::from_secs(1));
        }
    }
    assert!(world.state.deployments.is_empty());
    assert_eq!(agents(&world).len(), 3);
    let after = world.running("/agent");
    assert!(after.iter().all(|it| it.version > before[0].version));
    world.update("/agent", json!({"instances": 0}));
    world.settle();
    assert!(world.tasks.is_empty() && world.state.deployments.is_empty());
    world.update("/agent", json!({"instances": 1}));
    world.settle();
    assert_eq!(agents(&world).len(), 3);
}

#[test]
fn what_counts_instances_is_refused_where_agents_are_counted() {
    let mut world = World::new();
    let refused = world.try_create(json!({
        "id": "/agent", "cmd": "sleep 100", "onEveryAgent": true,
        "constraints": [["hostname", "MAX_PER", "2"]],
    }));
    assert!(matches!(refused, Err(Refusal::Invalid(_))));
}
