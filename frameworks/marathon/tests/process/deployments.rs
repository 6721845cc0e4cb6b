//! Deployments that do not come to an end: they say so, and go back.

use serde_json::{Value, json};

use crate::instance::Instance;

/// Waits until an app runs as many instances as it is to, and nothing changes it.
async fn settled(marathon: &Instance, id: &str) -> Value {
    let path = format!("/v2/apps{id}");
    let is_settled = |answer: &Value| {
        let app = &answer["app"];
        app["deployments"] == json!([]) && app["tasksRunning"] == app["instances"]
    };
    marathon.until(&path, "settled", is_settled).await["app"].clone()
}

#[tokio::test]
async fn a_deployment_that_takes_too_long_goes_back_by_itself() {
    let marathon = Instance::start("--master local");
    let client = &marathon.client;
    let body = json!({"id": "/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16,
        "deploymentTimeoutSeconds": 4});
    let (status, made) = client.request("POST", "/v2/apps", &body).await;
    assert_eq!(
        (status, &made["deploymentTimeoutSeconds"]),
        (201, &json!(4))
    );
    let before = settled(&marathon, "/web").await;
    let (status, change) = client
        .request("PUT", "/v2/apps/web", &json!({"cpus": 10_000}))
        .await;
    assert_eq!(status, 200, "{change}");
    let (_, changed) = client.get("/v2/apps/web").await;
    assert_eq!(changed["app"]["cpus"], 10_000);
    let after = settled(&marathon, "/web").await;
    assert_eq!(
        (&after["cpus"], &after["tasksRunning"]),
        (&json!(0.1), &json!(1))
    );
    assert_eq!(after["tasks"][0]["id"], before["tasks"][0]["id"]);
    let id = change["deploymentId"].as_str().unwrap();
    let said = marathon.said();
    let is_told = |line: &String| line.contains(id) && line.contains("rolls it back");
    assert!(said.iter().any(is_told), "{said:?}");
    let version = change["version"].as_str().unwrap();
    let path = format!("/v2/apps/web/versions/{version}");
    let (status, version) = client.get(&path).await;
    assert_eq!(
        (status, &version["deploymentTimeoutSeconds"]),
        (200, &json!(4))
    );

    let wrong = json!({"deploymentTimeoutSeconds": 0});
    let (status, answer) = client.request("PUT", "/v2/apps/web", &wrong).await;
    assert_eq!(status, 422);
    assert_eq!(answer["details"][0]["path"], "/deploymentTimeoutSeconds");

    let pod = json!({"id": "/pod", "deploymentTimeoutSeconds": 3, "containers": [{
        "name": "c", "exec": {"command": {"shell": "sleep 1000"}},
        "resources": {"cpus": 10_000, "mem": 16},
    }]});
    let (status, made) = client.request("POST", "/v2/pods", &pod).await;
    assert_eq!(
        (status, &made["deploymentTimeoutSeconds"]),
        (201, &json!(3))
    );
    let is_gone = |pods: &Value| *pods == json!([]);
    marathon.until("/v2/pods", "empty", is_gone).await;
}

#[tokio::test]
async fn what_could_never_be_upgraded_is_refused_and_the_default_can_be() {
    let marathon = Instance::start("--master local");
    let client = &marathon.client;
    let probe = json!({"id": "/probe", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16});
    client.request("POST", "/v2/apps", &probe).await;
    let probe = settled(&marathon, "/probe").await;
    let (host, port) = (&probe["tasks"][0]["host"], &probe["tasks"][0]["ports"][0]);
    client
        .request("DELETE", "/v2/apps/probe", &json!(null))
        .await;
    let is_gone = |apps: &Value| apps["apps"] == json!([]);
    marathon.until("/v2/apps", "empty", is_gone).await;

    let body = json!({"id": "/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16,
        "constraints": [["hostname", "LIKE", host]], "requirePorts": true,
        "portDefinitions": [{"port": port}], "env": {"K": "one"}});
    let mut greedy = body.clone();
    greedy["upgradeStrategy"] = json!({"minimumHealthCapacity": 1, "maximumOverCapacity": 0});
    let (status, answer) = client.request("POST", "/v2/apps", &greedy).await;
    assert_eq!(status, 422, "{answer}");
    let detail = &answer["details"][0];
    assert_eq!(detail["path"], "/upgradeStrategy/minimumHealthCapacity");
    let error = detail["errors"][0].as_str().unwrap();
    assert!(
        error.starts_with("must be 0: constraints bind it"),
        "{error}"
    );

    let (status, made) = client.request("POST", "/v2/apps", &body).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["upgradeStrategy"]["minimumHealthCapacity"], 0);
    let before = settled(&marathon, "/web").await;
    let change = json!({"env": {"K": "two"}});
    client.request("PUT", "/v2/apps/web", &change).await;
    let after = settled(&marathon, "/web").await;
    assert_ne!(before["tasks"][0]["id"], after["tasks"][0]["id"]);
    assert_eq!(before["tasks"][0]["ports"], after["tasks"][0]["ports"]);
}

#[tokio::test]
async fn a_deployment_says_what_it_waits_for_to_whoever_asks_and_to_the_log() {
    let marathon = Instance::start("--master local");
    let client = &marathon.client;
    let body = json!({"id": "/large", "cmd": "sleep 1000", "cpus": 10_000, "mem": 16,
        "instances": 2, "deploymentTimeoutSeconds": 600});
    let (_, made) = client.request("POST", "/v2/apps", &body).await;
    let id = made["deployments"][0]["id"].as_str().unwrap();
    let is_seen = |all: &Value| {
        let summary = &all[0]["waits"][0]["processedOffersSummary"];
        summary["unusedOffersCount"].as_u64() >= Some(3)
    };
    let path = "/v2/deployments?embed=waits";
    let shown = marathon.until(path, "waiting for offers", is_seen).await;
    let wait = &shown[0]["waits"][0];
    assert_eq!(
        (&wait["app"], &wait["reason"], &wait["instances"]),
        (&json!("/large"), &json!("Offers"), &json!(2))
    );
    let message = wait["message"].as_str().unwrap();
    for part in [
        "2 instances are without an offer",
        "InsufficientCpus",
        "cpus short",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(shown[0]["deadline"].is_string(), "{shown}");
    let (_, plain) = client.get("/v2/deployments").await;
    let fields: Vec<&String> = plain[0].as_object().unwrap().keys().collect();
    let known = [
        "affectedApps",
        "affectedPods",
        "currentActions",
        "currentStep",
        "id",
        "steps",
        "totalSteps",
        "version",
    ];
    assert_eq!(fields, known, "clients refuse any other");

    let is_told = |_: &Value| {
        let said = marathon.said();
        let mut of_it = said.iter().filter(|line| line.contains(id));
        of_it.any(|line| line.contains("2 instances are without an offer: "))
    };
    marathon
        .until("/v2/deployments", "in the log", is_told)
        .await;
}
