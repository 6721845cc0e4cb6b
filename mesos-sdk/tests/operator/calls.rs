//! Calls and their answers.

use std::time::Duration;

use mesos_sdk::{
    credentials::Credentials,
    ids,
    operator::{AgentClient, Error, MasterClient},
    v1::{self, agent, maintenance, master, quota},
};

use crate::server::{Server, transport};

/// Makes each call, lets the server answer with nothing, and gives the calls
/// that arrived.
macro_rules! arrived {
    ($client:ident, $proto:ident, [$($call:expr),* $(,)?]) => {{
        let mut server = Server::start().await;
        let $client = server.$client();
        let mut calls: Vec<$proto::Call> = Vec::new();
        $(
            let answering = async {
                let mut asked = server.asked().await;
                assert_eq!(asked.path, "/api/v1");
                assert_eq!(asked.headers["Content-Type"], "application/x-protobuf");
                calls.push(asked.call().await);
                asked.answer(202, "");
            };
            let (result, ()) = tokio::join!(Box::pin($call), Box::pin(answering));
            // An answer that is empty is an answer without anything in it.
            assert!(result.is_ok());
        )*
        calls
    }};
}

/// The types of these calls, each of which must have its body if it has one.
macro_rules! types {
    ($calls:expr) => {
        $calls
            .iter()
            .map(|call| call.r#type().as_str_name())
            .collect::<Vec<_>>()
    };
}

fn resource() -> v1::Resource {
    v1::Resource::default()
}

#[tokio::test]
async fn every_call_to_a_master_has_a_method() {
    let agent_id = || ids::agent_id("A-1");
    let calls = arrived!(
        master,
        master,
        [
            master.is_healthy(),
            master.flags(),
            master.version(),
            master.metrics(Some(Duration::from_secs(1))),
            master.logging_level(),
            master.set_logging_level(1, Duration::from_secs(60)),
            master.list_files("/master/log"),
            master.read_file("/master/log", 7, Some(9)),
            master.state(),
            master.agents(),
            master.frameworks(),
            master.executors(),
            master.operations(),
            master.tasks(),
            master.roles(),
            master.weights(),
            master.update_weights(vec![v1::WeightInfo {
                weight: 2.0,
                role: Some("r".into())
            }]),
            master.master(),
            master.reserve_resources(agent_id(), vec![resource()]),
            master.unreserve_resources(agent_id(), vec![resource()]),
            master.create_volumes(agent_id(), vec![resource()]),
            master.destroy_volumes(agent_id(), vec![resource()]),
            master.grow_volume(agent_id(), resource(), resource()),
            master.shrink_volume(agent_id(), resource(), 5.0),
            master.maintenance_status(),
            master.maintenance_schedule(),
            master.update_maintenance_schedule(maintenance::Schedule::default()),
            master.start_maintenance(vec![v1::MachineId::default()]),
            master.stop_maintenance(vec![v1::MachineId::default()]),
            master.drain_agent(agent_id(), Some(Duration::from_secs(5)), true),
            master.deactivate_agent(agent_id()),
            master.reactivate_agent(agent_id()),
            master.quota(),
            master.update_quota(vec![quota::QuotaConfig::default()], true),
            master.set_quota(quota::QuotaRequest::default()),
            master.remove_quota("r"),
            master.teardown(ids::framework_id("F-1")),
            master.mark_agent_gone(agent_id()),
        ]
    );
    // All but SUBSCRIBE, which is the watch's.
    let mut made = types!(calls);
    let mut all: Vec<_> = (1..=39)
        .map(|number| master::call::Type::try_from(number).unwrap().as_str_name())
        .filter(|name| *name != "SUBSCRIBE")
        .collect();
    made.sort_unstable();
    all.sort_unstable();
    assert_eq!(made, all);

    let of = |name: &str| {
        let call = calls
            .iter()
            .find(|call| call.r#type().as_str_name() == name);
        call.unwrap().clone()
    };
    let drain = of("DRAIN_AGENT").drain_agent.unwrap();
    assert_eq!(drain.agent_id.value, "A-1");
    assert_eq!(drain.max_grace_period.unwrap().seconds, 5);
    assert_eq!(drain.mark_gone, Some(true));
    let read = of("READ_FILE").read_file.unwrap();
    assert_eq!(
        (&*read.path, read.offset, read.length),
        ("/master/log", 7, Some(9))
    );
    let timeout = of("GET_METRICS").get_metrics.unwrap().timeout.unwrap();
    assert_eq!(timeout.nanoseconds, 1_000_000_000);
    assert_eq!(
        of("SHRINK_VOLUME").shrink_volume.unwrap().subtract.value,
        5.0
    );
    assert_eq!(of("UPDATE_QUOTA").update_quota.unwrap().force, Some(true));
    assert_eq!(of("REMOVE_QUOTA").remove_quota.unwrap().role, "r");
    assert_eq!(of("TEARDOWN").teardown.unwrap().framework_id.value, "F-1");
}

#[tokio::test]
async fn every_call_to_an_agent_has_a_method() {
    let container_id = || v1::ContainerId {
        value: "c-1".to_owned(),
        parent: None,
    };
    let provider = v1::ResourceProviderInfo::default;
    let calls = arrived!(
        agent,
        agent,
        [
            agent.is_healthy(),
            agent.flags(),
            agent.version(),
            agent.metrics(None),
            agent.logging_level(),
            agent.set_logging_level(1, Duration::from_secs(60)),
            agent.list_files("/slave/log"),
            agent.read_file("/slave/log", 0, None),
            agent.state(),
            agent.containers(true, false),
            agent.frameworks(),
            agent.executors(),
            agent.operations(),
            agent.tasks(),
            agent.agent(),
            agent.resource_providers(),
            agent.launch_container(agent::call::LaunchContainer::default()),
            agent.wait_container(container_id()),
            agent.kill_container(container_id(), Some(15)),
            agent.remove_container(container_id()),
            agent.launch_nested_container(agent::call::LaunchNestedContainer::default()),
            agent.wait_nested_container(container_id()),
            agent.kill_nested_container(container_id(), None),
            agent.remove_nested_container(container_id()),
            agent.add_resource_provider_config(provider()),
            agent.update_resource_provider_config(provider()),
            agent.remove_resource_provider_config("t", "n"),
            agent.mark_resource_provider_gone(v1::ResourceProviderId::default()),
            agent.prune_images(Vec::new()),
        ]
    );
    // All but the three that are streams.
    let mut made = types!(calls);
    let streams = [
        "LAUNCH_NESTED_CONTAINER_SESSION",
        "ATTACH_CONTAINER_INPUT",
        "ATTACH_CONTAINER_OUTPUT",
    ];
    let mut all: Vec<_> = (1..=32)
        .map(|number| agent::call::Type::try_from(number).unwrap().as_str_name())
        .filter(|name| !streams.contains(name))
        .collect();
    made.sort_unstable();
    all.sort_unstable();
    assert_eq!(made, all);
    let kill = calls.iter().find_map(|call| call.kill_container.clone());
    let kill = kill.unwrap();
    assert_eq!((&*kill.container_id.value, kill.signal), ("c-1", Some(15)));
}

#[tokio::test]
async fn an_answer_is_what_the_method_gives() {
    let mut server = Server::start().await;
    let master = server.master();
    let answering = async {
        let asked = server.asked().await;
        asked.message(&master::Response {
            get_roles: Some(master::response::GetRoles {
                roles: vec![v1::Role {
                    name: "web".to_owned(),
                    ..Default::default()
                }],
            }),
            ..Default::default()
        });
    };
    let (roles, ()) = tokio::join!(master.roles(), answering);
    assert_eq!(roles.unwrap()[0].name, "web");
}

#[tokio::test]
async fn refusals_have_the_servers_words() {
    let mut server = Server::start().await;
    let master = server.master();
    let gone = master.mark_agent_gone(ids::agent_id("A-9"));
    let answering = async {
        let asked = server.asked().await;
        asked.answer(404, "Agent not found");
    };
    let (result, ()) = tokio::join!(gone, answering);
    let error = result.unwrap_err();
    assert!(error.is_not_found() && !error.is_retryable());
    let expected = format!(
        "{} answers MARK_AGENT_GONE with status 404: Agent not found",
        server.address().authority()
    );
    assert_eq!(error.to_string(), expected);

    let answering = async {
        let asked = server.asked().await;
        let realm = ("WWW-Authenticate", "Basic realm=\"mesos-master-readonly\"");
        asked.answer_with(401, &[realm], "");
    };
    let (result, ()) = tokio::join!(master.roles(), answering);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");
    assert!(
        error.to_string().contains("mesos-master-readonly"),
        "{error}"
    );
}

#[tokio::test]
async fn the_leader_is_followed_and_remembered() {
    let (mut follower, mut leader) = (Server::start().await, Server::start().await);
    let master = follower.master();
    let location = format!("//{}/api/v1", leader.address().authority());
    let answering = async {
        let asked = follower.asked().await;
        asked.answer_with(307, &[("Location", &location)], "");
        leader.asked().await.answer(200, "");
    };
    let (result, ()) = tokio::join!(master.agents(), answering);
    assert!(result.unwrap().agents.is_empty());
    assert_eq!(master.server(), leader.address());
    let clone = master.clone();
    let answering = async { leader.asked().await.answer(200, "") };
    let (result, ()) = tokio::join!(clone.agents(), answering);
    result.unwrap();
}

#[tokio::test]
async fn credentials_are_sent() {
    let mut server = Server::start().await;
    let credentials = Credentials::basic("operator", "secret").unwrap();
    let master = MasterClient::new(server.address(), transport(), Some(credentials));
    let answering = async {
        let asked = server.asked().await;
        assert_eq!(asked.headers["Authorization"], "Basic b3BlcmF0b3I6c2VjcmV0");
        asked.answer(200, "");
    };
    let (result, ()) = tokio::join!(master.version(), answering);
    result.unwrap();
}

#[tokio::test]
async fn an_agent_is_found_by_its_offers_and_its_info() {
    let url = v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            ip: Some("10.0.0.7".to_owned()),
            port: 5051,
            ..Default::default()
        },
        path: Some("/slave(1)".to_owned()),
        ..Default::default()
    };
    let agent = AgentClient::of_url(&url, transport(), None).unwrap();
    assert_eq!(agent.server().authority(), "10.0.0.7:5051");
    let info = v1::AgentInfo {
        hostname: "a.example".to_owned(),
        port: Some(7051),
        ..Default::default()
    };
    let agent = AgentClient::of_info(&info, transport(), None).unwrap();
    assert_eq!(agent.server().authority(), "a.example:7051");
}
