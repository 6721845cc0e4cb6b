//! Processes that are killed while they save: this test's own program, started
//! again as the one that saves.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use mesos_service::store::{Batch, EmbeddedStore};

/// Names the directory to whoever is to save.
const DIRECTORY: &str = "MESOS_SERVICE_TEST_SAVES_INTO";

/// Saves until it is killed, and says what is saved.
fn save_until_killed(directory: &Path) {
    let store = EmbeddedStore::open(directory, "test").unwrap();
    let first = store.read("last").unwrap().into_values().next();
    let first = first.map_or(0, |last| number(&last) + 1);
    for number in first.. {
        let mut batch = Batch::new();
        batch.put("last", number.to_string());
        batch.put(format!("number/{number:08}"), vec![7; 3000]);
        batch.delete(format!("number/{:08}", number.wrapping_sub(20)));
        store.write(&batch).unwrap();
        println!("saved {number}");
    }
}

fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

#[test]
fn what_was_saved_outlives_a_killed_process() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return save_until_killed(directory.as_ref());
    }
    let name = "killed::what_was_saved_outlives_a_killed_process";
    let directory = tempfile::tempdir().unwrap();
    let mut saved = None;
    for round in 0..10_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        let mut lines = lines.map_while(Result::ok);
        for line in &mut lines {
            if let Some((_, last)) = line.split_once("saved ") {
                saved = Some(last.parse::<u64>().unwrap());
                heard += 1;
            }
            // Sooner or later.
            if heard > round * 7 % 30 {
                break;
            }
        }
        child.kill().unwrap();
        // What it said until it was gone counts, too.
        for line in lines {
            if let Some((_, last)) = line.split_once("saved ") {
                saved = last.parse::<u64>().ok().or(saved);
            }
        }
        child.wait().unwrap();
        let store = EmbeddedStore::open(directory.path(), "test").unwrap();
        let entities = store.read("").unwrap();
        let last = number(&entities["last"]);
        let acknowledged = saved.unwrap();
        assert!(last == acknowledged || last == acknowledged + 1, "{last}");
        let numbers: Vec<&String> = entities
            .range("number/".to_owned()..)
            .map(|it| it.0)
            .collect();
        let expected = last.saturating_sub(19)..=last;
        let expected: Vec<String> = expected
            .map(|number| format!("number/{number:08}"))
            .collect();
        assert_eq!(numbers, expected.iter().collect::<Vec<_>>());
    }
}
