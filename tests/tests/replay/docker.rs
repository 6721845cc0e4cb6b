//! Scenes of containers, with a real Docker engine. Where there can be none the
//! test says why and passes; see `mesos_tests::engine`.
//!
//! Every task of a scene is launched again as it was recorded, and what is told
//! of it is compared. Where `mesos-local` says more than Mesos does, its message
//! begins with the recorded one: the engine's own words follow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use base64::Engine as _;
use bollard::query_parameters::KillContainerOptionsBuilder;
use mesos_sdk::address::HostAddress;
use mesos_tests::compare;
use mesos_tests::engine::Engine;
use mesos_tests::fixture::{Fixture, is_left_out};
use mesos_tests::framework::{Framework, framework_info};
use serde_json::{Value, json};

use crate::group::{Group, agent_call};
use crate::launches::{
    check_told, follow, launch_one, records, sandbox_file, states, task_id, tasks,
};

pub(crate) const DOCKER: &[&str] = &[
    "docker-agent-restart",
    "docker-bridge",
    "docker-failures",
    "docker-image-missing",
    "docker-tasks",
];

/// Tasks of which something else is told, and why.
const DIFFERENT: &[(&str, &str)] = &[(
    "check",
    "the executor of Mesos breaks when a task in a container has a check; here it is made",
)];

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
    failures(&group, engine, &fixture, &f).await;
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
        if task_id(task) == "uri" {
            task["command"]["uris"][0]["value"] = json!(file);
        }
        launch_one(f, task).await;
        let mut states = states(records(&scene, "docks"), task_id(task));
        if task_id(task) == "stubborn" {
            follow(f, task_id(task), &states[..2]).await;
            states.drain(..2);
            f.send(json!({"type": "KILL", "kill": {"task_id": task["task_id"]}}))
                .await;
        }
        follow(f, task_id(task), &states).await;
    }
    check_told(
        "docker-tasks",
        records(&scene, "docks"),
        &f.stream.records.all(),
        &all,
        DIFFERENT,
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
    let devices = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.trim().to_owned()).collect()
    };
    let stdout = |task: &str| scene["sandboxes"][task]["stdout"].as_str().unwrap();
    assert_eq!(
        devices(&sandbox_file(fixture, f, "network-none", "stdout").await),
        devices(stdout("network-none"))
    );
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(
        sandbox_file(fixture, f, "network-host", "stdout").await,
        host
    );
    let owner = sandbox_file(fixture, f, "user-daemon", "stdout").await;
    assert!(owner.starts_with("uid\ndrwxr-xr-x"), "{owner}");
    let variables = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(
        variables(&sandbox_file(fixture, f, "env", "stdout").await),
        variables(stdout("env"))
    );
    assert_eq!(sandbox_file(fixture, f, "env", "stderr").await, "err\n");
}

/// `docker-image-missing` and `docker-failures`.
async fn failures(group: &Group, engine: &Engine, fixture: &Fixture, f: &Framework<'_>) {
    let limits_memory = engine.client.info().await.unwrap().memory_limit;
    for name in ["docker-image-missing", "docker-failures"] {
        let scene = group.read(name);
        let mut all = tasks(&scene);
        if limits_memory != Some(true) {
            println!("skipped: the kernel does not limit the memory of containers");
            all.retain(|task| task_id(task) != "memory");
        }
        for task in &mut all {
            if task_id(task) == "check" {
                // For as long as its check needs.
                task["command"]["value"] = json!("sleep 1000");
            }
            launch_one(f, task).await;
            let states = match task_id(task) {
                "check" => ["TASK_STARTING", "TASK_RUNNING"]
                    .map(str::to_owned)
                    .to_vec(),
                task => states(records(&scene, "docks"), task),
            };
            follow(f, task_id(task), &states).await;
        }
        let told = f.stream.records.all();
        check_told(name, records(&scene, "docks"), &told, &all, DIFFERENT);
        for task in all.iter().map(task_id) {
            let stderr = scene["sandboxes"][task]["stderr"].as_str();
            let got = sandbox_file(fixture, f, task, "stderr").await;
            for line in complaints(stderr.unwrap_or_default()) {
                assert!(
                    got.contains(&line),
                    "{name}: {task}: no {line:?} in {got:?}"
                );
            }
        }
    }
    // The check that Mesos cannot make. Until a command of it is in time its
    // result is that there is none.
    f.hear("check", "the check's result", |status| {
        status["check_status"]["command"]["exit_code"] == 7
    })
    .await;
    f.send(json!({"type": "KILL", "kill": {"task_id": {"value": "check"}}}))
        .await;
    f.follow("check", &["TASK_KILLING", "TASK_KILLED"]).await;
    let fetched = f.update("uri-missing", "TASK_FAILED").await;
    let message = fetched["message"].as_str().unwrap();
    assert!(message.contains("/no/such/uri"), "{message}");
}

/// What Mesos and the command line of Docker say in a task's errors of why it was
/// not started; the engine's own words depend on its version.
fn complaints(stderr: &str) -> Vec<String> {
    const ENGINE: &str = "docker: Error response from daemon: ";
    let lines = stderr.lines().filter_map(|line| {
        let line = line.split_once("] ").map_or(line, |(_, text)| text);
        let line = line.trim_start_matches("EXIT with status 1: ");
        if line.starts_with(ENGINE) {
            return Some(ENGINE);
        }
        let words = ["unknown flag: ", "Failed to create docker run options: "];
        if words.iter().any(|start| line.starts_with(start)) {
            return Some(line);
        }
        // Why a file cannot be had is said in other words here.
        let is_fetch = line.starts_with("Failed to fetch ");
        line.split_inclusive("': ").next().filter(|_| is_fetch)
    });
    lines.map(str::to_owned).collect()
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
    let events = fixture.open("/api/v1", &json!({"type": "SUBSCRIBE"})).await;
    let is_subscribed = |record: &Value| (record["type"] == "SUBSCRIBED").then_some(());
    events.records.wait("SUBSCRIBED", is_subscribed).await;
    launch_one(f, task).await;
    let states = ["TASK_STARTING".into(), "TASK_RUNNING".into()];
    let running = follow(f, "bridge", &states).await;
    f.hear("bridge", "a healthy task", |status| {
        status["healthy"] == true
    })
    .await;
    let recorded = |what: &str| {
        let actions = scene["actions"].as_array().unwrap();
        let action = actions.iter().find(|action| action["what"] == what);
        action.unwrap_or_else(|| panic!("no {what}")).clone()
    };
    let data = base64::engine::general_purpose::STANDARD.decode(running["data"].as_str().unwrap());
    let shown: Value = serde_json::from_slice(&data.unwrap()).unwrap();
    check_shown(&recorded("docker inspect, in part")["inspect"], &shown[0]);
    let host = HostAddress::http("127.0.0.1", port);
    let headers = http::HeaderMap::new();
    let answer = fixture
        .transport
        .get(&host, "/nothing", headers)
        .await
        .unwrap();
    let expected = recorded("the mapped port")["response"].take();
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
    let expected = compare::shape(&recorded("the agent lists containers")["response"]["body"]);
    let got = compare::shape(&containers);
    let lacking: Vec<_> = expected.difference(&got).collect();
    assert!(lacking.is_empty(), "{lacking:?} of {containers:#}");
    let executors = agent_call(fixture, &json!({"type": "GET_EXECUTORS"})).await;
    let executors: Value = serde_json::from_slice(&executors.body).unwrap();
    let expected = recorded("the agent lists executors")["response"]["body"].take();
    let executor = |answer: &Value| {
        let all = answer["get_executors"]["executors"].as_array().cloned();
        let is_it = |one: &Value| one["executor_info"]["executor_id"]["value"] == "bridge";
        all.unwrap().into_iter().find(is_it).unwrap()
    };
    group.check_shape("docker-bridge", &executor(&expected), &executor(&executors));

    f.send(json!({"type": "KILL", "kill": {"task_id": {"value": "bridge"}}}))
        .await;
    f.follow("bridge", &["TASK_KILLING", "TASK_KILLED"]).await;
    let told = |records: &[Value]| -> Vec<String> {
        let is_it = |record: &&Value| record.to_string().contains("\"bridge\"");
        let updates = records
            .iter()
            .filter(is_it)
            .filter(|r| r["type"] != "SUBSCRIBED");
        let update =
            |record: &Value| format!("{} {}", record["type"], record["task_updated"]["state"]);
        updates.map(update).collect()
    };
    let is_killed = |record: &Value| {
        let updated = &record["task_updated"];
        let is_it = updated["status"]["task_id"]["value"] == "bridge";
        (is_it && updated["state"] == "TASK_KILLED").then_some(())
    };
    events
        .records
        .wait("the end in the events", is_killed)
        .await;
    assert_eq!(
        told(&events.records.all()),
        told(records(&scene, "operator"))
    );
    check_told(
        "docker-bridge",
        records(&scene, "docks"),
        &f.stream.records.all(),
        &tasks(&scene),
        DIFFERENT,
    );
}

/// The container is made as Mesos has it made.
fn check_shown(recorded: &Value, shown: &Value) {
    let (config, host) = (&shown["Config"], &shown["HostConfig"]);
    let environment = |list: &Value| -> BTreeSet<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|entry| compare::text(entry.as_str().unwrap()))
            // What the image says.
            .filter(|entry| !entry.starts_with("PATH="))
            .collect()
    };
    assert_eq!(environment(&config["Env"]), environment(&recorded["Env"]));
    for name in ["Cmd", "Entrypoint", "Labels"] {
        assert_eq!(config[name], recorded[name], "{name}");
    }
    for name in [
        "CpuShares",
        "CpuQuota",
        "Memory",
        "NetworkMode",
        "PortBindings",
        "RestartPolicy",
    ] {
        assert_eq!(host[name], recorded[name], "{name}");
    }
    let bind = |list: &Value| {
        let bind = list[0].as_str().unwrap().split_once(':').unwrap();
        (list.as_array().unwrap().len(), bind.1.to_owned())
    };
    assert_eq!(bind(&host["Binds"]), bind(&recorded["Binds"]));
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
        follow(f, task_id(task), &["TASK_STARTING".into()]).await;
        let status = f.update(task_id(task), "TASK_RUNNING").await;
        f.acknowledge(&status).await;
        let container = &status["container_status"]["container_id"]["value"];
        names.insert(
            task_id(task),
            format!("mesos-{}", container.as_str().unwrap()),
        );
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
    check_told(
        "docker-agent-restart",
        records(&scene, "docks"),
        &f.stream.records.all(),
        &all,
        DIFFERENT,
    );
}
