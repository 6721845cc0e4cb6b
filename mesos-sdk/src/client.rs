//! One subscription, for those who want their own loop: events as they come,
//! calls that belong to it. Nothing is retried here; the
//! [driver](crate::scheduler) is built on this and does all of that.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http::{StatusCode, header::WWW_AUTHENTICATE};
use mesos_proto::v1::scheduler::{Call, Event, call, event};
use prost::Message as _;

use crate::address::HostAddress;
use crate::credentials::Credentials;
use crate::recordio;
pub use crate::scheduler::calls::Calls;
use crate::transport::{self, BodyStream, Transport};

pub(crate) const PATH: &str = "/api/v1/scheduler";
/// A body that refuses a subscription is not larger than this.
const LARGEST_REFUSAL: usize = 1 << 20;

/// How messages are written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `application/x-protobuf`: small and fast.
    #[default]
    Protobuf,
    /// `application/json`: readable in a trace.
    Json,
}

impl Encoding {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }

    pub(crate) fn encode<M>(self, message: &M) -> Bytes
    where
        M: prost::Message + prost::Name + Default,
    {
        match self {
            Self::Protobuf => mesos_proto::wire::encode(message),
            Self::Json => mesos_proto::json::to_vec(message).into(),
        }
    }

    pub(crate) fn decode<M>(self, record: Bytes) -> Result<M, String>
    where
        M: prost::Message + prost::Name + Default,
    {
        match self {
            Self::Protobuf => M::decode(record).map_err(|error| error.to_string()),
            Self::Json => mesos_proto::json::from_slice(&record).map_err(|e| e.to_string()),
        }
    }
}

/// Subscribes frameworks.
#[derive(Debug, Clone)]
pub struct SchedulerClient {
    transport: Transport,
    credentials: Option<Credentials>,
    encoding: Encoding,
    record_limit: u64,
}

/// Why a master did not take a subscription.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// Another master leads.
    #[error("the leading master is {to}")]
    Redirected {
        /// Where it is.
        to: HostAddress,
    },
    /// The master refuses the request.
    #[error("the master answers with status {status}: {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The body, and the realm when credentials are wanted.
        message: String,
    },
    /// The master refuses the framework, with an ERROR event.
    #[error("the master refuses the framework: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// There is no answer, or one that cannot be read.
    #[error("{reason}")]
    NotOpened {
        /// What went wrong.
        reason: String,
    },
}

impl From<transport::Error> for SubscribeError {
    fn from(error: transport::Error) -> Self {
        Self::NotOpened {
            reason: error.to_string(),
        }
    }
}

/// A framework that is subscribed.
#[derive(Debug)]
pub struct Subscription {
    /// What the master said first: the framework's id, the heartbeats.
    pub subscribed: event::Subscribed,
    /// Everything after that.
    pub events: EventStream,
    /// Makes calls under this subscription.
    pub calls: Calls,
}

impl SchedulerClient {
    /// A client that speaks protobuf.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            credentials: None,
            encoding: Encoding::default(),
            record_limit: recordio::DEFAULT_LIMIT,
        }
    }

    /// Sends credentials with every request.
    #[must_use]
    pub fn credentials(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials;
        self
    }

    /// Chooses how messages are written.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Refuses records of more than this many bytes.
    #[must_use]
    pub fn record_limit(mut self, limit: u64) -> Self {
        self.record_limit = limit;
        self
    }

    /// Subscribes a framework with the master at `server`, and waits for its
    /// SUBSCRIBED. A framework that had an id before names it in
    /// `subscribe.framework_info.id`.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] says what the master answered.
    pub async fn subscribe(
        &self,
        server: &HostAddress,
        subscribe: call::Subscribe,
    ) -> Result<Subscription, SubscribeError> {
        let call = Call {
            framework_id: subscribe.framework_info.id.clone(),
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(subscribe),
            ..Default::default()
        };
        let mut headers = self.headers();
        headers.insert(ACCEPT, self.encoding.media_type());
        let body = self.encoding.encode(&call);
        let response = self
            .transport
            .open_stream(server, PATH, headers, body)
            .await?;
        if response.status != StatusCode::OK {
            return Err(refusal(server, response).await);
        }
        let stream_id = response.headers.get("Mesos-Stream-Id").cloned();
        let mut events = EventStream::new(response.body, self.encoding, self.record_limit);
        let subscribed = first_event(&mut events).await?;
        let calls = Calls::new(
            self.transport.clone(),
            server.clone(),
            self.headers(),
            stream_id,
            subscribed.framework_id.clone(),
            self.encoding,
        );
        Ok(Subscription {
            subscribed,
            events,
            calls,
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, self.encoding.media_type());
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.authorization());
        }
        headers
    }
}

pub(crate) async fn refusal(
    server: &HostAddress,
    response: transport::StreamResponse,
) -> SubscribeError {
    let status = response.status.as_u16();
    let location = response.headers.get(LOCATION).and_then(|l| l.to_str().ok());
    if response.status.is_redirection()
        && let Some(to) = location.and_then(|location| server.redirected(location))
    {
        return SubscribeError::Redirected { to };
    }
    let realm = response
        .headers
        .get(WWW_AUTHENTICATE)
        .and_then(|realm| realm.to_str().ok())
        .map(|realm| format!(" ({realm})"))
        .unwrap_or_default();
    match response.body.collect(LARGEST_REFUSAL).await {
        Ok(body) => SubscribeError::Rejected {
            status,
            message: format!("{}{realm}", String::from_utf8_lossy(&body).trim()),
        },
        Err(error) => error.into(),
    }
}

async fn first_event(events: &mut EventStream) -> Result<event::Subscribed, SubscribeError> {
    /// A master that accepts a subscription says so at once.
    const PATIENCE: Duration = Duration::from_secs(30);
    let not_opened = |reason: &str| SubscribeError::NotOpened {
        reason: reason.to_owned(),
    };
    let first = tokio::time::timeout(PATIENCE, events.next())
        .await
        .map_err(|_| not_opened("the master accepted the subscription and then said nothing"))?
        .ok_or_else(|| not_opened("the master closed the stream before any event"))?
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
            "the master began with {} instead of SUBSCRIBED",
            other.r#type().as_str_name()
        ))),
    }
}

/// The events of a subscription: those of a scheduler unless it is said
/// otherwise.
#[derive(Debug)]
pub struct EventStream<E = Event> {
    body: BodyStream,
    decoder: recordio::Decoder,
    encoding: Encoding,
    event: PhantomData<fn() -> E>,
}

/// Why a stream of events cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The connection broke.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The framing is broken.
    #[error(transparent)]
    Framing(#[from] recordio::Error),
    /// A record is no event.
    #[error("a record is no event: {reason}")]
    Event {
        /// What is wrong with it.
        reason: String,
    },
}

impl<E> EventStream<E>
where
    E: prost::Message + prost::Name + Default + 'static,
{
    pub(crate) fn new(body: BodyStream, encoding: Encoding, record_limit: u64) -> Self {
        Self {
            body,
            decoder: recordio::Decoder::new(record_limit),
            encoding,
            event: PhantomData,
        }
    }

    /// The next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Result<E, StreamError>> {
        let record = self.next_record().await?;
        Some(record.and_then(|record| self.decode(record)))
    }

    /// The next record as it came.
    pub async fn next_record(&mut self) -> Option<Result<Bytes, StreamError>> {
        loop {
            match self.decoder.next_record() {
                Ok(Some(record)) if record.is_empty() => continue,
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(error) => return Some(Err(error.into())),
            }
            match self.body.chunk().await? {
                Ok(chunk) => self.decoder.push(chunk),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    /// A record that has already arrived, without waiting.
    pub(crate) fn ready_record(&mut self) -> Option<Result<Bytes, StreamError>> {
        match self.decoder.next_record() {
            Ok(None) => None,
            Ok(Some(record)) => Some(Ok(record)),
            Err(error) => Some(Err(error.into())),
        }
    }

    pub(crate) fn decode(&self, record: Bytes) -> Result<E, StreamError> {
        self.encoding
            .decode(record)
            .map_err(|reason| StreamError::Event { reason })
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The events as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Result<E, StreamError>> + Send {
        futures::stream::unfold(self, |mut events| async move {
            events.next().await.map(|event| (event, events))
        })
    }
}

/// The type of an event without decoding all of it.
pub(crate) fn peek_type(encoding: Encoding, record: &Bytes) -> Option<event::Type> {
    match encoding {
        // Field 1, a varint below 128, comes first.
        Encoding::Protobuf => match record.as_ref() {
            [0x08, kind, ..] if *kind < 0x80 => event::Type::try_from(i32::from(*kind)).ok(),
            _ => Event::decode(record.clone())
                .ok()
                .map(|event| event.r#type()),
        },
        Encoding::Json => mesos_proto::json::from_slice::<Event>(record)
            .ok()
            .map(|event| event.r#type()),
    }
}
