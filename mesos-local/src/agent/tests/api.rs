//! The endpoints over a real connection, with a real task behind them.

use std::path::PathBuf;

use mesos_sdk::v1;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::processes::Place;
use super::*;
use crate::http::{Limits, ServerControl, serve};

/// An agent with one task that has ended and one that runs.
struct Site {
    /// Ends with the test.
    _place: Place,
    server: std::net::SocketAddr,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Site {
    async fn new() -> Self {
        let mut place = Place::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let api = place.agent.api();
        tokio::spawn(serve(
            listener,
            api,
            Limits::default(),
            None,
            ServerControl::new(),
        ));
        place.run(task("ended", "echo out"));
        place.until(v1::TaskState::TaskFinished).await;
        place.run(task("runs", "sleep 1000"));
        place.until(v1::TaskState::TaskRunning).await;
        Self {
            _place: place,
            server,
        }
    }

    async fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.server).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "").await
    }

    async fn call(&self, call: Value) -> Answer {
        self.send("POST /api/v1", &call.to_string()).await
    }
}

fn capture(name: &str) -> Value {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "../tests/data/captures",
        &format!("{name}.json"),
    ]
    .iter()
    .collect();
    let text = std::fs::read_to_string(path).unwrap();
    let mut capture: Value = serde_json::from_str(&text).unwrap();
    capture["response"]["body"].take()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn the_state_has_the_shape_of_the_recorded_one() {
    let site = Site::new().await;
    let ours = site.get("/state").await.json();
    let theirs = capture("agent-http-state");
    let mut expected = keys(&theirs);
    expected.retain(|key| *key != "log_dir");
    assert_eq!(keys(&ours), expected);
    let (our, their) = (&ours["frameworks"][0], &theirs["frameworks"][0]);
    let mut expected = keys(their);
    // The capture's framework has the capability MULTI_ROLE.
    expected.iter_mut().for_each(|key| {
        if *key == "roles" {
            *key = "role";
        }
    });
    expected.sort_unstable();
    assert_eq!(keys(our), expected);
    let completed = &our["completed_executors"][0]["completed_tasks"][0];
    let recorded = &their["completed_executors"][0]["completed_tasks"][0];
    let mut expected = keys(recorded);
    // Our task was given no resources, and so no role.
    expected.retain(|key| *key != "role");
    assert_eq!(keys(completed), expected);
    assert_eq!(completed["state"], "TASK_FINISHED");
    assert_eq!(completed["statuses"].as_array().unwrap().len(), 3);
    assert_eq!(our["executors"][0]["tasks"][0]["state"], "TASK_RUNNING");
    let again = site.get("/slave(1)/state").await.json();
    assert_eq!(again["id"], "agent-S0");
}

#[tokio::test]
async fn containers_tell_what_they_use() {
    let site = Site::new().await;
    let ours = site.get("/containers").await.json();
    let theirs = capture("agent-http-containers");
    assert_eq!(keys(&ours[0]), keys(&theirs[0]));
    assert_eq!(keys(&ours[0]["statistics"]), keys(&theirs[0]["statistics"]));
    assert_eq!(ours.as_array().unwrap().len(), 1);
    let ours = site.get("/monitor/statistics").await.json();
    let theirs = capture("agent-http-monitor-statistics");
    assert_eq!(keys(&ours[0]), keys(&theirs[0]));
    let containers = site.call(json!({"type": "GET_CONTAINERS"})).await.json();
    let container = &containers["get_containers"]["containers"][0];
    assert_eq!(container["executor_id"]["value"], "runs");
    assert!(container["container_status"]["executor_pid"].as_u64() > Some(1));
}

#[tokio::test]
async fn the_operator_api_answers_every_reading_call() {
    let site = Site::new().await;
    for name in [
        "get_agent",
        "get_containers",
        "get_executors",
        "get_flags",
        "get_frameworks",
        "get_health",
        "get_metrics",
        "get_operations",
        "get_state",
        "get_tasks",
        "get_version",
    ] {
        let kind = name.to_uppercase();
        let answer = site
            .call(json!({"type": kind, "get_metrics": {}}))
            .await
            .json();
        let recorded = capture(&format!("agent-{name}"));
        assert_eq!(answer["type"], recorded["type"]);
        assert_eq!(keys(&answer), keys(&recorded), "{name}");
    }
    let tasks = site.call(json!({"type": "GET_TASKS"})).await.json();
    assert_eq!(
        tasks["get_tasks"]["launched_tasks"][0]["task_id"]["value"],
        "runs"
    );
    assert_eq!(
        tasks["get_tasks"]["completed_tasks"][0]["status_update_state"],
        "TASK_FINISHED"
    );
    let metrics = site.get("/metrics/snapshot").await.json();
    assert_eq!(metrics["slave/tasks_finished"], json!(1.0));
    assert_eq!(metrics["slave/executors_running"], json!(1.0));
}

#[tokio::test]
async fn files_are_browsed_read_and_downloaded() {
    let site = Site::new().await;
    let sandbox = "/frameworks/framework-0/executors/ended/runs/latest";
    let browsed = site
        .get(&format!("/files/browse?path={sandbox}"))
        .await
        .json();
    assert_eq!(keys(&browsed[0]), keys(&capture("agent-files-browse")[0]));
    assert_eq!(browsed[1]["path"], format!("{sandbox}/stdout"));
    assert_eq!(browsed[1]["size"], 4);
    let stdout = format!("{sandbox}/stdout");
    for (query, expected) in [
        (
            "&offset=0&length=100",
            json!({"data": "out\n", "offset": 0}),
        ),
        ("&offset=2", json!({"data": "t\n", "offset": 2})),
        ("&offset=-1", json!({"data": "", "offset": 4})),
        ("", json!({"data": "", "offset": 4})),
    ] {
        let answer = site.get(&format!("/files/read?path={stdout}{query}")).await;
        assert_eq!(answer.json(), expected, "{query}");
    }
    let download = site.get(&format!("/files/download?path={stdout}")).await;
    assert_eq!((download.status, download.body.as_str()), (200, "out\n"));
    assert!(
        download
            .head
            .contains("Content-Type: application/octet-stream")
    );
    let piece = site
        .call(json!({"type": "READ_FILE", "read_file": {"path": stdout, "offset": 0}}))
        .await
        .json();
    assert_eq!(piece["read_file"], json!({"size": 4, "data": "b3V0Cg=="}));
    let listed = site
        .call(json!({"type": "LIST_FILES", "list_files": {"path": sandbox}}))
        .await
        .json();
    let infos = listed["list_files"]["file_infos"].as_array().unwrap();
    assert_eq!(infos.len(), 2);
}

#[tokio::test]
async fn refusals_are_those_of_mesos() {
    let site = Site::new().await;
    for (path, status, text) in [
        ("/files/browse?path=/no/such", 404, ""),
        ("/files/read?path=/etc/passwd&offset=0", 404, ""),
        ("/files/read", 400, "Expecting 'path=value' in query.\n"),
        (
            "/files/read?path=/x&offset=-2",
            400,
            "Negative offset provided: -2.\n",
        ),
        (
            "/files/download?path=/frameworks/framework-0/executors/ended/runs/latest",
            400,
            "Cannot download a directory.\n",
        ),
        ("/no-such", 404, "404 Not Found."),
    ] {
        let answer = site.get(path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, text),
            "{path}"
        );
    }
    assert_eq!(site.get("/api/v1").await.status, 405);
    let answer = site.call(json!({"type": "READ_FILE"})).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            400,
            "Failed to validate agent::Call: Expecting 'read_file' to be present"
        )
    );
    let health = site.get("/health").await;
    assert_eq!((health.status, health.body.as_str()), (200, ""));
}
