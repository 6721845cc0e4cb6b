//! Lesson 4: a scheduler stops, another one takes its tasks over.
//!
//! The first driver launches a task and is stopped without a teardown. The
//! second one has the same framework id and is told of the task, as if from a
//! store: the driver asks the master for it until it is answered.
//!
//!     cargo run --example reconcile_after_a_failover -- [MASTER]

use async_trait::async_trait;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{ids, task, v1};

const TASK: &str = "sleeper-1";

/// Launches a task that does not end by itself.
struct First {
    is_launched: bool,
}

#[async_trait]
impl Scheduler for First {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let task = task::command(TASK, "sleep 1000").cpus(0.1).mem_mib(32.0);
        for offer in offers {
            if !self.is_launched && task.fits(&offer) {
                self.is_launched = true;
                let tasks = vec![task.on(&offer)];
                offer.launch(tasks).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.state() == v1::TaskState::TaskRunning {
            println!("first: {TASK} runs; stopping");
            handle.stop();
        }
        Ok(())
    }
}

/// Learns what became of it, and ends it.
struct Second;

#[async_trait]
impl Scheduler for Second {
    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        println!(
            "second: {} is {}",
            update.task_id(),
            update.state().as_str_name()
        );
        if update.is_terminal() {
            handle.teardown().await?;
            handle.stop();
        } else if update.state() == v1::TaskState::TaskRunning {
            handle.kill(ids::task_id(TASK), None, None).await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    mesos_examples::show_warnings();
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "local".to_owned());
    let address: MasterAddress = address.parse()?;
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let info = FrameworkInfo::service("failover").build();

    let first = SchedulerDriver::builder(address.clone(), info.clone()).build()?;
    let handle = first.handle();
    first.run(First { is_launched: false }).await?;
    let framework_id = handle.framework_id();

    let second = SchedulerDriver::builder(address, info)
        .framework_id(framework_id)
        .build()?;
    second.handle().track_tasks([(ids::task_id(TASK), None)]);
    second.run(Second).await?;
    Ok(())
}
