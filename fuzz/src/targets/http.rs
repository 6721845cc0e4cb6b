//! A whole cluster: whatever bytes come over a connection, it answers the next
//! one.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use mesos_local::Cluster;
use tokio::runtime::Runtime;

use super::{Target, kind};

/// How long an answer may take; a connection that stays open is left then.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long an answer may take to begin.
const BEGINNING: Duration = Duration::from_millis(5);
/// How long the cluster may take to say that it is well.
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Http {
    cluster: Cluster,
    /// Holds what the cluster's own thread talks to.
    _runtime: Runtime,
    inputs: usize,
}

impl Http {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let starting = Cluster::builder()
            .agents(1)
            .resources("cpus:1;mem:64")
            .configure(|config| config.max_completed_frameworks = 5)
            .start();
        let cluster = runtime.block_on(starting).expect("a cluster");
        Self {
            cluster,
            _runtime: runtime,
            inputs: 0,
        }
    }
}

impl Target for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn take(&mut self, input: &[u8]) -> u64 {
        self.inputs += 1;
        let agent = self.cluster.agent_addresses()[0];
        let address = match self.inputs % 4 {
            0 => agent,
            _ => self.cluster.master_address(),
        };
        let answer = exchange(address, input, BEGINNING, PATIENCE);
        if self.inputs.is_multiple_of(64) {
            for address in [self.cluster.master_address(), agent] {
                let request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
                let health = exchange(address, request, HEALTH_PATIENCE, HEALTH_PATIENCE);
                assert!(health.starts_with("HTTP/1.1 200"), "{address}: {health}");
            }
        }
        kind(&[answer.get(..300).unwrap_or(&answer)])
    }
}

/// Sends bytes, waits a little for the answer to begin, closes the writing side,
/// and reads what comes in time: whoever closes at once counts as gone, and a
/// request that is cut off is over only then.
fn exchange(address: SocketAddr, bytes: &[u8], begins: Duration, patience: Duration) -> String {
    let mut stream = TcpStream::connect(address).expect("the cluster listens");
    stream.set_read_timeout(Some(begins)).expect("a timeout");
    stream
        .set_write_timeout(Some(HEALTH_PATIENCE))
        .expect("a timeout");
    let mut answer = Vec::new();
    // A server that refuses may close before it has read everything.
    if stream.write_all(bytes).is_ok() {
        let mut beginning = vec![0; 1 << 12];
        if let Ok(length) = stream.read(&mut beginning) {
            answer.extend_from_slice(&beginning[..length]);
        }
        let timeout = stream.set_read_timeout(Some(patience));
        timeout.expect("a timeout");
        if stream.shutdown(Shutdown::Write).is_ok() {
            let _ = stream.take(1 << 20).read_to_end(&mut answer);
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
