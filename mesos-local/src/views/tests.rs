//! The older endpoints of a recorded master, made from what its operator API
//! said at the same moment.

use std::path::Path;

use mesos_proto::json;
use serde_json::{Value, json};

use super::*;

fn capture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/captures")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut capture: Value = serde_json::from_str(&text).unwrap();
    capture["response"]["body"].take()
}

fn message(name: &str) -> v1::master::Response {
    json::from_value(&capture(name)).unwrap()
}

fn snapshot() -> Snapshot {
    let flags = message("master-get_flags").get_flags.unwrap().flags;
    let master = message("master-get_master").get_master.unwrap();
    let flags: BTreeMap<String, String> = flags
        .into_iter()
        .map(|flag| (flag.name, flag.value.unwrap_or_default()))
        .collect();
    Snapshot {
        version: message("master-get_version")
            .get_version
            .unwrap()
            .version_info,
        cluster: flags.get("cluster").cloned(),
        flags,
        start_time: master.start_time(),
        elected_time: master.elected_time(),
        now: master.start_time() + 30.0,
        master: master.master_info.unwrap(),
        state: message("master-get_state").get_state.unwrap(),
        operator: OperatorReport::default(),
        unreachable_agents: 0,
        viewer: Viewer::default(),
        leads: true,
        counters: BTreeMap::new(),
    }
}

/// Times that one side rounds to microseconds, sorted lists of which the order
/// means nothing.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!((number.as_f64().unwrap() * 1e5).round() / 1e5),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_key(|item| item["id"].to_string());
            Value::Array(items)
        }
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), normal(value)))
            .collect(),
        other => other.clone(),
    }
}

#[track_caller]
fn assert_same(made: &Value, recorded: &Value) {
    let mut differences = Vec::new();
    compare("", &normal(made), &normal(recorded), &mut differences);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn compare(path: &str, made: &Value, recorded: &Value, differences: &mut Vec<String>) {
    match (made, recorded) {
        (Value::Object(made), Value::Object(recorded)) => {
            let names: std::collections::BTreeSet<_> = made.keys().chain(recorded.keys()).collect();
            for name in names {
                let none = Value::Null;
                compare(
                    &format!("{path}.{name}"),
                    made.get(name).unwrap_or(&none),
                    recorded.get(name).unwrap_or(&none),
                    differences,
                );
            }
        }
        (Value::Array(made), Value::Array(recorded)) if made.len() == recorded.len() => {
            for (index, (made, recorded)) in made.iter().zip(recorded).enumerate() {
                compare(&format!("{path}[{index}]"), made, recorded, differences);
            }
        }
        _ if made == recorded => {}
        _ => differences.push(format!("{path}: {made} is not {recorded}")),
    }
}

#[test]
fn shows_state_as_the_master_did() {
    assert_same(&state(&snapshot()), &capture("master-http-state"));
}

#[test]
fn shows_the_summary_as_the_master_did() {
    assert_same(
        &state_summary(&snapshot()),
        &capture("master-http-state-summary"),
    );
}

#[test]
fn shows_agents_as_the_master_did() {
    assert_same(&slaves(&snapshot(), None), &capture("master-http-slaves"));
    let none = json!({"slaves": [], "recovered_slaves": []});
    assert_same(&slaves(&snapshot(), Some("none")), &none);
}

#[test]
fn shows_frameworks_as_the_master_did() {
    assert_same(
        &frameworks(&snapshot(), None),
        &capture("master-http-frameworks"),
    );
    let none = json!({
        "frameworks": [], "completed_frameworks": [], "unregistered_frameworks": []
    });
    assert_same(&frameworks(&snapshot(), Some("none")), &none);
}

#[test]
fn shows_tasks_as_the_master_did_in_its_order() {
    let recorded = capture("master-http-tasks");
    let made = tasks(&snapshot(), &TasksQuery::default());
    assert_same(&made, &recorded);
    let ids = |tasks: &Value| -> Vec<String> {
        let tasks = tasks["tasks"].as_array().unwrap();
        tasks.iter().map(|task| task["id"].to_string()).collect()
    };
    assert_eq!(ids(&made), ids(&recorded));

    let query = TasksQuery {
        limit: Some(2),
        offset: 1,
        is_ascending: true,
        ..TasksQuery::default()
    };
    let mut oldest: Vec<String> = ids(&recorded).into_iter().rev().skip(1).collect();
    oldest.truncate(2);
    assert_eq!(ids(&tasks(&snapshot(), &query)), oldest);
}

#[test]
fn shows_roles_as_the_master_did() {
    assert_same(&roles(&snapshot()), &capture("master-http-roles"));
    let recorded = message("master-get_roles").get_roles.unwrap();
    assert_eq!(role_messages(&snapshot()), recorded.roles);
}

#[test]
fn counts_what_the_master_counted() {
    let recorded = capture("master-http-metrics-snapshot");
    for (name, value) in metrics(&snapshot()) {
        if name.starts_with("system/") || name == "master/uptime_secs" {
            continue;
        }
        assert_eq!(recorded[&name].as_f64(), Some(value), "{name}");
    }
}
