//! What an agent allows whoever speaks with it.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::executors::custom_task;
use super::processes::{PATIENCE, Place};
use super::*;
use crate::http::{Limits, ServerControl, serve};
use crate::messages::ToAgent;

/// Subscribes the executor and reads until it is told so.
async fn subscribe(server: std::net::SocketAddr) -> TcpStream {
    let call = json!({"type": "SUBSCRIBE", "framework_id": {"value": framework_id().value},
        "executor_id": {"value": "e"}, "subscribe": {}});
    let body = call.to_string();
    let head = format!(
        "POST /api/v1/executor HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("SUBSCRIBED") {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut heard));
        let count = read.await.expect("an answer in time").unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&heard));
    }
    stream
}

#[tokio::test]
async fn an_executor_that_stops_reading_is_cut_off_and_may_come_back() {
    const MESSAGE_BYTES: usize = 256 << 10;
    const MESSAGES: usize = 256;
    let mut place = Place::with(|config| config.limits.executor_buffer_bytes = 1 << 20).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        place.agent.api(),
        Limits::default(),
        None,
        ServerControl::new(),
    ));
    let mut task = custom_task("t");
    let command = task.executor.as_mut().unwrap().command.as_mut().unwrap();
    command.value = Some("sleep 1000".into());
    place.run(task);
    place.tell(ToAgent::Ping);
    place.pong().await;
    let mut stopped = subscribe(server).await;
    for _ in 0..MESSAGES {
        place.tell(ToAgent::FrameworkMessage {
            framework_id: framework_id(),
            executor_id: mesos_sdk::ids::executor_id("e"),
            data: vec![0; MESSAGE_BYTES].into(),
        });
    }
    place.tell(ToAgent::Ping);
    place.pong().await;
    let mut heard = Vec::new();
    // A connection that is cut may be reset.
    let _ = tokio::time::timeout(PATIENCE, stopped.read_to_end(&mut heard))
        .await
        .expect("the stream ends");
    assert!(heard.len() < MESSAGES * MESSAGE_BYTES, "{}", heard.len());
    subscribe(server).await;
}
