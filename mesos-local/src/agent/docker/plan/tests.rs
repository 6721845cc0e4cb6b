//! Requests and refusals of the recorded scenes.

use std::path::PathBuf;

use super::*;

fn resources(cpus: f64, mem: f64, ports: Option<(u64, u64)>) -> Vec<v1::Resource> {
    let scalar = |name: &str, value| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".into()),
        }),
        ..Default::default()
    };
    let mut all = vec![scalar("cpus", cpus), scalar("mem", mem)];
    if let Some((begin, end)) = ports {
        all.push(v1::Resource {
            name: "ports".into(),
            r#type: v1::value::Type::Ranges.into(),
            ranges: Some(v1::value::Ranges {
                range: vec![v1::value::Range { begin, end }],
            }),
            ..Default::default()
        });
    }
    all
}

/// A task of the scenes: 0.1 cpus, 32 MB, `bb:latest`.
fn task(docker: v1::container_info::DockerInfo) -> v1::TaskInfo {
    v1::TaskInfo {
        resources: resources(0.1, 32.0, Some((31_500, 31_500))),
        command: Some(v1::CommandInfo {
            value: Some("true".into()),
            ..Default::default()
        }),
        container: Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Docker.into(),
            docker: Some(v1::container_info::DockerInfo {
                image: "bb:latest".into(),
                ..docker
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn planned(task: &v1::TaskInfo) -> Result<ContainerCreateBody, String> {
    let volumes = [Volume {
        source: PathBuf::from("/volumes/v1"),
        target: PathBuf::from("data"),
    }];
    let setting = Setting {
        name: "mesos-c1",
        directory: Path::new("/sandbox"),
        volumes: &volumes,
    };
    let command = task.command.clone().unwrap_or_default();
    new_plan(&Wanted::by_task(task, &command), setting)
        .map(|plan| {
            assert_eq!(plan.name, "mesos-c1");
            plan.body
        })
        .map_err(|refusal| refusal.to_string())
}

fn mapping(host_port: u32) -> v1::container_info::docker_info::PortMapping {
    v1::container_info::docker_info::PortMapping {
        host_port,
        container_port: 9000,
        protocol: Some("tcp".into()),
    }
}

/// `docker inspect` of the scene `docker-bridge`.
#[test]
fn the_request_is_what_mesos_asks_for() {
    let mut task = task(v1::container_info::DockerInfo {
        network: Some(Network::Bridge.into()),
        port_mappings: vec![mapping(31_500)],
        ..Default::default()
    });
    task.command = Some(v1::CommandInfo {
        shell: Some(false),
        value: Some("/bin/httpd".into()),
        arguments: ["-f", "-p", "9000"].map(String::from).to_vec(),
        environment: Some(v1::Environment {
            variables: vec![v1::environment::Variable {
                name: "GREETING".into(),
                value: Some("hello".into()),
                ..Default::default()
            }],
        }),
        ..Default::default()
    });
    let body = planned(&task).unwrap();
    let mut env = body.env.clone().unwrap();
    env.sort();
    assert_eq!(
        env,
        [
            "GREETING=hello",
            "MESOS_ALLOCATION_ROLE=*",
            "MESOS_CONTAINER_NAME=mesos-c1",
            "MESOS_SANDBOX=/mnt/mesos/sandbox"
        ]
    );
    assert_eq!(body.cmd.unwrap(), ["/bin/httpd", "-f", "-p", "9000"]);
    assert_eq!(
        (body.entrypoint, body.user, body.labels),
        (None, None, None)
    );
    let host = body.host_config.unwrap();
    assert_eq!(
        host.binds.unwrap(),
        [
            "/sandbox:/mnt/mesos/sandbox",
            "/volumes/v1:/mnt/mesos/sandbox/data"
        ]
    );
    assert_eq!(
        (host.cpu_shares, host.memory),
        (Some(102), Some(33_554_432))
    );
    assert_eq!((host.cpu_quota, host.memory_swap), (None, None));
    assert_eq!(host.network_mode.as_deref(), Some("bridge"));
    let ports = serde_json::to_value(host.port_bindings.unwrap()).unwrap();
    assert_eq!(
        ports,
        serde_json::json!({"9000/tcp": [{"HostIp": "", "HostPort": "31500"}]})
    );
}

#[test]
fn a_shell_command_replaces_the_entry_point_and_arguments_do_not() {
    let mut task = task(v1::container_info::DockerInfo::default());
    let body = planned(&task).unwrap();
    assert_eq!(body.entrypoint.unwrap(), ["/bin/sh"]);
    assert_eq!(body.cmd.unwrap(), ["-c", "true"]);
    assert_eq!(
        body.host_config.unwrap().network_mode.as_deref(),
        Some("host")
    );
    let command = task.command.as_mut().unwrap();
    command.shell = Some(false);
    command.value = None;
    command.arguments = vec!["/bin/echo".into(), "argument".into()];
    let body = planned(&task).unwrap();
    assert_eq!(
        (body.entrypoint, body.cmd.unwrap()),
        (None, vec!["/bin/echo".into(), "argument".into()])
    );
    // The image's own command.
    task.command.as_mut().unwrap().arguments.clear();
    assert_eq!(planned(&task).unwrap().cmd, None);
    task.command = Some(v1::CommandInfo::default());
    assert_eq!(
        planned(&task).unwrap_err(),
        "Failed to create docker run options: Shell specified but no command value provided"
    );
}

/// The scene `docker-failures`.
#[test]
fn descriptions_that_contradict_themselves_are_refused() {
    let options = "Failed to create docker run options: ";
    let refused = |task: &v1::TaskInfo| {
        let refusal = planned(task).unwrap_err();
        refusal.strip_prefix(options).unwrap_or(&refusal).to_owned()
    };
    let docker = |network: Network, ports: &[u32]| {
        task(v1::container_info::DockerInfo {
            network: Some(network.into()),
            port_mappings: ports.iter().copied().map(mapping).collect(),
            ..Default::default()
        })
    };
    let mut named = docker(Network::User, &[]);
    assert_eq!(refused(&named), "No network info found in container info");
    let container = named.container.as_mut().unwrap();
    container.network_infos = vec![v1::NetworkInfo::default()];
    assert_eq!(refused(&named), "No network name found in network info");
    let container = named.container.as_mut().unwrap();
    container.network_infos[0].name = Some("net-1".into());
    let host = planned(&named).unwrap().host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("net-1"));

    let mut hostname = docker(Network::Host, &[]);
    hostname.container.as_mut().unwrap().hostname = Some("named".into());
    assert_eq!(
        refused(&hostname),
        "Unable to set hostname with host network mode"
    );

    let mut no_ports = docker(Network::Bridge, &[31_501]);
    no_ports.resources = resources(0.1, 32.0, None);
    assert_eq!(refused(&no_ports), "Port mappings require port resources");
    assert_eq!(
        refused(&docker(Network::Bridge, &[31_500, 80])),
        "Port [80] not included in resources"
    );
    assert_eq!(
        refused(&docker(Network::Host, &[31_500])),
        "Port mappings are only supported for bridge and user-defined networks"
    );

    let unknown = task(v1::container_info::DockerInfo {
        parameters: vec![v1::Parameter {
            key: "no-such-option".into(),
            value: "x".into(),
        }],
        ..Default::default()
    });
    assert_eq!(
        refused(&unknown),
        "Container exited with status 125: unknown flag: --no-such-option"
    );
}

/// `volume` of the scene `docker-tasks`.
#[test]
fn relative_paths_lie_in_the_sandbox() {
    let mut task = task(v1::container_info::DockerInfo::default());
    let volume = |inside: &str, outside: Option<&str>, mode: v1::volume::Mode| v1::Volume {
        mode: mode.into(),
        container_path: inside.into(),
        host_path: outside.map(Into::into),
        ..Default::default()
    };
    let container = task.container.as_mut().unwrap();
    container.volumes = vec![
        volume("/data", Some("relative-dir"), v1::volume::Mode::Rw),
        volume("/etc-host", Some("/etc/hostname"), v1::volume::Mode::Ro),
        volume("scratch", None, v1::volume::Mode::Rw),
        v1::Volume {
            source: Some(v1::volume::Source {
                docker_volume: Some(v1::volume::source::DockerVolume {
                    name: "named".into(),
                    driver: Some("local".into()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..volume("/named", None, v1::volume::Mode::Rw)
        },
    ];
    let host = planned(&task).unwrap().host_config.unwrap();
    assert_eq!(
        host.binds.unwrap()[2..],
        [
            "/sandbox/relative-dir:/data:rw",
            "/etc/hostname:/etc-host:ro",
            "/mnt/mesos/sandbox/scratch:rw",
            "named:/named:rw"
        ]
    );
    assert_eq!(host.volume_driver.as_deref(), Some("local"));
    let container = task.container.as_mut().unwrap();
    container.volumes = vec![volume("a", Some("b"), v1::volume::Mode::Rw)];
    assert!(
        planned(&task)
            .unwrap_err()
            .ends_with("of a volume are relative")
    );
}

#[test]
fn a_sandbox_with_a_colon_is_mounted_in_the_long_form() {
    let task = task(v1::container_info::DockerInfo::default());
    let setting = Setting {
        name: "n",
        directory: Path::new("/executors/a:b/runs/1"),
        volumes: &[],
    };
    let command = task.command.clone().unwrap();
    let host = new_plan(&Wanted::by_task(&task, &command), setting)
        .unwrap()
        .body
        .host_config
        .unwrap();
    assert_eq!(host.binds, None);
    let mount = &host.mounts.unwrap()[0];
    assert_eq!(mount.source.as_deref(), Some("/executors/a:b/runs/1"));
    assert_eq!(mount.target.as_deref(), Some("/mnt/mesos/sandbox"));
}

#[test]
fn limits_are_the_most_and_resources_the_share() {
    let mut task = task(v1::container_info::DockerInfo::default());
    task.resources = resources(0.001, 1.0, None);
    let host = planned(&task).unwrap().host_config.unwrap();
    assert_eq!((host.cpu_shares, host.memory), (Some(2), Some(32 << 20)));
    task.resources = resources(1.0, 64.0, None);
    for (name, value) in [("cpus", 2.5), ("mem", 128.0)] {
        task.limits.insert(name.into(), v1::value::Scalar { value });
    }
    let host = planned(&task).unwrap().host_config.unwrap();
    assert_eq!(
        (host.cpu_quota, host.cpu_period),
        (Some(250_000), Some(100_000))
    );
    assert_eq!(host.memory, Some(128 << 20));
    assert_eq!(host.memory_reservation, Some(64 << 20));
    let unlimited = v1::value::Scalar {
        value: f64::INFINITY,
    };
    task.limits.insert("mem".into(), unlimited);
    let host = planned(&task).unwrap().host_config.unwrap();
    assert_eq!(
        (host.memory, host.memory_reservation),
        (None, Some(64 << 20))
    );
}

/// The tasks of an executor come later, and with memory of their own.
#[test]
fn an_executor_has_its_environment_and_a_share_of_the_processor() {
    let info = v1::ExecutorInfo {
        container: task(v1::container_info::DockerInfo::default()).container,
        resources: resources(0.5, 32.0, None),
        ..Default::default()
    };
    let command = v1::CommandInfo {
        value: Some("executor".into()),
        ..Default::default()
    };
    let environment = [
        ("PATH", "/usr/bin"),
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_SANDBOX", "/outside"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let wanted = Wanted::by_executor(&info, &command, environment.to_vec());
    let setting = Setting {
        name: "n",
        directory: Path::new("/outside"),
        volumes: &[],
    };
    let body = new_plan(&wanted, setting).unwrap().body;
    assert_eq!(
        body.env.unwrap(),
        [
            "MESOS_AGENT_ENDPOINT=127.0.0.1:5051",
            "MESOS_SANDBOX=/mnt/mesos/sandbox",
            "MESOS_CONTAINER_NAME=n"
        ]
    );
    let host = body.host_config.unwrap();
    assert_eq!((host.cpu_shares, host.memory), (Some(512), None));
}
