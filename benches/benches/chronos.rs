//! Chronos with many jobs: how soon one that starts leads and answers, how late
//! what is due is launched, and what a step costs in a large graph.
//!
//!     cargo bench -p mesos-benches --bench chronos
//!
//! Words behind `--` choose among `graph`, `start` and `time`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chronos::args;
use chronos::effects::Input;
use chronos::engine::step;
use chronos::input::{self, Kind};
use chronos::request::{Reply, Request};
use chronos::state::{Settings, State};
use http::header::HeaderMap;
use mesos_local::Cluster;
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Response, Transport, TransportConfig};
use mesos_service::run::Stop;
use serde_json::{Value, json};

/// Jobs of the one that starts.
const JOBS: usize = 10_000;
/// Jobs due each second, and for how long.
const DUE: usize = 100;
const SECONDS: usize = 60;
/// How long after one another the same jobs are due.
const PERIOD: usize = 10;
/// Jobs of the graph, and how many come after one another.
const GRAPH: usize = 100_000;
const DEEP: usize = 10;
/// How many requests are under way at a time.
const AT_ONCE: usize = 32;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    // Cargo says that it is a bench.
    let chosen: Vec<&String> = chosen.iter().filter(|it| !it.starts_with("--")).collect();
    let is_chosen = |part: &str| chosen.is_empty() || chosen.iter().any(|it| *it == part);
    if is_chosen("graph") {
        a_large_graph();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        if is_chosen("start") {
            starting().await;
        }
        if is_chosen("time") {
            being_on_time().await;
        }
    });
}

/// What this process holds in memory, in MiB.
fn memory_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or(0) / 1024
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("it is later than 1970").as_millis()).expect("not by so much")
}

/// The best of some runs: other programs make it slower, none makes it faster.
fn best(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| measure()).min().unwrap_or_default()
}

fn iso(ms: i64) -> String {
    // A schedule writes down the start that it is given.
    let schedule = chronos::schedule::Schedule::parse("R//PT1S", None, ms).expect("a schedule");
    schedule
        .text()
        .split('/')
        .nth(1)
        .unwrap_or_default()
        .to_owned()
}

fn put(state: &mut State, now: i64, job: &Value) {
    let kind = match job["parents"] {
        Value::Null => Kind::Scheduled,
        _ => Kind::Dependent,
    };
    let (job, progress) = input::read(job.to_string().as_bytes(), kind, now, &state.settings)
        .expect("a job as it should be");
    let put = Request::Put {
        job: Arc::new(job),
        progress: Arc::new(progress),
    };
    let effects = step(state, now, Input::Request(1, put));
    assert_eq!(effects.replies, [(1, Reply::Done)]);
}

/// Layers of jobs, each of which comes after two of the layer before.
fn a_large_graph() {
    let before = memory_mib();
    let now = now_ms();
    let mut state = State::new(Settings::default());
    let wide = GRAPH / DEEP;
    let begun = Instant::now();
    for layer in 0..DEEP {
        for n in 0..wide {
            let mut job = json!({"name": format!("job-{layer}-{n}"), "command": "true"});
            if layer == 0 {
                // A hundred of them are due at a time.
                let second = 3600 + i64::try_from(n / DUE).unwrap_or(0);
                job["schedule"] = format!("R/{}/P1D", iso(now + second * 1000)).into();
            } else {
                let parents = [n, (n + 1) % wide].map(|n| format!("job-{}-{n}", layer - 1));
                job["parents"] = json!(parents);
            }
            put(&mut state, now, &job);
        }
    }
    let built = begun.elapsed();
    let held = memory_mib().saturating_sub(before);
    println!("{GRAPH} jobs, {DEEP} deep: put one by one in {built:.2?}; {held} MiB");

    let mut later = now;
    let idle = best(|| {
        let begun = Instant::now();
        for _ in 0..1000 {
            later += 1;
            step(&mut state, later, Input::Wake);
        }
        begun.elapsed() / 1000
    });
    println!("  a tick in which nothing is due: {idle:.2?}");

    let mut second = 3600;
    let due = best(|| {
        let at = now + second * 1000;
        second += 1;
        let runs = state.runs.len();
        let begun = Instant::now();
        step(&mut state, at, Input::Wake);
        let elapsed = begun.elapsed();
        assert_eq!(state.runs.len(), runs + DUE);
        elapsed
    });
    println!("  a tick in which {DUE} are due: {due:.2?}");

    let at = now + second * 1000;
    let mut n = 0;
    let done = best(|| {
        let begun = Instant::now();
        for _ in 0..1000 {
            n += 1;
            let name = format!("job-{}-{}", n % (DEEP - 1), n * 7 % wide);
            step(
                &mut state,
                at,
                Input::Request(1, Request::MarkSuccess(name)),
            );
        }
        begun.elapsed() / 1000
    });
    println!("  a success that is passed on to two others: {done:.2?}");

    let changes: Vec<_> = state
        .jobs
        .iter()
        .map(|(name, job)| chronos::state::Change::Job(name.clone(), Some(job.clone())).encode())
        .collect();
    let begun = Instant::now();
    let mut restored = State::new(Settings::default());
    let stored = changes
        .iter()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    restored.restore(stored).expect("what was stored");
    println!("  read back from what is stored: {:.2?}", begun.elapsed());
    assert_eq!(restored.jobs.len(), GRAPH);
}

/// Chronos in this process.
struct Instance {
    stop: Stop,
    ended: tokio::task::JoinHandle<()>,
    server: HostAddress,
    transport: Transport,
}

impl Instance {
    async fn start(master: &str, data: &std::path::Path, is_measured: bool) -> Self {
        let line = format!(
            "--master={master} --http_address=127.0.0.1 --http_port=0 --hostname=127.0.0.1 \
             --data_dir={}",
            data.display()
        );
        let arguments = line.split_whitespace().map(str::to_owned);
        let parsed = args::parse(arguments, []).unwrap_or_else(|wrong| panic!("{}", wrong.message));
        let stop = Stop::new();
        let config = parsed
            .flags
            .config("root", 1, stop.clone())
            .await
            .expect("flags");
        if is_measured {
            config
                .metrics
                .install()
                .expect("there are no other metrics");
        }
        let address = config.listeners.addresses()[0];
        let ended = tokio::spawn(async move {
            let lived = Box::pin(chronos::io::live(config)).await;
            lived.expect("it ends well");
        });
        Self {
            stop,
            ended,
            server: HostAddress::http(address.ip().to_string(), address.port()),
            transport: Transport::new(TransportConfig::default()),
        }
    }

    async fn get(&self, path: &str) -> Option<Response> {
        let response = self
            .transport
            .get(&self.server, path, HeaderMap::new())
            .await
            .ok()?;
        (response.status == 200).then_some(response)
    }

    /// Waits until it leads.
    async fn leads(&self) {
        while self.get("/v1/scheduler/leader").await.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn post_all(&self, jobs: Vec<Value>) {
        let jobs = Arc::new(std::sync::Mutex::new(jobs));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (jobs, server, transport) =
                (jobs.clone(), self.server.clone(), self.transport.clone());
            clients.spawn(async move {
                let next = || jobs.lock().expect("nobody panics").pop();
                while let Some(job) = next() {
                    let mut headers = HeaderMap::new();
                    headers.insert("content-type", "application/json".parse().expect("a value"));
                    let body = Bytes::from(job.to_string());
                    let posted = transport
                        .post(&server, "/v1/scheduler/iso8601", headers, body)
                        .await;
                    assert_eq!(posted.expect("an answer").status, 204);
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.expect("it asks to the end");
        }
    }

    async fn stop(self) {
        self.stop.stop();
        self.ended.await.expect("it ends");
    }
}

async fn starting() {
    let cluster = Cluster::builder()
        .simulated_agents(10, Duration::from_secs(1))
        .agents(0)
        .start()
        .await
        .expect("a cluster");
    let directory = tempfile::tempdir().expect("a directory");
    let chronos = Instance::start(&cluster.address(), directory.path(), false).await;
    chronos.leads().await;
    let start = iso(now_ms() + 86_400_000);
    let jobs = (0..JOBS).map(|n| {
        json!({
            "name": format!("job-{n}"), "command": "echo hello", "owner": "someone@example.org",
            "schedule": format!("R/{start}/P1D"), "scheduleTimeZone": "Europe/Berlin",
            "description": "one of many",
            "environmentVariables": [{"name": "NUMBER", "value": n.to_string()}],
        })
    });
    let begun = Instant::now();
    chronos.post_all(jobs.collect()).await;
    let posted = begun.elapsed();
    println!("{JOBS} jobs, posted {AT_ONCE} at a time in {posted:.2?}");
    chronos.stop().await;
    for _ in 0..3 {
        let before = memory_mib();
        let begun = Instant::now();
        let chronos = Instance::start(&cluster.address(), directory.path(), false).await;
        chronos.leads().await;
        let leads = begun.elapsed();
        let begun = Instant::now();
        let jobs = chronos.get("/v1/scheduler/jobs").await.expect("jobs");
        let got = begun.elapsed();
        let count = serde_json::from_slice::<Vec<Value>>(&jobs.body).map_or(0, |jobs| jobs.len());
        assert_eq!(count, JOBS);
        println!(
            "  start to leader {leads:.2?}; GET jobs {got:.2?}, {} KiB; {} MiB more memory",
            jobs.body.len() / 1024,
            memory_mib().saturating_sub(before)
        );
        chronos.stop().await;
    }
    cluster.stop().await;
}

/// What lies between the due time and the launch call, as the metrics have it.
const STAGES: [(&str, &str, &str); 5] = [
    (
        "launch calls taken by the master, after the due time",
        "histograms",
        "chronos.jobs.launch.called.seconds",
    ),
    (
        "launches decided, after the due time",
        "histograms",
        "chronos.jobs.launch.lateness.seconds",
    ),
    (
        "batches saved",
        "timers",
        "chronos.persistence.save.duration.timer.seconds",
    ),
    (
        "ACCEPT calls",
        "histograms",
        "mesos_sdk_call_seconds.ACCEPT",
    ),
    (
        "ACKNOWLEDGE calls",
        "histograms",
        "mesos_sdk_call_seconds.ACKNOWLEDGE",
    ),
];

/// What a histogram of seconds shows, in milliseconds.
fn in_ms(histogram: &Value) -> String {
    let ms = |name: &str| histogram[name].as_f64().unwrap_or(f64::NAN) * 1000.0;
    let quantiles = ["p50", "p95", "p99", "max"].map(|name| format!("{name} {:.1} ms", ms(name)));
    format!("{}, of {}", quantiles.join(", "), histogram["count"])
}

async fn being_on_time() {
    let cluster = Cluster::builder()
        .simulated_agents(200, Duration::from_millis(500))
        .agents(0)
        .start()
        .await
        .expect("a cluster");
    let directory = tempfile::tempdir().expect("a directory");
    let chronos = Instance::start(&cluster.address(), directory.path(), true).await;
    chronos.leads().await;
    let first = now_ms() / 1000 * 1000 + 15_000;
    let jobs = (0..DUE * PERIOD).map(|n| {
        let start = iso(first + i64::try_from(n % PERIOD).unwrap_or(0) * 1000);
        json!({
            "name": format!("job-{n}"), "command": "true", "cpus": 0.01, "mem": 1, "disk": 1,
            "schedule": format!("R{}/{start}/PT{PERIOD}S", SECONDS / PERIOD),
            // Each occurrence for itself, or it is missed.
            "epsilon": "PT30S", "concurrent": true, "retries": 0,
        })
    });
    chronos.post_all(jobs.collect()).await;
    assert!(now_ms() < first, "the jobs are there before they are due");
    // Nothing else is asked until the last is due.
    let last = first + i64::try_from(SECONDS * 1000).unwrap_or(0);
    let wait = u64::try_from(last - now_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let all = (DUE * SECONDS) as u64;
    let patience = Instant::now();
    let jobs = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let jobs = chronos.get("/v1/scheduler/jobs").await.expect("jobs");
        let jobs: Vec<Value> = serde_json::from_slice(&jobs.body).expect("jobs");
        let sum = |field: &str| {
            jobs.iter()
                .filter_map(|job| job[field].as_u64())
                .sum::<u64>()
        };
        let done = (sum("successCount"), sum("errorCount"));
        if done.0 + done.1 >= all {
            break done;
        }
        assert!(
            patience.elapsed() < Duration::from_secs(180),
            "{done:?} of {all}"
        );
    };
    let metrics = chronos.get("/metrics").await.expect("metrics");
    let metrics: Value = serde_json::from_slice(&metrics.body).expect("metrics");
    let (ran, failed) = jobs;
    let missed = &metrics["counters"]["chronos.jobs.missed.counter"]["count"];
    println!(
        "{DUE} jobs due a second for {SECONDS} s, on simulated agents: {ran} of {all} ran, {failed} failed, {} missed",
        missed.as_u64().unwrap_or(0)
    );
    for (what, kind, name) in STAGES {
        println!("  {what}: {}", in_ms(&metrics[kind][name]));
    }
    println!("  {} MiB, the cluster included", memory_mib());
    assert_eq!((ran, failed), (all, 0));
    chronos.stop().await;
    cluster.stop().await;
}
