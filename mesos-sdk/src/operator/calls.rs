//! How operator calls are made: one request, one answer, and the leading master
//! is followed where there is one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use mesos_proto::v1;

use super::Error;
use crate::address::HostAddress;
use crate::client::Encoding;
use crate::credentials::Credentials;
use crate::transport::{Response, StreamResponse, Transport};

/// Redirects in a row that are followed.
const MOST_REDIRECTS: usize = 3;
/// A body that says why there is no stream is not larger than this.
const LARGEST_REFUSAL: usize = 1 << 20;
/// Protobuf whatever the server prefers.
pub(super) const ENCODING: Encoding = Encoding::Protobuf;

#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Clones know where the others were redirected to.
    server: Arc<Mutex<HostAddress>>,
    path: String,
    pub(super) transport: Transport,
    credentials: Option<Credentials>,
}

impl Client {
    pub(super) fn new(
        server: HostAddress,
        prefix: &str,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Self {
        Self {
            server: Arc::new(Mutex::new(server)),
            path: format!("{prefix}/api/v1"),
            transport,
            credentials,
        }
    }

    pub(super) fn server(&self) -> HostAddress {
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Only the credentials.
    pub(super) fn authorization(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.authorization());
        }
        headers
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.authorization();
        headers.insert(CONTENT_TYPE, ENCODING.media_type());
        headers.insert(ACCEPT, ENCODING.media_type());
        headers
    }

    /// Makes a call that is encoded already.
    pub(super) async fn ask<R>(&self, name: &'static str, body: Bytes) -> Result<R, Error>
    where
        R: prost::Message + prost::Name + Default,
    {
        let response = self.send(name, body).await?;
        decode(&self.server(), name, response.body)
    }

    async fn send(&self, name: &'static str, body: Bytes) -> Result<Response, Error> {
        let mut redirects = 0;
        loop {
            let server = self.server();
            let response = self
                .transport
                .post(&server, &self.path, self.headers(), body.clone())
                .await?;
            if response.status.is_success() {
                return Ok(response);
            }
            match self.redirect(&server, response.status, &response.headers) {
                Some(to) if redirects < MOST_REDIRECTS => {
                    redirects += 1;
                    *self.server.lock().unwrap_or_else(PoisonError::into_inner) = to;
                }
                _ => return Err(refused(&server, name, &response)),
            }
        }
    }

    fn redirect(
        &self,
        server: &HostAddress,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<HostAddress> {
        let location = headers.get(LOCATION).filter(|_| status.is_redirection())?;
        server.redirected(location.to_str().ok()?)
    }

    /// Makes a call whose answer takes as long as it takes.
    pub(super) async fn ask_patiently<R>(&self, name: &'static str, call: Bytes) -> Result<R, Error>
    where
        R: prost::Message + prost::Name + Default,
    {
        let server = self.server();
        let headers = self.headers();
        let (body, upload) = self.transport.upload(&server, &self.path, headers).await?;
        body.send(call).await;
        drop(body);
        let response = upload.response().await?;
        if !response.status.is_success() {
            return Err(refused(&server, name, &response));
        }
        decode(&server, name, response.body)
    }

    /// Makes a call whose answer is a stream.
    pub(super) async fn open(
        &self,
        name: &'static str,
        call: Bytes,
        more: impl FnOnce(&mut HeaderMap),
    ) -> Result<StreamResponse, Error> {
        let server = self.server();
        let mut headers = self.headers();
        more(&mut headers);
        let response = self
            .transport
            .open_stream(&server, &self.path, headers, call)
            .await?;
        opened(&server, name, response).await
    }
}

/// A stream, or why there is none.
pub(super) async fn opened(
    server: &HostAddress,
    name: &'static str,
    response: StreamResponse,
) -> Result<StreamResponse, Error> {
    if response.status.is_success() {
        return Ok(response);
    }
    let StreamResponse {
        status,
        headers,
        body,
    } = response;
    let response = Response {
        status,
        headers,
        body: body.collect(LARGEST_REFUSAL).await?,
    };
    Err(refused(server, name, &response))
}

pub(super) fn refused(server: &HostAddress, call: &'static str, response: &Response) -> Error {
    let server = server.authority();
    if response.status == StatusCode::UNAUTHORIZED {
        let realm = response.headers.get(WWW_AUTHENTICATE);
        let realm = realm.and_then(|realm| realm.to_str().ok()).unwrap_or("");
        let message = format!("{} ({realm})", response.text());
        return Error::Unauthenticated { server, message };
    }
    Error::Refused {
        server,
        call,
        status: response.status.as_u16(),
        message: response.text(),
    }
}

fn decode<R>(server: &HostAddress, call: &'static str, body: Bytes) -> Result<R, Error>
where
    R: prost::Message + prost::Name + Default,
{
    ENCODING.decode(body).map_err(|reason| Error::Answer {
        server: server.authority(),
        call,
        reason,
    })
}

pub(super) fn nanoseconds(duration: Duration) -> v1::DurationInfo {
    v1::DurationInfo {
        nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
    }
}
