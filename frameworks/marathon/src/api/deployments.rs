//! `/v2/deployments`.

use http::StatusCode;
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::engine::{Reason, Wait, waits};
use crate::request::{Reply, Request};
use crate::state::State;

use super::apps::{Page, deployed, now};
use super::queue::summary;
use super::show;
use super::{Answered, Api};

pub(super) async fn list(api: Api, request: Http) -> Answered {
    let page = Page::read(&request)?;
    let has_waits = request.query.all("embed").any(|it| it == "waits");
    let all = api
        .look(move |state| {
            let shown = page.cut(state.deployments.values()).map(|deployment| {
                let mut shown = show::deployment(state, deployment);
                if has_waits {
                    let waits = waits(state, deployment, now()).into_iter();
                    let waits = waits.map(|it| wait(state, it));
                    shown["waits"] = waits.collect::<Vec<Value>>().into();
                    if let Some(deadline) = deployment.plan.deadline {
                        shown["deadline"] = json!(deadline);
                    }
                }
                shown
            });
            shown.collect::<Vec<Value>>()
        })
        .await?;
    Ok(Response::ok(&all).tagged())
}

pub(super) async fn delete(api: Api, request: Http) -> Answered {
    let asked = Request::CancelDeployment {
        id: request.parameter("id").to_owned(),
        force: request.query.is_on("force", false),
    };
    match api.change(asked).await? {
        Reply::Deployed(made) => Ok(deployed(&made, StatusCode::OK)),
        _ => Ok(Response::empty(StatusCode::ACCEPTED)),
    }
}

fn wait(state: &State, wait: Wait) -> Value {
    let mut shown = json!({
        "reason": wait.reason,
        "instances": wait.instances,
        "message": wait.message,
    });
    if let Some(until) = wait.until {
        shown["until"] = json!(until);
    }
    if let Some(id) = wait.id {
        let waiting = state.queue.waiting.get(&id);
        if let Some(waiting) = waiting.filter(|_| wait.reason == Reason::Offers) {
            shown["processedOffersSummary"] = summary(waiting);
        }
        let is_pod = state.root.pod(&id).is_some();
        shown[if is_pod { "pod" } else { "app" }] = json!(id);
    }
    shown
}
