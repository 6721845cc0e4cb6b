//! The partition test in virtual time.
//!
//! `MESOS_SIMULATION_SEEDS=1000 cargo test --release -p chronos --test partition
//! -- --nocapture simulation` runs a thousand seeds.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chronos::state::Settings;
use mesos_local::simulation::{Dice, Fault, Script, Simulation, Violation};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_tests::saved::{Disk, Saved};

use crate::bug::Bug;
use crate::judge::Verdict;
use crate::outside::{Outside, STARTS_IN, Shared, Watch};
use crate::process::Process;

/// Leaders and agents are killed, and the network falls apart.
const FAULTS: [Fault; 9] = [
    Fault::Halves,
    Fault::FrameworkCrash,
    Fault::FrameworkPartition,
    Fault::StreamCut,
    Fault::MasterFailover,
    Fault::AgentCrash,
    Fault::MachineCrash,
    Fault::AgentPartition,
    Fault::LinkBreak,
];

fn chronos(bug: Option<Bug>) -> (Simulation<Process>, Rc<RefCell<Verdict>>) {
    let total: Rc<RefCell<Verdict>> = Rc::default();
    let outside = Outside::new(Dice::new(0), Rc::clone(&total));
    let shared: Shared = Rc::new(RefCell::new(outside));
    let disk = RefCell::new(Disk::default());
    let settings = Settings::default();
    let (outside, counted) = (Rc::clone(&shared), Rc::clone(&total));
    let begin = move |dice: &mut Dice| {
        let dice = Dice::new(dice.draw());
        *outside.borrow_mut() = Outside::new(dice, Rc::clone(&counted));
        let watch: Box<dyn mesos_local::simulation::Judge> = Box::new(Watch(Rc::clone(&outside)));
        watch
    };
    let start = move |saved: &[Saved]| {
        let entities = disk.borrow_mut().read(saved);
        Process::start(&shared, bug, &settings, entities)
    };
    let info = FrameworkInfo::service("chronos").role("*").build();
    let simulation = Simulation::new(info, start)
        .agents(5, "cpus:4;mem:4096;disk:10240")
        .judge(begin)
        .faults(FAULTS)
        .offer_timeout(Duration::from_secs(30))
        .duration(Duration::from_secs(600))
        .script(|process, _| {
            let seconds = process.command.parse().unwrap();
            Script {
                starts_in: STARTS_IN,
                ..Script::runs_for(Duration::from_secs(seconds), 0)
            }
        });
    (simulation, total)
}

#[test]
fn due_jobs_run_once_whatever_happens() {
    let (simulation, total) = chronos(None);
    let totals = if std::env::var_os("MESOS_SIMULATION_SEEDS").is_some()
        || std::env::var_os("MESOS_SIMULATION_SEED").is_some()
    {
        simulation.check()
    } else {
        let few = simulation.run_seeds(0..3);
        few.unwrap_or_else(|failure| panic!("{failure}"))
    };
    let total = total.borrow();
    println!("{total}");
    assert!(total.targets as u64 > totals.seeds * 50, "{total}");
    // Most of what is due while everything breaks runs all the same.
    let is_one = totals.seeds < 3;
    assert!(is_one || total.excused * 4 < total.targets, "{total}");
}

fn judged(bug: Bug) -> String {
    let failure = chronos(Some(bug)).0.run_seeds(0..50);
    match failure.expect_err("a seed that finds it").violation {
        Violation::Judged { what } => what,
        other => panic!("{bug:?}: {other}"),
    }
}

#[test]
fn occurrences_that_are_dealt_with_twice_are_found() {
    let what = judged(Bug::ForgetsWhatIsDealtWith);
    assert!(
        what.contains(" ran at ") || what.contains("overlap"),
        "{what}"
    );
}

#[test]
fn what_did_not_run_without_a_word_is_found() {
    let what = judged(Bug::ForgetsWhatItMissed);
    assert!(what.contains("does not say why"), "{what}");
}
