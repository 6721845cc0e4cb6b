//! What long-running Mesos frameworks need, and users of the SDK should not pay
//! for: where to keep state, who leads, how to be asked over HTTP.
//!
//! A framework on this crate is its own logic and a `main` that puts the pieces
//! together. Nothing here knows what an application or a job is.
//!
//! | to | use |
//! |---|---|
//! | keep entities, in a file or in ZooKeeper | [`store::Store`], [`store::Batch`], [`store::EmbeddedStore`], [`store::ZooKeeperStore`] |
//! | know their version, migrate them | [`store::Schema`] |
//! | back them up and restore them | [`store::backup`] |
//! | test what happens when saving fails | [`store::MemoryStore`], [`store::SimulatedDisk`] |
//! | put all of it together in a `main` | [`run::run`], [`run::Plan`] |
//! | own a state machine, save before anything leaves | [`event_loop::Machine`], [`event_loop::EventLoop`], [`event_loop::Handle`] |
//! | hand a driver's news to it, and make its calls | [`cluster::Follower`], [`cluster::Caller`], [`cluster::HeldOffers`] |
//! | know who leads | [`election::Election`], [`zookeeper::ZooKeeperConfig`] |
//! | let followers answer for the leader | [`proxy::LeaderProxy`] |
//! | answer HTTP, with TLS, passwords and limits | [`http::Server`], [`http::ServerConfig`], [`http::Router`], [`http::Response`] |
//! | take flags as the originals do | [`flags::parse`], [`flags::HttpFlags`] |
//! | show numbers as JSON and to Prometheus | [`metrics::MetricsRegistry`] |
//! | stream events to readers who come back | [`http::EventBus`] |
//!
//! # A main
//!
//! ```no_run
//! # use mesos_service::event_loop::{Effects, EventLoop, Handle, Input, Machine};
//! # struct State;
//! # impl Machine for State {
//! #     type Request = (); type Reply = (); type Event = (); type Action = ();
//! #     fn step(&mut self, _: i64, _: Input<Self>, _: &mut Effects<Self>) {}
//! #     fn wake_at_ms(&self) -> Option<i64> { None }
//! # }
//! # use mesos_service::http::Router;
//! # fn router(_: Handle<State>) -> Router<()> { Router::new(()) }
//! # fn restored(_: mesos_service::store::Entities) -> State { State }
//! use std::sync::Arc;
//! use clap::Parser;
//! use mesos_service::flags::{self, FlagRules, HttpFlags};
//! use mesos_service::run::{Begin, Leading, Place, Plan, Stop, run};
//! use mesos_service::store::Schema;
//!
//! #[derive(Parser)]
//! #[command(name = "example", rename_all = "snake_case")]
//! struct Flags {
//!     #[command(flatten)]
//!     http: HttpFlags,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let rules = FlagRules { prefix: "EXAMPLE_", ..FlagRules::default() };
//!     let flags = flags::parse::<Flags>(&rules, std::env::args().skip(1), std::env::vars())?.flags;
//!     let listeners = flags.http.listen().await?;
//!     let stop = Stop::new();
//!     stop.on_signals()?;
//!     let plan = Plan {
//!         place: Place::Directory("data".into()), // Or in ZooKeeper.
//!         schema: Schema { application: "example", migrations: &[] },
//!         election: "leader".to_owned(),
//!         proxy: flags.http.leader_proxy("example", &listeners)?,
//!         listeners,
//!         stop,
//!     };
//!     let (event_loop, handle) = EventLoop::new();
//!     run(plan, event_loop, Arc::new(router(handle)), async |begin: Begin| {
//!         // Elected. What the machine wants done is done from here on.
//!         Ok::<_, std::io::Error>(Leading {
//!             machine: restored(begin.entities),
//!             performer: |_action| {},
//!             beside: std::future::pending(), // The driver.
//!         })
//!     })
//!     .await?;
//!     Ok(())
//! }
//! ```
//!
//! # Keeping state
//!
//! ```
//! use mesos_service::store::{Batch, EmbeddedStore, Schema, Store};
//!
//! const SCHEMA: Schema = Schema { application: "example", migrations: &[] };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let store = EmbeddedStore::open(directory.path(), "example")?;
//! let mut entities = SCHEMA.load(&store, "the state").await?; // All there is.
//! let mut batch = Batch::new();
//! batch.put("app//web", r#"{"instances":1}"#);
//! batch.put("framework-id", "1234");
//! store.save(&batch).await?; // Now all of it is on disk; before, nothing.
//! batch.apply(&mut entities);
//! # Ok(())
//! # }
//! ```
//!
//! # Answering requests
//!
//! ```
//! use std::sync::Arc;
//! use mesos_service::http::{Request, Response, Router, Server, ServerConfig};
//!
//! #[derive(Clone)]
//! struct Api; // A handle to the state: it is cloned for each request.
//!
//! async fn app(_: Api, request: Request) -> Result<Response, Response> {
//!     let id = request.parameter("id");
//!     Ok(Response::ok(&serde_json::json!({ "app": { "id": id } })))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let router = Router::new(Api).get("/v2/apps/{id...}", app);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let server = Server::start(listener, None, ServerConfig::default(), Arc::new(router))?;
//! println!("http://{}/v2/apps/shop/web", server.local_addr());
//! # Ok(())
//! # }
//! ```

//! # Owning the logic
//!
//! ```
//! use std::sync::Arc;
//! use mesos_service::{clock::SystemClock, store::MemoryStore};
//! use mesos_service::event_loop::{Effects, EventLoop, Input, Machine};
//!
//! #[derive(Default)]
//! struct Visits(u64);
//!
//! impl Machine for Visits {
//!     type Request = (); // What the API asks; the reply is what it answers.
//!     type Reply = u64;
//!     type Event = (); // What the cluster tells.
//!     type Action = (); // What the driver is to do.
//!
//!     fn step(&mut self, _now_ms: i64, input: Input<Self>, effects: &mut Effects<Self>) {
//!         if let Input::Request(request, ()) = input {
//!             self.0 += 1;
//!             effects.put("visits", self.0.to_string()); // Saved first;
//!             effects.reply(request, self.0); // then answered.
//!         }
//!     }
//!
//!     fn wake_at_ms(&self) -> Option<i64> {
//!         None // The earliest deadline in the state.
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (event_loop, handle) = EventLoop::new();
//! let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(SystemClock));
//! tokio::spawn(event_loop.run(Visits::default(), store, clock, |()| {}));
//! assert_eq!(handle.ask(()).await?, 1);
//! assert_eq!(handle.inspect(|visits| visits.0).await?, 1);
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod cluster;
pub mod election;
pub mod event_loop;
pub mod flags;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod proxy;
pub mod run;
pub mod store;
pub mod zookeeper;
