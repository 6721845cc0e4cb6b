//! Quotas as `alloc-quota` and `master-get_quota-set` show them.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::master::call::{self, Type};
use mesos_sdk::v1::quota::QuotaConfig;
use mesos_sdk::v1::scheduler::event;

use super::world::World;
use crate::master::Reply;

fn amounts(cpus: Option<f64>) -> impl Iterator<Item = (String, v1::value::Scalar)> {
    let scalar = |value| ("cpus".to_owned(), v1::value::Scalar { value });
    cpus.map(scalar).into_iter()
}

fn config(role: &str, guarantee: Option<f64>, limit: Option<f64>) -> QuotaConfig {
    QuotaConfig {
        role: role.to_owned(),
        guarantees: amounts(guarantee).collect(),
        limits: amounts(limit).collect(),
    }
}

fn update(world: &mut World, configs: Vec<QuotaConfig>) -> Reply {
    update_with(world, configs, false)
}

fn update_with(world: &mut World, configs: Vec<QuotaConfig>, force: bool) -> Reply {
    let update = call::UpdateQuota {
        force: Some(force),
        quota_configs: configs,
    };
    world.operate(Type::UpdateQuota, |call| call.update_quota = Some(update))
}

fn cpus(offer: &v1::Offer) -> f64 {
    Resources::from(offer.resources.as_slice()).cpus().as_f64()
}

/// The recorded scene, step by step.
#[test]
fn a_limit_cuts_offers_and_a_guarantee_is_held_back() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:8192;disk:20480;ports:[31000-32000]");
    let reply = update(&mut world, vec![config("a", None, Some(3.0))]);
    assert_eq!(reply.status, 200, "{}", reply.body);
    update(&mut world, vec![config("b", Some(4.0), None)]);
    let limited = world.framework("a");
    let offer = world.offers(&limited).remove(0);
    assert!((cpus(&offer) - 3.0).abs() < 1e-9);
    assert!(
        (Resources::from(offer.resources.as_slice())
            .mem_mib()
            .as_f64()
            - 8192.0)
            .abs()
            < 1e-9
    );
    world.run(&limited, &offer, &agent, "two-cpus", "cpus:2;mem:64");
    world.pass(1.0);
    let again = world.offers(&limited).remove(0);
    assert!((cpus(&again) - 1.0).abs() < 1e-9);
    let guaranteed = world.framework("b");
    let offer = world.offers(&guaranteed).remove(0);
    assert!((cpus(&offer) - 5.0).abs() < 1e-9);
    let default = world.framework("*");
    world.pass(3.0);
    assert!(world.offers(&default).is_empty());
}

#[test]
fn what_is_guaranteed_to_an_absent_role_is_kept() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    update(&mut world, vec![config("b", Some(5.0), None)]);
    let other = world.framework("*");
    assert!((cpus(&world.offers(&other)[0]) - 3.0).abs() < 1e-9);
    let guaranteed = world.framework("b");
    assert!((cpus(&world.offers(&guaranteed)[0]) - 5.0).abs() < 1e-9);
}

#[test]
fn offers_are_taken_back_to_make_room() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let f = world.framework("*");
    world.offers(&f);
    update(&mut world, vec![config("b", Some(4.0), None)]);
    assert_eq!(world.kinds(&f), [event::Type::Rescind]);
    world.pass(1.0);
    assert!((cpus(&world.offers(&f)[0]) - 4.0).abs() < 1e-9);
    // A limit below what is offered takes it back too.
    update(&mut world, vec![config("*", None, Some(1.0))]);
    assert_eq!(world.kinds(&f), [event::Type::Rescind]);
    world.pass(1.0);
    assert!((cpus(&world.offers(&f)[0]) - 1.0).abs() < 1e-9);
    // A quota that says nothing is none.
    update(
        &mut world,
        vec![config("*", None, None), config("b", None, None)],
    );
    assert!(world.master.operator_report().quota.configs.is_empty());
}

#[test]
fn quotas_that_make_no_sense_are_refused_unless_forced() {
    let mut world = World::new();
    let agent = world.agent("cpus:8;mem:1024");
    let f = world.framework("a");
    let offer = world.offers(&f).remove(0);
    world.run(&f, &offer, &agent, "t", "cpus:3;mem:32");
    for (wrong, text) in [
        (
            config("a/b", None, None),
            "Updating quota on nested role 'a/b' is not supported yet",
        ),
        (
            config("x", Some(2.0), Some(1.0)),
            "Invalid QuotaConfig: 'QuotaConfig.guarantees' cpus:2 is not contained within the \
             'QuotaConfig.limits' cpus:1",
        ),
        (
            config("x", None, Some(-1.0)),
            "Invalid QuotaConfig: Invalid limit configuration {'cpus': -1}: Negative values not \
             supported",
        ),
        (
            config("a", None, Some(2.0)),
            "Invalid QuotaConfig: Role 'a' is already consuming 'cpus:3; mem:32'; this is more \
             than the requested limits 'cpus:2' (use 'force' flag to bypass this check)",
        ),
        (
            config("x", Some(9.0), None),
            "Invalid QuotaConfig: total quota guarantees 'cpus:9' exceed cluster capacity \
             'cpus:8; mem:1024' (use 'force' flag to bypass this check)",
        ),
    ] {
        let reply = update(&mut world, vec![config("ok", None, Some(1.0)), wrong]);
        assert_eq!((reply.status, reply.body.as_str()), (400, text));
    }
    assert!(world.master.operator_report().quota.configs.is_empty());
    let reply = update_with(&mut world, vec![config("a", None, Some(2.0))], true);
    assert_eq!(reply.status, 200);
    world.fail_over();
    let report = world.master.operator_report();
    assert_eq!(report.quota.configs, [config("a", None, Some(2.0))]);
}

#[test]
fn the_older_calls_set_a_guarantee_that_is_a_limit() {
    let mut world = World::new();
    world.agent("cpus:8;mem:1024");
    let set = |world: &mut World, cpus: &str| {
        let quota_request = v1::quota::QuotaRequest {
            role: Some("a".to_owned()),
            guarantee: Resources::parse(cpus, "*").unwrap().into_vec(),
            force: None,
        };
        world.operate(Type::SetQuota, |call| {
            call.set_quota = Some(call::SetQuota { quota_request });
        })
    };
    assert_eq!(set(&mut world, "cpus:9").status, 409);
    assert_eq!(set(&mut world, "cpus:2").status, 200);
    let reply = set(&mut world, "cpus:3");
    assert_eq!(
        reply.body,
        "Failed to validate set quota request: Cannot set quota for role 'a' which already has \
         quota"
    );
    let report = world.master.operator_report();
    assert_eq!(report.quota.configs, [config("a", Some(2.0), Some(2.0))]);
    let remove = |world: &mut World| {
        world.operate(Type::RemoveQuota, |call| {
            call.remove_quota = Some(call::RemoveQuota {
                role: "a".to_owned(),
            });
        })
    };
    assert_eq!(remove(&mut world).status, 200);
    let reply = remove(&mut world);
    assert_eq!(
        reply.body,
        "Failed to remove quota: Role 'a' has no quota set"
    );
}
