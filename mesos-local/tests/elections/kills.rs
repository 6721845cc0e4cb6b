//! A framework whose leading master is killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mesos_sdk::detect::Detector;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::reconciler::ReconcilerConfig;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::session::SessionConfig;
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{task, v1};
use tokio::sync::Notify;

use crate::programs::Program;
use crate::server::{PATIENCE, Server, in_time};

/// How often the leader is killed.
const KILLS: usize = 10;
/// How many tasks are under way at once.
const WIDTH: usize = 12;
/// How many tasks end between two kills.
const PROGRESS: usize = 8;

/// Counts what becomes of each task, and launches more until told to end.
#[derive(Debug, Default)]
struct Counter {
    counts: Mutex<Counts>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    next: usize,
    under_way: BTreeSet<String>,
    ended: BTreeMap<String, v1::TaskState>,
    /// Those whose launch is known not to have left.
    unlaunched: BTreeSet<String>,
    /// Ends that contradict the one that was counted.
    contradictions: Vec<String>,
    is_last: bool,
}

struct Framework {
    counter: Arc<Counter>,
    /// Where each task writes its id when it runs.
    record: PathBuf,
}

#[async_trait]
impl Scheduler for Framework {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            let tasks = self.tasks_for(&offer);
            if tasks.is_empty() {
                continue;
            }
            let ids: Vec<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
            let launched = offer.launch(tasks).await;
            // What is lost on its way is found by reconciliation; what never
            // left was never launched.
            if launched.is_err_and(|error| error.had_no_effect()) {
                let mut counts = self.counter.counts.lock().unwrap();
                for id in ids {
                    counts.under_way.remove(&id.value);
                    counts.unlaunched.insert(id.value);
                }
                drop(counts);
                self.counter.news.notify_one();
            }
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.is_terminal() {
            let mut counts = self.counter.counts.lock().unwrap();
            let id = update.task_id().to_owned();
            counts.under_way.remove(&id);
            let state = update.state();
            match counts.ended.insert(id.clone(), state) {
                Some(before) if before != state => {
                    counts
                        .contradictions
                        .push(format!("{id}: {before:?}, then {state:?}"));
                }
                _ => {}
            }
            drop(counts);
            self.counter.news.notify_one();
        }
        Ok(())
    }
}

impl Framework {
    fn tasks_for(&self, offer: &Offer) -> Vec<v1::TaskInfo> {
        let mut counts = self.counter.counts.lock().unwrap();
        let mut tasks = Vec::new();
        while !counts.is_last && counts.under_way.len() < WIDTH && tasks.len() < WIDTH / 2 {
            let id = format!("task-{}", counts.next);
            let command = format!("echo {id} >> {}; sleep 0.1", self.record.display());
            let task = task::command(&id, &command).cpus(0.1).mem_mib(32.0);
            if tasks.is_empty() && !task.fits(offer) {
                break;
            }
            counts.next += 1;
            counts.under_way.insert(id);
            tasks.push(task.on(offer));
        }
        tasks
    }
}

impl Counter {
    async fn wait(&self, what: &str, is_so: impl Fn(&Counts) -> bool) {
        let waiting = async {
            while !is_so(&self.counts.lock().unwrap()) {
                self.news.notified().await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("no {what} in time: {:?}", self.counts.lock().unwrap());
        }
    }

    fn ended(&self) -> usize {
        self.counts.lock().unwrap().ended.len()
    }
}

#[tokio::test]
async fn every_task_ends_exactly_once_whatever_happens_to_the_leaders() {
    let Some(server) = Server::start() else {
        return;
    };
    drop(server.client().await);
    let group = format!("zk://127.0.0.1:{}/mesos", server.port);
    // The shortest that the server has; losing one too early is one election
    // more.
    let session = ["--zk-session-timeout", "1s"];
    let candidate = || Program::start(&group, &[&session[..], &["--agents", "0"]].concat());
    let mut masters: Vec<Program> = (0..3).map(|_| candidate()).collect();
    let resources = ["--agents", "2", "--resources", "cpus:8;mem:2048"];
    let agents = [&session[..], &["--agents-only"], &resources].concat();
    let agents = Program::start(&group, &agents);

    let counter = Arc::new(Counter::default());
    let reconciliation = ReconcilerConfig {
        launch_patience: Duration::from_secs(1),
        shortest_backoff: Duration::from_millis(500),
        ..ReconcilerConfig::default()
    };
    let session = SessionConfig {
        longest_backoff: Duration::from_millis(300),
        ..SessionConfig::default()
    };
    let driver = SchedulerDriver::builder(
        group.parse().unwrap(),
        FrameworkInfo::service("survivor").build(),
    )
    .session(session)
    .reconciler(reconciliation)
    .build()
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("ran");
    let framework = Framework {
        counter: Arc::clone(&counter),
        record: record.clone(),
    };
    let handle = driver.handle();
    let running = tokio::spawn(driver.run(framework));

    let mut detector = Detector::new(&group.parse().unwrap()).unwrap();
    for _ in 0..KILLS {
        let goal = counter.ended() + PROGRESS;
        counter
            .wait("ends of tasks", |counts| counts.ended.len() >= goal)
            .await;
        let index = in_time("one of ours that leads", async {
            loop {
                let leader = detector.leader().await.unwrap();
                let is_it = |master: &Program| master.master.port() == leader.port;
                match masters.iter().position(is_it) {
                    Some(index) => return index,
                    // Word of the one that was killed.
                    None => detector.changed().await,
                };
            }
        })
        .await;
        masters[index].kill();
        masters[index] = candidate();
        in_time("a change", detector.changed()).await;
    }
    counter.counts.lock().unwrap().is_last = true;
    let are_over = |counts: &Counts| counts.under_way.is_empty();
    counter.wait("the last tasks' ends", are_over).await;
    handle.stop();
    in_time("the end of the framework", running)
        .await
        .unwrap()
        .unwrap();

    let counts = counter.counts.lock().unwrap();
    assert_eq!(counts.contradictions, Vec::<String>::new());
    assert_eq!(counts.ended.len() + counts.unlaunched.len(), counts.next);
    assert!(
        counts
            .unlaunched
            .iter()
            .all(|id| !counts.ended.contains_key(id))
    );
    let finished = counts
        .ended
        .values()
        .filter(|state| **state == v1::TaskState::TaskFinished);
    let finished = finished.count();
    let launched = counts.ended.len();
    println!("{launched} tasks, {finished} of them finished");
    // None has run twice, and what has finished has run.
    let ran = std::fs::read_to_string(&record).unwrap();
    let once: BTreeSet<&str> = ran.lines().collect();
    assert_eq!(once.len(), ran.lines().count(), "{ran}");
    for (id, state) in &counts.ended {
        let has_run = once.contains(id.as_str());
        let is_finished = *state == v1::TaskState::TaskFinished;
        assert!(has_run || !is_finished, "{id} has not run");
    }
    // The others were under way to a master when it died.
    assert!(finished >= KILLS * PROGRESS / 2, "{:?}", counts.ended);
    drop(agents);
}
