//! Checks a placement without knowing how it was made, and without hurry.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mesos_sdk::placement::{Constraint, Demand, Field, Operator, Place, Placement, Running};
use mesos_sdk::resources::{Resources, is_reserved};
use mesos_sdk::v1;

/// What a demand asks for, as the test knows it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) cpus: f64,
    pub(crate) mem: f64,
    pub(crate) ports: Vec<mesos_sdk::placement::Port>,
    pub(crate) source: mesos_sdk::placement::Source,
}

/// Panics when the placement breaks any rule.
pub(crate) fn check(
    offers: &[v1::Offer],
    demands: &[Demand],
    wanted: &[Wanted],
    running: &[Running],
    placement: &Placement,
) {
    nothing_is_overspent(offers, placement);
    let mut placed: Vec<Running> = running.to_vec();
    let mut instances = vec![0; demands.len()];
    for launch in placement.launches() {
        let demand = &demands[launch.demand];
        assert_eq!(launch.instance, instances[launch.demand], "{launch:?}");
        instances[launch.demand] += 1;
        gets_what_is_wanted(&wanted[launch.demand], launch);
        assert!(!launch.offers.is_empty(), "{launch:?}");
        for offer in &launch.offers {
            assert_eq!(offers[*offer].agent_id, launch.agent_id, "{launch:?}");
        }
        let place = Place::of(&offers[launch.offers[0]]);
        let members: Vec<&Place> = placed
            .iter()
            .filter(|instance| instance.group == demand.group_name())
            .map(|instance| &instance.place)
            .collect();
        for constraint in demand.all_constraints() {
            assert!(
                holds(constraint, &place, &members),
                "{constraint} at {place:?} beside {members:?}"
            );
        }
        placed.push(Running::new(demand.group_name(), place));
    }
    for (number, demand) in demands.iter().enumerate() {
        assert_eq!(
            instances[number] + placement.missing(number),
            demand.instances()
        );
    }
}

fn nothing_is_overspent(offers: &[v1::Offer], placement: &Placement) {
    let mut used = BTreeSet::new();
    for accept in placement.accepts() {
        let mut offered = Resources::new();
        for offer in &accept.offers {
            assert!(used.insert(*offer), "offer {offer} is accepted twice");
            assert_eq!(offers[*offer].agent_id, offers[accept.offers[0]].agent_id);
            assert_eq!(
                offers[*offer].allocation_info,
                offers[accept.offers[0]].allocation_info
            );
            offered += Resources::from(offers[*offer].resources.as_slice());
        }
        let mut left = offered.clone();
        let mut taken_from = BTreeSet::new();
        for launch in &accept.launches {
            let launch = &placement.launches()[*launch];
            left = left.checked_sub(&launch.resources).unwrap_or_else(|| {
                panic!("{} of {left} is not in {offered}", launch.resources);
            });
            taken_from.extend(launch.offers.iter().copied());
        }
        assert!(taken_from.iter().eq(&accept.offers), "{accept:?}");
    }
    let unused = placement.unused_offers();
    assert!(unused.iter().all(|offer| !used.contains(offer)));
    assert_eq!(unused.len() + used.len(), offers.len());
}

fn gets_what_is_wanted(wanted: &Wanted, launch: &mesos_sdk::placement::Launch) {
    use mesos_sdk::placement::{Port, Source};
    let resources = &launch.resources;
    assert_eq!(resources.cpus().as_f64(), wanted.cpus, "{launch:?}");
    assert_eq!(resources.mem_mib().as_f64(), wanted.mem, "{launch:?}");
    assert_eq!(launch.ports.len(), wanted.ports.len(), "{launch:?}");
    let distinct: BTreeSet<u16> = launch.ports.iter().copied().collect();
    assert_eq!(distinct.len(), launch.ports.len(), "{launch:?}");
    let in_resources: BTreeSet<u16> = resources
        .ports()
        .values()
        .map(|port| u16::try_from(port).expect("the test knows it"))
        .collect();
    assert_eq!(distinct, in_resources, "{launch:?}");
    for (port, wish) in launch.ports.iter().zip(&wanted.ports) {
        let is_right = match wish {
            Port::Any => true,
            Port::Fixed(fixed) => port == fixed,
            Port::Within(first, last) => (first..=last).contains(&port),
        };
        assert!(is_right, "{port} for {wish:?}");
    }
    for resource in resources {
        let is_right = match &wanted.source {
            Source::Any => true,
            Source::Reserved => is_reserved(resource, None),
            Source::Unreserved => !is_reserved(resource, None),
            Source::Labelled(_) => is_reserved(resource, None),
        };
        assert!(is_right, "{resource:?} for {:?}", wanted.source);
    }
}

/// Whether one more instance may go to a place, by the letter of what Marathon
/// documents.
pub(crate) fn holds(constraint: &Constraint, place: &Place, members: &[&Place]) -> bool {
    let text = |place: &Place, field: &Field| place.value(field).map(Cow::into_owned);
    let field = constraint.field();
    let Some(here) = text(place, field) else {
        return matches!(constraint.operator(), Operator::Unlike(_));
    };
    let others: Vec<Option<String>> = members.iter().map(|place| text(place, field)).collect();
    let count = |value: &Option<String>| others.iter().filter(|other| *other == value).count();
    let same = count(&Some(here.clone()));
    match constraint.operator() {
        Operator::Unique => same == 0,
        Operator::Cluster(Some(value)) => here == *value,
        Operator::Cluster(None) => match others.first() {
            Some(first) => *first == Some(here),
            None => true,
        },
        Operator::GroupBy(expected) => {
            let values: BTreeSet<&Option<String>> = others.iter().collect();
            let smallest = values.iter().map(|value| count(value)).min();
            same == 0 || (values.len() >= expected.unwrap_or(0) as usize && Some(same) == smallest)
        }
        Operator::MaxPer(most) => {
            same == 0 || i64::try_from(same).expect("the test knows it") < i64::from(*most)
        }
        Operator::Like(pattern) => pattern.matches(&here),
        Operator::Unlike(pattern) => !pattern.matches(&here),
        Operator::Is(value) => match value.parse::<f64>() {
            Ok(number) => here.parse() == Ok(number),
            Err(_) => here == *value,
        },
        other => panic!("{other:?} is not checked"),
    }
}
