//! Several instances, of which one leads and may die at any time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mesos_service::run::{Ended, Place};
use mesos_service::zookeeper::ZooKeeperConfig;

use crate::notes::{Instance, ask, notes, start};
use crate::server::{Server, in_time};

/// Instances that come and go, each in a slot.
async fn instance(server: &Server) -> Instance {
    let mut config = ZooKeeperConfig::parse(&format!("zk://127.0.0.1:{}/notes", server.port));
    if let Ok(config) = &mut config {
        config.session_timeout = Duration::from_secs(2);
    }
    start(Place::ZooKeeper(config.unwrap())).await
}

async fn leader(port: u16) -> Option<u16> {
    let (status, head, _) = ask(port, "GET /notes").await?;
    let line = head
        .lines()
        .find(|line| line.starts_with("X-Notes-Leader: "))?;
    (status == 200).then(|| line.rsplit(':').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answered_request_is_lost_when_leaders_die() {
    let Some(server) = Server::start() else {
        return;
    };
    // The server is up.
    drop(server.client().await);
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(instance(&server).await);
    }
    let ports: Vec<u16> = instances.iter().map(|instance| instance.port).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let numbers = Arc::new(AtomicU64::new(0));
    // Clients that ask any instance and note what was answered.
    let clients: Vec<_> = (0..4_usize)
        .map(|client| {
            let (ports, is_over) = (ports.clone(), Arc::clone(&is_over));
            let numbers = Arc::clone(&numbers);
            tokio::spawn(async move {
                let mut answered = BTreeSet::new();
                let mut turn = client;
                while !is_over.load(Ordering::Relaxed) {
                    turn += 1;
                    let name = numbers.fetch_add(1, Ordering::Relaxed).to_string();
                    let port = ports[turn % ports.len()];
                    match ask(port, &format!("POST /notes/{name}")).await {
                        Some((201, ..)) => drop(answered.insert(name)),
                        _ => tokio::task::yield_now().await,
                    }
                }
                answered
            })
        })
        .collect();
    for round in 0..2 {
        let leading = in_time("a leader", async {
            loop {
                for instance in &instances {
                    if let Some(leader) = leader(instance.port).await {
                        return leader;
                    }
                }
            }
        })
        .await;
        // Followers answer for it.
        for instance in &instances {
            let same = async { while leader(instance.port).await != Some(leading) {} };
            in_time("the same leader", same).await;
        }
        let known = numbers.load(Ordering::Relaxed);
        let more = async {
            while numbers.load(Ordering::Relaxed) < known + 50 {
                tokio::task::yield_now().await;
            }
        };
        in_time("more requests", more).await;
        let is_leading = |instance: &Instance| instance.port == leading;
        let place = instances.iter().position(is_leading).unwrap();
        let old = instances.remove(place);
        if round == 0 {
            // It dies.
            old.running.abort();
            assert!(old.running.await.unwrap_err().is_cancelled());
        } else {
            // It leaves.
            old.stop.stop();
            let ended = in_time("an end", old.running).await.unwrap();
            assert_eq!(ended.unwrap(), Ended::Stopped);
        }
    }
    let last = &instances[0];
    let alone = async { while leader(last.port).await != Some(last.port) {} };
    in_time("the last leader", alone).await;
    is_over.store(true, Ordering::Relaxed);
    let mut answered = BTreeSet::new();
    for client in clients {
        answered.extend(in_time("a client", client).await.unwrap());
    }
    assert!(answered.len() > 50, "{}", answered.len());
    let there = notes(last.port).await.unwrap();
    let lost: Vec<_> = answered.difference(&there).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_zookeeper_an_instance_ends() {
    let Some(server) = Server::start() else {
        return;
    };
    drop(server.client().await);
    let leading = instance(&server).await;
    let first = async { while leader(leading.port).await.is_none() {} };
    in_time("a leader", first).await;
    drop(server);
    let ended = in_time("an end", leading.running).await.unwrap();
    assert_eq!(ended.unwrap(), Ended::LeadershipLost);
}
