//! Marathon in a world where everything breaks: agents are lost, networks cut,
//! masters and Marathon itself fail over in the middle of deployments, tasks
//! fail and fall ill, and people ask for one thing after another. A judge who
//! sees only the cluster and the answers says whether Marathon keeps what it
//! promises; bugs that are planted show that he would notice.
//!
//! `MESOS_SIMULATION_SEEDS=1000 cargo test --release -p marathon --test
//! simulation -- --nocapture whatever` runs a thousand seeds.

mod bug;
mod client;
mod indexes;
mod judge;
mod outside;
mod process;
mod view;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use marathon::state::Settings;
use mesos_local::agent::ExitStatus;
use mesos_local::simulation::{Dice, Fault, Process as Started, Script, Simulation, Violation};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_tests::saved::{Disk, Saved};

use bug::Bug;
use outside::{Ends, Outside, Scene, Shared, Watch};
use process::Process;

const RESOURCES: &str = "cpus:4;mem:4096;disk:10240;ports:[31000-31099]";

/// Marathon in its world, with what ends of its processes are counted in.
fn marathon(bug: Option<Bug>, scene: Scene) -> (Simulation<Process>, Rc<Cell<Ends>>) {
    let shared: Shared = Rc::new(RefCell::new(Outside::new(
        Dice::new(0),
        Scene::default(),
        Rc::default(),
    )));
    let ends: Rc<Cell<Ends>> = Rc::default();
    let settings = Settings::default();
    let disk = Rc::new(RefCell::new(Disk::default()));
    let (outside, read) = (Rc::clone(&shared), Rc::clone(&disk));
    let start = move |saved: &[Saved]| {
        let entities = read.borrow_mut().read(saved);
        Process::start(&outside, bug, &settings, entities)
    };
    let (outside, counted) = (Rc::clone(&shared), Rc::clone(&ends));
    let begin = move |dice: &mut Dice| {
        let dice = Dice::new(dice.draw());
        *outside.borrow_mut() = Outside::new(dice, scene, Rc::clone(&counted));
        let watch: Box<dyn mesos_local::simulation::Judge> = Box::new(Watch(Rc::clone(&outside)));
        watch
    };
    let outside = Rc::clone(&shared);
    let torn = move |saved: &[Saved], change: &Saved, dice: &mut Dice| {
        let before = disk.borrow_mut().read(saved);
        outside
            .borrow_mut()
            .is_there_after_power_loss(&before, change.batch(), dice)
    };
    let info = FrameworkInfo::service("marathon").role("*").build();
    let mut simulation = Simulation::new(info, start)
        .agents(0, RESOURCES)
        .judge(begin)
        .torn_saves(torn)
        .offer_timeout(Duration::from_secs(180))
        .fault_interval(Duration::from_secs(75))
        .duration(Duration::from_secs(3600))
        .script(move |process, dice| script(&shared, process, dice));
    for index in 0..4 {
        simulation = simulation.agent(RESOURCES, &format!("rack:r{}", index % 2));
    }
    (simulation, ends)
}

/// What becomes of the process of a task.
fn script(shared: &Shared, process: &Started<'_>, dice: &mut Dice) -> Script {
    let is_healed = shared.borrow().is_healed;
    let starts_in = match dice.permille(10) && !is_healed {
        true => Duration::from_secs(400),
        false => dice.around(Duration::from_secs(2)),
    };
    let ends = match process.command {
        "crash" => Some((dice.around(Duration::from_secs(2)), ExitStatus::Exited(1))),
        _ if is_healed || !dice.permille(200) => None,
        _ => {
            let status = ExitStatus::Exited(i32::from(dice.permille(700)));
            Some((dice.around(Duration::from_secs(400)), status))
        }
    };
    Script {
        starts_in,
        ends,
        terminates_in: (!dice.permille(50)).then(|| dice.around(Duration::from_secs(1))),
    }
}

#[test]
fn keeps_what_it_promises_whatever_happens() {
    let (simulation, ends) = marathon(None, Scene::default());
    let totals = simulation.check();
    let ends = ends.get();
    println!("{ends:?}");
    assert!(totals.launches > totals.seeds * 5, "{totals}");
    assert!(ends.accepted > totals.seeds * 5 && ends.succeeded > totals.seeds);
}

/// The same where deployments have deadlines and go back by themselves, and where
/// others are started before the unhealthy are killed.
#[test]
fn keeps_its_deadlines_and_starts_before_it_kills() {
    const SEEDS: u64 = 8;
    let scene = Scene {
        is_patient: true,
        ..Scene::default()
    };
    let (simulation, ends) = marathon(None, scene);
    let seeds = std::env::var("MESOS_SIMULATION_SEEDS");
    let seeds = seeds.ok().and_then(|text| text.parse().ok());
    if let Err(failure) = simulation.run_seeds(0..seeds.unwrap_or(SEEDS)) {
        panic!("{failure}\n{}", failure.trace.join("\n"));
    }
    let ends = ends.get();
    println!("{ends:?}");
    assert!(ends.undone > 0 && ends.kept > 0, "{ends:?}");
}

/// Gives back what the judge says, and the seed.
fn find(bug: Bug) -> Violation {
    const SEEDS: u64 = 100;
    let failure = marathon(Some(bug), Scene::default()).0.run_seeds(0..SEEDS);
    let failure = failure.expect_err("a seed that finds it");
    assert!(!failure.trace.is_empty());
    println!("{bug:?}: {failure}");
    failure.violation
}

fn judged(bug: Bug) -> String {
    match find(bug) {
        Violation::Judged { what } => what,
        other => panic!("{bug:?}: {other}"),
    }
}

#[test]
fn an_upgrade_below_its_minimum_is_found() {
    let what = judged(Bug::IgnoresTheMinimum);
    assert!(what.contains("are the least"), "{what}");
}

#[test]
fn an_upgrade_above_its_maximum_is_found() {
    let what = judged(Bug::IgnoresTheMaximum);
    assert!(what.contains("are the most"), "{what}");
}

#[test]
fn constraints_that_are_ignored_are_found() {
    let what = judged(Bug::IgnoresConstraints);
    assert!(what.contains("does not hold"), "{what}");
}

#[test]
fn an_answer_before_the_save_is_found() {
    let what = judged(Bug::AnswersBeforeSaving);
    assert!(what.contains("a failover changes what there is"), "{what}");
}

#[test]
fn deployments_that_are_forgotten_are_found() {
    let what = judged(Bug::ForgetsDeployments);
    assert!(what.contains("a failover changes what there is"), "{what}");
}

#[test]
fn apps_that_are_forgotten_are_found() {
    let what = judged(Bug::ForgetsVersions);
    assert!(what.contains("a failover changes what there is"), "{what}");
}

#[test]
fn a_framework_id_that_is_forgotten_is_found() {
    let what = judged(Bug::ForgetsItsName);
    assert!(what.contains("a failover changes what there is"), "{what}");
}

#[test]
fn launches_that_are_forgotten_are_found() {
    let found = find(Bug::ForgetsLaunches);
    let is_it = matches!(
        found,
        Violation::Forgotten { .. } | Violation::AcknowledgedBeforeSave { .. }
    );
    assert!(is_it, "{found}");
}

#[test]
fn what_is_never_killed_is_found() {
    let found = find(Bug::NeverKills);
    let is_it = matches!(found, Violation::Unmet { .. } | Violation::Forgotten { .. });
    assert!(is_it, "{found}");
}

/// Processes end again and again, and in the midst of writing to the disk; what
/// the next one finds is what was saved, on a disk that keeps what it likes of
/// what was not synced.
#[test]
fn whenever_it_is_killed_nothing_is_lost() {
    const KILLS: u64 = 100;
    let scene = Scene {
        has_disk: true,
        ..Scene::default()
    };
    let (simulation, ends) = marathon(None, scene);
    let simulation = simulation
        .faults([Fault::FrameworkCrash])
        .fault_interval(Duration::from_secs(45))
        .duration(Duration::from_secs(1200));
    let mut seed = 0;
    while ends.get().all < KILLS {
        if let Err(failure) = simulation.run(seed) {
            panic!("{failure}\n{}", failure.trace.join("\n"));
        }
        seed += 1;
    }
    let ends = ends.get();
    println!("{seed} seeds: {ends:?}");
    assert!(
        ends.torn > 5 && ends.whole > 5 && ends.deploying > 20,
        "{ends:?}"
    );
}

#[test]
fn a_seed_is_the_same_every_time() {
    let (simulation, _) = marathon(None, Scene::default());
    let (first, second) = (simulation.trace(3), simulation.trace(3));
    assert!(first.len() > 100, "{} lines", first.len());
    assert_eq!(first, second);
    assert_ne!(first, simulation.trace(4));
}
