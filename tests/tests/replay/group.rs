//! A group of recorded dialogues: which of them a test has looked at, and how an
//! answer is compared with the recorded one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use bytes::Bytes;
use mesos_proto::wire;
use mesos_sdk::transport::Response;
use mesos_sdk::v1::{agent, master};
use mesos_tests::captures;
use mesos_tests::compare::{self, story};
use mesos_tests::encoding::{Encoding, as_printed};
use mesos_tests::fixture::Fixture;
use serde_json::{Value, json};

/// What recorded answers have and others need not have, and why.
const NOT_HERE: &[(&str, &str)] = &[
    (
        "agent_info.checkpoint",
        "a master of Mesos shows it, and the API does not describe it",
    ),
    (".flags.", "flags are compared by their names"),
    (".log_dir", "nothing is logged into files"),
    (".cluster:", "the cluster was given no name"),
    (
        "completed_frameworks[].reregistered_time",
        "shown because the clock was read twice, a microsecond apart",
    ),
];

/// Recorded dialogues, and which of them a test has looked at.
pub(crate) struct Group {
    names: &'static [&'static str],
    used: Mutex<BTreeSet<&'static str>>,
}

impl Group {
    pub(crate) fn new(names: &'static [&'static str]) -> Self {
        Self {
            names,
            used: Mutex::default(),
        }
    }

    pub(crate) fn read(&self, name: &str) -> Value {
        let listed = self.names.iter().find(|listed| **listed == name);
        let listed = listed.unwrap_or_else(|| panic!("{name} is not listed"));
        self.used.lock().unwrap().insert(listed);
        captures::read(name)
    }

    /// The response has the recorded status and, up to ids, the recorded text.
    pub(crate) fn check(&self, name: &str, response: &Response) {
        let recorded = &self.read(name)["response"];
        assert_eq!(
            Some(u64::from(response.status.as_u16())),
            recorded["status"].as_u64(),
            "{name}: {}",
            response.text()
        );
        let encoding = Encoding::of(&response.headers);
        for header in ["content-type", "allow", "www-authenticate"] {
            let mut fields = recorded["headers"].as_object().cloned().unwrap_or_default();
            if encoding == Encoding::Protobuf && recorded["status"] == 200 {
                fields.insert("Content-Type".to_owned(), encoding.media_type().into());
            }
            let expected = fields
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(header));
            let got = response
                .headers
                .get(header)
                .map(|value| value.to_str().unwrap());
            assert_eq!(
                got,
                expected.and_then(|(_, value)| value.as_str()),
                "{name}: {header}"
            );
        }
        match &recorded["body"] {
            Value::String(text) => assert_eq!(
                compare::text(&String::from_utf8_lossy(&response.body)),
                compare::text(text),
                "{name}"
            ),
            Value::Null => {}
            body => {
                let got = printed(name, encoding, response.body.clone());
                let mut recorded = match body["base64"].as_str() {
                    Some(text) => printed(name, Encoding::Protobuf, bytes_of(text)),
                    None => body.clone(),
                };
                if encoding == Encoding::Protobuf {
                    drop_empty_lists(&mut recorded);
                }
                self.check_shape(name, &recorded, &got);
            }
        }
    }

    /// Whatever was recorded is there, in the same place and of the same type.
    pub(crate) fn check_shape(&self, name: &str, recorded: &Value, got: &Value) {
        let is_expected = |path: &&String| !NOT_HERE.iter().any(|(part, _)| path.contains(part));
        let recorded = compare::shape(recorded);
        let got = compare::shape(got);
        let lacking: Vec<_> = recorded.difference(&got).filter(is_expected).collect();
        assert!(lacking.is_empty(), "{name} lacks {lacking:#?}");
    }

    pub(crate) fn all_used(&self) {
        let used = self.used.lock().unwrap();
        let unused: Vec<_> = self
            .names
            .iter()
            .filter(|name| !used.contains(*name))
            .collect();
        assert!(unused.is_empty(), "listed but not replayed: {unused:?}");
    }
}

/// What a body says, as it is printed in JSON.
fn printed(name: &str, encoding: Encoding, body: Bytes) -> Value {
    let read = match encoding {
        Encoding::Json => serde_json::from_slice(&body).map_err(|error| error.to_string()),
        Encoding::Protobuf if name.starts_with("agent-") => {
            let read = wire::decode::<agent::Response>(body);
            read.map(|read| as_printed(&read))
                .map_err(|error| error.to_string())
        }
        Encoding::Protobuf => {
            let read = wire::decode::<master::Response>(body);
            read.map(|read| as_printed(&read))
                .map_err(|error| error.to_string())
        }
    };
    read.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Protobuf does not tell an empty list from none.
fn drop_empty_lists(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_empty_lists),
        Value::Object(fields) => {
            fields.retain(|_, field| field.as_array().is_none_or(|items| !items.is_empty()));
            fields.values_mut().for_each(drop_empty_lists);
        }
        _ => {}
    }
}

/// Bytes that were recorded as base64.
pub(crate) fn bytes_of(text: &str) -> Bytes {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.unwrap().into()
}

pub(crate) fn body_of(request: &Value) -> Vec<u8> {
    match &request["body"] {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(fields) if fields.contains_key("base64") => {
            bytes_of(fields["base64"].as_str().unwrap()).into()
        }
        body => body.to_string().into_bytes(),
    }
}

/// Makes an operator call at the agent.
pub(crate) async fn agent_call(fixture: &Fixture, call: &Value) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let headers = headers
        .iter()
        .map(|(k, v)| (k.parse::<http::HeaderName>().unwrap(), v.parse().unwrap()))
        .collect();
    fixture
        .transport
        .post(&fixture.agent, "/api/v1", headers, call.to_string().into())
        .await
        .unwrap()
}

/// Recorded operations, for an offer and a framework of now.
pub(crate) fn adapted(operations: &Value, offer: &Value, framework_id: &str) -> Value {
    let mut operations = operations.clone();
    adapt(&mut operations, offer, framework_id);
    operations
}

fn adapt(value: &mut Value, offer: &Value, framework_id: &str) {
    match value {
        Value::Array(items) => {
            for item in items {
                adapt(item, offer, framework_id);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "agent_id" => *field = offer["agent_id"].clone(),
                    "framework_id" => *field = json!({"value": framework_id}),
                    _ => adapt(field, offer, framework_id),
                }
            }
        }
        _ => {}
    }
}

/// Compares what was told of some tasks with what was recorded.
pub(crate) fn check_story(name: &str, recorded: &Value, records: &[Value], tasks: &[&str]) {
    let expected = story(recorded["response"]["records"].as_array().unwrap());
    let got: BTreeMap<String, Vec<String>> = story(records);
    for task in tasks {
        assert_eq!(got.get(*task), expected.get(*task), "{name}: {task}");
    }
}
