//! The errors of the driver and of calls, by what the caller can do about them.

use std::time::Duration;

use mesos_proto::v1;

/// Whatever a scheduler's methods fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a driver stopped or could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The master's address cannot be used as it is.
    #[error("cannot use the master's address: {reason}")]
    Address {
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// No subscription within the time that was given.
    #[error("no subscription within {waited:?}: {reason}")]
    NotReached {
        /// How long was tried.
        waited: Duration,
        /// The last failure.
        reason: String,
    },
    /// The master has removed the framework: its id is used up. A new framework
    /// can be registered.
    #[error("framework {framework_id} has been removed: {message}")]
    Removed {
        /// The id that cannot be used any more.
        framework_id: String,
        /// The master's words.
        message: String,
    },
    /// Another scheduler has subscribed with the same framework id.
    #[error("another scheduler took over framework {framework_id}")]
    FailedOver {
        /// The framework.
        framework_id: String,
    },
    /// The master refuses the framework as it is: role, capabilities, principal;
    /// or an operator's subscription.
    #[error("the master refuses the subscription: {message}")]
    Refused {
        /// The master's words.
        message: String,
    },
    /// The master refuses the credentials, or asks for some.
    #[error("the master does not accept the credentials: {message}")]
    Unauthenticated {
        /// The master's words, with the realm it asked for.
        message: String,
    },
    /// A method of the scheduler returned an error. The update it was given, if
    /// any, is not acknowledged; nothing was torn down.
    #[error("the scheduler failed in `{method}`")]
    Scheduler {
        /// Which method.
        method: &'static str,
        /// Its error.
        source: BoxError,
    },
}

impl Error {
    /// Whether running the driver again, unchanged, may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotReached { .. } | Self::Scheduler { .. })
    }
}

/// Why a call had no effect, or why that is not known.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no subscription now; nothing was sent.
    #[error("{call} was not sent: the framework is not subscribed")]
    NotSubscribed {
        /// The call's type.
        call: &'static str,
    },
    /// The subscription to which the call belongs has ended; it had no effect.
    #[error("{call} had no effect: its subscription has ended")]
    SessionLost {
        /// The call's type.
        call: &'static str,
    },
    /// The offer was rescinded; nothing was sent.
    #[error("offer {offer_id} was rescinded")]
    Rescinded {
        /// The offer.
        offer_id: String,
    },
    /// The master refused the call; it had no effect.
    #[error("the master refused {call} with status {status}: {message}")]
    Refused {
        /// The call's type.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The master's words.
        message: String,
    },
    /// The master could not be reached; nothing was sent.
    #[error("{call} was not sent: {reason}")]
    Unsent {
        /// The call's type.
        call: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The call was cut off: reconciliation tells whether it had an effect.
    #[error("whether {call} had an effect is not known: {reason}")]
    Unknown {
        /// The call's type.
        call: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl CallError {
    /// Whether the call has certainly had no effect.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// Whether the same call may go through later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Rescinded { .. } | Self::Refused { .. })
    }
}

/// The name of a call's type, for messages and metrics.
pub(crate) fn call_name(call: &v1::scheduler::Call) -> &'static str {
    call.r#type().as_str_name()
}
