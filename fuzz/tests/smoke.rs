//! Each target for a moment, the same moment every time.

use mesos_fuzz::corpus::{self, Corpus};
use mesos_fuzz::run::{Until, run};
use mesos_fuzz::targets::find;

fn smoke(name: &str, inputs: u64) {
    let corpus = Corpus::read(&corpus::directory()).expect("recorded dialogues");
    let (mut target, recorded) = find(name, &corpus).expect("a target");
    assert!(recorded.len() > 10, "{name} begins with {}", recorded.len());
    let report = run(target.as_mut(), &recorded, 7, Until::Inputs(inputs));
    println!("{report}");
    assert!(report.finding.is_none(), "{:?}", report.finding);
    assert_eq!(report.inputs, inputs);
    // It got further than its own front door.
    assert!(report.outcomes > 10, "{report}");
}

#[test]
fn records_are_read_the_same_however_they_are_cut() {
    smoke("recordio", 5000);
}

#[test]
fn protobuf_is_read_as_it_was_written() {
    smoke("protobuf", 2000);
}

#[test]
fn json_is_read_as_it_was_written() {
    smoke("json", 2000);
}

#[test]
fn the_master_goes_on_whatever_it_is_told() {
    smoke("models", 2000);
}

#[test]
fn the_cluster_answers_whatever_came_before() {
    smoke("http", 300);
}

#[test]
fn no_path_leads_out_of_a_sandbox() {
    smoke("paths", 200);
}
