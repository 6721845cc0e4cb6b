//! Tasks as processes, from the offer to the end of the cluster.

use std::path::{Path, PathBuf};

use mesos_local::{AgentSpec, Cluster, ClusterConfig, connect};
use serde_json::json;

use crate::client::{Subscription, framework, soon};

#[tokio::test]
async fn runs_a_command_from_the_offer_to_its_end() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("runs")).await;
    let offer = scheduler.offer().await;
    assert_eq!(offer["hostname"], "localhost");
    scheduler
        .launch(&offer, "hello", "echo hello; exit 0")
        .await;
    scheduler.state("hello", "TASK_STARTING").await;
    scheduler.state("hello", "TASK_RUNNING").await;
    let finished = scheduler.state("hello", "TASK_FINISHED").await;
    assert_eq!(finished["message"], "Command exited with status 0");
    let stdout = find(cluster.work_dir(), "stdout").expect("a sandbox");
    assert!(std::fs::read_to_string(stdout).unwrap().contains("hello\n"));
    // What it used is offered again.
    scheduler.offer().await;
}

/// The first file of a name below a directory, links not followed.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(directory).ok()? {
        let entry = entry.ok()?;
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            if let Some(found) = find(&entry.path(), name) {
                return Some(found);
            }
        } else if kind.is_file() && entry.file_name() == name {
            return Some(entry.path());
        }
    }
    None
}

#[tokio::test]
async fn agents_have_hosts_ports_and_attributes_of_their_own() {
    let cluster = Cluster::builder()
        .attributes("rack:r1")
        .agent(AgentSpec::new("cpus:1"))
        .agent(
            AgentSpec::new("cpus:2")
                .attributes("rack:r2")
                .hostname("localhost"),
        )
        .agent(AgentSpec::new("cpus:3"))
        .start()
        .await
        .unwrap();
    let addresses = cluster.agent_addresses();
    let mut scheduler = Subscription::open(cluster.master_address(), framework("several")).await;
    let mut hosts = Vec::new();
    while hosts.len() < 3 {
        let event = scheduler.until("OFFERS").await;
        for offer in event["offers"]["offers"].as_array().unwrap() {
            let port = offer["url"]["address"]["port"].as_u64().unwrap();
            let resources = offer["resources"].as_array().unwrap();
            let cpus = resources.iter().find(|resource| resource["name"] == "cpus");
            let cpus = cpus.unwrap()["scalar"]["value"].as_f64().unwrap();
            let index = cpus as usize - 1;
            assert_eq!(port, u64::from(addresses[index].port()));
            let rack = &offer["attributes"][0]["text"]["value"];
            assert_eq!(rack, if index == 1 { "r2" } else { "r1" });
            hosts.push((index, offer["hostname"].as_str().unwrap().to_owned()));
        }
    }
    hosts.sort();
    for (place, (index, host)) in cluster.agents().iter().zip(&hosts) {
        assert_eq!((place.index, &place.hostname), (*index, host));
    }
    let unique: std::collections::BTreeSet<_> = addresses.iter().collect();
    assert_eq!(unique.len(), 3);
}

#[tokio::test]
async fn nothing_is_left_when_a_cluster_is_stopped_or_dropped() {
    for stop in [true, false] {
        let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
        let address = cluster.master_address();
        let directory = cluster.work_dir().to_owned();
        let mut scheduler = Subscription::open(address, framework("left")).await;
        let offer = scheduler.offer().await;
        let mark = directory.join("mark");
        let command = format!("echo $$ > {}; sleep 1000 & exec sleep 1000", mark.display());
        scheduler.launch(&offer, "stays", &command).await;
        scheduler.state("stays", "TASK_RUNNING").await;
        let pid = soon("the task's pid", async {
            loop {
                match std::fs::read_to_string(&mark) {
                    Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                    _ => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        assert!(Path::new("/proc").join(&pid).exists());
        if stop {
            cluster.stop().await;
        } else {
            drop(cluster);
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(
            stat.is_empty() || stat.contains(" Z "),
            "still there: {stat}"
        );
        assert!(!directory.exists(), "{} is left", directory.display());
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn local_is_a_cluster_and_other_addresses_are_themselves() {
    let local = "local".parse().unwrap();
    let (address, cluster) = connect(&local, ClusterConfig::default()).await.unwrap();
    let cluster = cluster.expect("a cluster");
    assert_eq!(address.to_string(), format!("http://{}", cluster.address()));
    Subscription::open(cluster.master_address(), framework("local")).await;

    let other = "127.0.0.1:5050".parse().unwrap();
    let (address, cluster) = connect(&other, ClusterConfig::default()).await.unwrap();
    assert_eq!(address, other);
    assert!(cluster.is_none());
}

/// The best of a few starts, as other tests run beside this one.
#[tokio::test]
async fn starts_in_milliseconds_with_agents_that_offer() {
    let mut best = std::time::Duration::MAX;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let cluster = Cluster::builder().agents(3).start().await.unwrap();
        let mut scheduler = Subscription::open(cluster.master_address(), framework("first")).await;
        for _ in 0..3 {
            scheduler.offer().await;
        }
        best = best.min(start.elapsed());
    }
    println!("from nothing to three offers: {best:?}");
    assert!(best.as_millis() < 200, "{best:?}");
}

#[test]
fn can_be_dropped_outside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let cluster = runtime
        .block_on(Cluster::start(ClusterConfig::default()))
        .unwrap();
    drop(runtime);
    let directory = cluster.work_dir().to_owned();
    drop(cluster);
    assert!(!directory.exists());
}

#[tokio::test]
async fn takes_thousands_of_calls_on_many_connections() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let scheduler = Subscription::open(cluster.master_address(), framework("busy")).await;
    for _ in 0..40 {
        let calls = (0..50).map(|_| scheduler.call("SUPPRESS", json!({})));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_may_be_taken_back_runs_tasks_of_those_who_take_it() {
    let agent = AgentSpec::new("cpus:1;mem:1024").oversubscribed("cpus:2");
    let cluster = Cluster::builder().agent(agent).start().await.unwrap();
    let mut info = framework("thrifty");
    let capabilities = info["capabilities"].as_array_mut().unwrap();
    capabilities.push(json!({"type": "REVOCABLE_RESOURCES"}));
    let mut scheduler = Subscription::open(cluster.master_address(), info).await;
    let offer = scheduler.offer().await;
    let offered = offer["resources"].as_array().unwrap().iter();
    let mut revocable = offered.filter(|item| item["revocable"].is_object());
    let cpus = revocable.next().unwrap();
    assert_eq!(
        (&cpus["name"], &cpus["scalar"]["value"]),
        (&json!("cpus"), &json!(2.0))
    );
    let mut half = cpus.clone();
    half["scalar"]["value"] = json!(1.0);
    let mem = json!({"name": "mem", "type": "SCALAR", "scalar": {"value": 32.0}});
    let task = json!({
        "name": "t", "task_id": {"value": "t"}, "agent_id": offer["agent_id"],
        "resources": [half, mem], "command": {"value": "true", "shell": true},
    });
    let accept = json!({
        "offer_ids": [offer["id"]], "filters": {"refuse_seconds": 0.0},
        "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task]}}],
    });
    scheduler.call("ACCEPT", json!({"accept": accept})).await;
    scheduler.state("t", "TASK_FINISHED").await;
}
