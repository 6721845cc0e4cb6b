//! The master's events: they heal, and the cluster is what they tell.

use std::time::Duration;

use futures::StreamExt as _;
use mesos_sdk::{
    Error,
    address::MasterAddress,
    ids,
    operator::{Change, Changes, ClusterWatch},
    v1::{
        self, TaskState,
        master::{
            Call, Event,
            call::Type,
            event::{self, Subscribed},
            response::{GetState, GetTasks},
        },
    },
};

use crate::server::{Server, Stream, soon};

fn task(id: &str) -> v1::Task {
    v1::Task {
        framework_id: ids::framework_id("F-1"),
        task_id: ids::task_id(id),
        state: TaskState::TaskRunning.into(),
        ..Default::default()
    }
}

fn subscribed(tasks: &[&str], heartbeat_interval_seconds: f64) -> Event {
    let tasks = tasks.iter().map(|id| task(id)).collect();
    Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(Subscribed {
            get_state: Some(GetState {
                get_tasks: Some(GetTasks {
                    tasks,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            heartbeat_interval_seconds: Some(heartbeat_interval_seconds),
        }),
        ..Default::default()
    }
}

fn added(id: &str) -> Event {
    Event {
        r#type: Some(event::Type::TaskAdded.into()),
        task_added: Some(event::TaskAdded { task: task(id) }),
        ..Default::default()
    }
}

fn watch(server: &Server) -> (ClusterWatch, Changes) {
    let master: MasterAddress = server.address().authority().parse().unwrap();
    let watch = ClusterWatch::builder(master).start().unwrap();
    let changes = watch.changes();
    (watch, changes)
}

async fn accept(server: &mut Server, first: &Event) -> Stream {
    let mut asked = server.asked().await;
    let call: Call = asked.call().await;
    assert_eq!(call.r#type(), Type::Subscribe);
    let mut stream = asked.stream();
    assert!(stream.send(first).await);
    stream
}

async fn next(changes: &mut Changes) -> Change {
    soon("a change", changes.next()).await.unwrap()
}

fn tasks(watch: &ClusterWatch) -> Vec<String> {
    let ids = |task: &v1::Task| task.task_id.value.clone();
    watch.read(|cluster| cluster.tasks().map(ids).collect())
}

#[tokio::test]
async fn the_cluster_is_what_the_events_tell() {
    let mut server = Server::start().await;
    let (watch, mut changes) = watch(&server);
    let mut stream = accept(&mut server, &subscribed(&["t-1"], 15.0)).await;
    soon("the state", watch.synced()).await.unwrap();
    assert_eq!(tasks(&watch), ["t-1"]);
    let snapshot = watch.cluster();
    let heartbeat = Event {
        r#type: Some(event::Type::Heartbeat.into()),
        ..Default::default()
    };
    assert!(stream.send(&heartbeat).await);
    assert!(stream.send(&added("t-2")).await);
    let two = watch.wait_until(|cluster| cluster.tasks().count() == 2);
    soon("a second task", two).await.unwrap();
    assert_eq!(snapshot.tasks().count(), 1);
    assert!(matches!(next(&mut changes).await, Change::Subscribed));
    match next(&mut changes).await {
        Change::Event(event) => assert_eq!(event.r#type(), event::Type::TaskAdded),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_and_tells_everything_anew() {
    let mut server = Server::start().await;
    let (watch, mut changes) = watch(&server);
    let stream = accept(&mut server, &subscribed(&["t-1"], 15.0)).await;
    assert!(matches!(next(&mut changes).await, Change::Subscribed));
    drop(stream);
    assert!(matches!(next(&mut changes).await, Change::Disconnected(_)));
    // What was known last stays known.
    assert_eq!(tasks(&watch), ["t-1"]);
    server.asked().await.answer(503, "No leader elected");
    assert!(matches!(next(&mut changes).await, Change::Disconnected(_)));
    let _stream = accept(&mut server, &subscribed(&["t-9"], 15.0)).await;
    assert!(matches!(next(&mut changes).await, Change::Subscribed));
    assert_eq!(tasks(&watch), ["t-9"]);
}

#[tokio::test]
async fn changes_are_a_stream() {
    let mut server = Server::start().await;
    let (_watch, changes) = watch(&server);
    let mut changes = std::pin::pin!(changes.into_stream());
    let mut stream = accept(&mut server, &subscribed(&[], 15.0)).await;
    assert!(stream.send(&added("t-1")).await);
    drop(stream);
    server.asked().await.answer(401, "who are you?");
    let mut seen = Vec::new();
    while let Some(change) = soon("a change", changes.next()).await {
        seen.push(match change {
            Change::Subscribed => "subscribed",
            Change::Event(_) => "event",
            Change::Disconnected(_) => "disconnected",
            Change::Failed(_) => "failed",
            _ => "something else",
        });
    }
    assert_eq!(seen, ["subscribed", "event", "disconnected", "failed"]);
}

#[tokio::test]
async fn a_silent_master_is_given_up() {
    let mut server = Server::start().await;
    let (_watch, mut changes) = watch(&server);
    let _stream = accept(&mut server, &subscribed(&[], 0.01)).await;
    assert!(matches!(next(&mut changes).await, Change::Subscribed));
    match next(&mut changes).await {
        Change::Disconnected(reason) => {
            assert_eq!(reason.reason, "no heartbeat came in time");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_leader_is_followed() {
    let (mut follower, mut leader) = (Server::start().await, Server::start().await);
    let (watch, _) = watch(&follower);
    let location = format!("//{}/api/v1", leader.address().authority());
    let asked = follower.asked().await;
    asked.answer_with(307, &[("Location", &location)], "");
    let _stream = accept(&mut leader, &subscribed(&["t-1"], 15.0)).await;
    soon("the state", watch.synced()).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_the_last_change() {
    let mut server = Server::start().await;
    let (watch, mut changes) = watch(&server);
    server.asked().await.answer(401, "who are you?");
    match next(&mut changes).await {
        Change::Failed(error) => {
            assert!(matches!(*error, Error::Unauthenticated { .. }), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(changes.next().await.is_none());
    assert!(watch.synced().await.is_err());
    assert!(watch.changes().next().await.is_none());
}

#[tokio::test]
async fn who_reads_slowly_misses_changes_and_nothing_of_the_cluster() {
    const EVENTS: usize = 10_000;
    let mut server = Server::start().await;
    let (watch, mut changes) = watch(&server);
    let mut stream = accept(&mut server, &subscribed(&[], 15.0)).await;
    for n in 0..EVENTS {
        let is_held = soon("reading the stream", stream.send(&added(&n.to_string()))).await;
        assert!(is_held);
    }
    let all = watch.wait_until(|cluster| cluster.tasks().count() == EVENTS);
    soon("all tasks", all).await.unwrap();
    assert!(matches!(next(&mut changes).await, Change::Missed(_)));
    assert!(matches!(next(&mut changes).await, Change::Event(_)));
}

#[tokio::test]
async fn a_watch_that_is_dropped_leaves() {
    let mut server = Server::start().await;
    let (watch, changes) = watch(&server);
    let mut stream = accept(&mut server, &subscribed(&[], 15.0)).await;
    soon("the state", watch.synced()).await.unwrap();
    drop((watch, changes));
    soon("closing the stream", async {
        while stream.send(&added("t")).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
