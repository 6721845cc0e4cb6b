//! Requests as the bytes that were sent, and the bytes that came back.

use mesos_sdk::address::HostAddress;
use mesos_tests::fixture::{Fixture, PATIENCE};
use mesos_tests::framework::{Framework, framework_info};
use mesos_tests::{captures, compare};
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is replayed here.
pub(crate) const WIRE: &[&str] = &[
    "fault-http-bodies",
    "fault-http-connection",
    "fault-http-gzip",
    "fault-http-methods",
    "fault-http-negotiation",
    "fault-http-paths",
];

/// Exchanges that are not held again, by how their descriptions begin, and why.
const PASSED_OVER: &[(&str, &str)] = &[
    ("nothing", "a client that waits is waited for"),
    ("half a request", "a client that waits is waited for"),
    (
        "shorter than its length, then the client waits",
        "a client that waits is waited for",
    ),
    ("chunked REVIVE", "its ids are cut into chunks"),
    (
        "a header of 100 kB",
        "recorded in part; 431 here, by the server's tests",
    ),
    (
        "a URL of 100 kB",
        "recorded in part; 431 here, by the server's tests",
    ),
    ("1000 headers", "recorded in part"),
    ("deep nesting", "recorded in part"),
    ("8 MB of JSON", "recorded in part"),
    (
        "HTTP/2.0 in the request line",
        "400 here: it is another protocol",
    ),
    (
        "a header folded over two lines",
        "400 here, as RFC 9112 (5.2) wants",
    ),
    ("GET /master", "web pages, and what lies below its process"),
    ("GET /help", "web pages"),
    ("GET /__processes__", "there are no processes of libprocess"),
    ("GET /profiler/start", "there is no profiler"),
    (
        "GET /logging/toggle",
        "the level is set with the operator API alone",
    ),
    ("GET /", "web pages"),
];

/// One response: its status line, the headers that matter, and its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: Option<String>,
    allow: Option<String>,
    /// `None` of a stream, and where the recording was cut.
    body: Option<String>,
}

impl PartialEq for Answer {
    /// Bodies count where something is refused.
    fn eq(&self, other: &Self) -> bool {
        let head = |answer: &Self| {
            let Self {
                status,
                content_type,
                allow,
                ..
            } = answer;
            (*status, content_type.clone(), allow.clone())
        };
        let bodies_differ = match (&self.body, &other.body) {
            (Some(one), Some(other)) if self.status >= 400 => {
                compare::text(one) != compare::text(other)
            }
            _ => false,
        };
        head(self) == head(other) && !bodies_differ
    }
}

/// Takes the responses apart, as far as they are there.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((head, rest)) = head_of(bytes) {
        let header = |name: &str| {
            head.split("\r\n").skip(1).find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let length: Option<usize> = header("Content-Length").map(|text| text.parse().unwrap());
        let (body, rest): (_, &[u8]) = match length {
            Some(length) if rest.len() >= length => {
                let (body, rest) = rest.split_at(length);
                (Some(String::from_utf8_lossy(body).into_owned()), rest)
            }
            // A stream, or the end of what was recorded.
            None if head.starts_with("HTTP/1.1 100 ") => (None, rest),
            _ => (None, &[]),
        };
        bytes = rest;
        if head.starts_with("HTTP/1.1 100 ") {
            continue;
        }
        answers.push(Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            content_type: header("Content-Type"),
            allow: header("Allow"),
            body,
        });
    }
    answers
}

/// The head of a response, once it is whole, and what follows it.
pub(crate) fn head_of(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    Some((head, &bytes[end + 4..]))
}

/// Sends bytes and reads until there are so many answers, or the end.
async fn exchange(server: &HostAddress, sent: &[u8], half_closes: bool, count: usize) -> Vec<u8> {
    let address = (server.host.as_str(), server.port);
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses may close before it has read everything.
    let _ = stream.write_all(sent).await;
    if half_closes {
        let _ = stream.shutdown().await;
    }
    let mut received = Vec::new();
    let reading = async {
        let is_whole = |answer: &Answer| answer.body.is_some() || answer.status == 200;
        loop {
            let answers = answers(&received);
            if count > 0 && answers.len() >= count && answers.iter().all(is_whole) {
                return;
            }
            let mut chunk = vec![0; 16 << 10];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(length) => received.extend_from_slice(&chunk[..length]),
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, reading).await;
    let text = String::from_utf8_lossy(sent);
    let start: String = text.chars().take(200).collect();
    assert!(in_time.is_ok(), "neither an answer nor an end: {start}");
    received
}

/// The bytes of a recording, which has a character for each.
fn bytes_of(characters: &str) -> Vec<u8> {
    characters
        .chars()
        .map(|character| character as u8)
        .collect()
}

#[tokio::test]
async fn bytes_are_answered_as_they_were() {
    let fixture = Fixture::start().await;
    let framework = Framework::subscribe(&fixture, framework_info("wire"), None).await;
    let stream_id = framework.stream.headers["Mesos-Stream-Id"]
        .to_str()
        .unwrap();
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let stream = Regex::new(&format!("(?i)mesos-stream-id: {uuid}")).unwrap();
    let id = Regex::new(&format!("{uuid}-[0-9]{{4}}")).unwrap();
    let mut used = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for name in WIRE.iter().filter(|name| **name != "fault-http-gzip") {
        for recorded in captures::read(name)["exchanges"].as_array().unwrap() {
            let what = recorded["what"].as_str().unwrap();
            let is_meant = |(start, _): &&(&str, &str)| match *start {
                "GET /master" => ["GET /master", "GET /master/"].contains(&what),
                "GET /" => what == "GET /",
                start => what.starts_with(start),
            };
            if let Some((start, _)) = PASSED_OVER.iter().find(is_meant) {
                used.insert(*start);
                continue;
            }
            let sent = recorded["sent"].as_str().unwrap_or_default();
            let sent = stream.replace_all(sent, format!("Mesos-Stream-Id: {stream_id}"));
            let sent = id.replace_all(&sent, framework.id.as_str());
            let sent = bytes_of(&sent);
            let server = match what.strip_prefix("agent: ") {
                Some(_) => &fixture.agent,
                None => &fixture.master,
            };
            let expected = answers(&bytes_of(recorded["received"].as_str().unwrap()));
            let half_closes = what.contains("half-closed");
            let received = exchange(server, &sent, half_closes, expected.len()).await;
            let here = answers(&received);
            // Where a real one only closes, a reason may be given before.
            let is_explained = expected.is_empty() && here.iter().all(|a| a.status >= 400);
            // Of the last one recorded there may be no more than a part.
            let is_same = here.len() >= expected.len()
                && here
                    .iter()
                    .zip(&expected)
                    .all(|(here, there)| here == there);
            if !is_same && !is_explained {
                wrong.push(format!("{name}, {what}:\n  {expected:?}\n  {here:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let idle = PASSED_OVER
        .iter()
        .filter(|(start, _)| !used.contains(start));
    assert_eq!(idle.count(), 0, "reasons for nothing");
}

/// Streams never, the rest when it is large and the client takes it.
#[tokio::test]
async fn bodies_are_compressed_when_they_were() {
    let fixture = Fixture::start().await;
    for recorded in captures::read("fault-http-gzip")["exchanges"]
        .as_array()
        .unwrap()
    {
        let what = recorded["what"].as_str().unwrap();
        let accepts = recorded["accept_encoding"].as_str();
        let accepts =
            accepts.map_or_else(String::new, |text| format!("Accept-Encoding: {text}\r\n"));
        let call = match what.split(' ').next().unwrap() {
            "GET" => None,
            "GET_STATE" => Some("GET_STATE"),
            "GET_VERSION" => Some("GET_VERSION"),
            "SUBSCRIBE" => Some("SUBSCRIBE"),
            // There is no web page here.
            _ => continue,
        };
        let request = match call {
            None => format!(
                "GET {} HTTP/1.1\r\nHost: x\r\n{accepts}\r\n",
                what.split(' ').nth(1).unwrap()
            ),
            Some(call) => {
                let body = format!("{{\"type\":\"{call}\"}}");
                format!(
                    "POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                     {accepts}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        };
        let received = exchange(&fixture.master, request.as_bytes(), false, 1).await;
        let (head, _) = head_of(&received).unwrap();
        let is_packed = head.contains("Content-Encoding: gzip");
        let was_packed = recorded["headers"]["Content-Encoding"] == "gzip";
        assert_eq!(is_packed, was_packed, "{what}, {accepts}: {head}");
    }
}
