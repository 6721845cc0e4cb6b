//! What people and programs want.

use mesos_sdk::v1::TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskRunning};
use serde_json::json;

use super::world::World;
use crate::progress::Outcome;
use crate::request::{Reply, Request};
use crate::show::ShownJob;

const HOURLY: &str = "R/2026-01-31T12:00:00Z/PT1H";

#[test]
fn a_job_read_back_and_posted_again_changes_nothing() {
    let mut world = World::new();
    world.post(&json!({"name": "p", "command": "x", "schedule": HOURLY}));
    for job in [
        json!({"name": "a", "command": "x", "schedule": HOURLY, "uris": ["http://x/y.tgz"]}),
        json!({"name": "b", "command": "x", "schedule": "R5//PT1M", "epsilon": "PT30M"}),
        json!({"name": "c", "cron": "*/5 * * * *", "scheduleTimeZone": "Asia/Tokyo"}),
        json!({
            "name": "d", "parents": ["p"], "container": {
                "image": "alpine", "networkInfos": [{"name": "n", "portMappings": [
                    {"hostPort": "80", "containerPort": 8080, "protocol": "tcp"}]}],
                "volumes": [{"containerPath": "/x", "hostPath": "/y", "mode": "RO"}],
            },
            "constraints": [["rack", "EQUALS", "r 1"], ["os", "UNLIKE", "win.*"]],
        }),
        json!({
            "name": "e", "schedule": HOURLY, "concurrencyPolicy": "Replace", "catchUp": true,
            "startingDeadlineSeconds": 5, "retryDelaySeconds": 0.5, "jitterSeconds": 3,
            "notifyOn": ["success", "failure"], "gpus": 1, "suspend": true,
        }),
    ] {
        world.post(&job);
        let name = job["name"].as_str().unwrap();
        let read = |world: &World| {
            let job = &world.state.jobs[name];
            serde_json::to_value(ShownJob::new(job, &world.progress(name))).unwrap()
        };
        let shown = read(&world);
        let before = world.store.clone();
        world.now += 1234;
        world.post(&shown);
        assert_eq!(read(&world), shown);
        let job_key = format!("job/{name}");
        assert_eq!(world.store[&job_key], before[&job_key]);
    }
}

#[test]
fn counters_and_history_survive_an_update() {
    let mut world = World::new();
    let mut job = json!({"name": "a", "command": "x", "schedule": HOURLY, "retries": 0});
    world.post(&job);
    world.ends(TaskFinished);
    world.force("a");
    world.ends(TaskFailed);
    job["command"] = "y".into();
    job["successCount"] = 77.into();
    world.post(&job);
    let progress = world.progress("a");
    assert_eq!((progress.success_count, progress.error_count), (1, 1));
    assert_eq!(world.past("a").len(), 2);
    // The schedule is the same, so nothing is due again.
    assert_eq!(world.launched.len(), 2);
}

#[test]
fn counters_of_a_job_that_comes_from_elsewhere_are_kept() {
    let mut world = World::new();
    world.post(&json!({
        "name": "a", "command": "x", "schedule": "R1/2126-01-01T00:00:00Z/P1D", "successCount": 9,
        "lastSuccess": "2026-01-30T00:00:00.000Z", "lastError": "",
    }));
    let progress = world.progress("a");
    assert_eq!((progress.success_count, progress.status()), (9, "success"));
}

#[test]
fn a_forced_run_counts_for_nothing_but_itself() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": "R2/2026-01-31T13:00:00Z/PT1H"}));
    world.force("a");
    world.ends(TaskFinished);
    let arguments = Some("--day 7; rm /tmp".to_owned());
    let job = "a".to_owned();
    assert_eq!(world.ask(Request::Force { job, arguments }), Reply::Done);
    assert!(
        world.last().ends_with(":0:a:--day 7 rm _tmp"),
        "{}",
        world.last()
    );
    let command = world.launched[1].command.clone().unwrap();
    assert_eq!(command.value(), "x --day 7; rm /tmp");
    world.ends(TaskFinished);
    world.pass(2 * 3_600_000);
    assert_eq!(world.launched.len(), 3);
    world.ends(TaskFinished);
    world.pass(3_600_000);
    assert_eq!(world.launched.len(), 4);
}

#[test]
fn a_disabled_job_cannot_be_forced() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": HOURLY, "disabled": true}));
    let force = |job: &str| Request::Force {
        job: job.to_owned(),
        arguments: None,
    };
    let Reply::Refused(why) = world.ask(force("a")) else {
        panic!("it is taken");
    };
    assert!(why.contains("disabled"), "{why}");
    assert_eq!(world.ask(force("b")), Reply::NoJob("b".to_owned()));
}

#[test]
fn tasks_are_killed_and_that_is_no_failure() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": HOURLY}));
    let task = world.last();
    world.says(&task, TaskRunning);
    let kill = Request::Kill {
        job: "a".to_owned(),
        with_waiting: false,
    };
    assert_eq!(world.ask(kill), Reply::Done);
    assert_eq!(world.killed, std::slice::from_ref(&task));
    world.says(&task, TaskKilled);
    assert_eq!(world.outcomes("a"), [Outcome::Killed]);
    let progress = world.progress("a");
    assert_eq!((progress.success_count, progress.error_count), (0, 0));
    world.pass(600_000);
    assert_eq!(world.launched.len(), 1);
}

#[test]
fn a_deleted_job_leaves_nothing_behind() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": HOURLY}));
    let task = world.last();
    world.says(&task, TaskRunning);
    world.force("a");
    assert_eq!(world.runs("a").len(), 2);
    assert_eq!(world.ask(Request::Delete("a".to_owned())), Reply::Done);
    assert_eq!(world.killed, std::slice::from_ref(&task));
    assert_eq!(world.notices.len(), 1);
    // One of the same name has nothing to do with it.
    world.post(&json!({"name": "a", "command": "y", "schedule": HOURLY}));
    world.says(&task, TaskKilled);
    assert!(world.past("a").is_empty());
    assert_eq!(world.launched.len(), 2);
    assert_eq!(world.ask(Request::Delete("a".to_owned())), Reply::Done);
    let last = world.last();
    world.says(&last, TaskKilled);
    assert!(world.state.runs.is_empty());
    let left: Vec<&String> = world.store.keys().collect();
    assert_eq!(left, ["framework-id", "progress/a", "runs-made"]);
    // That is how its tasks were called, and a day later it is gone, too.
    world.pass(86_400_001);
    world.post_idle("b");
    assert_eq!(world.ask(Request::Delete("b".to_owned())), Reply::Done);
    assert!(!world.store.contains_key("progress/a"));
}

#[test]
fn what_waits_can_be_dropped() {
    let mut world = World::new().without_offers();
    world.post(&json!({"name": "a", "command": "x", "schedule": HOURLY}));
    world.post(&json!({"name": "b", "command": "x", "schedule": HOURLY}));
    assert_eq!(world.state.runs.len(), 2);
    assert_eq!(world.ask(Request::Purge), Reply::Done);
    assert!(world.state.runs.is_empty());
    assert_eq!(world.outcomes("a"), [Outcome::Missed]);
    assert!(world.past("a")[0].message.contains("purged"));
}

#[test]
fn elements_are_counted_of_those_that_tell() {
    let mut world = World::new();
    let mut job = json!({"name": "a", "command": "x", "schedule": HOURLY});
    world.post(&job);
    let task_id = world.last();
    let processed = |task_id: &str, elements| Request::Processed {
        job: "a".to_owned(),
        task_id: task_id.to_owned(),
        elements,
    };
    assert!(matches!(
        world.ask(processed(&task_id, 1)),
        Reply::Refused(_)
    ));
    job["dataProcessingJobType"] = true.into();
    world.post(&job);
    assert_eq!(world.ask(processed(&task_id, 40)), Reply::Done);
    world.ends(TaskFinished);
    assert_eq!(world.ask(processed(&task_id, 2)), Reply::Done);
    assert_eq!(world.past("a")[0].elements, 42);
    assert!(matches!(
        world.ask(processed("ct:1:0:a:", 1)),
        Reply::Refused(_)
    ));
}

#[test]
fn tasks_that_nobody_knows_are_ended() {
    let mut world = World::new();
    world.says("ct:1:0:ghost:", TaskRunning);
    assert_eq!(world.killed, ["ct:1:0:ghost:"]);
    world.says("ct:1:0:ghost:", TaskKilled);
    assert_eq!(world.killed.len(), 1);
}

/// The world fails where an id is used again.
#[test]
fn no_two_tasks_of_a_job_are_called_the_same() {
    let mut world = World::new();
    let job = json!({"name": "a", "command": "x", "schedule": HOURLY});
    world.post(&job);
    let task = world.last();
    // What never started is forgotten, and then runs by hand in the same moment.
    world.says(&task, mesos_sdk::v1::TaskState::TaskGone);
    assert_eq!(world.ask(Request::Purge), Reply::Done);
    world.force("a");
    world.ends(TaskFinished);
    // Another job of the same name is due at the same time.
    assert_eq!(world.ask(Request::Delete("a".to_owned())), Reply::Done);
    world.restart();
    world.post(&job);
    assert_eq!(world.count("a"), 3);
}
