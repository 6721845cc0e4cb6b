//! A leader and a follower over loopback.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::http::{Body, Identity, Router, Server, ServerConfig};

const PATIENCE: Duration = Duration::from_secs(60);

struct Instance {
    server: Server,
    standing: watch::Sender<Standing>,
    readiness: Readiness,
    name: String,
    /// Breaks off what has been answered by half.
    breaks: Arc<Notify>,
}

struct Options {
    tls: Option<LeaderTls>,
    identity: Option<Identity>,
    read_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            identity: None,
            read_timeout: PATIENCE,
        }
    }
}

async fn start(standing: Standing, options: Options) -> Instance {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = format!("127.0.0.1:{port}");
    let breaks = Arc::new(Notify::new());
    let breaking = Arc::clone(&breaks);
    let router = Router::new(name.clone())
        .get("/who", |name: String, request: Request| async move {
            let seen: Vec<String> = ["x-test-via", "x-forwarded-for", "x-own", "connection"]
                .iter()
                .map(|header| request.header(header).unwrap_or("-").to_owned())
                .collect();
            Response::ok(&(name, request.query.as_str(), seen))
        })
        .post("/echo", |_, request: Request| async move {
            Response::content(StatusCode::CREATED, "text/x", request.body)
        })
        .get("/large", |_, _| async {
            Response::ok(&"x".repeat(3_000_000))
        })
        .get("/stuck", |_, _| async {
            Arc::new(Notify::new()).notified().await;
            StatusCode::OK
        })
        .get("/half", move |_, _| {
            let breaks = Arc::clone(&breaking);
            let rest = futures::stream::once(async move {
                breaks.notified().await;
                Err(())
            });
            let half = futures::stream::iter([Ok(bytes::Bytes::from("half"))]).chain(rest);
            let response = Response::of(StatusCode::OK, Body::fallible_stream(half));
            std::future::ready(response)
        });
    let (tell, heard) = watch::channel(standing);
    let readiness = Readiness::new();
    readiness.ready();
    let mut config = LeaderProxyConfig::new("test", &name);
    config.redirected_prefixes = vec!["/v2/events".to_owned()];
    config.election_timeout = Duration::from_millis(50);
    config.read_timeout = options.read_timeout;
    config.tls = options.tls;
    let proxy = LeaderProxy::new(config, heard, &readiness, Arc::new(router));
    let identity = options.identity.as_ref();
    let server = Server::start(listener, identity, ServerConfig::default(), Arc::new(proxy));
    Instance {
        server: server.unwrap(),
        standing: tell,
        readiness,
        name,
        breaks,
    }
}

/// A leader, and one who follows it.
async fn pair() -> (Instance, Instance) {
    let leader = start(Standing::Leads, Options::default()).await;
    let follows = Standing::Follows(leader.name.clone());
    let follower = start(follows, Options::default()).await;
    (leader, follower)
}

async fn ask(instance: &Instance, head: &str, body: &str) -> String {
    let asking = async {
        let mut stream = TcpStream::connect(instance.server.local_addr())
            .await
            .unwrap();
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let mut text = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for header in headers.lines() {
            text.push_str(&format!("{header}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

#[tokio::test]
async fn followers_answer_for_the_leader() {
    let (leader, follower) = pair().await;
    let header = format!("X-Test-Leader: http://{}\r\n", leader.name);
    let answer = ask(&leader, "GET /who?a=1\nX-Own: mine", "").await;
    assert!(answer.contains(&header), "{answer}");
    let own = format!(
        "[\"{}\",\"a=1\",[\"-\",\"-\",\"mine\",\"close\"]]",
        leader.name
    );
    assert!(answer.ends_with(&own), "{answer}");
    let answer = ask(&follower, "GET /who?a=%31\nX-Own: mine", "").await;
    assert!(answer.contains(&header), "{answer}");
    let passed_on = format!(
        "[\"{}\",\"a=%31\",[\"{}\",\"127.0.0.1\",\"mine\",\"-\"]]",
        leader.name, follower.name
    );
    assert!(answer.ends_with(&passed_on), "{answer}");
    let answer = ask(&follower, "POST /echo", "some body").await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(answer.contains("Content-Type: text/x\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nsome body"), "{answer}");
    let answer = ask(&follower, "HEAD /who", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = ask(&follower, "GET /large", "").await;
    assert!(answer.len() > 3_000_000);
    let answer = ask(&follower, "GET /none", "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn readers_of_streams_are_sent_to_the_leader() {
    let (leader, follower) = pair().await;
    let answer = ask(&follower, "GET /v2/events?event_type=x", "").await;
    assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
    let location = format!(
        "Location: http://{}/v2/events?event_type=x\r\n",
        leader.name
    );
    assert!(answer.contains(&location), "{answer}");
    assert!(!is_within("/v2/eventsource", "/v2/events"));
}

#[tokio::test]
async fn requests_do_not_go_round_in_circles() {
    let first = start(Standing::Nobody, Options::default()).await;
    let second = start(Standing::Follows(first.name.clone()), Options::default()).await;
    first
        .standing
        .send_replace(Standing::Follows(second.name.clone()));
    for instance in [&first, &second] {
        let answer = ask(instance, "GET /who", "").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(answer.contains("Detected proxying loop."), "{answer}");
    }
    first
        .standing
        .send_replace(Standing::Follows(first.name.clone()));
    let answer = ask(&first, "GET /who", "").await;
    assert!(answer.contains("Detected proxying loop."), "{answer}");
}

#[tokio::test]
async fn without_a_leader_it_waits_and_says_so() {
    let instance = start(Standing::Nobody, Options::default()).await;
    let answer = ask(&instance, "GET /who", "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        answer.contains("Could not determine the current leader"),
        "{answer}"
    );
    instance.readiness.0.send_replace(false);
    instance.standing.send_replace(Standing::Leads);
    let answer = ask(&instance, "GET /who", "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    instance.readiness.ready();
    let answer = ask(&instance, "GET /who", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    instance.standing.send_replace(Standing::Over);
    let answer = ask(&instance, "GET /who", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_leader_that_does_not_answer_is_named() {
    let (leader, follower) = pair().await;
    let mut stream = TcpStream::connect(follower.server.local_addr())
        .await
        .unwrap();
    let text = b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(text).await.unwrap();
    let mut answer = String::new();
    let reading = async {
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.unwrap_or_default();
            if count == 0 {
                return;
            }
            answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            if answer.contains("half") {
                leader.breaks.notify_one();
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    // The client sees that it is not whole: there is no last chunk.
    assert!(
        answer.contains("half") && !answer.contains("\r\n0\r\n"),
        "{answer}"
    );
    let name = leader.name.clone();
    drop(leader);
    let answer = ask(&follower, "GET /who", "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains(&format!("the leader {name}")), "{answer}");
    let leader = start(Standing::Leads, Options::default()).await;
    let options = Options {
        read_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let follower = start(Standing::Follows(leader.name.clone()), options).await;
    let answer = ask(&follower, "GET /stuck", "").await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}

#[tokio::test]
async fn the_leader_is_asked_by_tls() {
    let directory = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../mesos-local/tests/security/"
    );
    let file = |name: &str| std::path::PathBuf::from(format!("{directory}{name}"));
    let certificate = file("certificate.pem");
    let identity = Identity::read(&certificate, &file("key.pem")).unwrap();
    assert!(Identity::read(&certificate, &certificate).is_err());
    for ignores_host_name in [false, true] {
        let tls = LeaderTls::new(Some(&certificate), ignores_host_name).unwrap();
        let options = || Options {
            tls: Some(tls.clone()),
            ..Options::default()
        };
        let with_identity = Options {
            identity: Some(identity.clone()),
            ..options()
        };
        let leader = start(Standing::Leads, with_identity).await;
        let follows = Standing::Follows(leader.name.clone());
        let follower = start(follows, options()).await;
        let answer = ask(&follower, "GET /who", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("X-Test-Leader: https://"), "{answer}");
        let stranger = Options {
            tls: Some(LeaderTls::new(None, ignores_host_name).unwrap()),
            ..Options::default()
        };
        let stranger = start(Standing::Follows(leader.name.clone()), stranger).await;
        let answer = ask(&stranger, "GET /who", "").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
}
