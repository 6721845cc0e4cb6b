//! Custom executors: the model alone, with a process that speaks the executor
//! API.

use std::time::Duration;

use mesos_sdk::v1;
use v1::TaskState::*;
use v1::executor::{Call, Event, call, event};
use v1::task_status::Reason;

use super::scene::Scene;
use super::*;
use crate::agent::{Action, CallId, ContainerKey, ExitStatus, Input, Launch, Reply, Signal};
use crate::messages::{FromAgent, ToAgent};

fn executor_info(id: &str) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        r#type: Some(v1::executor_info::Type::Custom.into()),
        executor_id: mesos_sdk::ids::executor_id(id),
        framework_id: Some(framework_id()),
        command: Some(v1::CommandInfo {
            value: Some("./executor".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn custom_task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: task_id(id),
        agent_id: agent_id(),
        executor: Some(executor_info("e")),
        ..Default::default()
    }
}

/// What the executor `e` does.
impl Scene {
    pub(super) fn launch_custom(&mut self, task: &str) {
        self.tell(ToAgent::RunTask {
            framework: self.framework.clone(),
            task: custom_task(task),
        });
    }

    /// The executor is started for a task, but says nothing yet.
    pub(super) fn start_executor(&mut self, task: &str) -> (ContainerKey, Launch) {
        self.launch_custom(task);
        let Some(Action::Launch(launch)) = self.actions.pop() else {
            panic!("expected a launch");
        };
        let container = launch.container.clone();
        self.give(Input::Launched {
            container: container.clone(),
            pid: Some(4712),
        });
        (container, *launch)
    }

    pub(super) fn call(&mut self, number: u64, change: impl FnOnce(&mut Call)) -> Reply {
        let id = CallId(number);
        let mut call = Call {
            executor_id: mesos_sdk::ids::executor_id("e"),
            framework_id: framework_id(),
            ..Default::default()
        };
        change(&mut call);
        let call = Box::new(call);
        self.give(Input::FromExecutor { id, call });
        let (replied, reply) = self.replies.pop().expect("a reply");
        assert_eq!(replied, id);
        reply
    }

    pub(super) fn subscribe(&mut self, number: u64, subscribe: call::Subscribe) -> Reply {
        self.call(number, |call| {
            call.r#type = Some(call::Type::Subscribe.into());
            call.subscribe = Some(subscribe);
        })
    }

    pub(super) fn say(&mut self, status: v1::TaskStatus) -> Reply {
        self.call(900, |call| {
            call.r#type = Some(call::Type::Update.into());
            call.update = Some(call::Update { status });
        })
    }

    /// The types of the events that came on a stream since the last look.
    pub(super) fn heard(&mut self, number: u64) -> Vec<event::Type> {
        let (mine, others) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|(id, _)| *id == CallId(number));
        self.events = others;
        let mine: Vec<(CallId, Event)> = mine;
        mine.iter().map(|(_, event)| event.r#type()).collect()
    }

    pub(super) fn failures(&mut self) -> Vec<i32> {
        self.messages
            .drain(..)
            .filter_map(|message| match message {
                FromAgent::ExecutorExited { status, .. } => Some(status),
                _ => None,
            })
            .collect()
    }
}

pub(super) fn status(task: &str, state: v1::TaskState, uuid: u8) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task_id(task),
        state: state.into(),
        source: Some(v1::task_status::Source::Executor.into()),
        uuid: Some(vec![uuid; 16].into()),
        ..Default::default()
    }
}

use event::Type::{
    Acknowledged, Heartbeat, Kill, Launch as Launched, LaunchGroup, Shutdown, Subscribed,
};

/// `executor-exchange` and `stream-with-executor`.
#[test]
fn an_executor_subscribes_runs_a_task_and_is_shut_down() {
    let mut scene = Scene::new();
    let (container, launch) = scene.start_executor("t");
    let refused = scene.call(1, |call| {
        call.r#type = Some(call::Type::Message.into());
        call.message = Some(call::Message::default());
    });
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (403, "Executor is not subscribed")
    );
    let unknown = scene.call(2, |call| {
        call.executor_id.value = "other".into();
        call.r#type = Some(call::Type::Heartbeat.into());
    });
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (400, "Executor cannot be found")
    );
    let unknown = scene.call(3, |call| call.framework_id.value = "other".into());
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (400, "Framework cannot be found")
    );

    assert_eq!(scene.subscribe(4, call::Subscribe::default()).status, 200);
    let Some((
        _,
        Event {
            subscribed: Some(subscribed),
            ..
        },
    )) = scene.events.first()
    else {
        panic!("expected SUBSCRIBED, got {:?}", scene.events);
    };
    assert_eq!(subscribed.executor_info, executor_info("e"));
    assert_eq!(subscribed.container_id, Some(container.to_id()));
    assert_eq!(subscribed.agent_info.id, Some(agent_id()));
    assert_eq!(scene.heard(4), [Subscribed, Launched]);

    assert_eq!(scene.say(status("t", TaskRunning, 1)).status, 202);
    assert_eq!(scene.heard(4), [Acknowledged]);
    let running = scene.sent.pop().expect("an update");
    let place = running.container_status.expect("where it runs");
    assert_eq!(place.container_id, Some(container.to_id()));
    assert_eq!(place.executor_pid, Some(4712));
    assert_eq!(running.agent_id, Some(agent_id()));
    assert_eq!(running.executor_id, Some(mesos_sdk::ids::executor_id("e")));

    scene.kill("t", None);
    assert_eq!(scene.heard(4), [Kill]);
    scene.say(status("t", TaskKilled, 2));
    assert_eq!(scene.states(), [TaskKilled]);
    assert_eq!(scene.heard(4), [Acknowledged]);

    scene.tell(ToAgent::ShutdownExecutor {
        framework_id: framework_id(),
        executor_id: mesos_sdk::ids::executor_id("e"),
    });
    assert_eq!(scene.heard(4), [Shutdown]);
    scene.exit(&launch.container, ExitStatus::Exited(0));
    assert_eq!(scene.failures(), [0]);
    assert_eq!(scene.closes, [CallId(4)]);
    assert!(scene.states().is_empty(), "its task was over before");
    assert_eq!(scene.agent.wake_at(), None);
}

/// `executor-environment`.
#[test]
fn an_executor_is_told_where_it_is() {
    let mut scene = Scene::new();
    let (_, launch) = scene.start_executor("t");
    let names: Vec<&str> = launch
        .environment
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| *name != "PATH")
        .collect();
    let path = "../tests/data/captures/executor-environment.json";
    let recorded: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let recorded = recorded["response"]["body"].as_object().unwrap();
    for name in recorded.keys() {
        assert!(names.contains(&name.as_str()), "{name} is missing");
    }
    assert_eq!(names.len(), recorded.len(), "{names:?}");
    let value = |name: &str| {
        let found = launch.environment.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), Some("5secs"));
    assert_eq!(value("MESOS_EXECUTOR_ID"), Some("e"));
    assert_eq!(value("MESOS_CHECKPOINT"), Some("1"));
    assert_eq!(value("MESOS_AGENT_ENDPOINT"), Some("127.0.0.1:5051"));
}

#[test]
fn tasks_of_one_executor_share_its_process() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.launch_custom("u");
    assert!(scene.actions.is_empty());
    scene.subscribe(1, call::Subscribe::default());
    assert_eq!(scene.heard(1), [Subscribed, Launched, Launched]);
    scene.launch_custom("v");
    assert!(scene.actions.is_empty());
    assert_eq!(scene.heard(1), [Launched]);
}

#[test]
fn a_group_is_delivered_whole() {
    let mut scene = Scene::new();
    let framework = scene.framework.clone();
    scene.tell(ToAgent::RunTaskGroup {
        framework,
        executor: executor_info("e"),
        group: v1::TaskGroupInfo {
            tasks: vec![custom_task("a"), custom_task("b")],
        },
    });
    assert!(matches!(scene.actions.pop(), Some(Action::Launch(_))));
    scene.subscribe(1, call::Subscribe::default());
    assert_eq!(scene.heard(1), [Subscribed, LaunchGroup]);
}

/// `stream-executor-dies`.
#[test]
fn the_tasks_of_an_executor_that_dies_have_failed() {
    let mut scene = Scene::new();
    let (container, _) = scene.start_executor("t");
    scene.exit(&container, ExitStatus::Exited(7));
    assert_eq!(scene.failures(), [1792]);
    let failed = scene.sent.pop().expect("an update");
    assert_eq!(failed.state(), TaskFailed);
    assert_eq!(failed.reason(), Reason::ExecutorTerminated);
    assert_eq!(failed.source(), v1::task_status::Source::Agent);
    assert_eq!(failed.message(), "Executor terminated");
    assert_eq!(failed.executor_id, Some(mesos_sdk::ids::executor_id("e")));
    // Its id is free again.
    scene.launch_custom("t");
    assert!(matches!(scene.actions.pop(), Some(Action::Launch(_))));
}

#[test]
fn an_executor_that_does_not_register_in_time_is_killed() {
    let mut scene = Scene::new();
    let (container, _) = scene.start_executor("t");
    scene.pass(Duration::from_secs(59));
    assert!(scene.signals().is_empty());
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.signals(), [Signal::Kill]);
    scene.exit(
        &container,
        ExitStatus::Signaled {
            signal: 9,
            core_dumped: false,
        },
    );
    let failed = scene.sent.pop().expect("an update");
    assert_eq!(failed.state(), TaskFailed);
    assert_eq!(failed.reason(), Reason::ExecutorRegistrationTimeout);
    assert_eq!(failed.message(), "Executor did not register within 1mins");
    assert_eq!(scene.failures(), [9]);
}

#[test]
fn an_executor_that_cannot_be_made_fails_its_tasks() {
    let mut scene = Scene::new();
    scene.launch_custom("t");
    let Some(Action::Launch(launch)) = scene.actions.pop() else {
        panic!("expected a launch");
    };
    scene.give(Input::LaunchFailed {
        container: launch.container,
        message: "no such thing".into(),
        is_fetch: true,
    });
    let failed = scene.sent.pop().expect("an update");
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        failed.message(),
        "Failed to launch container: no such thing"
    );
    assert_eq!(scene.failures(), [-1]);
    assert_eq!(scene.agent.wake_at(), None);
}

#[test]
fn a_task_killed_before_delivery_never_reaches_its_executor() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.launch_custom("u");
    scene.kill("t", None);
    let killed = scene.sent.pop().expect("an update");
    assert_eq!(killed.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(killed.message(), "Killed before delivery to the executor");
    scene.subscribe(1, call::Subscribe::default());
    assert_eq!(scene.heard(1), [Subscribed, Launched]);
}

#[test]
fn an_executor_without_tasks_left_is_not_started_in_vain() {
    let mut scene = Scene::new();
    scene.launch_custom("t");
    scene.actions.clear();
    scene.kill("t", None);
    assert_eq!(scene.states(), [TaskKilled]);
    assert!(matches!(scene.actions.pop(), Some(Action::Abandon { .. })));
    assert_eq!(scene.failures(), [-1]);
    assert_eq!(scene.agent.wake_at(), None);
}

#[test]
fn an_executor_that_does_not_end_in_time_is_killed() {
    let mut scene = Scene::new();
    let (container, _) = scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.say(status("t", TaskRunning, 1));
    scene.states();
    scene.tell(ToAgent::ShutdownExecutor {
        framework_id: framework_id(),
        executor_id: mesos_sdk::ids::executor_id("e"),
    });
    // Nothing new is given to it.
    scene.launch_custom("late");
    let dropped = scene.sent.pop().expect("an update");
    assert_eq!(dropped.state(), TaskDropped);
    assert_eq!(dropped.message(), "Executor terminating/terminated");
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.signals(), [Signal::Kill]);
    scene.exit(
        &container,
        ExitStatus::Signaled {
            signal: 9,
            core_dumped: false,
        },
    );
    assert_eq!(scene.states(), [TaskFailed]);
    assert_eq!(scene.failures(), [9]);
}

#[test]
fn an_update_counts_once_however_often_it_comes() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.heard(1);
    scene.say(status("t", TaskRunning, 1));
    scene.say(status("t", TaskRunning, 1));
    assert_eq!(scene.heard(1), [Acknowledged, Acknowledged]);
    assert_eq!(scene.states(), [TaskRunning]);
    // A task that is over, or that nobody knows, has no news.
    scene.say(status("t", TaskFinished, 2));
    scene.say(status("t", TaskFailed, 3));
    scene.say(status("nobody", TaskRunning, 4));
    assert_eq!(scene.states(), [TaskFinished]);
}

#[test]
fn subscribing_again_ends_the_older_stream_and_replays_what_was_said() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.say(status("t", TaskRunning, 1));
    scene.launch_custom("u");
    scene.launch_custom("never-came");
    scene.heard(1);
    scene.states();
    let subscribe = call::Subscribe {
        unacknowledged_tasks: vec![custom_task("u")],
        unacknowledged_updates: vec![
            call::Update {
                status: status("t", TaskRunning, 1),
            },
            call::Update {
                status: status("t", TaskFinished, 2),
            },
        ],
    };
    scene.subscribe(2, subscribe);
    assert_eq!(scene.closes, [CallId(1)]);
    assert_eq!(scene.heard(2), [Subscribed, Acknowledged, Acknowledged]);
    let statuses = std::mem::take(&mut scene.sent);
    let told: Vec<_> = statuses
        .iter()
        .map(|status| (status.task_id.value.as_str(), status.state()))
        .collect();
    assert_eq!(told, [("t", TaskFinished), ("never-came", TaskDropped)]);
    assert_eq!(statuses[1].reason(), Reason::AgentRestarted);
    // The older stream's end says nothing of the newer one.
    scene.give(Input::ExecutorGone { id: CallId(1) });
    scene.launch_custom("v");
    assert_eq!(scene.heard(2), [Launched]);
}

#[test]
fn messages_pass_both_ways() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.heard(1);
    scene.tell(ToAgent::FrameworkMessage {
        framework_id: framework_id(),
        executor_id: mesos_sdk::ids::executor_id("e"),
        data: "ping".into(),
    });
    let (_, event) = scene.events.pop().expect("an event");
    assert_eq!(event.message.unwrap().data, "ping");
    scene.messages.clear();
    scene.call(2, |call| {
        call.r#type = Some(call::Type::Message.into());
        call.message = Some(call::Message {
            data: "pong".into(),
        });
    });
    assert!(matches!(
        scene.messages.as_slice(),
        [FromAgent::ExecutorMessage { data, .. }] if data == "pong"
    ));
}

#[test]
fn the_stream_beats_every_half_hour() {
    let mut scene = Scene::new();
    scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.heard(1);
    scene.pass(Duration::from_secs(3601));
    assert_eq!(scene.heard(1), [Heartbeat, Heartbeat]);
    assert!(scene.signals().is_empty());
}

#[test]
fn a_torn_down_framework_has_its_executors_shut_down_without_a_word() {
    let mut scene = Scene::new();
    let (container, _) = scene.start_executor("t");
    scene.subscribe(1, call::Subscribe::default());
    scene.heard(1);
    scene.messages.clear();
    scene.tell(ToAgent::ShutdownFramework {
        framework_id: framework_id(),
    });
    assert_eq!(scene.heard(1), [Shutdown]);
    scene.exit(&container, ExitStatus::Exited(0));
    assert!(scene.states().is_empty());
    assert!(scene.failures().is_empty());
    assert_eq!(scene.agent.wake_at(), None);
}
