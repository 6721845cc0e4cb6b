//! Chronos's logic as the event loop runs it: what a step changes is saved
//! before anything of it leaves.

use mesos_sdk::v1;
use mesos_service::event_loop::{self, Machine, RequestId};

use crate::effects::{Call, Effects, Fact, Input, Notice};
use crate::engine::step;
use crate::request::{Reply, Request};
use crate::state::State;

/// Chronos's logic.
#[derive(Debug)]
pub struct Chronos {
    /// All that it knows.
    pub state: State,
    wake_at: Option<i64>,
}

/// What is asked of Chronos.
#[derive(Debug)]
pub enum Ask {
    /// To do something.
    Do(Request),
    /// To take note of a status; answered once that is saved, so that it may be
    /// acknowledged.
    Note(Box<v1::TaskStatus>),
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// The master is told.
    Call(Call),
    /// An owner is told.
    Notify(Box<Notice>),
    /// Something is counted.
    Count(Fact),
}

impl Chronos {
    /// Goes on from a state.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self {
            state,
            // Whatever was due while nobody looked is looked at at once.
            wake_at: Some(i64::MIN),
        }
    }
}

impl Machine for Chronos {
    type Request = Ask;
    type Reply = Reply;
    type Event = Input;
    type Action = Action;

    fn step(
        &mut self,
        now_ms: i64,
        input: event_loop::Input<Self>,
        out: &mut event_loop::Effects<Self>,
    ) {
        let mut noted = None;
        let input = match input {
            event_loop::Input::Request(id, Ask::Do(request)) => Input::Request(id.0, request),
            event_loop::Input::Request(id, Ask::Note(status)) => {
                noted = Some(id);
                Input::Update(status)
            }
            event_loop::Input::Event(input) => input,
            event_loop::Input::Wake => Input::Wake,
        };
        let Effects {
            changes,
            replies,
            calls,
            notices,
            facts,
            wake_at,
        } = step(&mut self.state, now_ms, input);
        self.wake_at = wake_at;
        for change in changes {
            match change.encode() {
                (key, Some(value)) => out.put(key, value),
                (key, None) => out.delete(key),
            }
        }
        for (id, reply) in replies {
            out.reply(RequestId(id), reply);
        }
        if let Some(id) = noted {
            out.reply(id, Reply::Done);
        }
        let calls = calls.into_iter().map(Action::Call);
        let notices = notices.into_iter().map(Box::new).map(Action::Notify);
        let facts = facts.into_iter().map(Action::Count);
        calls
            .chain(notices)
            .chain(facts)
            .for_each(|action| out.act(action));
    }

    fn wake_at_ms(&self) -> Option<i64> {
        self.wake_at
    }
}
