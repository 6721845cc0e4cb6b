//! Chronos's process as the simulation runs it: its logic as the event loop runs
//! it, begun with what a store holds, and what its io does besides.

use std::cell::RefCell;
use std::rc::Rc;

use chronos::effects::{Call as Told, Input as Heard};
use chronos::input::{self, Kind};
use chronos::machine::{Action, Ask, Chronos};
use chronos::request::Request;
use chronos::state::{Settings, State};
use mesos_local::simulation::{Effects, Framework, Input, Now};
use mesos_sdk::offer::launch_operation;
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::{Call, call};
use mesos_service::event_loop::{self, Machine as _, Release, RequestId};
use mesos_service::store::Entities;
use mesos_tests::saved::Saved;

use crate::bug::Bug;
use crate::outside::Shared;

/// The process.
pub(crate) struct Process {
    shared: Shared,
    bug: Option<Bug>,
    settings: Settings,
    /// What the store held when it began.
    entities: Rc<Entities>,
    /// The logic, once something has happened.
    machine: Option<Chronos>,
}

impl Process {
    pub(crate) fn start(
        shared: &Shared,
        bug: Option<Bug>,
        settings: &Settings,
        entities: Rc<Entities>,
    ) -> Self {
        Self {
            shared: Rc::clone(shared),
            bug,
            settings: settings.clone(),
            entities,
            machine: None,
        }
    }

    /// As `io::live` does it, with the entities of these kinds.
    fn restore(&self, kinds: &[&str]) -> State {
        let mut state = State::new(self.settings.clone());
        let stored = self.entities.iter();
        let stored = stored.filter(|(key, _)| kinds.iter().any(|kind| key.starts_with(kind)));
        state
            .restore(stored.map(|(key, value)| (key.as_str(), value.as_ref())))
            .expect("the store holds what was put into it");
        state
    }

    /// What it knows of its tasks, and of itself, perhaps before it has begun.
    fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        match &self.machine {
            Some(machine) => at(&machine.state),
            None => at(&self.restore(&["run/", "framework-id"])),
        }
    }

    /// Steps the logic, and does with what comes of it what the event loop does.
    fn feed(
        &mut self,
        now_ms: i64,
        input: event_loop::Input<Chronos>,
        effects: &mut Effects<Saved>,
    ) {
        let mut out = event_loop::Effects::default();
        let machine = self.machine.as_mut().expect("it has begun");
        machine.step(now_ms, input, &mut out);
        let (batch, releases) = out.into_parts();
        let mut calls = Vec::new();
        let mut replies = Vec::new();
        for release in releases {
            match release {
                Release::Reply(id, reply) if id.0 > 0 => replies.push((id.0, reply)),
                Release::Action(Action::Call(call)) => calls.extend(translate(call)),
                _ => {}
            }
        }
        let batch = match self.bug {
            Some(bug) => bug.spoil(batch),
            None => batch,
        };
        let saved = Rc::new(batch);
        if !saved.is_empty() {
            effects.save(Saved::new(Rc::clone(&saved)));
        }
        let shared = Rc::clone(&self.shared);
        let heard = RefCell::new(Some(replies));
        effects.then(move || {
            if let Some(replies) = heard.take() {
                shared.borrow_mut().heard(replies, &saved);
            }
        });
        for call in calls {
            effects.call(call);
        }
    }

    fn tick(&mut self, now_ms: i64, effects: &mut Effects<Saved>) {
        let asked = self.shared.borrow_mut().ask(now_ms);
        if let Some((id, body)) = asked {
            let (job, progress) = input::read(&body, Kind::Scheduled, now_ms, &self.settings)
                .expect("the request is as clients make it");
            let put = Request::Put {
                job: job.into(),
                progress: progress.into(),
            };
            let input = event_loop::Input::Request(RequestId(id), Ask::Do(put));
            return self.feed(now_ms, input, effects);
        }
        let wake_at_ms = self.machine.as_ref().and_then(Chronos::wake_at_ms);
        if wake_at_ms.is_some_and(|at| at <= now_ms) {
            self.feed(now_ms, event_loop::Input::Wake, effects);
        }
    }
}

/// As `io::cluster` makes calls.
fn translate(told: Told) -> Vec<Call> {
    let of = |r#type: call::Type| Call {
        r#type: Some(r#type.into()),
        ..Call::default()
    };
    let offer_id = |value: String| v1::OfferId { value };
    let filters = |refuse_seconds: f64| {
        Some(v1::Filters {
            refuse_seconds: Some(refuse_seconds),
        })
    };
    match told {
        Told::Launch { offers, tasks } => vec![Call {
            accept: Some(call::Accept {
                offer_ids: offers.into_iter().map(offer_id).collect(),
                operations: vec![launch_operation(tasks)],
                filters: filters(0.0),
            }),
            ..of(call::Type::Accept)
        }],
        Told::Decline {
            offers,
            refuse_seconds,
        } => vec![Call {
            decline: Some(call::Decline {
                offer_ids: offers.into_iter().map(offer_id).collect(),
                filters: filters(refuse_seconds),
            }),
            ..of(call::Type::Decline)
        }],
        Told::Kill { task_id, agent_id } => vec![Call {
            kill: Some(call::Kill {
                task_id: v1::TaskId { value: task_id },
                agent_id: agent_id.map(|value| v1::AgentId { value }),
                kill_policy: None,
            }),
            ..of(call::Type::Kill)
        }],
        Told::Reconcile { tasks } => {
            let tasks = tasks
                .into_iter()
                .map(|(task, agent)| call::reconcile::Task {
                    task_id: v1::TaskId { value: task },
                    agent_id: Some(v1::AgentId { value: agent }),
                });
            vec![Call {
                reconcile: Some(call::Reconcile {
                    tasks: tasks.collect(),
                }),
                ..of(call::Type::Reconcile)
            }]
        }
        Told::Suppress => vec![of(call::Type::Suppress)],
        Told::Revive => vec![of(call::Type::Revive)],
    }
}

/// The tasks that a call would have launched.
fn launched(call: Call) -> Vec<String> {
    let operations = call.accept.into_iter().flat_map(|accept| accept.operations);
    let launches = operations.filter_map(|operation| operation.launch);
    let tasks = launches.flat_map(|launch| launch.task_infos);
    tasks.map(|task| task.task_id.value).collect()
}

fn millis(now: Now) -> i64 {
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Framework for Process {
    type Change = Saved;

    fn step(&mut self, now: Now, input: Input) -> Effects<Saved> {
        if self.machine.is_none() {
            self.machine = Some(Chronos::new(self.restore(&[""])));
            self.shared.borrow_mut().restored(&self.entities);
        }
        let mut effects = Effects::new();
        let now_ms = millis(now);
        let heard = match input {
            Input::Tick => {
                self.tick(now_ms, &mut effects);
                return effects;
            }
            Input::Update(update) => {
                let status = Box::new(update.status);
                let note = event_loop::Input::Request(RequestId(0), Ask::Note(status));
                self.feed(now_ms, note, &mut effects);
                return effects;
            }
            Input::Subscribed { framework_id } => Heard::Subscribed {
                framework_id: framework_id.value,
            },
            Input::Disconnected => Heard::Disconnected,
            Input::Offers(offers) => Heard::Offers(offers),
            Input::Rescinded(id) => Heard::Rescind(id.value),
            Input::Failed { call, error } if error.had_no_effect() => match launched(*call) {
                tasks if tasks.is_empty() => return effects,
                tasks => Heard::NotLaunched(tasks),
            },
            // Its io does nothing about these.
            _ => return effects,
        };
        self.feed(now_ms, event_loop::Input::Event(heard), &mut effects);
        effects
    }

    fn wake_at(&self) -> Option<Now> {
        let outside = self.shared.borrow().wake_at_ms();
        let own = match &self.machine {
            Some(machine) => machine.wake_at_ms(),
            None => Some(0),
        };
        let at = own.into_iter().chain(outside).min()?;
        Some(Now::from_millis(u64::try_from(at).unwrap_or_default()))
    }

    fn framework_id(&self) -> Option<v1::FrameworkId> {
        let id = self.look(|state| state.framework_id.clone());
        id.map(|value| v1::FrameworkId { value })
    }

    fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        self.look(State::tracked_tasks)
    }

    fn unmet(&self) -> Option<String> {
        None
    }
}
