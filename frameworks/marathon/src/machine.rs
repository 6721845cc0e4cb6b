//! Marathon's logic as the event loop runs it: what a step changes is saved
//! before anything of it leaves.

use mesos_sdk::v1;
use mesos_service::event_loop::{self, Machine, RequestId};

use crate::effects::{Call, Effects, Event, Input, Notice, Probe};
use crate::engine::{settle, take_in};
use crate::request::{Reply, Request};
use crate::state::State;
use crate::timestamp::Timestamp;

/// Marathon's logic.
#[derive(Debug)]
pub struct Marathon {
    /// All that it knows.
    pub state: State,
    wake_at: Option<Timestamp>,
}

/// What is asked of Marathon.
#[derive(Debug)]
pub enum Ask {
    /// A change.
    Change(Box<Request>),
    /// To take note of a status; answered once that is saved, so that it may be
    /// acknowledged.
    Note(Box<v1::TaskStatus>),
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// To a change.
    Reply(Box<Reply>),
    /// It is noted.
    Noted,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// The master is told.
    Call(Call),
    /// An instance is asked.
    Probe(Probe),
    /// Everybody is told.
    Tell(Event),
    /// The log tells it.
    Log(Notice),
}

impl Marathon {
    /// Goes on from a state.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self {
            state,
            // Whatever was due while nobody looked is looked at at once.
            wake_at: Some(Timestamp::default()),
        }
    }
}

impl Machine for Marathon {
    type Request = Ask;
    type Reply = Answer;
    type Event = Input;
    type Action = Action;

    fn step(
        &mut self,
        now_ms: i64,
        input: event_loop::Input<Self>,
        out: &mut event_loop::Effects<Self>,
    ) {
        self.take_in(now_ms, input, out);
        self.settle(now_ms, out);
    }

    fn take_in(
        &mut self,
        now_ms: i64,
        input: event_loop::Input<Self>,
        out: &mut event_loop::Effects<Self>,
    ) {
        let mut noted = None;
        let input = match input {
            event_loop::Input::Request(id, Ask::Change(request)) => Input::Request(id.0, request),
            event_loop::Input::Request(id, Ask::Note(status)) => {
                noted = Some(id);
                Input::Update(status)
            }
            event_loop::Input::Event(input) => input,
            event_loop::Input::Wake => Input::Wake,
        };
        let effects = take_in(&mut self.state, Timestamp::from_millis(now_ms), input);
        perform(effects, out);
        if let Some(id) = noted {
            out.reply(id, Answer::Noted);
        }
    }

    fn settle(&mut self, now_ms: i64, out: &mut event_loop::Effects<Self>) {
        let effects = settle(&mut self.state, Timestamp::from_millis(now_ms));
        self.wake_at = effects.wake_at;
        perform(effects, out);
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.wake_at.map(Timestamp::as_millis)
    }
}

fn perform(effects: Effects, out: &mut event_loop::Effects<Marathon>) {
    for change in effects.changes {
        match change.encode() {
            (key, Some(value)) => out.put(key, value),
            (key, None) => out.delete(key),
        }
    }
    for (id, reply) in effects.replies {
        out.reply(RequestId(id), Answer::Reply(Box::new(reply)));
    }
    let events = effects.events.into_iter().map(Action::Tell);
    let calls = effects.calls.into_iter().map(Action::Call);
    let probes = effects.probes.into_iter().map(Action::Probe);
    let notices = effects.notices.into_iter().map(Action::Log);
    events
        .chain(calls)
        .chain(probes)
        .chain(notices)
        .for_each(|action| out.act(action));
}
