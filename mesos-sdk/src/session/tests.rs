use super::*;

fn at(seconds: u64) -> Now {
    Duration::from_secs(seconds)
}

fn session(config: SessionConfig) -> Session {
    Session::new(config, None, 1, at(0))
}

fn subscribed(session: &mut Session, now: Now) {
    let input = Input::Subscribed {
        framework_id: Some(crate::ids::framework_id("F")),
        heartbeat_interval: Some(Duration::from_secs(15)),
    };
    assert!(matches!(session.step(now, input), Some(Output::Subscribed)));
}

fn ended() -> Input {
    Input::Ended {
        reason: "eof".into(),
    }
}

#[test]
fn connects_at_once_and_again_after_a_wait() {
    let mut session = session(SessionConfig::default());
    assert!(matches!(
        session.step(at(0), Input::Start),
        Some(Output::Connect { to: None })
    ));
    let input = Input::NotOpened {
        reason: "refused".into(),
    };
    let Some(Output::Disconnected(disconnect)) = session.step(at(0), input) else {
        panic!("a failed try is told");
    };
    assert!(!disconnect.was_subscribed);
    let due = session.wake_at().unwrap();
    assert_eq!(due, disconnect.retry_in);
    assert!(session.step(due / 2, Input::Tick).is_none());
    assert!(matches!(
        session.step(due, Input::Tick),
        Some(Output::Connect { .. })
    ));
}

#[test]
fn waits_double_with_jitter_up_to_the_longest() {
    let config = SessionConfig::default();
    let mut session = session(config.clone());
    let mut waits = Vec::new();
    for _ in 0..15 {
        let Some(Output::Disconnected(d)) = session.step(at(0), ended()) else {
            panic!("a try follows");
        };
        waits.push(d.retry_in);
    }
    for (n, wait) in waits.iter().enumerate() {
        let most = (config.shortest_backoff * (1 << n.min(20))).min(config.longest_backoff);
        assert!(
            *wait >= most / 2 && *wait <= most,
            "{n}: {wait:?} of {most:?}"
        );
    }
}

#[test]
fn a_subscription_resets_the_waits() {
    let config = SessionConfig::default();
    let mut session = session(config.clone());
    for _ in 0..10 {
        session.step(at(0), ended());
    }
    subscribed(&mut session, at(1));
    let Some(Output::Disconnected(d)) = session.step(at(2), ended()) else {
        panic!("a try follows");
    };
    assert!(d.was_subscribed);
    assert!(d.retry_in <= config.shortest_backoff);
}

#[test]
fn five_missed_heartbeats_end_a_subscription() {
    let mut session = session(SessionConfig::default());
    subscribed(&mut session, at(0));
    assert_eq!(session.wake_at(), Some(at(75)));
    session.step(at(30), Input::Heard);
    assert!(session.step(at(75), Input::Tick).is_none());
    assert_eq!(session.wake_at(), Some(at(105)));
    assert!(matches!(
        session.step(at(105), Input::Tick),
        Some(Output::Disconnected(_))
    ));
}

#[test]
fn a_subscribe_without_an_answer_is_sent_again() {
    let mut session = session(SessionConfig::default());
    assert!(matches!(
        session.step(at(0), Input::Start),
        Some(Output::Connect { .. })
    ));
    assert_eq!(session.wake_at(), Some(at(60)));
    assert!(session.step(at(59), Input::Tick).is_none());
    let Some(Output::Disconnected(disconnect)) = session.step(at(60), Input::Tick) else {
        panic!("it is given up");
    };
    assert!(!disconnect.was_subscribed);
    let next = at(60) + disconnect.retry_in;
    assert!(matches!(
        session.step(next, Input::Tick),
        Some(Output::Connect { .. })
    ));
}

#[test]
fn a_master_that_does_not_say_how_often_its_heart_beats_is_watched_too() {
    let mut session = session(SessionConfig::default());
    let input = Input::Subscribed {
        framework_id: Some(crate::ids::framework_id("F")),
        heartbeat_interval: None,
    };
    session.step(at(0), input);
    assert_eq!(session.wake_at(), Some(at(75)));
}

#[test]
fn who_gives_up_says_what_went_wrong_last() {
    let mut session = session(SessionConfig {
        connect_timeout: Some(Duration::from_secs(1)),
        ..SessionConfig::default()
    });
    session.step(at(0), Input::Start);
    let reason = "cannot connect".to_owned();
    session.step(Duration::from_millis(990), Input::NotOpened { reason });
    let Some(Output::Fail(error)) = session.step(at(1), Input::Tick) else {
        panic!("time is up");
    };
    assert!(error.to_string().ends_with("cannot connect"), "{error}");
    assert_eq!(session.wake_at(), None);
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let mut session = session(SessionConfig::default());
    session.step(at(0), Input::Start);
    let to = HostAddress::http("b", 5050);
    for _ in 0..5 {
        let input = Input::Redirected { to: to.clone() };
        assert!(matches!(
            session.step(at(0), input),
            Some(Output::Connect { to: Some(_) })
        ));
    }
    assert!(matches!(
        session.step(at(0), Input::Redirected { to }),
        Some(Output::Disconnected(_))
    ));
}

#[test]
fn what_cannot_get_better_ends_the_session() {
    let fails = |input: Input, is_subscribed: bool| {
        let mut session = session(SessionConfig::default());
        if is_subscribed {
            subscribed(&mut session, at(0));
        }
        match session.step(at(0), input) {
            Some(Output::Fail(error)) => Some(error),
            _ => None,
        }
    };
    let error = |message: &str| Input::ErrorEvent {
        message: message.into(),
    };
    let rejected = |status| Input::Rejected {
        status,
        message: String::new(),
    };
    assert!(matches!(
        fails(error("Framework has been removed"), false),
        Some(Error::Removed { .. })
    ));
    assert!(matches!(
        fails(error("Framework failed over"), true),
        Some(Error::FailedOver { .. })
    ));
    assert!(matches!(
        fails(error("role"), false),
        Some(Error::Refused { .. })
    ));
    assert!(matches!(
        fails(rejected(401), false),
        Some(Error::Unauthenticated { .. })
    ));
    assert!(matches!(
        fails(rejected(400), false),
        Some(Error::Refused { .. })
    ));
    assert!(fails(rejected(503), false).is_none());
    assert!(fails(rejected(404), false).is_none());
    assert!(fails(error("anything else"), true).is_none());
}

#[test]
fn gives_up_when_its_time_is_over_also_after_a_subscription() {
    let mut session = session(SessionConfig {
        connect_timeout: Some(Duration::from_secs(10)),
        ..SessionConfig::default()
    });
    session.step(at(0), Input::Start);
    assert_eq!(session.wake_at(), Some(at(10)));
    subscribed(&mut session, at(5));
    session.step(at(100), ended());
    assert!(session.wake_at().unwrap() < at(110));
    session.step(at(101), Input::Tick);
    assert!(matches!(
        session.step(at(110), Input::Tick),
        Some(Output::Fail(Error::NotReached { .. }))
    ));
}

#[test]
fn a_new_leader_is_followed_at_once() {
    let mut session = session(SessionConfig::default());
    session.step(at(0), ended());
    assert!(matches!(
        session.step(at(0), Input::LeaderChanged),
        Some(Output::Connect { to: None })
    ));
}
