//! Operations with an id are heard of, acknowledged after the fact and
//! reconciled, as tasks are.

use std::time::Duration;

use bytes::Bytes;
use mesos_sdk::{
    Error, ids, operation,
    reconciler::ReconcilerConfig,
    v1::{
        self, OperationState,
        scheduler::{
            Event,
            call::Type,
            event::{self, UpdateOperationStatus},
        },
    },
};

use crate::{
    framework::{Framework, OnUpdate, Seen, builder},
    master::{Master, Stream, offers},
};

fn status(id: &str, state: OperationState, uuid: Option<u8>) -> Event {
    Event {
        r#type: Some(event::Type::UpdateOperationStatus.into()),
        update_operation_status: Some(UpdateOperationStatus {
            status: v1::OperationStatus {
                operation_id: Some(ids::operation_id(id)),
                state: state.into(),
                agent_id: Some(ids::agent_id("A-1")),
                uuid: uuid.map(|byte| v1::Uuid {
                    value: Bytes::from(vec![byte; 16]),
                }),
                ..Default::default()
            },
        }),
        ..Event::default()
    }
}

async fn start(on_update: OnUpdate) -> (Master, Framework, Stream) {
    let mut master = Master::start().await;
    let config = ReconcilerConfig {
        shortest_backoff: Duration::from_millis(50),
        ..ReconcilerConfig::default()
    };
    let builder = builder(master.address()).reconciler(config);
    let mut framework = Framework::start(builder, on_update);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    (master, framework, stream)
}

async fn sees_operation(framework: &mut Framework) -> (String, OperationState) {
    match framework.sees().await {
        Seen::Operation(id, state) => (id, state),
        other => panic!("{other:?}"),
    }
}

async fn asked(master: &mut Master) -> Vec<(String, Option<String>)> {
    let received = master.expect(Type::ReconcileOperations).await;
    let asked = received.call.reconcile_operations.unwrap().operations;
    let ids = asked.into_iter();
    ids.map(|asked| {
        let agent_id = asked.agent_id.map(|id| id.value);
        (asked.operation_id.value, agent_id)
    })
    .collect()
}

#[tokio::test]
async fn an_operation_is_acknowledged_with_its_agent_after_its_handler_returned() {
    let (mut master, mut framework, stream) = start(OnUpdate::Wait).await;
    let finished = OperationState::OperationFinished;
    stream.send(status("op-1", finished, Some(3))).await;
    let seen = sees_operation(&mut framework).await;
    assert_eq!(seen, ("op-1".into(), finished));
    framework.handle.revive(vec![]).await.unwrap();
    master.expect(Type::Revive).await;
    assert_eq!(master.calls_so_far(), []);

    framework.gate.add_permits(1);
    let received = master.expect(Type::AcknowledgeOperationStatus).await;
    let acknowledge = received.call.acknowledge_operation_status.unwrap();
    assert_eq!(acknowledge.operation_id.value, "op-1");
    assert_eq!(acknowledge.agent_id.unwrap().value, "A-1");
    assert_eq!(&acknowledge.uuid[..], [3; 16]);
    // The same again is acknowledged again, and not handled again: the next
    // thing that is seen is another.
    stream.send(status("op-1", finished, Some(3))).await;
    master.expect(Type::AcknowledgeOperationStatus).await;
    framework.gate.add_permits(1);
    stream.send(status("op-2", finished, Some(4))).await;
    assert_eq!(sees_operation(&mut framework).await.0, "op-2");
}

#[tokio::test]
async fn an_operation_whose_handler_fails_is_not_acknowledged() {
    let (mut master, mut framework, stream) = start(OnUpdate::Fail).await;
    let failed = OperationState::OperationFailed;
    stream.send(status("op-1", failed, Some(1))).await;
    sees_operation(&mut framework).await;
    let error = framework.ends().await.unwrap_err();
    assert!(matches!(error, Error::Scheduler { .. }), "{error}");
    stream.closed().await;
    assert_eq!(master.calls_so_far(), []);
}

#[tokio::test]
async fn an_operation_with_an_id_is_asked_for_until_its_fate_is_known() {
    let (mut master, mut framework, stream) = start(OnUpdate::Succeed).await;
    stream.send(offers(&["o-1"])).await;
    let offer = framework.sees_offers().await.remove(0);
    let operations = [
        operation::reserve(Vec::new()).id("op-1"),
        operation::create(Vec::new()).id("op-2"),
        operation::destroy(Vec::new()),
    ];
    offer.accept(operations, None).await.unwrap();
    master.expect(Type::Accept).await;
    let pending = OperationState::OperationPending;
    stream.send(status("op-1", pending, None)).await;
    sees_operation(&mut framework).await;
    drop(stream);
    framework.sees_disconnected().await;

    let stream = master.subscribe("s-2").await;
    let both = [
        ("op-1".to_owned(), Some("A-1".to_owned())),
        ("op-2".to_owned(), None),
    ];
    assert_eq!(asked(&mut master).await, both);
    framework.sees_subscribed().await;
    // One is over, of the other nobody knows: neither is asked for again.
    let finished = OperationState::OperationFinished;
    stream.send(status("op-1", finished, None)).await;
    stream
        .send(status("op-2", OperationState::OperationUnknown, None))
        .await;
    sees_operation(&mut framework).await;
    sees_operation(&mut framework).await;
    drop(stream);
    framework.sees_disconnected().await;
    let _stream = master.subscribe("s-3").await;
    framework.sees_subscribed().await;
    framework.handle.revive(vec![]).await.unwrap();
    // What was asked for before the answers came may still arrive, but nothing
    // under the new subscription.
    loop {
        let received = master.call().await;
        if received.stream_id() == "s-3" {
            assert_eq!(received.call.r#type(), Type::Revive);
            break;
        }
    }
}

#[tokio::test]
async fn operations_from_before_are_asked_for_when_they_are_told() {
    let (mut master, framework, _stream) = start(OnUpdate::Succeed).await;
    framework
        .handle
        .track_operations([(ids::operation_id("op-7"), Some(ids::agent_id("A-9")))]);
    let expected = [("op-7".to_owned(), Some("A-9".to_owned()))];
    assert_eq!(asked(&mut master).await, expected);
}
