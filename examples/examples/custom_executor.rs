//! Lesson 5: an executor of the framework's own. Many tasks run in one process,
//! and are no processes themselves: each squares a number.
//!
//! This program is both: started by an agent it is the executor, otherwise the
//! scheduler, which names itself as the executor's command.
//!
//!     cargo run --example custom_executor -- [MASTER]

use mesos_sdk::executor::{Executor, ExecutorDriver, ExecutorEnvironment, Handle, Status};
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{self, BoxError, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{address::MasterAddress, async_trait, framework_info::FrameworkInfo, task, v1};

struct Squares;

#[async_trait]
impl Executor for Squares {
    async fn launch(&mut self, handle: &Handle, task: v1::TaskInfo) -> Result<(), BoxError> {
        handle.running(&task.task_id);
        match std::str::from_utf8(task.data())?.parse::<u64>() {
            Ok(n) => {
                let square = (n * n).to_string();
                handle.update(Status::finished(&task.task_id).data(square));
            }
            Err(error) => handle.failed(&task.task_id, error.to_string()),
        }
        Ok(()) // The driver keeps the updates until the agent has them.
    }
}

struct Sums {
    to_launch: Vec<u64>,
    open: usize,
    sum: u64,
}

#[async_trait]
impl Scheduler for Sums {
    async fn offers(&mut self, _: &scheduler::Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let program = std::env::current_exe()?;
        let executor = task::custom_executor("squares", format!("exec '{}'", program.display()));
        for offer in offers {
            let task = |n: &u64| {
                task::with_executor(format!("square-{n}"), executor.clone())
                    .data(n.to_string())
                    .cpus(0.01)
                    .mem_mib(1.0)
                    .on(&offer)
            };
            let tasks: Vec<_> = self.to_launch.drain(..).map(|n| task(&n)).collect();
            if !tasks.is_empty() {
                offer.launch(tasks).await?;
            }
        }
        Ok(())
    }

    async fn update(
        &mut self,
        handle: &scheduler::Handle,
        update: &StatusUpdate,
    ) -> Result<(), BoxError> {
        if update.is_terminal() {
            let text = std::str::from_utf8(update.status().data())?;
            println!("{} {text} {}", update.task_id(), update.message());
            self.sum += text.parse::<u64>()?;
            self.open -= 1;
        }
        if self.open == 0 {
            println!("sum {}", self.sum);
            handle.teardown().await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::var_os("MESOS_EXECUTOR_ID").is_some() {
        // First of all, so that the executor's token is nobody else's.
        let environment = ExecutorEnvironment::take()?;
        return Ok(ExecutorDriver::new(environment).run(Squares).await?);
    }
    mesos_examples::show_warnings();
    let address = std::env::args().nth(1);
    let address: MasterAddress = address.unwrap_or_else(|| "local".to_owned()).parse()?;
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let info = FrameworkInfo::batch("squares").build();
    let driver = SchedulerDriver::builder(address, info).build()?;
    let (to_launch, open, sum) = ((1..=10).collect(), 10, 0);
    let scheduler = Sums {
        to_launch,
        open,
        sum,
    };
    Ok(driver.run(scheduler).await?)
}
