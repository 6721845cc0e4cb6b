//! Agents that run nothing, offered over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use mesos_local::{Cluster, Error};
use serde_json::json;

use crate::client::{Subscription, framework, operate};

async fn cluster(count: usize, task_time: Duration) -> Cluster {
    Cluster::builder()
        .agents(0)
        .simulated_agents(count, task_time)
        .start()
        .await
        .expect("a cluster")
}

#[tokio::test]
async fn tasks_run_their_time_and_finish_without_a_process() {
    let cluster = cluster(300, Duration::from_millis(30)).await;
    let mut scheduler = Subscription::open(cluster.master_address(), framework("many")).await;
    let mut hosts = BTreeSet::new();
    let mut first = None;
    while hosts.len() < 300 {
        let event = scheduler.until("OFFERS").await;
        for offer in event["offers"]["offers"].as_array().unwrap() {
            hosts.insert(offer["hostname"].as_str().unwrap().to_owned());
            first.get_or_insert_with(|| offer.clone());
        }
    }
    let offer = first.unwrap();
    // No such program is needed.
    scheduler.launch(&offer, "t", "/no/such/program").await;
    scheduler.state("t", "TASK_STARTING").await;
    scheduler.state("t", "TASK_RUNNING").await;
    let finished = scheduler.state("t", "TASK_FINISHED").await;
    assert_eq!(finished["message"], "Command exited with status 0");
    let files = std::fs::read_dir(cluster.work_dir()).unwrap();
    let is_of_an_agent = |name: &str| name.starts_with("simulated");
    let made = files.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        is_of_an_agent(&name.to_string_lossy())
    });
    assert_eq!(made.count(), 0);
}

#[tokio::test]
async fn a_task_can_be_killed_and_outlives_the_master() {
    let cluster = cluster(3, Duration::from_secs(3600)).await;
    let mut info = framework("stays");
    let mut scheduler = Subscription::open(cluster.master_address(), info.clone()).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "t", "stay").await;
    scheduler.state("t", "TASK_RUNNING").await;
    cluster.fail_over_master().await;
    scheduler.end().await;
    info["id"] = offer["framework_id"].clone();
    let mut scheduler = Subscription::open(cluster.master_address(), info).await;
    // Of an agent that is not back the master says nothing.
    while scheduler.offer().await["agent_id"] != offer["agent_id"] {}
    let task = json!({"task_id": {"value": "t"}, "agent_id": offer["agent_id"]});
    scheduler
        .call("RECONCILE", json!({"reconcile": {"tasks": [task]}}))
        .await;
    scheduler.state("t", "TASK_RUNNING").await;
    scheduler
        .call("KILL", json!({"kill": {"task_id": {"value": "t"}}}))
        .await;
    scheduler.state("t", "TASK_KILLED").await;
    let answer = operate(cluster.master_address(), &json!({"type": "GET_AGENTS"})).await;
    let agents = answer.json()["get_agents"]["agents"].clone();
    assert_eq!(agents.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn they_follow_no_elected_master() {
    let refused = Cluster::builder()
        .simulated_agents(1, Duration::ZERO)
        .configure(|config| {
            let group = "zk://127.0.0.1:1/mesos".parse().unwrap();
            let mesos_sdk::address::MasterAddress::ZooKeeper(group) = group else {
                unreachable!("it names a group");
            };
            config.zookeeper = Some(group);
        })
        .start()
        .await;
    assert!(matches!(refused, Err(Error::Simulated)), "{refused:?}");
}
