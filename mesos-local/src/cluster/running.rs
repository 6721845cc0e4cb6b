//! The cluster's thread: a small runtime of its own on which the master, its
//! agents and their servers live, and which carries out orders.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::Error;
use super::crowd::Crowd;
use super::election::{AbortOnDrop, ElectionHandle, ElectionPlan, Standing};
use super::master_plan::MasterPlan;
use super::master_shell::MasterHandle;
use super::network::{Partition, Weather, link};
use super::plan::{Plan, wire};
use super::seat::Seat;
use super::uplink::{Follower, Wire};
use crate::agent::{self, AgentConfig, AgentHandle, AgentShell, MasterLink, Warden};
use crate::http::{Limits, ServerControl, serve};
use crate::security::{Guard, Security};

/// What the cluster is told. Each order is answered when it is carried out.
#[derive(Debug)]
pub(super) enum Order {
    Stop(oneshot::Sender<()>),
    FailOverMaster(oneshot::Sender<()>),
    KillMaster(oneshot::Sender<()>),
    StartMaster(oneshot::Sender<()>),
    StopAgent(usize, oneshot::Sender<()>),
    KillAgent(usize, oneshot::Sender<()>),
    CrashAgent(usize, oneshot::Sender<()>),
    StartAgent(usize, oneshot::Sender<()>),
    ReplaceAgent(usize, oneshot::Sender<()>),
    PartitionAgent(usize, oneshot::Sender<()>),
    HealAgent(usize, oneshot::Sender<()>),
    DelayUpdates(Duration, oneshot::Sender<()>),
    DropUpdates(usize, oneshot::Sender<()>),
    CutConnections(oneshot::Sender<()>),
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
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                () = running.seat.noticed() => {
                    running.connect_all();
                    continue;
                }
            };
            match order {
                None => break,
                Some(Order::Stop(done)) => {
                    stopped = Some(done);
                    break;
                }
                Some(order) => running.carry_out(order).await,
            }
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
    seat: Seat,
    election: Option<Election>,
    agents: Vec<RunningAgent>,
    /// Simulated agents.
    crowd: Option<Crowd>,
    /// Agents that others have replaced, whose executors run on.
    replaced: Vec<AgentHandle>,
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
        let seat = Seat::take(
            master.clone(),
            plan.master.listener,
            Arc::clone(&security),
            plan.config.agent_ping_timeout * plan.config.max_agent_ping_timeouts,
        )?;
        let mut running = Self {
            master,
            seat,
            election,
            agents: Vec::new(),
            crowd: None,
            replaced: Vec::new(),
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
        if !plan.simulated.is_empty() {
            let task_time = plan.config.simulated_agents.task_time;
            let master = running.master.clone();
            running.crowd = Some(Crowd::start(plan.simulated, task_time, master));
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
                self.seat.cut_connections();
                self.connect_all();
                done
            }
            Order::KillMaster(done) => {
                match &self.election {
                    Some(election) => election.handle.resign().await,
                    None => self.seat.leave().await,
                }
                self.seat.cut_connections();
                done
            }
            Order::StartMaster(done) => {
                if let Err(error) = self.seat.come_back().await {
                    tracing::error!(%error, "cannot start the master again");
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
            Order::ReplaceAgent(index, done) => {
                if let Err(error) = self.replace_agent(index).await {
                    tracing::error!(index, %error, "cannot start another agent");
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
                self.seat.cut_connections();
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

    /// Starts an agent that knows nothing of the one at its place, which has
    /// ended without a word.
    async fn replace_agent(&mut self, index: usize) -> io::Result<()> {
        self.end_agent(index, End::Alone).await;
        let count = self.replaced.len() as u64 + 1;
        let agent = &mut self.agents[index];
        self.replaced.extend(agent.handle.take());
        let name = format!("agent-{index}-{count}");
        agent.config.work_dir.set_file_name(name);
        agent.config.seed = agent.config.seed.rotate_left(32) ^ count;
        self.start_agent(index).await
    }

    fn connect_all(&self) {
        for index in 0..self.agents.len() {
            self.connect(index);
        }
        if let Some(crowd) = &self.crowd {
            crowd.connect();
        }
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
        if let Some(handle) = &agent.handle {
            match end {
                // What a crashed agent left running goes with its machine too.
                End::WithItsMachine => handle.crash(true).await,
                End::InGoodOrder if agent.is_up => handle.unregister().await,
                End::Alone if agent.is_up => handle.crash(false).await,
                End::InGoodOrder | End::Alone => {}
            }
        }
        agent.is_up = false;
    }

    async fn stop(&mut self) {
        self.crowd = None;
        if let Some(election) = &self.election {
            election.handle.stop().await;
        }
        self.seat.stop();
        let mut handles = std::mem::take(&mut self.replaced);
        for agent in &mut self.agents {
            agent.server.stop();
            handles.extend(agent.handle.take());
        }
        let ends = handles.iter().map(AgentHandle::stop);
        futures::future::join_all(ends).await;
        self.warden.stop();
    }
}
