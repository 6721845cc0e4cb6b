//! Pods with real processes under the default executor, on a cluster in this
//! process.

#![expect(clippy::unwrap_used, reason = "a test fails where its world does")]

#[path = "../tutorial/client.rs"]
mod client;

use std::time::Duration;

use mesos_service::run::Stop;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use client::Client;

/// A Marathon with a cluster of three agents, and who asks it.
struct Marathon {
    running: JoinHandle<()>,
    client: Client,
}

impl Drop for Marathon {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Marathon {
    async fn start() -> Self {
        let line = "--master local --http_port 0 --http_address 127.0.0.1 --hostname localhost \
                    --mesos_role kept";
        let line = line.split_whitespace().map(str::to_owned);
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

    /// Waits until an answer is as it should be.
    async fn until(&self, path: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                let (_, body) = self.client.get(path).await;
                if is_it(&body) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(120), waited).await {
            Ok(body) => body,
            Err(_) => panic!(
                "{path} does not come to be {what}: {:#} {:#}",
                self.client.get(path).await.1,
                self.client.get("/v2/queue").await.1
            ),
        }
    }

    async fn until_stable(&self, id: &str, count: usize) -> Value {
        let is_it = |status: &Value| {
            let instances = status["instances"].as_array();
            status["status"] == "STABLE" && instances.is_some_and(|it| it.len() == count)
        };
        let path = format!("/v2/pods{id}::status");
        let status = self.until(&path, "stable", is_it).await;
        let is_done = |deployments: &Value| *deployments == json!([]);
        self.until("/v2/deployments", "done", is_done).await;
        status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_pod_share_a_volume_and_live_and_die_together() {
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    let (status, _) = client.try_request("HEAD", "/v2/pods", None).await.unwrap();
    assert_eq!(status, 200);
    let pod = json!({
        "id": "/shop/pod",
        "containers": [
            {
                "name": "writer",
                "exec": {"command": {"shell": "echo $ENDPOINT_WEB > data/port; exec sleep 1000"}},
                "resources": {"cpus": 0.1, "mem": 32},
                "endpoints": [{"name": "web", "hostPort": 0}],
                "volumeMounts": [{"name": "shared", "mountPath": "data"}],
            },
            {
                "name": "checked",
                "exec": {"command": {"shell": "exec sleep 1000"}},
                "resources": {"cpus": 0.1, "mem": 32},
                "healthCheck": {
                    "exec": {"command": {"shell": "true"}},
                    "intervalSeconds": 2, "timeoutSeconds": 2, "delaySeconds": 0,
                },
                "lifecycle": {"killGracePeriodSeconds": 1},
            },
            {
                "name": "reader",
                "exec": {"command": {"shell":
                    "until grep -q '^3' input/port; do sleep 0.1; done"
                }},
                "resources": {"cpus": 0.1, "mem": 32},
                "volumeMounts": [
                    {"name": "shared", "mountPath": "input", "readOnly": true},
                ],
            },
        ],
        "volumes": [{"name": "shared"}],
        "scaling": {"kind": "fixed", "instances": 2},
    });
    let mut refused = pod.clone();
    refused["containers"][0]["volumeMounts"][0]["name"] = "none".into();
    let (status, body) = client.request("POST", "/v2/pods", &refused).await;
    assert_eq!(status, 422, "{body}");
    let mut pod = pod;
    pod["containers"][1]["healthCheck"]["timeoutSeconds"] = 1.into();
    let (status, made) = client.request("POST", "/v2/pods", &pod).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["networks"], json!([{"mode": "host"}]));
    let (status, _) = client.request("POST", "/v2/pods", &pod).await;
    assert_eq!(status, 409);

    marathon.until_stable("/shop/pod", 2).await;
    // It has read what another container wrote.
    let has_read = |status: &Value| {
        let instances = status["instances"].as_array().unwrap();
        let readers = instances.iter().map(|it| &it["containers"][2]["status"]);
        readers.into_iter().all(|status| *status == "TASK_FINISHED")
    };
    let status = "/v2/pods/shop/pod::status";
    let stable = marathon.until(status, "read", has_read).await;
    let first = &stable["instances"][0];
    let containers = first["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 3, "{first:#}");
    assert_eq!(first["status"], "STABLE");
    assert_eq!(containers[1]["conditions"][0]["value"], "true", "{first:#}");
    let port = &containers[0]["endpoints"][0]["allocatedHostPort"];
    assert!(port.as_u64().is_some_and(|port| port > 0), "{first:#}");
    let (_, all) = client.get("/v2/pods/::status").await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    let (_, groups) = client.get("/v2/groups/shop").await;
    assert_eq!(groups["pods"][0]["id"], "/shop/pod");

    // One of them ends, and another takes its place.
    let id = first["id"].as_str().unwrap();
    let path = format!("/v2/pods/shop/pod::instances/{id}");
    let (status, killed) = client.request("DELETE", &path, &Value::Null).await;
    assert_eq!((status, &killed["id"]), (200, &first["id"]), "{killed}");
    let is_other = |status: &Value| {
        let instances = status["instances"].as_array().unwrap();
        instances.iter().all(|it| it["id"] != id)
    };
    let path = "/v2/pods/shop/pod::status";
    marathon.until(path, "without it", is_other).await;
    marathon.until_stable("/shop/pod", 2).await;

    pod["scaling"]["instances"] = 1.into();
    let (status, scaled) = client.request("PUT", "/v2/pods/shop/pod", &pod).await;
    assert_eq!((status, &scaled["scaling"]["instances"]), (200, &json!(1)));
    marathon.until_stable("/shop/pod", 1).await;
    let (_, versions) = client.get("/v2/pods/shop/pod::versions").await;
    assert_eq!(versions.as_array().unwrap().len(), 2);
    let oldest = versions[1].as_str().unwrap();
    let (status, old) = client
        .get(&format!("/v2/pods/shop/pod::versions/{oldest}"))
        .await;
    assert_eq!((status, &old["scaling"]["instances"]), (200, &json!(2)));

    let (status, _) = client
        .request("DELETE", "/v2/pods/shop/pod", &Value::Null)
        .await;
    assert_eq!(status, 202);
    marathon
        .until("/v2/deployments", "done", |all| *all == json!([]))
        .await;
    let (status, _) = client.get("/v2/pods/shop/pod").await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_fails_takes_the_others_with_it_and_all_start_again() {
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    let pod = json!({
        "id": "/pod",
        "containers": [
            {
                "name": "bad",
                "exec": {"command": {"shell": "exec sleep 1"}},
                "resources": {"cpus": 0.1, "mem": 32},
            },
            {
                "name": "good",
                "exec": {"command": {"shell": "exec sleep 1000"}},
                "resources": {"cpus": 0.1, "mem": 32},
            },
        ],
    });
    let mut failing = pod.clone();
    failing["containers"][0]["exec"]["command"]["shell"] = "exit 1".into();
    let (status, made) = client.request("POST", "/v2/pods", &failing).await;
    assert_eq!(status, 201, "{made}");
    let has_failed = |status: &Value| {
        let history = &status["terminationHistory"][0]["containers"][0];
        history["lastKnownState"] == "TASK_FAILED"
    };
    marathon
        .until("/v2/pods/pod::status", "failed", has_failed)
        .await;
    let is_second = |status: &Value| {
        let id = status["instances"][0]["containers"][0]["containerId"].as_str();
        id.is_some_and(|id| !id.ends_with(".bad.1"))
    };
    marathon
        .until("/v2/pods/pod::status", "tried again", is_second)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_to_a_volume_is_there_after_a_failure_and_after_a_suspension() {
    let marathon = Marathon::start().await;
    let client = &marathon.client;
    // It counts its starts on the volume, and fails after the first.
    let command = "echo x >> data/starts; test $(wc -l < data/starts) -gt 1 && exec sleep 1000";
    let app = json!({
        "id": "/db", "cmd": command, "cpus": 0.1, "mem": 32, "backoffSeconds": 0,
        "container": {
            "type": "MESOS",
            "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}],
        },
    });
    let (status, made) = client.request("POST", "/v2/apps", &app).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["upgradeStrategy"]["maximumOverCapacity"], 0);
    assert_eq!(made["unreachableStrategy"], "disabled");
    let runs_again = |app: &Value| {
        let id = app["app"]["tasks"][0]["id"].as_str().unwrap_or_default();
        app["app"]["tasksRunning"] == 1
            && !id.ends_with("._app.1")
            && app["app"]["deployments"] == json!([])
    };
    let app = marathon
        .until("/v2/apps/db", "there again", runs_again)
        .await;
    let volume = app["app"]["tasks"][0]["localVolumes"][0].clone();
    assert_eq!(volume["containerPath"], "data", "{app:#}");

    for instances in [0, 1] {
        let body = json!({"instances": instances});
        let (status, answer) = client.request("PUT", "/v2/apps/db", &body).await;
        assert_eq!(status, 200, "{answer}");
        let is_so = |app: &Value| {
            app["app"]["tasksRunning"] == instances && app["app"]["deployments"] == json!([])
        };
        marathon.until("/v2/apps/db", "so many", is_so).await;
    }
    let (_, app) = client.get("/v2/apps/db").await;
    assert_eq!(app["app"]["tasks"][0]["localVolumes"][0], volume);

    let (status, _) = client.request("DELETE", "/v2/apps/db", &Value::Null).await;
    assert_eq!(status, 200);
    marathon
        .until("/v2/deployments", "done", |all| *all == json!([]))
        .await;
}
