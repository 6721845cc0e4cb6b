//! Who leads, where several processes hold masters of one cluster: each writes
//! an ephemeral, sequential znode `json.info_<sequence>` with its `MasterInfo`
//! as Mesos does, and the lowest sequence leads (`src/master/contender`,
//! `src/master/detector`). Whoever wins takes the registry over before it
//! reigns; whoever loses its session forgets all and contends again.

use std::sync::Arc;
use std::time::Duration;

use mesos_proto::json;
use mesos_sdk::address::{HostAddress, ZooKeeperAddress};
use mesos_sdk::detect::leading_child;
use mesos_sdk::v1;
use tokio::sync::{mpsc, oneshot, watch};
use zookeeper_client as zk;

use super::master_shell::MasterHandle;
use super::registry_store::RegistryStore;

/// How long connecting to the ensemble may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after a failure the next try is made.
const RETRY: Duration = Duration::from_millis(200);
/// How long leaving the group in good order may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// A `MasterInfo` is not larger than this.
const LARGEST_INFO: usize = 1 << 20;

/// Where the leading master is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderPlace {
    /// The id of its reign.
    id: String,
    /// Host name and port, as redirects have them.
    pub(crate) host_port: String,
    /// Where agents connect.
    pub(super) address: HostAddress,
}

/// Who leads, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody, or it is not known.
    Nobody,
    /// This process.
    Leads(LeaderPlace),
    /// Another one.
    Follows(LeaderPlace),
}

impl LeaderPlace {
    /// The place of a master that has no rivals.
    pub(super) fn alone(address: HostAddress) -> Self {
        Self {
            id: String::new(),
            host_port: address.authority(),
            address,
        }
    }
}

impl Standing {
    /// Where the leader is, whoever it is.
    pub(super) fn leader(&self) -> Option<&LeaderPlace> {
        match self {
            Self::Nobody => None,
            Self::Leads(place) | Self::Follows(place) => Some(place),
        }
    }
}

/// What an election needs to know.
#[derive(Debug, Clone)]
pub(super) struct ElectionPlan {
    pub(super) group: ZooKeeperAddress,
    pub(super) session_timeout: Duration,
    /// Whether this process may lead.
    pub(super) is_candidate: bool,
    /// Whether masters of this cluster speak TLS.
    pub(super) is_https: bool,
}

/// Talks to the running election. It ends with the last clone.
#[derive(Debug, Clone)]
pub(super) struct ElectionHandle {
    orders: mpsc::Sender<oneshot::Sender<()>>,
    task: Arc<AbortOnDrop>,
}

/// A task that ends with whoever holds this.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ElectionHandle {
    /// Takes part in the election on the current runtime.
    pub(super) fn start(
        plan: ElectionPlan,
        master: MasterHandle,
        tell: watch::Sender<Standing>,
    ) -> Self {
        let (orders, resignations) = mpsc::channel(1);
        let election = Election {
            plan,
            master,
            tell,
            resignations,
        };
        let task = tokio::spawn(election.run());
        Self {
            orders,
            task: Arc::new(AbortOnDrop(task.abort_handle())),
        }
    }

    /// Leaves the group, so that another one leads at once, and contends again.
    pub(super) async fn resign(&self) {
        let (done, resigned) = oneshot::channel();
        let resigning = async {
            if self.orders.send(done).await.is_ok() {
                // An error says that there was no session to leave.
                let _ = resigned.await;
            }
        };
        if tokio::time::timeout(LEAVE_TIMEOUT, resigning)
            .await
            .is_err()
        {
            tracing::debug!("the group was not left in time; the session will run out");
        }
    }

    /// Leaves the group for good.
    pub(super) async fn stop(&self) {
        self.resign().await;
        self.task.0.abort();
    }
}

struct Election {
    plan: ElectionPlan,
    master: MasterHandle,
    tell: watch::Sender<Standing>,
    resignations: mpsc::Receiver<oneshot::Sender<()>>,
}

/// Why a session is not used any more.
#[derive(Debug)]
enum Over {
    Broken(String),
    /// Answered once another may lead.
    Resigned(oneshot::Sender<()>),
}

impl From<zk::Error> for Over {
    fn from(error: zk::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Election {
    async fn run(mut self) {
        loop {
            let Err(over) = self.session().await;
            self.tell.send_replace(Standing::Nobody);
            self.master.abdicate().await;
            match over {
                Over::Resigned(done) => {
                    // Whoever asked may have gone meanwhile.
                    let _ = done.send(());
                }
                Over::Broken(reason) => {
                    tracing::info!(group = %self.plan.group, reason, "left the election");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// One session with ZooKeeper, until it is over. Dropping the client closes
    /// it, and the znode goes with it.
    async fn session(&mut self) -> Result<std::convert::Infallible, Over> {
        let client = self.connect().await?;
        let acls = acls(&self.plan.group);
        let path = self.plan.group.path.clone();
        client
            .mkdir(&path, &zk::CreateMode::Persistent.with_acls(acls.as_acls()))
            .await?;
        let own = self.write_own(&client, &acls).await?;
        let mut reigns = false;
        let mut abdications = self.master.abdications();
        let mut states = client.state_watcher();
        loop {
            let (children, watcher) = client.list_and_watch_children(&path).await?;
            if let Some((own, _)) = &own
                && !children.contains(own)
            {
                return Err(Over::Broken("our znode is gone".to_owned()));
            }
            let leader = leading_child(&children);
            match (leader, &own) {
                (Some(leader), Some((name, place))) if leader == name => {
                    if !reigns {
                        let open = RegistryStore::open(&client, &path, acls.as_acls());
                        let (store, registry) = open.await.map_err(Over::Broken)?;
                        self.master.reign(store, registry).await;
                        reigns = true;
                    }
                    self.say(Standing::Leads(place.clone()));
                }
                (Some(leader), _) => {
                    let data = match client.get_data(&format!("{path}/{leader}")).await {
                        Ok((data, _)) => data,
                        // It went between the two looks.
                        Err(zk::Error::NoNode) => continue,
                        Err(error) => return Err(error.into()),
                    };
                    let place = place(&data, self.plan.is_https).map_err(Over::Broken)?;
                    self.say(Standing::Follows(place));
                }
                (None, _) => self.say(Standing::Nobody),
            }
            tokio::select! {
                _ = watcher.changed() => {}
                () = lost(&mut states, self.plan.session_timeout) => {
                    return Err(Over::Broken("the session is over".to_owned()));
                }
                _ = abdications.changed() => {
                    return Err(Over::Broken("the registry could not be kept".to_owned()));
                }
                Some(done) = self.resignations.recv() => {
                    if let Some((name, _)) = &own {
                        client.delete(&format!("{path}/{name}"), None).await?;
                    }
                    return Err(Over::Resigned(done));
                }
            }
        }
    }

    async fn connect(&self) -> Result<zk::Client, Over> {
        let group = &self.plan.group;
        let servers: Vec<String> = group
            .servers
            .iter()
            .map(|(host, port)| HostAddress::http(host, *port).authority())
            .collect();
        let mut connector = zk::Client::connector().with_session_timeout(self.plan.session_timeout);
        if let Some((user, password)) = &group.credentials {
            connector = connector.with_auth("digest", format!("{user}:{password}").as_bytes());
        }
        let servers = servers.join(",");
        tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(&servers))
            .await
            .map_err(|_| Over::Broken(format!("no connection within {CONNECT_TIMEOUT:?}")))?
            .map_err(Over::from)
    }

    /// Writes the znode of a candidate; gives its name and what it says.
    async fn write_own(
        &self,
        client: &zk::Client,
        acls: &GroupAcls,
    ) -> Result<Option<(String, LeaderPlace)>, Over> {
        if !self.plan.is_candidate {
            return Ok(None);
        }
        let info = json::to_vec(&self.master.next_reign().await.map_err(Over::Broken)?);
        let place = place(&info, self.plan.is_https).map_err(Over::Broken)?;
        let prefix = format!("{}/json.info_", self.plan.group.path);
        let options = zk::CreateMode::EphemeralSequential.with_acls(acls.as_acls());
        let (_, sequence) = client.create(&prefix, &info, &options).await?;
        Ok(Some((format!("json.info_{sequence}"), place)))
    }

    fn say(&self, standing: Standing) {
        self.tell.send_if_modified(|old| {
            let is_news = *old != standing;
            if is_news {
                tracing::info!(?standing, "the election has changed");
                *old = standing;
            }
            is_news
        });
    }
}

/// Returns when the session is over, or was out of touch for so long that
/// another may lead.
async fn lost(states: &mut zk::StateWatcher, session_timeout: Duration) {
    loop {
        match states.peek_state() {
            state if state.is_terminated() => return,
            zk::SessionState::Disconnected => {
                match tokio::time::timeout(session_timeout, states.changed()).await {
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
            _ => {
                states.changed().await;
            }
        }
    }
}

/// Who may read and write the group: everybody, or with credentials everybody
/// reads and its maker writes.
struct GroupAcls(Vec<zk::Acl>);

impl GroupAcls {
    fn as_acls(&self) -> zk::Acls<'_> {
        zk::Acls::new(&self.0)
    }
}

fn acls(group: &ZooKeeperAddress) -> GroupAcls {
    let all = |id| zk::Acl::new(zk::Permission::ALL, id);
    GroupAcls(match group.credentials {
        None => vec![all(zk::AuthId::anyone())],
        Some(_) => vec![
            zk::Acl::new(zk::Permission::READ, zk::AuthId::anyone()),
            all(zk::AuthId::authed()),
        ],
    })
}

fn place(data: &[u8], is_https: bool) -> Result<LeaderPlace, String> {
    if data.len() > LARGEST_INFO {
        return Err("the leader's znode is too large".to_owned());
    }
    let info: v1::MasterInfo = json::from_slice(data)
        .map_err(|error| format!("the leader's znode cannot be read: {error}"))?;
    let address = info.address.clone().unwrap_or_default();
    let port = u16::try_from(address.port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or("the leader's znode has no port")?;
    let hostname = info.hostname.or(address.hostname);
    let host = address.ip.or_else(|| hostname.clone());
    let (Some(host), Some(hostname)) = (host, hostname) else {
        return Err("the leader's znode has no address".to_owned());
    };
    Ok(LeaderPlace {
        id: info.id,
        host_port: HostAddress::http(hostname, port).authority(),
        address: HostAddress {
            is_https,
            host,
            port,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_name_the_host_and_agents_take_the_address() {
        let data = br#"{"address":{"hostname":"m1","ip":"10.0.0.1","port":5050},"hostname":"m1","id":"x","ip":16777226,"pid":"master@10.0.0.1:5050","port":5050,"version":"1.12.0"}"#;
        let found = place(data, true).unwrap();
        assert_eq!(found.host_port, "m1:5050");
        assert_eq!(found.address.to_string(), "https://10.0.0.1:5050");
        assert!(place(b"{}", false).is_err());
    }
}
