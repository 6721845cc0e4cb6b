//! Every endpoint that shows files, asked for what lies outside of sandboxes:
//! with `..` in many spellings, and with links that a task has made.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot talk to its cluster has failed"
)]

use std::net::SocketAddr;
use std::path::Path;

use mesos_local::Cluster;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::client::{Answer, Subscription, exchange, framework, get, operate};

/// What nobody may read over HTTP.
const SECRET: &str = "what-lies-outside";
/// The file that says it.
const FILE: &str = "secret.txt";

/// Spellings of `..`, of which servers have taken some for it.
const UP: &[&str] = &[
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%u002e%u002e",
    "..;",
    "..%00",
    "..%20",
    "....",
    "./..",
    "../.",
];

/// Separators, likewise.
const SEPARATORS: &[&str] = &[
    "/", "%2f", "%2F", "%252f", "//", "/./", "\\", "%5c", "%c0%af",
];

/// An endpoint by how a path is asked of it.
type Ask = fn(&str) -> Request;

enum Request {
    Get(String),
    Call(Value),
}

/// Paths as they stand in a URL: encoded already.
const ENDPOINTS: &[(&str, Ask)] = &[
    ("browse", |path| {
        Request::Get(format!("/files/browse?path={path}"))
    }),
    ("browse.json", |path| {
        Request::Get(format!("/files/browse.json?path={path}"))
    }),
    ("read", |path| {
        Request::Get(format!("/files/read?path={path}&offset=0"))
    }),
    ("read.json", |path| {
        Request::Get(format!("/files/read.json?path={path}&offset=0&length=99"))
    }),
    ("download", |path| {
        Request::Get(format!("/files/download?path={path}"))
    }),
    ("download.json", |path| {
        Request::Get(format!("/files/download.json?path={path}"))
    }),
    ("LIST_FILES", |path| {
        Request::Call(json!({"type": "LIST_FILES", "list_files": {"path": path}}))
    }),
    ("READ_FILE", |path| {
        let read = json!({"path": path, "offset": 0});
        Request::Call(json!({"type": "READ_FILE", "read_file": read}))
    }),
];

async fn ask(address: SocketAddr, request: &Request) -> Answer {
    match request {
        Request::Get(path) => get(address, path).await,
        Request::Call(call) => operate(address, call).await,
    }
}

/// The text of a file that READ_FILE gives is base64.
fn shows(answer: &Answer, what: &str) -> bool {
    use base64::Engine as _;
    let text = answer.text();
    let data = serde_json::from_str::<Value>(&text).unwrap_or_default();
    let data = data["read_file"]["data"].as_str().unwrap_or_default();
    let data = base64::engine::general_purpose::STANDARD.decode(data);
    let data = String::from_utf8_lossy(&data.unwrap()).into_owned();
    text.contains(what) || data.contains(what)
}

/// What is wrong with an answer about something outside.
fn complaint(name: &str, path: &str, answer: &Answer) -> Option<String> {
    let is_shown = shows(answer, SECRET) || shows(answer, "root:");
    let is_refused = matches!(answer.status, 400 | 404);
    let is_wrong = is_shown || !is_refused;
    is_wrong.then(|| format!("{name} of {path}: {} {}", answer.status, answer.text()))
}

struct Place {
    cluster: Cluster,
    scheduler: Subscription,
    sandbox: String,
    virtual_path: String,
}

impl Place {
    /// A cluster with a secret beside its sandboxes and a task that runs.
    async fn with(command: impl FnOnce(&Path) -> String) -> Self {
        let cluster = Cluster::start(mesos_local::ClusterConfig::default())
            .await
            .unwrap();
        let work_dir = cluster.work_dir().to_owned();
        // Beside the agents, and beside the sandboxes of the first.
        for place in [work_dir.join(FILE), work_dir.join("agent-0").join(FILE)] {
            std::fs::write(place, SECRET).unwrap();
        }
        let mut scheduler =
            Subscription::open(cluster.master_address(), framework("looks-about")).await;
        let offer = scheduler.offer().await;
        let command = command(&work_dir);
        let command = format!("echo inside > file; {command}\necho ready; sleep 1000");
        scheduler.launch(&offer, "task", &command).await;
        scheduler.state("task", "TASK_RUNNING").await;
        let virtual_path = format!(
            "/frameworks/{}/executors/task/runs/latest",
            scheduler.framework_id
        );
        let agent = cluster.agent_addresses()[0];
        loop {
            let stdout = format!("/files/download?path={virtual_path}/stdout");
            if get(agent, &stdout).await.text().contains("ready") {
                break;
            }
            tokio::task::yield_now().await;
        }
        let state = get(agent, "/state").await.json();
        let executor = &state["frameworks"][0]["executors"][0];
        let sandbox = executor["directory"].as_str().unwrap().to_owned();
        Self {
            cluster,
            scheduler,
            sandbox,
            virtual_path,
        }
    }

    fn agent(&self) -> SocketAddr {
        self.cluster.agent_addresses()[0]
    }

    /// What lies in the sandbox is shown, so that refusals mean something.
    async fn check_inside(&self, path: &str) {
        for (name, ask_for) in ENDPOINTS {
            let wanted = match *name {
                "browse" | "browse.json" | "LIST_FILES" => path.rsplit_once('/').unwrap().0,
                _ => path,
            };
            let answer = ask(self.agent(), &ask_for(wanted)).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert!(
                shows(&answer, "inside") || shows(&answer, "/file"),
                "{name}: {}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn nothing_above_a_sandbox_is_shown_however_it_is_spelled() {
    let place = Place::with(|_| String::new()).await;
    place.check_inside(&format!("{}/file", place.sandbox)).await;
    place
        .check_inside(&format!("{}/file", place.virtual_path))
        .await;
    let mut paths = vec![
        String::new(),
        "/".to_owned(),
        ".".to_owned(),
        "/etc/passwd".to_owned(),
        "%2fetc%2fpasswd".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
        "/proc/self/root/etc/passwd".to_owned(),
        "/master/log".to_owned(),
        "/slave/log".to_owned(),
    ];
    let work_dir = place.cluster.work_dir().to_str().unwrap().to_owned();
    for below in ["", "/slaves", "/volumes", "/meta", &format!("/{FILE}")] {
        paths.push(format!("{work_dir}{below}"));
        paths.push(format!("{work_dir}/agent-0{below}"));
    }
    for start in [&place.sandbox, &place.virtual_path, "/frameworks", ""] {
        for up in UP {
            for separator in SEPARATORS {
                let climb = format!("{separator}{up}");
                // To the secrets of the agent and of the cluster, and far above.
                let targets = [(8, FILE), (9, FILE), (30, "etc%2fpasswd")];
                for (count, target) in targets {
                    let climb = climb.repeat(count);
                    paths.push(format!("{start}{climb}{separator}{target}"));
                }
            }
        }
    }
    let mut complaints = Vec::new();
    for path in &paths {
        for (name, ask_for) in ENDPOINTS {
            let answer = ask(place.agent(), &ask_for(path)).await;
            complaints.extend(complaint(name, path, &answer));
        }
    }
    // As a path of its own, and at the master, which has no such files.
    for path in paths.iter().step_by(7) {
        for (name, ask_for) in ENDPOINTS {
            let answer = ask(place.cluster.master_address(), &ask_for(path)).await;
            if shows(&answer, SECRET) || shows(&answer, "root:") {
                complaints.push(format!("the master's {name} of {path}: {}", answer.text()));
            }
        }
        let start = if path.starts_with('/') { "" } else { "/" };
        let plain = path.replace(['\\', ' '], "");
        for prefix in ["/files/download", "/files/read", "/files/browse"] {
            let asked = format!("{prefix}{start}{plain}");
            let answer = exchange(place.agent(), "GET", &asked, &[], b"").await;
            complaints.extend(complaint(prefix, &asked, &answer));
        }
    }
    println!("{} paths, {} endpoints", paths.len(), ENDPOINTS.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn links_of_a_task_lead_nowhere_outside() {
    let links = |work_dir: &Path| {
        let work_dir = work_dir.display();
        format!(
            "ln -s /etc/passwd link-file
             ln -s / link-root
             ln -s /proc link-proc
             ln -s /proc/self/root link-magic
             ln -s {work_dir} link-work
             ln -s {work_dir}/{FILE} link-secret
             ln -s {work_dir}/agent-0/volumes/../{FILE} link-volumes
             ln -s ../../../../../../../../.. link-up
             ln -s link-root link-twice
             ln -s loop loop
             mkdir -p deep/er && ln -s ../../../../../../../../../../.. deep/er/link-deep
             mkfifo pipe"
        )
    };
    let mut place = Place::with(links).await;
    let targets = [
        "link-file",
        "link-root/etc/passwd",
        "link-root",
        "link-proc/self/environ",
        "link-proc",
        "link-magic/etc/passwd",
        "link-work",
        "link-secret",
        "link-volumes",
        "link-up",
        "link-twice/etc/passwd",
        "loop",
        "loop/x",
        "deep/er/link-deep",
        "deep/er/link-deep/etc/passwd",
    ];
    let with_secret = [
        format!("link-work/{FILE}"),
        format!("link-up/{FILE}"),
        format!("deep/er/link-deep/{FILE}"),
    ];
    let targets = targets
        .into_iter()
        .chain(with_secret.iter().map(String::as_str));
    let mut complaints = Vec::new();
    for target in targets {
        for start in [&place.sandbox, &place.virtual_path] {
            let path = format!("{start}/{target}");
            let quoted = utf8_percent_encode(&path, NON_ALPHANUMERIC).to_string();
            for (name, ask_for) in ENDPOINTS {
                let request = match ask_for(&quoted) {
                    Request::Get(path) => Request::Get(path),
                    Request::Call(_) => ask_for(&path),
                };
                let answer = ask(place.agent(), &request).await;
                complaints.extend(complaint(name, &path, &answer));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    // A pipe that nobody writes to keeps nobody waiting.
    let pipe = format!("/files/download?path={}/pipe", place.virtual_path);
    let answer = get(place.agent(), &pipe).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "Not a regular file.\n")
    );

    // Another task's sandbox is shown by its own name alone.
    let offer = place.scheduler.offer().await;
    let other = format!("ln -s {} other; echo linked; sleep 1000", place.sandbox);
    place.scheduler.launch(&offer, "links", &other).await;
    place.scheduler.state("links", "TASK_RUNNING").await;
    let runs = place.virtual_path.replace("/task/", "/links/");
    loop {
        let stdout = format!("/files/download?path={runs}/stdout");
        if get(place.agent(), &stdout).await.text().contains("linked") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let through = format!("/files/download?path={runs}/other/file");
    assert_eq!(get(place.agent(), &through).await.status, 400);
    place.check_inside(&format!("{}/file", place.sandbox)).await;
}
