//! What clients of all kinds meet.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;
use crate::http::{Body, Handler, Router};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a test's handlers wait for.
#[derive(Clone, Default)]
struct Gate {
    entered: Arc<Notify>,
    open: Arc<Notify>,
}

fn router(gate: Gate) -> Router<Gate> {
    Router::new(gate)
        .get("/apps/{id...}", |_, request: Request| async move {
            Response::ok(&request.parameter("id"))
        })
        .post("/echo", |_, request: Request| async move {
            let value: Value = request.json()?;
            Ok::<_, Response>(Response::json(StatusCode::CREATED, &value))
        })
        .get("/large", |_, _| async {
            Response::ok(&"x".repeat(300_000)).tagged()
        })
        .get("/who", |_, request: Request| async move {
            Response::ok(&(request.user, request.is_https))
        })
        .get("/wait", |gate: Gate, _| async move {
            gate.entered.notify_one();
            gate.open.notified().await;
            Response::text(StatusCode::OK, "done")
        })
        .get("/endless", |_, _| async {
            let beats = futures::stream::repeat(bytes::Bytes::from_static(b"beat "));
            Response::of(StatusCode::OK, Body::stream(beats))
        })
        .get("/panic", |_, _| async {
            assert!(std::hint::black_box(false), "as the test wants it");
            StatusCode::OK
        })
}

async fn start(config: ServerConfig) -> (Server, Gate) {
    let gate = Gate::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handler = Arc::new(router(gate.clone()));
    let server = Server::start(listener, None, config, handler).unwrap();
    (server, gate)
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.expect("an answer has headers");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Sends a request with a body and reads the answer to the end.
async fn ask(server: &Server, head: &str, body: &[u8]) -> Answer {
    let asking = async {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let mut text = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for header in headers.lines() {
            text.push_str(&format!("{header}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        // A server may refuse before it has read all.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Answer::read(&bytes)
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn answers_with_status_headers_and_body() {
    let (server, _) = start(ServerConfig::default()).await;
    let answer = ask(&server, "GET /apps//shop/web?x=1", b"").await;
    assert_eq!((answer.status, answer.text()), (200, "\"shop/web\""));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let answer = ask(&server, "HEAD /apps/a", b"").await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(answer.header("content-length"), Some("3"));
    let answer = ask(&server, "GET /none", b"").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text(), r#"{"message":"URI not found"}"#);
    let answer = ask(&server, "DELETE /apps/a", b"").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let answer = ask(&server, "GET /panic", b"").await;
    assert_eq!(answer.status, 500);
}

#[tokio::test]
async fn reads_json_within_limits() {
    let mut config = ServerConfig::default();
    config.limits.max_body_bytes = 100_000;
    let (server, _) = start(config).await;
    let answer = ask(&server, "POST /echo", b"{\"a\": [1, 2]}").await;
    assert_eq!((answer.status, answer.text()), (201, r#"{"a":[1,2]}"#));
    let answer = ask(&server, "POST /echo", b"{\"a\": ").await;
    let error: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &error["message"]),
        (400, &"Invalid JSON".into())
    );
    assert!(error["details"].as_str().unwrap().contains("line 1"));
    let zipped = packed(b"[true]");
    let answer = ask(&server, "POST /echo\nContent-Encoding: gzip", &zipped).await;
    assert_eq!((answer.status, answer.text()), (201, "[true]"));
    let large = vec![b' '; 100_001];
    let answer = ask(&server, "POST /echo", &large).await;
    assert_eq!(answer.status, 413);
    let bomb = packed(&vec![b' '; 4 << 20]);
    assert!(bomb.len() < 100_000);
    let answer = ask(&server, "POST /echo\nContent-Encoding: gzip", &bomb).await;
    assert_eq!(answer.status, 413);
    let answer = ask(&server, "POST /echo\nContent-Encoding: gzip", b"no gzip").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn compresses_and_tags_what_is_asked_for() {
    let (server, _) = start(ServerConfig::default()).await;
    let plain = ask(&server, "GET /large", b"").await;
    assert_eq!(plain.body.len(), 300_002);
    assert_eq!(plain.header("content-encoding"), None);
    let zipped = ask(&server, "GET /large\nAccept-Encoding: gzip", b"").await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.header("vary"), Some("Accept-Encoding"));
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(&*zipped.body), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let tag = plain.header("etag").unwrap();
    assert_eq!(zipped.header("etag"), Some(tag));
    let again = format!("GET /large\nIf-None-Match: \"x\", {tag}");
    let again = ask(&server, &again, b"").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag));
    let other = ask(&server, "GET /large\nIf-None-Match: \"x\"", b"").await;
    assert_eq!(other.status, 200);
    let small = ask(&server, "GET /apps/a\nAccept-Encoding: gzip", b"").await;
    assert_eq!(small.header("content-encoding"), None);
}

#[tokio::test]
async fn asks_for_the_password_but_not_of_preflights() {
    let config = ServerConfig {
        credentials: Some("alice:wonder".parse().unwrap()),
        allow_origin: Some("https://ui.example".to_owned()),
        ..ServerConfig::default()
    };
    let (server, _) = start(config).await;
    let answer = ask(&server, "GET /who", b"").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://ui.example")
    );
    let known = "GET /who\nAuthorization: Basic YWxpY2U6d29uZGVy";
    let answer = ask(&server, known, b"").await;
    assert_eq!((answer.status, answer.text()), (200, r#"["alice",false]"#));
    let preflight = "OPTIONS /who\nOrigin: https://ui.example\n\
                     Access-Control-Request-Method: PUT\nAccess-Control-Request-Headers: x-y";
    let answer = ask(&server, preflight, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-y"));
    assert!(
        answer
            .header("access-control-allow-methods")
            .unwrap()
            .contains("PUT")
    );
}

#[tokio::test]
async fn refuses_more_requests_at_once_than_are_allowed() {
    let mut config = ServerConfig::default();
    config.limits.max_concurrent_requests = Some(1);
    let (server, gate) = start(config).await;
    let server = Arc::new(server);
    let first = tokio::spawn({
        let server = Arc::clone(&server);
        async move { ask(&server, "GET /wait", b"").await.status }
    });
    gate.entered.notified().await;
    let answer = ask(&server, "GET /apps/a", b"").await;
    assert_eq!(answer.status, 503);
    let text = r#"{"message":"Too many concurrent requests! Allowed: 1."}"#;
    assert_eq!(answer.text(), text);
    gate.open.notify_one();
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(ask(&server, "GET /apps/a", b"").await.status, 200);
}

#[tokio::test]
async fn answers_503_when_the_answer_takes_too_long() {
    let mut config = ServerConfig::default();
    config.limits.request_timeout = Duration::from_millis(30);
    let (server, _) = start(config).await;
    let answer = ask(&server, "GET /wait", b"").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("within 30ms"), "{}", answer.text());
}

#[tokio::test]
async fn closes_connections_that_say_nothing() {
    let mut config = ServerConfig::default();
    config.limits.idle_timeout = Duration::from_millis(30);
    let (server, _) = start(config).await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(b"GET /apps").await.unwrap();
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    // Closed, with or without a word.
    let _ = reading.await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let mut config = ServerConfig::default();
    config.limits.write_timeout = Duration::from_millis(50);
    config.limits.max_connections = 1;
    let (server, _) = start(config).await;
    let mut lazy = TcpStream::connect(server.local_addr()).await.unwrap();
    lazy.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    // There is one place, and it becomes free.
    let answer = ask(&server, "GET /apps/a", b"").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_refusal_reaches_who_is_still_sending() {
    let config = ServerConfig {
        credentials: Some("alice:wonder".parse().unwrap()),
        ..ServerConfig::default()
    };
    let (server, _) = start(config).await;
    for _ in 0..20 {
        let answer = ask(&server, "POST /echo", &vec![b' '; 900_000]).await;
        assert_eq!(answer.status, 401);
    }
}

#[tokio::test]
async fn requests_under_way_are_finished_when_it_stops() {
    let (server, gate) = start(ServerConfig::default()).await;
    let address = server.local_addr();
    let server = Arc::new(server);
    let asking = tokio::spawn({
        let server = Arc::clone(&server);
        async move { ask(&server, "GET /wait", b"").await.status }
    });
    gate.entered.notified().await;
    // An endless answer does not keep it from ending.
    let mut endless = TcpStream::connect(address).await.unwrap();
    endless
        .write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 100];
    endless.read_exact(&mut some).await.unwrap();
    gate.open.notify_one();
    assert_eq!(asking.await.unwrap(), 200);
    let server = Arc::into_inner(server).unwrap();
    tokio::time::timeout(PATIENCE, server.stop(Duration::from_millis(50)))
        .await
        .unwrap();
    let mut rest = vec![0; 1 << 16];
    let ended = async { while endless.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_handler_may_be_a_type_of_its_own() {
    #[derive(Debug)]
    struct Teapot;
    impl Handler for Teapot {
        fn handle(&self, _: Request) -> BoxFuture<'static, Response> {
            Box::pin(async { Response::empty(StatusCode::IM_A_TEAPOT) })
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ServerConfig::default();
    let server = Server::start(listener, None, config, Arc::new(Teapot)).unwrap();
    assert_eq!(ask(&server, "GET /", b"").await.status, 418);
}

#[tokio::test]
async fn requests_are_counted() {
    let registry = crate::metrics::MetricsRegistry::new(crate::metrics::MetricsConfig::new("m"));
    // The runtime of this test has one thread.
    let _recording = metrics::set_default_local_recorder(&registry);
    let (server, _) = start(ServerConfig::default()).await;
    ask(&server, "POST /echo", b"[1]").await;
    ask(&server, "GET /none", b"").await;
    ask(&server, "GET /large\nAccept-Encoding: gzip", b"").await;
    let all = registry.to_json();
    let count = |kind: &str, name: &str| all[kind][name]["count"].as_u64();
    assert_eq!(
        count("counters", "m.http.requests.size.counter.bytes"),
        Some(3)
    );
    assert_eq!(count("meters", "m.http.responses.2xx.rate.meter"), Some(2));
    assert_eq!(count("meters", "m.http.responses.4xx.rate.meter"), Some(1));
    assert_eq!(
        count("timers", "m.http.requests.duration.timer.seconds"),
        Some(3)
    );
    assert_eq!(
        count("timers", "m.http.requests.post.duration.timer.seconds"),
        Some(1)
    );
    let packed = count("counters", "m.http.responses.size.gzipped.counter.bytes").unwrap();
    let all_bytes = count("counters", "m.http.responses.size.counter.bytes").unwrap();
    assert!(packed > 0 && packed < all_bytes && all_bytes < 10_000);
    assert_eq!(all["gauges"]["m.http.requests.active.gauge"]["value"], 0);
}
