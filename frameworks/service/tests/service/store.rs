//! What is saved is there, at any size, and only the last leader saves.

use mesos_service::store::{
    Batch, Entities, Schema, Store, StoreError, ZooKeeperStore, ZooKeeperStoreOptions, backup,
};

use crate::server::Server;
use crate::{session, session_of};

fn options() -> ZooKeeperStoreOptions {
    ZooKeeperStoreOptions {
        // A restart of the server takes its time on a loaded machine.
        patience: std::time::Duration::from_secs(60),
        ..ZooKeeperStoreOptions::default()
    }
}

async fn open(server: &Server, path: &str) -> ZooKeeperStore {
    let session = session(server, path).await;
    ZooKeeperStore::open(&session, options()).await.unwrap()
}

fn put(pairs: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in pairs {
        batch.put(*key, (*value).to_owned());
    }
    batch
}

#[tokio::test]
async fn what_was_saved_is_there_for_the_next_leader() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = open(&server, "/some/marathon").await;
    assert!(store.load("").await.unwrap().is_empty());
    store
        .save(&put(&[("app//a", "1"), ("app//b", "2"), ("run/x", "")]))
        .await
        .unwrap();
    let mut batch = put(&[("app//a", "3")]);
    batch.delete("app//b");
    batch.delete("app//never");
    store.save(&batch).await.unwrap();
    let expected = Entities::from([("app//a".into(), "3".into()), ("run/x".into(), "".into())]);
    assert_eq!(store.load("").await.unwrap(), expected);
    assert_eq!(store.keys("app/").await.unwrap(), ["app//a"]);
    assert_eq!(store.get("run/x").await.unwrap(), Some("".into()));
    assert_eq!(store.get("app//b").await.unwrap(), None);
    drop(store);
    let next = open(&server, "/some/marathon").await;
    assert_eq!(next.load("").await.unwrap(), expected);
    assert_eq!(next.load("run").await.unwrap().len(), 1);
    // Another path is another store.
    let other = open(&server, "/some/chronos").await;
    assert!(other.load("").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_entity_may_be_larger_than_a_znode() {
    let Some(server) = Server::start() else {
        return;
    };
    let session = session(&server, "/m").await;
    let store = ZooKeeperStore::open(&session, options()).await.unwrap();
    let large =
        |seed: u8| -> Vec<u8> { (0..3_500_000_u32).map(|n| (n % 251) as u8 ^ seed).collect() };
    let mut batch = put(&[("small", "1")]);
    batch.put("large", large(1));
    store.save(&batch).await.unwrap();
    batch.put("large", large(2));
    store.save(&batch).await.unwrap();
    drop(store);
    let store = ZooKeeperStore::open(&session, options()).await.unwrap();
    assert_eq!(store.get("large").await.unwrap().unwrap(), large(2));
    let pieces = || async {
        let client = server.client().await;
        client.auth("digest", b"user:secret").await.unwrap();
        client.list_children("/m/store/blobs").await.unwrap().len()
    };
    assert_eq!(pieces().await, 8, "the old ones are gone");
    store.save(&put(&[("large", "now small")])).await.unwrap();
    assert_eq!(pieces().await, 0);
    assert_eq!(store.get("large").await.unwrap().unwrap(), "now small");
}

#[tokio::test]
async fn a_batch_may_be_larger_than_a_request() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = open(&server, "/m").await;
    let mut batch = Batch::new();
    for number in 0..6_000 {
        batch.put(format!("app//{number}"), vec![b'x'; 600]);
    }
    batch.put("app//large", vec![b'y'; 2_000_000]);
    store.save(&batch).await.unwrap();
    let next = open(&server, "/m").await;
    let mut expected = Entities::new();
    batch.apply(&mut expected);
    assert_eq!(next.load("").await.unwrap(), expected);
    // And all of it can go at once.
    let none = Batch::between(&expected, &Entities::new());
    next.save(&none).await.unwrap();
    assert!(next.load("").await.unwrap().is_empty());
}

/// A leader that dies while it carries out a batch of several requests: the
/// next one finishes it.
#[tokio::test]
async fn a_batch_that_was_begun_is_finished() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut whole = 0;
    let mut nothing = 0;
    for round in 0..24_u32 {
        let path = format!("/m{round}");
        let session = session(&server, &path).await;
        let small = ZooKeeperStoreOptions {
            max_request_bytes: 40_000,
            ..options()
        };
        let store = ZooKeeperStore::open(&session, small).await.unwrap();
        let mut batch = Batch::new();
        for number in 0..40 {
            batch.put(format!("{number}"), vec![b'x'; 3_000]);
        }
        // Cut off after some turns of the runtime, sooner or later.
        {
            let mut saving = std::pin::pin!(store.save(&batch));
            let mut polls = 0;
            let cut = std::future::poll_fn(|context| {
                polls += 1;
                if polls > round {
                    return std::task::Poll::Ready(());
                }
                saving.as_mut().poll(context).map(drop)
            });
            cut.await;
        }
        let next = open(&server, &path).await;
        let found = next.load("").await.unwrap().len();
        assert!(found == 0 || found == 40, "{found} of 40 after {round}");
        whole += usize::from(found == 40);
        nothing += usize::from(found == 0);
        next.save(&put(&[("after", "1")])).await.unwrap();
    }
    println!("whole: {whole}, nothing: {nothing}");
    assert!(nothing > 0);
}

#[tokio::test]
async fn who_was_succeeded_cannot_write() {
    let Some(server) = Server::start() else {
        return;
    };
    let old = open(&server, "/m").await;
    old.save(&put(&[("a", "old")])).await.unwrap();
    let new = open(&server, "/m").await;
    let mut large = put(&[("a", "late")]);
    large.put("b", vec![0; 3 << 20]);
    for batch in [put(&[("a", "late")]), large] {
        let error = old.save(&batch).await.unwrap_err();
        assert!(matches!(error, StoreError::TakenOver { .. }), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(new.get("a").await.unwrap().unwrap(), "old");
    assert_eq!(new.get("b").await.unwrap(), None);
    new.save(&put(&[("a", "new")])).await.unwrap();
    assert_eq!(new.load("").await.unwrap().len(), 1);
    let said = old.save(&put(&[("a", "x")])).await.unwrap_err().to_string();
    assert!(!said.contains("secret"), "{said}");
}

/// The server crashes under a stream of saves, and comes back in time for the
/// session: every save that was acknowledged is there, in order.
#[tokio::test]
async fn a_short_outage_changes_nothing() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let session = session_of(&server, "/m", 10).await;
    let store = ZooKeeperStore::open(&session, options()).await.unwrap();
    let store = std::sync::Arc::new(store);
    let saving = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move {
            for number in 0..400_u32 {
                let mut batch = put(&[("last", &number.to_string())]);
                batch.put(format!("save/{number:04}"), "x");
                if let Err(error) = store.save(&batch).await {
                    // A machine so loaded that the server took longer to come
                    // back than a session lives.
                    assert!(matches!(error, StoreError::SessionOver { .. }), "{error}");
                    return number;
                }
            }
            400
        }
    });
    crate::in_time("some saves", async {
        while store.keys("save/").await.unwrap().len() < 20 {}
    })
    .await;
    server.restart();
    let acknowledged = crate::in_time("the rest", saving).await.unwrap();
    drop((store, session));
    let next = open(&server, "/m").await;
    let there = next.keys("save/").await.unwrap().len();
    // The last one may have been saved without an answer.
    let unanswered = usize::from(acknowledged < 400);
    let acknowledged = acknowledged as usize;
    assert!((acknowledged..=acknowledged + unanswered).contains(&there));
    let last = (there - 1).to_string();
    assert_eq!(next.get("last").await.unwrap().unwrap(), last);
}

#[tokio::test]
async fn a_backup_moves_from_a_file_to_zookeeper() {
    let Some(server) = Server::start() else {
        return;
    };
    const SCHEMA: Schema = Schema {
        application: "test",
        migrations: &[],
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup.tar.gz");
    let embedded = mesos_service::store::EmbeddedStore::open(directory.path(), "test").unwrap();
    SCHEMA.load(&embedded, "it").await.unwrap();
    let mut batch = put(&[("app//a", "1"), ("app//b", "2")]);
    batch.put("large", vec![1; 1_500_000]);
    embedded.save(&batch).await.unwrap();
    backup::back_up(&embedded, &file).await.unwrap();
    let store = open(&server, "/m").await;
    store.save(&put(&[("left over", "x")])).await.unwrap();
    backup::restore(&store, &SCHEMA, &file).await.unwrap();
    assert_eq!(
        SCHEMA.load(&store, "it").await.unwrap(),
        SCHEMA.load(&embedded, "it").await.unwrap(),
    );
}
