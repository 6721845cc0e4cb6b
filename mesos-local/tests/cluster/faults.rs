//! Clusters that break, and what frameworks see of it.

use std::time::Duration;

use mesos_local::Cluster;
use serde_json::json;

use crate::client::{Subscription, framework, get, soon};

#[tokio::test]
async fn a_killed_agent_loses_its_offers_and_comes_back_under_its_id() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("kill")).await;
    let offer = scheduler.offer().await;
    cluster.kill_agent(0).await;
    let rescind = scheduler.until("RESCIND").await;
    assert_eq!(rescind["rescind"]["offer_id"], offer["id"]);
    cluster.start_agent(0).await;
    let again = scheduler.offer().await;
    assert_eq!(again["agent_id"], offer["agent_id"]);
}

#[tokio::test]
async fn a_stopped_agent_takes_its_tasks_along() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("stop")).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "lost", "sleep 1000").await;
    scheduler.state("lost", "TASK_RUNNING").await;
    cluster.stop_agent(0).await;
    scheduler
        .until_it("the end of the task", |event| {
            let state = event["update"]["status"]["state"]
                .as_str()
                .unwrap_or_default();
            ["TASK_GONE", "TASK_LOST", "TASK_KILLED"].contains(&state)
        })
        .await;
}

#[tokio::test]
async fn a_partitioned_agent_is_unreachable_and_returns_with_its_tasks() {
    let cluster = Cluster::builder()
        .agent_pings(Duration::from_millis(50), 3)
        .start()
        .await
        .unwrap();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("part")).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "far", "sleep 1000").await;
    scheduler.state("far", "TASK_RUNNING").await;
    cluster.partition_agent(0).await;
    let status = scheduler.state("far", "TASK_UNREACHABLE").await;
    assert_eq!(status["reason"], "REASON_AGENT_REMOVED", "{status}");
    scheduler.until("FAILURE").await;
    cluster.heal_agent(0).await;
    scheduler.state("far", "TASK_RUNNING").await;
}

#[tokio::test]
async fn a_new_master_finds_agents_and_tasks_again() {
    let cluster = Cluster::builder().agents(2).start().await.unwrap();
    let address = cluster.master_address();
    let mut info = framework("survives");
    info["failover_timeout"] = json!(3600.0);
    let mut scheduler = Subscription::open(address, info.clone()).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "stays", "sleep 1000").await;
    scheduler.state("stays", "TASK_RUNNING").await;
    let before = get(address, "/state").await.json()["id"].clone();

    cluster.fail_over_master().await;
    scheduler.end().await;
    let after = get(address, "/state").await.json()["id"].clone();
    assert_ne!(before, after);

    info["id"] = json!({"value": scheduler.framework_id});
    let mut scheduler = Subscription::open(address, info).await;
    // Until the agent is back the master does not answer.
    let reconcile = json!({"reconcile": {"tasks": [
        {"task_id": {"value": "stays"}, "agent_id": offer["agent_id"]}
    ]}});
    soon("both agents' return", async {
        while get(address, "/slaves").await.json()["slaves"]
            .as_array()
            .unwrap()
            .len()
            < 2
        {}
    })
    .await;
    assert_eq!(scheduler.call("RECONCILE", reconcile).await.status, 202);
    let status = scheduler.state("stays", "TASK_RUNNING").await;
    assert_eq!(status["reason"], "REASON_RECONCILIATION");
    let kill = json!({"kill": {"task_id": {"value": "stays"}}});
    assert_eq!(scheduler.call("KILL", kill).await.status, 202);
    scheduler.state("stays", "TASK_KILLED").await;
}

#[tokio::test]
async fn agents_look_for_a_master_that_started_again_once_the_old_one_is_silent() {
    let cluster = Cluster::builder()
        .agent_pings(Duration::from_millis(100), 3)
        .start()
        .await
        .unwrap();
    let address = cluster.master_address();
    let mut scheduler = Subscription::open(address, framework("waits")).await;
    let offer = scheduler.offer().await;
    cluster.kill_master().await;
    scheduler.end().await;
    assert!(
        tokio::net::TcpStream::connect(address).await.is_ok(),
        "the address stays the master's"
    );
    cluster.start_master().await;
    let mut scheduler = Subscription::open(address, framework("new")).await;
    let again = scheduler.offer().await;
    assert_eq!(again["agent_id"], offer["agent_id"]);
}

#[tokio::test]
async fn an_agent_in_the_place_of_another_has_another_id() {
    let cluster = Cluster::builder().start().await.unwrap();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("moves")).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "left", "sleep 1000").await;
    scheduler.state("left", "TASK_RUNNING").await;
    cluster.replace_agent(0).await;
    scheduler
        .until_it("the end of the task", |event| {
            event["update"]["status"]["state"] == "TASK_LOST"
        })
        .await;
    // What was left of the old one may have been offered before.
    let mut other = scheduler.offer().await;
    while other["agent_id"] == offer["agent_id"] {
        other = scheduler.offer().await;
    }
    assert_eq!(other["hostname"], offer["hostname"]);
}

#[tokio::test]
async fn cut_connections_end_streams_and_nothing_else() {
    let cluster = Cluster::builder().start().await.unwrap();
    let address = cluster.master_address();
    let mut info = framework("cut");
    info["failover_timeout"] = json!(3600.0);
    let mut scheduler = Subscription::open(address, info.clone()).await;
    scheduler.offer().await;
    cluster.cut_connections().await;
    scheduler.end().await;
    info["id"] = json!({"value": scheduler.framework_id});
    let mut again = Subscription::open(address, info).await;
    again.offer().await;
}

#[tokio::test]
async fn delayed_and_dropped_updates_arrive_late_or_not_at_first() {
    let cluster = Cluster::builder()
        .configure(|config| config.update_retry = Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("slow")).await;
    let offer = scheduler.offer().await;
    let delay = Duration::from_millis(300);
    cluster.delay_updates(delay).await;
    let launched = std::time::Instant::now();
    scheduler.launch(&offer, "late", "true").await;
    scheduler.state("late", "TASK_STARTING").await;
    assert!(launched.elapsed() >= delay);
    scheduler.state("late", "TASK_FINISHED").await;

    cluster.delay_updates(Duration::ZERO).await;
    cluster.drop_updates(1).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "again", "true").await;
    // The first update is lost; its agent sends it again.
    scheduler.state("again", "TASK_FINISHED").await;
}
