//! Everything that waits: the master, the store, HTTP, mail. It decides nothing.

mod cluster;
mod observe;
mod sandbox;

use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_service::event_loop::EventLoop;
use mesos_service::flags::Listeners;
use mesos_service::logging::LogLevels;
use mesos_service::metrics::MetricsRegistry;
use mesos_service::proxy::LeaderProxyConfig;
use mesos_service::run::{Begin, Ended, Leading, Place, Plan, RunError, Stop, run};
use mesos_service::store::{InvalidEntity, Schema};

use crate::api::Api;
use crate::machine::{Action, Chronos};
use crate::notify::Notifier;
use crate::state::{Settings, State};

use cluster::Cluster;
pub(crate) use sandbox::Sandboxes;

/// The entities of Chronos's store.
const SCHEMA: Schema = Schema {
    application: "chronos",
    migrations: &[],
};

/// How Chronos is started.
#[derive(Debug)]
pub struct Config {
    /// Where the master is.
    pub master: MasterAddress,
    /// How Chronos proves who it is.
    pub credentials: Option<Credentials>,
    /// What decisions depend on.
    pub settings: Settings,
    /// Where it keeps what it knows.
    pub place: Place,
    /// The framework's name.
    pub framework_name: String,
    /// Whether tasks survive a restart of their agent.
    pub checkpoint: bool,
    /// How long the master keeps tasks while there is no Chronos.
    pub failover_timeout: Duration,
    /// Where people find it.
    pub webui_url: Option<String>,
    /// Where clients are listened to.
    pub listeners: Listeners,
    /// How requests reach the leader.
    pub proxy: LeaderProxyConfig,
    /// Who is told what became of jobs.
    pub notifier: Notifier,
    /// What stands before what owners are told.
    pub cluster_name: Option<String>,
    /// Numbers about what goes on.
    pub metrics: MetricsRegistry,
    /// How much is logged, where that can be changed.
    pub log_levels: Option<LogLevels>,
    /// Ends it from outside.
    pub stop: Stop,
}

/// Why Chronos cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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

/// Lives the life of an instance: stands for election, leads once elected, and
/// answers for the leader before.
///
/// # Errors
///
/// When the store, ZooKeeper, the master or the cluster cannot be used.
pub async fn live(config: Config) -> Result<Ended, RunError> {
    let Config {
        master,
        credentials,
        settings,
        place,
        framework_name,
        checkpoint,
        failover_timeout,
        webui_url,
        listeners,
        proxy,
        notifier,
        cluster_name,
        metrics,
        log_levels,
        stop,
    } = config;
    let (event_loop, handle) = EventLoop::<Chronos>::new();
    let sandboxes = Sandboxes::new(credentials.clone());
    let api = Api::new(
        handle.clone(),
        settings.clone(),
        proxy.name.clone(),
        metrics,
        log_levels,
        sandboxes,
    );
    let plan = Plan {
        place,
        schema: SCHEMA,
        election: "candidate".to_owned(),
        listeners,
        proxy,
        stop,
    };
    let begin = async |begin: Begin| {
        let mut state = State::new(settings);
        let stored = begin.entities.iter();
        state.restore(stored.map(|(key, value)| (key.as_str(), value.as_ref())))?;
        let (master, local) = mesos_local::connect(&master, local_config()).await?;
        let about = cluster::About {
            framework_name,
            checkpoint,
            failover_timeout,
            webui_url,
            credentials,
        };
        let cluster = Cluster::connect(about, master, &state)?;
        let (driver, follower, caller) = cluster.split(handle);
        let performer = move |action: Action| match action {
            Action::Call(call) => caller.call(call),
            Action::Notify(notice) => observe::notify(&notifier, cluster_name.as_deref(), *notice),
            Action::Count(fact) => observe::count(&fact),
        };
        Ok::<_, Error>(Leading {
            machine: Chronos::new(state),
            performer,
            beside: async move {
                // The cluster lives as long as its master is needed.
                let _local = local;
                driver.run(follower).await.map_err(Error::from)
            },
        })
    };
    run(plan, event_loop, Arc::new(api.router()), begin).await
}

/// Three agents, so that constraints mean something.
fn local_config() -> mesos_local::ClusterConfig {
    let mut config = mesos_local::ClusterConfig::default();
    config.agents = vec![mesos_local::AgentSpec::default(); 3];
    config
}
