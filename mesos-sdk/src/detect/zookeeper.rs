//! The leading master as ZooKeeper has it: of the children `json.info_<sequence>`
//! of a path, the one with the lowest sequence is the leader's, and its data is
//! a `MasterInfo` in JSON (`docs/high-availability.md`).

use std::time::Duration;

use mesos_proto::v1;
use tokio::sync::watch;
use zookeeper_client as zk;

use super::DetectError;
use crate::address::{HostAddress, ZooKeeperAddress};

/// What Mesos itself uses.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting to the ensemble may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A `MasterInfo` is not larger than this.
const LARGEST_INFO: usize = 1 << 20;
/// The znodes of masters that write JSON; others are of an older kind.
const PREFIX: &str = "json.info_";

/// How long a look that failed is not repeated.
const RETRY: Duration = Duration::from_secs(1);

/// What is known of the leader: nothing yet, nobody, somebody, or why not.
type Known = Option<Result<Option<HostAddress>, String>>;

/// Follows the leader in a task of its own, which ends with it.
#[derive(Debug)]
pub(super) struct ZooKeeper {
    address: ZooKeeperAddress,
    known: Option<(watch::Receiver<Known>, AbortOnDrop)>,
    given: Option<HostAddress>,
}

#[derive(Debug)]
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ZooKeeper {
    pub(super) fn new(address: ZooKeeperAddress) -> Self {
        Self {
            address,
            known: None,
            given: None,
        }
    }

    fn known(&mut self) -> &mut watch::Receiver<Known> {
        let address = &self.address;
        let (known, _) = self.known.get_or_insert_with(|| {
            let (tell, known) = watch::channel(None);
            let follower = Follower {
                address: address.clone(),
                client: None,
            };
            let task = tokio::spawn(follower.run(tell));
            (known, AbortOnDrop(task.abort_handle()))
        });
        known
    }

    pub(super) async fn leader(&mut self) -> Result<HostAddress, DetectError> {
        self.given = None;
        let address = self.address.to_string();
        let failed = |reason: String| DetectError::ZooKeeper {
            address: address.clone(),
            reason,
        };
        let leader = {
            let known = self.known();
            // An old failure is not told again before another try is made.
            if matches!(&*known.borrow(), Some(Err(_))) && !known.has_changed().unwrap_or(true) {
                known.changed().await.map_err(|e| failed(e.to_string()))?;
            }
            let is_news = |known: &Known| !matches!(known, None | Some(Ok(None)));
            let news = known.wait_for(is_news).await;
            match &*news.map_err(|error| failed(error.to_string()))? {
                Some(Ok(Some(leader))) => Ok(leader.clone()),
                Some(Err(reason)) => Err(failed(reason.clone())),
                None | Some(Ok(None)) => Err(failed("no master leads".to_owned())),
            }
        }?;
        self.given = Some(leader.clone());
        Ok(leader)
    }

    pub(super) async fn changed(&mut self) {
        let Some(given) = self.given.clone() else {
            return std::future::pending().await;
        };
        // A subscription that works is worth more than a ZooKeeper that does
        // not answer: only another leader is news.
        let is_other = |known: &Known| matches!(known, Some(Ok(Some(leader))) if *leader != given);
        if self.known().wait_for(is_other).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.given = None;
    }
}

struct Follower {
    address: ZooKeeperAddress,
    client: Option<zk::Client>,
}

/// What a look at the group gives: the leader, and what tells of a change.
type Seen = (Option<HostAddress>, zk::OneshotWatcher);

impl Follower {
    async fn run(mut self, tell: watch::Sender<Known>) {
        loop {
            match self.look().await {
                Ok((leader, watcher)) => {
                    tell.send_replace(Some(Ok(leader)));
                    watcher.changed().await;
                }
                Err(reason) => {
                    tracing::debug!(address = %self.address, reason, "cannot look for the leader");
                    // A session that is over is replaced by the next look.
                    self.client = None;
                    tell.send_replace(Some(Err(reason)));
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn client(&mut self) -> Result<zk::Client, String> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let servers: Vec<String> = self
            .address
            .servers
            .iter()
            .map(|(host, port)| HostAddress::http(host, *port).authority())
            .collect();
        let mut connector = zk::Client::connector().with_session_timeout(SESSION_TIMEOUT);
        if let Some((user, password)) = &self.address.credentials {
            connector = connector.with_auth("digest", format!("{user}:{password}").as_bytes());
        }
        let servers = servers.join(",");
        let connecting = connector.connect(&servers);
        let client = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| format!("no connection within {CONNECT_TIMEOUT:?}"))?
            .map_err(|error| error.to_string())?;
        self.client = Some(client.clone());
        Ok(client)
    }

    async fn look(&mut self) -> Result<Seen, String> {
        let client = self.client().await?;
        let path = self.address.path.clone();
        loop {
            let (children, watcher) = match client.list_and_watch_children(&path).await {
                Ok(found) => found,
                // The path itself appears with the first master.
                Err(zk::Error::NoNode) => {
                    let (stat, watcher) = client
                        .check_and_watch_stat(&path)
                        .await
                        .map_err(|error| error.to_string())?;
                    if stat.is_some() {
                        continue;
                    }
                    return Ok((None, watcher));
                }
                Err(error) => return Err(error.to_string()),
            };
            let Some(lowest) = leading_child(&children) else {
                return Ok((None, watcher));
            };
            match client.get_data(&format!("{path}/{lowest}")).await {
                Ok((data, _)) => return Ok((Some(parse(&data)?), watcher)),
                // It went between the two looks.
                Err(zk::Error::NoNode) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// The child of a group's path that leads: masters write themselves as
/// ephemeral znodes `json.info_<sequence>`, and the lowest sequence leads.
/// Children of other names are passed over.
#[must_use]
pub fn leading_child(children: &[String]) -> Option<&String> {
    children
        .iter()
        .filter_map(|child| {
            let sequence: u64 = child.strip_prefix(PREFIX)?.parse().ok()?;
            Some((sequence, child))
        })
        .min()
        .map(|(_, child)| child)
}

fn parse(data: &[u8]) -> Result<HostAddress, String> {
    if data.len() > LARGEST_INFO {
        return Err("the leader's znode is too large".to_owned());
    }
    let info: v1::MasterInfo = mesos_proto::json::from_slice(data)
        .map_err(|error| format!("the leader's znode cannot be read: {error}"))?;
    let (host, port) = match info.address {
        Some(address) => {
            let host = address.ip.or(address.hostname);
            (host, u16::try_from(address.port).ok())
        }
        None => (info.hostname.clone(), u16::try_from(info.port).ok()),
    };
    match (host, port) {
        (Some(host), Some(port)) => Ok(HostAddress::http(host, port)),
        _ => Err("the leader's znode has no address".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_sequence_leads() {
        let children =
            |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).to_owned()).collect() };
        let all = children(&[
            "log_replicas",
            "info_0000000001",
            "json.info_0000000011",
            "json.info_0000000009",
        ]);
        assert_eq!(
            leading_child(&all).map(String::as_str),
            Some("json.info_0000000009")
        );
        assert_eq!(leading_child(&children(&["log_replicas"])), None);
    }

    #[test]
    fn the_leader_is_where_its_address_says() {
        let data = br#"{"address":{"hostname":"m1","ip":"10.0.0.1","port":5050},"hostname":"m1","id":"x","ip":16777226,"pid":"master@10.0.0.1:5050","port":5050,"version":"1.12.0"}"#;
        assert_eq!(parse(data).unwrap().authority(), "10.0.0.1:5050");
        assert!(parse(b"{}").is_err());
    }
}
