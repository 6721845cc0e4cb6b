//! Weights as `alloc-weights-3-roles` and `master-update_weights` show them.

use mesos_sdk::v1;
use mesos_sdk::v1::master::call::{self, Type};
use mesos_sdk::v1::scheduler::event;

use super::world::World;
use crate::master::Reply;

fn set(world: &mut World, weights: &[(&str, f64)]) -> Reply {
    let weight_infos = weights
        .iter()
        .map(|(role, weight)| v1::WeightInfo {
            role: Some((*role).to_owned()),
            weight: *weight,
        })
        .collect();
    world.operate(Type::UpdateWeights, |call| {
        call.update_weights = Some(call::UpdateWeights { weight_infos });
    })
}

#[test]
fn weights_are_shown_and_outlive_the_master() {
    let mut world = World::new();
    assert_eq!(set(&mut world, &[("db", 2.5), (" web ", 1.0)]).status, 200);
    world.fail_over();
    let shown = world.master.operator_report().weights;
    let shown: Vec<_> = shown.iter().map(|w| (w.role(), w.weight)).collect();
    assert_eq!(shown, [("db", 2.5), ("web", 1.0)]);
}

#[test]
fn a_weight_that_is_wrong_spoils_the_call() {
    let mut world = World::new();
    let reply = set(&mut world, &[("db", 2.0), ("web", 0.0)]);
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.body,
        "Failed to validate update weights request JSON for role 'web': Invalid weight '0': \
         Weights must be positive"
    );
    let reply = set(&mut world, &[("a//b", 1.0)]);
    assert!(reply.body.contains("Invalid role 'a//b'"), "{}", reply.body);
    assert!(world.master.operator_report().weights.is_empty());
}

#[test]
fn offers_follow_new_weights() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let f = world.framework("db");
    assert_eq!(world.offers(&f).len(), 1);
    set(&mut world, &[("other", 2.0)]);
    assert!(world.kinds(&f).is_empty());
    set(&mut world, &[("db", 2.0)]);
    assert_eq!(world.kinds(&f), [event::Type::Rescind]);
    world.pass(1.0);
    assert_eq!(world.kinds(&f), [event::Type::Offers]);
}
