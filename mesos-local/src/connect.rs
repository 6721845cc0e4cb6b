//! Resolves the address `local`: a program that takes a master's address gets a
//! cluster of its own for that one.

use mesos_sdk::address::{HostAddress, MasterAddress};

use crate::{Cluster, ClusterConfig, Error};

/// Gives the address to use for `address`: for `local` a cluster is started,
/// which lives as long as it is kept; any other address is its own.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let address = std::env::args().nth(1).unwrap_or("local".to_owned()).parse()?;
/// let (master, cluster) = mesos_local::connect(&address, Default::default()).await?;
/// // Run a framework on `master`, then:
/// drop(cluster);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`Cluster::start`].
pub async fn connect(
    address: &MasterAddress,
    config: ClusterConfig,
) -> Result<(MasterAddress, Option<Cluster>), Error> {
    if *address != MasterAddress::Local {
        return Ok((address.clone(), None));
    }
    let cluster = Cluster::start(config).await?;
    let master = cluster.master_address();
    let host = HostAddress::http(master.ip().to_string(), master.port());
    Ok((MasterAddress::Hosts(vec![host]), Some(cluster)))
}
