//! Everything that waits: the master, the store, HTTP, and instances that are
//! asked how they are. It decides nothing.

mod cluster;
mod measure;
mod office;
mod prober;

use std::sync::Arc;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::v1;
use mesos_service::event_loop::{EventLoop, Handle};
use mesos_service::http::{EventBus, EventBusConfig};
use mesos_service::logging::LogLevels;
use mesos_service::metrics::MetricsRegistry;
use mesos_service::run::{self, Begin, Ended, Leading, Plan, RunError};
use mesos_service::store::{InvalidEntity, Schema, StoreError};

use crate::api::{About, Api};
use crate::effects::{Input, Notice};
use crate::machine::{Action, Marathon};
use crate::state::{Settings, State};

use cluster::Cluster;
pub use measure::gauges;
pub(crate) use measure::register as register_numbers;
pub use office::{Farewell, FarewellError, Office};
use prober::Prober;

/// The entities of Marathon's store.
pub const SCHEMA: Schema = Schema {
    application: "marathon",
    migrations: &[],
};

/// Where instances elect their leader, below the path in ZooKeeper.
pub const ELECTION: &str = "leader-curator";

/// How Marathon is started.
#[derive(Debug)]
pub struct Config {
    /// Where the master is.
    pub master: MasterAddress,
    /// How Marathon proves who it is.
    pub credentials: Option<Credentials>,
    /// What decisions depend on.
    pub settings: Settings,
    /// What the master is told of the framework; roles are added.
    pub framework: v1::FrameworkInfo,
    /// What clients are told of it.
    pub about: About,
    /// How much of what happened is kept for those who listen.
    pub events: EventBusConfig,
    /// Where numbers are collected.
    pub metrics: MetricsRegistry,
    /// Whether Prometheus may read them.
    pub shows_prometheus: bool,
    /// How much is logged, where that can be changed.
    pub log_levels: Option<LogLevels>,
    /// Where the state is, who listens, and who leads.
    pub plan: Plan,
    /// What chance is drawn from.
    pub seed: u64,
}

/// Why Marathon cannot begin to lead, or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something in the store cannot be read.
    #[error(transparent)]
    Entity(#[from] InvalidEntity),
    /// The store knows of tasks and not of the framework that they are of.
    #[error(
        "the store holds {instances} instances and no framework id: with another id their tasks \
         would run without anybody who knows of them"
    )]
    NoFramework {
        /// How many.
        instances: usize,
    },
    /// The master does not take the framework.
    #[error("the framework cannot go on: {0}")]
    Framework(#[from] mesos_sdk::Error),
    /// The cluster in this process does not start.
    #[error("cannot start a cluster: {0}")]
    Local(#[from] mesos_local::Error),
}

/// Lives the life of one Marathon: it answers for whoever leads, leads when it
/// is elected, and ends when it does not lead any more, or is told to. Dropping
/// it ends it as a crash would: nothing is lost.
///
/// # Errors
///
/// When the store, ZooKeeper or the master do not let it go on; those that the
/// framework itself met are an [`Error`].
pub async fn run(config: Config) -> Result<Ended, RunError> {
    let Config {
        master,
        credentials,
        settings,
        framework,
        about,
        events,
        metrics,
        shows_prometheus,
        log_levels,
        plan,
        seed,
    } = config;
    let (event_loop, handle) = EventLoop::new();
    let events = EventBus::new(&uuid::Uuid::new_v4().to_string(), events);
    let office = Office::new(plan.stop.clone());
    let api = Api::new(
        handle.clone(),
        events.clone(),
        crate::api::Context {
            about,
            office: office.clone(),
            metrics,
            shows_prometheus,
            log_levels,
        },
    );
    let joins = Joins {
        master,
        credentials,
        framework,
    };
    let begin = async |begin: Begin| {
        let entities = office.take(begin).await?;
        let mut state = State::new(settings, seed);
        let stored = entities.iter();
        state.restore(stored.map(|(key, value)| (key.as_str(), value.as_ref())))?;
        joins.lead(state, handle, events).await
    };
    let ended = run::run(plan, event_loop, Arc::new(api.router()), begin).await?;
    Ok(match ended {
        Ended::Stopped if office.has_abdicated() => Ended::LeadershipLost,
        ended => ended,
    })
}

/// What a leader needs to join the cluster.
struct Joins {
    master: MasterAddress,
    credentials: Option<Credentials>,
    framework: v1::FrameworkInfo,
}

impl Joins {
    async fn lead(
        self,
        state: State,
        handle: Handle<Marathon>,
        events: EventBus,
    ) -> Result<
        Leading<Marathon, impl FnMut(Action) + Send, impl Future<Output = Result<(), Error>>>,
        Error,
    > {
        let launched = state.instances.values().filter(|it| it.is_launched());
        let instances = launched.count();
        if state.framework_id.is_none() && instances > 0 {
            return Err(Error::NoFramework { instances });
        }
        let (master, local) = mesos_local::connect(&self.master, local_config()).await?;
        let cluster = Cluster::connect(self.framework, self.credentials, master, &state)?;
        let (driver, follower, caller) = cluster.split(handle.clone());
        let logic = handle.clone();
        let prober = Prober::new(handle);
        Ok(Leading {
            machine: Marathon::new(state),
            performer: move |action: Action| {
                measure::count(&action);
                match action {
                    Action::Call(call) => caller.call(call),
                    Action::Probe(probe) => prober.probe(probe),
                    Action::Log(Notice::Info(text)) => tracing::info!("{text}"),
                    Action::Log(Notice::Warning(text)) => tracing::warn!("{text}"),
                    Action::Tell(event) => events.publish(event.kind, &event.data.to_string()),
                }
            },
            beside: async move {
                // The cluster lives as long as the framework in it.
                let _local = local;
                let ended = driver.run(follower).await;
                if let Err(mesos_sdk::Error::Removed { .. }) = &ended {
                    // The next start registers anew. Where it is not saved any
                    // more, the next start is told again.
                    let _ = logic.tell_and_save(Input::Removed).await;
                }
                ended.map_err(Error::from)
            },
        })
    }
}

/// Three agents, so that constraints mean something.
fn local_config() -> mesos_local::ClusterConfig {
    let mut config = mesos_local::ClusterConfig::default();
    config.agents = vec![mesos_local::AgentSpec::default(); 3];
    config
}
