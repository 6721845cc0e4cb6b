//! Operations of operators: RESERVE_RESOURCES and its like.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::master::call::{self, Type};
use mesos_sdk::v1::scheduler::event;

use super::world::{Agent, World, operation, reserved, volume};
use crate::master::Reply;
use crate::messages::ToAgent;
use crate::security::Acls;

fn reserve(world: &mut World, agent: &Agent, source: &Resources, resources: &Resources) -> Reply {
    let reserve = call::ReserveResources {
        agent_id: agent.id.clone(),
        source: source.to_vec(),
        resources: resources.to_vec(),
    };
    world.operate(Type::ReserveResources, |call| {
        call.reserve_resources = Some(reserve);
    })
}

fn total(world: &World, agent: &Agent) -> Resources {
    let mut total = world.shown(agent).total_resources;
    for item in &mut total {
        item.role = None;
        item.reservation = None;
    }
    Resources::from(total)
}

fn plain(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

#[test]
fn offers_in_the_way_are_taken_back() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024;disk:1024");
    let f = world.framework("*");
    assert_eq!(world.offers(&f).len(), 1);
    world.told(agent.link);
    let reply = reserve(&mut world, &agent, &plain(""), &reserved("mem:64", "db"));
    assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    assert_eq!(world.kinds(&f), [event::Type::Rescind]);
    assert!(matches!(
        &world.told(agent.link)[..],
        [ToAgent::ApplyOperation {
            framework_id: None,
            ..
        }]
    ));
    let expected = plain("cpus:8;mem:960;disk:1024") + reserved("mem:64", "db");
    assert_eq!(total(&world, &agent), expected);
    // Not at once: whoever had it declines it for five seconds, as it were.
    world.pass(4.0);
    assert!(world.offers(&f).is_empty());
    world.pass(2.0);
    let offered = Resources::from(world.offers(&f)[0].resources.as_slice());
    assert_eq!(offered, plain("cpus:8;mem:960;disk:1024").allocate("*"));
}

#[test]
fn reservations_and_volumes_are_made_changed_and_undone() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024;disk:1024");
    let all = total(&world, &agent);
    let db = reserved("disk:64", "db");
    reserve(&mut world, &agent, &plain(""), &db);
    let web = reserved("disk:64", "web");
    assert_eq!(reserve(&mut world, &agent, &db, &web).status, 202);
    assert_eq!(
        total(&world, &agent),
        plain("cpus:8;mem:1024;disk:960") + web.clone()
    );
    let data = volume("web", "v", false);
    let agent_id = agent.id.clone();
    let volumes = vec![data.clone()];
    let create = call::CreateVolumes { agent_id, volumes };
    let twice = create.clone();
    let reply = world.operate(Type::CreateVolumes, |call| {
        call.create_volumes = Some(create);
    });
    assert_eq!(reply.status, 202, "{}", reply.body);
    let reply = world.operate(Type::CreateVolumes, |call| {
        call.create_volumes = Some(twice);
    });
    assert_eq!(reply.status, 400);
    assert!(
        reply.body.ends_with("Persistence ID 'v' is not unique"),
        "{}",
        reply.body
    );
    let shrink = call::ShrinkVolume {
        agent_id: Some(agent.id.clone()),
        volume: data.clone(),
        subtract: v1::value::Scalar { value: 16.0 },
    };
    let reply = world.operate(Type::ShrinkVolume, |call| call.shrink_volume = Some(shrink));
    assert_eq!(reply.status, 202, "{}", reply.body);
    let mut smaller = data;
    smaller.scalar = Some(v1::value::Scalar { value: 48.0 });
    let grow = call::GrowVolume {
        agent_id: Some(agent.id.clone()),
        volume: smaller,
        addition: reserved("disk:16", "web").into_vec().remove(0),
    };
    let reply = world.operate(Type::GrowVolume, |call| call.grow_volume = Some(grow));
    assert_eq!(reply.status, 202, "{}", reply.body);
    let destroy = call::DestroyVolumes {
        agent_id: agent.id.clone(),
        volumes: vec![volume("web", "v", false)],
    };
    let reply = world.operate(Type::DestroyVolumes, |call| {
        call.destroy_volumes = Some(destroy);
    });
    assert_eq!(reply.status, 202, "{}", reply.body);
    let unreserve = call::UnreserveResources {
        agent_id: agent.id.clone(),
        resources: web.into_vec(),
    };
    let reply = world.operate(Type::UnreserveResources, |call| {
        call.unreserve_resources = Some(unreserve);
    });
    assert_eq!(reply.status, 202, "{}", reply.body);
    assert_eq!(total(&world, &agent), all);
}

#[test]
fn what_a_task_holds_is_not_taken() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    world.run(&f, &offer, &agent, "t", "cpus:1;mem:1000");
    let reply = reserve(&mut world, &agent, &plain(""), &reserved("mem:64", "db"));
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (409, "cpus:7; mem:24 does not contain mem:64")
    );
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let mut agent = world.agent("cpus:8;mem:1024");
    let reply = reserve(&mut world, &agent, &plain(""), &plain("mem:64"));
    let start = format!(
        "Invalid RESERVE operation on agent {} at {} (localhost): ",
        agent.id.value, agent.registration.pid
    );
    assert_eq!(
        (reply.status, reply.body),
        (
            400,
            format!("{start}Resource mem:64 is not dynamically reserved")
        )
    );
    let allocated = reserved("mem:64", "db").allocate("db");
    let reply = reserve(&mut world, &agent, &plain(""), &allocated);
    assert!(
        reply
            .body
            .contains("only allows reservations to be made to unallocated")
    );
    agent.id = mesos_sdk::ids::agent_id("nope");
    let reply = reserve(&mut world, &agent, &plain(""), &reserved("mem:64", "db"));
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (400, "No agent found with specified ID")
    );
}

#[test]
fn rules_say_who_may_change_what() {
    let rule = |name: &str, objects: &str| {
        format!(
            r#""{name}": [{{"principals": {{"type": "ANY"}}, "{objects}": {{"type": "NONE"}}}}]"#
        )
    };
    let rules = [
        rule("unreserve_resources", "reserver_principals"),
        rule("create_volumes", "roles"),
        rule("destroy_volumes", "creator_principals"),
        rule("resize_volumes", "roles"),
    ];
    let text = format!(r#"{{"permissive": true, {}}}"#, rules.join(", "));
    let rules = Acls::parse(&text).unwrap();
    let mut world = World::with(|config| config.acls = rules.into());
    let agent = world.agent("cpus:8;mem:1024;disk:1024");
    let db = reserved("disk:64", "db");
    assert_eq!(reserve(&mut world, &agent, &plain(""), &db).status, 202);
    let (agent_id, resources) = (agent.id.clone(), db.to_vec());
    let unreserve = call::UnreserveResources {
        agent_id: agent_id.clone(),
        resources,
    };
    let reply = world.operate(Type::UnreserveResources, |call| {
        call.unreserve_resources = Some(unreserve);
    });
    assert_eq!((reply.status, reply.body.as_str()), (403, "403 Forbidden."));
    let volumes = vec![volume("db", "v", false)];
    let create = call::CreateVolumes { agent_id, volumes };
    let reply = world.operate(Type::CreateVolumes, |call| {
        call.create_volumes = Some(create);
    });
    assert_eq!(reply.status, 403);
    // A framework is told what it may not do.
    let f = world.framework("db");
    let offer = world.offers(&f).remove(0);
    let undo = v1::offer::Operation {
        unreserve: Some(v1::offer::operation::Unreserve {
            resources: db.to_vec(),
        }),
        ..operation(v1::offer::operation::Type::Unreserve, Some("undo"))
    };
    world.accept(&f, &offer, vec![undo]);
    let told = world.operation_updates(&f);
    assert_eq!(told[0].state(), v1::OperationState::OperationError);
    let text = "Any principal no authorized to perform action UNRESERVE_RESOURCES on ANY object";
    assert_eq!(told[0].message(), text);
}
