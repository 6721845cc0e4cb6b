//! Keeps the subscription: does what the [session](crate::session) says, reads
//! the stream into the lanes, and sends what the reconciler asks for.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mesos_proto::v1::scheduler::call::{reconcile, reconcile_operations};
use mesos_proto::v1::scheduler::{Event, call, event};
use mesos_proto::v1::task_status::Reason;
use tokio::time::Instant;

use super::calls::{Calls, Tracked};
use super::lanes::{Item, count};
use super::{Settings, Shared};
use crate::address::HostAddress;
use crate::client::{Encoding, EventStream, StreamError, SubscribeError, Subscription, peek_type};
use crate::reconciler::Ask;
use crate::session::{Input, Output, Session};

/// Answers to reconciliation that come while more than this waits are put off.
const MOST_ANSWERS_WAITING: usize = 10_000;

pub(super) async fn run(shared: Arc<Shared>, settings: Settings) {
    let started = Instant::now();
    let session = Session::new(
        settings.session.clone(),
        settings.framework.id.clone(),
        settings.seed,
        Duration::ZERO,
    );
    let connector = Connector {
        shared,
        settings,
        session,
        started,
        stream: None,
        has_subscribed: false,
    };
    connector.run().await;
}

struct Connector {
    shared: Arc<Shared>,
    settings: Settings,
    session: Session,
    started: Instant,
    stream: Option<(EventStream, Calls)>,
    has_subscribed: bool,
}

impl Connector {
    async fn run(mut self) {
        let mut input = Some(Input::Start);
        loop {
            let output = match input.take() {
                Some(input) => self.session.step(self.started.elapsed(), input),
                None => None,
            };
            match output {
                Some(Output::Connect { to }) => {
                    self.close();
                    input = Some(self.connect(to).await);
                    continue;
                }
                Some(Output::Disconnected(disconnect)) => {
                    self.close();
                    tracing::debug!(reason = %disconnect, "no subscription");
                    metrics::counter!("mesos_sdk_disconnects_total").increment(1);
                    self.shared.lanes.push(Item::Disconnected(disconnect));
                }
                Some(Output::Fail(error)) => {
                    self.close();
                    self.shared.lanes.push(Item::End(error));
                    return;
                }
                Some(Output::Subscribed) | None => {}
            }
            self.reconcile();
            input = self.wait().await;
        }
    }

    /// Subscribes; the session's patience holds meanwhile.
    async fn connect(&mut self, to: Option<HostAddress>) -> Input {
        let give_up = self.session.wake_at().map(|at| self.started + at);
        let subscribing = async {
            let server = match to {
                Some(server) => server,
                None => match self.settings.detector.leader().await {
                    Ok(server) => server,
                    Err(error) => return Err(error.to_string().into()),
                },
            };
            let updated = self.shared.current().updated.clone();
            let (mut framework_info, offer_constraints) = updated.unwrap_or_else(|| {
                let settings = &self.settings;
                (
                    settings.framework.clone(),
                    settings.offer_constraints.clone(),
                )
            });
            framework_info.id = self.session.framework_id().cloned();
            let subscribe = call::Subscribe {
                framework_info,
                suppressed_roles: self.settings.suppressed_roles.clone(),
                offer_constraints,
            };
            tokio::select! {
                subscription = self.settings.client.subscribe(&server, subscribe) => subscription.map(Some),
                () = self.settings.detector.changed() => Ok(None),
            }
        };
        let result = match give_up {
            Some(at) => match tokio::time::timeout_at(at, subscribing).await {
                Ok(result) => result,
                Err(_) => return Input::Tick,
            },
            None => subscribing.await,
        };
        match result {
            Ok(Some(subscription)) => self.open(subscription),
            Ok(None) => Input::LeaderChanged,
            Err(SubscribeError::Redirected { to }) => Input::Redirected { to },
            Err(SubscribeError::Rejected { status, message }) => {
                Input::Rejected { status, message }
            }
            Err(SubscribeError::Refused { message }) => Input::ErrorEvent { message },
            Err(SubscribeError::NotOpened { reason }) => Input::NotOpened { reason },
        }
    }

    fn open(&mut self, subscription: Subscription) -> Input {
        let Subscription {
            subscribed,
            events,
            calls,
        } = subscription;
        let framework_id = subscribed.framework_id.clone();
        let heartbeat_interval = subscribed
            .heartbeat_interval_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|interval| !interval.is_zero());
        calls.track(Tracked {
            tasks: Arc::clone(&self.shared.reconciler),
            operations: Arc::clone(&self.shared.operations),
        });
        {
            let mut current = self.shared.current();
            current.calls = Some(calls.clone());
            current.framework_id = Some(framework_id.clone());
        }
        let is_takeover = !self.has_subscribed && self.settings.framework.id.is_some();
        self.has_subscribed = true;
        self.shared
            .reconciler()
            .subscribed(self.started.elapsed(), is_takeover);
        self.shared
            .operations()
            .subscribed(self.started.elapsed(), false);
        metrics::counter!("mesos_sdk_subscriptions_total").increment(1);
        self.shared
            .lanes
            .push(Item::Subscribed(Box::new(subscribed)));
        self.stream = Some((events, calls));
        Input::Subscribed {
            framework_id: Some(framework_id),
            heartbeat_interval,
        }
    }

    fn close(&mut self) {
        if self.stream.take().is_some() {
            self.shared.end_subscription();
        }
    }

    async fn wait(&mut self) -> Option<Input> {
        let session = self.session.wake_at();
        let reconciler = self.shared.reconciler().wake_at();
        let operations = self.shared.operations().wake_at();
        let wake = [session, reconciler, operations]
            .into_iter()
            .flatten()
            .min();
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(self.started + at).await,
                None => std::future::pending().await,
            }
        };
        let record = async {
            match &mut self.stream {
                Some((events, _)) => events.next_record().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            record = record => self.records(record),
            () = timer => Some(Input::Tick),
            () = self.settings.detector.changed() => Some(Input::LeaderChanged),
            () = self.shared.answered.notified() => None,
        }
    }

    /// Puts a record, and all that came with it, into the lanes.
    fn records(&mut self, first: Option<Result<Bytes, StreamError>>) -> Option<Input> {
        let mut next = match first {
            Some(record) => Some(record),
            None => {
                return Some(Input::Ended {
                    reason: "the master closed the stream".to_owned(),
                });
            }
        };
        while let Some(record) = next {
            let Some((events, calls)) = &mut self.stream else {
                return None;
            };
            let result = record.and_then(|record| sort(&self.shared, events, calls, record));
            match result {
                Ok(None) => {}
                Ok(Some(message)) => return Some(Input::ErrorEvent { message }),
                Err(error) => {
                    return Some(Input::Ended {
                        reason: error.to_string(),
                    });
                }
            }
            next = events.ready_record();
        }
        Some(Input::Heard)
    }

    fn reconcile(&mut self) {
        let now = self.started.elapsed();
        let Some((_, calls)) = &self.stream else {
            return;
        };
        let mut reconciler = self.shared.reconciler();
        while let Some(Ask(tasks)) = reconciler.step(now) {
            let calls = calls.clone();
            // A call that fails is made again when its answers stay out.
            tokio::spawn(async move { calls.reconcile(tasks).await });
        }
        metrics::gauge!("mesos_sdk_tracked_tasks").set(count(reconciler.tracked()));
        drop(reconciler);
        let mut operations = self.shared.operations();
        while let Some(Ask(asked)) = operations.step(now) {
            let calls = calls.clone();
            let asked = asked.into_iter().map(as_operation).collect();
            tokio::spawn(async move { calls.reconcile_operations(asked).await });
        }
    }
}

impl Shared {
    /// Calls fail from here on, and offers are void.
    pub(super) fn end_subscription(&self) {
        let calls = self.current().calls.take();
        if let Some(calls) = calls {
            calls.end();
        }
        self.lanes.void_offers();
        self.reconciler().disconnected();
        self.operations().disconnected();
    }

    pub(super) fn current(&self) -> std::sync::MutexGuard<'_, super::Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While very much waits, an answer to reconciliation does not: it is
    /// forgotten, and asked for again. So what waits is bounded.
    fn put_off(&self, encoding: Encoding, record: &Bytes) -> bool {
        if self.lanes.waiting() < MOST_ANSWERS_WAITING {
            return false;
        }
        let Ok(event) = encoding.decode::<Event>(record.clone()) else {
            return false;
        };
        let status = event.update.unwrap_or_default().status;
        let is_answer = status.uuid.is_none()
            && status.reason.is_some()
            && status.reason() == Reason::Reconciliation;
        if is_answer {
            self.reconciler()
                .unheard(&status.task_id, status.agent_id.as_ref());
        }
        is_answer
    }

    pub(super) fn reconciler(&self) -> std::sync::MutexGuard<'_, crate::reconciler::Reconciler> {
        self.reconciler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn operations(&self) -> std::sync::MutexGuard<'_, crate::reconciler::Reconciler> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reconciler knows names only, and those of operations are as good.
fn as_operation(asked: reconcile::Task) -> reconcile_operations::Operation {
    reconcile_operations::Operation {
        operation_id: crate::ids::operation_id(asked.task_id.value),
        agent_id: asked.agent_id,
        resource_provider_id: None,
    }
}

/// Sorts a record into its lane. The message of an ERROR is returned.
fn sort(
    shared: &Shared,
    events: &EventStream,
    calls: &Calls,
    record: Bytes,
) -> Result<Option<String>, StreamError> {
    let encoding = events.encoding();
    let kind = peek_type(encoding, &record).unwrap_or(event::Type::Unknown);
    metrics::counter!("mesos_sdk_events_total", "type" => kind.as_str_name()).increment(1);
    match kind {
        event::Type::Heartbeat => shared.lanes.heartbeat(),
        event::Type::Update => {
            if !shared.put_off(encoding, &record) {
                shared
                    .lanes
                    .push(Item::Update(record, encoding, calls.clone()));
            }
        }
        event::Type::Offers => {
            let offers = events.decode(record)?.offers.unwrap_or_default().offers;
            shared.lanes.offers(offers, calls);
        }
        event::Type::Rescind => {
            if let Some(rescind) = events.decode(record)?.rescind {
                shared.lanes.rescind(rescind.offer_id);
            }
        }
        event::Type::Error => {
            let error = events.decode(record)?.error.unwrap_or_default();
            return Ok(Some(error.message));
        }
        // Something newer than this SDK; the proto says that it may come.
        event::Type::Unknown => {}
        event::Type::UpdateOperationStatus => {
            if let Some(update) = events.decode(record)?.update_operation_status {
                let status = Box::new(update.status);
                shared.lanes.push(Item::Operation(status, calls.clone()));
            }
        }
        _ => {
            let event = events.decode(record)?;
            shared.lanes.push(Item::Event(Box::new(event)));
        }
    }
    Ok(None)
}

impl From<String> for SubscribeError {
    fn from(reason: String) -> Self {
        Self::NotOpened { reason }
    }
}
