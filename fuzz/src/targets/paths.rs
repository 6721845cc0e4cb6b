//! Paths asked of every endpoint that shows files: nothing outside of a sandbox
//! is ever shown, and every request is answered.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use mesos_local::Cluster;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Target, kind};

/// What the files outside say.
const SECRET: &str = "what-lies-outside";
/// Their name, which lists of outside would show.
const NAME: &str = "outside.txt";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Paths {
    address: SocketAddr,
    stream: TcpStream,
    seeds: Vec<Vec<u8>>,
    _cluster: Cluster,
    _runtime: Runtime,
}

impl Paths {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let starting = Cluster::builder().agents(1).resources("cpus:1;mem:64");
        let cluster = runtime.block_on(starting.start()).expect("a cluster");
        let address = cluster.agent_addresses()[0];
        let mut paths = Self {
            address,
            stream: connect(address),
            seeds: Vec::new(),
            _runtime: runtime,
            _cluster: cluster,
        };
        let state = paths.exchange(b"GET /state HTTP/1.1\r\nHost: x\r\n\r\n");
        let state: Value = serde_json::from_slice(&state.1).expect("a state");
        let agent = state["id"].as_str().expect("an id");
        let work_dir = paths._cluster.work_dir().join("agent-0");
        paths.seeds = furnish(&work_dir, agent);
        // What is inside is shown, so that refusals mean something.
        let inside = request(2, b"/frameworks/F/executors/E/runs/latest/link/file");
        assert_eq!(paths.exchange(&inside), (200, b"inside".to_vec()));
        paths
    }

    /// Paths that lead somewhere, or try to.
    pub(super) fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    /// Sends a request and reads its answer: the status and the body.
    fn exchange(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        let answer = self.answer(request);
        answer.unwrap_or_else(|| {
            // The connection was closed after the answer before.
            self.stream = connect(self.address);
            self.answer(request).expect("an answer")
        })
    }

    fn answer(&mut self, request: &[u8]) -> Option<(u16, Vec<u8>)> {
        self.stream.write_all(request).ok()?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    let is_it = name.eq_ignore_ascii_case("content-length");
                    is_it.then(|| value.parse::<usize>().ok()).flatten()
                });
                let length = length.unwrap_or_default();
                if bytes.len() >= end + 4 + length {
                    let body = bytes[end + 4..end + 4 + length].to_vec();
                    return Some((head.split(' ').nth(1)?.parse().ok()?, body));
                }
            }
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            }
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the agent listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Makes two sandboxes with files and links in them, and secrets beside them.
/// Gives paths to begin with.
fn furnish(work_dir: &Path, agent: &str) -> Vec<Vec<u8>> {
    let below =
        |framework: &str| format!("slaves/{agent}/frameworks/{framework}/executors/E/runs/C");
    let sandbox = work_dir.join(below("F"));
    let other = work_dir.join(below("G"));
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(sandbox.join("in/side"))?;
        fs::create_dir_all(&other)?;
        symlink("C", sandbox.with_file_name("latest"))?;
        for inside in ["stdout", "in/side/file", "a b", "a+b", "a%2fb"] {
            fs::write(sandbox.join(inside), "inside")?;
        }
        for outside in [work_dir, &work_dir.join(".."), &other] {
            fs::write(outside.join(NAME), SECRET)?;
        }
        symlink("in/side", sandbox.join("link"))?;
        symlink("../../../../../../../..", sandbox.join("up"))?;
        symlink("/", sandbox.join("root"))?;
        symlink("/proc/self", sandbox.join("proc"))?;
        symlink(work_dir, sandbox.join("base"))?;
        symlink(&other, sandbox.join("other"))?;
        symlink("loop", sandbox.join("loop"))
    };
    make().expect("sandboxes");
    let mut seeds = Vec::new();
    for start in [
        sandbox.display().to_string(),
        "/frameworks/F/executors/E/runs/latest".to_owned(),
        "/frameworks/F/executors/E/runs/C".to_owned(),
    ] {
        for end in [
            "",
            "/",
            "/stdout",
            "/in/side/file",
            "/link/file",
            "/a b",
            "/a+b",
            "/a%252fb",
            "/a%20b",
            "/up",
            "/up/outside.txt",
            "/root/etc/passwd",
            "/proc/environ",
            "/base/outside.txt",
            "/other/outside.txt",
            "/loop",
            "/../C/stdout",
            "/../../../../../../../../outside.txt",
            "/%2e%2e/%2e%2e/outside.txt",
            "/..%2f..%2foutside.txt",
            "/%c0%ae%c0%ae/stdout",
            "/stdout%00",
            "/./stdout",
            "//stdout",
            "&offset=-1",
            "/stdout&offset=2&length=3",
            "/stdout&offset=99999999999",
        ] {
            seeds.push(format!("{start}{end}").into_bytes());
        }
    }
    seeds.push(work_dir.display().to_string().into_bytes());
    seeds.push(work_dir.join(NAME).display().to_string().into_bytes());
    seeds.push(b"/etc/passwd".to_vec());
    seeds
}

/// The requests that ask for a path, told apart by a number.
fn request(number: u8, input: &[u8]) -> Vec<u8> {
    let get = |endpoint: &str, path: &[u8]| {
        let start = format!("GET {endpoint}");
        [start.as_bytes(), path, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat()
    };
    // What may stand in the first line of a request.
    let plain: Vec<u8> = input
        .iter()
        .flat_map(|byte| match byte {
            0x21..=0x7e => vec![*byte],
            byte => format!("%{byte:02x}").into_bytes(),
        })
        .take(4000)
        .collect();
    let call = |kind: &str, field: &str| {
        let path = String::from_utf8_lossy(input).into_owned();
        let call = json!({"type": kind, field: {"path": path, "offset": 0}}).to_string();
        let head = format!(
            "POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            call.len()
        );
        [head.into_bytes(), call.into_bytes()].concat()
    };
    match number % 8 {
        0 => get("/files/browse?path=", &plain),
        1 => get("/files/read?offset=0&path=", &plain),
        2 => get("/files/download?path=", &plain),
        3 => get("/slave(1)/files/read.json?path=", &plain),
        4 => get("/files/", &plain),
        5 => get("/", &plain),
        6 => call("LIST_FILES", "list_files"),
        _ => call("READ_FILE", "read_file"),
    }
}

impl Target for Paths {
    fn name(&self) -> &'static str {
        "paths"
    }

    fn take(&mut self, input: &[u8]) -> u64 {
        use base64::Engine as _;
        let mut outcomes = Vec::new();
        for number in 0..8 {
            let (status, body) = self.exchange(&request(number, input));
            let text = String::from_utf8_lossy(&body).into_owned();
            let read: Value = serde_json::from_slice(&body).unwrap_or_default();
            let data = read["read_file"]["data"].as_str().unwrap_or_default();
            let data = base64::engine::general_purpose::STANDARD.decode(data);
            let data = data.unwrap_or_default();
            let data = String::from_utf8_lossy(&data);
            assert!(status < 500, "{status}: {text}");
            if status == 200 {
                // A list of the directory of the other sandbox is no secret.
                let is_shown = [SECRET, "root:x:"]
                    .iter()
                    .any(|secret| text.contains(secret) || data.contains(secret));
                let is_listed = text.contains(NAME) && !text.contains("frameworks/G/");
                assert!(!is_shown && !is_listed, "shown: {text} {data}");
            }
            let shown = if status == 200 { "" } else { text.as_str() };
            outcomes.push(format!("{} {shown}", "s".repeat(usize::from(status / 100))));
        }
        let outcomes: Vec<&str> = outcomes.iter().map(String::as_str).collect();
        kind(&outcomes)
    }
}
