//! Lesson 2: run one command, with a loop of our own over the client, and exit
//! with its outcome.
//!
//! Compare with `run_one_task_with_a_scheduler`, where the driver does most of
//! this, and survives what this does not.
//!
//!     cargo run --example run_one_task -- [MASTER] [COMMAND]

use std::process::ExitCode;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::client::SchedulerClient;
use mesos_sdk::detect::Detector;
use mesos_sdk::error::BoxError;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::launch_operation;
use mesos_sdk::resources::Resources;
use mesos_sdk::status::is_terminal;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::call::Subscribe;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, BoxError> {
    let mut args = std::env::args().skip(1);
    let address: MasterAddress = args.next().unwrap_or_else(|| "local".to_owned()).parse()?;
    let command = args.next().unwrap_or_else(|| "echo hello".to_owned());
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let master = Detector::new(&address)?.leader().await?;

    let client = SchedulerClient::new(Transport::new(TransportConfig::default()));
    let subscribe = Subscribe {
        framework_info: FrameworkInfo::batch("one-task").build(),
        ..Default::default()
    };
    let mut subscription = client.subscribe(&master, subscribe).await?;
    let calls = subscription.calls.clone();
    let mut is_launched = false;

    while let Some(event) = subscription.events.next().await {
        let event = event?;
        for offer in event.offers.unwrap_or_default().offers {
            let wanted: Resources = "cpus:0.1;mem:32".parse()?;
            let offered = Resources::from(offer.resources.as_slice());
            let Some(resources) = offered.find(&wanted, "*").filter(|_| !is_launched) else {
                calls.decline(vec![offer.id], None).await?;
                continue;
            };
            is_launched = true;
            let task = v1::TaskInfo {
                name: "one".to_owned(),
                task_id: mesos_sdk::ids::task_id("one-1"),
                agent_id: offer.agent_id,
                resources: resources.into_vec(),
                command: Some(v1::CommandInfo {
                    value: Some(command.clone()),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let launch = launch_operation(vec![task]);
            calls.accept(vec![offer.id], vec![launch], None).await?;
        }
        let Some(update) = event.update else { continue };
        let status = update.status;
        println!("{} {}", status.state().as_str_name(), status.message());
        if let (Some(agent_id), Some(uuid)) = (status.agent_id.clone(), status.uuid.clone()) {
            calls
                .acknowledge(agent_id, status.task_id.clone(), uuid)
                .await?;
        }
        if is_terminal(status.state()) {
            calls.teardown().await?;
            let is_fine = status.state() == v1::TaskState::TaskFinished;
            return Ok(if is_fine {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    }
    Err("the master closed the stream".into())
}
