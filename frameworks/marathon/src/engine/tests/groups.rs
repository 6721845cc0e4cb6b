//! Groups: whose role is in them, what they held, and names that are taken.

use std::collections::BTreeSet;

use serde_json::json;

use crate::effects::Call;
use crate::path_id::PathId;
use crate::request::{Refusal, Reply, Request};
use crate::state::Settings;
use crate::timestamp::Timestamp;

use super::world::World;

fn path(text: &str) -> PathId {
    text.parse().unwrap()
}

fn role_of(world: &World, app: &str) -> String {
    world.state.root.app(&path(app)).unwrap().role.clone()
}

fn delete(world: &mut World, app: &str) -> Timestamp {
    let id = path(app);
    let force = true;
    match world.ask(Request::DeleteApp { id, force }) {
        Reply::Deployed(deployed) => deployed.version,
        other => panic!("{other:?}"),
    }
}

#[test]
fn apps_of_new_groups_have_their_role_where_that_is_asked_for() {
    let settings = Settings {
        new_groups_enforce_role: true,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    assert_eq!(role_of(&world, "/web"), "*");
    world.create(json!({"id": "/shop/cart/web", "cmd": "sleep 100"}));
    assert_eq!(role_of(&world, "/shop/cart/web"), "shop");
    let enforces = |group: &str| world.state.root.group(&path(group)).unwrap().enforce_role;
    assert!(enforces("/shop") && !enforces("/shop/cart") && !enforces("/"));
    let other = world.try_create(json!({"id": "/shop/db", "cmd": "sleep 1", "role": "*"}));
    let Err(Refusal::Invalid(wrong)) = other else {
        panic!("{other:?}");
    };
    assert_eq!(wrong.to_string(), "/role: is not one of (shop)");

    let body = json!({"enforceRole": false, "apps": [{"id": "a", "cmd": "sleep 100"}]});
    world.put_group("/free", body).unwrap();
    assert_eq!(role_of(&world, "/free/a"), "*");
}

#[test]
fn the_master_is_told_of_new_roles_and_offers_in_them() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    let told = |world: &World| -> Vec<BTreeSet<String>> {
        let calls = world.calls.iter();
        let roles = calls.filter_map(|call| match call {
            Call::Roles { roles, .. } => Some(roles.clone()),
            _ => None,
        });
        roles.collect()
    };
    assert_eq!(told(&world), []);
    let roles = || BTreeSet::from(["*".to_owned(), "shop".to_owned()]);
    let of_shop = json!({"id": "/shop/web", "cmd": "sleep 100", "role": "shop"});
    world.create(of_shop.clone());
    assert_eq!(told(&world), [roles()]);
    // Once is enough, but whether it came is not known after another connection.
    delete(&mut world, "/shop/web");
    assert_eq!(told(&world), [roles()]);
    world.create(of_shop);
    world.subscribe();
    assert_eq!(told(&world), [roles(), roles()]);
    // A process that begins knows from the start.
    world.restart();
    assert_eq!(told(&world), [roles(), roles()]);
}

#[test]
fn whether_a_group_enforces_its_role_may_be_changed_by_itself() {
    let mut world = World::new();
    world.create(json!({"id": "/shop/cart/web", "cmd": "sleep 100"}));
    let patch = |world: &mut World, id: &str, enforce_role| {
        let id = path(id);
        world.ask(Request::PatchGroup { id, enforce_role })
    };
    assert!(matches!(
        patch(&mut world, "/shop", Some(true)),
        Reply::Done
    ));
    assert_eq!(role_of(&world, "/shop/cart/web"), "*", "it keeps its own");
    world.settle();
    world.update("/shop/cart/web", json!({"instances": 2}));
    world.settle();
    world.create(json!({"id": "/shop/db", "cmd": "sleep 100"}));
    assert_eq!(role_of(&world, "/shop/db"), "shop");
    world.restart();
    let both = json!({"enforceRole": false, "apps": []});
    let Err(Refusal::Invalid(wrong)) = world.put_group("/shop", both) else {
        panic!("it was taken");
    };
    assert!(wrong.to_string().starts_with("/enforceRole: "), "{wrong}");
    assert!(matches!(patch(&mut world, "/shop", None), Reply::Done));
    world.create(json!({"id": "/shop/x", "cmd": "sleep 100"}));
    assert_eq!(role_of(&world, "/shop/x"), "*");
    for (id, is_there) in [("/shop/cart", true), ("/", true), ("/nobody", false)] {
        let refused = patch(&mut world, id, Some(true));
        let is_so = match refused {
            Reply::Refused(Refusal::Invalid(_)) => is_there,
            Reply::Refused(Refusal::NotFound(_)) => !is_there,
            _ => false,
        };
        assert!(is_so, "{id}: {refused:?}");
    }
}

#[test]
fn a_group_is_known_as_it_was() {
    let mut world = World::new();
    let mut versions = Vec::new();
    for id in ["/g/a", "/g/in/b"] {
        let made = world.create(json!({"id": id, "cmd": "sleep 100"}));
        versions.push(made.version);
        world.settle();
    }
    versions.push(delete(&mut world, "/g/a"));
    world.settle();
    versions.push(world.update("/g/in/b", json!({"instances": 3})).version);
    world.create(json!({"id": "/other", "cmd": "sleep 100"}));
    world.settle();
    world.restart();
    let group = path("/g");
    assert_eq!(
        world.state.versions_of_group(&group),
        Some(versions.iter().copied().collect())
    );
    let then = |at: usize| -> Vec<(String, u32)> {
        let root = world.state.group_then(&group, versions[at]).unwrap();
        assert_eq!(root.group(&group).unwrap().version, versions[at]);
        let specs = root.specs();
        specs
            .map(|it| (it.id().to_string(), it.instances()))
            .collect()
    };
    let of = |id: &str, count| (id.to_owned(), count);
    assert_eq!(then(0), [of("/g/a", 1)]);
    assert_eq!(then(1), [of("/g/a", 1), of("/g/in/b", 1)]);
    assert_eq!(then(2), [of("/g/in/b", 1)]);
    assert_eq!(then(3), [of("/g/in/b", 3)]);
    let never = Timestamp::from_millis(5);
    assert!(world.state.group_then(&group, never).is_none());
    assert!(world.state.versions_of_group(&path("/nobody")).is_none());

    world
        .put_group("/g", json!({"version": versions[1]}))
        .unwrap();
    assert_eq!(world.state.root.specs_in(&group).count(), 2);
    assert_eq!(world.state.root.app(&path("/g/in/b")).unwrap().instances, 1);
}

#[test]
fn what_went_long_ago_is_forgotten() {
    let settings = Settings {
        max_versions: 2,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    for id in ["/a", "/b", "/c", "/d"] {
        world.create(json!({"id": id, "cmd": "sleep 100", "instances": 0}));
        delete(&mut world, id);
    }
    world.restart();
    let known: Vec<String> = world.state.versions.keys().map(PathId::to_string).collect();
    assert_eq!(known, ["/c", "/d"]);
    assert_eq!(world.state.deleted.len(), 2);
}

#[test]
fn no_app_has_the_path_of_a_group() {
    let mut world = World::new();
    world.create(json!({"id": "/shop/web", "cmd": "sleep 100"}));
    for id in ["/shop", "/shop/web/x"] {
        let refused = world.try_create(json!({"id": id, "cmd": "sleep 100"}));
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    }
    let body = json!({"groups": [{"id": "x"}], "apps": [{"id": "x", "cmd": "sleep 100"}]});
    let refused = world.put_group("/both", body);
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    for body in [
        json!({"version": Timestamp::from_millis(5), "apps": []}),
        json!({"scaleBy": 2, "dependencies": []}),
        json!({"dependencies": ["/shop/web"]}),
        json!({"dependencies": ["/"]}),
    ] {
        let refused = world.put_group("/shop", body);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    }
}
