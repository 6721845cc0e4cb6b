//! A framework that only remembers: `POST /notes/{name}` adds a note, `GET
//! /notes` shows how many there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http::StatusCode;
use mesos_service::event_loop::{Effects, EventLoop, Handle, Input, Machine};
use mesos_service::flags::{self, FlagRules, HttpFlags};
use mesos_service::http::{Request, Response, Router};
use mesos_service::run::{Begin, Ended, Leading, Place, Plan, RunError, Stop, run};
use mesos_service::store::Schema;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SCHEMA: Schema = Schema {
    application: "notes",
    migrations: &[],
};

#[derive(Debug)]
pub(crate) struct Notes(BTreeSet<String>);

impl Machine for Notes {
    type Request = String;
    type Reply = usize;
    type Event = ();
    type Action = String;

    fn step(&mut self, _: i64, input: Input<Self>, effects: &mut Effects<Self>) {
        if let Input::Request(request, name) = input {
            effects.put(format!("note/{name}"), "");
            if name == FATAL {
                effects.act(name.clone());
            }
            self.0.insert(name);
            effects.reply(request, self.0.len());
        }
    }

    fn wake_at_ms(&self) -> Option<i64> {
        None
    }
}

#[derive(Debug, Parser)]
#[command(name = "notes", rename_all = "snake_case")]
struct Flags {
    #[command(flatten)]
    http: HttpFlags,
}

type Notebook = Handle<Notes>;

fn unavailable(error: mesos_service::event_loop::Stopped) -> Response {
    Response::error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

async fn add(notes: Notebook, request: Request) -> Result<Response, Response> {
    let name = request.parameter("name").to_owned();
    let count = notes.ask(name).await.map_err(unavailable)?;
    Ok(Response::json(StatusCode::CREATED, &count))
}

async fn list(notes: Notebook, _: Request) -> Result<Response, Response> {
    let names = notes.inspect(|notes| notes.0.clone()).await;
    Ok(Response::ok(&names.map_err(unavailable)?).tagged())
}

/// An instance in a task of its own.
pub(crate) struct Instance {
    pub(crate) port: u16,
    pub(crate) stop: Stop,
    pub(crate) running: tokio::task::JoinHandle<Result<Ended, RunError>>,
}

pub(crate) async fn start(place: Place) -> Instance {
    let arguments = "--http_port 0 --http_address 127.0.0.1 --hostname 127.0.0.1";
    let arguments = arguments.split(' ').map(str::to_owned);
    let flags = flags::parse::<Flags>(&FlagRules::default(), arguments, []);
    let flags = flags.unwrap().flags;
    let listeners = flags.http.listen().await.unwrap();
    let port = listeners.addresses()[0].port();
    let stop = Stop::new();
    let plan = Plan {
        place,
        schema: SCHEMA,
        election: "leader".to_owned(),
        proxy: flags.http.leader_proxy("notes", &listeners).unwrap(),
        listeners,
        stop: stop.clone(),
    };
    let (event_loop, handle) = EventLoop::new();
    let router = Router::new(handle)
        .post("/notes/{name}", add)
        .get("/notes", list);
    let running = tokio::spawn(run(plan, event_loop, Arc::new(router), begin));
    Instance {
        port,
        stop,
        running,
    }
}

/// A note of this name is more than it can bear.
pub(crate) const FATAL: &str = "fatal";

async fn begin(
    begin: Begin,
) -> Result<
    Leading<Notes, impl FnMut(String) + Send, impl Future<Output = Result<(), String>>>,
    String,
> {
    let names = begin.entities.keys();
    let names = names.filter_map(|key| Some(key.strip_prefix("note/")?.to_owned()));
    let (fail, mut failed) = tokio::sync::mpsc::unbounded_channel();
    Ok(Leading {
        machine: Notes(names.collect()),
        performer: move |name| drop(fail.send(name)),
        beside: async move {
            match failed.recv().await {
                Some(name) => Err(format!("cannot go on after {name}")),
                None => Ok(()),
            }
        },
    })
}

/// Status, headers and body; nothing when the instance cannot be reached.
pub(crate) async fn ask(port: u16, line: &str) -> Option<(u16, String, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let text = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head.to_owned(), body.to_owned()))
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .ok()?
}

/// The notes that an instance knows of.
pub(crate) async fn notes(port: u16) -> Option<BTreeSet<String>> {
    let (status, head, body) = ask(port, "GET /notes").await?;
    let is_whole = head.contains("Content-Type: application/json");
    (status == 200 && is_whole).then(|| serde_json::from_str(&body).unwrap())
}
