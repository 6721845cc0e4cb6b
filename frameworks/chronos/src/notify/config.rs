//! Whom to tell and how, and where the secrets of that are.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::address::HostAddress;
use mesos_sdk::credentials::Credentials;

/// Which ways of telling there are; each may be missing.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// Mail to the owners of a job.
    pub mail: Option<MailConfig>,
    /// Slack's incoming webhook.
    pub slack: Option<Endpoint>,
    /// Mattermost's.
    pub mattermost: Option<Endpoint>,
    /// A program that takes JSON by POST, and who we are to it.
    pub callback: Option<(Endpoint, Option<Credentials>)>,
    /// How many messages wait for each of them.
    pub queue_length: usize,
    /// How often each is tried.
    pub attempts: u32,
    /// How long after the first failure; each next wait is twice as long.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            mail: None,
            slack: None,
            mattermost: None,
            callback: None,
            queue_length: 1000,
            attempts: 8,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(120),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Its name.
    pub host: String,
    /// Its port; nothing for the usual one, with or without TLS.
    pub port: Option<u16>,
    /// Whom mail is from.
    pub from: String,
    /// User and password, if it asks for them.
    pub credentials: Option<(String, Secret)>,
    /// Whether it is spoken to in private.
    pub tls: MailTls,
    /// A file of PEM certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Whether a mail server is spoken to in private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte on.
    Always,
    /// When the server offers it; else all of it is for everybody to read, a
    /// password too.
    IfOffered,
}

impl MailConfig {
    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    ///
    /// When that is neither.
    pub fn at(server: &str, from: &str, tls: MailTls) -> Result<Self, NotifyConfigError> {
        let (host, port) = host_and_port(server).ok_or_else(|| NotifyConfigError::MailServer {
            server: server.to_owned(),
        })?;
        from.parse::<lettre::message::Mailbox>()
            .map_err(|_| NotifyConfigError::MailFrom {
                from: from.to_owned(),
            })?;
        Ok(Self {
            host: host.to_owned(),
            port,
            from: from.to_owned(),
            credentials: None,
            tls,
            ca_file: None,
        })
    }
}

/// Something that nobody should read in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A URL of which only the server may be shown: what follows it is often a
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(super) server: HostAddress,
    pub(super) path: Secret,
}

impl Endpoint {
    /// Reads an `http` or `https` URL.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without showing the URL.
    pub fn parse(url: &str) -> Result<Self, NotifyConfigError> {
        let wrong = |reason| NotifyConfigError::Url { reason };
        let (is_https, rest) = match url.trim().split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(wrong("begins with neither https:// nor http://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(wrong(
                "holds a user and a password, which have a flag of their own",
            ));
        }
        let (host, port) = host_and_port(authority).ok_or_else(|| wrong("names no server"))?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("has a path with characters that need an escape"));
        }
        let path = if path.starts_with('?') {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            server: HostAddress {
                is_https,
                host: host.to_owned(),
                port: port.unwrap_or(if is_https { 443 } else { 80 }),
            },
            path: Secret::new(path),
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/***", self.server)
    }
}

/// `host`, `host:port` or `[address]:port`.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = match rest {
                "" => None,
                _ => Some(rest.strip_prefix(':')?),
            };
            return Some((host, port.map(str::parse).transpose().ok()?));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_host = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    is_host.then_some(())?;
    Some((host, port.map(str::parse).transpose().ok()?))
}

/// What cannot be used for telling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyConfigError {
    /// A URL, which is not shown.
    #[error("the URL {reason}; https://host/path is expected")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A mail server.
    #[error("mail server '{server}' is neither host nor host:port")]
    MailServer {
        /// As written.
        server: String,
    },
    /// The sender of mail.
    #[error("'{from}' is no mail address, as chronos@example.org is")]
    MailFrom {
        /// As written.
        from: String,
    },
    /// Certificates to trust.
    #[error("cannot use the certificates in {path}: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// What went wrong.
        reason: String,
    },
}
