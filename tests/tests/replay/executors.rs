//! Executors: one that is a program of its own and records what it hears, one
//! that dies, and the default one with its task groups.

use std::process::Command;

use mesos_sdk::recordio::Decoder;
use mesos_tests::captures;
use mesos_tests::compare;
use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, JSON, framework_info, launch, resources, task};
use serde_json::{Value, json};

use crate::group::{Group, adapted, agent_call, body_of, check_story};

pub(crate) const CUSTOM: &[&str] = &[
    "accept-launch-custom-executor",
    "executor-environment",
    "executor-exchange",
    "message",
    "stream-executor-dies",
    "stream-with-executor",
];

pub(crate) const PODS: &[&str] = &[
    "accept-launch-group",
    "accept-launch-group-ok",
    "agent-get_containers-nested",
    "agent-launch-nested-container-session",
    "master-get_executors-pod",
    "stream-pods",
];

/// The recorded executor is a program in Python.
fn has_python() -> bool {
    let has = Command::new("python3").arg("--version").output();
    if let Err(error) = &has {
        let why = format!("skipped: python3 cannot be run: {error}");
        assert!(
            std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none(),
            "{why}"
        );
        println!("{why}");
    }
    has.is_ok()
}

in_both_encodings!(executors_of_the_frameworks_own);

async fn executors_of_the_frameworks_own(fixture: Fixture) {
    if !has_python() {
        return;
    }
    let group = Group::new(CUSTOM);
    let f = Framework::subscribe(&fixture, framework_info("with-executor"), None).await;
    let offer = f.offer().await;
    let recorded = group.read("accept-launch-custom-executor");
    let operations = &recorded["request"]["body"]["accept"]["operations"];
    let operations = adapted(operations, &offer, &f.id);
    group.check(
        "accept-launch-custom-executor",
        &f.accept(&offer["id"], operations).await,
    );
    let running = f.update("custom-1", "TASK_RUNNING").await;
    let rest = f.offer().await;
    let cpus = |offer: &Value| {
        let found = offer["resources"].as_array().unwrap().iter();
        let mut found = found.filter(|resource| resource["name"] == "cpus");
        found.next().unwrap()["scalar"]["value"].as_f64().unwrap()
    };
    let charged = cpus(&offer) - cpus(&rest);
    assert!((charged - 0.2).abs() < 1e-9, "the executor's cpus too");
    assert_eq!(rest["executor_ids"], json!([{"value": "recorder"}]));
    f.acknowledge(&running).await;
    let to = json!({"agent_id": offer["agent_id"], "executor_id": {"value": "recorder"}});
    let mut message = to.clone();
    message["data"] = json!("cGluZw==");
    group.check(
        "message",
        &f.send(json!({"type": "MESSAGE", "message": message})).await,
    );
    let echoed = |record: &Value| (record["message"]["data"] == "cGluZw==").then_some(());
    f.stream.records.wait("the echo", echoed).await;
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "custom-1"}, "agent_id": offer["agent_id"]}});
    f.send(kill).await;
    f.follow("custom-1", &["TASK_KILLED"]).await;
    // The executor has heard of all of it before it is told to end.
    exchange(&group, &fixture, &f, 2).await;
    f.send(json!({"type": "SHUTDOWN", "shutdown": to})).await;
    let failed = |record: &Value| {
        let failure = &record["failure"];
        (failure["executor_id"]["value"] == "recorder").then(|| failure["status"].clone())
    };
    let status = f.stream.records.wait("FAILURE", failed).await;
    assert_eq!(status, 0);
    let recorded = group.read("stream-with-executor");
    check_story(
        "stream-with-executor",
        &recorded,
        &f.stream.records.all(),
        &["custom-1"],
    );
    environment(&group, &fixture, &f).await;
    dies(&group, &f, &rest).await;
    f.send(json!({"type": "TEARDOWN"})).await;
    group.all_used();
}

async fn sandbox_file(fixture: &Fixture, f: &Framework<'_>, name: &str) -> String {
    let path = format!(
        "/files/download?path=/frameworks/{}/executors/recorder/runs/latest/{name}",
        f.id
    );
    let response = fixture
        .transport
        .get(&fixture.agent, &path, http::HeaderMap::new())
        .await
        .unwrap();
    assert_eq!(response.status.as_u16(), 200, "{path}");
    String::from_utf8_lossy(&response.body).into_owned()
}

/// What the executor wrote down, once it has heard so many acknowledgements: each call's
/// answer and each event.
async fn exchange(group: &Group, fixture: &Fixture, f: &Framework<'_>, acknowledgements: usize) {
    let noted = |line: &Value| -> String {
        let what = &line["what"];
        match line["kind"].as_str().unwrap() {
            "call" => format!(
                "{} {} {}",
                what["request"]["type"],
                what["status"],
                compare::text(what["body"].as_str().unwrap())
            ),
            "event" => what["type"].to_string(),
            "subscribe" => format!("subscribe {}", what["status"]),
            other => other.to_owned(),
        }
    };
    let recorded = group.read("executor-exchange");
    let recorded = recorded["response"]["records"].as_array().unwrap().clone();
    let expected: Vec<String> = recorded
        .iter()
        .map(noted)
        .filter(|line| line != "\"SHUTDOWN\"")
        .collect();
    let mut lines = Vec::new();
    for _ in 0..10_000 {
        let text = sandbox_file(fixture, f, "exchange.jsonl").await;
        let parsed = text.lines().map(serde_json::from_str::<Value>);
        // The last line may be half written.
        lines = parsed.map_while(Result::ok).collect();
        let acknowledged = lines
            .iter()
            .filter(|line| line["what"]["type"] == "ACKNOWLEDGED")
            .count();
        if acknowledged == acknowledgements {
            break;
        }
        tokio::task::yield_now().await;
    }
    let got: Vec<String> = lines.iter().map(noted).collect();
    assert_eq!(got, expected);
    for (kind, field) in [("SUBSCRIBED", "subscribed"), ("LAUNCH", "launch")] {
        let of_kind = |lines: &[Value]| {
            let found = lines.iter().find(|line| line["what"]["type"] == kind);
            found.unwrap()["what"][field].clone()
        };
        group.check_shape(kind, &of_kind(&recorded), &of_kind(&lines));
    }
}

async fn environment(group: &Group, fixture: &Fixture, f: &Framework<'_>) {
    let recorded = group.read("executor-environment")["response"]["body"].clone();
    let got: Value = serde_json::from_str(&sandbox_file(fixture, f, "env.json").await).unwrap();
    let simple = |environment: &Value| -> Vec<(String, String)> {
        let fields = environment.as_object().unwrap().iter();
        let mut all: Vec<_> = fields
            .map(|(name, value)| (name.clone(), compare::text(value.as_str().unwrap())))
            .collect();
        all.sort();
        all
    };
    assert_eq!(simple(&got), simple(&recorded));
}

async fn dies(group: &Group, f: &Framework<'_>, offer: &Value) {
    let recorded = group.read("stream-executor-dies");
    let mut orphan = task(offer, "orphan", "");
    orphan.as_object_mut().unwrap().remove("command");
    orphan["executor"] = json!({
        "type": "CUSTOM", "executor_id": {"value": "dies"}, "framework_id": {"value": f.id},
        "resources": resources(0.1, 32.0), "command": {"shell": true, "value": "exit 7"},
    });
    f.accept(&offer["id"], launch([orphan])).await;
    let failure = |record: &Value| {
        let failure = &record["failure"];
        (failure["executor_id"]["value"] == "dies").then(|| failure["status"].clone())
    };
    assert_eq!(f.stream.records.wait("FAILURE", failure).await, 1792);
    f.follow("orphan", &["TASK_FAILED"]).await;
    check_story(
        "stream-executor-dies",
        &recorded,
        &f.stream.records.all(),
        &["custom-1", "orphan"],
    );
}

/// A session in the container of the executor.
async fn session(group: &Group, fixture: &Fixture, executor: &Value) {
    let recorded = group.read("agent-launch-nested-container-session");
    let mut call = recorded["request"]["body"].clone();
    call["launch_nested_container_session"]["container_id"]["parent"] =
        executor["container_id"].clone();
    let headers = recorded["request"]["headers"].as_object().unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap().parse().unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value)
        })
        .collect();
    let body = call.to_string().into();
    let stream = fixture
        .transport
        .open_stream(&fixture.agent, "/api/v1", headers, body)
        .await;
    let mut stream = stream.unwrap();
    assert_eq!(stream.status.as_u16(), 200);
    assert_eq!(stream.headers["content-type"], "application/recordio");
    let mut decoder = Decoder::default();
    let mut records: Vec<Value> = Vec::new();
    while let Some(Ok(chunk)) = stream.body.chunk().await {
        decoder.push(chunk);
        while let Ok(Some(record)) = decoder.next_record() {
            records.push(serde_json::from_slice(&record).unwrap());
        }
    }
    assert_eq!(json!(records), recorded["response"]["records"]);
}

in_both_encodings!(task_groups);

async fn task_groups(fixture: Fixture) {
    let group = Group::new(PODS);
    let f = Framework::subscribe(&fixture, framework_info("pods"), None).await;
    let offer = f.offer().await;
    let recorded = group.read("accept-launch-group-ok");
    let operations = &recorded["request"]["body"]["accept"]["operations"];
    let operations = adapted(operations, &offer, &f.id);
    group.check(
        "accept-launch-group-ok",
        &f.accept(&offer["id"], operations).await,
    );
    for task in ["pod-1-a", "pod-1-b"] {
        f.follow(task, &["TASK_STARTING", "TASK_RUNNING"]).await;
    }
    let call = &captures::read("master-get_executors-pod")["request"];
    let response = fixture.post("/api/v1", &JSON, &body_of(call)).await;
    group.check("master-get_executors-pod", &response);
    let call = &captures::read("agent-get_containers-nested")["request"]["body"];
    let response = agent_call(&fixture, call).await;
    // The command of a check is no container here, and the executor no process.
    assert_eq!(response.status.as_u16(), 200);
    let got: Value = serde_json::from_slice(&response.body).unwrap();
    let recorded = &group.read("agent-get_containers-nested")["response"]["body"];
    for number in 0..3 {
        let container = |all: &Value| all["get_containers"]["containers"][number].clone();
        let mut expected = container(recorded);
        if number == 0 {
            expected["container_status"]
                .as_object_mut()
                .unwrap()
                .remove("executor_pid");
            for used in [
                "cpus_user_time_secs",
                "cpus_system_time_secs",
                "mem_rss_bytes",
            ] {
                let statistics = expected["resource_statistics"].as_object_mut();
                statistics.unwrap().remove(used);
            }
        }
        group.check_shape("agent-get_containers-nested", &expected, &container(&got));
    }
    session(&group, &fixture, &got["get_containers"]["containers"][0]).await;
    f.follow("pod-1-a", &["TASK_FINISHED"]).await;
    let checked = |record: &Value| {
        let status = &record["update"]["status"];
        let is_checked = status["reason"] == "REASON_TASK_CHECK_STATUS_UPDATED";
        is_checked.then(|| status.clone())
    };
    let checked = f.stream.records.wait("a check", checked).await;
    f.acknowledge(&checked).await;
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "pod-1-b"}, "agent_id": offer["agent_id"]}});
    f.send(kill).await;
    f.follow("pod-1-b", &["TASK_KILLING", "TASK_KILLED"]).await;
    let failure = |record: &Value| record["failure"]["status"].as_i64();
    assert_eq!(f.stream.records.wait("FAILURE", failure).await, 0);
    let recorded = group.read("stream-pods");
    check_story(
        "stream-pods",
        &recorded,
        &f.stream.records.all(),
        &["pod-1-a", "pod-1-b"],
    );
    // The executor's id is free again.
    let offer = f.offer().await;
    let recorded = group.read("accept-launch-group");
    let operations = &recorded["request"]["body"]["accept"]["operations"];
    let operations = adapted(operations, &offer, &f.id);
    group.check(
        "accept-launch-group",
        &f.accept(&offer["id"], operations).await,
    );
    f.send(json!({"type": "TEARDOWN"})).await;
    group.all_used();
}
