//! Lesson 12: test a framework against a cluster that lives in the test.
//!
//! The cluster starts in milliseconds, runs real processes, and breaks when it
//! is told to: here its master fails over while the task runs.

use async_trait::async_trait;
use mesos_local::Cluster;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{task, v1};
use tokio::sync::mpsc;

/// Keeps one task, and tells the test what it hears.
struct Keeper {
    is_launched: bool,
    states: mpsc::UnboundedSender<v1::TaskState>,
}

#[async_trait]
impl Scheduler for Keeper {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let task = task::command("kept-1", "sleep 1000")
            .cpus(0.1)
            .mem_mib(32.0);
        for offer in offers {
            if !self.is_launched && task.fits(&offer) {
                self.is_launched = true;
                let tasks = vec![task.on(&offer)];
                offer.launch(tasks).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        Ok(self.states.send(update.state())?)
    }
}

#[tokio::test]
async fn a_task_outlives_a_failover_of_the_master() -> Result<(), BoxError> {
    let cluster = Cluster::builder()
        .resources("cpus:1;mem:64")
        .start()
        .await?;
    let master: MasterAddress = cluster.address().parse()?;
    let info = FrameworkInfo::service("keeper").build();
    let driver = SchedulerDriver::builder(master, info).build()?;
    let handle = driver.handle();
    let (states, mut heard) = mpsc::unbounded_channel();
    let keeper = Keeper {
        is_launched: false,
        states,
    };
    let run = tokio::spawn(driver.run(keeper));
    let mut until = async |wanted| {
        while heard.recv().await.expect("the framework runs") != wanted {}
    };

    until(v1::TaskState::TaskRunning).await;
    cluster.fail_over_master().await;
    // The driver subscribes with the new master and reconciles the task.
    until(v1::TaskState::TaskRunning).await;
    handle
        .kill(mesos_sdk::ids::task_id("kept-1"), None, None)
        .await?;
    until(v1::TaskState::TaskKilled).await;

    handle.stop();
    run.await??;
    cluster.stop().await;
    Ok(())
}
