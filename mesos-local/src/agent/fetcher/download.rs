//! Files from web servers, by HTTP or HTTPS.

use std::io;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{BodyStream, StreamResponse, Transport, TransportConfig};
use tokio::io::AsyncWriteExt;

use super::too_large;
use crate::agent::AgentLimits;

/// How long a server may be silent.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: usize = 10;

/// Gets files. Certificates of the system are read when they are needed first.
#[derive(Debug)]
pub(super) struct Downloads(Transport);

impl Default for Downloads {
    fn default() -> Self {
        Self(Transport::new(TransportConfig {
            request_timeout: STALL_TIMEOUT,
            ..TransportConfig::default()
        }))
    }
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
            let response = self.get(&uri).await?;
            if let Some(next) = redirection(&uri, &response)? {
                uri = next;
                continue;
            }
            if !response.status.is_success() {
                return Err(io::Error::other(format!(
                    "Error downloading resource, received HTTP return code {}",
                    response.status.as_u16()
                )));
            }
            return save(response.body, path, limits.max_fetch_bytes).await;
        }
        Err(io::Error::other("it is redirected too often"))
    }

    async fn get(&self, uri: &Uri) -> io::Result<StreamResponse> {
        let is_https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let server = HostAddress {
            is_https,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let response = self.0.open_download(&server, path, headers).await;
        response.map_err(|error| io::Error::other(format!("Error downloading resource: {error}")))
    }
}

/// Where a response sends us, if it does.
fn redirection(uri: &Uri, response: &StreamResponse) -> io::Result<Option<Uri>> {
    let is_redirection = matches!(
        response.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response
        .headers
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

async fn save(mut body: BodyStream, path: &Path, limit: u64) -> io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .await?;
    let mut written = 0;
    while let Some(chunk) = stall(body.chunk()).await? {
        let chunk = chunk.map_err(io::Error::other)?;
        written += chunk.len() as u64;
        if written > limit {
            return Err(too_large(limit));
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await
}

async fn stall<T>(waiting: impl Future<Output = T>) -> io::Result<T> {
    tokio::time::timeout(STALL_TIMEOUT, waiting)
        .await
        .map_err(|_| io::Error::other("the server has stalled"))
}
