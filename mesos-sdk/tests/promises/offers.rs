//! Offers can be used once, never hold anything else up, and say when they are
//! void before anything is on the wire.

use mesos_sdk::{
    error::CallError,
    task,
    v1::{TaskState, scheduler::call::Type},
};

use crate::{
    framework::{Framework, OnUpdate, Seen, builder},
    master::{Master, Stream, offers, rescind, soon, update},
};

async fn start(on_update: OnUpdate) -> (Master, Framework, Stream) {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), on_update);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    (master, framework, stream)
}

#[tokio::test]
async fn launching_consumes_the_offer() {
    let (mut master, mut framework, stream) = start(OnUpdate::Succeed).await;
    stream.send(offers(&["o-1"])).await;
    let offer = framework.sees_offers().await.remove(0);
    assert_eq!(offer.resources().cpus().as_f64(), 4.0);
    let task = task::command("t-1", "true").cpus(0.1).mem_mib(32.0);
    assert!(task.fits(&offer));
    let info = task.on(&offer);
    offer.launch(vec![info]).await.unwrap();

    let accept = master.expect(Type::Accept).await.call.accept.unwrap();
    assert_eq!(accept.offer_ids[0].value, "o-1");
    let launched = &accept.operations[0].launch.as_ref().unwrap().task_infos[0];
    assert_eq!(launched.agent_id.value, "A-1");
    // It was used: nothing declines it.
    framework.handle.revive(vec![]).await.unwrap();
    master.expect(Type::Revive).await;
}

#[tokio::test]
async fn a_dropped_offer_is_declined() {
    let (mut master, mut framework, stream) = start(OnUpdate::Succeed).await;
    stream.send(offers(&["o-1", "o-2"])).await;
    drop(framework.sees_offers().await);
    let mut declined = Vec::new();
    while declined.len() < 2 {
        let decline = master.expect(Type::Decline).await.call.decline.unwrap();
        declined.extend(decline.offer_ids.into_iter().map(|id| id.value));
    }
    declined.sort();
    assert_eq!(declined, ["o-1", "o-2"]);
}

#[tokio::test]
async fn a_rescinded_offer_refuses_before_the_wire() {
    let (mut master, mut framework, stream) = start(OnUpdate::Succeed).await;
    stream.send(offers(&["o-1"])).await;
    let offer = framework.sees_offers().await.remove(0);
    stream.send(rescind("o-1")).await;
    let seen = framework.sees().await;
    assert!(
        matches!(&seen, Seen::Rescinded(id) if id == "o-1"),
        "{seen:?}"
    );
    assert!(offer.is_rescinded());
    let task = task::command("t-1", "true")
        .cpus(0.1)
        .mem_mib(32.0)
        .on(&offer);
    let error = offer.launch(vec![task]).await.unwrap_err();
    assert!(matches!(error, CallError::Rescinded { .. }), "{error}");
    framework.handle.revive(vec![]).await.unwrap();
    master.expect(Type::Revive).await;
}

#[tokio::test]
async fn an_offer_that_is_rescinded_while_it_waits_is_never_seen() {
    let (_master, mut framework, stream) = start(OnUpdate::Wait).await;
    stream.send(offers(&["o-0"])).await;
    let held = framework.sees_offers().await.remove(0);
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;
    // The handler works; these wait.
    stream.send(offers(&["o-1"])).await;
    stream.send(offers(&["o-2", "o-3"])).await;
    stream.send(rescind("o-2")).await;
    stream
        .send(update("t-2", TaskState::TaskRunning, Some(2)))
        .await;
    stream.send(rescind("o-0")).await;
    // The offer in hand knows it at once, and so all before it was read.
    soon("a rescinded offer", async {
        while !held.is_rescinded() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    framework.gate.add_permits(2);
    // The update passes the offers, and the offers that are left come at once.
    assert_eq!(framework.sees_update().await.0, "t-2");
    let seen = framework.sees().await;
    assert!(
        matches!(&seen, Seen::Rescinded(id) if id == "o-0"),
        "{seen:?}"
    );
    let ids: Vec<String> = framework
        .sees_offers()
        .await
        .iter()
        .map(|offer| offer.id().value.clone())
        .collect();
    assert_eq!(ids, ["o-1", "o-3"]);
}

#[tokio::test]
async fn a_slow_handler_does_not_stop_the_stream() {
    const RECORDS: usize = 64;
    let (mut master, mut framework, stream) = start(OnUpdate::Wait).await;
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;
    // 64 MiB are far more than any buffer between here and there holds; the
    // master gets rid of them while the handler is at work.
    for number in 0..RECORDS {
        let id = format!("o-{number}");
        let mut event = offers(&[&id]);
        event.offers.as_mut().unwrap().offers[0].hostname = "h".repeat(1 << 20);
        stream.send(event).await;
    }
    // So other calls go through as well.
    framework.handle.revive(vec![]).await.unwrap();
    master.expect(Type::Revive).await;
    framework.gate.add_permits(1);
    assert_eq!(framework.sees_offers().await.len(), RECORDS);
}

#[tokio::test]
async fn a_record_far_beyond_4_mib_is_read() {
    let (_master, mut framework, stream) = start(OnUpdate::Succeed).await;
    let mut event = offers(&["o-1"]);
    event.offers.as_mut().unwrap().offers[0].hostname = "h".repeat(40 << 20);
    stream.send(event).await;
    assert_eq!(framework.sees_offers().await[0].hostname().len(), 40 << 20);
}

#[tokio::test]
async fn offers_end_with_their_subscription() {
    let (mut master, mut framework, stream) = start(OnUpdate::Succeed).await;
    stream.send(offers(&["o-1", "o-2"])).await;
    let mut offers = framework.sees_offers().await;
    drop(stream);
    framework.sees_disconnected().await;
    let _stream = master.subscribe("s-2").await;
    framework.sees_subscribed().await;

    let task = task::command("t-1", "true")
        .cpus(0.1)
        .mem_mib(32.0)
        .on(&offers[0]);
    let error = offers.remove(0).launch(vec![task]).await.unwrap_err();
    assert!(error.had_no_effect(), "{error}");
    drop(offers);
    framework.handle.revive(vec![]).await.unwrap();
    // Neither of them reached the new stream.
    loop {
        match master.call().await.call.r#type() {
            Type::Reconcile => {}
            kind => break assert_eq!(kind, Type::Revive),
        }
    }
}

#[tokio::test]
async fn an_executor_and_each_task_of_a_group_have_their_share_of_the_offer() {
    let (mut master, mut framework, stream) = start(OnUpdate::Succeed).await;
    stream.send(offers(&["o-1"])).await;
    let offer = framework.sees_offers().await.remove(0);
    // Of 4 cpus the executor takes 0.1.
    let single = |cpus| {
        let executor = task::custom_executor("e", "run");
        task::with_executor("t", executor).cpus(cpus).mem_mib(32.0)
    };
    assert!(single(3.9).fits(&offer) && !single(4.0).fits(&offer));
    let info = single(1.0).on(&offer);
    let executor = info.executor.unwrap();
    assert!(info.command.is_none());
    assert!(executor.resources[0].allocation_info.is_some());

    let group = |cpus| {
        let task = |id| task::command(id, "true").cpus(cpus).mem_mib(32.0);
        let executor = task::custom_executor("e", "run");
        task::group(executor, vec![task("a"), task("b")])
    };
    assert!(group(1.95).fits(&offer) && !group(2.0).fits(&offer));
    let operation = group(1.0).on(&offer);
    offer.accept([operation], None).await.unwrap();
    let accept = master.expect(Type::Accept).await.call.accept.unwrap();
    let launch = accept.operations[0].launch_group.as_ref().unwrap();
    let tasks = &launch.task_group.tasks;
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|task| task.agent_id.value == "A-1"));
}
