//! Files from web servers, by HTTP or HTTPS.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

use super::too_large;
use crate::agent::AgentLimits;

/// How long a server may be silent.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 10;

type HttpClient = Client<HttpConnector, Empty<Bytes>>;
type HttpsClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Clients, made when they are needed: reading the certificates of the system
/// takes longer than most tasks.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    http: OnceCell<HttpClient>,
    https: OnceCell<HttpsClient>,
}

impl Downloads {
    /// Writes what a URL names to a new file.
    pub(super) async fn download(
        &self,
        url: &str,
        path: &Path,
        limits: &AgentLimits,
    ) -> io::Result<()> {
        let mut uri: Uri = url.replace(' ', "%20").parse().map_err(io::Error::other)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = stall(self.get(&uri)).await??;
            if let Some(next) = redirection(&uri, &response)? {
                uri = next;
                continue;
            }
            if !response.status().is_success() {
                return Err(io::Error::other(format!(
                    "Error downloading resource, received HTTP return code {}",
                    response.status().as_u16()
                )));
            }
            return save(response.into_body(), path, limits.max_fetch_bytes).await;
        }
        Err(io::Error::other("it is redirected too often"))
    }

    async fn get(&self, uri: &Uri) -> io::Result<Response<Incoming>> {
        let request = Request::get(uri)
            .header(header::ACCEPT, "*/*")
            .body(Empty::new())
            .map_err(io::Error::other)?;
        let response = if uri.scheme_str() == Some("https") {
            let client = self.https.get_or_try_init(async || https()).await?;
            client.request(request).await
        } else {
            let client = self
                .http
                .get_or_init(async || Client::builder(TokioExecutor::new()).build_http())
                .await;
            client.request(request).await
        };
        response.map_err(|error| {
            // The outer message only says that something failed.
            let mut deepest: &dyn std::error::Error = &error;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            io::Error::other(format!("Error downloading resource: {deepest}"))
        })
    }
}

fn https() -> io::Result<HttpsClient> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// Where a response sends us, if it does.
fn redirection(uri: &Uri, response: &Response<Incoming>) -> io::Result<Option<Uri>> {
    let is_redirection = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok());
    let (true, Some(location)) = (is_redirection, location) else {
        return Ok(None);
    };
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let next = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        return Err(io::Error::other(format!(
            "it is redirected to '{location}'"
        )));
    };
    next.parse().map(Some).map_err(io::Error::other)
}

async fn save(mut body: Incoming, path: &Path, limit: u64) -> io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .await?;
    let mut written = 0;
    while let Some(frame) = stall(body.frame()).await? {
        let frame = frame.map_err(io::Error::other)?;
        if let Some(data) = frame.data_ref() {
            written += data.len() as u64;
            if written > limit {
                return Err(too_large(limit));
            }
            file.write_all(data).await?;
        }
    }
    file.flush().await
}

async fn stall<T>(waiting: impl Future<Output = T>) -> io::Result<T> {
    tokio::time::timeout(STALL_TIMEOUT, waiting)
        .await
        .map_err(|_| io::Error::other("the server has stalled"))
}
