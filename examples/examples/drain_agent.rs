//! Lesson 8: an operator drains an agent before its machine is worked on: its
//! task is killed, and the agent gets no other until it is reactivated.
//!
//!     cargo run --example drain_agent -- [MASTER]

use std::time::Duration;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::detect::Detector;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operator::{ClusterWatch, MasterClient};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::{async_trait, task, v1};

/// A framework whose task would run for long.
struct Sleeper(Option<task::Task>);

#[async_trait]
impl Scheduler for Sleeper {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            if let Some(task) = self.0.take_if(|task| task.fits(&offer)) {
                let tasks = vec![task.on(&offer)];
                offer.launch(tasks).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        let reason = update.reason().map_or("", |reason| reason.as_str_name());
        println!("framework: {} {reason}", update.state().as_str_name());
        if update.is_terminal() {
            handle.teardown().await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    mesos_examples::show_warnings();
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "local".to_owned());
    let address: MasterAddress = address.parse()?;
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;

    let task = task::command("sleeper", "sleep 1000")
        .cpus(0.1)
        .mem_mib(32.0);
    let info = FrameworkInfo::batch("sleeper").build();
    let driver = SchedulerDriver::builder(address.clone(), info).build()?;
    let framework = tokio::spawn(driver.run(Sleeper(Some(task))));

    // The master's events say when the task runs, and where.
    let watch = ClusterWatch::builder(address.clone()).start()?;
    let runs = |task: &v1::Task| task.state() == v1::TaskState::TaskRunning;
    watch
        .wait_until(|cluster| cluster.tasks().any(runs))
        .await?;
    let cluster = watch.cluster();
    let task = cluster
        .tasks()
        .find(|task| runs(task))
        .ok_or("it has ended")?;
    let agent_id = task.agent_id.clone();

    let transport = Transport::new(TransportConfig::default());
    let master = MasterClient::find(&mut Detector::new(&address)?, transport, None).await?;
    let grace = Some(Duration::from_secs(5));
    master.drain_agent(agent_id.clone(), grace, false).await?;
    println!("operator: draining");
    framework.await??;
    loop {
        let agents = master.agents().await?.agents;
        let mut agents = agents.iter();
        let agent = agents.find(|agent| agent.agent_info.id.as_ref() == Some(&agent_id));
        let info = agent.and_then(|agent| agent.drain_info.as_ref());
        if info.is_some_and(|info| info.state() == v1::DrainState::Drained) {
            break println!("operator: drained");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    master.reactivate_agent(agent_id).await?;
    println!("operator: reactivated");
    Ok(())
}
