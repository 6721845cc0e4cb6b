//! Many requests at once.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::instance::Instance;

const JOBS: usize = 10_000;
/// Connections at a time.
const AT_ONCE: usize = 500;

/// The original dies of fifty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_posts_are_answered_and_are_there_after_kill_9() {
    let cluster = mesos_local::Cluster::start(mesos_local::ClusterConfig::default());
    let cluster = cluster.await.unwrap();
    let master = cluster.address();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().display().to_string();
    let arguments = ["--master", master.as_str(), "--data-dir", data.as_str()];
    let first = Instance::start(&arguments).await;
    let client = first.client;
    let begun = std::time::Instant::now();
    let posts = (0..JOBS).map(|number| async move {
        let schedule = "R/2126-01-01T00:00:00Z/P1D";
        let job = json!({"name": format!("job-{number}"), "command": "x", "schedule": schedule});
        let answer = client
            .ask("POST", "/v1/scheduler/iso8601", &job.to_string())
            .await;
        usize::from(answer.status == 204)
    });
    let posts = futures::stream::iter(posts).buffer_unordered(AT_ONCE);
    let answered = posts.fold(0, |sum, one| async move { sum + one });
    let answered = tokio::time::timeout(Duration::from_secs(240), answered);
    assert_eq!(answered.await.unwrap(), JOBS);
    println!("{JOBS} posts took {:?}", begun.elapsed());
    first.kill().await;
    let begun = std::time::Instant::now();
    let second = Instance::start(&arguments).await;
    println!("the next one answers after {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    let jobs = second.client.get("/v1/scheduler/jobs").await;
    println!("all of them are listed in {:?}", begun.elapsed());
    let jobs = jobs.as_array().unwrap().iter();
    let names = jobs.map(|job| job["name"].as_str().unwrap().to_owned());
    let names: std::collections::BTreeSet<String> = names.collect();
    assert_eq!(names.len(), JOBS);
    let queue = second.client.get("/v1/scheduler/queue").await;
    assert_eq!(queue["queue"], Value::Array(Vec::new()));
}
