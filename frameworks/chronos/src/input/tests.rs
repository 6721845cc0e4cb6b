//! What is read, and what is refused and why.

use serde_json::{Value, json};

use super::{Kind, read};
use crate::job::{Job, Policy};
use crate::state::Settings;

fn scheduled(fields: Value) -> Result<Job, Vec<String>> {
    let mut job = json!({"name": "a", "command": "x", "schedule": "R/2026-01-31T12:00:00Z/PT1H"});
    let map = job.as_object_mut().unwrap();
    map.extend(fields.as_object().unwrap().clone());
    let body = job.to_string();
    read(body.as_bytes(), Kind::Scheduled, 0, &Settings::default()).map(|(job, _)| job)
}

#[test]
fn what_is_not_said_has_the_defaults_of_the_original() {
    let job = scheduled(json!({})).unwrap();
    assert!(job.shell && !job.disabled && !job.concurrent && job.epsilon.is_none());
    assert_eq!(
        (job.retries, job.cpus, job.mem, job.disk),
        (2, 0.1, 128.0, 256.0)
    );
    assert_eq!(job.policy(), Policy::Forbid);
    let job = scheduled(json!({"cpus": 0, "retries": "5", "disabled": "true", "owner": null}));
    let job = job.unwrap();
    assert_eq!((job.cpus, job.retries, job.disabled), (0.1, 5, true));
}

#[test]
fn a_container_without_an_image_is_none() {
    for empty in [
        json!({}),
        json!({"type": "DOCKER", "image": "", "network": "HOST"}),
        json!({"type": "MESOS", "volumes": [], "networkName": "", "forcePullImage": false}),
    ] {
        let job = scheduled(json!({"container": empty})).unwrap();
        assert_eq!(job.container, None, "{empty}");
    }
}

#[test]
fn without_a_schedule_a_job_runs_once_and_now() {
    let body = br#"{"name": "a", "command": "x"}"#;
    let now = 1_769_860_800_000;
    let read = read(body, Kind::Scheduled, now, &Settings::default());
    let job = read.unwrap().0;
    let timetable = job.timetable().unwrap();
    assert_eq!(timetable.schedule().count(), Some(1));
    let first = timetable.schedule().next_after(i64::MIN).unwrap();
    assert_eq!(first.due_ms, now);
}

#[test]
fn what_is_wrong_is_said_with_the_name_of_the_field() {
    for (fields, said) in [
        (json!({"name": ""}), "name: "),
        (json!({"name": "a/b"}), "name: 'a/b' contains '/'"),
        (json!({"name": "ä"}), "name: 'ä' contains 'ä'"),
        (json!({"name": "a:b"}), "name: 'a:b' contains ':'"),
        (
            json!({"schedule": "tomorrow"}),
            "schedule: Cannot parse schedule 'tomorrow'",
        ),
        (
            json!({"schedule": "R/2026-01-31T12:00:00Z/PT0.5S"}),
            "schedule: ",
        ),
        (
            json!({"schedule": "R/1969-01-31T12:00:00Z/PT1S"}),
            "schedule: Cannot parse schedule 'R/1969",
        ),
        (
            json!({"scheduleTimeZone": "Mars/Base"}),
            "scheduleTimeZone: ",
        ),
        (json!({"cron": "* * * * *"}), "cron: "),
        (json!({"parents": ["b"]}), "parents: "),
        (json!({"epsilon": "soon"}), "epsilon: 'soon'"),
        (
            json!({"concurrencyPolicy": "Maybe"}),
            "concurrencyPolicy: 'Maybe'",
        ),
        (json!({"retries": -1}), "retries: -1 is no number"),
        (json!({"retries": 1.5}), "retries: 1.5 is no whole number"),
        (json!({"cpus": "many"}), "cpus: \"many\""),
        (json!({"disabled": 3}), "disabled: 3"),
        (json!({"arguments": "x"}), "arguments: \"x\" is no list"),
        (
            json!({"constraints": [["a", "OVER", "b"]]}),
            "constraints: a OVER b: operator",
        ),
        (
            json!({"constraints": [["a", "LIKE", "("]]}),
            "constraints: a LIKE (: ",
        ),
        (json!({"constraints": ["a"]}), "constraints: \"a\""),
        (
            json!({"environmentVariables": [{"value": "x"}]}),
            "environmentVariables: name: ",
        ),
        (
            json!({"environmentVariables": {"A": "x"}}),
            "environmentVariables: ",
        ),
        (json!({"fetch": [{}]}), "fetch: uri: "),
        (json!({"fetch": [{"uri": "a"}], "uris": ["b"]}), "uris: "),
        (
            json!({"container": {"type": "MESOS", "volumes": [{"containerPath": "/x"}]}}),
            "container: image: ",
        ),
        (
            json!({"container": {"image": "x", "network": "MESH"}}),
            "container: network: 'MESH'",
        ),
        (
            json!({"container": {"image": "x", "volumes": [{}]}}),
            "container: volumes: containerPath",
        ),
        (json!({"notifyOn": ["rain"]}), "notifyOn: 'rain'"),
        (json!({"retryBackoffFactor": 0.5}), "retryBackoffFactor: "),
        (
            json!({"successfulRunsHistoryLimit": 5000}),
            "successfulRunsHistoryLimit: ",
        ),
    ] {
        let problems = scheduled(fields.clone()).expect_err(&fields.to_string());
        assert!(problems[0].starts_with(said), "{fields}: {problems:?}");
    }
    let problems = scheduled(json!({"retries": -1, "epsilon": "x", "cpus": []})).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for body in ["", "[]", "3", "{\"name\": "] {
        let read = read(body.as_bytes(), Kind::Scheduled, 0, &Settings::default());
        assert_eq!(read.unwrap_err().len(), 1, "{body}");
    }
}
