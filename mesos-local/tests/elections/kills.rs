//! A framework whose leading master is killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mesos_sdk::detect::Detector;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::reconciler::ReconcilerConfig;
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::{task, v1};
use tokio::sync::Notify;

use crate::programs::Program;
use crate::server::{Server, in_time};

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
    /// Ends that contradict the one that was counted.
    contradictions: Vec<String>,
    is_last: bool,
}

struct Framework(Arc<Counter>);

#[async_trait]
impl Scheduler for Framework {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            let tasks = self.tasks_for(&offer);
            if !tasks.is_empty() {
                // What is lost with the connection is found by reconciliation.
                let _ = offer.launch(tasks).await;
            }
        }
        Ok(())
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.is_terminal() {
            let mut counts = self.0.counts.lock().unwrap();
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
            self.0.news.notify_one();
        }
        Ok(())
    }
}

impl Framework {
    fn tasks_for(&self, offer: &Offer) -> Vec<v1::TaskInfo> {
        let mut counts = self.0.counts.lock().unwrap();
        let mut tasks = Vec::new();
        while !counts.is_last && counts.under_way.len() < WIDTH && tasks.len() < WIDTH / 2 {
            let id = format!("task-{}", counts.next);
            let task = task::command(&id, "sleep 0.2").cpus(0.1).mem_mib(32.0);
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
        in_time(what, async {
            while !is_so(&self.counts.lock().unwrap()) {
                self.news.notified().await;
            }
        })
        .await;
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
    let candidate = || Program::start(&group, &["--agents", "0"]);
    let mut masters: Vec<Program> = (0..3).map(|_| candidate()).collect();
    let agents = Program::start(
        &group,
        &[
            "--agents-only",
            "--agents",
            "2",
            "--resources",
            "cpus:8;mem:2048",
        ],
    );

    let counter = Arc::new(Counter::default());
    let reconciliation = ReconcilerConfig {
        launch_patience: std::time::Duration::from_secs(3),
        ..ReconcilerConfig::default()
    };
    let driver = SchedulerDriver::builder(
        group.parse().unwrap(),
        FrameworkInfo::service("survivor").build(),
    )
    .reconciler(reconciliation)
    .build()
    .unwrap();
    let framework = Framework(Arc::clone(&counter));
    let handle = driver.handle();
    let running = tokio::spawn(driver.run(framework));

    let mut detector = Detector::new(&group.parse().unwrap()).unwrap();
    for _ in 0..KILLS {
        let goal = counter.ended() + PROGRESS;
        counter
            .wait("ends of tasks", |counts| counts.ended.len() >= goal)
            .await;
        let leader = in_time("the leader", detector.leader()).await.unwrap();
        let index = masters
            .iter()
            .position(|master| master.master.port() == leader.port)
            .expect("one of ours leads");
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
    assert_eq!(counts.ended.len(), counts.next);
    let finished = counts
        .ended
        .values()
        .filter(|state| **state == v1::TaskState::TaskFinished);
    let finished = finished.count();
    println!("{} tasks, {finished} of them finished", counts.next);
    // The others were under way to a master when it died.
    assert!(finished >= KILLS * PROGRESS / 2, "{:?}", counts.ended);
    drop(agents);
}
