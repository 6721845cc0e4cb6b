//! The steps of Marathon's tutorials, word for word, with real processes on a
//! cluster in this process.

#![expect(clippy::unwrap_used, reason = "a test fails where its world does")]

mod client;

use std::collections::BTreeSet;
use std::time::Duration;

use mesos_service::run::Stop;
use serde_json::{Value, json};

use client::Client;

/// A Marathon with a cluster of three agents, and who asks it.
struct Marathon {
    running: tokio::task::JoinHandle<()>,
    client: Client,
}

impl Drop for Marathon {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Marathon {
    async fn start() -> Self {
        let line = "--master local --http_port 0 --http_address 127.0.0.1 --hostname localhost";
        let line = line.split(' ').map(str::to_owned);
        let args = marathon::args::parse(line, []).unwrap().flags;
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let config = args.config(&user, 1, Stop::new()).await.unwrap();
        let client = Client::new(config.plan.listeners.addresses()[0]);
        let running = tokio::spawn(async {
            let ended = marathon::io::run(config).await;
            panic!("Marathon has ended: {ended:?}");
        });
        Self { running, client }
    }

    async fn app(&self, id: &str) -> Value {
        let (status, app) = self.client.get(&format!("/v2/apps{id}")).await;
        assert_eq!(status, 200, "{app}");
        app["app"].clone()
    }

    /// Waits until an app is as it should be.
    async fn until(&self, id: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                let app = self.app(id).await;
                if is_it(&app) {
                    return app;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(120), waited).await {
            Ok(app) => app,
            Err(_) => panic!(
                "{id} does not come to be {what}: {:#} {:#}",
                self.app(id).await,
                self.client.get("/v2/queue").await.1
            ),
        }
    }

    async fn until_runs(&self, id: &str, count: u64) -> Value {
        let is_it = |app: &Value| {
            app["tasksRunning"] == count
                && app["tasks"].as_array().unwrap().len() as u64 == count
                && app["deployments"] == json!([])
        };
        self.until(id, "running", is_it).await
    }
}

fn ports(app: &Value) -> BTreeSet<u64> {
    let tasks = app["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["ports"][0].as_u64().unwrap())
        .collect()
}

/// What serves the working directory on the port that Marathon gave.
const SERVE: &str = "echo $$ > pid; exec python3 -m http.server $PORT0";

async fn is_reachable(app: &Value) -> bool {
    let task = &app["tasks"][0];
    let host = task["host"].as_str().unwrap();
    let port = u16::try_from(task["ports"][0].as_u64().unwrap()).unwrap();
    for _ in 0..500 {
        let address = tokio::net::lookup_host((host, port))
            .await
            .unwrap()
            .next()
            .unwrap();
        if let Ok((status, _)) = Client::new(address).try_request("GET", "/", None).await {
            return status == 200;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Whether the tutorials' web server can be run here.
fn has_python() -> bool {
    let programs = [("python3", "--version"), ("pgrep", "--version")];
    let is_there = programs.iter().all(|(program, argument)| {
        let ran = std::process::Command::new(program).arg(argument).output();
        ran.is_ok_and(|output| output.status.success())
    });
    if !is_there {
        println!("skipped: python3 and pgrep are needed for the tutorials' web server");
        assert!(std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none());
    }
    is_there
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_is_deployed_dies_comes_back_and_grows() {
    if !has_python() {
        return;
    }
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    let body = json!({"id": "basic-0", "cmd": SERVE, "cpus": 0.1, "mem": 32, "instances": 1,
        "backoffSeconds": 0});
    let (status, made) = client.request("POST", "/v2/apps", &body).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["id"], "/basic-0");
    assert_eq!(made["tasksRunning"], 0);
    let app = marathon.until_runs("/basic-0", 1).await;
    assert!(is_reachable(&app).await);

    // kill -9: it is there again, as another task.
    let first = app["tasks"][0]["id"].as_str().unwrap().to_owned();
    let (_, tasks) = client.get("/v2/tasks").await;
    assert_eq!(tasks["tasks"][0]["id"], first.as_str());
    assert_eq!(tasks["tasks"][0]["servicePorts"], json!([10_000]));
    kill_server(app["tasks"][0]["ports"][0].as_u64().unwrap());
    let is_another =
        |app: &Value| app["tasksRunning"] == 1 && app["tasks"][0]["id"] != first.as_str();
    let app = marathon.until("/basic-0", "back", is_another).await;
    assert_eq!(app["lastTaskFailure"]["taskId"], first.as_str());
    assert_eq!(app["lastTaskFailure"]["state"], "TASK_FAILED");
    assert!(is_reachable(&app).await);

    let (status, _) = client
        .request("PUT", "/v2/apps/basic-0", &json!({"instances": 3}))
        .await;
    assert_eq!(status, 200);
    let app = marathon.until_runs("/basic-0", 3).await;
    assert_eq!(ports(&app).len(), 3, "{app}");

    let (_, list) = client.get("/v2/apps").await;
    assert_eq!(list["apps"][0]["id"], "/basic-0");
    let (_, versions) = client.get("/v2/apps/basic-0/versions").await;
    assert_eq!(versions["versions"].as_array().unwrap().len(), 2);
    let newest = versions["versions"][0].as_str().unwrap();
    let (status, version) = client
        .get(&format!("/v2/apps/basic-0/versions/{newest}"))
        .await;
    assert_eq!((status, &version["instances"]), (200, &json!(3)));
    let (_, deployments) = client.get("/v2/deployments").await;
    assert_eq!(deployments, json!([]));
    let (_, queue) = client.get("/v2/queue").await;
    assert_eq!(queue, json!({"queue": []}));

    // Suspended, restarted, and gone.
    client
        .request("PUT", "/v2/apps/basic-0", &json!({"instances": 0}))
        .await;
    marathon.until_runs("/basic-0", 0).await;
    client
        .request("PUT", "/v2/apps/basic-0", &json!({"instances": 1}))
        .await;
    let before = marathon.until_runs("/basic-0", 1).await;
    let (status, _) = client
        .request("POST", "/v2/apps/basic-0/restart", &Value::Null)
        .await;
    assert_eq!(status, 200);
    let after = marathon.until_runs("/basic-0", 1).await;
    assert_ne!(before["tasks"][0]["id"], after["tasks"][0]["id"]);
    let (status, _) = client
        .request("DELETE", "/v2/apps/basic-0", &Value::Null)
        .await;
    assert_eq!(status, 200);
    let (status, gone) = client.get("/v2/apps/basic-0").await;
    assert_eq!(status, 404);
    assert_eq!(gone, json!({"message": "App '/basic-0' does not exist"}));
}

/// The process that listens on a port ends as by `kill -9`.
fn kill_server(port: u64) {
    let script = format!("for pid in $(pgrep -f 'http.server {port}$'); do kill -9 $pid; done");
    let status = std::process::Command::new("sh")
        .args(["-c", &script])
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_runs_twice_and_a_health_check_turns_healthy() {
    if !has_python() {
        return;
    }
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    let body = json!({"id": "/loop", "cmd": "while true; do echo hello; sleep 1; done",
        "instances": 2, "cpus": 0.1, "mem": 16});
    let (status, _) = client.request("POST", "/v2/apps", &body).await;
    assert_eq!(status, 201);
    marathon.until_runs("/loop", 2).await;

    let body = json!({"id": "/web", "cmd": SERVE, "cpus": 0.1, "mem": 32});
    client.request("POST", "/v2/apps", &body).await;
    marathon.until_runs("/web", 1).await;
    let checks = json!({"healthChecks": [{"protocol": "HTTP", "path": "/", "intervalSeconds": 1}]});
    let (status, answer) = client.request("PUT", "/v2/apps/web", &checks).await;
    assert_eq!(status, 200, "{answer}");
    let app = marathon
        .until("/web", "healthy", |app| {
            app["tasksHealthy"] == 1 && app["deployments"] == json!([])
        })
        .await;
    assert_eq!(app["tasks"][0]["healthCheckResults"][0]["alive"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_are_honoured_on_three_agents() {
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    let body = |id: &str, constraint: Value, instances: u32| {
        json!({"id": id, "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": instances,
            "constraints": [constraint]})
    };
    let hosts = |app: &Value| -> Vec<String> {
        let tasks = app["tasks"].as_array().unwrap().iter();
        tasks
            .map(|task| task["host"].as_str().unwrap().to_owned())
            .collect()
    };
    client
        .request(
            "POST",
            "/v2/apps",
            &body("/unique", json!(["hostname", "UNIQUE"]), 3),
        )
        .await;
    let app = marathon.until_runs("/unique", 3).await;
    let all: BTreeSet<String> = hosts(&app).into_iter().collect();
    assert_eq!(all.len(), 3, "{app}");
    let one = all.iter().next().unwrap();
    let like = body("/like", json!(["hostname", "LIKE", one]), 3);
    client.request("POST", "/v2/apps", &like).await;
    let app = marathon.until_runs("/like", 3).await;
    assert!(hosts(&app).iter().all(|host| host == one), "{app}");
    let grouped = body("/grouped", json!(["hostname", "GROUP_BY", "3"]), 6);
    client.request("POST", "/v2/apps", &grouped).await;
    let app = marathon.until_runs("/grouped", 6).await;
    for host in &all {
        assert_eq!(
            hosts(&app).iter().filter(|it| *it == host).count(),
            2,
            "{app}"
        );
    }
    let four = body("/four", json!(["hostname", "UNIQUE"]), 4);
    client.request("POST", "/v2/apps", &four).await;
    marathon
        .until("/four", "running thrice", |app| app["tasksRunning"] == 3)
        .await;
    let (_, queue) = client.get("/v2/queue").await;
    let entry = &queue["queue"][0];
    assert_eq!(
        (&entry["app"]["id"], &entry["count"]),
        (&json!("/four"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_answered_with_what_is_wrong() {
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    let (status, answer) = client
        .request(
            "POST",
            "/v2/apps",
            &json!({"id": "/a", "cmd": "sleep 1", "cpus": 0}),
        )
        .await;
    assert_eq!(status, 422);
    assert_eq!(answer["message"], "Object is not valid");
    assert_eq!(answer["details"][0]["path"], "/cpus");
    let (status, answer) = client.raw("POST", "/v2/apps", "{").await;
    assert_eq!((status, &answer["message"]), (400, &json!("Invalid JSON")));
    let (status, answer) = client.get("/v2/apps/nobody").await;
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("App '/nobody' does not exist"))
    );
    let (status, _) = client.get("/v2/events").await;
    assert_eq!(status, 405);
    let (status, answer) = client.get("/ping").await;
    assert_eq!((status, answer), (200, json!("pong")));
    let (status, info) = client.get("/v2/info").await;
    assert_eq!((status, &info["name"]), (200, &json!("marathon")));
}
