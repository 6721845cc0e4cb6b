//! Agents that register and are pinged.

use super::world::World;
use crate::messages::{FromAgent, ToAgent};

/// `src/master/master.cpp`, `Master::registerSlave`: "already registered,
/// resending acknowledgement".
#[test]
fn an_agent_that_asks_twice_stays_the_one_it_is() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:64");
    let framework = world.framework("web");
    assert_eq!(world.offers(&framework).len(), 1);
    world.told(agent.link);
    let mut again = agent.registration.clone();
    again.info.id = None;
    world.agent_says(agent.link, FromAgent::Register(again));
    let agent_id = agent.id.clone();
    assert_eq!(world.told(agent.link), [ToAgent::Registered { agent_id }]);
    assert_eq!(world.master.agents_report().agents.len(), 1);
    assert_eq!(world.heard(&framework), []);
}

#[test]
fn an_agent_is_pinged_at_its_times_and_given_up_when_it_is_silent() {
    let mut world = World::new();
    let agent = world.agent("cpus:1;mem:64");
    world.told(agent.link);
    world.pass(14.0);
    assert_eq!(world.told(agent.link), []);
    world.pass(2.0);
    assert_eq!(world.told(agent.link), [ToAgent::Ping]);
    world.agent_says(agent.link, FromAgent::Pong);
    world.pass(15.0);
    assert_eq!(world.told(agent.link), [ToAgent::Ping]);
    // It comes back in between: the times are counted from then on.
    world.pass(7.0);
    let agent = world.come_back(&agent, Vec::new());
    world.told(agent.link);
    world.pass(14.0);
    assert_eq!(world.told(agent.link), []);
    world.pass(75.0);
    assert_eq!(world.told(agent.link).len(), 5);
    world.pass(2.0);
    assert_eq!(world.master.unreachable_agent_count(), 1);
}
