//! Write Apache Mesos frameworks in Rust.
//!
//! A framework is a program that takes the resources a Mesos cluster offers it
//! and runs tasks on them. With this crate it is a type with a few methods,
//! [`Scheduler`](scheduler::Scheduler), and a driver that does the rest:
//!
//! ```no_run
//! use mesos_sdk::{
//!     address::MasterAddress,
//!     async_trait,
//!     framework_info::FrameworkInfo,
//!     offer::Offer,
//!     scheduler::{BoxError, Handle, Scheduler, SchedulerDriver},
//!     status::StatusUpdate,
//!     task,
//! };
//!
//! struct Hello {
//!     is_launched: bool,
//! }
//!
//! #[async_trait]
//! impl Scheduler for Hello {
//!     async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
//!         let task = task::command("hello-1", "echo hello").cpus(0.1).mem_mib(32.0);
//!         for offer in offers {
//!             if !self.is_launched && task.fits(&offer) {
//!                 self.is_launched = true;
//!                 let task = task.on(&offer);
//!                 offer.launch(vec![task]).await?;
//!             } // An offer that is not used is declined.
//!         }
//!         Ok(())
//!     }
//!
//!     async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
//!         println!("{} is {}", update.task_id(), update.state().as_str_name());
//!         if update.is_terminal() {
//!             handle.teardown().await?; // Ends the run.
//!         }
//!         Ok(()) // Now the update is acknowledged.
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let master: MasterAddress = "127.0.0.1:5050".parse()?;
//!     let info = FrameworkInfo::batch("hello").build();
//!     let driver = SchedulerDriver::builder(master, info).build()?;
//!     driver.run(Hello { is_launched: false }).await?;
//!     Ok(())
//! }
//! ```
//!
//! # The life of a framework
//!
//! The driver finds the leading master ([`address`], [`detect`]), sends it
//! SUBSCRIBE with a [`FrameworkInfo`](framework_info::FrameworkInfo), and keeps
//! the stream of events that comes back. The master gives the framework an id.
//! Whoever subscribes with that id later, on another machine perhaps, takes its
//! tasks over; until somebody does, the master keeps them for the framework's
//! failover timeout. So the id is worth saving when
//! [`subscribed`](scheduler::Scheduler::subscribed) is called, and is given to
//! [`framework_id`](scheduler::SchedulerDriverBuilder::framework_id) next time.
//!
//! When the stream breaks or falls silent, the driver subscribes again, with
//! pauses that grow, at whichever master leads then ([`session`]). Only three
//! things end a run from outside: the master refuses the framework or its
//! credentials, has removed it, or another scheduler took it over
//! ([`Error`]). A framework is removed by
//! [`teardown`](scheduler::Handle::teardown) and by nothing else.
//!
//! # The life of an offer
//!
//! An [`Offer`](offer::Offer) is what one agent has free for one role, and
//! belongs to the framework until it is used, declined or rescinded.
//!
//! ```text
//!            launch, accept             ACCEPT: what is left over comes back
//!          ┌────────────────────▶
//! offers ──┤ decline, or dropped        DECLINE: not offered again for a while
//!          ├────────────────────▶
//!          │ rescinded, or reconnect    void: using it fails, nothing is sent
//!          └────────────────────▶
//! ```
//!
//! Using an offer consumes it, so no offer is used twice. What waits while a
//! method is at work is put together, and an offer that is rescinded while it
//! waits is never seen. [`Resources`](resources::Resources) say what is in it,
//! exact to the thousandth as Mesos counts, and what of it suits a task.
//!
//! # The life of a task
//!
//! ```text
//! ACCEPT ─▶ STAGING ─▶ STARTING ─▶ RUNNING ─▶ FINISHED, FAILED, KILLED
//!    │          │                    │  ▲
//!    ▼          ▼                    ▼  │ its agent is back
//!  ERROR     DROPPED, LOST       UNREACHABLE ─▶ GONE, GONE_BY_OPERATOR
//! ```
//!
//! Each state arrives as a [`StatusUpdate`](status::StatusUpdate). The agent
//! sends an update again and again until it is acknowledged, and holds the next
//! one of the task back until then. The driver acknowledges it when
//! [`update`](scheduler::Scheduler::update) has returned `Ok`: what it changed
//! is saved first. If the scheduler dies in between, the update comes again;
//! one that was handled before is acknowledged again without another call.
//!
//! Updates can be lost on the way to a scheduler that is away. So after each
//! subscription, and now and then, the driver asks for the state of every task
//! that it does not know to be over ([`reconciler`]). Answers arrive as updates
//! that need no acknowledgement.
//!
//! # What can be relied on
//!
//! - Updates arrive at least once; recognised by task and uuid, they are
//!   effectively handled once.
//! - A launch happens at most once for each ACCEPT. A call that returns `Ok` is
//!   queued, not done; what came of it is told by events.
//! - A call belongs to the subscription under which it was made. After a
//!   reconnect it fails with a [`CallError`] that says whether it can have had
//!   an effect. Of a call that was cut off only reconciliation tells.
//! - The stream is read whatever the scheduler's methods do, and updates never
//!   wait behind offers.
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | write a framework | [`scheduler`], [`offer`], [`status`], [`task`], [`operation`] |
//! | run its tasks in a program of one's own | [`executor`] |
//! | decide which offers run what, and say why not | [`placement`] |
//! | describe it, authenticate it | [`framework_info`], [`credentials`] |
//! | write a loop of your own over events and calls | [`client`] |
//! | calculate with resources, attributes and ids | [`resources`], [`attributes`], [`ids`] |
//! | ask masters and agents, watch a cluster, read sandboxes, run commands in containers | [`operator`] |
//! | know how subscriptions and reconciliation go on | [`session`], [`reconciler`] |
//! | use the messages themselves | [`v1`] |
//! | watch it at work | [`scheduler`], "Metrics" |
//!
//! The protocol is described in Mesos's own
//! [`docs/scheduler-http-api.md`](https://mesos.apache.org/documentation/latest/scheduler-http-api/),
//! [`docs/high-availability-framework-guide.md`](https://mesos.apache.org/documentation/latest/high-availability-framework-guide/)
//! and [`docs/reconciliation.md`](https://mesos.apache.org/documentation/latest/reconciliation/).

pub mod address;
pub mod attributes;
pub mod client;
pub mod credentials;
pub mod detect;
pub mod duration;
pub mod error;
pub mod executor;
pub mod framework_info;
pub mod ids;
pub mod offer;
pub mod operation;
pub mod operator;
pub mod placement;
mod random;
pub mod reconciler;
pub mod recordio;
pub mod resources;
pub mod scheduler;
pub mod session;
pub mod status;
pub mod task;
pub mod transport;

pub use async_trait::async_trait;
pub use error::{CallError, Error};
pub use mesos_proto::v1;

/// The example of the README is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
