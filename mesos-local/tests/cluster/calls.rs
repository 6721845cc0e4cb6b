//! Every call of the operator API, of masters and of agents, one by one: none
//! is unheard of, and each is answered as it should be.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

use std::net::SocketAddr;

use mesos_local::{AgentSpec, Cluster};
use serde_json::{Value, json};

use crate::client::{Subscription, framework, operate};

/// Messages, fields and values of the API.
const TABLE: &str = include_str!("../../../proto/tests/data/mesos-v1-wire.tsv");

/// Calls in an order in which they make sense: the status, the type, what goes
/// with it, and after the arrow the text of the answer or the part of it that is
/// named after the call. `..` is any message of the call's own type, and `~` the
/// first event of a stream.
const MASTER: &str = r#"
501 UNKNOWN => mesos-local knows no call of type UNKNOWN
200 GET_HEALTH => {"healthy":true}
200 GET_FLAGS => ..
200 GET_VERSION => ..
200 GET_METRICS {"timeout":$SECOND} => ..
400 SET_LOGGING_LEVEL {"level":128,"duration":$SECOND} => It's invalid to set logging level to 128 which is greater than 127
200 SET_LOGGING_LEVEL {"level":1,"duration":$HOUR} =>
200 GET_LOGGING_LEVEL => {"level":1}
200 LIST_FILES {"path":"/master/log"} => ..
404 LIST_FILES {"path":"/etc"} =>
200 READ_FILE {"path":"/master/log","offset":0} => {"size":0,"data":""}
404 READ_FILE {"path":"/etc/passwd","offset":0} =>
200 GET_STATE => ..
200 GET_AGENTS => ..
200 GET_FRAMEWORKS => ..
200 GET_EXECUTORS => {"executors":[]}
200 GET_OPERATIONS => {}
200 GET_TASKS => {"tasks":[],"unreachable_tasks":[],"completed_tasks":[]}
200 GET_ROLES => ..
200 GET_WEIGHTS => null
200 UPDATE_WEIGHTS {"weight_infos":[{"role":"db","weight":2.0}]} =>
200 GET_WEIGHTS => {"weight_infos":[{"role":"db","weight":2.0}]}
200 GET_MASTER => ..
200 SUBSCRIBE => ~SUBSCRIBED
400 RESERVE_RESOURCES {"agent_id":$NOBODY,"resources":[]} => No agent found with specified ID
400 RESERVE_RESOURCES {"agent_id":$AGENT,"resources":[{"name":"disk","type":"SCALAR","scalar":{"value":-1}}]} => Failed to validate master::Call: Resource 'disk:-1' is invalid: Invalid scalar resource: value <= 0
202 RESERVE_RESOURCES {"agent_id":$AGENT,"resources":[$DISK64]} =>
202 CREATE_VOLUMES {"agent_id":$AGENT,"volumes":[$VOLUME32]} =>
400 GROW_VOLUME {"volume":$VOLUME32,"addition":$DISK32} => Failed to validate master::Call: Expecting 'agent_id' to be present; only agent default resources are supported right now
202 GROW_VOLUME {"agent_id":$AGENT,"volume":$VOLUME32,"addition":$DISK32} =>
202 SHRINK_VOLUME {"agent_id":$AGENT,"volume":$VOLUME64,"subtract":{"value":32}} =>
202 DESTROY_VOLUMES {"agent_id":$AGENT,"volumes":[$VOLUME32]} =>
202 UNRESERVE_RESOURCES {"agent_id":$AGENT,"resources":[$DISK64]} =>
409 UNRESERVE_RESOURCES {"agent_id":$AGENT,"resources":[$DISK64]} => cpus:8; mem:1024; disk:1024; ports:[31000-32000] does not contain disk(reservations: [(DYNAMIC,db)]):64
200 DEACTIVATE_AGENT {"agent_id":$AGENT} =>
400 DEACTIVATE_AGENT {"agent_id":$NOBODY} => Unknown agent
200 REACTIVATE_AGENT {"agent_id":$AGENT} =>
400 REACTIVATE_AGENT {"agent_id":$AGENT} => Agent is not deactivated
400 DRAIN_AGENT {"agent_id":$NOBODY} => Unknown agent
200 DRAIN_AGENT {"agent_id":$AGENT,"max_grace_period":{"seconds":2}} =>
200 GET_QUOTA => ..
200 UPDATE_QUOTA {"quota_configs":[{"role":"db","limits":{"cpus":{"value":1.0}}}]} =>
200 UPDATE_QUOTA {"quota_configs":[{"role":"db"}]} =>
200 SET_QUOTA {"quota_request":{"role":"db","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]}} =>
200 REMOVE_QUOTA {"role":"db"} =>
400 REMOVE_QUOTA {"role":"db"} => Failed to remove quota: Role 'db' has no quota set
400 START_MAINTENANCE {"machines":[$MACHINE]} => Machine '$MACHINE' is not part of a maintenance schedule
200 UPDATE_MAINTENANCE_SCHEDULE {"schedule":{"windows":[{"machine_ids":[$MACHINE],"unavailability":{"start":$SECOND}}]}} =>
200 GET_MAINTENANCE_SCHEDULE => {"schedule":{"windows":[{"machine_ids":[$MACHINE],"unavailability":{"start":$SECOND}}]}}
200 GET_MAINTENANCE_STATUS => {"status":{"draining_machines":[{"id":$MACHINE}]}}
400 STOP_MAINTENANCE {"machines":[$MACHINE]} => Machine '$MACHINE' is not in DOWN mode and cannot be brought up
200 START_MAINTENANCE {"machines":[$MACHINE]} =>
200 GET_MAINTENANCE_STATUS => {"status":{"down_machines":[$MACHINE]}}
200 STOP_MAINTENANCE {"machines":[$MACHINE]} =>
400 TEARDOWN {"framework_id":$NOBODY} => No framework found with specified ID
200 TEARDOWN {"framework_id":$FRAMEWORK} =>
404 MARK_AGENT_GONE {"agent_id":$NOBODY} => Agent 'nobody' not found
200 MARK_AGENT_GONE {"agent_id":$AGENT} =>
"#;

const AGENT: &str = r#"
501 UNKNOWN => mesos-local knows no call of type UNKNOWN
200 GET_HEALTH => {"healthy":true}
200 GET_FLAGS => ..
200 GET_VERSION => ..
200 GET_METRICS {"timeout":$SECOND} => ..
200 GET_LOGGING_LEVEL => {"level":0}
400 SET_LOGGING_LEVEL {"level":128,"duration":$SECOND} => It's invalid to set logging level to 128 which is greater than 127
200 SET_LOGGING_LEVEL {"level":1,"duration":$HOUR} =>
200 GET_LOGGING_LEVEL => {"level":1}
404 LIST_FILES {"path":"/etc"} =>
404 READ_FILE {"path":"/etc/passwd","offset":0} =>
200 GET_STATE => ..
200 GET_CONTAINERS => {}
200 GET_CONTAINERS {"show_nested":true,"show_standalone":true} => {}
200 GET_FRAMEWORKS => {"frameworks":[],"completed_frameworks":[]}
200 GET_EXECUTORS => {"executors":[],"completed_executors":[]}
200 GET_OPERATIONS => {}
200 GET_TASKS => ..
200 GET_AGENT => ..
200 GET_RESOURCE_PROVIDERS => {}
400 LAUNCH_NESTED_CONTAINER {"container_id":$INNER,"command":$COMMAND} => Parent container nobody does not exist
404 WAIT_NESTED_CONTAINER {"container_id":$INNER} => Container nobody.inner cannot be found
404 KILL_NESTED_CONTAINER {"container_id":$INNER} => Container 'nobody.inner' cannot be found (or is already killed)
200 REMOVE_NESTED_CONTAINER {"container_id":$INNER} =>
400 LAUNCH_NESTED_CONTAINER_SESSION {"container_id":$INNER,"command":$COMMAND} => Parent container nobody does not exist
415 ATTACH_CONTAINER_INPUT {"type":"CONTAINER_ID","container_id":$NOBODY} => Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call
404 ATTACH_CONTAINER_OUTPUT {"container_id":$NOBODY} => Container nobody cannot be found
200 LAUNCH_CONTAINER {"container_id":{"value":"alone"},"command":$COMMAND} =>
202 LAUNCH_CONTAINER {"container_id":{"value":"alone"},"command":$COMMAND} =>
200 KILL_CONTAINER {"container_id":{"value":"alone"}} =>
200 WAIT_CONTAINER {"container_id":{"value":"alone"}} => {"exit_status":9}
404 WAIT_CONTAINER {"container_id":$NOBODY} => Container nobody cannot be found
200 REMOVE_CONTAINER {"container_id":{"value":"alone"}} =>
501 ADD_RESOURCE_PROVIDER_CONFIG {"info":$PLUGIN} => mesos-local has no storage plugins: ADD_RESOURCE_PROVIDER_CONFIG is not supported
501 UPDATE_RESOURCE_PROVIDER_CONFIG {"info":$PLUGIN} => mesos-local has no storage plugins: UPDATE_RESOURCE_PROVIDER_CONFIG is not supported
501 REMOVE_RESOURCE_PROVIDER_CONFIG $PLUGIN => mesos-local has no storage plugins: REMOVE_RESOURCE_PROVIDER_CONFIG is not supported
501 MARK_RESOURCE_PROVIDER_GONE {"resource_provider_id":$NOBODY} => mesos-local has no storage plugins: MARK_RESOURCE_PROVIDER_GONE is not supported
501 PRUNE_IMAGES => mesos-local has no image store: PRUNE_IMAGES is not supported
"#;

/// What the words with a sign stand for.
const WORDS: &[(&str, &str)] = &[
    ("$SECOND", r#"{"nanoseconds":1000000000}"#),
    ("$HOUR", r#"{"nanoseconds":3600000000000}"#),
    ("$NOBODY", r#"{"value":"nobody"}"#),
    ("$INNER", r#"{"value":"inner","parent":{"value":"nobody"}}"#),
    ("$COMMAND", r#"{"shell":true,"value":"sleep 1000"}"#),
    (
        "$PLUGIN",
        r#"{"type":"org.apache.mesos.rp.test","name":"test"}"#,
    ),
    ("$MACHINE", r#"{"hostname":"nowhere","ip":"127.0.0.99"}"#),
    ("$VOLUME32", r#"{"disk":$VOLUME,$RESERVED32}"#),
    ("$VOLUME64", r#"{"disk":$VOLUME,$RESERVED64}"#),
    ("$DISK32", "{$RESERVED32}"),
    ("$DISK64", "{$RESERVED64}"),
    (
        "$VOLUME",
        r#"{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"data"}}"#,
    ),
    ("$RESERVED32", r#""scalar":{"value":32},$RESERVED"#),
    ("$RESERVED64", r#""scalar":{"value":64},$RESERVED"#),
    (
        "$RESERVED",
        r#""name":"disk","type":"SCALAR","reservations":[{"type":"DYNAMIC","role":"db"}]"#,
    ),
];

/// A call, and what it is answered with.
#[derive(Debug)]
struct Row {
    status: u16,
    kind: String,
    body: Option<Value>,
    answer: String,
}

fn rows(text: &str, words: &[(&str, &Value)]) -> Vec<Row> {
    let mut text = text.to_owned();
    for (word, value) in words {
        text = text.replace(word, &value.to_string());
    }
    for (word, value) in WORDS {
        text = text.replace(word, value);
    }
    let row = |line: &str| {
        let (call, answer) = line.split_once(" =>").unwrap();
        let mut parts = call.splitn(3, ' ');
        Row {
            status: parts.next().unwrap().parse().unwrap(),
            kind: parts.next().unwrap().to_owned(),
            body: parts.next().map(|body| serde_json::from_str(body).unwrap()),
            answer: answer.trim().to_owned(),
        }
    };
    text.trim().lines().map(row).collect()
}

fn call(kind: &str, body: Option<&Value>) -> Value {
    let mut call = json!({"type": kind});
    if let Some(body) = body {
        call[kind.to_lowercase()] = body.clone();
    }
    call
}

async fn check(address: SocketAddr, row: &Row) {
    let call = call(&row.kind, row.body.as_ref());
    if let Some(first) = row.answer.strip_prefix('~') {
        let mut stream = Subscription::start(address, "/api/v1", &call).await;
        assert_eq!(stream.next().await.unwrap()["type"], first);
        return;
    }
    let answer = operate(address, &call).await;
    let text = answer.text();
    assert_eq!(answer.status, row.status, "{row:?}: {text}");
    if row.status != 200 || row.answer.is_empty() {
        assert_eq!(text, row.answer, "{}", row.kind);
        return;
    }
    let message = answer.json();
    assert_eq!(message["type"], row.kind);
    if row.answer != ".." {
        let part: Value = serde_json::from_str(&row.answer).unwrap();
        assert_eq!(message[row.kind.to_lowercase()], part, "{}", row.kind);
    }
}

/// The names of the rows of a message or an enum.
fn names(of: &str) -> Vec<&'static str> {
    let rows = TABLE.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let names: Vec<_> = rows.filter(|row| row[0] == of).map(|row| row[1]).collect();
    assert!(!names.is_empty(), "{of} is not in the table");
    names
}

/// Makes every call of a table, before that without what it needs.
async fn walk(address: SocketAddr, api: &str, optional: &[&str], rows: &[Row]) {
    let fields = names(&format!("mesos.v1.{api}.Call"));
    for kind in names(&format!("mesos.v1.{api}.Call.Type")) {
        assert!(rows.iter().any(|row| row.kind == kind), "{kind} is missing");
    }
    for row in rows {
        let field = row.kind.to_lowercase();
        if fields.contains(&field.as_str()) && !optional.contains(&row.kind.as_str()) {
            let answer = operate(address, &call(&row.kind, None)).await;
            let text = format!("Failed to validate {api}::Call: Expecting '{field}' to be present");
            assert_eq!((answer.status, answer.text()), (400, text), "{}", row.kind);
        }
        check(address, row).await;
    }
    let text = format!("Failed to validate {api}::Call: Expecting 'type' to be present");
    for call in [json!({}), json!({"type": "NO_SUCH_CALL"})] {
        let answer = operate(address, &call).await;
        assert_eq!((answer.status, answer.text()), (400, text.clone()));
    }
}

async fn start() -> Cluster {
    let agent = AgentSpec::new("cpus:8;mem:1024;disk:1024;ports:[31000-32000]");
    Cluster::builder().agent(agent).start().await.unwrap()
}

#[tokio::test]
async fn a_master_knows_every_call() {
    let cluster = start().await;
    let master = cluster.master_address();
    let mut scheduler = Subscription::open(master, framework("walked")).await;
    let offer = scheduler.offer().await;
    let agent = offer["agent_id"].clone();
    // From now on nobody holds anything of the agent.
    scheduler.call("SUPPRESS", json!({"suppress": {}})).await;
    let decline = json!({"decline": {"offer_ids": [offer["id"]]}});
    scheduler.call("DECLINE", decline).await;
    let framework = json!({"value": scheduler.framework_id});
    let rows = rows(MASTER, &[("$AGENT", &agent), ("$FRAMEWORK", &framework)]);
    walk(master, "master", &[], &rows).await;
}

#[tokio::test]
async fn an_agent_knows_every_call() {
    let cluster = start().await;
    let optional = ["GET_CONTAINERS", "PRUNE_IMAGES"];
    let agent = cluster.agent_addresses()[0];
    walk(agent, "agent", &optional, &rows(AGENT, &[])).await;
}
