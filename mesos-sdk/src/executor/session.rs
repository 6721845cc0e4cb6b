//! The life of an executor's subscription, as logic without io: when to
//! subscribe and with what, which update is sent when, how long an agent that
//! is away is waited for, what a SHUTDOWN leaves time for
//! (`docs/executor-http-api.md`).
//!
//! A task is kept until the agent acknowledges an update of it, an update until
//! it is acknowledged itself; both are part of every SUBSCRIBE, so that an agent
//! that was restarted misses nothing. Updates of a task are sent one after the
//! other, in their order.

use std::time::Duration;

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::executor::{Event, call, event};

use super::Error;
use super::unacknowledged::Unacknowledged;
use crate::random::Random;
pub use crate::session::{Disconnect, Now};

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Whether the agent's restart is outlived.
    pub is_checkpointing: bool,
    /// How long an agent that is away is waited for.
    pub recovery_timeout: Duration,
    /// The longest wait between two tries; each is drawn below it.
    pub subscription_backoff_max: Duration,
    /// How long shutting down may take.
    pub shutdown_grace_period: Duration,
    /// How often the agent is told that the executor lives, and how often it
    /// says so itself.
    pub heartbeat_interval: Duration,
    /// After how many missed heartbeats a connection counts as dead, when the
    /// agent has sent one at all.
    pub missed_heartbeats: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            is_checkpointing: false,
            recovery_timeout: Duration::from_secs(15 * 60),
            subscription_backoff_max: Duration::from_secs(2),
            shutdown_grace_period: Duration::from_secs(5),
            heartbeat_interval: Duration::from_secs(30 * 60),
            missed_heartbeats: 5,
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// The session is to begin.
    Start,
    /// SUBSCRIBED arrived.
    Subscribed,
    /// No stream could be opened.
    NotOpened {
        /// Why.
        reason: String,
    },
    /// The agent refuses the subscription.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The body.
        message: String,
    },
    /// Any other event arrived.
    Event(Box<Event>),
    /// The stream has ended or broken.
    Ended {
        /// Why.
        reason: String,
    },
    /// The executor has something to say of a task. The status has a uuid.
    Update(Box<v1::TaskStatus>),
    /// The agent has taken an update.
    Sent {
        /// Which.
        number: u64,
    },
    /// An update did not reach the agent, or that is not known.
    NotSent {
        /// Which.
        number: u64,
    },
    /// The agent refuses an update for good.
    UpdateRefused {
        /// Which.
        number: u64,
        /// The agent's words.
        message: String,
    },
    /// The executor has nothing more to do: the run is to end when everything
    /// is acknowledged.
    Stop,
    /// The executor has shut its tasks down.
    ShutDown,
    /// The time of [`Session::wake_at`] has come.
    Tick,
}

/// What to do, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Close the stream if there is one, then subscribe with this.
    Connect(Box<call::Subscribe>),
    /// The subscription is lost, or was not to be had; close the stream if
    /// there is one and forget what is being sent. Another try follows.
    Disconnected(Disconnect),
    /// There will be no subscription any more; close the stream.
    Close,
    /// Send this update, and say what became of it.
    Send {
        /// Its number.
        number: u64,
        /// What is sent.
        status: Box<v1::TaskStatus>,
    },
    /// Send a HEARTBEAT.
    Heartbeat,
    /// Hand this event to the executor.
    Tell(Box<Event>),
    /// Tell the executor that an update is refused, and not kept.
    UpdateRefused {
        /// The update.
        status: Box<v1::TaskStatus>,
        /// The agent's words.
        message: String,
    },
    /// The run ends.
    End(Result<(), Error>),
}

/// The state of an executor's subscription.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    unacknowledged: Unacknowledged,
    leaving: Option<Leaving>,
    /// Since when there has been no subscription.
    unsubscribed_since: Now,
    /// After an update did not reach the agent.
    resend_at: Option<Now>,
    has_heard_heartbeat: bool,
    random: Random,
}

#[derive(Debug)]
enum Phase {
    Waiting {
        until: Now,
    },
    Connecting,
    Subscribed {
        heard_at: Now,
        heartbeat_at: Now,
    },
    /// The agent is given up.
    Lost,
    Over,
}

/// Why and until when the run may go on although it is to end.
#[derive(Debug)]
struct Leaving {
    until: Now,
    /// Whether the executor's tasks are still being shut down.
    is_shutting_down: bool,
    error: Option<Error>,
}

impl Session {
    /// A session. The seed makes the jitter of the waits.
    #[must_use]
    pub fn new(config: SessionConfig, seed: u64, now: Now) -> Self {
        Self {
            config,
            phase: Phase::Waiting { until: now },
            unacknowledged: Unacknowledged::default(),
            leaving: None,
            unsubscribed_since: now,
            resend_at: None,
            has_heard_heartbeat: false,
            random: Random::new(seed),
        }
    }

    /// How many updates are not acknowledged.
    #[must_use]
    pub fn unacknowledged_updates(&self) -> usize {
        self.unacknowledged.updates()
    }

    /// Reacts to one input.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        if matches!(self.phase, Phase::Over) {
            return outputs;
        }
        match input {
            Input::Start => self.connect(&mut outputs),
            Input::Subscribed => self.subscribed(now),
            Input::NotOpened { reason } | Input::Ended { reason } => {
                self.disconnected(now, reason, &mut outputs);
            }
            Input::Rejected { status, message } => {
                self.rejected(now, status, message, &mut outputs);
            }
            Input::Event(event) => self.event(now, event, &mut outputs),
            Input::Update(status) => self.unacknowledged.update(*status),
            Input::Sent { number } => self.unacknowledged.sent(number),
            Input::NotSent { number } => {
                if self.unacknowledged.not_sent(number) {
                    self.resend_at = Some(now + self.backoff());
                }
            }
            Input::UpdateRefused { number, message } => {
                if let Some(status) = self.unacknowledged.refused(number) {
                    let status = Box::new(status);
                    outputs.push(Output::UpdateRefused { status, message });
                }
            }
            Input::Stop => self.stop(now),
            Input::ShutDown => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.is_shutting_down = false;
                }
            }
            Input::Tick => self.tick(now, &mut outputs),
        }
        self.send(now, &mut outputs);
        self.end(now, &mut outputs);
        outputs
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Now> {
        let own = match &self.phase {
            Phase::Waiting { until } => Some((*until).min(self.recovery_ends())),
            Phase::Connecting => Some(self.recovery_ends()),
            Phase::Subscribed { heartbeat_at, .. } => Some(*heartbeat_at),
            Phase::Lost => None,
            Phase::Over => return None,
        };
        let resend = self
            .resend_at
            .filter(|_| matches!(self.phase, Phase::Subscribed { .. }));
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        let silence = self.silence_ends();
        [own, resend, leaving, silence].into_iter().flatten().min()
    }

    fn recovery_ends(&self) -> Now {
        self.unsubscribed_since + self.config.recovery_timeout
    }

    /// When an agent that sends heartbeats counts as dead.
    fn silence_ends(&self) -> Option<Now> {
        let patience = self.config.heartbeat_interval * self.config.missed_heartbeats;
        match self.phase {
            Phase::Subscribed { heard_at, .. } if self.has_heard_heartbeat => {
                Some(heard_at + patience)
            }
            _ => None,
        }
    }

    fn connect(&mut self, outputs: &mut Vec<Output>) {
        self.phase = Phase::Connecting;
        outputs.push(Output::Connect(Box::new(self.unacknowledged.subscribe())));
    }

    fn subscribed(&mut self, now: Now) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        self.phase = Phase::Subscribed {
            heard_at: now,
            heartbeat_at: now + self.config.heartbeat_interval,
        };
        self.has_heard_heartbeat = false;
        self.resend_at = None;
        self.unacknowledged.subscribed();
    }

    fn disconnected(&mut self, now: Now, reason: String, outputs: &mut Vec<Output>) {
        let was_subscribed = matches!(self.phase, Phase::Subscribed { .. });
        if matches!(self.phase, Phase::Lost) {
            return;
        }
        if was_subscribed {
            self.unsubscribed_since = now;
        }
        self.unacknowledged.disconnected();
        let waited = now.saturating_sub(self.unsubscribed_since);
        if !self.config.is_checkpointing || waited >= self.config.recovery_timeout {
            return self.give_up(now, Error::AgentLost { waited, reason }, outputs);
        }
        let retry_in = self.backoff();
        self.phase = Phase::Waiting {
            until: now + retry_in,
        };
        outputs.push(Output::Disconnected(Disconnect {
            reason,
            retry_in,
            was_subscribed,
        }));
    }

    fn rejected(&mut self, now: Now, status: u16, message: String, outputs: &mut Vec<Output>) {
        let error = match status {
            401 | 403 => Error::Unauthenticated { message },
            400..=499 if !matches!(status, 404 | 408 | 429) => Error::Refused { message },
            // An agent that starts or recovers.
            _ => return self.disconnected(now, format!("status {status}: {message}"), outputs),
        };
        self.give_up(now, error, outputs);
    }

    /// There is no agent any more to run tasks for: the executor shuts them
    /// down and ends.
    fn give_up(&mut self, now: Now, error: Error, outputs: &mut Vec<Output>) {
        self.phase = Phase::Lost;
        outputs.push(Output::Close);
        match &mut self.leaving {
            // It is going anyway.
            Some(leaving) if leaving.is_shutting_down => {}
            Some(leaving) => leaving.error = leaving.error.take().or(Some(error)),
            None => self.shut_down(now, Some(error), outputs),
        }
    }

    fn shut_down(&mut self, now: Now, error: Option<Error>, outputs: &mut Vec<Output>) {
        self.leaving = Some(Leaving {
            until: now + self.config.shutdown_grace_period,
            is_shutting_down: true,
            error,
        });
        outputs.push(Output::Tell(Box::new(Event {
            r#type: Some(event::Type::Shutdown.into()),
            ..Default::default()
        })));
    }

    fn stop(&mut self, now: Now) {
        let until = now + self.config.recovery_timeout;
        let leaving = self.leaving.get_or_insert(Leaving {
            until,
            is_shutting_down: false,
            error: None,
        });
        leaving.is_shutting_down = false;
    }

    fn event(&mut self, now: Now, event: Box<Event>, outputs: &mut Vec<Output>) {
        let Phase::Subscribed { heard_at, .. } = &mut self.phase else {
            return;
        };
        *heard_at = now;
        match event.r#type() {
            event::Type::Heartbeat => self.has_heard_heartbeat = true,
            event::Type::Launch => {
                let task = event.launch.as_ref().map(|launch| &launch.task);
                if task.is_some_and(|task| self.unacknowledged.launched(task)) {
                    outputs.push(Output::Tell(event));
                }
            }
            event::Type::LaunchGroup => {
                let group = event.launch_group.as_ref();
                let tasks = group.map_or(&[][..], |group| &group.task_group.tasks);
                let new = tasks
                    .iter()
                    .filter(|task| self.unacknowledged.launched(task));
                if new.count() > 0 {
                    outputs.push(Output::Tell(event));
                }
            }
            event::Type::Acknowledged => {
                if let Some(acknowledged) = &event.acknowledged {
                    self.acknowledged(&acknowledged.task_id, &acknowledged.uuid);
                    outputs.push(Output::Tell(event));
                }
            }
            event::Type::Shutdown => match &mut self.leaving {
                // It has heard of that.
                Some(leaving) if leaving.is_shutting_down => {}
                _ => self.shut_down(now, None, outputs),
            },
            event::Type::Error => {
                let message = event.error.as_ref().map(|error| error.message.clone());
                let message = message.unwrap_or_default();
                outputs.push(Output::Tell(event));
                self.give_up(now, Error::Agent { message }, outputs);
            }
            event::Type::Kill | event::Type::Message => outputs.push(Output::Tell(event)),
            // Something newer than this SDK, or SUBSCRIBED once more.
            event::Type::Unknown | event::Type::Subscribed => {}
        }
    }

    fn acknowledged(&mut self, task_id: &v1::TaskId, uuid: &Bytes) {
        self.unacknowledged.acknowledged(task_id, uuid);
    }

    fn tick(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.resend_at = None;
        }
        if self.silence_ends().is_some_and(|at| at <= now) {
            let reason = "no heartbeat came in time".to_owned();
            return self.disconnected(now, reason, outputs);
        }
        let interval = self.config.heartbeat_interval;
        let recovery_ends = self.recovery_ends();
        match &mut self.phase {
            Phase::Waiting { .. } | Phase::Connecting if recovery_ends <= now => {
                let reason = "the agent did not come back in time".to_owned();
                self.disconnected(now, reason, outputs);
            }
            Phase::Waiting { until } if *until <= now => self.connect(outputs),
            Phase::Subscribed { heartbeat_at, .. } if *heartbeat_at <= now => {
                *heartbeat_at = now + interval;
                outputs.push(Output::Heartbeat);
            }
            _ => {}
        }
    }

    /// After every input: what can be sent is sent.
    fn send(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let is_waiting = self.resend_at.is_some_and(|at| at > now);
        if is_waiting || !matches!(self.phase, Phase::Subscribed { .. }) {
            return;
        }
        while let Some((number, status)) = self.unacknowledged.next() {
            let status = Box::new(status);
            outputs.push(Output::Send { number, status });
        }
    }

    /// After every input: whether there is nothing left to wait for.
    fn end(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        let open = self.unacknowledged.updates();
        let is_done = !leaving.is_shutting_down && (open == 0 || matches!(self.phase, Phase::Lost));
        let is_late = leaving.until <= now;
        if !is_done && !is_late {
            return;
        }
        let result = match leaving.error.take() {
            Some(error) => Err(error),
            None if !is_done && !leaving.is_shutting_down => {
                Err(Error::Unacknowledged { count: open })
            }
            None => Ok(()),
        };
        self.phase = Phase::Over;
        outputs.push(Output::End(result));
    }

    /// Drawn anew each time, so that the executors of an agent do not come back
    /// all at once.
    fn backoff(&mut self) -> Duration {
        self.config.subscription_backoff_max * self.random.below(1000) / 1000
    }
}

#[cfg(test)]
mod tests;
