//! Apps as they come, change, fail and go.

use std::collections::BTreeSet;
use std::time::Duration;

use mesos_sdk::v1::TaskState;
use serde_json::json;

use crate::instance::{Condition, Instance};
use crate::request::{Refusal, Reply, Request};
use crate::state::Settings;

use super::world::World;

#[test]
fn more_and_fewer_instances_keep_those_that_run() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.settle();
    let first = world.running("/web")[0].id.clone();
    world.update("/web", json!({"instances": 4}));
    world.settle();
    assert_eq!(world.running("/web").len(), 4);
    world.update("/web", json!({"instances": 1}));
    world.settle();
    let left = world.running("/web");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, first, "the youngest go first");
    world.update("/web", json!({"instances": 0}));
    world.settle();
    assert!(world.tasks.is_empty());
    assert!(world.state.deployments.is_empty());
    world.ask(Request::DeleteApp {
        id: "/web".parse().unwrap(),
        force: false,
    });
    world.settle();
    assert!(world.state.root.app(&"/web".parse().unwrap()).is_none());
    assert!(world.state.deployments.is_empty());
}

#[test]
fn a_deleted_app_takes_its_tasks_along() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 5}));
    world.settle();
    world.ask(Request::DeleteApp {
        id: "/web".parse().unwrap(),
        force: false,
    });
    assert_eq!(world.state.deployments.len(), 1);
    world.settle();
    assert!(world.tasks.is_empty() && world.state.instances.is_empty());
    assert!(world.state.deployments.is_empty());
    let gone = world.try_update(
        "/web",
        json!({"version": "2015-04-09T12:30:00.000Z"}),
        false,
    );
    assert_eq!(
        gone.unwrap_err(),
        Refusal::NotFound("App '/web' does not exist".to_owned())
    );
}

#[test]
fn what_fails_is_started_again_after_a_growing_delay() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "false", "backoffSeconds": 2, "backoffFactor": 2}));
    world.settle();
    let mut delays = Vec::new();
    for _ in 0..3 {
        let instance = world.running("/web")[0].clone();
        world.tell(&instance.task_id().to_string(), TaskState::TaskFailed);
        let failed_at = world.now;
        assert_eq!(world.state.failures.len(), 1);
        while world.tasks.is_empty() {
            world.offer();
            world.pass(Duration::from_secs(1));
        }
        delays.push(world.now.since(failed_at).as_secs());
        let again = world
            .state
            .instances_of(&"/web".parse().unwrap())
            .next()
            .unwrap();
        assert_eq!(again.id, instance.id);
        assert_eq!(again.incarnation, instance.incarnation + 1);
        while world.go_on() {}
    }
    assert_eq!(delays, [2, 4, 8]);
    let failure = &world.state.failures[&"/web".parse().unwrap()];
    assert_eq!(
        (failure.state.as_str(), failure.message.as_str()),
        ("TASK_FAILED", "as it was told")
    );
}

#[test]
fn a_delay_can_be_reset() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "false", "backoffSeconds": 200}));
    world.settle();
    let task = world.running("/web")[0].task_id().to_string();
    world.tell(&task, TaskState::TaskFailed);
    world.offer();
    assert!(world.tasks.is_empty());
    let id = || "/web".parse().unwrap();
    assert!(matches!(world.ask(Request::ResetDelay(id())), Reply::Done));
    world.offer();
    assert_eq!(world.tasks.len(), 1);
    world.settle();
    let reply = world.ask(Request::ResetDelay("/none".parse().unwrap()));
    assert!(matches!(reply, Reply::Refused(Refusal::NotFound(_))));
}

#[test]
fn an_agent_out_of_reach_is_replaced_and_its_task_killed_when_it_is_back() {
    let mut world = World::new();
    let strategy = json!({"inactiveAfterSeconds": 60, "expungeAfterSeconds": 120});
    world.create(json!({"id": "/web", "cmd": "sleep 100", "unreachableStrategy": strategy}));
    world.settle();
    let lost = world.running("/web")[0].clone();
    let task = lost.task_id().to_string();
    world.tell(&task, TaskState::TaskUnreachable);
    world.offer();
    assert_eq!(world.tasks.len(), 1, "it is waited for");
    for _ in 0..20 {
        world.pass(Duration::from_secs(5));
        world.offer();
        while world.go_on() {}
    }
    assert_eq!(world.running("/web").len(), 1);
    assert_ne!(world.running("/web")[0].id, lost.id);
    assert_eq!(
        world.state.instances[&lost.id].condition,
        Condition::UnreachableInactive
    );
    for _ in 0..20 {
        world.pass(Duration::from_secs(5));
    }
    assert!(
        !world.state.instances.contains_key(&lost.id),
        "it is forgotten"
    );
    world.tell(&task, TaskState::TaskRunning);
    world.settle();
    assert!(
        !world.tasks.contains_key(&task),
        "it came back as a stranger"
    );
    assert_eq!(world.running("/web").len(), 1);
}

#[test]
fn an_instance_that_comes_back_in_time_is_one_of_too_many() {
    let mut world = World::new();
    let strategy = json!({"inactiveAfterSeconds": 0, "expungeAfterSeconds": 600});
    world.create(json!({"id": "/web", "cmd": "sleep 100", "unreachableStrategy": strategy}));
    world.settle();
    let task = world.running("/web")[0].task_id().to_string();
    world.tell(&task, TaskState::TaskUnreachable);
    world.settle();
    assert_eq!(world.running("/web").len(), 1);
    world.tell(&task, TaskState::TaskRunning);
    world.settle();
    assert_eq!(world.running("/web").len(), 1);
}

#[test]
fn what_never_comes_to_run_is_given_up() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.offer();
    let first = world.tasks.keys().next().unwrap().clone();
    for _ in 0..100 {
        world.pass(Duration::from_secs(5));
        if world.tasks[&first].1 == TaskState::TaskKilling {
            break;
        }
    }
    assert_eq!(world.tasks[&first].1, TaskState::TaskKilling);
    world.settle();
    assert_eq!(world.running("/web").len(), 1);
    assert!(!world.tasks.contains_key(&first));
}

#[test]
fn constraints_and_ports_are_kept() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "sleep 100", "instances": 3, "portDefinitions": [{"port": 0}, {"port": 0}],
        "constraints": [["hostname", "UNIQUE"]],
    }));
    world.settle();
    let running = world.running("/web");
    let places: Vec<_> = running.iter().map(|it| it.place.clone().unwrap()).collect();
    let hosts: BTreeSet<_> = places.iter().map(|place| &place.hostname).collect();
    assert_eq!(hosts.len(), 3);
    let ports: BTreeSet<_> = places.iter().flat_map(|place| &place.ports).collect();
    assert!(ports.len() > 1 && places.iter().all(|place| place.ports.len() == 2));
    assert!(ports.iter().all(|port| (31_000..32_000).contains(*port)));
    world.update("/web", json!({"instances": 4}));
    for _ in 0..10 {
        world.offer();
        world.go_on();
    }
    let waiting = &world.state.queue.waiting[&"/web".parse().unwrap()];
    assert!(
        waiting.explanation.contains("UNIQUE hostname"),
        "{}",
        waiting.explanation
    );
    assert_eq!(world.running("/web").len(), 3);
}

#[test]
fn groups_are_even_though_several_versions_wait() {
    let mut world = World::new();
    world.agents = 2;
    world.create(json!({
        "id": "/web", "cmd": "sleep 100", "instances": 2,
        "constraints": [["hostname", "GROUP_BY", "2"]],
    }));
    world.settle();
    let on_first = |it: &Instance| it.place.as_ref().unwrap().agent_id == "a0";
    let first = world.running("/web").into_iter().find(on_first).unwrap();
    world.agents = 1;
    world.tell(&first.task_id().to_string(), TaskState::TaskFailed);
    world.update("/web", json!({"instances": 4}));
    for _ in 0..20 {
        world.offer();
        world.pass(Duration::from_secs(1));
        while world.go_on() {}
    }
    let running = world.running("/web");
    assert_eq!(running.iter().filter(|it| on_first(it)).count(), 2);
    assert_eq!(running.len(), 3, "one more would be one too many there");
}

#[test]
fn service_ports_are_given_once_and_stay() {
    let mut world = World::new();
    world.create(json!({"id": "/a", "cmd": "sleep 100"}));
    world.create(json!({"id": "/b", "cmd": "sleep 100"}));
    let ports = |world: &World, id: &str| {
        world
            .state
            .root
            .app(&id.parse().unwrap())
            .unwrap()
            .service_ports()
    };
    let (a, b) = (ports(&world, "/a"), ports(&world, "/b"));
    assert_eq!((a.as_slice(), b.as_slice()), (&[10_000][..], &[10_001][..]));
    world.settle();
    world.update(
        "/a",
        json!({"cpus": 2, "portDefinitions": [{"port": 0}, {"port": 0}]}),
    );
    assert_eq!(ports(&world, "/a"), [10_000, 10_002]);
}

#[test]
fn bad_requests_change_nothing() {
    let mut world = World::new();
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.settle();
    let before = world.state.root.clone();
    let exists = world.try_create(json!({"id": "/web", "cmd": "sleep 100"}));
    assert_eq!(
        exists.unwrap_err(),
        Refusal::Exists("An app with id [/web] already exists.".to_owned())
    );
    for body in [
        json!({"id": "/x"}),
        json!({"id": "/X", "cmd": "sleep 1"}),
        json!({"cmd": "sleep 1"}),
        json!({"id": "/x", "cmd": "sleep 1", "role": "other"}),
        json!({"id": "/x", "cmd": "sleep 1", "dependencies": ["/x"]}),
    ] {
        let refusal = world.try_create(body.clone()).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Invalid(_)),
            "{body}: {refusal:?}"
        );
    }
    assert_eq!(world.state.root, before);
    assert!(world.state.deployments.is_empty());
}

#[test]
fn a_custom_executor_gets_its_own_resources_beside_those_of_its_task() {
    let mut world = World::new();
    world.create(json!({
        "id": "/web", "cmd": "what it is told", "executor": "/bin/executor", "cpus": 2, "mem": 256,
        "executorResources": {"cpus": 0.5, "mem": 64, "disk": 10},
    }));
    world.settle();
    let task = &world.launched[0];
    let amount = |resources: &[mesos_sdk::v1::Resource], name: &str| -> f64 {
        let named = resources.iter().filter(|resource| resource.name == name);
        named
            .filter_map(|resource| resource.scalar)
            .map(|it| it.value)
            .sum()
    };
    let executor = task.executor.as_ref().unwrap();
    assert_eq!(
        executor.command.as_ref().unwrap().value(),
        "chmod ug+rx '/bin/executor' && exec '/bin/executor' what it is told"
    );
    for (name, of_task, of_executor) in [
        ("cpus", 2.0, 0.5),
        ("mem", 256.0, 64.0),
        ("disk", 0.0, 10.0),
    ] {
        assert_eq!(amount(&task.resources, name), of_task, "{name}");
        assert_eq!(amount(&executor.resources, name), of_executor, "{name}");
    }
}

#[test]
fn the_flags_may_name_the_executor_of_all_apps() {
    let mut world = World::with(Settings {
        executor: "/opt/executor".to_owned(),
        ..Settings::default()
    });
    world.create(json!({"id": "/web", "args": ["a", "b"]}));
    world.create(json!({"id": "/plain", "cmd": "sleep 100", "executor": "//cmd"}));
    world.settle();
    let task = |name: &str| world.launched.iter().find(|it| it.name == name).unwrap();
    let executor = task("web").executor.as_ref().unwrap();
    let command = executor.command.as_ref().unwrap();
    assert!(
        command.value().ends_with("exec '/opt/executor' a b"),
        "{command:?}"
    );
    assert!(command.arguments.is_empty() && command.shell());
    assert!(task("plain").executor.is_none());
}

#[test]
fn an_offer_is_counted_once_however_often_it_is_looked_at() {
    let mut world = World::new();
    let large = json!({"id": "/large", "cmd": "sleep 100", "cpus": 99, "constraints": [["hostname", "UNIQUE"]]});
    world.create(large);
    world.create(json!({"id": "/web", "cmd": "sleep 100"}));
    world.offer();
    let counts = |world: &World| {
        let waiting = &world.state.queue.waiting[&"/large".parse().unwrap()];
        (waiting.processed, waiting.unused, waiting.last.processed)
    };
    assert_eq!(counts(&world), (3, 3, 3));
    while world.go_on() {}
    for change in [json!({"cpus": 98}), json!({"instances": 2})] {
        world.try_update("/large", change, true).unwrap();
    }
    assert_eq!(counts(&world), (3, 3, 2), "one of the three went to /web");
    let waiting = &world.state.queue.waiting[&"/large".parse().unwrap()];
    assert!(
        waiting.explanation.contains("82 cpus short"),
        "{}",
        waiting.explanation
    );
    world.offer();
    assert_eq!(counts(&world).0, 6);
}

#[test]
fn offers_are_kept_for_what_waits_for_others_to_run() {
    let settings = Settings {
        launch_tokens: 2,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 5, "cpus": 9}));
    world.agents = 6;
    world.offer();
    assert_eq!(world.tasks.len(), 2, "no more than there are tokens");
    for _ in 0..3 {
        world.pass(Duration::from_secs(10));
    }
    assert_eq!(
        (world.tasks.len(), world.declined),
        (4, 0),
        "tokens come back in time"
    );
    assert!(world.go_on());
    assert_eq!(world.tasks.len(), 5, "and with each that runs");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.declined, 1);
}

#[test]
fn everybody_is_told_of_checks_that_come_and_go_and_of_apps_that_end() {
    let mut world = World::new();
    let check = |path: &str| json!({"path": path, "protocol": "HTTP"});
    let body =
        json!({"id": "/web", "cmd": "sleep 100", "instances": 0, "healthChecks": [check("/a")]});
    world.create(body);
    world.settle();
    world.update("/web", json!({"healthChecks": [check("/a"), check("/b")]}));
    world.settle();
    world.update("/web", json!({"healthChecks": []}));
    world.settle();
    world.ask(Request::DeleteApp {
        id: "/web".parse().unwrap(),
        force: false,
    });
    world.settle();
    let told = |kind: &str| -> Vec<serde_json::Value> {
        let of_kind = world.events.iter().filter(|it| it.kind == kind);
        of_kind.map(|it| it.data.clone()).collect()
    };
    let added = told("add_health_check_event");
    let paths: Vec<_> = added.iter().map(|it| &it["healthCheck"]["path"]).collect();
    assert_eq!(paths, ["/a", "/b"]);
    assert!(
        added
            .iter()
            .all(|it| it["appId"] == "/web" && it["version"].is_string())
    );
    assert_eq!(told("remove_health_check_event").len(), 2);
    let ended = told("app_terminated_event");
    assert_eq!((ended.len(), &ended[0]["appId"]), (1, &json!("/web")));
}

#[test]
fn nothing_is_launched_where_an_agent_is_about_to_be_unavailable() {
    let hosts = |maintenance: Option<Duration>| -> BTreeSet<String> {
        let mut world = World::with(Settings {
            maintenance,
            ..Settings::default()
        });
        world.agents = 2;
        // In two minutes, for ever.
        let start = world.now.after(Duration::from_secs(120)).as_millis() * 1_000_000;
        let unavailable = mesos_sdk::v1::Unavailability {
            start: mesos_sdk::v1::TimeInfo { nanoseconds: start },
            duration: None,
        };
        world.unavailable.insert(0, unavailable);
        world.create(json!({"id": "/web", "cmd": "sleep 100", "instances": 4}));
        world.settle();
        let running = world.running("/web").into_iter();
        running.filter_map(|it| Some(it.place?.hostname)).collect()
    };
    let both = BTreeSet::from(["host0".to_owned(), "host1".to_owned()]);
    assert_eq!(hosts(None), both);
    assert_eq!(
        hosts(Some(Duration::ZERO)),
        both,
        "there is time until then"
    );
    let other = BTreeSet::from(["host1".to_owned()]);
    assert_eq!(hosts(Some(Duration::from_secs(600))), other);
}
