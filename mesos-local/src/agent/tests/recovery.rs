//! Agents that end and come back, in virtual time.

use std::time::Duration;

use mesos_sdk::v1;
use v1::TaskState::*;
use v1::executor::{call, event};
use v1::task_status::Reason;

use super::executors::{custom_task, status};
use super::scene::Scene;
use super::*;
use crate::agent::{Action, CallId, ExitStatus, Input, Signal};
use crate::messages::{FromAgent, ToAgent};

const KILLED: ExitStatus = ExitStatus::Signaled {
    signal: 9,
    core_dumped: false,
};

impl Scene {
    fn crash(&mut self) {
        self.give(Input::Crashed {
            with_machine: false,
        });
    }

    fn restart(&mut self) {
        self.give(Input::Restarted);
        self.give(Input::Connected);
    }

    /// The master takes an agent back that registers again; the ids of the
    /// tasks that it named.
    fn take_back(&mut self) -> Vec<String> {
        let messages = std::mem::take(&mut self.messages);
        let named = messages.into_iter().find_map(|message| match message {
            FromAgent::Reregister {
                registration,
                tasks,
                ..
            } => {
                assert_eq!(registration.info.id, Some(agent_id()));
                Some(tasks)
            }
            _ => None,
        });
        let named = named.expect("the agent registers again");
        self.tell(ToAgent::Reregistered {
            agent_id: agent_id(),
            unknown_tasks: Vec::new(),
        });
        named.into_iter().map(|task| task.task_id.value).collect()
    }

    fn is_registering(&self) -> bool {
        let is_registration = |message: &FromAgent| matches!(message, FromAgent::Reregister { .. });
        self.messages.iter().any(is_registration)
    }
}

/// The custom executors of `fault-agent-restart-kill`.
#[test]
fn an_executor_that_subscribes_again_is_taken_back_with_what_it_said() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.say(status("t", TaskRunning, 1));
    scene.acknowledges = false;
    scene.say(status("t", TaskRunning, 2));
    scene.states();
    scene.heard(1);
    scene.crash();
    assert_eq!(scene.closes, [CallId(1)]);
    scene.pass(Duration::from_secs(4));
    scene.restart();
    assert!(!scene.is_registering(), "executors come first");
    let unacknowledged = call::Subscribe {
        unacknowledged_tasks: Vec::new(),
        unacknowledged_updates: vec![call::Update {
            status: status("t", TaskRunning, 3),
        }],
    };
    scene.subscribe(2, unacknowledged);
    assert_eq!(
        scene.heard(2),
        [event::Type::Subscribed, event::Type::Acknowledged]
    );
    assert_eq!(scene.take_back(), ["t"]);
    // The open update is sent again, the newer one waits for its turn.
    let sent = std::mem::take(&mut scene.sent);
    let uuids: Vec<_> = sent.iter().filter_map(|s| s.uuid.clone()).collect();
    assert_eq!(uuids, [vec![2; 16]]);
    scene.acknowledges = true;
    scene.acknowledge(&sent[0]);
    let sent = std::mem::take(&mut scene.sent);
    assert_eq!(sent[0].uuid.as_deref(), Some([3; 16].as_slice()));
    assert!(scene.signals().is_empty());
}

#[test]
fn an_executor_that_does_not_subscribe_again_is_killed_and_its_tasks_are_gone() {
    let mut scene = Scene::new();
    let (container, _) = scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.say(status("t", TaskRunning, 1));
    scene.states();
    scene.crash();
    scene.restart();
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.signals(), [Signal::Kill]);
    assert_eq!(scene.take_back(), ["t"]);
    scene.exit(&container, KILLED);
    let gone = scene.sent.pop().expect("an update");
    assert_eq!(gone.state(), TaskGone);
    assert_eq!(gone.reason(), Reason::ExecutorReregistrationTimeout);
    assert_eq!(gone.message(), "Executor did not reregister within 2secs");
    assert_eq!(scene.failures(), [9]);
}

#[test]
fn a_task_that_was_queued_when_the_agent_ended_is_dropped() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.crash();
    scene.restart();
    scene.subscribe(1, call::Subscribe::default());
    scene.take_back();
    let dropped = scene.sent.pop().expect("an update");
    assert_eq!(dropped.state(), TaskDropped);
    assert_eq!(dropped.reason(), Reason::AgentRestarted);
    assert_eq!(dropped.message(), "Task launched during agent restart");
}

#[test]
fn a_task_that_the_executor_has_but_said_nothing_of_stays() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.crash();
    scene.restart();
    scene.subscribe(
        2,
        call::Subscribe {
            unacknowledged_tasks: vec![custom_task("t")],
            unacknowledged_updates: Vec::new(),
        },
    );
    assert_eq!(scene.take_back(), ["t"]);
    assert!(scene.states().is_empty());
}

/// A command and a group of which tasks end while the agent is away; what is
/// told of them when it is back.
fn ended_meanwhile(http_command_executor: bool) -> Vec<(String, v1::TaskState, String)> {
    let mut scene = Scene::with(|config| config.http_command_executor = http_command_executor);
    let command = scene.start(task("command", "exit 3"));
    let group = scene.start_group(vec![task("a", "true"), task("b", "sleep")]);
    scene.states();
    scene.messages.clear();
    scene.crash();
    scene.exit(&command, ExitStatus::Exited(3));
    scene.exit(&group[0], ExitStatus::Exited(0));
    assert!(scene.sent.is_empty(), "nobody listens");
    scene.restart();
    assert_eq!(scene.take_back(), ["command", "a", "b"]);
    let told = std::mem::take(&mut scene.sent).into_iter().map(|status| {
        let message = status.message().to_owned();
        (status.task_id.value.clone(), status.state(), message)
    });
    told.collect()
}

/// `fault-finished-meanwhile-http-executor`, and the tasks of a group.
#[test]
fn what_ended_while_the_agent_was_away_is_reported_as_it_ended() {
    let told = |task: &str, state, status| {
        let message = format!("Command exited with status {status}");
        (task.to_owned(), state, message)
    };
    assert_eq!(
        ended_meanwhile(true),
        [told("a", TaskFinished, 0), told("command", TaskFailed, 3)]
    );
}

/// `fault-finished-meanwhile`: the executor has gone, and nobody heard it.
#[test]
fn of_a_command_that_ended_while_the_agent_was_away_only_that_is_known() {
    let told = ended_meanwhile(false);
    let lost = ("command", TaskFailed, "Executor terminated");
    assert_eq!(told.len(), 2);
    assert_eq!(
        (told[1].0.as_str(), told[1].1, told[1].2.as_str()),
        lost,
        "{told:?}"
    );
}

#[test]
fn executors_wait_for_their_agent_until_the_recovery_timeout() {
    let mut scene = Scene::new();
    let command = scene.start(task("command", "sleep"));
    scene.start_executor("t");
    scene.states();
    scene.messages.clear();
    scene.crash();
    scene.pass(Duration::from_secs(15 * 60 - 1));
    assert!(scene.actions.is_empty(), "{:?}", scene.actions);
    scene.pass(Duration::from_secs(1));
    let abandon = Action::Abandon { container: command };
    assert_eq!(scene.actions, [abandon], "the process ends by itself");
    assert!(scene.sent.is_empty(), "nobody listens");
    scene.restart();
    // The process may still come.
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.take_back(), ["command", "t"]);
    let status = scene.sent.pop().expect("an update");
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.message(), "Executor terminated");
}

/// `fault-agent-killed-executors-too`.
#[test]
fn what_died_with_the_machine_has_failed() {
    let mut scene = Scene::new();
    let command = scene.start(task("command", "sleep"));
    let group = scene.start_group(vec![task("a", "sleep")]);
    scene.start_executor("t");
    scene.states();
    scene.messages.clear();
    scene.give(Input::Crashed { with_machine: true });
    for container in [&command, &group[0]] {
        let abandon = Action::Abandon {
            container: container.clone(),
        };
        assert!(scene.actions.contains(&abandon));
    }
    // Their ends are nobody's business any more.
    scene.exit(&command, KILLED);
    scene.restart();
    assert_eq!(scene.take_back().len(), 3);
    for status in &scene.sent {
        assert_eq!(status.state(), TaskFailed, "{status:?}");
        assert_eq!(status.reason(), Reason::ExecutorTerminated);
        assert_eq!(status.source(), v1::task_status::Source::Agent);
        assert_eq!(status.message(), "Executor terminated");
    }
    assert_eq!(scene.sent.len(), 3);
    assert_eq!(
        scene.failures(),
        [-1, -1],
        "of the group and of the custom one"
    );
}

/// `fault-agent-restart-volatile`: a process is left to end by itself.
#[test]
fn nothing_is_left_of_a_framework_without_checkpoints() {
    let mut scene = Scene::new();
    scene.framework.checkpoint = Some(false);
    let done = scene.start(task("done", "true"));
    scene.exit(&done, ExitStatus::Exited(0));
    let command = scene.start(task("command", "sleep"));
    let (process, _) = scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.states();
    scene.messages.clear();
    scene.actions.clear();
    scene.crash();
    assert_eq!(scene.closes, [CallId(1)]);
    let abandon = Action::Abandon { container: command };
    assert_eq!(scene.actions, [abandon]);
    scene.restart();
    assert!(scene.take_back().is_empty());
    assert!(scene.states().is_empty());
    let refused = scene.subscribe(2, call::Subscribe::default());
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (400, "Framework cannot be found")
    );
    scene.exit(&process, ExitStatus::Exited(0));
    assert!(scene.failures().is_empty());
    let tasks = crate::agent::views::get_tasks(&scene.agent);
    assert_eq!(tasks, Default::default());
}

/// `fault-agent-shutdown`: the same work directory gives the same id.
#[test]
fn an_agent_that_left_comes_back_under_its_id_and_without_tasks() {
    let mut scene = Scene::new();
    let command = scene.start(task("command", "sleep"));
    scene.states();
    scene.give(Input::Unregister);
    assert!(scene.messages.contains(&FromAgent::Unregister));
    assert!(
        scene
            .actions
            .contains(&Action::Abandon { container: command })
    );
    scene.restart();
    assert!(scene.take_back().is_empty());
    assert!(scene.states().is_empty());
}

#[test]
fn the_end_of_an_executor_waits_for_a_master() {
    let mut scene = Scene::new();
    let (container, _) = scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.give(Input::Disconnected);
    scene.messages.clear();
    scene.exit(&container, ExitStatus::Exited(0));
    assert!(scene.failures().is_empty());
    scene.give(Input::Connected);
    scene.take_back();
    assert_eq!(scene.failures(), [0]);
}
