//! Tasks as `/v2/tasks` and `/v2/apps/{id}/tasks` show them.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_found_is_seen_with_the_task() {
    let server = Server::start("").await;
    let client = &server.client;
    let app = json!({
        "id": "/checked", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16,
        "check": {
            "exec": {"command": {"shell": "exit 7"}},
            "delaySeconds": 0, "intervalSeconds": 1, "timeoutSeconds": 5,
        },
    });
    let (status, made) = client.request("POST", "/v2/apps", &app).await;
    assert_eq!((status, &made["check"]), (201, &app["check"]), "{made}");
    let is_found =
        |tasks: &Value| tasks["tasks"][0]["checkResult"] == json!({"command": {"exitCode": 7}});
    for path in ["/v2/apps/checked/tasks", "/v2/tasks"] {
        let tasks = server.until(path, "checked", is_found).await;
        assert_eq!(tasks["tasks"][0]["state"], "TASK_RUNNING");
    }
    // It only tells.
    server.settle().await;
    for check in [
        json!({"http": {}}),
        json!({"tcp": {"portIndex": 0, "port": 80}}),
        json!({"http": {"portIndex": 3}}),
        json!({"exec": {"command": {}}}),
    ] {
        let body = json!({"check": check});
        let (status, answer) = client.request("PUT", "/v2/apps/checked", &body).await;
        assert_eq!(status, 422, "{check}: {answer}");
    }
}
