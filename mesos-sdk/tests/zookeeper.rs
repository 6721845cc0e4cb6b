//! Finding the leading master with a real ZooKeeper, which the test starts.
//!
//! Needs Debian's packages `zookeeper` and a Java runtime. Where they are not
//! installed the test says so and passes; with `MESOS_TESTS_REQUIRE_ALL=1` it
//! fails.

#[path = "zookeeper/server.rs"]
mod server;

use mesos_sdk::detect::Detector;
use server::{Server, in_time};
use zookeeper_client as zk;

/// What a master of Mesos writes of itself.
fn master_info(port: u16) -> String {
    format!(
        r#"{{"address":{{"hostname":"localhost","ip":"127.0.0.1","port":{port}}},"hostname":"localhost","id":"m{port}","ip":16777343,"pid":"master@127.0.0.1:{port}","port":{port},"version":"1.12.0"}}"#
    )
}

async fn contend(client: &zk::Client, port: u16) -> String {
    let options = zk::CreateMode::EphemeralSequential.with_acls(zk::Acls::anyone_all());
    let data = master_info(port);
    let created = client.create("/mesos/json.info_", data.as_bytes(), &options);
    let (_, sequence) = created.await.expect("a znode");
    format!("/mesos/json.info_{sequence}")
}

async fn make(client: &zk::Client, path: &str, acls: zk::Acls<'_>) {
    let options = zk::CreateMode::Persistent.with_acls(acls);
    client.create(path, b"", &options).await.expect("a znode");
}

async fn leader(detector: &mut Detector) -> u16 {
    let detecting = async {
        loop {
            match detector.leader().await {
                Ok(leader) => return leader.port,
                // A lost connection: the next try makes another.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    in_time("a leader", detecting).await
}

#[tokio::test]
async fn the_leader_is_found_followed_and_found_again() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let client = server.client().await;
    let address = format!("zk://127.0.0.1:{}/mesos", server.port);
    let address = address.parse().expect("an address");
    let mut detector = Detector::new(&address).expect("a detector");

    // Nobody leads, nor is there the path; then both appear.
    let detecting = tokio::spawn(async move {
        let port = leader(&mut detector).await;
        (port, detector)
    });
    make(&client, "/mesos", zk::Acls::anyone_all()).await;
    make(&client, "/mesos/log_replicas", zk::Acls::anyone_all()).await;
    make(&client, "/mesos/info_0000000000", zk::Acls::anyone_all()).await;
    let first = contend(&client, 5051).await;
    let (port, mut detector) = in_time("the first leader", detecting)
        .await
        .expect("a task");
    assert_eq!(port, 5051);

    // One that comes later does not lead, until the first one goes.
    contend(&client, 5052).await;
    assert_eq!(leader(&mut detector).await, 5051);
    client.delete(&first, None).await.expect("it is there");
    in_time("a change", detector.changed()).await;
    assert_eq!(leader(&mut detector).await, 5052);

    // The server crashes and comes back, and then the leader changes.
    server.restart();
    let client = server.client().await;
    let children = client
        .list_children("/mesos")
        .await
        .expect("the path is kept");
    for child in children
        .iter()
        .filter(|child| child.starts_with("json.info_"))
    {
        let _ = client.delete(&format!("/mesos/{child}"), None).await;
    }
    contend(&client, 5053).await;
    in_time("a change", detector.changed()).await;
    assert_eq!(leader(&mut detector).await, 5053);
}

#[tokio::test]
async fn a_group_that_is_locked_needs_the_password() {
    let Some(server) = Server::start() else {
        return;
    };
    let client = server.client().await;
    client
        .auth("digest", b"alice:wonder")
        .await
        .expect("a user");
    make(&client, "/mesos", zk::Acls::creator_all()).await;
    let options = zk::CreateMode::EphemeralSequential.with_acls(zk::Acls::creator_all());
    let data = master_info(5054);
    let created = client.create("/mesos/json.info_", data.as_bytes(), &options);
    created.await.expect("a znode");

    let detector = |credentials: &str| {
        let address = format!("zk://{credentials}127.0.0.1:{}/mesos", server.port);
        Detector::new(&address.parse().expect("an address")).expect("a detector")
    };
    assert_eq!(leader(&mut detector("alice:wonder@")).await, 5054);
    let refused = in_time("an answer", async { detector("").leader().await }).await;
    let error = refused.expect_err("no password").to_string();
    assert!(
        error.contains("/mesos") && !error.contains("wonder"),
        "{error}"
    );
}
