//! Telling people and programs what became of jobs: mail, Slack, Mattermost and
//! HTTP callbacks. What is worth telling is the engine's affair.
//!
//! Each way of telling has a queue of its own, with an end: when one is full,
//! what comes is dropped and said so in the log, and nobody waits. What could not
//! be delivered is tried again later each time, a few times; what was refused for
//! good is not. A message may arrive twice where its answer was lost.

mod channel;
mod config;
mod courier;
mod mail;
mod webhook;

pub use config::{Endpoint, MailConfig, MailTls, NotifyConfig, NotifyConfigError, Secret};
pub use courier::{Counts, Notifier};

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What it is about, in one word, as `failed`.
    pub kind: &'static str,
    /// Mail addresses of those it is for.
    pub owners: Vec<String>,
    /// One line.
    pub subject: String,
    /// All there is to say.
    pub message: String,
    /// What callbacks are told of the job besides, as fields of their JSON.
    pub facts: Vec<(&'static str, String)>,
}

#[cfg(test)]
mod tests;
