//! Connections: accepting them, TLS, limits, and what every answer has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::body::{self, Refused};
use super::measure::Measured;
use super::negotiate::accepts_gzip;
use super::patience::Patient;
use super::{BasicCredentials, Body, Connection, Handler, Identity, Query, Request, Response};

/// What a server allows its clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request body, before and after decompression.
    pub max_body_bytes: usize,
    /// The largest request line and headers together.
    pub max_header_bytes: usize,
    /// How long a body may pause between two reads.
    pub body_timeout: Duration,
    /// How long a connection may stay idle, or take to send its headers.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// How long agreeing on TLS may take.
    pub handshake_timeout: Duration,
    /// How long an answer may take to begin; 503 afterwards.
    pub request_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Requests at once; 503 to more of them. Streams count until they begin.
    pub max_concurrent_requests: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_header_bytes: 64 << 10,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            max_connections: 4096,
            max_concurrent_requests: None,
        }
    }
}

/// What a server does with every request.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What it allows.
    pub limits: Limits,
    /// Who may ask; everybody without.
    pub credentials: Option<BasicCredentials>,
    /// From which origin pages of browsers may ask, or `*`.
    pub allow_origin: Option<String>,
    /// Whether large answers are compressed for clients that take that.
    pub is_compressing: bool,
    /// Headers of every answer that does not have them.
    pub headers: HeaderMap,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let no_store = "no-cache, no-store, must-revalidate";
        let headers = [
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::X_XSS_PROTECTION, "1; mode=block"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, no_store),
            (header::PRAGMA, "no-cache"),
            (header::EXPIRES, "0"),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self {
            limits: Limits::default(),
            credentials: None,
            allow_origin: None,
            is_compressing: true,
            headers: headers.into_iter().collect(),
        }
    }
}

/// A server that runs. Dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    order: watch::Sender<Order>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve,
    /// Take nothing new, and finish what there is.
    Finish,
}

/// What all connections share.
struct Shared {
    handler: Arc<dyn Handler>,
    config: ServerConfig,
    requests: Option<Arc<Semaphore>>,
    is_https: bool,
}

impl Server {
    /// Serves a listener on the current runtime; in TLS, where there is an
    /// identity.
    ///
    /// # Errors
    ///
    /// When the listener has no address.
    pub fn start(
        listener: TcpListener,
        identity: Option<&Identity>,
        config: ServerConfig,
        handler: Arc<dyn Handler>,
    ) -> std::io::Result<Self> {
        let local = listener.local_addr()?;
        let (order, orders) = watch::channel(Order::Serve);
        let requests = config.limits.max_concurrent_requests;
        let shared = Shared {
            handler,
            requests: requests.map(|count| Arc::new(Semaphore::new(count))),
            config,
            is_https: identity.is_some(),
        };
        let tls = identity.map(Identity::acceptor);
        let task = tokio::spawn(run(listener, tls, Arc::new(shared), orders));
        Ok(Self { local, order, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes no new connection, gives requests under way so long to be
    /// answered, and ends.
    pub async fn stop(mut self, grace: Duration) {
        self.order.send_replace(Order::Finish);
        // Streams have no end of their own; they end with the task.
        let _ = tokio::time::timeout(grace, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    shared: Arc<Shared>,
    mut orders: watch::Receiver<Order>,
) {
    let slots = Arc::new(Semaphore::new(shared.config.limits.max_connections));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = finish(&mut orders) => break,
            Some(_) = connections.join_next() => continue,
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
        let tls = tls.clone();
        let shared = Arc::clone(&shared);
        let orders = orders.clone();
        connections.spawn(async move {
            open(stream, remote, tls, shared, orders).await;
            drop(slot);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let (stream, remote) = listener.accept().await?;
    Ok((stream, remote, slot))
}

/// Agrees on TLS where it is to be spoken, and serves.
async fn open(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<tokio_rustls::TlsAcceptor>,
    shared: Arc<Shared>,
    orders: watch::Receiver<Order>,
) {
    // Small answers leave at once; without it each waits for the client's ack.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %remote, "cannot set TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return serve(stream, remote, shared, orders).await;
    };
    let timeout = shared.config.limits.handshake_timeout;
    match tokio::time::timeout(timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, remote, shared, orders).await,
        Ok(Err(error)) => tracing::debug!(%error, %remote, "cannot agree on TLS"),
        Err(_) => tracing::debug!(%remote, "TLS was not agreed on in time"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    remote: SocketAddr,
    shared: Arc<Shared>,
    mut orders: watch::Receiver<Order>,
) {
    let connection = Connection::default();
    let limits = &shared.config.limits;
    let stream = Patient::new(stream, limits.write_timeout);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let connection = connection.clone();
        async move { shared.answer(request, remote, connection).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .max_headers(256)
        .max_header_size(limits.max_header_bytes)
        .header_read_timeout(limits.idle_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = connection.wait_until_cut() => {
            tracing::debug!(%remote, "connection cut");
            return;
        }
        () = finish(&mut orders) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, %remote, "connection ended");
    }
}

/// Returns when the server is to end, or has ended.
async fn finish(orders: &mut watch::Receiver<Order>) {
    let _ = orders.wait_for(|order| *order == Order::Finish).await;
}

/// The request never fully came: the connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not arrive in full")]
struct Incomplete;

impl Shared {
    /// Reads the body, asks the handler, and finishes the answer.
    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        remote: SocketAddr,
        connection: Connection,
    ) -> Result<http::Response<Body>, Incomplete> {
        let (parts, incoming) = request.into_parts();
        let limits = &self.config.limits;
        let mut request = Request {
            path: parts.uri.path().to_owned(),
            query: Query::new(parts.uri.query().unwrap_or_default()),
            method: parts.method,
            headers: parts.headers.clone(),
            body: bytes::Bytes::new(),
            remote,
            is_https: self.is_https,
            user: None,
            parameters: super::Parameters::default(),
            connection,
        };
        let method = request.method.clone();
        let announced = hyper::body::Body::size_hint(&incoming).lower();
        let measured = Measured::begin(&method, usize::try_from(announced).unwrap_or_default());
        let response = match self.admit(&mut request) {
            Err(refusal) => {
                body::discard(incoming).await;
                *refusal
            }
            Ok(slot) => match body::read(
                incoming,
                &parts.headers,
                limits.max_body_bytes,
                limits.body_timeout,
            )
            .await
            {
                Ok(body) => {
                    request.body = body;
                    let response = self.handle(request).await;
                    drop(slot);
                    response
                }
                Err(Refused::Answer(answer)) => *answer,
                Err(Refused::Incomplete) => return Err(Incomplete),
            },
        };
        Ok(self
            .finish(response, &method, &parts.headers, &measured)
            .await)
    }

    /// Whether the request may be made at all, before its body is read.
    fn admit(&self, request: &mut Request) -> Result<Option<OwnedSemaphorePermit>, Box<Response>> {
        if let Some(preflight) = self.preflight(request) {
            return Err(Box::new(preflight));
        }
        if let Some(credentials) = &self.config.credentials {
            request.user = Some(credentials.user(&request.headers)?.to_owned());
        }
        let Some(requests) = &self.requests else {
            return Ok(None);
        };
        match Arc::clone(requests).try_acquire_owned() {
            Ok(slot) => Ok(Some(slot)),
            Err(_) => {
                let allowed = self
                    .config
                    .limits
                    .max_concurrent_requests
                    .unwrap_or_default();
                let text = format!("Too many concurrent requests! Allowed: {allowed}.");
                let refusal = Response::error(StatusCode::SERVICE_UNAVAILABLE, &text);
                Err(Box::new(refusal))
            }
        }
    }

    /// The answer to a browser that asks what a page may do.
    fn preflight(&self, request: &Request) -> Option<Response> {
        let is_preflight = request.method == Method::OPTIONS
            && request.headers.contains_key(header::ORIGIN)
            && request
                .headers
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight || self.config.allow_origin.is_none() {
            return None;
        }
        let mut response = Response::empty(StatusCode::OK);
        let asked = &header::ACCESS_CONTROL_REQUEST_HEADERS;
        if let Some(headers) = request.headers.get(asked) {
            let name = header::ACCESS_CONTROL_ALLOW_HEADERS;
            response = response.with(name, headers.clone());
        }
        Some(response)
    }

    async fn handle(&self, request: Request) -> Response {
        let limit = self.config.limits.request_timeout;
        // A handler that panics, or is not done in time, is its own affair: the
        // client gets an answer, and the task ends with it.
        let answering = tokio::spawn(self.handler.handle(request));
        let abort = AbortOnDrop(answering.abort_handle());
        let answered = tokio::time::timeout(limit, answering).await;
        drop(abort);
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(%error, "a request was not answered");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Response::error(status, "the request could not be answered")
            }
            Err(_) => {
                let text = format!("the request was not answered within {limit:?}");
                Response::error(StatusCode::SERVICE_UNAVAILABLE, &text)
            }
        }
    }

    async fn finish(
        &self,
        mut response: Response,
        method: &Method,
        request: &HeaderMap,
        measured: &Measured,
    ) -> http::Response<Body> {
        response.compare_tag(method, request);
        if let Some(origin) = &self.config.allow_origin {
            response = allow(response, origin);
        }
        let mut is_packed = false;
        let is_plain = !response.headers.contains_key(header::CONTENT_ENCODING);
        if is_plain && self.config.is_compressing && accepts_gzip(request) {
            is_packed = response.body.compress().await;
            if is_packed {
                let gzip = HeaderValue::from_static("gzip");
                response = response.with(header::CONTENT_ENCODING, gzip);
            }
            let vary = HeaderValue::from_static("Accept-Encoding");
            response.headers.append(header::VARY, vary);
        }
        if let Some(body) = response.body.as_full()
            && !matches!(response.status.as_u16(), 204 | 304)
        {
            let length = HeaderValue::from(body.len());
            response.headers.insert(header::CONTENT_LENGTH, length);
        }
        for (name, value) in &self.config.headers {
            if !response.headers.contains_key(name) {
                response.headers.insert(name.clone(), value.clone());
            }
        }
        measured.end(&response, is_packed);
        let mut answer = http::Response::new(match *method {
            Method::HEAD => Body::empty(),
            _ => response.body,
        });
        *answer.status_mut() = response.status;
        *answer.headers_mut() = response.headers;
        answer
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn allow(response: Response, origin: &str) -> Response {
    let constant = |response: Response, name: HeaderName, value: &'static str| {
        response.with(name, HeaderValue::from_static(value))
    };
    let response = response.with_text(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let methods = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE";
    let response = constant(response, header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    constant(response, header::ACCESS_CONTROL_MAX_AGE, "86400")
}

#[cfg(test)]
mod tests;
