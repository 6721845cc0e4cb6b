//! The framework's process: it starts, is told what arrives, does what it wants
//! done, and crashes.

use std::time::Duration;

use mesos_sdk::v1::scheduler::{Call, Event, call, event};
use mesos_sdk::{CallError, Error, session, v1};

use super::{Happening, Sent, World};
use crate::master::{ConnectionId, RequestId};
use crate::simulation::checks::{Checks, Violation};
use crate::simulation::driver::{Driver, Out, Outs, launched};
use crate::simulation::framework::{Framework, Now};
use crate::simulation::judge::Sight;
use crate::simulation::network::Route;

/// After which time a request is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

impl<F: Framework> World<'_, F> {
    /// Steps the process and does what it wants.
    pub(super) fn drive(
        &mut self,
        step: impl FnOnce(&mut Driver<F>, Now, &mut Checks) -> Outs<F::Change>,
    ) {
        let now = self.clock();
        if let Some(driver) = &mut self.driver {
            let outs = step(driver, now, &mut self.checks);
            self.obey(outs);
        }
    }

    pub(super) fn start_process(&mut self) {
        if self.driver.is_some() {
            return;
        }
        self.processes += 1;
        self.note(|| "framework: starts".to_owned());
        let framework = (self.hooks.start)(&self.saved);
        self.show(Sight::Started);
        let tasks = framework.tasks();
        self.checks
            .none_forgotten(tasks.iter().map(|(task, _)| task));
        let seed = self.dice.draw();
        let now = self.clock();
        self.driver = Some(Driver::new(framework, self.plan, self.processes, seed, now));
        self.drive(Driver::start);
    }

    /// The process ends. What it was saving may be saved or not.
    pub(super) fn end_process(&mut self, restart_in: Duration) {
        let Some(driver) = self.driver.take() else {
            return;
        };
        if let Some(change) = self.saving.take()
            && (self.hooks.torn)(&self.saved, &change, &mut self.chance)
        {
            self.saved.push(change);
        }
        self.checks.crashed();
        self.show(Sight::Ended);
        self.note(|| match driver.step_under_way() {
            Some(task) => format!("framework: ends in the midst of something ({task})"),
            None => "framework: ends".to_owned(),
        });
        if let Some(connection) = driver.connection() {
            self.leave_stream(connection);
        }
        self.after(restart_in, Happening::StartProcess);
    }

    pub(super) fn saved(&mut self, process: u64) {
        if process != self.processes {
            return;
        }
        if let Some(change) = self.saving.take() {
            self.saved.push(change);
            self.drive(Driver::saved);
        }
    }

    /// An event arrives, unless it is lost.
    pub(super) fn hear(&mut self, connection: ConnectionId, event: Event) {
        let route = Route::Events(connection);
        if self.network.is_framework_cut {
            self.network.breaks(route);
        }
        if self.network.is_broken(route) {
            return;
        }
        if event.r#type() != event::Type::Heartbeat {
            self.note(|| format!("framework: hears {}", event_text(&event)));
        }
        self.drive(|driver, now, checks| driver.event(now, connection, event, checks));
    }

    fn obey(&mut self, outs: Outs<F::Change>) {
        let process = self.processes;
        for out in outs {
            // It may have ended in the midst of them.
            if self.driver.is_none() || self.processes != process {
                return;
            }
            self.do_one(out);
        }
    }

    fn do_one(&mut self, out: Out<F::Change>) {
        match out {
            Out::Subscribe { connection, call } => {
                self.note(|| "framework: subscribes".to_owned());
                let delay = self.network.delay();
                self.after(delay, Happening::Subscribe(connection, call));
            }
            Out::Close(connection) => self.leave_stream(connection),
            Out::Call {
                request,
                call,
                stream_id,
            } => {
                for (task, _) in launched(&call) {
                    self.checks.launched(&task);
                }
                self.show(Sight::Called(&call));
                self.send_call(request, call, stream_id);
                self.approach_doom();
            }
            Out::Acknowledge { task, is_known } => self.check_acknowledgement(&task, is_known),
            Out::Save(change) => {
                self.note(|| format!("framework: saves {change:?}"));
                self.saving = Some(change);
                let delay = self.dice.around(Duration::from_millis(3));
                self.after(delay, Happening::Saved(self.processes));
                self.approach_doom();
            }
            Out::Exit(error) => self.exit(&error),
        }
    }

    /// A process that ends does so between two things that it does.
    fn approach_doom(&mut self) {
        self.doom = match self.doom.take() {
            Some(0) => {
                let restart_in = self.dice.around(Duration::from_secs(20));
                self.end_process(restart_in);
                None
            }
            doom => doom.map(|left| left - 1),
        };
    }

    fn exit(&mut self, error: &Error) {
        self.note(|| format!("framework: cannot go on: {error}"));
        match error {
            // A request of the process before it arrived late.
            Error::FailedOver { .. } | Error::NotReached { .. } => {
                self.end_process(Duration::from_secs(1));
            }
            error => {
                let reason = error.to_string();
                self.checks.violate(Violation::Refused { reason });
            }
        }
    }

    /// The process reads a stream no longer; the master notices.
    fn leave_stream(&mut self, connection: ConnectionId) {
        let delay = self.dice.around(Duration::from_secs(1));
        self.after(delay, Happening::StreamGone(self.reign, connection));
        self.network.breaks(Route::Events(connection));
    }

    fn send_call(&mut self, request: RequestId, call: Box<Call>, stream_id: Option<String>) {
        self.note(|| format!("framework: calls {}", call_text(&call)));
        let sent = Sent {
            request,
            stream_id,
            call,
        };
        let is_cut = self.network.is_framework_cut;
        if is_cut || self.network.loses() {
            self.note(|| "            the call is lost".to_owned());
            self.no_answer(&sent);
            return;
        }
        let connection = self.driver.as_ref().and_then(Driver::connection);
        let arrival = match (sent.call.r#type(), connection) {
            // Acknowledgements are made several at once.
            (call::Type::Acknowledge, _) | (_, None) => self.now + self.network.delay(),
            (_, Some(connection)) => self.network.arrival(self.now, Route::Calls(connection)),
        };
        if self.network.duplicates() {
            let again = arrival + self.network.delay();
            self.at(again, Happening::Call(self.reign, Box::new(sent.clone())));
        }
        self.at(arrival, Happening::Call(self.reign, Box::new(sent)));
    }

    /// Nobody will ever answer this call.
    pub(super) fn no_answer(&mut self, sent: &Sent) {
        let error = CallError::Unknown {
            call: sent.call.r#type().as_str_name(),
            reason: "no answer came in time".to_owned(),
        };
        let answered = Happening::Answered(sent.request, Err(error));
        self.after(REQUEST_TIMEOUT, answered);
    }

    /// No stream could be opened.
    pub(super) fn not_opened(&mut self, connection: ConnectionId, delay: Duration) {
        let reason = "the master is not reached".to_owned();
        let how = session::Input::NotOpened { reason };
        self.after(delay, Happening::Ended(connection, how));
    }

    /// A framework that started now would know as much of the task as this one.
    fn check_acknowledgement(&mut self, task: &v1::TaskId, is_known: bool) {
        let successor = (self.hooks.start)(&self.saved).tasks();
        if successor.iter().any(|(known, _)| known == task) != is_known {
            let task = task.value.clone();
            self.checks
                .violate(Violation::AcknowledgedBeforeSave { task });
        }
    }
}

/// An event in one line.
fn event_text(event: &Event) -> String {
    let name = event.r#type().as_str_name();
    let details = match event.r#type() {
        event::Type::Offers => {
            let offers = event.offers.iter().flat_map(|offers| &offers.offers);
            offers
                .map(|offer| format!(" {} of {}", short(&offer.id.value), offer.hostname))
                .collect()
        }
        event::Type::Rescind => {
            let rescind = event.rescind.as_ref();
            rescind.map_or_else(String::new, |r| format!(" {}", short(&r.offer_id.value)))
        }
        event::Type::Update => {
            let update = event.update.as_ref().map(|update| &update.status);
            update.map_or_else(String::new, status_text)
        }
        event::Type::Failure => {
            let agent = event.failure.as_ref().and_then(|f| f.agent_id.as_ref());
            agent.map_or_else(String::new, |agent| format!(" {}", short(&agent.value)))
        }
        event::Type::Error => {
            let error = event.error.as_ref();
            error.map_or_else(String::new, |error| format!(" {}", error.message))
        }
        _ => String::new(),
    };
    format!("{name}{details}")
}

fn status_text(status: &v1::TaskStatus) -> String {
    let ack = if status.uuid.is_some() {
        ", to be acknowledged"
    } else {
        ""
    };
    let state = status.state().as_str_name();
    format!(
        " {} is {state} ({}{ack})",
        status.task_id.value,
        status.message()
    )
}

/// A call in one line.
pub(super) fn call_text(call: &Call) -> String {
    let name = call.r#type().as_str_name();
    let accept = call.accept.iter().flat_map(|accept| &accept.offer_ids);
    let decline = call.decline.iter().flat_map(|decline| &decline.offer_ids);
    let offers = accept.chain(decline).map(|id| short(&id.value).to_owned());
    let tasks = launched(call).into_iter().map(|(task, _)| task.value);
    let kill = call.kill.iter().map(|kill| kill.task_id.value.clone());
    let acknowledge = call.acknowledge.iter().map(|a| a.task_id.value.clone());
    let reconcile = call.reconcile.iter().flat_map(|reconcile| &reconcile.tasks);
    let reconcile = reconcile.map(|task| task.task_id.value.clone());
    let names = offers
        .chain(tasks)
        .chain(kill)
        .chain(acknowledge)
        .chain(reconcile);
    names.fold(name.to_owned(), |text, name| text + " " + &name)
}

/// Ids of Mesos begin with a uuid.
fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}
