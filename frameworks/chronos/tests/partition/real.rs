//! The partition test with processes: several Chronos over a real ZooKeeper, and
//! a cluster that breaks. Jobs write down when they start and end; the network
//! falls into halves at random, leaders and agents are killed and come back.
//!
//! In the suite it takes a minute; with `CHRONOS_PARTITION_SECONDS=600` ten.

use std::path::Path;
use std::time::Duration;

use mesos_local::Cluster;
use mesos_local::simulation::Dice;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::judge::{Asked, Deeds, End, Excuse, Quiet, Ran, Verdict, judge};
use crate::node::Node;
use crate::server::Server;

const NODES: usize = 3;
const AGENTS: usize = 4;
/// How many kinds of things break, one after the other.
const KINDS: usize = 4;
/// How long after something broke all has recovered: sessions have expired,
/// agents and frameworks have come back.
const RECOVERY_MS: i64 = 45_000;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

struct World {
    cluster: Cluster,
    nodes: Vec<Node>,
    dice: Dice,
    jobs: Vec<Asked>,
    /// When something was broken, from and until.
    trouble: Vec<(i64, i64)>,
    begun_ms: i64,
}

impl World {
    fn draw(&mut self, below: u64) -> i64 {
        i64::try_from(self.dice.below(below)).unwrap()
    }

    /// Somebody asks some node for a job. `is_short` for those who have little
    /// time.
    async fn ask(&mut self, directory: &Path, is_short: bool) {
        let (most, epsilons, pauses, counts) = if is_short {
            (3, 3, 3, 30)
        } else {
            (10, 20, 30, 99)
        };
        let duration = self.draw(most);
        let epsilon = 10 + self.draw(epsilons);
        let interval = 1 + duration + epsilon + 5 + self.draw(pauses);
        let asked = Asked {
            name: format!("{}", self.jobs.len()),
            start_ms: now_ms() + 10_000,
            interval_ms: interval * 1000,
            count: 1 + self.draw(counts),
            epsilon_ms: epsilon * 1000,
            duration_ms: duration * 1000,
        };
        let start = jiff::Timestamp::from_millisecond(asked.start_ms).unwrap();
        let write = "date +%s%3N >> $MEW";
        let template = directory.join("run.XXXXXXXX").display().to_string();
        let command = format!(
            "MEW=$(mktemp {template}); echo {} >> $MEW; {write}; sleep {duration}; {write}",
            asked.name
        );
        let job = json!({
            "name": asked.name,
            "command": command,
            "schedule": format!("R{}/{start}/PT{interval}S", asked.count),
            "scheduleTimeZone": "UTC",
            "epsilon": format!("PT{epsilon}S"),
            "owner": "",
            "async": false,
            "mem": 1,
            "disk": 1,
            "cpus": 0.001,
            "retries": 0,
            "failedRunsHistoryLimit": 1000,
        });
        let node = self.dice.index(NODES);
        if self.nodes[node].post(&job).await {
            self.jobs.push(asked);
        }
    }

    /// The nodes and agents that chance puts on the other side reach neither
    /// master nor ZooKeeper.
    async fn partition(&mut self) {
        for index in 0..NODES {
            let is_reached = self.dice.permille(500);
            self.nodes[index].set_reached(is_reached);
        }
        for index in 0..AGENTS {
            if self.dice.permille(500) {
                self.cluster.partition_agent(index).await;
            }
        }
    }

    async fn heal(&self) {
        self.nodes.iter().for_each(|node| node.set_reached(true));
        for index in 0..AGENTS {
            self.cluster.heal_agent(index).await;
        }
    }

    /// Whoever leads is killed, and started again by its supervisor.
    async fn kill_leader(&self) {
        for node in &self.nodes {
            if let Some(leader) = node.get("/scheduler/leader").await {
                let leads = |node: &&Node| leader["leader"] == node.authority();
                if let Some(leader) = self.nodes.iter().find(leads) {
                    return leader.kill().await;
                }
            }
        }
        // Nobody leads: that is trouble enough.
    }

    /// An agent loses power, or its process alone is killed, and comes back.
    async fn kill_agent(&mut self) {
        let agent = self.dice.index(AGENTS);
        if self.dice.permille(500) {
            self.cluster.kill_agent(agent).await;
        } else {
            self.cluster.crash_agent(agent).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.cluster.start_agent(agent).await;
    }

    /// One thing breaks, for so long, and is mended.
    async fn break_something(&mut self, what: usize, lasts: Duration) {
        let from = now_ms();
        match what % KINDS {
            0 => {
                self.partition().await;
                tokio::time::sleep(lasts).await;
                self.heal().await;
            }
            1 => self.kill_leader().await,
            2 => self.kill_agent().await,
            _ => self.cluster.fail_over_master().await,
        }
        self.trouble.push((from, now_ms() + RECOVERY_MS));
    }

    /// When nothing was broken, until somebody looked.
    fn quiet(&self, until_ms: i64) -> Quiet {
        let mut quiet = Vec::new();
        let mut from = self.begun_ms;
        for (begin, end) in &self.trouble {
            quiet.push((from, *begin));
            from = *end;
        }
        quiet.push((from, until_ms));
        Quiet(quiet)
    }

    /// What Chronos says of a job's occurrences that did not run, or not well.
    async fn excuses(&self, job: &Asked) -> Vec<Excuse> {
        let path = format!("/scheduler/job/{}/runs", job.name);
        let begun = Instant::now();
        loop {
            for node in &self.nodes {
                if let Some(told) = node.get(&path).await {
                    return excuses(&told);
                }
            }
            assert!(
                begun.elapsed() < crate::server::PATIENCE,
                "nobody answers {path}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn judge(&self, directory: &Path, read_ms: i64) -> Verdict {
        let quiet = self.quiet(read_ms);
        let mut all = Verdict::default();
        for asked in &self.jobs {
            let deeds = Deeds {
                runs: runs(directory, &asked.name),
                excuses: self.excuses(asked).await,
            };
            let verdict = judge(asked, &deeds, &quiet, read_ms);
            for violation in &verdict.violations {
                println!("{asked:?}: {violation}\n{deeds:?}");
            }
            all.add(verdict);
        }
        all
    }
}

fn excuses(told: &Value) -> Vec<Excuse> {
    let runs = told["runs"].as_array().unwrap().iter();
    let over = runs.filter(|run| {
        let states = ["missed", "failure", "killed", "lost"];
        states.iter().any(|state| run["state"] == *state)
    });
    over.map(|run| Excuse {
        due_ms: run["due"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_millisecond(),
        occurrences: run["occurrences"].as_i64().unwrap(),
        is_missed: run["state"] == "missed",
        why: run["message"].as_str().unwrap_or_default().to_owned(),
    })
    .collect()
}

/// What a job wrote down.
fn runs(directory: &Path, job: &str) -> Vec<Ran> {
    let mut runs = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        if !name.starts_with("run.") || lines.first() != Some(&job) {
            continue;
        }
        let moment = |line: &&str| line.parse::<i64>().unwrap();
        if let Some(start_ms) = lines.get(1).map(moment) {
            let end = match lines.get(2).map(moment) {
                Some(end_ms) => End::Complete(end_ms),
                None => End::Unknown,
            };
            runs.push(Ran { start_ms, end });
        }
    }
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_jobs_run_once_with_real_processes() {
    let Some(zookeeper) = Server::start() else {
        return;
    };
    zookeeper.client().await;
    let seconds = match std::env::var("CHRONOS_PARTITION_SECONDS") {
        Ok(seconds) => seconds.parse().unwrap(),
        Err(_) => 60,
    };
    let all = Duration::from_secs(seconds);
    let is_short = seconds < 300;
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder()
        .agents(AGENTS)
        .allocation_interval(Duration::from_millis(200))
        .offer_timeout(Duration::from_secs(30))
        .agent_pings(Duration::from_secs(2), 5)
        .start()
        .await
        .unwrap();
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let master = cluster.master_address();
        nodes.push(Node::start(number, master, zookeeper.port, directory.path()).await);
    }
    let seed = u64::try_from(now_ms()).unwrap();
    println!("seed {seed}");
    let mut world = World {
        cluster,
        nodes,
        dice: Dice::new(seed),
        jobs: Vec::new(),
        trouble: Vec::new(),
        begun_ms: now_ms(),
    };
    // The first is asked for until there is somebody who takes it.
    let patience = Instant::now();
    while world.jobs.is_empty() {
        assert!(patience.elapsed() < crate::server::PATIENCE, "nobody leads");
        world.ask(directory.path(), is_short).await;
    }

    let begun = Instant::now();
    // How long things are broken, how long between, and the quiet at the end.
    let (lasts, pause, quiet) = if is_short { (8, 3, 35) } else { (40, 20, 120) };
    let [lasts, pause, quiet] = [lasts, pause, quiet].map(Duration::from_secs);
    let mut broken = 0;
    while broken < KINDS || begun.elapsed() + pause + lasts + quiet < all {
        world.ask(directory.path(), is_short).await;
        tokio::time::sleep(pause).await;
        world.break_something(broken, lasts).await;
        broken += 1;
    }
    world.heal().await;
    let rest = all.saturating_sub(begun.elapsed()).max(quiet);
    tokio::time::sleep(rest).await;

    let verdict = world.judge(directory.path(), now_ms()).await;
    println!("{} jobs, {broken} faults; {verdict}", world.jobs.len());
    for number in 0..NODES {
        let log = std::fs::read_to_string(directory.path().join(format!("chronos-{number}.log")));
        if !verdict.violations.is_empty() {
            println!("--- chronos {number}\n{}", log.unwrap());
        }
    }
    assert_eq!(verdict.violations, []);
    assert!(verdict.in_time > 0, "{verdict}");
    world.cluster.stop().await;
}
