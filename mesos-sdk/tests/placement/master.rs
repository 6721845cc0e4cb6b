//! What the master is told: never less than what could be used.

use mesos_sdk::placement::{
    Constraint, Demand, Field, Place, Placer, Running, compile_offer_constraints,
};
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::attribute_constraint::{predicate, selector};
use mesos_sdk::v1::scheduler::{AttributeConstraint, OfferConstraints};
use proptest::prelude::*;
use std::borrow::Cow;

use super::offers::{in_zone, offer, with_attributes};

/// What a master offers, as Mesos documents it: some group of which all hold.
fn is_offered(constraints: &OfferConstraints, role: &str, offer: &v1::Offer) -> bool {
    constraints
        .role_constraints
        .get(role)
        .is_none_or(|of_role| {
            assert!(!of_role.groups.is_empty(), "the master refuses this");
            of_role.groups.iter().any(|group| {
                assert!(!group.attribute_constraints.is_empty(), "and this");
                group.attribute_constraints.iter().all(|c| holds(c, offer))
            })
        })
}

fn holds(constraint: &AttributeConstraint, offer: &v1::Offer) -> bool {
    use predicate::Predicate as Kind;
    use selector::{PseudoattributeType as Pseudo, Selector};
    let place = Place::of(offer);
    let predicate = constraint
        .predicate
        .predicate
        .as_ref()
        .expect("the test knows it");
    let (value, is_text) = match constraint
        .selector
        .selector
        .as_ref()
        .expect("the test knows it")
    {
        Selector::PseudoattributeType(kind) => {
            let field = match Pseudo::try_from(*kind).expect("the test knows it") {
                Pseudo::Hostname => Field::Hostname,
                Pseudo::Region => Field::Region,
                Pseudo::Zone => Field::Zone,
                Pseudo::Unknown => panic!("the master refuses this"),
            };
            (place.value(&field).map(Cow::into_owned), true)
        }
        Selector::AttributeName(name) => {
            let attribute = offer.attributes.iter().find(|a| a.name == *name);
            let is_text = attribute.is_none_or(|attribute| attribute.text.is_some());
            let field = Field::Attribute(name.clone());
            (place.value(&field).map(Cow::into_owned), is_text)
        }
    };
    match predicate {
        Kind::Exists(_) => value.is_some(),
        Kind::NotExists(_) => value.is_none(),
        _ if value.is_some() && !is_text => true,
        Kind::TextEquals(text) => value.as_ref() == Some(&text.value),
        Kind::TextNotEquals(text) => value.as_ref() != Some(&text.value),
        Kind::TextMatches(text) => value.is_some_and(|value| matches(&text.regex, &value)),
        Kind::TextNotMatches(text) => !value.is_some_and(|value| matches(&text.regex, &value)),
    }
}

fn matches(regex: &str, value: &str) -> bool {
    mesos_sdk::placement::Pattern::new(regex)
        .expect("the test knows it")
        .matches(value)
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let field = prop_oneof![Just("hostname"), Just("@zone"), Just("rack")];
    (field, 0..11_u32).prop_map(|(field, kind)| match kind {
        0 => Constraint::unique(field),
        1 => Constraint::cluster(field),
        2 => Constraint::group_by(field, Some(2)),
        3 => Constraint::max_per(field, 1),
        4 => Constraint::max_per(field, 2),
        5 => Constraint::like(field, "(agent-|z|r)[12]").expect("the test knows it"),
        6 => Constraint::like(field, "(?i)AGENT-2|r.{1}").expect("the test knows it"),
        7 => Constraint::unlike(field, ".*1").expect("the test knows it"),
        8 => Constraint::unlike(field, "a{1}.*|7").expect("the test knows it"),
        9 => Constraint::is(field, "7.0"),
        _ => Constraint::parse(&[field, "CLUSTER", "r1"]).expect("the test knows it"),
    })
}

fn agent(n: usize) -> impl Strategy<Value = v1::Offer> {
    (0..4_usize, 0..3_usize).prop_map(move |(rack, zone)| {
        let offer = offer(n, "cpus:4");
        let offer = match rack {
            0 => offer,
            // A number, so not a text.
            3 => with_attributes(offer, "rack:7"),
            rack => with_attributes(offer, &format!("rack:r{rack}")),
        };
        match zone {
            0 => offer,
            zone => in_zone(offer, "r", &format!("z{zone}")),
        }
    })
}

proptest! {
    #[test]
    fn whatever_can_be_placed_is_offered(
        offers in (agent(1), agent(2), agent(3)),
        constraints in proptest::collection::vec(
            proptest::collection::vec(constraint(), 0..3), 1..4),
        placed in proptest::collection::vec((0..3_usize, 0..4_usize), 0..3),
    ) {
        let offers = [offers.0, offers.1, offers.2];
        let demands: Vec<Demand> = constraints
            .into_iter()
            .enumerate()
            .map(|(n, constraints)| {
                Demand::new(format!("d{n}")).cpus(1.0).constraints(constraints)
            })
            .collect();
        let running: Vec<Running> = placed
            .into_iter()
            .map(|(offer, group)| Running::new(format!("d{group}"), Place::of(&offers[offer])))
            .collect();
        let compiled = compile_offer_constraints(&demands, &running, &["*".to_owned()]);
        for offer in &offers {
            for (demand, remainder) in demands.iter().zip(&compiled.remainder) {
                let alone = std::slice::from_ref(offer);
                let placement = Placer::spread().place(alone, std::slice::from_ref(demand), &running);
                let is_offered = is_offered(&compiled.offer_constraints, "*", offer);
                prop_assert!(!placement.is_complete() || is_offered);
                // What the master decides alone it decides as the placer does.
                let only = compile_offer_constraints(
                    std::slice::from_ref(demand), &running, &["*".to_owned()]);
                if remainder.is_empty() {
                    let is_offered = self::is_offered(&only.offer_constraints, "*", offer);
                    prop_assert_eq!(placement.is_complete(), is_offered);
                }
            }
        }
    }
}

#[test]
fn a_role_with_a_demand_that_can_use_any_agent_is_not_constrained() {
    let pinned = Demand::new("pinned").constraint(Constraint::is("rack", "r1"));
    let free = Demand::new("free").role("web");
    let roles = ["web".to_owned(), "batch".to_owned(), "idle".to_owned()];
    let demands = [pinned.clone().role("batch"), pinned, free];
    let compiled = compile_offer_constraints(&demands[..1], &[], &roles);
    let constrained = |compiled: &mesos_sdk::placement::CompiledConstraints| {
        let roles = compiled.offer_constraints.role_constraints.keys();
        let mut roles: Vec<String> = roles.cloned().collect();
        roles.sort();
        roles
    };
    assert_eq!(constrained(&compiled), ["batch"]);
    let compiled = compile_offer_constraints(&demands, &[], &roles);
    assert_eq!(constrained(&compiled), ["batch", "idle"]);
    let groups = &compiled.offer_constraints.role_constraints["batch"].groups;
    assert_eq!(groups.len(), 1, "equal groups are sent once");
}
