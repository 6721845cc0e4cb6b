//! A Chronos in a process of its own, under a supervisor that starts it again
//! when it ends, and behind gates.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Transport, TransportConfig};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::gate::Gate;

/// How long a supervisor takes to notice.
const RESTART_IN: Duration = Duration::from_secs(2);
/// Who does not answer by then did not.
const ANSWERS_IN: Duration = Duration::from_secs(20);

/// One instance.
#[derive(Debug)]
pub(crate) struct Node {
    address: SocketAddr,
    to_master: Gate,
    to_zookeeper: Gate,
    kills: mpsc::Sender<()>,
    transport: Transport,
    _supervisor: JoinSet<()>,
}

impl Node {
    pub(crate) async fn start(
        number: usize,
        master: SocketAddr,
        zookeeper: u16,
        directory: &Path,
    ) -> Self {
        let to_master = Gate::to(master).await;
        let to_zookeeper = Gate::to(([127, 0, 0, 1], zookeeper).into()).await;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = directory.join(format!("chronos-{number}.log"));
        let arguments = [
            format!("--master={}", to_master.address),
            format!("--zk_hosts={}", to_zookeeper.address),
            "--zk_timeout=4000".to_owned(),
            "--hostname=127.0.0.1".to_owned(),
            "--http_address=127.0.0.1".to_owned(),
            format!("--http_port={}", address.port()),
        ];
        let (kills, mut ordered) = mpsc::channel(1);
        let mut supervisor = JoinSet::new();
        supervisor.spawn(async move {
            loop {
                let output = File::options()
                    .create(true)
                    .append(true)
                    .open(&log)
                    .unwrap();
                let mut process = Command::new(env!("CARGO_BIN_EXE_chronos"))
                    .args(&arguments)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(output)
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap();
                tokio::select! {
                    _ = process.wait() => {}
                    Some(()) = ordered.recv() => process.kill().await.unwrap(),
                }
                tokio::time::sleep(RESTART_IN).await;
            }
        });
        Self {
            address,
            to_master,
            to_zookeeper,
            kills,
            transport: Transport::new(TransportConfig {
                connect_timeout: ANSWERS_IN,
                request_timeout: ANSWERS_IN,
                ..TransportConfig::default()
            }),
            _supervisor: supervisor,
        }
    }

    /// Whether it reaches the master and ZooKeeper.
    pub(crate) fn set_reached(&self, is_reached: bool) {
        self.to_master.set_open(is_reached);
        self.to_zookeeper.set_open(is_reached);
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self) {
        self.kills.send(()).await.unwrap();
    }

    fn server(&self) -> HostAddress {
        HostAddress::http(self.address.ip().to_string(), self.address.port())
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Asks for a job, and says whether it is certain that there is one now.
    pub(crate) async fn post(&self, job: &Value) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = job.to_string().into();
        let server = self.server();
        let posted = self
            .transport
            .post(&server, "/scheduler/iso8601", headers, body);
        match posted.await {
            Ok(response) if response.status == 204 => true,
            Ok(response) => {
                assert!(response.status != 400, "{}", response.text());
                false
            }
            Err(_) => false,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let server = self.server();
        let got = self.transport.get(&server, path, HeaderMap::new());
        let response = got.await.ok().filter(|response| response.status == 200)?;
        serde_json::from_slice(&response.body).ok()
    }
}
