//! Keeps the subscription: does what the [session](super::session) says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use mesos_proto::v1;
use mesos_proto::v1::executor::{Event, event};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Error;
use super::handle::Shared;
use super::session::{Disconnect, Input, Now, Output, Session, SessionConfig};
use crate::client::{EventStream, StreamError, SubscribeError};
use crate::error::CallError;

/// Something for one of the executor's methods.
#[derive(Debug)]
pub(super) enum Told {
    Subscribed(Box<event::Subscribed>),
    Disconnected(Disconnect),
    Event(Box<Event>),
    UpdateRefused(Box<v1::TaskStatus>, String),
}

type Opened = Result<(event::Subscribed, EventStream<Event>), SubscribeError>;

pub(super) struct Connector {
    shared: Arc<Shared>,
    session: Session,
    started: Instant,
    inputs: mpsc::UnboundedReceiver<Input>,
    told: mpsc::UnboundedSender<Told>,
    connecting: Option<BoxFuture<'static, Opened>>,
    stream: Option<EventStream<Event>>,
    sending: FuturesUnordered<BoxFuture<'static, Option<Input>>>,
}

impl Connector {
    pub(super) fn new(
        shared: Arc<Shared>,
        config: SessionConfig,
        seed: u64,
        inputs: mpsc::UnboundedReceiver<Input>,
        told: mpsc::UnboundedSender<Told>,
    ) -> Self {
        Self {
            shared,
            session: Session::new(config, seed, Duration::ZERO),
            started: Instant::now(),
            inputs,
            told,
            connecting: None,
            stream: None,
            sending: FuturesUnordered::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut input = Input::Start;
        loop {
            let before = self.session.unacknowledged_updates();
            let is_update = matches!(input, Input::Update(_));
            let outputs = self.session.step(self.now(), input);
            self.count(before + usize::from(is_update));
            for output in outputs {
                if let Output::End(result) = output {
                    self.close();
                    return result;
                }
                self.act(output);
            }
            input = self.wait().await;
        }
    }

    fn now(&self) -> Now {
        self.started.elapsed()
    }

    /// Tells how many updates are open, of which the session knew `before`.
    fn count(&self, before: usize) {
        let after = self.session.unacknowledged_updates();
        if after < before {
            self.shared
                .unacknowledged
                .send_modify(|count| *count = count.saturating_sub(before - after));
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Connect(subscribe) => {
                self.close();
                let shared = Arc::clone(&self.shared);
                let opening = async move { shared.client.subscribe(*subscribe).await };
                self.connecting = Some(opening.boxed());
            }
            Output::Disconnected(disconnect) => {
                self.close();
                self.tell(Told::Disconnected(disconnect));
            }
            Output::Close => self.close(),
            Output::Send { number, status } => {
                let shared = Arc::clone(&self.shared);
                let sent = async move {
                    let result = shared.client.update(*status).await;
                    Some(outcome(number, result))
                };
                self.sending.push(sent.boxed());
            }
            Output::Heartbeat => {
                let shared = Arc::clone(&self.shared);
                let sent = async move {
                    if let Err(error) = shared.client.heartbeat().await {
                        tracing::debug!(%error, "the agent did not take a heartbeat");
                    }
                    None
                };
                self.sending.push(sent.boxed());
            }
            Output::Tell(event) => self.tell(Told::Event(event)),
            Output::UpdateRefused { status, message } => {
                self.tell(Told::UpdateRefused(status, message));
            }
            Output::End(_) => {}
        }
    }

    fn tell(&self, told: Told) {
        // Nobody listens any more when the run is being dropped.
        let _ = self.told.send(told);
    }

    fn close(&mut self) {
        self.shared.is_subscribed.store(false, Ordering::Release);
        self.connecting = None;
        self.stream = None;
        self.sending.clear();
    }

    async fn wait(&mut self) -> Input {
        let wake = self.session.wake_at().map(|at| self.started + at);
        loop {
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let opening = async {
                match &mut self.connecting {
                    Some(connecting) => connecting.await,
                    None => std::future::pending().await,
                }
            };
            let event = async {
                match &mut self.stream {
                    Some(stream) => stream.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = event => return input_of(event),
                opened = opening => return self.opened(opened),
                Some(input) = self.inputs.recv() => return input,
                Some(input) = self.sending.next(), if !self.sending.is_empty() => {
                    if let Some(input) = input {
                        return input;
                    }
                }
                () = timer => return Input::Tick,
            }
        }
    }

    fn opened(&mut self, opened: Opened) -> Input {
        self.connecting = None;
        match opened {
            Ok((subscribed, stream)) => {
                self.stream = Some(stream);
                self.shared.is_subscribed.store(true, Ordering::Release);
                self.tell(Told::Subscribed(Box::new(subscribed)));
                Input::Subscribed
            }
            Err(SubscribeError::Rejected { status, message }) => {
                Input::Rejected { status, message }
            }
            Err(SubscribeError::Refused { message }) => Input::Rejected {
                status: 400,
                message,
            },
            Err(error) => Input::NotOpened {
                reason: error.to_string(),
            },
        }
    }
}

impl Drop for Connector {
    /// Also when the run is dropped: messages fail from here on.
    fn drop(&mut self) {
        self.close();
    }
}

fn input_of(event: Option<Result<Event, StreamError>>) -> Input {
    match event {
        Some(Ok(event)) => Input::Event(Box::new(event)),
        Some(Err(error)) => Input::Ended {
            reason: error.to_string(),
        },
        None => Input::Ended {
            reason: "the agent closed the stream".to_owned(),
        },
    }
}

fn outcome(number: u64, result: Result<(), CallError>) -> Input {
    match result {
        Ok(()) => Input::Sent { number },
        Err(CallError::Refused { message, .. }) => Input::UpdateRefused { number, message },
        Err(error) => {
            tracing::debug!(%error, "an update did not reach the agent");
            Input::NotSent { number }
        }
    }
}
