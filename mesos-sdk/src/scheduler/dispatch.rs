//! Calls the scheduler's methods, one at a time, and acknowledges what they
//! have taken.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{Event, event};

use super::calls::Calls;
use super::lanes::Item;
use super::{Handle, Scheduler, Shared};
use crate::client::Encoding;
use crate::error::{BoxError, Error};
use crate::offer::Offer;
use crate::operation::{self, OperationUpdate};
use crate::status::{self, StatusUpdate};

pub(super) async fn run(
    shared: &Shared,
    handle: &Handle,
    scheduler: &mut impl Scheduler,
) -> Result<(), Error> {
    let mut handled = (Handled::default(), Handled::default());
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
    (handled, handled_operations): &mut (Handled, Handled),
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
        Item::Operation(status, calls) => {
            let result = operation(
                shared,
                handle,
                scheduler,
                handled_operations,
                *status,
                calls,
            );
            ("operation_update", result.await)
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
    let redelivery = handled.find(&status.task_id.value, status.uuid.as_ref());
    let update = StatusUpdate::new(status, redelivery.is_some(), calls);
    if redelivery != Some(Acknowledged::ByDriver) {
        scheduler.update(handle, &update).await?;
    }
    let by = match update.take_acknowledgement() {
        Some(ack) => {
            ack.send();
            Acknowledged::ByDriver
        }
        None => Acknowledged::ByScheduler,
    };
    handled.note(update.task_id(), update.status().uuid.as_ref(), by);
    Ok(())
}

/// The same promise for operations.
async fn operation(
    shared: &Shared,
    handle: &Handle,
    scheduler: &mut impl Scheduler,
    handled: &mut Handled,
    status: v1::OperationStatus,
    calls: Calls,
) -> Result<(), BoxError> {
    note_operation(shared, &status);
    let id = status.operation_id.as_ref().map(|id| id.value.clone());
    let id = id.unwrap_or_default();
    let uuid = status.uuid.as_ref().map(|uuid| &uuid.value);
    let redelivery = handled.find(&id, uuid);
    let update = OperationUpdate::new(status, redelivery.is_some(), calls);
    if redelivery != Some(Acknowledged::ByDriver) {
        scheduler.operation_update(handle, &update).await?;
    }
    let by = match update.take_acknowledgement() {
        Some(ack) => {
            ack.send();
            Acknowledged::ByDriver
        }
        None => Acknowledged::ByScheduler,
    };
    handled.note(&id, update.uuid(), by);
    Ok(())
}

fn note_operation(shared: &Shared, status: &v1::OperationStatus) {
    let Some(id) = &status.operation_id else {
        return;
    };
    let id = crate::ids::task_id(&*id.value);
    let mut operations = shared.operations();
    let goes_on = if operation::is_over(status.state()) {
        operations.settle(&id)
    } else {
        operations.answer(&id, status.agent_id.as_ref())
    };
    drop(operations);
    if goes_on {
        shared.answered.notify_one();
    }
}

fn note_answer(shared: &Shared, status: &v1::TaskStatus) {
    let mut reconciler = shared.reconciler();
    let goes_on = if status::is_over(status.state()) {
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

/// The updates that were handled last, by task or operation.
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

    fn find(&self, id: &str, uuid: Option<&Bytes>) -> Option<Acknowledged> {
        let uuid = uuid?;
        let (last, acknowledged) = self.last.get(id)?;
        (last == uuid).then_some(*acknowledged)
    }

    fn note(&mut self, id: &str, uuid: Option<&Bytes>, acknowledged: Acknowledged) {
        let Some(uuid) = uuid else {
            return;
        };
        let task = id.to_owned();
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
