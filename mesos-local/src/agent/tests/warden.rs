//! A holder that gets kill -9 leaves no process and no temporary directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mesos_sdk::v1;

use super::processes::{PATIENCE, Place, is_alive};
use super::*;

/// Set for the process that is to be killed: this test, started once more.
const HOLDER: &str = "MESOS_LOCAL_TEST_HOLDER";

#[tokio::test]
async fn nothing_survives_a_holder_that_is_killed() {
    if std::env::var_os(HOLDER).is_some() {
        return hold().await;
    }
    // What the holder itself cannot remove any more goes with this.
    let directory = tempfile::tempdir().unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("agent::tests::warden::nothing_survives_a_holder_that_is_killed")
        .env(HOLDER, "1")
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let held = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.split_once("holding ")?.1.to_owned()))
        .unwrap();
    let (pids, work_dir) = held.split_once('|').unwrap();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| is_alive(pid)));
    // SIGKILL.
    holder.kill().unwrap();
    holder.wait().unwrap();
    let work_dir = PathBuf::from(work_dir);
    let start = Instant::now();
    while pids.iter().any(|pid| is_alive(pid)) || work_dir.exists() {
        assert!(start.elapsed() < PATIENCE, "{pids:?} or {work_dir:?} lives");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs a task that ignores SIGTERM and has a child in a session of its own,
/// and one that has thrown its environment away; then waits for its end.
async fn hold() {
    let mut place = Place::new().await;
    let stubborn = "trap '' TERM HUP; setsid sleep 1000 & echo $! $$; while :; do sleep 1; done";
    place.run(task("stubborn", stubborn));
    place.until(v1::TaskState::TaskRunning).await;
    place.run(task("bare", "echo $$; exec env -i sleep 1000"));
    place.until(v1::TaskState::TaskRunning).await;
    let stubborn = place.written("stubborn").await;
    let bare = place.written("bare").await;
    let bare = bare.trim();
    let environment = format!("/proc/{bare}/environ");
    while fs::read(&environment).is_ok_and(|environment| !environment.is_empty()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let work_dir = place.warden.work_dir().display();
    println!("holding {} {bare}|{work_dir}", stubborn.trim());
    std::future::pending::<()>().await;
}
