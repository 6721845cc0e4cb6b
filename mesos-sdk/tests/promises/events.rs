//! Every event reaches the method that is for it.

use bytes::Bytes;
use mesos_sdk::{
    async_trait,
    scheduler::{BoxError, Handle, Scheduler},
    v1::{
        self,
        scheduler::{Event, event},
    },
};

use crate::{
    framework::{Framework, OnUpdate, Seen, builder},
    master::{Master, failure, heartbeat, message, offers, rescind, soon},
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
async fn a_scheduler_that_is_lent_is_there_after_the_run() {
    struct Counter(u32);

    #[async_trait]
    impl Scheduler for Counter {
        async fn message(
            &mut self,
            handle: &Handle,
            _: v1::AgentId,
            _: v1::ExecutorId,
            _: Bytes,
        ) -> Result<(), BoxError> {
            self.0 += 1;
            handle.stop();
            Ok(())
        }
    }

    let mut master = Master::start().await;
    let driver = builder(master.address()).build().unwrap();
    let mut counter = Counter(0);
    let script = async {
        let stream = master.subscribe("s-1").await;
        stream.send(message("hello")).await;
        stream
    };
    let (result, _stream) = tokio::join!(soon("the end", driver.run(&mut counter)), script);
    result.unwrap();
    assert_eq!(counter.0, 1);
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
