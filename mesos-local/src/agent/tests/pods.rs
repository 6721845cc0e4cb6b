//! Task groups of the default executor, in virtual time.

use std::time::Duration;

use mesos_sdk::v1;
use v1::TaskState::*;
use v1::task_status::Source;

use super::scene::Scene;
use super::*;
use crate::agent::{Action, ContainerKey, ExitStatus, Finding, Input, Launch, ProbeKind, Signal};
use crate::messages::ToAgent;

const TERMINATED: ExitStatus = ExitStatus::Signaled {
    signal: 15,
    core_dumped: false,
};

fn pod_info() -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        r#type: Some(v1::executor_info::Type::Default.into()),
        executor_id: mesos_sdk::ids::executor_id("pod"),
        framework_id: Some(framework_id()),
        ..Default::default()
    }
}

impl Scene {
    /// Launches a group and gives back what is to be started for it.
    pub(super) fn launch_group(&mut self, tasks: Vec<v1::TaskInfo>) -> Vec<Launch> {
        let framework = self.framework.clone();
        self.tell(ToAgent::RunTaskGroup {
            framework,
            executor: pod_info(),
            group: v1::TaskGroupInfo { tasks },
        });
        self.actions
            .drain(..)
            .map(|action| match action {
                Action::Launch(launch) => *launch,
                other => panic!("expected a launch, got {other:?}"),
            })
            .collect()
    }

    /// Launches a group whose commands start.
    pub(super) fn start_group(&mut self, tasks: Vec<v1::TaskInfo>) -> Vec<ContainerKey> {
        let containers: Vec<_> = self
            .launch_group(tasks)
            .into_iter()
            .map(|launch| launch.container)
            .collect();
        for (number, container) in (4800..).zip(&containers) {
            self.give(Input::Launched {
                container: container.clone(),
                pid: Some(number),
            });
        }
        containers
    }

    fn told(&mut self) -> Vec<(String, v1::TaskState)> {
        self.sent
            .drain(..)
            .map(|status| (status.task_id.value.clone(), status.state()))
            .collect()
    }
}

fn pair(told: &[(&str, v1::TaskState)]) -> Vec<(String, v1::TaskState)> {
    told.iter()
        .map(|(task, state)| ((*task).to_owned(), *state))
        .collect()
}

/// `stream-pods`, up to the end of its first task.
#[test]
fn each_task_of_a_group_has_a_container_inside_the_executors() {
    let mut scene = Scene::new();
    let launches = scene.launch_group(vec![task("a", "one"), task("b", "two")]);
    assert_eq!(
        scene.told(),
        pair(&[("a", TaskStarting), ("b", TaskStarting)])
    );
    let first = &launches[0];
    let run = first.executor_directory.as_ref().unwrap();
    assert_eq!(first.directory, run.join("tasks/a"));
    let id = first.container.to_id();
    let parent = id.parent.as_ref().unwrap();
    assert_eq!(
        run.file_name().unwrap().to_str(),
        Some(parent.value.as_str())
    );
    let variable = |name: &str| {
        let found = first.environment.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(variable("MESOS_TASK_ID"), Some("a"));
    assert_eq!(variable("MESOS_EXECUTOR_ID"), Some("pod"));
    assert_eq!(variable("MESOS_SANDBOX"), first.directory.to_str());
    for launch in &launches {
        scene.give(Input::Launched {
            container: launch.container.clone(),
            pid: Some(4711),
        });
    }
    let running = scene.sent.first().unwrap().clone();
    let place = running.container_status.unwrap();
    assert_eq!(place.container_id, Some(id.clone()));
    assert_eq!(place.executor_pid, Some(4711));
    assert_eq!(
        scene.told(),
        pair(&[("a", TaskRunning), ("b", TaskRunning)])
    );
    scene.exit(&launches[0].container, ExitStatus::Exited(0));
    let finished = scene.sent.first().unwrap().clone();
    assert_eq!(finished.message(), "Command exited with status 0");
    let place = finished.container_status.unwrap();
    assert_eq!((place.container_id, place.executor_pid), (Some(id), None));
    assert_eq!(scene.told(), pair(&[("a", TaskFinished)]));
    assert!(scene.signals().is_empty(), "the other task runs on");
}

#[test]
fn a_task_that_fails_takes_its_group_along_and_no_other() {
    let mut scene = Scene::new();
    let first = scene.start_group(vec![task("a", "one"), task("b", "two")]);
    let second = scene.start_group(vec![task("c", "three")]);
    assert_eq!(
        first[0].to_id().parent,
        second[0].to_id().parent,
        "one executor"
    );
    scene.told();
    scene.exit(&first[0], ExitStatus::Exited(1));
    assert_eq!(scene.told(), pair(&[("a", TaskFailed), ("b", TaskKilling)]));
    assert_eq!(scene.signals(), [Signal::Terminate]);
    scene.exit(&first[1], TERMINATED);
    assert_eq!(scene.told(), pair(&[("b", TaskKilled)]));
    assert!(scene.failures().is_empty(), "the other group runs on");
    scene.exit(&second[0], ExitStatus::Exited(0));
    assert_eq!(scene.told(), pair(&[("c", TaskFinished)]));
    assert_eq!(scene.failures(), [0], "nothing is left");
    assert_eq!(scene.agent.wake_at(), None);
    // The next group gets a new executor.
    let third = scene.start_group(vec![task("a", "again")]);
    assert_ne!(third[0].to_id().parent, first[0].to_id().parent);
}

#[test]
fn a_task_that_is_killed_takes_its_group_along() {
    let mut scene = Scene::new();
    let group = scene.start_group(vec![task("a", "one"), task("b", "two")]);
    scene.told();
    scene.kill("a", Some(Duration::from_secs(1)));
    assert_eq!(scene.told(), pair(&[("a", TaskKilling)]));
    assert_eq!(scene.signals(), [Signal::Terminate]);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.signals(), [Signal::Kill]);
    scene.exit(&group[0], TERMINATED);
    assert_eq!(scene.told(), pair(&[("a", TaskKilled), ("b", TaskKilling)]));
    scene.exit(&group[1], TERMINATED);
    assert_eq!(scene.told(), pair(&[("b", TaskKilled)]));
    assert_eq!(scene.failures(), [0]);
}

/// `check-health-pod`: the healthy task is said to have been unhealthy too.
#[test]
fn an_unhealthy_task_ends_its_group() {
    let mut scene = Scene::new();
    let mut sick = task("sick", "one");
    sick.health_check = Some(v1::HealthCheck {
        r#type: Some(v1::health_check::Type::Command.into()),
        command: Some(v1::CommandInfo::default()),
        delay_seconds: Some(0.0),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(1),
        ..Default::default()
    });
    let group = scene.start_group(vec![sick, task("well", "two")]);
    scene.pass(Duration::from_secs(1));
    assert!(matches!(
        scene.actions.pop(),
        Some(Action::Probe { kind: ProbeKind::Health, container, .. }) if container == group[0]
    ));
    scene.told();
    scene.give(Input::Probed {
        container: group[0].clone(),
        kind: ProbeKind::Health,
        finding: Finding::ExitCode(1),
    });
    assert_eq!(
        scene.told(),
        pair(&[("sick", TaskRunning), ("sick", TaskKilling)])
    );
    scene.exit(&group[0], TERMINATED);
    scene.exit(&group[1], TERMINATED);
    let unhealthy: Vec<_> = scene
        .sent
        .iter()
        .map(|status| (status.state(), status.healthy))
        .collect();
    assert_eq!(
        unhealthy,
        [
            (TaskKilled, Some(false)),
            (TaskKilling, None),
            (TaskKilled, Some(false))
        ]
    );
}

#[test]
fn a_container_that_cannot_be_made_fails_the_group() {
    let mut scene = Scene::new();
    let launches = scene.launch_group(vec![task("a", "one"), task("b", "two")]);
    scene.give(Input::Launched {
        container: launches[1].container.clone(),
        pid: Some(1),
    });
    scene.told();
    scene.give(Input::LaunchFailed {
        container: launches[0].container.clone(),
        message: "no such file".into(),
        is_fetch: true,
    });
    let failed = scene
        .sent
        .iter()
        .find(|status| status.state() == TaskFailed);
    let failed = failed.unwrap();
    assert_eq!((failed.reason, failed.source()), (None, Source::Executor));
    assert_eq!(
        failed.message(),
        "Command exited with status 1: no such file"
    );
    assert_eq!(scene.told(), pair(&[("a", TaskFailed), ("b", TaskKilling)]));
}

#[test]
fn shutting_the_executor_down_kills_every_group() {
    let mut scene = Scene::new();
    let group = scene.start_group(vec![task("a", "one")]);
    let still_fetching = scene.launch_group(vec![task("b", "two")]);
    scene.told();
    scene.tell(ToAgent::ShutdownExecutor {
        framework_id: framework_id(),
        executor_id: mesos_sdk::ids::executor_id("pod"),
    });
    assert_eq!(scene.told(), pair(&[("a", TaskKilling), ("b", TaskKilled)]));
    assert!(scene.actions.contains(&Action::Abandon {
        container: still_fetching[0].container.clone()
    }));
    scene.exit(&group[0], TERMINATED);
    assert_eq!(scene.told(), pair(&[("a", TaskKilled)]));
    assert_eq!(scene.failures(), [0]);
}
