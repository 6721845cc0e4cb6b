//! Nothing leaves before it is saved, whatever the store does.

use std::sync::Mutex;

use super::*;
use crate::clock::RuntimeClock;
use crate::store::{Fault, MemoryStore};

/// Counts, and wants to be woken for each alarm that was set.
#[derive(Debug, Default)]
struct Counter {
    count: u64,
    alarms: std::collections::BTreeSet<i64>,
    rung: Vec<i64>,
    held: Vec<RequestId>,
    /// How often it was settled.
    settled: u64,
}

enum Ask {
    Add(u64),
    /// Answered only when something else is asked.
    Wait,
    RingAt(i64),
}

impl Machine for Counter {
    type Request = Ask;
    type Reply = u64;
    type Event = u64;
    type Action = String;

    fn step(&mut self, now_ms: i64, input: Input<Self>, effects: &mut Effects<Self>) {
        match input {
            Input::Request(id, Ask::Add(by)) => {
                self.count += by;
                effects.put("count", self.count.to_string());
                effects.act(format!("counted {}", self.count));
                effects.reply(id, self.count);
                for held in self.held.drain(..) {
                    effects.reply(held, self.count);
                }
            }
            Input::Request(id, Ask::Wait) => self.held.push(id),
            Input::Request(id, Ask::RingAt(at)) => {
                self.alarms.insert(at);
                effects.reply(id, 0);
            }
            Input::Event(by) => {
                self.count += by;
                effects.put("count", self.count.to_string());
            }
            Input::Wake => {
                let later = self.alarms.split_off(&(now_ms + 1));
                for alarm in std::mem::replace(&mut self.alarms, later) {
                    self.rung.push(now_ms);
                    effects.put(format!("rung/{alarm}"), "x");
                    effects.act(format!("rang {alarm}"));
                }
            }
        }
    }

    fn settle(&mut self, _: i64, effects: &mut Effects<Self>) {
        if self.count > 0 {
            self.settled += 1;
            effects.put("settled", self.count.to_string());
        }
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.alarms.first().copied()
    }
}

#[derive(Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

type Running = tokio::task::JoinHandle<Result<(), StoreError>>;

/// Actions are noted with the number of saves before them.
fn start(store: &MemoryStore, machine: Counter) -> (Handle<Counter>, Done, Running) {
    let (event_loop, handle) = EventLoop::new();
    let done = Done::default();
    let performer = {
        let done = done.clone();
        move |action: String| done.0.lock().unwrap().push(action)
    };
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let clock = Arc::new(RuntimeClock::starting_at(1_000_000));
    let running = tokio::spawn(event_loop.run(machine, store, clock, performer));
    (handle, done, running)
}

fn saved(store: &MemoryStore) -> Option<bytes::Bytes> {
    store.entities().get("count").cloned()
}

#[tokio::test(start_paused = true)]
async fn an_answer_leaves_when_what_it_tells_is_saved() {
    let store = MemoryStore::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (handle, done, running) = start(&store, Counter::default());
    {
        let (done, seen) = (done.clone(), Arc::clone(&seen));
        // At the time of each save, nothing of it has left.
        store.set_faults(move |save| {
            seen.lock().unwrap().push(done.list().len());
            (save <= 3).then_some(if save == 2 {
                Fault::AfterWrite
            } else {
                Fault::BeforeWrite
            })
        });
    }
    assert_eq!(handle.ask(Ask::Add(2)).await, Ok(2));
    assert_eq!(saved(&store).unwrap(), "2");
    assert_eq!(done.list(), ["counted 2"]);
    assert_eq!(*seen.lock().unwrap(), [0, 0, 0, 0]);
    assert_eq!(handle.ask(Ask::Add(3)).await, Ok(5));
    assert_eq!(*seen.lock().unwrap(), [0, 0, 0, 0, 1]);
    drop(handle);
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_was_succeeded_answers_nobody() {
    let store = MemoryStore::new();
    let (handle, done, running) = start(&store, Counter::default());
    store.set_faults(|_| Some(Fault::TakenOver));
    assert_eq!(handle.ask(Ask::Add(1)).await, Err(Stopped));
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::TakenOver { .. }), "{error}");
    assert!(done.list().is_empty());
    assert_eq!(handle.tell(1).await, Err(Stopped));
}

#[tokio::test(start_paused = true)]
async fn what_arrives_together_is_saved_together() {
    let store = MemoryStore::new();
    let (handle, _, _running) = start(&store, Counter::default());
    let asks = (0..3000).map(|_| handle.ask(Ask::Add(1)));
    let mut counts = futures::future::join_all(asks).await;
    counts.sort_by_key(|count| count.clone().unwrap());
    assert_eq!(counts.first(), Some(&Ok(1)));
    assert_eq!(counts.last(), Some(&Ok(3000)));
    assert_eq!(saved(&store).unwrap(), "3000");
    assert!(store.saves() <= 300, "{} saves", store.saves());
    let settled = handle.inspect(|counter| counter.settled).await.unwrap();
    assert_eq!(settled, store.saves(), "once for all of them");
    assert_eq!(store.entities()["settled"], "3000");
}

#[tokio::test(start_paused = true)]
async fn who_asks_need_not_wait_before_asking_more() {
    let store = MemoryStore::new();
    let (handle, _, _running) = start(&store, Counter::default());
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(handle.begin_to_ask(Ask::Add(1)).await.unwrap());
    }
    let counts = futures::future::join_all(answers).await;
    let expected: Vec<_> = (1..=100).map(Ok).collect();
    assert_eq!(counts, expected);
    assert!(store.saves() <= 5, "{} saves", store.saves());
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_later() {
    let store = MemoryStore::new();
    let (handle, _, _running) = start(&store, Counter::default());
    let waiting = handle.ask(Ask::Wait);
    let asking = async {
        handle.tell(4).await.unwrap();
        handle.ask(Ask::Add(1)).await
    };
    assert_eq!(tokio::join!(waiting, asking), (Ok(5), Ok(5)));
}

#[tokio::test(start_paused = true)]
async fn it_is_woken_when_it_wants_to_be_and_at_the_start() {
    let store = MemoryStore::new();
    let overdue = Counter {
        alarms: [999_000].into(),
        ..Counter::default()
    };
    let (handle, done, _running) = start(&store, overdue);
    assert_eq!(handle.ask(Ask::RingAt(1_005_250)).await, Ok(0));
    assert_eq!(done.list(), ["rang 999000"]);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let rung = handle.inspect(|counter| counter.rung.clone()).await;
    assert_eq!(rung, Ok(vec![1_000_000, 1_005_250]));
    assert_eq!(store.saves(), 2);
}

#[tokio::test(start_paused = true)]
async fn news_can_be_waited_for_until_they_are_saved() {
    let store = MemoryStore::new();
    let (handle, _, _running) = start(&store, Counter::default());
    store.set_faults(|save| (save < 5).then_some(Fault::BeforeWrite));
    handle.tell_and_save(3).await.unwrap();
    assert_eq!(saved(&store).unwrap(), "3");
    store.set_faults(|_| Some(Fault::TakenOver));
    assert_eq!(handle.tell_and_save(1).await, Err(Stopped));
}

#[tokio::test(start_paused = true)]
async fn readers_see_only_what_is_saved() {
    let store = MemoryStore::new();
    let (handle, _, _running) = start(&store, Counter::default());
    let (asked, seen) = tokio::join!(
        handle.ask(Ask::Add(7)),
        handle.inspect({
            let store = store.clone();
            move |counter| (counter.count, saved(&store))
        })
    );
    assert_eq!(asked, Ok(7));
    assert_eq!(seen, Ok((7, Some("7".into()))));
}
