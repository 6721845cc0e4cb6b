//! Posting JSON: Slack, Mattermost and programs of one's own.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use mesos_sdk::credentials::Credentials;
use mesos_sdk::transport::{Transport, TransportConfig};
use serde_json::{Map, Value, json};

use super::channel::{Channel, DeliveryError};
use super::{Endpoint, Notification, NotifyConfig};

/// Both refuse longer texts.
const MAX_TEXT_CHARS: usize = 10_000;
/// What is read of an answer, and repeated of it in a log.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MAX_SHOWN_CHARS: usize = 200;

/// Who is told, which decides what the JSON is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Slack,
    Mattermost,
    Program,
}

/// A server that takes POSTs.
#[derive(Debug)]
pub(super) struct Webhook {
    reader: Reader,
    endpoint: Endpoint,
    credentials: Option<Credentials>,
    transport: Transport,
}

impl Webhook {
    pub(super) fn new(
        reader: Reader,
        endpoint: Endpoint,
        credentials: Option<Credentials>,
        config: &NotifyConfig,
    ) -> Self {
        let transport = Transport::new(TransportConfig {
            connect_timeout: config.timeout,
            request_timeout: config.timeout,
            max_response_bytes: MAX_ANSWER_BYTES,
            ..TransportConfig::default()
        });
        Self {
            reader,
            endpoint,
            credentials,
            transport,
        }
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &'static str {
        match self.reader {
            Reader::Slack => "Slack",
            Reader::Mattermost => "Mattermost",
            Reader::Program => "HTTP callback",
        }
    }

    fn split(&self, notification: &Notification) -> Vec<Notification> {
        vec![notification.clone()]
    }

    async fn deliver(&self, notification: &Notification) -> Result<(), DeliveryError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.authorization());
        }
        let body = Bytes::from(body(self.reader, notification).to_string());
        let Endpoint { server, path } = &self.endpoint;
        let posted = self.transport.post(server, path.reveal(), headers, body);
        let response = posted
            .await
            .map_err(|error| DeliveryError::Later(error.to_string()))?;
        let status = response.status;
        if status.is_success() {
            return Ok(());
        }
        let said: String = response
            .text()
            .trim()
            .chars()
            .take(MAX_SHOWN_CHARS)
            .collect();
        let said = format!("{} answered {status}: {said}", server.authority());
        Err(if is_passing(status) {
            DeliveryError::Later(said)
        } else {
            DeliveryError::Refused(said)
        })
    }
}

/// Whether the same request may be answered otherwise later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// What is posted.
pub(super) fn body(reader: Reader, notification: &Notification) -> Value {
    let Notification {
        kind,
        owners,
        subject,
        message,
        facts,
    } = notification;
    let text = || -> String {
        format!("{subject}: {message}")
            .chars()
            .take(MAX_TEXT_CHARS)
            .collect()
    };
    match reader {
        Reader::Slack => {
            // These mean something to Slack.
            let escaped = text()
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            json!({ "text": escaped })
        }
        Reader::Mattermost => json!({ "text": text() }),
        Reader::Program => {
            let mut fields = Map::new();
            for (name, value) in [
                ("subject", subject.as_str()),
                ("message", message),
                ("to", &owners.join(",")),
                ("event", kind),
            ] {
                fields.insert(name.to_owned(), Value::from(value));
            }
            for (name, value) in facts {
                fields.insert((*name).to_owned(), Value::from(value.as_str()));
            }
            Value::from(fields)
        }
    }
}
