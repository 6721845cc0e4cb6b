//! Followers that answer for the leader: they pass requests on to it and its
//! answers back, so that a client may ask any instance.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Semaphore, watch};

use crate::election::Standing;
use crate::http::{Handler, Request, Response};
use forward::Forwarder;
pub use forward::{ForwardError, LeaderTls};

mod forward;

/// How a follower passes requests on.
#[derive(Debug, Clone)]
pub struct LeaderProxyConfig {
    /// What this instance is called in the election: `host:port`.
    pub name: String,
    /// The header of every answer that names the leader, such as
    /// `x-marathon-leader`.
    pub leader_header: HeaderName,
    /// The header by which an instance knows its own requests, such as
    /// `x-marathon-via`.
    pub via_header: HeaderName,
    /// TLS with the leader; without, plain HTTP.
    pub tls: Option<LeaderTls>,
    /// How long connecting to the leader may take.
    pub connect_timeout: Duration,
    /// How long the leader may say nothing.
    pub read_timeout: Duration,
    /// Requests that are passed on at once; more of them wait.
    pub max_connections: usize,
    /// How long a request waits for somebody to lead.
    pub election_timeout: Duration,
    /// Paths to which clients are sent rather than passed on: endless streams.
    pub redirected_prefixes: Vec<String>,
}

impl LeaderProxyConfig {
    /// The limits of the originals. `product` is what stands in the headers,
    /// such as `marathon`.
    ///
    /// # Panics
    ///
    /// When the product's name cannot stand in a header's name.
    #[must_use]
    pub fn new(product: &str, name: &str) -> Self {
        let header = |rest: &str| {
            let header = HeaderName::try_from(format!("x-{product}-{rest}"));
            header.expect("a product's name is made of letters")
        };
        Self {
            name: name.to_owned(),
            leader_header: header("leader"),
            via_header: header("via"),
            tls: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            max_connections: 64,
            election_timeout: Duration::from_millis(2500),
            redirected_prefixes: Vec::new(),
        }
    }
}

/// Where a leader is with taking office.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Sender<bool>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Readiness {
    /// Nothing can be answered so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on requests can be answered.
    pub fn ready(&self) {
        self.0.send_replace(true);
    }
}

/// Answers requests itself where this instance leads, and by the leader
/// otherwise.
pub struct LeaderProxy {
    shared: Arc<Shared>,
}

struct Shared {
    config: LeaderProxyConfig,
    standing: watch::Receiver<Standing>,
    ready: watch::Receiver<bool>,
    handler: Arc<dyn Handler>,
    slots: Semaphore,
    forwarder: Forwarder,
}

impl std::fmt::Debug for LeaderProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderProxy")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

/// Who answers.
enum Answerer {
    Us,
    Leader(String),
}

impl LeaderProxy {
    /// A proxy before a handler.
    #[must_use]
    pub fn new(
        config: LeaderProxyConfig,
        standing: watch::Receiver<Standing>,
        readiness: &Readiness,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let forwarder = Forwarder::new(&config);
        Self {
            shared: Arc::new(Shared {
                slots: Semaphore::new(config.max_connections),
                ready: readiness.0.subscribe(),
                config,
                standing,
                handler,
                forwarder,
            }),
        }
    }
}

impl Handler for LeaderProxy {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.answer(request).await })
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Response {
        let answerer = tokio::time::timeout(self.config.election_timeout, self.answerer());
        match answerer.await {
            Ok(Some(Answerer::Us)) => {
                let response = self.handler.handle(request).await;
                let leader = self.url(&self.config.name);
                response.with_text(self.config.leader_header.clone(), &leader)
            }
            Ok(Some(Answerer::Leader(leader))) => self.pass_on(request, &leader).await,
            Ok(None) => {
                let text = "this instance is about to end";
                Response::error(StatusCode::SERVICE_UNAVAILABLE, text)
            }
            Err(_) => {
                let text = "Could not determine the current leader";
                Response::error(StatusCode::BAD_GATEWAY, text)
            }
        }
    }

    /// Waits until it is known who answers; nobody, when this instance is out
    /// of the election.
    async fn answerer(&self) -> Option<Answerer> {
        let mut standing = self.standing.clone();
        let mut ready = self.ready.clone();
        loop {
            let now = standing.borrow_and_update().clone();
            match now {
                Standing::Leads if *ready.borrow_and_update() => return Some(Answerer::Us),
                Standing::Follows(leader) => return Some(Answerer::Leader(leader)),
                Standing::Over => return None,
                Standing::Leads | Standing::Nobody => {}
            }
            // One whose sender has gone has nothing new to say.
            tokio::select! {
                Ok(()) = standing.changed() => {}
                Ok(()) = ready.changed() => {}
                else => return std::future::pending().await,
            }
        }
    }

    async fn pass_on(&self, mut request: Request, leader: &str) -> Response {
        let mut target = format!("{}{}", self.url(leader), request.path);
        if !request.query.as_str().is_empty() {
            target = format!("{target}?{}", request.query.as_str());
        }
        let mut redirected = self.config.redirected_prefixes.iter();
        if redirected.any(|prefix| is_within(&request.path, prefix)) {
            return Response::redirect(&target);
        }
        let via = request.headers.get_all(&self.config.via_header).iter();
        let mut via = via
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        if via.any(|name| name.trim() == self.config.name) || leader == self.config.name {
            return Response::error(StatusCode::BAD_GATEWAY, "Detected proxying loop.");
        }
        let Ok(own) = HeaderValue::try_from(&self.config.name) else {
            let text = "this instance has no name that it could be known by";
            return Response::error(StatusCode::BAD_GATEWAY, text);
        };
        without_hops(&mut request.headers);
        request.headers.append(self.config.via_header.clone(), own);
        request.headers.remove(header::CONTENT_LENGTH);
        // The body has been unpacked.
        request.headers.remove(header::CONTENT_ENCODING);
        if let Ok(remote) = HeaderValue::try_from(request.remote.ip().to_string()) {
            let name = HeaderName::from_static("x-forwarded-for");
            request.headers.append(name, remote);
        }
        let slot = self.slots.acquire().await;
        let forwarded = self.forwarder.forward(request, leader).await;
        drop(slot);
        match forwarded {
            Ok(response) => response,
            Err(error) => {
                tracing::info!(%error, leader, "cannot pass a request on");
                let status = match error {
                    ForwardError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::BAD_GATEWAY,
                };
                Response::error(status, &error.to_string())
            }
        }
    }

    fn url(&self, name: &str) -> String {
        let scheme = match self.config.tls {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{name}")
    }
}

fn is_within(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes out what concerns one connection only.
fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let fixed = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.iter().chain(&fixed) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
