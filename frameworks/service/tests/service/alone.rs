//! One instance on a file.

use mesos_service::run::{Ended, Place, RunError};
use mesos_service::store::StoreError;

use crate::notes::{FATAL, ask, notes, start};
use crate::server::in_time;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::Directory(directory.path().to_owned());
    let first = start(place.clone()).await;
    let (status, head, body) = ask(first.port, "POST /notes/a").await.unwrap();
    assert_eq!((status, body.as_str()), (201, "1"));
    let leader = format!("X-Notes-Leader: http://127.0.0.1:{}", first.port);
    assert!(head.contains(&leader), "{head}");

    // A second one on the same file is refused with words.
    let second = start(place.clone()).await;
    let error = in_time("an end", second.running)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, RunError::Store(StoreError::InUse { .. })));
    assert!(
        error
            .to_string()
            .contains("notes.redb is in use by another process")
    );

    first.stop.stop();
    let ended = in_time("an end", first.running).await.unwrap();
    assert_eq!(ended.unwrap(), Ended::Stopped);
    assert!(ask(first.port, "GET /notes").await.is_none());
    let third = start(place).await;
    assert_eq!(notes(third.port).await.unwrap(), ["a".to_owned()].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_with_what_runs_beside_it() {
    let instance = start(Place::Memory).await;
    assert_eq!(notes(instance.port).await.unwrap().len(), 0);
    ask(instance.port, &format!("POST /notes/{FATAL}")).await;
    let error = in_time("an end", instance.running)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, RunError::Framework(_)));
    assert_eq!(error.to_string(), "cannot go on after fatal");
}

/// The original dies of fifty at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_requests_is_answered_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::Directory(directory.path().to_owned());
    let first = start(place.clone()).await;
    let port = first.port;
    let posting = (0..2_000).map(|number| async move {
        let answer = ask(port, &format!("POST /notes/{number}")).await;
        answer.is_some_and(|(status, ..)| status == 201)
    });
    use futures::StreamExt as _;
    let posting = futures::stream::iter(posting).buffer_unordered(500);
    let answered = in_time(
        "all answers",
        posting.filter(|is| std::future::ready(*is)).count(),
    );
    assert_eq!(answered.await, 2_000);
    // No farewell.
    first.running.abort();
    let _ = first.running.await;
    let next = start(place).await;
    assert_eq!(notes(next.port).await.unwrap().len(), 2_000);
}
