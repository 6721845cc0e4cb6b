//! One way of telling.

use async_trait::async_trait;

use super::Notification;

/// Where notifications go.
#[async_trait]
pub(super) trait Channel: Send + Sync {
    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// A notification as the messages that are delivered one by one.
    fn split(&self, notification: &Notification) -> Vec<Notification>;

    /// Delivers one.
    async fn deliver(&self, notification: &Notification) -> Result<(), DeliveryError>;
}

/// Why a message was not delivered. Neither holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DeliveryError {
    /// It may go better later.
    #[error("{0}")]
    Later(String),
    /// It will never be.
    #[error("{0}")]
    Refused(String),
}
