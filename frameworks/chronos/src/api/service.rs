//! What concerns Chronos itself: that it is there, who leads, its numbers.

use std::sync::LazyLock;

use http::StatusCode;
use mesos_service::http::{Description, Request as Http, Response};
use mesos_service::logging::{LevelChange, LogLevels};
use serde_json::json;

use super::{Answered, Api, error};

/// The description of the API.
pub(super) static DESCRIPTION: LazyLock<Description> =
    LazyLock::new(|| Description::parse(include_str!("openapi.json")));

pub(super) async fn ping(_: Api, _: Http) -> Answered {
    Ok(Response::text(StatusCode::OK, "pong\n"))
}

pub(super) async fn leader(api: Api, _: Http) -> Answered {
    Ok(Response::ok(&json!({"leader": api.0.name})))
}

pub(super) async fn info(api: Api, _: Http) -> Answered {
    let framework_id = api.look(|state| state.framework_id.clone()).await?;
    Ok(Response::ok(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "leader": api.0.name,
        "frameworkId": framework_id,
    })))
}

pub(super) async fn metrics(api: Api, request: Http) -> Answered {
    if request.query.get("format") == Some("prometheus") {
        return prometheus(api, request).await;
    }
    Ok(Response::ok(&api.0.metrics.to_json()))
}

pub(super) async fn prometheus(api: Api, _: Http) -> Answered {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    let text = api.0.metrics.to_prometheus();
    Ok(Response::content(StatusCode::OK, media_type, text))
}

pub(super) async fn openapi(_: Api, _: Http) -> Answered {
    Ok(DESCRIPTION.response())
}

fn logging(api: &Api) -> Result<&LogLevels, Response> {
    let fixed = || {
        let message = "what is logged cannot be changed here";
        error(StatusCode::NOT_FOUND, message)
    };
    api.0.log_levels.as_ref().ok_or_else(fixed)
}

pub(super) async fn log_levels(api: Api, _: Http) -> Answered {
    Ok(Response::ok(&logging(&api)?.shown()))
}

pub(super) async fn set_log_level(api: Api, request: Http) -> Answered {
    let bad = |message: String| error(StatusCode::BAD_REQUEST, &message);
    let levels = logging(&api)?;
    let change: LevelChange = serde_json::from_slice(&request.body)
        .map_err(|wrong| bad(format!("level and logger are expected: {wrong}")))?;
    levels
        .change(&change)
        .map_err(|wrong| bad(wrong.to_string()))?;
    Ok(Response::ok(&change))
}
