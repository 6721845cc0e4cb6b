//! What the module promises, for whatever comes.

use mesos_sdk::placement::{
    Candidate, Constraint, Demand, Place, Placer, Port, Running, Search, Source,
};
use mesos_sdk::v1;
use proptest::prelude::*;

use super::brute;
use super::checker::{Wanted, check};
use super::offers::{in_zone, offer, offer_in_role, reservation, with_attributes, with_reserved};

#[derive(Debug, Clone)]
struct Case {
    offers: Vec<v1::Offer>,
    demands: Vec<Demand>,
    wanted: Vec<Wanted>,
    running: Vec<Running>,
}

/// Halves of processors, some MiB, and ports from 31000 on.
fn resources(cpus: u32, mem: u32, ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("{port}-{port}")).collect();
    let ports = match ports.is_empty() {
        true => String::new(),
        false => format!(";ports:[{}]", ports.join(",")),
    };
    format!("cpus:{};mem:{}{ports}", f64::from(cpus) / 2.0, mem * 64)
}

/// Offers of an agent; what it has is in the first, or in two.
fn agent(n: usize) -> impl Strategy<Value = Vec<v1::Offer>> {
    let amounts = (0..5_u32, 1..4_u32, 0..4_u32, 0..3_u32);
    let places = (0..3_usize, 0..3_usize);
    let ports = proptest::collection::vec(0..3_u8, 4);
    (amounts, places, ports, any::<bool>()).prop_map(
        move |((cpus, mem, reserved_cpus, reserved_mem), (zone, rack), ports, is_split)| {
            let of = |kind: u8| {
                let of_kind = (31000..31004).zip(&ports).filter(|(_, k)| **k == kind);
                of_kind.map(|(port, _)| port).collect::<Vec<u16>>()
            };
            let place = |offer: v1::Offer| {
                let offer = match zone {
                    0 => offer,
                    zone => in_zone(offer, "r", &format!("z{zone}")),
                };
                match rack {
                    0 => offer,
                    rack => with_attributes(offer, &format!("rack:{rack}")),
                }
            };
            let unreserved = resources(cpus, mem, &of(1));
            let reserved = resources(reserved_cpus, reserved_mem, &of(2));
            let stack = [reservation("web", None)];
            if is_split {
                let empty = with_reserved(offer_in_role(n, "", "web"), &reserved, &stack);
                vec![place(offer_in_role(n, &unreserved, "web")), place(empty)]
            } else {
                let both = with_reserved(offer_in_role(n, &unreserved, "web"), &reserved, &stack);
                vec![place(both)]
            }
        },
    )
}

fn port() -> impl Strategy<Value = Port> {
    prop_oneof![
        3 => Just(Port::Any),
        2 => (31000..31004_u16).prop_map(Port::Fixed),
        2 => (31000..31003_u16).prop_map(|first| Port::Within(first, first + 1)),
    ]
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let field = prop_oneof![Just("hostname"), Just("@zone"), Just("rack")];
    let counting = (field, 0..8_u32).prop_map(|(field, kind)| match kind {
        0 | 1 => Constraint::unique(field),
        2 => Constraint::cluster(field),
        3 => Constraint::group_by(field, None),
        4 => Constraint::group_by(field, Some(2)),
        5 => Constraint::max_per(field, 1),
        6 => Constraint::max_per(field, 2),
        _ => Constraint::group_by(field, Some(3)),
    });
    let fixed = prop_oneof![
        Just(Constraint::like("hostname", "agent-[0-2]").expect("the test knows it")),
        Just(Constraint::unlike("@zone", "z1").expect("the test knows it")),
        Just(Constraint::is("rack", "1.0")),
        Just(Constraint::parse(&["@zone", "CLUSTER", "z2"]).expect("the test knows it")),
    ];
    prop_oneof![4 => counting, 1 => fixed]
}

fn demand(n: usize) -> impl Strategy<Value = (Demand, Wanted)> {
    let source = prop_oneof![
        4 => Just(Source::Any),
        1 => Just(Source::Reserved),
        1 => Just(Source::Unreserved),
    ];
    let amounts = (0..4_u32, 0..3_u32, 1..3_u32, any::<bool>());
    let ports = proptest::collection::vec(port(), 0..3);
    let constraints = proptest::collection::vec(constraint(), 0..3);
    (amounts, source, ports, constraints).prop_map(
        move |((cpus, mem, count, is_shared), source, ports, constraints)| {
            let wanted = Wanted {
                // Something is wanted in any case.
                cpus: f64::from(cpus + u32::from(mem == 0 && ports.is_empty())) / 2.0,
                mem: f64::from(mem * 64),
                ports: ports.clone(),
                source: source.clone(),
            };
            let mut demand = Demand::new(format!("d{n}"))
                .count(count)
                .cpus(wanted.cpus)
                .mem_mib(wanted.mem)
                .source(source)
                .constraints(constraints);
            for port in ports {
                demand = demand.port(port);
            }
            if is_shared {
                demand = demand.group("shared");
            }
            (demand, wanted)
        },
    )
}

fn running() -> impl Strategy<Value = Vec<Running>> {
    let group = prop_oneof![Just("shared"), Just("d0"), Just("nobody")];
    let instance = (group, 0..5_usize, 0..3_usize).prop_map(|(group, agent, rack)| {
        let mut place = Place::of(&offer(agent, ""));
        if rack > 0 {
            let attributes = with_attributes(offer(0, ""), &format!("rack:{rack}"));
            place.attributes = attributes.attributes;
        }
        Running::new(group, place)
    });
    proptest::collection::vec(instance, 0..3)
}

fn case(agents: usize, demands: usize) -> impl Strategy<Value = Case> {
    let offers: Vec<_> = (0..agents).map(agent).collect();
    let demands: Vec<_> = (0..demands).map(demand).collect();
    (offers, demands, running()).prop_map(|(offers, demands, running)| {
        let mut offers: Vec<v1::Offer> = offers.concat();
        // Offers of one agent need not stand side by side.
        offers.sort_by_key(|offer| offer.resources.len());
        let (demands, wanted) = demands.into_iter().unzip();
        Case {
            offers,
            demands,
            wanted,
            running,
        }
    })
}

fn small() -> impl Strategy<Value = Case> {
    (1..5_usize, 1..4_usize).prop_flat_map(|(agents, demands)| case(agents, demands))
}

/// Six instances at most, on six agents: what the documentation names.
fn half_a_dozen() -> impl Strategy<Value = Case> {
    (3..7_usize)
        .prop_flat_map(|demands| case(6, demands))
        .prop_map(|mut case| {
            let count = if case.demands.len() > 3 { 1 } else { 2 };
            case.demands = case.demands.into_iter().map(|d| d.count(count)).collect();
            case
        })
}

fn large() -> impl Strategy<Value = Case> {
    (5..20_usize, 4..20_usize).prop_flat_map(|(agents, demands)| case(agents, demands))
}

fn place(placer: &Placer, case: &Case) -> mesos_sdk::placement::Placement {
    placer.place(&case.offers, &case.demands, &case.running)
}

/// With a short search: these cases are too large to search through.
fn placers() -> [Placer; 3] {
    let free_memory = |_: &Demand, candidate: &Candidate<'_>| Some(candidate.free("mem").as_f64());
    let placers = [Placer::spread(), Placer::pack(), Placer::by(free_memory)];
    placers.map(|placer| placer.search_budget(5_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn places_as_much_as_trying_everything_would(case in small(), seed in any::<u64>()) {
        let best = brute::best(&case.offers, &case.demands, &case.wanted, &case.running);
        for placer in [Placer::spread(), Placer::pack()] {
            let placement = place(&placer.seed(seed), &case);
            check(&case.offers, &case.demands, &case.wanted, &case.running, &placement);
            let placed: Vec<u32> = case
                .demands
                .iter()
                .enumerate()
                .map(|(number, demand)| demand.instances() - placement.missing(number))
                .collect();
            prop_assert_eq!(&placed, &best);
            prop_assert_ne!(placement.search(), Search::GaveUp);
        }
    }

    #[test]
    fn half_a_dozen_is_always_searched_to_the_end(case in half_a_dozen()) {
        for placer in [Placer::spread(), Placer::pack()] {
            prop_assert_ne!(place(&placer, &case).search(), Search::GaveUp);
        }
    }

    #[test]
    fn breaks_no_rule_on_larger_cases(case in large(), seed in any::<u64>()) {
        for placer in placers() {
            let placement = place(&placer.seed(seed), &case);
            check(&case.offers, &case.demands, &case.wanted, &case.running, &placement);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_output(case in large(), seed in any::<u64>()) {
        for placer in placers() {
            let placer = placer.seed(seed);
            let once = format!("{:?}", place(&placer, &case).launches());
            let again = format!("{:?}", place(&placer, &case.clone()).launches());
            prop_assert_eq!(once, again);
        }
    }

    #[test]
    fn every_agent_that_does_not_take_more_is_explained(case in large()) {
        for placer in placers() {
            let placement = place(&placer, &case);
            let agents = case.offers.iter().map(|offer| &offer.agent_id.value);
            let agents: std::collections::BTreeSet<_> = agents.collect();
            for demand in placement.unplaced() {
                let refusals = placement.refusals(demand);
                prop_assert_eq!(refusals.len(), agents.len());
                let summary = placement.summary(demand);
                let declined: usize = summary.declined.values().sum();
                prop_assert_eq!(declined, summary.unused);
            }
        }
    }
}
