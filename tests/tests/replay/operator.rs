//! What operators set and plan: weights, quota, draining, maintenance.

use mesos_sdk::transport::Response;
use mesos_tests::captures;
use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, JSON, Opened, framework_info, task};
use serde_json::{Value, json};

use crate::group::{Group, body_of, check_story};

pub(crate) const OPERATOR: &[&str] = &[
    "accept-inverse-offers",
    "master-deactivate_agent",
    "master-drain_agent",
    "master-drain_agent-unknown",
    "master-get_agents-drained",
    "master-get_logging_level",
    "master-get_maintenance_status",
    "master-get_maintenance_status-draining",
    "master-get_operations",
    "master-get_quota",
    "master-get_quota-set",
    "master-get_weights-set",
    "master-http-maintenance-schedule",
    "master-http-maintenance-status",
    "master-http-quota",
    "master-http-weights",
    "master-list-files",
    "master-mark_agent_gone-unknown",
    "master-reactivate_agent",
    "master-reactivate_agent-2",
    "master-reactivate_agent-again",
    "master-subscribe-drain",
    "master-teardown",
    "master-update_maintenance_schedule",
    "master-update_maintenance_schedule-clear",
    "master-update_quota",
    "master-update_quota-clear",
    "master-update_weights",
    "stream-drained",
];

/// Sends the recorded call and compares the answers.
async fn same(group: &Group, fixture: &Fixture, name: &str) -> Response {
    with(group, fixture, name, |_| {}).await
}

/// Sends the recorded call with ids of this cluster in it.
async fn with(
    group: &Group,
    fixture: &Fixture,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Response {
    let request = &mut captures::read(name)["request"];
    change(&mut request["body"]);
    let response = fixture.post("/api/v1", &JSON, &body_of(request)).await;
    group.check(name, &response);
    response
}

in_both_encodings!(what_operators_set);

async fn what_operators_set(fixture: Fixture) {
    let group = Group::new(OPERATOR);
    for name in [
        "master-get_logging_level",
        "master-get_maintenance_status",
        "master-get_operations",
        "master-get_quota",
        "master-list-files",
    ] {
        same(&group, &fixture, name).await;
    }
    for name in [
        "master-http-maintenance-schedule",
        "master-http-maintenance-status",
        "master-http-quota",
        "master-http-weights",
    ] {
        let path = captures::read(name)["request"]["path"].clone();
        let headers = http::HeaderMap::new();
        let path = path.as_str().unwrap();
        let response = fixture.transport.get(&fixture.master, path, headers).await;
        group.check(name, &response.unwrap());
    }
    for name in [
        "master-update_weights",
        "master-get_weights-set",
        "master-update_quota",
        "master-get_quota-set",
        "master-update_quota-clear",
        "master-drain_agent-unknown",
        "master-mark_agent_gone-unknown",
    ] {
        same(&group, &fixture, name).await;
    }
    draining(&group, &fixture).await;
    group.all_used();
}

async fn draining(group: &Group, fixture: &Fixture) {
    let f = Framework::subscribe(fixture, framework_info("drained"), None).await;
    let offer = f
        .launch(|offer| task(offer, "drained-1", "sleep 1000"))
        .await;
    f.follow("drained-1", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    let operator = fixture.open("/api/v1", &json!({"type": "SUBSCRIBE"})).await;
    let subscribed = |record: &Value| (record["type"] == "SUBSCRIBED").then_some(());
    operator.records.wait("SUBSCRIBED", subscribed).await;
    let agent_id = offer["agent_id"].clone();
    with(group, fixture, "master-drain_agent", |call| {
        call["drain_agent"]["agent_id"] = agent_id.clone();
    })
    .await;
    f.follow("drained-1", &["TASK_KILLING", "TASK_KILLED"])
        .await;
    drained(fixture).await;
    same(group, fixture, "master-get_agents-drained").await;
    for (name, field) in [
        ("master-reactivate_agent", "reactivate_agent"),
        ("master-deactivate_agent", "deactivate_agent"),
        ("master-reactivate_agent-2", "reactivate_agent"),
        ("master-reactivate_agent-again", "reactivate_agent"),
    ] {
        with(group, fixture, name, |call| {
            call[field]["agent_id"] = agent_id.clone();
        })
        .await;
    }
    maintenance(group, fixture, &f).await;
    with(group, fixture, "master-teardown", |call| {
        call["teardown"]["framework_id"] = json!({"value": f.id});
    })
    .await;
    watched(group, &operator).await;
    let recorded = group.read("stream-drained");
    let records = f.stream.records.all();
    check_story("stream-drained", &recorded, &records, &["drained-1"]);
    // Offers come at other times here; what an operator's plan leads to is the
    // same.
    let planned = |records: &[Value]| -> Vec<String> {
        let kinds = records.iter().filter_map(|record| record["type"].as_str());
        let is_planned = |kind: &&str| ["INVERSE_OFFERS", "RESCIND_INVERSE_OFFER"].contains(kind);
        kinds.filter(is_planned).map(str::to_owned).collect()
    };
    let expected = recorded["response"]["records"].as_array().unwrap();
    assert_eq!(planned(&records), planned(expected));
    let inverse = |records: &[Value]| {
        let offers = records.iter().find_map(|record| {
            record["inverse_offers"]["inverse_offers"][0]
                .as_object()
                .cloned()
        });
        offers.unwrap()
    };
    group.check_shape(
        "stream-drained",
        &json!(inverse(expected)),
        &json!(inverse(&records)),
    );
}

/// Waits until nothing is left on the agent.
async fn drained(fixture: &Fixture) {
    for _ in 0..10_000 {
        let (_, agents) = fixture.operator(json!({"type": "GET_AGENTS"})).await;
        if agents["get_agents"]["agents"][0]["drain_info"]["state"] == "DRAINED" {
            return;
        }
    }
    panic!("the agent is not drained");
}

async fn maintenance(group: &Group, fixture: &Fixture, f: &Framework<'_>) {
    let (_, agents) = fixture.operator(json!({"type": "GET_AGENTS"})).await;
    let agent = &agents["get_agents"]["agents"][0];
    let pid = agent["pid"].as_str().unwrap();
    let ip = pid.rsplit_once('@').unwrap().1.rsplit_once(':').unwrap().0;
    let machine = json!({"hostname": agent["agent_info"]["hostname"], "ip": ip});
    with(
        group,
        fixture,
        "master-update_maintenance_schedule",
        |call| {
            let windows = &mut call["update_maintenance_schedule"]["schedule"]["windows"];
            windows[0]["machine_ids"] = json!([machine]);
        },
    )
    .await;
    let planned = |record: &Value| {
        let offers = record["offers"]["offers"].as_array()?;
        let offer = offers.iter().find(|o| o["unavailability"].is_object())?;
        Some(offer["unavailability"].clone())
    };
    let unavailability = f.stream.records.wait("a planned offer", planned).await;
    let asked = |record: &Value| {
        let offer = &record["inverse_offers"]["inverse_offers"][0];
        offer.is_object().then(|| offer.clone())
    };
    let inverse = f.stream.records.wait("an inverse offer", asked).await;
    assert_eq!(inverse["unavailability"], unavailability);
    let accept = json!({"type": "ACCEPT_INVERSE_OFFERS", "accept_inverse_offers": {
        "inverse_offer_ids": [inverse["id"]],
    }});
    group.check("accept-inverse-offers", &f.send(accept).await);
    same(group, fixture, "master-get_maintenance_status-draining").await;
    same(group, fixture, "master-update_maintenance_schedule-clear").await;
}

/// The operator's stream tells the end of the task and of the framework.
async fn watched(group: &Group, operator: &Opened) {
    let removed = |record: &Value| (record["type"] == "FRAMEWORK_REMOVED").then_some(());
    operator.records.wait("FRAMEWORK_REMOVED", removed).await;
    let told = |records: &[Value]| -> Vec<String> {
        let told = records
            .iter()
            .filter(|record| record["type"] != "HEARTBEAT");
        told.map(|record| {
            let update = &record["task_updated"];
            let kind = record["type"].as_str().unwrap();
            let state = update["state"].as_str().unwrap_or_default();
            let reason = update["status"]["reason"].as_str().unwrap_or_default();
            format!("{kind} {state} {reason}")
        })
        .collect()
    };
    let recorded = group.read("master-subscribe-drain");
    assert_eq!(
        told(&operator.records.all()),
        told(recorded["response"]["records"].as_array().unwrap())
    );
}
