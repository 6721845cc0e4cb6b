//! A scheduler's process that is killed again and again, and an agent that
//! starts again in the middle of its tasks: no update is lost, and none is
//! acknowledged twice.
//!
//! This test is its own scheduler: it starts itself with the name of one test.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use mesos_local::Cluster;
use mesos_sdk::address::HostAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operator::{AgentClient, MasterClient};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::Transport;
use mesos_sdk::v1::scheduler::event;
use mesos_sdk::{ids, task, v1};
use mesos_tests::wiretap::Wiretap;
use tokio::process::{Child, Command};

/// Nothing in these tests takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const TASKS: usize = 8;
/// Each task starts, runs and finishes.
const UPDATES: usize = 3 * TASKS;

/// What outlives the scheduler: its id, that it has launched, and what it has
/// handled, each update on a line with its task, its state and its uuid.
#[derive(Debug, Clone)]
struct Books(PathBuf);

impl Books {
    fn framework_id(&self) -> Option<v1::FrameworkId> {
        let id = std::fs::read_to_string(self.0.join("framework")).ok()?;
        Some(ids::framework_id(id))
    }

    /// Opens a file; `false` when it was there.
    fn begin_launch(&self) -> bool {
        let mut new = OpenOptions::new();
        new.write(true).create_new(true);
        new.open(self.0.join("launched")).is_ok()
    }

    fn note(&self, update: &StatusUpdate) -> std::io::Result<()> {
        let mut line = format!("{} {} ", update.task_id(), update.state().as_str_name());
        for byte in update.status().uuid() {
            write!(line, "{byte:02x}").unwrap();
        }
        let mut file = OpenOptions::new();
        let mut file = file
            .append(true)
            .create(true)
            .open(self.0.join("handled"))?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    }

    /// Every update that was handled, with its uuid, once.
    fn handled(&self) -> Vec<[String; 3]> {
        let text = std::fs::read_to_string(self.0.join("handled")).unwrap_or_default();
        let mut seen = BTreeSet::new();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let parts = whole.map(|line| {
            let mut parts = line.split_whitespace().map(str::to_owned);
            [(); 3].map(|()| parts.next().unwrap())
        });
        parts.filter(|parts| seen.insert(parts.clone())).collect()
    }

    async fn wait_for(&self, count: usize) {
        soon(&format!("{count} updates"), async || {
            self.handled().len() >= count
        })
        .await;
    }
}

async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(in_time.is_ok(), "no {what} in time");
}

/// Launches tasks once, and keeps book.
struct Bookkeeper {
    books: Books,
    commands: Vec<String>,
}

#[async_trait]
impl Scheduler for Bookkeeper {
    async fn subscribed(
        &mut self,
        _: &Handle,
        framework_id: &v1::FrameworkId,
        _: &event::Subscribed,
    ) -> Result<(), BoxError> {
        // Complete or not there at all.
        let path = self.books.0.join("framework.new");
        std::fs::write(&path, &framework_id.value)?;
        Ok(std::fs::rename(path, self.books.0.join("framework"))?)
    }

    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            if !self.books.begin_launch() {
                continue;
            }
            let tasks = self.commands.iter().enumerate().map(|(index, command)| {
                let task = task::command(format!("task-{index}"), command.clone());
                task.cpus(0.1).mem_mib(8.0).on(&offer)
            });
            let tasks = tasks.collect();
            offer.launch(tasks).await?;
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.needs_acknowledgement() {
            self.books.note(update)?;
        }
        Ok(())
    }
}

async fn run(master: &str, books: Books, commands: Vec<String>) {
    let info = FrameworkInfo::service("kills").build();
    let driver = SchedulerDriver::builder(master.parse().unwrap(), info)
        .framework_id(books.framework_id())
        .build()
        .unwrap();
    let ended = driver.run(Bookkeeper { books, commands }).await;
    ended.unwrap();
}

#[test]
fn this_is_the_scheduler() {
    let Ok(directory) = std::env::var("KILLS_DIRECTORY") else {
        return;
    };
    let master = std::env::var("KILLS_MASTER").unwrap();
    let commands = (0..TASKS).map(|index| format!("sleep 0.{index}")).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(&master, Books(directory.into()), commands));
}

fn start_scheduler(wiretap: &Wiretap, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["this_is_the_scheduler", "--exact", "--nocapture"])
        .env("KILLS_DIRECTORY", directory)
        .env("KILLS_MASTER", wiretap.address())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn master(cluster: &Cluster) -> MasterClient {
    let address: HostAddress = cluster.address().parse().unwrap();
    MasterClient::new(address, Transport::new(Default::default()), None)
}

/// The master has noticed that no scheduler is there, and handled all that was
/// sent before.
async fn nobody_is_there(cluster: &Cluster) {
    let master = master(cluster);
    soon("end of the subscription", async || {
        let frameworks = master.frameworks().await.unwrap().frameworks;
        frameworks.iter().all(|framework| !framework.connected)
    })
    .await;
    master.frameworks().await.unwrap();
}

/// Each task was told of in this order, each update was acknowledged, none of
/// them twice, and the agent waits for none.
async fn assert_complete(cluster: &Cluster, wiretap: &Wiretap, books: &Books, states: &[&str]) {
    let handled = books.handled();
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for [task, state, _] in &handled {
        told.entry(task).or_default().push(state);
    }
    assert_eq!(told.len(), TASKS);
    for (task, told) in told {
        assert_eq!(told, states, "{task}");
    }
    let agent = cluster.agent_addresses()[0];
    let agent = HostAddress::http(agent.ip().to_string(), agent.port());
    let agent = AgentClient::new(agent, Transport::new(Default::default()), None);
    soon("end of all tasks", async || {
        agent.tasks().await.unwrap().completed_tasks.len() == TASKS
    })
    .await;
    wiretap.assert_once();
    let acknowledged = wiretap.acknowledged().into_iter().map(|acknowledged| {
        let hex = acknowledged
            .uuid
            .iter()
            .fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            });
        (acknowledged.task, hex)
    });
    let acknowledged: BTreeSet<_> = acknowledged.collect();
    let handled = handled.into_iter().map(|[task, _, uuid]| (task, uuid));
    assert_eq!(acknowledged, handled.collect());
}

const FINISHED: &[&str] = &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];

#[tokio::test]
async fn a_scheduler_that_is_killed_misses_no_update() {
    let cluster = Cluster::builder().resources("cpus:4;mem:1024");
    let cluster = cluster.start().await.unwrap();
    let wiretap = Wiretap::of(cluster.master_address()).await;
    let directory = tempfile::tempdir().unwrap();
    let books = Books(directory.path().to_owned());
    // Once it is known to have launched, and then at any time.
    for handled in [1, TASKS, TASKS + 5, UPDATES - 5] {
        let mut scheduler = start_scheduler(&wiretap, directory.path());
        books.wait_for(handled).await;
        scheduler.kill().await.unwrap();
        nobody_is_there(&cluster).await;
    }
    let mut last = start_scheduler(&wiretap, directory.path());
    wiretap.wait_for(UPDATES).await;
    assert_complete(&cluster, &wiretap, &books, FINISHED).await;
    last.kill().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_starts_again_knows_its_tasks() {
    let cluster = Cluster::builder().resources("cpus:4;mem:1024");
    let cluster = cluster.start().await.unwrap();
    let wiretap = Wiretap::of(cluster.master_address()).await;
    let directory = tempfile::tempdir().unwrap();
    let books = Books(directory.path().to_owned());
    let go = directory.path().join("go");
    let command = format!("while ! [ -e '{}' ]; do sleep 0.05; done", go.display());
    let (address, kept) = (wiretap.address(), books.clone());
    let scheduler = tokio::spawn(async move {
        run(&address, kept, vec![command; TASKS]).await;
    });
    wiretap.wait_for(2 * TASKS).await;
    let agent = master(&cluster).agents().await.unwrap().agents.remove(0);
    cluster.crash_agent(0).await;
    cluster.start_agent(0).await;
    let master = master(&cluster);
    soon("return of the agent", async || {
        let agents = master.agents().await.unwrap().agents;
        agents.iter().any(|again| {
            again.active
                && again.reregistered_time.is_some()
                && again.agent_info.id == agent.agent_info.id
        })
    })
    .await;
    std::fs::write(go, "").unwrap();
    wiretap.wait_for(UPDATES).await;
    assert_complete(&cluster, &wiretap, &books, FINISHED).await;
    scheduler.abort();
}
