//! `kill -9`, again and again, while jobs run, fail and wait for each other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::instance::Instance;

/// How often it is killed.
const KILLS: u64 = 10;
/// How often the job runs.
const RUNS: u64 = 25;

async fn count(client: &Client, job: &str, field: &str) -> u64 {
    let job = client.get(&format!("/v1/scheduler/job/{job}")).await;
    job[field].as_u64().unwrap()
}

/// How often each line stands in a file.
pub(crate) fn lines(file: &std::path::Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_run_is_lost_and_none_runs_twice() {
    let cluster = mesos_local::Cluster::start(mesos_local::ClusterConfig::default());
    let cluster = cluster.await.unwrap();
    let master = cluster.address();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let data = file("data").display().to_string();
    let arguments = ["--master", master.as_str(), "--data-dir", data.as_str()];
    let write = |name: &str, what: &str| format!("echo {what} >> {}", file(name).display());

    let mut chronos = Instance::start(&arguments).await;
    // Each occurrence runs, whoever leads when it is due.
    let tick = json!({
        "name": "tick", "schedule": format!("R{RUNS}//PT1S"), "catchUp": true, "retries": 0,
        "command": format!("{}; sleep 0.2", write("tick", "$CHRONOS_JOB_RUN_TIME")),
        "successfulRunsHistoryLimit": 100,
    });
    chronos
        .client
        .done("POST", "/v1/scheduler/iso8601", &tick)
        .await;
    // Runs once both of these have, and each of them fails at first.
    let flaky = |name: &str| {
        let tried = file(&format!("{name}-tried")).display().to_string();
        let tries = write(name, "$CHRONOS_JOB_RUN_ATTEMPT");
        let command = format!("{tries}; test -e {tried} || {{ touch {tried}; exit 1; }}; sleep 1");
        json!({
            "name": name, "schedule": "R1//PT1H", "command": command, "retries": 3,
            "retryDelaySeconds": 5,
        })
    };
    for name in ["left", "right"] {
        let job = flaky(name);
        chronos
            .client
            .done("POST", "/v1/scheduler/iso8601", &job)
            .await;
    }
    let end = json!({
        "name": "end", "command": write("end", "$CHRONOS_JOB_RUN_TIME"),
        "parents": ["left", "right"],
    });
    chronos
        .client
        .done("POST", "/v1/scheduler/dependency", &end)
        .await;

    for kill in 0..KILLS {
        // Somewhere within a second, another place each time.
        let at = Duration::from_millis(700 + kill * 137 % 1000);
        tokio::time::sleep(at).await;
        chronos.kill().await;
        chronos = Instance::start(&arguments).await;
    }
    let client = chronos.client;
    let path = "/v1/scheduler/job/tick";
    let is_done = |job: &Value| job["successCount"] == RUNS;
    client.until(path, "done", is_done).await;
    let path = "/v1/scheduler/job/end";
    client
        .until(path, "done", |job| job["successCount"] == 1)
        .await;

    let ticks = lines(&file("tick"));
    assert_eq!(ticks.len() as u64, RUNS, "{ticks:?}");
    assert!(ticks.values().all(|count| *count == 1), "{ticks:?}");
    let due: Vec<i64> = ticks.keys().map(|line| line.parse().unwrap()).collect();
    assert!(due.windows(2).all(|two| two[1] - two[0] == 1000), "{due:?}");
    for name in ["left", "right"] {
        let tries = lines(&file(name));
        assert_eq!(tries.values().sum::<usize>(), 2, "{name}: {tries:?}");
        assert_eq!(count(&client, name, "successCount").await, 1);
        assert_eq!(count(&client, name, "errorCount").await, 0);
    }
    assert_eq!(lines(&file("end")).values().sum::<usize>(), 1);
    assert_eq!(count(&client, "tick", "errorCount").await, 0);
    let runs = client.get("/v1/scheduler/job/tick/runs").await;
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs.len() as u64, RUNS);
    assert!(runs.iter().all(|run| run["state"] == "success"), "{runs:?}");
}
