//! How runs end, and what follows.

use mesos_sdk::v1::TaskState::{
    TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskGoneByOperator, TaskKilled,
    TaskLost, TaskRunning, TaskUnknown, TaskUnreachable,
};
use mesos_sdk::v1::task_status::Reason;
use serde_json::json;

use super::world::World;
use crate::effects::{Call, Input, NoticeKind};
use crate::progress::Outcome;
use crate::request::{Reply, Request};
use crate::run::Phase;
use crate::state::Settings;

fn with_job(extra: serde_json::Value) -> World {
    let mut world = World::new();
    let mut job = json!({
        "name": "a", "command": "x", "schedule": "R1/2026-01-31T12:00:00Z/P1D",
    });
    job.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    world.post(&job);
    assert_eq!(world.launched.len(), 1);
    world
}

#[test]
fn a_run_that_fails_is_tried_again_after_a_delay_that_survives_a_restart() {
    let mut world = with_job(json!({"retries": 2}));
    world.ends(TaskFailed);
    assert_eq!(world.launched.len(), 1);
    world.pass(59_000);
    world.restart();
    assert_eq!(world.launched.len(), 1);
    world.pass(1000);
    assert_eq!(world.launched.len(), 2);
    assert!(world.last().contains(":1:a:"), "{}", world.last());
    world.ends(TaskFailed);
    world.pass(60_000);
    assert_eq!(world.progress("a").error_count, 0);
    world.ends(TaskFailed);
    assert_eq!(world.progress("a").error_count, 1);
    assert_eq!(world.outcomes("a"), [Outcome::Failure; 3]);
    assert_eq!(world.notices.len(), 1);
    assert_eq!(world.notices[0].kind, NoticeKind::Failed);
    assert!(world.notices[0].message.contains("Retries attempted: 2"));
    world.pass(600_000);
    assert_eq!(world.launched.len(), 3);
    // The next run has its further attempts, too.
    world.force("a");
    world.ends(TaskFailed);
    world.pass(60_000);
    assert_eq!(world.launched.len(), 5);
}

#[test]
fn delays_grow_to_a_limit_where_the_job_says_so() {
    let mut world = with_job(json!({
        "retries": 4, "retryDelaySeconds": 1, "retryBackoffFactor": 3, "retryDelayMaxSeconds": 10,
    }));
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.ends(TaskFailed);
        let run = &world.runs("a")[0];
        waits.push(run.not_before_ms - world.now);
        world.pass(10_000);
    }
    assert_eq!(waits, [1000, 3000, 9000, 10_000]);
}

#[test]
fn every_end_counts_for_what_it_is() {
    for (state, attempts, errors) in [
        (TaskFinished, 1, 0),
        (TaskFailed, 1, 1),
        (TaskError, 1, 1),
        (TaskLost, 1, 1),
        (TaskGone, 1, 1),
        (TaskGoneByOperator, 1, 1),
        (TaskUnknown, 1, 1),
        (TaskKilled, 1, 0),
        (TaskDropped, 2, 0),
    ] {
        let mut world = with_job(json!({"retries": 0}));
        world.ends(state);
        world.pass(600_000);
        assert_eq!(world.launched.len(), attempts, "{state:?}");
        assert_eq!(world.progress("a").error_count, errors, "{state:?}");
        assert_eq!(world.runs("a").len(), attempts - 1, "{state:?}");
    }
}

#[test]
fn a_launch_that_came_to_nothing_counts_for_nothing() {
    let mut world = with_job(json!({"retries": 0}));
    let first = world.last();
    world.step(Input::NotLaunched(vec![first]));
    world.pass(1000);
    assert_eq!(world.launched.len(), 2);
    // Nothing was ever heard of this one, and its agent does not know it.
    let second = world.last();
    world.says(&second, TaskGone);
    world.pass(2000);
    assert_eq!(world.launched.len(), 3);
    let third = world.last();
    world.says_why(&third, TaskGoneByOperator, Some(Reason::AgentDraining));
    world.pass(4000);
    assert_eq!(world.launched.len(), 4);
    world.ends(TaskFinished);
    let progress = world.progress("a");
    assert_eq!((progress.success_count, progress.error_count), (1, 0));
}

#[test]
fn a_task_out_of_reach_is_waited_for_and_not_launched_again() {
    let mut world = with_job(json!({"retries": 5}));
    let task = world.last();
    world.says(&task, TaskRunning);
    world.says(&task, TaskUnreachable);
    world.pass(599_000);
    assert_eq!(world.runs("a").len(), 1);
    world.restart();
    world.pass(1000);
    assert_eq!(world.outcomes("a"), [Outcome::Lost]);
    assert_eq!(world.progress("a").error_count, 1);
    world.pass(600_000);
    assert_eq!(world.launched.len(), 1);
    // It comes back all the same.
    world.says(&task, TaskRunning);
    assert_eq!(world.killed, [task]);
}

#[test]
fn one_that_comes_back_in_time_goes_on() {
    let mut world = with_job(json!({}));
    let task = world.last();
    world.says(&task, TaskRunning);
    world.says(&task, TaskUnreachable);
    world.pass(500_000);
    world.says(&task, TaskRunning);
    world.pass(500_000);
    world.says(&task, TaskFinished);
    assert_eq!(world.outcomes("a"), [Outcome::Success]);
}

#[test]
fn jobs_that_say_so_run_again_without_knowing() {
    let mut world = with_job(json!({"retryUnreachable": true, "retries": 1}));
    let task = world.last();
    world.says(&task, TaskUnreachable);
    world.pass(660_000);
    assert_eq!(world.launched.len(), 2);
}

#[test]
fn a_job_that_fails_again_and_again_is_disabled_and_nobody_enables_it() {
    let settings = Settings {
        disable_after_failures: 2,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    world.post(&json!({
        "name": "a", "command": "x", "schedule": "R/2026-01-31T12:00:00Z/PT1M", "retries": 0,
    }));
    world.ends(TaskFailed);
    assert!(!world.state.jobs["a"].disabled);
    world.pass(60_000);
    world.ends(TaskFailed);
    assert!(world.state.jobs["a"].disabled);
    assert_eq!(world.notices.last().unwrap().kind, NoticeKind::Disabled);
    world.pass(600_000);
    assert_eq!(world.launched.len(), 2);
}

#[test]
fn a_job_that_a_person_disabled_while_it_ran_stays_disabled() {
    let settings = Settings {
        disable_after_failures: 10,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    let mut job = json!({"name": "a", "command": "x", "schedule": "R/2026-01-31T12:00:00Z/PT1M"});
    world.post(&job);
    job["disabled"] = true.into();
    world.post(&job);
    world.ends(TaskFailed);
    assert!(world.state.jobs["a"].disabled);
    world.pass(600_000);
    assert_eq!(world.launched.len(), 1);
}

#[test]
fn what_takes_too_long_is_ended_and_has_failed() {
    let mut world = with_job(json!({"maxCompletionTime": 60, "retries": 0}));
    let task = world.last();
    let told = world.launched[0].max_completion_time;
    assert_eq!(told.unwrap().nanoseconds, 60_000_000_000);
    world.says(&task, TaskRunning);
    world.pass(64_000);
    assert!(world.killed.is_empty());
    world.pass(1000);
    assert_eq!(world.killed, std::slice::from_ref(&task));
    // It is asked for until it happens.
    world.pass(30_000);
    assert_eq!(world.killed.len(), 2);
    world.says(&task, TaskKilled);
    assert_eq!(world.outcomes("a"), [Outcome::Failure]);
    assert!(world.past("a")[0].message.contains("maxCompletionTime"));
    assert_eq!(world.progress("a").error_count, 1);
}

#[test]
fn an_asynchronous_job_is_done_when_somebody_says_so() {
    for (status, outcome) in [(0, Outcome::Success), (7, Outcome::Failure)] {
        let mut world = with_job(json!({"async": true, "retries": 0}));
        let task = world.last();
        world.ends(TaskFinished);
        assert!(world.outcomes("a").is_empty());
        world.restart();
        let run = world.runs("a")[0].clone();
        assert!(matches!(&run.phase, Phase::Launched(it) if it.is_awaited));
        assert!(world.state.tracked_tasks().is_empty());
        world.pass(3_600_000);
        let complete = Request::Complete {
            task_id: task.clone(),
            status,
        };
        assert_eq!(world.ask(complete.clone()), Reply::Done);
        assert_eq!(world.outcomes("a"), [outcome]);
        assert!(matches!(world.ask(complete), Reply::Refused(_)));
    }
}

#[test]
fn one_that_tells_before_its_task_has_ended_is_believed() {
    let mut world = with_job(json!({"async": true, "retries": 0}));
    let task_id = world.last();
    world.says(&task_id, TaskRunning);
    let complete = Request::Complete {
        task_id: task_id.clone(),
        status: 0,
    };
    assert_eq!(world.ask(complete), Reply::Done);
    assert!(world.outcomes("a").is_empty());
    world.says(&task_id, TaskFailed);
    assert_eq!(world.outcomes("a"), [Outcome::Success]);
}

#[test]
fn recovery_and_success_are_told_to_those_who_want_to_know() {
    let mut world = with_job(json!({"notifyOn": ["success", "recovery"], "retries": 0}));
    world.ends(TaskFailed);
    world.force("a");
    world.ends(TaskFinished);
    world.force("a");
    world.ends(TaskFinished);
    let kinds: Vec<_> = world.notices.iter().map(|it| it.kind).collect();
    let expected = [
        NoticeKind::Failed,
        NoticeKind::Recovered,
        NoticeKind::Succeeded,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn what_is_out_of_reach_is_asked_for_until_it_is_known() {
    let mut world = with_job(json!({"retries": 0}));
    let task = world.last();
    world.says(&task, TaskUnreachable);
    let asked = |world: &mut World| {
        let calls = std::mem::take(&mut world.asked);
        let mut asks = calls.into_iter().filter_map(|call| match call {
            Call::Reconcile { tasks } => Some(tasks),
            _ => None,
        });
        let first = asks.next();
        assert!(asks.next().is_none());
        first.map(|tasks| tasks.into_iter().map(|(task, _)| task).collect::<Vec<_>>())
    };
    for _ in 0..3 {
        world.pass(29_999);
        assert_eq!(asked(&mut world), None);
        world.pass(1);
        assert_eq!(asked(&mut world), Some(vec![task.clone()]));
        world.says(&task, TaskUnreachable);
    }
    // It is heard of again, and nobody asks.
    world.says(&task, TaskRunning);
    world.pass(60_000);
    assert_eq!(asked(&mut world), None);
    // The agent comes back without it.
    world.says(&task, TaskUnreachable);
    world.pass(30_000);
    assert_eq!(asked(&mut world), Some(vec![task.clone()]));
    world.says(&task, TaskGone);
    assert!(world.state.runs.is_empty());
    assert_eq!(world.state.progress_of("a").error_count, 1);
}
