//! Executors in containers of the Docker engine, in virtual time.

use std::time::Duration;

use mesos_sdk::v1;
use v1::TaskState::*;
use v1::executor::{call, event};
use v1::task_status::Reason;

use super::executors::{custom_task, status};
use super::scene::Scene;
use super::*;
use crate::agent::{Action, ContainerKey, ExitStatus, Input, Signal, Started};
use crate::messages::ToAgent;

const KILLED: ExitStatus = ExitStatus::Exited(137);

/// Launches a task whose executor is to run in a container, made as `change`
/// says.
fn launch(scene: &mut Scene, change: impl FnOnce(&mut v1::ContainerInfo)) -> ContainerKey {
    let mut container = v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker.into(),
        docker: Some(v1::container_info::DockerInfo {
            image: "bb:latest".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    change(&mut container);
    let mut task = custom_task("t");
    task.executor.as_mut().unwrap().container = Some(container);
    scene.tell(ToAgent::RunTask {
        framework: scene.framework.clone(),
        task,
    });
    let Some(Action::Launch(launch)) = scene.actions.pop() else {
        panic!("expected a launch");
    };
    assert_eq!(launch.image.unwrap().name, "bb:latest");
    launch.container
}

/// The image is there.
fn prepared(scene: &mut Scene, container: &ContainerKey) {
    scene.give(Input::Prepared {
        container: container.clone(),
    });
}

fn started(scene: &mut Scene, container: &ContainerKey) {
    scene.give(Input::Started {
        container: container.clone(),
        started: Started {
            pid: Some(4713),
            address: None,
            inspect: "[]".into(),
        },
    });
}

#[test]
fn an_executor_lives_in_its_container() {
    let mut scene = Scene::new();
    let container = launch(&mut scene, |_| {});
    prepared(&mut scene, &container);
    let Some(Action::StartContainer { plan, .. }) = scene.actions.pop() else {
        panic!("expected a container");
    };
    let environment = plan.body.env.unwrap();
    let has = |start: &str| environment.iter().any(|entry| entry.starts_with(start));
    assert!(has("MESOS_AGENT_ENDPOINT=127.0.0.1:"), "{environment:?}");
    assert!(has("MESOS_SANDBOX=/mnt/mesos/sandbox"), "{environment:?}");
    started(&mut scene, &container);
    assert!(scene.sent.is_empty(), "its task is its own to report");
    scene.subscribe(1, call::Subscribe::default());
    assert_eq!(
        scene.heard(1),
        [event::Type::Subscribed, event::Type::Launch]
    );
    scene.say(status("t", TaskRunning, 1));
    let running = scene.sent.pop().unwrap().container_status.unwrap();
    assert_eq!(running.executor_pid, Some(4713));

    scene.tell(ToAgent::ShutdownExecutor {
        framework_id: framework_id(),
        executor_id: mesos_sdk::ids::executor_id("e"),
    });
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.signals(), [Signal::Kill]);
    scene.exit(&container, KILLED);
    assert_eq!(scene.states(), [TaskFailed]);
    assert_eq!(scene.failures(), [137 << 8]);
}

#[test]
fn a_container_that_does_not_start_fails_the_tasks_of_its_executor() {
    let mut scene = Scene::new();
    let container = launch(&mut scene, |_| {});
    prepared(&mut scene, &container);
    scene.give(Input::RunFailed {
        container,
        status: ExitStatus::Exited(125),
        message: "no such network".into(),
    });
    let failed = scene.sent.pop().unwrap();
    assert_eq!(failed.state(), TaskFailed);
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        failed.message(),
        "Failed to launch container: Container exited with status 125: no such network"
    );
    assert_eq!(scene.failures(), [125 << 8]);
}

#[test]
fn a_description_that_contradicts_itself_fails_the_tasks_of_its_executor() {
    let mut scene = Scene::new();
    let container = launch(&mut scene, |container| {
        container.hostname = Some("named".into());
    });
    prepared(&mut scene, &container);
    let failed = scene.sent.pop().unwrap();
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    let message = failed.message();
    assert!(
        message.ends_with("hostname with host network mode"),
        "{message}"
    );
    assert!(matches!(
        scene.actions.last(),
        Some(Action::Complain { .. })
    ));
    assert_eq!(scene.failures(), [-1]);
}

/// Pulling its image is part of the time that it has to register.
#[test]
fn an_executor_that_does_not_come_in_time_is_removed() {
    let mut scene = Scene::new();
    launch(&mut scene, |_| {});
    scene.pass(Duration::from_secs(60));
    assert!(matches!(scene.actions.pop(), Some(Action::Abandon { .. })));
    let failed = scene.sent.pop().unwrap();
    assert_eq!(failed.reason(), Reason::ExecutorRegistrationTimeout);

    let container = launch(&mut scene, |_| {});
    prepared(&mut scene, &container);
    started(&mut scene, &container);
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.signals(), [Signal::Kill]);
    scene.exit(&container, KILLED);
    let failed = scene.sent.pop().unwrap();
    assert_eq!(failed.reason(), Reason::ExecutorRegistrationTimeout);
}

/// What a container of type MESOS cannot be is said clearly, of executors too.
#[test]
fn an_executor_with_an_image_of_mesos_is_refused() {
    let mut scene = Scene::new();
    let mut task = custom_task("t");
    task.executor.as_mut().unwrap().container = Some(v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos.into(),
        mesos: Some(v1::container_info::MesosInfo {
            image: Some(v1::Image {
                r#type: v1::image::Type::Docker.into(),
                ..Default::default()
            }),
        }),
        ..Default::default()
    });
    scene.tell(ToAgent::RunTask {
        framework: scene.framework.clone(),
        task,
    });
    assert!(scene.actions.is_empty());
    let failed = scene.sent.pop().unwrap();
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        failed.message(),
        "Failed to launch container: Unsupported container image type: DOCKER"
    );
}
