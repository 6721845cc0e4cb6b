//! The programs that are measured: a cluster, and a Marathon on it with its
//! state in a file.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;

/// Names another `marathon` to measure, such as one of before a change.
const OTHER: &str = "MARATHON_BENCH_PROGRAM";
/// How often something is looked at.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// What runs the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Five agents of 24 processors, as in the published tests; each task is a
    /// process.
    Real,
    /// Ten thousand agents whose tasks are entries in a table.
    Simulated,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Real, Self::Simulated];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Real => "processes",
            Self::Simulated => "10,000 simulated agents",
        }
    }

    fn flags(self) -> Vec<&'static str> {
        match self {
            Self::Real => {
                let resources = "cpus:24;mem:86016;disk:100000;ports:[31000-33999]";
                vec!["--agents", "5", "--resources", resources]
            }
            Self::Simulated => {
                vec![
                    "--simulated-agents",
                    "10000",
                    "--simulated-task-time",
                    "24h",
                ]
            }
        }
    }
}

/// Builds what is measured, unless that is another one, which is measured on
/// the cluster there is.
pub(crate) fn build() {
    if std::env::var_os(OTHER).is_some() {
        return;
    }
    mesos_benches::build_programs(&["marathon", "mesos-local"]);
}

fn release(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this bench's path");
    let deps = this.parent().expect("a directory");
    deps.parent().expect("a target directory").join(name)
}

/// A process that is told to end, and waited for.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.0.wait();
    }
}

pub(crate) struct Cluster {
    _process: Process,
    master: String,
}

impl Cluster {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut command = Command::new(release("mesos-local"));
        command.args(["--port", "0", "--agent-port", "0"]);
        let child = command.args(kind.flags()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the cluster starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("its address");
        // Whatever else it says is of no interest, but has to go somewhere.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let (_, master) = line.trim().rsplit_once(' ').expect("an address");
        let cluster = Self {
            _process: Process(child),
            master: master.to_owned(),
        };
        if kind == Kind::Simulated {
            cluster.wait_for_agents(10_000);
        }
        cluster
    }

    fn wait_for_agents(&self, count: u64) {
        let (_, port) = self.master.rsplit_once(':').expect("a port");
        let mut client = Client::new(port.parse().expect("a port"));
        wait_until(Duration::from_secs(120), || {
            let metrics = client.get("/metrics/snapshot").ok()?.json();
            (metrics["master/slaves_active"].as_f64()? >= count as f64).then_some(())
        })
        .expect("all agents register");
    }
}

pub(crate) struct Marathon {
    process: Process,
    pub(crate) client: Client,
    state: TempDir,
    flags: Vec<String>,
    /// From its start until it answered as the leader.
    pub(crate) begun: Duration,
}

impl Marathon {
    pub(crate) fn start(cluster: &Cluster, more: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        drop(listener);
        let mut flags = vec![
            format!("--master={}", cluster.master),
            format!("--http_port={port}"),
            "--http_address=127.0.0.1".to_owned(),
            "--hostname=127.0.0.1".to_owned(),
            "--logging_level=warn".to_owned(),
        ];
        flags.push(format!("--data_dir={}", state.path().display()));
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        let (process, client, begun) = begin(&flags, port);
        Self {
            process,
            client,
            state,
            flags,
            begun,
        }
    }

    /// Ends it without a word, and starts it again on what it had saved.
    pub(crate) fn restart(self) -> Self {
        let Self {
            mut process,
            client,
            state,
            flags,
            ..
        } = self;
        process.kill();
        let (process, client, begun) = begin(&flags, client.port());
        Self {
            process,
            client,
            state,
            flags,
            begun,
        }
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.0.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.unwrap_or(0.0) / 1024.0
    }

    pub(crate) fn stored_mib(&self) -> f64 {
        let files = std::fs::read_dir(self.state.path()).expect("its state");
        let sizes = files.flatten().filter_map(|file| file.metadata().ok());
        sizes.map(|it| it.len() as f64).sum::<f64>() / f64::from(1 << 20)
    }
}

fn begin(flags: &[String], port: u16) -> (Process, Client, Duration) {
    let program = std::env::var_os(OTHER).map_or_else(|| release("marathon"), PathBuf::from);
    let mut client = Client::new(port);
    let started = Instant::now();
    let mut command = Command::new(program);
    let child = command.args(flags).stderr(Stdio::null()).spawn();
    let process = Process(child.expect("Marathon starts"));
    wait_until(Duration::from_secs(120), || {
        let answer = client.get("/v2/leader").ok()?;
        (answer.status == 200).then_some(())
    })
    .expect("Marathon leads");
    let begun = started.elapsed();
    (process, client, begun)
}

/// Looks again and again, for as long as that.
pub(crate) fn wait_until<T>(most: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        match look() {
            Some(seen) => return Some(seen),
            None if started.elapsed() > most => return None,
            None => std::thread::sleep(PAUSE),
        }
    }
}
