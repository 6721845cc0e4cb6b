//! HTTP/1.1 to masters and agents: pooled connections for calls, a connection
//! of its own for each stream, plain, TLS or through a Unix domain socket.
//! Knows nothing of Mesos.

mod body;
mod connect;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::header::{HOST, HeaderMap};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use crate::address::HostAddress;
use body::RequestBody;
pub use body::{BodySender, Upload};
use connect::Connector;
pub use connect::TlsConfig;

/// Idle connections kept for each server. Opening one costs more than a call.
const IDLE_CONNECTIONS: usize = 32;

/// How requests are made.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long a request that is not a stream may take.
    pub request_timeout: Duration,
    /// The largest body of a response that is not a stream, in bytes.
    pub max_response_bytes: usize,
    /// How `https` servers are trusted.
    pub tls: TlsConfig,
    /// A Unix domain socket through which every server is reached, whatever its
    /// host and port.
    pub unix_socket: Option<PathBuf>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_response_bytes: 1 << 30,
            tls: TlsConfig::default(),
            unix_socket: None,
        }
    }
}

/// Makes requests. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Transport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: TransportConfig,
    connector: Connector,
    idle: Mutex<HashMap<HostAddress, Vec<SendRequest<RequestBody>>>>,
}

/// A request that got no response.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection: nothing was sent.
    #[error("cannot connect to {server}: {reason}")]
    Connect {
        /// `host:port`.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// The connection broke. Whether the server acted on the request is not
    /// known.
    #[error("the connection to {server} broke: {reason}")]
    Broken {
        /// `host:port`.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// No answer in time. Whether the server acted on the request is not known.
    #[error("no answer from {server} within {timeout:?}")]
    Timeout {
        /// `host:port`.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The response is larger than the limit.
    #[error("the answer of {server} is larger than {limit} bytes")]
    TooLarge {
        /// `host:port`.
        server: String,
        /// The limit.
        limit: usize,
    },
    /// The request itself cannot be sent.
    #[error("bad request to {server}: {reason}")]
    Request {
        /// `host:port`.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set TLS up: {reason}")]
    Tls {
        /// What went wrong.
        reason: String,
    },
}

impl Error {
    /// Whether the same request may go through later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Broken { .. } | Self::Timeout { .. }
        )
    }

    /// Whether the server has certainly not seen the request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        !matches!(
            self,
            Self::Broken { .. } | Self::Timeout { .. } | Self::TooLarge { .. }
        )
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// The body as text, cut to what fits a message.
    #[must_use]
    pub fn text(&self) -> String {
        const LONGEST: usize = 2000;
        let end = self.body.len().min(LONGEST);
        String::from_utf8_lossy(&self.body[..end]).trim().to_owned()
    }
}

/// A response whose body is read as it comes.
#[derive(Debug)]
pub struct StreamResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: BodyStream,
}

/// The body of a stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct BodyStream {
    body: Incoming,
    server: String,
    /// Keeps the connection open while the body is read.
    _sender: SendRequest<RequestBody>,
}

impl BodyStream {
    /// The next bytes, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => {
                    return Some(Err(Error::Broken {
                        server: self.server.clone(),
                        reason: connect::reason(&error),
                    }));
                }
            }
        }
    }

    /// The whole body, for responses that turn out to be no streams.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the body is larger than `limit`.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await {
            whole.extend_from_slice(&chunk?);
            if whole.len() > limit {
                return Err(Error::TooLarge {
                    server: self.server,
                    limit,
                });
            }
        }
        Ok(whole.freeze())
    }

    /// The chunks as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        futures::stream::unfold(self, |mut body| async move {
            body.chunk().await.map(|chunk| (chunk, body))
        })
    }
}

impl Transport {
    /// A transport. TLS is set up when the first `https` server is spoken to.
    #[must_use]
    pub fn new(config: TransportConfig) -> Self {
        let connector = Connector::new(&config);
        Self(Arc::new(Inner {
            config,
            connector,
            idle: Mutex::new(HashMap::new()),
        }))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &TransportConfig {
        &self.0.config
    }

    /// Sends a POST and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no response; a response of any status is `Ok`.
    pub async fn post(
        &self,
        server: &HostAddress,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Error> {
        self.request(server, Method::POST, path, headers, body)
            .await
    }

    /// Sends a GET and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no response; a response of any status is `Ok`.
    pub async fn get(
        &self,
        server: &HostAddress,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Response, Error> {
        self.request(server, Method::GET, path, headers, Bytes::new())
            .await
    }

    async fn request(
        &self,
        server: &HostAddress,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Error> {
        let timeout = self.0.config.request_timeout;
        let whole = self.request_untimed(server, method, path, headers, body);
        match tokio::time::timeout(timeout, whole).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout {
                server: server.authority(),
                timeout,
            }),
        }
    }

    async fn request_untimed(
        &self,
        server: &HostAddress,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Error> {
        loop {
            let body = RequestBody::whole(body.clone());
            let request = request(server, &method, path, &headers, body)?;
            let (mut sender, is_fresh) = match self.idle(server).await {
                Some(sender) => (sender, false),
                None => (self.0.connector.connect(server).await?, true),
            };
            match sender.send_request(request).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    let body = self.collect(server, body).await?;
                    self.keep(server, sender);
                    return Ok(Response {
                        status: parts.status,
                        headers: parts.headers,
                        body,
                    });
                }
                // An idle connection that was closed meanwhile: the request was
                // not sent, so another connection is tried.
                Err(error) if !is_fresh && error.is_canceled() => {}
                Err(error) => {
                    return Err(Error::Broken {
                        server: server.authority(),
                        reason: connect::reason(&error),
                    });
                }
            }
        }
    }

    async fn collect(&self, server: &HostAddress, mut body: Incoming) -> Result<Bytes, Error> {
        let limit = self.0.config.max_response_bytes;
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::Broken {
                server: server.authority(),
                reason: connect::reason(&error),
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + data.len() + first.as_ref().map_or(0, Bytes::len) > limit {
                return Err(Error::TooLarge {
                    server: server.authority(),
                    limit,
                });
            }
            if first.is_none() && whole.is_empty() {
                first = Some(data);
            } else {
                if let Some(first) = first.take() {
                    whole.extend_from_slice(&first);
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    }

    /// Sends a POST on a connection of its own and gives the response before
    /// its body. The time until the response begins is limited, the time of the
    /// body is not.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no response.
    pub async fn open_stream(
        &self,
        server: &HostAddress,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<StreamResponse, Error> {
        let request = request(
            server,
            &Method::POST,
            path,
            &headers,
            RequestBody::whole(body),
        )?;
        self.stream(server, request).await
    }

    /// The same for a GET.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no response.
    pub async fn open_download(
        &self,
        server: &HostAddress,
        path: &str,
        headers: HeaderMap,
    ) -> Result<StreamResponse, Error> {
        let body = RequestBody::whole(Bytes::new());
        let request = request(server, &Method::GET, path, &headers, body)?;
        self.stream(server, request).await
    }

    async fn stream(
        &self,
        server: &HostAddress,
        request: Request<RequestBody>,
    ) -> Result<StreamResponse, Error> {
        let mut sender = self.0.connector.connect(server).await?;
        let timeout = self.0.config.request_timeout;
        let response = tokio::time::timeout(timeout, sender.send_request(request))
            .await
            .map_err(|_| Error::Timeout {
                server: server.authority(),
                timeout,
            })?
            .map_err(|error| Error::Broken {
                server: server.authority(),
                reason: connect::reason(&error),
            })?;
        let (parts, body) = response.into_parts();
        Ok(StreamResponse {
            status: parts.status,
            headers: parts.headers,
            body: BodyStream {
                body,
                server: server.authority(),
                _sender: sender,
            },
        })
    }

    /// Sends a POST whose body is written bit by bit, on a connection of its
    /// own. The response is waited for with [`Upload::response`], for as long as
    /// it takes.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no connection.
    pub async fn upload(
        &self,
        server: &HostAddress,
        path: &str,
        headers: HeaderMap,
    ) -> Result<(BodySender, Upload), Error> {
        let (sender, body) = RequestBody::written();
        let request = request(server, &Method::POST, path, &headers, body)?;
        let mut connection = self.0.connector.connect(server).await?;
        let server = server.authority();
        let limit = self.0.config.max_response_bytes;
        let response = async move {
            let broken = |error: hyper::Error| Error::Broken {
                server: server.clone(),
                reason: connect::reason(&error),
            };
            let response = connection.send_request(request).await.map_err(broken)?;
            let (parts, body) = response.into_parts();
            let body = BodyStream {
                body,
                server,
                _sender: connection,
            };
            Ok(Response {
                status: parts.status,
                headers: parts.headers,
                body: body.collect(limit).await?,
            })
        };
        Ok((sender, Upload::new(response)))
    }

    async fn idle(&self, server: &HostAddress) -> Option<SendRequest<RequestBody>> {
        loop {
            let mut sender = {
                let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.get_mut(server)?.pop()?
            };
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, server: &HostAddress, sender: SendRequest<RequestBody>) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = idle.entry(server.clone()).or_default();
        if senders.len() < IDLE_CONNECTIONS {
            senders.push(sender);
        }
    }
}

fn request(
    server: &HostAddress,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: RequestBody,
) -> Result<Request<RequestBody>, Error> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, server.authority())
        .body(body)
        .map_err(|error| Error::Request {
            server: server.authority(),
            reason: error.to_string(),
        })?;
    let all = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    request.headers_mut().extend(all);
    Ok(request)
}

#[cfg(test)]
mod tests;
