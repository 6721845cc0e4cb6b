//! Ten thousand tasks in one process: how fast a custom executor is given them
//! and ends them, how soon a watch of the cluster knows them all, and how much
//! memory that takes. The best of three runs each.
//!
//!     cargo bench -p mesos-benches --bench executors
//!
//! The cluster, the executor and the watch that is measured are processes of
//! their own: this program, started anew with a role.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use mesos_local::Cluster;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::executor::{self, Executor, ExecutorDriver, ExecutorEnvironment};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operator::{self, ClusterWatch, MasterClient};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::{ids, operation, task, v1};
use prost::Message as _;
use tokio::sync::mpsc;

const TASKS: usize = 10_000;
/// Tasks in one operation of the ACCEPT.
const BATCH: usize = 1000;
/// Commands that are processes of their own, to compare with.
const COMMANDS: usize = 500;
const RUNS: usize = 3;
/// What a process that this program starts is to be.
const ROLE: &str = "MESOS_BENCH_ROLE";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::var_os("MESOS_EXECUTOR_ID").is_some() {
        let driver = ExecutorDriver::new(ExecutorEnvironment::take()?);
        return Ok(driver.run(Many::default()).await?);
    }
    match std::env::var(ROLE).as_deref() {
        Ok("cluster") => be_a_cluster().await,
        Ok(master) => be_a_watch(master.parse()?).await,
        Err(_) => measure().await,
    }
}

/// A process of this program, and its first line.
fn start(role: &str) -> Result<(Process, String), BoxError> {
    let child = Command::new(std::env::current_exe()?)
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut process = Process(child);
    let mut line = String::new();
    let stdout = process.0.stdout.take().ok_or("a pipe")?;
    BufReader::new(stdout).read_line(&mut line)?;
    Ok((process, line.trim().to_owned()))
}

/// Ends when this program does.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // A cluster ends with its standard input, and takes its tasks along.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

async fn be_a_cluster() -> Result<(), BoxError> {
    let cluster = Cluster::builder()
        .agents(1)
        .resources("cpus:1000;mem:100000")
        .start()
        .await?;
    println!("{}", cluster.address());
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    cluster.stop().await;
    Ok(())
}

/// Prints how many milliseconds a full cache took, and how many KiB of memory.
async fn be_a_watch(master: MasterAddress) -> Result<(), BoxError> {
    let before = resident_kib();
    let started = Instant::now();
    let watch = ClusterWatch::builder(master).start()?;
    watch
        .wait_until(|cluster| cluster.tasks().count() == TASKS)
        .await?;
    let elapsed = started.elapsed();
    println!(
        "{} {}",
        elapsed.as_secs_f64(),
        resident_kib().saturating_sub(before)
    );
    Ok(())
}

fn resident_kib() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// Runs whatever it is given until it is told to end all of it.
#[derive(Default)]
struct Many(Vec<v1::TaskId>);

#[async_trait]
impl Executor for Many {
    async fn launch(
        &mut self,
        handle: &executor::Handle,
        task: v1::TaskInfo,
    ) -> Result<(), BoxError> {
        handle.running(&task.task_id);
        self.0.push(task.task_id);
        Ok(())
    }

    async fn message(&mut self, handle: &executor::Handle, _: Bytes) -> Result<(), BoxError> {
        for task_id in self.0.drain(..) {
            handle.finished(&task_id);
        }
        Ok(())
    }
}

/// Launches all its tasks on the first offer, and tells when all of them run.
struct Launching {
    tasks: Vec<task::Task>,
    count: usize,
    running: usize,
    finished: usize,
    all_run: mpsc::UnboundedSender<v1::AgentId>,
}

#[async_trait]
impl Scheduler for Launching {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            let tasks: Vec<_> = self.tasks.drain(..).map(|task| task.on(&offer)).collect();
            if !tasks.is_empty() {
                let batches = tasks.chunks(BATCH);
                let operations: Vec<_> = batches
                    .map(|batch| operation::launch(batch.to_vec()))
                    .collect();
                offer.accept(operations, None).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        match update.state() {
            v1::TaskState::TaskRunning if update.needs_acknowledgement() => {
                self.running += 1;
                if self.running == self.count
                    && let Some(agent_id) = &update.status().agent_id
                {
                    // Whom it is of no interest to has gone.
                    let _ = self.all_run.send(agent_id.clone());
                }
            }
            v1::TaskState::TaskFinished => {
                self.finished += 1;
                if self.finished == self.count {
                    handle.teardown().await?;
                }
            }
            v1::TaskState::TaskStarting | v1::TaskState::TaskRunning => {}
            other => return Err(format!("{} {other:?}", update.task_id()).into()),
        }
        Ok(())
    }
}

struct Framework {
    handle: Handle,
    all_run: mpsc::UnboundedReceiver<v1::AgentId>,
    run: tokio::task::JoinHandle<Result<(), mesos_sdk::Error>>,
}

fn launch(master: &MasterAddress, tasks: Vec<task::Task>) -> Result<Framework, BoxError> {
    let (tell, all_run) = mpsc::unbounded_channel();
    let info = FrameworkInfo::batch("many").build();
    let driver = SchedulerDriver::builder(master.clone(), info).build()?;
    let handle = driver.handle();
    let launching = Launching {
        count: tasks.len(),
        tasks,
        running: 0,
        finished: 0,
        all_run: tell,
    };
    let run = tokio::spawn(driver.run(launching));
    Ok(Framework {
        handle,
        all_run,
        run,
    })
}

/// What one run showed.
struct Shown {
    running: Duration,
    finishing: Duration,
    /// After the last task was known to run, until a watch that saw each begin
    /// knew it too.
    lag: Duration,
    cache: Duration,
    cache_kib: u32,
    /// One GET_STATE, and how large its answer is.
    asking: Duration,
    state_bytes: usize,
}

async fn one_run(master: &MasterAddress) -> Result<Shown, BoxError> {
    let watch = ClusterWatch::builder(master.clone()).start()?;
    watch.synced().await?;
    let command = format!("exec '{}'", std::env::current_exe()?.display());
    let executor = task::custom_executor("many", command);
    let task = |n| {
        let task = task::with_executor(format!("task-{n}"), executor.clone());
        task.cpus(0.001).mem_mib(0.001)
    };
    let tasks = (0..TASKS).map(task).collect();
    let started = Instant::now();
    let mut framework = launch(master, tasks)?;
    let Some(agent_id) = framework.all_run.recv().await else {
        framework.run.await??;
        return Err("the framework ended".into());
    };
    let running = started.elapsed();
    let runs = |task: &v1::Task| task.state() == v1::TaskState::TaskRunning;
    let lagging = Instant::now();
    watch
        .wait_until(|cluster| cluster.tasks().filter(|task| runs(task)).count() == TASKS)
        .await?;
    let lag = lagging.elapsed();

    let (cache, cache_kib) = cache_of(master)?;
    let asking = Instant::now();
    let state = state(master).await?;
    let asking = asking.elapsed();

    let ending = Instant::now();
    let executor_id = ids::executor_id("many");
    framework
        .handle
        .message(agent_id, executor_id, Bytes::from_static(b"end"))
        .await?;
    framework.run.await??;
    Ok(Shown {
        running,
        finishing: ending.elapsed(),
        lag,
        cache,
        cache_kib,
        asking,
        state_bytes: state.encoded_len(),
    })
}

fn cache_of(master: &MasterAddress) -> Result<(Duration, u32), BoxError> {
    let (_process, line) = start(&master.to_string())?;
    let (seconds, kib) = line.split_once(' ').ok_or("the watch says nothing")?;
    Ok((Duration::from_secs_f64(seconds.parse()?), kib.parse()?))
}

async fn state(master: &MasterAddress) -> Result<v1::master::response::GetState, BoxError> {
    let transport = Transport::new(TransportConfig::default());
    let mut detector = mesos_sdk::detect::Detector::new(master)?;
    let client = MasterClient::find(&mut detector, transport, None).await?;
    let state: Result<_, operator::Error> = client.state().await;
    Ok(state?)
}

/// The same without an executor of the framework's own: a process for each task.
async fn commands(master: &MasterAddress) -> Result<Duration, BoxError> {
    let task = |n| {
        task::command(format!("true-{n}"), "true")
            .cpus(0.1)
            .mem_mib(1.0)
    };
    let started = Instant::now();
    let framework = launch(master, (0..COMMANDS).map(task).collect())?;
    framework.run.await??;
    Ok(started.elapsed())
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn best(of: &[Shown], time: impl Fn(&Shown) -> Duration) -> Duration {
    of.iter().map(time).min().unwrap_or_default()
}

async fn measure() -> Result<(), BoxError> {
    let (_cluster, address) = start("cluster")?;
    let master: MasterAddress = address.parse()?;
    let mut shown = Vec::new();
    let mut processes = Vec::new();
    for _ in 0..RUNS {
        shown.push(one_run(&master).await?);
        processes.push(commands(&master).await?);
    }
    let running = best(&shown, |run| run.running);
    let finishing = best(&shown, |run| run.finishing);
    let whole = best(&shown, |run| run.running + run.finishing);
    let rate = per_second(TASKS, whole);
    let processes = processes.into_iter().min().unwrap_or_default();
    let times = rate / per_second(COMMANDS, processes);
    println!(
        "{TASKS} tasks in one executor: all run after {running:.2?}, all have finished {finishing:.2?} \
         after the word: {rate:.0} tasks a second, {times:.1} times as many as commands"
    );
    let lag = best(&shown, |run| run.lag);
    println!("a watch that saw them start knows that all run {lag:.2?} after the framework");

    let cache = best(&shown, |run| run.cache);
    let times = cache.as_secs_f64() / best(&shown, |run| run.asking).as_secs_f64();
    let kib = shown.iter().map(|run| run.cache_kib).min().unwrap_or(0);
    let mib = f64::from(kib) / 1024.0;
    let bytes = shown.iter().map(|run| run.state_bytes).max().unwrap_or(1);
    let sizes = f64::from(kib) * 1024.0 / bytes as f64;
    println!(
        "a full cache of {TASKS} tasks: {cache:.2?}, {times:.1} times GET_STATE; {mib:.1} MiB, \
         {sizes:.1} times the size of the answer"
    );
    Ok(())
}
