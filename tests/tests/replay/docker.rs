//! Scenes of containers, with a real Docker engine. Where there can be none the
//! test says why and passes; see `mesos_tests::engine`.
//!
//! Every task of a scene is launched again as it was recorded, and what is told
//! of it is compared. Where `mesos-local` says more than Mesos does, its message
//! begins with the recorded one: the engine's own words follow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use bollard::query_parameters::KillContainerOptionsBuilder;
use mesos_sdk::address::HostAddress;
use mesos_tests::compare::{self, story};
use mesos_tests::engine::Engine;
use mesos_tests::fixture::{Fixture, is_left_out};
use mesos_tests::framework::{Framework, framework_info, launch};
use serde_json::{Value, json};

use crate::group::Group;

pub(crate) const DOCKER: &[&str] = &[
    "docker-agent-restart",
    "docker-bridge",
    "docker-failures",
    "docker-image-missing",
    "docker-tasks",
];

/// Tasks of which something else is told, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "check",
        "the executor of Mesos breaks when a task in a container has a check; here it is made",
    ),
    (
        "uri-missing",
        "Mesos does not say which URI could not be fetched",
    ),
];

/// The tasks that a scene launches, in order.
fn tasks(scene: &Value) -> Vec<Value> {
    let launched = |action: &Value| {
        let operations = &action["request"]["accept"]["operations"];
        Some(operations[0]["launch"]["task_infos"].as_array()?.clone())
    };
    let actions = scene["actions"].as_array().unwrap();
    actions.iter().filter_map(launched).flatten().collect()
}

fn id(task: &Value) -> &str {
    task["task_id"]["value"].as_str().unwrap()
}

fn records(scene: &Value) -> &[Value] {
    let records = &scene["streams"]["docks"]["response"]["records"];
    records.as_array().unwrap()
}

/// The states that were told of a task, in order.
fn states(records: &[Value], task: &str) -> Vec<String> {
    let steps = story(records).remove(task).unwrap_or_default();
    let word = |step: &String| step.split(' ').next().unwrap_or_default().to_owned();
    let mut states: Vec<String> = steps.iter().map(word).collect();
    states.dedup();
    states
}

async fn launch_one(f: &Framework<'_>, task: &Value) -> Value {
    let offer = f.offer().await;
    let mut task = task.clone();
    task["agent_id"] = offer["agent_id"].clone();
    let response = f.accept(&offer["id"], launch([task])).await;
    assert_eq!(response.status.as_u16(), 202, "{}", response.text());
    offer
}

/// Waits for these states and acknowledges every update until the last of them.
async fn follow(f: &Framework<'_>, task: &str, states: &[String]) -> Value {
    let mut last = Value::Null;
    for state in states {
        last = f.update(task, state).await;
        if last["uuid"].is_string() {
            f.acknowledge(&last).await;
        }
    }
    last
}

/// Compares stories step by step; a message may go on where the recorded ends.
fn check(scene: &str, recorded: &[Value], got: &[Value], tasks: &[Value]) {
    let (recorded, got) = (story(recorded), story(got));
    let lacking = Vec::new();
    for task in tasks {
        let task = id(task);
        if DIFFERENT.iter().any(|(known, _)| *known == task) {
            continue;
        }
        let expected = &recorded[task];
        let found = got.get(task).unwrap_or(&lacking);
        assert_eq!(expected.len(), found.len(), "{scene}: {task}: {found:#?}");
        for (expected, found) in expected.iter().zip(found) {
            assert!(
                agree(expected, found),
                "{scene}: {task}: {found}\n   instead of {expected}"
            );
        }
    }
}

/// A step is words, a quoted message, and words again.
fn agree(expected: &str, found: &str) -> bool {
    let parts = |step: &str| {
        let (start, rest) = step.split_once('"').unwrap();
        let (message, end) = rest.rsplit_once('"').unwrap();
        // What an engine says of an image depends on it and on the network.
        let message = match message.split_once("stderr='") {
            Some((command, _)) => command.replace("docker -H unix://<path>", "docker -H <engine>"),
            None => message.to_owned(),
        };
        let message = message.replace("docker -H unix:<path>", "docker -H <engine>");
        (start.to_owned(), message, end.to_owned())
    };
    let (expected, found) = (parts(expected), parts(found));
    let says_more = found
        .1
        .strip_prefix(&expected.1)
        .is_some_and(|more| more.is_empty() || more.starts_with(": "));
    expected.0 == found.0 && expected.2 == found.2 && says_more
}

/// A file of a task's sandbox.
async fn sandbox_file(fixture: &Fixture, f: &Framework<'_>, task: &str, file: &str) -> String {
    let path = format!(
        "/files/download?path=/frameworks/{}/executors/{task}/runs/latest/{file}",
        f.id
    );
    let headers = http::HeaderMap::new();
    let response = fixture.transport.get(&fixture.agent, &path, headers).await;
    String::from_utf8(response.unwrap().body.into()).unwrap()
}

async fn start(engine: &Engine) -> Fixture {
    let address = engine.address().to_owned();
    Fixture::with(|config| {
        config.docker_socket = Some(address);
        config.kill_grace = Duration::from_millis(300);
    })
    .await
}

#[tokio::test]
async fn containers_and_their_ends() {
    if is_left_out("its agent uses the engine that the test starts") {
        return;
    }
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = start(engine).await;
    let group = Group::new(DOCKER);
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    plain(&group, &fixture, &f).await;
    failures(&group, engine, &f).await;
    bridge(&group, &fixture, &f).await;
    restart(&group, engine, &fixture, &f).await;
    group.all_used();
}

/// `docker-tasks`: what runs, and what it leaves in its sandbox.
async fn plain(group: &Group, fixture: &Fixture, f: &Framework<'_>) {
    let scene = group.read("docker-tasks");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials.json");
    std::fs::write(&file, "{}").unwrap();
    let mut all = tasks(&scene);
    for task in &mut all {
        if id(task) == "uri" {
            task["command"]["uris"][0]["value"] = json!(file);
        }
        launch_one(f, task).await;
        let mut states = states(records(&scene), id(task));
        if id(task) == "stubborn" {
            follow(f, id(task), &states[..2]).await;
            states.drain(..2);
            f.send(json!({"type": "KILL", "kill": {"task_id": task["task_id"]}}))
                .await;
        }
        follow(f, id(task), &states).await;
    }
    check(
        "docker-tasks",
        records(&scene),
        &f.stream.records.all(),
        &all,
    );

    for task in [
        "exit-3",
        "arguments-only",
        "parameters",
        "volume",
        "tty",
        "uri",
        "mesos-container-beside",
        "no-container",
    ] {
        assert_eq!(
            sandbox_file(fixture, f, task, "stdout").await,
            scene["sandboxes"][task]["stdout"],
            "{task}"
        );
    }
    let variables = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(
        variables(&sandbox_file(fixture, f, "env", "stdout").await),
        variables(scene["sandboxes"]["env"]["stdout"].as_str().unwrap())
    );
    assert_eq!(sandbox_file(fixture, f, "env", "stderr").await, "err\n");
}

/// `docker-image-missing` and `docker-failures`.
async fn failures(group: &Group, engine: &Engine, f: &Framework<'_>) {
    let limits_memory = engine.client.info().await.unwrap().memory_limit;
    for name in ["docker-image-missing", "docker-failures"] {
        let scene = group.read(name);
        let mut all = tasks(&scene);
        if limits_memory != Some(true) {
            println!("skipped: the kernel does not limit the memory of containers");
            all.retain(|task| id(task) != "memory");
        }
        for task in &all {
            launch_one(f, task).await;
            let states = match id(task) {
                // Ends by itself, and only then.
                "check" => ["TASK_STARTING", "TASK_RUNNING"]
                    .map(str::to_owned)
                    .to_vec(),
                task => states(records(&scene), task),
            };
            follow(f, id(task), &states).await;
        }
        check(name, records(&scene), &f.stream.records.all(), &all);
    }
    // The check that Mesos cannot make.
    let checked = |record: &Value| {
        let status = &record["update"]["status"];
        let code = &status["check_status"]["command"]["exit_code"];
        (code == 7).then(|| status.clone())
    };
    let status = f.stream.records.wait("the check's result", checked).await;
    f.acknowledge(&status).await;
    f.follow("check", &["TASK_FINISHED"]).await;
    let fetched = f.update("uri-missing", "TASK_FAILED").await;
    let message = fetched["message"].as_str().unwrap();
    assert!(message.contains("/no/such/uri"), "{message}");
}

/// A port that nobody listens on, among those that the agent offers.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    (31_500..=32_000).find(is_free).unwrap()
}

/// `docker-bridge`: a mapped port that answers, a health check, a kill.
async fn bridge(group: &Group, fixture: &Fixture, f: &Framework<'_>) {
    let port = free_port();
    let text = group.read("docker-bridge").to_string();
    let scene: Value = serde_json::from_str(&text.replace("31500", &port.to_string())).unwrap();
    let task = &tasks(&scene)[0];
    launch_one(f, task).await;
    follow(
        f,
        "bridge",
        &["TASK_STARTING".into(), "TASK_RUNNING".into()],
    )
    .await;
    let healthy = |record: &Value| {
        let status = &record["update"]["status"];
        (status["healthy"] == true).then(|| status.clone())
    };
    let status = f.stream.records.wait("a healthy task", healthy).await;
    f.acknowledge(&status).await;
    let recorded = |what: &str| {
        let actions = scene["actions"].as_array().unwrap();
        let action = actions.iter().find(|action| action["what"] == what);
        action.unwrap_or_else(|| panic!("no {what}"))["response"].clone()
    };
    let host = HostAddress::http("127.0.0.1", port);
    let headers = http::HeaderMap::new();
    let answer = fixture
        .transport
        .get(&host, "/nothing", headers)
        .await
        .unwrap();
    let expected = recorded("the mapped port");
    assert_eq!(answer.status.as_u16(), expected["status"]);
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let expected = expected["body"].as_str().unwrap();
    assert_eq!(words(&answer.text()), words(expected));

    let containers = fixture
        .transport
        .get(&fixture.agent, "/containers", http::HeaderMap::new())
        .await
        .unwrap();
    let containers: Value = serde_json::from_slice(&containers.body).unwrap();
    let expected = compare::shape(&recorded("the agent lists containers")["body"]);
    let got = compare::shape(&containers);
    let lacking: Vec<_> = expected.difference(&got).collect();
    assert!(lacking.is_empty(), "{lacking:?} of {containers:#}");

    f.send(json!({"type": "KILL", "kill": {"task_id": {"value": "bridge"}}}))
        .await;
    f.follow("bridge", &["TASK_KILLING", "TASK_KILLED"]).await;
    check(
        "docker-bridge",
        records(&scene),
        &f.stream.records.all(),
        &tasks(&scene),
    );
}

/// `docker-agent-restart`: the agent comes back to two containers, one of which
/// has ended.
async fn restart(group: &Group, engine: &Engine, fixture: &Fixture, f: &Framework<'_>) {
    let Some(cluster) = &fixture.cluster else {
        println!("skipped: the agent is not ours to kill");
        return;
    };
    let scene = group.read("docker-agent-restart");
    let mut names = BTreeMap::new();
    let all = tasks(&scene);
    for task in &all {
        launch_one(f, task).await;
        follow(f, id(task), &["TASK_STARTING".into()]).await;
        let status = f.update(id(task), "TASK_RUNNING").await;
        f.acknowledge(&status).await;
        let container = &status["container_status"]["container_id"]["value"];
        names.insert(id(task), format!("mesos-{}", container.as_str().unwrap()));
    }
    cluster.crash_agent(0).await;
    // It ends by itself while nobody looks.
    let ended = engine.client.wait_container(
        &names["ends-meanwhile"],
        None::<bollard::query_parameters::WaitContainerOptions>,
    );
    let ended: Vec<_> = futures::StreamExt::collect(ended).await;
    assert!(!ended.is_empty());
    cluster.start_agent(0).await;
    f.follow("ends-meanwhile", &["TASK_FINISHED"]).await;
    f.send(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}))
        .await;
    let latest = |record: &Value| {
        let status = &record["update"]["status"];
        let is_it =
            status["reason"] == "REASON_RECONCILIATION" && status["task_id"]["value"] == "survivor";
        is_it.then_some(())
    };
    f.stream.records.wait("the survivor's state", latest).await;
    let options = KillContainerOptionsBuilder::default()
        .signal("SIGKILL")
        .build();
    let killed = engine
        .client
        .kill_container(&names["survivor"], Some(options));
    killed.await.unwrap();
    f.follow("survivor", &["TASK_FAILED"]).await;
    check(
        "docker-agent-restart",
        records(&scene),
        &f.stream.records.all(),
        &all,
    );
}
