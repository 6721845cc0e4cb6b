//! Shared volumes, revocable resources, and the formats that frameworks ask for
//! with their capabilities.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use v1::framework_info::capability::Type as Capability;

use super::world::{
    Agent, Framework, World, capability, create, destroy, operation, reserve, reserved, volume,
};
use crate::messages::ToAgent;

fn sharing(world: &mut World) -> Framework {
    world.framework_with(|info| {
        info.roles = vec!["db".to_owned()];
        info.capabilities
            .push(capability(Capability::SharedResources));
    })
}

fn shared_of(offer: &v1::Offer) -> Option<&v1::Resource> {
    offer.resources.iter().find(|item| item.shared.is_some())
}

fn use_volume(world: &mut World, f: &Framework, offer: &v1::Offer, agent: &Agent, id: &str) {
    let mut task = v1::TaskInfo {
        name: id.to_owned(),
        task_id: mesos_sdk::ids::task_id(id),
        agent_id: agent.id.clone(),
        resources: Resources::parse("cpus:1;mem:32", "*")
            .unwrap()
            .allocate("db")
            .into_vec(),
        command: Some(v1::CommandInfo {
            value: Some("true".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    task.resources.extend(shared_of(offer).cloned());
    let launch = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch as i32),
        launch: Some(v1::offer::operation::Launch {
            task_infos: vec![task],
        }),
        ..Default::default()
    };
    world.accept(f, offer, vec![launch]);
    world.update(f, agent, id, v1::TaskState::TaskRunning);
    let told = world.updates(f);
    assert!(
        told.iter()
            .all(|status| status.state() == v1::TaskState::TaskRunning)
    );
}

#[test]
fn a_shared_volume_is_offered_to_many_and_outlives_its_users() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024;disk:1024");
    let f = sharing(&mut world);
    let offer = world.offers(&f).remove(0);
    let make = vec![
        reserve(&reserved("disk:64", "db"), None),
        create(volume("db", "v", true), None),
    ];
    world.accept(&f, &offer, make);
    world.pass(1.0);
    let offer = world.offers(&f).remove(0);
    assert!(shared_of(&offer).is_some());
    use_volume(&mut world, &f, &offer, &agent, "one");
    let g = sharing(&mut world);
    world.pass(1.0);
    let mut offers = world.offers(&f);
    offers.extend(world.offers(&g));
    // One that has no such capability is not offered it.
    assert!(offers.iter().all(|offer| shared_of(offer).is_some()));
    let offer = offers.remove(0);
    let user = if offer.framework_id == f.id { &f } else { &g };
    use_volume(&mut world, user, &offer, &agent, "two");
    world.pass(1.0);
    // It cannot be destroyed while it is used.
    world.pass(1.0);
    let mut offers = world.offers(&f);
    offers.extend(world.offers(&g));
    let offer = offers.pop().expect("the rest is offered");
    let user = if offer.framework_id == f.id { &f } else { &g };
    let data = shared_of(&offer).cloned().unwrap();
    world.accept(user, &offer, vec![destroy(data.clone(), Some("early"))]);
    let told = world.operation_updates(user);
    assert_eq!(told[0].message(), "Persistent volumes in use");
    world.update(&f, &agent, "one", v1::TaskState::TaskFinished);
    let second = if world.master.tasks_report().tasks[0].framework_id == f.id {
        &f
    } else {
        &g
    };
    world.update(second, &agent, "two", v1::TaskState::TaskFinished);
    world.pass(1.0);
    let mut offers = world.offers(&f);
    offers.extend(world.offers(&g));
    let offer = offers.pop().expect("everything is offered");
    let user = if offer.framework_id == f.id { &f } else { &g };
    world.told(agent.link);
    world.accept(user, &offer, vec![destroy(data, Some("late"))]);
    world.confirm(&agent);
    let told = world.operation_updates(user);
    assert_eq!(told[0].state(), v1::OperationState::OperationFinished);
}

#[test]
fn revocable_resources_go_to_those_who_want_them() {
    let mut world = World::new();
    world.agent_with("cpus:2;mem:64", "cpus:6");
    let plain = world.framework("*");
    let offered = Resources::from(world.offers(&plain)[0].resources.as_slice());
    assert_eq!(
        offered,
        Resources::parse("cpus:2;mem:64", "*")
            .unwrap()
            .allocate("*")
    );
    let wanting = world.framework_with(|info| {
        info.capabilities
            .push(capability(Capability::RevocableResources));
    });
    let offer = world.offers(&wanting).remove(0);
    assert!(offer.resources.iter().all(|item| item.revocable.is_some()));
    let cpus = Resources::from(offer.resources.as_slice()).cpus();
    assert!((cpus.as_f64() - 6.0).abs() < 1e-9);
}

#[test]
fn older_frameworks_are_offered_the_older_format() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("db");
    let offer = world.offers(&f).remove(0);
    world.accept(&f, &offer, vec![reserve(&reserved("mem:64", "db"), None)]);
    world.confirm(&agent);
    let teardown = v1::scheduler::Call {
        r#type: Some(v1::scheduler::call::Type::Teardown as i32),
        ..Default::default()
    };
    world.call(&f, teardown);
    let old = world.framework_with(|info| {
        info.roles.clear();
        info.role = Some("db".to_owned());
        info.capabilities.clear();
    });
    world.pass(1.0);
    let offer = world.offers(&old).remove(0);
    assert_eq!(offer.allocation_info, None);
    let reserved = offer.resources.iter().find(|item| item.role() == "db");
    let reserved = reserved.expect("the reservation");
    assert!(reserved.reservation.is_some() && reserved.reservations.is_empty());
    assert!(reserved.allocation_info.is_none());
    let free = offer.resources.iter().filter(|item| item.role() == "*");
    assert_eq!(free.count(), 2);
}

#[test]
fn older_frameworks_speak_the_older_format() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let old = world.framework_with(|info| {
        info.roles.clear();
        info.role = Some("db".to_owned());
        info.capabilities.clear();
    });
    let offer = world.offers(&old).remove(0);
    let mem = |role: &str| v1::Resource {
        name: "mem".to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 64.0 }),
        role: Some(role.to_owned()),
        ..Default::default()
    };
    let mut for_db = mem("db");
    for_db.reservation = Some(v1::resource::ReservationInfo::default());
    let mut reserve = reserve(&Resources::new(), Some("first"));
    reserve.reserve.as_mut().unwrap().resources = vec![for_db.clone()];
    world.accept(&old, &offer, vec![reserve]);
    world.confirm(&agent);
    let told = world.operation_updates(&old);
    assert_eq!(told[0].state(), v1::OperationState::OperationFinished);
    world.told(agent.link);
    world.pass(1.0);
    let offer = world.offers(&old).remove(0);
    assert!(offer.resources.contains(&for_db), "{:?}", offer.resources);
    // Without a role a resource is of all roles.
    let mut cpus = mem("*");
    (cpus.name, cpus.role) = ("cpus".to_owned(), None);
    cpus.scalar = Some(v1::value::Scalar { value: 1.0 });
    let task = v1::TaskInfo {
        name: "old".to_owned(),
        task_id: mesos_sdk::ids::task_id("old"),
        agent_id: agent.id.clone(),
        resources: vec![cpus, for_db],
        command: Some(v1::CommandInfo {
            value: Some("true".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let launch = v1::offer::Operation {
        launch: Some(v1::offer::operation::Launch {
            task_infos: vec![task],
        }),
        ..operation(v1::offer::operation::Type::Launch, None)
    };
    world.accept(&old, &offer, vec![launch]);
    // The agent hears of it in the format of today.
    let told = world.told(agent.link);
    let [ToAgent::RunTask { task, .. }] = &told[..] else {
        panic!("{told:?}");
    };
    let expected = Resources::parse("cpus:1", "*").unwrap() + reserved("mem:64", "db");
    assert_eq!(
        Resources::from(task.resources.as_slice()),
        expected.allocate("db")
    );
    let is_of_today = |item: &v1::Resource| item.role.is_none() && item.reservation.is_none();
    assert!(task.resources.iter().all(is_of_today), "{task:?}");
}
