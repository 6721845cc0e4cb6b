//! A server that hands every request to the test, which answers it.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, channel::Channel, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use mesos_sdk::{
    address::HostAddress,
    operator::{AgentClient, MasterClient},
    recordio,
    transport::{Transport, TransportConfig},
};
use tokio::{
    net::TcpListener,
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

pub(crate) struct Server {
    port: u16,
    requests: mpsc::UnboundedReceiver<Asked>,
    server: JoinHandle<()>,
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    records: recordio::Decoder,
    answer: oneshot::Sender<Response<Body>>,
}

/// The stream of an answer. Dropping it ends the stream.
pub(crate) struct Stream(http_body_util::channel::Sender<Bytes, Infallible>);

impl Drop for Server {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (to_requests, requests) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let requests = to_requests.clone();
                let service = service_fn(move |request| respond(request, requests.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self {
            port,
            requests,
            server,
        }
    }

    pub(crate) fn address(&self) -> HostAddress {
        HostAddress::http("127.0.0.1", self.port)
    }

    pub(crate) fn master(&self) -> MasterClient {
        MasterClient::new(self.address(), transport(), None)
    }

    pub(crate) fn agent(&self) -> AgentClient {
        AgentClient::new(self.address(), transport(), None)
    }

    pub(crate) async fn asked(&mut self) -> Asked {
        soon("a request", self.requests.recv()).await.unwrap()
    }
}

pub(crate) fn transport() -> Transport {
    Transport::new(TransportConfig::default())
}

async fn respond(
    request: Request<Incoming>,
    requests: mpsc::UnboundedSender<Asked>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let (answer, answered) = oneshot::channel();
    let asked = Asked {
        path: parts.uri.to_string(),
        headers: parts.headers,
        body,
        records: recordio::Decoder::default(),
        answer,
    };
    requests.send(asked)?;
    Ok(answered.await?)
}

impl Asked {
    /// The whole body as a message.
    pub(crate) async fn call<C>(&mut self) -> C
    where
        C: prost::Message + prost::Name + Default,
    {
        let body = soon("the body", (&mut self.body).collect()).await.unwrap();
        mesos_proto::wire::decode(body.to_bytes()).unwrap()
    }

    /// The next record of a body that is a stream.
    pub(crate) async fn record<C>(&mut self) -> Option<C>
    where
        C: prost::Message + prost::Name + Default,
    {
        loop {
            if let Some(record) = self.records.next_record().unwrap() {
                return Some(mesos_proto::wire::decode(record).unwrap());
            }
            let frame = soon("a record", self.body.frame()).await?.unwrap();
            self.records.push(frame.into_data().unwrap());
        }
    }

    pub(crate) fn answer(self, status: u16, body: impl Into<Bytes>) {
        self.answer_with(status, &[], body);
    }

    pub(crate) fn answer_with(self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let body = Full::new(body.into()).boxed_unsync();
        // The client may have gone meanwhile.
        let _ = self.answer.send(response.body(body).unwrap());
    }

    pub(crate) fn message<M>(self, message: &M)
    where
        M: prost::Message + prost::Name + Default,
    {
        self.answer(200, mesos_proto::wire::encode(message));
    }

    /// Begins a stream.
    pub(crate) fn stream(self) -> Stream {
        let (sender, body) = Channel::new(1);
        let _ = self.answer.send(Response::new(body.boxed_unsync()));
        Stream(sender)
    }
}

impl Stream {
    /// Sends a record; whether the client holds the stream.
    pub(crate) fn send<M>(&mut self, message: &M) -> impl Future<Output = bool>
    where
        M: prost::Message + prost::Name + Default,
    {
        let record = recordio::encode(&mesos_proto::wire::encode(message));
        async move { self.0.send_data(record).await.is_ok() }
    }
}
