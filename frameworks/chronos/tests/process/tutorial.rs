//! The steps of the tutorial, with real processes on a cluster in the process.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::instance::Instance;

/// The due times that a job has written down, in milliseconds.
fn due_times(file: &Path) -> Vec<i64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn states(runs: &Value) -> Vec<&str> {
    let runs = runs["runs"].as_array().unwrap();
    runs.iter()
        .map(|run| run["state"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_fail_depend_and_are_seen() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let write = |name: &str| format!("echo $CHRONOS_JOB_RUN_TIME >> {}", file(name).display());
    let chronos = Instance::start(&["--master", "local"]).await;
    let client = chronos.client;

    // A job every two seconds, one after it, one that fails, and one by cron.
    let tick = json!({"name": "tick", "command": write("tick"), "schedule": "R//PT2S"});
    client.done("POST", "/v1/scheduler/iso8601", &tick).await;
    let after = json!({
        "name": "after", "command": "echo after; echo wrong >&2", "parents": ["tick"],
    });
    client
        .done("POST", "/v1/scheduler/dependency", &after)
        .await;
    let failing = json!({
        "name": "failing", "command": "exit 3", "schedule": "R1//PT1H", "retries": 2,
        "retryDelaySeconds": 0.2,
    });
    client.done("POST", "/scheduler/iso8601", &failing).await;
    let cron = json!({"name": "cron", "command": write("cron"), "cron": "*/2 * * * * *"});
    client.done("PUT", "/scheduler/iso8601", &cron).await;

    let succeeded = |count: u64| move |job: &Value| job["successCount"].as_u64() >= Some(count);
    let path = "/v1/scheduler/job/tick";
    client.until(path, "run three times", succeeded(3)).await;
    let path = "/v1/scheduler/job/after";
    client.until(path, "run twice", succeeded(2)).await;
    let path = "/v1/scheduler/job/cron";
    client.until(path, "run twice", succeeded(2)).await;
    for name in ["tick", "cron"] {
        let due = due_times(&file(name));
        let different: BTreeSet<i64> = due.iter().copied().collect();
        assert_eq!(different.len(), due.len(), "{name}: {due:?}");
        let is_due = |at: &i64| (at - due[0]) % 2000 == 0;
        assert!(due.iter().all(is_due), "{name}: {due:?}");
    }
    let path = "/v1/scheduler/job/failing";
    let failed = client
        .until(path, "failed", |job| job["errorCount"] == 1)
        .await;
    assert_eq!(failed["errorsSinceLastSuccess"], 1);
    let runs = client.get("/v1/scheduler/job/failing/runs").await;
    assert_eq!(states(&runs), ["failure"; 3], "{runs:#}");
    let attempts: Vec<_> = runs["runs"].as_array().unwrap().iter().collect();
    assert_eq!(attempts[0]["attempt"], 2);
    assert!(
        attempts[0]["message"]
            .as_str()
            .unwrap()
            .contains("status 3")
    );

    // They are listed, on one line, and searched.
    let listed = client.ask("GET", "/scheduler/jobs", "").await;
    assert!(!listed.body.trim_end().contains('\n'));
    assert!(listed.head.contains("access-control-allow-origin: *"));
    assert_eq!(listed.json().as_array().unwrap().len(), 4);
    let found = client.get("/scheduler/jobs/search?name=TIC").await;
    assert_eq!(found[0]["name"], "tick");
    assert_eq!(found.as_array().unwrap().len(), 1);
    let summary = client.get("/v1/scheduler/jobs/summary").await;
    let failing = summary["jobs"].as_array().unwrap().iter();
    let failing = failing.filter(|job| job["status"] == "failure");
    assert_eq!(failing.count(), 1, "{summary:#}");

    // What a run wrote is read through the API.
    let runs = client.get("/v1/scheduler/job/after/runs").await;
    let runs = runs["runs"].as_array().unwrap();
    let run = runs.iter().find(|run| run["state"] == "success").unwrap();
    let task = run["taskId"].as_str().unwrap();
    for (name, text) in [("stdout", "after\n"), ("stderr", "wrong\n")] {
        let path = format!("/v1/scheduler/job/after/task/{task}/{name}");
        let answer = client.ask("GET", &path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{path}");
    }

    // By hand: with other arguments, killed, marked.
    let sleeper = json!({
        "name": "sleeper", "command": "echo $0; sleep", "schedule": "R1/2126-01-01T00:00:00Z/P1D",
        "arguments": ["1000"],
    });
    client.done("POST", "/v1/scheduler/iso8601", &sleeper).await;
    client
        .done(
            "PUT",
            "/v1/scheduler/job/sleeper?arguments=0.01",
            &Value::Null,
        )
        .await;
    client
        .until("/v1/scheduler/job/sleeper", "run", succeeded(1))
        .await;
    client
        .done("PUT", "/v1/scheduler/job/sleeper", &Value::Null)
        .await;
    let is_running = |runs: &Value| states(runs)[0] == "running";
    let path = "/v1/scheduler/job/sleeper/runs";
    client.until(path, "running", is_running).await;
    let csv = client.ask("GET", "/v1/scheduler/graph/csv", "").await.body;
    assert!(csv.contains("node,sleeper,success,1 running\n"), "{csv}");
    client
        .done("DELETE", "/v1/scheduler/task/kill/sleeper", &Value::Null)
        .await;
    client
        .until(path, "killed", |runs| states(runs)[0] == "killed")
        .await;
    let marked = client
        .ask("PUT", "/v1/scheduler/job/success/sleeper", "")
        .await;
    assert_eq!(marked.status, 200);
    assert_eq!(marked.body, "marked job sleeper as successful: true");
    let marked = client
        .ask("PUT", "/v1/scheduler/job/success/nobody", "")
        .await;
    assert_eq!(marked.body, "marked job nobody as successful: false");

    // The graph and the statistics.
    assert!(csv.contains("link,tick,after\n"), "{csv}");
    let dot = client.ask("GET", "/v1/scheduler/graph/dot", "").await;
    assert!(dot.head.contains("content-type: text/plain"));
    assert!(dot.body.contains("[ label=\"after\" ]") && dot.body.contains(" -> "));
    let stats = client.get("/scheduler/stats/99thPercentile").await;
    assert_eq!(stats.as_array().unwrap().len(), 5);
    assert_eq!(client.get("/scheduler/stats/none").await, json!([]));
    let stat = client.get("/scheduler/job/stat/tick").await;
    assert!(stat["histogram"]["count"].as_u64() >= Some(3));
    assert!(stat["histogram"]["median"].as_f64() > Some(0.0));
    let past = stat["taskStatHistory"].as_array().unwrap();
    assert!(
        past.iter().any(|task| task["status"] == "Success"),
        "{stat:#}"
    );
    assert!(past[0]["taskId"].as_str().unwrap().starts_with("ct:"));

    // The page of numbers.
    let metrics = client.get("/metrics").await;
    assert!(metrics["counters"]["chronos.jobs.run.success.tick"]["count"].as_u64() >= Some(3));
    let text = client.ask("GET", "/metrics/prometheus", "").await.body;
    assert!(text.contains("chronos_jobs_launches_counter"), "{text}");

    // What depended on a deleted job is due when that was.
    client
        .done("DELETE", "/v1/scheduler/job/tick", &Value::Null)
        .await;
    let answer = client.ask("GET", "/v1/scheduler/job/tick", "").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["message"], "there is no job 'tick'");
    let after = client.get("/v1/scheduler/job/after").await;
    assert!(
        after["schedule"].as_str().unwrap().ends_with("/PT2S"),
        "{after:#}"
    );
    let before = after["successCount"].as_u64().unwrap();
    let path = "/v1/scheduler/job/after";
    client.until(path, "run again", succeeded(before + 1)).await;
    client
        .done("DELETE", "/v1/scheduler/job/after", &Value::Null)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_words_and_leaves_nothing() {
    let arguments = ["--master", "local", "--http_credentials", "alice:wonder"];
    let chronos = Instance::start(&arguments).await;
    let client = chronos.client;
    let answer = client.ask("GET", "/scheduler/jobs", "").await;
    assert_eq!(answer.status, 401);
    // alice:wonder
    let allowed = "Authorization: Basic YWxpY2U6d29uZGVy\r\n";
    let ask = async |method: &str, path: &str, body: &str| {
        client.try_ask(method, path, allowed, body).await.unwrap()
    };
    for (method, path, body, said) in [
        ("POST", "/scheduler/iso8601", "{", "the body is no JSON"),
        (
            "POST",
            "/v1/scheduler/iso8601",
            r#"{"name":"a","schedule":"soon"}"#,
            "schedule: ",
        ),
        (
            "POST",
            "/v1/scheduler/iso8601",
            r#"{"name":"a","parents":["b"]}"#,
            "parents: ",
        ),
        (
            "PUT",
            "/scheduler/dependency",
            r#"{"name":"a","parents":["b"]}"#,
            "parents: there is no",
        ),
        (
            "POST",
            "/scheduler/dependency",
            r#"{"name":"a","parents":["a"]}"#,
            "parents: 'a' would",
        ),
        (
            "PUT",
            "/scheduler/job/nobody",
            "",
            "there is no job 'nobody'",
        ),
        ("DELETE", "/scheduler/job/nobody", "", "there is no job"),
        (
            "DELETE",
            "/scheduler/task/kill/nobody",
            "",
            "there is no job",
        ),
        ("GET", "/scheduler/job/stat/nobody", "", "there is no job"),
        (
            "PUT",
            "/scheduler/task/ct:1:0:a:",
            r#"{"statusCode":0}"#,
            "there is no task",
        ),
        (
            "PUT",
            "/scheduler/task/x",
            r#"{"statusCode":0}"#,
            "'x' is no id",
        ),
        ("PUT", "/scheduler/task/ct:1:0:a:", "{}", "statusCode: "),
        (
            "GET",
            "/scheduler/jobs/search?limit=many",
            "",
            "limit: 'many'",
        ),
    ] {
        let answer = ask(method, path, body).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(said), "{path}: {message}");
    }
    assert_eq!(ask("GET", "/scheduler/jobs", "").await.json(), json!([]));
    assert_eq!(ask("DELETE", "/scheduler/task/all", "").await.status, 204);
    assert_eq!(ask("GET", "/ping", "").await.body, "pong\n");
    let name = format!("127.0.0.1:{}", client.server.port());
    for path in ["/leader", "/scheduler/leader", "/v1/scheduler/leader"] {
        assert_eq!(ask("GET", path, "").await.json(), json!({"leader": name}));
    }
    // What is described is there.
    let description = ask("GET", "/openapi.json", "").await.json();
    let paths = description["paths"].as_object().unwrap();
    for (path, verbs) in paths {
        let path = path.replace(['{', '}'], "x");
        let allowed = ask("OPTIONS", &path, "").await;
        for verb in verbs.as_object().unwrap().keys() {
            assert!(allowed.head.contains(&verb.to_string()), "{verb} {path}");
        }
    }
}
