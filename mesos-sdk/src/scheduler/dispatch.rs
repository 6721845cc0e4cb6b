//! Calls the scheduler's methods, one at a time, and acknowledges what they
//! have taken.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{Event, call, event};

use super::calls::Calls;
use super::lanes::Item;
use super::{Handle, Scheduler, Shared};
use crate::client::Encoding;
use crate::error::{BoxError, Error};
use crate::offer::Offer;
use crate::status::{StatusUpdate, is_terminal};

pub(super) async fn run(
    shared: &Shared,
    handle: &Handle,
    scheduler: &mut impl Scheduler,
) -> Result<(), Error> {
    let mut handled = Handled::default();
    loop {
        if shared.current().is_stopped {
            return Ok(());
        }
        let item = tokio::select! {
            biased;
            () = shared.stopped.notified() => return Ok(()),
            item = shared.lanes.next() => item,
        };
        if let Item::End(error) = item {
            return match error {
                Error::Removed { .. } if shared.current().is_leaving => Ok(()),
                error => Err(error),
            };
        }
        let (method, result) = dispatch(shared, handle, scheduler, &mut handled, item).await;
        result.map_err(|source| Error::Scheduler { method, source })?;
    }
}

async fn dispatch(
    shared: &Shared,
    handle: &Handle,
    scheduler: &mut impl Scheduler,
    handled: &mut Handled,
    item: Item,
) -> (&'static str, Result<(), BoxError>) {
    match item {
        Item::Subscribed(subscribed) => {
            let id = &subscribed.framework_id;
            let result = scheduler.subscribed(handle, id, &subscribed).await;
            ("subscribed", result)
        }
        Item::Disconnected(reason) => (
            "disconnected",
            scheduler.disconnected(handle, &reason).await,
        ),
        Item::Offers(offers, calls) => {
            let offers = offers
                .into_iter()
                .map(|(offer, standing)| Offer::new(offer, standing, calls.clone()))
                .collect();
            ("offers", scheduler.offers(handle, offers).await)
        }
        Item::Rescinded(id) => ("rescinded", scheduler.rescinded(handle, id).await),
        Item::Update(record, encoding, calls) => {
            let result = update(shared, handle, scheduler, handled, record, encoding, calls).await;
            ("update", result)
        }
        Item::Event(event) => other(handle, scheduler, *event).await,
        Item::Heartbeat => ("heartbeat", scheduler.heartbeat(handle).await),
        Item::End(error) => ("end", Err(error.into())),
    }
}

/// The promise: acknowledged after it was handled, handled once.
async fn update(
    shared: &Shared,
    handle: &Handle,
    scheduler: &mut impl Scheduler,
    handled: &mut Handled,
    record: Bytes,
    encoding: Encoding,
    calls: Calls,
) -> Result<(), BoxError> {
    let event: Event = match encoding.decode(record) {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(error, "an update cannot be read; it stays unacknowledged");
            return Ok(());
        }
    };
    let status = event.update.unwrap_or_default().status;
    note_answer(shared, &status);
    let redelivery = handled.find(&status);
    let update = StatusUpdate::new(status, redelivery.is_some(), calls);
    if redelivery != Some(Acknowledged::ByDriver) {
        scheduler.update(handle, &update).await?;
    }
    match update.take_acknowledgement() {
        Some(ack) => {
            ack.send();
            handled.note(update.status(), Acknowledged::ByDriver);
        }
        None => handled.note(update.status(), Acknowledged::ByScheduler),
    }
    Ok(())
}

fn note_answer(shared: &Shared, status: &v1::TaskStatus) {
    let mut reconciler = shared.reconciler();
    // Of a task that nobody knows nothing more is to be heard.
    let is_over = is_terminal(status.state()) || status.state() == v1::TaskState::TaskUnknown;
    let goes_on = if is_over {
        reconciler.settle(&status.task_id)
    } else {
        reconciler.answer(&status.task_id, status.agent_id.as_ref())
    };
    drop(reconciler);
    if goes_on {
        shared.answered.notify_one();
    }
}

async fn other(
    handle: &Handle,
    scheduler: &mut impl Scheduler,
    event: Event,
) -> (&'static str, Result<(), BoxError>) {
    match event.r#type() {
        event::Type::InverseOffers => {
            let offers = event.inverse_offers.unwrap_or_default().inverse_offers;
            (
                "inverse_offers",
                scheduler.inverse_offers(handle, offers).await,
            )
        }
        event::Type::RescindInverseOffer => {
            let rescind = event.rescind_inverse_offer.unwrap_or_default();
            let id = rescind.inverse_offer_id;
            let result = scheduler.inverse_offer_rescinded(handle, id).await;
            ("inverse_offer_rescinded", result)
        }
        event::Type::UpdateOperationStatus => {
            let status = event.update_operation_status.unwrap_or_default().status;
            let result = scheduler.operation_update(handle, &status).await;
            if result.is_ok() {
                acknowledge_operation(handle, status);
            }
            ("operation_update", result)
        }
        event::Type::Message => {
            let message = event.message.unwrap_or_default();
            let (agent, executor) = (message.agent_id, message.executor_id);
            let result = scheduler
                .message(handle, agent, executor, message.data)
                .await;
            ("message", result)
        }
        event::Type::Failure => {
            let failure = event.failure.unwrap_or_default();
            let agent = failure.agent_id.unwrap_or_default();
            match failure.executor_id {
                Some(executor) => {
                    let status = failure.status;
                    let lost = scheduler.executor_lost(handle, agent, executor, status);
                    ("executor_lost", lost.await)
                }
                None => ("agent_lost", scheduler.agent_lost(handle, agent).await),
            }
        }
        kind => {
            tracing::debug!(kind = kind.as_str_name(), "event without a method");
            ("event", Ok(()))
        }
    }
}

fn acknowledge_operation(handle: &Handle, status: v1::OperationStatus) {
    let (Some(uuid), Some(operation_id), Some(calls)) =
        (status.uuid, status.operation_id, handle.calls())
    else {
        return;
    };
    let acknowledge = call::AcknowledgeOperationStatus {
        agent_id: status.agent_id,
        resource_provider_id: status.resource_provider_id,
        uuid: uuid.value,
        operation_id,
    };
    // When it is lost, the status comes again.
    tokio::spawn(async move { calls.acknowledge_operation(acknowledge).await });
}

/// The updates that were handled last, by task.
#[derive(Debug, Default)]
struct Handled {
    last: HashMap<String, (Bytes, Acknowledged)>,
    order: VecDeque<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    ByDriver,
    /// It is the scheduler's to acknowledge, so the scheduler sees it again.
    ByScheduler,
}

impl Handled {
    /// An update older than this many tasks is not sent again.
    const REMEMBERED: usize = 100_000;

    fn find(&self, status: &v1::TaskStatus) -> Option<Acknowledged> {
        let uuid = status.uuid.as_ref()?;
        let (last, acknowledged) = self.last.get(&status.task_id.value)?;
        (last == uuid).then_some(*acknowledged)
    }

    fn note(&mut self, status: &v1::TaskStatus, acknowledged: Acknowledged) {
        let Some(uuid) = &status.uuid else {
            return;
        };
        let task = status.task_id.value.clone();
        // A copy, so that 16 bytes do not keep the whole chunk they came in.
        let uuid = Bytes::copy_from_slice(uuid);
        if self
            .last
            .insert(task.clone(), (uuid, acknowledged))
            .is_none()
        {
            self.order.push_back(task);
        }
        while self.order.len() > Self::REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.last.remove(&oldest);
            }
        }
    }
}
