//! The model alone, in virtual time.

use std::time::Duration;

use mesos_sdk::v1;
use v1::TaskState::*;
use v1::task_status::Reason;

use super::scene::Scene;
use super::*;
use crate::agent::{Action, Agent, ExitStatus, Finding, Input, ProbeKind, Signal};
use crate::messages::{FromAgent, ToAgent, UnknownTask};
use crate::time::Timestamp;

const TERMINATED: ExitStatus = ExitStatus::Signaled {
    signal: 15,
    core_dumped: false,
};
const KILLED: ExitStatus = ExitStatus::Signaled {
    signal: 9,
    core_dumped: false,
};

#[test]
fn a_command_starts_runs_and_finishes() {
    let mut scene = Scene::new();
    let container = scene.start(task("t", "true"));
    scene.exit(&container, ExitStatus::Exited(0));
    let statuses = std::mem::take(&mut scene.sent);
    let states: Vec<_> = statuses.iter().map(v1::TaskStatus::state).collect();
    assert_eq!(states, [TaskStarting, TaskRunning, TaskFinished]);
    let last = statuses.last().unwrap();
    assert_eq!(last.message(), "Command exited with status 0");
    assert_eq!(last.source(), v1::task_status::Source::Executor);
    assert_eq!(last.executor_id.as_ref().unwrap().value, "t");
    let place = last.container_status.as_ref().unwrap();
    assert_eq!(place.container_id, Some(container.to_id()));
    assert_eq!(place.executor_pid, Some(4711));
    assert_eq!(
        place.network_infos[0].ip_addresses[0].ip_address(),
        "127.0.0.1"
    );
    assert_eq!(scene.agent.wake_at(), None);
}

#[test]
fn a_command_that_fails_says_how() {
    let mut scene = Scene::new();
    let container = scene.start(task("t", "exit 3"));
    scene.exit(&container, ExitStatus::Exited(3));
    let last = scene.sent.last().unwrap();
    assert_eq!(last.state(), TaskFailed);
    assert_eq!(last.message(), "Command exited with status 3");
    assert_eq!(last.reason, None);
}

#[test]
fn the_latest_state_runs_ahead_of_updates_that_nobody_acknowledges() {
    let mut scene = Scene::new();
    scene.acknowledges = false;
    let container = scene.start(task("t", "true"));
    scene.exit(&container, ExitStatus::Exited(0));
    assert_eq!(scene.states(), [TaskStarting]);
    scene.pass(Duration::from_secs(10));
    assert!(matches!(
        scene.messages.last(),
        Some(FromAgent::StatusUpdate {
            latest_state: TaskFinished,
            ..
        })
    ));
    assert_eq!(scene.states(), [TaskStarting]);
}

/// `stubborn-*` of the scene `check-kill-policy`.
#[test]
fn a_kill_escalates_when_the_grace_period_is_over() {
    let mut scene = Scene::new();
    let container = scene.start(task("t", "stubborn"));
    scene.states();
    scene.kill("t", None);
    assert_eq!(scene.states(), [TaskKilling]);
    assert_eq!(scene.signals(), [Signal::Terminate]);
    scene.pass(Duration::from_millis(2999));
    assert_eq!(scene.signals(), []);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.signals(), [Signal::Kill]);
    scene.exit(&container, KILLED);
    let last = scene.sent.last().unwrap();
    assert_eq!(last.state(), TaskKilled);
    assert_eq!(last.message(), "Command terminated with signal Killed");
}

#[test]
fn a_second_kill_may_shorten_the_grace_period_but_never_restarts_it() {
    let mut scene = Scene::new();
    scene.start(task("t", "stubborn"));
    scene.kill("t", Some(Duration::from_secs(60)));
    scene.pass(Duration::from_secs(2));
    scene.kill("t", Some(Duration::from_secs(60)));
    scene.kill("t", Some(Duration::from_secs(5)));
    assert_eq!(scene.signals(), [Signal::Terminate]);
    scene.pass(Duration::from_secs(3));
    assert_eq!(scene.signals(), [Signal::Kill]);
}

#[test]
fn killing_is_announced_only_to_frameworks_that_know_the_word() {
    let mut scene = Scene::new();
    scene.framework = framework(&[]);
    let container = scene.start(task("t", "sleep 9"));
    scene.states();
    scene.kill("t", None);
    scene.exit(&container, TERMINATED);
    assert_eq!(scene.states(), [TaskKilled]);
}

#[test]
fn a_kill_before_the_launch_abandons_it() {
    let mut scene = Scene::new();
    let container = scene.run(task("t", "true"));
    scene.kill("t", None);
    let status = scene.sent.pop().unwrap();
    assert_eq!(status.state(), TaskKilled);
    assert_eq!(status.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(status.message(), "Killed before delivery to the executor");
    assert_eq!(scene.actions, [Action::Abandon { container }]);
}

#[test]
fn killing_a_task_that_is_not_here_says_so() {
    let mut scene = Scene::new();
    scene.start(task("t", "true"));
    scene.states();
    scene.kill("ghost", None);
    let status = scene.sent.pop().unwrap();
    assert_eq!(status.state(), TaskDropped);
    assert_eq!(status.message(), "Cannot find executor");
    scene.framework = framework(&[]);
    scene.tell(ToAgent::UpdateFramework {
        framework: scene.framework.clone(),
    });
    scene.kill("ghost", None);
    assert_eq!(scene.states(), [TaskLost]);
}

#[test]
fn a_launch_that_fails_names_the_reason() {
    let mut scene = Scene::new();
    let container = scene.run(task("t", "true"));
    scene.give(Input::LaunchFailed {
        container,
        message: "No such user 'x'".into(),
        is_fetch: false,
    });
    let status = scene.sent.pop().unwrap();
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        status.message(),
        "Failed to launch container: No such user 'x'"
    );
    assert_eq!(status.source(), v1::task_status::Source::Agent);
    assert_eq!(status.container_status, None);
}

/// `two-seconds` and `zero` of the scene `check-completion-time`.
#[test]
fn a_task_whose_time_is_over_fails_without_being_announced() {
    let mut scene = Scene::new();
    let limited = |id: &str, secs: i64| v1::TaskInfo {
        max_completion_time: Some(v1::DurationInfo {
            nanoseconds: secs * 1_000_000_000,
        }),
        ..task(id, "sleep 1000")
    };
    let container = scene.start(limited("two-seconds", 2));
    scene.start(limited("zero", 0));
    scene.states();
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.signals(), [Signal::Terminate, Signal::Kill]);
    scene.exit(&container, TERMINATED);
    let status = scene.sent.pop().unwrap();
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.reason(), Reason::MaxCompletionTimeReached);
    assert_eq!(
        status.message(),
        "Command terminated with signal Terminated"
    );
}

#[test]
fn an_unhealthy_task_is_killed() {
    let mut scene = Scene::new();
    let container = scene.start(v1::TaskInfo {
        health_check: Some(v1::HealthCheck {
            r#type: Some(v1::health_check::Type::Command.into()),
            command: Some(v1::CommandInfo::default()),
            delay_seconds: Some(0.0),
            interval_seconds: Some(1.0),
            grace_period_seconds: Some(0.0),
            consecutive_failures: Some(2),
            ..Default::default()
        }),
        ..task("t", "sleep 1000")
    });
    scene.states();
    for code in [0, 1, 1] {
        scene.pass(Duration::from_secs(1));
        assert!(matches!(scene.actions.pop(), Some(Action::Probe { .. })));
        scene.give(Input::Probed {
            container: container.clone(),
            kind: ProbeKind::Health,
            finding: Finding::ExitCode(code),
        });
        let status = &scene.sent[0];
        assert_eq!(status.state(), TaskRunning);
        assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
        assert_eq!(status.healthy, Some(code == 0));
        if scene.sent.len() == 1 {
            scene.sent.clear();
        }
    }
    let killing = scene.sent.pop().unwrap();
    assert_eq!((killing.state(), killing.healthy), (TaskKilling, None));
    scene.exit(&container, TERMINATED);
    let killed = scene.sent.pop().unwrap();
    assert_eq!((killed.state(), killed.healthy), (TaskKilled, Some(false)));
}

#[test]
fn an_agent_without_a_master_goes_on_and_comes_back_with_its_tasks() {
    let mut scene = Scene::new();
    scene.acknowledges = false;
    let container = scene.start(task("ends", "true"));
    scene.start(task("runs", "sleep 1000"));
    scene.give(Input::Disconnected);
    scene.states();
    scene.exit(&container, ExitStatus::Exited(0));
    scene.pass(Duration::from_secs(100));
    assert_eq!(scene.states(), []);
    scene.messages.clear();
    scene.give(Input::Connected);
    let Some(FromAgent::Reregister {
        registration,
        frameworks,
        tasks,
        ..
    }) = scene.messages.pop()
    else {
        panic!("expected a re-registration");
    };
    assert_eq!(registration.info.id, Some(agent_id()));
    assert_eq!(frameworks.len(), 1);
    let states: Vec<_> = tasks.iter().map(v1::Task::state).collect();
    assert_eq!(states, [TaskFinished, TaskRunning]);
    scene.tell(ToAgent::Reregistered {
        agent_id: agent_id(),
        unknown_tasks: vec![UnknownTask {
            framework_id: framework_id(),
            task_id: task_id("ghost"),
            is_partition_aware: true,
        }],
    });
    assert_eq!(scene.states(), [TaskStarting, TaskStarting, TaskDropped]);
}

#[test]
fn a_registration_without_an_answer_is_repeated_later_and_later() {
    let now = Timestamp::from_secs(50);
    let mut agent = Agent::new(shared_config(Path::new("/agent")), now);
    agent.step(now, Input::Connected);
    let mut delays = Vec::new();
    let mut last = now;
    for _ in 0..8 {
        let at = agent.wake_at().unwrap();
        delays.push((at - last).as_secs());
        let effects = agent.step(at, Input::Due);
        assert!(matches!(effects.to_master[..], [FromAgent::Register(_)]));
        last = at;
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn a_framework_that_is_gone_is_killed_in_silence() {
    let mut scene = Scene::new();
    let container = scene.start(task("t", "stubborn"));
    scene.states();
    scene.tell(ToAgent::ShutdownFramework {
        framework_id: framework_id(),
    });
    scene.pass(Duration::from_secs(3));
    assert_eq!(scene.signals(), [Signal::Terminate, Signal::Kill]);
    scene.exit(&container, KILLED);
    assert_eq!(scene.states(), []);
    assert_eq!(scene.agent.wake_at(), None);
    scene.start(task("t", "again"));
    assert_eq!(scene.states(), [TaskStarting, TaskRunning]);
}

/// `shell-no-value` of the scene `check-invalid`.
#[test]
fn a_task_without_a_command_breaks_its_executor() {
    let mut scene = Scene::new();
    let mut empty = task("t", "");
    empty.command = Some(v1::CommandInfo::default());
    scene.tell(ToAgent::RunTask {
        framework: scene.framework.clone(),
        task: empty,
    });
    let status = scene.sent.pop().unwrap();
    assert_eq!(scene.states(), [TaskStarting]);
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.message(), "Executor terminated");
    assert_eq!(status.reason(), Reason::ExecutorTerminated);
    assert_eq!(status.container_status, None);
    assert_eq!(scene.actions, []);
}

#[test]
fn what_cannot_be_run_fails_and_says_why() {
    let mut scene = Scene::new();
    scene.tell(ToAgent::RunTask {
        framework: scene.framework.clone(),
        task: v1::TaskInfo {
            container: Some(v1::ContainerInfo {
                r#type: v1::container_info::Type::Mesos.into(),
                mesos: Some(v1::container_info::MesosInfo {
                    image: Some(v1::Image {
                        r#type: v1::image::Type::Docker.into(),
                        ..Default::default()
                    }),
                }),
                ..Default::default()
            }),
            ..task("image", "true")
        },
    });
    let status = scene.sent.pop().unwrap();
    assert_eq!(status.state(), TaskFailed);
    assert!(
        status
            .message()
            .contains("Unsupported container image type")
    );
    assert_eq!(scene.actions, []);
}

#[test]
fn old_executors_are_forgotten_and_their_sandboxes_removed() {
    let mut scene = Scene::new();
    let limits = AgentLimits {
        max_completed_executors: 2,
        max_forgotten_sandboxes: 1,
        ..AgentLimits::default()
    };
    scene.agent.config = Arc::new(AgentConfig {
        limits,
        ..config(Path::new("/agent"))
    });
    scene.start(task("keeps the framework", "sleep 1000"));
    let mut removed = Vec::new();
    for index in 0..4 {
        let container = scene.start(task(&format!("t{index}"), "true"));
        scene.exit(&container, ExitStatus::Exited(0));
        removed.extend(scene.actions.drain(..).map(|action| (index, action)));
    }
    let [(3, Action::RemoveSandbox { directory })] = &removed[..] else {
        panic!("unexpected {removed:?}");
    };
    assert!(directory.to_string_lossy().contains("/executors/t0/runs/"));
}

#[test]
fn an_agent_that_left_takes_tasks_of_those_it_had_something_to_tell() {
    let mut scene = Scene::new();
    scene.acknowledges = false;
    let container = scene.start(task("t", "true"));
    scene.exit(&container, ExitStatus::Exited(0));
    scene.give(Input::Unregister);
    scene.give(Input::Restarted);
    scene.give(Input::Connected);
    let last = scene.messages.last();
    assert!(
        matches!(last, Some(FromAgent::Reregister { tasks, .. }) if tasks.is_empty()),
        "{last:?}"
    );
    scene.tell(ToAgent::Reregistered {
        agent_id: agent_id(),
        unknown_tasks: Vec::new(),
    });
    scene.states();
    scene.acknowledges = true;
    scene.start(task("u", "true"));
    assert_eq!(scene.states(), [TaskStarting, TaskRunning]);
}
