//! The master's events, as a stream that heals itself, and the cluster as they
//! tell it.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use futures::Stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use mesos_proto::v1::master::{Call, Event, call, event};
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Cluster;
use super::calls::ENCODING;
use crate::Error;
use crate::address::{HostAddress, MasterAddress};
use crate::client::{EventStream, StreamError, SubscribeError, refusal};
use crate::credentials::Credentials;
use crate::detect::Detector;
use crate::recordio;
use crate::session::{Disconnect, Input, Output, Session, SessionConfig};
use crate::transport::{Transport, TransportConfig};

const PATH: &str = "/api/v1";
/// Changes that wait for who reads them; who is slower misses the oldest.
const CHANGES_WAITING: usize = 4096;
/// A master says SUBSCRIBED, with all it knows, within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something that happened to a cluster, or to the way to its master.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change {
    /// A subscription has begun. The cluster is what it told.
    Subscribed,
    /// An event, which the cluster has taken in. Heartbeats are left out.
    Event(Arc<Event>),
    /// The subscription is lost, or was not to be had. Another try follows; the
    /// cluster is what it was.
    Disconnected(Disconnect),
    /// The reader was so slow that this many changes are missing here. The
    /// cluster has them.
    Missed(u64),
    /// There is nothing more to try. The last change.
    Failed(Arc<Error>),
}

/// Watches a cluster through its leading master, in the background, until the
/// last clone is dropped.
///
/// ```no_run
/// use mesos_sdk::operator::ClusterWatch;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let watch = ClusterWatch::builder("zk://zk1,zk2/mesos".parse()?).start()?;
/// watch.synced().await?;
/// let cluster = watch.cluster();
/// println!("{} agents, {} tasks", cluster.agents().count(), cluster.tasks().count());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClusterWatch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    view: Arc<View>,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the background task writes and watches read.
#[derive(Debug)]
struct View {
    cluster: RwLock<Cluster>,
    changes: broadcast::Sender<Change>,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone)]
enum Phase {
    /// With the number of changes so far.
    Synced(u64),
    NotYet,
    Failed(Arc<Error>),
}

/// Builds a [`ClusterWatch`].
#[derive(Debug)]
pub struct ClusterWatchBuilder {
    master: MasterAddress,
    credentials: Option<Credentials>,
    session: SessionConfig,
    transport: TransportConfig,
}

impl ClusterWatchBuilder {
    /// Sends credentials with every request.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// How the subscription is kept.
    #[must_use]
    pub fn session(mut self, config: SessionConfig) -> Self {
        self.session = config;
        self
    }

    /// How requests are made.
    #[must_use]
    pub fn transport(mut self, config: TransportConfig) -> Self {
        self.transport = config;
        self
    }

    /// Begins to watch. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the address names no master.
    pub fn start(self) -> Result<ClusterWatch, Error> {
        let view = Arc::new(View {
            cluster: RwLock::default(),
            changes: broadcast::Sender::new(CHANGES_WAITING),
            phase: watch::Sender::new(Phase::NotYet),
        });
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let connector = Connector {
            detector: Detector::new(&self.master)?,
            transport: Transport::new(self.transport),
            credentials: self.credentials,
            session: Session::new(self.session, None, seed, Duration::ZERO),
            started: Instant::now(),
            stream: None,
            view: Arc::clone(&view),
        };
        let task = tokio::spawn(connector.run()).abort_handle();
        Ok(ClusterWatch(Arc::new(Shared { view, task })))
    }
}

impl ClusterWatch {
    /// Begins to build a watch of the cluster of a master.
    #[must_use]
    pub fn builder(master: MasterAddress) -> ClusterWatchBuilder {
        ClusterWatchBuilder {
            master,
            credentials: None,
            session: SessionConfig::default(),
            transport: TransportConfig::default(),
        }
    }

    /// The cluster as it is now: empty before the first subscription, and as it
    /// was last while there is none.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        self.read(Cluster::clone)
    }

    /// Looks at the cluster without copying it. Events wait meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        look(
            &self
                .0
                .view
                .cluster
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Waits until there is a subscription, so that the cluster is known.
    ///
    /// # Errors
    ///
    /// When there will be none.
    pub async fn synced(&self) -> Result<(), Arc<Error>> {
        self.wait_until(|_| true).await
    }

    /// Waits until the cluster, as a subscription tells it, is as it should be.
    ///
    /// # Errors
    ///
    /// When there will be no subscription any more.
    pub async fn wait_until(&self, is_so: impl Fn(&Cluster) -> bool) -> Result<(), Arc<Error>> {
        let mut phase = self.0.view.phase.subscribe();
        loop {
            let now = phase.borrow_and_update().clone();
            match now {
                Phase::Synced(_) if self.read(&is_so) => return Ok(()),
                Phase::Failed(error) => return Err(error),
                Phase::Synced(_) | Phase::NotYet => {}
            }
            // The sender is in `self`.
            let _ = phase.changed().await;
        }
    }

    /// What happens from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes {
            receiver: self.0.view.changes.subscribe(),
            is_over: matches!(*self.0.view.phase.borrow(), Phase::Failed(_)),
            _watch: self.clone(),
        }
    }
}

/// What happens to a cluster, one after the other.
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<Change>,
    is_over: bool,
    _watch: ClusterWatch,
}

impl Changes {
    /// The next change, or `None` after [`Change::Failed`].
    pub async fn next(&mut self) -> Option<Change> {
        if self.is_over {
            return None;
        }
        let change = match self.receiver.recv().await {
            Ok(change) => change,
            Err(broadcast::error::RecvError::Lagged(count)) => Change::Missed(count),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        self.is_over = matches!(change, Change::Failed(_));
        Some(change)
    }

    /// The changes as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Change> + Send {
        futures::stream::unfold(self, |mut changes| async move {
            changes.next().await.map(|change| (change, changes))
        })
    }
}

impl View {
    fn apply(&self, event: Event) {
        if event.r#type() == event::Type::Heartbeat {
            return;
        }
        let change = if let Some(all) = event.subscribed {
            let all = Cluster::of(all);
            *self.write() = all;
            // What it told is large, and is in the cluster.
            Change::Subscribed
        } else {
            self.write().apply(&event);
            Change::Event(Arc::new(event))
        };
        self.phase.send_modify(|phase| {
            *phase = match phase {
                Phase::Synced(count) => Phase::Synced(*count + 1),
                Phase::NotYet | Phase::Failed(_) => Phase::Synced(0),
            };
        });
        self.tell(change);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Cluster> {
        self.cluster.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: Change) {
        // Nobody need be listening.
        let _ = self.changes.send(change);
    }
}

/// Does what the session says.
struct Connector {
    detector: Detector,
    transport: Transport,
    credentials: Option<Credentials>,
    session: Session,
    started: Instant,
    stream: Option<EventStream<Event>>,
    view: Arc<View>,
}

impl Connector {
    async fn run(mut self) {
        let mut input = Input::Start;
        loop {
            match self.session.step(self.started.elapsed(), input) {
                Some(Output::Connect { to }) => {
                    self.stream = None;
                    input = self.connect(to).await;
                    continue;
                }
                Some(Output::Disconnected(disconnect)) => {
                    self.stream = None;
                    tracing::debug!(reason = %disconnect, "no subscription");
                    self.view.phase.send_replace(Phase::NotYet);
                    self.view.tell(Change::Disconnected(disconnect));
                }
                Some(Output::Fail(error)) => {
                    let error = Arc::new(error);
                    self.view
                        .phase
                        .send_replace(Phase::Failed(Arc::clone(&error)));
                    self.view.tell(Change::Failed(error));
                    return;
                }
                Some(Output::Subscribed) | None => {}
            }
            input = self.wait().await;
        }
    }

    async fn connect(&mut self, to: Option<HostAddress>) -> Input {
        let give_up = self.session.wake_at().map(|at| self.started + at);
        let subscribing = async {
            let server = match to {
                Some(server) => server,
                None => match self.detector.leader().await {
                    Ok(server) => server,
                    Err(error) => return Err(error.to_string().into()),
                },
            };
            tokio::select! {
                opened = subscribe(&self.transport, self.credentials.as_ref(), &server) => opened.map(Some),
                () = self.detector.changed() => Ok(None),
            }
        };
        let result = match give_up {
            Some(at) => match tokio::time::timeout_at(at, subscribing).await {
                Ok(result) => result,
                Err(_) => return Input::Tick,
            },
            None => subscribing.await,
        };
        match result {
            Ok(Some((subscribed, stream))) => {
                let seconds = subscribed
                    .subscribed
                    .as_ref()
                    .and_then(|subscribed| subscribed.heartbeat_interval_seconds);
                self.stream = Some(stream);
                self.view.apply(subscribed);
                Input::Subscribed {
                    framework_id: None,
                    heartbeat_interval: seconds
                        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                        .filter(|interval| !interval.is_zero()),
                }
            }
            Ok(None) => Input::LeaderChanged,
            Err(SubscribeError::Redirected { to }) => Input::Redirected { to },
            Err(SubscribeError::Rejected { status, message }) => {
                Input::Rejected { status, message }
            }
            Err(error) => Input::NotOpened {
                reason: error.to_string(),
            },
        }
    }

    async fn wait(&mut self) -> Input {
        let wake = self.session.wake_at().map(|at| self.started + at);
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = async {
            match &mut self.stream {
                Some(stream) => stream.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = event => self.event(event),
            () = timer => Input::Tick,
            () = self.detector.changed() => Input::LeaderChanged,
        }
    }

    fn event(&self, event: Option<Result<Event, StreamError>>) -> Input {
        match event {
            Some(Ok(event)) => {
                self.view.apply(event);
                Input::Heard
            }
            Some(Err(error)) => Input::Ended {
                reason: error.to_string(),
            },
            None => Input::Ended {
                reason: "the master closed the stream".to_owned(),
            },
        }
    }
}

/// Subscribes, and waits for the state that comes first.
async fn subscribe(
    transport: &Transport,
    credentials: Option<&Credentials>,
    server: &HostAddress,
) -> Result<(Event, EventStream<Event>), SubscribeError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, ENCODING.media_type());
    headers.insert(ACCEPT, ENCODING.media_type());
    if let Some(credentials) = credentials {
        headers.insert(AUTHORIZATION, credentials.authorization());
    }
    let body = ENCODING.encode(&Call {
        r#type: Some(call::Type::Subscribe.into()),
        ..Default::default()
    });
    let response = transport.open_stream(server, PATH, headers, body).await?;
    if response.status != http::StatusCode::OK {
        return Err(refusal(server, response).await);
    }
    let limit = recordio::DEFAULT_LIMIT;
    let mut stream: EventStream<Event> = EventStream::new(response.body, ENCODING, limit);
    let first = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .map_err(|_| "the master accepted the subscription and then said nothing".to_owned())?
        .ok_or_else(|| "the master closed the stream before any event".to_owned())?
        .map_err(|error| error.to_string())?;
    if first.subscribed.is_none() {
        let kind = first.r#type().as_str_name();
        return Err(format!("the master began with {kind} instead of SUBSCRIBED").into());
    }
    Ok((first, stream))
}
