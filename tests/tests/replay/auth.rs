//! Scenes of authentication and authorization: what each principal is answered,
//! and what the streams of those who may not say.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use mesos_local::security::{Acls, Secrets, Security};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::Response;
use mesos_tests::fixture::{Fixture, is_left_out};
use mesos_tests::framework::{Framework, Opened, framework_info};
use mesos_tests::{captures, compare};
use serde_json::{Value, json};

use crate::group::{adapted, check_story};

/// What is replayed here.
pub(crate) const AUTH: &[&str] = &[
    "auth-acls",
    "auth-agent",
    "auth-master-operator",
    "auth-master-scheduler",
];

/// Why they are not held with other masters.
const FLAGS: &str = "the flags of its servers are part of the scene";

/// The two principals that the scenes were recorded with.
fn secrets() -> Secrets {
    let pair = |who: &str, secret: &str| (who.to_owned(), secret.to_owned());
    [pair("alice", "a-secret"), pair("bob", "b-secret")]
        .into_iter()
        .collect()
}

fn security(recorded: &Value, flags: &str) -> Security {
    let flags: Vec<&str> = recorded["cluster"][flags]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let has = |flag: &str| flags.contains(&flag);
    let mut security = Security::default();
    security.authenticate_frameworks = has("--authenticate_http_frameworks");
    security.authenticate_readonly = has("--authenticate_http_readonly");
    security.authenticate_readwrite = has("--authenticate_http_readwrite");
    if let Some(acls) = flags.iter().find_map(|flag| flag.strip_prefix("--acls=")) {
        security.acls = Acls::parse(acls).unwrap();
    }
    security.secrets = secrets();
    security
}

/// A scene that is being replayed: ids of the recording and what they are here.
struct Scene<'a> {
    fixture: &'a Fixture,
    server: HostAddress,
    recorded: Value,
    ids: BTreeMap<String, String>,
    streams: BTreeMap<String, Opened>,
}

impl<'a> Scene<'a> {
    fn new(fixture: &'a Fixture, server: &HostAddress, recorded: Value) -> Self {
        Self {
            fixture,
            server: server.clone(),
            recorded,
            ids: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    /// A recorded text with the ids of this cluster.
    fn here(&self, text: &str) -> String {
        self.ids
            .iter()
            .fold(text.to_owned(), |text, (there, here)| {
                text.replace(there, here)
            })
    }

    async fn play(&mut self) {
        for action in self.recorded["actions"].as_array().unwrap().clone() {
            let what = action["what"].as_str().unwrap();
            let name = what
                .strip_prefix("an operator subscribes (")
                .and_then(|rest| rest.strip_suffix(')'))
                .or_else(|| what.split_once(" subscribes").map(|(name, _)| name));
            if let Some(name) = name {
                self.subscribe(name).await;
            } else if let Some(name) = what.split_once(" sends ").map(|(name, _)| name) {
                self.call(name, &action).await;
            } else if action["request"].is_object() {
                self.request(what, &action).await;
            }
        }
    }

    async fn subscribe(&mut self, name: &str) {
        let recorded = self.recorded["streams"][name].clone();
        let request = &recorded["request"];
        let expected = &recorded["response"];
        let body = self.here(&request["body"].to_string());
        let headers = self.headers(request);
        let path = request["path"].as_str().unwrap();
        let opened = self.fixture.open_as(path, headers, Bytes::from(body)).await;
        assert_eq!(json!(opened.status), expected["status"], "{name}");
        self.ids_of(name, expected, &opened).await;
        if expected["status"] != 200 {
            let challenge = &expected["headers"]["WWW-Authenticate"];
            assert_eq!(
                header(&opened.headers, "WWW-Authenticate"),
                *challenge,
                "{name}"
            );
            let text = self.here(expected["body"].as_str().unwrap());
            assert_eq!(opened.refusal, text, "{name}");
        } else if expected["records"][0]["type"] == "ERROR" {
            opened.records.closed().await;
            assert_eq!(json!(opened.records.all()), expected["records"], "{name}");
        }
        self.streams.insert(name.to_owned(), opened);
    }

    /// Learns which ids of the recording are which ones here.
    async fn ids_of(&mut self, name: &str, expected: &Value, opened: &Opened) {
        if let Some(there) = expected["headers"]["Mesos-Stream-Id"].as_str() {
            let here = opened.headers["Mesos-Stream-Id"].to_str().unwrap();
            self.ids.insert(there.to_owned(), here.to_owned());
        }
        let id = |record: &Value| {
            let id = &record["subscribed"]["framework_id"]["value"];
            id.as_str().map(str::to_owned)
        };
        let records = expected["records"].as_array();
        if let Some(there) = records.and_then(|records| records.iter().find_map(id)) {
            let here = opened.records.wait(name, id).await;
            self.ids.insert(there, here);
        }
    }

    /// A call on a stream, which needs the next offer when it is ACCEPT.
    async fn call(&mut self, name: &str, action: &Value) {
        let call = &action["request"];
        if call["type"] == "ACCEPT" {
            self.take_offer(name, call).await;
        }
        let stream = &self.recorded["streams"][name];
        let mut headers = self.headers(&stream["request"]);
        let opened = &self.streams[name];
        let stream_id = opened.headers["Mesos-Stream-Id"].clone();
        headers.insert("Mesos-Stream-Id", stream_id);
        let records = stream["response"]["records"].as_array().unwrap();
        let mut call = call.clone();
        call["framework_id"] = records[0]["subscribed"]["framework_id"].clone();
        let body = Bytes::from(self.here(&call.to_string()));
        let path = "/api/v1/scheduler";
        let response = self
            .fixture
            .transport
            .post(&self.server, path, headers, body);
        self.check(name, &response.await.unwrap(), &action["response"]);
    }

    async fn take_offer(&mut self, name: &str, call: &Value) {
        let there = call["accept"]["offer_ids"][0]["value"].as_str().unwrap();
        let number: usize = there.rsplit_once("-O").unwrap().1.parse().unwrap();
        let mut seen = 0;
        let opened = &self.streams[name];
        // Offers are few and come in order: the next one that nobody has used.
        let used: Vec<String> = self.ids.values().cloned().collect();
        let offer = |record: &Value| {
            let offers = record["offers"]["offers"].as_array()?;
            let offer = offers.iter().find(|offer| {
                let has_ports = offer["resources"].to_string().contains("\"ports\"");
                has_ports && !used.contains(&offer["id"]["value"].as_str().unwrap().to_owned())
            })?;
            seen += 1;
            Some(offer.clone())
        };
        let offer = opened.records.wait(&format!("offer {number}"), offer).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.ids
            .insert(there.to_owned(), text(&offer["id"]["value"]));
        let operations = &call["accept"]["operations"];
        let agent = find_agent(operations);
        if let Some(agent) = agent {
            self.ids.insert(agent, text(&offer["agent_id"]["value"]));
        }
    }

    async fn request(&mut self, what: &str, action: &Value) {
        let request = &action["request"];
        let path = request["path"].as_str().unwrap();
        let headers = self.headers(request);
        let transport = &self.fixture.transport;
        let response = if request["method"] == "GET" {
            transport.get(&self.server, path, headers).await
        } else {
            let body = Bytes::from(match &request["body"] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                body => self.here(&body.to_string()),
            });
            transport.post(&self.server, path, headers, body).await
        };
        let response = response.unwrap();
        if NOT_THERE.iter().any(|path| what.ends_with(path)) {
            return;
        }
        self.check(what, &response, &action["response"]);
    }

    /// The recorded headers; bodies that were recorded as JSON were sent as such.
    fn headers(&self, request: &Value) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if request["method"] != "GET" {
            for name in ["content-type", "accept"] {
                let name = HeaderName::from_static(name);
                headers.insert(name, "application/json".parse().unwrap());
            }
        }
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, self.here(value.as_str().unwrap()).parse().unwrap());
        }
        headers
    }

    /// Statuses and headers are the same; so are refusals, and answers that are
    /// short enough to have been recorded in full have the same shape.
    fn check(&self, what: &str, response: &Response, expected: &Value) {
        let body = response.text();
        assert_eq!(
            json!(response.status.as_u16()),
            expected["status"],
            "{what}: {body}"
        );
        for name in ["WWW-Authenticate", "Allow"] {
            let expected = &expected["headers"][name];
            assert_eq!(header(&response.headers, name), *expected, "{what}");
        }
        match &expected["body"] {
            Value::String(text) if !response.status.is_success() => {
                let text = self.here(text);
                assert_eq!(compare::text(&body), compare::text(&text), "{what}");
            }
            Value::Null | Value::String(_) => {}
            value => {
                let body: Value = serde_json::from_slice(&response.body).unwrap();
                if value.get("get_version").is_none() && value.get("version").is_none() {
                    assert!(is_within(value, &body), "{what}: {body}");
                }
            }
        }
    }
}

/// Endpoints that mesos-local does not have.
const NOT_THERE: &[&str] = &[
    "GET /",
    "GET /help",
    "GET /logging/toggle",
    "GET /system/stats.json",
    "GET /registrar(1)/registry",
];

/// Whether everything recorded is there; answers were trimmed to what matters.
fn is_within(recorded: &Value, here: &Value) -> bool {
    match (recorded, here) {
        (Value::Object(recorded), Value::Object(here)) => recorded
            .iter()
            .all(|(key, value)| here.get(key).is_some_and(|here| is_within(value, here))),
        (Value::Array(recorded), Value::Array(here)) => {
            recorded.len() == here.len()
                && recorded
                    .iter()
                    .all(|value| here.iter().any(|here| is_within(value, here)))
        }
        (Value::Array(_), Value::Object(_)) => {
            here["frameworks"].is_array() && is_within(recorded, &here["frameworks"])
        }
        (recorded, here) => recorded == here,
    }
}

fn find_agent(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => fields
            .get("agent_id")
            .and_then(|id| id["value"].as_str().map(str::to_owned))
            .or_else(|| fields.values().find_map(find_agent)),
        Value::Array(items) => items.iter().find_map(find_agent),
        _ => None,
    }
}

fn header(headers: &HeaderMap, name: &str) -> Value {
    let value = headers.get(name).map(|value| value.to_str().unwrap());
    value.map_or(Value::Null, Value::from)
}

#[tokio::test]
async fn schedulers_say_who_they_are() {
    if is_left_out(FLAGS) {
        return;
    }
    let recorded = captures::read("auth-master-scheduler");
    let security = security(&recorded, "master_flags");
    let fixture = Fixture::with(|config| config.security = security).await;
    let mut scene = Scene::new(&fixture, &fixture.master, recorded);
    scene.play().await;
    // The operator's teardown ends alice's stream.
    scene.streams["alice"].records.closed().await;
}

#[tokio::test]
async fn operators_say_who_they_are() {
    if is_left_out(FLAGS) {
        return;
    }
    let recorded = captures::read("auth-master-operator");
    let security = security(&recorded, "master_flags");
    let fixture = Fixture::with(|config| config.security = security).await;
    Scene::new(&fixture, &fixture.master, recorded).play().await;
}

#[tokio::test]
async fn agents_ask_who_is_there() {
    if is_left_out(FLAGS) {
        return;
    }
    let mut recorded = captures::read("auth-agent");
    let (tasks, requests): (Vec<Value>, Vec<Value>) = recorded["actions"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .partition(|action| action["what"].as_str().unwrap().starts_with("runs-tasks"));
    recorded["actions"] = json!(requests);
    let security = security(&recorded, "agent_flags");
    let fixture = Fixture::with(|config| config.security = security).await;
    let there = recorded["streams"]["runs-tasks"].clone();
    Scene::new(&fixture, &fixture.agent, recorded).play().await;
    executors_need_not(&fixture, &tasks, &there).await;
}

/// Executors need no credentials. The default one of Mesos makes its tasks with
/// the operator API of the agent, which does ask for some, and fails; the one
/// here is a part of the agent, and its task runs.
async fn executors_need_not(fixture: &Fixture, tasks: &[Value], there: &Value) {
    let f = Framework::subscribe(fixture, framework_info("runs-tasks"), None).await;
    for action in tasks {
        let Some(operations) = action["request"]["accept"].get("operations") else {
            continue;
        };
        let offer = f.offer().await;
        let mut operations = adapted(operations, &offer, &f.id);
        let executor = operations.pointer_mut("/0/launch/task_infos/0/executor");
        if let Some(executor) = executor {
            let program = env!("CARGO_BIN_EXE_test-executor");
            let name = executor["executor_id"]["value"].as_str().unwrap();
            let command = format!("exec '{program}' {name}");
            executor["command"] = json!({"shell": true, "value": command});
        }
        let response = f.accept(&offer["id"], operations).await;
        assert_eq!(
            json!(response.status.as_u16()),
            action["response"]["status"]
        );
    }
    let starting = ["TASK_STARTING", "TASK_RUNNING"];
    f.follow("command", &starting).await;
    f.follow("custom-1", &starting[1..]).await;
    f.follow("pod-a", &starting).await;
    check_story(
        "auth-agent",
        there,
        &f.stream.records.all(),
        &["command", "custom-1"],
    );
    let starting = |records: &[Value]| compare::story(records)["pod-a"][0].clone();
    let recorded = there["response"]["records"].as_array().unwrap();
    assert_eq!(starting(&f.stream.records.all()), starting(recorded));
    f.send(json!({"type": "TEARDOWN"})).await;
}

#[tokio::test]
async fn rules_say_who_may_do_what() {
    if is_left_out(FLAGS) {
        return;
    }
    let recorded = captures::read("auth-acls");
    let security = security(&recorded, "master_flags");
    let fixture = Fixture::with(|config| {
        config.security = security;
        config.allocation_interval = std::time::Duration::from_millis(20);
    })
    .await;
    let mut scene = Scene::new(&fixture, &fixture.master, recorded);
    scene.play().await;
    let there = &scene.recorded["streams"]["role-a"]["response"]["records"];
    let there = compare::story(there.as_array().unwrap());
    let records = &scene.streams["role-a"].records;
    for task in [
        "as-nobody",
        "pod-as-root",
        "pod-as-nobody",
        "operation op-1",
    ] {
        let told = |_: &Value| compare::story(&records.all()).get(task).cloned();
        let told = records.wait(task, told).await;
        // The object is printed as JSON, in the order of its fields' numbers.
        let start = |steps: &[String]| -> Vec<String> {
            let cut = |step: &String| step.split(" on object ").next().unwrap().to_owned();
            steps.iter().map(cut).collect()
        };
        assert_eq!(start(&told), start(&there[task]), "{task}");
    }
    // Who may see no framework and no task hears of none.
    for record in scene.streams["operator bob"].records.all() {
        let kind = record["type"].as_str().unwrap();
        assert!(matches!(kind, "SUBSCRIBED" | "HEARTBEAT"), "{record}");
    }
}
