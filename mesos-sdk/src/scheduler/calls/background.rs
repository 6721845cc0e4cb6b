//! Calls that nobody waits for: acknowledgements and the declines of offers that
//! were dropped.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::{Call, call};
use tokio::sync::{mpsc, oneshot};

use super::link::Link;

/// Acknowledgements under way at once. An agent waits for each before it sends
/// the next update of the same task, so their order does not matter.
const ACKNOWLEDGEMENTS_AT_ONCE: usize = 8;
#[derive(Debug)]
pub(super) enum Background {
    Acknowledge(call::Acknowledge),
    AcknowledgeOperation(call::AcknowledgeOperationStatus),
    Decline(v1::OfferId),
    /// To be answered when all before it was sent.
    Flush(oneshot::Sender<()>),
}

/// Sends acknowledgements, some at a time, and declines, many at once.
pub(super) async fn in_background(link: Arc<Link>, mut work: mpsc::UnboundedReceiver<Background>) {
    let mut under_way = FuturesUnordered::new();
    let mut flushes: Vec<oneshot::Sender<()>> = Vec::new();
    let mut batch = Vec::new();
    loop {
        if under_way.is_empty() {
            for flush in flushes.drain(..) {
                // Who asked may have lost patience.
                let _ = flush.send(());
            }
        }
        let room = ACKNOWLEDGEMENTS_AT_ONCE.saturating_sub(under_way.len());
        tokio::select! {
            received = work.recv_many(&mut batch, room.max(1)), if room > 0 => {
                if received == 0 {
                    break;
                }
                let mut declined = Vec::new();
                for item in batch.drain(..) {
                    match item {
                        Background::Acknowledge(ack) => under_way.push(link.send(acknowledgement(ack))),
                        Background::AcknowledgeOperation(ack) => {
                            under_way.push(link.send(operation_acknowledgement(ack)));
                        }
                        Background::Decline(offer_id) => declined.push(offer_id),
                        Background::Flush(sent) => flushes.push(sent),
                    }
                }
                if !declined.is_empty() {
                    under_way.push(link.send(Call {
                        r#type: Some(call::Type::Decline as i32),
                        decline: Some(call::Decline { offer_ids: declined, filters: None }),
                        ..Default::default()
                    }));
                }
            }
            Some(_) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

pub(super) fn acknowledgement(acknowledge: call::Acknowledge) -> Call {
    Call {
        r#type: Some(call::Type::Acknowledge as i32),
        acknowledge: Some(acknowledge),
        ..Default::default()
    }
}

pub(super) fn operation_acknowledgement(acknowledge: call::AcknowledgeOperationStatus) -> Call {
    Call {
        r#type: Some(call::Type::AcknowledgeOperationStatus as i32),
        acknowledge_operation_status: Some(acknowledge),
        ..Default::default()
    }
}
