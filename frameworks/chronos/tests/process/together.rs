//! Three of them over a real ZooKeeper: one leads, the others answer for it, and
//! when it is killed the next one goes on where it was.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::PATIENCE;
use crate::instance::Instance;
use crate::kills::lines;
use crate::server::Server;

/// How often the job runs.
const RUNS: u64 = 20;

/// The one that leads, as all of them say.
async fn leader(instances: &[Instance]) -> usize {
    let agreed = async {
        loop {
            let mut said = Vec::new();
            for instance in instances {
                let answer = instance.client.try_ask("GET", "/scheduler/leader", "", "");
                if let Ok(answer) = answer.await
                    && answer.status == 200
                {
                    said.push(answer.json()["leader"].clone());
                }
            }
            said.dedup();
            let is_it = |it: &Instance| said == [json!(it.client.server.to_string())];
            if let Some(index) = instances.iter().position(is_it) {
                return index;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, agreed).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_killed_and_the_next_one_goes_on() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.client().await;
    let cluster = mesos_local::Cluster::start(mesos_local::ClusterConfig::default());
    let cluster = cluster.await.unwrap();
    let (master, hosts) = (cluster.address(), format!("127.0.0.1:{}", server.port));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let arguments = [
        "--master",
        master.as_str(),
        "--zk_hosts",
        hosts.as_str(),
        "--zk_timeout",
        "4000",
    ];
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Instance::start(&arguments).await);
    }
    let first = leader(&instances).await;
    // Whoever does not lead takes it, too.
    let follower = &instances[(first + 1) % 3].client;
    let tick = json!({
        "name": "tick", "schedule": format!("R{RUNS}//PT1S"), "catchUp": true, "retries": 0,
        "command": format!("echo $CHRONOS_JOB_RUN_TIME >> {}", file("tick").display()),
        "successfulRunsHistoryLimit": 100,
    });
    follower.done("POST", "/scheduler/iso8601", &tick).await;
    let after = json!({
        "name": "after", "parents": ["tick"], "concurrent": true,
        "command": format!("echo $MESOS_TASK_ID >> {}", file("after").display()),
    });
    follower.done("POST", "/scheduler/dependency", &after).await;
    let seen = instances[first].client.get("/v1/scheduler/jobs").await;
    assert_eq!(seen.as_array().unwrap().len(), 2);
    let succeeded = |count: u64| move |job: &Value| job["successCount"].as_u64() >= Some(count);
    let path = "/v1/scheduler/job/tick";
    for count in [3, 8] {
        let leads = leader(&instances).await;
        instances[leads]
            .client
            .until(path, "on its way", succeeded(count))
            .await;
        instances.remove(leads).kill().await;
    }
    let last = leader(&instances).await;
    let client = instances[last].client;
    client.until(path, "done", succeeded(RUNS)).await;
    let is_idle = |queue: &Value| queue["queue"] == json!([]);
    client.until("/v1/scheduler/queue", "empty", is_idle).await;
    let ticks = lines(&file("tick"));
    assert_eq!(ticks.len() as u64, RUNS, "{ticks:?}");
    assert!(ticks.values().all(|count| *count == 1), "{ticks:?}");
    let after = lines(&file("after"));
    assert!(after.values().all(|count| *count == 1), "{after:?}");
    let job = client.get(path).await;
    assert_eq!(
        (&job["successCount"], &job["errorCount"]),
        (&json!(RUNS), &json!(0))
    );
    // A moment without ZooKeeper changes nothing, and a long one ends it.
    server.restart();
    client.done("DELETE", path, &Value::Null).await;
    drop(server);
    assert_eq!(instances.remove(last).ended().await, Some(103));
}
