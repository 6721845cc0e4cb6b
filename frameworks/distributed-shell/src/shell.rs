//! Decides: which command runs on which offer, what a status update means,
//! when everything is done. Pure: it is stepped with the time and an input,
//! and answers with what is to be done; the io around it decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesos_sdk::{
    resources::Resources,
    status::is_terminal,
    v1::{self, TaskState},
};

use crate::{
    demand::Demand,
    outcome::{self, Outcome},
};

/// Time since the start of the process.
pub(crate) type Now = Duration;

/// Freed resources are asked for at once, but not more often than this.
const REVIVE_INTERVAL: Duration = Duration::from_millis(100);
/// How long killed tasks may take until they are left to the teardown.
const KILL_PATIENCE: Duration = Duration::from_secs(8);
/// How long commands wait for a fitting offer before the user is told why.
const WAIT_BEFORE_TELLING: Duration = Duration::from_secs(5);

/// What the user asked for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) commands: Vec<String>,
    pub(crate) demand: Demand,
    pub(crate) on_every_agent: bool,
    pub(crate) max_parallel: usize,
    pub(crate) retries: u32,
    /// When the run gives up, in time since the start.
    pub(crate) deadline: Option<Now>,
    /// Makes task ids unique across runs.
    pub(crate) run_id: String,
}

/// One execution of one command: on any agent, or on a given one.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) command: usize,
    pub(crate) text: String,
    pub(crate) hostname: Option<String>,
    only_on: Option<v1::AgentId>,
    /// How often it was launched before: part of the next task's id.
    launches: u32,
    /// How often it ran and failed.
    failures: u32,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    Waiting,
    Launched {
        agent_id: v1::AgentId,
        /// An update from the task's executor has been seen.
        is_started: bool,
        is_tailed: bool,
    },
    /// The task is over, its output is still being read.
    Draining {
        outcome: Outcome,
    },
    Ended(Outcome),
}

/// An offer, as far as placing commands needs it.
#[derive(Debug, Clone)]
pub(crate) struct OfferView {
    pub(crate) id: v1::OfferId,
    pub(crate) agent_id: v1::AgentId,
    pub(crate) hostname: String,
    pub(crate) resources: Resources,
    pub(crate) attributes: Vec<v1::Attribute>,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The framework is registered, for the first time or again.
    Subscribed {
        framework_id: v1::FrameworkId,
    },
    /// The agents there are, for `--on-every-agent`.
    Agents(Vec<(v1::AgentId, String)>),
    Offers(Vec<OfferView>),
    Update(Box<v1::TaskStatus>),
    /// A launch had no effect: its offer was void, or the connection was lost.
    NotLaunched {
        task_ids: Vec<String>,
        why: String,
    },
    /// All output of the task has been read and printed.
    OutputEnded {
        task_id: String,
    },
    /// Ctrl-C, or nobody reads our output any more.
    Interrupt,
    /// Time has passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) notices: Vec<Notice>,
    pub(crate) launches: Vec<(v1::OfferId, Vec<v1::TaskInfo>)>,
    pub(crate) declines: Vec<v1::OfferId>,
    pub(crate) kills: Vec<(v1::TaskId, v1::AgentId)>,
    pub(crate) revive: bool,
    pub(crate) suppress: bool,
    pub(crate) follow: Vec<Output>,
    pub(crate) drain: Vec<String>,
    pub(crate) exit: Option<u8>,
}

/// Where the output of a task is read.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) run: usize,
    pub(crate) task_id: String,
    pub(crate) agent_id: v1::AgentId,
    pub(crate) container_id: v1::ContainerId,
}

/// What the user is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notice {
    Registered {
        framework_id: String,
    },
    Launched {
        run: usize,
        task_id: String,
        hostname: String,
    },
    State {
        run: usize,
        task_id: String,
        state: TaskState,
        message: String,
    },
    Again {
        run: usize,
        why: String,
    },
    NothingFits {
        why: String,
    },
    Ended {
        run: usize,
        outcome: Outcome,
    },
    Interrupted {
        running: usize,
    },
    TimedOut,
}

/// The state of the whole invocation.
#[derive(Debug)]
pub(crate) struct Shell {
    settings: Settings,
    runs: Vec<Run>,
    waiting: BTreeSet<usize>,
    by_task: BTreeMap<String, usize>,
    ended: usize,
    is_registered: bool,
    is_suppressed: bool,
    wants_revive: bool,
    next_revive: Now,
    stop: Option<Stop>,
    /// Since when commands wait without a launch, and whether it was told.
    starved: Option<(Now, bool)>,
    last_refusal: String,
}

#[derive(Debug)]
struct Stop {
    outcome: Outcome,
    give_up_at: Now,
}

impl Shell {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut shell = Self {
            runs: Vec::new(),
            waiting: BTreeSet::new(),
            by_task: BTreeMap::new(),
            ended: 0,
            is_registered: false,
            is_suppressed: false,
            wants_revive: false,
            next_revive: Now::ZERO,
            stop: None,
            starved: None,
            last_refusal: "no offer has come yet".to_owned(),
            settings,
        };
        if !shell.settings.on_every_agent {
            for command in 0..shell.settings.commands.len() {
                shell.add_run(command, None);
            }
        }
        shell
    }

    pub(crate) fn run(&self, run: usize) -> &Run {
        &self.runs[run]
    }

    pub(crate) fn counts(&self) -> Counts {
        let failed = self
            .runs
            .iter()
            .filter(|run| matches!(&run.phase, Phase::Ended(outcome) if !outcome.is_success()))
            .count();
        Counts {
            total: self.runs.len(),
            running: self.by_task.len(),
            ended: self.ended,
            failed,
        }
    }

    pub(crate) fn step(&mut self, now: Now, input: Input) -> Effects {
        let mut effects = Effects::default();
        match input {
            Input::Subscribed { framework_id } => self.subscribed(framework_id, &mut effects),
            Input::Agents(agents) => self.agents(&agents),
            Input::Offers(offers) => self.offers(offers, &mut effects),
            Input::Update(status) => self.update(&status, &mut effects),
            Input::NotLaunched { task_ids, why } => {
                for task_id in task_ids {
                    self.not_launched(&task_id, &why, &mut effects);
                }
            }
            Input::OutputEnded { task_id } => self.output_ended(&task_id, &mut effects),
            Input::Interrupt => self.interrupt(now, &mut effects),
            Input::Tick => {}
        }
        self.watch_deadline(now, &mut effects);
        self.watch_starvation(now, &mut effects);
        self.balance_offers(now, &mut effects);
        self.finish(now, &mut effects);
        effects
    }

    /// When the next [`Input::Tick`] is due.
    pub(crate) fn wake_at(&self) -> Option<Now> {
        let deadline = self.settings.deadline.filter(|_| self.stop.is_none());
        let give_up = self.stop.as_ref().map(|stop| stop.give_up_at);
        let revive = self.wants_revive.then_some(self.next_revive);
        let starved = self
            .starved
            .filter(|(_, told)| !told)
            .map(|(since, _)| since + WAIT_BEFORE_TELLING);
        [deadline, give_up, revive, starved]
            .into_iter()
            .flatten()
            .min()
    }

    fn add_run(&mut self, command: usize, on: Option<(v1::AgentId, String)>) {
        let (only_on, hostname) = on.unzip();
        self.waiting.insert(self.runs.len());
        self.runs.push(Run {
            command,
            text: self.settings.commands[command].clone(),
            hostname,
            only_on,
            launches: 0,
            failures: 0,
            phase: Phase::Waiting,
        });
    }

    fn subscribed(&mut self, framework_id: v1::FrameworkId, effects: &mut Effects) {
        self.is_registered = true;
        // A new subscription starts with every role revived.
        self.is_suppressed = false;
        effects.notices.push(Notice::Registered {
            framework_id: framework_id.value,
        });
    }

    fn agents(&mut self, agents: &[(v1::AgentId, String)]) {
        if !self.settings.on_every_agent || !self.runs.is_empty() {
            return;
        }
        for command in 0..self.settings.commands.len() {
            for agent in agents {
                self.add_run(command, Some(agent.clone()));
            }
        }
    }

    fn offers(&mut self, offers: Vec<OfferView>, effects: &mut Effects) {
        for mut offer in offers {
            let mut tasks = Vec::new();
            if let Err(refusal) = self.settings.demand.admits(&offer) {
                self.last_refusal = refusal;
            } else {
                while self.stop.is_none() && self.by_task.len() < self.settings.max_parallel {
                    let Some(run) = self.next_for(&offer.agent_id) else {
                        break;
                    };
                    match self.settings.demand.take(&mut offer.resources) {
                        Ok(resources) => tasks.push(self.launch(run, &offer, resources, effects)),
                        Err(refusal) => {
                            self.last_refusal = format!("{}: {refusal}", offer.hostname);
                            break;
                        }
                    }
                }
            }
            if tasks.is_empty() {
                effects.declines.push(offer.id);
            } else {
                effects.launches.push((offer.id, tasks));
            }
        }
    }

    fn next_for(&self, agent_id: &v1::AgentId) -> Option<usize> {
        self.waiting.iter().copied().find(|run| {
            let only_on = &self.runs[*run].only_on;
            only_on.as_ref().is_none_or(|only| only == agent_id)
        })
    }

    fn launch(
        &mut self,
        index: usize,
        offer: &OfferView,
        resources: Resources,
        effects: &mut Effects,
    ) -> v1::TaskInfo {
        let run = &mut self.runs[index];
        let task_id = format!("{}.{}.{}", self.settings.run_id, index + 1, run.launches);
        run.hostname = Some(offer.hostname.clone());
        run.phase = Phase::Launched {
            agent_id: offer.agent_id.clone(),
            is_started: false,
            is_tailed: false,
        };
        self.waiting.remove(&index);
        self.by_task.insert(task_id.clone(), index);
        effects.notices.push(Notice::Launched {
            run: index,
            task_id: task_id.clone(),
            hostname: offer.hostname.clone(),
        });
        let text = run.text.clone();
        self.settings
            .demand
            .task(task_id, &text, offer.agent_id.clone(), resources)
    }

    fn update(&mut self, status: &v1::TaskStatus, effects: &mut Effects) {
        let task_id = &status.task_id.value;
        let Some(&index) = self.by_task.get(task_id) else {
            return;
        };
        let state = status.state();
        let message = status.message.clone().unwrap_or_default();
        let is_reconciliation =
            status.reason == Some(v1::task_status::Reason::Reconciliation as i32);
        if !is_reconciliation || is_over(state) {
            effects.notices.push(Notice::State {
                run: index,
                task_id: task_id.clone(),
                state,
                message: message.clone(),
            });
        }
        let run = &mut self.runs[index];
        let Phase::Launched {
            agent_id,
            is_started,
            is_tailed,
            ..
        } = &mut run.phase
        else {
            return;
        };
        let container_id = status
            .container_status
            .as_ref()
            .and_then(|container| container.container_id.clone());
        if let (Some(container_id), false) = (container_id, *is_tailed)
            && (matches!(state, TaskState::TaskRunning) || is_over(state))
        {
            *is_tailed = true;
            effects.follow.push(Output {
                run: index,
                task_id: task_id.clone(),
                agent_id: agent_id.clone(),
                container_id,
            });
        }
        if !is_over(state) {
            *is_started |= !matches!(state, TaskState::TaskStaging);
            return;
        }
        let (was_started, has_output) = (*is_started, *is_tailed);
        if never_ran(state) && !was_started && self.stop.is_none() {
            self.by_task.remove(task_id);
            self.wait_again(
                index,
                format!("{}: {message}", state.as_str_name()),
                effects,
            );
            return;
        }
        let outcome = match &self.stop {
            Some(stop) if state == TaskState::TaskKilled => stop.outcome.clone(),
            _ => Outcome::of(state, &message),
        };
        run.phase = Phase::Draining { outcome };
        if has_output {
            effects.drain.push(task_id.clone());
        } else {
            let task_id = task_id.clone();
            self.output_ended(&task_id, effects);
        }
        self.wants_revive |= !self.waiting.is_empty();
    }

    fn not_launched(&mut self, task_id: &str, why: &str, effects: &mut Effects) {
        let Some(index) = self.by_task.remove(task_id) else {
            return;
        };
        match &self.stop {
            Some(stop) => self.end(index, stop.outcome.clone(), effects),
            None => self.wait_again(index, why.to_owned(), effects),
        }
    }

    fn output_ended(&mut self, task_id: &str, effects: &mut Effects) {
        let Some(index) = self.by_task.get(task_id).copied() else {
            return;
        };
        let Phase::Draining { outcome } = &self.runs[index].phase else {
            return;
        };
        let outcome = outcome.clone();
        self.by_task.remove(task_id);
        let may_retry = self.runs[index].failures < self.settings.retries;
        if !outcome.is_success() && may_retry && self.stop.is_none() {
            self.runs[index].failures += 1;
            self.wait_again(index, outcome.to_string(), effects);
        } else {
            self.end(index, outcome, effects);
        }
    }

    fn wait_again(&mut self, index: usize, why: String, effects: &mut Effects) {
        let run = &mut self.runs[index];
        run.launches += 1;
        run.phase = Phase::Waiting;
        self.waiting.insert(index);
        self.wants_revive = true;
        effects.notices.push(Notice::Again { run: index, why });
    }

    fn end(&mut self, index: usize, outcome: Outcome, effects: &mut Effects) {
        self.ended += 1;
        self.runs[index].phase = Phase::Ended(outcome.clone());
        effects.notices.push(Notice::Ended {
            run: index,
            outcome,
        });
    }

    fn interrupt(&mut self, now: Now, effects: &mut Effects) {
        if self.stop.is_some() {
            // Asked twice: leave at once, the teardown kills what is left.
            effects.exit = Some(130);
            return;
        }
        effects.notices.push(Notice::Interrupted {
            running: self.by_task.len(),
        });
        self.stop_all(now, Outcome::Interrupted, effects);
    }

    fn watch_deadline(&mut self, now: Now, effects: &mut Effects) {
        let is_over = self.settings.deadline.is_some_and(|at| at <= now);
        if is_over && self.stop.is_none() && self.is_registered {
            effects.notices.push(Notice::TimedOut);
            self.stop_all(now, Outcome::TimedOut, effects);
        }
    }

    fn stop_all(&mut self, now: Now, outcome: Outcome, effects: &mut Effects) {
        self.stop = Some(Stop {
            outcome: outcome.clone(),
            give_up_at: now + KILL_PATIENCE,
        });
        self.wants_revive = false;
        for index in std::mem::take(&mut self.waiting) {
            self.end(index, outcome.clone(), effects);
        }
        for (task_id, index) in &self.by_task {
            if let Phase::Launched { agent_id, .. } = &self.runs[*index].phase {
                let task_id = v1::TaskId {
                    value: task_id.clone(),
                };
                effects.kills.push((task_id, agent_id.clone()));
            }
        }
    }

    fn watch_starvation(&mut self, now: Now, effects: &mut Effects) {
        let is_starved = self.is_registered && !self.waiting.is_empty() && self.by_task.is_empty();
        if !is_starved {
            self.starved = None;
            return;
        }
        self.starved.get_or_insert((now, false));
        if let Some((since, told)) = &mut self.starved
            && !*told
            && *since + WAIT_BEFORE_TELLING <= now
        {
            *told = true;
            effects.notices.push(Notice::NothingFits {
                why: self.last_refusal.clone(),
            });
        }
    }

    /// Offers are wanted exactly while something waits for one.
    fn balance_offers(&mut self, now: Now, effects: &mut Effects) {
        if !self.is_registered || self.runs.is_empty() {
            return;
        }
        let has_room = self.by_task.len() < self.settings.max_parallel;
        if self.waiting.is_empty() {
            self.wants_revive = false;
            if !self.is_suppressed {
                self.is_suppressed = true;
                effects.suppress = true;
            }
        } else if self.is_suppressed || (self.wants_revive && has_room && self.next_revive <= now) {
            self.is_suppressed = false;
            self.wants_revive = false;
            self.next_revive = now + REVIVE_INTERVAL;
            effects.revive = true;
        }
    }

    fn finish(&mut self, now: Now, effects: &mut Effects) {
        if effects.exit.is_some() {
            return;
        }
        let gives_up = self
            .stop
            .as_ref()
            .is_some_and(|stop| stop.give_up_at <= now);
        let is_over = self.ended == self.runs.len() && !self.runs.is_empty();
        if !is_over && !gives_up {
            return;
        }
        let is_interrupted = self
            .stop
            .as_ref()
            .is_some_and(|stop| stop.outcome == Outcome::Interrupted);
        effects.exit = Some(if is_interrupted {
            130
        } else {
            let outcomes: Vec<Outcome> = self.runs.iter().map(Run::outcome).collect();
            outcome::exit_status(outcomes.iter())
        });
    }
}

impl Run {
    fn outcome(&self) -> Outcome {
        match &self.phase {
            Phase::Ended(outcome) | Phase::Draining { outcome } => outcome.clone(),
            Phase::Waiting | Phase::Launched { .. } => Outcome::TimedOut,
        }
    }
}

/// How far the run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: usize,
    pub(crate) running: usize,
    pub(crate) ended: usize,
    pub(crate) failed: usize,
}

/// Whether no further update follows for the framework's purposes.
fn is_over(state: TaskState) -> bool {
    is_terminal(state) || state == TaskState::TaskUnknown
}

/// States in which a task that nobody saw start has certainly not run.
fn never_ran(state: TaskState) -> bool {
    matches!(state, TaskState::TaskDropped | TaskState::TaskUnknown)
}
