//! MARK_AGENT_GONE as `fault-agent-gone` and `fault-agent-gone-running` show it.

use mesos_sdk::v1;
use mesos_sdk::v1::master::call::{self, Type};
use mesos_sdk::v1::scheduler::{Event, event};
use mesos_sdk::v1::task_status::Reason;
use v1::framework_info::capability::Type as Capability;

use super::world::{Agent, Framework, World};
use crate::master::{Input, Reply};
use crate::messages::ToAgent;

fn mark_gone(world: &mut World, agent_id: &v1::AgentId) -> Reply {
    let agent_id = agent_id.clone();
    world.operate(Type::MarkAgentGone, |call| {
        call.mark_agent_gone = Some(call::MarkAgentGone { agent_id });
    })
}

/// An agent with a task of a framework that is aware of partitions and of one
/// that is not.
fn two_tasks(world: &mut World) -> (Agent, Framework, Framework) {
    let agent = world.agent("cpus:8;mem:1024");
    let aware = world.framework("*");
    let offer = world.offers(&aware).remove(0);
    world.run(&aware, &offer, &agent, "aware", "cpus:1;mem:32");
    let plain = world.framework_with(|info| {
        info.capabilities
            .retain(|c| c.r#type() != Capability::PartitionAware);
    });
    let offer = world.offers(&plain).remove(0);
    world.run(&plain, &offer, &agent, "plain", "cpus:1;mem:32");
    world.pass(1.0);
    world.heard(&plain);
    (agent, aware, plain)
}

#[test]
fn tasks_of_a_running_agent_that_is_gone_are_gone() {
    let mut world = World::new();
    let (agent, aware, plain) = two_tasks(&mut world);
    assert_eq!(mark_gone(&mut world, &agent.id).status, 200);
    let told = world.told(agent.link);
    assert!(
        matches!(told.last(), Some(ToAgent::Shutdown { message }) if message == "Agent has been marked gone")
    );
    let events = world.heard(&aware);
    let status = events[events.len() - 3..]
        .iter()
        .find_map(|event| Some(&event.update.as_ref()?.status));
    let status = status.expect("an update");
    assert_eq!(status.state(), v1::TaskState::TaskGoneByOperator);
    assert_eq!(status.reason(), Reason::AgentRemovedByOperator);
    assert_eq!(status.message(), "Agent has been marked gone");
    assert_eq!(events.last().map(Event::r#type), Some(event::Type::Failure));
    let statuses = world.updates(&plain);
    assert_eq!(statuses[0].state(), v1::TaskState::TaskLost);
    assert_eq!(statuses[0].reason(), Reason::AgentRemoved);
    assert!(world.master.agents_report().agents.is_empty());
    // A second time is no error, and the agent is not let in again.
    assert_eq!(mark_gone(&mut world, &agent.id).status, 200);
    let agent = world.come_back(&agent, Vec::new());
    assert!(matches!(
        world.told(agent.link)[..],
        [ToAgent::Shutdown { .. }]
    ));
    world.fail_over();
    assert_eq!(mark_gone(&mut world, &agent.id).status, 200);
}

#[test]
fn tasks_of_an_unreachable_agent_that_is_gone_are_gone() {
    let mut world = World::new();
    let (agent, aware, plain) = two_tasks(&mut world);
    world.step(Input::AgentDisconnected { link: agent.link });
    world.pass(100.0);
    let statuses = world.updates(&aware);
    let last = statuses.last().expect("an update");
    assert_eq!(last.state(), v1::TaskState::TaskUnreachable);
    world.heard(&plain);
    assert_eq!(mark_gone(&mut world, &agent.id).status, 200);
    let statuses = world.updates(&aware);
    assert_eq!(statuses[0].state(), v1::TaskState::TaskGoneByOperator);
    assert_eq!(statuses[0].reason(), Reason::AgentRemovedByOperator);
    let statuses = world.updates(&plain);
    assert_eq!(statuses[0].state(), v1::TaskState::TaskLost);
    assert_eq!(statuses[0].reason(), Reason::AgentRemoved);
    let tasks = world.master.tasks_report();
    assert!(tasks.unreachable_tasks.is_empty());
    assert_eq!(tasks.completed_tasks.len(), 2);
}

#[test]
fn an_unknown_agent_is_not_found() {
    let mut world = World::new();
    let nope = mesos_sdk::ids::agent_id("nope");
    let reply = mark_gone(&mut world, &nope);
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (404, "Agent 'nope' not found")
    );
}
