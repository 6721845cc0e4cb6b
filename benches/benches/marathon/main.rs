//! How Marathon scales: how long many instances and many apps take until all
//! run, on processes and on ten thousand simulated agents; how long the list of
//! them takes, how much memory they take, and how soon a Marathon that is
//! started again leads. Beside each figure stand the most that it may be, and
//! what was published of Marathon 1.4.2 on five agents.
//!
//!     cargo bench -p mesos-benches --bench marathon
//!     cargo bench -p mesos-benches --bench marathon -- instances apps
//!
//! Names: instances, apps, group, state, crowd; and processes or simulated for
//! the first three on one of the two only. MARATHON_BENCH_PROGRAM names another
//! `marathon` to measure.

mod client;
mod programs;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use programs::{Cluster, Kind, Marathon, PAUSE, wait_until};

/// The sizes, the most seconds that each may take, and what Marathon 1.4.2 took
/// for instances, apps and groups of that size.
const SIZES: [(usize, u32, [&str; 3]); 3] = [
    (100, 5, ["2.3 s", "26.8 s", "8.7 s"]),
    (500, 15, ["38.5 s", "275 s", "34.2 s"]),
    (1000, 30, ["stalled at 832", "stalled at 832", "72.0 s"]),
];
/// After so long it has stalled.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    // Cargo says `--bench` itself.
    let named: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let named: Vec<&str> = named
        .into_iter()
        .filter(|it| !it.starts_with("--"))
        .collect();
    let is_kind = |name: &&str| ["processes", "simulated"].contains(name);
    let (kinds, names): (Vec<&str>, Vec<&str>) = named.into_iter().partition(is_kind);
    let is_wanted = |name: &str| names.is_empty() || names.contains(&name);
    let is_kind_wanted = |kind: Kind| {
        let name = match kind {
            Kind::Real => "processes",
            Kind::Simulated => "simulated",
        };
        kinds.is_empty() || kinds.contains(&name)
    };
    programs::build();
    for kind in Kind::ALL.into_iter().filter(|kind| is_kind_wanted(*kind)) {
        for (number, (name, begin)) in STYLES.into_iter().enumerate() {
            if is_wanted(name) {
                for (size, most, published) in SIZES {
                    deployment(kind, size, begin, most, published[number]);
                }
            }
        }
    }
    if is_wanted("state") {
        state(10_000, Some(Limits::default()));
    }
    if is_wanted("crowd") {
        one_app(100_000);
        state(100_000, None);
    }
}

/// Asks for so many instances in some way, and says how in words.
type Begin = fn(&mut Marathon, usize) -> String;

const STYLES: [(&str, Begin); 3] = [
    ("instances", begin_instances),
    ("apps", begin_apps),
    ("group", begin_group),
];

fn app(id: &str, instances: usize) -> Value {
    json!({
        "id": id, "cmd": "sleep 1000000", "cpus": 0.01, "mem": 32, "instances": instances,
    })
}

fn begin_instances(marathon: &mut Marathon, count: usize) -> String {
    post(marathon, &app("/one", count));
    format!("one app of {count} instances")
}

fn begin_apps(marathon: &mut Marathon, count: usize) -> String {
    for number in 0..count {
        post(marathon, &app(&format!("/many/app-{number}"), 1));
    }
    format!("{count} apps, each by its own POST")
}

fn begin_group(marathon: &mut Marathon, count: usize) -> String {
    put_group(marathon, count, 1);
    format!("{count} apps in one PUT of a group")
}

fn post(marathon: &mut Marathon, app: &Value) {
    loop {
        let body = app.to_string();
        let answer = marathon.client.ask("POST", "/v2/apps", &body);
        let answer = answer.expect("an answer");
        match answer.status {
            201 => return,
            // So many deployments are on their way that it takes no more now.
            403 => std::thread::sleep(PAUSE),
            other => panic!("{other}: {}", answer.json()),
        }
    }
}

fn put_group(marathon: &mut Marathon, apps: usize, instances: usize) {
    let apps = (0..apps).map(|number| app(&format!("app-{number}"), instances));
    let body = json!({"id": "/many", "apps": apps.collect::<Vec<_>>()}).to_string();
    let answer = marathon.client.ask("PUT", "/v2/groups", &body);
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.json());
}

/// Waits until all deployments are done. Says how many instances run.
fn wait_until_deployed(marathon: &mut Marathon, count: usize) -> (bool, usize) {
    let client = &mut marathon.client;
    let done = wait_until(PATIENCE, || {
        let answer = client.get("/v2/deployments").ok()?;
        (answer.body == b"[]").then_some(())
    });
    let running = running(marathon);
    (done.is_some() && running == count, running)
}

fn running(marathon: &mut Marathon) -> usize {
    let apps = marathon.client.get("/v2/apps?embed=apps.counts");
    let apps = apps.expect("an answer").json();
    let apps = apps["apps"].as_array().cloned().unwrap_or_default();
    let running = apps.iter().filter_map(|app| app["tasksRunning"].as_u64());
    usize::try_from(running.sum::<u64>()).unwrap_or(usize::MAX)
}

fn deployment(kind: Kind, size: usize, begin: Begin, most: u32, published: &str) {
    let cluster = Cluster::start(kind);
    let mut marathon = Marathon::start(&cluster, &[]);
    let started = Instant::now();
    let what = begin(&mut marathon, size);
    let (is_done, running) = wait_until_deployed(&mut marathon, size);
    let elapsed = started.elapsed();
    let outcome = if is_done {
        format!("{elapsed:.2?}")
    } else {
        format!("stalled at {running} after {elapsed:.0?}")
    };
    println!(
        "{what}, {}: {outcome} (at most {most} s; Marathon 1.4: {published})",
        kind.name()
    );
}

/// What a state may cost at most.
#[derive(Clone, Copy)]
struct Limits {
    list: Duration,
    memory_mib: f64,
    restart: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            list: Duration::from_millis(200),
            memory_mib: 300.0,
            restart: Duration::from_secs(2),
        }
    }
}

/// A thousand apps with that many instances in all.
fn state(instances: usize, limits: Option<Limits>) {
    let cluster = Cluster::start(Kind::Simulated);
    let mut marathon = Marathon::start(&cluster, &tokens(instances));
    let started = Instant::now();
    put_group(&mut marathon, 1000, instances / 1000);
    let (is_done, running) = wait_until_deployed(&mut marathon, instances);
    let elapsed = started.elapsed();
    println!(
        "1000 apps with {instances} instances in one PUT of a group, {}: {} run after {elapsed:.2?}",
        Kind::Simulated.name(),
        if is_done {
            "all".to_owned()
        } else {
            format!("{running}")
        },
    );
    let (list, bytes) = list(&mut marathon);
    let memory = marathon.resident_mib();
    let at_most =
        |limit: Option<String>| limit.map_or(String::new(), |it| format!(" (at most {it})"));
    println!(
        "  GET /v2/apps?embed=apps.tasks: {list:.2?}{}, {:.1} MiB",
        at_most(limits.map(|it| format!("{:.0?}", it.list))),
        bytes as f64 / f64::from(1 << 20),
    );
    println!(
        "  resident memory: {memory:.0} MiB{}; the file: {:.1} MiB",
        at_most(limits.map(|it| format!("{:.0} MiB", it.memory_mib))),
        marathon.stored_mib(),
    );
    let mut marathon = marathon.restart();
    let begun = marathon.begun;
    let after = self::running(&mut marathon);
    println!(
        "  from start to leader with it: {begun:.2?}{}, and {after} instances are known to run",
        at_most(limits.map(|it| format!("{:.0?}", it.restart))),
    );
}

/// Launches at once are limited by default; what is asked for at once here is
/// not to be.
fn tokens(instances: usize) -> [&'static str; 1] {
    match instances {
        0..=10_000 => ["--launch_tokens=10000"],
        _ => ["--launch_tokens=100000"],
    }
}

fn one_app(instances: usize) {
    let cluster = Cluster::start(Kind::Simulated);
    let mut marathon = Marathon::start(&cluster, &tokens(instances));
    let started = Instant::now();
    let what = begin_instances(&mut marathon, instances);
    let (is_done, running) = wait_until_deployed(&mut marathon, instances);
    let elapsed = started.elapsed();
    println!(
        "{what}, {}: {} run after {elapsed:.2?}",
        Kind::Simulated.name(),
        if is_done {
            "all".to_owned()
        } else {
            format!("{running}")
        },
    );
}

/// The median of some readings of everything, and its size.
fn list(marathon: &mut Marathon) -> (Duration, usize) {
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..5 {
        let started = Instant::now();
        let answer = marathon.client.get("/v2/apps?embed=apps.tasks");
        times.push(started.elapsed());
        bytes = answer.expect("an answer").body.len();
    }
    times.sort_unstable();
    (times[times.len() / 2], bytes)
}
