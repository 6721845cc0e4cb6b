//! Whoever looks at a framework from outside: knows what it promises, sees what
//! a cluster sees of it, and outlives its processes.

use std::fmt;
use std::rc::Rc;

use mesos_sdk::v1::scheduler::Call;

use super::framework::{Input, Now};

/// Sees what happens, and says when a promise of the framework is broken that
/// the simulation knows nothing of.
///
/// A judge lives as long as its world. It may share something with the
/// framework's processes, who is asking for what for example, and with
/// [`Effects::then`](super::Effects::then) it hears what they answer.
pub trait Judge {
    /// Something has happened, or is about to.
    ///
    /// # Errors
    ///
    /// The promise that is broken by it.
    fn see(&mut self, now: Now, sight: Sight<'_>) -> Result<(), String>;

    /// What is still to come about now that nothing is broken any more; see
    /// [`Framework::unmet`](super::Framework::unmet).
    fn unmet(&self) -> Option<String> {
        None
    }
}

/// Something to be seen.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Sight<'a> {
    /// A process of the framework starts.
    Started,
    /// The framework's process has ended. What it did not finish it never will.
    Ended,
    /// The framework is about to be told this.
    Told(&'a Input),
    /// This call leaves the framework. Whether it arrives is another matter.
    Called(&'a Call),
    /// A task's process starts on an agent.
    TaskStarted {
        /// The task.
        task: &'a str,
        /// The agent's host name.
        agent: &'a str,
    },
    /// A task's process is no more.
    TaskEnded {
        /// The task.
        task: &'a str,
    },
    /// From here on nothing breaks any more.
    Healed,
}

/// What somebody hears once it is certain.
#[derive(Clone)]
pub(super) struct Then(pub(super) Rc<dyn Fn()>);

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Then").finish_non_exhaustive()
    }
}
