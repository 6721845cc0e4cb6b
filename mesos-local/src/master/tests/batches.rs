//! When the resources that become free are offered: with the next batch, as
//! the scenes `alloc-*` show it.

use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::{self, call};

use super::world::{Framework, World};
use crate::master::Input;

fn decline(world: &mut World, framework: &Framework, offer: &v1::Offer, seconds: f64) {
    let call = scheduler::Call {
        r#type: Some(call::Type::Decline as i32),
        decline: Some(call::Decline {
            offer_ids: vec![offer.id.clone()],
            filters: Some(v1::Filters {
                refuse_seconds: Some(seconds),
            }),
        }),
        ..Default::default()
    };
    assert_eq!(world.call(framework, call).status, 202);
}

#[test]
fn what_is_declined_after_a_rest_waits_for_the_next_batch() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    // Nothing changes for some batches, then something does between two.
    world.pass(7.5);
    decline(&mut world, &f, &offer, 0.0);
    assert!(world.offers(&f).is_empty());
    world.pass(0.4);
    assert!(world.offers(&f).is_empty());
    world.pass(0.2);
    assert_eq!(world.offers(&f).len(), 1);
}

#[test]
fn a_filter_that_ends_between_two_batches_ends_with_the_second() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    world.pass(0.5);
    decline(&mut world, &f, &offer, 5.0);
    world.pass(5.2);
    // Something else happens after the filter has ended.
    world.step(Input::Tick);
    assert!(world.offers(&f).is_empty());
    world.pass(0.4);
    assert_eq!(world.offers(&f).len(), 1);
}

#[test]
fn what_a_framework_held_is_free_when_it_is_removed() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    let offer = world.offers(&f).remove(0);
    world.run(&f, &offer, &agent, "t", "cpus:2;mem:64");
    let teardown = scheduler::Call {
        r#type: Some(call::Type::Teardown as i32),
        ..Default::default()
    };
    assert_eq!(world.call(&f, teardown).status, 202);
    let next = world.framework("*");
    let offers = world.offers(&next);
    let resources = offers.iter().flat_map(|offer| &offer.resources);
    let cpus = resources.filter(|resource| resource.name == "cpus");
    let sum: f64 = cpus.filter_map(|cpus| Some(cpus.scalar?.value)).sum();
    assert!((sum - 8.0).abs() < 1e-6, "{sum}");
}
