//! Server-sent events: one ring of the latest events, and readers who follow it
//! as fast as they can. A reader who comes back goes on where it was; one who
//! falls too far behind is cut off, and nothing is kept for it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::{StatusCode, header};
use tokio::sync::watch;

use super::{Body, Connection, Request, Response};

/// What one write to a reader holds, unless a single event is larger.
const CHUNK_BYTES: usize = 64 << 10;
/// A line that says nothing but that the server is there.
const HEARTBEAT: &[u8] = b"\r\n";

/// How much is kept of what happened.
#[derive(Debug, Clone)]
pub struct EventBusConfig {
    /// The most events that are kept.
    pub max_events: usize,
    /// The most bytes that are kept; the latest event is kept in any case.
    pub max_bytes: usize,
    /// A reader that is so many events behind is cut off.
    pub max_outstanding: u64,
    /// How often a reader hears something when nothing happens.
    pub heartbeat: Duration,
}

impl Default for EventBusConfig {
    fn default() -> Self {
        Self {
            max_events: 4096,
            max_bytes: 64 << 20,
            max_outstanding: 1024,
            heartbeat: Duration::from_secs(10),
        }
    }
}

/// Carries events to whoever listens. Clones are the same bus.
#[derive(Debug, Clone)]
pub struct EventBus(Arc<Shared>);

struct Shared {
    config: EventBusConfig,
    /// Which bus an id belongs to.
    name: String,
    ring: Mutex<Ring>,
    /// The number of the next event.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    /// The number of the oldest event that is kept.
    first: u64,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    readers: Vec<Weak<Reader>>,
}

struct Event {
    kind: String,
    frame: Bytes,
}

/// Where a reader is.
struct Reader {
    cursor: AtomicU64,
    connection: Connection,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("next", &*self.next.borrow())
            .finish_non_exhaustive()
    }
}

/// What a reader wants.
pub struct Subscription {
    /// Whether it wants events of a kind.
    pub wants: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Events (kind and data) that it alone gets first.
    pub greeting: Vec<(String, String)>,
    /// An event that it gets after these when some of what it missed is not
    /// there any more.
    pub on_gap: Option<(String, String)>,
    /// What is done when it has gone.
    pub on_end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// Does something when a reader goes, whoever ends it.
struct Farewell(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(say) = self.0.take() {
            say();
        }
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            wants: Box::new(|_| true),
            greeting: Vec::new(),
            on_gap: None,
            on_end: None,
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("greeting", &self.greeting)
            .finish_non_exhaustive()
    }
}

/// Whether a reader goes on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// It is new.
    Fresh,
    /// It gets all that it missed.
    Whole,
    /// Some of what it missed is not there any more.
    Gap,
}

impl EventBus {
    /// A bus that nothing happened on. The name becomes part of the ids of its
    /// events, by which a reader of another bus is known; a leader's should be
    /// unlike that of the leader before it.
    #[must_use]
    pub fn new(name: &str, config: EventBusConfig) -> Self {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        Self(Arc::new(Shared {
            config,
            name: name.chars().filter(is_plain).collect(),
            ring: Mutex::default(),
            next: watch::Sender::new(0),
        }))
    }

    /// Tells everybody who listens.
    pub fn publish(&self, kind: &str, data: &str) {
        let next = {
            let mut ring = self.0.ring();
            let number = ring.next();
            let id = format!("{}-{number}", self.0.name);
            ring.push(
                Event {
                    kind: kind.to_owned(),
                    frame: frame(Some(&id), kind, data),
                },
                &self.0.config,
            );
            ring.cut_slow_readers(self.0.config.max_outstanding);
            ring.next()
        };
        self.0.next.send_replace(next);
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        let mut ring = self.0.ring();
        ring.readers.retain(|reader| reader.strong_count() > 0);
        ring.readers.len()
    }

    /// Answers a request with the stream. A reader that sends the id of the last
    /// event it has seen as `Last-Event-ID` goes on from there.
    #[must_use]
    pub fn subscribe(&self, request: &Request, subscription: Subscription) -> (Resumed, Response) {
        let last = request.header("last-event-id").map(str::trim);
        let (resumed, cursor) = self.place(last);
        let mut greeting = BytesMut::new();
        for (kind, data) in &subscription.greeting {
            greeting.extend_from_slice(&frame(None, kind, data));
        }
        if resumed == Resumed::Gap
            && let Some((kind, data)) = &subscription.on_gap
        {
            greeting.extend_from_slice(&frame(None, kind, data));
        }
        let reader = Arc::new(Reader {
            cursor: AtomicU64::new(cursor),
            connection: request.connection.clone(),
        });
        self.0.ring().readers.push(Arc::downgrade(&reader));
        let stream = follow(
            Arc::clone(&self.0),
            reader,
            greeting.freeze(),
            subscription.wants,
            Farewell(subscription.on_end),
        );
        let response = Response::of(StatusCode::OK, Body::stream(stream)).with(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("text/event-stream"),
        );
        (resumed, response)
    }

    /// Where a reader begins.
    fn place(&self, last: Option<&str>) -> (Resumed, u64) {
        let ring = self.0.ring();
        let next = ring.next();
        let Some(last) = last.filter(|last| !last.is_empty()) else {
            return (Resumed::Fresh, next);
        };
        let number = last.rsplit_once('-').and_then(|(name, number)| {
            (name == self.0.name).then(|| number.parse::<u64>().ok())?
        });
        match number.map(|number| number.saturating_add(1)) {
            Some(wanted) if wanted > next => (Resumed::Gap, next),
            // What is kept may be more than a reader may be behind.
            Some(wanted)
                if wanted >= ring.first && next - wanted <= self.0.config.max_outstanding =>
            {
                (Resumed::Whole, wanted)
            }
            Some(_) => {
                let oldest = next.saturating_sub(self.0.config.max_outstanding);
                (Resumed::Gap, ring.first.max(oldest))
            }
            None => (
                Resumed::Gap,
                ring.first
                    .max(next.saturating_sub(self.0.config.max_outstanding)),
            ),
        }
    }
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring
            .lock()
            .expect("nothing panics while it holds the ring")
    }
}

impl Ring {
    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    fn push(&mut self, event: Event, config: &EventBusConfig) {
        self.bytes += event.frame.len();
        self.events.push_back(Arc::new(event));
        while self.events.len() > 1
            && (self.events.len() > config.max_events || self.bytes > config.max_bytes)
        {
            if let Some(old) = self.events.pop_front() {
                self.bytes -= old.frame.len();
                self.first += 1;
            }
        }
    }

    fn cut_slow_readers(&mut self, max_outstanding: u64) {
        let next = self.next();
        let first = self.first;
        self.readers.retain(|reader| {
            let Some(reader) = reader.upgrade() else {
                return false;
            };
            let cursor = reader.cursor.load(Ordering::Acquire);
            let is_slow = cursor < first || next - cursor > max_outstanding;
            if is_slow {
                tracing::info!(behind = next - cursor, "a reader of events is too slow");
                reader.connection.cut();
            }
            !is_slow
        });
    }

    /// What a reader gets next, and where it is then. `None` when it has been
    /// left behind.
    fn read(&self, mut cursor: u64, wants: &dyn Fn(&str) -> bool) -> Option<(Bytes, u64)> {
        let skip = cursor.checked_sub(self.first)?;
        let mut chunk = BytesMut::new();
        for event in self.events.iter().skip(usize::try_from(skip).ok()?) {
            if wants(&event.kind) {
                if !chunk.is_empty() && chunk.len() + event.frame.len() > CHUNK_BYTES {
                    break;
                }
                chunk.extend_from_slice(&event.frame);
            }
            cursor += 1;
        }
        Some((chunk.freeze(), cursor))
    }
}

/// The events for one reader, from its cursor on.
fn follow(
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    greeting: Bytes,
    wants: Box<dyn Fn(&str) -> bool + Send + Sync>,
    farewell: Farewell,
) -> impl Stream<Item = Bytes> + Send {
    let news = shared.next.subscribe();
    let state = (shared, reader, greeting, wants, news, farewell);
    futures::stream::unfold(state, |state| async move {
        let (shared, reader, mut greeting, wants, mut news, farewell) = state;
        if !greeting.is_empty() {
            let first = std::mem::take(&mut greeting);
            return Some((first, (shared, reader, greeting, wants, news, farewell)));
        }
        loop {
            news.mark_unchanged();
            let cursor = reader.cursor.load(Ordering::Acquire);
            let (chunk, cursor) = shared.ring().read(cursor, &*wants)?;
            reader.cursor.store(cursor, Ordering::Release);
            if !chunk.is_empty() {
                metrics::counter!("http.responses.event-stream.size.counter.bytes")
                    .increment(chunk.len() as u64);
                return Some((chunk, (shared, reader, greeting, wants, news, farewell)));
            }
            match tokio::time::timeout(shared.config.heartbeat, news.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => {
                    let beat = Bytes::from_static(HEARTBEAT);
                    return Some((beat, (shared, reader, greeting, wants, news, farewell)));
                }
            }
        }
    })
}

fn frame(id: Option<&str>, kind: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + kind.len() + 64);
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    text.push_str(&format!("event: {kind}\n"));
    for line in data.split('\n') {
        text.push_str(&format!("data: {line}\n"));
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests;
