//! Queues, and who empties them: one task for each way of telling.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::channel::{Channel, DeliveryError};
use super::mail::Mail;
use super::webhook::{Reader, Webhook};
use super::{Notification, NotifyConfig, NotifyConfigError};

/// Takes notifications and sees to their delivery.
#[derive(Debug)]
pub struct Notifier {
    queues: Vec<Queue>,
    couriers: JoinSet<()>,
    counters: Arc<Counters>,
}

struct Queue {
    channel: Arc<dyn Channel>,
    messages: mpsc::Sender<Notification>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("channel", &self.channel.name())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// How many messages there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Those that were delivered.
    pub delivered: u64,
    /// Those that were given up.
    pub failed: u64,
    /// Those that found a queue full.
    pub dropped: u64,
}

/// How often and how patiently messages are tried.
#[derive(Debug, Clone, Copy)]
struct Patience {
    attempts: u32,
    first_delay: Duration,
    longest_delay: Duration,
    timeout: Duration,
}

impl Notifier {
    /// Starts a task for each way of telling there is; it must be called inside
    /// a runtime.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used as it is configured.
    pub fn start(config: &NotifyConfig) -> Result<Self, NotifyConfigError> {
        let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
        if let Some(mail) = &config.mail {
            channels.push(Arc::new(Mail::new(mail, config)?));
        }
        let (slack, mattermost) = (config.slack.clone(), config.mattermost.clone());
        let webhooks = [
            (Reader::Slack, slack.map(|endpoint| (endpoint, None))),
            (
                Reader::Mattermost,
                mattermost.map(|endpoint| (endpoint, None)),
            ),
            (Reader::Program, config.callback.clone()),
        ];
        for (reader, target) in webhooks {
            if let Some((endpoint, credentials)) = target {
                channels.push(Arc::new(Webhook::new(
                    reader,
                    endpoint,
                    credentials,
                    config,
                )));
            }
        }
        let patience = Patience {
            attempts: config.attempts.max(1),
            first_delay: config.first_delay,
            longest_delay: config.longest_delay,
            timeout: config.timeout,
        };
        let counters = Arc::new(Counters::default());
        let mut couriers = JoinSet::new();
        let mut queues = Vec::new();
        for channel in channels {
            let (messages, waiting) = mpsc::channel(config.queue_length.max(1));
            let courier = deliver_all(channel.clone(), waiting, patience, counters.clone());
            couriers.spawn(courier);
            queues.push(Queue { channel, messages });
        }
        Ok(Self {
            queues,
            couriers,
            counters,
        })
    }

    /// Queues a notification for each way of telling, and returns at once.
    pub fn notify(&self, notification: &Notification) {
        for Queue { channel, messages } in &self.queues {
            for message in channel.split(notification) {
                if messages.try_send(message).is_err() {
                    self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        channel = channel.name(),
                        subject = notification.subject,
                        "notification dropped: too many wait"
                    );
                }
            }
        }
    }

    /// How many messages there were until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Counters {
            delivered,
            failed,
            dropped,
        } = &*self.counters;
        Counts {
            delivered: delivered.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
        }
    }

    /// Takes no more, and waits so long for what is queued to be delivered.
    pub async fn stop(mut self, patience: Duration) {
        self.queues.clear();
        let all = async { while self.couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("notifications were not delivered before the end");
        }
    }
}

async fn deliver_all(
    channel: Arc<dyn Channel>,
    mut messages: mpsc::Receiver<Notification>,
    patience: Patience,
    counters: Arc<Counters>,
) {
    while let Some(message) = messages.recv().await {
        let counter = match deliver(&*channel, &message, patience).await {
            Ok(()) => &counters.delivered,
            Err(error) => {
                tracing::warn!(
                    channel = channel.name(),
                    subject = message.subject,
                    %error,
                    "notification not delivered"
                );
                &counters.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tries until it goes well, is refused for good, or was tried often enough.
async fn deliver(
    channel: &dyn Channel,
    message: &Notification,
    patience: Patience,
) -> Result<(), DeliveryError> {
    let mut delay = patience.first_delay;
    for attempt in 1.. {
        let delivered = tokio::time::timeout(patience.timeout, channel.deliver(message)).await;
        let failed = match delivered {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => DeliveryError::Later(format!("no answer within {:?}", patience.timeout)),
        };
        let is_last = attempt >= patience.attempts;
        if is_last || matches!(failed, DeliveryError::Refused(_)) {
            return Err(failed);
        }
        tracing::info!(
            channel = channel.name(),
            subject = message.subject,
            attempt,
            error = %failed,
            "notification is tried again in {delay:?}"
        );
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(patience.longest_delay);
    }
    unreachable!("attempts are counted up to their limit")
}
