use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

#[test]
fn arithmetic_is_exact_to_the_thousandth() {
    let mut sum = Resources::new();
    for _ in 0..10 {
        sum += parse("cpus:0.1");
    }
    assert_eq!(sum, parse("cpus:1"));
    assert_eq!(
        (parse("cpus:1") - parse("cpus:0.9")).to_string(),
        "cpus:0.1"
    );
}

#[test]
fn zero_is_nothing() {
    assert!(parse("cpus:0").is_empty());
    assert!((parse("cpus:1;ports:[1-2]") - parse("cpus:1;ports:[1-2]")).is_empty());
    assert_eq!(Resources::new().to_string(), "{}");
}

#[test]
fn prints_as_mesos_prints() {
    let resources = parse("ports:[31000-32000];cpus:7.9;mem:8160;disk:20480").allocate("*");
    assert_eq!(
        resources.to_string(),
        "ports(allocated: *):[31000-32000]; cpus(allocated: *):7.9; \
         mem(allocated: *):8160; disk(allocated: *):20480"
    );
}

#[test]
fn prints_reservations_and_volumes() {
    let mut volume = parse("disk:64").into_vec().remove(0);
    volume.reservations = vec![v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        role: Some("db".into()),
        principal: Some("alice".into()),
        ..Default::default()
    }];
    volume.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: "v1".into(),
            ..Default::default()
        }),
        volume: Some(v1::Volume {
            mode: v1::volume::Mode::Rw as i32,
            container_path: "data".into(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    assert_eq!(
        Resources::from(vec![volume]).to_string(),
        "disk(reservations: [(DYNAMIC,db,alice)])[v1:data]:64"
    );
}

#[test]
fn different_reservations_do_not_add_up() {
    let mixed = parse("cpus(db):2;cpus:1");
    assert_eq!(mixed.len(), 2);
    assert_eq!(mixed.cpus(), Scalar::from_f64(3.0));
    assert!(!mixed.contains(&parse("cpus:2")));
    assert_eq!(mixed.reserved(Some("db")), parse("cpus(db):2"));
    assert_eq!(mixed.flatten(), parse("cpus:3"));
}

#[test]
fn finds_reserved_before_unreserved() {
    let offered = parse("cpus:1;cpus(db):2;cpus(web):8;ports:[1-9]");
    let found = offered.find(&parse("cpus:2.5;ports:[3-4]"), "db").unwrap();
    assert_eq!(found, parse("cpus(db):2;cpus:0.5;ports:[3-4]"));
    assert!(offered.find(&parse("cpus:3.5"), "db").is_none());
    assert!(offered.find(&parse("cpus:2"), "*").is_none());
    assert!(offered.find(&parse("ports:[9-10]"), "db").is_none());
}

#[test]
fn find_keeps_the_allocation() {
    let offered = parse("cpus:4;mem:64").allocate("web");
    let found = offered.find(&parse("cpus:1"), "web").unwrap();
    assert_eq!(found, parse("cpus:1").allocate("web"));
    assert!(offered.contains(&found));
}

#[test]
fn both_formats_of_a_reservation_are_one() {
    let old = v1::Resource {
        role: Some("db".into()),
        ..parse("cpus:2").into_vec().remove(0)
    };
    assert_eq!(Resources::from(vec![old]), parse("cpus(db):2"));
    let back = parse("cpus(db):2;mem:1").to_pre_refinement();
    assert_eq!(back[0].role.as_deref(), Some("db"));
    assert_eq!(back[1].role.as_deref(), Some("*"));
    assert!(back.iter().all(|resource| resource.reservations.is_empty()));
}

#[test]
fn volumes_are_whole_or_not_at_all() {
    let mut one = parse("disk:64").into_vec().remove(0);
    one.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: "a".into(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    let mut half = one.clone();
    half.scalar = Some(v1::value::Scalar { value: 32.0 });
    let volumes = Resources::from(vec![one.clone(), one.clone()]);
    assert_eq!(volumes.len(), 2);
    assert!(!volumes.contains(&Resources::from(vec![half])));
    assert_eq!((volumes - Resources::from(vec![one])).len(), 1);
}

#[test]
fn refusals_have_the_texts_of_mesos() {
    let negative = v1::Resource {
        name: "cpus".into(),
        scalar: Some(v1::value::Scalar { value: -1.0 }),
        ..Default::default()
    };
    assert_eq!(
        Resources::validate(&[negative]).unwrap_err().to_string(),
        "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"
    );
}

#[test]
fn text_that_is_no_resource_is_named() {
    let error = |text| Resources::parse(text, "*").unwrap_err().to_string();
    assert!(error("cpus").contains("`cpus`"));
    assert!(error("cpus:many").contains("`many`"));
    assert!(error("ports:[1-]").contains("`1-`"));
    assert!(error("cpus(bad role):1").contains("whitespace"));
    assert!(error("ports:[9-1]").contains("ends before it begins"));
}

#[test]
fn reads_the_json_form() {
    let json = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":2}},
                   {"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":3}]}}]"#;
    assert_eq!(parse(json), parse("cpus:2;ports:[1-3]"));
    assert!(Resources::parse("[{]", "*").is_err());
}

fn any_resources() -> impl Strategy<Value = Resources> {
    let scalar = (
        prop::sample::select(vec!["cpus", "mem", "disk(db)"]),
        0..5000_i64,
    )
        .prop_map(|(name, n)| format!("{name}:{}", Scalar::from_thousandths(n)));
    let ranges = prop::collection::vec((0..50_u64, 0..10_u64), 0..4).prop_map(|ranges| {
        let all: Ranges = ranges.into_iter().map(|(b, n)| (b, b + n)).collect();
        format!("ports:{all}")
    });
    prop::collection::vec(prop_oneof![scalar, ranges], 0..6).prop_map(|all| parse(&all.join(";")))
}

proptest! {
    #[test]
    fn addition_commutes_and_associates(a in any_resources(), b in any_resources(), c in any_resources()) {
        prop_assert_eq!(a.clone() + b.clone(), b.clone() + a.clone());
        prop_assert_eq!((a.clone() + b.clone()) + c.clone(), a + (b + c));
    }

    #[test]
    fn a_sum_contains_its_parts(a in any_resources(), b in any_resources()) {
        let sum = a.clone() + b.clone();
        prop_assert!(sum.contains(&a));
        prop_assert!(sum.contains(&b));
    }

    #[test]
    fn scalars_come_back_after_subtraction(a in any_resources(), b in any_resources()) {
        let scalars = |r: &Resources| r.filter(|item| item.scalar.is_some());
        let (a, b) = (scalars(&a), scalars(&b));
        prop_assert_eq!((a.clone() + b.clone()) - b, a);
    }

    #[test]
    fn contained_is_what_subtracts_and_adds_back(a in any_resources(), b in any_resources()) {
        match a.checked_sub(&b) {
            Some(left) => {
                prop_assert!(a.contains(&b));
                prop_assert_eq!(left + b, a);
            }
            None => prop_assert!(!a.contains(&b)),
        }
    }

    #[test]
    fn found_is_contained_and_has_the_quantities(a in any_resources(), wanted in any_resources()) {
        let wanted = wanted.flatten();
        if let Some(found) = a.find(&wanted, "db") {
            prop_assert!(a.contains(&found));
            prop_assert_eq!(found.quantities(), wanted.quantities());
        }
    }

    #[test]
    fn parse_reads_what_display_prints(a in any_resources()) {
        let plain = a.flatten();
        prop_assert_eq!(parse(&plain.to_string().replace("{}", "")), plain);
    }

    #[test]
    fn ranges_are_sets_of_numbers(ops in prop::collection::vec((any::<bool>(), 0..60_u64, 0..12_u64), 0..30)) {
        let mut ranges = Ranges::new();
        let mut model = BTreeSet::new();
        for (is_insert, begin, length) in ops {
            let end = begin + length;
            if is_insert {
                ranges.insert(begin, end);
                model.extend(begin..=end);
            } else {
                ranges.remove(begin, end);
                model.retain(|n| !(begin..=end).contains(n));
            }
            prop_assert_eq!(ranges.values().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ranges.len(), model.len() as u64);
            let gaps: Vec<_> = ranges.iter().collect();
            prop_assert!(gaps.windows(2).all(|w| w[0].1 + 1 < w[1].0), "not coalesced: {:?}", gaps);
        }
    }
}
