//! Containers in a real Docker engine, from the framework's call to the answer
//! on the container's port. Where there can be no engine a test says why and
//! passes; see `mesos_tests::engine`.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use mesos_sdk::address::HostAddress;
use mesos_tests::engine::Engine;
use mesos_tests::fixture::{Fixture, PATIENCE};
use mesos_tests::framework::{Framework, framework_info, launch, resources, task};
use serde_json::{Value, json};

async fn fixture(engine: &Engine) -> Fixture {
    let address = engine.address().to_owned();
    Fixture::with(|config| config.docker_socket = Some(address)).await
}

/// A task in a container of the tests' image.
fn container(offer: &Value, id: &str, command: &str, docker: Value) -> Value {
    let mut task = task(offer, id, command);
    task["container"] = json!({"type": "DOCKER", "docker": docker});
    task["container"]["docker"]["image"] = json!("bb:latest");
    task
}

fn id_of(status: &Value) -> String {
    let id = &status["container_status"]["container_id"]["value"];
    format!("mesos-{}", id.as_str().unwrap())
}

/// Waits until a task runs, and gives the status that says so.
async fn running(f: &Framework<'_>, task: &str) -> Value {
    f.follow(task, &["TASK_STARTING"]).await;
    let status = f.update(task, "TASK_RUNNING").await;
    f.acknowledge(&status).await;
    status
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(in_time.is_ok(), "not in time: {what}");
}

async fn is_gone(engine: &Engine, name: &str) {
    until("the container is removed", || async {
        !engine.containers().await.iter().any(|known| known == name)
    })
    .await;
}

/// A port of this machine that nobody listens on, within what the agent offers.
fn free_port() -> u16 {
    (31_000..=32_000)
        .map(|port| 31_000 + (port - 31_000 + std::process::id() as u16 % 1000) % 1001)
        .find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
        .unwrap()
}

#[tokio::test]
async fn a_mapped_port_answers_http_on_the_host() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = fixture(engine).await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    let port = free_port();
    f.launch(|offer| {
        let mut task = container(
            offer,
            "web",
            "",
            json!({"network": "BRIDGE", "port_mappings": [
                {"host_port": port, "container_port": 9000, "protocol": "tcp"}]}),
        );
        task["command"] =
            json!({"shell": false, "value": "/bin/httpd", "arguments": ["-f", "-p", "9000"]});
        let ports = json!({"name": "ports", "type": "RANGES", "allocation_info": {"role": "*"},
            "ranges": {"range": [{"begin": port, "end": port}]}});
        task["resources"].as_array_mut().unwrap().push(ports);
        task["health_check"] = json!({"type": "TCP", "tcp": {"port": 9000}, "delay_seconds": 0.0,
            "interval_seconds": 0.1, "grace_period_seconds": 20.0});
        task
    })
    .await;
    let running = running(&f, "web").await;
    // The container's own address, and the engine's own words.
    let network = &running["container_status"]["network_infos"][0];
    let address = network["ip_addresses"][0]["ip_address"].as_str().unwrap();
    assert!(address.starts_with("10."), "{address}");
    let data = base64_json(&running["data"]);
    assert_eq!(data[0]["Name"], format!("/{}", id_of(&running)));
    assert_eq!(data[0]["NetworkSettings"]["IPAddress"], address);
    assert_eq!(data[0]["HostConfig"]["Memory"], 32 << 20);
    assert_eq!(data[0]["HostConfig"]["CpuShares"], 102);

    let host = HostAddress::http("127.0.0.1", port);
    until("the port answers", || async {
        let get = fixture
            .transport
            .get(&host, "/nothing", http::HeaderMap::new());
        get.await.is_ok_and(|response| response.status == 404)
    })
    .await;
    // The check of the port was made in the container's network.
    let healthy = f
        .hear("web", "a healthy web", |status| status["healthy"] == true)
        .await;
    assert!(healthy["data"].is_null());

    f.send(
        json!({"type": "KILL", "kill": {"task_id": {"value": "web"}, "kill_policy":
        {"grace_period": {"nanoseconds": 100_000_000}}}}),
    )
    .await;
    f.follow("web", &["TASK_KILLING", "TASK_KILLED"]).await;
    is_gone(engine, &id_of(&running)).await;
    assert!(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok());
}

/// What a task may say of its container, looked at from inside and through the
/// engine; what it leaves in its volumes is there for the next task.
#[tokio::test]
async fn a_container_is_as_its_task_describes_it() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = fixture(engine).await;
    let mut info = framework_info("docks");
    info["roles"] = json!(["db"]);
    info["principal"] = json!("tests");
    let f = Framework::subscribe(&fixture, info, None).await;
    let scalar = |name: &str, value: f64| {
        json!({"name": name, "type": "SCALAR", "scalar": {"value": value},
            "allocation_info": {"role": "db"}})
    };
    let mut disk = scalar("disk", 16.0);
    disk["reservations"] = json!([{"type": "DYNAMIC", "role": "db", "principal": "tests"}]);
    let mut kept = disk.clone();
    kept["disk"] = json!({"persistence": {"id": "kept", "principal": "tests"},
        "volume": {"mode": "RW", "container_path": "data"}});
    let port = free_port();
    let ports = json!({"name": "ports", "type": "RANGES", "allocation_info": {"role": "db"},
        "ranges": {"range": [{"begin": port, "end": port}]}});
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("given"), "given\n").unwrap();

    let offer = f.offer().await;
    let mut first = container(
        &offer,
        "first",
        "cat /read/given; echo $HOSTNAME $A$B; \
         echo no >/read/x || echo read-only; \
         echo kept >$MESOS_SANDBOX/data/file; echo named >/named/file; echo errors >&2; sleep 1",
        json!({"network": "BRIDGE",
            "port_mappings": [
                {"host_port": port, "container_port": 9000},
                {"host_port": port, "container_port": 9001, "protocol": "udp"}],
            "parameters": [{"key": "env", "value": "B=2"}, {"key": "label", "value": "of=tests"}]}),
    );
    first["command"]["environment"] = json!({"variables": [{"name": "A", "value": "1"}]});
    first["container"]["hostname"] = json!("inside");
    first["container"]["volumes"] = json!([
        {"mode": "RO", "container_path": "/read", "host_path": shared.path()},
        {"mode": "RW", "container_path": "/named", "source": {"type": "DOCKER_VOLUME",
            "docker_volume": {"name": "tests-volume"}}},
    ]);
    first["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0), ports, kept]);
    let operations = json!([
        {"type": "RESERVE", "reserve": {"resources": [disk]}},
        {"type": "CREATE", "create": {"volumes": [kept]}},
        {"type": "LAUNCH", "launch": {"task_infos": [first]}},
    ]);
    let accepted = f.accept(&offer["id"], operations).await;
    assert_eq!(accepted.status.as_u16(), 202, "{}", accepted.text());
    let started = running(&f, "first").await;
    let shown = &base64_json(&started["data"])[0];
    let host = &shown["HostConfig"];
    assert_eq!(host["Privileged"], false);
    assert_eq!(
        host["PortBindings"]["9000/tcp"][0]["HostPort"],
        port.to_string()
    );
    assert_eq!(
        host["PortBindings"]["9001/udp"][0]["HostPort"],
        port.to_string()
    );
    assert_eq!(shown["Config"]["Labels"], json!({"of": "tests"}));
    f.follow("first", &["TASK_FINISHED"]).await;
    let path = |task: &str, file: &str| {
        let id = &f.id;
        format!("/files/download?path=/frameworks/{id}/executors/{task}/runs/latest/{file}")
    };
    let read = async |task: &str, file: &str| {
        let headers = http::HeaderMap::new();
        let path = path(task, file);
        let response = fixture.transport.get(&fixture.agent, &path, headers);
        String::from_utf8(response.await.unwrap().body.into()).unwrap()
    };
    let stdout = read("first", "stdout").await;
    assert_eq!(stdout, "given\ninside 12\nread-only\n");
    let stderr = read("first", "stderr").await;
    assert!(stderr.ends_with("errors\n"), "{stderr}");

    // Another container, and then a process beside it.
    let mut used = Vec::new();
    for (id, is_docker) in [("second", true), ("third", false)] {
        let has_volume = |record: &Value| {
            let offers = record["offers"]["offers"].as_array()?;
            let is_it = |offer: &&Value| {
                offer.to_string().contains("persistence") && !used.contains(&offer["id"])
            };
            offers.iter().find(is_it).cloned()
        };
        let offer = f.stream.records.wait("an offer of it", has_volume).await;
        used.push(offer["id"].clone());
        let mut task = task(&offer, id, "cat data/file");
        if is_docker {
            let command = "cat $MESOS_SANDBOX/data/file /named/file";
            task = container(&offer, id, command, json!({}));
            task["container"]["volumes"] = first["container"]["volumes"].clone();
        }
        task["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0), kept]);
        let accepted = f.accept(&offer["id"], launch([task])).await;
        assert_eq!(accepted.status.as_u16(), 202, "{}", accepted.text());
        f.follow(id, &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"])
            .await;
    }
    assert_eq!(read("second", "stdout").await, "kept\nnamed\n");
    assert_eq!(read("third", "stdout").await, "kept\n");
    drop(f);
    fixture.cluster.unwrap().stop().await;
    is_gone(engine, &id_of(&started)).await;
}

/// Whether a container may have every capability is up to those that the engine
/// has itself; where it lacks some it says that it cannot give them.
#[tokio::test]
async fn a_privileged_container_has_every_capability_or_none_at_all() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = fixture(engine).await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    f.launch(|offer| container(offer, "mighty", "sleep 1", json!({"privileged": true})))
        .await;
    f.follow("mighty", &["TASK_STARTING"]).await;
    let second = |record: &Value| {
        let status = &record["update"]["status"];
        let is_it = status["task_id"]["value"] == "mighty" && status["state"] != "TASK_STARTING";
        is_it.then(|| status.clone())
    };
    let status = f.stream.records.wait("what becomes of it", second).await;
    if status["state"] == "TASK_RUNNING" {
        let shown = &base64_json(&status["data"])[0];
        assert_eq!(shown["HostConfig"]["Privileged"], true);
    } else {
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("unable to apply caps"), "{message}");
    }
}

/// Where no engine listens, tasks in containers fail and say so, and others run.
#[tokio::test]
async fn without_an_engine_only_what_needs_one_fails() {
    let fixture = Fixture::with(|config| {
        config.docker_socket = Some("unix:///no/such/docker.sock".to_owned());
    })
    .await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    f.launch(|offer| container(offer, "boxed", "true", json!({})))
        .await;
    let failed = f.update("boxed", "TASK_FAILED").await;
    f.acknowledge(&failed).await;
    assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    assert_eq!(
        failed["message"],
        "Failed to launch container: Cannot connect to the Docker daemon at \
         unix:///no/such/docker.sock: No such file or directory"
    );
    f.launch(|offer| {
        let mut task = task(offer, "plain", "true");
        task["container"] = json!({"type": "MESOS"});
        task
    })
    .await;
    f.follow("plain", &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"])
        .await;
    f.launch(|offer| {
        let mut task = task(offer, "imaged", "true");
        let image = json!({"type": "DOCKER", "docker": {"name": "bb:latest"}});
        task["container"] = json!({"type": "MESOS", "mesos": {"image": image}});
        task
    })
    .await;
    let failed = f.update("imaged", "TASK_FAILED").await;
    assert_eq!(
        failed["message"],
        "Failed to launch container: Unsupported container image type: DOCKER"
    );
}

fn base64_json(text: &Value) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap());
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[tokio::test]
async fn a_named_network_is_joined() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = fixture(engine).await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    let config = bollard::models::NetworkCreateRequest {
        name: "tests-net".to_owned(),
        ..Default::default()
    };
    engine.client.create_network(config).await.unwrap();
    f.launch(|offer| {
        let mut task = container(
            offer,
            "named",
            "hostname; sleep 100",
            json!({"network": "USER",
            "parameters": [{"key": "network-alias", "value": "alias"}]}),
        );
        task["container"]["network_infos"] = json!([{"name": "tests-net"}]);
        task["container"]["hostname"] = json!("inside");
        task
    })
    .await;
    let running = running(&f, "named").await;
    let data = base64_json(&running["data"]);
    let joined = &data[0]["NetworkSettings"]["Networks"]["tests-net"];
    let network = &running["container_status"]["network_infos"][0];
    assert_eq!(
        joined["IPAddress"],
        network["ip_addresses"][0]["ip_address"]
    );
    let aliases = joined["Aliases"].as_array().unwrap();
    assert!(aliases.contains(&json!("alias")), "{aliases:?}");
    assert_eq!(data[0]["Config"]["Hostname"], "inside");
    drop(f);
    fixture.cluster.unwrap().stop().await;
    is_gone(engine, &id_of(&running)).await;
    engine.client.remove_network("tests-net").await.unwrap();
}

#[tokio::test]
async fn the_cluster_takes_its_containers_with_it() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = fixture(engine).await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    f.launch(|offer| {
        container(
            offer,
            "stays",
            "trap '' TERM; while :; do sleep 1; done",
            json!({}),
        )
    })
    .await;
    let running = running(&f, "stays").await;
    let name = id_of(&running);
    assert!(engine.containers().await.contains(&name));
    drop(f);
    // Dropped, not stopped.
    drop(fixture);
    is_gone(engine, &name).await;
}

/// Set for the process that is to be killed: the test below, started once more.
const HOLDER: &str = "MESOS_TESTS_DOCKER_HOLDER";

#[tokio::test]
async fn no_container_outlives_a_holder_that_is_killed() {
    if let Ok(address) = std::env::var(HOLDER) {
        return hold(address).await;
    }
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("no_container_outlives_a_holder_that_is_killed")
        .env(HOLDER, engine.address())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let name = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.split_once("holding ")?.1.to_owned()))
        .unwrap();
    assert!(engine.containers().await.contains(&name));
    // SIGKILL.
    holder.kill().unwrap();
    holder.wait().unwrap();
    is_gone(engine, &name).await;
}

/// Runs a container that ignores SIGTERM, and waits for the end.
async fn hold(address: String) {
    let fixture = Fixture::with(|config| config.docker_socket = Some(address)).await;
    let f = Framework::subscribe(&fixture, framework_info("holder"), None).await;
    f.launch(|offer| {
        container(
            offer,
            "held",
            "trap '' TERM; while :; do sleep 1; done",
            json!({}),
        )
    })
    .await;
    let running = running(&f, "held").await;
    println!("holding {}", id_of(&running));
    std::future::pending::<()>().await;
}

/// The recorded executor, a program in Python, in a container that sees this
/// machine's programs.
#[tokio::test]
async fn an_executor_runs_in_a_container() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    if Command::new("python3").arg("--version").output().is_err() {
        let is_required = std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_some();
        assert!(!is_required, "python3 is required and not installed");
        println!("skipped: python3 is not installed");
        return;
    }
    let fixture = fixture(engine).await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    let recorded = mesos_tests::captures::read("accept-launch-custom-executor");
    let operations = &recorded["request"]["body"]["accept"]["operations"];
    let mut task = operations[0]["launch"]["task_infos"][0].clone();
    let mut directories = Vec::new();
    for directory in ["/usr", "/lib", "/lib64"] {
        if std::path::Path::new(directory).exists() {
            directories
                .push(json!({"mode": "RO", "container_path": directory, "host_path": directory}));
        }
    }
    task["executor"]["container"] = json!({"type": "DOCKER", "volumes": directories, "docker":
        {"image": "bb:latest", "parameters": [{"key": "workdir", "value": "/mnt/mesos/sandbox"}]}});
    task["executor"]["framework_id"]["value"] = json!(f.id);
    let offer = f
        .launch(|offer| {
            task["agent_id"] = offer["agent_id"].clone();
            task
        })
        .await;
    let running = f.update("custom-1", "TASK_RUNNING").await;
    f.acknowledge(&running).await;
    let names = engine.containers().await;
    let container = running["container_status"]["container_id"]["value"].as_str();
    let name = format!("mesos-{}", container.unwrap());
    assert!(names.contains(&name), "{names:?}");
    // What it saw of its surroundings, written where it runs.
    let path = format!(
        "/files/download?path=/frameworks/{}/executors/recorder/runs/latest/env.json",
        f.id
    );
    let headers = http::HeaderMap::new();
    let seen = fixture.transport.get(&fixture.agent, &path, headers).await;
    let seen: Value = serde_json::from_slice(&seen.unwrap().body).unwrap();
    assert_eq!(seen["MESOS_SANDBOX"], "/mnt/mesos/sandbox");
    assert_eq!(seen["MESOS_CONTAINER_NAME"], name);
    assert_eq!(seen["MESOS_EXECUTOR_ID"], "recorder");
    f.send(json!({"type": "KILL", "kill": {"task_id": {"value": "custom-1"}}}))
        .await;
    f.follow("custom-1", &["TASK_KILLED"]).await;
    f.send(json!({"type": "SHUTDOWN", "shutdown":
        {"agent_id": offer["agent_id"], "executor_id": {"value": "recorder"}}}))
        .await;
    let failed = |record: &Value| {
        let failure = &record["failure"];
        (failure["executor_id"]["value"] == "recorder").then(|| failure["status"].clone())
    };
    let status = f.stream.records.wait("FAILURE", failed).await;
    assert_eq!(status, 0);
    is_gone(engine, &name).await;

    // An executor without its image is one that never came.
    f.launch(|offer| {
        let mut task = operations[0]["launch"]["task_infos"][0].clone();
        task["agent_id"] = offer["agent_id"].clone();
        task["task_id"]["value"] = json!("imageless");
        task["executor"]["executor_id"]["value"] = json!("imageless");
        task["executor"]["framework_id"]["value"] = json!(f.id);
        task["executor"]["container"] = json!({"type": "DOCKER", "docker": {"image": "UPPER"}});
        task
    })
    .await;
    let status = f.update("imageless", "TASK_FAILED").await;
    assert_eq!(status["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("must be lowercase"), "{message}");
}

#[tokio::test]
async fn a_limit_and_a_check_by_command() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let fixture = fixture(engine).await;
    let f = Framework::subscribe(&fixture, framework_info("docks"), None).await;
    f.launch(|offer| {
        let mut task = container(offer, "checked", "sleep 100", json!({"parameters": [
            {"key": "ulimit", "value": "cpu=777:888"}, {"key": "user", "value": "1234"},
            {"key": "tmpfs", "value": "/tmp"}, {"key": "env", "value": "EXTRA=1"}]}));
        task["check"] = json!({"type": "COMMAND", "delay_seconds": 0.0, "interval_seconds": 0.1, "command":
            {"command": {"value": "[ $(ulimit -t) = 777 ] || exit 1; [ $(id -u) = 1234 ] || exit 2; [ $EXTRA$MORE = 12 ] || exit 3; exit 7",
                "environment": {"variables": [{"name": "MORE", "value": "2"}]}}}});
        task["resources"] = resources(0.5, 64.0);
        task
    })
    .await;
    f.follow("checked", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    // While a command of it takes too long there is none.
    let status = f
        .hear("checked", "the check's result", |status| {
            status["check_status"]["command"]["exit_code"].is_i64()
        })
        .await;
    assert_eq!(status["check_status"]["command"]["exit_code"], 7);
}
