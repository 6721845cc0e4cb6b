//! What a real Mesos sent and was sent, through the messages and back: every
//! JSON body and stream record of `data/captures` keeps its JSON value, every
//! protobuf body its bytes, and what the master refused is refused with the
//! same text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mesos_proto::{
    json,
    v1::{self, agent, executor, master, scheduler},
    wire,
};
use serde_json::{Value, json};

/// Takes a JSON value through one message type and back.
type Through = fn(&Value, Way) -> Result<(), String>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    /// Written by Mesos itself: what is unset and has a default is there too.
    Received,
}

/// Takes protobuf bytes through one message type: its JSON value.
type ThroughWire = fn(Bytes) -> Result<Value, String>;

#[test]
fn every_json_body_and_record_keeps_its_value() {
    let mut seen = Seen::default();
    for (file, capture) in captures() {
        seen.file = file;
        seen.visit(&capture);
    }
    assert!(seen.faults.is_empty(), "{:#?}", seen.faults);
    // The captures are not to be passed over without a word.
    assert!(seen.sent > 800, "{} bodies sent", seen.sent);
    assert!(
        seen.received > 1500,
        "{} bodies and records received",
        seen.received
    );
    assert!(seen.refused >= 2, "{} refused", seen.refused);
}

#[test]
fn every_protobuf_body_keeps_its_bytes_and_has_the_shape_of_its_json_twin() {
    let captures: BTreeMap<String, Value> = captures().collect();
    let mut bodies = 0;
    for (file, capture) in &captures {
        let Some(body) = binary(&capture["response"]["body"]) else {
            continue;
        };
        let ours = through_wire::<master::Response>(body).unwrap_or_else(|e| panic!("{file}: {e}"));
        let twin = &captures[&file.replace("-protobuf", "")]["response"]["body"];
        let (ours, twin) = (paths(&ours), paths(twin));
        let differing: Vec<_> = ours.symmetric_difference(&twin).collect();
        assert!(differing.is_empty(), "{file}: {differing:?}");
        bodies += 1;
    }
    assert!(bodies >= 5, "{bodies} protobuf bodies");
}

#[test]
fn every_protobuf_record_keeps_its_bytes_and_has_the_shape_of_json_records() {
    let captures: BTreeMap<String, Value> = captures().collect();
    let streams = [
        (
            &captures["subscribe-accept-protobuf.json"],
            scheduler_event(),
        ),
        (
            &captures["fault-protobuf-stream.json"]["streams"]["binary"],
            scheduler_event(),
        ),
        (
            &captures["fault-protobuf-stream.json"]["streams"]["operator"],
            master_event(),
        ),
    ];
    let known = shapes(&captures);
    for (stream, through) in streams {
        let records = stream["response"]["records"]
            .as_array()
            .expect("a stream has records");
        assert!(records.len() >= 3);
        for record in records {
            let bytes = binary(record).expect("the stream is binary");
            let event = through(bytes).unwrap_or_else(|e| panic!("{record}: {e}"));
            let kind = event["type"]
                .as_str()
                .expect("every event has a type")
                .to_owned();
            let known = &known[&kind];
            // No task of the JSON operator streams has labels or a check.
            let is_bare =
                |path: &str| path.contains(".task.labels") || path.contains(".check_status");
            let unknown: Vec<_> = paths(&event)
                .into_iter()
                .filter(|path| !known.contains(path) && !is_bare(path))
                .collect();
            assert!(
                unknown.is_empty(),
                "{kind} has in no JSON capture: {unknown:?}"
            );
        }
    }
}

#[test]
fn what_is_no_message_is_refused_as_the_master_does() {
    let capture = read("fault-http-bodies.json");
    let mut refused = BTreeSet::new();
    for exchange in capture["exchanges"].as_array().expect("exchanges") {
        let part = |key: &str| {
            exchange[key]
                .as_str()
                .and_then(|text| text.split_once("\r\n\r\n"))
        };
        let (Some((head, body)), Some((_, answer))) = (part("sent"), part("received")) else {
            continue;
        };
        // What is encoded or very long the capture does not hold as it was.
        if head.contains("chunked") || head.contains("gzip") || body.contains("... (") {
            continue;
        }
        // One character of the capture stands for one byte.
        let bytes: Vec<u8> = body.chars().map(|byte| u32::from(byte) as u8).collect();
        let expected = answer
            .strip_prefix("Failed to parse body into JSON: ")
            .or_else(|| answer.strip_prefix("Failed to convert JSON into Call protobuf: "));
        match (json::from_slice::<master::Call>(&bytes), expected) {
            (Err(error), Some(expected)) => {
                assert_eq!(
                    as_bytes_of(&error.to_string()),
                    expected,
                    "{}",
                    exchange["what"]
                );
                refused.insert(exchange["what"].to_string());
            }
            (Ok(call), None) => {
                let is_typed = call.r#type() != master::call::Type::Unknown;
                assert_eq!(
                    is_typed,
                    !answer.contains("Expecting 'type'"),
                    "{}",
                    exchange["what"]
                );
            }
            // A body that was cut off or is longer than announced.
            (Err(_), None) if body.ends_with("trailing") => {}
            (ours, theirs) => panic!("{}: {ours:?}, not {theirs:?}", exchange["what"]),
        }
    }
    assert!(refused.len() >= 8, "{refused:?}");
}

/// The text as the capture writes it: one character a byte.
fn as_bytes_of(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

fn captures() -> impl Iterator<Item = (String, Value)> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the captures are in the repository")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names.into_iter().map(|name| {
        let capture = read(&name);
        (name, capture)
    })
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/captures")
}

fn read(name: &str) -> Value {
    let text = fs::read(folder().join(name)).expect("a capture can be read");
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Counts and checks the bodies and records it comes across.
#[derive(Default)]
struct Seen {
    file: String,
    sent: usize,
    received: usize,
    refused: usize,
    faults: Vec<String>,
}

impl Seen {
    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.visit(value)),
            Value::Object(members) => {
                let (request, response) = (&value["request"], &value["response"]);
                if let Some(path) = request["path"].as_str() {
                    self.exchange(path, request, response);
                } else if value["kind"].is_string() {
                    self.executor(&value["what"]);
                } else if is_message(request) {
                    // Scenes note the bodies of scheduler calls alone.
                    self.sent(&[through::<scheduler::Call>], request, response);
                } else {
                    for (key, value) in members {
                        match value.get("data").filter(|_| key.starts_with("json.info_")) {
                            Some(data) => self.received(&[through::<v1::MasterInfo>], data),
                            None => self.visit(value),
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// One step of an executor's log: a call it made or an event it got.
    fn executor(&mut self, step: &Value) {
        if is_message(&step["request"]) {
            // The log leaves out the ids that are the same in every call.
            let mut call = step["request"].clone();
            for id in ["framework_id", "executor_id"] {
                let members = call.as_object_mut().expect("calls are objects");
                members.entry(id).or_insert_with(|| json!({"value": "x"}));
            }
            self.sent(&[through::<executor::Call>], &call, step);
        } else if is_message(step) {
            self.received(&[through::<executor::Event>], step);
        }
    }

    fn exchange(&mut self, path: &str, request: &Value, response: &Value) {
        let (calls, answers, events): (&[Through], &[Through], &[Through]) = match path {
            "/api/v1/scheduler" => (
                &[through::<scheduler::Call>],
                &[through::<scheduler::Response>],
                &[through::<scheduler::Event>],
            ),
            "/api/v1" | "/slave(1)/api/v1" => (
                &[through::<master::Call>, through::<agent::Call>],
                &[through::<master::Response>, through::<agent::Response>],
                &[through::<master::Event>, through::<agent::ProcessIo>],
            ),
            _ => return,
        };
        if request["body"].is_object() && binary(&request["body"]).is_none() {
            self.sent(calls, &request["body"], response);
        }
        // Scenes may sum an answer up, which then has no type.
        if is_message(&response["body"]) {
            self.received(answers, &response["body"]);
        }
        for record in response["records"].as_array().into_iter().flatten() {
            if binary(record).is_none() {
                self.received(events, record);
            }
        }
    }

    fn sent(&mut self, calls: &[Through], body: &Value, response: &Value) {
        let answer = response["body"].as_str().unwrap_or_default();
        let mut body = body.clone();
        let members = body.as_object_mut().expect("calls are objects");
        if let Some(text) = answer.strip_prefix("Failed to convert JSON into Call protobuf: ") {
            self.refused += 1;
            if text.ends_with(" framework_id.value") {
                // The scene leaves out the id, which was one without a value.
                members.insert("framework_id".to_owned(), json!({}));
            }
            let is_same = calls
                .iter()
                .any(|call| call(&body, Way::Sent) == Err(text.to_owned()));
            if !is_same {
                self.faults
                    .push(format!("{}: not refused with {text}: {body}", self.file));
            }
            return;
        }
        if answer.ends_with("Expecting 'type' to be present") {
            // An unknown type counts as none.
            members.remove("type");
        }
        self.sent += 1;
        self.check(calls, &body, Way::Sent);
    }

    fn received(&mut self, types: &[Through], value: &Value) {
        self.received += 1;
        self.check(types, value, Way::Received);
    }

    /// One of the types must keep the value.
    fn check(&mut self, types: &[Through], value: &Value, way: Way) {
        let faults: Vec<String> = types
            .iter()
            .map_while(|through| through(value, way).err())
            .collect();
        if faults.len() == types.len() {
            self.faults.push(format!("{}: {faults:?}", self.file));
        }
    }
}

fn is_message(value: &Value) -> bool {
    value["type"].is_string()
}

fn through<M>(value: &Value, way: Way) -> Result<(), String>
where
    M: prost::Message + prost::Name + Default,
{
    let message: M = json::from_value(value).map_err(|error| error.to_string())?;
    let mut written = vec![json::to_vec(&message)];
    if way == Way::Received {
        written.push(json::to_vec_with_defaults(&message));
    }
    for text in written {
        let ours: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if let Some(place) = difference(value, &ours, "") {
            return Err(format!("{} differs at {place}", M::full_name()));
        }
    }
    let text = json::to_string(&message);
    let ours = json::to_value(&message);
    let is_same = serde_json::from_str(&text).is_ok_and(|theirs: Value| theirs == ours);
    if is_same {
        Ok(())
    } else {
        Err(format!("{} has two values", M::full_name()))
    }
}

/// Decodes, encodes to the same bytes, and gives the JSON as a master prints it.
fn through_wire<M>(bytes: Bytes) -> Result<Value, String>
where
    M: prost::Message + prost::Name + Default + PartialEq + Clone,
{
    let message: M = wire::decode(bytes.clone()).map_err(|error| error.to_string())?;
    let encoded = wire::encode(&message);
    let text = json::to_vec_with_defaults(&message);
    let value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    // A master writes some messages in parts and not in the order of numbers, so
    // the lengths are compared. Two bytes an agent are beyond the contract.
    let beyond = 2 * text_count(&text, "\"agent_info\":");
    if encoded.len() + beyond != bytes.len() {
        return Err(format!(
            "{}: {} of {} bytes",
            M::full_name(),
            encoded.len(),
            bytes.len()
        ));
    }
    if wire::decode::<M>(encoded) != Ok(message.clone()) {
        return Err(format!("{} loses by its encoding", M::full_name()));
    }
    match json::from_slice::<M>(&json::to_vec(&message)) {
        Ok(again) if again == message => Ok(value),
        _ => Err(format!("{} loses by its JSON", M::full_name())),
    }
}

fn text_count(text: &[u8], part: &str) -> usize {
    String::from_utf8_lossy(text).matches(part).count()
}

fn scheduler_event() -> ThroughWire {
    through_wire::<scheduler::Event>
}

fn master_event() -> ThroughWire {
    through_wire::<master::Event>
}

fn binary(value: &Value) -> Option<Bytes> {
    let text = value
        .as_object()
        .filter(|members| members.len() == 1)?
        .get("base64")?;
    Some(Bytes::from(
        STANDARD
            .decode(text.as_str()?)
            .expect("captures hold valid base64"),
    ))
}

/// Where the values differ. Numbers are compared as numbers; a list without
/// elements is one that is not set.
fn difference(theirs: &Value, ours: &Value, at: &str) -> Option<String> {
    match (theirs, ours) {
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => (0..a.len())
            .find_map(|index| difference(&a[index], &b[index], &format!("{at}[{index}]"))),
        (Value::Object(a), Value::Object(b)) => {
            let is_set = |value: &Value| !value.as_array().is_some_and(Vec::is_empty);
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let at = format!("{at}.{key}");
                match (
                    a.get(key).filter(|v| is_set(v)),
                    b.get(key).filter(|v| is_set(v)),
                ) {
                    (Some(a), Some(b)) => difference(a, b, &at),
                    (None, None) => None,
                    (Some(_), None) if is_beyond_the_contract(&at) => None,
                    (a, b) => Some(format!("{at}: {a:?}, {b:?}")),
                }
            })
        }
        _ if theirs == ours => None,
        _ => Some(format!("{at}: {theirs}, {ours}")),
    }
}

/// A master prints what it knows of an agent itself, and so a field that
/// `mesos.v1.AgentInfo` does not have.
fn is_beyond_the_contract(path: &str) -> bool {
    path.ends_with(".agent_info.checkpoint")
        || (path.ends_with(".checkpoint") && path.contains(".recovered_agents["))
}

/// The paths of the JSON records in all captures, by type of event.
fn shapes(captures: &BTreeMap<String, Value>) -> BTreeMap<String, BTreeSet<String>> {
    fn visit(value: &Value, shapes: &mut BTreeMap<String, BTreeSet<String>>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| visit(value, shapes)),
            Value::Object(members) => {
                for record in value["records"].as_array().into_iter().flatten() {
                    if let Some(kind) = record["type"].as_str() {
                        shapes
                            .entry(kind.to_owned())
                            .or_default()
                            .extend(paths(record));
                    }
                }
                members.values().for_each(|value| visit(value, shapes));
            }
            _ => {}
        }
    }
    let mut shapes = BTreeMap::new();
    captures
        .values()
        .for_each(|capture| visit(capture, &mut shapes));
    shapes
}

/// The keys of a value from its root, lists merged, with the type of each leaf.
fn paths(value: &Value) -> BTreeSet<String> {
    fn visit(value: &Value, at: &str, paths: &mut BTreeSet<String>) {
        match value {
            Value::Array(values) => {
                values
                    .iter()
                    .for_each(|value| visit(value, &format!("{at}[]"), paths));
            }
            Value::Object(members) => {
                paths.insert(format!("{at} object"));
                for (key, value) in members {
                    let at = format!("{at}.{key}");
                    if !is_beyond_the_contract(&at) {
                        visit(value, &at, paths);
                    }
                }
            }
            Value::Number(_) => drop(paths.insert(format!("{at} number"))),
            Value::String(_) => drop(paths.insert(format!("{at} string"))),
            _ => drop(paths.insert(format!("{at} {value}"))),
        }
    }
    let mut found = BTreeSet::new();
    visit(value, "", &mut found);
    found
}
