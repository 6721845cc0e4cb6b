//! The agent's io: one task that owns the model, waits, stamps the time, steps
//! it and does what it asks for. It decides nothing.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::agent::api::AgentApi;
use crate::agent::process::{Processes, Report};
use crate::agent::{Action, Agent, AgentConfig, Input, Warden};
use crate::messages::{FromAgent, ToAgent};
use crate::time::Timestamp;

/// The two ends of a connection to a master. The master has gone when
/// `from_master` closes.
#[derive(Debug)]
pub struct MasterLink {
    /// What the agent says.
    pub to_master: mpsc::UnboundedSender<FromAgent>,
    /// What the master says.
    pub from_master: mpsc::UnboundedReceiver<ToAgent>,
}

/// Starts agents.
#[derive(Debug)]
pub struct AgentShell;

impl AgentShell {
    /// Starts an agent that has no master yet; see [`AgentHandle::connect`].
    /// Its work directory must lie under the warden's.
    ///
    /// # Errors
    ///
    /// When its work directory cannot be made.
    pub fn start(config: AgentConfig, warden: Arc<Warden>) -> io::Result<AgentHandle> {
        std::fs::create_dir_all(&config.work_dir)?;
        let config = Arc::new(AgentConfig {
            work_dir: config.work_dir.canonicalize()?,
            ..config
        });
        let (orders, inbox) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::unbounded_channel();
        let driver = Driver {
            agent: Agent::new(Arc::clone(&config), Timestamp::now()),
            processes: Processes::new(&config, warden, reports),
            link: None,
            inbox,
            reported,
        };
        tokio::spawn(driver.run());
        Ok(AgentHandle { orders, config })
    }
}

/// Gives orders to a running agent. The agent, and every task of it, ends when
/// the last handle is dropped.
#[derive(Debug, Clone)]
pub struct AgentHandle {
    orders: mpsc::UnboundedSender<Order>,
    config: Arc<AgentConfig>,
}

type Question = Box<dyn FnOnce(&Agent, Timestamp) + Send>;

enum Order {
    Connect(MasterLink),
    Disconnect,
    Ask(Question),
    Unregister(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

impl AgentHandle {
    /// What the agent was started with.
    #[must_use]
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// Gives the agent a master, instead of the one it had. It registers, or
    /// registers again with the tasks it runs when it has an id already.
    pub fn connect(&self, link: MasterLink) {
        self.order(Order::Connect(link));
    }

    /// Takes the master away: tasks run on, and their updates wait.
    pub fn disconnect(&self) {
        self.order(Order::Disconnect);
    }

    /// Leaves in good order: the master is told, tasks are killed, the agent
    /// ends. Returns once it has.
    pub async fn unregister(&self) {
        self.order_and_wait(Order::Unregister).await;
    }

    /// Kills every task and ends the agent, as if its machine had lost power:
    /// the master is told nothing. Returns once it has.
    pub async fn stop(&self) {
        self.order_and_wait(Order::Stop).await;
    }

    /// What answers the agent's HTTP requests.
    pub(crate) fn api(&self) -> AgentApi {
        let agent = WeakHandle {
            orders: self.orders.downgrade(),
        };
        AgentApi::new(agent, Arc::clone(&self.config))
    }

    fn order(&self, order: Order) {
        // An agent that has ended has nothing left to obey with.
        let _ = self.orders.send(order);
    }

    async fn order_and_wait(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, wait) = oneshot::channel();
        self.order(order(done));
        // An error says that the agent had ended before: the same to us.
        let _ = wait.await;
    }
}

/// Asks an agent that may have ended; it does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakHandle {
    orders: mpsc::WeakUnboundedSender<Order>,
}

impl WeakHandle {
    /// Looks at the model. `None` when the agent has ended.
    pub(crate) async fn ask<T, F>(&self, question: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&Agent, Timestamp) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |agent, now| {
            // Whoever asked may have gone meanwhile.
            let _ = reply.send(question(agent, now));
        });
        let _ = self.orders.upgrade()?.send(Order::Ask(question));
        answer.await.ok()
    }
}

struct Driver {
    agent: Agent,
    processes: Processes,
    link: Option<MasterLink>,
    inbox: mpsc::UnboundedReceiver<Order>,
    reported: mpsc::UnboundedReceiver<Report>,
}

/// What the loop waits for.
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once a turn of the loop"
)]
enum Event {
    Order(Option<Order>),
    Report(Report),
    Master(Option<ToAgent>),
    Due,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let event = self.wait().await;
            let inputs = match event {
                Event::Order(None) => return,
                Event::Order(Some(order)) => match order {
                    Order::Connect(link) => {
                        self.link = Some(link);
                        vec![Input::Connected]
                    }
                    Order::Disconnect => {
                        self.link = None;
                        vec![Input::Disconnected]
                    }
                    Order::Ask(question) => {
                        question(&self.agent, Timestamp::now());
                        continue;
                    }
                    Order::Unregister(done) => {
                        self.step(vec![Input::Unregister]);
                        return self.end(done).await;
                    }
                    Order::Stop(done) => return self.end(done).await,
                },
                Event::Report(report) => self.processes.take(report),
                Event::Master(Some(message)) => vec![Input::FromMaster(message)],
                Event::Master(None) => {
                    self.link = None;
                    vec![Input::Disconnected]
                }
                Event::Due => vec![Input::Due],
            };
            if self.step(inputs) {
                return self.processes.stop().await;
            }
        }
    }

    async fn end(self, done: oneshot::Sender<()>) {
        self.processes.stop().await;
        let _ = done.send(());
    }

    async fn wait(&mut self) -> Event {
        let delay = self.agent.wake_at().map(|due| due.since(Timestamp::now()));
        let from_master = async {
            match &mut self.link {
                Some(link) => link.from_master.recv().await,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = self.inbox.recv() => Event::Order(order),
            Some(report) = self.reported.recv() => Event::Report(report),
            message = from_master => Event::Master(message),
            () = timer => Event::Due,
        }
    }

    /// Steps the model and does what it asks. `true` when the agent is to end.
    fn step(&mut self, inputs: Vec<Input>) -> bool {
        let mut inputs = VecDeque::from(inputs);
        let mut ends = false;
        while let Some(input) = inputs.pop_front() {
            let effects = self.agent.step(Timestamp::now(), input);
            for message in effects.to_master {
                if let Some(link) = &self.link {
                    // A master that has gone is noticed by its receiver.
                    let _ = link.to_master.send(message);
                }
            }
            for action in effects.actions {
                match action {
                    Action::Exit { message } => {
                        tracing::info!(%message, "the agent ends as the master asked");
                        ends = true;
                    }
                    action => inputs.extend(self.processes.perform(action)),
                }
            }
        }
        ends
    }
}
