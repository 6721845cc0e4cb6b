//! An update is acknowledged after, and only after, it was handled.

use mesos_sdk::{
    Error,
    v1::{TaskState, scheduler::call::Type},
};

use crate::{
    framework::{Framework, OnUpdate, Seen, builder},
    master::{Master, update},
};

#[tokio::test]
async fn an_update_is_acknowledged_after_its_handler_returned() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Wait);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;

    stream
        .send(update("t-1", TaskState::TaskRunning, Some(7)))
        .await;
    assert_eq!(
        framework.sees_update().await,
        ("t-1".into(), TaskState::TaskRunning)
    );
    // A call that is made while the handler works arrives alone.
    framework.handle.revive(vec![]).await.unwrap();
    master.expect(Type::Revive).await;
    assert_eq!(master.calls_so_far(), []);

    framework.gate.add_permits(1);
    let received = master.expect(Type::Acknowledge).await;
    assert_eq!(received.stream_id(), "s-1");
    let acknowledge = received.call.acknowledge.unwrap();
    assert_eq!(acknowledge.task_id.value, "t-1");
    assert_eq!(acknowledge.agent_id.value, "A-1");
    assert_eq!(&acknowledge.uuid[..], [7; 16]);
    assert_eq!(received.call.framework_id.unwrap().value, "F-1");
}

#[tokio::test]
async fn an_update_whose_handler_fails_is_not_acknowledged_and_ends_the_run() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Fail);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;

    let error = framework.ends().await.unwrap_err();
    let Error::Scheduler { source, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(source.to_string(), "the disk is full");
    // The stream is closed; neither ACKNOWLEDGE nor TEARDOWN was sent.
    stream.closed().await;
    assert_eq!(master.calls_so_far(), []);
}

#[tokio::test]
async fn an_update_without_uuid_needs_no_acknowledgement() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream.send(update("t-1", TaskState::TaskLost, None)).await;
    stream
        .send(update("t-2", TaskState::TaskRunning, Some(2)))
        .await;
    framework.sees_update().await;
    framework.sees_update().await;
    // Only the second one, which came later.
    let acknowledge = master
        .expect(Type::Acknowledge)
        .await
        .call
        .acknowledge
        .unwrap();
    assert_eq!(acknowledge.task_id.value, "t-2");
}

#[tokio::test]
async fn a_redelivered_update_is_acknowledged_again_and_handled_once() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;

    for _ in 0..2 {
        stream
            .send(update("t-1", TaskState::TaskRunning, Some(1)))
            .await;
        master.expect(Type::Acknowledge).await;
    }
    // The same state with another uuid is another update.
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(2)))
        .await;
    master.expect(Type::Acknowledge).await;
    stream
        .send(update("t-1", TaskState::TaskFinished, Some(3)))
        .await;

    let mut states = Vec::new();
    for _ in 0..3 {
        states.push(framework.sees_update().await.1);
    }
    assert_eq!(
        states,
        [
            TaskState::TaskRunning,
            TaskState::TaskRunning,
            TaskState::TaskFinished
        ]
    );
}

#[tokio::test]
async fn a_redelivery_after_a_reconnect_is_acknowledged_under_the_new_subscription() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;
    assert_eq!(master.expect(Type::Acknowledge).await.stream_id(), "s-1");
    drop(stream);
    framework.sees_disconnected().await;

    let stream = master.subscribe("s-2").await;
    framework.sees_subscribed().await;
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    loop {
        let received = master.call().await;
        assert_eq!(received.stream_id(), "s-2");
        if received.call.r#type() == Type::Acknowledge {
            break;
        }
    }
}

#[tokio::test]
async fn an_acknowledgement_can_be_taken_over() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::TakeOver);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;

    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;
    // Dropped: the agent sends it again, and it is handled again.
    framework.acks.lock().unwrap().clear();
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    let seen = framework.sees().await;
    assert!(
        matches!(
            seen,
            Seen::Update {
                is_redelivery: true,
                ..
            }
        ),
        "{seen:?}"
    );
    assert_eq!(master.calls_so_far(), []);

    stream
        .send(update("t-2", TaskState::TaskRunning, Some(2)))
        .await;
    framework.sees_update().await;
    let ack = framework.acks.lock().unwrap().pop().unwrap();
    ack.send();
    let acknowledge = master
        .expect(Type::Acknowledge)
        .await
        .call
        .acknowledge
        .unwrap();
    assert_eq!(acknowledge.task_id.value, "t-2");
}

#[tokio::test]
async fn stopping_sends_what_was_to_be_acknowledged_and_tears_nothing_down() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Wait);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;
    framework.handle.stop();
    framework.gate.add_permits(1);
    framework.ends().await.unwrap();
    stream.closed().await;
    master.expect(Type::Acknowledge).await;
    assert_eq!(master.calls_so_far(), []);
}
