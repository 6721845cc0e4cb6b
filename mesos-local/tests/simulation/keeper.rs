//! A framework as one should be: it keeps some services running and brings some
//! jobs to their end. Bugs can be planted in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_local::simulation::{Effects, Framework, Input, Now, Update};
use mesos_sdk::offer::launch_operation;
use mesos_sdk::placement::{Accept, Constraint, Demand, Launch, Place, Placer, Port, Running};
use mesos_sdk::v1::TaskState;
use mesos_sdk::v1::scheduler::{Call, call};
use mesos_sdk::{ids, task, v1};

pub(crate) const JOBS: u64 = 12;
pub(crate) const SERVICES: u64 = 3;
/// How long an offer is kept in case it is needed.
const HOLD: Duration = Duration::from_secs(40);
/// How long a task may be out of reach before it is replaced.
const GIVE_UP: Duration = Duration::from_secs(300);
/// How long before a task is tried again.
const BACKOFF: Duration = Duration::from_secs(15);
/// How long to wait for offers before asking again.
const OFFER_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Acknowledges an update, then saves what it changed.
    AcknowledgeFirst,
    /// Goes on holding offers that it was told are void.
    UseRescinded,
    /// Asks for its tasks once a subscription, and takes silence for an answer.
    ReconcileOnce,
    /// Keeps the time at which it gives a task up in memory only.
    DeadlineInTimer,
    /// Launches first, and saves that it did when it hears of the task.
    LaunchUnsaved,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Id(v1::FrameworkId),
    Launching {
        slot: String,
        task: String,
        agent: v1::AgentId,
        place: Place,
    },
    State {
        task: String,
        state: TaskState,
        give_up_at: Option<Now>,
    },
    Ended {
        task: String,
        is_done: bool,
        retry_at: Now,
    },
}

/// Something that is to run.
#[derive(Debug, Default)]
struct Slot {
    tries: u32,
    task: Option<String>,
    retry_at: Now,
    is_done: bool,
}

#[derive(Debug)]
struct Task {
    slot: String,
    agent: v1::AgentId,
    place: Place,
    state: TaskState,
    give_up_at: Option<Now>,
}

#[derive(Debug)]
pub(crate) struct Keeper {
    bug: Option<Bug>,
    id: Option<v1::FrameworkId>,
    slots: BTreeMap<String, Slot>,
    tasks: BTreeMap<String, Task>,
    /// What a restart forgets: offers in hand, and how things stand with the
    /// master.
    held: Vec<(Now, v1::Offer)>,
    is_connected: bool,
    is_suppressed: bool,
    ask_again_at: Now,
    woken: Now,
    timers: BTreeMap<String, Now>,
}

impl Keeper {
    pub(crate) fn start(saved: &[Change], bug: Option<Bug>) -> Self {
        let jobs = (0..JOBS).map(|n| format!("job-{n}"));
        let services = (0..SERVICES).map(|n| format!("service-{n}"));
        let mut keeper = Self {
            bug,
            id: None,
            slots: jobs
                .chain(services)
                .map(|slot| (slot, Slot::default()))
                .collect(),
            tasks: BTreeMap::new(),
            held: Vec::new(),
            is_connected: false,
            is_suppressed: false,
            ask_again_at: Now::ZERO,
            woken: Now::ZERO,
            timers: BTreeMap::new(),
        };
        for change in saved {
            keeper.apply(change);
        }
        keeper
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The only way in which what is saved changes.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Id(id) => self.id = Some(id.clone()),
            Change::Launching {
                slot,
                task,
                agent,
                place,
            } => {
                let known = self.slots.entry(slot.clone()).or_default();
                known.tries += 1;
                known.task = Some(task.clone());
                let launched = Task {
                    slot: slot.clone(),
                    agent: agent.clone(),
                    place: place.clone(),
                    state: TaskState::TaskStaging,
                    give_up_at: None,
                };
                self.tasks.insert(task.clone(), launched);
            }
            Change::State {
                task,
                state,
                give_up_at,
            } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.state = *state;
                    task.give_up_at = *give_up_at;
                }
            }
            Change::Ended {
                task,
                is_done,
                retry_at,
            } => {
                if let Some(task) = self.tasks.remove(task)
                    && let Some(slot) = self.slots.get_mut(&task.slot)
                {
                    slot.task = None;
                    slot.is_done = *is_done;
                    slot.retry_at = *retry_at;
                }
            }
        }
    }

    fn save(&mut self, change: Change, effects: &mut Effects<Change>) {
        self.apply(&change);
        effects.save(change);
    }

    fn update(&mut self, now: Now, update: &Update, effects: &mut Effects<Change>) {
        if self.has(Bug::AcknowledgeFirst) && update.status.uuid.is_some() {
            effects.acknowledge(update);
        }
        let task = update.task_id();
        let is_over = update.is_terminal() || update.state() == TaskState::TaskUnknown;
        if self.tasks.contains_key(task) {
            if is_over {
                let is_done = task.starts_with("job") && update.state() == TaskState::TaskFinished;
                self.end(now, task, is_done, effects);
            } else {
                self.note(now, task, update.state(), effects);
            }
        } else if !is_over && update.state() != TaskState::TaskUnreachable {
            // It was given up, and another one runs in its place.
            effects.kill(&update.status.task_id, update.status.agent_id.as_ref());
        }
    }

    fn end(&mut self, now: Now, task: &str, is_done: bool, effects: &mut Effects<Change>) {
        let change = Change::Ended {
            task: task.to_owned(),
            is_done,
            retry_at: now + BACKOFF,
        };
        self.timers.remove(task);
        self.save(change, effects);
    }

    fn note(&mut self, now: Now, id: &str, state: TaskState, effects: &mut Effects<Change>) {
        let Some(task) = self.tasks.get(id).filter(|task| task.state != state) else {
            return;
        };
        let is_away = state == TaskState::TaskUnreachable;
        let mut give_up_at = task.give_up_at.or(is_away.then_some(now + GIVE_UP));
        give_up_at = give_up_at.filter(|_| is_away);
        if self.has(Bug::DeadlineInTimer)
            && let Some(at) = give_up_at.take()
        {
            self.timers.insert(id.to_owned(), at);
        }
        let change = Change::State {
            task: id.to_owned(),
            state,
            give_up_at,
        };
        if !is_away {
            self.timers.remove(id);
        }
        self.save(change, effects);
    }

    /// What is wanted against what is, after every input.
    fn pass(&mut self, now: Now, effects: &mut Effects<Change>) {
        let deadline = |(id, task): (&String, &Task)| {
            let at = task.give_up_at.or(self.timers.get(id).copied())?;
            (at <= now).then(|| id.clone())
        };
        let given_up: Vec<String> = self.tasks.iter().filter_map(deadline).collect();
        for task in given_up {
            self.end(now, &task, false, effects);
        }
        if !self.is_connected {
            return;
        }
        self.launch(now, effects);
        let (kept, old): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(until, _)| *until > now);
        self.held = kept;
        for (_, offer) in old {
            effects.decline(&offer, None);
        }
        let is_wanting = self.slots.values().any(Slot::is_wanting);
        if is_wanting && self.held.is_empty() && (self.is_suppressed || self.ask_again_at <= now) {
            self.is_suppressed = false;
            self.ask_again_at = now + OFFER_PATIENCE;
            effects.revive();
        } else if !is_wanting && !self.is_suppressed {
            self.is_suppressed = true;
            effects.suppress();
        }
    }

    /// What is wanted is placed on what is offered; no two services on one host.
    fn launch(&mut self, now: Now, effects: &mut Effects<Change>) {
        let (slots, tasks): (Vec<String>, Vec<task::Task>) = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_wanting() && slot.retry_at <= now)
            .map(|(name, slot)| {
                let command = if is_job(name) { "work" } else { "serve" };
                let task = task::command(format!("{name}.{}", slot.tries), command);
                (name.clone(), task.cpus(0.7).mem_mib(200.0))
            })
            .unzip();
        if tasks.is_empty() || self.held.is_empty() {
            return;
        }
        let demands = tasks.iter().map(|task| match is_job(task.id()) {
            true => Demand::of(task),
            false => Demand::of(task)
                .group("services")
                .constraint(Constraint::unique("hostname"))
                .port(Port::Any),
        });
        let demands: Vec<Demand> = demands.collect();
        let offers: Vec<v1::Offer> = self.held.iter().map(|(_, offer)| offer.clone()).collect();
        let running: Vec<Running> = self
            .tasks
            .iter()
            .filter(|(id, _)| !is_job(id))
            .map(|(_, task)| Running::new("services", task.place.clone()))
            .collect();
        let placer = Placer::spread().seed(self.tasks.len() as u64);
        // Offers come again, so that a long search is not worth its time.
        let placer = placer.search_budget(1000);
        let placement = placer.place(&offers, &demands, &running);
        for Accept {
            offers: used,
            launches,
            ..
        } in placement.accepts()
        {
            let launches = launches.iter().map(|index| &placement.launches()[*index]);
            let launches: Vec<_> = launches.collect();
            let record = |launch: &&Launch| Change::Launching {
                slot: slots[launch.demand].clone(),
                task: tasks[launch.demand].id().to_owned(),
                agent: launch.agent_id.clone(),
                place: Place::of(&offers[launch.offers[0]]),
            };
            let changes: Vec<Change> = launches.iter().map(record).collect();
            let infos = launches
                .iter()
                .map(|launch| launch.task(&tasks[launch.demand]));
            let operation = launch_operation(infos.collect());
            let ids: Vec<_> = used.iter().map(|offer| offers[*offer].id.clone()).collect();
            self.held.retain(|(_, offer)| !ids.contains(&offer.id));
            if self.has(Bug::LaunchUnsaved) {
                effects.accept(ids, vec![operation], None);
                changes
                    .into_iter()
                    .for_each(|change| self.save(change, effects));
            } else {
                changes
                    .into_iter()
                    .for_each(|change| self.save(change, effects));
                effects.accept(ids, vec![operation], None);
            }
        }
        let services = self.tasks.iter().filter(|(id, _)| !is_job(id));
        let hosts: BTreeSet<&str> = services
            .clone()
            .map(|(_, task)| task.place.hostname.as_str())
            .collect();
        assert_eq!(hosts.len(), services.count(), "one service a host");
    }

    fn failed(
        &mut self,
        now: Now,
        call: &Call,
        had_no_effect: bool,
        effects: &mut Effects<Change>,
    ) {
        match call.r#type() {
            call::Type::Accept if had_no_effect => {
                let operations = call.accept.iter().flat_map(|accept| &accept.operations);
                let launches = operations.filter_map(|operation| operation.launch.as_ref());
                for info in launches.flat_map(|launch| &launch.task_infos) {
                    self.end(now, &info.task_id.value, false, effects);
                }
            }
            // Whether there will be offers is not known.
            call::Type::Revive => self.ask_again_at = now,
            _ => {}
        }
    }
}

fn is_job(name: &str) -> bool {
    name.starts_with("job")
}

impl Slot {
    fn is_wanting(&self) -> bool {
        self.task.is_none() && !self.is_done
    }
}

impl Framework for Keeper {
    type Change = Change;

    fn step(&mut self, now: Now, input: Input) -> Effects<Change> {
        let mut effects = Effects::new();
        self.woken = now;
        match input {
            Input::Subscribed { framework_id } => {
                self.is_connected = true;
                self.is_suppressed = false;
                self.ask_again_at = now + OFFER_PATIENCE;
                if self.id.is_none() {
                    self.save(Change::Id(framework_id), &mut effects);
                }
                if self.has(Bug::ReconcileOnce) {
                    effects.reconcile(self.tasks());
                }
            }
            Input::Disconnected => {
                self.is_connected = false;
                self.held.clear();
            }
            Input::Offers(offers) => {
                let until = now + HOLD;
                self.ask_again_at = now + OFFER_PATIENCE;
                self.held
                    .extend(offers.into_iter().map(|offer| (until, offer)));
            }
            Input::Rescinded(id) if !self.has(Bug::UseRescinded) => {
                self.held.retain(|(_, offer)| offer.id != id);
            }
            Input::Update(update) => self.update(now, &update, &mut effects),
            Input::Failed { call, error } => {
                self.failed(now, &call, error.had_no_effect(), &mut effects);
            }
            _ => {}
        }
        self.pass(now, &mut effects);
        effects
    }

    fn wake_at(&self) -> Option<Now> {
        let tasks = self.tasks.values().filter_map(|task| task.give_up_at);
        let timers = self.timers.values().copied();
        let held = self.held.iter().map(|(until, _)| *until);
        let wanting = self.slots.values().filter(|slot| slot.is_wanting());
        let wants_offers = wanting.clone().next().is_some() && self.held.is_empty();
        let again = (wants_offers && self.is_connected).then_some(self.ask_again_at);
        let retries = wanting
            .map(|slot| slot.retry_at)
            .filter(|at| !self.held.is_empty() && *at > self.woken);
        tasks
            .chain(timers)
            .chain(held)
            .chain(again)
            .chain(retries)
            .min()
    }

    fn framework_id(&self) -> Option<v1::FrameworkId> {
        self.id.clone()
    }

    fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        let tasks = self.tasks.iter();
        tasks
            .map(|(id, task)| (ids::task_id(id), Some(task.agent.clone())))
            .collect()
    }

    fn unmet(&self) -> Option<String> {
        self.slots.iter().find_map(|(name, slot)| {
            if slot.is_done {
                return None;
            }
            let Some(task) = &slot.task else {
                return Some(format!("{name} does not run"));
            };
            let state = self.tasks[task].state;
            let is_well = !is_job(name) && state == TaskState::TaskRunning;
            (!is_well).then(|| format!("{task} is {}", state.as_str_name()))
        })
    }
}
