//! The life of one instance, from the election to its end: it stands, answers
//! for whoever leads, leads when it is elected, and is over when it does not
//! lead any more. What comes after that is another process's affair.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, SystemClock};
use crate::election::Election;
use crate::event_loop::{EventLoop, Machine, Performer};
use crate::flags::Listeners;
use crate::http::{Handler, Server};
use crate::proxy::{LeaderProxy, LeaderProxyConfig, Readiness};
use crate::store::{
    EmbeddedStore, Entities, MemoryStore, Schema, Store, StoreError, ZooKeeperStore,
    ZooKeeperStoreOptions,
};
use crate::zookeeper::{ConnectError, Session, ZooKeeperConfig};

/// How long requests under way may take when the instance ends.
const GRACE: Duration = Duration::from_secs(2);

/// Where the state is, and with it who may lead.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Place {
    /// A directory of this machine, for one instance.
    Directory(PathBuf),
    /// Nowhere: it ends with the process. For trying things out.
    Memory,
    /// ZooKeeper, for any number of them.
    ZooKeeper(ZooKeeperConfig),
}

/// What an instance needs to know.
#[derive(Debug)]
pub struct Plan {
    /// Where the state is.
    pub place: Place,
    /// What the state is.
    pub schema: Schema,
    /// Where instances elect their leader, below ZooKeeper's path, such as
    /// `leader-curator`.
    pub election: String,
    /// Where clients are listened to.
    pub listeners: Listeners,
    /// How requests reach the leader.
    pub proxy: LeaderProxyConfig,
    /// Ends it from outside.
    pub stop: Stop,
}

/// Ends an instance. Clones end the same.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// What ends nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the instance in good order; another leads at once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Ends it when the process is told to by SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// When signals cannot be listened to.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.stop();
        });
        Ok(())
    }

    async fn stopped(&self) {
        // The sender is here, so there is no error.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// How the life of an instance ended in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// As was asked.
    Stopped,
    /// It is out of the election, having led or not.
    LeadershipLost,
}

/// Why an instance could not live.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// ZooKeeper cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The state cannot be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody can be answered.
    #[error("cannot answer requests: {0}")]
    Serve(#[source] std::io::Error),
    /// The framework could not begin with what is stored, or what runs beside
    /// its machine failed.
    #[error(transparent)]
    Framework(Box<dyn std::error::Error + Send + Sync>),
}

/// What a leader begins with.
#[derive(Debug)]
pub struct Begin {
    /// All that is stored, in the present version.
    pub entities: Entities,
    /// Where it is stored; for reading and backups.
    pub store: Arc<dyn Store>,
}

/// What leads.
#[derive(Debug)]
pub struct Leading<M, P, B> {
    /// The framework's logic, with all that was stored.
    pub machine: M,
    /// What does its will.
    pub performer: P,
    /// What runs beside it, such as the driver. The instance ends with it.
    pub beside: B,
}

/// Lives the life of an instance. `handler` answers requests where this instance
/// leads; `begin` is called once it does.
///
/// # Errors
///
/// When the store or ZooKeeper does not work, or `begin` or what runs beside the
/// machine fails. Being succeeded is no error.
pub async fn run<M, P, B, E>(
    plan: Plan,
    event_loop: EventLoop<M>,
    handler: Arc<dyn Handler>,
    begin: impl AsyncFnOnce(Begin) -> Result<Leading<M, P, B>, E>,
) -> Result<Ended, RunError>
where
    M: Machine,
    P: Performer<M>,
    B: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let office = Office::stand(&plan).await?;
    let readiness = Readiness::new();
    let standing = office.election.standing();
    let proxy = LeaderProxy::new(plan.proxy, standing, &readiness, handler);
    let servers = plan.listeners.serve(Arc::new(proxy));
    let servers = servers.map_err(RunError::Serve)?;
    let leading = async {
        if !office.election.elected().await {
            return Ok(Ended::LeadershipLost);
        }
        let store = office.store().await?;
        let entities = plan.schema.load(&*store, &office.place).await?;
        let begin = begin(Begin {
            entities,
            store: Arc::clone(&store),
        });
        let begun = begin
            .await
            .map_err(|error| RunError::Framework(error.into()));
        let Leading {
            machine,
            performer,
            beside,
        } = begun?;
        readiness.ready();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        tokio::select! {
            biased;
            ended = event_loop.run(machine, store, clock, performer) => match ended {
                Ok(()) => Ok(Ended::Stopped),
                Err(StoreError::TakenOver { .. } | StoreError::SessionOver { .. }) => {
                    Ok(Ended::LeadershipLost)
                }
                Err(error) => Err(error.into()),
            },
            ended = beside => match ended {
                Ok(()) => Ok(Ended::Stopped),
                Err(error) => Err(RunError::Framework(error.into())),
            },
        }
    };
    let ended = tokio::select! {
        ended = leading => ended,
        () = plan.stop.stopped() => Ok(Ended::Stopped),
        () = office.election.over() => Ok(Ended::LeadershipLost),
    };
    // The machine has gone: whatever is asked from here on is not answered.
    stop(servers).await;
    office.election.leave().await;
    ended
}

async fn stop(servers: Vec<Server>) {
    let stopping = servers.into_iter().map(|server| server.stop(GRACE));
    futures::future::join_all(stopping).await;
}

/// A place in the election, and the store that comes with it.
struct Office {
    election: Election,
    place: String,
    kind: Kind,
}

enum Kind {
    Memory(MemoryStore),
    /// Its lock keeps others out.
    Embedded(EmbeddedStore),
    ZooKeeper(Box<Session>),
}

impl Office {
    async fn stand(plan: &Plan) -> Result<Self, RunError> {
        let name = &plan.proxy.name;
        match &plan.place {
            Place::Directory(directory) => {
                let store = EmbeddedStore::open(directory, plan.schema.application)?;
                Ok(Self {
                    election: Election::alone(name),
                    place: directory.display().to_string(),
                    kind: Kind::Embedded(store),
                })
            }
            Place::Memory => Ok(Self {
                election: Election::alone(name),
                place: "the store in memory".to_owned(),
                kind: Kind::Memory(MemoryStore::new()),
            }),
            Place::ZooKeeper(config) => {
                let session = config.connect().await?;
                Ok(Self {
                    election: Election::stand(&session, &plan.election, name),
                    place: config.address.to_string(),
                    kind: Kind::ZooKeeper(Box::new(session)),
                })
            }
        }
    }

    async fn store(&self) -> Result<Arc<dyn Store>, StoreError> {
        match &self.kind {
            Kind::Memory(store) => Ok(Arc::new(store.clone())),
            Kind::Embedded(store) => Ok(Arc::new(store.clone())),
            Kind::ZooKeeper(session) => {
                let options = ZooKeeperStoreOptions::default();
                Ok(Arc::new(ZooKeeperStore::open(session, options).await?))
            }
        }
    }
}
