//! The store and the election in a real ZooKeeper, which the tests start, and
//! whole instances of a small framework; see the server's file for when tests
//! are skipped.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

mod alone;
mod election;
mod killed;
mod notes;
#[path = "../../../../mesos-sdk/tests/zookeeper/server.rs"]
mod server;
mod store;
mod together;

use mesos_service::zookeeper::{Session, ZooKeeperConfig};
use server::{Server, in_time};

/// A session of two seconds.
async fn session(server: &Server, path: &str) -> Session {
    session_of(server, path, 2).await
}

/// A session with a server that may still be starting.
async fn session_of(server: &Server, path: &str, seconds: u64) -> Session {
    let address = format!("user:secret@127.0.0.1:{}{path}", server.port);
    let mut config = ZooKeeperConfig::new(address.parse().unwrap());
    config.session_timeout = std::time::Duration::from_secs(seconds);
    let connecting = async {
        loop {
            match config.connect().await {
                Ok(session) => return session,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    in_time("a session", connecting).await
}
