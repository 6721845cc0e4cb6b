//! A response without end: records are queued by whoever decides them and
//! written as fast as the client reads, up to a bound.
//!
//! A real master buffers without limit for a client that stops reading
//! (MESOS-7748); here such a client is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::{Notify, mpsc};

use super::connection::Scissors;
use super::{Body, Peer};

/// Makes a stream. Its sending end takes records until more than `limit` bytes
/// wait; `on_end` runs once when the stream is over, for whatever reason: the
/// client left, it was cut off, or the sender was dropped and all was written.
pub(crate) fn event_stream(
    peer: Peer,
    limit: usize,
    on_end: impl FnOnce() + Send + 'static,
) -> (EventSender, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let room = Arc::new(Notify::new());
    let scissors = peer.scissors();
    let body = EventBody {
        receiver,
        queued: Arc::clone(&queued),
        peer,
        on_end: OnEnd(Some(Box::new(on_end))),
        room: Arc::clone(&room),
    };
    let sender = EventSender {
        sender,
        queued,
        limit,
        scissors,
        room,
    };
    (sender, Body::events(body))
}

/// Queues records for one client. Dropping it ends the stream in good order.
#[derive(Debug)]
pub(crate) struct EventSender {
    sender: mpsc::UnboundedSender<Bytes>,
    queued: Arc<AtomicUsize>,
    limit: usize,
    scissors: Scissors,
    /// Told whenever the client has taken something, or has gone.
    room: Arc<Notify>,
}

/// Why a record was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The client has gone.
    Gone,
    /// The client reads too slowly and is being cut off.
    TooSlow,
}

impl EventSender {
    /// Queues one record, framing included.
    pub(crate) fn send(&self, record: Bytes) -> Result<(), SendError> {
        if self.sender.is_closed() {
            return Err(SendError::Gone);
        }
        let length = record.len();
        let before = self.queued.fetch_add(length, Ordering::AcqRel);
        // One record larger than the limit still goes to a client that has read
        // all before it; only what piles up is refused.
        if before > 0 && before + length > self.limit {
            self.scissors.cut();
            return Err(SendError::TooSlow);
        }
        self.sender.send(record).map_err(|_| SendError::Gone)
    }
}

impl EventSender {
    /// Queues one record once there is room, for those who can wait.
    pub(crate) async fn send_when_there_is_room(&self, record: Bytes) -> Result<(), SendError> {
        loop {
            let room = self.room.notified();
            let queued = self.queued.load(Ordering::Acquire);
            if queued == 0 || queued + record.len() <= self.limit {
                return self.send(record);
            }
            tokio::select! {
                () = room => {}
                () = self.sender.closed() => return Err(SendError::Gone),
            }
        }
    }
}

/// The stream was cut off rather than ended.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut off")]
pub(crate) struct Cut;

/// The receiving end, polled by the connection.
pub(super) struct EventBody {
    receiver: mpsc::UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
    peer: Peer,
    #[expect(dead_code, reason = "acts when it is dropped")]
    on_end: OnEnd,
    room: Arc<Notify>,
}

struct OnEnd(Option<Box<dyn FnOnce() + Send>>);

impl Drop for OnEnd {
    fn drop(&mut self) {
        if let Some(on_end) = self.0.take() {
            on_end();
        }
    }
}

impl std::fmt::Debug for EventBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EventBody")
            .field("queued_bytes", &self.queued.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl EventBody {
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.peer.poll_gone(context).is_ready() {
            return Poll::Ready(Some(Err(Cut)));
        }
        match self.receiver.poll_recv(context) {
            Poll::Ready(Some(record)) => {
                self.queued.fetch_sub(record.len(), Ordering::AcqRel);
                self.room.notify_waiters();
                Poll::Ready(Some(Ok(Frame::data(record))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
