//! `/v2/groups`.

use http::StatusCode;
use http::header;
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::deployment::Action;
use crate::input::read;
use crate::path_id::PathId;
use crate::request::{GroupPatch, Reply, Request};
use crate::state::State;

use super::apps::{deployed, now};
use super::show::{self, Embed, Parts};
use super::{Answered, Api, errors, path};

/// What a path below `/v2/groups/` means.
enum Place {
    Group(PathId),
    Apps(PathId),
    Versions(PathId),
    Version(PathId, String),
}

fn place(text: &str) -> Result<Place, Response> {
    let segments: Vec<&str> = text.split('/').filter(|it| !it.is_empty()).collect();
    let id = |segments: &[&str]| path(&segments.join("/"));
    Ok(match &segments[..] {
        [group @ .., "apps"] => Place::Apps(id(group)?),
        [group @ .., "versions"] => Place::Versions(id(group)?),
        [group @ .., "versions", version] => Place::Version(id(group)?, (*version).to_owned()),
        group => Place::Group(id(group)?),
    })
}

fn no_group(id: &PathId) -> Response {
    errors::not_found(&format!("Group '{id}' does not exist"))
}

pub(super) async fn get(api: Api, request: Http) -> Answered {
    let place = place(request.parameter("id"))?;
    let embed = Embed::read(request.query.all("embed"));
    let has = |name: &str| request.query.all("embed").any(|it| it == name);
    let is_said = ["group.groups", "group.apps", "group.pods"]
        .iter()
        .any(|it| has(it));
    let parts = Parts {
        groups: !is_said || has("group.groups"),
        apps: !is_said || has("group.apps"),
        pods: !is_said || has("group.pods"),
    };
    let body = api
        .look(move |state: &State| match place {
            Place::Group(id) => {
                let group = show::group(state, &state.root, &id, parts, embed, now());
                group.ok_or_else(|| no_group(&id))
            }
            Place::Apps(id) => {
                state.root.group(&id).ok_or_else(|| no_group(&id))?;
                let apps = state.root.apps_in(&id);
                let apps = apps.map(|app| show::app(state, app, embed, now()));
                Ok(Value::Array(apps.collect()))
            }
            Place::Versions(id) => {
                let all = state.versions_of_group(&id).ok_or_else(|| no_group(&id))?;
                Ok(json!(all.into_iter().rev().collect::<Vec<_>>()))
            }
            Place::Version(id, version) => {
                let version = errors::version(&version)?;
                let then = state.group_then(&id, version);
                let then = then.ok_or_else(|| no_group(&id))?;
                let shown = show::group(state, &then, &id, parts, Embed::default(), now());
                shown.ok_or_else(|| no_group(&id))
            }
        })
        .await??;
    Ok(Response::ok(&body).tagged())
}

pub(super) async fn post(api: Api, request: Http) -> Answered {
    update(api, request, true).await
}

pub(super) async fn put(api: Api, request: Http) -> Answered {
    update(api, request, false).await
}

async fn update(api: Api, request: Http, must_create: bool) -> Answered {
    let Place::Group(id) = place(request.parameter("id"))? else {
        return Err(errors::not_found("URI not found"));
    };
    let input = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    let asked = Request::UpdateGroup {
        id: id.clone(),
        input,
        must_create,
        is_dry_run: request.query.is_on("dryRun", false),
        force: request.query.is_on("force", false),
    };
    match api.change(asked).await? {
        Reply::Planned(steps) => {
            let steps: Vec<Value> = steps
                .iter()
                .map(|it| json!({"actions": it.iter().map(Action::shown).collect::<Vec<_>>()}))
                .collect();
            Ok(Response::ok(&json!({"steps": steps})))
        }
        Reply::Deployed(made) => {
            api.tell_of_request(&request, None);
            let status = if must_create {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            let response = deployed(&made, status);
            Ok(if must_create {
                response.with_text(header::LOCATION, &format!("/v2/groups{id}"))
            } else {
                response
            })
        }
        _ => Err(errors::bad("nothing was deployed")),
    }
}

/// Whose role apps in it have; nothing is deployed.
pub(super) async fn patch(api: Api, request: Http) -> Answered {
    let Place::Group(id) = place(request.parameter("id"))? else {
        return Err(errors::not_found("URI not found"));
    };
    let GroupPatch { enforce_role } =
        read(&request.body).map_err(|error| errors::unreadable(&error))?;
    api.change(Request::PatchGroup { id, enforce_role }).await?;
    Ok(Response::empty(StatusCode::OK))
}

pub(super) async fn delete(api: Api, request: Http) -> Answered {
    let Place::Group(id) = place(request.parameter("id"))? else {
        return Err(errors::not_found("URI not found"));
    };
    let force = request.query.is_on("force", false);
    match api.change(Request::DeleteGroup { id, force }).await? {
        Reply::Deployed(made) => Ok(deployed(&made, StatusCode::OK)),
        _ => Err(errors::bad("nothing was deployed")),
    }
}
