//! A cluster that outlives every Marathon, and a ledger of what tasks were begun
//! in it.

use std::collections::BTreeMap;

use mesos_local::Cluster;
use serde_json::{Value, json};

use crate::client::Client;

pub(crate) struct World {
    cluster: Cluster,
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let cluster = Cluster::builder()
            .agents(2)
            .resources("cpus:64;mem:65536")
            .allocation_interval(std::time::Duration::from_millis(50));
        Self {
            cluster: cluster.start().await.unwrap(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn master(&self) -> String {
        self.cluster.address()
    }

    pub(crate) fn master_address(&self) -> std::net::SocketAddr {
        self.cluster.master_address()
    }

    pub(crate) fn directory(&self) -> std::path::Display<'_> {
        self.directory.path().display()
    }

    /// An app whose instances enter the ledger when they begin.
    pub(crate) fn app(&self, id: &str, instances: u64) -> Value {
        let ledger = self.directory.path().join("ledger");
        let cmd = format!(
            "echo $MESOS_TASK_ID >> {}; exec sleep 1000",
            ledger.display()
        );
        json!({"id": id, "cmd": cmd, "cpus": 0.01, "mem": 8, "instances": instances,
            "backoffSeconds": 0})
    }

    /// How often each instance began.
    pub(crate) fn begun(&self) -> BTreeMap<String, usize> {
        let ledger = std::fs::read_to_string(self.directory.path().join("ledger"));
        let mut begun = BTreeMap::new();
        for task in ledger.unwrap_or_default().lines() {
            let (instance, _) = task.split_once("._app.").unwrap();
            *begun.entry(instance.to_owned()).or_default() += 1;
        }
        begun
    }

    /// The frameworks of which the master knows, and the tasks that run in it.
    pub(crate) async fn frameworks(&self) -> BTreeMap<String, usize> {
        let client = Client::new(self.cluster.master_address());
        let (status, state) = client.get("/state").await;
        assert_eq!(status, 200);
        let running = |framework: &Value| {
            let tasks = framework["tasks"].as_array().unwrap().iter();
            tasks.filter(|task| task["state"] == "TASK_RUNNING").count()
        };
        let frameworks = state["frameworks"].as_array().unwrap().iter();
        let named = frameworks.map(|it| (it["id"].as_str().unwrap().to_owned(), running(it)));
        named.collect()
    }
}

/// Draws numbers from a seed: SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
