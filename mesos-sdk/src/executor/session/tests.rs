use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::ids;

fn at(seconds: u64) -> Now {
    Duration::from_secs(seconds)
}

fn session(is_checkpointing: bool) -> Session {
    let config = SessionConfig {
        is_checkpointing,
        ..SessionConfig::default()
    };
    let mut session = Session::new(config, 1, at(0));
    let outputs = session.step(at(0), Input::Start);
    assert!(matches!(&outputs[..], [Output::Connect(_)]), "{outputs:?}");
    session
}

fn subscribed(is_checkpointing: bool) -> Session {
    let mut session = session(is_checkpointing);
    assert!(session.step(at(0), Input::Subscribed).is_empty());
    session
}

fn update(task: &str, uuid: u64) -> Input {
    Input::Update(Box::new(v1::TaskStatus {
        task_id: ids::task_id(task),
        uuid: Some(Bytes::copy_from_slice(&uuid.to_be_bytes())),
        ..Default::default()
    }))
}

fn uuid_of(status: &v1::TaskStatus) -> u64 {
    let bytes = status.uuid.as_ref().unwrap();
    u64::from_be_bytes(bytes[..].try_into().unwrap())
}

fn event(kind: event::Type, fill: impl FnOnce(&mut Event)) -> Input {
    let mut event = Event {
        r#type: Some(kind.into()),
        ..Default::default()
    };
    fill(&mut event);
    Input::Event(Box::new(event))
}

fn launch(task: &str) -> Input {
    event(event::Type::Launch, |event| {
        let task = v1::TaskInfo {
            task_id: ids::task_id(task),
            ..Default::default()
        };
        event.launch = Some(event::Launch { task });
    })
}

fn acknowledged(task: &str, uuid: u64) -> Input {
    event(event::Type::Acknowledged, |event| {
        event.acknowledged = Some(event::Acknowledged {
            task_id: ids::task_id(task),
            uuid: Bytes::copy_from_slice(&uuid.to_be_bytes()),
        });
    })
}

fn ended() -> Input {
    Input::Ended {
        reason: "eof".into(),
    }
}

/// Numbers and uuids of what is to be sent.
fn sends(outputs: &[Output]) -> Vec<(u64, u64)> {
    let sends = outputs.iter().filter_map(|output| match output {
        Output::Send { number, status } => Some((*number, uuid_of(status))),
        _ => None,
    });
    sends.collect()
}

fn told(outputs: &[Output]) -> Vec<event::Type> {
    let told = outputs.iter().filter_map(|output| match output {
        Output::Tell(event) => Some(event.r#type()),
        _ => None,
    });
    told.collect()
}

fn end(outputs: &mut Vec<Output>) -> Option<Result<(), Error>> {
    match outputs.pop()? {
        Output::End(result) => Some(result),
        _ => None,
    }
}

/// Ends the stream and waits for the next SUBSCRIBE.
fn resubscribe(session: &mut Session, now: Now) -> call::Subscribe {
    session.step(now, ended());
    let due = session.wake_at().unwrap();
    match session.step(due, Input::Tick).pop() {
        Some(Output::Connect(subscribe)) => *subscribe,
        other => panic!("{other:?}"),
    }
}

#[test]
fn updates_of_one_task_are_sent_in_order_and_those_of_many_at_once() {
    let mut session = subscribed(true);
    let first = sends(&session.step(at(0), update("a", 1)));
    assert_eq!(first[0].1, 1);
    assert!(session.step(at(0), update("a", 2)).is_empty());
    let other = sends(&session.step(at(0), update("b", 3)));
    assert_eq!(other[0].1, 3);
    let number = first[0].0;
    let second = sends(&session.step(at(0), Input::Sent { number }));
    assert_eq!(second[0].1, 2);
}

#[test]
fn every_subscription_carries_what_is_not_acknowledged() {
    let mut session = subscribed(true);
    for task in ["a", "b", "c"] {
        assert_eq!(
            told(&session.step(at(0), launch(task))),
            [event::Type::Launch]
        );
    }
    for uuid in 1..=2 {
        session.step(at(0), update("a", uuid));
    }
    session.step(at(0), update("b", 3));
    session.step(at(1), acknowledged("a", 1));
    let subscribe = resubscribe(&mut session, at(2));
    let tasks = subscribe.unacknowledged_tasks.iter();
    let tasks: Vec<_> = tasks.map(|task| &*task.task_id.value).collect();
    assert_eq!(tasks, ["b", "c"]);
    let updates = subscribe.unacknowledged_updates.iter();
    let updates: Vec<_> = updates.map(|update| uuid_of(&update.status)).collect();
    assert_eq!(updates, [2, 3]);
    // They need not be sent once more; what came meanwhile does.
    session.step(at(3), update("a", 4));
    assert_eq!(sends(&session.step(at(3), Input::Subscribed)).len(), 1);
}

#[test]
fn a_task_that_comes_twice_is_launched_once() {
    let mut session = subscribed(true);
    assert_eq!(told(&session.step(at(0), launch("a"))).len(), 1);
    assert_eq!(told(&session.step(at(0), launch("a"))).len(), 0);
}

#[test]
fn an_update_that_did_not_arrive_is_sent_again_after_a_wait() {
    let mut session = subscribed(true);
    let number = sends(&session.step(at(0), update("a", 1)))[0].0;
    session.step(at(1), Input::NotSent { number });
    let due = session.wake_at().unwrap();
    assert!(due >= at(1) && due <= at(3), "{due:?}");
    assert_eq!(sends(&session.step(due, Input::Tick)), [(number, 1)]);
}

#[test]
fn an_update_that_is_refused_is_told_and_holds_nothing_up() {
    let mut session = subscribed(true);
    let number = sends(&session.step(at(0), update("a", 1)))[0].0;
    session.step(at(0), update("a", 2));
    let message = "no uuid".to_owned();
    let outputs = session.step(at(0), Input::UpdateRefused { number, message });
    assert!(matches!(outputs[0], Output::UpdateRefused { .. }));
    assert_eq!(sends(&outputs)[0].1, 2);
    assert_eq!(session.unacknowledged_updates(), 1);
}

#[test]
fn a_checkpointing_executor_waits_for_its_agent_until_the_recovery_timeout() {
    let mut session = subscribed(true);
    let mut now = at(100);
    let outputs = session.step(now, ended());
    let Output::Disconnected(disconnect) = &outputs[0] else {
        panic!("{outputs:?}");
    };
    assert!(disconnect.was_subscribed);
    assert!(disconnect.retry_in <= Duration::from_secs(2));
    loop {
        now = session.wake_at().unwrap() + Duration::from_millis(100);
        let outputs = session.step(now, Input::Tick);
        if !told(&outputs).is_empty() {
            break;
        }
        let status = 503;
        let message = "Agent has not finished recovery".to_owned();
        let mut outputs = session.step(now, Input::Rejected { status, message });
        if !told(&outputs).is_empty() {
            assert!(end(&mut outputs).is_none());
            break;
        }
    }
    assert!(now >= at(1000) && now < at(1003), "{now:?}");
    let result = end(&mut session.step(now, Input::ShutDown)).unwrap();
    assert!(matches!(result, Err(Error::AgentLost { .. })), "{result:?}");
    assert_eq!(session.wake_at(), None);
}

#[test]
fn the_waits_between_two_tries_are_drawn_anew_below_their_limit() {
    let waits = |seed| {
        let config = SessionConfig {
            is_checkpointing: true,
            ..SessionConfig::default()
        };
        let mut session = Session::new(config, seed, at(0));
        session.step(at(0), Input::Start);
        let mut waits = Vec::new();
        for _ in 0..50 {
            let outputs = session.step(at(0), ended());
            let [Output::Disconnected(disconnect)] = &outputs[..] else {
                panic!("{outputs:?}");
            };
            waits.push(disconnect.retry_in);
            session.step(disconnect.retry_in, Input::Tick);
        }
        waits
    };
    let (one, other) = (waits(1), waits(2));
    assert!(one.iter().all(|wait| *wait < at(2)), "{one:?}");
    let different: std::collections::BTreeSet<_> = one.iter().collect();
    assert!(different.len() > 25, "{one:?}");
    // Executors that lost their agent together do not come back together.
    assert_ne!(one, other);
}

#[test]
fn one_that_does_not_checkpoint_shuts_down_at_once() {
    for input in [
        ended(),
        Input::NotOpened {
            reason: "refused".into(),
        },
    ] {
        let mut session = subscribed(false);
        session.step(at(0), update("a", 1));
        let outputs = session.step(at(9), input);
        assert!(matches!(outputs[0], Output::Close));
        assert_eq!(told(&outputs), [event::Type::Shutdown]);
        // It has the grace period for that, and no longer.
        assert_eq!(session.wake_at(), Some(at(14)));
        let result = end(&mut session.step(at(14), Input::Tick)).unwrap();
        assert!(matches!(result, Err(Error::AgentLost { .. })), "{result:?}");
    }
}

#[test]
fn a_shutdown_ends_when_its_last_updates_are_acknowledged_or_time_is_up() {
    for is_acknowledged in [true, false] {
        let mut session = subscribed(true);
        let outputs = session.step(at(10), event(event::Type::Shutdown, |_| {}));
        assert_eq!(told(&outputs), [event::Type::Shutdown]);
        session.step(at(11), update("a", 1));
        assert!(end(&mut session.step(at(12), Input::ShutDown)).is_none());
        let outputs = if is_acknowledged {
            session.step(at(12), acknowledged("a", 1))
        } else {
            assert_eq!(session.wake_at(), Some(at(15)));
            session.step(at(15), Input::Tick)
        };
        let result = end(&mut { outputs }).unwrap();
        assert_eq!(result.is_ok(), is_acknowledged);
    }
    // One whose method does not return is not waited for.
    let mut session = subscribed(true);
    session.step(at(10), event(event::Type::Shutdown, |_| {}));
    assert!(matches!(
        end(&mut session.step(at(15), Input::Tick)),
        Some(Ok(()))
    ));
}

#[test]
fn stopping_waits_for_acknowledgements_also_through_a_disconnect() {
    let mut session = subscribed(true);
    session.step(at(0), update("a", 1));
    assert!(end(&mut session.step(at(1), Input::Stop)).is_none());
    let subscribe = resubscribe(&mut session, at(2));
    assert_eq!(subscribe.unacknowledged_updates.len(), 1);
    session.step(at(4), Input::Subscribed);
    let result = end(&mut session.step(at(4), acknowledged("a", 1)));
    assert!(matches!(result, Some(Ok(()))), "{result:?}");

    let mut idle = subscribed(false);
    assert!(matches!(
        end(&mut idle.step(at(1), Input::Stop)),
        Some(Ok(()))
    ));
}

#[test]
fn what_cannot_get_better_shuts_the_executor_down() {
    let rejected = |status| {
        let mut session = session(true);
        let message = "no".to_owned();
        let outputs = session.step(at(0), Input::Rejected { status, message });
        let is_told = told(&outputs) == [event::Type::Shutdown];
        let result = end(&mut session.step(at(0), Input::ShutDown));
        (is_told, result)
    };
    assert!(matches!(
        rejected(400),
        (true, Some(Err(Error::Refused { .. })))
    ));
    for status in [401, 403] {
        assert!(matches!(
            rejected(status),
            (true, Some(Err(Error::Unauthenticated { .. })))
        ));
    }
    for status in [404, 503] {
        assert!(matches!(rejected(status), (false, None)));
    }
    let mut session = subscribed(true);
    let error = event(event::Type::Error, |event| {
        event.error = Some(event::Error {
            message: "odd".into(),
        });
    });
    let told = told(&session.step(at(0), error));
    assert_eq!(told, [event::Type::Error, event::Type::Shutdown]);
    let result = end(&mut session.step(at(0), Input::ShutDown));
    assert!(matches!(result, Some(Err(Error::Agent { .. }))));
}

#[test]
fn heartbeats_are_sent_and_awaited_once_the_agent_sends_any() {
    let half_hour = 30 * 60;
    let mut session = subscribed(true);
    assert_eq!(session.wake_at(), Some(at(half_hour)));
    for n in 1..=10 {
        let outputs = session.step(at(n * half_hour), Input::Tick);
        assert!(matches!(outputs[..], [Output::Heartbeat]), "{outputs:?}");
    }
    let now = at(10 * half_hour);
    session.step(now, event(event::Type::Heartbeat, |_| {}));
    let dead_at = now + 5 * at(half_hour);
    let outputs = session.step(dead_at, Input::Tick);
    assert!(matches!(outputs[0], Output::Disconnected(_)), "{outputs:?}");
}

/// What may happen between an executor and its agent.
#[derive(Debug, Clone)]
enum Step {
    Update(u8),
    /// The oldest update under way arrives; its answer may be lost.
    Arrive {
        is_answered: bool,
    },
    /// The oldest update under way is lost.
    Lose,
    Acknowledge,
    Disconnect,
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_u8).prop_map(Step::Update),
        4 => any::<bool>().prop_map(|is_answered| Step::Arrive { is_answered }),
        1 => Just(Step::Lose),
        3 => Just(Step::Acknowledge),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 0..80)
}

/// An agent that remembers what it was told, and the way to it.
#[derive(Default)]
struct Agent {
    received: BTreeMap<String, Vec<u64>>,
    to_acknowledge: VecDeque<(String, u64)>,
    under_way: VecDeque<(u64, v1::TaskStatus)>,
    is_connecting: bool,
}

impl Agent {
    fn receive(&mut self, status: &v1::TaskStatus) {
        let task = status.task_id.value.clone();
        let uuid = uuid_of(status);
        let known = self.received.entry(task.clone()).or_default();
        if !known.contains(&uuid) {
            known.push(uuid);
        }
        // Acknowledged as often as it comes.
        self.to_acknowledge.push_back((task, uuid));
    }

    fn see(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { number, status } => self.under_way.push_back((number, *status)),
                Output::Connect(subscribe) => {
                    self.is_connecting = true;
                    for update in subscribe.unacknowledged_updates {
                        self.receive(&update.status);
                    }
                }
                Output::Disconnected(_) | Output::Close => self.under_way.clear(),
                Output::End(result) => panic!("{result:?}"),
                _ => {}
            }
        }
    }

    fn step(&mut self, session: &mut Session, now: Now, step: &Step, next: &mut u64) {
        let input = match step {
            Step::Update(task) => {
                *next += 1;
                update(&task.to_string(), *next)
            }
            Step::Arrive { is_answered } => {
                let Some((number, status)) = self.under_way.pop_front() else {
                    return;
                };
                self.receive(&status);
                if *is_answered {
                    Input::Sent { number }
                } else {
                    Input::NotSent { number }
                }
            }
            Step::Lose => match self.under_way.pop_front() {
                Some((number, _)) => Input::NotSent { number },
                None => return,
            },
            Step::Acknowledge if !self.is_connecting => match self.to_acknowledge.pop_front() {
                Some((task, uuid)) => acknowledged(&task, uuid),
                None => return,
            },
            Step::Acknowledge => return,
            Step::Disconnect => {
                self.to_acknowledge.clear();
                self.is_connecting = false;
                ended()
            }
            Step::Reconnect if self.is_connecting => {
                self.is_connecting = false;
                Input::Subscribed
            }
            Step::Reconnect => Input::Tick,
        };
        let outputs = session.step(now, input);
        self.see(outputs);
    }
}

proptest! {
    #[test]
    fn no_update_is_lost_and_each_task_is_told_in_order(script in steps()) {
        let mut session = session(true);
        let mut agent = Agent { is_connecting: true, ..Agent::default() };
        let (mut now, mut made) = (at(0), 0);
        for step in &script {
            now += Duration::from_millis(700);
            agent.step(&mut session, now, step, &mut made);
        }
        // The faults stop.
        for _ in 0..script.len() * 4 + 20 {
            now += Duration::from_secs(3);
            for step in [Step::Reconnect, Step::Arrive { is_answered: true }, Step::Acknowledge] {
                agent.step(&mut session, now, &step, &mut made);
            }
        }
        prop_assert_eq!(session.unacknowledged_updates(), 0);
        let received: usize = agent.received.values().map(Vec::len).sum();
        prop_assert_eq!(received as u64, made);
        for updates in agent.received.values() {
            prop_assert!(updates.is_sorted(), "{:?}", updates);
        }
    }
}
