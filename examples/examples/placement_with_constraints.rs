//! Lesson 11: constraints. Three instances are to run on three racks of a kind;
//! one finds no place, and each agent that was refused is told with the reason.
//!
//!     cargo run --example placement_with_constraints -- [MASTER]

use mesos_local::{AgentSpec, Cluster};
use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::{self, Offer};
use mesos_sdk::placement::{Constraint, Demand, Place, Placer, Port, Running};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{async_trait, task};

struct Web {
    demand: Demand,
    running: Vec<Running>,
    ended: usize,
}

#[async_trait]
impl Scheduler for Web {
    async fn offers(&mut self, handle: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let started = self.running.len();
        let demand = self.demand.clone().count(3 - u32::try_from(started)?);
        let placer = Placer::spread().seed(started as u64);
        let placement = placer.place(&offers, &[demand], &self.running);
        for launch in placement.launches() {
            println!("web: {} port {}", launch.hostname, launch.ports[0]);
            let place = Place::of(offers[launch.offers[0]].info());
            self.running.push(Running::new("web", place));
        }
        for refusal in placement.refusals(0) {
            println!("refused {refusal}");
        }
        println!(
            "{} left over: {}",
            placement.missing(0),
            placement.summary(0)
        );
        for (offers, launches) in placement.divide(offers).accepts {
            let infos = launches.iter().map(|launch| {
                let id = format!("web-{}", started + launch.instance as usize);
                launch.task(&task::command(id, "true"))
            });
            let launch = offer::launch_operation(infos.collect());
            handle.accept(offers, vec![launch], None).await?;
        }
        Ok(()) // Offers that were refused are declined now.
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        println!("{} {}", update.task_id(), update.state().as_str_name());
        self.ended += usize::from(update.is_terminal());
        if self.ended == self.running.len() {
            handle.teardown().await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    mesos_examples::show_warnings();
    let mut args = std::env::args().skip(1);
    let address: MasterAddress = args.next().unwrap_or_else(|| "local".to_owned()).parse()?;
    let mut cluster = Cluster::builder();
    for (hostname, cpus, attributes) in [
        ("large", 4.0, "rack:r1"),
        ("same-rack", 2.0, "rack:r1"),
        ("other-rack", 2.0, "rack:r2"),
        ("small", 0.5, "rack:r3"),
        ("far", 2.0, "rack:x1"),
        ("plain", 2.0, ""),
    ] {
        let mut agent = AgentSpec::new(format!("cpus:{cpus};mem:512")).attributes(attributes);
        agent.hostname = Some(hostname.to_owned());
        cluster = cluster.agent(agent);
    }
    let (address, _cluster) = mesos_local::connect(&address, cluster.config()).await?;
    let demand = Demand::new("web").cpus(1.0).mem_mib(32.0).port(Port::Any);
    let web = Web {
        demand: demand
            .constraint(Constraint::unique("rack"))
            .constraint(Constraint::parse(&["rack", "LIKE", "r[0-9]+"])?),
        running: Vec::new(),
        ended: 0,
    };
    let info = FrameworkInfo::batch("web").build();
    let driver = SchedulerDriver::builder(address, info).build()?;
    driver.run(web).await?;
    Ok(())
}
