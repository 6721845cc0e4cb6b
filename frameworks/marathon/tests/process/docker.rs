//! An app in containers of a Docker engine, as the tutorials have it: a bridge,
//! and a port of each container at some port of the host. Where there can be no
//! engine the test says why and passes; see `mesos_tests::engine`.

use std::collections::BTreeSet;
use std::time::Instant;

use mesos_tests::engine::Engine;
use serde_json::{Value, json};

use crate::client::Client;
use crate::instance::{Instance, PATIENCE};

/// What a server says, once it says something.
async fn answer(host: &str, port: u16) -> String {
    let start = Instant::now();
    loop {
        let address = tokio::net::lookup_host((host, port)).await.unwrap().next();
        let answer = Client::new(address.unwrap())
            .try_request("GET", "/", None)
            .await;
        if let Ok((200, body)) = answer {
            return body;
        }
        assert!(start.elapsed() < PATIENCE, "{host}:{port}: {answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn three_containers_answer_at_ports_of_the_host() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let environment = [("DOCKER_HOST", engine.address())];
    let marathon = Instance::start_with("--master local", &environment);
    marathon.get("/ping").await;
    let app = json!({
        "id": "hello-world",
        "cmd": "mkdir /www && echo hello of $MESOS_TASK_ID > /www/index.html && \
                exec httpd -f -p 9000 -h /www",
        "cpus": 0.1,
        "mem": 32,
        "instances": 3,
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": "bb",
                "network": "BRIDGE",
                "portMappings": [
                    {"containerPort": 9000, "hostPort": 0, "servicePort": 0, "protocol": "tcp"}
                ]
            }
        },
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "intervalSeconds": 1}]
    });
    let (status, made) = marathon.client.request("POST", "/v2/apps", &app).await;
    assert_eq!(status, 201, "{made}");
    // Shown in today's form.
    assert_eq!(made["networks"], json!([{"mode": "container/bridge"}]));
    assert!(made["container"]["docker"].get("portMappings").is_none());
    assert_eq!(made["container"]["portMappings"][0]["containerPort"], 9000);

    let is_up =
        |it: &Value| it["app"]["tasksHealthy"] == 3 && it["app"]["deployments"] == json!([]);
    let up = marathon
        .until("/v2/apps/hello-world", "healthy", is_up)
        .await;
    let tasks = up["app"]["tasks"].as_array().unwrap();
    let mut ports = BTreeSet::new();
    for task in tasks {
        let port = u16::try_from(task["ports"][0].as_u64().unwrap()).unwrap();
        assert_ne!(port, 9000);
        ports.insert(port);
        let body = answer(task["host"].as_str().unwrap(), port).await;
        assert_eq!(
            body.trim(),
            format!("hello of {}", task["id"].as_str().unwrap())
        );
        assert_eq!(task["ipAddresses"].as_array().unwrap().len(), 1, "{task}");
    }
    assert_eq!(ports.len(), 3);
    assert_eq!(engine.containers().await.len(), 3);

    let (status, _) = marathon
        .client
        .raw("DELETE", "/v2/apps/hello-world", "")
        .await;
    assert_eq!(status, 200);
    let start = Instant::now();
    while !engine.containers().await.is_empty() {
        assert!(start.elapsed() < PATIENCE, "containers are left behind");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
