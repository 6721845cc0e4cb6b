//! One connector owns the subscription: who leads, when to come back, what ends
//! it; and calls belong to it.

use std::time::Duration;

use mesos_sdk::{
    Error,
    client::Encoding,
    credentials::Credentials,
    error::CallError,
    ids,
    v1::{TaskState, scheduler::call::Type},
};
use tokio::net::TcpListener;

use crate::{
    framework::{Framework, OnUpdate, builder},
    master::{Master, NEVER, error, heartbeat, soon, subscribed, update},
};

#[tokio::test]
async fn a_broken_stream_is_followed_by_a_subscription_with_the_same_id() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let first = master.subscribing().await;
    assert_eq!(first.call.framework_id, None);
    assert!(!first.headers.contains_key("Mesos-Stream-Id"));
    let stream = first.accept("s-1");
    stream.send(subscribed("F-1", 15.0)).await;
    framework.sees_subscribed().await;
    assert_eq!(
        framework.handle.framework_id(),
        Some(ids::framework_id("F-1"))
    );
    drop(stream);
    framework.sees_disconnected().await;

    let second = master.subscribing().await;
    assert_eq!(second.call.framework_id, Some(ids::framework_id("F-1")));
    let info = second
        .call
        .subscribe
        .as_ref()
        .unwrap()
        .framework_info
        .clone();
    assert_eq!(info.id, Some(ids::framework_id("F-1")));
    let stream = second.accept("s-2");
    stream.send(subscribed("F-1", 15.0)).await;
    framework.sees_subscribed().await;
    framework.handle.revive(vec![]).await.unwrap();
    assert_eq!(master.call().await.stream_id(), "s-2");
}

#[tokio::test]
async fn what_the_master_was_told_of_the_framework_is_said_again() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    stream.send(subscribed("F-1", 15.0)).await;
    framework.sees_subscribed().await;
    let mut info = mesos_sdk::v1::FrameworkInfo {
        name: "of two roles".to_owned(),
        ..mesos_sdk::v1::FrameworkInfo::default()
    };
    info.roles = vec!["one".to_owned(), "two".to_owned()];
    let updating = framework.handle.update_framework(info, vec![], None);
    updating.await.unwrap();
    drop(stream);
    framework.sees_disconnected().await;
    let call = master.subscribing().await.call;
    let info = call.subscribe.unwrap().framework_info;
    assert_eq!(info.roles, ["one", "two"]);
    assert_eq!(info.id, Some(ids::framework_id("F-1")));
}

#[tokio::test]
async fn a_framework_fails_over_with_the_id_it_had() {
    let mut master = Master::start().await;
    let builder = builder(master.address()).framework_id(Some(ids::framework_id("F-9")));
    let _framework = Framework::start(builder, OnUpdate::Succeed);
    let subscribing = master.subscribing().await;
    assert_eq!(
        subscribing.call.framework_id,
        Some(ids::framework_id("F-9"))
    );
}

#[tokio::test]
async fn a_silent_master_is_given_up_after_five_heartbeats() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribing().await.accept("s-1");
    stream.send(subscribed("F-1", 0.2)).await;
    framework.sees_subscribed().await;
    stream.send(heartbeat()).await;
    framework.sees_heartbeat().await;
    // Then nothing: the client closes the stream by itself and comes back.
    stream.closed().await;
    framework.sees_disconnected().await;
    master.subscribe("s-2").await;
    framework.sees_subscribed().await;
}

#[tokio::test]
async fn a_redirect_leads_to_the_leader() {
    let mut follower = Master::start().await;
    let mut leader = Master::start().await;
    let mut framework = Framework::start(builder(follower.address()), OnUpdate::Succeed);
    let location = format!("//{}/api/v1/scheduler", leader.authority());
    follower
        .subscribing()
        .await
        .refuse(307, &[("Location", &location)], "");
    let _stream = leader.subscribe("s-1").await;
    framework.sees_subscribed().await;
    framework.handle.revive(vec![]).await.unwrap();
    leader.expect(Type::Revive).await;
}

#[tokio::test]
async fn a_master_that_is_not_ready_is_asked_again() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    master.subscribing().await.refuse(404, &[], "");
    master
        .subscribing()
        .await
        .refuse(503, &[], "Master has not finished recovery");
    master.subscribing().await.hang_up();
    let _stream = master.subscribe("s-1").await;
    while !matches!(
        framework.sees().await,
        crate::framework::Seen::Subscribed(_)
    ) {}
}

#[tokio::test]
async fn of_a_list_the_one_that_answers_is_used() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let mut master = Master::start().await;
    let address = format!("127.0.0.1:{port},{}", master.authority());
    let mut framework = Framework::start(builder(address.parse().unwrap()), OnUpdate::Succeed);
    let _stream = master.subscribe("s-1").await;
    while !matches!(
        framework.sees().await,
        crate::framework::Seen::Subscribed(_)
    ) {}
}

#[tokio::test]
async fn a_removed_framework_ends_the_run() {
    let mut master = Master::start().await;
    let builder = builder(master.address()).framework_id(Some(ids::framework_id("F-9")));
    let framework = Framework::start(builder, OnUpdate::Succeed);
    let stream = master.subscribing().await.accept("s-1");
    stream.send(error("Framework has been removed")).await;
    let end = framework.ends().await.unwrap_err();
    assert!(
        matches!(&end, Error::Removed { framework_id, .. } if framework_id == "F-9"),
        "{end}"
    );
}

#[tokio::test]
async fn a_framework_that_another_took_over_ends_the_run() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream.send(error("Framework failed over")).await;
    let end = framework.ends().await.unwrap_err();
    assert!(
        matches!(&end, Error::FailedOver { framework_id } if framework_id == "F-1"),
        "{end}"
    );
}

#[tokio::test]
async fn a_refused_framework_ends_the_run_with_the_masters_words() {
    let mut master = Master::start().await;
    let framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribing().await.accept("s-1");
    stream
        .send(error("Changing framework's principal is not allowed."))
        .await;
    let end = framework.ends().await.unwrap_err();
    assert!(matches!(end, Error::Refused { .. }), "{end}");
    assert!(
        end.to_string().contains("principal is not allowed"),
        "{end}"
    );
}

#[tokio::test]
async fn refused_credentials_end_the_run() {
    let mut master = Master::start().await;
    let framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let realm = [("WWW-Authenticate", "Basic realm=\"mesos-master-scheduler\"")];
    master.subscribing().await.refuse(401, &realm, "");
    let end = framework.ends().await.unwrap_err();
    assert!(matches!(end, Error::Unauthenticated { .. }), "{end}");
}

#[tokio::test]
async fn a_master_that_cannot_be_reached_is_given_up_in_time() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    let builder = builder(address.parse().unwrap()).connect_timeout(Duration::from_secs(1));
    let mut framework = Framework::start(builder, OnUpdate::Succeed);
    assert!(framework.sees_disconnected().await.contains(&address));
    let end = framework.ends().await.unwrap_err();
    assert!(matches!(end, Error::NotReached { .. }), "{end}");
    assert!(end.to_string().contains(&address), "{end}");
}

#[tokio::test]
async fn the_address_local_says_how_to_start_a_cluster() {
    let Err(error) = builder("local".parse().unwrap()).build() else {
        panic!("the SDK starts no cluster");
    };
    assert!(
        error.to_string().contains("mesos_local::connect"),
        "{error}"
    );
}

#[tokio::test]
async fn a_call_without_a_subscription_is_not_sent() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let error = framework.handle.revive(vec![]).await.unwrap_err();
    assert!(matches!(error, CallError::NotSubscribed { .. }), "{error}");
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    drop(stream);
    framework.sees_disconnected().await;
    let error = framework.handle.revive(vec![]).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NotSubscribed { .. } | CallError::SessionLost { .. }
        ),
        "{error}"
    );
    assert_eq!(master.calls_so_far(), []);
}

#[tokio::test]
async fn a_call_that_the_master_takes_for_another_streams_is_a_lost_session() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let _stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    let texts = [
        (
            400,
            "The stream ID 's-1' included in this request didn't match the stream ID currently associated with framework ID F-1",
        ),
        (403, "Framework is not subscribed"),
    ];
    for (status, text) in texts {
        master.answer_next(Type::Revive, status, text);
        let error = framework.handle.revive(vec![]).await.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::SessionLost { .. } | CallError::NotSubscribed { .. }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_call_that_is_cut_off_with_its_subscription_says_that_it_is_not_known() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    master.answer_next(Type::Revive, NEVER, "");
    let handle = framework.handle.clone();
    let call = tokio::spawn(async move { handle.revive(vec![]).await });
    master.expect(Type::Revive).await;
    drop(stream);
    // Long before the call itself would be given up.
    let error = soon("the call's end", call).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }), "{error}");
    assert!(error.to_string().contains("subscription ended"), "{error}");
}

#[tokio::test]
async fn a_refused_call_has_the_masters_words() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let _stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    master.answer_next(Type::Kill, 400, "Failed to validate scheduler::Call");
    let kill = framework.handle.kill(ids::task_id("t"), None, None).await;
    let error = kill.unwrap_err();
    assert!(
        matches!(&error, CallError::Refused { status: 400, message, .. } if message.contains("validate")),
        "{error}"
    );
}

#[tokio::test]
async fn teardown_ends_the_run_well() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    framework.handle.teardown().await.unwrap();
    master.expect(Type::Teardown).await;
    drop(stream);
    framework.ends().await.unwrap();
}

#[tokio::test]
async fn a_driver_that_is_dropped_closes_the_stream_and_tears_nothing_down() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    framework.run.abort();
    stream.closed().await;
    assert_eq!(master.calls_so_far(), []);
}

#[tokio::test]
async fn credentials_go_with_every_request_and_are_never_shown() {
    let mut master = Master::start().await;
    let credentials = Credentials::basic("alice", "wonder").unwrap();
    let builder = builder(master.address()).credentials(credentials);
    assert!(!format!("{builder:?}").contains("d29u"));
    let mut framework = Framework::start(builder, OnUpdate::Succeed);
    let subscribing = master.subscribing().await;
    let expected = "Basic YWxpY2U6d29uZGVy";
    assert_eq!(subscribing.headers["Authorization"], expected);
    let stream = subscribing.accept("s-1");
    stream.send(subscribed("F-1", 15.0)).await;
    framework.sees_subscribed().await;
    framework.handle.revive(vec![]).await.unwrap();
    assert_eq!(master.call().await.headers["Authorization"], expected);
    assert!(!format!("{:?}", framework.handle).contains("d29u"));
}

#[tokio::test]
async fn json_is_spoken_when_it_is_asked_for() {
    let mut master = Master::start().await;
    let builder = builder(master.address()).encoding(Encoding::Json);
    let mut framework = Framework::start(builder, OnUpdate::Succeed);
    let subscribing = master.subscribing().await;
    assert_eq!(subscribing.headers["Content-Type"], "application/json");
    let stream = subscribing.accept("s-1");
    stream.send(subscribed("F-1", 15.0)).await;
    framework.sees_subscribed().await;
    stream
        .send(update("t-1", TaskState::TaskRunning, Some(1)))
        .await;
    framework.sees_update().await;
    let received = master.expect(Type::Acknowledge).await;
    assert_eq!(received.headers["Content-Type"], "application/json");
}

#[tokio::test]
async fn bytes_that_are_no_records_end_the_stream_not_the_run() {
    let mut master = Master::start().await;
    let mut framework = Framework::start(builder(master.address()), OnUpdate::Succeed);
    let stream = master.subscribe("s-1").await;
    framework.sees_subscribed().await;
    stream.send_raw("no length\n".into()).await;
    stream.closed().await;
    framework.sees_disconnected().await;
    let _stream = soon("coming back", master.subscribe("s-2")).await;
    framework.sees_subscribed().await;
}
