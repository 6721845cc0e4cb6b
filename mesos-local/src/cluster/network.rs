//! What lies between the master and its agents, and how it can be broken: a
//! link loses its messages while it is partitioned, and status updates can be
//! delayed or lost on their way to the master.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::master::LinkId;
use crate::messages::{FromAgent, ToAgent};

/// What is wrong with the network as a whole.
#[derive(Debug, Default)]
pub(super) struct Weather {
    delay_nanos: AtomicU64,
    to_drop: AtomicUsize,
}

impl Weather {
    /// Every status update arrives this much later.
    pub(super) fn delay_updates(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.delay_nanos.store(nanos, Ordering::Relaxed);
    }

    /// The next `count` status updates are lost.
    pub(super) fn drop_updates(&self, count: usize) {
        self.to_drop.store(count, Ordering::Relaxed);
    }

    fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay_nanos.load(Ordering::Relaxed))
    }

    fn drops_this_one(&self) -> bool {
        self.to_drop
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

/// Whether an agent's messages are lost, both ways. It outlives the links of
/// the agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Partition(Arc<AtomicBool>);

impl Partition {
    pub(super) fn set(&self, is_partitioned: bool) {
        self.0.store(is_partitioned, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The master's end of one link: what it says to the agent.
#[derive(Debug)]
pub(super) struct ToAgentEnd {
    sender: Sender,
    partition: Partition,
}

/// Where messages for an agent go.
#[derive(Debug)]
enum Sender {
    Own(mpsc::UnboundedSender<ToAgent>),
    /// To whoever steps many agents.
    Shared(mpsc::UnboundedSender<ForOne>, usize, LinkId),
}

/// A message for one of many agents.
#[derive(Debug)]
pub(super) struct ForOne {
    /// Its number.
    pub(super) index: usize,
    /// Over which link.
    pub(super) link: LinkId,
    pub(super) message: ToAgent,
}

impl ToAgentEnd {
    /// Sends, or loses, a message. An agent that has ended is told to the
    /// master by its own end.
    pub(super) fn send(&self, message: ToAgent) {
        if self.partition.is_on() {
            return;
        }
        match &self.sender {
            Sender::Own(sender) => {
                let _ = sender.send(message);
            }
            Sender::Shared(sender, index, link) => {
                let (index, link) = (*index, *link);
                let _ = sender.send(ForOne {
                    index,
                    link,
                    message,
                });
            }
        }
    }

    /// An end of one of many links that arrive together.
    pub(super) fn shared(
        sender: mpsc::UnboundedSender<ForOne>,
        index: usize,
        link: LinkId,
    ) -> Self {
        Self {
            sender: Sender::Shared(sender, index, link),
            partition: Partition::default(),
        }
    }
}

/// The agent's end of one link.
#[derive(Debug)]
pub(super) struct AgentEnd {
    pub(super) to_master: mpsc::UnboundedSender<FromAgent>,
    pub(super) from_master: mpsc::UnboundedReceiver<ToAgent>,
}

/// What arrives at the master's end.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once into a channel"
)]
pub(super) enum Arrival {
    Message(FromAgent),
    /// The agent has closed the link.
    Closed,
}

/// Lays a link. `deliver` is called on the current runtime for all that
/// arrives at the master, and says whether the master is still there.
pub(super) fn link(
    weather: Arc<Weather>,
    partition: Partition,
    deliver: impl Fn(Arrival) -> bool + Send + 'static,
) -> (ToAgentEnd, AgentEnd) {
    let (to_master, from_agent) = mpsc::unbounded_channel();
    let (sender, from_master) = mpsc::unbounded_channel();
    tokio::spawn(carry(from_agent, weather, partition.clone(), deliver));
    (
        ToAgentEnd {
            sender: Sender::Own(sender),
            partition,
        },
        AgentEnd {
            to_master,
            from_master,
        },
    )
}

async fn carry(
    mut from_agent: mpsc::UnboundedReceiver<FromAgent>,
    weather: Arc<Weather>,
    partition: Partition,
    deliver: impl Fn(Arrival) -> bool,
) {
    let mut under_way: VecDeque<(Instant, FromAgent)> = VecDeque::new();
    let mut is_open = true;
    while is_open || !under_way.is_empty() {
        let due = under_way.front().map(|(due, _)| *due);
        let arrival = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = arrival => {
                let Some((_, message)) = under_way.pop_front() else { continue };
                if !partition.is_on() && !deliver(Arrival::Message(message)) {
                    return;
                }
            }
            message = from_agent.recv(), if is_open => match message {
                None => is_open = false,
                Some(message) => {
                    let is_update = matches!(message, FromAgent::StatusUpdate { .. });
                    if partition.is_on() || is_update && weather.drops_this_one() {
                        continue;
                    }
                    let delay = if is_update { weather.delay() } else { Duration::ZERO };
                    if delay.is_zero() && under_way.is_empty() {
                        if !deliver(Arrival::Message(message)) {
                            return;
                        }
                    } else {
                        // A link keeps its order: nothing overtakes what waits.
                        let earliest = under_way.back().map(|(due, _)| *due);
                        let due = earliest.unwrap_or_else(Instant::now).max(Instant::now() + delay);
                        under_way.push_back((due, message));
                    }
                }
            },
        }
    }
    // During a partition nobody hears that the other side has gone.
    if !partition.is_on() {
        deliver(Arrival::Closed);
    }
}

#[cfg(test)]
mod tests {
    use mesos_sdk::v1;

    use super::*;

    fn update() -> FromAgent {
        FromAgent::StatusUpdate {
            framework_id: v1::FrameworkId::default(),
            status: v1::TaskStatus::default(),
            latest_state: v1::TaskState::TaskRunning,
        }
    }

    struct Wire {
        weather: Arc<Weather>,
        partition: Partition,
        master: ToAgentEnd,
        agent: AgentEnd,
        arrivals: mpsc::UnboundedReceiver<Arrival>,
    }

    fn wire() -> Wire {
        let weather = Arc::new(Weather::default());
        let partition = Partition::default();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let (master, agent) = link(Arc::clone(&weather), partition.clone(), move |arrival| {
            sender.send(arrival).is_ok()
        });
        Wire {
            weather,
            partition,
            master,
            agent,
            arrivals,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delays_updates_and_keeps_the_order() {
        let mut wire = wire();
        wire.weather.delay_updates(Duration::from_secs(7));
        let sent = Instant::now();
        wire.agent.to_master.send(update()).unwrap();
        wire.agent.to_master.send(FromAgent::Pong).unwrap();
        let first = wire.arrivals.recv().await.unwrap();
        assert!(matches!(
            first,
            Arrival::Message(FromAgent::StatusUpdate { .. })
        ));
        assert_eq!(sent.elapsed().as_secs(), 7);
        let second = wire.arrivals.recv().await.unwrap();
        assert!(matches!(second, Arrival::Message(FromAgent::Pong)));
    }

    #[tokio::test]
    async fn drops_as_many_updates_as_told_and_nothing_else() {
        let mut wire = wire();
        wire.weather.drop_updates(2);
        for message in [update(), FromAgent::Pong, update(), update()] {
            wire.agent.to_master.send(message).unwrap();
        }
        let first = wire.arrivals.recv().await.unwrap();
        assert!(matches!(first, Arrival::Message(FromAgent::Pong)));
        let second = wire.arrivals.recv().await.unwrap();
        assert!(matches!(
            second,
            Arrival::Message(FromAgent::StatusUpdate { .. })
        ));
    }

    #[tokio::test]
    async fn loses_everything_while_partitioned_even_the_end() {
        let mut wire = wire();
        wire.partition.set(true);
        wire.agent.to_master.send(FromAgent::Pong).unwrap();
        wire.master.send(ToAgent::Ping);
        assert!(wire.agent.from_master.try_recv().is_err());
        drop(wire.agent);
        assert!(wire.arrivals.recv().await.is_none());
    }

    #[tokio::test]
    async fn tells_when_the_agent_has_closed() {
        let mut wire = wire();
        drop(wire.agent);
        assert!(matches!(wire.arrivals.recv().await, Some(Arrival::Closed)));
    }
}
