//! Everything that is claimed of speed, as ratios in one run, medians of five:
//!
//!     cargo bench -p mesos-benches
//!     cargo bench -p mesos-benches --bench speed -- decoding reconciling
//!
//! Names: decoding, reconciling, commands, starting, idle.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::recordio::{self, Decoder};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::v1::scheduler::{Event, event};
use mesos_sdk::{ids, v1};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RUNS: usize = 5;
const TASKS: usize = 100_000;

fn main() {
    let measures: [(&str, bool, fn()); 5] = [
        ("decoding", false, decoding),
        ("reconciling", false, reconciling),
        ("commands", true, commands),
        ("starting", true, cold_start),
        ("idle", true, idle_cluster),
    ];
    // Cargo says `--bench` itself.
    let named: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<&String> = named.iter().filter(|arg| !arg.starts_with("--")).collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| *wanted == name);
    let wanted = measures.iter().filter(|(name, ..)| is_wanted(name));
    let mut is_built = false;
    for (_, needs_programs, measure) in wanted {
        if *needs_programs && !std::mem::replace(&mut is_built, true) {
            mesos_benches::build_programs(&["distributed-shell", "mesos-local"]);
        }
        measure();
    }
}

fn median(measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = std::iter::repeat_with(measure).take(RUNS).collect();
    times.sort_unstable();
    times[RUNS / 2]
}

/// Of two that are compared: in turns, since the machine has moods, and not
/// counting the first run of each, which is cold.
fn medians(
    mut one: impl FnMut() -> Duration,
    mut other: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let _ = (one(), other());
    let mut others = Vec::new();
    let one = median(|| {
        others.push(other());
        one()
    });
    others.sort_unstable();
    (one, others[RUNS / 2])
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}

fn offers() -> Event {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    let offer = |n: usize| v1::Offer {
        id: ids::offer_id(format!("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-O{n}")),
        framework_id: ids::framework_id("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-0000"),
        agent_id: ids::agent_id(format!("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-S{n}")),
        hostname: format!("agent-{n}.example.org"),
        resources: vec![
            scalar("cpus", 8.0),
            scalar("mem", 8192.0),
            scalar("disk", 20480.0),
        ],
        ..Default::default()
    };
    Event {
        r#type: Some(event::Type::Offers as i32),
        offers: Some(event::Offers {
            offers: (0..10_000).map(offer).collect(),
        }),
        ..Default::default()
    }
}

fn update(n: usize) -> Event {
    let status = v1::TaskStatus {
        task_id: ids::task_id(format!("task-{n}")),
        state: v1::TaskState::TaskRunning as i32,
        agent_id: Some(ids::agent_id("be71a74e-f652-4aca-a7a7-d1c0e1db6f2a-S0")),
        message: Some("Reconciliation: Latest task state".to_owned()),
        source: Some(v1::task_status::Source::Master as i32),
        reason: Some(v1::task_status::Reason::Reconciliation as i32),
        timestamp: Some(1.0),
        ..Default::default()
    };
    Event {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update { status }),
        ..Default::default()
    }
}

/// A stream of events through RecordIO against prost on the same messages.
fn decoding() {
    let updates: Vec<Event> = (0..20_000).map(update).collect();
    for (what, events) in [
        ("OFFERS of 10,000 offers", vec![offers()]),
        ("UPDATE", updates),
    ] {
        let bare: Vec<Bytes> = events.iter().map(|e| e.encode_to_vec().into()).collect();
        let mut stream = BytesMut::new();
        for record in &bare {
            recordio::encode_into(record, &mut stream);
        }
        let stream = stream.freeze();
        // As large as what arrives at once over HTTP.
        let chunks: Vec<Bytes> = (0..stream.len())
            .step_by(64 * 1024)
            .map(|at| stream.slice(at..stream.len().min(at + 64 * 1024)))
            .collect();
        let framed = || {
            let started = Instant::now();
            let mut decoder = Decoder::default();
            for chunk in &chunks {
                decoder.push(chunk.clone());
                while let Some(record) = decoder.next_record().expect("a record") {
                    std::hint::black_box(Event::decode(record).expect("an event"));
                }
            }
            started.elapsed()
        };
        let bare = || {
            let started = Instant::now();
            for record in &bare {
                std::hint::black_box(Event::decode(record.clone()).expect("an event"));
            }
            started.elapsed()
        };
        let (framed_time, bare_time) = medians(framed, bare);
        let speed = 100.0 * ratio(bare_time, framed_time);
        println!(
            "decoding {what}: {framed_time:.2?}, {speed:.0}% of the speed of bare prost (at least 70%)"
        );
    }
}

struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Scheduler for Counting {
    async fn update(&mut self, handle: &Handle, _: &StatusUpdate) -> Result<(), BoxError> {
        if self.0.fetch_add(1, Ordering::Relaxed) + 1 == TASKS {
            handle.stop();
        }
        Ok(())
    }
}

fn resident_mib() -> f64 {
    resident_kib("self") as f64 / 1024.0
}

fn resident_kib(pid: &str) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// A driver that knows 100,000 tasks, and a master that answers for each.
fn reconciling() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(answer(listener));
        let info = FrameworkInfo::service("bench").build();
        let master = address.parse().expect("an address");
        let driver = SchedulerDriver::builder(master, info).build().expect("a driver");
        driver.handle().track_tasks((0..TASKS).map(|n| (ids::task_id(format!("task-{n}")), None)));
        let before = resident_mib();
        let counted = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let run = tokio::spawn(driver.run(Counting(Arc::clone(&counted))));
        let mut most = before;
        while !run.is_finished() {
            most = most.max(resident_mib());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        run.await.expect("a task").expect("it stops");
        let elapsed = started.elapsed();
        let rate = TASKS as f64 / elapsed.as_secs_f64();
        let grown = most - before;
        println!("reconciling {TASKS} tasks: {elapsed:.2?}, {rate:.0} answers a second, {grown:.1} MiB more at most");
    });
}

/// As much of a master as reconciliation needs.
async fn answer(listener: tokio::net::TcpListener) {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let mut receive = Some(receive);
    while let Ok((mut socket, _)) = listener.accept().await {
        let send = send.clone();
        let stream = receive.take();
        tokio::spawn(async move {
            let mut stream = stream;
            while let Some(body) = read_request(&mut socket).await {
                let call = v1::scheduler::Call::decode(body).expect("a call");
                if let (Some(_), Some(answers)) = (&call.subscribe, stream.take()) {
                    serve_stream(&mut socket, answers).await;
                    return;
                }
                for task in call.reconcile.unwrap_or_default().tasks {
                    let n = task
                        .task_id
                        .value
                        .trim_start_matches("task-")
                        .parse()
                        .expect("a number");
                    let record = update(n).encode_to_vec();
                    let _ = send.send(recordio::encode(&record));
                }
                let _ = socket
                    .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                    .await;
            }
        });
    }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> Option<Bytes> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length?.parse().ok()?];
    socket.read_exact(&mut body).await.ok()?;
    Some(body.into())
}

async fn serve_stream(
    socket: &mut tokio::net::TcpStream,
    mut answers: tokio::sync::mpsc::UnboundedReceiver<Bytes>,
) {
    let subscribed = Event {
        r#type: Some(event::Type::Subscribed as i32),
        subscribed: Some(event::Subscribed {
            framework_id: ids::framework_id("bench"),
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..Default::default()
    };
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: bench\r\n\r\n";
    let _ = socket.write_all(head.as_bytes()).await;
    let mut chunk = recordio::encode(&subscribed.encode_to_vec());
    loop {
        let head = format!("{:x}\r\n", chunk.len());
        let whole = [head.as_bytes(), &chunk, b"\r\n"].concat();
        if socket.write_all(&whole).await.is_err() {
            return;
        }
        let mut batch = Vec::new();
        answers.recv_many(&mut batch, 256).await;
        chunk = batch.concat().into();
    }
}

fn program(name: &str) -> Command {
    let target = std::env::current_exe().expect("this bench's path");
    let release = target
        .parent()
        .and_then(|deps| deps.parent())
        .expect("a target directory");
    Command::new(release.join(name))
}

/// The time of a command that reads a thousand lines `true`.
fn timed(mut command: Command) -> Duration {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all("true\n".repeat(1000).as_bytes())
        .expect("it is read");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    started.elapsed()
}

fn commands() {
    let ours = || {
        let mut command = program("distributed-shell");
        command.args(["-q", "--file", "-", "local"]);
        timed(command)
    };
    let xargs = || {
        let mut command = Command::new("xargs");
        command.args(["-P2", "-n1", "sh", "-c"]);
        timed(command)
    };
    let (ours, xargs) = medians(ours, xargs);
    let times = ratio(ours, xargs);
    println!(
        "1,000 x true: {ours:.2?} with distributed-shell local, {xargs:.2?} with xargs -P2: {times:.1} times (at most 3)"
    );
}

fn cold_start() {
    let run = |args: &[&str]| {
        median(|| {
            let started = Instant::now();
            let status = program("distributed-shell")
                .args(args)
                .stdout(Stdio::null())
                .status();
            assert!(status.expect("it starts").success());
            started.elapsed()
        })
    };
    let whole = run(&["-q", "local", "true"]);
    let process = run(&["--dry-run", "local", "true"]);
    println!(
        "cold distributed-shell local true: {whole:.2?} (at most 150 ms), of which the process alone {process:.2?}"
    );
}

fn idle_cluster() {
    let mut command = program("mesos-local");
    command.args(["--agents", "3", "--port", "0", "--agent-port", "0"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_secs(2));
    let resident = resident_kib(&child.id().to_string());
    let _ = child.kill();
    let _ = child.wait();
    println!(
        "mesos-local with 3 idle agents: {:.1} MB resident (under 30)",
        f64::from(resident) / 1024.0
    );
}
