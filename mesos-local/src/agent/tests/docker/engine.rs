//! An engine made of a script: each request is written down and answered as the
//! test says. One connection carries one request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::super::processes::PATIENCE;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    /// With its version and query.
    pub(super) path: String,
    pub(super) body: Value,
    route: String,
}

impl Request {
    /// The method and the word of the path that says what is wanted.
    pub(super) fn route(&self) -> &str {
        &self.route
    }
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    head: String,
    body: Vec<u8>,
    after: Option<&'static str>,
    releases: Option<&'static str>,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self {
            head: format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            ),
            body,
            after: None,
            releases: None,
        }
    }

    /// Agreement, with all that any request wants to hear.
    pub(super) fn fine() -> Self {
        Self::json(
            200,
            &json!({"Id": "c1", "Warnings": [], "ApiVersion": "1.41"}),
        )
    }

    /// A connection that carries what a container writes, stream by stream.
    pub(super) fn hijack(chunks: &[(u8, &str)]) -> Self {
        let mut body = Vec::new();
        for (stream, text) in chunks {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            body.extend([*stream, 0, 0, 0]);
            body.extend(length);
            body.extend(text.as_bytes());
        }
        Self {
            head: "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".into(),
            body,
            after: None,
            releases: None,
        }
    }

    /// Once the test, or another answer, has released this.
    pub(super) fn after(mut self, what: &'static str) -> Self {
        self.after = Some(what);
        self
    }

    /// Releases what waits for this.
    pub(super) fn releases(mut self, what: &'static str) -> Self {
        self.releases = Some(what);
        self
    }
}

#[derive(Debug, Default, Clone)]
struct Told {
    requests: Vec<Request>,
    dropped: Vec<String>,
    released: BTreeSet<&'static str>,
}

/// The engine.
pub(super) struct Engine {
    told: watch::Sender<Told>,
    socket: PathBuf,
    _directory: TempDir,
}

type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

impl Engine {
    pub(super) fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (told, _) = watch::channel(Told::default());
        let script: Script = Arc::new(script);
        let news = told.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), news.clone()));
            }
        });
        Self {
            told,
            socket,
            _directory: directory,
        }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn release(&self, what: &'static str) {
        self.told.send_modify(|told| {
            told.released.insert(what);
        });
    }

    /// All requests so far, in order.
    pub(super) fn routes(&self) -> Vec<String> {
        let told = self.told.borrow();
        told.requests
            .iter()
            .map(|request| request.route.clone())
            .collect()
    }

    pub(super) fn find(&self, route: &str) -> Request {
        let told = self.told.borrow();
        let found = told.requests.iter().find(|request| request.route == route);
        found.unwrap_or_else(|| panic!("no {route}")).clone()
    }

    pub(super) fn paths(&self, route: &str) -> Vec<String> {
        let told = self.told.borrow();
        let found = told
            .requests
            .iter()
            .filter(|request| request.route == route);
        found.map(|request| request.path.clone()).collect()
    }

    /// Waits for a request whose method and path, without its version, begin so.
    pub(super) async fn saw(&self, start: &str) {
        let (method, path) = start.split_once(' ').unwrap();
        self.wait(start, |told| {
            told.requests.iter().any(|request| {
                let plain = unversioned(&request.path);
                request.method == method && plain.starts_with(path)
            })
        })
        .await;
    }

    /// Waits until somebody has given up on such a request.
    pub(super) async fn dropped(&self, route: &str) {
        self.wait(route, |told| {
            told.dropped.iter().any(|known| known == route)
        })
        .await;
    }

    async fn wait(&self, what: &str, condition: impl Fn(&Told) -> bool) {
        let mut told = self.told.subscribe();
        let waited = tokio::time::timeout(PATIENCE, told.wait_for(|told| condition(told))).await;
        assert!(waited.is_ok(), "no {what}: {:#?}", self.routes());
    }
}

/// The path without the version of the API, which the client may leave out.
fn unversioned(path: &str) -> &str {
    match path.strip_prefix("/v1.") {
        Some(rest) => &rest[rest.find('/').unwrap_or(0)..],
        None => path,
    }
}

fn route(method: &str, path: &str) -> String {
    let plain = unversioned(path).split('?').next().unwrap_or_default();
    let parts: Vec<&str> = plain.trim_matches('/').split('/').collect();
    let word = match parts.as_slice() {
        ["containers", _, verb] if *verb != "json" => verb,
        ["containers", "create"] => "create",
        [first, ..] => first,
        [] => "",
    };
    format!("{method} {word}")
}

async fn serve(stream: UnixStream, script: Script, told: watch::Sender<Told>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let answer = script(&request);
    let route = request.route.clone();
    told.send_modify(|told| told.requests.push(request));
    if let Some(what) = answer.after {
        let mut news = told.subscribe();
        let gone = async {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        };
        tokio::select! {
            _ = news.wait_for(|told| told.released.contains(what)) => {}
            () = gone => {
                told.send_modify(|told| told.dropped.push(route));
                return;
            }
        }
    }
    if let Some(what) = answer.releases {
        told.send_modify(|told| {
            told.released.insert(what);
        });
    }
    // A client that has gone wants no answer.
    let _ = stream.write_all(answer.head.as_bytes()).await;
    let _ = stream.write_all(&answer.body).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut BufReader<UnixStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        route: route(&method, &path),
        method,
        path,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}
