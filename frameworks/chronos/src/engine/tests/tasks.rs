//! What the master is told to run, and where.

use mesos_sdk::v1;
use serde_json::{Value, json};

use super::world::World;

/// The task of a job with these fields.
fn task(fields: &Value) -> v1::TaskInfo {
    let mut world = World::new();
    let mut job = json!({
        "name": "a", "command": "run", "schedule": "R1/2026-01-31T12:00:00Z/P1D",
    });
    let map = job.as_object_mut().unwrap();
    map.extend(fields.as_object().unwrap().clone());
    world.post(&job);
    world.launched.remove(0)
}

#[test]
fn commands_are_run_by_a_shell_with_their_arguments_unless_they_do_not_want_one() {
    let with = task(&json!({"arguments": ["-a", "1"]}));
    let command = with.command.unwrap();
    assert_eq!((command.shell, command.value()), (Some(true), "run -a 1"));
    assert!(command.arguments.is_empty());
    assert!(with.task_id.value.ends_with(":0:a:-a 1"));
    let without = task(&json!({"arguments": ["run", "-a 1"], "shell": false}));
    let command = without.command.unwrap();
    assert_eq!((command.shell, command.value()), (Some(false), "run"));
    assert_eq!(command.arguments, ["run", "-a 1"]);
    let user = task(&json!({"runAsUser": "nobody"})).command.unwrap().user;
    assert_eq!(user.as_deref(), Some("nobody"));
}

#[test]
fn what_is_named_is_fetched_and_a_command_that_is_a_url_is_run() {
    let fetched = task(&json!({
        "command": "http://files.example.org/bin/tool.sh?x=1",
        "fetch": [{"uri": "http://x/a.tgz", "extract": false, "cache": true, "output_file": "b"}],
    }));
    let command = fetched.command.unwrap();
    assert_eq!(command.value(), "./tool.sh");
    let [tool, archive] = &command.uris[..] else {
        panic!("{:?}", command.uris);
    };
    assert_eq!((tool.executable, tool.extract), (Some(true), Some(false)));
    assert_eq!((archive.cache, archive.extract), (Some(true), Some(false)));
    assert_eq!(archive.output_file.as_deref(), Some("b"));
    let older = task(&json!({"uris": ["http://x/a.tgz"]})).command.unwrap();
    assert_eq!(older.uris[0].extract, Some(true));
}

#[test]
fn an_executor_of_its_own_is_given_the_command_as_data() {
    let told = task(&json!({"executor": "/opt/executor", "executorFlags": "--fast"}));
    assert_eq!(told.data.as_deref(), Some(&b"--fast|run"[..]));
    let executor = told.executor.unwrap();
    assert_eq!(executor.executor_id.value, "a");
    let command = executor.command.unwrap();
    assert_eq!(command.value(), "/opt/executor");
    assert!(command.environment.unwrap().variables.len() >= 10);
    assert!(told.command.is_none());
    let data = task(&json!({"executor": "/opt/executor", "taskInfoData": "{}"})).data;
    assert_eq!(data.as_deref(), Some(&b"{}"[..]));
}

#[test]
fn what_chronos_says_of_a_run_a_job_cannot_say_otherwise() {
    let told = task(&json!({
        "environmentVariables": [
            {"name": "CHRONOS_JOB_NAME", "value": "other"}, {"name": "COLOUR", "value": "red"},
        ],
    }));
    let variables = told.command.unwrap().environment.unwrap().variables;
    let values = |name: &str| {
        let named = variables.iter().filter(|it| it.name == name);
        named.map(|it| it.value().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values("CHRONOS_JOB_NAME"), ["a"]);
    assert_eq!(values("COLOUR"), ["red"]);
    assert_eq!(values("HOST"), ["agent-0"]);
    assert_eq!(values("CHRONOS_RESOURCE_CPU"), ["0.1"]);
}

#[test]
fn containers_of_both_kinds_are_described() {
    let docker = task(&json!({"container": {
        "type": "DOCKER", "image": "alpine", "network": "BRIDGE", "forcePullImage": true,
        "volumes": [{"containerPath": "/in", "hostPath": "/out", "mode": "RO"}],
        "parameters": [{"key": "label", "value": "x=y"}],
    }}));
    let container = docker.container.unwrap();
    assert_eq!(container.r#type(), v1::container_info::Type::Docker);
    assert_eq!(container.volumes[0].mode(), v1::volume::Mode::Ro);
    let info = container.docker.unwrap();
    assert_eq!(
        (info.image.as_str(), info.force_pull_image),
        ("alpine", Some(true))
    );
    assert_eq!(
        info.network(),
        v1::container_info::docker_info::Network::Bridge
    );
    assert_eq!(info.parameters[0].value, "x=y");
    let mesos = task(&json!({"container": {
        "type": "MESOS", "image": "alpine", "networkInfos": [{
            "name": "overlay", "protocol": "IPv6",
            "portMappings": [{"hostPort": 80, "containerPort": 8080, "protocol": "tcp"}],
        }],
        "volumes": [{"containerPath": "/data", "external": {
            "name": "v", "provider": "rexray", "options": [{"key": "size", "value": "1"}]}}],
    }}));
    let container = mesos.container.unwrap();
    assert_eq!(container.r#type(), v1::container_info::Type::Mesos);
    let network = &container.network_infos[0];
    assert_eq!(network.name(), "overlay");
    let ipv6 = v1::network_info::Protocol::IPv6;
    assert_eq!(network.ip_addresses[0].protocol(), ipv6);
    let mapping = &network.port_mappings[0];
    assert_eq!((mapping.host_port, mapping.container_port), (80, 8080));
    let image = container.mesos.unwrap().image.unwrap();
    assert_eq!(image.docker.unwrap().name, "alpine");
    let source = container.volumes[0].source.clone().unwrap();
    assert_eq!(source.docker_volume.unwrap().name, "v");
}

#[test]
fn resources_are_what_the_job_asks_for() {
    let told = task(&json!({"cpus": 1.5, "mem": 64, "disk": 10}));
    let amount = |name: &str| {
        let named = told.resources.iter().filter(|it| it.name == name);
        named.map(|it| it.scalar.unwrap().value).sum::<f64>()
    };
    assert_eq!(
        (amount("cpus"), amount("mem"), amount("disk")),
        (1.5, 64.0, 10.0)
    );
}

#[test]
fn constraints_choose_among_agents_and_say_so() {
    use crate::effects::Input;
    use mesos_sdk::{attributes, ids, resources::Resources};
    let offer = |number: usize, text: &str| v1::Offer {
        id: ids::offer_id(format!("X{number}")),
        agent_id: ids::agent_id(format!("X{number}")),
        hostname: format!("host-{number}"),
        resources: Resources::parse("cpus:8;mem:8192;disk:8192", "*")
            .unwrap()
            .into_vec(),
        attributes: attributes::parse(text).unwrap(),
        ..v1::Offer::default()
    };
    for (constraint, chosen) in [
        (json!(["rack", "EQUALS", "r1"]), Some("host-1")),
        (json!(["rack", "equals", "r"]), None),
        (json!(["rack", "LIKE", "r[2-9]"]), Some("host-2")),
        // What has no rack is not unlike one.
        (json!(["rack", "UNLIKE", "r1"]), Some("host-2")),
        (json!(["os", "UNLIKE", "x"]), None),
        (json!(["hostname", "LIKE", "host-0"]), Some("host-0")),
    ] {
        let mut world = World::new().without_offers();
        world.post(&json!({
            "name": "a", "command": "x", "schedule": "R1/2026-01-31T12:00:00Z/P1D",
            "constraints": [constraint],
        }));
        let offers = vec![offer(0, ""), offer(1, "rack:r1"), offer(2, "rack:r2")];
        world.step(Input::Offers(offers));
        let runs = world.runs("a");
        let host = runs[0].launched().map(|it| it.hostname.as_str());
        assert_eq!(host, chosen, "{constraint}");
        assert_eq!(world.state.refusals.contains_key("a"), chosen.is_none());
    }
}

#[test]
fn runs_that_overlap_are_apart_where_that_is_wanted() {
    let mut world = World::new();
    world.post(&json!({
        "name": "a", "command": "x", "schedule": "R/2026-01-31T12:00:00Z/PT1M",
        "concurrent": true, "constraints": [["hostname", "UNIQUE"]],
    }));
    world.pass(300_000);
    assert_eq!(world.launched.len(), 1);
    assert!(
        world.state.refusals["a"].contains("UNIQUE hostname"),
        "{:?}",
        world.state.refusals
    );
    world.ends(v1::TaskState::TaskFinished);
    assert_eq!(world.launched.len(), 2);
}
