//! DRAIN_AGENT, DEACTIVATE_AGENT and REACTIVATE_AGENT as `stream-drained`,
//! `master-drain_agent` and their neighbours show them.

use mesos_sdk::v1;
use mesos_sdk::v1::master::call::{self, Type};
use mesos_sdk::v1::scheduler::event;
use v1::TaskState::{TaskKilled, TaskKilling};

use super::world::{Agent, World};
use crate::master::Reply;
use crate::messages::ToAgent;

fn drain(world: &mut World, agent: &v1::AgentId, mark_gone: bool) -> Reply {
    let drain = call::DrainAgent {
        agent_id: agent.clone(),
        mark_gone: Some(mark_gone),
        ..Default::default()
    };
    world.operate(Type::DrainAgent, |call| call.drain_agent = Some(drain))
}

fn deactivate(world: &mut World, agent: &Agent) -> Reply {
    let agent_id = agent.id.clone();
    world.operate(Type::DeactivateAgent, |call| {
        call.deactivate_agent = Some(call::DeactivateAgent { agent_id });
    })
}

fn reactivate(world: &mut World, agent: &Agent) -> Reply {
    let agent_id = agent.id.clone();
    world.operate(Type::ReactivateAgent, |call| {
        call.reactivate_agent = Some(call::ReactivateAgent { agent_id });
    })
}

fn told_to_drain(told: &[ToAgent]) -> bool {
    told.iter()
        .any(|told| matches!(told, ToAgent::Drain { .. }))
}

fn state(world: &World, agent: &Agent) -> Option<v1::DrainState> {
    Some(world.shown(agent).drain_info?.state())
}

#[test]
fn nothing_of_a_deactivated_agent_is_offered_until_it_is_active_again() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    assert_eq!(world.offers(&f).len(), 1);
    assert_eq!(deactivate(&mut world, &agent).status, 200);
    assert_eq!(world.kinds(&f), [event::Type::Rescind]);
    world.pass(3.0);
    assert!(world.kinds(&f).is_empty());
    let shown = world.shown(&agent);
    assert_eq!((shown.active, shown.deactivated), (false, Some(true)));
    assert_eq!(reactivate(&mut world, &agent).status, 200);
    assert_eq!(world.kinds(&f), [event::Type::Offers]);
    let reply = reactivate(&mut world, &agent);
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (400, "Agent is not deactivated")
    );
}

#[test]
fn an_agent_is_drained_when_its_last_task_is_acknowledged() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    world.run(&f, &offer, &agent, "t", "cpus:1;mem:32");
    assert_eq!(drain(&mut world, &agent.id, false).status, 200);
    assert!(told_to_drain(&world.told(agent.link)));
    assert_eq!(state(&world, &agent), Some(v1::DrainState::Draining));
    let reply = reactivate(&mut world, &agent);
    assert_eq!(reply.body, "Agent is still in the DRAINING state");
    world.update(&f, &agent, "t", TaskKilling);
    assert_eq!(state(&world, &agent), Some(v1::DrainState::Draining));
    world.update(&f, &agent, "t", TaskKilled);
    assert_eq!(state(&world, &agent), Some(v1::DrainState::Drained));
    world.pass(3.0);
    assert!(world.offers(&f).is_empty());
    assert_eq!(reactivate(&mut world, &agent).status, 200);
    assert_eq!(state(&world, &agent), None);
    assert_eq!(world.offers(&f).len(), 1);
}

#[test]
fn draining_goes_on_after_a_failover_of_the_master() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    world.run(&f, &offer, &agent, "t", "cpus:1;mem:32");
    drain(&mut world, &agent.id, false);
    let task = world.master.tasks_report().tasks.remove(0);
    world.fail_over();
    let f = world.framework_with(|info| info.id = Some(f.id.clone()));
    let agent = world.come_back(&agent, vec![task]);
    assert!(told_to_drain(&world.told(agent.link)));
    assert_eq!(state(&world, &agent), Some(v1::DrainState::Draining));
    world.pass(2.0);
    assert!(world.offers(&f).is_empty());
    world.update(&f, &agent, "t", TaskKilled);
    assert_eq!(state(&world, &agent), Some(v1::DrainState::Drained));
}

#[test]
fn an_empty_agent_is_drained_at_once_and_gone_when_that_is_wanted() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    drain(&mut world, &agent.id, false);
    assert_eq!(state(&world, &agent), Some(v1::DrainState::Drained));
    drain(&mut world, &agent.id, true);
    assert!(world.master.agents_report().agents.is_empty());
    let told = world.told(agent.link);
    assert!(matches!(told.last(), Some(ToAgent::Shutdown { .. })));
}

#[test]
fn an_unknown_agent_cannot_be_drained() {
    let mut world = World::new();
    let reply = drain(&mut world, &mesos_sdk::ids::agent_id("nope"), false);
    assert_eq!((reply.status, reply.body.as_str()), (400, "Unknown agent"));
}
