//! The smallest HTTP client that can talk to a master: one request a
//! connection, and subscriptions that stay open.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot talk to its cluster has failed"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mesos_sdk::recordio::Decoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here may take, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen in time"),
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", body.len());
    [text.as_bytes(), body].concat()
}

/// Sends one request and reads its answer to the end.
pub(crate) async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let headers = [headers, &[("Connection", "close")]].concat();
    soon(path, async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(&request(method, path, &headers, body))
            .await
            .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = find(&bytes, b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        Answer {
            status: status(&head),
            head,
            body: bytes.split_off(end),
        }
    })
    .await
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, "GET", path, &[], b"").await
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A call of the operator API, in JSON.
pub(crate) async fn operate(address: SocketAddr, call: &Value) -> Answer {
    exchange(
        address,
        "POST",
        "/api/v1",
        &[JSON],
        call.to_string().as_bytes(),
    )
    .await
}

/// What a framework that wants nothing special says of itself.
pub(crate) fn framework(name: &str) -> Value {
    json!({
        "user": "root",
        "name": name,
        "roles": ["*"],
        "failover_timeout": 0.0,
        "checkpoint": true,
        "capabilities": [
            {"type": "MULTI_ROLE"},
            {"type": "PARTITION_AWARE"},
            {"type": "RESERVATION_REFINEMENT"},
            {"type": "TASK_KILLING_STATE"},
        ],
    })
}

/// An open subscription, of a scheduler or an operator.
pub(crate) struct Subscription {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    records: Decoder,
    pub(crate) head: String,
    pub(crate) stream_id: String,
    pub(crate) framework_id: String,
    /// Offers that were seen and not asked for yet.
    offers: VecDeque<Value>,
}

impl Subscription {
    /// Subscribes and waits for SUBSCRIBED.
    pub(crate) async fn open(address: SocketAddr, framework: Value) -> Self {
        let mut call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": framework}});
        if let Some(id) = framework.get("id") {
            call["framework_id"] = id.clone();
        }
        let mut subscription = Self::start(address, "/api/v1/scheduler", &call).await;
        let subscribed = subscription.next().await.expect("an event");
        assert_eq!(subscribed["type"], "SUBSCRIBED", "{subscribed}");
        let id = &subscribed["subscribed"]["framework_id"]["value"];
        subscription.framework_id = id.as_str().unwrap().to_owned();
        subscription
    }

    /// Sends a SUBSCRIBE and reads the head of its answer, which must be 200.
    pub(crate) async fn start(address: SocketAddr, path: &str, call: &Value) -> Self {
        soon("a subscription", async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let headers = [
                JSON,
                ("Accept", "application/json"),
                ("Accept-Encoding", "gzip"),
            ];
            let bytes = request("POST", path, &headers, call.to_string().as_bytes());
            stream.write_all(&bytes).await.unwrap();
            let mut buffer = Vec::new();
            let end = loop {
                if let Some(end) = find(&buffer, b"\r\n\r\n") {
                    break end + 4;
                }
                assert!(
                    stream.read_buf(&mut buffer).await.unwrap() > 0,
                    "ended early"
                );
            };
            let rest = buffer.split_off(end);
            let head = String::from_utf8(buffer).unwrap();
            assert_eq!(
                status(&head),
                200,
                "{head}{}",
                String::from_utf8_lossy(&rest)
            );
            Self {
                address,
                stream,
                buffer: rest,
                records: Decoder::new(1 << 30),
                stream_id: header(&head, "Mesos-Stream-Id").unwrap_or_default(),
                head,
                framework_id: String::new(),
                offers: VecDeque::new(),
            }
        })
        .await
    }

    /// The next event; `None` when the stream has ended, however it did.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let event: Value = soon("an event", async {
            loop {
                if let Some(record) = self.records.next_record().unwrap() {
                    return Some(serde_json::from_slice(&record).unwrap());
                }
                let chunk = self.next_chunk().await?;
                self.records.push(chunk);
            }
        })
        .await?;
        if let Some(offers) = event["offers"]["offers"].as_array() {
            self.offers.extend(offers.iter().cloned());
        }
        Some(event)
    }

    /// One chunk of the chunked body.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = find(&self.buffer, b"\r\n") {
                let length = std::str::from_utf8(&self.buffer[..line]).unwrap();
                let length = usize::from_str_radix(length, 16).unwrap();
                let whole = line + 2 + length + 2;
                if self.buffer.len() >= whole {
                    let chunk = self.buffer[line + 2..line + 2 + length].to_vec();
                    self.buffer.drain(..whole);
                    return (length > 0).then(|| chunk.into());
                }
            }
            // A connection that is cut may end with an error.
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads on to the next event of a type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.until_it(kind, |event| event["type"] == kind).await
    }

    /// Reads on to the first event of which something holds.
    pub(crate) async fn until_it(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().await;
            let event = event.unwrap_or_else(|| panic!("the stream ended before {what}"));
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Reads to the end of the stream.
    pub(crate) async fn end(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Makes a call of this framework.
    pub(crate) async fn call(&self, kind: &str, mut call: Value) -> Answer {
        call["type"] = json!(kind);
        call["framework_id"] = json!({"value": self.framework_id});
        let headers = [JSON, ("Mesos-Stream-Id", self.stream_id.as_str())];
        let body = call.to_string();
        exchange(
            self.address,
            "POST",
            "/api/v1/scheduler",
            &headers,
            body.as_bytes(),
        )
        .await
    }

    /// The first offer that was not given out yet.
    pub(crate) async fn offer(&mut self) -> Value {
        if self.offers.is_empty() {
            self.until("OFFERS").await;
        }
        self.offers.pop_front().expect("an OFFERS event has offers")
    }

    /// Launches a shell command on an offer and nothing else.
    pub(crate) async fn launch(&self, offer: &Value, task_id: &str, command: &str) {
        let task = json!({
            "name": task_id,
            "task_id": {"value": task_id},
            "agent_id": offer["agent_id"],
            "command": {"value": command, "shell": true},
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 32.0}},
            ],
        });
        let accept = json!({
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task]}}],
            "filters": {"refuse_seconds": 0.0},
        });
        let answer = self.call("ACCEPT", json!({"accept": accept})).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Waits for a task to be in a state, acknowledging all that is told on the
    /// way, and gives back its status.
    pub(crate) async fn state(&mut self, task_id: &str, state: &str) -> Value {
        loop {
            let update = self.until("UPDATE").await;
            let status = update["update"]["status"].clone();
            self.acknowledge(&status).await;
            if status["task_id"]["value"] == task_id && status["state"] == state {
                return status;
            }
        }
    }

    async fn acknowledge(&self, status: &Value) {
        if status.get("uuid").is_none() {
            return;
        }
        let acknowledge = json!({
            "agent_id": status["agent_id"],
            "task_id": status["task_id"],
            "uuid": status["uuid"],
        });
        let answer = self
            .call("ACKNOWLEDGE", json!({"acknowledge": acknowledge}))
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Closes the writing side alone.
    pub(crate) async fn close_writing_side(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}
