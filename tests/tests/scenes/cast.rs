//! Who plays whom: recorded ids of frameworks, agents and offers, and those
//! that stand for them now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static ID: LazyLock<Regex> = LazyLock::new(|| {
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    Regex::new(&format!("{uuid}-(O|S|)[0-9]+")).unwrap()
});

/// The ids of today by those of the record.
#[derive(Default)]
pub(crate) struct Cast {
    names: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Cast {
    pub(crate) fn of(&self, recorded: &str) -> Option<&str> {
        self.names.get(recorded).map(String::as_str)
    }

    pub(crate) fn is_taken(&self, live: &str) -> bool {
        self.taken.contains(live)
    }

    pub(crate) fn bind(&mut self, recorded: &str, live: &str) {
        self.names.insert(recorded.to_owned(), live.to_owned());
        self.taken.insert(live.to_owned());
    }

    /// Whether an agent of the record may be this one of today.
    pub(crate) fn may_be(&self, recorded: &str, live: &str) -> bool {
        match self.of(recorded) {
            Some(bound) => bound == live,
            None => !self.is_taken(live),
        }
    }

    /// The ids in a value, each once.
    pub(crate) fn ids(value: &Value) -> BTreeSet<String> {
        let text = value.to_string();
        ID.find_iter(&text)
            .map(|id| id.as_str().to_owned())
            .collect()
    }

    /// The value with the ids of today; those of nobody stay as they are.
    pub(crate) fn translate(&self, value: &Value) -> Value {
        let text = value.to_string();
        let text = ID.replace_all(&text, |found: &regex::Captures<'_>| {
            let recorded = &found[0];
            self.of(recorded).unwrap_or(recorded).to_owned()
        });
        serde_json::from_str(&text).unwrap()
    }
}

/// What an offer is of: its role, and how much of everything.
pub(crate) fn summary(offer: &Value) -> String {
    let role = offer["allocation_info"]["role"].as_str().unwrap_or("-");
    let mut parts: Vec<String> = offer["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|resource| resource["type"] == "SCALAR")
        .map(|resource| {
            let reserved = match (&resource["reservations"], &resource["reservation"]) {
                (Value::Null, Value::Null) => "",
                _ => " reserved",
            };
            let volume = if resource["disk"].is_object() {
                " volume"
            } else {
                ""
            };
            let value = resource["scalar"]["value"].as_f64().unwrap();
            format!(
                "{}:{value}{reserved}{volume}",
                resource["name"].as_str().unwrap()
            )
        })
        .collect();
    parts.sort();
    format!("{role} {}", parts.join(" "))
}
