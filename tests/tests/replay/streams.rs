//! Streams of events: in protobuf, several at once for one framework, and one
//! that nobody reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use mesos_sdk::address::HostAddress;
use mesos_sdk::recordio::Decoder;
use mesos_tests::compare;
use mesos_tests::encoding::Encoding;
use mesos_tests::fixture::{Fixture, PATIENCE};
use mesos_tests::framework::{Framework, JSON, SCHEDULER, framework_info, task};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::group::{Group, bytes_of, check_story};
use crate::wire::head_of;

pub(crate) const STREAMS: &[&str] = &[
    "fault-protobuf-stream",
    "fault-reader-stops",
    "fault-subscribe-together",
];

/// The records of a stream that was recorded in protobuf, as JSON.
fn records(stream: &Value, path: &str) -> Value {
    let records = stream["response"]["records"].as_array().unwrap();
    let event = |record: &Value| {
        let bytes = bytes_of(record["base64"].as_str().unwrap());
        let event = Encoding::Protobuf.event(path, bytes);
        assert!(event.is_object(), "{event}");
        event
    };
    records.iter().map(event).collect()
}

/// The kinds of events, in order, apart from those that time decides.
fn kinds(records: &[Value]) -> Vec<String> {
    let kinds = records
        .iter()
        .map(|record| record["type"].as_str().unwrap());
    let kinds = kinds.filter(|kind| !["HEARTBEAT", "OFFERS", "RESCIND"].contains(kind));
    kinds.map(str::to_owned).collect()
}

/// All records of a kind have the fields that those recorded had.
fn same_shapes(group: &Group, what: &str, recorded: &[Value], got: &[Value]) {
    let by_kind = |records: &[Value]| -> BTreeMap<String, Vec<Value>> {
        let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for record in records {
            let kind = record["type"].as_str().unwrap().to_owned();
            kinds.entry(kind).or_default().push(record.clone());
        }
        kinds
    };
    let got = by_kind(got);
    for (kind, records) in by_kind(recorded) {
        let got = got
            .get(&kind)
            .unwrap_or_else(|| panic!("{what}: no {kind}"));
        group.check_shape(&format!("{what}, {kind}"), &json!(records), &json!(got));
    }
}

/// Calls in JSON and events in protobuf, and the operator's events besides.
#[tokio::test]
async fn events_in_protobuf() {
    let mut fixture = Fixture::start().await;
    fixture.events = Encoding::Protobuf;
    let group = Group::new(&["fault-protobuf-stream"]);
    let recorded = group.read("fault-protobuf-stream");
    let operator = fixture.open("/api/v1", &json!({"type": "SUBSCRIBE"})).await;
    assert_eq!(operator.headers["content-type"], "application/x-protobuf");
    let is_first = |record: &Value| (record["type"] == "SUBSCRIBED").then_some(());
    operator.records.wait("SUBSCRIBED", is_first).await;
    let f = Framework::subscribe(&fixture, framework_info("binary"), None).await;
    assert_eq!(f.stream.headers["content-type"], "application/x-protobuf");
    f.launch(|offer| {
        let mut task = task(offer, "binary-task", "echo hello; sleep 1");
        task["check"] = json!({
            "type": "COMMAND", "command": {"command": {"value": "exit 5"}},
            "delay_seconds": 0, "interval_seconds": 5,
        });
        task["labels"] = json!({"labels": [{"key": "k", "value": "v"}]});
        task
    })
    .await;
    f.follow("binary-task", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    let checked = |record: &Value| {
        let status = &record["update"]["status"];
        (status["reason"] == "REASON_TASK_CHECK_STATUS_UPDATED").then(|| status.clone())
    };
    let checked = f.stream.records.wait("a check's result", checked).await;
    f.acknowledge(&checked).await;
    f.follow("binary-task", &["TASK_FINISHED"]).await;
    let ghost = json!([{"task_id": {"value": "ghost"}}]);
    f.send(json!({"type": "RECONCILE", "reconcile": {"tasks": ghost}}))
        .await;
    f.update("ghost", "TASK_UNKNOWN").await;
    f.send(json!({"type": "TEARDOWN"})).await;
    f.stream.records.closed().await;
    let is_removed = |record: &Value| (record["type"] == "FRAMEWORK_REMOVED").then_some(());
    operator.records.wait("FRAMEWORK_REMOVED", is_removed).await;

    let heard = f.stream.records.all();
    let expected = records(&recorded["streams"]["binary"], SCHEDULER);
    let story = json!({"response": {"records": expected}});
    check_story(
        "fault-protobuf-stream",
        &story,
        &heard,
        &["binary-task", "ghost"],
    );
    let expected = expected.as_array().unwrap();
    same_shapes(&group, "fault-protobuf-stream", expected, &heard);
    let expected = records(&recorded["streams"]["operator"], "/api/v1");
    let expected = expected.as_array().unwrap();
    let heard = operator.records.all();
    assert_eq!(kinds(&heard), kinds(expected));
    same_shapes(&group, "fault-protobuf-stream, operator", expected, &heard);

    let actions = recorded["actions"].as_array().unwrap();
    let empty = actions.last().unwrap();
    let kind = Encoding::Protobuf.media_type();
    let stream_id = f.stream.headers["Mesos-Stream-Id"].to_str().unwrap();
    let headers = [
        ("Content-Type", kind),
        ("Accept", kind),
        ("Mesos-Stream-Id", stream_id),
    ];
    let answer = fixture.post(SCHEDULER, &headers, b"").await;
    assert_eq!(answer.status.as_u16(), empty["response"]["status"]);
    assert_eq!(answer.text(), empty["response"]["body"].as_str().unwrap());
    group.all_used();
}

in_both_encodings!(one_of_three_at_once_stays);

async fn one_of_three_at_once_stays(fixture: Fixture) {
    let group = Group::new(&["fault-subscribe-together"]);
    let recorded = group.read("fault-subscribe-together");
    let actions = recorded["actions"].as_array().unwrap();
    let first = Framework::subscribe(&fixture, framework_info("first"), None).await;
    first
        .launch(|offer| task(offer, "task-first", "sleep 1000"))
        .await;
    first.follow("task-first", &["TASK_STARTING"]).await;
    first.update("task-first", "TASK_RUNNING").await;
    let again = || Framework::subscribe(&fixture, framework_info("first"), Some(&first.id));
    let (one, two, three) = tokio::join!(again(), again(), again());
    let mut open = Vec::new();
    // All but one of them end, and the first one does.
    first.stream.records.closed().await;
    let all = [&one, &two, &three];
    let are_over = async {
        while all.iter().filter(|f| f.stream.records.is_closed()).count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, are_over).await.unwrap();
    let refusal = actions
        .iter()
        .find(|action| action["response"]["status"] == 400)
        .unwrap();
    for f in all {
        if !f.stream.records.is_closed() {
            open.push(f);
            continue;
        }
        let last = f.stream.records.all().pop();
        let failed_over = json!({"type": "ERROR", "error": {"message": "Framework failed over"}});
        assert_eq!(last, Some(failed_over));
        let answer = f.send(json!({"type": "REVIVE"})).await;
        assert_eq!(answer.status.as_u16(), 400);
        let expected = refusal["response"]["body"].as_str().unwrap();
        assert_eq!(compare::text(&answer.text()), compare::text(expected));
    }
    let [last] = open[..] else {
        panic!("{} streams are open", open.len());
    };
    let answer = last.send(json!({"type": "REVIVE"})).await;
    assert_eq!(answer.status.as_u16(), 202);
    let running = last.update("task-first", "TASK_RUNNING").await;
    assert!(running["uuid"].is_string(), "{running}");
    check_frameworks(&fixture, actions, 0).await;

    suppressed(&fixture, last).await;
    half_closed(&fixture).await;
    check_frameworks(&fixture, actions, 1).await;
    last.send(json!({"type": "TEARDOWN"})).await;
}

/// What `/frameworks` shows, trimmed as it was when it was recorded.
async fn check_frameworks(fixture: &Fixture, actions: &[Value], number: usize) {
    let asked = |action: &&Value| action["what"] == "GET /frameworks, trimmed";
    let expected = actions.iter().filter(asked).nth(number).unwrap();
    let trimmed = |framework: &Value| {
        let tasks = framework["tasks"].as_array().unwrap();
        let tasks: Vec<_> = tasks
            .iter()
            .map(|task| format!("{} {}", task["id"], task["state"]))
            .collect();
        format!(
            "{} active:{} connected:{} {tasks:?}",
            framework["name"], framework["active"], framework["connected"]
        )
    };
    let told = |answer: &Value| -> Vec<String> {
        let mut all: Vec<_> = answer["frameworks"]
            .as_array()
            .unwrap()
            .iter()
            .map(trimmed)
            .collect();
        // The suppressed one has gone again here.
        all.retain(|line| !line.contains("suppressed"));
        all.sort();
        all
    };
    let answer = fixture
        .transport
        .get(&fixture.master, "/frameworks", HeaderMap::new());
    let answer: Value = serde_json::from_slice(&answer.await.unwrap().body).unwrap();
    assert_eq!(told(&answer), told(&expected["response"]["body"]));
}

/// Nothing is offered in a role that was suppressed from the start, until it is
/// revived.
async fn suppressed(fixture: &Fixture, other: &Framework<'_>) {
    let mut info = framework_info("suppressed");
    info["failover_timeout"] = json!(0.0);
    let subscribe = json!({"framework_info": info, "suppressed_roles": ["*"]});
    let call = json!({"type": "SUBSCRIBE", "subscribe": subscribe});
    let stream = fixture.open(SCHEDULER, &call).await;
    let id = |record: &Value| {
        let id = &record["subscribed"]["framework_id"]["value"];
        id.as_str().map(str::to_owned)
    };
    let id = stream.records.wait("SUBSCRIBED", id).await;
    let call = async |kind: &str, stream_id: &str| {
        let call = json!({"type": kind, "framework_id": {"value": id}});
        fixture.call(Some(stream_id), &call).await.status.as_u16()
    };
    let offer = other.offer().await;
    let filters = json!({"refuse_seconds": 1000.0});
    let decline = json!({"offer_ids": [offer["id"]], "filters": filters});
    other
        .send(json!({"type": "DECLINE", "decline": decline}))
        .await;
    // What is declined would be offered to it at once, and a later framework's
    // offer comes after that.
    let later = Framework::subscribe(fixture, framework_info("later"), None).await;
    later.offer().await;
    later.send(json!({"type": "TEARDOWN"})).await;
    assert_eq!(kinds(&stream.records.all()), ["SUBSCRIBED"]);
    let offers = |records: &[Value]| records.iter().any(|record| record["type"] == "OFFERS");
    assert!(!offers(&stream.records.all()));
    let stream_id = stream.headers["Mesos-Stream-Id"].to_str().unwrap();
    assert_eq!(call("REVIVE", stream_id).await, 202);
    let offered = |record: &Value| (record["type"] == "OFFERS").then_some(());
    stream.records.wait("an offer", offered).await;
    assert_eq!(call("TEARDOWN", stream_id).await, 202);
}

/// A client that closes its writing side has gone, although it would read.
async fn half_closed(fixture: &Fixture) {
    let operator = fixture.open("/api/v1", &json!({"type": "SUBSCRIBE"})).await;
    let is_first = |record: &Value| (record["type"] == "SUBSCRIBED").then_some(());
    operator.records.wait("SUBSCRIBED", is_first).await;
    let mut info = framework_info("half-closed");
    info["failover_timeout"] = json!(0.0);
    let mut stream = connect(&fixture.master).await;
    stream.write_all(&subscription(&info)).await.unwrap();
    let mut reader = Reader::default();
    reader
        .until(&mut stream, |reader| !reader.records.is_empty())
        .await;
    assert_eq!(kinds(&reader.records), ["SUBSCRIBED"]);
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    ended.expect("the master closes the connection").unwrap();
    let is_removed = |record: &Value| {
        let info = &record["framework_removed"]["framework_info"];
        (info["name"] == "half-closed").then_some(())
    };
    operator.records.wait("FRAMEWORK_REMOVED", is_removed).await;
}

/// The bytes of a SUBSCRIBE.
fn subscription(info: &Value) -> Vec<u8> {
    let call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}).to_string();
    let request = format!(
        "POST {SCHEDULER} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\n\r\n{call}",
        call.len()
    );
    request.into_bytes()
}

/// A connection whose receiver buffers little.
async fn connect(server: &HostAddress) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
    let address = found.unwrap().next().unwrap();
    socket.connect(address).await.unwrap()
}

/// How many updates a client that does not read is sent.
const UNREAD: usize = 80_000;

/// Everything waits for a client that reads nothing, and others notice nothing.
#[tokio::test]
async fn a_client_that_stops_reading_misses_nothing() {
    let fixture = Fixture::start().await;
    let group = Group::new(&["fault-reader-stops"]);
    let recorded = group.read("fault-reader-stops");
    let last = recorded["actions"].as_array().unwrap().last().unwrap();
    let expected = format!("{UNREAD} UPDATE events");
    assert!(last["what"].as_str().unwrap().contains(&expected), "{last}");
    let reads = Framework::subscribe(&fixture, framework_info("reads"), None).await;

    let mut info = framework_info("reads-not");
    info["failover_timeout"] = json!(0.0);
    info["roles"] = json!(["idle"]);
    let mut stream = connect(&fixture.master).await;
    stream.write_all(&subscription(&info)).await.unwrap();
    let mut reader = Reader::default();
    reader
        .until(&mut stream, |reader| !reader.records.is_empty())
        .await;
    let subscribed = reader.records[0].clone();
    let id = &subscribed["subscribed"]["framework_id"];
    let stream_id = reader.stream_id.clone();

    // From here on it reads nothing.
    let long = "x".repeat(200);
    for call in 0..UNREAD / 1000 {
        let ghosts = (0..1000).map(|n| {
            let id = format!("ghost-{:06}-{long}", call * 1000 + n);
            json!({"task_id": {"value": id}})
        });
        let ghosts: Vec<Value> = ghosts.collect();
        let reconcile =
            json!({"type": "RECONCILE", "framework_id": id, "reconcile": {"tasks": ghosts}});
        let answer = fixture.call(Some(&stream_id), &reconcile).await;
        assert_eq!(answer.status.as_u16(), 202);
    }
    reads.offer().await;
    let call = json!({"type": "GET_FRAMEWORKS"}).to_string();
    let answer = fixture.post("/api/v1", &JSON, call.as_bytes()).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let all = answer["get_frameworks"]["frameworks"].as_array().unwrap();
    let is_it = |framework: &&Value| framework["framework_info"]["name"] == "reads-not";
    let shown = all.iter().find(is_it).unwrap();
    assert_eq!(
        (&shown["active"], &shown["connected"]),
        (&json!(true), &json!(true))
    );

    // It reads again.
    reader
        .until(&mut stream, |reader| reader.updates == UNREAD)
        .await;
    let ids: Vec<_> = reader
        .records
        .iter()
        .filter_map(|record| record["update"]["status"]["task_id"]["value"].as_str())
        .map(|id| id[6..12].parse::<usize>().unwrap())
        .collect();
    assert!(ids.iter().copied().eq(0..UNREAD), "in order, each once");
    // The connection is still good for more.
    let ghost = json!([{"task_id": {"value": "ghost-last"}}]);
    let reconcile = json!({"type": "RECONCILE", "framework_id": id, "reconcile": {"tasks": ghost}});
    fixture.call(Some(&stream_id), &reconcile).await;
    reader
        .until(&mut stream, |reader| reader.updates == UNREAD + 1)
        .await;
    reads.send(json!({"type": "TEARDOWN"})).await;
    group.all_used();
}

/// Reads a stream by hand: the head, the chunks, the records.
#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
    stream_id: String,
    decoder: Decoder,
    records: Vec<Value>,
    updates: usize,
}

impl Reader {
    /// Reads until the records are what is wanted.
    async fn until(&mut self, stream: &mut TcpStream, is_it: impl Fn(&Self) -> bool) {
        let reading = async {
            let mut chunk = vec![0; 1 << 16];
            while !is_it(self) {
                let length = stream.read(&mut chunk).await.unwrap();
                assert_ne!(length, 0, "the master closed the connection");
                self.bytes.extend_from_slice(&chunk[..length]);
                self.take();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reading).await;
        assert!(in_time.is_ok(), "{} records in time", self.records.len());
    }

    fn take(&mut self) {
        if self.stream_id.is_empty() {
            let Some((head, rest)) = head_of(&self.bytes) else {
                return;
            };
            let line = head
                .split("\r\n")
                .find_map(|line| line.strip_prefix("Mesos-Stream-Id: "));
            let (line, rest) = (line.unwrap().to_owned(), rest.to_vec());
            (self.stream_id, self.bytes) = (line, rest);
        }
        let mut at = 0;
        while let Some(end) = self.bytes[at..].windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.bytes[at..at + end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let start = at + end + 2;
            if self.bytes.len() < start + size + 2 {
                break;
            }
            let chunk = Bytes::copy_from_slice(&self.bytes[start..start + size]);
            self.decoder.push(chunk);
            at = start + size + 2;
        }
        self.bytes.drain(..at);
        while let Some(record) = self.decoder.next_record().unwrap() {
            let record: Value = serde_json::from_slice(&record).unwrap();
            self.updates += usize::from(record["type"] == "UPDATE");
            self.records.push(record);
        }
    }
}
