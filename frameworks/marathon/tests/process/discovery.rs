//! A proxy's service discovery, as marathon-lb does it: it reads the apps with
//! their tasks, follows the events, and reads again when one concerns it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::instance::{Instance, PATIENCE};

/// Where requests to a service port are sent.
type Backends = BTreeMap<u64, BTreeSet<(String, u64)>>;

/// The events of which a proxy takes note.
const CONCERNING: [&str; 3] = [
    "status_update_event",
    "health_status_changed_event",
    "api_post_event",
];

/// All backends that are healthy.
async fn backends(marathon: &Instance) -> Backends {
    let (status, list) = marathon.client.get("/v2/apps?embed=apps.tasks").await;
    assert_eq!(status, 200);
    let mut backends = Backends::new();
    for app in list["apps"].as_array().unwrap() {
        let group = &app["labels"]["HAPROXY_GROUP"];
        if *group != "external" {
            continue;
        }
        // One or the other, by the app's networks.
        assert_eq!(app["networks"], json!([{"mode": "host"}]));
        let ports = app["portDefinitions"].as_array().unwrap();
        let service_ports: Vec<u64> = ports
            .iter()
            .map(|it| it["port"].as_u64().unwrap())
            .collect();
        let checks = app["healthChecks"].as_array().unwrap();
        for task in app["tasks"].as_array().unwrap() {
            let results = task["healthCheckResults"].as_array();
            let results = results.map(Vec::as_slice).unwrap_or_default();
            let is_alive = results.iter().all(|it| it["alive"] == true);
            if task["state"] != "TASK_RUNNING" || results.len() < checks.len() || !is_alive {
                continue;
            }
            assert!(
                task["startedAt"].is_string() && task["id"].is_string(),
                "{task}"
            );
            let host = task["host"].as_str().unwrap();
            for (port, service) in task["ports"].as_array().unwrap().iter().zip(&service_ports) {
                let backend = (host.to_owned(), port.as_u64().unwrap());
                backends.entry(*service).or_default().insert(backend);
            }
        }
    }
    backends
}

/// Events as they come.
struct Events(tokio::io::Lines<BufReader<TcpStream>>);

impl Events {
    async fn follow(marathon: &Instance) -> Self {
        let mut stream = TcpStream::connect(marathon.address).await.unwrap();
        let request = format!(
            "GET /v2/events HTTP/1.0\r\nHost: {}\r\nAccept: text/event-stream\r\n\
             Cache-Control: no-cache\r\n\r\n",
            marathon.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self(BufReader::new(stream).lines());
        let (kind, attached) = events.next().await;
        assert_eq!(kind, "event_stream_attached");
        assert!(attached["remoteAddress"].is_string());
        events
    }

    /// The kind and the data of the next one.
    async fn next(&mut self) -> (String, Value) {
        let mut kind = String::new();
        let reading = async {
            loop {
                let line = self.0.next_line().await.unwrap().unwrap();
                if let Some(name) = line.strip_prefix("event: ") {
                    name.clone_into(&mut kind);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(data["eventType"], kind.as_str());
                    assert!(data["timestamp"].as_str().unwrap().ends_with('Z'));
                    return (kind, data);
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap()
    }

    /// Reads again after each event that concerns it, until there are so many
    /// backends; what was heard is noted.
    async fn until(
        &mut self,
        marathon: &Instance,
        count: usize,
        heard: &mut Vec<(String, Value)>,
    ) -> Backends {
        loop {
            let event = self.next().await;
            if !CONCERNING.contains(&event.0.as_str()) {
                continue;
            }
            heard.push(event);
            let backends = backends(marathon).await;
            if backends.values().map(BTreeSet::len).sum::<usize>() == count {
                return backends;
            }
        }
    }
}

#[tokio::test]
async fn a_proxy_learns_of_backends_by_events() {
    let marathon = Instance::start("--master local");
    marathon.get("/ping").await;
    let mut events = Events::follow(&marathon).await;
    let mut heard = Vec::new();
    let app = json!({"id": "/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 2,
        "backoffSeconds": 0,
        "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "web.example"},
        "portDefinitions": [{"port": 10_004, "name": "http"}, {"port": 0, "name": "admin"}],
        "healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"},
            "intervalSeconds": 1, "delaySeconds": 0}]});
    let (status, _) = marathon.client.request("POST", "/v2/apps", &app).await;
    assert_eq!(status, 201);
    let found = events.until(&marathon, 4, &mut heard).await;
    let ports: Vec<&u64> = found.keys().collect();
    assert_eq!(ports, [&10_000, &10_004], "{found:?}");

    let (_, tasks) = marathon.client.get("/v2/apps/web/tasks").await;
    let ids = tasks["tasks"].as_array().unwrap().iter();
    let ids: BTreeSet<&str> = ids.map(|task| task["id"].as_str().unwrap()).collect();
    let of_kind = |heard: &[(String, Value)], kind: &str| -> Vec<Value> {
        let those = heard.iter().filter(|it| it.0 == kind);
        those.map(|it| it.1.clone()).collect()
    };
    for task in tasks["tasks"].as_array().unwrap() {
        assert_eq!(task["servicePorts"], json!([10_004, 10_000]));
    }
    let posted = of_kind(&heard, "api_post_event");
    assert_eq!(posted[0]["uri"], "/v2/apps");
    assert_eq!(posted[0]["appDefinition"]["id"], "/web");
    let updates = of_kind(&heard, "status_update_event");
    let running = updates
        .iter()
        .filter(|it| it["taskStatus"] == "TASK_RUNNING");
    let running: Vec<&Value> = running.collect();
    assert!(!running.is_empty());
    for update in running {
        assert_eq!(update["appId"], "/web");
        assert!(ids.contains(update["taskId"].as_str().unwrap()), "{update}");
        assert_eq!(update["ports"].as_array().unwrap().len(), 2);
        for field in ["host", "slaveId", "version", "message"] {
            assert!(update[field].is_string(), "{field}: {update}");
        }
    }
    // As text, for those that read tabs.
    let client = &marathon.client;
    let accept = "Accept: text/plain\r\n";
    let (_, _, text) = client
        .exchange("GET", "/v2/tasks", accept, None)
        .await
        .unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("web\t10004\t"))
        .unwrap();
    let those: BTreeSet<&str> = line
        .split('\t')
        .skip(2)
        .filter(|it| !it.is_empty())
        .collect();
    let expected = found[&10_004]
        .iter()
        .map(|(host, port)| format!("{host}:{port}"));
    let expected: BTreeSet<String> = expected.collect();
    assert_eq!(those.len(), 2);
    assert!(those.iter().all(|it| expected.contains(*it)), "{text}");

    // One more, one that is replaced, and none.
    let scaled = json!({"instances": 3});
    client.request("PUT", "/v2/apps/web", &scaled).await;
    let more = events.until(&marathon, 6, &mut heard).await;
    assert!(more[&10_004].is_superset(&found[&10_004]));
    let killed = ids.iter().next().unwrap();
    let path = format!("/v2/apps/web/tasks/{killed}");
    let (status, answer) = client.raw("DELETE", &path, "").await;
    assert_eq!((status, &answer["task"]["id"]), (200, &json!(killed)));
    let other = loop {
        let other = events.until(&marathon, 6, &mut heard).await;
        if other != more {
            break other;
        }
    };
    assert_eq!(other[&10_004].intersection(&more[&10_004]).count(), 2);
    client.raw("DELETE", "/v2/apps/web", "").await;
    events.until(&marathon, 0, &mut heard).await;
    // The state is there before the events that tell of it: these came later.
    let health = of_kind(&heard, "health_status_changed_event");
    for field in ["appId", "instanceId", "version"] {
        assert!(health[0][field].is_string(), "{field}: {}", health[0]);
    }
    assert_eq!(health[0]["alive"], true);
}
