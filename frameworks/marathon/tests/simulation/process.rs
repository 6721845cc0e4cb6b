//! Marathon's process as the simulation runs it: its logic as the event loop
//! runs it, begun with what a store holds, and what its io does besides.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use marathon::effects::{Call as Told, Input as Heard};
use marathon::instance::Instance;
use marathon::machine::{Action, Answer, Ask, Marathon};
use marathon::state::{Change as Entity, Settings, State};
use mesos_local::simulation::{Effects, Framework, Input, Now};
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::{Call, call};
use mesos_service::event_loop::{self, Machine as _, Release, RequestId};
use mesos_service::store::{Batch, Entities};
use mesos_tests::saved::Saved;

use crate::bug::Bug;
use crate::indexes::indexes_hold;
use crate::outside::Shared;
use crate::view::View;

/// The process.
pub(crate) struct Process {
    shared: Shared,
    bug: Option<Bug>,
    settings: Settings,
    /// What the store held when it began.
    entities: Rc<Entities>,
    /// The logic, once something has happened.
    machine: Option<Marathon>,
    /// What the store holds now.
    mirror: Entities,
    steps: u64,
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
            mirror: Entities::new(),
            steps: 0,
        }
    }

    /// As `io::start` does it.
    fn restore(&self, entities: &Entities) -> State {
        let mut state = State::new(self.settings.clone(), self.shared.borrow_mut().draw());
        let stored = entities.iter();
        state
            .restore(stored.map(|(key, value)| (key.as_str(), value.as_ref())))
            .expect("the store holds what was put into it");
        state
    }

    fn begin(&mut self) {
        if self.machine.is_some() {
            return;
        }
        let stored = self.shared.borrow_mut().reopen(&self.entities);
        let state = self.restore(&stored);
        self.mirror = Entities::clone(&stored);
        let view = View::of(&state);
        self.machine = Some(Marathon::new(state));
        self.shared.borrow_mut().restored(view);
    }

    /// Steps the logic, and does with what comes of it what the event loop does.
    fn feed(
        &mut self,
        now_ms: i64,
        input: event_loop::Input<Marathon>,
        effects: &mut Effects<Saved>,
    ) {
        let machine = self.machine.as_mut().expect("it has begun");
        let mut out = event_loop::Effects::default();
        machine.step(now_ms, input, &mut out);
        machine.settle(now_ms, &mut out);
        let (mut batch, releases) = out.into_parts();
        let view = changes_what_is_seen(&batch).then(|| View::of(&machine.state));
        self.steps += 1;
        batch.apply(&mut self.mirror);
        if self.steps.is_multiple_of(64) {
            self.compare();
        }
        if let Some(bug) = self.bug {
            batch = bug.spoil(batch);
        }
        let mut calls = Vec::new();
        let mut replies = Vec::new();
        let mut events = Vec::new();
        for release in releases {
            match release {
                Release::Reply(id, Answer::Reply(reply)) => replies.push((id.0, reply)),
                Release::Reply(_, Answer::Noted) => {}
                Release::Action(Action::Call(call)) => calls.extend(translate(call)),
                Release::Action(Action::Tell(event)) => events.push(event),
                Release::Action(Action::Log(notice)) => self.shared.borrow_mut().logged(&notice),
                Release::Action(Action::Probe(probe)) => {
                    self.shared.borrow_mut().asked_how_it_is(now_ms, probe);
                }
            }
        }
        // Without a master there is nobody to tell yet.
        let decided = events
            .iter()
            .filter(|it| it.kind == "unhealthy_instance_kill_event");
        let decided = decided.filter_map(|event| event.data["taskId"].as_str());
        let kills = calls.iter().filter_map(|call: &Call| call.kill.as_ref());
        let kills = kills.map(|kill| kill.task_id.value.as_str());
        let kills = decided.chain(kills).map(str::to_owned).collect();
        let launching = calls.iter().flat_map(launched).cloned().collect();
        self.shared
            .borrow_mut()
            .about_to_save(view.clone(), kills, launching);
        let shared = Rc::clone(&self.shared);
        let heard = RefCell::new(Some((replies, events, view)));
        let hear = move || {
            if let Some((replies, events, view)) = heard.take() {
                shared.borrow_mut().heard(replies, &events, view);
            }
        };
        if self.bug == Some(Bug::AnswersBeforeSaving) {
            hear();
            effects.save(Saved::new(Rc::new(batch)));
        } else {
            if !batch.is_empty() {
                effects.save(Saved::new(Rc::new(batch)));
            }
            effects.then(hear);
        }
        for call in calls {
            if self.bug.is_none_or(|bug| bug.lets_out(&call)) {
                effects.call(call);
            }
        }
    }

    /// A process that began now would know what this one knows.
    fn compare(&self) {
        let restored = self.restore(&self.mirror);
        let own = &self.machine.as_ref().expect("it has begun").state;
        assert_eq!(restored.root, own.root);
        assert_eq!(restored.versions, own.versions);
        assert_eq!(restored.instances, own.instances);
        indexes_hold(own);
        assert_eq!(restored.delays, own.delays);
        assert_eq!(restored.failures, own.failures);
        assert_eq!(restored.framework_id, own.framework_id);
        assert_eq!(restored.ids_made, own.ids_made);
        let plans = |state: &State| -> Vec<_> {
            let deployments = state.deployments.values();
            deployments
                .map(|it| (it.plan.clone(), it.step, it.since))
                .collect()
        };
        assert_eq!(plans(&restored), plans(own));
    }

    /// One thing that is due: what a probe found, a request, or nothing but time.
    fn tick(&mut self, now_ms: i64, effects: &mut Effects<Saved>) {
        let found = self.shared.borrow_mut().probed(now_ms);
        if let Some((probe, outcome)) = found {
            let input = event_loop::Input::Event(Heard::Probed(probe, outcome));
            return self.feed(now_ms, input, effects);
        }
        let asked = self.shared.borrow_mut().ask(now_ms);
        if let Some((id, mut request)) = asked {
            if let Some(bug) = self.bug {
                bug.tamper(&mut request);
            }
            let input = event_loop::Input::Request(RequestId(id), Ask::Change(request));
            return self.feed(now_ms, input, effects);
        }
        self.feed(now_ms, event_loop::Input::Wake, effects);
    }

    fn instances(&self) -> Vec<Instance> {
        if let Some(machine) = &self.machine {
            return machine
                .state
                .instances
                .values()
                .map(|it| (**it).clone())
                .collect();
        }
        let stored = self.entities.range("instance/".to_owned()..);
        let stored = stored.take_while(|(key, _)| key.starts_with("instance/"));
        stored
            .filter_map(|(key, value)| match Entity::decode(key, value) {
                Ok(Entity::Instance(_, instance)) => instance.map(|it| (*it).clone()),
                _ => None,
            })
            .collect()
    }
}

/// Whether what clients see of the whole is another after this.
fn changes_what_is_seen(batch: &Batch) -> bool {
    const SEEN: [&str; 5] = [
        "wanted/",
        "version/",
        "deployment/",
        "progress/",
        "framework-id",
    ];
    let mut keys = batch.iter().map(|(key, _)| key);
    keys.any(|key| SEEN.iter().any(|seen| key.starts_with(seen)))
}

/// What a call launches.
pub(crate) fn launched(call: &Call) -> impl Iterator<Item = &v1::TaskInfo> {
    let operations = call.accept.iter().flat_map(|accept| &accept.operations);
    operations.flat_map(|operation| {
        let tasks = operation.launch.iter().flat_map(|it| &it.task_infos);
        let group = operation.launch_group.iter();
        tasks.chain(group.flat_map(|it| &it.task_group.tasks))
    })
}

/// As `io::cluster` makes calls.
fn translate(told: Told) -> Vec<Call> {
    let of = |r#type: call::Type| Call {
        r#type: Some(r#type.into()),
        ..Call::default()
    };
    let id = |value: String| v1::OfferId { value };
    match told {
        Told::Accept { offers, operations } => vec![Call {
            accept: Some(call::Accept {
                offer_ids: offers.into_iter().map(id).collect(),
                operations,
                filters: Some(v1::Filters {
                    refuse_seconds: Some(0.0),
                }),
            }),
            ..of(call::Type::Accept)
        }],
        Told::Decline {
            offers,
            refuse_seconds,
        } => {
            let decline = |offer| Call {
                decline: Some(call::Decline {
                    offer_ids: vec![id(offer)],
                    filters: Some(v1::Filters {
                        refuse_seconds: Some(refuse_seconds),
                    }),
                }),
                ..of(call::Type::Decline)
            };
            offers.into_iter().map(decline).collect()
        }
        Told::Kill { task_id, agent_id } => vec![Call {
            kill: Some(call::Kill {
                task_id: v1::TaskId { value: task_id },
                agent_id: agent_id.map(|value| v1::AgentId { value }),
                kill_policy: None,
            }),
            ..of(call::Type::Kill)
        }],
        Told::Suppress(role) => vec![Call {
            suppress: Some(call::Suppress { roles: vec![role] }),
            ..of(call::Type::Suppress)
        }],
        Told::Revive(role) => vec![Call {
            revive: Some(call::Revive { roles: vec![role] }),
            ..of(call::Type::Revive)
        }],
        // Every app here is in the role that the framework begins with.
        Told::Roles { .. } => Vec::new(),
    }
}

fn millis(now: Now) -> i64 {
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Framework for Process {
    type Change = Saved;

    fn step(&mut self, now: Now, input: Input) -> Effects<Saved> {
        self.begin();
        let mut effects = Effects::new();
        let heard = match input {
            Input::Tick => {
                self.tick(millis(now), &mut effects);
                return effects;
            }
            Input::Update(update) => {
                let now_ms = millis(now);
                self.shared.borrow_mut().told(now_ms, &update.status);
                let status = Box::new(update.status);
                let note = event_loop::Input::Request(RequestId(0), Ask::Note(status));
                self.feed(millis(now), note, &mut effects);
                return effects;
            }
            Input::Subscribed { framework_id } => Heard::Subscribed {
                framework_id: framework_id.value,
                master: Some(Box::default()),
            },
            Input::Disconnected => Heard::Disconnected,
            Input::Offers(offers) => Heard::Offers(offers),
            Input::Rescinded(id) => Heard::Rescind(id.value),
            Input::Failed { call, error } if error.had_no_effect() => {
                let operations = call.accept.into_iter().flat_map(|it| it.operations);
                let launches = operations.filter_map(|operation| operation.launch);
                let tasks = launches.flat_map(|launch| launch.task_infos);
                let tasks: Vec<String> = tasks.map(|task| task.task_id.value).collect();
                if tasks.is_empty() {
                    return effects;
                }
                self.shared.borrow_mut().judge.not_launched(&tasks);
                Heard::NotLaunched(tasks)
            }
            // Its io does nothing about these.
            _ => return effects,
        };
        self.feed(millis(now), event_loop::Input::Event(heard), &mut effects);
        effects
    }

    fn wake_at(&self) -> Option<Now> {
        let own = match &self.machine {
            Some(machine) => machine.wake_at_ms(),
            None => Some(0),
        };
        let outside = self.shared.borrow().wake_at_ms();
        let at = own.into_iter().chain(outside).min()?;
        Some(Now::from_millis(u64::try_from(at).unwrap_or_default()))
    }

    fn framework_id(&self) -> Option<v1::FrameworkId> {
        let id = match &self.machine {
            Some(machine) => machine.state.framework_id.clone(),
            None => {
                let stored: Option<&Bytes> = self.entities.get("framework-id");
                stored.and_then(|value| match Entity::decode("framework-id", value) {
                    Ok(Entity::Framework(id)) => id,
                    _ => None,
                })
            }
        };
        id.map(|value| v1::FrameworkId { value })
    }

    fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        let launched = self.instances().into_iter().filter(Instance::is_launched);
        launched
            .map(|instance| {
                let value = instance.task_id().to_string();
                let agent = instance.place.map(|place| v1::AgentId {
                    value: place.agent_id,
                });
                (v1::TaskId { value }, agent)
            })
            .collect()
    }

    fn unmet(&self) -> Option<String> {
        let deployments = &self.machine.as_ref()?.state.deployments;
        let (id, deployment) = deployments.first_key_value()?;
        Some(format!(
            "deployment {id} is at step {} of {:?}",
            deployment.step, deployment.plan.steps
        ))
    }
}
