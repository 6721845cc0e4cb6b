//! The recorded dialogues, held again: same status, same text, same story of
//! each task, same shapes, up to ids, times and host names.
//!
//! Each group of dialogues is one test and has a list of what it replays; the
//! last test lists what no group replays, with the reason.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use mesos_sdk::transport::Response;
use mesos_tests::captures;
use mesos_tests::compare::{self, story};
use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, JSON, SCHEDULER, framework_info, launch, resources, task};
use serde_json::{Value, json};

/// Requests that need nothing but a master.
const REQUESTS: &[&str] = &[
    "http-bad-accept",
    "http-bad-content-type",
    "http-bad-json",
    "http-bad-protobuf",
    "http-call-unknown-framework",
    "http-call-without-framework-id",
    "http-empty-content-type",
    "http-empty-object",
    "http-get-405",
    "http-subscribe-id-mismatch",
    "http-subscribe-missing-body",
    "http-subscribe-missing-required-user",
    "http-subscribe-with-stream-id",
    "http-unknown-type",
];

/// Subscriptions that are refused on their stream.
const REFUSED_SUBSCRIPTIONS: &[&str] = &["subscribe-bad-role", "subscribe-role-and-roles"];

const LIFECYCLE: &[&str] = &[
    "accept-bad-task-id",
    "accept-duplicate-task-id",
    "accept-launch",
    "accept-negative-resource",
    "accept-no-command",
    "accept-no-operations",
    "accept-no-resources",
    "accept-overcommit",
    "accept-stale-offer",
    "accept-unknown-offer",
    "accept-wrong-agent",
    "ack-again-task_running",
    "ack-again-task_starting",
    "ack-bad-uuid",
    "ack-task_running",
    "ack-task_starting",
    "ack-unknown",
    "call-after-teardown",
    "call-on-old-stream",
    "decline",
    "decline-unknown",
    "kill",
    "kill-unknown",
    "message-unknown",
    "missing-stream-id",
    "reconcile-explicit",
    "reconcile-implicit",
    "reconcile-unknown",
    "request",
    "revive",
    "shutdown-executor",
    "stream-after-teardown",
    "stream-failover",
    "stream-lifecycle",
    "subscribe-unknown-framework-id",
    "suppress",
    "teardown",
    "wrong-stream-id",
];

const STATEFUL: &[&str] = &[
    "accept-destroy",
    "accept-reserve-create",
    "accept-reserve-too-much",
    "accept-unreserve",
    "reconcile-operations",
    "stream-stateful",
];

const READS: &[&str] = &[
    "agent-files-browse",
    "agent-files-browse-missing",
    "agent-files-download",
    "agent-files-read",
    "agent-files-read-missing",
    "agent-files-read-size",
    "agent-get_health",
    "agent-get_version",
    "agent-http-health",
    "agent-http-version",
    "agent-list-files",
    "agent-read-file",
    "master-get_agents",
    "master-get_health",
    "master-get_maintenance_schedule",
    "master-get_master",
    "master-get_roles",
    "master-get_version",
    "master-get_weights",
    "master-http-health",
    "master-http-master-state.json",
    "master-http-no-such",
    "master-http-redirect",
    "master-http-roles",
    "master-http-slaves",
    "master-http-version",
    "master-subscribe-stream",
    "master-teardown-unknown",
    "master-unknown-call",
];

/// Dialogues that no group here replays: how their names begin, and why.
const NOT_REPLAYED: &[(&str, &str)] = &[
    (
        "accept-inverse-offers",
        "needs maintenance windows, which mesos-local does not have yet",
    ),
    (
        "accept-launch-custom-executor",
        "needs custom executors, which mesos-local does not run yet",
    ),
    (
        "accept-launch-group",
        "needs the default executor, which mesos-local does not have yet",
    ),
    (
        "agent-get_",
        "shows a task group besides; shapes are compared by the agent's own tests",
    ),
    (
        "agent-http-",
        "shows a task group besides; shapes are compared by the agent's own tests",
    ),
    (
        "agent-launch-nested-container-session",
        "needs nested containers, which mesos-local does not have yet",
    ),
    (
        "alloc-",
        "scenes of several frameworks; the allocator's own tests hold their rules",
    ),
    (
        "auth-",
        "needs authentication, which mesos-local does not have yet",
    ),
    (
        "check-",
        "scenes of checks; the agent's own tests hold their rules",
    ),
    (
        "docker-",
        "needs the Docker engine, which mesos-local does not use yet",
    ),
    (
        "executor-",
        "needs custom executors, which mesos-local does not run yet",
    ),
    (
        "fault-",
        "scenes of failures; the tests of the models and of the cluster hold their rules",
    ),
    (
        "fetch-uris",
        "needs the recorded file server; the fetcher's own tests hold its rules",
    ),
    (
        "master-deactivate_agent",
        "deactivating agents is not there yet",
    ),
    ("master-drain_agent", "draining agents is not there yet"),
    (
        "master-get_agents-drained",
        "draining agents is not there yet",
    ),
    (
        "master-get_agents-protobuf",
        "protobuf twins are compared by capture_json",
    ),
    (
        "master-get_executors",
        "shows a task group; executors are not there yet",
    ),
    (
        "master-get_flags",
        "flags that mean nothing to mesos-local are not shown",
    ),
    (
        "master-get_frameworks",
        "shows a task group besides; compared by the views' own tests",
    ),
    (
        "master-get_logging_level",
        "there is no logging level to read or set",
    ),
    (
        "master-get_maintenance_status",
        "needs maintenance windows, which mesos-local does not have yet",
    ),
    (
        "master-get_master-protobuf",
        "protobuf twins are compared by capture_json",
    ),
    (
        "master-get_metrics",
        "most of Mesos's counters mean nothing here; compared by the views' own tests",
    ),
    (
        "master-get_operations",
        "operations of agents without plugins are done at once and not kept",
    ),
    ("master-get_quota", "quota is not there yet"),
    (
        "master-get_state",
        "shows a task group besides; compared by the views' own tests",
    ),
    (
        "master-get_tasks",
        "shows a task group besides; compared by the views' own tests",
    ),
    (
        "master-get_version-protobuf",
        "protobuf twins are compared by capture_json",
    ),
    ("master-get_weights-set", "setting weights is not there yet"),
    (
        "master-http-frameworks",
        "shows a task group besides; compared by the views' own tests",
    ),
    (
        "master-http-maintenance",
        "needs maintenance windows, which mesos-local does not have yet",
    ),
    (
        "master-http-metrics-snapshot",
        "most of Mesos's counters mean nothing here",
    ),
    ("master-http-quota", "quota is not there yet"),
    (
        "master-http-state",
        "shows a task group besides; compared by the views' own tests",
    ),
    (
        "master-http-tasks",
        "shows a task group besides; compared by the views' own tests",
    ),
    (
        "master-http-weights",
        "weights over the older endpoint are not there yet",
    ),
    ("master-list-files", "mesos-local keeps no log file"),
    (
        "master-mark_agent_gone",
        "marking agents gone is not there yet",
    ),
    (
        "master-reactivate_agent",
        "deactivating agents is not there yet",
    ),
    ("master-subscribe-drain", "draining agents is not there yet"),
    (
        "master-teardown",
        "an operator's teardown of the drained framework; compared by the operator API's own tests",
    ),
    (
        "master-update_",
        "setting weights, quota and maintenance is not there yet",
    ),
    (
        "message",
        "needs custom executors, which mesos-local does not run yet",
    ),
    ("stream-drained", "draining agents is not there yet"),
    (
        "stream-executor-dies",
        "needs custom executors, which mesos-local does not run yet",
    ),
    (
        "stream-heartbeat",
        "takes 30 seconds; heartbeats are tested with the model's own time",
    ),
    (
        "stream-pods",
        "needs the default executor, which mesos-local does not have yet",
    ),
    (
        "stream-with-executor",
        "needs custom executors, which mesos-local does not run yet",
    ),
    (
        "subscribe-accept-protobuf",
        "read by capture_json; the protobuf dialogue is in the conformance tests",
    ),
    (
        "zookeeper-detection",
        "read by the tests of master detection",
    ),
];

/// Recorded dialogues, and which of them a test has looked at.
struct Group {
    names: &'static [&'static str],
    used: Mutex<BTreeSet<&'static str>>,
}

impl Group {
    fn new(names: &'static [&'static str]) -> Self {
        Self {
            names,
            used: Mutex::default(),
        }
    }

    fn read(&self, name: &str) -> Value {
        let listed = self.names.iter().find(|listed| **listed == name);
        let listed = listed.unwrap_or_else(|| panic!("{name} is not listed"));
        self.used.lock().unwrap().insert(listed);
        captures::read(name)
    }

    /// The response has the recorded status and, up to ids, the recorded text.
    fn check(&self, name: &str, response: &Response) {
        let recorded = &self.read(name)["response"];
        assert_eq!(
            Some(u64::from(response.status.as_u16())),
            recorded["status"].as_u64(),
            "{name}: {}",
            response.text()
        );
        for header in ["content-type", "allow", "www-authenticate"] {
            let fields = recorded["headers"].as_object().cloned().unwrap_or_default();
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
                let got: Value = serde_json::from_slice(&response.body)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                self.check_shape(name, body, &got);
            }
        }
    }

    /// Whatever was recorded is there, in the same place and of the same type.
    fn check_shape(&self, name: &str, recorded: &Value, got: &Value) {
        // A master of Mesos shows whether agents checkpoint in a field that the
        // API does not describe.
        let is_described = |path: &&String| !path.contains("agent_info.checkpoint");
        let recorded = compare::shape(recorded);
        let got = compare::shape(got);
        let lacking: Vec<_> = recorded.difference(&got).filter(is_described).collect();
        assert!(lacking.is_empty(), "{name} lacks {lacking:#?}");
    }

    fn all_used(&self) {
        let used = self.used.lock().unwrap();
        let unused: Vec<_> = self
            .names
            .iter()
            .filter(|name| !used.contains(*name))
            .collect();
        assert!(unused.is_empty(), "listed but not replayed: {unused:?}");
    }
}

fn body_of(request: &Value) -> Vec<u8> {
    use base64::Engine as _;
    match &request["body"] {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(fields) if fields.contains_key("base64") => {
            let text = fields["base64"].as_str().unwrap();
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap()
        }
        body => body.to_string().into_bytes(),
    }
}

#[tokio::test]
async fn requests_that_are_refused() {
    let fixture = Fixture::start().await;
    let group = Group::new(REQUESTS);
    for name in REQUESTS {
        let request = &captures::read(name)["request"];
        let path = request["path"].as_str().unwrap();
        let headers = request["headers"].as_object().unwrap();
        let headers: Vec<_> = headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str().unwrap()))
            .collect();
        let response = if request["method"] == "GET" {
            fixture
                .transport
                .get(&fixture.master, path, http::HeaderMap::new())
                .await
                .unwrap()
        } else {
            fixture.post(path, &headers, &body_of(request)).await
        };
        group.check(name, &response);
    }
    group.all_used();
}

#[tokio::test]
async fn subscriptions_that_are_refused() {
    let fixture = Fixture::start().await;
    let group = Group::new(REFUSED_SUBSCRIPTIONS);
    for name in REFUSED_SUBSCRIPTIONS {
        let recorded = group.read(name);
        let stream = fixture.open(SCHEDULER, &recorded["request"]["body"]).await;
        assert_eq!(stream.status, 200);
        stream.records.closed().await;
        assert_eq!(
            json!(stream.records.all()),
            recorded["response"]["records"],
            "{name}"
        );
        assert!(stream.headers.contains_key("Mesos-Stream-Id"));
    }
    group.all_used();
}

/// Compares what was told of some tasks with what was recorded.
fn check_story(name: &str, recorded: &Value, records: &[Value], tasks: &[&str]) {
    let expected = story(recorded["response"]["records"].as_array().unwrap());
    let got: BTreeMap<String, Vec<String>> = story(records);
    for task in tasks {
        assert_eq!(got.get(*task), expected.get(*task), "{name}: {task}");
    }
}

#[tokio::test]
async fn the_life_of_tasks_and_of_a_framework() {
    let fixture = Fixture::start().await;
    let group = Group::new(LIFECYCLE);
    let f = Framework::subscribe(&fixture, framework_info("lifecycle"), None).await;

    // A task that ends by itself.
    let offer = f.offer().await;
    let operations = launch([task(&offer, "task-life", "echo hello; sleep 0.1")]);
    group.check("accept-launch", &f.accept(&offer["id"], operations).await);
    for state in ["TASK_STARTING", "TASK_RUNNING"] {
        let status = f.update("task-life", state).await;
        let state = state.to_lowercase();
        group.check(&format!("ack-{state}"), &f.acknowledge(&status).await);
        group.check(&format!("ack-again-{state}"), &f.acknowledge(&status).await);
    }
    f.follow("task-life", &["TASK_FINISHED"]).await;
    // Failures.
    f.launch(|offer| task(offer, "task-exit-3", "exit 3")).await;
    f.follow(
        "task-exit-3",
        &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"],
    )
    .await;
    f.launch(|offer| {
        let mut task = task(offer, "task-no-command", "");
        task["command"] = json!({"shell": false, "value": "/no/such/program", "arguments": ["x"]});
        task
    })
    .await;
    f.follow(
        "task-no-command",
        &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"],
    )
    .await;

    // Reconciliation and killing.
    let offer = f
        .launch(|offer| task(offer, "task-kill", "sleep 1000"))
        .await;
    let agent_id = offer["agent_id"].clone();
    f.follow("task-kill", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    let count = || {
        f.stream
            .records
            .all()
            .iter()
            .filter(|r| r["update"]["status"]["reason"] == "REASON_RECONCILIATION")
            .count()
    };
    let reconcile =
        |tasks: Value| f.send(json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}}));
    let known = json!([{"task_id": {"value": "task-kill"}, "agent_id": agent_id}]);
    group.check("reconcile-explicit", &reconcile(known).await);
    f.stream
        .records
        .wait("an answer", |_| (count() == 1).then_some(()))
        .await;
    group.check("reconcile-implicit", &reconcile(json!([])).await);
    f.stream
        .records
        .wait("an answer", |_| (count() == 2).then_some(()))
        .await;
    let ghosts = json!([
        {"task_id": {"value": "ghost"}},
        {"task_id": {"value": "ghost2"}, "agent_id": {"value": "no-such-agent"}},
        {"task_id": {"value": "ghost3"}, "agent_id": agent_id},
    ]);
    group.check("reconcile-unknown", &reconcile(ghosts).await);
    f.stream
        .records
        .wait("answers", |_| (count() == 5).then_some(()))
        .await;
    let kill =
        json!({"type": "KILL", "kill": {"task_id": {"value": "task-kill"}, "agent_id": agent_id}});
    group.check("kill", &f.send(kill).await);
    f.follow("task-kill", &["TASK_KILLING", "TASK_KILLED"])
        .await;
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "ghost"}}});
    group.check("kill-unknown", &f.send(kill).await);
    f.stream
        .records
        .wait("an answer", |_| (count() == 6).then_some(()))
        .await;

    refused_launches(&group, &f).await;
    calls_of_all_kinds(&group, &fixture, &f).await;
    let recorded = group.read("stream-lifecycle");
    let tasks = [
        "task-life",
        "task-exit-3",
        "task-no-command",
        "task-kill",
        "ghost",
        "ghost2",
        "ghost3",
        "task-too-big",
        "task-stale-offer",
        "task-bad-offer",
        "bad/id",
        "task-other-agent",
        "task-no-resources",
        "task-no-command-nor-executor",
        "x",
    ];
    check_story(
        "stream-lifecycle",
        &recorded,
        &f.stream.records.all(),
        &tasks,
    );

    failover(&group, &fixture, f).await;
    teardown(&group, &fixture).await;
    group.all_used();
}

async fn refused_launches(group: &Group, f: &Framework<'_>) {
    let refused = |name: &'static str, make: fn(&Value) -> Value, state: &'static str| async move {
        let offer = f.offer().await;
        let task = make(&offer);
        let id = task["task_id"]["value"].as_str().unwrap().to_owned();
        group.check(name, &f.accept(&offer["id"], launch([task])).await);
        f.update(&id, state).await;
        offer
    };
    let too_big = |offer: &Value| {
        with(
            offer,
            "task-too-big",
            "resources",
            resources(10_000.0, 32.0),
        )
    };
    let offer = refused("accept-overcommit", too_big, "TASK_ERROR").await;
    let stale = task(&offer, "task-stale-offer", "true");
    group.check(
        "accept-stale-offer",
        &f.accept(&offer["id"], launch([stale])).await,
    );
    f.update("task-stale-offer", "TASK_DROPPED").await;
    let unknown = task(&offer, "task-bad-offer", "true");
    group.check(
        "accept-unknown-offer",
        &f.accept(&json!({"value": "no-such-offer"}), launch([unknown]))
            .await,
    );
    f.update("task-bad-offer", "TASK_DROPPED").await;
    refused(
        "accept-bad-task-id",
        |offer| task(offer, "bad/id", "true"),
        "TASK_ERROR",
    )
    .await;
    let other = |offer: &Value| {
        with(
            offer,
            "task-other-agent",
            "agent_id",
            json!({"value": "other-agent"}),
        )
    };
    refused("accept-wrong-agent", other, "TASK_ERROR").await;
    refused(
        "accept-no-resources",
        |offer| with(offer, "task-no-resources", "resources", json!([])),
        "TASK_ERROR",
    )
    .await;
    let nothing = |offer: &Value| {
        let mut task = task(offer, "task-no-command-nor-executor", "true");
        task.as_object_mut().unwrap().remove("command");
        task
    };
    refused("accept-no-command", nothing, "TASK_ERROR").await;
    let negative = |offer: &Value| {
        with(
            offer,
            "x",
            "resources",
            json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": -1}}]),
        )
    };
    refused("accept-negative-resource", negative, "TASK_ERROR").await;
    let offer = f.offer().await;
    let twice = launch([
        task(&offer, "task-dup", "sleep 1000"),
        task(&offer, "task-dup", "sleep 1000"),
    ]);
    group.check(
        "accept-duplicate-task-id",
        &f.accept(&offer["id"], twice).await,
    );
    f.update("task-dup", "TASK_ERROR").await;
    f.update("task-dup", "TASK_STARTING").await;
    let offer = f.offer().await;
    group.check(
        "accept-no-operations",
        &f.accept(&offer["id"], json!([])).await,
    );
}

fn with(offer: &Value, id: &str, field: &str, value: Value) -> Value {
    let mut task = task(offer, id, "true");
    task[field] = value;
    task
}

async fn calls_of_all_kinds(group: &Group, fixture: &Fixture, f: &Framework<'_>) {
    let offer = f.offer().await;
    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 1.0}}});
    group.check("decline", &f.send(decline).await);
    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": "nope"}]}});
    group.check("decline-unknown", &f.send(decline).await);
    group.check("suppress", &f.send(json!({"type": "SUPPRESS"})).await);
    group.check("revive", &f.send(json!({"type": "REVIVE"})).await);
    let acknowledge = |uuid: &str| json!({"type": "ACKNOWLEDGE", "acknowledge": {"agent_id": {"value": "nope"}, "task_id": {"value": "nope"}, "uuid": uuid}});
    group.check(
        "ack-unknown",
        &f.send(acknowledge("AAAAAAAAAAAAAAAAAAAAAA==")).await,
    );
    group.check("ack-bad-uuid", &f.send(acknowledge("c2hvcnQ=")).await);
    let other = "3ae15b53-9a37-4dda-b58b-c25f4b178123";
    group.check(
        "wrong-stream-id",
        &f.send_on(other, json!({"type": "REVIVE"})).await,
    );
    let body = json!({"type": "REVIVE", "framework_id": {"value": f.id}}).to_string();
    group.check(
        "missing-stream-id",
        &fixture.post(SCHEDULER, &JSON, body.as_bytes()).await,
    );
    let message = json!({"type": "MESSAGE", "message": {"agent_id": {"value": "nope"}, "executor_id": {"value": "nope"}, "data": "aGk="}});
    group.check("message-unknown", &f.send(message).await);
    group.check(
        "request",
        &f.send(json!({"type": "REQUEST", "request": {"requests": []}}))
            .await,
    );
}

async fn failover(group: &Group, fixture: &Fixture, f: Framework<'_>) {
    f.launch(|offer| task(offer, "task-survives", "sleep 1000"))
        .await;
    f.follow("task-survives", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    let second = Framework::subscribe(fixture, framework_info("lifecycle"), Some(&f.id)).await;
    f.stream.records.closed().await;
    let last = f.stream.records.all().pop();
    assert_eq!(
        last,
        Some(json!({"type": "ERROR", "error": {"message": "Framework failed over"}}))
    );
    group.check(
        "call-on-old-stream",
        &f.send(json!({"type": "REVIVE"})).await,
    );
    // What the first one did not acknowledge comes at once.
    second.update("task-dup", "TASK_STARTING").await;
    second
        .send(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}))
        .await;
    let running = second.update("task-survives", "TASK_RUNNING").await;
    let shutdown = json!({"type": "SHUTDOWN", "shutdown": {"executor_id": {"value": "task-survives"}, "agent_id": running["agent_id"]}});
    group.check("shutdown-executor", &second.send(shutdown).await);
    second.update("task-survives", "TASK_KILLING").await;
    let recorded = group.read("stream-failover");
    check_story(
        "stream-failover",
        &recorded,
        &second.stream.records.all(),
        &["task-survives", "task-dup"],
    );
    assert_eq!(
        second
            .send(json!({"type": "TEARDOWN"}))
            .await
            .status
            .as_u16(),
        202
    );
}

async fn teardown(group: &Group, fixture: &Fixture) {
    // An id that the master has never seen is taken as one from before it.
    let unknown = group.read("subscribe-unknown-framework-id");
    let id = unknown["request"]["body"]["framework_id"]["value"]
        .as_str()
        .unwrap();
    let f = Framework::subscribe(fixture, framework_info("unknown-id"), Some(id)).await;
    assert_eq!(f.id, id);
    group.check("teardown", &f.send(json!({"type": "TEARDOWN"})).await);
    f.stream.records.closed().await;
    let kinds = |records: &Value| -> Vec<String> {
        let kinds = records
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["type"].as_str().unwrap().to_owned());
        kinds.filter(|kind| kind != "OFFERS").collect()
    };
    let recorded = group.read("stream-after-teardown");
    assert_eq!(
        kinds(&json!(f.stream.records.all())),
        kinds(&recorded["response"]["records"])
    );
    group.check(
        "call-after-teardown",
        &f.send(json!({"type": "REVIVE"})).await,
    );
}

#[tokio::test]
async fn reservations_and_volumes() {
    let fixture = Fixture::start().await;
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

#[tokio::test]
async fn what_operators_read() {
    let fixture = Fixture::start().await;
    let group = Group::new(READS);
    let f = Framework::subscribe(&fixture, framework_info("lifecycle"), None).await;
    let offer = f
        .launch(|offer| {
            let mut task = task(offer, "task-observed", "echo out; echo err >&2; sleep 1000");
            let disk = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 32.0}, "allocation_info": {"role": "*"}});
            task["resources"].as_array_mut().unwrap().push(disk);
            task["labels"] = json!({"labels": [{"key": "k", "value": "v"}]});
            task
        })
        .await;
    f.follow("task-observed", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    for name in READS {
        if name.starts_with("master-get_")
            || *name == "master-unknown-call"
            || *name == "master-teardown-unknown"
        {
            let request = &captures::read(name)["request"];
            let response = fixture.post("/api/v1", &JSON, &body_of(request)).await;
            group.check(name, &response);
        } else if let Some(path) = name.strip_prefix("master-http-") {
            let path = if path == "master-state.json" {
                "/master/state.json".to_owned()
            } else {
                format!("/{path}")
            };
            let response = fixture
                .transport
                .get(&fixture.master, &path, http::HeaderMap::new())
                .await
                .unwrap();
            group.check(name, &response);
        } else if let Some(path) = name.strip_prefix("agent-http-") {
            let path = format!("/{path}");
            let response = fixture
                .transport
                .get(&fixture.agent, &path, http::HeaderMap::new())
                .await
                .unwrap();
            group.check(name, &response);
        }
    }
    for name in ["agent-get_health", "agent-get_version"] {
        let request = &captures::read(name)["request"];
        group.check(name, &agent_call(&fixture, &request["body"]).await);
    }
    files(&group, &fixture).await;
    events(&group, &fixture, &f, &offer).await;
    f.send(json!({"type": "TEARDOWN"})).await;
    group.all_used();
}

async fn agent_call(fixture: &Fixture, call: &Value) -> Response {
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

async fn files(group: &Group, fixture: &Fixture) {
    let get = |path: String| async move {
        fixture
            .transport
            .get(&fixture.agent, &path, http::HeaderMap::new())
            .await
            .unwrap()
    };
    let state: Value = serde_json::from_slice(&get("/state".to_owned()).await.body).unwrap();
    let executors = state["frameworks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|f| f["executors"].as_array().unwrap().clone());
    let executor = executors
        .into_iter()
        .find(|e| e["id"] == "task-observed")
        .unwrap();
    let directory = executor["directory"].as_str().unwrap();
    let quoted = directory.replace('/', "%2F");
    // The command has written when its first line can be read.
    for _ in 0..1000 {
        let read = get(format!(
            "/files/read?path={quoted}%2Fstdout&offset=0&length=100"
        ))
        .await;
        if read.text().contains("out") {
            break;
        }
        tokio::task::yield_now().await;
    }
    group.check(
        "agent-files-browse",
        &get(format!("/files/browse?path={quoted}")).await,
    );
    group.check(
        "agent-files-read",
        &get(format!(
            "/files/read?path={quoted}%2Fstdout&offset=0&length=100"
        ))
        .await,
    );
    group.check(
        "agent-files-read-size",
        &get(format!("/files/read?path={quoted}%2Fstdout&offset=-1")).await,
    );
    group.check(
        "agent-files-read-missing",
        &get(format!("/files/read?path={quoted}%2Fnope&offset=0")).await,
    );
    group.check(
        "agent-files-download",
        &get(format!("/files/download?path={quoted}%2Fstdout")).await,
    );
    group.check(
        "agent-files-browse-missing",
        &get("/files/browse?path=%2Fno%2Fsuch".to_owned()).await,
    );
    let list = json!({"type": "LIST_FILES", "list_files": {"path": directory}});
    group.check("agent-list-files", &agent_call(fixture, &list).await);
    let read = json!({"type": "READ_FILE", "read_file": {"path": format!("{directory}/stdout"), "offset": 0, "length": 100}});
    group.check("agent-read-file", &agent_call(fixture, &read).await);
}

/// The operator's stream while a task is killed, one runs, a framework comes
/// and goes.
async fn events(group: &Group, fixture: &Fixture, f: &Framework<'_>, offer: &Value) {
    let stream = fixture.open("/api/v1", &json!({"type": "SUBSCRIBE"})).await;
    stream
        .records
        .wait("SUBSCRIBED", |record| {
            (record["type"] == "SUBSCRIBED").then_some(())
        })
        .await;
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "task-observed"}, "agent_id": offer["agent_id"]}});
    f.send(kill).await;
    f.follow("task-observed", &["TASK_KILLING", "TASK_KILLED"])
        .await;
    f.launch(|offer| task(offer, "task-events", "sleep 0.3"))
        .await;
    f.follow(
        "task-events",
        &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"],
    )
    .await;
    let g = Framework::subscribe(fixture, framework_info("comes-and-goes"), None).await;
    g.send(json!({"type": "TEARDOWN"})).await;
    stream
        .records
        .wait("FRAMEWORK_REMOVED", |record| {
            (record["type"] == "FRAMEWORK_REMOVED").then_some(())
        })
        .await;
    let told = |records: &[Value]| -> Vec<String> {
        let steps = records
            .iter()
            .filter(|r| !r.to_string().contains("pod-1") || r["type"] == "SUBSCRIBED");
        let steps = steps.filter(|r| r["type"] != "HEARTBEAT").map(|record| {
            let state = record["task_updated"]["state"]
                .as_str()
                .or(record["task_added"]["task"]["state"].as_str());
            format!(
                "{} {}",
                record["type"].as_str().unwrap(),
                state.unwrap_or_default()
            )
        });
        steps.collect()
    };
    let recorded = group.read("master-subscribe-stream");
    assert_eq!(
        told(&stream.records.all()),
        told(recorded["response"]["records"].as_array().unwrap())
    );
}

#[test]
fn every_recorded_dialogue_is_replayed_or_has_a_reason_not_to_be() {
    let replayed: BTreeSet<&str> = [REQUESTS, REFUSED_SUBSCRIPTIONS, LIFECYCLE, STATEFUL, READS]
        .concat()
        .into_iter()
        .collect();
    let reason = |name: &str| {
        NOT_REPLAYED
            .iter()
            .find(|(start, _)| name.starts_with(start))
    };
    let mut used = BTreeSet::new();
    let mut unexplained = Vec::new();
    for name in captures::names() {
        if replayed.contains(name.as_str()) {
            continue;
        }
        match reason(&name) {
            Some((start, why)) => {
                used.insert(*start);
                println!("not replayed: {name}: {why}");
            }
            None => unexplained.push(name),
        }
    }
    assert!(
        unexplained.is_empty(),
        "neither replayed nor explained: {unexplained:?}"
    );
    let idle: Vec<_> = NOT_REPLAYED
        .iter()
        .filter(|(start, _)| !used.contains(start))
        .collect();
    assert!(idle.is_empty(), "reasons for nothing: {idle:?}");
    let missing: Vec<_> = replayed
        .iter()
        .filter(|name| !captures::names().contains(**name))
        .collect();
    assert!(missing.is_empty(), "listed but not recorded: {missing:?}");
}
