//! An instance falls ill, and another takes its place before it is killed.

use serde_json::{Value, json};

use crate::instance::Instance;

/// Whether there is a web server to run.
fn has_python() -> bool {
    let ran = std::process::Command::new("python3")
        .arg("--version")
        .output();
    let is_there = ran.is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: python3 is needed for a web server");
        assert!(std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none());
    }
    is_there
}

#[tokio::test]
async fn another_is_healthy_before_the_unhealthy_one_is_killed() {
    if !has_python() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let cmd = format!(
        "cd {} && mkdir -p $MESOS_TASK_ID && cd $MESOS_TASK_ID && \
         exec python3 -m http.server $PORT0",
        directory.path().display()
    );
    // An instance is well while there is this file.
    let well = |task: &str| {
        let sandbox = directory.path().join(task);
        std::fs::create_dir_all(&sandbox).unwrap();
        sandbox.join("well")
    };
    let marathon = Instance::start("--master local");
    let body = json!({"id": "/web", "cmd": cmd, "cpus": 0.1, "mem": 32,
        "startBeforeKillSeconds": 600,
        "healthChecks": [{"protocol": "HTTP", "path": "/well", "intervalSeconds": 1,
            "gracePeriodSeconds": 600, "maxConsecutiveFailures": 1}]});
    let client = &marathon.client;
    let (status, made) = client.request("POST", "/v2/apps", &body).await;
    assert_eq!(
        (status, &made["startBeforeKillSeconds"]),
        (201, &json!(600))
    );
    let path = "/v2/apps/web";
    let tasks = |answer: &Value| -> Vec<String> {
        let tasks = answer["app"]["tasks"].as_array().unwrap().iter();
        tasks
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let are = |count: usize| move |it: &Value| it["app"]["tasksRunning"] == count;
    let app = marathon.until(path, "running", are(1)).await;
    let first = tasks(&app).remove(0);
    std::fs::write(well(&first), "").unwrap();
    let is_well = |it: &Value| it["app"]["tasksHealthy"] == 1;
    marathon.until(path, "healthy", is_well).await;

    // Another is started, and until it is well both are there.
    std::fs::remove_file(well(&first)).unwrap();
    let both = marathon.until(path, "running twice", are(2)).await;
    let both = tasks(&both);
    assert!(both.contains(&first), "{both:?}");
    let second = both.iter().find(|it| **it != first).unwrap();
    std::fs::write(well(second), "").unwrap();
    let is_alone = |it: &Value| tasks(it) == [second.as_str()];
    let after = marathon.until(path, "there alone", is_alone).await;
    assert_eq!(after["app"]["tasksHealthy"], 1, "{after}");
}
