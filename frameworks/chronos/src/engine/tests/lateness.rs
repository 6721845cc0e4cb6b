//! When a job runs, and what becomes of occurrences that cannot run in time.

use mesos_sdk::v1::TaskState::{TaskFinished, TaskKilled, TaskRunning};
use serde_json::json;

use super::world::{NOON, World};
use crate::progress::Outcome;

const EVERY_MINUTE: &str = "R/2026-01-31T12:00:00Z/PT1M";

#[test]
fn a_job_runs_when_it_is_due_and_its_task_says_which_occurrence_it_is() {
    let mut world = World::new();
    world.post(
        &json!({"name": "a", "command": "echo", "schedule": "R3/2026-01-31T12:00:10Z/PT10S"}),
    );
    assert_eq!(world.wake_at.map(|at| at <= NOON + 10_000), Some(true));
    for k in 1..=3 {
        world.pass(10_000);
        assert_eq!(world.launched.len(), k);
        let due = NOON + 10_000 * k as i64;
        assert_eq!(world.last(), format!("ct:{due}:0:a:"));
        world.ends(TaskFinished);
    }
    // The count is that of occurrences, and it is used up.
    world.pass(100_000);
    assert_eq!(world.launched.len(), 3);
    assert_eq!(world.progress("a").success_count, 3);
    let task = &world.launched[0];
    assert_eq!(task.name, "ChronosTask:a");
    let variables = &task
        .command
        .as_ref()
        .unwrap()
        .environment
        .as_ref()
        .unwrap()
        .variables;
    let value = |name: &str| {
        let found = variables.iter().find(|it| it.name == name).unwrap();
        found.value.clone().unwrap()
    };
    assert_eq!(value("CHRONOS_JOB_RUN_TIME"), (NOON + 10_000).to_string());
    assert_eq!(value("CHRONOS_JOB_RUN_ATTEMPT"), "0");
    assert_eq!(value("CHRONOS_RESOURCE_MEM"), "128.0");
    assert_eq!(value("mesos_task_id"), task.task_id.value);
}

#[test]
fn missed_occurrences_become_one_late_run() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE}));
    assert_eq!(world.launched.len(), 1);
    world.ends(TaskFinished);
    // Nobody looks for ten minutes and a half.
    world.now += 630_000;
    world.restart();
    assert_eq!(world.launched.len(), 2);
    assert_eq!(world.last(), format!("ct:{}:0:a:", NOON + 600_000));
    world.ends(TaskFinished);
    assert_eq!(world.past("a")[0].occurrences, 10);
    world.pass(30_000);
    assert_eq!(world.launched.len(), 3);
}

#[test]
fn with_catch_up_each_of_them_runs() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE, "catchUp": true}));
    world.ends(TaskFinished);
    world.now += 300_000;
    world.restart();
    for k in 1..=5 {
        assert_eq!(world.last(), format!("ct:{}:0:a:", NOON + 60_000 * k));
        world.ends(TaskFinished);
    }
    assert_eq!(world.launched.len(), 6);
}

#[test]
fn a_thousand_missed_ones_are_made_up_for_a_hundred_at_a_time() {
    let mut world = World::new();
    let job = json!({
        "name": "a", "command": "x", "schedule": EVERY_MINUTE, "catchUp": true,
        "concurrent": true, "cpus": 0.001, "mem": 1, "disk": 1,
    });
    world.post(&job);
    world.ends(TaskFinished);
    world.now += 60_000 * 1000;
    world.restart();
    assert_eq!(world.launched.len(), 101);
    for k in 0.. {
        if world.launched.len() <= k {
            break;
        }
        if k > 0 {
            let task = world.launched[k].task_id.value.clone();
            world.says(&task, TaskFinished);
        }
        if k % 100 == 0 {
            world.pass(1000);
        }
    }
    assert!(world.launched.len() >= 1001, "{}", world.launched.len());
    assert_eq!(
        world.progress("a").success_count as usize,
        world.launched.len()
    );
}

#[test]
fn what_is_later_than_epsilon_is_missed_and_remembered() {
    let mut world = World::new().without_offers();
    let job = json!({
        "name": "a", "command": "x", "schedule": EVERY_MINUTE, "epsilon": "PT20S",
        "notifyOn": ["overdue"],
    });
    world.post(&job);
    world.pass(15_000);
    assert_eq!(world.runs("a").len(), 1);
    world.pass(10_000);
    assert_eq!(world.runs("a").len(), 0);
    assert_eq!(world.outcomes("a"), [Outcome::Missed]);
    assert!(world.past("a")[0].message.contains("no offers"));
    assert_eq!(world.progress("a").missed_count, 1);
    assert_eq!(world.notices.len(), 1);
    // Of an hour's occurrences one is not too late.
    world.now += 3_600_000 - 15_000;
    world.with_offers();
    world.restart();
    assert_eq!(world.last(), format!("ct:{}:0:a:", NOON + 3_600_000));
    assert_eq!(world.progress("a").missed_count, 60);
    assert_eq!(world.past("a")[0].occurrences, 59);
}

#[test]
fn a_run_waits_for_the_one_before_and_stands_for_all_that_were_due_meanwhile() {
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE}));
    let first = world.last();
    world.says(&first, TaskRunning);
    world.pass(150_000);
    assert_eq!(world.launched.len(), 1);
    assert_eq!(world.runs("a").len(), 2);
    world.says(&first, TaskFinished);
    assert_eq!(world.launched.len(), 2);
    assert!(world.last().starts_with("ct:"));
    let run = &world.runs("a")[0];
    assert_eq!((run.due_ms, run.collapsed), (NOON + 120_000, 1));
}

#[test]
fn runs_may_overlap_where_that_is_allowed() {
    for field in [
        json!({"concurrent": true}),
        json!({"concurrencyPolicy": "Allow"}),
    ] {
        let mut world = World::new();
        let mut job = json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE});
        job.as_object_mut()
            .unwrap()
            .extend(field.as_object().unwrap().clone());
        world.post(&job);
        world.pass(120_000);
        assert_eq!(world.launched.len(), 3);
    }
}

#[test]
fn the_next_run_may_take_the_place_of_the_one_before() {
    let mut world = World::new();
    let job = json!({
        "name": "a", "command": "x", "schedule": EVERY_MINUTE, "concurrencyPolicy": "Replace",
    });
    world.post(&job);
    let first = world.last();
    world.says(&first, TaskRunning);
    world.pass(60_000);
    assert_eq!(world.killed, std::slice::from_ref(&first));
    assert_eq!(world.launched.len(), 1);
    world.says(&first, TaskKilled);
    assert_eq!(world.launched.len(), 2);
    assert_eq!(world.outcomes("a"), [Outcome::Killed]);
    assert_eq!(world.progress("a").error_count, 0);
}

#[test]
fn a_disabled_job_rests_and_what_was_due_meanwhile_does_not_run() {
    let mut world = World::new();
    let mut job = json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE, "disabled": true});
    world.post(&job);
    world.pass(200_000);
    assert_eq!(world.launched.len(), 0);
    job["disabled"] = false.into();
    world.post(&job);
    assert_eq!(world.launched.len(), 0);
    world.pass(40_000);
    assert_eq!(world.last(), format!("ct:{}:0:a:", NOON + 240_000));
}

#[test]
fn jitter_moves_each_occurrence_the_same_way_every_time() {
    let mut starts = Vec::new();
    for _ in 0..2 {
        let mut world = World::new();
        let job = json!({
            "name": "a", "command": "x", "schedule": EVERY_MINUTE, "jitterSeconds": 30,
            "concurrent": true,
        });
        world.post(&job);
        let mut launched = Vec::new();
        for second in 0..600 {
            world.pass(1000);
            while launched.len() < world.launched.len() {
                launched.push(second);
            }
        }
        assert_eq!(launched.len(), 10, "{launched:?}");
        let offsets: Vec<i64> = launched.iter().map(|second| second % 60).collect();
        assert!(offsets.iter().all(|offset| *offset <= 30), "{offsets:?}");
        assert!(offsets.iter().any(|offset| *offset != offsets[0]));
        starts.push(launched);
    }
    assert_eq!(starts[0], starts[1]);
}

#[test]
fn those_of_high_priority_go_first() {
    let mut world = World::new().without_offers();
    for (name, high) in [("a", false), ("b", true), ("c", false)] {
        let schedule = "R1/2026-01-31T12:00:00Z/P1D";
        world.post(&json!({
            "name": name, "command": "x", "schedule": schedule, "highPriority": high, "cpus": 40,
        }));
    }
    world.with_offers();
    assert_eq!(world.order(), ["b"]);
    // It is said why the others wait.
    assert!(
        world.state.refusals["a"].contains("cpus short"),
        "{:?}",
        world.state.refusals
    );
}

#[test]
fn offers_are_asked_for_before_they_are_needed_and_given_back_afterwards() {
    use crate::effects::Call;
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": "R2/2026-01-31T13:00:00Z/PT1H"}));
    assert!(world.asked.contains(&Call::Suppress), "{:?}", world.asked);
    assert!(world.state.offers.is_empty());
    world.asked.clear();
    world.pass(3_600_000 - 5001);
    assert!(!world.asked.contains(&Call::Revive), "{:?}", world.asked);
    world.pass(1);
    assert!(world.asked.contains(&Call::Revive), "{:?}", world.asked);
    world.pass(5000);
    assert_eq!(world.launched.len(), 1);
    world.ends(TaskFinished);
    world.pass(1);
    assert!(world.asked.contains(&Call::Suppress), "{:?}", world.asked);
}

#[test]
fn what_is_due_at_one_moment_is_spread_but_not_over_more_agents_than_calls_leave_at_once() {
    use crate::effects::Call;
    for (jobs, least, most) in [(8, 8, 8), (100, 25, 32)] {
        let mut world = World::new().without_offers();
        world.offer_of(200);
        for n in 0..jobs {
            world.post(&json!({
                "name": n.to_string(), "command": "x", "schedule": "R1/2026-01-31T12:00:10Z/P1D",
            }));
        }
        // They were given back, and come again before they are needed.
        world.pass(6000);
        world.offer_of(200);
        world.asked.clear();
        world.pass(4000);
        assert_eq!(world.launched.len(), jobs);
        let calls = world.asked.iter();
        let calls = calls.filter(|call| matches!(call, Call::Launch { .. }));
        let calls = calls.count();
        assert!(
            (least..=most).contains(&calls),
            "{jobs} jobs, {calls} calls"
        );
    }
}

#[test]
fn a_job_that_waits_for_its_own_run_wants_no_offers() {
    use crate::effects::Call;
    let mut world = World::new();
    world.post(&json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE}));
    let first = world.last();
    world.says(&first, TaskRunning);
    world.asked.clear();
    // It is due again and again, and is forced, and none of that can begin.
    world.pass(150_000);
    world.force("a");
    assert_eq!(world.runs("a").len(), 3);
    world.restart();
    world.pass(150_000);
    assert!(!world.asked.contains(&Call::Revive), "{:?}", world.asked);
    assert!(world.state.offers.is_empty());
    assert_eq!(world.state.blocked[1].len(), 2);
    // Another job is not kept from running.
    world.post(&json!({"name": "b", "command": "x", "schedule": "R1/2026-01-31T12:05:30Z/P1D"}));
    world.pass(30_000);
    assert_eq!(world.count("b"), 1);
    world.ends(TaskFinished);
    world.pass(1);
    world.asked.clear();
    world.says(&first, TaskFinished);
    assert!(world.asked.contains(&Call::Revive), "{:?}", world.asked);
    assert_eq!(world.count("a"), 2);
    assert_eq!(world.state.blocked[1].len(), 1);
    // Where runs may overlap nothing is blocked.
    world.post(&json!({
        "name": "a", "command": "x", "schedule": EVERY_MINUTE, "concurrent": true,
    }));
    assert_eq!(world.state.blocked[1].len(), 0);
    assert_eq!(world.count("a"), 3);
}

#[test]
fn an_epsilon_of_nothing_leaves_the_time_that_starting_takes() {
    for field in ["epsilon", "startingDeadlineSeconds"] {
        let mut world = World::new().without_offers();
        let mut job = json!({"name": "a", "command": "x", "schedule": EVERY_MINUTE});
        job[field] = match field {
            "epsilon" => "PT0S".into(),
            _ => 0.into(),
        };
        world.post(&job);
        world.pass(1000);
        world.with_offers();
        assert_eq!(world.launched.len(), 1, "{field}");
        world.ends(TaskFinished);
        let mut world = world.without_offers();
        world.pass(59_000 + 1001);
        assert_eq!(world.progress("a").missed_count, 1, "{field}");
    }
}

#[test]
fn a_cron_job_runs_at_the_times_it_names() {
    let mut world = World::new();
    world.post(&json!({
        "name": "a", "command": "x", "cron": "*/15 13 * * *", "scheduleTimeZone": "Europe/Berlin",
    }));
    // Noon in UTC is one o'clock in Berlin, and it is not due again at once.
    assert_eq!(world.launched.len(), 0);
    for k in 1..=3 {
        world.pass(900_000);
        assert_eq!(world.last(), format!("ct:{}:0:a:", NOON + 900_000 * k));
        world.ends(TaskFinished);
    }
    world.pass(3_600_000);
    assert_eq!(world.launched.len(), 3);
}

#[test]
fn what_no_agent_takes_in_time_is_missed_whyever_it_runs() {
    let mut world = World::new().without_offers();
    let mut job = json!({
        "name": "a", "command": "x", "schedule": "R1/2126-01-01T00:00:00Z/P1D",
        "queueTimeoutSeconds": 30,
    });
    world.post(&job);
    world.force("a");
    world.pass(30_000);
    assert_eq!(world.runs("a").len(), 1);
    world.pass(1);
    assert_eq!(world.outcomes("a"), [Outcome::Missed]);
    // What is tried again may wait as long each time.
    job["retries"] = 1.into();
    world.post(&job);
    world.with_offers();
    world.force("a");
    world.ends(mesos_sdk::v1::TaskState::TaskFailed);
    let mut world = world.without_offers();
    world.pass(60_000 + 30_001);
    assert_eq!(world.runs("a").len(), 0);
    assert_eq!(world.progress("a").error_count, 1);
    assert!(
        world
            .notices
            .last()
            .unwrap()
            .message
            .contains("no further attempt")
    );
}

#[test]
fn a_starting_deadline_is_that_of_the_latest_occurrence() {
    let job = json!({
        "name": "a", "command": "x", "schedule": EVERY_MINUTE, "startingDeadlineSeconds": 10,
    });
    for (late_ms, launched) in [(5000, 2), (20_000, 1)] {
        let mut world = World::new();
        world.post(&job);
        world.ends(TaskFinished);
        world.now += 600_000 + late_ms;
        world.restart();
        assert_eq!(world.launched.len(), launched, "{late_ms}");
        let missed = if launched == 1 { 10 } else { 0 };
        assert_eq!(world.progress("a").missed_count, missed, "{late_ms}");
    }
}

#[test]
fn who_wants_to_know_is_told_once_that_a_run_is_overdue() {
    let mut world = World::new().without_offers();
    world.post(&json!({
        "name": "a", "command": "x", "schedule": "R1/2026-01-31T12:00:00Z/P1D",
        "notifyOn": ["overdue"], "overdueAfterSeconds": 60,
    }));
    world.pass(59_999);
    assert!(world.notices.is_empty());
    world.pass(1);
    world.restart();
    world.pass(600_000);
    assert_eq!(world.notices.len(), 1);
    assert!(world.notices[0].message.contains("there were no offers"));
    world.with_offers();
    assert_eq!(world.launched.len(), 1);
}

#[test]
fn each_job_says_how_much_of_it_is_remembered() {
    let mut world = World::new();
    world.post(&json!({
        "name": "a", "command": "x", "schedule": EVERY_MINUTE,
        "successfulRunsHistoryLimit": 2, "failedRunsHistoryLimit": 0,
    }));
    for k in 0..6 {
        if k > 0 {
            world.pass(60_000);
        }
        world.ends(if k % 2 == 0 { TaskFinished } else { TaskKilled });
    }
    assert_eq!(world.outcomes("a"), [Outcome::Success; 2]);
    assert_eq!(world.progress("a").durations.count(), 3);
}
