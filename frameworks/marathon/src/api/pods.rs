//! `/v2/pods` and all below it.

use http::{StatusCode, header};
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::effects::Event;
use crate::input::{read, read_texts};
use crate::path_id::PathId;
use crate::pod::PodInput;
use crate::request::{Deployed, Kill, Reply, Request};
use crate::state::State;

use super::apps::{DEPLOYMENT, Page, now};
use super::show;
use super::{Answered, Api, errors, path};

/// What a path below `/v2/pods/` means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Pod(PathId),
    Status(PathId),
    Versions(PathId),
    Version(PathId, String),
    Instances(PathId),
    Instance(PathId, String),
}

fn place(text: &str) -> Result<Place, Response> {
    let Some((pod, part)) = text.split_once("::") else {
        return Ok(Place::Pod(path(text)?));
    };
    let id = path(pod)?;
    Ok(match part.split_once('/') {
        None if part == "status" => Place::Status(id),
        None if part == "versions" => Place::Versions(id),
        None if part == "instances" => Place::Instances(id),
        Some(("versions", version)) => Place::Version(id, version.to_owned()),
        Some(("instances", instance)) => Place::Instance(id, instance.to_owned()),
        _ => return Err(errors::not_found("URI not found")),
    })
}

fn no_pod(id: &PathId) -> Response {
    errors::not_found(&format!("Pod '{id}' does not exist"))
}

/// Tells everybody that somebody made, changed or deleted a pod.
fn tell(api: &Api, request: &Http, kind: &'static str) {
    let event = Event {
        kind,
        data: json!({
            "eventType": kind,
            "timestamp": now(),
            "clientIp": request.remote.ip().to_string(),
            "uri": request.path,
        }),
    };
    api.events.publish(event.kind, &event.data.to_string());
}

pub(super) async fn list(api: Api, request: Http) -> Answered {
    let page = Page::read(&request)?;
    let pods = api
        .look(move |state| {
            let shown = page.cut(state.root.pods()).map(|it| show::pod(it));
            shown.collect::<Vec<Value>>()
        })
        .await?;
    Ok(Response::ok(&pods).tagged())
}

pub(super) async fn all_status(api: Api, request: Http) -> Answered {
    let page = Page::read(&request)?;
    let pods = api
        .look(move |state| {
            let pods = page.cut(state.root.pods());
            let shown = pods.map(|pod| show::pod_status(state, pod, now()));
            shown.collect::<Vec<Value>>()
        })
        .await?;
    Ok(Response::ok(&pods))
}

pub(super) async fn create(api: Api, request: Http) -> Answered {
    let input: PodInput = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    let asked = Request::CreatePod {
        input: Box::new(input),
        force: request.query.is_on("force", false),
    };
    let made = deployed(api.change(asked).await?)?;
    tell(&api, &request, "pod_created_event");
    let id = made.pod.as_ref().map(|pod| pod.id.to_string());
    let location = format!("/v2/pods{}", id.unwrap_or_default());
    Ok(answer(StatusCode::CREATED, &made).with_text(header::LOCATION, &location))
}

fn deployed(reply: Reply) -> Result<Deployed, Response> {
    match reply {
        Reply::Deployed(made) => Ok(made),
        _ => Err(errors::bad("nothing was deployed")),
    }
}

fn answer(status: StatusCode, made: &Deployed) -> Response {
    let shown = made.pod.as_ref().map(|pod| show::pod(pod));
    Response::json(status, &shown).with_text(DEPLOYMENT, &made.id)
}

pub(super) async fn put(api: Api, request: Http) -> Answered {
    let Place::Pod(id) = place(request.parameter("id"))? else {
        return Err(errors::not_found("URI not found"));
    };
    let input: PodInput = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    let asked = Request::UpdatePod {
        id,
        input: Box::new(input),
        force: request.query.is_on("force", false),
    };
    let made = deployed(api.change(asked).await?)?;
    tell(&api, &request, "pod_updated_event");
    Ok(answer(StatusCode::OK, &made))
}

pub(super) async fn get(api: Api, request: Http) -> Answered {
    let place = place(request.parameter("id"))?;
    let body = api
        .look(move |state: &State| {
            let known = |id: &PathId| state.root.pod(id).cloned().ok_or_else(|| no_pod(id));
            match place {
                Place::Pod(id) => {
                    let pod = state.root.pod(&id).ok_or_else(|| {
                        errors::not_found(&format!("pod with {id} does not exist"))
                    })?;
                    Ok(show::pod(pod))
                }
                Place::Status(id) => Ok(show::pod_status(state, &*known(&id)?, now())),
                Place::Versions(id) => {
                    known(&id)?;
                    let versions = state.versions.get(&id).into_iter();
                    let versions: Vec<_> = versions.flat_map(|it| it.keys().rev()).collect();
                    Ok(json!(versions))
                }
                Place::Version(id, version) => version_of(state, &id, &version),
                Place::Instances(_) | Place::Instance(..) => {
                    Err(errors::not_found("URI not found"))
                }
            }
        })
        .await??;
    Ok(Response::ok(&body))
}

fn version_of(state: &State, id: &PathId, version: &str) -> Result<Value, Response> {
    let wanted = errors::version(version)?;
    let versions = state.versions.get(id);
    let spec = versions.and_then(|versions| versions.get(&wanted));
    let pod = spec.and_then(crate::spec::Spec::pod);
    Ok(show::pod(pod.ok_or_else(|| no_pod(id))?))
}

pub(super) async fn delete(api: Api, request: Http) -> Answered {
    let (id, instances, is_one) = match place(request.parameter("id"))? {
        Place::Pod(id) => {
            let force = request.query.is_on("force", false);
            let made = deployed(api.change(Request::DeletePod { id, force }).await?)?;
            tell(&api, &request, "pod_deleted_event");
            let response = Response::empty(StatusCode::ACCEPTED);
            return Ok(response.with_text(DEPLOYMENT, &made.id));
        }
        Place::Instance(id, instance) => (id, vec![instance], true),
        Place::Instances(id) => {
            let ids = read_texts(&request.body).map_err(|error| errors::unreadable(&error))?;
            (id, ids, false)
        }
        Place::Status(_) | Place::Versions(_) | Place::Version(..) => {
            return Err(errors::not_found("URI not found"));
        }
    };
    let named = instances.first().cloned().unwrap_or_default();
    let asked = Request::Kill {
        instances: Kill::OfPod { id, instances },
        scale: false,
        wipe: request.query.is_on("wipe", false),
        force: false,
    };
    let Reply::Killed(killed) = api.change(asked).await? else {
        return Err(errors::bad("nothing was killed"));
    };
    if is_one && killed.is_empty() {
        return Err(errors::not_found(&format!("Task '{named}' does not exist")));
    }
    let shown = move |state: &State| -> Vec<Value> {
        let killed = killed.iter();
        killed.map(|it| show::pod_instance(state, it)).collect()
    };
    let mut shown = api.look(shown).await?;
    Ok(match shown.pop() {
        Some(one) if is_one => Response::ok(&one),
        last => {
            shown.extend(last);
            Response::ok(&shown)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_pods_and_what_belongs_to_them() {
        let id = |text: &str| text.parse::<PathId>().unwrap();
        for (text, expected) in [
            ("shop/pod", Place::Pod(id("/shop/pod"))),
            ("/shop/pod::status", Place::Status(id("/shop/pod"))),
            ("pod::versions", Place::Versions(id("/pod"))),
            (
                "pod::versions/v",
                Place::Version(id("/pod"), "v".to_owned()),
            ),
            ("pod::instances", Place::Instances(id("/pod"))),
            (
                "pod::instances/i.1",
                Place::Instance(id("/pod"), "i.1".to_owned()),
            ),
        ] {
            assert_eq!(place(text).unwrap(), expected, "{text}");
        }
        for text in ["pod::other", "pod::status/x", "Pod"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
