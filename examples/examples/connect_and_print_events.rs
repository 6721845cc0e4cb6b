//! Lesson 1: subscribe with a master and print what it says.
//!
//! This is the client without the driver: one subscription, nothing retried.
//! It ends with the first offers; leaving the stream gives them back.
//!
//!     cargo run --example connect_and_print_events -- [MASTER]

use mesos_sdk::address::MasterAddress;
use mesos_sdk::client::SchedulerClient;
use mesos_sdk::detect::Detector;
use mesos_sdk::error::BoxError;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::v1::scheduler::call::Subscribe;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "local".to_owned());
    let address: MasterAddress = address.parse()?;
    // `local` starts a cluster that lives as long as it is kept.
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let master = Detector::new(&address)?.leader().await?;

    let client = SchedulerClient::new(Transport::new(TransportConfig::default()));
    let subscribe = Subscribe {
        framework_info: FrameworkInfo::batch("events").build(),
        ..Default::default()
    };
    let mut subscription = client.subscribe(&master, subscribe).await?;
    let id = &subscription.subscribed.framework_id.value;
    println!("SUBSCRIBED as {id}");

    while let Some(event) = subscription.events.next().await {
        let event = event?;
        println!("{}", event.r#type().as_str_name());
        if let Some(offers) = event.offers {
            for offer in offers.offers {
                println!("  {} of {}", offer.id.value, offer.hostname);
            }
            break;
        }
    }
    subscription.calls.teardown().await?;
    Ok(())
}
