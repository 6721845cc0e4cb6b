//! Everything that waits: the master, the store, HTTP, and instances that are
//! asked how they are. It decides nothing.

mod cluster;
mod prober;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_service::clock::SystemClock;
use mesos_service::event_loop::EventLoop;
use mesos_service::http::{EventBus, EventBusConfig, Server, ServerConfig};
use mesos_service::store::{EmbeddedStore, Entities, MemoryStore, Schema, Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::api::{About, Api};
use crate::machine::{Action, Marathon};
use crate::state::{InvalidEntity, Settings, State};

use cluster::{Cluster, Follow};
use prober::Prober;

/// The entities of Marathon's store.
const SCHEMA: Schema = Schema {
    application: "marathon",
    migrations: &[],
};

/// How Marathon is started.
#[derive(Debug)]
pub struct Config {
    /// Where the master is.
    pub master: MasterAddress,
    /// How Marathon proves who it is.
    pub credentials: Option<Credentials>,
    /// What decisions depend on.
    pub settings: Settings,
    /// Where it keeps what it knows; nothing is in memory only.
    pub data_dir: Option<PathBuf>,
    /// Where it listens.
    pub http: SocketAddr,
    /// How it answers.
    pub server: ServerConfig,
    /// The framework's name.
    pub framework_name: String,
    /// The user that the framework runs as.
    pub user: String,
    /// How long the master keeps tasks while there is no Marathon.
    pub failover_timeout: std::time::Duration,
    /// Where others reach this host.
    pub hostname: String,
    /// What chance is drawn from.
    pub seed: u64,
}

/// Why Marathon cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something in the store cannot be read.
    #[error(transparent)]
    Entity(#[from] InvalidEntity),
    /// The master does not take the framework.
    #[error("the framework cannot go on: {0}")]
    Framework(#[from] mesos_sdk::Error),
    /// The cluster in this process does not start.
    #[error("cannot start a cluster: {0}")]
    Local(#[from] mesos_local::Error),
}

/// A Marathon that runs. Dropping it ends it as a crash would: nothing is lost.
#[derive(Debug)]
pub struct Running {
    /// Where it answers.
    pub address: SocketAddr,
    _server: Server,
    tasks: Vec<JoinHandle<Result<(), Error>>>,
    _local: Option<mesos_local::Cluster>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// Runs until it cannot go on.
    ///
    /// # Errors
    ///
    /// What kept it from going on.
    pub async fn run(mut self) -> Result<(), Error> {
        let tasks = std::mem::take(&mut self.tasks);
        let (ended, _, others) = futures::future::select_all(tasks).await;
        others.iter().for_each(JoinHandle::abort);
        match ended {
            Ok(result) => result,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

/// Starts Marathon: what the store holds is read, the master is subscribed with,
/// and requests are answered.
///
/// # Errors
///
/// When the store, the address or the cluster cannot be used.
pub async fn start(config: Config) -> Result<Running, Error> {
    let listener = TcpListener::bind(config.http)
        .await
        .map_err(|error| Error::Listen(config.http, error))?;
    let (store, entities) = open(config.data_dir.as_deref()).await?;
    let mut state = State::new(config.settings.clone(), config.seed);
    let stored = entities.iter();
    state.restore(stored.map(|(key, value)| (key.as_str(), value.as_ref())))?;

    let (master, local) = mesos_local::connect(&config.master, local_config()).await?;
    let (event_loop, handle) = EventLoop::new();
    let events = EventBus::new(&uuid::Uuid::new_v4().to_string(), EventBusConfig::default());
    let cluster = Cluster::connect(&config, master, &state)?;
    let scheduler = Follow::new(handle.clone(), cluster.offers());
    let mut tasks = Vec::new();
    let (driver, mut caller) = cluster.split();
    tasks.push(tokio::spawn(async move {
        driver.run(scheduler).await.map_err(Error::from)
    }));
    let prober = Prober::new(handle.clone());
    let told = events.clone();
    let perform = move |action: Action| match action {
        Action::Call(call) => caller.call(call),
        Action::Probe(probe) => prober.probe(probe),
        Action::Tell(event) => told.publish(event.kind, &event.data.to_string()),
    };
    let machine = Marathon::new(state);
    let clock = Arc::new(SystemClock);
    tasks.push(tokio::spawn(async move {
        let run = event_loop.run(machine, store, clock, perform);
        run.await.map_err(Error::from)
    }));

    let address = listener.local_addr().unwrap_or(config.http);
    let api = Api::new(handle, events, about(&config, address));
    let router = Arc::new(api.router());
    let server = Server::start(listener, None, config.server, router)
        .map_err(|error| Error::Listen(config.http, error))?;
    Ok(Running {
        address,
        _server: server,
        tasks,
        _local: local,
    })
}

async fn open(
    data_dir: Option<&std::path::Path>,
) -> Result<(Arc<dyn Store>, Entities), StoreError> {
    let (store, place): (Arc<dyn Store>, String) = match data_dir {
        Some(directory) => {
            let store = EmbeddedStore::open(directory, "marathon")?;
            (Arc::new(store), directory.display().to_string())
        }
        None => (Arc::new(MemoryStore::new()), "memory".to_owned()),
    };
    let entities = SCHEMA.load(&*store, &place).await?;
    Ok((store, entities))
}

/// Three agents, so that constraints mean something.
fn local_config() -> mesos_local::ClusterConfig {
    let mut config = mesos_local::ClusterConfig::default();
    config.agents = vec![mesos_local::AgentSpec::default(); 3];
    config
}

fn about(config: &Config, address: SocketAddr) -> About {
    About {
        name: config.framework_name.clone(),
        address: format!("{}:{}", config.hostname, address.port()),
        config: serde_json::json!({
            "master": config.master.to_string(),
            "framework_name": config.framework_name,
            "hostname": config.hostname,
            "mesos_role": config.settings.defaults.role,
            "mesos_user": config.user,
            "failover_timeout": config.failover_timeout.as_secs(),
            "local_port_min": config.settings.service_ports.start(),
            "local_port_max": config.settings.service_ports.end(),
            "max_instances_per_offer": null,
            "task_launch_timeout": config.settings.launch_timeout.as_millis(),
            "decline_offer_duration": config.settings.decline_duration.as_millis(),
            "launch_tokens": config.settings.launch_tokens,
        }),
        zookeeper: serde_json::json!({}),
        http: serde_json::json!({"http_port": address.port(), "https_port": null}),
    }
}
