//! The registry of a cluster of several processes, in a znode beside the
//! masters'. Mesos replicates its own between the masters' disks; masters that
//! keep nothing on disk keep it where they elect each other.

use crate::master::Registry;
use zookeeper_client as zk;

/// The znode's name, below the group's path.
const NAME: &str = "mesos-local-registry";
/// What ZooKeeper takes by default, less what surrounds the data.
const LARGEST: usize = 1000 << 10;

/// Writes the registry as long as nobody else does: the next leader's first
/// write ends it.
#[derive(Debug)]
pub(super) struct RegistryStore {
    client: zk::Client,
    path: String,
    version: i32,
    saved: Registry,
}

impl RegistryStore {
    /// Takes the registry over from whoever had it.
    pub(super) async fn open(
        client: &zk::Client,
        group: &str,
        acls: zk::Acls<'_>,
    ) -> Result<(Self, Registry), String> {
        let path = format!("{group}/{NAME}");
        let options = zk::CreateMode::Persistent.with_acls(acls);
        match client.create(&path, b"{}", &options).await {
            Ok(_) | Err(zk::Error::NodeExists) => {}
            Err(error) => return Err(error.to_string()),
        }
        let wrong = |error: zk::Error| format!("the registry cannot be taken over: {error}");
        let (data, stat) = client.get_data(&path).await.map_err(wrong)?;
        let registry: Registry = serde_json::from_slice(&data)
            .map_err(|error| format!("the registry cannot be read: {error}"))?;
        // The old leader's version is void from here on.
        let taken = client.set_data(&path, &data, Some(stat.version));
        let version = taken.await.map_err(wrong)?.version;
        let store = Self {
            client: client.clone(),
            path,
            version,
            saved: registry.clone(),
        };
        Ok((store, registry))
    }

    /// Writes the registry if it has changed.
    pub(super) async fn save(&mut self, registry: Registry) -> Result<(), String> {
        if registry == self.saved {
            return Ok(());
        }
        let data = serde_json::to_vec(&registry).map_err(|error| error.to_string())?;
        if data.len() > LARGEST {
            return Err(format!("{} bytes do not fit a znode", data.len()));
        }
        let written = self.client.set_data(&self.path, &data, Some(self.version));
        self.version = written.await.map_err(|error| error.to_string())?.version;
        self.saved = registry;
        Ok(())
    }
}
