//! `kill -9` at any moment: what was answered is there afterwards, deployments
//! go on, and nothing runs twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::instance::{Instance, PATIENCE};
use crate::world::{Dice, World};

/// How often it is killed.
const KILLS: u64 = 10;

/// What was answered.
#[derive(Default)]
struct Answered {
    /// How many instances of an app are wanted: what was answered, and what was
    /// asked for last, which may have been done without an answer.
    instances: BTreeMap<String, (u64, u64)>,
    versions: BTreeSet<(String, String)>,
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_runs_twice() {
    let seed = std::env::var("KILLED_TEST_SEED").map_or(20_261_121, |it| it.parse().unwrap());
    println!("KILLED_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let world = World::new().await;
    let line = format!(
        "--master {} --data_dir {} --decline_offer_duration 1000 --launch_tokens 10000 \
         --max_running_deployments 10000",
        world.master(),
        world.directory()
    );
    let mut answered = Answered::default();
    let mut framework = None;
    for kill in 0..=KILLS {
        let mut marathon = Instance::start(&line);
        if (1..KILLS).contains(&kill) && dice.below(3) == 0 {
            // While it begins.
            tokio::time::sleep(Duration::from_micros(dice.below(200_000))).await;
            marathon.kill();
            continue;
        }
        let id = marathon
            .until("/v2/info", "registered", |it| it["frameworkId"].is_string())
            .await["frameworkId"]
            .clone();
        assert_eq!(
            *framework.get_or_insert(id.clone()),
            id,
            "after {kill} kills"
        );
        check(&marathon, &mut answered).await;
        if kill == KILLS {
            finish(&world, &marathon, &answered).await;
            return;
        }
        let moment = Duration::from_micros(dice.below(1_500_000));
        // Whatever it is doing at this moment, it is cut off.
        let _ =
            tokio::time::timeout(moment, work(&world, &marathon, &mut answered, &mut dice)).await;
        marathon.kill();
    }
}

/// Makes apps and scales them up, until it is over.
async fn work(world: &World, marathon: &Instance, answered: &mut Answered, dice: &mut Dice) {
    loop {
        let number = answered.instances.len() as u64;
        let is_new = number == 0 || dice.below(2) == 0;
        let (method, path, body, id, instances) = if is_new {
            let id = format!("/k/{number}");
            let instances = 1 + dice.below(2);
            let body = world.app(&id, instances);
            ("POST", "/v2/apps".to_owned(), body, id, instances)
        } else {
            let id = format!("/k/{}", dice.below(number));
            let instances = answered.instances[&id].1 + 1;
            let path = format!("/v2/apps{id}?force=true");
            ("PUT", path, json!({"instances": instances}), id, instances)
        };
        answered.instances.entry(id.clone()).or_default().1 = instances;
        let body = body.to_string();
        let answer = marathon.client.try_request(method, &path, Some(&body));
        let (status, answer) = answer.await.unwrap();
        assert!([200, 201].contains(&status), "{method} {path}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let version = answer["version"].as_str().unwrap().to_owned();
        answered.versions.insert((id.clone(), version));
        answered.instances.insert(id, (instances, instances));
        // So that launches get their share of the moments, too.
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
    }
}

/// What was answered is there, and what is not yet as it should be is on its way.
async fn check(marathon: &Instance, answered: &mut Answered) {
    let ids: Vec<String> = answered.instances.keys().cloned().collect();
    for id in ids {
        let (saved, asked) = answered.instances[&id];
        let (status, body) = marathon.client.get(&format!("/v2/apps{id}")).await;
        if status == 404 && saved == 0 {
            answered.instances.remove(&id);
            continue;
        }
        assert_eq!(status, 200, "{id} is lost: {body}");
        let app = &body["app"];
        let instances = app["instances"].as_u64().unwrap();
        assert!(
            instances == saved || instances == asked,
            "{id} has {instances} instances, and not {saved} or {asked}"
        );
        answered
            .instances
            .insert(id.clone(), (instances, instances));
        let is_on_its_way = app["deployments"] != json!([]);
        assert!(is_on_its_way || app["tasksRunning"] == instances, "{app:#}");
    }
    for (id, version) in &answered.versions {
        let path = format!("/v2/apps{id}/versions");
        let versions = marathon.client.get(&path).await.1;
        let versions = versions["versions"].as_array().unwrap();
        assert!(versions.contains(&json!(version)), "{id}: {version}");
    }
}

/// All comes to run, once.
async fn finish(world: &World, marathon: &Instance, answered: &Answered) {
    let is_done = |it: &Value| *it == json!([]);
    marathon.until("/v2/deployments", "done", is_done).await;
    let wanted: usize = answered.instances.values().map(|it| it.0 as usize).sum();
    println!("{} apps, {wanted} instances", answered.instances.len());
    assert!(wanted > 0);
    for (id, (instances, _)) in &answered.instances {
        let app = marathon.client.get(&format!("/v2/apps{id}")).await.1;
        assert_eq!(app["app"]["tasksRunning"], *instances, "{app:#}");
    }
    let start = Instant::now();
    loop {
        let frameworks = world.frameworks().await;
        assert_eq!(frameworks.len(), 1, "{frameworks:?}");
        let begun = world.begun();
        assert!(begun.values().all(|times| *times == 1), "{begun:?}");
        let running = *frameworks.values().next().unwrap();
        if running == wanted && begun.len() == wanted {
            return;
        }
        // The ledger may be written a moment after the status.
        assert!(start.elapsed() < PATIENCE, "{frameworks:?} {begun:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
