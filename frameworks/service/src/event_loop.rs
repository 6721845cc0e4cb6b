//! The one task that owns a framework's logic: it waits, stamps the time, steps
//! the logic, saves what that changed, and only then lets anything out. It
//! decides nothing.
//!
//! Whatever arrives while a batch is being saved is stepped together and saved
//! together, so a burst of requests costs a few writes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::store::{Batch, Store, StoreError, retry_delay};

/// Inputs that wait; more than that, and whoever sends waits.
const QUEUE: usize = 4096;
/// Inputs that are saved together.
const MOST_TOGETHER: usize = QUEUE;
/// The clock is looked at so often, should it be set.
const LONGEST_SLEEP_MS: i64 = 1000;

/// A framework's logic: a state that changes by inputs, and nothing else.
///
/// It never waits, reads a clock or draws a random number. What it wants done
/// later is a time in its state.
pub trait Machine: Send + 'static {
    /// What somebody asks, and waits for the answer.
    type Request: Send + 'static;
    /// The answer.
    type Reply: Send + 'static;
    /// What happens: news of the cluster, results of actions.
    type Event: Send + 'static;
    /// What it wants done.
    type Action: Send + 'static;

    /// Takes one input, and does all that follows. `now_ms` is the time in
    /// milliseconds since 1970, and never goes back.
    fn step(&mut self, now_ms: i64, input: Input<Self>, effects: &mut Effects<Self>)
    where
        Self: Sized;

    /// Takes one of several inputs that came together. What follows from it may
    /// be left for [`settle`](Self::settle); by default nothing is.
    fn take_in(&mut self, now_ms: i64, input: Input<Self>, effects: &mut Effects<Self>)
    where
        Self: Sized,
    {
        self.step(now_ms, input, effects);
    }

    /// Does what follows from all inputs that came together, once for all of
    /// them: after the last of them, and before anything of it is saved. For
    /// what looks at much of the state, and would at each input find the same.
    fn settle(&mut self, now_ms: i64, effects: &mut Effects<Self>)
    where
        Self: Sized,
    {
        let _ = (now_ms, effects);
    }

    /// When it is to be stepped with [`Input::Wake`], if nothing happens before.
    fn wake_at_ms(&self) -> Option<i64>;
}

/// What a machine is stepped with.
pub enum Input<M: Machine> {
    /// Somebody waits for an answer, which may be given in a later step.
    Request(RequestId, M::Request),
    /// Something has happened.
    Event(M::Event),
    /// It is the time it wanted to be woken at.
    Wake,
}

/// Names a request until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What comes of steps. The order of its parts is its contract: `batch` is
/// saved before anything of `releases` leaves.
pub struct Effects<M: Machine> {
    batch: Batch,
    releases: Vec<Release<M>>,
}

/// What leaves once the batch is saved.
pub enum Release<M: Machine> {
    /// An answer.
    Reply(RequestId, M::Reply),
    /// Something to do.
    Action(M::Action),
}

impl<M: Machine> Default for Effects<M> {
    fn default() -> Self {
        Self {
            batch: Batch::new(),
            releases: Vec::new(),
        }
    }
}

impl<M: Machine> Effects<M> {
    /// An entity is this from now on.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<bytes::Bytes>) {
        self.batch.put(key, value);
    }

    /// There is no such entity from now on.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.batch.delete(key);
    }

    /// The answer to a request. A second one goes nowhere.
    pub fn reply(&mut self, request: RequestId, reply: M::Reply) {
        self.releases.push(Release::Reply(request, reply));
    }

    /// Something to be done.
    pub fn act(&mut self, action: M::Action) {
        self.releases.push(Release::Action(action));
    }

    /// What is to be saved, and what leaves afterwards; for simulations, which
    /// have no loop.
    #[must_use]
    pub fn into_parts(self) -> (Batch, Vec<Release<M>>) {
        (self.batch, self.releases)
    }
}

impl<M: Machine> fmt::Debug for Input<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(id, _) => write!(f, "Request({})", id.0),
            Self::Event(_) => f.write_str("Event"),
            Self::Wake => f.write_str("Wake"),
        }
    }
}

impl<M: Machine> fmt::Debug for Release<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(id, _) => write!(f, "Reply({})", id.0),
            Self::Action(_) => f.write_str("Action"),
        }
    }
}

impl<M: Machine> fmt::Debug for Effects<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects")
            .field("changes", &self.batch.len())
            .field("releases", &self.releases)
            .finish()
    }
}

/// Does what a machine wants done. It must not block: what takes time is handed
/// to another task, whose result comes back as an event.
pub trait Performer<M: Machine>: Send {
    /// Begins one action.
    fn perform(&mut self, action: M::Action);
}

impl<M: Machine, F: FnMut(M::Action) + Send> Performer<M> for F {
    fn perform(&mut self, action: M::Action) {
        self(action);
    }
}

/// Speaks to a machine. Clones speak to the same.
pub struct Handle<M: Machine>(mpsc::Sender<Message<M>>);

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Machine> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

enum Message<M: Machine> {
    Request(M::Request, oneshot::Sender<M::Reply>),
    Event(M::Event),
    Inspect(Inspect<M>),
}

type Inspect<M> = Box<dyn FnOnce(&M) + Send>;

/// The machine does not run any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this instance does not lead any more")]
#[non_exhaustive]
pub struct Stopped;

impl<M: Machine> Handle<M> {
    /// Asks, and waits for the answer. What the answer tells of is saved.
    ///
    /// # Errors
    ///
    /// When the machine has stopped. Whether what was asked has been done is
    /// not known then.
    pub async fn ask(&self, request: M::Request) -> Result<M::Reply, Stopped> {
        self.begin_to_ask(request).await?.await
    }

    /// Asks, and gives back what waits for the answer. Requests are taken in the
    /// order in which this returns, and those that come together are saved
    /// together.
    ///
    /// # Errors
    ///
    /// When the machine has stopped. Of the answer, as [`ask`](Self::ask).
    pub async fn begin_to_ask(
        &self,
        request: M::Request,
    ) -> Result<impl Future<Output = Result<M::Reply, Stopped>> + Send + use<M>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Request(request, answer)).await?;
        Ok(async { answered.await.map_err(|_| Stopped) })
    }

    /// Tells what has happened.
    ///
    /// # Errors
    ///
    /// When the machine has stopped.
    pub async fn tell(&self, event: M::Event) -> Result<(), Stopped> {
        self.send(Message::Event(event)).await
    }

    /// Tells what has happened, and waits until what it changed is saved, as a
    /// status update has to be before it is acknowledged.
    ///
    /// # Errors
    ///
    /// When the machine has stopped. Whether it was saved is not known then.
    pub async fn tell_and_save(&self, event: M::Event) -> Result<(), Stopped> {
        self.tell(event).await?;
        // Messages are taken in order, and looked at after they are saved.
        self.inspect(|_| ()).await
    }

    /// Looks at the machine when all that it has done is saved: what one reader
    /// has seen no later one misses. `look` should be quick, and clone what it
    /// takes long to work on.
    ///
    /// # Errors
    ///
    /// When the machine has stopped.
    pub async fn inspect<R: Send + 'static>(
        &self,
        look: impl FnOnce(&M) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (show, shown) = oneshot::channel();
        let look: Inspect<M> = Box::new(move |machine| {
            // Whoever wanted to know may have gone.
            let _ = show.send(look(machine));
        });
        self.send(Message::Inspect(look)).await?;
        shown.await.map_err(|_| Stopped)
    }

    async fn send(&self, message: Message<M>) -> Result<(), Stopped> {
        self.0.send(message).await.map_err(|_| Stopped)
    }
}

/// A loop that is about to run.
pub struct EventLoop<M: Machine> {
    messages: mpsc::Receiver<Message<M>>,
    /// Who waits for which answer.
    waiting: BTreeMap<RequestId, oneshot::Sender<M::Reply>>,
    requests: u64,
    now_ms: i64,
}

impl<M: Machine> fmt::Debug for EventLoop<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

/// What has been stepped and is not saved yet.
struct Turn<M: Machine> {
    effects: Effects<M>,
    inspections: Vec<Inspect<M>>,
    inputs: usize,
    /// Whether the machine was stepped, and not only looked at.
    is_stepped: bool,
}

impl<M: Machine> EventLoop<M> {
    /// A loop and what speaks to its machine.
    #[must_use]
    pub fn new() -> (Self, Handle<M>) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let event_loop = Self {
            messages,
            waiting: BTreeMap::new(),
            requests: 0,
            now_ms: i64::MIN,
        };
        (event_loop, Handle(sender))
    }

    /// Runs a machine until nothing speaks to it any more. A store that fails is
    /// tried again and again, and nothing leaves meanwhile.
    ///
    /// # Errors
    ///
    /// When the store says that it will not work again, mostly because another
    /// leader has it. Then the process should end: the next one finds all that
    /// was saved.
    pub async fn run(
        mut self,
        mut machine: M,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mut performer: impl Performer<M>,
    ) -> Result<(), StoreError> {
        // What the state asks for is done before anything else happens.
        let mut turn = Turn::new();
        turn.step(&mut machine, self.now(&*clock), Input::Wake);
        turn.settle(&mut machine, self.now(&*clock));
        loop {
            save(&*store, &turn.effects.batch).await?;
            self.release(turn, &machine, &mut performer);
            turn = match self.turn(&mut machine, &*clock).await {
                Some(turn) => turn,
                None => return Ok(()),
            };
        }
    }

    /// Waits for something to do, and steps the machine with all there is.
    async fn turn(&mut self, machine: &mut M, clock: &dyn Clock) -> Option<Turn<M>> {
        let mut turn = Turn::new();
        loop {
            let pause = machine.wake_at_ms().map(|at| at - self.now(clock));
            let sleep = pause.map_or(LONGEST_SLEEP_MS, |pause| pause.clamp(0, LONGEST_SLEEP_MS));
            let sleep = Duration::from_millis(u64::try_from(sleep).unwrap_or_default());
            tokio::select! {
                biased;
                message = self.messages.recv() => {
                    let now_ms = self.now(clock);
                    self.take(message?, &mut turn, machine, now_ms);
                }
                () = tokio::time::sleep(sleep) => {}
            }
            while turn.inputs < MOST_TOGETHER
                && let Ok(message) = self.messages.try_recv()
            {
                let now_ms = self.now(clock);
                self.take(message, &mut turn, machine, now_ms);
            }
            let now_ms = self.now(clock);
            if machine.wake_at_ms().is_some_and(|at| at <= now_ms) {
                turn.step(machine, now_ms, Input::Wake);
            }
            if turn.inputs > 0 {
                turn.settle(machine, now_ms);
                return Some(turn);
            }
        }
    }

    fn take(&mut self, message: Message<M>, turn: &mut Turn<M>, machine: &mut M, now_ms: i64) {
        match message {
            Message::Request(request, answer) => {
                self.requests += 1;
                let id = RequestId(self.requests);
                self.waiting.insert(id, answer);
                turn.step(machine, now_ms, Input::Request(id, request));
            }
            Message::Event(event) => turn.step(machine, now_ms, Input::Event(event)),
            Message::Inspect(look) => {
                turn.inputs += 1;
                turn.inspections.push(look);
            }
        }
    }

    fn release(&mut self, turn: Turn<M>, machine: &M, performer: &mut impl Performer<M>) {
        for release in turn.effects.releases {
            match release {
                Release::Reply(id, reply) => {
                    if let Some(answer) = self.waiting.remove(&id) {
                        // Whoever asked may have gone.
                        let _ = answer.send(reply);
                    }
                }
                Release::Action(action) => performer.perform(action),
            }
        }
        for look in turn.inspections {
            look(machine);
        }
        // Requests whose client has gone are not remembered for ever.
        if self.waiting.len() > QUEUE {
            self.waiting.retain(|_, answer| !answer.is_closed());
        }
    }

    /// The time, which never goes back.
    fn now(&mut self, clock: &dyn Clock) -> i64 {
        self.now_ms = self.now_ms.max(clock.now_ms());
        self.now_ms
    }
}

impl<M: Machine> Turn<M> {
    fn new() -> Self {
        Self {
            effects: Effects::default(),
            inspections: Vec::new(),
            inputs: 0,
            is_stepped: false,
        }
    }

    fn step(&mut self, machine: &mut M, now_ms: i64, input: Input<M>) {
        self.inputs += 1;
        self.is_stepped = true;
        machine.take_in(now_ms, input, &mut self.effects);
    }

    fn settle(&mut self, machine: &mut M, now_ms: i64) {
        if self.is_stepped {
            machine.settle(now_ms, &mut self.effects);
        }
    }
}

/// Saves, however long it takes.
async fn save(store: &dyn Store, batch: &Batch) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut failures = 0;
    let begun = std::time::Instant::now();
    loop {
        let error = match store.save(batch).await {
            Ok(()) => {
                metrics::histogram!("persistence.save.duration.timer.seconds")
                    .record(begun.elapsed().as_secs_f64());
                return Ok(());
            }
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error),
        };
        failures += 1;
        metrics::counter!("persistence.save.failures.counter").increment(1);
        tracing::warn!(%error, failures, "cannot save; nothing is done until it is saved");
        tokio::time::sleep(retry_delay(failures)).await;
    }
}

#[cfg(test)]
mod tests;
