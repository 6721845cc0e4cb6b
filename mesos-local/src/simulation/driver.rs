//! The side of the scheduler: the SDK's session and reconciler around a
//! framework's logic, as the SDK's driver has them, without its io.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use mesos_sdk::reconciler::{Ask, Reconciler};
use mesos_sdk::session::{self, Output, Session};
use mesos_sdk::v1::scheduler::{Call, Event, call, event};
use mesos_sdk::{CallError, v1};

use super::checks::Checks;
use super::framework::{Effect, Effects, Framework, Input, Now, Update};
use super::plan::Plan;
use crate::master::{ConnectionId, RequestId};

/// A framework's process.
pub(super) struct Driver<F: Framework> {
    pub(super) framework: F,
    info: v1::FrameworkInfo,
    session: Session,
    reconciler: Option<Reconciler>,
    /// The stream of events that is open, or asked for.
    stream: Option<Stream>,
    /// What must not be missed, in order; offers wait behind it.
    first: VecDeque<Waiting>,
    offers: Vec<v1::Offer>,
    /// Offers that were made and neither used nor void.
    standing: BTreeSet<String>,
    /// What the framework has answered to its last input and is not done yet.
    step: Option<Step<F::Change>>,
    /// The last update of each task that was acknowledged.
    handled: BTreeMap<String, Bytes>,
    calls: BTreeMap<RequestId, Box<Call>>,
    /// Numbers of this process begin here.
    next: u64,
    has_subscribed: bool,
}

struct Stream {
    connection: ConnectionId,
    id: Option<String>,
    is_subscribed: bool,
}

struct Waiting {
    input: Input,
    /// Under which subscription an update came.
    connection: Option<ConnectionId>,
}

struct Step<C> {
    effects: VecDeque<Effect<C>>,
    update: Option<(v1::TaskStatus, ConnectionId)>,
    is_saving: bool,
}

/// What the process wants of its surroundings.
#[derive(Debug)]
pub(super) enum Out<C> {
    Subscribe {
        connection: ConnectionId,
        call: Box<Call>,
    },
    /// The stream is not read any more.
    Close(ConnectionId),
    Call {
        request: RequestId,
        call: Box<Call>,
        stream_id: Option<String>,
    },
    /// An update of a task is about to be acknowledged, by a framework that
    /// knows the task or does not.
    Acknowledge {
        task: v1::TaskId,
        is_known: bool,
    },
    Save(C),
    /// The process ends by itself.
    Exit(mesos_sdk::Error),
}

pub(super) type Outs<C> = Vec<Out<C>>;

impl<F: Framework> Driver<F> {
    pub(super) fn new(framework: F, plan: &Plan, number: u64, seed: u64, now: Now) -> Self {
        let id = framework.framework_id();
        let mut reconciler = plan.reconciler.clone().map(Reconciler::new);
        if let Some(reconciler) = &mut reconciler {
            for (task, agent) in framework.tasks() {
                reconciler.track(&task, agent.as_ref());
            }
        }
        Self {
            framework,
            info: v1::FrameworkInfo {
                id: id.clone(),
                ..plan.info.clone()
            },
            session: Session::new(plan.session.clone(), id, seed, now),
            reconciler,
            stream: None,
            first: VecDeque::new(),
            offers: Vec::new(),
            standing: BTreeSet::new(),
            step: None,
            handled: BTreeMap::new(),
            calls: BTreeMap::new(),
            next: number << 32,
            has_subscribed: false,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Now> {
        let reconciler = self.reconciler.as_ref().and_then(Reconciler::wake_at);
        let framework = self.framework.wake_at().filter(|_| self.is_idle());
        [self.session.wake_at(), reconciler, framework]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_idle(&self) -> bool {
        self.step.is_none() && self.first.is_empty() && self.offers.is_empty()
    }

    /// The stream that is open, or asked for.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        Some(self.stream.as_ref()?.connection)
    }

    /// Whether a step is under way whose effects a crash would cut off.
    pub(super) fn step_under_way(&self) -> Option<&str> {
        let step = self.step.as_ref()?;
        let status = step.update.as_ref().map(|(status, _)| status);
        Some(status.map_or("", |status| status.task_id.value.as_str()))
    }

    pub(super) fn start(&mut self, now: Now, checks: &mut Checks) -> Outs<F::Change> {
        let mut out = Outs::new();
        self.session(now, session::Input::Start, &mut out);
        self.go_on(now, checks, &mut out);
        out
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Now, checks: &mut Checks) -> Outs<F::Change> {
        let mut out = Outs::new();
        if self.session.wake_at().is_some_and(|at| at <= now) {
            self.session(now, session::Input::Tick, &mut out);
        }
        if self.is_idle() && self.framework.wake_at().is_some_and(|at| at <= now) {
            self.push(Input::Tick, None);
        }
        self.go_on(now, checks, &mut out);
        out
    }

    /// The answer to SUBSCRIBE has begun; its events follow.
    pub(super) fn opened(&mut self, connection: ConnectionId, stream_id: Option<String>) {
        if let Some(stream) = self.stream_of(connection) {
            stream.id = stream_id;
        }
    }

    /// There is no stream, or there is none any more.
    pub(super) fn ended(
        &mut self,
        now: Now,
        connection: ConnectionId,
        how: session::Input,
        checks: &mut Checks,
    ) -> Outs<F::Change> {
        let mut out = Outs::new();
        if self.stream_of(connection).is_some() {
            self.session(now, how, &mut out);
            self.go_on(now, checks, &mut out);
        }
        out
    }

    pub(super) fn event(
        &mut self,
        now: Now,
        connection: ConnectionId,
        event: Event,
        checks: &mut Checks,
    ) -> Outs<F::Change> {
        let mut out = Outs::new();
        if self.stream_of(connection).is_some() {
            let heard = self.sort(now, connection, event);
            self.session(now, heard, &mut out);
            self.go_on(now, checks, &mut out);
        }
        out
    }

    /// A call was answered, or will never be.
    pub(super) fn answered(
        &mut self,
        now: Now,
        request: RequestId,
        answer: Result<(), CallError>,
        checks: &mut Checks,
    ) -> Outs<F::Change> {
        let mut out = Outs::new();
        if let Some(call) = self.calls.remove(&request)
            && let Err(error) = answer
        {
            self.failed(call, error, checks);
        }
        self.go_on(now, checks, &mut out);
        out
    }

    /// What was to be saved is.
    pub(super) fn saved(&mut self, now: Now, checks: &mut Checks) -> Outs<F::Change> {
        let mut out = Outs::new();
        if let Some(step) = &mut self.step {
            step.is_saving = false;
        }
        self.go_on(now, checks, &mut out);
        out
    }

    fn stream_of(&mut self, connection: ConnectionId) -> Option<&mut Stream> {
        self.stream
            .as_mut()
            .filter(|stream| stream.connection == connection)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn session(&mut self, now: Now, input: session::Input, out: &mut Outs<F::Change>) {
        match self.session.step(now, input) {
            Some(Output::Connect { .. }) => {
                self.close(out);
                let connection = ConnectionId(self.number());
                self.stream = Some(Stream {
                    connection,
                    id: None,
                    is_subscribed: false,
                });
                let call = Box::new(self.subscribe());
                out.push(Out::Subscribe { connection, call });
            }
            Some(Output::Disconnected(_)) => {
                self.close(out);
                self.push(Input::Disconnected, None);
            }
            Some(Output::Fail(error)) => {
                self.close(out);
                out.push(Out::Exit(error));
            }
            _ => {}
        }
    }

    fn subscribe(&self) -> Call {
        let id = self.session.framework_id().cloned();
        Call {
            r#type: Some(call::Type::Subscribe as i32),
            framework_id: id.clone(),
            subscribe: Some(call::Subscribe {
                framework_info: v1::FrameworkInfo {
                    id,
                    ..self.info.clone()
                },
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Ends the subscription: offers are void, calls have no answer.
    fn close(&mut self, out: &mut Outs<F::Change>) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        out.push(Out::Close(stream.connection));
        self.offers.clear();
        self.standing.clear();
        if let Some(reconciler) = &mut self.reconciler {
            reconciler.disconnected();
        }
        for (_, call) in std::mem::take(&mut self.calls) {
            let error = CallError::Unknown {
                call: call.r#type().as_str_name(),
                reason: "its subscription has ended".to_owned(),
            };
            self.push(Input::Failed { call, error }, None);
        }
    }

    fn push(&mut self, input: Input, connection: Option<ConnectionId>) {
        self.first.push_back(Waiting { input, connection });
    }

    /// Sorts an event into its lane, and says what it is to the session.
    fn sort(&mut self, now: Now, connection: ConnectionId, event: Event) -> session::Input {
        match event.r#type() {
            event::Type::Subscribed => {
                return self.subscribed(now, event.subscribed.unwrap_or_default());
            }
            event::Type::Error => {
                let message = event.error.unwrap_or_default().message;
                return session::Input::ErrorEvent { message };
            }
            event::Type::Heartbeat | event::Type::Unknown => {}
            event::Type::Offers => {
                let offers = event.offers.unwrap_or_default().offers;
                let ids = offers.iter().map(|offer| offer.id.value.clone());
                self.standing.extend(ids);
                self.offers.extend(offers);
            }
            event::Type::Rescind => self.rescinded(event.rescind.unwrap_or_default().offer_id),
            event::Type::Update => {
                let status = event.update.unwrap_or_default().status;
                let update = Update {
                    status,
                    is_redelivery: false,
                };
                self.push(Input::Update(update), Some(connection));
            }
            event::Type::Failure => {
                let failure = event.failure.clone().unwrap_or_default();
                match (failure.executor_id, failure.agent_id) {
                    (None, Some(agent)) => self.push(Input::AgentLost(agent), None),
                    _ => self.push(Input::Event(Box::new(event)), None),
                }
            }
            _ => self.push(Input::Event(Box::new(event)), None),
        }
        session::Input::Heard
    }

    fn subscribed(&mut self, now: Now, subscribed: event::Subscribed) -> session::Input {
        let framework_id = subscribed.framework_id;
        let is_takeover = !self.has_subscribed && self.info.id.is_some();
        self.has_subscribed = true;
        if let Some(stream) = &mut self.stream {
            stream.is_subscribed = true;
        }
        if let Some(reconciler) = &mut self.reconciler {
            reconciler.subscribed(now, is_takeover);
        }
        let input = Input::Subscribed {
            framework_id: framework_id.clone(),
        };
        self.push(input, None);
        session::Input::Subscribed {
            framework_id: Some(framework_id),
            heartbeat_interval: subscribed
                .heartbeat_interval_seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }

    /// One that the framework has not seen it never sees.
    fn rescinded(&mut self, id: v1::OfferId) {
        self.standing.remove(&id.value);
        let before = self.offers.len();
        self.offers.retain(|offer| offer.id != id);
        if self.offers.len() == before {
            self.push(Input::Rescinded(id), None);
        }
    }

    /// Does what can be done now: effects in order, then the next input.
    fn go_on(&mut self, now: Now, checks: &mut Checks, out: &mut Outs<F::Change>) {
        while checks.violation.is_none() {
            match &mut self.step {
                Some(step) if step.is_saving => break,
                Some(step) => match step.effects.pop_front() {
                    Some(effect) => self.carry_out(effect, checks, out),
                    None => self.end_step(checks, out),
                },
                None => match self.next_input() {
                    Some(waiting) => self.step(now, waiting, checks, out),
                    None => break,
                },
            }
        }
        let asks = std::iter::from_fn(|| self.reconciler.as_mut()?.step(now));
        for Ask(tasks) in asks.collect::<Vec<_>>() {
            let call = Call {
                r#type: Some(call::Type::Reconcile as i32),
                reconcile: Some(call::Reconcile { tasks }),
                ..Default::default()
            };
            self.send(Box::new(call), false, out);
        }
    }

    fn next_input(&mut self) -> Option<Waiting> {
        if let Some(waiting) = self.first.pop_front() {
            return Some(waiting);
        }
        (!self.offers.is_empty()).then(|| Waiting {
            input: Input::Offers(std::mem::take(&mut self.offers)),
            connection: None,
        })
    }

    fn step(&mut self, now: Now, waiting: Waiting, checks: &mut Checks, out: &mut Outs<F::Change>) {
        let Waiting {
            mut input,
            connection,
        } = waiting;
        let mut answered = None;
        if let Input::Update(update) = &mut input {
            self.note_answer(&update.status);
            let id = &update.status.task_id.value;
            let last = self.handled.get(id);
            let is_known = last.is_some() && last == update.status.uuid.as_ref();
            let waits = update.status.uuid.is_some();
            answered = connection
                .filter(|_| waits)
                .map(|connection| (update.status.clone(), connection));
            if is_known {
                // Its acknowledgement was lost.
                self.acknowledge(answered, out);
                return;
            }
        }
        checks.told(now, &input);
        let Effects { list } = self.framework.step(now, input);
        checks.decided(&list, &self.framework.tasks());
        self.step = Some(Step {
            effects: list.into(),
            update: answered,
            is_saving: false,
        });
    }

    fn note_answer(&mut self, status: &v1::TaskStatus) {
        let Some(reconciler) = &mut self.reconciler else {
            return;
        };
        let state = status.state();
        let is_over = mesos_sdk::status::is_terminal(state) || state == v1::TaskState::TaskUnknown;
        if is_over {
            reconciler.settle(&status.task_id);
        } else {
            reconciler.answer(&status.task_id, status.agent_id.as_ref());
        }
    }

    fn carry_out(
        &mut self,
        effect: Effect<F::Change>,
        checks: &mut Checks,
        out: &mut Outs<F::Change>,
    ) {
        match effect {
            Effect::Save(change) => {
                if let Some(step) = &mut self.step {
                    step.is_saving = true;
                }
                out.push(Out::Save(change));
            }
            Effect::Call(call) => self.call(call, checks, out),
            Effect::Then(then) => (then.0)(),
            Effect::Acknowledge(status) => {
                let step = self.step.as_mut();
                let is_unsaved = step.as_ref().is_some_and(|step| {
                    let mut effects = step.effects.iter();
                    effects.any(|effect| matches!(effect, Effect::Save(_)))
                });
                checks.acknowledged(&status, is_unsaved);
                let update = step.and_then(|step| step.update.take_if(|(own, _)| *own == *status));
                self.acknowledge(update, out);
            }
        }
    }

    /// Everything that was answered to an input is done.
    fn end_step(&mut self, checks: &mut Checks, out: &mut Outs<F::Change>) {
        checks.step_is_done();
        let update = self.step.take().and_then(|step| step.update);
        self.acknowledge(update, out);
    }

    fn acknowledge(
        &mut self,
        update: Option<(v1::TaskStatus, ConnectionId)>,
        out: &mut Outs<F::Change>,
    ) {
        let Some((status, connection)) = update else {
            return;
        };
        if let Some(uuid) = status.uuid.clone() {
            self.handled.insert(status.task_id.value.clone(), uuid);
        }
        // It belongs to the subscription under which the update came.
        if self.stream_of(connection).is_none() {
            return;
        }
        let call = Call {
            r#type: Some(call::Type::Acknowledge as i32),
            acknowledge: Some(call::Acknowledge {
                agent_id: status.agent_id.clone().unwrap_or_default(),
                task_id: status.task_id.clone(),
                uuid: status.uuid.clone().unwrap_or_default(),
            }),
            ..Default::default()
        };
        let tasks = self.framework.tasks();
        out.push(Out::Acknowledge {
            is_known: tasks.iter().any(|(task, _)| *task == status.task_id),
            task: status.task_id,
        });
        self.send(Box::new(call), false, out);
    }

    /// A call of the framework.
    fn call(&mut self, call: Box<Call>, checks: &mut Checks, out: &mut Outs<F::Change>) {
        let name = call.r#type().as_str_name();
        if !self.stream.as_ref().is_some_and(|s| s.is_subscribed) {
            return self.failed(call, CallError::NotSubscribed { call: name }, checks);
        }
        let void = self.use_offers(&call);
        match (call.r#type(), void) {
            // What is void needs no declining.
            (call::Type::Decline, Some(_)) => return,
            (_, Some(offer_id)) => {
                return self.failed(call, CallError::Rescinded { offer_id }, checks);
            }
            (_, None) => {}
        }
        if let Some(reconciler) = &mut self.reconciler {
            for (task, agent) in launched(&call) {
                reconciler.launched(&task, Some(&agent));
            }
        }
        self.send(call, true, out);
    }

    /// Takes the offers that a call uses from those that stand; gives back one
    /// that does not.
    fn use_offers(&mut self, call: &Call) -> Option<String> {
        let accept = call.accept.iter().flat_map(|accept| &accept.offer_ids);
        let decline = call.decline.iter().flat_map(|decline| &decline.offer_ids);
        let mut void = None;
        for id in accept.chain(decline) {
            if !self.standing.remove(&id.value) {
                void = Some(id.value.clone());
            }
        }
        void
    }

    fn failed(&mut self, call: Box<Call>, error: CallError, checks: &mut Checks) {
        if error.had_no_effect() {
            for (task, _) in launched(&call) {
                checks.not_launched(&task);
                if let Some(reconciler) = &mut self.reconciler {
                    reconciler.settle(&task);
                }
            }
        }
        self.push(Input::Failed { call, error }, None);
    }

    /// `is_heard`: the framework hears when it fails.
    fn send(&mut self, mut call: Box<Call>, is_heard: bool, out: &mut Outs<F::Change>) {
        let request = RequestId(self.number());
        let Some(stream) = &self.stream else {
            return;
        };
        call.framework_id = self.session.framework_id().cloned();
        if is_heard {
            self.calls.insert(request, call.clone());
        }
        out.push(Out::Call {
            request,
            call,
            stream_id: stream.id.clone(),
        });
    }
}

/// The tasks that a call launches, and where.
pub(super) fn launched(call: &Call) -> Vec<(v1::TaskId, v1::AgentId)> {
    let operations = call.accept.iter().flat_map(|accept| &accept.operations);
    operations
        .flat_map(|operation| {
            let single = operation.launch.iter().flat_map(|l| &l.task_infos);
            let group = operation.launch_group.iter();
            single.chain(group.flat_map(|l| &l.task_group.tasks))
        })
        .map(|task| (task.task_id.clone(), task.agent_id.clone()))
        .collect()
}
