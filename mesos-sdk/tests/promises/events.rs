//! Every event reaches the method that is for it.

use mesos_sdk::v1::scheduler::{Event, event};

use crate::{
    framework::{Framework, OnUpdate, Seen, builder},
    master::{Master, failure, heartbeat, message, offers, rescind},
};

#[tokio::test]
async fn each_event_reaches_its_method_in_order() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;

    stream.send(message("hello")).await;
    stream.send(failure(None)).await;
    stream.send(failure(Some(9))).await;
    let seen = framework.sees().await;
    assert!(
        matches!(&seen, Seen::Message(data) if data == "hello"),
        "{seen:?}"
    );
    let seen = framework.sees().await;
    assert!(
        matches!(&seen, Seen::AgentLost(id) if id == "A-1"),
        "{seen:?}"
    );
    let seen = framework.sees().await;
    assert!(
        matches!(&seen, Seen::ExecutorLost(id, Some(9)) if id == "E-1"),
        "{seen:?}"
    );
    stream.send(heartbeat()).await;
    framework.sees_heartbeat().await;

    stream.send(offers(&["o-1"])).await;
    let _offers = framework.sees_offers().await;
    stream.send(rescind("o-1")).await;
    let seen = framework.sees().await;
    assert!(
        matches!(&seen, Seen::Rescinded(id) if id == "o-1"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_event_of_a_later_mesos_is_passed_over() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    for kind in [Some(event::Type::Unknown.into()), Some(999), None] {
        stream
            .send(Event {
                r#type: kind,
                ..Event::default()
            })
            .await;
    }
    stream.send(message("still here")).await;
    let seen = framework.sees().await;
    assert!(matches!(&seen, Seen::Message(_)), "{seen:?}");
}
