//! A request whose body has arrived.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::{Parameters, Query, Response, accepts};

/// What a client asks.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it wants done.
    pub method: Method,
    /// The path as it was sent, still percent-encoded.
    pub path: String,
    /// What followed the question mark.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Bytes,
    /// Whence it came: the client, or the last proxy.
    pub remote: SocketAddr,
    /// Whether it came by TLS.
    pub is_https: bool,
    /// Who was authenticated, where that is asked.
    pub user: Option<String>,
    /// What the [`Router`](super::Router) found in the path.
    pub parameters: Parameters,
    /// The connection it came on.
    pub connection: Connection,
}

impl Request {
    /// A parameter of the path, decoded; empty where the pattern has none of
    /// the name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// The answer 400 with what is wrong and where, when it is none. The type
    /// should be one that takes all JSON of its kind; what the fields may be is
    /// better checked afterwards, with better messages.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Response> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let details = serde_json::Value::String(error.to_string());
            Response::error_with(StatusCode::BAD_REQUEST, "Invalid JSON", &details)
        })
    }

    /// The first of some media types that the client takes.
    #[must_use]
    pub fn accepts<'a>(&self, offered: &[&'a str]) -> Option<&'a str> {
        accepts(&self.headers, offered)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client's connection.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<Notify>);

impl Connection {
    /// Ends the connection at once, whatever it is doing.
    pub fn cut(&self) {
        self.0.notify_one();
    }

    pub(super) async fn wait_until_cut(&self) {
        self.0.notified().await;
    }
}
