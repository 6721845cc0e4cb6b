//! What concerns Marathon itself: that it is there, what it is, and its events.

use http::StatusCode;
use mesos_service::http::{Request as Http, Response, Subscription};
use serde_json::{Value, json};

use super::{Answered, Api};

/// What Marathon tells of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The framework's name.
    pub name: String,
    /// Where it is reached: `host:port`.
    pub address: String,
    /// `marathon_config` of `/v2/info`.
    pub config: Value,
    /// `zookeeper_config` of `/v2/info`.
    pub zookeeper: Value,
    /// `http_config` of `/v2/info`.
    pub http: Value,
}

pub(super) async fn ping(_: Api, request: Http) -> Answered {
    let offered = ["text/plain", "text/html", "application/json"];
    Ok(match request.accepts(&offered) {
        Some("application/json") => Response::ok(&"pong"),
        Some("text/html") => Response::content(StatusCode::OK, "text/html", "pong"),
        Some(_) => Response::text(StatusCode::OK, "pong"),
        None => Response::empty(StatusCode::NO_CONTENT),
    })
}

pub(super) async fn info(api: Api, _: Http) -> Answered {
    let framework_id = api.look(|state| state.framework_id.clone()).await?;
    let about = &api.about;
    Ok(Response::ok(&json!({
        "name": about.name,
        "version": env!("CARGO_PKG_VERSION"),
        "buildref": "unknown",
        "elected": true,
        "leader": about.address,
        "frameworkId": framework_id,
        "marathon_config": about.config,
        "zookeeper_config": about.zookeeper,
        "http_config": about.http,
    })))
}

pub(super) async fn leader(api: Api, _: Http) -> Answered {
    Ok(Response::ok(&json!({"leader": api.about.address})))
}

pub(super) async fn events(api: Api, request: Http) -> Answered {
    if request.accepts(&["text/event-stream"]).is_none() || request.header("accept").is_none() {
        return Err(Response::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "events are a stream: ask for it with Accept: text/event-stream",
        ));
    }
    let wanted: Vec<String> = request.query.all("event_type").map(str::to_owned).collect();
    let attached = json!({
        "eventType": "event_stream_attached",
        "remoteAddress": request.remote.ip().to_string(),
        "timestamp": super::apps::now(),
    });
    let subscription = Subscription {
        wants: Box::new(move |kind| wanted.is_empty() || wanted.iter().any(|it| it == kind)),
        greeting: vec![("event_stream_attached".to_owned(), attached.to_string())],
        on_gap: None,
    };
    Ok(api.events.subscribe(&request, subscription).1)
}
