use super::*;
use crate::input::{AppInput, Defaults, Said, complete, read};
use crate::timestamp::Timestamp;
use serde_json::{Value, json};

/// Everything enabled.
const ALL: Features = Features {
    secrets: true,
    external_volumes: true,
    gpu_resources: true,
};

fn problems(body: &Value, features: Features) -> String {
    let input: AppInput = read(body.to_string().as_bytes()).unwrap();
    let id = input.id.as_deref().unwrap_or("/a").parse().unwrap();
    let said = Said {
        upgrade_strategy: input.upgrade_strategy.is_some(),
        unreachable_strategy: input.unreachable_strategy.is_some(),
    };
    let mut app = input
        .over(
            App::new(id, "*", Timestamp::from_millis(1)),
            &Defaults::default(),
        )
        .unwrap();
    complete(&mut app, said, &Defaults::default()).unwrap();
    match validate(&app, features) {
        Ok(()) => String::new(),
        Err(wrong) => wrong.to_string(),
    }
}

/// The app with a command, and what else is said.
fn problem(more: Value) -> String {
    let mut body = json!({"cmd": "sleep 10"});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    problems(&body, ALL)
}

#[test]
fn good_definitions_pass() {
    for body in [
        json!({}),
        json!({"constraints": [["hostname", "UNIQUE"], ["rack", "group_by", "3"],
            ["hostname", "LIKE", "a.*"], ["zone", "MAX_PER", "2"], ["x", "IS", "y/z"],
            ["rack", "CLUSTER", "r1"], ["rack", "UNLIKE", "r2"]]}),
        json!({"healthChecks": [{"path": "/"}, {"protocol": "COMMAND", "command": {"value": "true"}}]}),
        json!({"readinessChecks": [{"portName": "default"}]}),
        json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}}),
        json!({"acceptedResourceRoles": ["*"]}),
        json!({"unreachableStrategy": "disabled"}),
        json!({"gpus": 1}),
    ] {
        assert_eq!(problem(body.clone()), "", "{body}");
    }
    let image = json!({"container": {"docker": {"image": "nginx"}}});
    assert_eq!(problems(&image, ALL), "");
}

#[test]
fn each_mistake_is_told_where_it_is() {
    for (body, expected) in [
        (
            json!({"id": "/a/tasks"}),
            "/id: can not be one of (restart,tasks,versions,.,..)",
        ),
        (json!({"cmd": "x"}), "/cmd: must not be an empty string"),
        (json!({"cpus": 0}), "/cpus: error.min"),
        (json!({"mem": -1}), "/mem: error.min"),
        (
            json!({"resourceLimits": {"cpus": 0.5}}),
            "/resourceLimits/cpus: resource limit must be greater than or equal to requested \
             resource (1)",
        ),
        (
            json!({"constraints": [["hostname", "UNIQUE", "x"]]}),
            "/constraints(0): UNIQUE does not accept a value",
        ),
        (
            json!({"constraints": [["hostname"]]}),
            "/constraints(0): Each constraint must have either 2 or 3 fields",
        ),
        (
            json!({"constraints": [["h", "UNIQUE"], ["h", "NEAR", "x"]]}),
            "/constraints(1): operator must be one of the following",
        ),
        (
            json!({"constraints": [["h", "LIKE", "("]]}),
            "/constraints(0): '(' is not a valid regular expression",
        ),
        (
            json!({"constraints": [["h", "MAX_PER", "x"]]}),
            "/constraints(0): MAX_PER requires an integer value",
        ),
        (
            json!({"constraints": [["h", "GROUP_BY", "x"]]}),
            "/constraints(0): GROUP BY must define an integer value or else no value at all",
        ),
        (
            json!({"constraints": [["h", "IS", "[1-2]"]]}),
            "/constraints(0): IS only supports Mesos text and float values",
        ),
        (
            json!({"networks": [{"mode": "host", "name": "x"}]}),
            "/networks: Host networks may not have names or labels",
        ),
        (
            json!({"networks": [{"mode": "host"}, {"mode": "container/bridge"}]}),
            "/networks: May specify a single host network",
        ),
        (
            json!({"networks": [{"name": "x"}, {"name": "x"}]}),
            "/networks: Duplicate networks are not allowed",
        ),
        (
            json!({"portDefinitions": [{"port": 1, "name": "a"}, {"port": 1, "name": "a"}]}),
            "/portDefinitions: Port names must be unique., Ports must be unique.",
        ),
        (
            json!({"container": {"type": "MESOS", "portMappings": [{"containerPort": 1}]}}),
            "/container: portMappings are not allowed with host-networking",
        ),
        (
            json!({"networks": [{"mode": "container/bridge"}],
                "portDefinitions": [{"port": 1}]}),
            "/portDefinitions: portDefinitions are only allowed with host-networking",
        ),
        (
            json!({"healthChecks": [{"portIndex": 7}]}),
            "/healthChecks(0): Health check port indices must address an element",
        ),
        (
            json!({"healthChecks": [{"path": "/"}], "portDefinitions": []}),
            "/healthChecks(0): Health check port indices must address an element",
        ),
        (
            json!({"healthChecks": [{"protocol": "MESOS_TCP"}, {"protocol": "MESOS_HTTP"}]}),
            "/healthChecks: AppDefinition can contain at most one Mesos health check",
        ),
        (
            json!({"readinessChecks": [{"portName": "admin"}]}),
            "/readinessChecks(0)/portName: No port definition reference for portName admin",
        ),
        (
            json!({"upgradeStrategy": {"minimumHealthCapacity": 1.5}}),
            "/upgradeStrategy/minimumHealthCapacity: must be between 0.0 and 1.0",
        ),
        (
            json!({"unreachableStrategy": {"inactiveAfterSeconds": 5}}),
            "/unreachableStrategy: inactiveAfterSeconds must be less or equal",
        ),
        (
            json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "instances": 2}),
            "/instances: Single instance app may only have one instance",
        ),
        (
            json!({"acceptedResourceRoles": ["other"]}),
            "/acceptedResourceRoles: must be of \"*\" and the app's role",
        ),
        (
            json!({"acceptedResourceRoles": []}),
            "/acceptedResourceRoles: must not be empty",
        ),
        (
            json!({"executor": "a//b"}),
            "/executor: must be empty, //cmd or a path",
        ),
        (
            json!({"fetch": [{"uri": "a b"}]}),
            "/fetch(0)/uri: URI has invalid syntax.",
        ),
        (
            json!({"env": {"S": {"secret": "s"}}}),
            "/env(S): references an undefined secret",
        ),
        (
            json!({"container": {"type": "MESOS", "volumes": [
                {"containerPath": "a/b", "mode": "RW", "persistent": {"size": 0}}]}}),
            "/container/volumes(0)/containerPath: value must not contain \"/\"; \
             /container/volumes(0)/persistent/size: must be greater than 0",
        ),
        (
            json!({"container": {"type": "MESOS", "volumes": [
                {"containerPath": "a", "mode": "RW"}]}}),
            "/container/volumes(0): must have exactly one of",
        ),
        (
            json!({"container": {"type": "DOCKER"}}),
            "/container/docker: not defined",
        ),
    ] {
        let problem = problem(body.clone());
        assert!(problem.starts_with(expected), "{body}: {problem}");
    }
}

#[test]
fn something_must_be_run() {
    let expected =
        "/: AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.";
    assert_eq!(problems(&json!({}), ALL), expected);
    let both = json!({"cmd": "a b", "args": ["a"]});
    assert_eq!(problems(&both, ALL), expected);
}

#[test]
fn what_is_not_enabled_is_refused() {
    for (body, feature) in [
        (json!({"cmd": "a b", "gpus": 1}), "gpu_resources"),
        (
            json!({"cmd": "a b", "secrets": {"s": {"source": "x"}}}),
            "secrets",
        ),
    ] {
        let expected = format!(
            "/: Feature {feature} is not enabled. Enable with --enable_features {feature})"
        );
        assert_eq!(problems(&body, Features::default()), expected);
    }
}

#[test]
fn what_could_never_go_on_is_refused_at_once() {
    let bound = |more: Value| {
        let mut body = json!({
            "constraints": [["hostname", "LIKE", "host1.example"]], "requirePorts": true,
            "portDefinitions": [{"port": 8080}],
        });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        problem(body)
    };
    assert_eq!(bound(json!({})), "", "the default is one that goes on");
    let greedy = json!({"minimumHealthCapacity": 1, "maximumOverCapacity": 0});
    for operator in ["LIKE", "IS", "CLUSTER"] {
        let constraints = json!([["@hostname", operator, "host1.example"]]);
        let told = bound(json!({"constraints": constraints, "upgradeStrategy": greedy}));
        let expected = "/upgradeStrategy/minimumHealthCapacity: must be 0: constraints bind it to \
            the host host1.example, which has host port 8080 only once, so that the next instance \
            cannot start before the last has ended";
        assert_eq!(told, expected);
    }
    let rich = json!({"minimumHealthCapacity": 0.1, "maximumOverCapacity": 1});
    assert!(bound(json!({"upgradeStrategy": rich})).contains("must be 0"));
    assert!(bound(json!({"instances": 2})).starts_with("/instances: must be 1 at most"));
    for possible in [
        json!({"upgradeStrategy": greedy, "instances": 0}),
        json!({"upgradeStrategy": greedy, "requirePorts": false}),
        json!({"upgradeStrategy": greedy, "constraints": [["hostname", "LIKE", "host[12]"]]}),
        json!({"upgradeStrategy": greedy, "constraints": [["hostname", "CLUSTER"]]}),
        json!({"upgradeStrategy": greedy, "constraints": [["rack", "IS", "r1"]]}),
        json!({"upgradeStrategy": greedy, "constraints": []}),
        json!({"upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 1}}),
    ] {
        assert_eq!(bound(possible.clone()), "", "{possible}");
    }
    let mapped =
        json!({"type": "MESOS", "portMappings": [{"containerPort": 80, "hostPort": 8080}]});
    let mapped = json!({
        "constraints": [["hostname", "IS", "host1"]], "container": mapped,
        "networks": [{"mode": "container/bridge"}], "upgradeStrategy": greedy,
    });
    assert!(problem(mapped).contains("must be 0"));
}

#[test]
fn constraints_that_leave_no_place_are_refused() {
    let constrained = |constraints: Value, instances: u32| {
        problem(json!({"constraints": constraints, "instances": instances}))
    };
    let none = constrained(
        json!([["rack", "GROUP_BY"], ["hostname", "MAX_PER", "0"]]),
        1,
    );
    assert_eq!(
        none,
        "/constraints(1): MAX_PER 0 leaves no place for any instance"
    );
    let unique = json!([["hostname", "UNIQUE"], ["@hostname", "CLUSTER"]]);
    assert!(constrained(unique.clone(), 2).starts_with("/instances: must be 1 at most"));
    assert_eq!(constrained(unique, 1), "");
    let few = json!([["rack", "MAX_PER", "3"], ["rack", "LIKE", "r1"]]);
    assert!(constrained(few.clone(), 4).starts_with("/instances: must be 3 at most"));
    assert_eq!(constrained(few, 3), "");
    let other = json!([["hostname", "UNIQUE"], ["rack", "IS", "r1"]]);
    assert_eq!(constrained(other, 9), "");
}

#[test]
fn another_is_started_first_only_where_there_can_be_another() {
    let wanted = |more: Value| {
        let mut body = json!({"startBeforeKillSeconds": 60});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        problem(body)
    };
    assert_eq!(wanted(json!({})), "");
    for (more, expected) in [
        (json!({"startBeforeKillSeconds": 0}), "must be from 1 to"),
        (json!({"onEveryAgent": true}), "is not for apps"),
        (
            json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}}),
            "is not for apps",
        ),
        (
            json!({"container": {"type": "MESOS", "volumes": [
                {"containerPath": "a", "mode": "RW", "persistent": {"size": 1}}]}}),
            "is not for apps",
        ),
        (
            json!({"upgradeStrategy": {"maximumOverCapacity": 0}}),
            "needs an upgradeStrategy",
        ),
    ] {
        let told = wanted(more.clone());
        let expected = format!("/startBeforeKillSeconds: {expected}");
        assert!(told.starts_with(&expected), "{more}: {told}");
    }
}

#[test]
fn volumes_of_plugins_say_who_may_use_them_at_once() {
    let of = |mode: &str, access_mode: &str, instances: u32| {
        problem(json!({
            "instances": instances,
            "container": {"type": "MESOS", "volumes": [{
                "containerPath": "data", "mode": mode, "external": {
                    "name": "disk", "provider": "csi", "options": {
                        "pluginName": "nfs",
                        "capability": {"accessMode": access_mode, "accessType": "mount"},
                    },
                },
            }]},
        }))
    };
    assert_eq!(of("RW", "SINGLE_NODE_WRITER", 1), "");
    assert_eq!(of("RW", "MULTI_NODE_MULTI_WRITER", 5), "");
    assert_eq!(of("RO", "MULTI_NODE_SINGLE_WRITER", 5), "");
    assert_eq!(
        of("RW", "SINGLE_NODE_WRITER", 2),
        "/instances: got 2, expected 1 or less while non-shareable CSI volumes are defined"
    );
    assert_eq!(
        of("RW", "MULTI_NODE_SINGLE_WRITER", 3),
        "/instances: got 3, expected 1 or less while a multi-node single-writer volume is \
         defined mounted as read/write"
    );
    let read_only = of("RW", "MULTI_NODE_READER_ONLY", 1);
    assert!(
        read_only.starts_with("/container/volumes(0): CSI volume"),
        "{read_only}"
    );
    let unknown = of("RW", "EVERYBODY", 1);
    assert!(
        unknown.contains("capability/accessMode: unknown variant"),
        "{unknown}"
    );
}
