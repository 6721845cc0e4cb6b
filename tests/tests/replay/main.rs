//! The recorded dialogues, held again: same status, same text, same story of
//! each task, same shapes, up to ids, times and host names.
//!
//! Each group of dialogues is one test and has a list of what it replays; the
//! last test lists what no group replays, with the reason.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

/// A dialogue as two tests: in JSON, and in protobuf.
macro_rules! in_both_encodings {
    ($dialogue:ident) => {
        mod $dialogue {
            use mesos_tests::encoding::Encoding;
            use mesos_tests::fixture::Fixture;

            #[tokio::test]
            async fn in_json() {
                super::$dialogue(Fixture::speaking(Encoding::Json).await).await;
            }

            #[tokio::test]
            async fn in_protobuf() {
                super::$dialogue(Fixture::speaking(Encoding::Protobuf).await).await;
            }
        }
    };
}

mod auth;
mod docker;
mod executors;
mod fetch;
mod group;
mod launches;
mod lifecycle;
mod operator;
mod reads;
mod requests;
mod separate;
mod stateful;
mod streams;
mod whole;
mod wire;

use std::collections::BTreeSet;

use mesos_tests::captures;

/// Dialogues that no group here replays: how their names begin, and why.
const NOT_REPLAYED: &[(&str, &str)] = &[(
    "zookeeper-detection",
    "held again by mesos-local's own test of elections, which has a ZooKeeper",
)];

#[test]
fn every_recorded_dialogue_is_replayed_or_has_a_reason_not_to_be() {
    let replayed: BTreeSet<&str> = [
        docker::DOCKER,
        fetch::FETCH,
        executors::CUSTOM,
        executors::PODS,
        requests::REQUESTS,
        requests::REFUSED_SUBSCRIPTIONS,
        lifecycle::LIFECYCLE,
        stateful::STATEFUL,
        reads::READS,
        auth::AUTH,
        operator::OPERATOR,
        streams::STREAMS,
        wire::WIRE,
        whole::WHOLE,
        whole::STREAMS,
    ]
    .concat()
    .into_iter()
    .chain(mesos_tests::scenes::names())
    .collect();
    let reason = |name: &str| {
        NOT_REPLAYED
            .iter()
            .find(|(start, _)| name.starts_with(start))
    };
    let mut used = BTreeSet::new();
    let mut unexplained = Vec::new();
    for name in captures::names() {
        if replayed.contains(name.as_str()) {
            continue;
        }
        match reason(&name) {
            Some((start, why)) => {
                used.insert(*start);
                println!("not replayed: {name}: {why}");
            }
            None => unexplained.push(name),
        }
    }
    assert!(
        unexplained.is_empty(),
        "neither replayed nor explained: {unexplained:?}"
    );
    let idle: Vec<_> = NOT_REPLAYED
        .iter()
        .filter(|(start, _)| !used.contains(start))
        .collect();
    assert!(idle.is_empty(), "reasons for nothing: {idle:?}");
    let missing: Vec<_> = replayed
        .iter()
        .filter(|name| !captures::names().contains(**name))
        .collect();
    assert!(missing.is_empty(), "listed but not recorded: {missing:?}");
}
