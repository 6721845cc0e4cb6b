//! One subscription of an executor, and its calls. Nothing is retried here.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use mesos_proto::v1;
use mesos_proto::v1::executor::{Call, Event, call, event};

use super::ExecutorEnvironment;
use crate::client::{Encoding, EventStream, SubscribeError, refusal};
use crate::error::CallError;
use crate::recordio;
use crate::transport::{self, Transport, TransportConfig};

/// Agents say SUBSCRIBED at once.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Client {
    environment: ExecutorEnvironment,
    transport: Transport,
    encoding: Encoding,
}

impl Client {
    pub(super) fn new(
        environment: ExecutorEnvironment,
        mut config: TransportConfig,
        encoding: Encoding,
    ) -> Self {
        if config.unix_socket.is_none() {
            config.unix_socket.clone_from(&environment.domain_socket);
        }
        Self {
            environment,
            transport: Transport::new(config),
            encoding,
        }
    }

    pub(super) fn environment(&self) -> &ExecutorEnvironment {
        &self.environment
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, self.encoding.media_type());
        headers.insert(ACCEPT, self.encoding.media_type());
        if let Some(credentials) = &self.environment.credentials {
            headers.insert(AUTHORIZATION, credentials.authorization());
        }
        headers
    }

    fn body(&self, kind: call::Type, fill: impl FnOnce(&mut Call)) -> Bytes {
        let mut call = Call {
            executor_id: self.environment.executor_id.clone(),
            framework_id: self.environment.framework_id.clone(),
            r#type: Some(kind.into()),
            ..Default::default()
        };
        fill(&mut call);
        self.encoding.encode(&call)
    }

    /// Subscribes, and waits for SUBSCRIBED.
    pub(super) async fn subscribe(
        &self,
        subscribe: call::Subscribe,
    ) -> Result<(event::Subscribed, EventStream<Event>), SubscribeError> {
        let server = &self.environment.agent;
        let body = self.body(call::Type::Subscribe, |call| {
            call.subscribe = Some(subscribe);
        });
        let response = self
            .transport
            .open_stream(server, &self.environment.path, self.headers(), body)
            .await?;
        if response.status != StatusCode::OK {
            return Err(refusal(server, response).await);
        }
        let limit = recordio::DEFAULT_LIMIT;
        let mut events = EventStream::new(response.body, self.encoding, limit);
        let subscribed = first_event(&mut events).await?;
        Ok((subscribed, events))
    }

    pub(super) async fn update(&self, status: v1::TaskStatus) -> Result<(), CallError> {
        let body = self.body(call::Type::Update, |call| {
            call.update = Some(call::Update { status });
        });
        self.send("UPDATE", body).await
    }

    pub(super) async fn message(&self, data: Bytes) -> Result<(), CallError> {
        let body = self.body(call::Type::Message, |call| {
            call.message = Some(call::Message { data });
        });
        self.send("MESSAGE", body).await
    }

    pub(super) async fn heartbeat(&self) -> Result<(), CallError> {
        self.send("HEARTBEAT", self.body(call::Type::Heartbeat, |_| {}))
            .await
    }

    async fn send(&self, call: &'static str, body: Bytes) -> Result<(), CallError> {
        let agent = &self.environment.agent;
        let response = self
            .transport
            .post(agent, &self.environment.path, self.headers(), body)
            .await
            .map_err(|error| failed(call, &error))?;
        let is_elsewhere = match response.status {
            StatusCode::OK | StatusCode::ACCEPTED => return Ok(()),
            StatusCode::FORBIDDEN => response.body.starts_with(b"Executor is not subscribed"),
            StatusCode::NOT_FOUND => true,
            status => status.is_server_error(),
        };
        if is_elsewhere {
            return Err(CallError::SessionLost { call });
        }
        Err(CallError::Refused {
            call,
            status: response.status.as_u16(),
            message: response.text(),
        })
    }
}

fn failed(call: &'static str, error: &transport::Error) -> CallError {
    let reason = error.to_string();
    if error.is_unsent() {
        CallError::Unsent { call, reason }
    } else {
        CallError::Unknown { call, reason }
    }
}

async fn first_event(events: &mut EventStream<Event>) -> Result<event::Subscribed, SubscribeError> {
    let not_opened = |reason: &str| SubscribeError::NotOpened {
        reason: reason.to_owned(),
    };
    let first = tokio::time::timeout(PATIENCE, events.next())
        .await
        .map_err(|_| not_opened("the agent accepted the subscription and then said nothing"))?
        .ok_or_else(|| not_opened("the agent closed the stream before any event"))?
        .map_err(|error| not_opened(&error.to_string()))?;
    match first {
        Event {
            subscribed: Some(subscribed),
            ..
        } => Ok(subscribed),
        Event {
            error: Some(error), ..
        } => Err(SubscribeError::Refused {
            message: error.message,
        }),
        other => Err(not_opened(&format!(
            "the agent began with {} instead of SUBSCRIBED",
            other.r#type().as_str_name()
        ))),
    }
}
