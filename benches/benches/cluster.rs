//! A scheduler on 10,000 simulated agents that launches 100,000 tasks over HTTP:
//! tasks a second from the first offer to the last task that finished, and the
//! processor time and memory of both sides. The best of three runs:
//!
//!     cargo bench -p mesos-benches --bench cluster
//!
//! The cluster is a process of its own: this program, started anew with a role.
//! Every task is STARTING, RUNNING and FINISHED, and each update is acknowledged.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesos_local::Cluster;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{task, v1};

const AGENTS: usize = 10_000;
const TASKS: usize = 100_000;
/// Tasks that an agent has room for, and that one ACCEPT launches.
const BATCH: usize = TASKS / AGENTS;
const RUNS: usize = 3;
/// What a process that this program starts is to be.
const ROLE: &str = "MESOS_BENCH_ROLE";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::var_os(ROLE).is_some() {
        return be_a_cluster().await;
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(one_run().await?);
    }
    let best = runs.into_iter().min_by_key(|run| run.elapsed);
    let best = best.ok_or("there were runs")?;
    let rate = TASKS as f64 / best.elapsed.as_secs_f64();
    println!(
        "{TASKS} tasks on {AGENTS} simulated agents: {:.2?}, {rate:.0} tasks a second; all were launched after {:.2?}",
        best.elapsed, best.launching,
    );
    for (side, usage) in [("scheduler", best.scheduler), ("cluster", best.cluster)] {
        println!(
            "  {side}: {:.2?} of processor time, {:.1} us a task; {:.0} MiB at most",
            usage.processor,
            usage.processor.as_secs_f64() * 1e6 / TASKS as f64,
            usage.peak_kib / 1024.0,
        );
    }
    Ok(())
}

async fn be_a_cluster() -> Result<(), BoxError> {
    let cluster = Cluster::builder()
        .agents(0)
        .simulated_agents(AGENTS, Duration::ZERO)
        .start()
        .await?;
    println!("{}", cluster.address());
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    cluster.stop().await;
    Ok(())
}

/// Ends when this program does.
struct Process(Child);

impl Process {
    /// A cluster, and where its master is.
    fn start() -> Result<(Self, MasterAddress), BoxError> {
        let child = Command::new(std::env::current_exe()?)
            .env(ROLE, "cluster")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut process = Self(child);
        let mut line = String::new();
        let stdout = process.0.stdout.take().ok_or("a pipe")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok((process, line.trim().parse()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A cluster ends with its standard input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
struct Usage {
    processor: Duration,
    /// The most memory it has had since it began.
    peak_kib: f64,
}

impl Usage {
    fn of(pid: u32) -> Result<Self, BoxError> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; what follows are numbers.
        let (_, numbers) = stat.rsplit_once(')').ok_or("no name in stat")?;
        let ticks = numbers.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.ok_or("no VmHWM in status")?;
        Ok(Self {
            // A tick is a hundredth of a second wherever Linux runs.
            processor: Duration::from_millis(ticks * 10),
            peak_kib: peak.trim().trim_end_matches(" kB").parse()?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(before.processor),
            peak_kib: self.peak_kib,
        }
    }
}

/// What one run showed.
struct Shown {
    /// From the first offer until the last ACCEPT was taken.
    launching: Duration,
    /// From the first offer until the last task had finished.
    elapsed: Duration,
    scheduler: Usage,
    cluster: Usage,
}

async fn one_run() -> Result<Shown, BoxError> {
    let (process, master) = Process::start()?;
    let (cluster, own) = (process.0.id(), std::process::id());
    let before = (Usage::of(own)?, Usage::of(cluster)?);
    let info = FrameworkInfo::batch("many").build();
    let driver = SchedulerDriver::builder(master, info).build()?;
    let mut times = Times::default();
    driver.run(Launching::new(&mut times)).await?;
    let begun = times.begun.ok_or("there was no offer")?;
    Ok(Shown {
        launching: times.launched.ok_or("not all were launched")? - begun,
        elapsed: times.finished.ok_or("not all have finished")? - begun,
        scheduler: Usage::of(own)?.since(before.0),
        cluster: Usage::of(cluster)?.since(before.1),
    })
}

#[derive(Default)]
struct Times {
    begun: Option<Instant>,
    launched: Option<Instant>,
    finished: Option<Instant>,
}

/// Launches as many tasks as fit on each offer until all are launched.
struct Launching<'a> {
    times: &'a mut Times,
    launched: usize,
    finished: usize,
}

impl<'a> Launching<'a> {
    fn new(times: &'a mut Times) -> Self {
        Self {
            times,
            launched: 0,
            finished: 0,
        }
    }
}

#[async_trait]
impl Scheduler for Launching<'_> {
    async fn offers(&mut self, handle: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        self.times.begun.get_or_insert_with(Instant::now);
        for offer in offers {
            let batch = self.launched..TASKS.min(self.launched + BATCH);
            if batch.is_empty() {
                offer.decline(None).await?;
                continue;
            }
            self.launched = batch.end;
            let one = |n| {
                let task = task::command(format!("task-{n}"), "true");
                task.cpus(0.1).mem_mib(32.0).on(&offer)
            };
            let tasks = batch.map(one).collect();
            offer.launch(tasks).await?;
        }
        if self.launched == TASKS && self.times.launched.is_none() {
            self.times.launched = Some(Instant::now());
            handle.suppress(Vec::new()).await?;
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        match update.state() {
            v1::TaskState::TaskFinished => {
                self.finished += 1;
                if self.finished == TASKS {
                    self.times.finished = Some(Instant::now());
                    handle.teardown().await?;
                }
                Ok(())
            }
            v1::TaskState::TaskStarting | v1::TaskState::TaskRunning => Ok(()),
            other => Err(format!("{} {other:?}", update.task_id()).into()),
        }
    }
}
