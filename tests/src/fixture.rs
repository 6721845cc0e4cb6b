//! The cluster that dialogues are held with.

use std::time::Duration;

use http::HeaderMap;
use mesos_local::{Cluster, ClusterConfig};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Transport, TransportConfig};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::encoding::Encoding;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whose turn it is with the cluster that the environment names: dialogues
/// count on having all of it.
static TURN: Mutex<()> = Mutex::const_new(());

/// A master and its agent.
#[derive(Debug)]
pub struct Fixture {
    /// Where the master answers.
    pub master: HostAddress,
    /// Where the first agent answers.
    pub agent: HostAddress,
    /// Makes the requests.
    pub transport: Transport,
    /// `None` when the master is one of the environment.
    pub cluster: Option<Cluster>,
    /// How frameworks write their calls.
    pub calls: Encoding,
    /// How streams of events are asked for.
    pub events: Encoding,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// Whether a test must be left out because `MESOS_MASTER` names a cluster, and
/// the test needs one of its own; says so if it must.
#[must_use]
pub fn is_left_out(why: &str) -> bool {
    let is_foreign = std::env::var_os("MESOS_MASTER").is_some();
    if is_foreign {
        println!("skipped with the master of MESOS_MASTER: {why}");
    }
    is_foreign
}

impl Fixture {
    /// The cluster that the recorded dialogues were held with: one agent with 8
    /// cpus, or the one that the environment names.
    ///
    /// # Panics
    ///
    /// When there is no cluster to be had.
    pub async fn start() -> Self {
        match std::env::var("MESOS_MASTER") {
            Ok(master) => Self::foreign(&master).await,
            Err(_) => Self::with(|_| {}).await,
        }
    }

    /// The same, for frameworks that speak one encoding.
    ///
    /// # Panics
    ///
    /// When there is no cluster to be had.
    pub async fn speaking(encoding: Encoding) -> Self {
        let mut fixture = Self::start().await;
        (fixture.calls, fixture.events) = (encoding, encoding);
        fixture
    }

    /// The same cluster with a configuration of its own, never one of the
    /// environment.
    ///
    /// # Panics
    ///
    /// When there is no cluster to be had.
    pub async fn with(change: impl FnOnce(&mut ClusterConfig)) -> Self {
        let cluster = Cluster::builder()
            .resources("cpus:8;mem:8192;disk:20480;ports:[31000-32000]")
            .attributes("rack:r1;zone:a;level:10;range:[1-5]")
            .configure(change)
            .start()
            .await
            .expect("a cluster");
        let address = cluster.master_address();
        let agent = cluster.agent_addresses()[0];
        Self {
            master: HostAddress::http(address.ip().to_string(), address.port()),
            agent: HostAddress::http(agent.ip().to_string(), agent.port()),
            transport: Transport::new(TransportConfig::default()),
            cluster: Some(cluster),
            calls: Encoding::Json,
            events: Encoding::Json,
            _turn: None,
        }
    }

    /// The cluster that the environment names, as soon as nobody uses it.
    async fn foreign(master: &str) -> Self {
        let agent = std::env::var("MESOS_AGENT").expect("MESOS_AGENT goes with MESOS_MASTER");
        let fixture = Self {
            master: master.parse().expect("host:port"),
            agent: agent.parse().expect("host:port"),
            transport: Transport::new(TransportConfig::default()),
            cluster: None,
            calls: Encoding::Json,
            events: Encoding::Json,
            _turn: Some(TURN.lock().await),
        };
        let idle = async {
            while !fixture.is_idle().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, idle).await;
        assert!(in_time.is_ok(), "the cluster is used by others");
        fixture
    }

    /// Whether there is no framework, and the agent has all that it has.
    async fn is_idle(&self) -> bool {
        let get = async |path| -> Value {
            let answer = self.transport.get(&self.master, path, HeaderMap::new());
            let answer = answer.await.expect("the master of MESOS_MASTER answers");
            serde_json::from_slice(&answer.body).expect("JSON")
        };
        let frameworks = get("/frameworks").await;
        let agents = get("/slaves").await;
        let is_unused = |agent: &Value| {
            ["used_resources", "offered_resources"]
                .iter()
                .all(|resources| agent[resources]["cpus"] == 0.0)
        };
        let is_empty = frameworks["frameworks"]
            .as_array()
            .is_some_and(Vec::is_empty);
        is_empty
            && agents["slaves"]
                .as_array()
                .expect("agents")
                .iter()
                .all(is_unused)
    }
}
