//! The recorded scenes, played again: several frameworks, agents and masters
//! that fail, quotas, checks. What was sent is sent again at its time, once
//! everything that had been heard before it is heard, and at the end each
//! stream must have told the same stories.
//!
//! Scenes are about a cluster of their own, with flags and faults, so they are
//! not played with the master that `MESOS_MASTER` names.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

mod cast;
mod player;
mod review;
mod scene;

use mesos_tests::scenes::{self, Difference};

use crate::scene::Scene;

/// Plays scenes, all at the same time, each with a cluster of its own; those
/// whose names contain `SCENE`, when that is set.
async fn play(scenes: &[(&'static str, &'static [Difference])]) {
    if std::env::var_os("MESOS_MASTER").is_some() {
        println!("skipped: scenes are played with clusters of their own");
        return;
    }
    let only = std::env::var("SCENE").unwrap_or_default();
    let plays: Vec<_> = scenes
        .iter()
        .filter(|(name, _)| name.contains(&only))
        .map(|(name, differences)| (name, tokio::spawn(play_one(name, differences))))
        .collect();
    let mut complaints = Vec::new();
    for (name, played) in plays {
        match played.await {
            Ok(more) => complaints.extend(more),
            Err(panicked) => complaints.push(format!("{name}: {panicked}")),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

async fn play_one(name: &'static str, differences: &'static [Difference]) -> Vec<String> {
    let scene = Scene::read(name);
    match player::play(&scene, differences).await {
        Ok(streams) => review::review(&scene, &streams, differences),
        Err(why) => vec![format!("{name}: {why}")],
    }
}

#[tokio::test]
async fn allocation() {
    play(scenes::ALLOCATION).await;
}

#[tokio::test]
async fn checks() {
    play(scenes::CHECKS).await;
}

#[tokio::test]
async fn faults() {
    play(scenes::FAULTS).await;
}
