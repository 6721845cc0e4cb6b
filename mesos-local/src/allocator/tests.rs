use proptest::prelude::*;

use super::*;
use crate::random::Random;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn profile(roles: &[&str]) -> FrameworkProfile {
    FrameworkProfile {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        takes_refined: true,
        ..Default::default()
    }
}

fn cluster(agents: usize, frameworks: &[(&str, &[&str])]) -> (Allocator, Random) {
    let mut allocator = Allocator::new(Duration::from_secs(1));
    for agent in 0..agents {
        allocator.set_agent(
            &format!("S{agent}"),
            &v1::AgentInfo::default(),
            resources("cpus:8;mem:1024"),
        );
    }
    for (key, roles) in frameworks {
        allocator.set_framework(key, profile(roles), true);
    }
    (allocator, Random::new(7))
}

fn decline(allocator: &mut Allocator, now: Timestamp, given: &Allocation, seconds: f64) {
    let Allocation {
        framework,
        role,
        agent,
        resources,
    } = given;
    allocator.recover(framework, agent, resources);
    let filters = v1::Filters {
        refuse_seconds: Some(seconds),
    };
    allocator.refuse(now, framework, role, agent, resources, Some(&filters));
}

#[test]
fn the_first_framework_gets_the_whole_agent() {
    let (mut allocator, mut random) = cluster(1, &[("F1", &["*"]), ("F2", &["*"])]);
    let given = allocator.allocate(at(0), &mut random);
    assert_eq!(given.len(), 1);
    assert_eq!(
        given[0].resources,
        resources("cpus:8;mem:1024").allocate("*")
    );
    assert!(allocator.allocate(at(1), &mut random).is_empty());
}

#[test]
fn with_three_agents_each_of_three_frameworks_gets_one() {
    let (mut allocator, mut random) = cluster(3, &[("F1", &["*"]), ("F2", &["*"]), ("F3", &["*"])]);
    let given = allocator.allocate(at(0), &mut random);
    let takers: BTreeSet<_> = given.iter().map(|a| a.framework.as_str()).collect();
    assert_eq!(takers, BTreeSet::from(["F1", "F2", "F3"]));
}

#[test]
fn frameworks_that_decline_alternate() {
    let (mut allocator, mut random) = cluster(1, &[("F1", &["*"]), ("F2", &["*"])]);
    let mut takers = Vec::new();
    for second in 0..4 {
        let given = allocator.allocate(at(second), &mut random).remove(0);
        decline(&mut allocator, at(second), &given, 0.0);
        takers.push(given.framework);
    }
    assert_eq!(takers, ["F1", "F2", "F1", "F2"]);
}

#[test]
fn a_refusal_holds_until_its_time_or_a_revive() {
    let (mut allocator, mut random) = cluster(1, &[("F1", &["*"])]);
    let given = allocator.allocate(at(0), &mut random).remove(0);
    decline(&mut allocator, at(0), &given, 5.0);
    assert!(allocator.allocate(at(4), &mut random).is_empty());
    let given = allocator.allocate(at(5), &mut random).remove(0);
    decline(&mut allocator, at(5), &given, 100.0);
    assert!(allocator.allocate(at(6), &mut random).is_empty());
    allocator.revive("F1", &["*".to_owned()]);
    assert_eq!(allocator.allocate(at(6), &mut random).len(), 1);
}

#[test]
fn a_refusal_blocks_only_what_it_contains() {
    let (mut allocator, mut random) = cluster(1, &[("F1", &["*"])]);
    let given = allocator.allocate(at(0), &mut random).remove(0);
    let used = resources("cpus:4").allocate("*");
    let rest = given.resources.clone() - &used;
    allocator.recover("F1", "S0", &rest);
    allocator.refuse(at(0), "F1", "*", "S0", &rest, None);
    assert!(allocator.allocate(at(1), &mut random).is_empty());
    allocator.recover("F1", "S0", &used);
    assert_eq!(
        allocator.allocate(at(2), &mut random)[0].resources,
        given.resources
    );
}

#[test]
fn suppressed_roles_get_nothing() {
    let (mut allocator, mut random) = cluster(1, &[("F1", &["a", "b"])]);
    allocator.suppress("F1", &["a".to_owned()]);
    assert_eq!(allocator.allocate(at(0), &mut random)[0].role, "b");
}

#[test]
fn reserved_resources_go_to_their_role_and_below() {
    let (mut allocator, mut random) = cluster(0, &[("F1", &["web"]), ("F2", &["db/blue"])]);
    let total = resources("cpus(db):4;mem(db):64");
    allocator.set_agent("S0", &v1::AgentInfo::default(), total);
    let given = allocator.allocate(at(0), &mut random);
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].framework, "F2");
}

#[test]
fn weights_shift_shares() {
    let (mut allocator, mut random) = cluster(6, &[("F1", &["one"]), ("F2", &["two"])]);
    allocator.set_weight("two", 2.0);
    let given = allocator.allocate(at(0), &mut random);
    let of = |key: &str| given.iter().filter(|a| a.framework == key).count();
    assert_eq!((of("F1"), of("F2")), (2, 4));
}

#[test]
fn crumbs_are_not_offered() {
    let (mut allocator, mut random) = cluster(0, &[("F1", &["*"])]);
    allocator.set_agent(
        "S0",
        &v1::AgentInfo::default(),
        resources("cpus:0.005;mem:31;disk:9"),
    );
    assert!(allocator.allocate(at(0), &mut random).is_empty());
}

fn constraint(selector: &str, predicate: &str) -> Result<(), String> {
    let json = format!(
        r#"{{"role_constraints":{{"*":{{"groups":[{{"attribute_constraints":[{{"selector":{selector},"predicate":{predicate}}}]}}]}}}}}}"#
    );
    let constraints = mesos_proto::json::from_str(&json).unwrap();
    constraints::validate(&constraints, &BTreeSet::from(["*".to_owned()]))
}

#[test]
fn constraints_are_refused_with_the_texts_of_mesos() {
    let host = r#"{"pseudoattribute_type":"HOSTNAME"}"#;
    assert_eq!(constraint(host, r#"{"text_equals":{"value":"a"}}"#), Ok(()));
    let text = |predicate| constraint(host, predicate).unwrap_err();
    assert_eq!(
        text(r#"{"text_matches":{"regex":"("}}"#),
        "Offer constraints are not valid: A role * has an invalid 'AttributeConstraint': Failed to construct regex from pattern '(': missing ): ("
    );
    assert!(text(r#"{"text_matches":{"regex":"(a{1,100}){1,10}"}}"#).contains("pattern too large"));
    assert!(text("{}").ends_with("Unknown predicate type"));
}

#[test]
fn agents_without_news_are_looked_at_again_when_frameworks_have_some() {
    let (mut allocator, mut random) = cluster(2, &[("F1", &["a"])]);
    for given in allocator.allocate(at(0), &mut random) {
        decline(&mut allocator, at(0), &given, 1000.0);
    }
    assert!(allocator.allocate(at(1), &mut random).is_empty());
    allocator.set_framework("F2", profile(&["b"]), true);
    assert_eq!(allocator.allocate(at(2), &mut random).len(), 2);
}

#[test]
fn only_the_agent_whose_refusal_has_expired_is_offered_again() {
    let (mut allocator, mut random) = cluster(2, &[("F1", &["a"])]);
    for (given, seconds) in allocator
        .allocate(at(0), &mut random)
        .iter()
        .zip([5.0, 9.0])
    {
        decline(&mut allocator, at(0), given, seconds);
    }
    assert!(allocator.allocate(at(0), &mut random).is_empty());
    assert_eq!(allocator.next_news(at(0)), Some(at(5)));
    assert_eq!(allocator.allocate(at(5), &mut random).len(), 1);
    assert_eq!(allocator.next_news(at(5)), Some(at(9)));
    assert_eq!(allocator.allocate(at(9), &mut random).len(), 1);
}

#[test]
fn the_total_follows_the_agents() {
    let (mut allocator, mut random) = cluster(2, &[("F1", &["a"]), ("F2", &["b"])]);
    allocator.remove_agent("S0");
    allocator.set_agent_total("S1", resources("cpus:2;mem:64"));
    let total = BTreeMap::from([
        ("cpus".to_owned(), Scalar::from_thousandths(2_000)),
        ("mem".to_owned(), Scalar::from_thousandths(64_000)),
    ]);
    assert_eq!(allocator.total, total);
    let given = allocator.allocate(at(0), &mut random);
    assert_eq!(given[0].resources, resources("cpus:2;mem:64").allocate("a"));
}

proptest! {
    #[test]
    fn nothing_is_given_twice_and_nothing_is_lost(
        steps in prop::collection::vec((0..4_u8, 0..8_usize, 1..6_u64), 1..60),
        seed: u64,
    ) {
        let (mut allocator, _) = cluster(3, &[("F1", &["a"]), ("F2", &["a", "b"]), ("F3", &["b/c"])]);
        let mut random = Random::new(seed);
        let mut held: Vec<Allocation> = Vec::new();
        let mut second = 0;
        for (kind, pick, seconds) in steps {
            second += seconds;
            match kind {
                0 | 1 => held.extend(allocator.allocate(at(second), &mut random)),
                _ if !held.is_empty() => {
                    let given = held.remove(pick % held.len());
                    let filter = if kind == 2 { 0.0 } else { 3.0 };
                    decline(&mut allocator, at(second), &given, filter);
                }
                _ => {}
            }
            for agent in ["S0", "S1", "S2"] {
                let mut sum = Resources::new();
                for given in held.iter().filter(|given| given.agent == agent) {
                    sum += &given.resources;
                }
                prop_assert_eq!(&sum, allocator.agent_allocated(agent).unwrap());
                prop_assert!(resources("cpus:8;mem:1024").contains(&sum.unallocate()));
            }
        }
    }
}
