//! Whatever happens in whichever order: what must hold after each step.
//!
//! `World` itself checks that what is stored makes the same state again, and
//! that no task is launched twice.

use std::collections::BTreeSet;

use mesos_sdk::v1::TaskState::{
    self, TaskDropped, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskRunning, TaskUnreachable,
};
use proptest::prelude::*;
use serde_json::json;

use super::world::World;
use crate::job::Policy;
use crate::request::Request;

const JOBS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Clone, Debug)]
enum Event {
    Pass(i64),
    Post(usize, u8),
    Child(usize, Vec<usize>),
    Delete(usize),
    Force(usize),
    Kill(usize),
    Mark(usize),
    Purge,
    /// Something is said of one of the tasks that are known, by its number.
    Say(usize, TaskState),
    Restart,
    Offers(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let job = 0..JOBS.len();
    let states = prop::sample::select(vec![
        TaskRunning,
        TaskFinished,
        TaskFinished,
        TaskFailed,
        TaskKilled,
        TaskGone,
        TaskDropped,
        TaskUnreachable,
    ]);
    prop_oneof![
        4 => (1_i64..90_000).prop_map(Event::Pass),
        3 => (job.clone(), any::<u8>()).prop_map(|(job, kind)| Event::Post(job, kind)),
        2 => (job.clone(), prop::collection::vec(job.clone(), 1..3))
            .prop_map(|(job, parents)| Event::Child(job, parents)),
        1 => job.clone().prop_map(Event::Delete),
        2 => job.clone().prop_map(Event::Force),
        1 => job.clone().prop_map(Event::Kill),
        1 => job.prop_map(Event::Mark),
        1 => Just(Event::Purge),
        8 => (0_usize..1000, states).prop_map(|(task, state)| Event::Say(task, state)),
        1 => Just(Event::Restart),
        1 => any::<bool>().prop_map(Event::Offers),
    ]
}

/// Requests may be refused; what is refused changes nothing.
fn happen(world: &mut World, event: Event) {
    let before = world.store.clone();
    let reply = match event {
        Event::Pass(ms) => return world.pass(ms),
        Event::Post(job, kind) => {
            let policy = ["Forbid", "Allow", "Replace"][usize::from(kind % 3)];
            let mut body = json!({
                "name": JOBS[job], "command": "x", "schedule": "R50/2026-01-31T12:00:00Z/PT20S",
                "concurrencyPolicy": policy, "disabled": kind % 7 == 0, "catchUp": kind % 5 == 0,
                "retries": kind % 4, "softError": kind % 2 == 0, "async": kind % 11 == 0,
            });
            if kind % 6 == 0 {
                body["epsilon"] = "PT15S".into();
            }
            world.try_post(&body)
        }
        Event::Child(job, parents) => {
            let parents: Vec<&str> = parents.into_iter().map(|it| JOBS[it]).collect();
            world.try_post(&json!({"name": JOBS[job], "command": "x", "parents": parents}))
        }
        Event::Delete(job) => world.ask(Request::Delete(JOBS[job].to_owned())),
        Event::Force(job) => world.ask(Request::Force {
            job: JOBS[job].to_owned(),
            arguments: None,
        }),
        Event::Kill(job) => world.ask(Request::Kill {
            job: JOBS[job].to_owned(),
            with_waiting: job % 2 == 0,
        }),
        Event::Mark(job) => world.ask(Request::MarkSuccess(JOBS[job].to_owned())),
        Event::Purge => world.ask(Request::Purge),
        Event::Say(task, state) => {
            if !world.launched.is_empty() {
                let task = &world.launched[task % world.launched.len()];
                let task = task.task_id.value.clone();
                world.says(&task, state);
            }
            return;
        }
        Event::Restart => return world.restart(),
        Event::Offers(true) => return world.with_offers(),
        Event::Offers(false) => return world.withdraw_offers(),
    };
    if reply != crate::request::Reply::Done && world.state.waiting.iter().all(BTreeSet::is_empty) {
        assert_eq!(world.store, before, "{reply:?} changed something");
    }
}

fn check(world: &World) {
    let state = &world.state;
    for run in state.runs.values() {
        let is_wanted = run.launched().is_none_or(|it| it.kill.is_none());
        let job = state.jobs.get(&run.job);
        assert!(job.is_some() || !is_wanted, "a run of no job: {run:?}");
        if let Some(launched) = run.launched() {
            let known = state.tasks.get(&launched.task_id);
            assert!(known.is_some(), "{}", launched.task_id);
        }
    }
    for (name, job) in &state.jobs {
        let ancestors = match &job.trigger {
            crate::job::Trigger::Parents(parents) => state.ancestors(parents),
            crate::job::Trigger::Schedule(_) => continue,
        };
        assert!(!ancestors.contains(name), "{name} comes after itself");
        let known = job.parents().all(|parent| state.jobs.contains_key(parent));
        assert!(known, "{name} comes after nothing");
        let satisfied = &world.progress(name).satisfied;
        assert!(
            satisfied
                .iter()
                .all(|it| job.parents().any(|parent| parent == it))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_must_hold_holds_whatever_happens(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new();
        for event in events {
            happen(&mut world, event);
            check(&world);
        }
        // At most one run of a job whose runs do not overlap, once its policy has
        // been the same for long.
        let jobs: Vec<String> = world.state.jobs.keys().cloned().collect();
        for name in jobs {
            let job = world.state.jobs[&name].clone();
            if job.policy() != Policy::Forbid {
                continue;
            }
            let running = |world: &World| {
                world.runs(&name).iter().filter(|run| run.launched().is_some()).count()
            };
            let before = running(&world);
            world.force_if_enabled(&name);
            prop_assert!(running(&world) <= before.max(1));
        }
    }
}
