//! A scheduler that speaks by hand: it sends what a test says and keeps every
//! record it hears.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mesos_sdk::address::HostAddress;
use mesos_sdk::recordio::Decoder;
use mesos_sdk::transport::{Response, Transport};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::encoding::Encoding;
use crate::fixture::{Fixture, PATIENCE};

/// Where schedulers call.
pub const SCHEDULER: &str = "/api/v1/scheduler";

/// A stream that is being read.
#[derive(Debug, Clone)]
pub struct Records {
    heard: Arc<Mutex<Heard>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Heard {
    records: Vec<Value>,
    is_closed: bool,
}

impl Records {
    /// Everything so far.
    #[must_use]
    pub fn all(&self) -> Vec<Value> {
        self.heard().records.clone()
    }

    /// Whether the other side has ended the stream.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.heard().is_closed
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first record that `find` takes.
    ///
    /// # Panics
    ///
    /// When there is none in time, or the stream ends without it.
    pub async fn wait<T>(&self, what: &str, mut find: impl FnMut(&Value) -> Option<T>) -> T {
        let found = self.until(|records, is_closed| {
            let found = records.iter().find_map(&mut find);
            assert!(
                found.is_some() || !is_closed,
                "the stream ended without {what}"
            );
            found
        });
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} in time; heard: {:#?}", self.all()),
        }
    }

    /// Waits until the other side ends the stream.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub async fn closed(&self) {
        let closed = self.until(|_, is_closed| is_closed.then_some(()));
        let in_time = tokio::time::timeout(PATIENCE, closed).await;
        assert!(
            in_time.is_ok(),
            "the stream does not end: {:#?}",
            self.all()
        );
    }

    /// What came after the first `seen` records, as soon as there is something;
    /// `None` once the stream has ended and there is nothing more.
    pub async fn after(&self, seen: usize) -> Option<Vec<Value>> {
        self.until(|records, is_closed| match &records[seen..] {
            [] => is_closed.then_some(None),
            new => Some(Some(new.to_vec())),
        })
        .await
    }

    /// Waits, for however long, until `check` has something to say of all
    /// records and of whether the stream has ended.
    pub async fn until<T>(&self, mut check: impl FnMut(&[Value], bool) -> Option<T>) -> T {
        loop {
            let news = self.news.notified();
            // A copy, so that a check may look at the stream by itself.
            let (records, is_closed) = (self.all(), self.is_closed());
            if let Some(found) = check(&records, is_closed) {
                return found;
            }
            news.await;
        }
    }
}

/// What opening a stream gave.
#[derive(Debug)]
pub struct Opened {
    /// The HTTP status.
    pub status: u16,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The records, when the status is 200.
    pub records: Records,
    /// The body, when it is not.
    pub refusal: String,
    reader: tokio::task::AbortHandle,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Fixture {
    /// Sends one request.
    ///
    /// # Panics
    ///
    /// When there is no response.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let headers = header_map(headers);
        let body = Bytes::copy_from_slice(body);
        let response = self.transport.post(&self.master, path, headers, body).await;
        response.expect("a response")
    }

    /// Makes an operator call at the master.
    ///
    /// # Panics
    ///
    /// When the answer is no JSON.
    pub async fn operator(&self, call: Value) -> (u16, Value) {
        let body = call.to_string();
        let response = self.post("/api/v1", &JSON, body.as_bytes()).await;
        (response.status.as_u16(), parse(&response.body))
    }

    /// Opens a stream and reads it in the background.
    ///
    /// # Panics
    ///
    /// When there is no response.
    pub async fn open(&self, path: &str, call: &Value) -> Opened {
        let headers = [
            ("Content-Type", self.calls.media_type()),
            ("Accept", self.events.media_type()),
        ];
        let body = self.calls.call(path, call);
        self.open_as(path, header_map(&headers), body).await
    }

    /// Makes a call of a scheduler, under a stream's id if there is one.
    ///
    /// # Panics
    ///
    /// When there is no response.
    pub async fn call(&self, stream_id: Option<&str>, call: &Value) -> Response {
        let mut headers = vec![("Content-Type", self.calls.media_type())];
        headers.extend(stream_id.map(|id| ("Mesos-Stream-Id", id)));
        let body = self.calls.call(SCHEDULER, call);
        self.post(SCHEDULER, &headers, &body).await
    }

    /// The same with headers of one's own.
    ///
    /// # Panics
    ///
    /// When there is no response.
    pub async fn open_as(&self, path: &str, headers: HeaderMap, body: Bytes) -> Opened {
        open(&self.transport, &self.master, path, headers, body).await
    }
}

/// Opens a stream and reads it in the background.
///
/// # Panics
///
/// When there is no response.
pub async fn open(
    transport: &Transport,
    address: &HostAddress,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Opened {
    let response = transport.open_stream(address, path, headers, body).await;
    let mut response = response.expect("a response");
    let records = Records {
        heard: Arc::default(),
        news: Arc::default(),
    };
    let kept = records.clone();
    let (status, headers) = (response.status, response.headers);
    let encoding = Encoding::of(&headers);
    let path = path.to_owned();
    let mut refusal = String::new();
    if status != StatusCode::OK {
        while let Some(Ok(chunk)) = response.body.chunk().await {
            refusal.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
    let reader = tokio::spawn(async move {
        let mut decoder = Decoder::default();
        while let Some(Ok(chunk)) = response.body.chunk().await {
            decoder.push(chunk);
            while let Ok(Some(record)) = decoder.next_record() {
                let event = encoding.event(&path, record);
                kept.heard().records.push(event);
            }
            kept.news.notify_waiters();
        }
        kept.heard().is_closed = true;
        kept.news.notify_waiters();
    });
    Opened {
        status: status.as_u16(),
        headers,
        records,
        refusal,
        reader: reader.abort_handle(),
    }
}

/// The headers of a JSON call.
pub const JSON: [(&str, &str); 2] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
];

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let parse = |(name, value): &(&str, &str)| {
        let name: http::HeaderName = name.parse().expect("a header name");
        (name, value.parse().expect("a header value"))
    };
    headers.iter().map(parse).collect()
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// The info that the recorded frameworks registered with.
#[must_use]
pub fn framework_info(name: &str) -> Value {
    let capabilities = [
        "MULTI_ROLE",
        "PARTITION_AWARE",
        "RESERVATION_REFINEMENT",
        "TASK_KILLING_STATE",
    ];
    json!({
        "user": "root", "name": name, "roles": ["*"], "failover_timeout": 60.0, "checkpoint": true,
        "capabilities": capabilities.map(|kind| json!({"type": kind})),
    })
}

/// A framework that is subscribed.
#[derive(Debug)]
pub struct Framework<'a> {
    fixture: &'a Fixture,
    /// Its stream.
    pub stream: Opened,
    /// Its id.
    pub id: String,
    stream_id: String,
    used_offers: Mutex<Vec<String>>,
}

impl<'a> Framework<'a> {
    /// Subscribes a framework.
    ///
    /// # Panics
    ///
    /// When the master does not answer with SUBSCRIBED.
    pub async fn subscribe(fixture: &'a Fixture, mut info: Value, id: Option<&str>) -> Self {
        let mut call = json!({"type": "SUBSCRIBE"});
        if let Some(id) = id {
            info["id"] = json!({"value": id});
            call["framework_id"] = json!({"value": id});
        }
        if fixture.cluster.is_none() {
            // Nothing of it is in the way of the next test, whatever happens.
            info["failover_timeout"] = json!(0.0);
        }
        call["subscribe"] = json!({"framework_info": info});
        let stream = fixture.open(SCHEDULER, &call).await;
        assert_eq!(stream.status, 200);
        let subscribed = |record: &Value| {
            let id = &record["subscribed"]["framework_id"]["value"];
            id.as_str().map(str::to_owned)
        };
        let id = stream.records.wait("SUBSCRIBED", subscribed).await;
        let stream_id = stream.headers["Mesos-Stream-Id"]
            .to_str()
            .expect("an id")
            .to_owned();
        Self {
            fixture,
            stream,
            id,
            stream_id,
            used_offers: Mutex::default(),
        }
    }

    /// Makes a call under this subscription.
    pub async fn send(&self, call: Value) -> Response {
        let stream_id = self.stream_id.clone();
        self.send_on(&stream_id, call).await
    }

    /// Makes a call under another stream's id.
    pub async fn send_on(&self, stream_id: &str, mut call: Value) -> Response {
        call["framework_id"] = json!({"value": self.id});
        self.fixture.call(Some(stream_id), &call).await
    }

    /// The next offer that was not used yet, apart from those of what a task
    /// has just left: nobody takes ports, so they tell which has the rest.
    pub async fn offer(&self) -> Value {
        let used = self
            .used_offers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let find = |record: &Value| {
            let offers = record["offers"]["offers"].as_array()?;
            offers
                .iter()
                .find(|offer| {
                    let id = offer["id"]["value"].as_str().unwrap_or_default();
                    !used.iter().any(|used| used == id) && has_ports(offer)
                })
                .cloned()
        };
        let offer = self.stream.records.wait("an offer", find).await;
        let id = offer["id"]["value"].as_str().unwrap_or_default().to_owned();
        let mut used = self
            .used_offers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        used.push(id);
        offer
    }

    /// Accepts an offer, asking for what is left at once.
    pub async fn accept(&self, offer_id: &Value, operations: Value) -> Response {
        self.send(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer_id], "operations": operations, "filters": {"refuse_seconds": 0.0},
        }}))
        .await
    }

    /// Launches one task on the next offer.
    ///
    /// # Panics
    ///
    /// When the call is not taken.
    pub async fn launch(&self, make: impl FnOnce(&Value) -> Value) -> Value {
        let offer = self.offer().await;
        let task = make(&offer);
        let response = self.accept(&offer["id"], launch([task])).await;
        assert_eq!(response.status.as_u16(), 202, "{}", response.text());
        offer
    }

    /// Waits for an update of a task in a state.
    pub async fn update(&self, task: &str, state: &str) -> Value {
        let find = |record: &Value| {
            let status = &record["update"]["status"];
            (status["task_id"]["value"] == task && status["state"] == state).then(|| status.clone())
        };
        self.stream
            .records
            .wait(&format!("{state} of {task}"), find)
            .await
    }

    /// Acknowledges an update.
    pub async fn acknowledge(&self, status: &Value) -> Response {
        self.send(json!({"type": "ACKNOWLEDGE", "acknowledge": {
            "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"],
        }}))
        .await
    }

    /// Acknowledges all that is told of a task until it is what is waited for.
    pub async fn hear(&self, task: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        loop {
            let new = |record: &Value| {
                let status = &record["update"]["status"];
                let uuid = &status["uuid"];
                let is_new =
                    status["task_id"]["value"] == task && uuid.is_string() && !seen.contains(uuid);
                is_new.then(|| status.clone())
            };
            let status = self.stream.records.wait(what, new).await;
            self.acknowledge(&status).await;
            if is_it(&status) {
                return status;
            }
            seen.push(status["uuid"].clone());
        }
    }

    /// Waits for each of the states and acknowledges it.
    pub async fn follow(&self, task: &str, states: &[&str]) {
        for state in states {
            let status = self.update(task, state).await;
            self.acknowledge(&status).await;
        }
    }
}

fn has_ports(offer: &Value) -> bool {
    let resources = offer["resources"].as_array();
    resources.is_some_and(|all| all.iter().any(|resource| resource["name"] == "ports"))
}

/// The operations that launch tasks.
#[must_use]
pub fn launch(tasks: impl Into<Vec<Value>>) -> Value {
    json!([{"type": "LAUNCH", "launch": {"task_infos": tasks.into()}}])
}

/// A task with a tenth of a cpu and 32 MiB that runs a shell command.
#[must_use]
pub fn task(offer: &Value, id: &str, command: &str) -> Value {
    json!({
        "name": "capture-task", "task_id": {"value": id}, "agent_id": offer["agent_id"],
        "resources": resources(0.1, 32.0),
        "command": {"shell": true, "value": command},
    })
}

/// Cpus and memory, allocated to the default role.
#[must_use]
pub fn resources(cpus: f64, mem: f64) -> Value {
    let scalar = |name: &str, value: f64| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": "*"}});
    json!([scalar("cpus", cpus), scalar("mem", mem)])
}
