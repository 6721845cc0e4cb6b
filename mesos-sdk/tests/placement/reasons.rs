//! Why not: for people, and counted for queues.

use mesos_sdk::placement::{
    Constraint, Demand, Placer, Port, Reason, ReasonKind, Source, Step, Summary,
};
use mesos_sdk::resources::Scalar;

use super::offers::{offer, offer_in_role, with_attributes};

#[test]
fn each_reason_is_told() {
    let offers = [
        offer(7, "cpus:0.5;mem:512;ports:[8080-8080]"),
        offer(8, "cpus:2;mem:100;ports:[8080-8081]"),
        offer(9, "cpus:2;mem:512"),
        offer_in_role(10, "cpus:2;mem:512;ports:[8080-8080]", "other"),
        with_attributes(offer(11, "cpus:2;mem:512;ports:[8080-8080]"), "rack:r9"),
    ];
    let demand = Demand::new("web")
        .cpus(1.0)
        .mem_mib(128.0)
        .port(Port::Fixed(8080))
        .role("*")
        .constraint(Constraint::unlike("rack", "r[5-9]").unwrap());
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    assert_eq!(
        placement.explain(0),
        "agent-7: 0.5 cpus short; \
         agent-8: 28 MiB mem short; \
         agent-9: port 8080 not free; \
         agent-10: nothing for it in role other; \
         agent-11: UNLIKE rack r[5-9]"
    );
    let refusals = placement.refusals(0);
    let short = Reason::Short {
        name: "cpus".to_owned(),
        by: Scalar::from_f64(0.5),
    };
    assert_eq!(refusals[0].reasons, [short]);
    assert_eq!(refusals[0].offers, [0]);
    assert_eq!(refusals[0].agent_id, "S7");
    assert_eq!(refusals[3].kind(), Some(ReasonKind::UnfulfilledRole));
}

#[test]
fn of_several_reasons_the_first_of_the_funnel_counts() {
    let offers = [
        offer(1, "cpus:0.1;mem:1"),
        offer(2, "cpus:1;mem:1"),
        offer(3, "cpus:1;mem:64"),
        with_attributes(offer(4, "cpus:0.1;mem:1"), "rack:r1"),
    ];
    let demand = Demand::new("web")
        .cpus(1.0)
        .mem_mib(64.0)
        .port(Port::Any)
        .constraint(Constraint::unlike("rack", "r1").unwrap());
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    let summary = placement.summary(0);
    assert_eq!((summary.processed, summary.unused), (4, 4));
    let funnel: Vec<(ReasonKind, usize, usize)> = summary
        .funnel()
        .iter()
        .map(|step: &Step| (step.reason, step.declined, step.processed))
        .filter(|(_, declined, _)| *declined > 0)
        .collect();
    assert_eq!(
        funnel,
        [
            (ReasonKind::UnfulfilledConstraint, 1, 4),
            (ReasonKind::InsufficientCpus, 1, 3),
            (ReasonKind::InsufficientMemory, 1, 2),
            (ReasonKind::InsufficientPorts, 1, 1),
        ]
    );
    assert_eq!(
        summary.to_string(),
        "4 of 4 offers refused: 1 UnfulfilledConstraint, 1 InsufficientCpus, \
         1 InsufficientMemory, 1 InsufficientPorts"
    );
    let mut sum = Summary::default();
    sum += &summary;
    sum += &summary;
    assert_eq!(sum.declined[&ReasonKind::InsufficientCpus], 2);
    assert_eq!(sum.processed, 8);
}

#[test]
fn what_was_placed_in_the_call_is_taken_into_account() {
    let offers = [offer(1, "cpus:4"), offer(2, "cpus:1")];
    let demands = [
        Demand::new("web")
            .cpus(1.0)
            .count(3)
            .constraint(Constraint::unique("hostname")),
        Demand::new("batch").cpus(3.5),
    ];
    let placement = Placer::spread().place(&offers, &demands, &[]);
    assert_eq!(placement.missing(0), 1);
    let refusals = placement.refusals(0);
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(texts[0], "agent-1: UNIQUE hostname");
    assert_eq!(texts[1], "agent-2: UNIQUE hostname, 1 cpus short");
    assert!(placement.explain(1).starts_with("agent-1: 0.5 cpus short"));
    // An offer that was used is processed, but not refused.
    let summary = placement.summary(0);
    assert_eq!((summary.processed, summary.unused), (2, 0));
}

#[test]
fn sources_without_anything_to_take_are_a_matter_of_roles() {
    let offers = [offer_in_role(1, "cpus:4;ports:[1-9]", "web")];
    let demand = Demand::new("web").cpus(1.0).source(Source::Reserved);
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    assert_eq!(
        placement.explain(0),
        "agent-1: nothing for it in role web, 1 cpus short"
    );
    let ports = Demand::new("ports").ports(12);
    let placement = Placer::spread().place(&offers, &[ports], &[]);
    assert_eq!(placement.explain(0), "agent-1: 3 ports short");
}
