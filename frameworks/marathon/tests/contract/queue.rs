//! `/v2/queue`, and what is told of checks on `/v2/events`.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_are_of_no_use_are_seen_where_that_is_asked_for() {
    let server = Server::start("").await;
    let client = &server.client;
    let app = json!({"id": "/large", "cmd": "sleep 1000", "cpus": 0.1, "mem": 100_000_000});
    let (status, made) = client.request("POST", "/v2/apps", &app).await;
    assert_eq!(status, 201, "{made}");
    let is_seen = |queue: &Value| {
        let unused = queue["queue"][0]["lastUnusedOffers"].as_array();
        unused.is_some_and(|unused| unused.len() == 3)
    };
    let path = "/v2/queue?embed=lastUnusedOffers";
    let queue = server.until(path, "looked at", is_seen).await;
    let entry = &queue["queue"][0];
    let unused = &entry["lastUnusedOffers"][0];
    assert_eq!(
        unused["reason"],
        json!(["InsufficientMemory"]),
        "{unused:#}"
    );
    assert!(unused["timestamp"].is_string());
    let offer = &unused["offer"];
    for name in ["id", "agentId", "hostname"] {
        assert!(offer[name].is_string(), "{offer:#}");
    }
    let resources = offer["resources"].as_array().unwrap();
    let named = |name: &str| resources.iter().find(|it| it["name"] == name).unwrap();
    assert!(named("mem")["scalar"].as_f64().unwrap() > 0.0);
    assert_eq!(named("mem")["role"], "*");
    assert!(named("ports")["ranges"][0]["begin"].is_u64(), "{offer:#}");
    let reasons = entry["processedOffersSummary"]["rejectSummaryLaunchAttempt"].as_array();
    let reasons: Vec<&str> = reasons
        .unwrap()
        .iter()
        .flat_map(|it| it["reason"].as_str())
        .collect();
    assert_eq!(reasons.len(), 10, "{reasons:?}");
    let (_, plain) = client.get("/v2/queue").await;
    assert_eq!(plain["queue"][0]["lastUnusedOffers"], Value::Null);
}
