//! The life of a subscription, as logic without io: when to connect and where,
//! when a silent master is given up, how long to wait before the next try,
//! what ends the framework.
//!
//! The driver's connector steps it; anybody who writes a loop of their own over
//! [`client`](crate::client) can do so too.

use std::time::Duration;

use mesos_proto::v1;

use crate::address::HostAddress;
use crate::error::Error;
use crate::random::Random;

/// Time since some fixed moment.
pub type Now = Duration;

/// Assumed when a master does not say how often it sends heartbeats
/// (`src/master/constants.hpp`).
pub const DEFAULT_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The wait before the second try; it doubles from then on.
    pub shortest_backoff: Duration,
    /// The longest wait between two tries.
    pub longest_backoff: Duration,
    /// After how many missed heartbeats a connection counts as dead
    /// (`docs/scheduler-http-api.md`, "Events", HEARTBEAT: five).
    pub missed_heartbeats: u32,
    /// How long one SUBSCRIBE may go without its answer before the next.
    pub subscribe_timeout: Duration,
    /// How long to go on without a subscription; for ever when absent.
    pub connect_timeout: Option<Duration>,
    /// How many redirects in a row are followed.
    pub max_redirects: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            shortest_backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(30),
            missed_heartbeats: 5,
            subscribe_timeout: Duration::from_secs(60),
            connect_timeout: None,
            max_redirects: 5,
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// The session is to begin.
    Start,
    /// No stream could be opened.
    NotOpened {
        /// Why.
        reason: String,
    },
    /// Another master leads.
    Redirected {
        /// Where it is.
        to: HostAddress,
    },
    /// The master answers that the request as such is wrong, or who sends it.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The body.
        message: String,
    },
    /// SUBSCRIBED arrived.
    Subscribed {
        /// The framework's id. A subscription of an operator has none.
        framework_id: Option<v1::FrameworkId>,
        /// How often the master will say that it lives.
        heartbeat_interval: Option<Duration>,
    },
    /// Any other event arrived.
    Heard,
    /// ERROR arrived.
    ErrorEvent {
        /// Its message.
        message: String,
    },
    /// The stream has ended or broken.
    Ended {
        /// Why.
        reason: String,
    },
    /// Another master leads, as ZooKeeper says.
    LeaderChanged,
    /// The time of [`Session::wake_at`] has come.
    Tick,
}

/// What to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Close the stream if there is one, then connect: to this master, or to
    /// whichever the detector names.
    Connect {
        /// Where a redirect leads.
        to: Option<HostAddress>,
    },
    /// The framework is subscribed.
    Subscribed,
    /// The subscription is lost, or was not to be had; close the stream if
    /// there is one. Another try follows.
    Disconnected(Disconnect),
    /// There is nothing more to try.
    Fail(Error),
}

/// Why there is no subscription, and when the next try is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnect {
    /// In words.
    pub reason: String,
    /// How long until the next try.
    pub retry_in: Duration,
    /// Whether there had been a subscription.
    pub was_subscribed: bool,
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The state of one framework's subscription.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    framework_id: Option<v1::FrameworkId>,
    /// Tries in a row that failed.
    failures: u32,
    redirects: u32,
    /// Since when there has been no subscription.
    unsubscribed_since: Now,
    /// What went wrong last.
    last_failure: String,
    random: Random,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Now },
    Connecting { until: Now },
    Subscribed { dead_at: Now, patience: Duration },
    Failed,
}

impl Session {
    /// A session of a framework that has `framework_id` if it had one before.
    /// The seed makes the jitter of the waits.
    #[must_use]
    pub fn new(
        config: SessionConfig,
        framework_id: Option<v1::FrameworkId>,
        seed: u64,
        now: Now,
    ) -> Self {
        Self {
            config,
            phase: Phase::Waiting { until: now },
            framework_id,
            failures: 0,
            redirects: 0,
            unsubscribed_since: now,
            last_failure: "the master did not answer".to_owned(),
            random: Random::new(seed),
        }
    }

    /// The framework's id, once it has one.
    #[must_use]
    pub fn framework_id(&self) -> Option<&v1::FrameworkId> {
        self.framework_id.as_ref()
    }

    /// Reacts to one input.
    pub fn step(&mut self, now: Now, input: Input) -> Option<Output> {
        match input {
            Input::Start => self.connect(now, None),
            Input::NotOpened { reason } | Input::Ended { reason } => self.lost(now, reason),
            Input::Redirected { to } => self.redirected(now, to),
            Input::Rejected { status, message } => self.rejected(now, status, message),
            Input::Subscribed {
                framework_id,
                heartbeat_interval,
            } => Some(self.subscribed(now, framework_id, heartbeat_interval)),
            Input::Heard => {
                if let Phase::Subscribed { dead_at, patience } = &mut self.phase {
                    *dead_at = now + *patience;
                }
                None
            }
            Input::ErrorEvent { message } => self.error_event(now, message),
            Input::LeaderChanged => match self.phase {
                Phase::Failed => None,
                Phase::Subscribed { .. } => self.lost(now, "another master leads".to_owned()),
                Phase::Waiting { .. } | Phase::Connecting { .. } => self.connect(now, None),
            },
            Input::Tick => self.tick(now),
        }
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Now> {
        let give_up = self
            .config
            .connect_timeout
            .map(|timeout| self.unsubscribed_since + timeout);
        match &self.phase {
            Phase::Waiting { until } | Phase::Connecting { until } => {
                Some(give_up.map_or(*until, |at| at.min(*until)))
            }
            Phase::Subscribed { dead_at, .. } => Some(*dead_at),
            Phase::Failed => None,
        }
    }

    fn connect(&mut self, now: Now, to: Option<HostAddress>) -> Option<Output> {
        self.phase = Phase::Connecting {
            until: now + self.config.subscribe_timeout,
        };
        Some(Output::Connect { to })
    }

    fn subscribed(
        &mut self,
        now: Now,
        framework_id: Option<v1::FrameworkId>,
        heartbeat_interval: Option<Duration>,
    ) -> Output {
        let interval = heartbeat_interval.unwrap_or(DEFAULT_HEARTBEAT_INTERVAL);
        let patience = interval * self.config.missed_heartbeats;
        self.framework_id = framework_id.or(self.framework_id.take());
        self.failures = 0;
        self.redirects = 0;
        self.phase = Phase::Subscribed {
            dead_at: now + patience,
            patience,
        };
        Output::Subscribed
    }

    fn lost(&mut self, now: Now, reason: String) -> Option<Output> {
        let was_subscribed = matches!(self.phase, Phase::Subscribed { .. });
        if matches!(self.phase, Phase::Failed) {
            return None;
        }
        if was_subscribed {
            self.unsubscribed_since = now;
        }
        self.redirects = 0;
        self.last_failure.clone_from(&reason);
        if let Some(error) = self.given_up(now) {
            return Some(Output::Fail(error));
        }
        let retry_in = self.next_backoff();
        self.phase = Phase::Waiting {
            until: now + retry_in,
        };
        Some(Output::Disconnected(Disconnect {
            reason,
            retry_in,
            was_subscribed,
        }))
    }

    fn given_up(&mut self, now: Now) -> Option<Error> {
        let timeout = self.config.connect_timeout?;
        let waited = now.saturating_sub(self.unsubscribed_since);
        (waited >= timeout).then(|| {
            self.phase = Phase::Failed;
            Error::NotReached {
                waited: timeout,
                reason: self.last_failure.clone(),
            }
        })
    }

    fn redirected(&mut self, now: Now, to: HostAddress) -> Option<Output> {
        self.redirects += 1;
        if self.redirects > self.config.max_redirects {
            return self.lost(now, format!("too many redirects, the last one to {to}"));
        }
        self.connect(now, Some(to))
    }

    fn rejected(&mut self, now: Now, status: u16, message: String) -> Option<Output> {
        let error = match status {
            401 | 403 => Error::Unauthenticated { message },
            400..=499 if !matches!(status, 404 | 408 | 429) => Error::Refused { message },
            // A master that is starting up, is busy or has no leader to name.
            _ => return self.lost(now, format!("status {status}: {message}")),
        };
        self.phase = Phase::Failed;
        Some(Output::Fail(error))
    }

    fn error_event(&mut self, now: Now, message: String) -> Option<Output> {
        let framework_id = self
            .framework_id
            .as_ref()
            .map_or_else(|| "?".to_owned(), |id| id.value.clone());
        let was_subscribed = matches!(self.phase, Phase::Subscribed { .. });
        let error = if message.starts_with("Framework has been removed") {
            Error::Removed {
                framework_id,
                message,
            }
        } else if message.starts_with("Framework failed over") {
            Error::FailedOver { framework_id }
        } else if was_subscribed {
            return self.lost(now, message);
        } else {
            Error::Refused { message }
        };
        self.phase = Phase::Failed;
        Some(Output::Fail(error))
    }

    fn tick(&mut self, now: Now) -> Option<Output> {
        match self.phase {
            Phase::Waiting { until } => match self.given_up(now) {
                Some(error) => Some(Output::Fail(error)),
                None if until <= now => self.connect(now, None),
                None => None,
            },
            Phase::Connecting { until } => match self.given_up(now) {
                Some(error) => Some(Output::Fail(error)),
                None if until <= now => self.lost(now, "SUBSCRIBE was not answered".to_owned()),
                None => None,
            },
            Phase::Subscribed { dead_at, .. } if dead_at <= now => {
                self.lost(now, "no heartbeat came in time".to_owned())
            }
            Phase::Subscribed { .. } | Phase::Failed => None,
        }
    }

    /// Doubles from try to try, with a jitter so that the frameworks of a
    /// cluster do not come back all at once.
    fn next_backoff(&mut self) -> Duration {
        let doubled = self
            .config
            .shortest_backoff
            .saturating_mul(1 << self.failures.min(20));
        self.failures += 1;
        let longest = doubled.min(self.config.longest_backoff);
        // Half of the wait is certain, half is drawn.
        longest / 2 + longest * self.random.below(1000) / 2000
    }
}

#[cfg(test)]
mod tests;
