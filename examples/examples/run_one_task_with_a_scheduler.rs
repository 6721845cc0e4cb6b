//! Lesson 3: the same with the `Scheduler` trait. The driver follows the
//! master, acknowledges, reconciles; what is left is the framework's own.
//!
//!     cargo run --example run_one_task_with_a_scheduler -- [MASTER] [COMMAND]

use std::process::ExitCode;

use async_trait::async_trait;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{task, v1};

struct OneTask {
    task: Option<task::Task>,
    outcome: Option<v1::TaskState>,
}

#[async_trait]
impl Scheduler for OneTask {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            if let Some(task) = self.task.take_if(|task| task.fits(&offer)) {
                let tasks = vec![task.on(&offer)];
                offer.launch(tasks).await?;
            } // What is not used is declined when it is dropped.
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        println!("{} {}", update.state().as_str_name(), update.message());
        if update.is_terminal() {
            self.outcome = Some(update.state());
            handle.teardown().await?;
            handle.stop();
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, BoxError> {
    mesos_examples::show_warnings();
    let mut args = std::env::args().skip(1);
    let address: MasterAddress = args.next().unwrap_or_else(|| "local".to_owned()).parse()?;
    let command = args.next().unwrap_or_else(|| "echo hello".to_owned());
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;

    let task = task::command("one-1", command).cpus(0.1).mem_mib(32.0);
    let mut scheduler = OneTask {
        task: Some(task),
        outcome: None,
    };
    let info = FrameworkInfo::batch("one-task").build();
    SchedulerDriver::builder(address, info)
        .build()?
        .run(&mut scheduler)
        .await?;
    let is_fine = scheduler.outcome == Some(v1::TaskState::TaskFinished);
    Ok(if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
