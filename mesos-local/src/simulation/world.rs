//! The world: what happens when, in virtual time. Everything that is under way
//! waits in one queue; whoever has something to do at some time says so.

mod agents;
mod faults;
mod masters;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_sdk::v1::scheduler::{Call, Event};
use mesos_sdk::{CallError, session};

use super::checks::{Checks, Violation};
use super::dice::Dice;
use super::driver::Driver;
use super::framework::{Framework, Now};
use super::judge::{Judge, Sight};
use super::network::Network;
use super::plan::{Fault, Plan};
use super::script::{Process, Script};
use crate::agent::{ContainerKey, ExitStatus};
use crate::master::{ConnectionId, LinkId, Master, RequestId};
use crate::messages::{FromAgent, ToAgent};
use crate::time::Timestamp;

use agents::Host;

/// When it all begins: the first of January 2026.
const BEGINNING: Timestamp = Timestamp::from_secs(1_767_225_600);
/// How often a world that is healed is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Starts a framework with what it saved.
pub(super) type Start<F> = dyn Fn(&[<F as Framework>::Change]) -> F;
/// Says what becomes of processes.
pub(super) type Scripts = dyn Fn(&Process<'_>, &mut Dice) -> Script;

/// Says whether a change that was being saved when the process ended is there
/// afterwards, given what was saved before.
pub(super) type Torn<F> =
    dyn Fn(&[<F as Framework>::Change], &<F as Framework>::Change, &mut Dice) -> bool;
/// Makes the judge of a world.
pub(super) type MakeJudge = dyn Fn(&mut Dice) -> Box<dyn Judge>;

/// What a world is told by whoever wants it.
pub(super) struct Hooks<'a, F: Framework> {
    pub(super) start: &'a Start<F>,
    pub(super) scripts: &'a Scripts,
    pub(super) torn: &'a Torn<F>,
    pub(super) judge: Option<&'a MakeJudge>,
}

/// Something that happens when its time has come, unless whom it concerns is
/// gone by then.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "few of them wait at a time")]
enum Happening {
    /// At the master.
    Subscribe(ConnectionId, Box<Call>),
    Call(u64, Box<Sent>),
    StreamGone(u64, ConnectionId),
    FromAgent(u64, LinkId, FromAgent),
    AgentGone(u64, LinkId),
    NewMaster,
    /// At the framework.
    Opened(ConnectionId, Option<String>),
    Event(ConnectionId, Event),
    Ended(ConnectionId, session::Input),
    Answered(RequestId, Result<(), CallError>),
    Saved(u64),
    StartProcess,
    /// At an agent.
    ToAgent(usize, LinkId, ToAgent),
    LinkLost(usize, LinkId),
    /// Whether it was pinged is to be looked at.
    Pinged(usize, LinkId),
    Connect(usize, u64),
    Launched(usize, ContainerKey),
    Exited(usize, ContainerKey, ExitStatus),
    HostBack(usize, u64),
    /// Faults, and their ends.
    Fault,
    HealFramework,
    HealAgent(usize),
    HealWeather,
    AllHealed,
    Look,
}

/// A call on its way.
#[derive(Debug, Clone)]
struct Sent {
    request: RequestId,
    call: Box<Call>,
    stream_id: Option<String>,
}

pub(super) struct World<'a, F: Framework> {
    plan: &'a Plan,
    hooks: Hooks<'a, F>,
    now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    next: u64,
    /// For faults, for scripts, for everything else.
    chance: Dice,
    script_dice: Dice,
    dice: Dice,
    network: Network,
    master: Option<Master>,
    registry: crate::master::Registry,
    /// How many masters there were.
    reign: u64,
    hosts: Vec<Host>,
    /// Whose link each one is.
    links: BTreeMap<LinkId, usize>,
    driver: Option<Driver<F>>,
    /// How many processes the framework had.
    processes: u64,
    saved: Vec<F::Change>,
    saving: Option<F::Change>,
    /// After how many more things that it does the process ends.
    doom: Option<u64>,
    checks: Checks,
    /// Of this seed.
    faults: Vec<Fault>,
    is_healed: bool,
    is_settled: bool,
    steps: u64,
    /// How often in a row the time did not go on.
    still: u32,
    trace: Option<Vec<String>>,
}

/// How a run went.
pub(super) struct Outcome {
    pub(super) violation: Option<Violation>,
    pub(super) elapsed: Duration,
    pub(super) steps: u64,
    pub(super) launches: u64,
    pub(super) trace: Vec<String>,
}

impl<'a, F: Framework> World<'a, F> {
    pub(super) fn new(plan: &'a Plan, hooks: Hooks<'a, F>, seed: u64, is_traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let judge = hooks.judge.map(|make| make(&mut dice.fork()));
        let mut world = Self {
            plan,
            hooks,
            now: BEGINNING,
            queue: BTreeMap::new(),
            next: 0,
            chance: dice.fork(),
            script_dice: dice.fork(),
            network: Network::new(dice.fork()),
            master: None,
            registry: crate::master::Registry::default(),
            reign: 0,
            hosts: Vec::new(),
            links: BTreeMap::new(),
            driver: None,
            processes: 0,
            saved: Vec::new(),
            saving: None,
            doom: None,
            checks: Checks::with(judge),
            faults: Vec::new(),
            is_healed: false,
            is_settled: false,
            steps: 0,
            still: 0,
            trace: is_traced.then(Vec::new),
            dice,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.plan_faults();
        self.new_master();
        for index in 0..self.plan.agents.len() {
            self.new_host(index);
            self.after(Duration::from_millis(10), Happening::Connect(index, 0));
        }
        self.after(Duration::ZERO, Happening::StartProcess);
        self.after(self.plan.duration, Happening::AllHealed);
    }

    /// Lets time pass until all is well, or something is not.
    pub(super) fn run(mut self) -> Outcome {
        while self.checks.violation.is_none() && !self.is_settled {
            self.advance();
        }
        Outcome {
            launches: self.checks.launches(),
            violation: self.checks.violation,
            elapsed: self.now.since(BEGINNING),
            steps: self.steps,
            trace: self.trace.unwrap_or_default(),
        }
    }

    /// Goes to whatever is next.
    fn advance(&mut self) {
        self.steps += 1;
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let master = self.master.as_ref().and_then(Master::wake_at);
        let process = self.driver.as_ref().and_then(Driver::wake_at);
        let process = process.map(timestamp);
        let agent = self
            .hosts
            .iter()
            .enumerate()
            .filter_map(|(index, host)| Some((host.wake_at()?, index)))
            .min();
        let agent_at = agent.map(|(at, _)| at);
        let times = [queued, master, process, agent_at];
        let Some(at) = times.into_iter().flatten().min() else {
            // The look at a healed world is always there.
            unreachable!("something always happens next");
        };
        self.mind_the_time(at);
        if queued == Some(at) {
            if let Some((_, happening)) = self.queue.pop_first() {
                self.happen(happening);
            }
        } else if master == Some(at) {
            self.step_master(crate::master::Input::Tick);
        } else if let Some((_, index)) = agent.filter(|(due, _)| *due == at) {
            self.step_agent(index, crate::agent::Input::Due);
        } else {
            self.drive(Driver::tick);
        }
    }

    fn mind_the_time(&mut self, at: Timestamp) {
        const MOST: u32 = 10_000;
        self.still = if at > self.now { 0 } else { self.still + 1 };
        self.now = self.now.max(at);
        if self.still > MOST {
            self.checks.violate(Violation::Spinning);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Subscribe(connection, call) => self.subscribe(connection, call),
            Happening::Call(reign, sent) => self.take_call(reign, *sent),
            Happening::StreamGone(reign, connection) => self.stream_gone(reign, connection),
            Happening::FromAgent(reign, link, message) => {
                self.arrive_from_agent(reign, link, message);
            }
            Happening::AgentGone(reign, link) => self.agent_gone(reign, link),
            Happening::NewMaster => self.new_master(),
            Happening::Opened(connection, stream_id) => {
                if let Some(driver) = &mut self.driver {
                    driver.opened(connection, stream_id);
                }
            }
            Happening::Event(connection, event) => self.hear(connection, event),
            Happening::Ended(connection, how) => {
                self.drive(|driver, now, checks| driver.ended(now, connection, how, checks));
            }
            Happening::Answered(request, answer) => {
                self.drive(|driver, now, checks| driver.answered(now, request, answer, checks));
            }
            Happening::Saved(process) => self.saved(process),
            Happening::StartProcess => self.start_process(),
            Happening::ToAgent(index, link, message) => self.arrive_at_agent(index, link, message),
            Happening::LinkLost(index, link) => self.link_lost(index, link),
            Happening::Pinged(index, link) => self.miss_pings(index, link),
            Happening::Connect(index, birth) => self.connect(index, birth),
            Happening::Launched(index, container) => self.launched(index, container),
            Happening::Exited(index, container, status) => self.exited(index, container, status),
            Happening::HostBack(index, birth) => self.host_back(index, birth),
            Happening::Fault => self.fault(),
            Happening::HealFramework => self.heal_framework(),
            Happening::HealAgent(index) => self.heal_agent(index),
            Happening::HealWeather => {
                self.network.is_slow = false;
                self.network.is_lossy = false;
            }
            Happening::AllHealed => self.all_healed(),
            Happening::Look => self.look(),
        }
    }

    /// Looks whether everything is as it should be.
    fn look(&mut self) {
        let Some(what) = self.unmet() else {
            self.note(|| "everything is as it should be".to_owned());
            self.is_settled = true;
            return;
        };
        let waited = self.now.since(BEGINNING + self.plan.duration);
        if waited >= self.plan.patience {
            self.checks.violate(Violation::Unmet { what });
        } else {
            self.after(LOOK, Happening::Look);
        }
    }

    fn unmet(&self) -> Option<String> {
        let Some(driver) = &self.driver else {
            return Some("the framework's process is away".to_owned());
        };
        if let Some(what) = driver.framework.unmet() {
            return Some(what);
        }
        if let Some(what) = self.checks.unmet() {
            return Some(what);
        }
        let believed: BTreeSet<String> = driver
            .framework
            .tasks()
            .into_iter()
            .map(|(task, _)| task.value)
            .collect();
        let true_ones: BTreeSet<String> = self
            .hosts
            .iter()
            .flat_map(Host::tasks)
            .map(str::to_owned)
            .collect();
        if let Some(task) = believed.difference(&true_ones).next() {
            return Some(format!("task {task} is believed to run, and does not"));
        }
        if let Some(task) = true_ones.difference(&believed).next() {
            return Some(format!("task {task} runs, and the framework does not know"));
        }
        let mut hosts = self.hosts.iter().enumerate();
        hosts
            .find(|(_, host)| !host.is_registered())
            .map(|(index, _)| format!("agent {index} is not registered"))
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    fn at(&mut self, time: Timestamp, happening: Happening) {
        let number = self.number();
        self.queue.insert((time, number), happening);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Shows something to the judge, if there is one.
    fn show(&mut self, sight: Sight<'_>) {
        self.checks.show(self.clock(), sight);
    }

    /// The time as frameworks know it.
    fn clock(&self) -> Now {
        Duration::from_nanos(self.now.as_nanos())
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let elapsed = self.now.since(BEGINNING).as_secs_f64();
            trace.push(format!("{elapsed:>12.6} {}", text()));
        }
    }
}

fn timestamp(now: Now) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
