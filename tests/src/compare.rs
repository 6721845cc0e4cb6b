//! Comparison up to what differs from cluster to cluster: ids, times, host
//! names, numbers, paths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let rules = [
        (format!("{uuid}(-[SO]?[0-9]+)?"), "<id>"),
        (r"(localhost|127\.0\.0\.\d+)(:\d+)?".to_owned(), "<host>"),
        (r"/[\w./<>-]{6,}".to_owned(), "<path>"),
        (r"\d+(\.\d+)?".to_owned(), "<n>"),
    ];
    rules
        .into_iter()
        .map(|(pattern, with)| (Regex::new(&pattern).expect("a pattern"), with))
        .collect()
});

/// A text without what differs from cluster to cluster.
#[must_use]
pub fn text(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, (rule, with)| {
        rule.replace_all(&text, *with).into_owned()
    })
}

/// What was told of each task and operation, in order: state, reason, source,
/// message, whether it can be acknowledged, health. Repetitions count once.
#[must_use]
pub fn story(records: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut tasks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        let (task, step) = match record["type"].as_str() {
            Some("UPDATE") => {
                let status = &record["update"]["status"];
                let step = format!(
                    "{} {} {} {:?} uuid:{} healthy:{}",
                    status["state"].as_str().unwrap_or("-"),
                    status["reason"].as_str().unwrap_or("-"),
                    status["source"].as_str().unwrap_or("-"),
                    text(status["message"].as_str().unwrap_or_default()),
                    status["uuid"].is_string(),
                    status["healthy"],
                );
                (
                    status["task_id"]["value"]
                        .as_str()
                        .unwrap_or("?")
                        .to_owned(),
                    step,
                )
            }
            Some("UPDATE_OPERATION_STATUS") => {
                let status = &record["update_operation_status"]["status"];
                let step = format!(
                    "{} {:?} uuid:{}",
                    status["state"].as_str().unwrap_or("-"),
                    text(status["message"].as_str().unwrap_or_default()),
                    status["uuid"].is_object(),
                );
                let id = status["operation_id"]["value"].as_str().unwrap_or("?");
                (format!("operation {id}"), step)
            }
            _ => continue,
        };
        let steps = tasks.entry(task).or_default();
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    tasks
}

/// The paths of a JSON value and the types at them; lists are merged, keys that
/// are ids count as one.
#[must_use]
pub fn shape(value: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    collect(value, String::new(), &mut paths);
    paths
}

fn collect(value: &Value, path: String, paths: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            for item in items {
                collect(item, format!("{path}[]"), paths);
            }
            "[]"
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = if text(key).contains("<id>") || key.starts_with("MESOS") {
                    "<id>"
                } else {
                    key
                };
                collect(field, format!("{path}.{key}"), paths);
            }
            "{}"
        }
    };
    paths.insert(format!("{path}:{kind}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_cluster_to_cluster_is_taken_out() {
        assert_eq!(
            text("Offer be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-O7 of 127.0.0.1:5050 has 7.9 cpus"),
            "Offer <id> of <host> has <n> cpus"
        );
    }

    #[test]
    fn shapes_merge_lists() {
        let value = serde_json::json!({"a": [{"b": 1}, {"c": "x"}]});
        let shape: Vec<_> = shape(&value).into_iter().collect();
        assert_eq!(
            shape,
            [".a:[]", ".a[].b:number", ".a[].c:string", ".a[]:{}", ":{}"]
        );
    }
}
