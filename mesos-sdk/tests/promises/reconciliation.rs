//! Reconciliation is the driver's routine: nobody has to ask for it.

use std::{collections::BTreeSet, time::Duration};

use mesos_sdk::{
    ids,
    reconciler::ReconcilerConfig,
    task,
    v1::{TaskState, scheduler::call::Type},
};

use crate::{
    framework::{Framework, OnUpdate, builder},
    master::{Master, answer, offers, update},
};

async fn asked(master: &mut Master) -> Vec<String> {
    let reconcile = master.expect(Type::Reconcile).await.call.reconcile.unwrap();
    reconcile
        .tasks
        .into_iter()
        .map(|task| task.task_id.value)
        .collect()
}

#[tokio::test]
async fn a_launched_task_is_asked_for_after_a_reconnect_until_it_is_answered() {
    let mut master = Master::start().await;
    let config = ReconcilerConfig {
        shortest_backoff: Duration::from_millis(50),
        ..ReconcilerConfig::default()
    };
    let builder = builder(master.address()).reconciler(config);
    let mut framework = Framework::start(builder, OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream.send(offers(&["o-1"])).await;
    let offer = framework.sees_offers().await.remove(0);
    let tasks =
        ["t-1", "t-2"].map(|id| task::command(id, "true").cpus(0.1).mem_mib(32.0).on(&offer));
    offer.launch(tasks.to_vec()).await.unwrap();
    master.expect(Type::Accept).await;
    // One of them ends before the stream does.
    stream
        .send(update("t-2", TaskState::TaskFinished, Some(1)))
        .await;
    framework.sees_update().await;
    master.expect(Type::Acknowledge).await;
    drop(stream);
    framework.sees_disconnected().await;

    let stream = master.subscribe("s-2").await;
    assert_eq!(asked(&mut master).await, ["t-1"]);
    // Silence is a legal answer, and not the last one.
    assert_eq!(asked(&mut master).await, ["t-1"]);
    stream
        .send(update("t-1", TaskState::TaskRunning, None))
        .await;
    framework.sees_subscribed().await;
    framework.sees_update().await;
}

#[tokio::test]
async fn tasks_known_from_before_are_asked_for() {
    let mut master = Master::start().await;
    let builder = builder(master.address()).framework_id(Some(ids::framework_id("F-1")));
    let framework = Framework::start(builder, OnUpdate::Succeed);
    framework
        .handle
        .track_tasks([(ids::task_id("t-1"), Some(ids::agent_id("A-1")))]);
    let _stream = master.subscribe("s-1").await;
    assert_eq!(asked(&mut master).await, ["t-1"]);
}

#[tokio::test]
async fn many_answers_come_through_in_batches() {
    const TASKS: usize = 20_000;
    let mut master = Master::start().await;
    let builder = builder(master.address()).framework_id(Some(ids::framework_id("F-1")));
    let mut framework = Framework::start(builder, OnUpdate::Succeed);
    framework
        .handle
        .track_tasks((0..TASKS).map(|task| (ids::task_id(format!("task-{task}")), None)));
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    let mut seen = BTreeSet::new();
    while seen.len() < TASKS {
        let batch = asked(&mut master).await;
        assert!(batch.len() <= 1000);
        for task in &batch {
            stream
                .send(update(task, TaskState::TaskRunning, None))
                .await;
        }
        for _ in batch {
            seen.insert(framework.sees_update().await.0);
        }
    }
}

#[tokio::test]
async fn answers_beyond_what_may_wait_are_asked_for_again() {
    const TASKS: usize = 12_000;
    let mut master = Master::start().await;
    let config = ReconcilerConfig {
        shortest_backoff: Duration::from_millis(100),
        ..ReconcilerConfig::default()
    };
    let builder = builder(master.address())
        .framework_id(Some(ids::framework_id("F-1")))
        .reconciler(config);
    let mut framework = Framework::start(builder, OnUpdate::Wait);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    // A framework that was taken over asks for everything, here with a handler
    // that is stuck with the first answer.
    assert_eq!(asked(&mut master).await, Vec::<String>::new());
    for task in 0..TASKS {
        stream.send(answer(&format!("task-{task}"))).await;
    }
    // Those that could not wait are asked for by name, others not.
    let mut open: BTreeSet<String> = BTreeSet::new();
    open.extend(asked(&mut master).await);
    assert!(open.len() <= 1000);
    framework.gate.add_permits(10 * TASKS);
    let mut seen = BTreeSet::new();
    for task in &open {
        stream.send(answer(task)).await;
    }
    while seen.len() < TASKS {
        tokio::select! {
            update = framework.sees_update() => {
                seen.insert(update.0);
            }
            batch = asked(&mut master) => {
                for task in batch {
                    stream.send(answer(&task)).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_launch_that_the_master_refuses_is_not_asked_for() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    for (id, status) in [("t-refused", 400), ("t-taken", 202)] {
        stream.send(offers(&[id])).await;
        let offer = framework.sees_offers().await.remove(0);
        let task = task::command(id, "true").cpus(0.1).mem_mib(32.0).on(&offer);
        master.answer_next(Type::Accept, status, "");
        assert_eq!(offer.launch(vec![task]).await.is_ok(), status == 202);
        master.expect(Type::Accept).await;
    }
    drop(stream);
    framework.sees_disconnected().await;
    let _stream = master.subscribe("s-2").await;
    assert_eq!(asked(&mut master).await, ["t-taken"]);
}
