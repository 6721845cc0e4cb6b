//! Lesson 9: what outlives a task. Disk is reserved and made a persistent volume
//! in the same breath as the first task is launched; a second task finds what
//! the first one wrote. Then all is given back.
//!
//!     cargo run --example reserve_and_create_volume -- [MASTER]

use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operation::{self, Operation, OperationUpdate};
use mesos_sdk::resources::{Resources, dynamic_reservation, persistent_volume};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{async_trait, task, v1};

const ROLE: &str = "storage";

#[derive(Default)]
struct Storing {
    step: usize,
    volume: v1::Resource,
}

impl Storing {
    fn launch(&self, id: &str, command: &str, offer: &Offer) -> Operation {
        let mut task = task::command(id, command).cpus(0.1).mem_mib(32.0).on(offer);
        task.resources.push(self.volume.clone());
        operation::launch(vec![task])
    }

    fn reserve_and_write(&mut self, offer: &Offer) -> Option<Vec<Operation>> {
        let disk = "disk:64".parse().ok()?;
        let disk = offer.resources().find(&disk, ROLE)?;
        let reserved = disk.push_reservation(&dynamic_reservation(ROLE, None));
        self.volume = persistent_volume(reserved.to_vec().pop()?, "notes", None, "notes");
        Some(vec![
            operation::reserve(reserved.into_vec()).id("reserve"),
            operation::create(vec![self.volume.clone()]).id("create"),
            self.launch("write", "echo hello > notes/it", offer),
        ])
    }

    fn give_back(&self) -> Vec<Operation> {
        let volume = self.volume.clone();
        let destroy = operation::destroy(vec![volume.clone()]).id("destroy");
        let disk = v1::Resource {
            disk: None,
            ..volume
        };
        vec![destroy, operation::unreserve(vec![disk]).id("unreserve")]
    }
}

#[async_trait]
impl Scheduler for Storing {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            // While a task uses the volume, nobody is offered it.
            let volume = Resources::from(std::slice::from_ref(&self.volume));
            let operations = match self.step {
                0 => self.reserve_and_write(&offer),
                _ if !offer.resources().contains(&volume) => None,
                1 => Some(vec![self.launch("read", "grep hello notes/it", &offer)]),
                2 => Some(self.give_back()),
                _ => None,
            };
            if let Some(operations) = operations {
                self.step += 1;
                offer.accept(operations, None).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        println!("{} {}", update.task_id(), update.state().as_str_name());
        Ok(())
    }

    async fn operation_update(
        &mut self,
        handle: &Handle,
        update: &OperationUpdate,
    ) -> Result<(), BoxError> {
        println!("{} {}", update.operation_id(), update.state().as_str_name());
        if update.operation_id() == "unreserve" {
            handle.teardown().await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1);
    let address: MasterAddress = address.unwrap_or_else(|| "local".to_owned()).parse()?;
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let info = FrameworkInfo::batch("storing").role(ROLE).build();
    let driver = SchedulerDriver::builder(address, info).build()?;
    Ok(driver.run(Storing::default()).await?)
}
