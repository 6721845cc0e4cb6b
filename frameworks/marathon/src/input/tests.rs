use super::*;
use crate::app::{App, NetworkMode};
use serde_json::json;

fn now() -> Timestamp {
    Timestamp::from_millis(1)
}

fn base() -> App {
    App::new("/web".parse().unwrap(), "*", now())
}

fn app_of(body: Value, base: App) -> Result<App, Violations> {
    let input: AppInput = read(body.to_string().as_bytes()).unwrap();
    let said = Said {
        upgrade_strategy: input.upgrade_strategy.is_some(),
        unreachable_strategy: input.unreachable_strategy.is_some(),
    };
    let mut app = input.over(base, &Defaults::default())?;
    complete(&mut app, said, &Defaults::default())?;
    Ok(app)
}

fn json_of(body: Value) -> Value {
    serde_json::to_value(app_of(body, base()).unwrap()).unwrap()
}

fn errors(body: Value) -> String {
    app_of(body, base()).unwrap_err().to_string()
}

#[test]
fn a_command_becomes_an_app_with_every_default() {
    assert_eq!(
        json_of(json!({"id": "web", "cmd": "sleep 100", "cpus": 0.1, "mem": 32})),
        json!({
            "id": "/web", "cmd": "sleep 100", "cpus": 0.1, "mem": 32, "disk": 0, "gpus": 0,
            "instances": 1, "backoffFactor": 1.15, "backoffSeconds": 1,
            "maxLaunchDelaySeconds": 300, "constraints": [], "dependencies": [], "env": {},
            "executor": "", "fetch": [], "healthChecks": [], "killSelection": "YOUNGEST_FIRST",
            "labels": {}, "networks": [{"mode": "host"}],
            "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "default", "labels": {}}],
            "readinessChecks": [], "requirePorts": false, "role": "*", "secrets": {},
            "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
            "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
            "version": "1970-01-01T00:00:00.001Z",
            "versionInfo": {
                "lastScalingAt": "1970-01-01T00:00:00.001Z",
                "lastConfigChangeAt": "1970-01-01T00:00:00.001Z",
            },
        })
    );
}

#[test]
fn the_bridge_of_old_requests_becomes_a_network() {
    let app = json_of(json!({
        "id": "/hello",
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": "x",
                "network": "BRIDGE",
                "portMappings": [{"containerPort": 80, "hostPort": 0}],
            },
        },
    }));
    assert_eq!(
        app["container"],
        json!({
            "type": "DOCKER",
            "docker": {
                "forcePullImage": false, "image": "x", "parameters": [], "privileged": false,
            },
            "volumes": [],
            "portMappings": [{
                "containerPort": 80, "hostPort": 0, "labels": {}, "protocol": "tcp",
                "servicePort": 0,
            }],
        })
    );
    assert_eq!(app["networks"], json!([{"mode": "container/bridge"}]));
    assert!(app.get("portDefinitions").is_none());
}

#[test]
fn other_networks_of_old_requests() {
    let docker = |docker: Value| json!({"cmd": "x y", "container": {"docker": docker}});
    let host = json_of(docker(json!({
        "image": "x", "network": "HOST", "portMappings": [{"containerPort": 1}],
    })));
    assert_eq!(host["networks"], json!([{"mode": "host"}]));
    assert!(host["container"].get("portMappings").is_none());
    let mut user = docker(json!({"image": "x", "network": "USER"}));
    user["ipAddress"] = json!({"networkName": "overlay", "labels": {"k": "v"}});
    let user = json_of(user);
    assert_eq!(
        user["networks"],
        json!([{"mode": "container", "name": "overlay", "labels": {"k": "v"}}])
    );
    assert_eq!(
        user["container"]["portMappings"],
        json!([{
            "containerPort": 0, "servicePort": 0, "name": "default", "protocol": "tcp",
            "labels": {},
        }])
    );
    let nothing = docker(json!({"image": "x", "network": "NONE"}));
    assert_eq!(
        errors(nothing),
        "/container/docker/network: unsupported docker network type NONE"
    );
}

#[test]
fn an_address_becomes_a_network_in_a_container_of_mesos() {
    let app = json_of(json!({
        "cmd": "x y",
        "ipAddress": {
            "networkName": "overlay",
            "discovery": {"ports": [{"number": 80, "name": "http", "protocol": "tcp"}]},
        },
    }));
    assert_eq!(
        app["networks"],
        json!([{"mode": "container", "name": "overlay"}])
    );
    assert_eq!(app["container"]["type"], "MESOS");
    assert_eq!(app["container"]["portMappings"][0]["containerPort"], 80);
    let bridge = json_of(json!({"cmd": "x y", "ipAddress": {"networkName": "mesos-bridge"}}));
    assert_eq!(bridge["networks"], json!([{"mode": "container/bridge"}]));
    let unnamed = errors(json!({"cmd": "x y", "ipAddress": {}}));
    assert!(unnamed.starts_with("/networks(0): Network name must be specified"));
}

#[test]
fn ports_and_uris_of_old_requests() {
    let app = json_of(json!({
        "cmd": "x y",
        "ports": [0, 8080],
        "uris": ["http://h/a.tar.gz", "http://h/a.sh", "http://h/a.zip?x=y.sh"],
    }));
    let ports = &app["portDefinitions"];
    assert_eq!(
        (&ports[0]["port"], &ports[1]["port"]),
        (&json!(0), &json!(8080))
    );
    let extracts: Vec<_> = app["fetch"]
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| artifact["extract"].as_bool().unwrap())
        .collect();
    assert_eq!(extracts, [true, false, true]);
    let bridged = json_of(json!({
        "ports": [0, 0],
        "networks": [{"mode": "container/bridge"}],
        "container": {"docker": {"image": "x"}, "portMappings": [{"containerPort": 1}]},
    }));
    let mappings = bridged["container"]["portMappings"].as_array().unwrap();
    assert_eq!(mappings.len(), 2);
    assert_eq!(mappings[1]["hostPort"], 0);
}

#[test]
fn two_forms_of_one_thing_are_refused() {
    for (body, error) in [
        (
            json!({"uris": ["u"], "fetch": [{"uri": "u"}]}),
            "/uris: may not be set in conjunction with fetch",
        ),
        (
            json!({"networks": [{"mode": "host"}], "ipAddress": {}}),
            "/: must not specify both networks and ipAddress",
        ),
        (
            json!({
                "networks": [{"mode": "host"}],
                "container": {"docker": {"image": "x", "network": "HOST"}},
            }),
            "/: must not specify both container.docker.network and networks",
        ),
        (
            json!({"ports": [1], "portDefinitions": [{"port": 2}]}),
            "/: cannot specify both ports and port definitions",
        ),
        (
            json!({"ports": [1], "ipAddress": {"networkName": "n"}}),
            "/: cannot specify both an IP address and port",
        ),
    ] {
        assert_eq!(errors(body), error);
    }
}

#[test]
fn what_an_update_leaves_out_stays() {
    let before = app_of(
        json!({"cmd": "x y", "labels": {"a": "b"}, "ports": [8080], "cpus": 2}),
        base(),
    )
    .unwrap();
    let after = app_of(json!({"instances": 3, "args": ["a"]}), before.clone()).unwrap();
    assert_eq!((after.instances, after.cpus), (3, 2.0));
    assert_eq!(after.labels, before.labels);
    assert_eq!(after.port_definitions, before.port_definitions);
    assert_eq!((after.cmd, after.args), (None, Some(vec!["a".to_owned()])));
    let bridged = app_of(json!({"networks": [{"mode": "container/bridge"}]}), before).unwrap();
    assert_eq!(bridged.networks[0].mode, NetworkMode::Bridge);
    assert_eq!(bridged.port_definitions, None);
}

#[test]
fn a_version_alone_goes_back() {
    let read = |body: &str| read::<AppInput>(body.as_bytes()).unwrap();
    assert!(read(r#"{"version": "2015-04-09T12:30:00.000Z"}"#).is_rollback());
    assert!(read(r#"{"id": "/a", "version": "2015-04-09T12:30:00.000Z"}"#).is_rollback());
    assert!(!read(r#"{"cmd": "x", "version": "2015-04-09T12:30:00.000Z"}"#).is_rollback());
    assert!(!read("{}").is_rollback());
}

#[test]
fn what_cannot_be_read_says_where() {
    let error = |body: &str| read::<AppInput>(body.as_bytes()).unwrap_err();
    assert!(matches!(error("{"), InvalidJson::Syntax(_)));
    for (body, path) in [
        (r#"{"instances": "three"}"#, "/instances"),
        (r#"{"instances": 1.5}"#, "/instances"),
        (r#"{"instances": -1}"#, "/instances"),
        (r#"{"constraints": [["a", 1]]}"#, "/constraints(0)(1)"),
        (r#"{"container": {"docker": {}}}"#, "/container/docker"),
        (
            r#"{"healthChecks": [{"protocol": "ICMP"}]}"#,
            "/healthChecks(0)/protocol",
        ),
        ("[]", "/"),
    ] {
        let InvalidJson::Types(wrong) = error(body) else {
            panic!("{body}")
        };
        assert_eq!(wrong.details()[0].path, path, "{body}: {wrong}");
    }
    let nulls: AppInput = read(br#"{"cmd": null, "labels": {"a": null}}"#).unwrap();
    assert_eq!((nulls.cmd, nulls.labels), (None, Some(BTreeMap::new())));
}

#[test]
fn stored_apps_are_read_back_as_they_were() {
    let app = app_of(
        json!({
            "cmd": "x y",
            "env": {"A": "b", "S": {"secret": "s"}},
            "secrets": {"s": {"source": "/s"}},
            "healthChecks": [{"protocol": "MESOS_HTTP", "path": "/"}],
            "resourceLimits": {"cpus": "unlimited", "mem": 256},
            "unreachableStrategy": "disabled",
            "container": {"type": "MESOS", "volumes": [
                {"containerPath": "d", "mode": "RW", "persistent": {"size": 10}},
            ]},
        }),
        base(),
    )
    .unwrap();
    let text = serde_json::to_string(&app).unwrap();
    assert_eq!(serde_json::from_str::<App>(&text).unwrap(), app);
    assert!(app.is_resident());
    assert_eq!(app.upgrade_strategy, UpgradeStrategy::resident());
    assert_eq!(app.health_checks[0].port_index, Some(0));
}

#[test]
fn an_old_network_of_docker_takes_what_the_address_says() {
    let body = |network: &str| {
        json_of(json!({
            "id": "/a", "ipAddress": {"networkName": "own", "labels": {"a": "b"}},
            "container": {"type": "DOCKER", "docker": {"image": "i", "network": network}},
        }))
    };
    assert_eq!(
        body("BRIDGE")["networks"],
        json!([{"mode": "container/bridge", "labels": {"a": "b"}}])
    );
    assert_eq!(body("HOST")["networks"], json!([{"mode": "host"}]));
    assert_eq!(
        body("USER")["networks"],
        json!([{"mode": "container", "name": "own", "labels": {"a": "b"}}])
    );
    let bridge =
        json!({"id": "/a", "cmd": "sleep 1", "ipAddress": {"networkName": "mesos-bridge"}});
    assert_eq!(
        json_of(bridge)["networks"],
        json!([{"mode": "container/bridge"}])
    );
}

#[test]
fn what_contradicts_itself_in_old_forms_is_refused() {
    for (body, expected) in [
        (json!({"ports": [80, 80]}), "ports must be unique"),
        (
            json!({"ipAddress": {}, "portDefinitions": [{"port": 0}]}),
            "cannot specify both an IP address and port",
        ),
        (
            json!({"uris": ["http://a/b"], "fetch": [{"uri": "http://a/c"}]}),
            "may not be set in conjunction with fetch",
        ),
        (
            json!({"container": {"type": "MESOS", "docker": {"image": "i", "credential": {}}}}),
            "/container/docker/credential: must be empty",
        ),
        (
            json!({
                "ipAddress": {"discovery": {"ports": [{"number": 80, "name": "http"}]}},
                "container": {"type": "MESOS", "portMappings": [{"containerPort": 80}]},
            }),
            "container.portMappings and ipAddress.discovery.ports must not both be set",
        ),
    ] {
        let mut whole = json!({"id": "/a", "cmd": "sleep 1"});
        for (key, value) in body.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let text = errors(whole);
        assert!(text.contains(expected), "{body}: {text}");
    }
    let both = json!({"id": "/a", "cmd": "sleep 1", "uris": [], "fetch": [{"uri": "http://a/c"}]});
    assert_eq!(json_of(both)["fetch"][0]["uri"], "http://a/c");
}

#[test]
fn a_volume_of_a_profile_is_a_mounted_disk_unless_it_says_otherwise() {
    for (more, expected) in [
        (json!({}), "root"),
        (json!({"profileName": "fast"}), "mount"),
        (json!({"profileName": "fast", "type": "path"}), "path"),
    ] {
        let mut persistent = json!({"size": 10});
        for (key, value) in more.as_object().unwrap() {
            persistent[key] = value.clone();
        }
        let volume = json!({"containerPath": "data", "mode": "RW", "persistent": persistent});
        let container = json!({"type": "MESOS", "volumes": [volume]});
        let app = json_of(json!({"id": "/a", "cmd": "sleep 1", "container": container}));
        let shown = &app["container"]["volumes"][0]["persistent"];
        assert_eq!(shown["type"], expected, "{shown}");
    }
}
