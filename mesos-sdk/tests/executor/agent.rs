//! An agent that does what a test tells it to: it hands every SUBSCRIBE to the
//! test, which answers it and then speaks on the stream, and writes down all
//! other calls, which it answers with 202 unless told otherwise.

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, channel::Channel, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use mesos_sdk::{
    executor::ExecutorEnvironment,
    ids, recordio,
    v1::{
        self,
        executor::{
            Call, Event,
            call::{self, Type},
            event,
        },
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Nothing in these tests takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Waits, but not for ever.
pub(crate) async fn soon<F: IntoFuture>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A SUBSCRIBE that waits for its answer.
pub(crate) struct Subscribing {
    pub(crate) subscribe: call::Subscribe,
    pub(crate) headers: HeaderMap,
    pub(crate) path: String,
    answer: oneshot::Sender<Response<Body>>,
}

/// The stream of a subscription. Dropping it ends the stream.
pub(crate) struct Stream(http_body_util::channel::Sender<Bytes, Infallible>);

pub(crate) struct Agent {
    port: u16,
    answers: Answers,
    subscribing: mpsc::UnboundedReceiver<Subscribing>,
    calls: mpsc::UnboundedReceiver<Call>,
    server: JoinHandle<()>,
}

type Answers = Arc<Mutex<VecDeque<(Type, u16, &'static str)>>>;

#[derive(Clone)]
struct Service {
    answers: Answers,
    subscribing: mpsc::UnboundedSender<Subscribing>,
    calls: mpsc::UnboundedSender<Call>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Agent {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::serve(port, |service| {
            tokio::spawn(async move {
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    service.connection(socket);
                }
            })
        })
    }

    pub(crate) async fn start_on_socket(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self::serve(1, |service| {
            tokio::spawn(async move {
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    service.connection(socket);
                }
            })
        })
    }

    fn serve(port: u16, start: impl FnOnce(Service) -> JoinHandle<()>) -> Self {
        let answers = Answers::default();
        let (to_subscribing, subscribing) = mpsc::unbounded_channel();
        let (to_calls, calls) = mpsc::unbounded_channel();
        let service = Service {
            answers: Arc::clone(&answers),
            subscribing: to_subscribing,
            calls: to_calls,
        };
        Self {
            port,
            answers,
            subscribing,
            calls,
            server: start(service),
        }
    }

    /// What such an agent puts into the environment of an executor.
    pub(crate) fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let pid = format!("slave(1)@127.0.0.1:{}", self.port);
        let base = [
            ("MESOS_FRAMEWORK_ID", "F-1"),
            ("MESOS_EXECUTOR_ID", "E-1"),
            ("MESOS_SLAVE_ID", "A-1"),
            ("MESOS_SLAVE_PID", &*pid),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "50ms"),
        ];
        let all = base.iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    pub(crate) fn read(&self, more: &[(&str, &str)]) -> ExecutorEnvironment {
        ExecutorEnvironment::from_vars(self.environment(more)).unwrap()
    }

    /// The next call of this type is answered so.
    pub(crate) fn answer_next(&self, call: Type, status: u16, body: &'static str) {
        self.answers.lock().unwrap().push_back((call, status, body));
    }

    pub(crate) async fn subscribing(&mut self) -> Subscribing {
        soon("a SUBSCRIBE", self.subscribing.recv()).await.unwrap()
    }

    /// Accepts the next SUBSCRIBE and says SUBSCRIBED.
    pub(crate) async fn subscribe(&mut self) -> Stream {
        self.subscribing().await.accept().await
    }

    pub(crate) async fn call(&mut self) -> Call {
        soon("a call", self.calls.recv()).await.unwrap()
    }

    /// The next call, which is an UPDATE.
    pub(crate) async fn update(&mut self) -> v1::TaskStatus {
        let call = self.call().await;
        call.update
            .unwrap_or_else(|| panic!("{:?}", call.r#type))
            .status
    }
}

impl Service {
    fn connection(&self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = self.clone();
        let service = service_fn(move |request| service.clone().respond(request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service),
        );
    }

    async fn respond(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call: Call = mesos_proto::wire::decode(body)?;
        assert_eq!(call.framework_id.value, "F-1");
        assert_eq!(call.executor_id.value, "E-1");
        if let Some(subscribe) = call.subscribe {
            let (answer, answered) = oneshot::channel();
            self.subscribing.send(Subscribing {
                subscribe,
                headers: parts.headers,
                path: parts.uri.path().to_owned(),
                answer,
            })?;
            return Ok(answered.await?);
        }
        let scripted = {
            let mut answers = self.answers.lock().unwrap();
            let is_next = answers
                .front()
                .is_some_and(|(kind, ..)| *kind == call.r#type());
            is_next.then(|| answers.pop_front()).flatten()
        };
        self.calls.send(call)?;
        let (status, text) = scripted.map_or((202, ""), |(_, status, text)| (status, text));
        let body = Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync();
        Ok(Response::builder().status(status).body(body)?)
    }
}

impl Subscribing {
    pub(crate) async fn accept(self) -> Stream {
        let (sender, body) = Channel::new(1);
        // The client may have gone meanwhile.
        let _ = self.answer.send(Response::new(body.boxed_unsync()));
        let mut stream = Stream(sender);
        stream
            .send(event(event::Type::Subscribed, |event| {
                event.subscribed = Some(event::Subscribed::default());
            }))
            .await;
        stream
    }

    pub(crate) fn refuse(self, status: u16, body: &'static str) {
        let body = Full::new(Bytes::from_static(body.as_bytes())).boxed_unsync();
        let response = Response::builder().status(status).body(body);
        let _ = self.answer.send(response.unwrap());
    }

    pub(crate) fn updates(&self) -> Vec<v1::TaskState> {
        let updates = self.subscribe.unacknowledged_updates.iter();
        updates.map(|update| update.status.state()).collect()
    }
}

/// The events are large; their futures hold the encoded records only.
impl Stream {
    /// Sends an event; whether the executor holds the stream.
    pub(crate) fn try_send(&mut self, event: Event) -> impl Future<Output = bool> {
        let record = recordio::encode(&mesos_proto::wire::encode(&event));
        async move { self.0.send_data(record).await.is_ok() }
    }

    pub(crate) fn send(&mut self, event: Event) -> impl Future<Output = ()> {
        let sent = self.try_send(event);
        async move {
            let is_held = soon("reading the stream", sent).await;
            assert!(is_held, "the executor holds the stream");
        }
    }

    pub(crate) fn launch(&mut self, task: &str) -> impl Future<Output = ()> {
        self.send(event(event::Type::Launch, |event| {
            let task = task_info(task);
            event.launch = Some(event::Launch { task });
        }))
    }

    pub(crate) fn acknowledge(&mut self, status: &v1::TaskStatus) -> impl Future<Output = ()> {
        self.send(event(event::Type::Acknowledged, |event| {
            event.acknowledged = Some(event::Acknowledged {
                task_id: status.task_id.clone(),
                uuid: status.uuid.clone().unwrap(),
            });
        }))
    }

    pub(crate) fn shutdown(&mut self) -> impl Future<Output = ()> {
        self.send(event(event::Type::Shutdown, |_| {}))
    }
}

pub(crate) fn event(kind: event::Type, fill: impl FnOnce(&mut Event)) -> Event {
    let mut event = Event {
        r#type: Some(kind.into()),
        ..Event::default()
    };
    fill(&mut event);
    event
}

pub(crate) fn task_info(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: ids::task_id(id),
        agent_id: ids::agent_id("A-1"),
        ..v1::TaskInfo::default()
    }
}
