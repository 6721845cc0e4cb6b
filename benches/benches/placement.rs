//! Placement at the size of a large cluster, in processor time, medians of five:
//!
//!     cargo bench -p mesos-benches --bench placement

use std::time::Duration;

use mesos_sdk::placement::{Constraint, Demand, Placement, Placer, Port};
use mesos_sdk::resources::Resources;
use mesos_sdk::{attributes, ids, v1};

const RUNS: usize = 5;
const OFFERS: usize = 10_000;
const DEMANDS: usize = 50_000;
/// Instances of one application: demands of one group.
const GROUP: usize = 50;

fn main() {
    let offers: Vec<v1::Offer> = (0..OFFERS).map(offer).collect();
    let free = demands(|_| Vec::new());
    let bound = demands(constraints);
    let count = bound.iter().filter(|d| !d.all_constraints().is_empty());
    let count = count.count();
    assert_eq!(count, DEMANDS / 5);
    for (name, placer) in [("spread", Placer::spread()), ("pack", Placer::pack())] {
        let (without, _) = measure(&placer, &offers, &free);
        let (with, placement) = measure(&placer, &offers, &bound);
        let rate = DEMANDS as f64 / with.as_secs_f64();
        let times = with.as_secs_f64() / without.as_secs_f64();
        println!(
            "placing {DEMANDS} demands on {OFFERS} offers, {name}: {without:.2?} without constraints, {with:.2?} ({rate:.0} a second) with constraints on {count}: {times:.2} times (at most 1.5), {} placed",
            placement.launches().len(),
        );
    }
    full_cluster(&offers);
    counted(&offers);
    searching();
}

/// Twelve demands for eleven agents that have room for one each, and are not
/// alike: sums say that it could be possible, so everything is tried.
fn searching() {
    let offers: Vec<v1::Offer> = (0..11)
        .map(|n| v1::Offer {
            resources: resources(&format!("cpus:{}", 1.4 + f64::from(n) / 1000.0)),
            ..offer(usize::try_from(n).expect("a small number"))
        })
        .collect();
    let demands: Vec<Demand> = (0..12)
        .map(|n| Demand::new(format!("d{n}")).cpus(1.0 + f64::from(n) / 1000.0))
        .collect();
    let place = || Placer::spread().place(&offers, &demands, &[]);
    let (time, placement) = average(place);
    println!(
        "a search that spends its whole budget: {time:.2?}, {} placed, {:?}",
        placement.launches().len(),
        placement.search(),
    );
}

fn resources(text: &str) -> Vec<v1::Resource> {
    let resources = Resources::parse(text, "*").expect("resources");
    resources.allocate("web").into_vec()
}

/// Every agent is full when three quarters are placed: what is not placed is
/// found out too.
fn full_cluster(offers: &[v1::Offer]) {
    let quarter = &offers[..OFFERS / 4];
    let demands = demands(constraints);
    let (time, placement) = measure(&Placer::spread(), quarter, &demands);
    let missing: u32 = placement
        .unplaced()
        .map(|demand| placement.missing(demand))
        .sum();
    println!(
        "the same on {} offers: {time:.2?}, {missing} left over, {:?}",
        quarter.len(),
        placement.search(),
    );
    let left_over = placement.unplaced().next().expect("it is full");
    let (time, summary) = average(|| placement.summary(left_over));
    println!("why one of them was left over: {time:.2?}, {summary}");
}

/// A thousand demands of fifty instances each.
fn counted(offers: &[v1::Offer]) {
    let all = demands(constraints);
    let groups = all.chunks(GROUP).map(|group| {
        let count = u32::try_from(group.len()).expect("a small number");
        group[0].clone().count(count)
    });
    let demands: Vec<Demand> = groups.collect();
    let (time, placement) = measure(&Placer::spread(), offers, &demands);
    println!(
        "{} demands of {GROUP} instances: {time:.2?}, {} placed",
        demands.len(),
        placement.launches().len(),
    );
}

fn measure(placer: &Placer, offers: &[v1::Offer], demands: &[Demand]) -> (Duration, Placement) {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..RUNS {
        last = None;
        let started = processor_time();
        let placement = placer.place(offers, demands, &[]);
        times.push(processor_time() - started);
        last.replace(placement);
    }
    times.sort_unstable();
    (times[RUNS / 2], last.expect("there were runs"))
}

/// Of something that is too short for the clock.
fn average<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    const TIMES: u32 = 50;
    let started = processor_time();
    for _ in 1..TIMES {
        std::hint::black_box(run());
    }
    let last = run();
    ((processor_time() - started) / TIMES, last)
}

/// What this thread has used of a processor: other programs do not matter.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// Agents of three sizes in 40 racks, 5 zones and 2 regions.
fn offer(n: usize) -> v1::Offer {
    let text = match n % 3 {
        0 => "cpus:8;mem:16384;disk:100000;ports:[31000-32000]",
        1 => "cpus:16;mem:32768;disk:100000;ports:[31000-32000]",
        _ => "cpus:32;mem:65536;disk:200000;ports:[31000-32000]",
    };
    let generation = n % 4;
    let labels = format!(
        "rack:rack-{};generation:{generation};level:{}",
        n % 40,
        n % 7
    );
    v1::Offer {
        id: ids::offer_id(format!("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-O{n}")),
        framework_id: ids::framework_id("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-0000"),
        agent_id: ids::agent_id(format!("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-S{n}")),
        hostname: format!("agent-{n}.example.org"),
        resources: resources(text),
        attributes: attributes::parse(&labels).expect("attributes"),
        domain: Some(v1::DomainInfo {
            fault_domain: Some(v1::domain_info::FaultDomain {
                region: v1::domain_info::fault_domain::RegionInfo {
                    name: format!("region-{}", n % 2),
                },
                zone: v1::domain_info::fault_domain::ZoneInfo {
                    name: format!("zone-{}", n % 5),
                },
            }),
        }),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("web".to_owned()),
        }),
        ..Default::default()
    }
}

/// Every instance is a demand of its own; those of an application share a group
/// and constraints, and no two applications ask for quite the same.
fn demands(constraints: impl Fn(usize) -> Vec<Constraint>) -> Vec<Demand> {
    (0..DEMANDS)
        .map(|n| {
            let group = n / GROUP;
            let cpus = 0.1 + (group % 23) as f64 / 10.0;
            let mem_mib = 64.0 + (group % 97) as f64 * 16.0;
            let demand = Demand::new(format!("app-{group}.instance-{n}"))
                .group(format!("app-{group}"))
                .role("web")
                .cpus(cpus)
                .mem_mib(mem_mib)
                .disk_mib(16.0)
                .constraints(constraints(group));
            if group.is_multiple_of(2) {
                demand.port(Port::Any)
            } else {
                demand
            }
        })
        .collect()
}

/// Constraints on every fifth application, each operator in its turn.
fn constraints(group: usize) -> Vec<Constraint> {
    if !group.is_multiple_of(5) {
        return Vec::new();
    }
    let parse = |parts: &[&str]| Constraint::parse(parts).expect("a constraint");
    match group / 5 % 8 {
        0 => vec![parse(&["hostname", "UNIQUE"])],
        1 => vec![parse(&["rack", "GROUP_BY", "40"])],
        2 => vec![parse(&["rack", "LIKE", "rack-[1-3][0-9]?"])],
        3 => vec![
            parse(&["@zone", "UNLIKE", "zone-[0-2]"]),
            parse(&["hostname", "UNIQUE"]),
        ],
        4 => vec![parse(&["hostname", "MAX_PER", "2"])],
        5 => vec![parse(&["@zone", "CLUSTER"])],
        6 => vec![
            parse(&["generation", "IS", "2"]),
            parse(&["rack", "MAX_PER", "10"]),
        ],
        _ => vec![
            parse(&["@region", "IS", "region-1"]),
            parse(&["@zone", "GROUP_BY"]),
        ],
    }
}
