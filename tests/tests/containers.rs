//! Commands that the SDK runs in the container of a task that runs: input,
//! output, a terminal that changes its size, and how they ended.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

use std::time::Duration;

use async_trait::async_trait;
use mesos_local::Cluster;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operator::{AgentClient, Output, Session};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::{task, v1};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Nothing in these tests takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<F: IntoFuture>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Launches one task and tells where it runs.
struct Visited {
    is_launched: bool,
    agent: Option<AgentClient>,
    runs: mpsc::UnboundedSender<(AgentClient, v1::ContainerId)>,
}

#[async_trait]
impl Scheduler for Visited {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            if !std::mem::replace(&mut self.is_launched, true) {
                let transport = Transport::new(TransportConfig::default());
                self.agent = AgentClient::of_url(offer.url().unwrap(), transport, None);
                let task = task::command("visited", "exec sleep 1000");
                let task = task.cpus(0.1).mem_mib(32.0).on(&offer);
                offer.launch(vec![task]).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.state() == v1::TaskState::TaskRunning {
            let container = update.status().container_status.clone().unwrap();
            let agent = self.agent.clone().unwrap();
            self.runs.send((agent, container.container_id.unwrap()))?;
        }
        Ok(())
    }
}

struct Place {
    agent: AgentClient,
    task: v1::ContainerId,
    run: JoinHandle<()>,
    _cluster: Cluster,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl Place {
    async fn new() -> Self {
        let cluster = Cluster::builder().start().await.unwrap();
        let (runs, mut running) = mpsc::unbounded_channel();
        let info = FrameworkInfo::batch("visited").build();
        let driver = SchedulerDriver::builder(cluster.address().parse().unwrap(), info);
        let driver = driver.build().unwrap();
        let scheduler = Visited {
            is_launched: false,
            agent: None,
            runs,
        };
        let run = tokio::spawn(async move { drop(driver.run(scheduler).await) });
        let (agent, task) = soon("a running task", running.recv()).await.unwrap();
        Self {
            agent,
            task,
            run,
            _cluster: cluster,
        }
    }
}

/// Reads standard output until it holds `text`.
async fn until(session: &mut Session, text: &str) {
    let mut all = String::new();
    while !all.contains(text) {
        let output = soon(text, session.output.next()).await;
        match output.unwrap().unwrap() {
            Output::Stdout(bytes) => all.push_str(&String::from_utf8_lossy(&bytes)),
            Output::Stderr(bytes) => panic!("{bytes:?}"),
        }
    }
}

#[tokio::test]
async fn a_command_has_input_outputs_and_an_exit_code() {
    let place = Place::new().await;
    let command = "read a; echo out $a $B; echo err >&2; cat; exit 3";
    let exec = place.agent.exec(&place.task, command).env("B", "b");
    let mut session = exec.start().await.unwrap();
    let input = session.input().await.unwrap();
    assert!(input.write("line\n").await);
    assert!(input.write("the rest").await);
    soon("the end of the input", input.finish()).await.unwrap();
    let (stdout, stderr) = soon("the output", session.output.collect(1 << 20))
        .await
        .unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), "out line b\nthe rest");
    assert_eq!(String::from_utf8(stderr).unwrap(), "err\n");
    let exit = soon("the exit", session.wait()).await.unwrap();
    assert_eq!(exit.code(), Some(3));
}

#[tokio::test]
async fn a_terminal_has_the_size_that_it_is_given() {
    let place = Place::new().await;
    let command = "stty size; read a; stty size; exit 5";
    let exec = place.agent.exec(&place.task, command).tty(24, 80);
    let mut session = exec.start().await.unwrap();
    until(&mut session, "24 80").await;
    let input = session.input().await.unwrap();
    assert!(input.resize(50, 132).await);
    assert!(input.write("go\n").await);
    until(&mut session, "50 132").await;
    let exit = soon("the exit", session.wait()).await.unwrap();
    assert_eq!(exit.code(), Some(5));
}

#[tokio::test]
async fn a_container_is_attached_to_from_elsewhere_and_killed() {
    let place = Place::new().await;
    let exec = place.agent.exec(
        &place.task,
        "while read a; do echo got $a; done; exec sleep 1000",
    );
    let first = exec.start().await.unwrap();
    let mut second = place
        .agent
        .attach(first.container_id().clone())
        .await
        .unwrap();
    let input = second.input().await.unwrap();
    assert!(input.write("this\n").await);
    until(&mut second, "got this").await;
    soon("the end of the input", input.finish()).await.unwrap();
    second.kill(Some(15)).await.unwrap();
    let exit = soon("the exit", first.wait()).await.unwrap();
    assert_eq!(exit.code(), None);
    assert_eq!(exit.status.unwrap().to_string(), "signal: 15 (SIGTERM)");
}
