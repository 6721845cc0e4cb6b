//! Finding the leading master with a real ZooKeeper, which the test starts.
//!
//! Needs Debian's packages `zookeeper` and a Java runtime. Where they are not
//! installed the test says so and passes; with `MESOS_TESTS_REQUIRE_ALL=1` it
//! fails.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mesos_sdk::detect::Detector;
use zookeeper_client as zk;

const JAR: &str = "/usr/share/java/zookeeper.jar";
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of our own, which ends with the test.
struct Server {
    child: Child,
    port: u16,
    data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, data: &Path) -> Child {
    Command::new("java")
        .args(["-Xmx128m", "-cp", &format!("{JAR}:/usr/share/java/*")])
        .arg("-Dzookeeper.admin.enableServer=false")
        .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
        .arg(port.to_string())
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("java")
}

impl Server {
    fn start() -> Option<Self> {
        let has_java = Command::new("java").arg("-version").output().is_ok();
        if !Path::new(JAR).exists() || !has_java {
            let why =
                "skipped: Debian's packages zookeeper and default-jre-headless are not installed";
            assert!(
                std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none(),
                "{why}"
            );
            println!("{why}");
            return None;
        }
        let data = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        Some(Self {
            child: spawn(port, data.path()),
            port,
            data,
        })
    }

    /// Ends the server as a crash would, and starts it again.
    fn restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.child = spawn(self.port, self.data.path());
    }

    async fn client(&self) -> zk::Client {
        let address = format!("127.0.0.1:{}", self.port);
        let connecting = async {
            loop {
                match zk::Client::connect(&address).await {
                    Ok(client) => return client,
                    // It is still starting.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        in_time("a session", connecting).await
    }
}

async fn in_time<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(value) => value,
        Err(_) => panic!("no {what} in time"),
    }
}

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
