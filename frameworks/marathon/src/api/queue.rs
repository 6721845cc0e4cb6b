//! `/v2/queue`: what waits, and why.

use http::StatusCode;
use mesos_sdk::placement::ReasonKind;
use mesos_sdk::v1;
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::path_id::PathId;
use crate::queue::Waiting;
use crate::request::Request;
use crate::spec::Spec;
use crate::state::State;
use crate::timestamp::Timestamp;

use super::apps::now;
use super::show::{self, Embed};
use super::{Answered, Api, errors, path};

pub(super) async fn list(api: Api, request: Http) -> Answered {
    let has_offers = request
        .query
        .all("embed")
        .any(|it| it == "lastUnusedOffers");
    let queue = api
        .look(move |state| {
            let waiting = state.queue.waiting.iter();
            let shown = waiting.filter_map(|(id, it)| entry(state, id, it, has_offers, now()));
            shown.collect::<Vec<Value>>()
        })
        .await?;
    Ok(Response::ok(&json!({"queue": queue})).tagged())
}

/// Whether clients know a reason.
fn is_known(kind: ReasonKind) -> bool {
    kind != ReasonKind::InsufficientResources
}

fn entry(
    state: &State,
    id: &PathId,
    waiting: &Waiting,
    has_offers: bool,
    now: Timestamp,
) -> Option<Value> {
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
    if has_offers {
        let unused = waiting.last_unused.iter().map(|unused| {
            json!({
                "offer": offer(&unused.offer),
                "reason": unused.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "timestamp": unused.at,
            })
        });
        entry["lastUnusedOffers"] = unused.collect::<Vec<_>>().into();
    }
    // Clients from before roles know nothing of them, and need not.
    if spec.role() != "*" {
        entry["role"] = json!(spec.role());
    }
    Some(entry)
}

/// What became of the offers that were looked at.
pub(super) fn summary(waiting: &Waiting) -> Value {
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

fn offer(offer: &v1::Offer) -> Value {
    let resources = offer.resources.iter().map(|resource| {
        let reservation = resource.reservations.last();
        let mut shown = value(
            resource.scalar.as_ref(),
            resource.ranges.as_ref(),
            resource.set.as_ref(),
        );
        shown["name"] = json!(resource.name);
        shown["role"] = json!(reservation.map_or("*", |it| it.role()));
        shown
    });
    let attributes = offer.attributes.iter().map(|attribute| {
        let mut shown = value(
            attribute.scalar.as_ref(),
            attribute.ranges.as_ref(),
            attribute.set.as_ref(),
        );
        shown["name"] = json!(attribute.name);
        if let Some(text) = &attribute.text {
            shown["text"] = json!(text.value);
        }
        shown
    });
    json!({
        "id": offer.id.value,
        "hostname": offer.hostname,
        "agentId": offer.agent_id.value,
        "resources": resources.collect::<Vec<_>>(),
        "attributes": attributes.collect::<Vec<_>>(),
    })
}

/// What a resource or an attribute holds.
fn value(
    scalar: Option<&v1::value::Scalar>,
    ranges: Option<&v1::value::Ranges>,
    set: Option<&v1::value::Set>,
) -> Value {
    let mut shown = json!({});
    if let Some(scalar) = scalar {
        shown["scalar"] = json!(scalar.value);
    }
    if let Some(ranges) = ranges {
        let ranges = ranges.range.iter();
        let ranges = ranges.map(|it| json!({"begin": it.begin, "end": it.end}));
        shown["ranges"] = ranges.collect::<Vec<_>>().into();
    }
    if let Some(set) = set {
        shown["set"] = json!(set.item);
    }
    shown
}
