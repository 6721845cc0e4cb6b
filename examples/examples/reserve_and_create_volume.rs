//! Lesson 9: what outlives a task. Disk is reserved and made a persistent volume
//! in the same breath as the first task is launched; a second task finds what
//! the first one wrote. Then all is given back.
//!
//!     cargo run --example reserve_and_create_volume -- [MASTER]

use mesos_sdk::offer::Offer;
use mesos_sdk::operation::{self, Operation, OperationUpdate};
use mesos_sdk::resources::{Resources, dynamic_reservation, persistent_volume};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{address::MasterAddress, async_trait, framework_info::FrameworkInfo, task, v1};

const ROLE: &str = "storage";

#[derive(Default)]
struct Storing {
    step: usize,
    done: usize,
    reserved: Vec<v1::Resource>,
    volume: Vec<v1::Resource>,
}

impl Storing {
    fn launch(&self, id: &str, command: &str, offer: &Offer) -> Operation {
        let mut task = task::command(id, command).cpus(0.1).mem_mib(32.0).on(offer);
        task.resources.extend(self.volume.clone());
        operation::launch(vec![task])
    }

    fn reserve_and_write(&mut self, offer: &Offer) -> Option<Vec<Operation>> {
        let disk = offer.resources().find(&"disk:64".parse().ok()?, ROLE)?;
        let reserved = disk.push_reservation(&dynamic_reservation(ROLE, None));
        self.reserved = reserved.into_vec();
        let volume =
            |disk: &_| persistent_volume(v1::Resource::clone(disk), "notes", None, "notes");
        self.volume = self.reserved.iter().map(volume).collect();
        Some(vec![
            operation::reserve(self.reserved.clone()).id("reserve"),
            operation::create(self.volume.clone()).id("create"),
            self.launch("write", "echo hello > notes/it", offer),
        ])
    }

    fn give_back(&self) -> Vec<Operation> {
        let destroy = operation::destroy(self.volume.clone()).id("destroy");
        let unreserve = operation::unreserve(self.reserved.clone()).id("unreserve");
        vec![destroy, unreserve]
    }

    /// What a task held may be offered again before its last update arrives: the
    /// end is when both tasks and the last operation are done.
    async fn count(&mut self, is_done: bool, handle: &Handle) -> Result<(), BoxError> {
        self.done += usize::from(is_done);
        if is_done && self.done == 3 {
            handle.teardown().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Scheduler for Storing {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            // While a task uses the volume, nobody is offered it.
            let has_volume = offer
                .resources()
                .contains(&Resources::from(&self.volume[..]));
            let operations = match self.step {
                0 => self.reserve_and_write(&offer),
                1 if has_volume => Some(vec![self.launch("read", "grep hello notes/it", &offer)]),
                2 if has_volume => Some(self.give_back()),
                _ => None,
            };
            if let Some(operations) = operations {
                self.step += 1;
                offer.accept(operations, None).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        println!("{} {}", update.task_id(), update.state().as_str_name());
        self.count(update.is_terminal(), handle).await
    }

    async fn operation_update(
        &mut self,
        handle: &Handle,
        update: &OperationUpdate,
    ) -> Result<(), BoxError> {
        println!("{} {}", update.operation_id(), update.state().as_str_name());
        self.count(update.operation_id() == "unreserve", handle)
            .await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    mesos_examples::show_warnings();
    let address = std::env::args().nth(1);
    let address: MasterAddress = address.unwrap_or_else(|| "local".to_owned()).parse()?;
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let info = FrameworkInfo::batch("storing").role(ROLE).build();
    let driver = SchedulerDriver::builder(address, info).build()?;
    Ok(driver.run(Storing::default()).await?)
}
