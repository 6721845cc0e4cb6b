use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ids::{agent_id, task_id};

fn at(seconds: u64) -> Now {
    Duration::from_secs(seconds)
}

fn reconciler(tasks: usize, batch: usize) -> Reconciler {
    let mut reconciler = Reconciler::new(ReconcilerConfig {
        batch,
        ..ReconcilerConfig::default()
    });
    for task in 0..tasks {
        reconciler.track(&task_id(format!("t{task}")), None);
    }
    reconciler.subscribed(at(0), false);
    reconciler
}

fn ids(ask: Option<Ask>) -> Vec<String> {
    let Ask(tasks) = ask.expect("something is asked");
    tasks.into_iter().map(|task| task.task_id.value).collect()
}

#[test]
fn asks_again_until_each_task_is_answered() {
    let mut reconciler = reconciler(2, 10);
    assert_eq!(ids(reconciler.step(at(0))), ["t0", "t1"]);
    assert!(!reconciler.answer(&task_id("t0"), None));
    assert_eq!(reconciler.step(at(1)), None);
    assert_eq!(ids(reconciler.step(at(2))), ["t1"]);
    assert_eq!(reconciler.wake_at(), Some(at(2 + 4)));
    assert_eq!(ids(reconciler.step(at(6))), ["t1"]);
    reconciler.answer(&task_id("t1"), None);
    assert_eq!(reconciler.step(at(6)), None);
    assert!(reconciler.is_settled());
    // From then on everything, now and then.
    assert_eq!(reconciler.wake_at(), Some(at(900)));
    assert_eq!(reconciler.step(at(900)), Some(Ask(vec![])));
    assert_eq!(reconciler.wake_at(), Some(at(1800)));
}

#[test]
fn the_wait_is_truncated() {
    let mut reconciler = reconciler(1, 10);
    let mut now = at(0);
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        reconciler.step(now);
        let next = reconciler.wake_at().unwrap();
        longest = longest.max(next - now);
        now = next;
    }
    assert_eq!(longest, Duration::from_secs(300));
}

#[test]
fn the_next_batch_waits_for_the_answers_of_the_last() {
    let mut reconciler = reconciler(5, 2);
    let mut seen = Vec::new();
    while let Some(ask) = reconciler.step(at(0)) {
        let ids = ids(Some(ask));
        assert!(ids.len() <= 2);
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(reconciler.step(at(0)), None);
            let goes_on = reconciler.answer(&task_id(id), None);
            assert_eq!(goes_on, index + 1 == ids.len());
        }
        seen.extend(ids);
    }
    assert_eq!(seen, ["t0", "t1", "t2", "t3", "t4"]);
}

#[test]
fn silent_tasks_do_not_hold_the_others_up() {
    let mut reconciler = reconciler(5, 2);
    let mut asked = Vec::new();
    let mut now = at(0);
    while asked.len() < 5 {
        if let Some(ask) = reconciler.step(now) {
            asked.extend(ids(Some(ask)));
        }
        now = reconciler.wake_at().unwrap();
    }
    let distinct: BTreeSet<String> = asked.into_iter().collect();
    assert_eq!(distinct.len(), 5);
    assert!(now <= at(10), "{now:?}");
}

#[test]
fn a_new_subscription_opens_every_fate_again() {
    let mut reconciler = reconciler(1, 2);
    reconciler.step(at(0));
    reconciler.answer(&task_id("t0"), None);
    reconciler.disconnected();
    assert_eq!(reconciler.step(at(5)), None);
    assert_eq!(reconciler.wake_at(), None);
    reconciler.subscribed(at(6), false);
    assert_eq!(ids(reconciler.step(at(6))), ["t0"]);
    reconciler.settle(&task_id("t0"));
    assert_eq!(reconciler.tracked(), 0);
}

#[test]
fn whoever_takes_a_framework_over_asks_for_everything_after_the_tasks_it_knows() {
    let mut reconciler = reconciler(1, 10);
    reconciler.subscribed(at(0), true);
    assert_eq!(ids(reconciler.step(at(0))), ["t0"]);
    assert_eq!(reconciler.step(at(0)), None);
    assert!(reconciler.answer(&task_id("t0"), None));
    assert_eq!(reconciler.step(at(0)), Some(Ask(vec![])));
}

#[test]
fn a_new_framework_asks_nothing_at_first() {
    let mut reconciler = reconciler(0, 2);
    assert_eq!(reconciler.step(at(0)), None);
    assert_eq!(reconciler.wake_at(), Some(at(900)));
}

#[test]
fn a_launched_task_that_is_never_heard_of_is_asked_for() {
    let mut reconciler = reconciler(0, 10);
    reconciler.launched(&task_id("silent"), Some(&agent_id("a")));
    reconciler.launched(&task_id("heard"), Some(&agent_id("a")));
    reconciler.launched(&task_id("refused"), Some(&agent_id("a")));
    assert_eq!(reconciler.step(at(1)), None);
    reconciler.answer(&task_id("heard"), None);
    reconciler.settle(&task_id("refused"));
    assert_eq!(reconciler.wake_at(), Some(at(61)));
    let Some(Ask(tasks)) = reconciler.step(at(61)) else {
        panic!("the silent one is asked for");
    };
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].task_id.value, "silent");
    assert_eq!(tasks[0].agent_id, Some(agent_id("a")));
}

#[test]
fn an_answer_that_could_not_be_kept_is_asked_for_again() {
    let mut reconciler = reconciler(1, 10);
    reconciler.step(at(0));
    reconciler.unheard(&task_id("t0"), None);
    reconciler.unheard(&task_id("other"), None);
    assert_eq!(reconciler.step(at(1)), None);
    assert_eq!(ids(reconciler.step(at(3))), ["other", "t0"]);
}

#[test]
fn whatever_is_heard_of_is_tracked() {
    let mut reconciler = reconciler(0, 10);
    reconciler.answer(&task_id("found"), Some(&agent_id("a")));
    reconciler.subscribed(at(9), false);
    assert_eq!(ids(reconciler.step(at(9))), ["found"]);
}

proptest! {
    #[test]
    fn every_task_is_asked_for_until_it_is_answered(
        tasks in 1..40_usize,
        batch in 1..10_usize,
        answers in prop::collection::vec(any::<bool>(), 400),
    ) {
        let mut reconciler = reconciler(tasks, batch);
        let mut open: BTreeSet<String> = (0..tasks).map(|t| format!("t{t}")).collect();
        let mut now = at(0);
        let mut answers = answers.into_iter().chain(std::iter::repeat(true));
        for _ in 0..5000 {
            if open.is_empty() { break; }
            if let Some(Ask(asked)) = reconciler.step(now) {
                for task in asked {
                    prop_assert!(open.contains(&task.task_id.value), "asked twice");
                    if answers.next() == Some(true) {
                        reconciler.answer(&task.task_id, None);
                        open.remove(&task.task_id.value);
                    }
                }
            } else {
                now = reconciler.wake_at().unwrap().max(now);
            }
        }
        prop_assert!(open.is_empty(), "never asked for: {open:?}");
        prop_assert!(reconciler.is_settled());
    }
}
