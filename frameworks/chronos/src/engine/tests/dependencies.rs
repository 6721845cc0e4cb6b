//! Jobs that run after others.

use mesos_sdk::v1::TaskState::{TaskFailed, TaskFinished, TaskRunning};
use serde_json::json;

use super::world::World;
use crate::job::Trigger;
use crate::request::{Reply, Request};

/// Ends the running task of a job.
fn finish(world: &mut World, job: &str) {
    let runs = world.runs(job);
    let task = runs.iter().find_map(|run| run.launched()).unwrap();
    let task = task.task_id.clone();
    world.says(&task, TaskRunning);
    world.says(&task, TaskFinished);
}

fn run(world: &mut World, job: &str) {
    world.force(job);
    finish(world, job);
}

#[test]
fn the_end_of_a_diamond_runs_once() {
    let mut world = World::new();
    world.post_idle("a");
    world.post_child("b", &["a"]);
    world.post_child("c", &["a"]);
    world.post_child("d", &["b", "c"]);
    run(&mut world, "a");
    assert_eq!(world.order(), ["a", "b", "c"]);
    finish(&mut world, "b");
    assert_eq!(world.count("d"), 0);
    // What has happened is not forgotten.
    world.restart();
    finish(&mut world, "c");
    assert_eq!(world.order(), ["a", "b", "c", "d"]);
    finish(&mut world, "d");
    // And again, the other way round.
    run(&mut world, "a");
    finish(&mut world, "c");
    finish(&mut world, "b");
    assert_eq!(world.count("d"), 2);
}

#[test]
fn of_many_parents_each_has_to_succeed_since_the_last_run() {
    let mut world = World::new();
    world.post_idle("a");
    world.post_idle("b");
    world.post_child("c", &["a", "b"]);
    for _ in 0..3 {
        run(&mut world, "a");
    }
    assert_eq!(world.count("c"), 0);
    run(&mut world, "b");
    assert_eq!(world.count("c"), 1);
    finish(&mut world, "c");
    run(&mut world, "b");
    assert_eq!(world.count("c"), 1);
    run(&mut world, "a");
    assert_eq!(world.count("c"), 2);
}

#[test]
fn what_parents_do_while_a_job_runs_counts_for_its_next_run() {
    let mut world = World::new();
    world.post_idle("a");
    world.post_child("b", &["a"]);
    run(&mut world, "a");
    run(&mut world, "a");
    run(&mut world, "a");
    // One runs, one waits: it has not run since.
    assert_eq!(world.count("b"), 1);
    assert_eq!(world.runs("b").len(), 2);
    finish(&mut world, "b");
    assert_eq!(world.count("b"), 2);
    finish(&mut world, "b");
    assert_eq!(world.count("b"), 2);
}

#[test]
fn failures_stop_the_line_unless_they_are_soft() {
    let mut world = World::new();
    let schedule = "R1/2126-01-01T00:00:00Z/P1D";
    for (name, soft) in [("hard", false), ("soft", true)] {
        world.post(&json!({
            "name": name, "command": "x", "schedule": schedule, "softError": soft, "retries": 1,
        }));
        world.post_child(&format!("after-{name}"), &[name]);
        world.force(name);
        world.ends(TaskFailed);
        let child = format!("after-{name}");
        assert_eq!(world.count(&child), 0);
        world.pass(60_000);
        world.ends(TaskFailed);
        assert_eq!(world.count(&child), usize::from(soft));
    }
}

#[test]
fn disabled_children_stay_as_they_are() {
    let mut world = World::new();
    world.post_idle("a");
    let mut child = json!({"name": "b", "command": "x", "parents": ["a"], "disabled": true});
    world.post(&child);
    run(&mut world, "a");
    child["disabled"] = false.into();
    world.post(&child);
    world.pass(1000);
    assert_eq!(world.count("b"), 0);
    run(&mut world, "a");
    assert_eq!(world.count("b"), 1);
}

#[test]
fn a_job_that_is_marked_as_successful_makes_its_children_run() {
    let mut world = World::new();
    world.post_idle("a");
    world.post_idle("b");
    world.post_child("c", &["a", "b"]);
    run(&mut world, "a");
    let mark = |name: &str| Request::MarkSuccess(name.to_owned());
    assert_eq!(world.ask(mark("b")), Reply::Done);
    assert_eq!(world.count("c"), 1);
    assert_eq!(world.progress("b").success_count, 1);
    // Marking the child itself takes back what its parents did.
    finish(&mut world, "c");
    run(&mut world, "a");
    assert_eq!(world.ask(mark("c")), Reply::Done);
    run(&mut world, "b");
    assert_eq!(world.count("c"), 1);
}

#[test]
fn parents_may_change_while_runs_are_on_their_way() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.post_idle(name);
    }
    world.post_child("x", &["a", "b"]);
    run(&mut world, "a");
    // What a has done counts still, what c has done does not yet.
    run(&mut world, "c");
    world.post_child("x", &["a", "c"]);
    assert_eq!(world.count("x"), 0);
    run(&mut world, "b");
    assert_eq!(world.count("x"), 0);
    run(&mut world, "c");
    assert_eq!(world.count("x"), 1);
    // A change alone makes nothing run.
    finish(&mut world, "x");
    run(&mut world, "a");
    world.post_child("x", &["a"]);
    assert_eq!(world.count("x"), 1);
    run(&mut world, "a");
    assert_eq!(world.count("x"), 2);
}

#[test]
fn children_of_a_deleted_job_come_after_what_it_came_after() {
    let mut world = World::new();
    world.post(&json!({
        "name": "a", "command": "x", "schedule": "R/2026-01-31T13:00:00Z/PT1H",
        "scheduleTimeZone": "UTC",
    }));
    world.post_idle("other");
    world.post_child("b", &["a"]);
    world.post(&json!({
        "name": "c", "command": "keep", "parents": ["b"], "retries": 9, "owner": "x@example.org",
        "environmentVariables": [{"name": "A", "value": "B"}],
    }));
    world.post_child("d", &["a", "other"]);
    assert_eq!(world.ask(Request::Delete("b".to_owned())), Reply::Done);
    let c = world.state.jobs["c"].clone();
    assert_eq!(c.trigger, Trigger::Parents(["a".to_owned()].into()));
    assert_eq!(world.ask(Request::Delete("a".to_owned())), Reply::Done);
    let c = world.state.jobs["c"].clone();
    assert_eq!(c.timetable().unwrap().text(), "R/2026-01-31T13:00:00Z/PT1H");
    assert_eq!(c.timetable().unwrap().zone(), "UTC");
    // Nothing else of it has changed.
    assert_eq!((c.retries, c.owner.as_str()), (9, "x@example.org"));
    assert_eq!(c.environment_variables.len(), 1);
    let d = world.state.jobs["d"].clone();
    assert_eq!(d.trigger, Trigger::Parents(["other".to_owned()].into()));
    world.pass(3_600_000);
    assert_eq!(world.order(), ["c"]);
}

#[test]
fn nothing_comes_after_itself_or_after_nothing() {
    let mut world = World::new();
    world.post_idle("a");
    world.post_child("b", &["a"]);
    world.post_child("c", &["b"]);
    let before = world.store.clone();
    for (name, parents, said) in [
        ("x", vec!["nobody"], "there is no job 'nobody'"),
        ("x", vec!["x"], "after itself"),
        ("b", vec!["c"], "after itself"),
        ("a", vec!["c"], "after itself"),
        ("x", vec![], "at least one"),
    ] {
        let reply = world.try_post(&json!({"name": name, "command": "x", "parents": parents}));
        let Reply::Refused(why) = reply else {
            panic!("{name} after {parents:?} is taken");
        };
        assert!(why.starts_with("parents: ") && why.contains(said), "{why}");
        assert_eq!(world.store, before);
    }
}
