//! What is typed, and how it ends.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::instance::{Instance, program};

/// The status, the standard output and the standard error.
fn ran(line: &str) -> (Option<i32>, String, String) {
    let output = program(line).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn help_is_on_the_standard_output() {
    let (status, out, err) = ran("--help");
    assert_eq!((status, err.as_str()), (Some(0), ""));
    for part in [
        "--master <ADDRESS>",
        "--zk <ADDRESS>",
        "--data_dir",
        "EXAMPLES",
        "EXIT STATUS",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, out, _) = ran("--version");
    assert_eq!(status, Some(0));
    assert!(out.starts_with("marathon "), "{out}");
}

#[test]
fn wrong_arguments_are_one_clear_message() {
    for (line, parts) in [
        ("", vec!["--master"]),
        (
            "--master local --http_prot 80",
            vec!["--http_prot", "--http_port"],
        ),
        (
            "--master local --http_port eighty",
            vec!["eighty", "http_port"],
        ),
        ("--master mesos:5050", vec!["--data_dir", "--zk"]),
        ("--master local --zk nowhere", vec!["--zk"]),
        (
            "--master local --http_port 0 --enable_features flying",
            vec!["flying", "secrets"],
        ),
    ] {
        let (status, out, err) = ran(line);
        assert_eq!((status, out.as_str()), (Some(112), ""), "{line}: {err}");
        assert!(parts.iter().all(|part| err.contains(part)), "{line}: {err}");
        assert!(!err.contains("panicked"), "{line}: {err}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port();
    let line = format!("--master local --http_address 127.0.0.1 --http_port {port}");
    let (status, _, err) = ran(&line);
    assert_eq!(status, Some(111), "{err}");
    assert!(err.contains(&address.to_string()), "{err}");
}

#[test]
fn a_second_one_on_the_same_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("--master local --data_dir {}", directory.path().display());
    let _first = Instance::start(&line);
    let (status, _, err) = ran(&format!("--http_address 127.0.0.1 --http_port 0 {line}"));
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("in use by another process"), "{err}");
}

#[tokio::test]
async fn signals_end_it_in_good_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut marathon = Instance::start("--master local");
        assert_eq!(marathon.get("/ping").await, "pong");
        marathon.signal(signal);
        let status = marathon.end().await;
        assert_eq!(
            (status.code(), status.signal()),
            (Some(0), None),
            "{signal}"
        );
    }
}

#[tokio::test]
async fn flags_of_former_times_are_passed_over_with_a_word() {
    let marathon = Instance::start("--master local --disable_ha --max_tasks_per_offer 5");
    marathon.get("/ping").await;
    let said = marathon.said().join("\n");
    for flag in ["--disable_ha", "--max_tasks_per_offer"] {
        assert!(said.contains(flag), "{said}");
    }
}

#[tokio::test]
async fn numbers_and_log_levels_are_shown() {
    let marathon = Instance::start("--master local --metrics_name_prefix m2");
    let body = json!({"id": "/numbers", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16});
    let posted = async {
        loop {
            let (status, _) = marathon.client.request("POST", "/v2/apps", &body).await;
            if status == 201 {
                return;
            }
        }
    };
    posted.await;
    let runs = |app: &serde_json::Value| app["app"]["tasksRunning"] == 1;
    marathon.until("/v2/apps/numbers", "running", runs).await;
    let numbers = marathon.get("/metrics").await;
    assert_eq!(numbers["version"], "4.0.0");
    for (kind, name, field, value) in [
        ("gauges", "apps.active.gauge", "value", 1),
        ("gauges", "instances.running.gauge", "value", 1),
        ("gauges", "groups.active.gauge", "value", 1),
        ("counters", "tasks.launched.counter", "count", 1),
        ("counters", "deployments.counter", "count", 1),
        ("counters", "deployments.dismissed.counter", "count", 0),
        (
            "counters",
            "mesos.task-updates.task-running.counter",
            "count",
            1,
        ),
    ] {
        let number = &numbers[kind][format!("m2.{name}")][field];
        assert_eq!(*number, value, "{name}: {numbers:#}");
    }
    let timer = &numbers["timers"]["m2.http.requests.get.duration.timer.seconds"];
    assert!(timer["count"].as_u64().unwrap() > 0 && timer["p99"].is_number());
    assert!(numbers["gauges"]["m2.leadership.duration.gauge.seconds"]["value"].is_number());
    let text = marathon.get("/metrics/prometheus").await;
    let text = text.as_str().unwrap();
    assert!(text.contains("# TYPE m2_apps_active_gauge gauge\nm2_apps_active_gauge 1\n"));

    let levels = marathon.get("/logging").await;
    assert_eq!(levels["ROOT"], "WARN");
    let change = json!({"level": "debug", "logger": "marathon::engine"});
    let (status, answer) = marathon.client.request("POST", "/logging", &change).await;
    assert_eq!((status, answer), (200, change));
    assert_eq!(marathon.get("/logging").await["marathon::engine"], "DEBUG");
    let change = json!({"level": "loud", "logger": "ROOT"});
    let (status, answer) = marathon.client.request("POST", "/logging", &change).await;
    assert_eq!(
        (status, &answer["details"][0]["path"]),
        (422, &json!("/level"))
    );

    let (status, answer) = marathon.client.get("/v3").await;
    assert_eq!((status, answer), (404, json!({"message": "URI not found"})));
    let page = marathon.get("/api-console/index.html").await;
    assert!(page.as_str().unwrap().contains("<code>/v2/apps</code>"));
}

#[tokio::test]
async fn the_leader_lays_its_office_down() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let line = format!("--master local --data_dir {place}");
    let mut first = Instance::start(&line);
    let leader = first.get("/v2/leader").await;
    assert_eq!(leader, json!({"leader": first.address.to_string()}));
    let app = json!({"id": "/kept", "cmd": "sleep 1000", "instances": 0});
    let (status, _) = first.client.request("POST", "/v2/apps", &app).await;
    assert_eq!(status, 201);
    let wrong = "/v2/leader?backup=s3://bucket/key";
    let (status, answer) = first.client.raw("DELETE", wrong, "").await;
    assert_eq!(status, 422, "{answer}");
    let path = format!("/v2/leader?backup=file://{place}/backup");
    let (status, answer) = first.client.raw("DELETE", &path, "").await;
    assert_eq!(
        (status, answer),
        (200, json!({"message": "Leadership abdicated"}))
    );
    assert_eq!(first.end().await.code(), Some(103));

    // The app is deleted, and there again with the backup.
    let mut second = Instance::start(&line);
    second.get("/v2/apps/kept").await;
    let (status, _) = second.client.raw("DELETE", "/v2/apps/kept", "").await;
    assert_eq!(status, 200);
    let path = format!("/v2/leader?restore=file://{place}/backup");
    let (status, _) = second.client.raw("DELETE", &path, "").await;
    assert_eq!(status, 200);
    assert_eq!(second.end().await.code(), Some(103));
    let third = Instance::start(&line);
    assert_eq!(third.get("/v2/apps/kept").await["app"]["instances"], 0);
}
