//! The HTTP/1 server that master and agents share: connections, limits, request
//! bodies, compressed responses and streams. What a path means is the
//! [`Handler`]'s business; nothing here knows of Mesos beyond the way libprocess
//! answers.

mod body;
mod connection;
pub(crate) mod negotiate;
pub(crate) mod path;
pub(crate) mod stream;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::security::Identity;
pub(crate) use body::{Body, RequestStream};
pub(crate) use connection::Peer;

/// What one server allows its clients.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The largest request body, before and after decompression.
    pub(crate) max_body_bytes: usize,
    /// The largest request line and headers together.
    pub(crate) max_header_bytes: usize,
    /// How long a body may pause between two reads.
    pub(crate) body_timeout: Duration,
    /// How long a connection may stay idle, or take to send its headers.
    pub(crate) idle_timeout: Duration,
    /// How long a client may take nothing of what is written to it.
    pub(crate) write_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub(crate) max_connections: usize,
    /// How long agreeing on TLS may take.
    pub(crate) handshake_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 128 << 20,
            max_header_bytes: 64 << 10,
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
            write_timeout: Duration::from_secs(600),
            max_connections: 4096,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// A request whose body has arrived.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path as it was sent, still percent-encoded.
    pub(crate) path: String,
    /// The query without its question mark, still percent-encoded.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Who was authenticated, where that was asked.
    pub(crate) principal: Option<String>,
    /// What is still to come, of a request that is a stream of records.
    pub(crate) stream: Option<RequestStream>,
    /// The connection it came on, for streams to watch.
    pub(crate) peer: Peer,
}

impl Request {
    /// The first value of a query parameter, percent-decoded.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        path::query_value(&self.query, name)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Whether a large body may be compressed for a client that asks for it.
    pub(crate) compressible: bool,
}

impl Response {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Body::full(Bytes::new()),
            compressible: false,
        }
    }

    /// A sentence, the form every refusal has.
    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::content(status, "text/plain; charset=utf-8", text)
    }

    /// A body of the given type.
    pub(crate) fn content(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut response = Self::empty(status);
        response.body = Body::full(body.into());
        response.compressible = true;
        response.with(header::CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// 200 with JSON.
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self::content(StatusCode::OK, "application/json", body)
    }

    /// 404 in libprocess's words.
    pub(crate) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 Not Found.")
    }

    /// 405 in libprocess's words.
    pub(crate) fn method_not_allowed(expected: &'static str, received: &Method) -> Self {
        Self::text(
            StatusCode::METHOD_NOT_ALLOWED,
            format!(
                "405 Method Not Allowed. Expecting one of {{ '{expected}' }}, \
                 but received '{received}'."
            ),
        )
        .with(header::ALLOW, HeaderValue::from_static(expected))
    }

    /// The same for an endpoint that takes several methods.
    pub(crate) fn none_of_methods(expected: &[&'static str], received: &Method) -> Self {
        let [.., only] = expected else {
            return Self::empty(StatusCode::METHOD_NOT_ALLOWED);
        };
        if expected.len() == 1 {
            return Self::method_not_allowed(only, received);
        }
        let text = format!(
            "405 Method Not Allowed. Expecting one of {{ '{}' }}, but received '{received}'.",
            expected.join("', '")
        );
        let allow = HeaderValue::try_from(expected.join(", "));
        Self::text(StatusCode::METHOD_NOT_ALLOWED, text).with(
            header::ALLOW,
            allow.expect("names of methods are visible characters"),
        )
    }

    /// The same answer with one more header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A refusal: a status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// 403 in libprocess's words.
    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "403 Forbidden.")
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Self::text(refusal.status, refusal.text)
    }
}

/// Answers requests.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request. It may take its time; others run beside it.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// Tells a server, and every connection of it, to end.
#[derive(Debug, Clone)]
pub(crate) struct ServerControl {
    generation: watch::Sender<Order>,
}

/// What the connections have been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    /// Connections opened under an older number are to be cut.
    generation: u64,
    /// The listener too.
    stop: bool,
}

impl ServerControl {
    pub(crate) fn new() -> Self {
        Self {
            generation: watch::Sender::new(Order {
                generation: 0,
                stop: false,
            }),
        }
    }

    /// Cuts every open connection; the server goes on listening.
    pub(crate) fn cut_connections(&self) {
        self.generation.send_modify(|order| order.generation += 1);
    }

    /// Cuts every connection and stops listening.
    pub(crate) fn stop(&self) {
        self.generation.send_modify(|order| {
            order.generation += 1;
            order.stop = true;
        });
    }
}

/// Serves a listener until told to stop; in TLS, where there is an identity.
pub(crate) async fn serve<H: Handler>(
    listener: TcpListener,
    handler: H,
    limits: Limits,
    identity: Option<Identity>,
    control: ServerControl,
) {
    let tls = identity.as_ref().map(Identity::acceptor);
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let limits = Arc::new(limits);
    let mut orders = control.generation.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = orders.wait_for(|order| order.stop) => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, remote, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the peer was gone already: neither
                // ends the server, and a short pause keeps it from spinning.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let handler = handler.clone();
        let limits = Arc::clone(&limits);
        let orders = orders.clone();
        let tls = tls.clone();
        let born = orders.borrow().generation;
        tokio::spawn(async move {
            if let Some(ends) = open(stream, remote, tls, &limits).await {
                serve_connection(ends, remote, handler, limits, (born, orders)).await;
            }
            drop(slot);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let (stream, remote) = listener.accept().await?;
    Ok((stream, remote, slot))
}

/// Agrees on TLS where it is to be spoken.
async fn open(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsAcceptor>,
    limits: &Limits,
) -> Option<(connection::Socket, Peer)> {
    // Small answers leave at once; without it each waits for the client's ack.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %remote, "cannot set TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return Some(connection::split(stream, limits.write_timeout));
    };
    match tokio::time::timeout(limits.handshake_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(connection::split_tls(stream, limits.write_timeout)),
        Ok(Err(error)) => {
            tracing::debug!(%error, %remote, "cannot agree on TLS");
            None
        }
        Err(_) => {
            tracing::debug!(%remote, "TLS was not agreed on in time");
            None
        }
    }
}

async fn serve_connection<H: Handler>(
    (socket, peer): (connection::Socket, Peer),
    remote: SocketAddr,
    handler: H,
    limits: Arc<Limits>,
    (born, mut orders): (u64, watch::Receiver<Order>),
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let handler = handler.clone();
        let limits = Arc::clone(&limits);
        let peer = peer.clone();
        async move { answer(request, peer, &handler, &limits).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .title_case_headers(true)
        .max_headers(1024)
        .max_header_size(limits.max_header_bytes)
        .header_read_timeout(limits.idle_timeout)
        .serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        result = serving => if let Err(error) = result {
            tracing::debug!(%error, %remote, "connection ended");
        },
        _ = orders.wait_for(|order| order.generation != born) => {
            tracing::debug!(%remote, "connection cut");
            return;
        }
        () = peer.wait_until_cut() => {
            tracing::debug!(%remote, "connection cut, its reader is too slow");
            return;
        }
    }
    peer.linger().await;
}

/// Reads the body, asks the handler, and finishes the response. An error closes
/// the connection without an answer: the request never fully came.
async fn answer<H: Handler>(
    request: hyper::Request<Incoming>,
    peer: Peer,
    handler: &H,
    limits: &Limits,
) -> Result<http::Response<Body>, body::Incomplete> {
    let (parts, incoming) = request.into_parts();
    let accepts_gzip = negotiate::accepts_gzip(&parts.headers);
    // A stream of records is read by whoever answers it.
    let (read, stream) = if negotiate::is_recordio(&parts.headers) {
        let stream = RequestStream::new(incoming, limits.idle_timeout);
        (Ok(Bytes::new()), Some(stream))
    } else {
        let read = body::read(incoming, &parts.headers, limits).await;
        (read, None)
    };
    let response = match read {
        Ok(body) => {
            let path = parts.uri.path();
            if !is_known(&parts.method) {
                // libprocess closes the connection.
                Response::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented.")
            } else if path.starts_with('/') {
                let request = Request {
                    path: path.to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    method: parts.method,
                    headers: parts.headers,
                    body,
                    principal: None,
                    stream,
                    peer,
                };
                handler.handle(request).await
            } else {
                Response::text(
                    StatusCode::BAD_REQUEST,
                    "Request URL path must start with '/'",
                )
            }
        }
        Err(body::Refused::Incomplete(error)) => return Err(error),
        Err(body::Refused::Answer(response)) => *response,
    };
    Ok(finish(response, accepts_gzip))
}

/// Whether a method is one of HTTP's own.
fn is_known(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ]
    .contains(method)
}

fn finish(mut response: Response, accepts_gzip: bool) -> http::Response<Body> {
    if accepts_gzip && response.compressible && response.body.compress() {
        response
            .headers
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(length) = response.body.full_len() {
        response
            .headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut answer = http::Response::new(response.body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

#[cfg(test)]
mod tests;
