//! A real ZooKeeper, started by a test. Where Debian's packages `zookeeper` and
//! a Java runtime are not installed the test says so and passes; with
//! `MESOS_TESTS_REQUIRE_ALL=1` it fails.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zookeeper_client as zk;

const JAR: &str = "/usr/share/java/zookeeper.jar";
/// How long a condition may take to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A server of our own, which ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ticks of half a second: sessions live from one second to ten.
const TICK: &str = "500";

fn spawn(port: u16, data: &Path) -> Child {
    Command::new("java")
        .args(["-Xmx128m", "-cp", &format!("{JAR}:/usr/share/java/*")])
        .arg("-Dzookeeper.admin.enableServer=false")
        .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
        .arg(port.to_string())
        .arg(data)
        .arg(TICK)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("java")
}

impl Server {
    /// A server, or nothing where none is installed.
    pub(crate) fn start() -> Option<Self> {
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
    pub(crate) fn restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.child = spawn(self.port, self.data.path());
    }

    /// A session with it, once it is up.
    pub(crate) async fn client(&self) -> zk::Client {
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

pub(crate) async fn in_time<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(value) => value,
        Err(_) => panic!("no {what} in time"),
    }
}
