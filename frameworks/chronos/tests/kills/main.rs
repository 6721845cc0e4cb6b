//! Chronos is killed at more than a hundred seeded moments, in the middle of a save, and
//! between a save and what was to follow it, on a disk that forgets what was not
//! synced. Whatever happens, each occurrence runs once, further attempts are as
//! many as there were to be, and what waits for others is not forgotten.
//!
//! `CHRONOS_KILLS=1000 cargo test --release -p chronos --test kills` runs more.

#![expect(clippy::unwrap_used, reason = "a test fails where its world does")]

mod cluster;

use std::sync::Arc;

use chronos::effects::{Call, Input};
use chronos::input::{self, Kind};
use chronos::machine::{Action, Ask, Chronos};
use chronos::progress::Progress;
use chronos::request::{Reply, Request};
use chronos::state::{Settings, State};
use mesos_local::simulation::Dice;
use mesos_sdk::v1;
use mesos_service::event_loop::{self, Machine, Release, RequestId};
use mesos_service::store::{Batch, EmbeddedStore, SimulatedDisk};
use serde_json::{Value, json};

use cluster::Cluster;

const NOON: i64 = 1_769_860_800_000;
/// How often a world kills its Chronos.
const KILLS: u64 = 3;
/// Occurrences of the job that is due every two seconds.
const TICKS: u64 = 18;
/// Occurrences of those that are due every eight seconds.
const ROUNDS: u64 = 5;
/// Until all of it is done.
const PATIENCE_MS: i64 = 1_800_000;

/// How the next process ends.
#[derive(Clone, Copy, Debug)]
struct Death {
    /// At this step of it.
    step: u64,
    /// While the disk writes so many bytes more; or else
    bytes: Option<u64>,
    /// after so many things have left of what was to leave.
    releases: usize,
}

/// A process, and what it keeps.
struct Process {
    machine: Chronos,
    store: EmbeddedStore,
    steps: u64,
    death: Option<Death>,
}

struct World {
    dice: Dice,
    now: i64,
    disk: SimulatedDisk,
    process: Option<Process>,
    restart_at: i64,
    kills: u64,
    cluster: Cluster,
    /// Jobs that are to be posted.
    jobs: Vec<Value>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let every = |name: &str, count: u64, period: u64, extra: Value| {
            let mut job = json!({
                "name": name, "command": name, "catchUp": true, "retryDelaySeconds": 1,
                "schedule": format!("R{count}/2026-01-31T12:00:00Z/PT{period}S"),
            });
            let map = job.as_object_mut().unwrap();
            map.extend(extra.as_object().unwrap().clone());
            job
        };
        let after = |name: &str, parents: &[&str]| json!({"name": name, "command": name, "parents": parents});
        Self {
            dice: Dice::new(seed),
            now: NOON,
            disk: SimulatedDisk::new(),
            process: None,
            restart_at: NOON,
            kills: 0,
            cluster: Cluster::default(),
            jobs: vec![
                every("tick", TICKS, 2, json!({"retries": 0})),
                every("flaky", ROUNDS, 8, json!({"retries": 3})),
                every("top", ROUNDS, 8, json!({"retries": 0})),
                after("left", &["top"]),
                after("right", &["top"]),
                after("end", &["left", "right"]),
            ],
            trace: Vec::new(),
        }
    }

    fn note(&mut self, text: String) {
        let at = self.now - NOON;
        self.trace.push(format!("{at:>7} {text}"));
    }

    fn start(&mut self) {
        let store = EmbeddedStore::open_simulated(&self.disk).unwrap();
        let entities = store.read("").unwrap();
        let mut state = State::new(Settings::default());
        let stored = entities.iter();
        state
            .restore(stored.map(|(key, value)| (key.as_str(), value.as_ref())))
            .unwrap();
        let tasks = state.tracked_tasks();
        self.note(format!("starts with {} entities", entities.len()));
        let death = (self.kills < KILLS).then(|| {
            let bytes = self.dice.permille(500).then(|| self.dice.below(30_000));
            Death {
                step: self.dice.below(90),
                bytes,
                releases: self.dice.index(4),
            }
        });
        self.process = Some(Process {
            machine: Chronos::new(state),
            store,
            steps: 0,
            death,
        });
        let framework_id = "F".to_owned();
        self.step(event_loop::Input::Wake);
        let subscribed = Input::Subscribed { framework_id };
        self.step(event_loop::Input::Event(subscribed));
        for (task, _) in tasks {
            let status = self.cluster.reconcile(&task.value);
            self.step(event_loop::Input::Request(
                RequestId(0),
                Ask::Note(Box::new(status)),
            ));
        }
        // Whoever posts does it until it is answered.
        for job in self.jobs.clone() {
            self.post(&job);
        }
    }

    fn post(&mut self, job: &Value) {
        let kind = match job["parents"].is_array() {
            true => Kind::Dependent,
            false => Kind::Scheduled,
        };
        let settings = Settings::default();
        let body = job.to_string();
        let (job, _) = input::read(body.as_bytes(), kind, self.now, &settings).unwrap();
        let put = Request::Put {
            job: Arc::new(job),
            progress: Arc::new(Progress::default()),
        };
        let ask = event_loop::Input::Request(RequestId(1), Ask::Do(put));
        if self.step(ask) == Some(Reply::Done) {
            self.jobs.remove(0);
        }
    }

    /// One step of the process, as the event loop makes it. Gives the reply, if
    /// the process lives to give it.
    fn step(&mut self, input: event_loop::Input<Chronos>) -> Option<Reply> {
        let process = self.process.as_mut()?;
        process.steps += 1;
        let death = process.death.filter(|death| process.steps > death.step);
        if let Some(bytes) = death.and_then(|death| death.bytes) {
            self.disk.lose_power_after(bytes);
            process.death = None;
        }
        let mut out = event_loop::Effects::default();
        process.machine.step(self.now, input, &mut out);
        let (batch, releases) = out.into_parts();
        if !batch.is_empty() && process.store.write(&batch).is_err() {
            assert!(self.disk.is_without_power());
            self.die("while it saves");
            return None;
        }
        let most = death.filter(|death| death.bytes.is_none());
        let most = most.map_or(usize::MAX, |death| death.releases);
        let mut reply = None;
        for (number, release) in releases.into_iter().enumerate() {
            if number >= most {
                break;
            }
            match release {
                Release::Reply(_, given) => reply = Some(given),
                Release::Action(Action::Call(call)) => self.call(call, &batch),
                Release::Action(_) => {}
            }
        }
        if most < usize::MAX {
            self.die("after a save");
        }
        reply
    }

    fn die(&mut self, how: &str) {
        self.note(format!("dies {how}"));
        self.kills += 1;
        self.process = None;
        let dice = &mut self.dice;
        self.disk = self.disk.after_crash(|_| dice.permille(500));
        self.restart_at = self.now + i64::try_from(self.dice.below(6000)).unwrap();
        self.cluster.disconnected();
    }

    fn call(&mut self, call: Call, batch: &Batch) {
        match call {
            Call::Launch { offers, tasks } => {
                for task in tasks {
                    let id = task.task_id.value;
                    let is_noted = batch.iter().any(|(key, value)| {
                        let text = value.map(|it| String::from_utf8_lossy(it).into_owned());
                        key.starts_with("run/") && text.is_some_and(|it| it.contains(&id))
                    });
                    assert!(is_noted, "{id} is launched and not noted");
                    self.note(format!("launches {id}"));
                    self.cluster.launch(&id, self.now);
                }
                self.cluster.used(&offers);
            }
            Call::Kill { task_id, .. } => {
                let is_running = self.cluster.is_running(&task_id);
                assert!(!is_running, "{task_id} is killed, and nobody wanted that");
            }
            // No agent is out of reach here.
            Call::Reconcile { tasks } => panic!("{tasks:?} are asked for"),
            Call::Suppress => self.cluster.is_wanted = false,
            Call::Revive => self.cluster.is_wanted = true,
            Call::Decline { offers, .. } => self.cluster.used(&offers),
        }
    }

    /// Lets time pass until something happens, and that happen.
    fn go_on(&mut self) {
        let wake = match &self.process {
            Some(process) => process.machine.wake_at_ms(),
            None => Some(self.restart_at),
        };
        let next = [wake, self.cluster.next_end()];
        let next = next.into_iter().flatten().min().unwrap_or(self.now + 1000);
        self.now = self.now.max(next);
        self.cluster.pass(self.now);
        if self.process.is_none() {
            if self.now >= self.restart_at {
                self.start();
            }
            return;
        }
        self.step(event_loop::Input::Wake);
        while self.process.is_some() {
            if let Some(offer) = self.cluster.offer() {
                self.step(event_loop::Input::Event(Input::Offers(vec![offer])));
            } else if let Some(status) = self.cluster.next_update() {
                let note = Ask::Note(Box::new(status));
                let noted = event_loop::Input::Request(RequestId(2), note);
                // Only what is saved is acknowledged; the rest comes again.
                if self.step(noted).is_some() {
                    self.cluster.acknowledged();
                }
            } else {
                return;
            }
        }
    }

    fn count(&self, job: &str, of: impl Fn(&Progress) -> u64) -> u64 {
        let process = self.process.as_ref();
        process.map_or(0, |it| of(&it.machine.state.progress_of(job)))
    }

    fn is_done(&self) -> bool {
        let succeeded = |job| self.count(job, |it| it.success_count);
        self.jobs.is_empty()
            && succeeded("tick") >= TICKS
            && ["flaky", "top", "left", "right", "end"]
                .iter()
                .all(|job| succeeded(job) >= ROUNDS)
    }

    fn run(&mut self) {
        while !self.is_done() {
            self.go_on();
            assert!(self.now < NOON + PATIENCE_MS, "it does not come to its end");
        }
        // What would be too much has the time to happen.
        let end = self.now + 120_000;
        while self.now < end {
            self.go_on();
        }
        for (job, runs) in [
            ("tick", TICKS),
            ("flaky", ROUNDS),
            ("top", ROUNDS),
            ("left", ROUNDS),
            ("right", ROUNDS),
            ("end", ROUNDS),
        ] {
            assert_eq!(self.count(job, |it| it.success_count), runs, "{job}");
            assert_eq!(self.count(job, |it| it.error_count), 0, "{job}");
            assert_eq!(self.count(job, |it| it.missed_count), 0, "{job}");
            let tries = if job == "flaky" { cluster::TRIES } else { 1 };
            let executed = self.cluster.executed(job);
            assert_eq!(executed.len() as u64, runs, "{job}: {executed:?}");
            let each = executed.values().all(|count| *count == tries);
            assert!(each, "{job}: {executed:?}");
        }
        let state = &self.process.as_ref().unwrap().machine.state;
        assert!(state.runs.is_empty(), "{:?}", state.runs);
    }
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice_whenever_it_is_killed() {
    let seeds = std::env::var("CHRONOS_KILLS").ok();
    let seeds: u64 = seeds.map_or(40, |text| text.parse().unwrap());
    let mut kills = 0;
    for seed in 0..seeds {
        let mut world = World::new(seed);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        if let Err(panic) = ended {
            println!("seed {seed}:\n{}", world.trace.join("\n"));
            std::panic::resume_unwind(panic);
        }
        kills += world.kills;
    }
    println!("killed {kills} times in {seeds} worlds");
    // Some live longer than there is something to do.
    assert!(kills >= seeds * 2, "{kills}");
}

/// The world finds a Chronos that notes launches too late: here its disk forgets
/// one that was made.
#[test]
#[should_panic(expected = "is launched a second time")]
fn a_launch_that_is_forgotten_is_found() {
    let mut world = World::new(1);
    world.kills = KILLS;
    world.start();
    while world.cluster.executed("tick").is_empty() {
        world.go_on();
    }
    let process = world.process.as_ref().unwrap();
    let mut forgotten = Batch::new();
    for key in process.store.read("").unwrap().keys() {
        if key.starts_with("run/") || key.starts_with("progress/") || key.starts_with("history/") {
            forgotten.delete(key.clone());
        }
    }
    process.store.write(&forgotten).unwrap();
    world.die("and its disk forgets");
    world.run();
}

fn status(task: &str, state: v1::TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId {
            value: task.to_owned(),
        },
        state: state.into(),
        agent_id: Some(v1::AgentId {
            value: "S0".to_owned(),
        }),
        ..v1::TaskStatus::default()
    }
}
