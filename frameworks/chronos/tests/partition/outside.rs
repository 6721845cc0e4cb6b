//! All that is outside of Chronos's process and outlives it: whoever asks for
//! jobs, what the jobs write down, and the judge.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chronos::progress::{History, Outcome};
use chronos::request::Reply;
use mesos_local::simulation::{Dice, Judge, Now, Sight};
use mesos_service::store::{Batch, Entities};
use serde_json::json;

use crate::judge::{Asked, Deeds, End, Excuse, Quiet, Ran, Verdict, judge};

/// What processes and the simulation share.
pub(crate) type Shared = Rc<RefCell<Outside>>;

/// Before a process does what it is for.
pub(crate) const STARTS_IN: Duration = Duration::from_millis(50);
/// For how long jobs are asked for.
const ASKS_FOR_MS: i64 = 300_000;
/// How long after nothing breaks any more everything has recovered: runs on
/// agents that are gone for good are given up after ten minutes.
const RECOVERY_MS: i64 = 660_000;
/// How long after that somebody looks.
const QUIET_MS: i64 = 300_000;

/// A run that goes on.
struct Running {
    job: String,
    start_ms: i64,
    duration_ms: i64,
}

/// What is outside.
pub(crate) struct Outside {
    dice: Dice,
    now_ms: i64,
    healed_ms: Option<i64>,
    /// When the next job is asked for, and until when there are more.
    asks_at_ms: i64,
    asks_until_ms: i64,
    asked: u64,
    /// Jobs that nobody answered for yet, by the request.
    unanswered: BTreeMap<u64, Asked>,
    jobs: BTreeMap<String, Asked>,
    running: BTreeMap<String, Running>,
    runs: BTreeMap<String, Vec<Ran>>,
    /// What was last saved of each job's history.
    histories: BTreeMap<String, Bytes>,
    refused: Option<String>,
    is_judged: bool,
    /// Over all worlds.
    total: Rc<RefCell<Verdict>>,
}

impl Outside {
    pub(crate) fn new(dice: Dice, total: Rc<RefCell<Verdict>>) -> Self {
        Self {
            dice,
            now_ms: 0,
            healed_ms: None,
            asks_at_ms: 0,
            asks_until_ms: i64::MAX,
            asked: 0,
            unanswered: BTreeMap::new(),
            jobs: BTreeMap::new(),
            running: BTreeMap::new(),
            runs: BTreeMap::new(),
            histories: BTreeMap::new(),
            refused: None,
            is_judged: false,
            total,
        }
    }

    /// When somebody wants something, or looks.
    pub(crate) fn wake_at_ms(&self) -> Option<i64> {
        let looks = self.read_ms().filter(|_| !self.is_judged);
        let asks = Some(self.asks_at_ms).filter(|at| *at < self.asks_until_ms);
        asks.into_iter().chain(looks).min()
    }

    fn read_ms(&self) -> Option<i64> {
        self.healed_ms.map(|healed| healed + RECOVERY_MS + QUIET_MS)
    }

    /// What somebody wants now, if anything: the number of the request, and its
    /// body.
    pub(crate) fn ask(&mut self, now_ms: i64) -> Option<(u64, Vec<u8>)> {
        if now_ms >= self.asks_until_ms {
            self.asks_at_ms = i64::MAX;
        }
        if self.asks_at_ms > now_ms {
            return None;
        }
        let mut below = |limit: u64| i64::try_from(self.dice.below(limit)).unwrap_or(0);
        self.asks_at_ms = now_ms + 30_000 + below(30_000);
        let duration = below(10);
        let epsilon = 10 + below(20);
        let interval = 1 + duration + epsilon + 5 + below(30);
        let asked = Asked {
            name: format!("{}", self.asked),
            start_ms: now_ms + 10_000,
            interval_ms: interval * 1000,
            count: 1 + below(99),
            epsilon_ms: epsilon * 1000,
            duration_ms: duration * 1000,
        };
        self.asked += 1;
        let start = jiff::Timestamp::from_millisecond(asked.start_ms).unwrap();
        let body = json!({
            "name": asked.name,
            "command": format!("{duration}"),
            "schedule": format!("R{}/{start}/PT{interval}S", asked.count),
            "scheduleTimeZone": "UTC",
            "epsilon": format!("PT{epsilon}S"),
            "mem": 1,
            "disk": 1,
            "cpus": 0.001,
            "retries": 0,
            "failedRunsHistoryLimit": 1000,
        });
        self.unanswered.insert(self.asked, asked);
        Some((self.asked, body.to_string().into_bytes()))
    }

    /// A process begins with this: what another saved when it ended was heard by
    /// nobody.
    pub(crate) fn restored(&mut self, entities: &Entities) {
        for (key, value) in entities {
            if let Some(job) = key.strip_prefix("history/") {
                self.histories.insert(job.to_owned(), value.clone());
            }
        }
    }

    /// Something is answered, and this is saved.
    pub(crate) fn heard(&mut self, replies: Vec<(u64, Reply)>, saved: &Batch) {
        for (id, reply) in replies {
            let asked = self.unanswered.remove(&id);
            match (reply, asked) {
                (Reply::Done, Some(asked)) => {
                    self.jobs.insert(asked.name.clone(), asked);
                }
                (reply, asked) => self.refused = Some(format!("{asked:?}: {reply:?}")),
            }
        }
        for (key, value) in saved.iter() {
            if let (Some(job), Some(value)) = (key.strip_prefix("history/"), value) {
                self.histories.insert(job.to_owned(), value.clone());
            }
        }
    }

    fn ended(&mut self, task: &str) {
        let Some(run) = self.running.remove(task) else {
            return;
        };
        let end = if self.now_ms >= run.start_ms + run.duration_ms {
            End::Complete(self.now_ms)
        } else {
            End::Cut(self.now_ms)
        };
        let ran = Ran {
            start_ms: run.start_ms,
            end,
        };
        self.runs.entry(run.job).or_default().push(ran);
    }

    /// Judges all jobs, and says what is wrong with which.
    fn judge(&self, healed_ms: i64, read_ms: i64) -> (Verdict, String) {
        let quiet = Quiet(vec![(healed_ms + RECOVERY_MS, i64::MAX)]);
        let (mut all, mut wrong) = (Verdict::default(), String::new());
        for (name, asked) in &self.jobs {
            let history = self.histories.get(name);
            let deeds = Deeds {
                runs: self.runs.get(name).cloned().unwrap_or_default(),
                excuses: history.map(|saved| excuses(saved)).unwrap_or_default(),
            };
            let verdict = judge(asked, &deeds, &quiet, read_ms);
            for violation in &verdict.violations {
                wrong += &format!("{asked:?}: {violation}\n");
            }
            all.add(verdict);
        }
        (all, wrong)
    }

    fn look(&mut self) -> Result<(), String> {
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        if let (Some(healed_ms), Some(read_ms)) = (self.healed_ms, self.read_ms())
            && self.now_ms >= read_ms
            && !self.is_judged
        {
            self.is_judged = true;
            let (verdict, wrong) = self.judge(healed_ms, read_ms);
            self.total.borrow_mut().add(verdict);
            if !wrong.is_empty() {
                return Err(wrong);
            }
        }
        Ok(())
    }
}

/// What is said of occurrences that did not run, or not well.
fn excuses(saved: &[u8]) -> Vec<Excuse> {
    let history: History = serde_json::from_slice(saved).expect("a history");
    let others = history
        .0
        .iter()
        .filter(|past| past.outcome != Outcome::Success);
    others
        .map(|past| Excuse {
            due_ms: past.due_ms,
            occurrences: i64::try_from(past.occurrences).unwrap_or(i64::MAX),
            is_missed: past.outcome == Outcome::Missed,
            why: past.message.clone(),
        })
        .collect()
}

/// The judge's eyes.
pub(crate) struct Watch(pub(crate) Shared);

impl Judge for Watch {
    fn see(&mut self, now: Now, sight: Sight<'_>) -> Result<(), String> {
        let mut outside = self.0.borrow_mut();
        outside.now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let now_ms = outside.now_ms;
        match sight {
            Sight::Started if outside.asks_until_ms == i64::MAX => {
                outside.asks_until_ms = now_ms + ASKS_FOR_MS;
            }
            Sight::Healed => outside.healed_ms = Some(now_ms),
            // Nobody hears the answers of a process that is no more.
            Sight::Ended => outside.unanswered.clear(),
            Sight::TaskStarted { task, .. } => {
                let job = task.split(':').nth(3).unwrap_or_default().to_owned();
                let duration_ms = outside.jobs.get(&job).map(|asked| asked.duration_ms);
                let running = Running {
                    job,
                    start_ms: now_ms + i64::try_from(STARTS_IN.as_millis()).unwrap_or(0),
                    duration_ms: duration_ms.unwrap_or(0),
                };
                outside.running.insert(task.to_owned(), running);
            }
            Sight::TaskEnded { task } => outside.ended(task),
            _ => {}
        }
        outside.look()
    }

    fn unmet(&self) -> Option<String> {
        let is_judged = self.0.borrow().is_judged;
        (!is_judged).then(|| "nobody has looked yet".to_owned())
    }
}
