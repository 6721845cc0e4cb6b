//! Reservations and volumes.

use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, framework_info};
use serde_json::{Value, json};

use crate::group::{Group, check_story};

pub(crate) const STATEFUL: &[&str] = &[
    "accept-destroy",
    "accept-reserve-create",
    "accept-reserve-too-much",
    "accept-unreserve",
    "reconcile-operations",
    "stream-stateful",
];

in_both_encodings!(reservations_and_volumes);

async fn reservations_and_volumes(fixture: Fixture) {
    let group = Group::new(STATEFUL);
    let mut info = framework_info("stateful");
    info["roles"] = json!(["db"]);
    info["principal"] = json!("capture");
    let f = Framework::subscribe(&fixture, info, None).await;
    let reserved = |name: &str, amount: f64| {
        json!({"name": name, "type": "SCALAR", "scalar": {"value": amount}, "allocation_info": {"role": "db"},
               "reservations": [{"type": "DYNAMIC", "role": "db", "principal": "capture"}]})
    };
    let mut volume = reserved("disk", 64.0);
    volume["disk"] = json!({"persistence": {"id": "vol-1", "principal": "capture"}, "volume": {"mode": "RW", "container_path": "data"}});
    let offer = f.offer().await;
    let operations = json!([
        {"type": "RESERVE", "id": {"value": "op-1"}, "reserve": {"resources": [reserved("mem", 64.0), reserved("disk", 64.0)]}},
        {"type": "CREATE", "create": {"volumes": [volume]}},
    ]);
    group.check(
        "accept-reserve-create",
        &f.accept(&offer["id"], operations).await,
    );
    let has = |offer: &Value, field: &str| -> Vec<Value> {
        let resources = offer["resources"].as_array().unwrap();
        resources
            .iter()
            .filter(|r| r.get(field).is_some())
            .cloned()
            .collect()
    };
    let offer = f.offer().await;
    assert_eq!(has(&offer, "disk").len(), 1);
    let reconcile =
        json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {"operations": []}});
    group.check("reconcile-operations", &f.send(reconcile).await);
    let destroy = json!([{"type": "DESTROY", "destroy": {"volumes": has(&offer, "disk")}}]);
    group.check("accept-destroy", &f.accept(&offer["id"], destroy).await);
    let offer = f.offer().await;
    assert!(has(&offer, "disk").is_empty());
    assert_eq!(has(&offer, "reservations").len(), 2);
    let unreserve =
        json!([{"type": "UNRESERVE", "unreserve": {"resources": has(&offer, "reservations")}}]);
    group.check("accept-unreserve", &f.accept(&offer["id"], unreserve).await);
    let offer = f.offer().await;
    assert!(has(&offer, "reservations").is_empty());
    let too_much = json!([{"type": "RESERVE", "id": {"value": "op-2"}, "reserve": {"resources": [reserved("mem", 1e9)]}}]);
    group.check(
        "accept-reserve-too-much",
        &f.accept(&offer["id"], too_much).await,
    );
    let refused = |record: &Value| {
        (record["update_operation_status"]["status"]["operation_id"]["value"] == "op-2")
            .then_some(())
    };
    f.stream.records.wait("the refusal", refused).await;
    let recorded = group.read("stream-stateful");
    let tasks = ["operation op-1", "operation op-2"];
    check_story(
        "stream-stateful",
        &recorded,
        &f.stream.records.all(),
        &tasks,
    );
    f.send(json!({"type": "TEARDOWN"})).await;
    group.all_used();
}
