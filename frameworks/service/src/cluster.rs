//! What stands between a framework's logic and its driver: what the master tells
//! becomes events of a [`Machine`], offers are kept as what they are, things that
//! can be used once, and calls are made, several at a time. It decides nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Disconnect, Handle, Scheduler};
use mesos_sdk::status::{Ack, StatusUpdate};
use mesos_sdk::v1::scheduler::event;
use mesos_sdk::{CallError, v1};
use tokio::sync::mpsc;

use crate::event_loop::{self, Machine, Stopped};

/// Calls that wait to be made; more than a cluster's worth of launches.
const CALLS: usize = 65_536;
/// Calls on their way together: a hundred launches at one moment should not take
/// as long as a hundred answers one after the other.
const CALLS_AT_ONCE: usize = 32;
/// Updates that are handed to the logic and not saved yet.
const UNSAVED: usize = 4096;

/// The offers in hand. Clones hold the same.
#[derive(Debug, Clone, Default)]
pub struct HeldOffers(Arc<Mutex<HashMap<String, Offer>>>);

impl HeldOffers {
    /// Keeps offers, and says what they are of.
    fn hold(&self, offers: Vec<Offer>) -> Vec<v1::Offer> {
        let infos = offers.iter().map(|offer| offer.info().clone()).collect();
        let by_id = offers.into_iter();
        let by_id = by_id.map(|offer| (offer.id().value.clone(), offer));
        self.locked().extend(by_id);
        infos
    }

    /// Carries out operations on offers of one agent. What they leave over is
    /// wanted again at once.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether anything may have been done. Where one of the
    /// offers is void by now nothing was, and the others go back.
    pub async fn accept(
        &self,
        handle: &Handle,
        ids: &[String],
        operations: Vec<v1::offer::Operation>,
    ) -> Result<(), CallError> {
        let those = self.take(ids);
        let is_there = |id: &&String| those.iter().any(|offer| offer.id().value == **id);
        if let Some(gone) = ids.iter().find(|id| !is_there(id)) {
            let offer_id = gone.clone();
            return Err(CallError::Rescinded { offer_id });
        }
        handle.accept(those, operations, refuse_for(0.0)).await
    }

    /// Gives offers back; for so long the like are not to be made.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the offers are gone all the same.
    pub async fn decline(
        &self,
        handle: &Handle,
        ids: &[String],
        refuse_seconds: f64,
    ) -> Result<(), CallError> {
        let filters = refuse_for(refuse_seconds);
        handle.decline_all(self.take(ids), filters).await
    }

    fn take(&self, ids: &[String]) -> Vec<Offer> {
        let mut held = self.locked();
        ids.iter().filter_map(|id| held.remove(id)).collect()
    }

    fn remove(&self, id: &str) {
        self.locked().remove(id);
    }

    fn clear(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Offer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_for(seconds: f64) -> Option<v1::Filters> {
    Some(v1::Filters {
        refuse_seconds: Some(seconds),
    })
}

/// Something that the master is told.
pub trait Call: Send + 'static {
    /// Whether it may be on its way together with others of which the same holds,
    /// such as launches on different agents. Any other call is made when all
    /// before it are answered, and those after it wait for its answer.
    fn is_independent(&self) -> bool;
}

/// Makes calls, in the order in which they are decided where that matters.
pub struct Caller<C>(mpsc::Sender<C>);

impl<C> fmt::Debug for Caller<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

impl<C: Call> Caller<C> {
    /// Has calls made by `make`, which comes back when one is answered. What
    /// becomes of them is logged.
    pub fn start<F>(make: impl Fn(C) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let (send, calls) = mpsc::channel(CALLS);
        tokio::spawn(make_calls(calls, make));
        Self(send)
    }

    /// Has a call made; it never waits.
    pub fn call(&self, call: C) {
        if self.0.try_send(call).is_err() {
            // What is lost this way is asked for again: launches are reconciled
            // and found missing, kills are repeated.
            tracing::error!("too many calls wait for the master: one is dropped");
        }
    }
}

async fn make_calls<C: Call, F: Future<Output = Result<(), CallError>>>(
    mut calls: mpsc::Receiver<C>,
    make: impl Fn(C) -> F,
) {
    let mut on_their_way = FuturesUnordered::new();
    loop {
        let has_room = on_their_way.len() < CALLS_AT_ONCE;
        tokio::select! {
            call = calls.recv(), if has_room => match call {
                Some(call) if call.is_independent() => on_their_way.push(make(call)),
                Some(call) => {
                    while let Some(result) = on_their_way.next().await {
                        note(result);
                    }
                    note(make(call).await);
                }
                None => break,
            },
            Some(result) = on_their_way.next() => note(result),
        }
    }
    while let Some(result) = on_their_way.next().await {
        note(result);
    }
}

/// What fails is decided anew by whoever finds that it is not done.
fn note(result: Result<(), CallError>) {
    match result {
        Ok(()) => {}
        // That happens.
        Err(error @ CallError::Rescinded { .. }) => tracing::debug!(%error, "not launched"),
        Err(error) => tracing::warn!(%error, "a call to the master failed"),
    }
}

/// A machine that is told of a cluster.
pub trait ClusterMachine: Machine {
    /// The master took the framework in.
    fn subscribed(framework_id: String, subscribed: &event::Subscribed) -> Self::Event;
    /// The connection to the master is gone, and with it all offers.
    fn disconnected() -> Self::Event;
    /// Offers of agents.
    fn offers(offers: Vec<v1::Offer>) -> Self::Event;
    /// An offer that is no more.
    fn rescinded(offer_id: String) -> Self::Event;
    /// What became of a task; the reply says that it is noted.
    fn update(status: Box<v1::TaskStatus>) -> Self::Request;
}

/// Hands what the master tells to a machine.
pub struct Follower<M: Machine> {
    logic: event_loop::Handle<M>,
    offers: HeldOffers,
    unsaved: mpsc::Sender<Unsaved>,
    unacknowledged: Unacknowledged,
}

/// What tells that an update is saved, and the acknowledgement that may leave then.
struct Unsaved {
    saved: BoxFuture<'static, Result<(), Stopped>>,
    acknowledgement: Ack,
    uuid: Vec<u8>,
}

/// The updates that were handed over, and wait to be saved and acknowledged.
#[derive(Debug, Clone, Default)]
struct Unacknowledged(Arc<Mutex<HashSet<Vec<u8>>>>);

/// What is done with an update.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// The logic is told.
    New,
    /// The logic knows it, and has not saved it yet.
    Unsaved,
    /// It is saved, and the agent does not know that yet.
    Saved,
}

impl Unacknowledged {
    fn turn(&self, uuid: &[u8], is_redelivery: bool) -> Turn {
        match is_redelivery {
            false => Turn::New,
            true if self.locked().contains(uuid) => Turn::Unsaved,
            true => Turn::Saved,
        }
    }

    fn begin(&self, uuid: Vec<u8>) {
        self.locked().insert(uuid);
    }

    fn end(&self, uuid: &[u8]) {
        self.locked().remove(uuid);
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Acknowledges updates in the order in which they are saved.
async fn acknowledge(mut unsaved: mpsc::Receiver<Unsaved>, unacknowledged: Unacknowledged) {
    while let Some(next) = unsaved.recv().await {
        // What is not saved stays unacknowledged, however often it comes.
        if next.saved.await.is_ok() {
            next.acknowledgement.send();
            unacknowledged.end(&next.uuid);
        }
    }
}

impl<M: Machine> Follower<M> {
    /// Tells `logic`, and keeps the offers where calls find them.
    #[must_use]
    pub fn new(logic: event_loop::Handle<M>, offers: HeldOffers) -> Self {
        let (unsaved, to_save) = mpsc::channel(UNSAVED);
        let unacknowledged = Unacknowledged::default();
        tokio::spawn(acknowledge(to_save, unacknowledged.clone()));
        Self {
            logic,
            offers,
            unsaved,
            unacknowledged,
        }
    }

    async fn tell(&self, event: M::Event) -> Result<(), BoxError> {
        Ok(self.logic.tell(event).await?)
    }
}

impl<M: Machine> fmt::Debug for Follower<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("offers", &self.offers)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<M: ClusterMachine> Scheduler for Follower<M> {
    async fn subscribed(
        &mut self,
        _: &Handle,
        framework_id: &v1::FrameworkId,
        subscribed: &event::Subscribed,
    ) -> Result<(), BoxError> {
        tracing::info!(framework_id = %framework_id.value, "subscribed");
        self.offers.clear();
        let event = M::subscribed(framework_id.value.clone(), subscribed);
        // The id is saved before anything is launched under it.
        Ok(self.logic.tell_and_save(event).await?)
    }

    async fn disconnected(&mut self, _: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        tracing::warn!(%reason, retry_in = ?reason.retry_in, "disconnected");
        self.offers.clear();
        self.tell(M::disconnected()).await
    }

    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let offers = self.offers.hold(offers);
        self.tell(M::offers(offers)).await
    }

    async fn rescinded(&mut self, _: &Handle, offer_id: v1::OfferId) -> Result<(), BoxError> {
        self.offers.remove(&offer_id.value);
        self.tell(M::rescinded(offer_id.value)).await
    }

    /// Updates that come together are saved together: this one is acknowledged
    /// when it is saved, and the next one is taken meanwhile.
    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        let uuid = update.status().uuid.as_deref().map(<[u8]>::to_vec);
        let uuid = uuid.unwrap_or_default();
        let acknowledgement = update.acknowledge_later();
        match (
            self.unacknowledged.turn(&uuid, update.is_redelivery()),
            acknowledgement,
        ) {
            (Turn::New, acknowledgement) => self.note(update, uuid, acknowledgement).await,
            // Agents say again whatever waits for long, and all of that must not
            // wait behind itself.
            (Turn::Unsaved, _) | (Turn::Saved, None) => Ok(()),
            (Turn::Saved, Some(acknowledgement)) => {
                acknowledgement.send();
                Ok(())
            }
        }
    }
}

impl<M: ClusterMachine> Follower<M> {
    async fn note(
        &self,
        update: &StatusUpdate,
        uuid: Vec<u8>,
        acknowledgement: Option<Ack>,
    ) -> Result<(), BoxError> {
        let note = M::update(Box::new(update.status().clone()));
        let noted = self.logic.begin_to_ask(note).await?;
        if let Some(acknowledgement) = acknowledgement {
            self.unacknowledged.begin(uuid.clone());
            let unsaved = Unsaved {
                saved: Box::pin(async { noted.await.map(|_| ()) }),
                acknowledgement,
                uuid,
            };
            let sent = self.unsaved.send(unsaved).await;
            sent.map_err(|_| "nothing acknowledges updates any more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    struct One {
        name: usize,
        is_independent: bool,
        answer: oneshot::Receiver<()>,
    }

    impl Call for One {
        fn is_independent(&self) -> bool {
            self.is_independent
        }
    }

    /// A caller that tells which calls have left, and what answers them.
    struct Calls {
        caller: Caller<One>,
        left: mpsc::UnboundedReceiver<usize>,
        answers: Vec<Option<oneshot::Sender<()>>>,
    }

    impl Calls {
        fn new() -> Self {
            let (leaves, left) = mpsc::unbounded_channel();
            let caller = Caller::start(move |call: One| {
                let _ = leaves.send(call.name);
                async move {
                    let _ = call.answer.await;
                    Ok(())
                }
            });
            let answers = Vec::new();
            Self {
                caller,
                left,
                answers,
            }
        }

        fn call(&mut self, is_independent: bool) {
            let (answer, answered) = oneshot::channel();
            self.caller.call(One {
                name: self.answers.len(),
                is_independent,
                answer: answered,
            });
            self.answers.push(Some(answer));
        }

        fn answer(&mut self, name: usize) {
            let answer = self.answers[name].take();
            answer.unwrap().send(()).unwrap();
        }

        /// What has left when there is nothing more to do.
        async fn left(&mut self) -> Vec<usize> {
            // Paused time passes when nothing else can.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let mut left = Vec::new();
            while let Ok(name) = self.left.try_recv() {
                left.push(name);
            }
            left
        }
    }

    #[test]
    fn what_comes_again_is_not_handed_over_again_and_acknowledged_when_it_is_saved() {
        let unacknowledged = Unacknowledged::default();
        assert_eq!(unacknowledged.turn(b"one", false), Turn::New);
        unacknowledged.begin(b"one".to_vec());
        assert_eq!(unacknowledged.turn(b"one", true), Turn::Unsaved);
        assert_eq!(unacknowledged.turn(b"two", false), Turn::New);
        unacknowledged.end(b"one");
        // The acknowledgement was lost.
        assert_eq!(unacknowledged.turn(b"one", true), Turn::Saved);
    }

    #[tokio::test(start_paused = true)]
    async fn independent_calls_are_on_their_way_together_but_not_too_many() {
        let mut calls = Calls::new();
        (0..CALLS_AT_ONCE + 2).for_each(|_| calls.call(true));
        assert_eq!(calls.left().await, Vec::from_iter(0..CALLS_AT_ONCE));
        calls.answer(3);
        assert_eq!(calls.left().await, [CALLS_AT_ONCE]);
    }

    #[tokio::test(start_paused = true)]
    async fn any_other_call_waits_for_all_before_it_and_is_waited_for() {
        let mut calls = Calls::new();
        for is_independent in [true, true, false, true] {
            calls.call(is_independent);
        }
        assert_eq!(calls.left().await, [0, 1]);
        calls.answer(1);
        assert!(calls.left().await.is_empty());
        calls.answer(0);
        assert_eq!(calls.left().await, [2]);
        calls.answer(2);
        assert_eq!(calls.left().await, [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_arrives_though_nobody_calls_any_more() {
        let Calls {
            caller, mut left, ..
        } = {
            let mut calls = Calls::new();
            calls.call(false);
            calls.call(true);
            calls.answer(0);
            calls
        };
        drop(caller);
        assert_eq!(left.recv().await, Some(0));
        assert_eq!(left.recv().await, Some(1));
    }
}
