//! One cycle of the allocator for 10,000 agents and 100 frameworks, best of five:
//!
//!     cargo bench -p mesos-benches --bench allocator

use std::time::{Duration, Instant};

use mesos_local::allocator::{Allocation, Allocator, FrameworkProfile};
use mesos_local::time::Timestamp;
use mesos_sdk::resources::Resources;
use mesos_sdk::v1;

const AGENTS: usize = 10_000;
const FRAMEWORKS: usize = 100;
const RUNS: usize = 5;
/// How many agents have something new between two cycles of a busy cluster.
const NEWS: usize = 100;
/// How many agents there are where every framework has refused every one: it
/// takes a while to come to that.
const REFUSED: usize = 1000;

fn main() {
    for (what, role) in [
        ("a role each", role_of_its_own as fn(usize) -> String),
        ("one role", one_role),
        ("ten teams of ten", role_of_a_team),
    ] {
        println!("{AGENTS} agents, {FRAMEWORKS} frameworks, {what}:");
        everything_is_free(role);
        little_is_free(role);
        everybody_declines(role);
    }
}

fn role_of_its_own(n: usize) -> String {
    format!("role-{n}")
}

fn one_role(_: usize) -> String {
    "*".to_owned()
}

fn role_of_a_team(n: usize) -> String {
    format!("team-{}/role-{n}", n % 10)
}

fn cluster(agents: usize, role: fn(usize) -> String) -> Allocator {
    let mut allocator = Allocator::new(Duration::from_secs(1));
    let resources = "cpus:16;mem:65536;disk:1048576;ports:[31000-32000]";
    let resources = Resources::parse(resources, "*").expect("resources");
    for n in 0..agents {
        let info = v1::AgentInfo {
            hostname: format!("agent-{n}.example.org"),
            ..Default::default()
        };
        allocator.set_agent(&format!("S{n}"), &info, resources.clone());
    }
    for n in 0..FRAMEWORKS {
        let profile = FrameworkProfile {
            roles: [role(n)].into(),
            takes_refined: true,
            ..Default::default()
        };
        allocator.set_framework(&format!("F{n:03}"), profile, true);
    }
    allocator
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

/// The best of some runs: other programs make it slower, none makes it faster.
fn best(what: &str, mut measure: impl FnMut() -> Duration) {
    let best = (0..RUNS).map(|_| measure()).min().unwrap_or_default();
    println!("  {what}: {best:.2?}");
}

/// The first cycle of a cluster: every agent is offered to somebody.
fn everything_is_free(role: fn(usize) -> String) {
    best("all agents are offered", || {
        let mut allocator = cluster(AGENTS, role);
        let begun = Instant::now();
        let given = allocator.allocate_with_seed(at(0), 1);
        let elapsed = begun.elapsed();
        assert_eq!(given.len(), AGENTS);
        elapsed
    });
}

/// A busy cluster: tasks have ended on some agents, the rest is in use.
fn little_is_free(role: fn(usize) -> String) {
    let mut allocator = cluster(AGENTS, role);
    let mut held = allocator.allocate_with_seed(at(0), 1);
    let mut second = 0;
    best(&format!("{NEWS} agents have something free"), || {
        second += 1;
        for given in held.split_off(held.len() - NEWS) {
            let Allocation {
                framework,
                agent,
                resources,
                ..
            } = given;
            allocator.recover(&framework, &agent, &resources);
        }
        let begun = Instant::now();
        let given = allocator.allocate_with_seed(at(second), second);
        let elapsed = begun.elapsed();
        assert_eq!(given.len(), NEWS);
        held.extend(given);
        elapsed
    });
}

/// Nobody wants anything: every framework has refused every agent, and one agent
/// has something new.
fn everybody_declines(role: fn(usize) -> String) {
    let mut allocator = cluster(REFUSED, role);
    let day = v1::Filters {
        refuse_seconds: Some(86_400.0),
    };
    let mut second = 0;
    loop {
        second += 1;
        let given = allocator.allocate_with_seed(at(second), second);
        if given.is_empty() {
            break;
        }
        for Allocation {
            framework,
            role,
            agent,
            resources,
        } in given
        {
            allocator.recover(&framework, &agent, &resources);
            let now = at(second);
            allocator.refuse(now, &framework, &role, &agent, &resources, Some(&day));
        }
    }
    best(&format!("everybody has refused {REFUSED} agents"), || {
        second += 1;
        allocator.recover("F000", "S0", &Resources::new());
        let begun = Instant::now();
        let given = allocator.allocate_with_seed(at(second), second);
        let elapsed = begun.elapsed();
        assert!(given.is_empty());
        elapsed
    });
}
