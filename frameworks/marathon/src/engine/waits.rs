//! What deployments wait for. It is found out when somebody asks, from what
//! decisions are made of; the API and the log say the same of it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::app::UnreachableStrategy;
use crate::deployment::rolling;
use crate::effects::Notice;
use crate::instance::{Condition, Goal, Instance};
use crate::path_id::PathId;
use crate::probes::Wellness;
use crate::spec::Spec;
use crate::state::{Deployment, State};
use crate::timestamp::Timestamp;

use super::Step;
use super::deploy::Aim;

/// How long a step takes before the log tells what it waits for. It tells it
/// again after twice as long each time.
const TOLD_AFTER: Duration = Duration::from_secs(30);

/// The longest time after which the log tells it again.
const TOLD_AGAIN: Duration = Duration::from_secs(600);

/// So many things are named in one line of the log.
const MOST_NAMED: usize = 10;

/// One thing that a deployment waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Of which app or pod; nothing where it concerns all of them.
    pub id: Option<PathId>,
    /// What kind of thing it is.
    pub reason: Reason,
    /// How many instances wait for it.
    pub instances: usize,
    /// When that is over, where it is known.
    pub until: Option<Timestamp>,
    /// In words.
    pub message: String,
}

/// The kinds of things that deployments wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// A connection to a master.
    Master,
    /// News of instances, after a new connection.
    Reconciliation,
    /// The end of a delay after failures.
    Backoff,
    /// Launch tokens: others have to run first.
    LaunchTokens,
    /// Offers in which there is room.
    Offers,
    /// Instances that are on their way.
    Start,
    /// Health checks.
    Health,
    /// Readiness checks.
    Readiness,
    /// Agents that are out of reach.
    Unreachable,
    /// Instances that are being killed.
    Kill,
    /// Others that are healthy, before those of the version before may go.
    MinimumHealthCapacity,
    /// Others to change what its rollback needs: its time is over.
    Rollback,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.id {
            write!(f, "{id}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// What a deployment waits for at its step.
#[must_use]
pub fn waits(state: &State, deployment: &Deployment, now: Timestamp) -> Vec<Wait> {
    let mut waits = Vec::new();
    let mut of_all = |reason, message: String| {
        waits.push(Wait {
            id: None,
            reason,
            instances: 0,
            until: None,
            message,
        });
    };
    if state.master.is_none() {
        of_all(
            Reason::Master,
            "there is no connection to a master".to_owned(),
        );
    }
    if let Some((_, refusal)) = &deployment.kept {
        let message = format!("its time is over, and it cannot be rolled back: {refusal}");
        of_all(Reason::Rollback, message);
    }
    for id in &deployment.open {
        let mut tally = Tally::new(state, id, now);
        for instance in state.instances_of(id) {
            tally.count(instance);
        }
        tally.tell(&mut waits);
    }
    waits
}

/// How many instances of an app or pod wait for what.
struct Tally<'a> {
    state: &'a State,
    id: &'a PathId,
    now: Timestamp,
    /// What they are to be, and whether those that are not go.
    to: Option<(Spec, bool)>,
    scheduled: usize,
    unheard: usize,
    starting: usize,
    unwell: usize,
    unready: usize,
    lost: usize,
    ending: usize,
    /// Old ones, and those of them that are healthy.
    old: (usize, usize),
    /// New ones that are as they are to be.
    ready: usize,
    /// Why one of those that are not well is not.
    cause: Option<String>,
    /// When the first of those out of reach is given up.
    given_up_at: Option<Timestamp>,
}

impl<'a> Tally<'a> {
    fn new(state: &'a State, id: &'a PathId, now: Timestamp) -> Self {
        let to = match state.aim(id) {
            Aim::Scale(spec) => Some((spec, false)),
            Aim::Replace(spec) => Some((spec, true)),
            Aim::Nothing | Aim::Stop => None,
        };
        Self {
            state,
            id,
            now,
            to,
            scheduled: 0,
            unheard: 0,
            starting: 0,
            unwell: 0,
            unready: 0,
            lost: 0,
            ending: 0,
            old: (0, 0),
            ready: 0,
            cause: None,
            given_up_at: None,
        }
    }

    fn count(&mut self, instance: &Instance) {
        match instance.condition {
            Condition::UnreachableInactive if self.to.is_some() => return,
            Condition::Unreachable | Condition::UnreachableInactive => {
                self.lost += 1;
                let at = given_up_at(self.state, instance);
                self.given_up_at = [self.given_up_at, at].into_iter().flatten().min();
                return;
            }
            _ => {}
        }
        if instance.goal != Goal::Running {
            self.ending += usize::from(instance.is_launched());
            return;
        }
        let is_well = self.state.wellness(instance) == Wellness::Healthy;
        if let Some((spec, true)) = &self.to
            && !self.state.alike(spec).are(instance)
        {
            self.old.0 += 1;
            self.old.1 += usize::from(is_well);
            return;
        }
        let count = match instance.condition {
            Condition::Scheduled => &mut self.scheduled,
            _ if self.state.unconfirmed.contains(&instance.id) => &mut self.unheard,
            Condition::Running if !is_well => {
                self.cause = self
                    .cause
                    .take()
                    .or_else(|| self.state.last_failure(instance));
                &mut self.unwell
            }
            Condition::Running if !self.state.is_ready(instance) => &mut self.unready,
            Condition::Running => &mut self.ready,
            Condition::Provisioned | Condition::Staging | Condition::Starting => &mut self.starting,
            // Part of it has ended, and the rest is about to.
            _ => &mut self.ending,
        };
        *count += 1;
    }

    fn tell(self, waits: &mut Vec<Wait>) {
        let mut say = |reason, instances: usize, until, message: String| {
            if instances > 0 {
                waits.push(Wait {
                    id: Some(self.id.clone()),
                    reason,
                    instances,
                    until,
                    message,
                });
            }
        };
        if self.is_nowhere() {
            let message = "no agent has offered anything that it may run on".to_owned();
            say(Reason::Offers, 1, None, message);
        }
        let (reason, until, why) = self.why_scheduled();
        let message = format!("{} {why}", counted(self.scheduled));
        say(reason, self.scheduled, until, message);
        for (reason, count, what) in [
            (
                Reason::Reconciliation,
                self.unheard,
                "not heard of since there is a connection",
            ),
            (Reason::Start, self.starting, "being started"),
            (Reason::Readiness, self.unready, "not ready"),
            (Reason::Kill, self.ending, "being killed"),
        ] {
            say(reason, count, None, format!("{} {what}", counted(count)));
        }
        let message = match &self.cause {
            Some(cause) => format!("not healthy: {cause}"),
            None => "not known to be healthy yet".to_owned(),
        };
        let message = format!("{} {message}", counted(self.unwell));
        say(Reason::Health, self.unwell, None, message);
        let message = match self.given_up_at {
            Some(at) => format!("on agents out of reach, and given up at {at}"),
            None => "on agents out of reach, and waited for".to_owned(),
        };
        let message = format!("{} {message}", counted(self.lost));
        say(Reason::Unreachable, self.lost, self.given_up_at, message);
        if let Some((least, healthy)) = self.kept_by_the_minimum() {
            let (old, _) = self.old;
            let message = format!(
                "{} of the version before kept until others are healthy: \
                 minimumHealthCapacity wants {least}, and there are {healthy}",
                counted(old)
            );
            say(Reason::MinimumHealthCapacity, old, None, message);
        }
    }

    /// Why instances are not launched, until when, and in words.
    fn why_scheduled(&self) -> (Reason, Option<Timestamp>, String) {
        let state = self.state;
        let delay = state.delays.get(self.id).map(|delay| delay.until());
        if let Some(until) = delay.filter(|until| *until > self.now) {
            let why = format!("not launched before {until}, after failures");
            return (Reason::Backoff, Some(until), why);
        }
        if state.launch_tokens == 0 {
            let until = state.tokens_at.after(state.settings.launch_token_refresh);
            let why = format!("not launched before others run, or {until}: --launch_tokens");
            return (Reason::LaunchTokens, Some(until), why);
        }
        let waiting = state.queue.waiting.get(self.id);
        let why = match waiting.filter(|waiting| waiting.last.processed > 0) {
            None => "without an offer: none has come yet".to_owned(),
            Some(waiting) if waiting.explanation.is_empty() => {
                format!("without an offer: {}", waiting.last)
            }
            Some(waiting) => {
                format!(
                    "without an offer: {} ({})",
                    waiting.last, waiting.explanation
                )
            }
        };
        (Reason::Offers, None, why)
    }

    /// Whether it is to run on every agent, and nobody knows of any.
    fn is_nowhere(&self) -> bool {
        let to = self.to.as_ref();
        let is_wanted = to.is_some_and(|(to, _)| to.is_everywhere() && to.instances() > 0);
        is_wanted && self.state.instances_of(self.id).next().is_none()
    }

    /// How many are to be healthy and how many are, where old instances stay for
    /// that.
    fn kept_by_the_minimum(&self) -> Option<(usize, usize)> {
        let (spec, _) = self.to.as_ref().filter(|(_, is_replaced)| *is_replaced)?;
        let (old, old_healthy) = self.old;
        let target = match spec.is_everywhere() {
            true => self.state.instances_of(self.id).count(),
            false => spec.instances() as usize,
        };
        let (least, _) = rolling::bounds_of(spec, target);
        let healthy = self.ready + old_healthy;
        (old > 0 && self.ready < target && healthy <= least).then_some((least, healthy))
    }
}

fn counted(count: usize) -> String {
    match count {
        1 => "1 instance is".to_owned(),
        count => format!("{count} instances are"),
    }
}

/// When an instance out of reach is given up.
fn given_up_at(state: &State, instance: &Instance) -> Option<Timestamp> {
    let strategy = state.definition_of(instance)?.unreachable_strategy();
    let UnreachableStrategy::Enabled {
        inactive_after_seconds,
        expunge_after_seconds,
    } = strategy
    else {
        return None;
    };
    let seconds = match instance.goal {
        Goal::Running => inactive_after_seconds,
        Goal::Stopped | Goal::Decommissioned => expunge_after_seconds,
    };
    let since = instance.place.as_ref().and_then(|place| place.lost_at);
    let since = since.unwrap_or(instance.since);
    Some(since.after(Duration::from_secs(seconds)))
}

impl Step<'_> {
    /// The log tells now and then what deployments wait for that take long.
    pub(super) fn log_waits(&mut self) {
        let due = self.state.deployments.values();
        let due = due.filter(|it| self.logs_at(it) <= self.now);
        let due: Vec<String> = due.map(|it| it.plan.id.clone()).collect();
        for id in due {
            let deployment = &self.state.deployments[&id];
            let waits = waits(self.state, deployment, self.now);
            let notice = Notice::Info(line(deployment, &waits));
            self.effects.notices.push(notice);
            if let Some(deployment) = self.state.deployments.get_mut(&id) {
                let often = deployment.told.map_or(0, |(_, often)| often);
                deployment.told = Some((self.now, often + 1));
            }
        }
    }

    /// When the log next tells of any of them.
    pub(super) fn next_log(&self) -> Option<Timestamp> {
        let deployments = self.state.deployments.values();
        deployments.map(|it| self.logs_at(it)).min()
    }

    fn logs_at(&self, deployment: &Deployment) -> Timestamp {
        match deployment.told {
            Some((at, often)) => {
                let after = TOLD_AFTER * 2_u32.pow(often.min(8));
                at.after(after.min(TOLD_AGAIN))
            }
            None => deployment
                .since
                .max(self.state.subscribed_at)
                .after(TOLD_AFTER),
        }
    }
}

/// What the log tells of a deployment.
fn line(deployment: &Deployment, waits: &[Wait]) -> String {
    let Deployment {
        plan, step, since, ..
    } = deployment;
    let (step, all) = (step + 1, plan.steps.len());
    let mut line = format!(
        "deployment {} is at step {step} of {all} since {since}",
        plan.id
    );
    if let Some(deadline) = plan.deadline {
        line += &format!(", to be done by {deadline}");
    }
    let named = waits.iter().take(MOST_NAMED);
    for (index, wait) in named.enumerate() {
        line += if index == 0 { ": " } else { "; " };
        line += &wait.to_string();
    }
    let others = waits.len().saturating_sub(MOST_NAMED);
    if others > 0 {
        line += &format!("; and {others} more");
    }
    line
}
