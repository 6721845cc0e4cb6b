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
mod faults;
mod player;
mod review;
mod scene;
mod stalls;

use mesos_tests::scenes::{self, Difference};
use tokio::sync::RwLock;

use crate::scene::Scene;

/// Scenes of the allocator are about when what is offered, and are not played
/// while others are.
static STAGE: RwLock<()> = RwLock::const_new(());

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

/// How often a scene is played on a machine that is too slow for it.
const TRIES: usize = 3;

async fn play_one(name: &'static str, differences: &'static [Difference]) -> Vec<String> {
    let scene = Scene::read(name);
    let mut complaints = Vec::new();
    for _ in 0..TRIES {
        let played = match player::play(&scene, differences).await {
            Ok(played) => played,
            Err(why) => return vec![format!("{name}: {why}")],
        };
        complaints = review::review(&scene, &played, differences);
        if !complaints.is_empty() && played.is_another {
            println!("{name}: the machine was too slow for it");
        }
        if complaints.is_empty() || !played.is_another {
            break;
        }
    }
    complaints
}

#[tokio::test]
async fn allocation() {
    let _alone = STAGE.write().await;
    play(scenes::ALLOCATION).await;
}

#[tokio::test]
async fn checks() {
    let _together = STAGE.read().await;
    play(scenes::CHECKS).await;
}

#[tokio::test]
async fn faults() {
    let _together = STAGE.read().await;
    play(scenes::FAULTS).await;
}
