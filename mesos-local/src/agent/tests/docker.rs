//! Tasks in containers, with an engine that does what a test says: what it is
//! asked, in which order, and what its failures become. A real engine runs real
//! containers in the tests that cross packages.

mod engine;

use std::fs;
use std::path::Path;

use mesos_sdk::v1;
use serde_json::json;

use super::processes::Place;
use super::*;
use crate::messages::ToAgent;
use engine::{Answer, Engine};

/// What the engine shows of a running container of its bridge.
fn shown() -> Answer {
    Answer::json(
        200,
        &json!({
            "State": {"Pid": 0, "Status": "running"},
            "Config": {"StopSignal": "SIGQUIT"},
            "NetworkSettings": {"IPAddress": "172.17.0.2"},
            "Unknown": {"Kept": [1, 2]},
        }),
    )
}

fn refused(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"message": message}))
}

/// A task in a container, with a check where there is one.
fn docker_task(id: &str, change: impl FnOnce(&mut v1::TaskInfo)) -> v1::TaskInfo {
    let mut task = task(id, "echo hello");
    task.container = Some(v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker.into(),
        docker: Some(v1::container_info::DockerInfo {
            image: "bb:latest".into(),
            ..Default::default()
        }),
        ..Default::default()
    });
    change(&mut task);
    task
}

async fn place(socket: &Path) -> Place {
    Place::with_engine(EngineAddress::Unix(socket.to_owned())).await
}

#[tokio::test]
async fn a_container_is_made_watched_and_removed() {
    let engine = Engine::start(|request| match request.route() {
        "GET containers" => shown(),
        "POST attach" => Answer::hijack(&[(1, "out\n"), (2, "err\n")]),
        "POST wait" => Answer::json(200, &json!({"StatusCode": 3})),
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |_| {}));
    let starting = place.update().await;
    assert_eq!(starting.state(), v1::TaskState::TaskStarting);
    let container = starting.container_status.unwrap().container_id.unwrap();
    let running = place.update().await;
    assert_eq!(running.state(), v1::TaskState::TaskRunning);
    let network = &running.container_status.unwrap().network_infos[0];
    assert_eq!(network.ip_addresses[0].ip_address(), "172.17.0.2");
    // The engine's own words, with what no model knows.
    let data: serde_json::Value = serde_json::from_slice(&running.data.unwrap()).unwrap();
    assert_eq!(data[0]["Unknown"]["Kept"], json!([1, 2]));
    let failed = place.update().await;
    assert_eq!(failed.state(), v1::TaskState::TaskFailed);
    assert_eq!(failed.message(), "Container exited with status 3");
    assert_eq!(failed.data, None);
    let sandbox = place.sandbox("t");
    assert_eq!(fs::read_to_string(sandbox.join("stdout")).unwrap(), "out\n");
    assert_eq!(fs::read_to_string(sandbox.join("stderr")).unwrap(), "err\n");

    let name = format!("mesos-{}", container.value);
    engine.saw(&format!("DELETE /containers/{name}?")).await;
    let routes = engine.routes();
    assert_eq!(
        routes,
        [
            "GET version",
            "GET images",
            "POST create",
            "POST attach",
            "POST start",
            "GET containers",
            "POST wait",
            "DELETE containers"
        ]
    );
    let create = engine.find("POST create");
    assert!(create.path.contains(&format!("name={name}")), "{create:?}");
    assert_eq!(create.body["Image"], "bb:latest");
    assert_eq!(create.body["Entrypoint"], json!(["/bin/sh"]));
    assert_eq!(create.body["Cmd"], json!(["-c", "echo hello"]));
    assert_eq!(create.body["HostConfig"]["NetworkMode"], "host");
    let bind = create.body["HostConfig"]["Binds"][0].as_str().unwrap();
    let directory = fs::canonicalize(&sandbox).unwrap();
    assert_eq!(bind, format!("{}:/mnt/mesos/sandbox", directory.display()));
}

#[tokio::test]
async fn without_an_engine_a_task_fails_and_says_so() {
    let mut place = place(Path::new("/no/such/docker.sock")).await;
    place.run(docker_task("t", |_| {}));
    let status = place.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskFailed);
    assert_eq!(status.source(), v1::task_status::Source::Agent);
    let reason = v1::task_status::Reason::ContainerLaunchFailed;
    assert_eq!(status.reason(), reason);
    assert_eq!(
        status.message(),
        "Failed to launch container: Cannot connect to the Docker daemon at \
         unix:///no/such/docker.sock: No such file or directory"
    );
    // Nothing else is affected.
    place.run(task("plain", "true"));
    place.until(v1::TaskState::TaskFinished).await;
}

#[tokio::test]
async fn what_the_engine_says_of_an_image_is_the_tasks_message() {
    let engine = Engine::start(|request| match request.route() {
        "GET images" => refused(404, "No such image: bb:latest"),
        // Pulling begins well and ends badly.
        "POST images" => Answer::json(
            200,
            &json!({"status": "Pulling", "errorDetail": {"message": "no route"}, "error": "no route"}),
        ),
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |_| {}));
    let status = place.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskFailed);
    assert_eq!(
        status.message(),
        format!(
            "Failed to launch container: Failed to run 'docker -H unix://{} pull bb:latest': \
             exited with status 1; stderr='Error response from daemon: no route\n'",
            engine.socket().display()
        )
    );
    let pull = engine.find("POST images");
    assert!(pull.path.contains("fromImage=bb"), "{pull:?}");
    assert!(pull.path.contains("tag=latest"), "{pull:?}");
    // The sandbox is there, and empty but for the two files.
    assert_eq!(fs::read_dir(place.sandbox("t")).unwrap().count(), 2);

    // A forced pull asks no more whether the image is there.
    place.run(docker_task("forced", |task| {
        let container = task.container.as_mut().unwrap();
        container.docker.as_mut().unwrap().force_pull_image = Some(true);
    }));
    place.until(v1::TaskState::TaskFailed).await;
    let routes = engine.routes();
    assert_eq!(
        routes,
        ["GET version", "GET images", "POST images", "POST images"]
    );
}

#[tokio::test]
async fn a_container_that_does_not_start_tells_the_status_of_docker_run() {
    const MESSAGE: &str = "OCI runtime create failed: exec: \"/no/such\": stat /no/such: no such \
                           file or directory: unknown";
    let engine = Engine::start(|request| match request.route() {
        "POST attach" => Answer::hijack(&[]),
        "POST start" => refused(400, MESSAGE),
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |_| {}));
    assert_eq!(place.update().await.state(), v1::TaskState::TaskStarting);
    let status = place.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskFailed);
    assert_eq!(status.source(), v1::task_status::Source::Executor);
    assert_eq!(
        status.message(),
        format!("Container exited with status 127: Error response from daemon: {MESSAGE}")
    );
    let stderr = fs::read_to_string(place.sandbox("t").join("stderr")).unwrap();
    assert_eq!(
        stderr,
        format!("docker: Error response from daemon: {MESSAGE}\n")
    );
    engine.saw("DELETE /containers/mesos-").await;
}

#[tokio::test]
async fn a_description_that_contradicts_itself_never_reaches_the_engine() {
    let engine = Engine::start(|_| Answer::fine());
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |task| {
        task.container.as_mut().unwrap().hostname = Some("named".into());
    }));
    assert_eq!(place.update().await.state(), v1::TaskState::TaskStarting);
    let status = place.update().await;
    let text = "Failed to create docker run options: Unable to set hostname with host network mode";
    assert_eq!(status.message(), text);
    let stderr = fs::read_to_string(place.sandbox("t").join("stderr")).unwrap();
    assert_eq!(stderr, format!("{text}\n"));
    assert_eq!(engine.routes(), ["GET version", "GET images"]);
}

#[tokio::test]
async fn killed_while_it_starts_a_container_ends_as_soon_as_it_can() {
    let engine = Engine::start(|request| match request.route() {
        "GET containers" => shown(),
        "POST attach" => Answer::hijack(&[]),
        "POST start" => Answer::fine().after("start"),
        "POST wait" => Answer::json(200, &json!({"StatusCode": 137})).after("SIGKILL"),
        "POST kill" if request.path.ends_with("SIGKILL") => Answer::fine().releases("SIGKILL"),
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |task| {
        task.kill_policy = Some(v1::KillPolicy {
            grace_period: Some(v1::DurationInfo { nanoseconds: 0 }),
        });
    }));
    place.update().await;
    engine.saw("POST /containers/mesos-").await;
    place.kill("t");
    // The kill has been taken in when the next message has been answered.
    place.tell(ToAgent::Ping);
    place.pong().await;
    engine.release("start");
    let status = place.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskKilled);
    assert_eq!(status.message(), "Container exited with status 137");
    // The signal that the image asks for comes first.
    let kills = engine.paths("POST kill");
    assert!(kills[0].ends_with("signal=SIGQUIT"), "{kills:?}");
    assert!(kills[1].ends_with("signal=SIGKILL"), "{kills:?}");
}

#[tokio::test]
async fn killed_while_its_image_is_pulled_a_task_is_over_at_once() {
    let engine = Engine::start(|request| match request.route() {
        "GET images" => refused(404, "No such image"),
        "POST images" => Answer::fine().after("never"),
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |_| {}));
    engine.saw("POST /images/create").await;
    place.kill("t");
    let status = place.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskKilled);
    let reason = v1::task_status::Reason::TaskKilledDuringLaunch;
    assert_eq!(status.reason(), reason);
    engine.dropped("POST images").await;
}

/// Time for an image is limited as that for a file is.
#[tokio::test]
async fn an_image_that_does_not_come_is_given_up() {
    let engine = Engine::start(|request| match request.route() {
        "GET images" => refused(404, "No such image"),
        "POST images" => Answer::fine().after("never"),
        _ => Answer::fine(),
    });
    let mut place = Place::with(|config| {
        config.docker = EngineAddress::Unix(engine.socket().to_owned());
        config.limits.fetch_timeout = std::time::Duration::from_secs(1);
    })
    .await;
    place.run(docker_task("t", |_| {}));
    let status = place.update().await;
    assert_eq!(
        status.message(),
        "Failed to launch container: pulling 'bb:latest' took too long"
    );
    engine.dropped("POST images").await;
}

#[tokio::test]
async fn containers_run_on_without_their_agent_and_end_with_its_machine() {
    let engine = Engine::start(|request| match request.route() {
        "GET containers" => shown(),
        "POST attach" => Answer::hijack(&[]),
        "POST wait" if request.path.contains("/containers/mesos-") => {
            Answer::json(200, &json!({"StatusCode": 0})).after("end")
        }
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    for id in ["ends", "stays"] {
        place.run(docker_task(id, |_| {}));
        place.until(v1::TaskState::TaskRunning).await;
    }
    place.agent.crash(false).await;
    assert!(engine.paths("DELETE containers").is_empty());
    place.agent.crash(true).await;
    engine.saw("DELETE /containers/mesos-").await;
    engine.dropped("POST wait").await;
}

#[tokio::test]
async fn the_command_of_a_check_runs_in_the_container() {
    let engine = Engine::start(|request| match request.route() {
        "GET containers" => shown(),
        "POST attach" => Answer::hijack(&[]),
        "POST wait" => Answer::fine().after("never"),
        "POST exec" if request.path.contains("/containers/") => {
            Answer::json(201, &json!({"Id": "e1"}))
        }
        "POST exec" => Answer::hijack(&[(1, "checked\n")]),
        "GET exec" => Answer::json(200, &json!({"ID": "e1", "ExitCode": 7})),
        _ => Answer::fine(),
    });
    let mut place = place(engine.socket()).await;
    place.run(docker_task("t", |task| {
        task.check = Some(v1::CheckInfo {
            r#type: Some(v1::check_info::Type::Command.into()),
            command: Some(v1::check_info::Command {
                command: v1::CommandInfo {
                    value: Some("exit 7".into()),
                    ..Default::default()
                },
            }),
            delay_seconds: Some(0.0),
            ..Default::default()
        });
    }));
    place.until(v1::TaskState::TaskRunning).await;
    let status = place.update().await;
    let checked = status.check_status.unwrap().command.unwrap();
    assert_eq!(checked.exit_code, Some(7));
    // What the engine shows of the container is told once.
    assert_eq!(status.data, None);
    let network = &status.container_status.unwrap().network_infos[0];
    assert_eq!(network.ip_addresses[0].ip_address(), "172.17.0.2");
    let exec = engine.find("POST exec");
    assert_eq!(exec.body["Cmd"], json!(["/bin/sh", "-c", "exit 7"]));

    // An agent that ends leaves no container.
    place.agent.stop().await;
    engine.saw("DELETE /containers/mesos-").await;
}
