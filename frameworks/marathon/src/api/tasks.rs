//! `/v2/tasks`.

use std::sync::Arc;

use http::StatusCode;
use mesos_service::http::{Request as Http, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::input::read;
use crate::instance::Condition;
use crate::request::{Kill, Request};
use crate::state::State;

use super::apps::killed;
use super::show;
use super::{Answered, Api, errors};

/// Whether tasks are to be shown in lines.
pub(super) fn is_text(request: &Http) -> Result<bool, Response> {
    match request.accepts(&["application/json", "text/plain"]) {
        Some(wanted) => Ok(wanted == "text/plain"),
        None => Err(Response::error(
            StatusCode::NOT_ACCEPTABLE,
            "tasks are shown as application/json and as text/plain",
        )),
    }
}

pub(super) async fn list(api: Api, request: Http) -> Answered {
    if is_text(&request)? {
        let text = api.look(|state| as_text(state, state.root.apps())).await?;
        return Ok(Response::text(StatusCode::OK, text));
    }
    let states: Vec<String> = ["status", "status[]"]
        .into_iter()
        .flat_map(|name| request.query.all(name))
        .map(str::to_lowercase)
        .collect();
    let tasks = api.look(move |state| as_json(state, &states)).await?;
    Ok(Response::ok(&json!({"tasks": tasks})).tagged())
}

fn as_json(state: &State, wanted: &[String]) -> Vec<Value> {
    let launched = state.instances.values().filter(|it| it.is_launched());
    let named = launched.filter(|instance| {
        let name = match instance.condition {
            Condition::Running => "running",
            Condition::Provisioned | Condition::Staging => "staging",
            _ => "",
        };
        wanted.is_empty() || wanted.iter().any(|it| it == name)
    });
    named.map(|it| show::task(state, it, true)).collect()
}

/// A line for each port of each app: its name, the service port, and where it
/// runs.
pub(super) fn as_text<'a>(state: &State, apps: impl Iterator<Item = &'a Arc<App>>) -> String {
    let mut text = String::new();
    for app in apps {
        let name = app.id.to_safe();
        let running = state
            .instances_of(&app.id)
            .filter(|it| it.condition == Condition::Running);
        let places: Vec<_> = running.filter_map(|it| it.place.as_ref()).collect();
        let service_ports = app.service_ports();
        if service_ports.is_empty() {
            let hosts: Vec<_> = places.iter().map(|place| place.hostname.as_str()).collect();
            text.push_str(&format!("{name}\t \t{}\t\n", hosts.join("\t")));
        }
        for (index, service_port) in service_ports.iter().enumerate() {
            text.push_str(&format!("{name}\t{service_port}\t"));
            for place in &places {
                let port = place.ports.get(index).copied().unwrap_or(0);
                text.push_str(&format!("{}:{port}\t", place.hostname));
            }
            text.push('\n');
        }
    }
    text
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<String>,
}

pub(super) async fn delete(api: Api, request: Http) -> Answered {
    let Ids { ids } = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    let is_on = |name| request.query.is_on(name, false);
    let asked = Request::Kill {
        instances: Kill::Ids(ids),
        scale: is_on("scale"),
        wipe: is_on("wipe"),
        force: is_on("force"),
    };
    killed(&api, asked, false).await
}
