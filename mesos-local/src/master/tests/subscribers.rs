//! Operators who watch the master's events.

use mesos_sdk::v1::master::Event;
use mesos_sdk::v1::master::event::Type;

use super::world::World;
use crate::master::{ConnectionId, Input};

fn watch(world: &mut World, connection: u64) {
    world.step(Input::OperatorSubscribe {
        connection: ConnectionId(connection),
        principal: None,
    });
}

#[test]
fn one_subscriber_too_many_takes_the_place_of_the_oldest() {
    let mut world = World::with(|config| config.max_operator_subscribers = 2);
    for connection in 101..=103 {
        watch(&mut world, connection);
    }
    assert_eq!(world.closes, [ConnectionId(101)]);
    // One that leaves makes room.
    world.step(Input::Disconnected {
        connection: ConnectionId(102),
    });
    watch(&mut world, 104);
    assert_eq!(world.closes, [ConnectionId(101)]);
    world.operator_events.clear();
    world.agent("cpus:1;mem:32");
    let events = &world.operator_events;
    let added = |event: &&Event| event.r#type() == Type::AgentAdded;
    assert_eq!(events.iter().filter(added).count(), 2, "{events:?}");
}
