//! Pods: several tasks that live and die together, in the same ways as apps.

use std::collections::BTreeSet;

use mesos_sdk::v1::TaskState;
use serde_json::{Value, json};

use crate::app::UpgradeStrategy;
use crate::deployment::Action;
use crate::input::read;
use crate::instance::Condition;
use crate::request::{Deployed, Kill, Refusal, Reply, Request};

use super::world::World;

fn pod(id: &str, instances: u32) -> Value {
    json!({
        "id": id,
        "labels": {"team": "shop"},
        "environment": {"BOTH": "pod", "OVER": "pod"},
        "containers": [
            {
                "name": "web",
                "exec": {"command": {"shell": "serve"}},
                "resources": {"cpus": 0.5, "mem": 64},
                "endpoints": [{"name": "http", "hostPort": 0}, {"name": "admin"}],
                "environment": {"OVER": "container"},
                "volumeMounts": [{"name": "shared", "mountPath": "data"}],
            },
            {
                "name": "log",
                "exec": {"command": {"argv": ["/bin/ship", "logs"]}},
                "resources": {"cpus": 0.1, "mem": 32},
            },
        ],
        "volumes": [{"name": "shared"}],
        "scaling": {"kind": "fixed", "instances": instances},
    })
}

fn try_create(world: &mut World, body: &Value) -> Result<Deployed, Refusal> {
    match world.ask(Request::CreatePod {
        input: Box::new(read(body.to_string().as_bytes()).unwrap()),
        force: false,
    }) {
        Reply::Deployed(deployed) => Ok(deployed),
        Reply::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

fn update(world: &mut World, id: &str, body: &Value) -> Reply {
    world.ask(Request::UpdatePod {
        id: id.parse().unwrap(),
        input: Box::new(read(body.to_string().as_bytes()).unwrap()),
        force: false,
    })
}

fn variable<'a>(task: &'a mesos_sdk::v1::TaskInfo, name: &str) -> Option<&'a str> {
    let command = task.command.as_ref().unwrap();
    let variables = command.environment.as_ref().unwrap().variables.iter();
    let mut named = variables.filter(|variable| variable.name == name);
    named.next().and_then(|variable| variable.value.as_deref())
}

#[test]
fn one_that_has_a_port_of_one_host_goes_before_the_next_comes() {
    let mut world = World::new();
    let mut body = pod("/pod", 1);
    body["containers"][0]["endpoints"][0]["hostPort"] = json!(31_005);
    let constraints = json!([{"fieldName": "hostname", "operator": "is", "value": "host1"}]);
    body["scheduling"] = json!({"placement": {"constraints": constraints}});
    try_create(&mut world, &body).unwrap();
    let made = world.state.root.pod(&"/pod".parse().unwrap()).unwrap();
    assert_eq!(made.scheduling.upgrade, UpgradeStrategy::single());
    world.settle();
    body["scheduling"]["upgrade"] = json!({"minimumHealthCapacity": 1, "maximumOverCapacity": 1});
    let Reply::Refused(Refusal::Invalid(wrong)) = update(&mut world, "/pod", &body) else {
        panic!("not refused");
    };
    let at = "/scheduling/upgrade/minimumHealthCapacity";
    assert_eq!(wrong.details()[0].path, at, "{wrong}");
}

#[test]
fn an_instance_has_a_task_for_each_container() {
    let mut world = World::new();
    try_create(&mut world, &pod("/shop/pod", 2)).unwrap();
    world.settle();
    assert!(world.state.deployments.is_empty());
    assert_eq!(world.tasks.len(), 4);
    let running = world.running("/shop/pod");
    assert_eq!(running.len(), 2);
    for instance in &running {
        let names: Vec<_> = instance
            .tasks
            .iter()
            .map(|it| it.container.clone())
            .collect();
        assert_eq!(names, [Some("web".to_owned()), Some("log".to_owned())]);
        let ports = &instance.place.as_ref().unwrap().ports;
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 2);
        assert!(ports.iter().all(|port| (31_000..32_000).contains(port)));
    }
    let (web, log) = (&world.launched[0], &world.launched[1]);
    assert_eq!((web.name.as_str(), log.name.as_str()), ("web", "log"));
    let id = &web.task_id.value;
    assert!(id.ends_with(".web.1"), "{id}");
    assert_eq!(variable(web, "OVER"), Some("container"));
    assert_eq!(variable(log, "OVER"), Some("pod"));
    assert_eq!(variable(log, "BOTH"), Some("pod"));
    assert_eq!(variable(log, "MARATHON_CONTAINER_ID"), Some("log"));
    let both = [web, log].map(|task| variable(task, "ENDPOINT_HTTP"));
    assert!(both[0].is_some() && both[0] == both[1], "{both:?}");
    let words = &log.command.as_ref().unwrap().arguments;
    assert_eq!(words, &["/bin/ship", "logs"]);
    let amount = |task: &mesos_sdk::v1::TaskInfo, name: &str| -> f64 {
        let named = task.resources.iter().filter(|it| it.name == name);
        named.filter_map(|it| it.scalar).map(|it| it.value).sum()
    };
    assert_eq!((amount(web, "cpus"), amount(web, "mem")), (0.5, 64.0));
    assert_eq!((amount(log, "cpus"), amount(log, "mem")), (0.1, 32.0));
    let kinds = world.kinds();
    assert!(kinds.contains(&"deployment_success"), "{kinds:?}");
}

#[test]
fn when_one_container_fails_the_instance_ends_and_starts_again_as_a_whole() {
    let mut world = World::new();
    try_create(&mut world, &pod("/pod", 1)).unwrap();
    world.settle();
    let before = world.running("/pod")[0].clone();
    let [web, log] = ["web", "log"].map(|name| before.id_of(Some(name.to_owned())).to_string());
    world.tell(&web, TaskState::TaskFailed);
    let half = &world.state.instances[&before.id];
    assert_eq!(half.condition, Condition::Failed);
    assert_eq!(half.incarnation, 1, "the other one still runs");
    assert!(world.state.delays.is_empty());
    world.tell(&log, TaskState::TaskKilled);
    assert_eq!(world.state.delays.len(), 1);
    world.settle();
    let after = world.running("/pod")[0].clone();
    assert_eq!((after.id, after.incarnation), (before.id, 2));
    let failure = &world.state.failures[&"/pod".parse().unwrap()];
    assert_eq!(failure.task_id, web);
    assert_eq!(world.tasks.len(), 2);
}

#[test]
fn a_container_may_finish_while_others_go_on() {
    let mut world = World::new();
    try_create(&mut world, &pod("/pod", 1)).unwrap();
    world.settle();
    let instance = world.running("/pod")[0].clone();
    let log = instance.id_of(Some("log".to_owned())).to_string();
    world.tell(&log, TaskState::TaskFinished);
    world.settle();
    assert_eq!(world.running("/pod")[0].incarnation, 1);
    assert_eq!(world.tasks.len(), 1);
}

#[test]
fn pods_are_scaled_changed_and_deleted_like_apps() {
    let mut world = World::new();
    try_create(&mut world, &pod("/pod", 2)).unwrap();
    world.settle();
    let config = |world: &World| world.running("/pod")[0].config;
    let (old, ids) = (config(&world), |world: &World| -> BTreeSet<_> {
        world.running("/pod").into_iter().map(|it| it.id).collect()
    });
    let first = ids(&world);
    assert!(matches!(
        update(&mut world, "/pod", &pod("/pod", 3)),
        Reply::Deployed(_)
    ));
    world.settle();
    assert_eq!(world.running("/pod").len(), 3);
    assert!(first.is_subset(&ids(&world)), "none was replaced");
    let mut changed = pod("/pod", 3);
    changed["containers"][0]["resources"]["mem"] = 100.into();
    update(&mut world, "/pod", &changed);
    world.settle();
    assert_eq!(world.running("/pod").len(), 3);
    assert!(first.is_disjoint(&ids(&world)), "all were replaced");
    assert!(config(&world) > old);
    let versions = &world.state.versions[&"/pod".parse().unwrap()];
    assert_eq!(versions.len(), 3);
    let one = ids(&world).pop_first().unwrap();
    let Reply::Killed(killed) = world.ask(Request::Kill {
        instances: Kill::OfPod {
            id: "/pod".parse().unwrap(),
            instances: vec![one.to_string()],
        },
        scale: false,
        wipe: false,
        force: false,
    }) else {
        panic!("not killed");
    };
    assert_eq!(killed.len(), 1);
    world.settle();
    assert!(!ids(&world).contains(&one) && ids(&world).len() == 3);
    let id = "/pod".parse().unwrap();
    world.ask(Request::DeletePod { id, force: false });
    world.settle();
    assert!(world.tasks.is_empty() && world.state.instances.is_empty());
}

#[test]
fn pods_and_apps_share_paths_plans_and_groups() {
    let mut world = World::new();
    world.create(json!({"id": "/app", "cmd": "sleep 100"}));
    let refusal = try_create(&mut world, &pod("/app", 1)).unwrap_err();
    assert!(matches!(refusal, Refusal::Exists(_)));
    try_create(&mut world, &pod("/pod", 1)).unwrap();
    let refusal = world.try_create(json!({"id": "/pod", "cmd": "sleep 100"}));
    assert!(matches!(refusal, Err(Refusal::Exists(_))));
    world.settle();
    let group = json!({
        "dependencies": [],
        "apps": [{"id": "front", "cmd": "sleep 100", "dependencies": ["/shop/back"]}],
        "pods": [pod("back", 1)],
    });
    world.put_group("/shop", group).unwrap();
    let plan = &world.state.deployments.values().next().unwrap().plan;
    let steps: Vec<Vec<_>> = plan
        .steps
        .iter()
        .map(|step| step.iter().map(Action::shown).collect())
        .collect();
    assert_eq!(
        json!(steps),
        json!([
            [
                {"action": "StartPod", "pod": "/shop/back"},
                {"action": "StartApplication", "app": "/shop/front"},
            ],
            [{"action": "ScalePod", "pod": "/shop/back"}],
            [{"action": "ScaleApplication", "app": "/shop/front"}],
        ])
    );
    world.settle();
    assert_eq!(world.running("/shop/back").len(), 1);
    assert_eq!(world.running("/shop/front").len(), 1);
    world.put_group("/shop", json!({"pods": []})).unwrap();
    world.settle();
    assert!(world.running("/shop/back").is_empty());
    world.restart();
    world.settle();
    assert_eq!(world.running("/pod").len(), 1);
    assert_eq!(world.running("/shop/front").len(), 1);
}

#[test]
fn what_is_wrong_with_a_pod_is_told_where_it_is() {
    let mut world = World::new();
    let mut body = pod("/pod", 1);
    body["containers"][1]["name"] = "web".into();
    body["containers"][0]["endpoints"][0]["containerPort"] = 80.into();
    body["containers"][0]["volumeMounts"][0]["name"] = "other".into();
    body["containers"][0]["healthCheck"] = json!({"tcp": {"endpoint": "none"}});
    body["scheduling"] = json!({
        "placement": {"constraints": [{"fieldName": "hostname", "operator": "NEAR"}]},
    });
    let Err(Refusal::Invalid(wrong)) = try_create(&mut world, &body) else {
        panic!("it was taken");
    };
    let paths: Vec<_> = wrong.details().into_iter().map(|it| it.path).collect();
    assert_eq!(
        paths,
        [
            "/containers",
            "/containers(0)/endpoints(0)/containerPort",
            "/containers(0)/healthCheck/endpoint",
            "/containers(0)/volumeMounts(0)/name",
            "/scheduling/placement/constraints(0)",
            "/volumes(0)",
        ]
    );
}
