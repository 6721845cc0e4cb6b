//! Whether what was heard is what was recorded.

use std::collections::BTreeMap;

use mesos_tests::compare::{self, story};
use mesos_tests::scenes::Difference;
use serde_json::{Map, Value, json};

use crate::cast::summary;
use crate::player::Played;
use crate::scene::Scene;

/// What counts of a record: everything but heartbeats and what chance decides.
fn key(record: &Value) -> Option<String> {
    let kind = record["type"].as_str().unwrap_or("?");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    Some(match kind {
        "HEARTBEAT" | "OFFERS" | "RESCIND" => return None,
        "UPDATE" => {
            let status = &record["update"]["status"];
            let task = text(&status["task_id"]["value"]);
            format!(
                "{kind} {task} {} {}",
                text(&status["state"]),
                text(&status["reason"])
            )
        }
        "TASK_ADDED" => format!(
            "{kind} {}",
            text(&record["task_added"]["task"]["task_id"]["value"])
        ),
        "TASK_UPDATED" => {
            let updated = &record["task_updated"];
            let status = &updated["status"];
            format!(
                "{kind} {} {}",
                text(&status["task_id"]["value"]),
                text(&updated["state"])
            )
        }
        "FRAMEWORK_ADDED" | "FRAMEWORK_UPDATED" => {
            let framework = &record[kind.to_lowercase()]["framework"];
            format!("{kind} {}", text(&framework["framework_info"]["name"]))
        }
        "FAILURE" => {
            let failure = &record["failure"];
            let executor = text(&failure["executor_id"]["value"]);
            format!("{kind} {executor} {}", failure["status"])
        }
        "ERROR" => format!(
            "{kind} {}",
            compare::text(&text(&record["error"]["message"]))
        ),
        kind => kind.to_owned(),
    })
}

/// How often each was heard.
pub(crate) fn counts<'a>(records: impl Iterator<Item = &'a Value>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for key in records.filter_map(key) {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// What each stream told otherwise.
pub(crate) fn review(scene: &Scene, played: &Played, differences: &[Difference]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut used = vec![false; differences.len()];
    let mut complain = |stream: &str, what: String| {
        let name = scene.name;
        let complaint = format!("{name}, {stream}: {what}");
        for (index, (part, _)) in differences.iter().enumerate() {
            if complaint.contains(part) {
                used[index] = true;
                return;
            }
        }
        complaints.push(complaint);
    };
    for complaint in &played.complaints {
        complain("requests", complaint.clone());
    }
    for (label, (records, is_closed)) in &played.heard {
        let recorded = scene.stream(label).unwrap();
        let expected: Vec<Value> = recorded.records().cloned().collect();
        let (then, now) = (story(&expected), story(records));
        for task in then
            .keys()
            .chain(now.keys().filter(|task| !then.contains_key(*task)))
        {
            let (then, now) = (then.get(task), now.get(task));
            if then != now {
                complain(label, format!("{task} was {then:#?}, is {now:#?}"));
            }
        }
        let (then, now) = (counts(expected.iter()), counts(records.iter()));
        for (what, count) in &now {
            let before = then.get(what).copied().unwrap_or(0);
            if before < *count && !what.starts_with("UPDATE ") {
                complain(
                    label,
                    format!("{what} was heard {count} times for {before}"),
                );
            }
        }
        let (then, now) = (offered(expected.iter()), offered(records.iter()));
        // What came later is not part of the scene.
        let now = now.get(..then.len()).unwrap_or(&now);
        if scene.is_about_offers() && then != now {
            complain(label, format!("was offered {then:#?}, is offered {now:#?}"));
        }
        if *is_closed && !recorded.is_ended() && recorded.response["closed"].is_null() {
            complain(label, "ended".to_owned());
        }
    }
    for ((part, why), used) in differences.iter().zip(used) {
        if !used && !why.ends_with("is chance") {
            complaints.push(format!("{}: no difference in {part}", scene.name));
        }
    }
    complaints
}

/// What was offered, in the order of the events: in which roles, and how much
/// in each offer. Which agent was offered in which role is chance.
pub(crate) fn offered<'a>(records: impl Iterator<Item = &'a Value>) -> Vec<[Vec<String>; 2]> {
    let lists = records.filter_map(|record| record["offers"]["offers"].as_array());
    lists
        .map(|offers| {
            let summaries = offers.iter().map(summary);
            let parts = summaries.map(|summary| {
                let (role, resources) = summary.split_once(' ').unwrap();
                (role.to_owned(), resources.to_owned())
            });
            let (mut roles, mut resources): (Vec<_>, Vec<_>) = parts.unzip();
            roles.sort();
            resources.sort();
            [roles, resources]
        })
        .collect()
}

/// What each framework holds, of what `/frameworks` answers or what was
/// recorded of it.
pub(crate) fn held(frameworks: &Value) -> Value {
    if let (None, Some(recorded)) = (frameworks.get("frameworks"), frameworks.as_object()) {
        let held = |(name, held): (&String, &Value)| {
            let held = json!({"used_resources": held["used_resources"], "tasks": held["tasks"]});
            (name.clone(), held)
        };
        return recorded.iter().map(held).collect();
    }
    let all = frameworks["frameworks"].as_array().into_iter().flatten();
    all.map(|framework| {
        let held = json!({
            "used_resources": framework["used_resources"],
            "tasks": framework["tasks"].as_array().map_or(0, Vec::len),
        });
        (framework["name"].as_str().unwrap().to_owned(), held)
    })
    .collect()
}

/// The tasks that an agent lists, by what they are listed as, and their states:
/// of what it answers, or of what was recorded of it.
pub(crate) fn listed(answer: &Value) -> BTreeMap<String, Vec<String>> {
    let tasks = answer.get("get_tasks").unwrap_or(answer);
    let lists = tasks.as_object().into_iter().flatten();
    let task = |task: &Value| match task.as_array().map(Vec::as_slice) {
        Some([id, state]) => format!("{id} {state}"),
        _ => format!("{} {}", task["task_id"]["value"], task["state"]),
    };
    let lists = lists.map(|(name, list)| {
        let mut all: Vec<_> = list.as_array().into_iter().flatten().map(task).collect();
        all.sort();
        (name.clone(), all)
    });
    lists.filter(|(_, list)| !list.is_empty()).collect()
}

/// Whether a recorded field says something.
fn is_described(fields: &Map<String, Value>, name: &str) -> bool {
    match name {
        // A master of Mesos shows whether agents checkpoint in a field that the
        // API does not have.
        "checkpoint" => !fields.contains_key("hostname"),
        // It may read its clock twice for one moment, and shows it if so.
        "reregistered_time" => {
            let at = |name: &str| fields.get(name).and_then(Value::as_f64);
            let times = at(name).zip(at("registered_time"));
            times.is_none_or(|(again, first)| again - first > 1e-3)
        }
        _ => true,
    }
}

/// What a recorded value has that another does not: recorded values may be
/// trimmed, lists may stand in another order or be told by their length.
pub(crate) fn lacks(recorded: &Value, got: &Value) -> Option<String> {
    match (recorded, got) {
        (Value::Object(fields), Value::Object(others)) => {
            let mut described = fields.iter().filter(|(name, _)| is_described(fields, name));
            described.find_map(|(name, field)| {
                let other = others.get(name).unwrap_or(&Value::Null);
                lacks(field, other).map(|complaint| format!(".{name}{complaint}"))
            })
        }
        (Value::Array(items), Value::Array(others)) => {
            if let ([item], [other]) = (&items[..], &others[..]) {
                return lacks(item, other).map(|complaint| format!("[0]{complaint}"));
            }
            let mut left: Vec<&Value> = others.iter().collect();
            items.iter().find_map(|item| {
                match left.iter().position(|other| lacks(item, other).is_none()) {
                    Some(at) => {
                        left.remove(at);
                        None
                    }
                    None => Some(format!("[]: {item} is not in {got}")),
                }
            })
        }
        (Value::Number(count), Value::Array(others)) => {
            (count.as_u64() != Some(others.len() as u64)).then(|| format!(": {got} for {count}"))
        }
        (Value::Number(_), Value::Number(_)) | (Value::Null, _) => None,
        (Value::String(text), Value::String(other)) => {
            (compare::text(text) != compare::text(other)).then(|| format!(": {other} for {text}"))
        }
        (recorded, got) => (recorded != got).then(|| format!(": {got} for {recorded}")),
    }
}
