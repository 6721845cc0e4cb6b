use mesos_proto::v1::TaskState;
use mesos_proto::v1::master::response;

use super::*;
use crate::ids;

fn event(kind: event::Type, fill: impl FnOnce(&mut Event)) -> Event {
    let mut event = Event {
        r#type: Some(kind.into()),
        ..Default::default()
    };
    fill(&mut event);
    event
}

fn task(framework: &str, id: &str, state: TaskState) -> v1::Task {
    v1::Task {
        framework_id: ids::framework_id(framework),
        task_id: ids::task_id(id),
        state: state.into(),
        ..Default::default()
    }
}

fn agent(id: &str, version: &str) -> get_agents::Agent {
    get_agents::Agent {
        agent_info: v1::AgentInfo {
            id: Some(ids::agent_id(id)),
            ..Default::default()
        },
        version: version.to_owned(),
        ..Default::default()
    }
}

fn framework(id: &str, is_active: bool) -> get_frameworks::Framework {
    get_frameworks::Framework {
        framework_info: v1::FrameworkInfo {
            id: Some(ids::framework_id(id)),
            ..Default::default()
        },
        active: is_active,
        ..Default::default()
    }
}

/// Agent `a`, framework `f`, and these tasks of it.
fn subscribed(tasks: Vec<v1::Task>, unreachable_tasks: Vec<v1::Task>) -> Event {
    event(event::Type::Subscribed, |event| {
        let get_state = response::GetState {
            get_agents: Some(response::GetAgents {
                agents: vec![agent("a", "1")],
                ..Default::default()
            }),
            get_frameworks: Some(response::GetFrameworks {
                frameworks: vec![framework("f", true)],
                completed_frameworks: vec![framework("old", false)],
                ..Default::default()
            }),
            get_tasks: Some(response::GetTasks {
                tasks,
                unreachable_tasks,
                completed_tasks: vec![task("f", "over", TaskState::TaskFinished)],
                ..Default::default()
            }),
            get_executors: None,
        };
        event.subscribed = Some(event::Subscribed {
            get_state: Some(get_state),
            heartbeat_interval_seconds: None,
        });
    })
}

fn updated(id: &str, state: TaskState, message: &str) -> Event {
    event(event::Type::TaskUpdated, |event| {
        event.task_updated = Some(event::TaskUpdated {
            framework_id: ids::framework_id("f"),
            status: v1::TaskStatus {
                task_id: ids::task_id(id),
                state: state.into(),
                message: Some(message.to_owned()),
                ..Default::default()
            },
            state: state.into(),
        });
    })
}

fn added(added: v1::Task) -> Event {
    event(event::Type::TaskAdded, |event| {
        event.task_added = Some(event::TaskAdded { task: added });
    })
}

fn states(cluster: &Cluster) -> Vec<(&str, TaskState)> {
    let tasks = cluster.tasks();
    tasks
        .map(|task| (&*task.task_id.value, task.state()))
        .collect()
}

#[test]
fn a_subscription_tells_everything_that_lives() {
    let mut cluster = Cluster::default();
    cluster.apply(&added(task("f", "from-before", TaskState::TaskRunning)));
    let state = subscribed(
        vec![task("f", "t-1", TaskState::TaskRunning)],
        vec![task("f", "t-2", TaskState::TaskUnreachable)],
    );
    assert!(cluster.apply(&state));
    assert_eq!(
        states(&cluster),
        [
            ("t-1", TaskState::TaskRunning),
            ("t-2", TaskState::TaskUnreachable)
        ]
    );
    assert_eq!(cluster.agents().count(), 1);
    assert_eq!(cluster.frameworks().count(), 1);
    assert!(cluster.framework(&ids::framework_id("old")).is_none());
}

#[test]
fn a_task_comes_changes_and_goes() {
    let mut cluster = Cluster::default();
    cluster.apply(&subscribed(Vec::new(), Vec::new()));
    let f = ids::framework_id("f");
    assert!(cluster.apply(&added(task("f", "t", TaskState::TaskStaging))));
    assert!(cluster.apply(&updated("t", TaskState::TaskRunning, "one")));
    let before = cluster.clone();
    assert!(cluster.apply(&updated("t", TaskState::TaskRunning, "two")));
    // The snapshot is what it was, and states have one status each.
    let id = ids::task_id("t");
    let message = |cluster: &Cluster| {
        let task = cluster.task(&f, &id).unwrap();
        assert_eq!(task.statuses.len(), 1);
        task.statuses[0].message().to_owned()
    };
    assert_eq!(
        (message(&before), message(&cluster)),
        ("one".into(), "two".into())
    );
    assert!(!cluster.apply(&updated("t", TaskState::TaskRunning, "two")));
    assert!(cluster.apply(&updated("t", TaskState::TaskFinished, "")));
    assert_eq!(cluster.tasks_of(&f).count(), 0);
    assert!(!cluster.apply(&updated("t", TaskState::TaskFinished, "")));
}

#[test]
fn a_framework_leaves_with_its_tasks() {
    let mut cluster = Cluster::default();
    let tasks = vec![task("f", "t", TaskState::TaskRunning)];
    cluster.apply(&subscribed(tasks, Vec::new()));
    let inactive = event(event::Type::FrameworkUpdated, |event| {
        event.framework_updated = Some(event::FrameworkUpdated {
            framework: framework("f", false),
        });
    });
    assert!(cluster.apply(&inactive));
    assert!(!cluster.framework(&ids::framework_id("f")).unwrap().active);
    let removed = event(event::Type::FrameworkRemoved, |event| {
        event.framework_removed = Some(event::FrameworkRemoved {
            framework_info: framework("f", false).framework_info,
        });
    });
    assert!(cluster.apply(&removed));
    assert_eq!(cluster.frameworks().count() + cluster.tasks().count(), 0);
    assert!(!cluster.apply(&removed));
}

#[test]
fn an_agent_comes_back_and_goes() {
    let mut cluster = Cluster::default();
    cluster.apply(&subscribed(Vec::new(), Vec::new()));
    let id = ids::agent_id("a");
    let back = event(event::Type::AgentAdded, |event| {
        event.agent_added = Some(event::AgentAdded {
            agent: agent("a", "2"),
        });
    });
    assert!(cluster.apply(&back));
    assert_eq!(cluster.agent(&id).unwrap().version, "2");
    let removed = event(event::Type::AgentRemoved, |event| {
        event.agent_removed = Some(event::AgentRemoved {
            agent_id: id.clone(),
        });
    });
    assert!(cluster.apply(&removed));
    assert!(cluster.agent(&id).is_none());
}
