//! Maintenance as `stream-drained`, `accept-inverse-offers` and
//! `master-get_maintenance_status-draining` show it.

use mesos_sdk::v1;
use mesos_sdk::v1::allocator::inverse_offer_status::Status;
use mesos_sdk::v1::maintenance::{Schedule, Window};
use mesos_sdk::v1::master::call::{self, Type};
use mesos_sdk::v1::scheduler::{self, event};

use super::world::{Framework, World};
use crate::master::Reply;
use crate::messages::ToAgent;

fn machine() -> v1::MachineId {
    v1::MachineId {
        hostname: Some("LocalHost".to_owned()),
        ip: Some("127.0.0.1".to_owned()),
    }
}

fn window(machines: Vec<v1::MachineId>) -> Window {
    Window {
        machine_ids: machines,
        unavailability: v1::Unavailability {
            start: v1::TimeInfo {
                nanoseconds: 2_000_000_000_000_000,
            },
            duration: Some(v1::DurationInfo {
                nanoseconds: 3_600_000_000_000,
            }),
        },
    }
}

fn schedule(world: &mut World, windows: Vec<Window>) -> Reply {
    world.operate(Type::UpdateMaintenanceSchedule, |call| {
        call.update_maintenance_schedule = Some(call::UpdateMaintenanceSchedule {
            schedule: Schedule { windows },
        });
    })
}

fn start(world: &mut World) -> Reply {
    let machines = vec![machine()];
    world.operate(Type::StartMaintenance, |call| {
        call.start_maintenance = Some(call::StartMaintenance { machines });
    })
}

fn stop(world: &mut World) -> Reply {
    let machines = vec![machine()];
    world.operate(Type::StopMaintenance, |call| {
        call.stop_maintenance = Some(call::StopMaintenance { machines });
    })
}

fn inverse_offers(events: &[scheduler::Event]) -> Vec<v1::InverseOffer> {
    let events = events
        .iter()
        .filter_map(|event| event.inverse_offers.as_ref());
    events
        .flat_map(|event| event.inverse_offers.clone())
        .collect()
}

fn answer(world: &mut World, f: &Framework, offer: &v1::InverseOffer) {
    let reply = world.call(
        f,
        scheduler::Call {
            r#type: Some(scheduler::call::Type::AcceptInverseOffers as i32),
            accept_inverse_offers: Some(scheduler::call::AcceptInverseOffers {
                inverse_offer_ids: vec![offer.id.clone()],
                filters: None,
            }),
            ..Default::default()
        },
    );
    assert_eq!(reply.status, 202);
}

#[test]
fn a_schedule_is_told_with_offers_and_inverse_offers() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    assert_eq!(world.offers(&f)[0].unavailability, None);
    assert_eq!(
        schedule(&mut world, vec![window(vec![machine()])]).status,
        200
    );
    let events = world.heard(&f);
    let kinds: Vec<_> = events.iter().map(scheduler::Event::r#type).collect();
    assert_eq!(
        kinds,
        [
            event::Type::Rescind,
            event::Type::Offers,
            event::Type::InverseOffers
        ]
    );
    let offered = &events[1].offers.as_ref().unwrap().offers[0];
    let planned = Some(window(vec![]).unavailability);
    assert_eq!(offered.unavailability, planned);
    let inverse = inverse_offers(&events);
    assert_eq!(Some(inverse[0].unavailability), planned);
    // It is not asked twice, and its answer is shown.
    world.pass(3.0);
    assert!(world.kinds(&f).is_empty());
    answer(&mut world, &f, &inverse[0]);
    let status = world.master.operator_report().cluster_status;
    let answers = &status.draining_machines[0].statuses;
    assert_eq!(answers[0].status(), Status::Accept);
    assert_eq!(answers[0].framework_id, f.id);
    // When its filter is over, it is asked again.
    world.pass(4.0);
    assert!(world.kinds(&f).is_empty());
    world.pass(2.5);
    let events = world.heard(&f);
    let again = inverse_offers(&events);
    assert_ne!(again[0].id, inverse[0].id);
    // The end of the plan takes everything back.
    assert_eq!(schedule(&mut world, vec![]).status, 200);
    let events = world.heard(&f);
    let kinds: Vec<_> = events.iter().map(scheduler::Event::r#type).collect();
    assert_eq!(
        kinds,
        [
            event::Type::Rescind,
            event::Type::RescindInverseOffer,
            event::Type::Offers
        ]
    );
    let status = world.master.operator_report().cluster_status;
    assert!(status.draining_machines.is_empty());
}

#[test]
fn a_framework_without_anything_on_the_machine_is_not_asked() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let g = world.framework("*");
    world.heard(&g);
    schedule(&mut world, vec![window(vec![machine()])]);
    let asked: usize = [&f, &g]
        .map(|framework| {
            let events = world.heard(framework);
            inverse_offers(&events).len()
        })
        .iter()
        .sum();
    assert_eq!(asked, 1);
}

#[test]
fn a_machine_that_is_down_has_no_agents() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    world.run(&f, &offer, &agent, "t", "cpus:1;mem:32");
    let reply = start(&mut world);
    assert_eq!(
        reply.body,
        "Machine '{\"hostname\":\"LocalHost\",\"ip\":\"127.0.0.1\"}' is not in DRAINING mode \
         and cannot be brought down"
    );
    schedule(&mut world, vec![window(vec![machine()])]);
    world.heard(&f);
    assert_eq!(start(&mut world).status, 200);
    let statuses = world.updates(&f);
    assert_eq!(statuses[0].state(), v1::TaskState::TaskLost);
    assert_eq!(
        statuses[0].message(),
        "Agent localhost removed: Operator initiated 'Machine DOWN'"
    );
    assert!(matches!(
        world.told(agent.link).last(),
        Some(ToAgent::Shutdown { .. })
    ));
    let report = world.master.operator_report();
    assert_eq!(report.cluster_status.down_machines, [machine()]);
    // It stays so under another master, and no agent is let in.
    world.fail_over();
    let back = world.come_back(&agent, vec![]);
    assert!(matches!(
        world.told(back.link)[..],
        [ToAgent::Shutdown { ref message }] if message == "Machine is `DOWN`"
    ));
    let reply = schedule(&mut world, vec![]);
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("cannot be removed from the schedule"));
    assert_eq!(stop(&mut world).status, 200);
    assert_eq!(world.master.operator_report().schedule, Schedule::default());
    let back = world.come_back(&agent, vec![]);
    assert!(matches!(
        world.told(back.link)[..],
        [ToAgent::Reregistered { .. }]
    ));
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let cases = [
        (
            window(vec![]),
            "List of machines in the maintenance window is empty",
        ),
        (
            window(vec![v1::MachineId::default()]),
            "Both 'hostname' and 'ip' for a machine are empty",
        ),
        (
            window(vec![machine(), machine()]),
            "Machine '{\"hostname\":\"LocalHost\",\"ip\":\"127.0.0.1\"}' appears more than once \
             in the schedule",
        ),
    ];
    for (window, text) in cases {
        let reply = schedule(&mut world, vec![window]);
        assert_eq!((reply.status, reply.body.as_str()), (400, text));
    }
    let reply = stop(&mut world);
    assert!(
        reply
            .body
            .ends_with("is not part of a maintenance schedule"),
        "{}",
        reply.body
    );
}

#[test]
fn an_agent_in_a_schedule_is_not_drained_besides() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    schedule(&mut world, vec![window(vec![machine()])]);
    let agent_id = agent.id.clone();
    let reply = world.operate(Type::DrainAgent, |call| {
        call.drain_agent = Some(call::DrainAgent {
            agent_id,
            ..Default::default()
        });
    });
    let expected = format!(
        "Agent {} is part of a maintenance schedule under Machine LocalHost (127.0.0.1)",
        agent.id.value
    );
    assert_eq!((reply.status, reply.body), (400, expected));
}
