//! `/metrics`: what Marathon counts.

use http::StatusCode;
use mesos_service::http::{Request as Http, Response};

use super::apps::now;
use super::{Answered, Api, errors};

/// Looks at how things are now.
async fn refresh(api: &Api) -> Result<(), Response> {
    let tenure = api.context.office.tenure();
    metrics::gauge!("http.event-streams.active.gauge").set(api.events.readers() as f64);
    api.look(move |state| crate::io::gauges(state, tenure, now()))
        .await
}

pub(super) async fn json(api: Api, _: Http) -> Answered {
    refresh(&api).await?;
    Ok(Response::ok(&api.context.metrics.to_json()))
}

pub(super) async fn prometheus(api: Api, _: Http) -> Answered {
    if !api.context.shows_prometheus {
        return Err(errors::not_found(
            "started with --disable_metrics_prometheus",
        ));
    }
    refresh(&api).await?;
    Ok(Response::content(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        api.context.metrics.to_prometheus(),
    ))
}
