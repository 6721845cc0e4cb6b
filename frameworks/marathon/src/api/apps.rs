//! `/v2/apps` and all below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, StatusCode, header};
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::input::{AppInput, read, read_list};
use crate::path_id::PathId;
use crate::request::{Deployed, Kill, Reply, Request};
use crate::state::State;
use crate::timestamp::Timestamp;

use super::selector::Selector;
use super::show::{self, Embed, ShownApp};
use super::{Answered, Api, errors, path, tasks};

/// The header that names the deployment that a request began.
pub(super) const DEPLOYMENT: HeaderName = HeaderName::from_static("marathon-deployment-id");

/// What a path below `/v2/apps/` means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    App(PathId),
    /// All apps of a group: `shop/*`.
    Group(PathId),
    Restart(PathId),
    Tasks(PathId),
    GroupTasks(PathId),
    Task(PathId, String),
    Versions(PathId),
    Version(PathId, String),
}

fn place(text: &str) -> Result<Place, Response> {
    let segments: Vec<&str> = text.split('/').filter(|it| !it.is_empty()).collect();
    let id = |segments: &[&str]| path(&segments.join("/"));
    Ok(match &segments[..] {
        [group @ .., "*", "tasks"] => Place::GroupTasks(id(group)?),
        [app @ .., "tasks"] if !app.is_empty() => Place::Tasks(id(app)?),
        [app @ .., "tasks", task] if !app.is_empty() => Place::Task(id(app)?, (*task).to_owned()),
        [app @ .., "versions"] if !app.is_empty() => Place::Versions(id(app)?),
        [app @ .., "versions", version] if !app.is_empty() => {
            Place::Version(id(app)?, (*version).to_owned())
        }
        [app @ .., "restart"] if !app.is_empty() => Place::Restart(id(app)?),
        [group @ .., "*"] => Place::Group(id(group)?),
        app => Place::App(id(app)?),
    })
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

pub(super) fn deployed(deployed: &Deployed, status: StatusCode) -> Response {
    let body = json!({"version": deployed.version, "deploymentId": deployed.id});
    Response::json(status, &body).with_text(DEPLOYMENT, &deployed.id)
}

fn no_group(id: &PathId) -> Response {
    errors::not_found(&format!("Group '{id}' does not exist"))
}

fn no_app(id: &PathId) -> Response {
    errors::not_found(&format!("App '{id}' does not exist"))
}

pub(super) async fn list(api: Api, request: Http) -> Answered {
    let mut embed = Embed::read(request.query.all("embed"));
    (embed.counts, embed.deployments) = (true, true);
    let text = |name| request.query.get(name).map(str::to_lowercase);
    let (command, id) = (text("cmd"), text("id"));
    let selector = match request.query.get("label") {
        Some(label) => Some(Selector::parse(label).map_err(|error| errors::invalid(&error))?),
        None => None,
    };
    let page = Page::read(&request)?;
    let apps = api
        .look(move |state| {
            let wanted = state.root.apps().filter(|app| {
                let has = |text: &str, part: &Option<String>| {
                    part.as_ref()
                        .is_none_or(|part| text.to_lowercase().contains(part.as_str()))
                };
                has(app.cmd.as_deref().unwrap_or_default(), &command)
                    && has(&app.id.to_string(), &id)
                    && selector.as_ref().is_none_or(|it| it.matches(&app.labels))
            });
            let shown = page.cut(wanted);
            let apps = shown.map(|app| ShownApp::of(state, app, embed, now()));
            let apps: Vec<ShownApp<'_>> = apps.collect();
            // Written here, where it can be read without a copy.
            Response::ok(&BTreeMap::from([("apps", apps)]))
        })
        .await?;
    Ok(apps.tagged())
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

impl Page {
    pub(super) fn read(request: &Http) -> Result<Self, Response> {
        let number = |name: &str, default: usize| match request.query.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| {
                errors::bad(&format!(
                    "{name} must be a whole number that is not negative"
                ))
            }),
        };
        Ok(Self {
            offset: number("offset", 0)?,
            limit: number("limit", usize::MAX)?,
        })
    }

    pub(super) fn cut<T>(self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        all.skip(self.offset).take(self.limit)
    }
}

pub(super) async fn create(api: Api, request: Http) -> Answered {
    let input: AppInput = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    let force = request.query.is_on("force", false);
    let asked = Request::CreateApp {
        input: Box::new(input),
        force,
    };
    let Reply::Deployed(made) = api.change(asked).await? else {
        return Err(errors::bad("no app was made"));
    };
    let app = made.app.clone();
    api.tell_of_request(&request, app.as_deref());
    let mut body = json!(app);
    for name in [
        "tasksStaged",
        "tasksRunning",
        "tasksHealthy",
        "tasksUnhealthy",
    ] {
        body[name] = 0.into();
    }
    body["deployments"] = json!([{"id": made.id}]);
    let id = app.map(|app| app.id.to_string()).unwrap_or_default();
    Ok(Response::json(StatusCode::CREATED, &body)
        .with_text(header::LOCATION, &format!("/v2/apps{id}"))
        .with_text(DEPLOYMENT, &made.id))
}

pub(super) async fn put_all(api: Api, request: Http) -> Answered {
    let is_partial = request.query.is_on("partialUpdate", true);
    update_all(api, request, is_partial, true).await
}

pub(super) async fn patch_all(api: Api, request: Http) -> Answered {
    update_all(api, request, true, false).await
}

async fn update_all(api: Api, request: Http, is_partial: bool, may_create: bool) -> Answered {
    let inputs = read_list(&request.body).map_err(|error| errors::unreadable(&error))?;
    let asked = Request::UpdateApps {
        id: None,
        inputs,
        is_partial,
        may_create,
        force: request.query.is_on("force", false),
    };
    api.tell_of_request(&request, None);
    match api.change(asked).await? {
        Reply::Deployed(made) => Ok(deployed(&made, StatusCode::OK)),
        _ => Err(errors::bad("nothing was deployed")),
    }
}

pub(super) async fn put(api: Api, request: Http) -> Answered {
    let is_partial = request.query.is_on("partialUpdate", true);
    update(api, request, is_partial, true).await
}

pub(super) async fn patch(api: Api, request: Http) -> Answered {
    update(api, request, true, false).await
}

async fn update(api: Api, request: Http, is_partial: bool, may_create: bool) -> Answered {
    let Place::App(id) = place(request.parameter("id"))? else {
        return Err(errors::not_found("URI not found"));
    };
    let input: AppInput = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    let asked = Request::UpdateApps {
        id: Some(id),
        inputs: vec![input],
        is_partial,
        may_create,
        force: request.query.is_on("force", false),
    };
    let reply = api.change(asked).await?;
    if let Reply::Deployed(deployed) = &reply {
        api.tell_of_request(&request, deployed.app.as_deref());
    }
    answer(reply, StatusCode::OK)
}

fn answer(reply: Reply, status: StatusCode) -> Answered {
    match reply {
        Reply::Deployed(made) => {
            if !made.is_new {
                return Ok(deployed(&made, status));
            }
            let response = deployed(&made, StatusCode::CREATED);
            Ok(match &made.app {
                Some(app) => response.with_text(header::LOCATION, &format!("/v2/apps{}", app.id)),
                None => response,
            })
        }
        _ => Err(errors::bad("nothing was deployed")),
    }
}

pub(super) async fn post(api: Api, request: Http) -> Answered {
    let Place::Restart(id) = place(request.parameter("id"))? else {
        return Err(errors::not_found("URI not found"));
    };
    let force = request.query.is_on("force", false);
    answer(
        api.change(Request::Restart { id, force }).await?,
        StatusCode::OK,
    )
}

pub(super) async fn get(api: Api, request: Http) -> Answered {
    let mut embed = Embed::read(request.query.all("embed"));
    let place = place(request.parameter("id"))?;
    let is_of_tasks = matches!(place, Place::Tasks(_) | Place::GroupTasks(_));
    if is_of_tasks && tasks::is_text(&request)? {
        return as_text(&api, place).await;
    }
    let body = api
        .look(move |state| match place {
            Place::App(id) => {
                (embed.counts, embed.tasks, embed.deployments) = (true, true, true);
                embed.last_task_failure = true;
                let app = state.root.app(&id).ok_or_else(|| no_app(&id))?;
                Ok(json!({"app": show::app(state, app, embed, now())}))
            }
            Place::Group(id) => {
                (embed.counts, embed.tasks, embed.deployments) = (true, true, true);
                embed.last_task_failure = true;
                state.root.group(&id).ok_or_else(|| no_group(&id))?;
                let apps = state.root.apps_in(&id);
                let apps = apps.map(|app| show::app(state, app, embed, now()));
                Ok(json!({"*": apps.collect::<Vec<_>>()}))
            }
            Place::Tasks(id) => {
                state.root.app(&id).ok_or_else(|| no_app(&id))?;
                Ok(json!({"tasks": tasks_of(state, [id].iter())}))
            }
            Place::GroupTasks(id) => {
                state.root.group(&id).ok_or_else(|| no_group(&id))?;
                let apps: Vec<PathId> = state.root.apps_in(&id).map(|it| it.id.clone()).collect();
                Ok(json!({"tasks": tasks_of(state, apps.iter())}))
            }
            Place::Versions(id) => {
                state.root.app(&id).ok_or_else(|| no_app(&id))?;
                let versions = state.versions.get(&id).into_iter();
                let versions: Vec<_> = versions.flat_map(|it| it.keys().rev()).collect();
                Ok(json!({"versions": versions}))
            }
            Place::Version(id, version) => version_of(state, &id, &version),
            Place::Task(..) | Place::Restart(_) => Err(errors::not_found("URI not found")),
        })
        .await??;
    Ok(Response::ok(&body).tagged())
}

/// The tasks of an app or a group as proxies read them.
async fn as_text(api: &Api, place: Place) -> Answered {
    let text = api
        .look(move |state| match place {
            Place::Tasks(id) => {
                let app = state.root.app(&id).ok_or_else(|| no_app(&id))?;
                Ok(tasks::as_text(state, std::iter::once(app)))
            }
            Place::GroupTasks(id) => {
                state.root.group(&id).ok_or_else(|| no_group(&id))?;
                Ok(tasks::as_text(state, state.root.apps_in(&id)))
            }
            _ => Err(errors::not_found("URI not found")),
        })
        .await??;
    Ok(Response::text(StatusCode::OK, text))
}

fn version_of(state: &State, id: &PathId, version: &str) -> Result<Value, Response> {
    let version = errors::version(version)?;
    let app = state
        .versions
        .get(id)
        .and_then(|versions| versions.get(&version)?.app());
    let missing = || errors::not_found(&format!("App '{id}' does not exist in version {version}"));
    Ok(json!(app.map(Arc::as_ref).ok_or_else(missing)?))
}

fn tasks_of<'a>(state: &State, apps: impl Iterator<Item = &'a PathId>) -> Vec<Value> {
    let instances = apps.flat_map(|app| state.instances_of(app));
    let launched = instances.filter(|instance| instance.is_launched());
    launched.map(|it| show::task(state, it, true)).collect()
}

pub(super) async fn delete(api: Api, request: Http) -> Answered {
    let is_on = |name| request.query.is_on(name, false);
    let (scale, wipe) = (is_on("scale"), is_on("wipe"));
    let (instances, is_one) = match place(request.parameter("id"))? {
        Place::Group(_) => return Err(errors::not_found("URI not found")),
        Place::App(id) => {
            let force = request.query.is_on("force", true);
            return answer(
                api.change(Request::DeleteApp { id, force }).await?,
                StatusCode::OK,
            );
        }
        // An app may be called that, from before names were checked.
        Place::Restart(id) => {
            let id = id
                .child("restart")
                .map_err(|error| errors::bad(&error.to_string()))?;
            let force = request.query.is_on("force", true);
            return answer(
                api.change(Request::DeleteApp { id, force }).await?,
                StatusCode::OK,
            );
        }
        Place::Tasks(id) => (of_app(id, false, &request), false),
        Place::GroupTasks(id) => (of_app(id, true, &request), false),
        Place::Task(app, id) => (Kill::One { app, id }, true),
        Place::Versions(_) | Place::Version(..) => {
            return Err(errors::not_found("URI not found"));
        }
    };
    let asked = Request::Kill {
        instances,
        scale,
        wipe,
        force: is_on("force"),
    };
    killed(&api, asked, is_one).await
}

fn of_app(id: PathId, is_group: bool, request: &Http) -> Kill {
    let host = request.query.get("host");
    Kill::OfApp {
        id,
        is_group,
        host: host.filter(|host| *host != "*").map(str::to_owned),
    }
}

/// Ends instances, and shows which.
pub(super) async fn killed(api: &Api, asked: Request, is_one: bool) -> Answered {
    match api.change(asked).await? {
        Reply::Deployed(made) => Ok(deployed(&made, StatusCode::OK)),
        Reply::Killed(instances) => {
            let tasks = move |state: &State| -> Vec<Value> {
                instances
                    .iter()
                    .map(|it| show::task(state, it, true))
                    .collect()
            };
            let mut tasks = api.look(tasks).await?;
            let body = match tasks.pop() {
                Some(task) if is_one => json!({"task": task}),
                last => {
                    tasks.extend(last);
                    json!({"tasks": tasks})
                }
            };
            Ok(Response::ok(&body))
        }
        _ => Err(errors::bad("nothing was killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_apps_groups_tasks_and_versions() {
        let id = |text: &str| text.parse::<PathId>().unwrap();
        for (text, expected) in [
            ("shop/web", Place::App(id("/shop/web"))),
            ("//shop//web/", Place::App(id("/shop/web"))),
            ("shop/*", Place::Group(id("/shop"))),
            ("*", Place::Group(id("/"))),
            ("web/tasks", Place::Tasks(id("/web"))),
            ("shop/*/tasks", Place::GroupTasks(id("/shop"))),
            ("web/tasks/t.1", Place::Task(id("/web"), "t.1".to_owned())),
            ("web/versions", Place::Versions(id("/web"))),
            ("web/versions/v", Place::Version(id("/web"), "v".to_owned())),
            ("web/restart", Place::Restart(id("/web"))),
        ] {
            assert_eq!(place(text).unwrap(), expected, "{text}");
        }
        assert!(place("Web").is_err());
    }
}
