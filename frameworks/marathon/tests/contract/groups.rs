//! `/v2/groups`.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_patched_and_seen_as_they_were() {
    let server = Server::start("--new_group_enforce_role top").await;
    let client = &server.client;
    let app = |id: &str| json!({"id": id, "cmd": "sleep 1000", "cpus": 0.1, "mem": 16});
    let (status, made) = client.request("POST", "/v2/apps", &app("/shop/web")).await;
    assert_eq!((status, &made["role"]), (201, &json!("shop")), "{made}");
    // There are offers for a role that was not there when all began.
    server.settle().await;
    let first = made["version"].as_str().unwrap();

    let off = json!({"enforceRole": false});
    let (status, _, body) = server.exchange("PATCH", "/v2/groups/shop", &off).await;
    assert_eq!((status, body), (200, json!("")));
    let (_, group) = client.get("/v2/groups/shop").await;
    let known = ["apps", "dependencies", "groups", "id", "pods", "version"];
    let fields: Vec<&String> = group.as_object().unwrap().keys().collect();
    assert_eq!(fields, known, "nobody's role is enforced");
    let (status, free) = client.request("POST", "/v2/apps", &app("/shop/free")).await;
    assert_eq!((status, &free["role"]), (201, &json!("*")), "{free}");
    for (path, expected) in [
        ("/v2/groups/shop/in", 422),
        ("/v2/groups/nobody", 404),
        ("/v2/groups", 405),
    ] {
        let (status, _, body) = server.exchange("PATCH", path, &off).await;
        assert_eq!(status, expected, "{path}: {body}");
    }

    let (_, versions) = client.get("/v2/groups/shop/versions").await;
    let named: Vec<&str> = versions
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    assert_eq!(named, [free["version"].as_str().unwrap(), first]);
    let path = format!("/v2/groups/shop/versions/{first}");
    let (status, then) = client.get(&path).await;
    assert_eq!(status, 200, "{then}");
    assert_eq!(then["version"], first);
    assert_eq!(then["apps"].as_array().unwrap().len(), 1);
    assert_eq!(then["apps"][0]["id"], "/shop/web");
    let (status, then) = client.get(&format!("/v2/groups/versions/{first}")).await;
    assert_eq!((status, &then["groups"][0]["id"]), (200, &json!("/shop")));
    let never = "/v2/groups/shop/versions/2015-01-01T00:00:00.000Z";
    let (status, body) = client.get(never).await;
    assert_eq!(
        (status, &body["message"]),
        (404, &json!("Group '/shop' does not exist"))
    );
    let (status, _) = client.get("/v2/groups/shop/versions/yesterday").await;
    assert_eq!(status, 422);

    // Whatever is not asked for is an empty list.
    let (_, group) = client.get("/v2/groups?embed=group.groups").await;
    assert_eq!((&group["apps"], &group["pods"]), (&json!([]), &json!([])));
    assert_eq!(group["groups"][0]["apps"], json!([]));
}
