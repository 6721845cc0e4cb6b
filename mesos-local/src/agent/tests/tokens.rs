//! Executors that have to show the token that they were started with.

use http::StatusCode;
use mesos_sdk::v1;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::processes::Place;
use super::*;
use crate::http::{Limits, ServerControl, serve};
use crate::security::{Claims, TokenKey};

/// The status of a call of an executor, and the head of the answer.
async fn call(server: std::net::SocketAddr, token: Option<&str>, call: &Value) -> (u16, String) {
    let body = call.to_string();
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request = format!(
        "POST /slave(1)/api/v1/executor HTTP/1.1\r\nHost: agent\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head)
}

#[tokio::test]
async fn executors_show_the_token_they_were_given() {
    let key = TokenKey::new(b"a key");
    let tokens = key.clone();
    let place = Place::with(|config| config.tokens = Some(tokens)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let control = ServerControl::new();
    let api = place.agent.api();
    tokio::spawn(serve(listener, api, Limits::default(), None, control));
    place.run(v1::TaskInfo {
        command: None,
        executor: Some(v1::ExecutorInfo {
            executor_id: mesos_sdk::ids::executor_id("shows"),
            framework_id: Some(framework_id()),
            command: Some(v1::CommandInfo {
                value: Some("echo $MESOS_EXECUTOR_AUTHENTICATION_TOKEN; exec sleep 1000".into()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..task("one", "")
    });
    let token = place.written("shows").await;
    let token = token.trim();

    let subscribe = |executor: &str| {
        json!({
            "type": "SUBSCRIBE", "subscribe": {},
            "framework_id": {"value": framework_id().value},
            "executor_id": {"value": executor},
        })
    };
    let shows = subscribe("shows");
    for wrong in [None, Some("x.y.z"), Some(&token[1..])] {
        let (status, head) = call(server, wrong, &shows).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{head}");
        let challenge = "Www-Authenticate: Bearer realm=\"mesos-agent-executor\"";
        assert!(head.contains(challenge), "{head}");
    }
    // The agent's own signature, but of another executor or another run of it.
    let claims = |cid: &str, eid: &str| Claims {
        cid: cid.to_owned(),
        eid: eid.to_owned(),
        fid: framework_id().value,
    };
    let another = key.issue(&claims("another", "shows"));
    assert_eq!(call(server, Some(&another), &shows).await.0, 403);
    assert_eq!(call(server, Some(token), &subscribe("other")).await.0, 403);
    assert_eq!(call(server, Some(token), &shows).await.0, 200);
}
