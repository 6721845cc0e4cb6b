//! `/v2/apps` and all below it, and what every answer carries.

use serde_json::{Value, json};

use crate::server::Server;

fn app(id: &str) -> Value {
    json!({"id": id, "cmd": "sleep 1000", "cpus": 0.1, "mem": 16})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_its_headers() {
    let server = Server::start("").await;
    for path in ["/v2/apps", "/ping", "/v2/nothing"] {
        let (_, head, _) = server.exchange("GET", path, &Value::Null).await;
        for header in [
            "x-marathon-leader: http://localhost:",
            "x-frame-options: deny",
            "x-xss-protection: 1; mode=block",
            "cache-control: no-cache, no-store, must-revalidate",
            "pragma: no-cache",
            "expires: 0",
        ] {
            assert!(head.contains(header), "{path} without {header}: {head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_says_where_it_is_and_by_what() {
    let server = Server::start("").await;
    let (status, head, made) = server.exchange("PUT", "/v2/apps/shop/web", &app("x")).await;
    assert_eq!(status, 201, "{made}");
    assert!(head.contains("location: /v2/apps/shop/web"), "{head}");
    let deployment = made["deploymentId"].as_str().unwrap();
    assert!(
        head.contains(&format!("marathon-deployment-id: {deployment}")),
        "{head}"
    );
    let list = json!([app("/shop/db"), {"id": "/shop/web", "cpus": 0.2}]);
    server.settle().await;
    let (status, head, made) = server.exchange("PUT", "/v2/apps", &list).await;
    assert_eq!(status, 200, "{made}");
    assert!(!head.contains("location: "), "{head}");
    server.settle().await;

    let client = &server.client;
    let (status, apps) = client.get("/v2/apps/shop/*").await;
    let apps = apps["*"].as_array().unwrap();
    assert_eq!((status, apps.len()), (200, 2));
    assert_eq!(apps[0]["tasks"].as_array().unwrap().len(), 1);
    for path in ["/v2/apps/nobody/*", "/v2/apps/nobody/*/tasks"] {
        let (status, body) = client.get(path).await;
        let message = json!("Group '/nobody' does not exist");
        assert_eq!((status, &body["message"]), (404, &message), "{path}");
    }
    let version = "2015-01-01T00:00:00.000Z";
    let (status, body) = client
        .get(&format!("/v2/apps/shop/db/versions/{version}"))
        .await;
    let message = format!("App '/shop/db' does not exist in version {version}");
    assert_eq!((status, &body["message"]), (404, &json!(message)));

    // In lines, for proxies.
    let lines = async |path: &str| -> String {
        let accept = "Accept: text/plain\r\n";
        let answer = client.exchange("GET", path, accept, None).await.unwrap();
        assert_eq!(answer.0, 200, "{answer:?}");
        answer.2
    };
    let of_one = lines("/v2/apps/shop/db/tasks").await;
    assert_eq!(of_one.lines().count(), 1, "{of_one}");
    assert!(of_one.starts_with("shop_db\t"), "{of_one}");
    assert_eq!(lines("/v2/apps/shop/*/tasks").await.lines().count(), 2);

    // Of whatever host.
    let path = "/v2/apps/shop/db/tasks?host=*";
    let (status, _, killed) = server.exchange("DELETE", path, &Value::Null).await;
    assert_eq!(
        (status, killed["tasks"].as_array().unwrap().len()),
        (200, 1)
    );
    let path = "/v2/apps/shop/db/tasks?host=elsewhere";
    let (status, _, killed) = server.exchange("DELETE", path, &Value::Null).await;
    assert_eq!((status, &killed["tasks"]), (200, &json!([])));
}
