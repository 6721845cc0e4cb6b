//! Lesson 6: a task group. Two tasks are launched together on one agent, under
//! the executor that Mesos brings, and see the same network; when one of them
//! fails or is killed, so is the other.
//!
//!     cargo run --example task_group -- [MASTER]

use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{async_trait, ids, task, v1};

struct Pod {
    group: Option<task::Group>,
    running: usize,
    ended: usize,
}

#[async_trait]
impl Scheduler for Pod {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            if let Some(group) = self.group.take_if(|group| group.fits(&offer)) {
                let operation = group.on(&offer);
                offer.accept([operation], None).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        println!("{} {}", update.task_id(), update.state().as_str_name());
        if update.state() == v1::TaskState::TaskRunning {
            self.running += 1;
            if self.running == 2 {
                // Ending one ends both.
                handle.kill(ids::task_id("side"), None, None).await?;
            }
        }
        if update.is_terminal() {
            self.ended += 1;
            if self.ended == 2 {
                handle.teardown().await?;
            }
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

    let sleeper = |id| task::command(id, "sleep 1000").cpus(0.1).mem_mib(32.0);
    let tasks = vec![sleeper("main"), sleeper("side")];
    let pod = Pod {
        group: Some(task::group(task::default_executor("pod"), tasks)),
        running: 0,
        ended: 0,
    };
    let info = FrameworkInfo::batch("task-group").build();
    SchedulerDriver::builder(address, info)
        .build()?
        .run(pod)
        .await?;
    Ok(())
}
