//! `/v2/deployments` and `/v2/queue`.

use http::StatusCode;
use mesos_sdk::placement::ReasonKind;
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::engine::{Reason, Wait, waits};
use crate::path_id::PathId;
use crate::queue::Waiting;
use crate::request::{Reply, Request};
use crate::spec::Spec;
use crate::state::State;
use crate::timestamp::Timestamp;

use super::apps::{Page, deployed, now};
use super::show::{self, Embed};
use super::{Answered, Api, errors, path};

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

pub(super) async fn queue(api: Api, _: Http) -> Answered {
    let queue = api
        .look(|state| {
            let waiting = state.queue.waiting.iter();
            let shown = waiting.filter_map(|(id, it)| entry(state, id, it, now()));
            shown.collect::<Vec<Value>>()
        })
        .await?;
    Ok(Response::ok(&json!({"queue": queue})).tagged())
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

/// Whether clients know a reason.
fn is_known(kind: ReasonKind) -> bool {
    kind != ReasonKind::InsufficientResources
}

fn entry(state: &State, id: &PathId, waiting: &Waiting, now: Timestamp) -> Option<Value> {
    let spec = state.root.spec(id)?;
    let instances = state.instances_of(id);
    let count = instances.filter(|it| !it.is_launched()).count();
    let until = state.delays.get(id).map(|delay| delay.until());
    let left = until.map_or(0, |until| until.since(now).as_secs());
    let shown = match spec {
        Spec::App(app) => show::app(state, app, Embed::default(), now),
        Spec::Pod(pod) => show::pod(pod),
    };
    let mut entry = json!({
        "count": count,
        "delay": {"timeLeftSeconds": left, "overdue": left == 0},
        "since": waiting.since,
        "processedOffersSummary": summary(waiting),
        spec.kind(): shown,
    });
    // Clients from before roles know nothing of them, and need not.
    if spec.role() != "*" {
        entry["role"] = json!(spec.role());
    }
    Some(entry)
}

/// What became of the offers that were looked at.
fn summary(waiting: &Waiting) -> Value {
    let funnel = waiting.last.funnel();
    let last: Vec<Value> = funnel
        .iter()
        .filter(|step| is_known(step.reason))
        .map(|step| {
            json!({
                "reason": step.reason.to_string(),
                "declined": step.declined,
                "processed": step.processed,
            })
        })
        .collect();
    let attempt: Vec<Value> = ReasonKind::ALL
        .iter()
        .filter(|kind| is_known(**kind))
        .map(|kind| {
            json!({
                "reason": kind.to_string(),
                "declined": waiting.declined.get(kind).copied().unwrap_or(0),
                "processed": waiting.processed,
            })
        })
        .collect();
    let mut summary = json!({
        "processedOffersCount": waiting.processed,
        "unusedOffersCount": waiting.unused,
        "rejectSummaryLastOffers": last,
        "rejectSummaryLaunchAttempt": attempt,
        // What is short where, in words: ours. Clients take no other fields beside
        // the summary.
        "explanation": waiting.explanation,
    });
    if let Some(at) = waiting.last_used_at {
        summary["lastUsedOfferAt"] = json!(at);
    }
    if let Some(at) = waiting.last_unused_at {
        summary["lastUnusedOfferAt"] = json!(at);
    }
    summary
}

pub(super) async fn reset_delay(api: Api, request: Http) -> Answered {
    let id = request.parameter("id");
    let Some(id) = id.strip_suffix("/delay") else {
        return Err(errors::not_found("URI not found"));
    };
    api.change(Request::ResetDelay(path(id)?)).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
