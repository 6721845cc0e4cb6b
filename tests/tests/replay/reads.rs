//! What operators read: state, files, the stream of events.

use mesos_tests::captures;
use mesos_tests::encoding::Encoding;
use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, framework_info, task};
use serde_json::{Value, json};

use crate::group::{Group, agent_call, body_of};

pub(crate) const READS: &[&str] = &[
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
    "master-get_agents-protobuf",
    "master-get_health",
    "master-get_maintenance_schedule",
    "master-get_master",
    "master-get_master-protobuf",
    "master-get_roles",
    "master-get_version",
    "master-get_version-protobuf",
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

in_both_encodings!(what_operators_read);

async fn what_operators_read(fixture: Fixture) {
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
            let sent = request["headers"].as_object().unwrap();
            let sent: Vec<_> = sent
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            let response = fixture.post("/api/v1", &sent, &body_of(request)).await;
            group.check(name, &response);
            if name.starts_with("master-get_") && fixture.calls == Encoding::Protobuf {
                let kind = fixture.calls.media_type();
                let headers = [("Content-Type", kind), ("Accept", kind)];
                let body = fixture.calls.call("/api/v1", &request["body"]);
                let response = fixture.post("/api/v1", &headers, &body).await;
                assert_eq!(response.headers["content-type"], kind, "{name}");
                group.check(name, &response);
            }
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
