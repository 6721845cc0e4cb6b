//! Finds the leading master: in a list of hosts, or in ZooKeeper.

mod zookeeper;

use crate::address::{HostAddress, MasterAddress};
use crate::error::Error;
use zookeeper::ZooKeeper;
pub use zookeeper::leading_child;

/// Knows where the leading master is, or whom to ask.
#[derive(Debug)]
pub struct Detector(Kind);

#[derive(Debug)]
enum Kind {
    /// Each is tried in turn; those that do not lead redirect to the one that
    /// does.
    Hosts {
        hosts: Vec<HostAddress>,
        next: usize,
    },
    ZooKeeper(Box<ZooKeeper>),
}

/// Why no leader is known.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// ZooKeeper cannot be used.
    #[error("cannot find the leading master in {address}: {reason}")]
    ZooKeeper {
        /// The address, without secrets.
        address: String,
        /// What went wrong.
        reason: String,
    },
}

impl Detector {
    /// A detector for an address. Nothing is contacted yet.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for `local`: a cluster in this process is started by
    /// `mesos_local::connect`, which gives the address to use.
    pub fn new(address: &MasterAddress) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Address {
            reason: reason.to_owned(),
        };
        Ok(Self(match address {
            MasterAddress::Local => {
                return Err(wrong(
                    "`local` is a cluster in this process: start it with mesos_local::connect and use the address it gives",
                ));
            }
            MasterAddress::Hosts(hosts) if hosts.is_empty() => {
                return Err(wrong("the list of masters is empty"));
            }
            MasterAddress::Hosts(hosts) => Kind::Hosts {
                hosts: hosts.clone(),
                next: 0,
            },
            MasterAddress::ZooKeeper(address) => {
                Kind::ZooKeeper(Box::new(ZooKeeper::new(address.clone())))
            }
        }))
    }

    /// The master to try next. With ZooKeeper this waits until there is a
    /// leader.
    ///
    /// # Errors
    ///
    /// [`DetectError`] when ZooKeeper cannot be used; the next call tries again.
    pub async fn leader(&mut self) -> Result<HostAddress, DetectError> {
        match &mut self.0 {
            Kind::Hosts { hosts, next } => {
                let host = hosts[*next % hosts.len()].clone();
                *next = (*next + 1) % hosts.len();
                Ok(host)
            }
            Kind::ZooKeeper(zookeeper) => zookeeper.leader().await,
        }
    }

    /// Waits until the leader is another than the one last given. A list never
    /// says so: there, the stream ends.
    pub async fn changed(&mut self) {
        match &mut self.0 {
            Kind::Hosts { .. } => std::future::pending().await,
            Kind::ZooKeeper(zookeeper) => zookeeper.changed().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_are_tried_in_turn() {
        let address = "a:1,b:2".parse().unwrap();
        let mut detector = Detector::new(&address).unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(detector.leader().await.unwrap().authority());
        }
        assert_eq!(seen, ["a:1", "b:2", "a:1"]);
    }

    #[test]
    fn local_says_what_to_do() {
        let error = Detector::new(&MasterAddress::Local).unwrap_err();
        assert!(error.to_string().contains("mesos_local::connect"));
    }
}
