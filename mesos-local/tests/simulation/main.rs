//! A framework meets every fault in virtual time, and bugs that were planted in
//! it are found.
//!
//! `MESOS_SIMULATION_SEEDS=1000 cargo test --release -p mesos-local --test
//! simulation -- --nocapture keeps` runs a thousand seeds.

mod keeper;

use std::time::Duration;

use keeper::{Bug, Change, Keeper};
use mesos_local::agent::ExitStatus;
use mesos_local::simulation::{Fault, Process, Script, Simulation, Violation};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::reconciler::ReconcilerConfig;

/// How many seeds a planted bug may hide from.
const SEEDS: u64 = 200;
/// After which time, on average, a service breaks.
const SERVICE_LIFE: Duration = Duration::from_secs(600);

fn keeper(bug: Option<Bug>) -> Simulation<Keeper> {
    let info = FrameworkInfo::service("keeper").build();
    let reconciler = (bug != Some(Bug::ReconcileOnce)).then(ReconcilerConfig::default);
    Simulation::new(info, move |saved: &[Change]| Keeper::start(saved, bug))
        .agents(3, "cpus:4;mem:4096;ports:[31000-31001]")
        .agent("cpus:2;mem:1024;ports:[31000-31001]", "rack:r1")
        .offer_timeout(Duration::from_secs(120))
        .fault_interval(Duration::from_secs(60))
        .duration(Duration::from_secs(2400))
        .reconciler(reconciler)
        .script(|process: &Process<'_>, dice| match process.command {
            "serve" => Script {
                ends: Some((dice.around(SERVICE_LIFE), ExitStatus::Exited(1))),
                ..Script::drawn(dice)
            },
            _ => Script::drawn(dice),
        })
}

#[test]
fn keeps_what_it_promises_whatever_breaks() {
    let totals = keeper(None).check();
    assert!(totals.launches > totals.seeds * 5, "{totals}");
}

#[test]
fn without_faults_nothing_is_tried_twice() {
    let simulation =
        keeper(None)
            .faults([])
            .script(|process: &Process<'_>, _| match process.command {
                "serve" => Script::runs_for_ever(),
                _ => Script::runs_for(Duration::from_secs(5), 0),
            });
    let report = simulation.run(1).unwrap();
    assert_eq!(report.launches, keeper::JOBS + keeper::SERVICES);
}

#[test]
fn a_seed_is_the_same_every_time() {
    let simulation = keeper(None);
    let (first, second) = (simulation.trace(3), simulation.trace(3));
    assert!(first.len() > 100, "{} lines", first.len());
    assert_eq!(first, second);
    assert_ne!(first, simulation.trace(4));
}

/// Gives back the seed that finds it.
fn find(bug: Bug) -> (u64, Violation) {
    let failure = keeper(Some(bug)).run_seeds(0..SEEDS);
    let failure = failure.expect_err("a seed that finds it");
    assert!(!failure.trace.is_empty());
    println!("{bug:?}: {failure}");
    // And again.
    let again = keeper(Some(bug))
        .run(failure.seed)
        .expect_err("the same seed");
    assert_eq!(again, failure);
    (failure.seed, failure.violation)
}

#[test]
fn an_acknowledgement_before_the_save_is_found() {
    let (_, violation) = find(Bug::AcknowledgeFirst);
    let is_it = matches!(violation, Violation::AcknowledgedBeforeSave { .. });
    assert!(is_it, "{violation}");
}

#[test]
fn the_use_of_a_rescinded_offer_is_found() {
    let (_, violation) = find(Bug::UseRescinded);
    assert!(
        matches!(violation, Violation::VoidOfferUsed { .. }),
        "{violation}"
    );
}

#[test]
fn a_reconciliation_that_is_given_up_is_found() {
    let (_, violation) = find(Bug::ReconcileOnce);
    assert!(matches!(violation, Violation::Unmet { .. }), "{violation}");
}

#[test]
fn a_deadline_in_a_timer_is_found() {
    let (_, violation) = find(Bug::DeadlineInTimer);
    assert!(matches!(violation, Violation::Unmet { .. }), "{violation}");
}

/// A framework that saves nothing before it launches forgets its tasks.
#[test]
fn a_launch_without_a_record_is_found() {
    let (_, violation) = find(Bug::LaunchUnsaved);
    assert!(
        matches!(violation, Violation::Forgotten { .. }),
        "{violation}"
    );
}

/// Each fault alone, so that none goes without a seed.
#[test]
fn every_fault_alone_is_survived() {
    for fault in Fault::ALL {
        let simulation = keeper(None)
            .faults([fault])
            .fault_interval(Duration::from_secs(30))
            .duration(Duration::from_secs(1200));
        if let Err(failure) = simulation.run_seeds(0..2) {
            panic!("{fault:?}: {failure}\n{}", failure.trace.join("\n"));
        }
    }
}
