//! A cluster that asks who speaks and speaks TLS, as frameworks meet it.
//!
//! `certificate.pem` is for `localhost` and the first loopback addresses, and
//! its key is no secret.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use mesos_local::Cluster;
use mesos_local::security::{Identity, Secrets, Security};
use mesos_sdk::address::{HostAddress, MasterAddress};
use mesos_sdk::credentials::Credentials;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::{TlsConfig, Transport, TransportConfig};
use mesos_sdk::{task, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

fn file(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/security");
    tests.join(name)
}

fn trust() -> TlsConfig {
    TlsConfig {
        ca_file: Some(file("certificate.pem")),
        ..TlsConfig::default()
    }
}

async fn cluster(change: impl FnOnce(&mut Security)) -> Cluster {
    let mut security = Security::default();
    change(&mut security);
    let builder = Cluster::builder().resources("cpus:2;mem:512");
    let cluster = builder.configure(|config| config.security = security);
    cluster.start().await.unwrap()
}

fn in_tls(security: &mut Security) {
    let identity = Identity::read(&file("certificate.pem"), &file("key.pem"));
    security.identity = Some(identity.unwrap());
}

/// Runs one task, once, and ends with its state.
struct One(bool, Option<v1::TaskState>);

#[async_trait]
impl Scheduler for One {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        if let Some(offer) = offers.into_iter().next().filter(|_| !self.0) {
            self.0 = true;
            let task = task::command("one", "true").cpus(0.1).mem_mib(32.0);
            let tasks = vec![task.on(&offer)];
            offer.launch(tasks).await?;
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.is_terminal() {
            self.1 = Some(update.state());
            handle.stop();
        }
        Ok(())
    }
}

async fn run(cluster: &Cluster, credentials: Option<Credentials>) -> Result<One, String> {
    let address: MasterAddress = format!("https://{}", cluster.address()).parse().unwrap();
    let info = FrameworkInfo::batch("one").build();
    let mut builder = SchedulerDriver::builder(address, info).tls(trust());
    if let Some(credentials) = credentials {
        builder = builder.credentials(credentials);
    }
    let mut one = One(false, None);
    let running = builder.build().unwrap().run(&mut one);
    match tokio::time::timeout(PATIENCE, running).await {
        Ok(Ok(())) => Ok(one),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => panic!("the framework did not end"),
    }
}

#[tokio::test]
async fn a_framework_with_credentials_runs_its_task_over_tls() {
    let cluster = cluster(|security| {
        in_tls(security);
        security.authenticate_frameworks = true;
        security.authenticate_readwrite = true;
        security.secrets = Secrets::parse("alice a-secret").unwrap();
    })
    .await;
    let alice = Credentials::basic("alice", "a-secret").unwrap();
    let one = run(&cluster, Some(alice)).await.unwrap();
    assert_eq!(one.1, Some(v1::TaskState::TaskFinished));
    // Without them it is told why not, and does not try for ever.
    let error = run(&cluster, None).await.err().expect("no credentials");
    assert!(error.contains("401"), "{error}");
    let wrong = Credentials::basic("alice", "wrong").unwrap();
    assert!(run(&cluster, Some(wrong)).await.is_err());
}

#[tokio::test]
async fn whoever_speaks_no_tls_or_does_not_trust_is_not_served() {
    let cluster = cluster(in_tls).await;
    let address = cluster.master_address();
    // Plain HTTP gets nothing but the end, at once.
    let mut plain = TcpStream::connect(address).await.unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    plain.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let reading = plain.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, reading).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"));

    let server = HostAddress {
        is_https: true,
        host: "127.0.0.1".to_owned(),
        port: address.port(),
    };
    let distrusts = Transport::new(TransportConfig::default());
    let refused = distrusts.get(&server, "/health", HeaderMap::new()).await;
    assert!(refused.is_err());
    let trusts = Transport::new(TransportConfig {
        tls: trust(),
        ..TransportConfig::default()
    });
    // One after the other on one connection, and a stream beside it.
    for _ in 0..3 {
        let answer = trusts.get(&server, "/version", HeaderMap::new()).await;
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    let call = Bytes::from_static(b"{\"type\":\"SUBSCRIBE\"}");
    let opened = trusts.open_stream(&server, "/api/v1", headers, call).await;
    let mut stream = opened.unwrap();
    let first = tokio::time::timeout(PATIENCE, stream.body.chunk()).await;
    let first = first.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("SUBSCRIBED"));
    // The end of the cluster is the end of the stream.
    cluster.stop().await;
    let end = async { while let Some(Ok(_)) = stream.body.chunk().await {} };
    tokio::time::timeout(PATIENCE, end).await.unwrap();
}
