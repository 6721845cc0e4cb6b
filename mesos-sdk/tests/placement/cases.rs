//! What goes where, case by case.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_sdk::placement::{
    Candidate, Constraint, Demand, Field, Gpus, Place, Placement, Placer, Port, Running, Search,
    Source,
};
use mesos_sdk::task;
use mesos_sdk::v1;

use super::offers::{in_zone, offer, offer_in_role, reservation, with_attributes, with_reserved};

fn hosts(placement: &Placement) -> Vec<&str> {
    let launches = placement.launches().iter();
    launches.map(|launch| launch.hostname.as_str()).collect()
}

#[test]
fn spreading_takes_agents_without_the_group_first_and_then_the_emptiest() {
    let offers = [offer(1, "cpus:2"), offer(2, "cpus:8"), offer(3, "cpus:4")];
    let demand = Demand::new("web").cpus(1.0).count(4);
    let placement = Placer::spread().place(&offers, std::slice::from_ref(&demand), &[]);
    assert_eq!(
        hosts(&placement),
        ["agent-2", "agent-3", "agent-1", "agent-2"]
    );
    let running = [Running::new("web", Place::of(&offers[1]))];
    let placement = Placer::spread().place(&offers, &[demand], &running);
    assert_eq!(
        hosts(&placement),
        ["agent-3", "agent-1", "agent-2", "agent-3"]
    );
}

#[test]
fn packing_takes_the_fullest_that_will_do() {
    let offers = [offer(1, "cpus:2"), offer(2, "cpus:8"), offer(3, "cpus:4")];
    let demand = Demand::new("web").cpus(1.5).count(4);
    let placement = Placer::pack().place(&offers, &[demand], &[]);
    assert_eq!(
        hosts(&placement),
        ["agent-1", "agent-3", "agent-3", "agent-2"]
    );
}

#[test]
fn a_fitness_of_ones_own_decides_and_may_refuse() {
    let offers = [
        with_attributes(offer(1, "cpus:4"), "disk:hdd"),
        with_attributes(offer(2, "cpus:4"), "disk:ssd"),
        offer(3, "cpus:4"),
    ];
    let fast_disks = |_: &Demand, candidate: &Candidate<'_>| {
        let disk = candidate.value(&Field::from("disk"))?;
        let is_first = candidate.instances() == 0;
        (is_first).then_some(if disk == "ssd" { 1.0 } else { 0.0 })
    };
    let demand = Demand::new("db").cpus(1.0).count(3);
    let placement = Placer::by(fast_disks).place(&offers, &[demand], &[]);
    assert_eq!(hosts(&placement), ["agent-2", "agent-1"]);
    assert_eq!(placement.missing(0), 1);
    assert!(
        placement.explain(0).contains("agent-3: refused by fitness"),
        "{}",
        placement.explain(0)
    );
}

#[test]
fn offers_of_one_agent_are_used_together() {
    let mut second = offer(1, "cpus:1;mem:512");
    second.id = mesos_sdk::ids::offer_id("O1b");
    let offers = [
        offer(1, "cpus:1;mem:64"),
        offer(2, "cpus:1.9;mem:64"),
        second,
    ];
    let demand = Demand::new("big").cpus(2.0).mem_mib(64.0);
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    let launch = &placement.launches()[0];
    assert_eq!(launch.offers, [0, 2]);
    assert_eq!(
        launch.resources.to_string(),
        "cpus(allocated: *):2; mem(allocated: *):64"
    );
    let accepts = placement.accepts();
    assert_eq!(accepts.len(), 1);
    assert_eq!(accepts[0].offers, [0, 2]);
    assert_eq!(placement.unused_offers(), [1]);
}

#[test]
fn an_offer_that_is_not_needed_is_not_used() {
    let offers = [offer(1, "cpus:2"), offer(1, "cpus:2")];
    let demand = Demand::new("small").cpus(1.0).count(2);
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    assert_eq!(placement.unused_offers(), [1]);
}

#[test]
fn offers_of_one_agent_in_two_roles_are_not_used_together() {
    let offers = [
        offer_in_role(1, "cpus:1", "web"),
        offer_in_role(1, "cpus:1", "batch"),
    ];
    let place = |demand: Demand| Placer::spread().place(&offers, &[demand], &[]);
    assert!(!place(Demand::new("big").cpus(2.0)).is_complete());
    let placement = place(Demand::new("job").cpus(1.0).role("batch"));
    assert_eq!(placement.launches()[0].offers, [1]);
    assert_eq!(placement.launches()[0].role, "batch");
    // The instance count of an agent is one, whatever the roles.
    let unique = Constraint::unique("hostname");
    assert_eq!(
        place(Demand::new("u").cpus(1.0).count(2).constraint(unique)).missing(0),
        1
    );
}

#[test]
fn reserved_resources_go_first_the_most_refined_before() {
    let parent = reservation("eng", None);
    let dynamic = reservation("eng", Some(&[]));
    let refined = reservation("eng/web", Some(&[]));
    let offer = offer_in_role(1, "cpus:1", "eng/web");
    let offer = with_reserved(offer, "cpus:1", std::slice::from_ref(&parent));
    let offer = with_reserved(offer, "cpus:1", &[dynamic]);
    let offer = with_reserved(offer, "cpus:1", &[parent, refined]);
    let demands: Vec<Demand> = (0..4)
        .map(|n| Demand::new(format!("d{n}")).cpus(1.0))
        .collect();
    let placement = Placer::spread().place(&[offer], &demands, &[]);
    let stacks: Vec<usize> = placement
        .launches()
        .iter()
        .map(|launch| launch.resources.iter().next().unwrap().reservations.len())
        .collect();
    assert_eq!(stacks, [2, 1, 1, 0]);
    let kind = |launch: usize| {
        let launch = &placement.launches()[launch];
        launch.resources.iter().next().unwrap().reservations[0].r#type()
    };
    use v1::resource::reservation_info::Type;
    assert_eq!([kind(1), kind(2)], [Type::Dynamic, Type::Static]);
}

#[test]
fn who_may_take_anything_makes_way_for_who_may_not() {
    let reserved = [reservation("web", None)];
    let offers = [with_reserved(
        offer_in_role(1, "cpus:1;ports:[1-1]", "web"),
        "cpus:1;ports:[2-2]",
        &reserved,
    )];
    for source in [Source::Reserved, Source::Unreserved] {
        let any = Demand::new("any").cpus(1.0).port(Port::Any);
        let choosy = Demand::new("choosy").cpus(1.0).port(Port::Any);
        let demands = [any, choosy.source(source)];
        let placement = Placer::spread().place(&offers, &demands, &[]);
        assert!(placement.is_complete(), "{}", placement.explain(1));
        assert_eq!(placement.search(), Search::NotNeeded);
    }
}

#[test]
fn labelled_reservations_are_for_those_who_name_them() {
    let mine = reservation("web", Some(&[("app", "db"), ("owner", "me")]));
    let offers = [with_reserved(
        offer_in_role(1, "", "web"),
        "cpus:1;ports:[7-9]",
        &[mine],
    )];
    let labels = |value: &str| {
        let label = ("app".to_owned(), value.to_owned());
        Source::Labelled(BTreeMap::from([label]))
    };
    let db = Demand::new("db").cpus(1.0).port(Port::Fixed(8));
    let anybody = Demand::new("anybody").cpus(1.0);
    let demands = [anybody.clone(), db.clone().source(labels("db"))];
    let placement = Placer::spread().place(&offers, &demands, &[]);
    assert_eq!(placement.launches()[0].demand, 1);
    assert_eq!(placement.launches()[0].ports, [8]);
    assert_eq!(placement.missing(0), 1);
    let place = |placer: Placer, demand: &Demand| {
        let placement = placer.place(&offers, std::slice::from_ref(demand), &[]);
        placement.is_complete()
    };
    assert!(!place(Placer::spread(), &db.source(labels("other"))));
    assert!(place(Placer::spread(), &anybody));
    assert!(!place(Placer::spread().label_key("owner"), &anybody));
}

#[test]
fn volumes_are_taken_as_they_are_and_once() {
    let disk = Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: "data".to_owned(),
            principal: None,
        }),
        volume: Some(v1::Volume {
            container_path: "data".to_owned(),
            mode: v1::volume::Mode::Rw as i32,
            ..Default::default()
        }),
        ..Default::default()
    });
    let mut offer = offer_in_role(1, "cpus:4;disk:100", "web");
    offer = with_reserved(offer, "disk:64", &[reservation("web", Some(&[]))]);
    let volume = offer.resources.last_mut().unwrap();
    volume.disk = Some(disk);
    let mut wanted = volume.clone();
    wanted.allocation_info = None;
    let demand = Demand::new("db").cpus(1.0).disk_mib(10.0).exactly(wanted);
    let placement = Placer::spread().place(&[offer], &[demand.clone(), demand], &[]);
    assert_eq!(placement.launches().len(), 1);
    let resources = &placement.launches()[0].resources;
    assert_eq!(resources.disk_mib().as_f64(), 74.0);
    let has_volume = |r: &v1::Resource| r.disk.is_some() && r.allocation_info.is_some();
    assert!(resources.iter().any(has_volume));
    assert_eq!(placement.explain(1), "agent-1: no such reservation");
}

#[test]
fn revocable_resources_are_for_those_who_ask() {
    let mut offer = offer(1, "cpus:1");
    let mut slack = offer.resources[0].clone();
    slack.revocable = Some(v1::resource::RevocableInfo {});
    slack.scalar = Some(v1::value::Scalar { value: 3.0 });
    offer.resources.push(slack);
    let place =
        |demand: Demand| Placer::spread().place(std::slice::from_ref(&offer), &[demand], &[]);
    assert!(!place(Demand::new("plain").cpus(2.0)).is_complete());
    let placement = place(Demand::new("best effort").cpus(2.0).revocable("cpus"));
    let resources = &placement.launches()[0].resources;
    assert!(
        resources
            .iter()
            .all(|resource| resource.revocable.is_some())
    );
    assert!(!place(Demand::new("more").cpus(3.5).revocable("cpus")).is_complete());
}

#[test]
fn ports_are_drawn_by_the_seed_and_stand_side_by_side() {
    let offers = [offer(1, "ports:[31000-31999]")];
    let demands = [
        Demand::new("web").ports(3),
        Demand::new("api").port(Port::Any),
    ];
    let ports = |seed: u64| {
        let placement = Placer::spread().seed(seed).place(&offers, &demands, &[]);
        let launches = placement.launches().iter();
        launches
            .map(|launch| launch.ports.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ports(1), ports(1));
    assert_ne!(ports(1), ports(2));
    let web = &ports(1)[0];
    assert_eq!(web[1], web[0] + 1);
    assert_eq!(web[2], web[0] + 2);
}

#[test]
fn drawn_ports_make_way_for_fixed_ones() {
    let offers = [offer(1, "ports:[31000-31003]")];
    let demands = [
        Demand::new("drawn").ports(2),
        Demand::new("within").port(Port::Within(31001, 31002)),
        Demand::new("fixed").port(Port::Fixed(31001)),
    ];
    for seed in 0..50 {
        let placement = Placer::spread().seed(seed).place(&offers, &demands, &[]);
        assert!(placement.is_complete());
        assert_eq!(placement.launches()[1].ports, [31002]);
        assert_eq!(placement.launches()[2].ports, [31001]);
    }
}

#[test]
fn gpus_can_be_kept_for_those_who_want_them() {
    let offers = [offer(1, "cpus:8;gpus:2"), offer(2, "cpus:1")];
    let demands = [
        Demand::new("web").cpus(1.0).count(2),
        Demand::new("train").cpus(1.0).gpus(1.0),
    ];
    let placement = Placer::spread().place(&offers, &demands, &[]);
    assert!(placement.is_complete());
    let placement = Placer::spread()
        .gpu_agents(Gpus::Restricted)
        .place(&offers, &demands, &[]);
    assert_eq!(hosts(&placement), ["agent-2", "agent-1"]);
    assert_eq!(
        placement.explain(0),
        "agent-1: its GPUs are kept for others; agent-2: 1 cpus short"
    );
    let anywhere = demands[0].clone().gpu_agents(Gpus::Unrestricted);
    let placement = Placer::spread()
        .gpu_agents(Gpus::Restricted)
        .place(&offers, &[anywhere], &[]);
    assert!(placement.is_complete());
}

#[test]
fn other_regions_are_for_those_who_name_regions() {
    let offers = [
        in_zone(offer(1, "cpus:4"), "far", "z1"),
        in_zone(offer(2, "cpus:1"), "home", "z1"),
        offer(3, "cpus:1"),
    ];
    let placer = Placer::spread().home_region("home");
    let web = Demand::new("web").cpus(1.0).count(3);
    let placement = placer.place(&offers, std::slice::from_ref(&web), &[]);
    assert_eq!(placement.missing(0), 1);
    assert!(placement.explain(0).contains("agent-1: in region far"));
    let far = Demand::new("far")
        .cpus(1.0)
        .constraint(Constraint::is("@region", "far"));
    assert!(placer.place(&offers, &[far], &[]).is_complete());
    assert!(Placer::spread().place(&offers, &[web], &[]).is_complete());
}

#[test]
fn agents_are_left_alone_around_their_maintenance() {
    let mut busy = offer(1, "cpus:1");
    let seconds = |seconds: i64| seconds * 1_000_000_000;
    busy.unavailability = Some(v1::Unavailability {
        start: v1::TimeInfo {
            nanoseconds: seconds(1000),
        },
        duration: Some(v1::DurationInfo {
            nanoseconds: seconds(100),
        }),
    });
    let offers = [busy];
    let demand = [Demand::new("web").cpus(1.0)];
    let at = |now: u64| {
        let placer =
            Placer::spread().maintenance(Duration::from_secs(now), Duration::from_secs(60));
        placer.place(&offers, &demand, &[]).explain(0)
    };
    assert_eq!(at(939), "agent-1: 1 cpus short");
    assert_eq!(at(941), "agent-1: in maintenance");
    assert_eq!(at(1099), "agent-1: in maintenance");
    assert_eq!(at(1101), "agent-1: 1 cpus short");
    assert!(Placer::spread().place(&offers, &demand, &[]).is_complete());
}

#[test]
fn a_demand_can_name_its_agents() {
    let offers = [offer(1, "cpus:1"), offer(2, "cpus:9"), offer(3, "cpus:1")];
    let demand = Demand::new("db")
        .cpus(1.0)
        .count(3)
        .on_agent("S1")
        .on_agent("S3");
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    assert_eq!(hosts(&placement), ["agent-1", "agent-3"]);
    assert!(
        placement
            .explain(0)
            .contains("agent-2: not the agent asked for")
    );
}

#[test]
fn an_instance_moves_to_make_room() {
    // The first demand would be placed where the second has its only place.
    let offers = [
        with_attributes(offer(1, "cpus:2"), "rack:r1"),
        with_attributes(offer(2, "cpus:1"), "rack:r2"),
    ];
    let only = Constraint::is("rack", "r1");
    let demands = [
        Demand::new("anywhere").cpus(1.0),
        Demand::new("there").cpus(2.0).constraint(only),
    ];
    let placement = Placer::spread().place(&offers, &demands, &[]);
    assert!(placement.is_complete());
    let there = placement
        .launches()
        .iter()
        .find(|launch| launch.demand == 1);
    assert_eq!(there.unwrap().hostname, "agent-1");
    assert_eq!(placement.search(), Search::Finished);
    let placement = Placer::spread()
        .search_budget(0)
        .place(&offers, &demands, &[]);
    assert_eq!(hosts(&placement), ["agent-1"]);
    assert_eq!(placement.search(), Search::GaveUp);
}

#[test]
fn earlier_demands_come_first() {
    let offers = [offer(1, "cpus:4")];
    let demands = [
        Demand::new("large").cpus(4.0),
        Demand::new("small").cpus(1.0).count(4),
    ];
    let placement = Placer::spread().place(&offers, &demands, &[]);
    assert_eq!([placement.missing(0), placement.missing(1)], [0, 4]);
    assert_eq!(placement.search(), Search::Finished);
}

#[test]
fn a_member_of_a_group_can_open_the_way_for_an_earlier_one() {
    // Two racks are expected before one gets a second instance, and only the
    // later demand fits on the other rack.
    let offers = [
        with_attributes(offer(1, "cpus:4"), "rack:r1"),
        with_attributes(offer(2, "cpus:1"), "rack:r2"),
    ];
    let even = Constraint::group_by("rack", Some(2));
    let demands = [
        Demand::new("large")
            .group("app")
            .cpus(2.0)
            .count(2)
            .constraint(even.clone()),
        Demand::new("small").group("app").cpus(1.0).constraint(even),
    ];
    for placer in [
        Placer::spread(),
        Placer::pack(),
        Placer::spread().search_budget(0),
    ] {
        let placement = placer.place(&offers, &demands, &[]);
        assert!(placement.is_complete(), "{}", placement.explain(0));
    }
}

#[test]
fn a_task_gets_its_share_and_its_executor_the_rest() {
    let executor = task::custom_executor("e", "run");
    let task = task::with_executor("t", executor).cpus(1.0).mem_mib(64.0);
    let reserved = [reservation("web", None)];
    let offers = [with_reserved(
        offer_in_role(1, "cpus:1;mem:512;ports:[5-9]", "web"),
        "cpus:0.5",
        &reserved,
    )];
    let demand = Demand::of(&task).port(Port::Fixed(7));
    assert_eq!(demand.name(), "t");
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    let info = placement.launches()[0].task(&task);
    assert_eq!(info.agent_id.value, "S1");
    let sum = |resources: &[v1::Resource]| mesos_sdk::resources::Resources::from(resources);
    let own = sum(&info.resources);
    let executor = sum(&info.executor.as_ref().unwrap().resources);
    assert_eq!((own.cpus().as_f64(), executor.cpus().as_f64()), (1.0, 0.1));
    assert_eq!(
        (own.mem_mib().as_f64(), executor.mem_mib().as_f64()),
        (64.0, 32.0)
    );
    assert_eq!(own.ports().to_string(), "[7-7]");
    assert_eq!(own + executor, placement.launches()[0].resources);
}

#[test]
fn a_group_of_tasks_gets_what_each_asks_for() {
    let group = task::group(
        task::default_executor("pod"),
        vec![
            task::command("a", "serve").cpus(0.5).mem_mib(64.0),
            task::command("b", "log").cpus(0.2).mem_mib(32.0),
        ],
    );
    let demand = group
        .tasks()
        .iter()
        .fold(Demand::new("pod"), |demand, task| {
            demand.resources(task.resources())
        });
    let demand = demand
        .cpus(0.1)
        .mem_mib(32.0)
        .disk_mib(32.0)
        .port(Port::Any);
    let offers = [offer(1, "cpus:4;mem:512;disk:100;ports:[5-9]")];
    let placement = Placer::spread().place(&offers, &[demand], &[]);
    let operation: v1::offer::Operation = placement.launches()[0].group(&group).into();
    let launch = operation.launch_group.unwrap();
    let cpus = |resources: &[v1::Resource]| {
        mesos_sdk::resources::Resources::from(resources)
            .cpus()
            .as_f64()
    };
    let tasks = &launch.task_group.tasks;
    assert_eq!(cpus(&launch.executor.resources), 0.1);
    assert_eq!(
        [cpus(&tasks[0].resources), cpus(&tasks[1].resources)],
        [0.5, 0.2]
    );
    assert!(
        tasks[0]
            .resources
            .iter()
            .any(|resource| resource.name == "ports")
    );
}

#[test]
fn nothing_offered_and_nothing_wanted_are_fine() {
    let nothing: [v1::Offer; 0] = [];
    let demand = Demand::new("web").cpus(1.0);
    let placement = Placer::spread().place(&nothing, &[demand], &[]);
    assert_eq!(placement.missing(0), 1);
    assert_eq!(placement.explain(0), "");
    let placement = Placer::pack().place(&[offer(1, "cpus:1")], &[], &[]);
    assert!(placement.is_complete());
    assert_eq!(placement.unused_offers(), [0]);
}
