//! An executor made with the SDK, in processes of its own, through what can
//! happen to it, its agent and its scheduler: nothing that it said is lost, and
//! nothing is handled twice.
//!
//! This test is its own executor: an agent starts it with the name of one test.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesos_local::Cluster;
use mesos_sdk::executor::{self, Executor, ExecutorDriver, ExecutorEnvironment};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Disconnect, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::v1::TaskState::{self, TaskFailed, TaskFinished, TaskRunning};
use mesos_sdk::v1::task_status::Reason;
use mesos_sdk::{ids, task, v1};
use mesos_tests::wiretap::Wiretap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Nothing in these tests takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what the scheduler's messages say.
#[derive(Default)]
struct Obedient {
    tasks: Vec<v1::TaskId>,
    finishes_when_alone: bool,
}

#[async_trait]
impl Executor for Obedient {
    async fn launch(
        &mut self,
        handle: &executor::Handle,
        task: v1::TaskInfo,
    ) -> Result<(), BoxError> {
        handle.running(&task.task_id);
        self.tasks.push(task.task_id);
        Ok(())
    }

    async fn disconnected(
        &mut self,
        handle: &executor::Handle,
        _: &Disconnect,
    ) -> Result<(), BoxError> {
        if self.finishes_when_alone {
            self.finish(handle);
        }
        Ok(())
    }

    async fn message(&mut self, handle: &executor::Handle, data: Bytes) -> Result<(), BoxError> {
        match &data[..] {
            b"pid" => handle.message(std::process::id().to_string()).await?,
            b"finish" => self.finish(handle),
            b"finish when the agent is away" => {
                self.finishes_when_alone = true;
                handle.message("understood").await?;
            }
            other => return Err(format!("{other:?}").into()),
        }
        Ok(())
    }
}

impl Obedient {
    fn finish(&mut self, handle: &executor::Handle) {
        for task_id in self.tasks.drain(..) {
            handle.finished(&task_id);
        }
    }
}

#[test]
fn this_is_the_executor() {
    if std::env::var_os("MESOS_EXECUTOR_ID").is_none() {
        return;
    }
    let environment = ExecutorEnvironment::take().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = ExecutorDriver::new(environment).run(Obedient::default());
    runtime.block_on(run).unwrap();
}

#[derive(Debug, PartialEq)]
enum Seen {
    Update(String, TaskState, Option<Reason>),
    Message(String),
    ExecutorLost(Option<i32>),
}

struct Framework {
    to_launch: Vec<&'static str>,
    /// The state that is too much for it.
    dies_of: Option<TaskState>,
    seen: mpsc::UnboundedSender<Seen>,
}

#[async_trait]
impl Scheduler for Framework {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let this = std::env::current_exe()?;
        let command = format!("exec '{}' this_is_the_executor --nocapture", this.display());
        let executor = task::custom_executor("obedient", command);
        for offer in offers {
            let tasks: Vec<_> = self
                .to_launch
                .drain(..)
                .map(|id| {
                    task::with_executor(id, executor.clone())
                        .cpus(0.1)
                        .mem_mib(8.0)
                })
                .map(|task| task.on(&offer))
                .collect();
            if !tasks.is_empty() {
                offer.launch(tasks).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        // Answers to reconciliation come besides.
        if update.reason() != Some(Reason::Reconciliation) {
            let task = update.task_id().to_owned();
            self.seen
                .send(Seen::Update(task, update.state(), update.reason()))?;
        }
        if self.dies_of == Some(update.state()) {
            return Err("killed".into());
        }
        Ok(())
    }

    async fn message(
        &mut self,
        _: &Handle,
        _: v1::AgentId,
        _: v1::ExecutorId,
        data: Bytes,
    ) -> Result<(), BoxError> {
        let text = String::from_utf8(data.to_vec())?;
        Ok(self.seen.send(Seen::Message(text))?)
    }

    async fn executor_lost(
        &mut self,
        _: &Handle,
        _: v1::AgentId,
        _: v1::ExecutorId,
        status: Option<i32>,
    ) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::ExecutorLost(status))?)
    }
}

struct Running {
    handle: Handle,
    seen: mpsc::UnboundedReceiver<Seen>,
    run: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl Running {
    fn start(
        wiretap: &Wiretap,
        framework_id: Option<v1::FrameworkId>,
        to_launch: Vec<&'static str>,
        dies_of: Option<TaskState>,
    ) -> Self {
        let (seen_by, seen) = mpsc::unbounded_channel();
        let info = FrameworkInfo::service("executors").build();
        let driver = SchedulerDriver::builder(wiretap.address().parse().unwrap(), info)
            .framework_id(framework_id)
            .build()
            .unwrap();
        let handle = driver.handle();
        let framework = Framework {
            to_launch,
            dies_of,
            seen: seen_by,
        };
        let run = tokio::spawn(async move { drop(driver.run(framework).await) });
        Self { handle, seen, run }
    }

    async fn sees(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv())
            .await
            .expect("something happens")
            .unwrap()
    }

    async fn sees_state(&mut self, task: &str, state: TaskState) {
        let seen = self.sees().await;
        assert!(
            matches!(&seen, Seen::Update(id, now, _) if id == task && *now == state),
            "{task} {state:?}: {seen:?}"
        );
    }

    async fn tell(&self, cluster: &Cluster, message: &'static str) {
        let agent_id = agent_id(cluster).await;
        let executor_id = ids::executor_id("obedient");
        let data = Bytes::from_static(message.as_bytes());
        self.handle
            .message(agent_id, executor_id, data)
            .await
            .unwrap();
    }
}

async fn agent_id(cluster: &Cluster) -> v1::AgentId {
    let address: mesos_sdk::address::HostAddress = cluster.address().parse().unwrap();
    let transport = mesos_sdk::transport::Transport::new(Default::default());
    let master = mesos_sdk::operator::MasterClient::new(address, transport, None);
    let agents = master.agents().await.unwrap().agents;
    agents[0].agent_info.id.clone().unwrap()
}

async fn cluster() -> Cluster {
    Cluster::builder().agents(1).start().await.unwrap()
}

#[tokio::test]
async fn an_executor_outlives_its_agent_and_tells_it_everything() {
    let cluster = cluster().await;
    let wiretap = Wiretap::of(cluster.master_address()).await;
    let mut framework = Running::start(&wiretap, None, vec!["one"], None);
    framework.sees_state("one", TaskRunning).await;
    wiretap.wait_for(1).await;
    framework
        .tell(&cluster, "finish when the agent is away")
        .await;
    assert_eq!(framework.sees().await, Seen::Message("understood".into()));
    cluster.crash_agent(0).await;
    cluster.start_agent(0).await;
    framework.sees_state("one", TaskFinished).await;
    wiretap.wait_for(2).await;
    wiretap.assert_once();
    assert!(framework.seen.try_recv().is_err());
}

#[tokio::test]
async fn the_tasks_of_an_executor_that_is_killed_have_failed() {
    let cluster = cluster().await;
    let wiretap = Wiretap::of(cluster.master_address()).await;
    let mut framework = Running::start(&wiretap, None, vec!["one", "two"], None);
    for _ in 0..2 {
        assert!(matches!(
            framework.sees().await,
            Seen::Update(_, TaskRunning, _)
        ));
    }
    framework.tell(&cluster, "pid").await;
    let Seen::Message(pid) = framework.sees().await else {
        panic!("the executor answers");
    };
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    let mut tasks = Vec::new();
    let mut is_lost = false;
    for _ in 0..3 {
        match framework.sees().await {
            Seen::Update(task, TaskFailed, Some(Reason::ExecutorTerminated)) => tasks.push(task),
            Seen::ExecutorLost(Some(status)) => {
                assert_eq!(status, 9);
                is_lost = true;
            }
            other => panic!("{other:?}"),
        }
    }
    tasks.sort_unstable();
    assert_eq!(tasks, ["one", "two"]);
    assert!(is_lost);
    wiretap.wait_for(4).await;
    wiretap.assert_once();
}

#[tokio::test]
async fn an_update_of_which_a_scheduler_died_reaches_the_next_one() {
    let cluster = cluster().await;
    let wiretap = Wiretap::of(cluster.master_address()).await;
    let mut first = Running::start(&wiretap, None, vec!["one"], Some(TaskFinished));
    first.sees_state("one", TaskRunning).await;
    let id = first.handle.framework_id();
    first.tell(&cluster, "finish").await;
    // It dies while it handles the update, and has not acknowledged it.
    first.sees_state("one", TaskFinished).await;
    drop(first);
    let mut second = Running::start(&wiretap, id, Vec::new(), None);
    second.sees_state("one", TaskFinished).await;
    wiretap.wait_for(2).await;
    wiretap.assert_once();
}
