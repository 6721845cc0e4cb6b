//! Decides: which command runs on which offer, what a status update means,
//! when everything is done. Pure: it is stepped with the time and an input,
//! and answers with what is to be done; the io around it decides nothing.

mod effects;
mod input;
mod offers;
mod run;
mod stop;
mod updates;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesos_sdk::v1;

pub(crate) use self::{
    effects::{Effects, Notice, Output},
    input::{Input, OfferView},
    run::Run,
};
use self::{run::Phase, stop::Stop};
use crate::{
    demand::Demand,
    outcome::{self, Outcome},
};

/// Time since the start of the process.
pub(crate) type Now = Duration;

/// Freed resources are asked for at once, but not more often than this.
const REVIVE_INTERVAL: Duration = Duration::from_millis(100);
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
        // Without room the end of a task is what to wait for.
        let revive = (self.wants_revive && self.has_room()).then_some(self.next_revive);
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

    /// Whether one more command may run.
    fn has_room(&self) -> bool {
        self.by_task.len() < self.settings.max_parallel
    }

    /// Offers are wanted exactly while something waits for one.
    fn balance_offers(&mut self, now: Now, effects: &mut Effects) {
        if !self.is_registered || self.runs.is_empty() {
            return;
        }
        if self.waiting.is_empty() {
            self.wants_revive = false;
            if !self.is_suppressed {
                self.is_suppressed = true;
                effects.suppress = true;
            }
        } else if self.is_suppressed
            || (self.wants_revive && self.has_room() && self.next_revive <= now)
        {
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

/// How far the run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: usize,
    pub(crate) running: usize,
    pub(crate) ended: usize,
    pub(crate) failed: usize,
}

#[cfg(test)]
mod tests;
