//! Operations of frameworks and their feedback, as `stream-stateful` and
//! `reconcile-operations` show them.

use mesos_sdk::ids;
use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::{Call, call};
use v1::OperationState::{
    OperationDropped, OperationError, OperationFailed, OperationFinished, OperationGoneByOperator,
    OperationPending, OperationUnknown, OperationUnreachable,
};

use super::world::{Agent, Framework, World, create, destroy, reserve, reserved, volume};
use crate::master::Input;
use crate::messages::ToAgent;

fn start() -> (World, Agent, Framework, v1::Offer) {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024;disk:1024");
    let f = world.framework("db");
    let offer = world.offers(&f).remove(0);
    world.told(agent.link);
    (world, agent, f, offer)
}

fn acknowledge(world: &mut World, f: &Framework, agent: &Agent, id: &str, uuid: &[u8]) {
    let call = call::AcknowledgeOperationStatus {
        agent_id: Some(agent.id.clone()),
        uuid: uuid.to_vec().into(),
        operation_id: v1::OperationId {
            value: id.to_owned(),
        },
        ..Default::default()
    };
    let reply = world.call(
        f,
        Call {
            r#type: Some(call::Type::AcknowledgeOperationStatus as i32),
            acknowledge_operation_status: Some(call),
            ..Default::default()
        },
    );
    assert_eq!(reply.status, 202);
}

fn reconcile(
    world: &mut World,
    f: &Framework,
    asked: &[(&str, Option<&str>)],
) -> Vec<v1::OperationStatus> {
    let operations = asked
        .iter()
        .map(|(id, agent)| call::reconcile_operations::Operation {
            operation_id: v1::OperationId {
                value: (*id).to_owned(),
            },
            agent_id: agent.map(ids::agent_id),
            ..Default::default()
        })
        .collect();
    world.heard(f);
    world.call(
        f,
        Call {
            r#type: Some(call::Type::ReconcileOperations as i32),
            reconcile_operations: Some(call::ReconcileOperations { operations }),
            ..Default::default()
        },
    );
    world.operation_updates(f)
}

#[test]
fn an_operation_is_pending_until_its_agent_confirms_it() {
    let (mut world, agent, f, offer) = start();
    world.accept(
        &f,
        &offer,
        vec![reserve(&reserved("mem:64", "db"), Some("op"))],
    );
    assert!(world.operation_updates(&f).is_empty());
    let answers = reconcile(&mut world, &f, &[("op", None)]);
    assert_eq!(answers[0].state(), OperationPending);
    let uuid = world.confirm(&agent).remove(0);
    let told = world.operation_updates(&f).remove(0);
    assert_eq!(told.state(), OperationFinished);
    assert_eq!(told.agent_id.as_ref(), Some(&agent.id));
    assert_eq!(told.uuid.map(|u| u.value.to_vec()), Some(uuid.clone()));
    // Implicit reconciliation tells it again, without need to acknowledge.
    let answers = reconcile(&mut world, &f, &[]);
    assert_eq!(
        (answers[0].state(), &answers[0].uuid),
        (OperationFinished, &None)
    );
    assert_eq!(world.master.operator_report().operations.len(), 1);
    // Another's uuid acknowledges nothing.
    acknowledge(&mut world, &f, &agent, "op", &[0; 16]);
    assert!(world.told(agent.link).is_empty());
    acknowledge(&mut world, &f, &agent, "op", &uuid);
    let told = world.told(agent.link);
    assert!(
        matches!(&told[..], [ToAgent::AcknowledgeOperation { uuid: told, .. }] if *told == uuid)
    );
    assert!(world.master.operator_report().operations.is_empty());
    let answers = reconcile(&mut world, &f, &[("op", Some(&agent.id.value))]);
    assert_eq!(answers[0].state(), OperationUnknown);
    assert_eq!(answers[0].message(), "Reconciliation: Operation is unknown");
}

#[test]
fn reconciliation_says_what_it_does_not_know() {
    let (mut world, agent, f, _) = start();
    let answers = reconcile(&mut world, &f, &[("a", None), ("b", Some("nope"))]);
    let texts: Vec<_> = answers.iter().map(v1::OperationStatus::message).collect();
    assert_eq!(
        texts,
        [
            "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            "Reconciliation: Both operation and agent are unknown",
        ]
    );
    world.step(Input::AgentDisconnected { link: agent.link });
    world.pass(100.0);
    let answers = reconcile(&mut world, &f, &[("a", Some(&agent.id.value))]);
    assert_eq!(answers[0].state(), OperationUnreachable);
}

#[test]
fn operations_without_an_id_are_forgotten_when_they_are_done() {
    let (mut world, agent, f, offer) = start();
    world.accept(&f, &offer, vec![reserve(&reserved("mem:64", "db"), None)]);
    assert_eq!(world.master.operator_report().operations.len(), 1);
    world.confirm(&agent);
    assert!(world.operation_updates(&f).is_empty());
    assert!(world.master.operator_report().operations.is_empty());
}

#[test]
fn an_operation_that_fails_is_undone() {
    let (mut world, agent, f, offer) = start();
    world.accept(
        &f,
        &offer,
        vec![reserve(&reserved("mem:64", "db"), Some("op"))],
    );
    world.answer(&agent, OperationFailed);
    let told = world.operation_updates(&f).remove(0);
    assert_eq!(told.state(), OperationFailed);
    world.pass(1.0);
    let offered = Resources::from(world.offers(&f)[0].resources.as_slice());
    assert_eq!(
        offered,
        Resources::parse("cpus:8;mem:1024;disk:1024", "*")
            .unwrap()
            .allocate("db")
    );
}

#[test]
fn an_operation_that_never_came_to_its_agent_is_dropped() {
    let (mut world, agent, f, offer) = start();
    world.step(Input::AgentDisconnected { link: agent.link });
    // The offer is void, so the operation is sent before the link breaks.
    assert_eq!(world.offers(&f).len(), 0);
    let agent = world.come_back(&agent, Vec::new());
    let offer = world.offers(&f).pop().unwrap_or(offer);
    world.accept(
        &f,
        &offer,
        vec![reserve(&reserved("mem:64", "db"), Some("op"))],
    );
    world.step(Input::AgentDisconnected { link: agent.link });
    world.come_back(&agent, Vec::new());
    let told = world.operation_updates(&f);
    assert_eq!(told[0].state(), OperationDropped);
    assert!(told[0].uuid.is_none());
}

#[test]
fn operations_outlive_the_master_with_their_agent() {
    let (mut world, agent, f, offer) = start();
    world.accept(
        &f,
        &offer,
        vec![reserve(&reserved("mem:64", "db"), Some("op"))],
    );
    let uuid = world.confirm(&agent).remove(0);
    let held = world.master.operator_report().operations;
    world.fail_over();
    let f = world.framework_with(|info| {
        info.id = Some(f.id.clone());
        info.roles = vec!["db".to_owned()];
    });
    let mut agent = agent;
    agent.registration.operations = held;
    agent.registration.checkpointed_resources = reserved("mem:64", "db").into_vec();
    let agent = world.come_back(&agent, Vec::new());
    let answers = reconcile(&mut world, &f, &[("op", None)]);
    assert_eq!(answers[0].state(), OperationFinished);
    acknowledge(&mut world, &f, &agent, "op", &uuid);
    assert!(world.master.operator_report().operations.is_empty());
}

#[test]
fn operations_go_with_their_agent_and_their_framework() {
    let (mut world, agent, f, offer) = start();
    world.accept(
        &f,
        &offer,
        vec![reserve(&reserved("mem:64", "db"), Some("op"))],
    );
    let gone = v1::master::call::MarkAgentGone {
        agent_id: agent.id.clone(),
    };
    world.operate(v1::master::call::Type::MarkAgentGone, |call| {
        call.mark_agent_gone = Some(gone);
    });
    let told = world.operation_updates(&f);
    assert_eq!(told[0].state(), OperationGoneByOperator);
    assert_eq!(told[0].message(), "Agent has been marked gone");
    // Nobody waits for what a framework wanted that is gone.
    let agent = world.agent("cpus:8;mem:1024;disk:1024");
    let offer = world.offers(&f).remove(0);
    world.accept(
        &f,
        &offer,
        vec![reserve(&reserved("mem:64", "db"), Some("op"))],
    );
    world.confirm(&agent);
    let teardown = Call {
        r#type: Some(call::Type::Teardown as i32),
        ..Default::default()
    };
    world.call(&f, teardown);
    let told = world.told(agent.link);
    let is_confirmed = |told: &ToAgent| matches!(told, ToAgent::AcknowledgeOperation { .. });
    assert!(told.iter().any(is_confirmed));
    assert!(world.master.operator_report().operations.is_empty());
}

#[test]
fn operations_that_make_no_sense_are_refused() {
    let (mut world, _, f, offer) = start();
    let other_role = reserve(&reserved("mem:64", "web").allocate("db"), Some("a"));
    let too_much = reserve(&reserved("mem:100000", "db"), Some("b"));
    let no_volume = destroy(volume("db", "v", false), Some("c"));
    let shared = create(volume("db", "v", true), Some("d"));
    let unreserved = create(volume("db", "../v", false), Some("e"));
    let mut changed = reserve(&reserved("mem:64", "db"), Some("f"));
    changed.reserve.as_mut().unwrap().source = reserved("mem:64", "web").into_vec();
    let negative = v1::Resource {
        name: "mem".to_owned(),
        scalar: Some(v1::value::Scalar { value: -1.0 }),
        ..Default::default()
    };
    let mut wrong = reserve(&Resources::new(), Some("g"));
    wrong.reserve.as_mut().unwrap().resources = vec![negative];
    world.accept(
        &f,
        &offer,
        vec![
            other_role, too_much, no_volume, shared, unreserved, changed, wrong,
        ],
    );
    let told = world.operation_updates(&f);
    assert!(told.iter().all(|status| status.state() == OperationError));
    let texts: Vec<String> = told
        .iter()
        .map(|status| status.message().to_owned())
        .collect();
    assert_eq!(
        texts[0],
        "A reserve operation was attempted for a resource with role 'web', but the resource was \
         allocated to role 'db'"
    );
    assert!(
        texts[1].ends_with("does not contain mem(allocated: db):100000"),
        "{}",
        texts[1]
    );
    assert_eq!(texts[2], "Persistent volumes not found");
    assert!(
        texts[3].ends_with("with no SHARED_RESOURCES capability"),
        "{}",
        texts[3]
    );
    assert!(texts[4].contains("Invalid persistence ID"), "{}", texts[4]);
    let start = "Operation attempted with invalid resources: ";
    let reason = "Reservation updates are not yet implemented for the scheduler API.";
    assert_eq!(texts[5], format!("{start}{reason}"));
    let reason = "Resource 'mem:-1' is invalid: Invalid scalar resource: value <= 0";
    assert_eq!(texts[6], format!("{start}{reason}"));
}
