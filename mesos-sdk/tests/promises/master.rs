//! A master that does what a test tells it to: it hands every SUBSCRIBE to the
//! test, which answers it and then speaks on the stream, and it writes down all
//! other calls, which it answers with 202 unless told otherwise.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mesos_sdk::{
    address::MasterAddress,
    recordio,
    v1::{
        self,
        scheduler::{
            Call, Event,
            call::Type,
            event::{self, Subscribed},
        },
    },
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Nothing in these tests takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The status of an answer that never comes.
pub(crate) const NEVER: u16 = 0;

type Body = BoxBody<Bytes, Infallible>;

/// Waits, but not for ever.
pub(crate) async fn soon<F: IntoFuture>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) call: Call,
    pub(crate) headers: HeaderMap,
}

impl Received {
    pub(crate) fn stream_id(&self) -> &str {
        self.headers["Mesos-Stream-Id"].to_str().unwrap()
    }
}

/// A SUBSCRIBE that waits for its answer.
pub(crate) struct Subscribing {
    pub(crate) call: Call,
    pub(crate) headers: HeaderMap,
    answer: oneshot::Sender<Response<Body>>,
}

/// The stream of a subscription. Dropping it ends the stream.
pub(crate) struct Stream {
    records: mpsc::Sender<Bytes>,
    is_json: bool,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<(Type, u16, String)>,
}

pub(crate) struct Master {
    port: u16,
    script: Arc<Mutex<Script>>,
    subscribing: mpsc::UnboundedReceiver<Subscribing>,
    calls: mpsc::UnboundedReceiver<Received>,
    server: JoinHandle<()>,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Master {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(Script::default()));
        let (to_subscribing, subscribing) = mpsc::unbounded_channel();
        let (to_calls, calls) = mpsc::unbounded_channel();
        let shared = Arc::clone(&script);
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, subscribing, calls) = (
                    Arc::clone(&shared),
                    to_subscribing.clone(),
                    to_calls.clone(),
                );
                let service = service_fn(move |request| {
                    respond(
                        request,
                        Arc::clone(&script),
                        subscribing.clone(),
                        calls.clone(),
                    )
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self {
            port,
            script,
            subscribing,
            calls,
            server,
        }
    }

    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> MasterAddress {
        self.authority().parse().unwrap()
    }

    /// The next call of this type is answered so.
    pub(crate) fn answer_next(&self, call: Type, status: u16, body: &str) {
        let mut script = self.script.lock().unwrap();
        script.answers.push_back((call, status, body.to_owned()));
    }

    pub(crate) async fn subscribing(&mut self) -> Subscribing {
        soon("a SUBSCRIBE", self.subscribing.recv()).await.unwrap()
    }

    /// Accepts the next SUBSCRIBE and says SUBSCRIBED.
    pub(crate) async fn subscribe(&mut self, stream_id: &str) -> Stream {
        let stream = self.subscribing().await.accept(stream_id);
        stream.send(subscribed("F-1", 15.0)).await;
        stream
    }

    pub(crate) async fn call(&mut self) -> Received {
        soon("a call", self.calls.recv()).await.unwrap()
    }

    /// The next call, which is of this type.
    pub(crate) async fn expect(&mut self, kind: Type) -> Received {
        let received = self.call().await;
        assert_eq!(received.call.r#type(), kind, "{received:?}");
        received
    }

    /// The calls that have arrived and were not looked at.
    pub(crate) fn calls_so_far(&mut self) -> Vec<Type> {
        std::iter::from_fn(|| self.calls.try_recv().ok())
            .map(|received| received.call.r#type())
            .collect()
    }
}

impl Subscribing {
    /// Begins a stream.
    pub(crate) fn accept(self, stream_id: &str) -> Stream {
        let is_json = self.headers["Accept"] == "application/json";
        // A record is taken out only when the connection has room for it, so a
        // client that does not read is noticed.
        let (records, receiver) = mpsc::channel::<Bytes>(1);
        let frames: BoxStream<'static, Result<Frame<Bytes>, Infallible>> =
            futures::stream::unfold(receiver, |mut receiver| async move {
                let record = receiver.recv().await?;
                Some((Ok(Frame::data(record)), receiver))
            })
            .boxed();
        let response = Response::builder()
            .header("Mesos-Stream-Id", stream_id)
            .header("Content-Type", self.headers["Accept"].clone())
            .body(Body::new(StreamBody::new(SyncStream(Mutex::new(frames)))))
            .unwrap();
        // The client may have gone meanwhile.
        let _ = self.answer.send(response);
        Stream { records, is_json }
    }

    pub(crate) fn refuse(self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let _ = self.answer.send(response.body(full(body)).unwrap());
    }

    /// Closes the connection without an answer.
    pub(crate) fn hang_up(self) {}
}

/// A body must be `Sync` to be boxed; it is only ever polled by its owner.
struct SyncStream(Mutex<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>);

impl futures::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.get_mut().0.get_mut().unwrap().poll_next_unpin(context)
    }
}

impl Stream {
    /// Sends an event; waits until the connection has taken it.
    pub(crate) async fn send(&self, event: Event) {
        let record = if self.is_json {
            mesos_proto::json::to_vec(&event).into()
        } else {
            mesos_proto::wire::encode(&event)
        };
        self.send_raw(recordio::encode(&record)).await;
    }

    pub(crate) async fn send_raw(&self, bytes: Bytes) {
        soon("reading the stream", self.records.send(bytes))
            .await
            .expect("the client holds the stream");
    }

    /// Waits until the client has closed the stream.
    pub(crate) async fn closed(&self) {
        soon("closing the stream", self.records.closed()).await;
    }
}

async fn respond(
    request: Request<Incoming>,
    script: Arc<Mutex<Script>>,
    subscribing: mpsc::UnboundedSender<Subscribing>,
    calls: mpsc::UnboundedSender<Received>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    assert_eq!(request.uri().path(), "/api/v1/scheduler");
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call: Call = match parts.headers["Content-Type"].to_str()? {
        "application/json" => mesos_proto::json::from_slice(&body)?,
        "application/x-protobuf" => mesos_proto::wire::decode(body)?,
        other => return Err(format!("content type {other}").into()),
    };
    if call.r#type() == Type::Subscribe {
        let (answer, answered) = oneshot::channel();
        subscribing.send(Subscribing {
            call,
            headers: parts.headers,
            answer,
        })?;
        return Ok(answered.await?);
    }
    let scripted = {
        let mut script = script.lock().unwrap();
        let is_next = script
            .answers
            .front()
            .is_some_and(|(kind, ..)| *kind == call.r#type());
        is_next.then(|| script.answers.pop_front()).flatten()
    };
    calls.send(Received {
        call,
        headers: parts.headers,
    })?;
    if let Some((_, NEVER, _)) = scripted {
        std::future::pending::<()>().await;
    }
    let (status, text) = scripted.map_or((202, String::new()), |(_, status, text)| (status, text));
    Ok(Response::builder()
        .status(StatusCode::from_u16(status)?)
        .body(full(&text))?)
}

fn full(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed()
}

pub(crate) fn subscribed(framework_id: &str, heartbeat_interval_seconds: f64) -> Event {
    Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(Subscribed {
            framework_id: mesos_sdk::ids::framework_id(framework_id),
            heartbeat_interval_seconds: Some(heartbeat_interval_seconds),
            master_info: None,
        }),
        ..Event::default()
    }
}

pub(crate) fn heartbeat() -> Event {
    Event {
        r#type: Some(event::Type::Heartbeat.into()),
        ..Event::default()
    }
}

pub(crate) fn error(message: &str) -> Event {
    Event {
        r#type: Some(event::Type::Error.into()),
        error: Some(event::Error {
            message: message.to_owned(),
        }),
        ..Event::default()
    }
}

pub(crate) fn offers(ids: &[&str]) -> Event {
    let offers = ids.iter().map(|id| offer(id)).collect();
    Event {
        r#type: Some(event::Type::Offers.into()),
        offers: Some(event::Offers { offers }),
        ..Event::default()
    }
}

fn offer(id: &str) -> v1::Offer {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".to_owned()),
        }),
        ..v1::Resource::default()
    };
    v1::Offer {
        id: mesos_sdk::ids::offer_id(id),
        framework_id: mesos_sdk::ids::framework_id("F-1"),
        agent_id: mesos_sdk::ids::agent_id("A-1"),
        hostname: "agent.example".to_owned(),
        resources: vec![scalar("cpus", 4.0), scalar("mem", 1024.0)],
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".to_owned()),
        }),
        ..v1::Offer::default()
    }
}

pub(crate) fn rescind(id: &str) -> Event {
    Event {
        r#type: Some(event::Type::Rescind.into()),
        rescind: Some(event::Rescind {
            offer_id: mesos_sdk::ids::offer_id(id),
        }),
        ..Event::default()
    }
}

/// The answer to reconciliation for a task that runs.
pub(crate) fn answer(task_id: &str) -> Event {
    let mut event = update(task_id, v1::TaskState::TaskRunning, None);
    if let Some(update) = &mut event.update {
        update.status.reason = Some(v1::task_status::Reason::Reconciliation.into());
    }
    event
}

/// An update from an agent with a uuid, or from the master without one.
pub(crate) fn update(task_id: &str, state: v1::TaskState, uuid: Option<u8>) -> Event {
    Event {
        r#type: Some(event::Type::Update.into()),
        update: Some(event::Update {
            status: v1::TaskStatus {
                task_id: mesos_sdk::ids::task_id(task_id),
                state: state.into(),
                agent_id: Some(mesos_sdk::ids::agent_id("A-1")),
                uuid: uuid.map(|byte| Bytes::from(vec![byte; 16])),
                ..v1::TaskStatus::default()
            },
        }),
        ..Event::default()
    }
}

pub(crate) fn message(data: &str) -> Event {
    Event {
        r#type: Some(event::Type::Message.into()),
        message: Some(event::Message {
            agent_id: mesos_sdk::ids::agent_id("A-1"),
            executor_id: mesos_sdk::ids::executor_id("E-1"),
            data: Bytes::copy_from_slice(data.as_bytes()),
        }),
        ..Event::default()
    }
}

/// An agent is lost, or with a status one of its executors.
pub(crate) fn failure(status: Option<i32>) -> Event {
    Event {
        r#type: Some(event::Type::Failure.into()),
        failure: Some(event::Failure {
            agent_id: Some(mesos_sdk::ids::agent_id("A-1")),
            executor_id: status.map(|_| mesos_sdk::ids::executor_id("E-1")),
            status,
        }),
        ..Event::default()
    }
}
