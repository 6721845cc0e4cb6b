//! What concerns Marathon itself: that it is there, what it is, and its events.

use http::StatusCode;
use mesos_service::http::{Request as Http, Response, Subscription};
use mesos_service::logging::{LevelChange, LevelError, LogLevels};
use serde_json::{Value, json};

use super::{Answered, Api, errors};
use crate::input::read;
use crate::io::{Farewell, FarewellError};
use crate::violations::Violations;

/// What Marathon tells of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The framework's name.
    pub name: String,
    /// Where it is reached: `host:port`.
    pub address: String,
    /// Whether that is by TLS only.
    pub is_https: bool,
    /// `marathon_config` of `/v2/info`.
    pub config: Value,
    /// `zookeeper_config` of `/v2/info`.
    pub zookeeper: Value,
    /// `http_config` of `/v2/info`.
    pub http: Value,
}

impl About {
    /// Where it is reached, as a browser takes it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
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
    let about = &api.context.about;
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

/// How it was started, in one object.
pub(super) async fn config(api: Api, _: Http) -> Answered {
    let about = &api.context.about;
    Ok(Response::ok(&json!({
        "marathon": about.config,
        "zookeeper": about.zookeeper,
        "http": about.http,
    })))
}

pub(super) async fn plugins(_: Api, _: Http) -> Answered {
    Ok(Response::ok(&json!({"plugins": []})))
}

pub(super) async fn leader(api: Api, _: Http) -> Answered {
    Ok(Response::ok(&json!({"leader": api.context.about.address})))
}

pub(super) async fn abdicate(api: Api, request: Http) -> Answered {
    let uri = |name| request.query.get(name);
    let farewell = Farewell::read(uri("backup"), uri("restore"));
    let farewell =
        farewell.map_err(|message| Response::error(StatusCode::UNPROCESSABLE_ENTITY, &message))?;
    match api.context.office.abdicate(&farewell).await {
        Ok(()) => Ok(Response::ok(&json!({"message": "Leadership abdicated"}))),
        Err(error) => {
            let status = match error {
                FarewellError::NoFile(_) => StatusCode::UNPROCESSABLE_ENTITY,
                FarewellError::NotLeading => StatusCode::NOT_FOUND,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Err(Response::error(status, &error.to_string()))
        }
    }
}

fn logging(api: &Api) -> Result<&LogLevels, Response> {
    let fixed = || errors::not_found("what is logged cannot be changed here");
    api.context.log_levels.as_ref().ok_or_else(fixed)
}

pub(super) async fn log_levels(api: Api, _: Http) -> Answered {
    Ok(Response::ok(&logging(&api)?.shown()))
}

pub(super) async fn set_log_level(api: Api, request: Http) -> Answered {
    let change: LevelChange = read(&request.body).map_err(|error| errors::unreadable(&error))?;
    match logging(&api)?.change(&change) {
        Ok(()) => Ok(Response::ok(&change)),
        Err(error) => {
            let field = match &error {
                LevelError::Logger(_) => "/logger",
                _ => "/level",
            };
            let mut wrong = Violations::new();
            wrong.add(field, error.to_string());
            Err(errors::invalid(&wrong))
        }
    }
}

pub(super) async fn events(api: Api, request: Http) -> Answered {
    if request.accepts(&["text/event-stream"]).is_none() || request.header("accept").is_none() {
        return Err(Response::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "events are a stream: ask for it with Accept: text/event-stream",
        ));
    }
    let wanted: Vec<String> = request.query.all("event_type").map(str::to_owned).collect();
    let address = request.remote.ip().to_canonical().to_string();
    let told = move |kind: &str| {
        let data = json!({
            "eventType": kind,
            "remoteAddress": address,
            "timestamp": super::apps::now(),
        });
        data.to_string()
    };
    let attached = told("event_stream_attached");
    let events = api.events.clone();
    let detached = move || {
        let kind = "event_stream_detached";
        events.publish(kind, &told(kind));
    };
    let subscription = Subscription {
        wants: Box::new(move |kind| wanted.is_empty() || wanted.iter().any(|it| it == kind)),
        greeting: vec![("event_stream_attached".to_owned(), attached)],
        on_gap: None,
        on_end: Some(Box::new(detached)),
    };
    Ok(api.events.subscribe(&request, subscription).1)
}
