//! What refusals look like, and that no client takes the master down.

use std::path::Path;

use mesos_local::{Cluster, ClusterConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Subscription, exchange, framework, get, operate, soon};

/// Every recorded `http-*` exchange: same status, content type and text.
#[tokio::test]
async fn refuses_as_recorded() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("http-") && name != "master-http-no-such" {
            continue;
        }
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (request, recorded) = (&capture["request"], &capture["response"]);
        let body = match &request["body"] {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            Value::Object(object) if object.contains_key("base64") => {
                use base64::Engine;
                let text = object["base64"].as_str().unwrap();
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .unwrap()
            }
            other => other.to_string().into_bytes(),
        };
        let headers: Vec<(&str, &str)> = request["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let answer = exchange(
            cluster.master_address(),
            request["method"].as_str().unwrap(),
            request["path"].as_str().unwrap(),
            &headers,
            &body,
        )
        .await;
        assert_eq!(
            recorded["status"],
            answer.status,
            "{name}: {}",
            answer.text()
        );
        assert_eq!(recorded["body"], answer.text(), "{name}");
        for header in ["Content-Type", "Allow"] {
            let expected = recorded["headers"].get(header).and_then(Value::as_str);
            assert_eq!(answer.header(header).as_deref(), expected, "{name}");
        }
        count += 1;
    }
    assert!(count >= 14, "only {count} captures found");
}

#[tokio::test]
async fn ties_calls_to_their_subscription() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let mut first = Subscription::open(cluster.master_address(), framework("first")).await;
    assert!(
        first.head.contains("Content-Type: application/json"),
        "{}",
        first.head
    );
    assert!(!first.head.contains("gzip"), "{}", first.head);
    assert_eq!(first.call("REVIVE", json!({})).await.status, 202);

    let mut again = framework("first");
    again["id"] = json!({"value": first.framework_id});
    let second = Subscription::open(cluster.master_address(), again).await;
    assert_ne!(second.stream_id, first.stream_id);
    let last = first.end().await.pop().unwrap();
    assert_eq!(last["error"]["message"], "Framework failed over");

    let refused = first.call("REVIVE", json!({})).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().starts_with(&format!(
        "The stream ID '{}' included in this request didn't match",
        first.stream_id
    )));
    assert_eq!(second.call("REVIVE", json!({})).await.status, 202);
}

#[tokio::test]
async fn a_refused_subscription_is_an_event_on_a_stream_that_ends() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let mut bad = framework("bad");
    bad["roles"] = json!(["a//b"]);
    let call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": bad}});
    let mut stream =
        Subscription::start(cluster.master_address(), "/api/v1/scheduler", &call).await;
    let events = stream.end().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["type"], "ERROR");
}

#[tokio::test]
async fn closing_either_side_ends_a_subscription_at_once() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let address = cluster.master_address();
    for half in [false, true] {
        let mut subscription = Subscription::open(address, framework("leaves")).await;
        let id = subscription.framework_id.clone();
        let kept = if half {
            subscription.close_writing_side().await;
            Some(subscription)
        } else {
            drop(subscription);
            None
        };
        soon("the framework's removal", async {
            loop {
                let answer = operate(address, &json!({"type": "GET_FRAMEWORKS"}))
                    .await
                    .json();
                let completed = &answer["get_frameworks"]["completed_frameworks"];
                if completed.to_string().contains(&id) {
                    break;
                }
            }
        })
        .await;
        drop(kept);
    }
}

#[tokio::test]
async fn a_reader_that_stops_is_cut_off_and_others_are_served() {
    let cluster = Cluster::builder()
        .stream_buffer_bytes(1 << 20)
        .start()
        .await
        .unwrap();
    let address = cluster.master_address();
    let mut stopped = Subscription::open(address, framework("stopped")).await;
    let tasks: Vec<Value> = (0..2000)
        .map(|number| json!({"task_id": {"value": format!("{number}-{}", "x".repeat(200))}}))
        .collect();
    // Tens of megabytes of answers that nobody reads.
    loop {
        let reconcile = json!({"reconcile": {"tasks": tasks}});
        if stopped.call("RECONCILE", reconcile).await.status != 202 {
            break;
        }
    }
    stopped.end().await;
    let mut reader = Subscription::open(address, framework("reader")).await;
    reader.offer().await;
}

#[tokio::test]
async fn survives_malformed_and_half_sent_requests() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    let address = cluster.master_address();
    let mut open = Vec::new();
    for bytes in [
        &b"nonsense\r\n\r\n"[..],
        b"POST /api/v1/scheduler HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
        b"\x00\xff\x00\xff",
        b"GET /state HTTP/1.1\r\n",
    ] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            open.push(stream);
        }
    }
    for body in ["", "{", "[]", "{\"type\":5}", &"[".repeat(100_000)] {
        let headers = [("Content-Type", "application/json")];
        let answer = exchange(address, "POST", "/api/v1", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{body:.20}");
    }
    assert_eq!(get(address, "/health").await.status, 200);
}

/// Masters and agents refuse alike what is too much.
#[tokio::test]
async fn bodies_and_headers_have_limits_everywhere() {
    let cluster = Cluster::start(ClusterConfig::default()).await.unwrap();
    for address in [cluster.master_address(), cluster.agent_addresses()[0]] {
        let long = "x".repeat(100_000);
        let answer = exchange(address, "GET", "/health", &[("X-Long", &long)], b"").await;
        assert_eq!(answer.status, 431, "{address}");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let announced = (128 << 20) + 1;
        let head = format!(
            "POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {announced}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        let read = soon("an answer", stream.read_exact(&mut status)).await;
        read.unwrap();
        assert_eq!(&status, b"HTTP/1.1 413", "{address}");
    }
}
