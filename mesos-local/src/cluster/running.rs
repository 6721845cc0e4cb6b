//! The cluster's thread: a small runtime of its own on which the master, its
//! agents and their servers live, and which carries out orders.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::transport::{TlsConfig, Transport, TransportConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::election::{AbortOnDrop, ElectionHandle, ElectionPlan, Standing};
use super::master_shell::{MasterHandle, MasterPlan};
use super::network::{Partition, Weather, link};
use super::places::{self, Place};
use super::uplink::{Follower, Wire};
use super::{AgentPlace, ClusterConfig, Error};
use crate::agent::{
    self, AgentConfig, AgentHandle, AgentLimits, AgentShell, EngineAddress, MasterLink, Warden,
};
use crate::http::{Limits, ServerControl, serve};
use crate::master_api::{self, MasterApi};
use crate::scratch;
use crate::security::{Guard, Security, TokenKey};
use crate::version::MESOS_VERSION;

/// What the cluster is told. Each order is answered when it is carried out.
#[derive(Debug)]
pub(super) enum Order {
    Stop(oneshot::Sender<()>),
    FailOverMaster(oneshot::Sender<()>),
    StopAgent(usize, oneshot::Sender<()>),
    KillAgent(usize, oneshot::Sender<()>),
    CrashAgent(usize, oneshot::Sender<()>),
    StartAgent(usize, oneshot::Sender<()>),
    PartitionAgent(usize, oneshot::Sender<()>),
    HealAgent(usize, oneshot::Sender<()>),
    DelayUpdates(Duration, oneshot::Sender<()>),
    DropUpdates(usize, oneshot::Sender<()>),
    CutConnections(oneshot::Sender<()>),
}

/// Everything that can be refused before anything runs: sockets that listen,
/// resources that make sense, a directory.
#[derive(Debug)]
pub(super) struct Plan {
    config: ClusterConfig,
    master: Place,
    agents: Vec<PlannedAgent>,
    work_dir: PathBuf,
    /// Goes with a plan that comes to nothing.
    temporary: Option<TempDir>,
}

#[derive(Debug)]
struct PlannedAgent {
    place: Place,
    config: AgentConfig,
}

impl Plan {
    pub(super) fn new(config: ClusterConfig) -> Result<Self, Error> {
        let master = places::master(&config)?;
        let (work_dir, temporary) = work_dir(&config)?;
        let seed = config.seed.unwrap_or_else(random_seed);
        let docker = engine(&config)?;
        let count = config.agents.len();
        let tokens = match config.security.authenticate_executors {
            true => Some(TokenKey::random().map_err(|source| Error::Start {
                what: "with tokens for executors".to_owned(),
                source,
            })?),
            false => None,
        };
        let mut agents = Vec::with_capacity(count);
        for (index, spec) in config.agents.iter().enumerate() {
            let place = places::agent(&config, index)?;
            let resources = spec.offered(index, count)?;
            let agent = AgentConfig {
                hostname: place.hostname.clone(),
                address: place.address,
                resources_flag: Resources::from(resources.clone()).to_string(),
                resources,
                attributes: spec.parsed_attributes()?,
                attributes_flag: spec.attributes.clone().unwrap_or_default(),
                domain: spec.domain.clone(),
                work_dir: work_dir.join(format!("agent-{index}")),
                master: match &config.zookeeper {
                    Some(group) => group.to_string(),
                    None => master.address.to_string(),
                },
                version: MESOS_VERSION.to_owned(),
                seed: seed.wrapping_add(index as u64 + 1),
                tokens: tokens.clone(),
                is_https: config.security.identity.is_some(),
                switch_user: config.switch_user && nix::unistd::Uid::effective().is_root(),
                docker: docker.clone(),
                limits: AgentLimits {
                    kill_grace: config.kill_grace,
                    update_retry_min: config.update_retry,
                    ..AgentLimits::default()
                },
            };
            agents.push(PlannedAgent {
                place,
                config: agent,
            });
        }
        Ok(Self {
            config: ClusterConfig {
                seed: Some(seed),
                ..config
            },
            master,
            agents,
            work_dir,
            temporary,
        })
    }

    pub(super) fn master_address(&self) -> SocketAddr {
        self.master.address
    }

    pub(super) fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    pub(super) fn agents(&self) -> Vec<AgentPlace> {
        let place = |(index, agent): (usize, &PlannedAgent)| AgentPlace {
            index,
            address: agent.place.address,
            hostname: agent.place.hostname.clone(),
            resources: agent.config.resources_flag.clone(),
        };
        self.agents.iter().enumerate().map(place).collect()
    }
}

/// The work directory, and what removes it when it is a temporary one.
fn work_dir(config: &ClusterConfig) -> Result<(PathBuf, Option<TempDir>), Error> {
    let refuse = |source| Error::Start {
        what: "in the work directory".to_owned(),
        source,
    };
    match &config.work_dir {
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(refuse)?;
            let directory = directory.canonicalize().map_err(refuse)?;
            Ok((directory, None))
        }
        None => {
            let mut builder = tempfile::Builder::new();
            builder.prefix("mesos-local-");
            let directory = builder
                .tempdir_in(scratch::parent())
                .or_else(|_| builder.tempdir())
                .map_err(refuse)?;
            Ok((directory.path().to_owned(), Some(directory)))
        }
    }
}

/// How agents reach a master in another process.
fn wire(config: &ClusterConfig) -> Wire {
    let pings = config.max_agent_ping_timeouts.saturating_add(1);
    Wire {
        transport: Transport::new(TransportConfig {
            connect_timeout: config.agent_ping_timeout,
            request_timeout: config.agent_ping_timeout,
            tls: TlsConfig {
                ca_file: config.security.ca_file.clone(),
            },
            ..TransportConfig::default()
        }),
        credentials: config.security.agent_credential.as_client(),
        silence: config.agent_ping_timeout.saturating_mul(pings),
    }
}

/// The Docker engine's address. What the environment names is for all programs;
/// one that this program cannot use, such as `ssh://`, is an engine for others.
fn engine(config: &ClusterConfig) -> Result<EngineAddress, Error> {
    if let Some(text) = &config.docker_socket {
        return text.parse().map_err(Error::Docker);
    }
    let named = std::env::var("DOCKER_HOST").ok();
    let address = named.and_then(|text| text.parse().ok());
    Ok(address.unwrap_or_default())
}

/// From the operating system, by way of a UUID.
fn random_seed() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    high ^ low
}

/// Runs a cluster until it is told to stop or nobody can tell it anything.
pub(super) fn run(
    plan: Plan,
    mut orders: mpsc::UnboundedReceiver<Order>,
    report: oneshot::Sender<Result<(), Error>>,
) {
    let start = |what: &str, source| Error::Start {
        what: what.to_owned(),
        source,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever waits for the report may have given up.
            let _ = report.send(Err(start("a runtime", error)));
            return;
        }
    };
    runtime.block_on(async {
        let mut running = match Running::start(plan).await {
            Ok(running) => running,
            Err(error) => {
                let _ = report.send(Err(start("the cluster", error)));
                return;
            }
        };
        let _ = report.send(Ok(()));
        let mut stopped = None;
        while let Some(order) = orders.recv().await {
            if let Order::Stop(done) = order {
                stopped = Some(done);
                break;
            }
            running.carry_out(order).await;
        }
        running.stop().await;
        if let Some(done) = stopped {
            let _ = done.send(());
        }
    });
    // Servers and their connections end here.
    runtime.shutdown_background();
}

struct Running {
    master: MasterHandle,
    election: Option<Election>,
    server: ServerControl,
    agents: Vec<RunningAgent>,
    security: Arc<Security>,
    weather: Arc<Weather>,
    warden: Arc<Warden>,
}

/// Where the master is elected among several processes.
struct Election {
    handle: ElectionHandle,
    standing: watch::Receiver<Standing>,
    wire: Wire,
}

/// How an agent ends.
#[derive(Debug, Clone, Copy)]
enum End {
    InGoodOrder,
    WithItsMachine,
    Alone,
}

struct RunningAgent {
    config: AgentConfig,
    partition: Partition,
    /// Keeps it with the leader, where there is an election.
    follower: Option<AbortOnDrop>,
    relay: Arc<Notify>,
    handle: Option<AgentHandle>,
    /// Whether it can be reached: it was not ended, or has started again.
    is_up: bool,
    /// Kept so that the address stays the agent's while it is down.
    listener: std::net::TcpListener,
    server: ServerControl,
}

impl Running {
    async fn start(mut plan: Plan) -> io::Result<Self> {
        let warden = Arc::new(Warden::start(
            &plan.work_dir,
            plan.config.work_dir.is_none(),
        )?);
        // From here on it is the warden's to remove.
        if let Some(temporary) = plan.temporary.take() {
            let _ = temporary.keep();
        }
        let weather = Arc::new(Weather::default());
        let server = ServerControl::new();
        let security = Arc::new(plan.config.security.clone());
        let (tell, standing) = watch::channel(Standing::Nobody);
        let master_plan = MasterPlan::new(
            &plan.config,
            plan.master.address,
            plan.master.hostname.clone(),
        );
        let elected = plan.config.zookeeper.is_some().then(|| standing.clone());
        let master = MasterHandle::start(master_plan, elected);
        let election = plan.config.zookeeper.clone().map(|group| Election {
            handle: ElectionHandle::start(
                ElectionPlan {
                    group,
                    session_timeout: plan.config.zookeeper_session_timeout,
                    is_candidate: plan.config.is_candidate,
                    is_https: security.identity.is_some(),
                },
                master.clone(),
                tell,
            ),
            standing,
            wire: wire(&plan.config),
        });
        tokio::spawn(serve(
            TcpListener::from_std(plan.master.listener)?,
            Guard::new(
                MasterApi::new(master.clone()),
                Arc::clone(&security),
                master_api::realm,
            ),
            Limits::default(),
            security.identity.clone(),
            server.clone(),
        ));
        let mut running = Self {
            master,
            election,
            server,
            agents: Vec::new(),
            security,
            weather,
            warden,
        };
        for planned in plan.agents {
            running.agents.push(RunningAgent {
                config: planned.config,
                partition: Partition::default(),
                follower: None,
                relay: Arc::default(),
                handle: None,
                is_up: false,
                listener: planned.place.listener,
                server: ServerControl::new(),
            });
        }
        for index in 0..running.agents.len() {
            running.start_agent(index).await?;
        }
        Ok(running)
    }

    async fn carry_out(&mut self, order: Order) {
        let done = match order {
            Order::Stop(done) => done,
            Order::FailOverMaster(done) => {
                match &self.election {
                    Some(election) => election.handle.resign().await,
                    None => self.master.fail_over().await,
                }
                self.server.cut_connections();
                for index in 0..self.agents.len() {
                    self.connect(index);
                }
                done
            }
            Order::StopAgent(index, done) => {
                self.end_agent(index, End::InGoodOrder).await;
                done
            }
            Order::KillAgent(index, done) => {
                self.end_agent(index, End::WithItsMachine).await;
                done
            }
            Order::CrashAgent(index, done) => {
                self.end_agent(index, End::Alone).await;
                done
            }
            Order::StartAgent(index, done) => {
                if !self.agents[index].is_up
                    && let Err(error) = self.start_agent(index).await
                {
                    tracing::error!(index, %error, "cannot start the agent again");
                }
                done
            }
            Order::PartitionAgent(index, done) => {
                self.agents[index].partition.set(true);
                done
            }
            Order::HealAgent(index, done) => {
                self.agents[index].partition.set(false);
                self.connect(index);
                done
            }
            Order::DelayUpdates(delay, done) => {
                self.weather.delay_updates(delay);
                done
            }
            Order::DropUpdates(count, done) => {
                self.weather.drop_updates(count);
                done
            }
            Order::CutConnections(done) => {
                self.server.cut_connections();
                done
            }
        };
        // Whoever ordered it may have gone meanwhile.
        let _ = done.send(());
    }

    async fn start_agent(&mut self, index: usize) -> io::Result<()> {
        let agent = &mut self.agents[index];
        let handle = match agent.handle.take() {
            Some(handle) => {
                handle.restart().await;
                handle
            }
            None => AgentShell::start(agent.config.clone(), Arc::clone(&self.warden))?,
        };
        agent.server = ServerControl::new();
        tokio::spawn(serve(
            TcpListener::from_std(agent.listener.try_clone()?)?,
            Guard::new(handle.api(), Arc::clone(&self.security), agent::realm),
            Limits::default(),
            self.security.identity.clone(),
            agent.server.clone(),
        ));
        if let Some(election) = &self.election {
            let follower = Follower {
                agent: handle.clone(),
                standing: election.standing.clone(),
                wire: election.wire.clone(),
                weather: Arc::clone(&self.weather),
                partition: agent.partition.clone(),
                relay: Arc::clone(&agent.relay),
            };
            agent.follower = Some(AbortOnDrop(tokio::spawn(follower.run()).abort_handle()));
        }
        agent.handle = Some(handle);
        agent.is_up = true;
        self.connect(index);
        Ok(())
    }

    /// Lays a new link between an agent and the master; the old one is no more.
    fn connect(&self, index: usize) {
        let agent = &self.agents[index];
        let Some(handle) = agent.handle.as_ref().filter(|_| agent.is_up) else {
            return;
        };
        if self.election.is_some() {
            agent.relay.notify_one();
            return;
        }
        let link_id = self.master.next_link();
        let master = self.master.clone();
        let (to_agent, end) = link(
            Arc::clone(&self.weather),
            agent.partition.clone(),
            move |arrival| master.arrive(link_id, arrival),
        );
        self.master.attach(link_id, to_agent);
        handle.connect(MasterLink {
            to_master: end.to_master,
            from_master: end.from_master,
        });
    }

    async fn end_agent(&mut self, index: usize, end: End) {
        let agent = &mut self.agents[index];
        agent.server.stop();
        agent.follower = None;
        if let Some(handle) = agent.handle.as_ref().filter(|_| agent.is_up) {
            match end {
                End::InGoodOrder => handle.unregister().await,
                End::WithItsMachine => handle.crash(true).await,
                End::Alone => handle.crash(false).await,
            }
        }
        agent.is_up = false;
    }

    async fn stop(&mut self) {
        if let Some(election) = &self.election {
            election.handle.stop().await;
        }
        self.server.stop();
        let handles: Vec<AgentHandle> = self
            .agents
            .iter_mut()
            .filter_map(|agent| {
                agent.server.stop();
                agent.handle.take()
            })
            .collect();
        let ends = handles.iter().map(AgentHandle::stop);
        futures::future::join_all(ends).await;
        self.warden.stop();
    }
}
