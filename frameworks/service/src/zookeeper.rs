//! A session with ZooKeeper, for the store and the election alike.

use std::time::Duration;

use mesos_sdk::address::{AddressError, HostAddress, ZooKeeperAddress};
use zookeeper_client as zk;

/// How sessions are made.
#[derive(Debug, Clone)]
pub struct ZooKeeperConfig {
    /// The ensemble and the path under which everything is kept.
    pub address: ZooKeeperAddress,
    /// How long the ensemble keeps what is bound to a session that it does not
    /// hear of.
    pub session_timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

impl ZooKeeperConfig {
    /// Ten seconds for each, as the originals have it.
    #[must_use]
    pub fn new(address: ZooKeeperAddress) -> Self {
        Self {
            address,
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// Reads `zk://[user:password@]host[:port],../path`.
    ///
    /// # Errors
    ///
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("zk://") {
            Some(rest) => rest.parse().map(Self::new),
            None => Err(AddressError::Scheme {
                scheme: text.split(':').next().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// When no server of the ensemble answers in time.
    pub async fn connect(&self) -> Result<Session, ConnectError> {
        let servers = self.address.servers.iter();
        let servers: Vec<String> = servers
            .map(|(host, port)| HostAddress::http(host, *port).authority())
            .collect();
        let mut connector = zk::Client::connector().with_session_timeout(self.session_timeout);
        if let Some((user, password)) = &self.address.credentials {
            connector = connector.with_auth("digest", format!("{user}:{password}").as_bytes());
        }
        let failed = |reason: String| ConnectError {
            address: self.address.to_string(),
            reason,
        };
        let servers = servers.join(",");
        let connecting = tokio::time::timeout(self.connect_timeout, connector.connect(&servers));
        let client = match connecting.await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => {
                let limit = self.connect_timeout;
                return Err(failed(format!("no server answered within {limit:?}")));
            }
        };
        Ok(Session {
            client,
            address: self.address.clone(),
            session_timeout: self.session_timeout,
        })
    }
}

/// The ensemble cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {reason}")]
#[non_exhaustive]
pub struct ConnectError {
    /// Which ensemble, without the password.
    pub address: String,
    /// Why.
    pub reason: String,
}

/// A session. Clones share it; it is closed with the last of them, and what is
/// bound to it goes then.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) client: zk::Client,
    pub(crate) address: ZooKeeperAddress,
    pub(crate) session_timeout: Duration,
}

impl Session {
    /// Whether the session can still be used.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.client.state().is_terminated()
    }

    /// Who may read and write what is made: everybody, or with credentials
    /// their owner alone.
    pub(crate) fn acls(&self) -> zk::Acls<'static> {
        match self.address.credentials {
            None => zk::Acls::anyone_all(),
            Some(_) => zk::Acls::creator_all(),
        }
    }

    /// Returns when the session is over, or was out of touch for so long that
    /// another may have taken over.
    pub(crate) async fn over(&self) {
        let mut states = self.client.state_watcher();
        loop {
            match states.peek_state() {
                state if state.is_terminated() => return,
                zk::SessionState::Disconnected => {
                    let back = tokio::time::timeout(self.session_timeout, states.changed());
                    if back.await.is_err() {
                        return;
                    }
                }
                _ => {
                    states.changed().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_are_not_shown() {
        let config = ZooKeeperConfig::parse("zk://me:secret@a,b:3/x/y").unwrap();
        assert_eq!(config.address.path, "/x/y");
        assert!(!format!("{config:?}").contains("secret"));
        for wrong in ["a:2181/x", "zk://a", "http://a/x"] {
            assert!(ZooKeeperConfig::parse(wrong).is_err(), "{wrong}");
        }
    }
}
