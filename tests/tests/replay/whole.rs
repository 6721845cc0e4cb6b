//! Everything that masters and agents show at once, of a cluster in which tasks
//! and task groups have run and run.

use std::collections::BTreeSet;

use http::HeaderMap;
use mesos_sdk::transport::Response;
use mesos_tests::encoding::Encoding;
use mesos_tests::fixture::{Fixture, PATIENCE};
use mesos_tests::framework::{Framework, SCHEDULER, framework_info, resources, task};
use serde_json::{Value, json};

use crate::group::{Group, agent_call, body_of, bytes_of};

pub(crate) const WHOLE: &[&str] = &[
    "agent-get_agent",
    "agent-get_containers",
    "agent-get_executors",
    "agent-get_flags",
    "agent-get_frameworks",
    "agent-get_metrics",
    "agent-get_operations",
    "agent-get_state",
    "agent-get_tasks",
    "agent-http-containers",
    "agent-http-metrics-snapshot",
    "agent-http-monitor-statistics",
    "agent-http-slave1-state",
    "agent-http-state",
    "master-get_executors",
    "master-get_flags",
    "master-get_frameworks",
    "master-get_metrics",
    "master-get_state",
    "master-get_state-protobuf",
    "master-get_tasks",
    "master-get_tasks-protobuf",
    "master-http-frameworks",
    "master-http-metrics-snapshot",
    "master-http-state",
    "master-http-state-summary",
    "master-http-tasks",
];

pub(crate) const STREAMS: &[&str] = &["stream-heartbeat", "subscribe-accept-protobuf"];

#[tokio::test]
async fn what_masters_and_agents_show() {
    let fixture = Fixture::start().await;
    let group = Group::new(WHOLE);
    let f = Framework::subscribe(&fixture, framework_info("lifecycle"), None).await;
    // One that brings its own id, as after a failover of the master; its number
    // is one that no other dialogue with this master had.
    let (_, number) = f.id.rsplit_once('-').unwrap();
    let id = format!("5f6f0c5c-0d5c-4c5a-9d5e-7a1c6b3e2f10-{number}");
    let gone = Framework::subscribe(&fixture, framework_info("unknown-id"), Some(&id)).await;
    gone.send(json!({"type": "TEARDOWN"})).await;
    ended(&f).await;
    running(&f).await;
    for name in WHOLE {
        let request = &group.read(name)["request"];
        let response = repeated(&fixture, name, request).await;
        if name.contains("metrics") || name.contains("flags") {
            nothing_is_invented(&group, name, &response);
        } else {
            group.check(name, &response);
        }
    }
    f.send(json!({"type": "TEARDOWN"})).await;
    group.all_used();
}

/// Sends a recorded request again.
async fn repeated(fixture: &Fixture, name: &str, request: &Value) -> Response {
    let path = request["path"].as_str().unwrap();
    let address = match name.starts_with("agent-") {
        true => &fixture.agent,
        false => &fixture.master,
    };
    match request["method"].as_str().unwrap() {
        "GET" => {
            let response = fixture.transport.get(address, path, HeaderMap::new());
            response.await.unwrap()
        }
        _ if name.starts_with("agent-") => agent_call(fixture, &request["body"]).await,
        _ => {
            let sent = request["headers"].as_object().unwrap();
            let sent: Vec<_> = sent
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            fixture.post(path, &sent, &body_of(request)).await
        }
    }
}

/// Counters and flags that mean something here have the names that they have in
/// Mesos.
fn nothing_is_invented(group: &Group, name: &str, response: &Response) {
    let names = |body: &Value| -> BTreeSet<String> {
        let named = |items: &Value| {
            let items = items.as_array().unwrap().iter();
            items
                .map(|item| item["name"].as_str().unwrap().to_owned())
                .collect()
        };
        match body["type"].as_str() {
            Some("GET_METRICS") => named(&body["get_metrics"]["metrics"]),
            Some("GET_FLAGS") => named(&body["get_flags"]["flags"]),
            _ => body.as_object().unwrap().keys().cloned().collect(),
        }
    };
    assert_eq!(response.status.as_u16(), 200, "{name}");
    let got = names(&serde_json::from_slice(&response.body).unwrap());
    let recorded = names(&group.read(name)["response"]["body"]);
    let invented: Vec<_> = got.difference(&recorded).collect();
    assert!(invented.is_empty(), "{name} invents {invented:?}");
    assert!(got.len() > 20, "{name} shows {got:?}");
}

/// Tasks that ended in various ways.
async fn ended(f: &Framework<'_>) {
    for (id, command) in [("task-life", "true"), ("task-exit-3", "exit 3")] {
        f.launch(|offer| task(offer, id, command)).await;
        end_of(f, id).await;
    }
    f.launch(|offer| {
        let mut task = task(offer, "task-no-command", "");
        task["command"] = json!({"shell": false, "value": "/no/such/program", "arguments": ["x"]});
        task
    })
    .await;
    end_of(f, "task-no-command").await;
    let offer = f
        .launch(|offer| {
            let mut task = task(offer, "task-stubborn", "sleep 1000");
            task["kill_policy"] = json!({"grace_period": {"nanoseconds": 1_500_000_000}});
            task
        })
        .await;
    f.follow("task-stubborn", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    f.send(json!({"type": "KILL", "kill": {
        "task_id": {"value": "task-stubborn"}, "agent_id": offer["agent_id"],
    }}))
    .await;
    end_of(f, "task-stubborn").await;
    f.launch(|offer| {
        let mut task = task(offer, "task-health", "sleep 1000");
        task["health_check"] = json!({
            "type": "COMMAND", "command": {"shell": true, "value": "false"},
            "interval_seconds": 0.1, "timeout_seconds": 5.0, "consecutive_failures": 2,
            "grace_period_seconds": 0.0, "delay_seconds": 0.0,
        });
        task
    })
    .await;
    end_of(f, "task-health").await;
}

/// Acknowledges whatever is told of a task until it has ended.
async fn end_of(f: &Framework<'_>, task: &str) {
    let mut seen = 0;
    loop {
        let new = tokio::time::timeout(PATIENCE, f.stream.records.after(seen));
        let new = new.await.unwrap_or_else(|_| panic!("{task} does not end"));
        let new = new.unwrap_or_else(|| panic!("the stream ends before {task}"));
        seen += new.len();
        let statuses = new.iter().map(|record| &record["update"]["status"]);
        for status in statuses.filter(|status| status["task_id"]["value"] == task) {
            f.acknowledge(status).await;
            let state = status["state"].as_str().unwrap_or_default();
            if ["TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"].contains(&state) {
                return;
            }
        }
    }
}

/// A task group of which one task has ended, and a task with labels.
async fn running(f: &Framework<'_>) {
    let offer = f.offer().await;
    let mut own = resources(0.1, 32.0);
    let disk = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 32.0}, "allocation_info": {"role": "*"}});
    own.as_array_mut().unwrap().push(disk);
    let executor = json!({
        "type": "DEFAULT", "executor_id": {"value": "pod-1"}, "framework_id": {"value": f.id},
        "resources": own,
    });
    let tasks = [
        task(&offer, "pod-1-a", "true"),
        task(&offer, "pod-1-b", "sleep 1000"),
    ];
    let group = json!([{"type": "LAUNCH_GROUP", "launch_group": {
        "executor": executor, "task_group": {"tasks": tasks},
    }}]);
    f.accept(&offer["id"], group).await;
    end_of(f, "pod-1-a").await;
    f.follow("pod-1-b", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    f.launch(|offer| {
        let mut task = task(offer, "task-observed", "sleep 1000");
        task["labels"] = json!({"labels": [{"key": "k", "value": "v"}]});
        task
    })
    .await;
    f.follow("task-observed", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
}

#[tokio::test]
async fn streams_beat_and_come_in_the_encoding_that_was_asked_for() {
    let fixture = Fixture::start().await;
    let group = Group::new(STREAMS);
    let kinds = |records: &[Value]| -> Vec<Value> {
        let kinds = records.iter().map(|record| record["type"].clone());
        kinds.collect()
    };
    let recorded = group.read("subscribe-accept-protobuf");
    let headers = recorded["request"]["headers"].as_object().unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap().parse().unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value)
        })
        .collect();
    let body = body_of(&recorded["request"]).into();
    let opened = fixture.open_as(SCHEDULER, headers, body).await;
    assert_eq!(opened.headers["content-type"], "application/x-protobuf");
    let expected: Vec<Value> = recorded["response"]["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| bytes_of(record["base64"].as_str().unwrap()))
        .map(|record| Encoding::Protobuf.event(SCHEDULER, record))
        .collect();
    let got = heard(&opened.records, expected.len()).await;
    assert_eq!(kinds(&got), kinds(&expected));
    for (expected, got) in expected.iter().zip(&got) {
        group.check_shape("subscribe-accept-protobuf", expected, got);
    }
    drop(opened);

    let recorded = group.read("stream-heartbeat");
    let opened = fixture.open(SCHEDULER, &recorded["request"]["body"]).await;
    // The last heartbeat comes as long after the one before as that after the
    // first.
    let expected = recorded["response"]["records"].as_array().unwrap();
    let expected = &expected[..expected.len() - 1];
    let got = heard(&opened.records, expected.len()).await;
    assert_eq!(kinds(&got), kinds(expected));
    group.all_used();
}

/// The first records of a stream, once there are so many.
async fn heard(records: &mesos_tests::framework::Records, count: usize) -> Vec<Value> {
    let enough = records.until(|records, is_closed| {
        assert!(!is_closed, "the stream ends after {records:#?}");
        (records.len() >= count).then(|| records[..count].to_vec())
    });
    let heard = tokio::time::timeout(PATIENCE, enough).await;
    heard.unwrap_or_else(|_| panic!("only {:#?}", records.all()))
}
