//! The REST API: what Marathon's clients ask, and what they are answered.

mod apps;
mod deployments;
mod errors;
mod groups;
mod help;
mod numbers;
mod pods;
mod queue;
mod selector;
mod service;
mod show;
mod tasks;

use std::sync::Arc;

use http::StatusCode;
use mesos_service::event_loop::Handle;
use mesos_service::http::{EventBus, Request as Http, Response, Router};
use mesos_service::logging::LogLevels;
use mesos_service::metrics::MetricsRegistry;

use crate::effects::Event;
use crate::io::Office;
use crate::machine::{Answer, Ask, Marathon};
use crate::path_id::PathId;
use crate::request::{Refusal, Reply, Request};
use crate::state::State;

pub use service::About;

/// What answers requests.
#[derive(Clone, Debug)]
pub struct Api {
    handle: Handle<Marathon>,
    events: EventBus,
    context: Arc<Context>,
}

/// What is answered from beside the state.
#[derive(Debug)]
pub struct Context {
    /// What Marathon tells of itself.
    pub about: About,
    /// The office of leader.
    pub office: Office,
    /// Where numbers are collected.
    pub metrics: MetricsRegistry,
    /// Whether Prometheus may read them.
    pub shows_prometheus: bool,
    /// How much is logged, where that can be changed.
    pub log_levels: Option<LogLevels>,
}

/// An answer, or the one that says why there is none.
type Answered = Result<Response, Response>;

impl Api {
    /// Answers for a machine.
    #[must_use]
    pub fn new(handle: Handle<Marathon>, events: EventBus, context: Context) -> Self {
        crate::io::register_numbers();
        Self {
            handle,
            events,
            context: Arc::new(context),
        }
    }

    /// Everything that can be asked.
    #[must_use]
    pub fn router(self) -> Router<Self> {
        Router::new(self)
            .get("/", help::home)
            .get("/help", help::help)
            .get("/api-console", help::help)
            .get("/api-console/index.html", help::page)
            .get("/v2/openapi.json", help::openapi)
            .get("/ping", service::ping)
            .get("/config", service::config)
            .get("/logging", service::log_levels)
            .post("/logging", service::set_log_level)
            .get("/metrics", numbers::json)
            .get("/metrics/prometheus", numbers::prometheus)
            .get("/v2/info", service::info)
            .get("/v2/leader", service::leader)
            .delete("/v2/leader", service::abdicate)
            .get("/v2/plugins", service::plugins)
            .get("/v2/events", service::events)
            .get("/v2/apps", apps::list)
            .post("/v2/apps", apps::create)
            .put("/v2/apps", apps::put_all)
            .route(http::Method::PATCH, "/v2/apps", apps::patch_all)
            .get("/v2/apps/{id...}", apps::get)
            .put("/v2/apps/{id...}", apps::put)
            .route(http::Method::PATCH, "/v2/apps/{id...}", apps::patch)
            .post("/v2/apps/{id...}", apps::post)
            .delete("/v2/apps/{id...}", apps::delete)
            .get("/v2/groups", groups::get)
            .post("/v2/groups", groups::post)
            .put("/v2/groups", groups::put)
            .delete("/v2/groups", groups::delete)
            .get("/v2/groups/{id...}", groups::get)
            .post("/v2/groups/{id...}", groups::post)
            .put("/v2/groups/{id...}", groups::put)
            .route(http::Method::PATCH, "/v2/groups/{id...}", groups::patch)
            .delete("/v2/groups/{id...}", groups::delete)
            .get("/v2/pods", pods::list)
            .post("/v2/pods", pods::create)
            .get("/v2/pods/::status", pods::all_status)
            .get("/v2/pods/{id...}", pods::get)
            .put("/v2/pods/{id...}", pods::put)
            .delete("/v2/pods/{id...}", pods::delete)
            .get("/v2/tasks", tasks::list)
            .post("/v2/tasks/delete", tasks::delete)
            .get("/v2/deployments", deployments::list)
            .delete("/v2/deployments/{id}", deployments::delete)
            .get("/v2/queue", queue::list)
            .delete("/v2/queue/{id...}", queue::reset_delay)
    }

    /// Looks at the state; what is seen is saved.
    async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> R + Send + 'static,
    ) -> Result<R, Response> {
        let seen = self.handle.inspect(|marathon| look(&marathon.state)).await;
        seen.map_err(|stopped| {
            Response::error(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string())
        })
    }

    /// Asks for a change, and waits until it is saved.
    async fn change(&self, request: Request) -> Result<Reply, Response> {
        match self.handle.ask(Ask::Change(Box::new(request))).await {
            Ok(Answer::Reply(reply)) => match *reply {
                Reply::Refused(refusal) => {
                    if matches!(refusal, Refusal::TooMany(_)) {
                        metrics::counter!("deployments.dismissed.counter").increment(1);
                    }
                    Err(errors::refused(&refusal))
                }
                Reply::Deployed(deployed) => {
                    metrics::counter!("deployments.counter").increment(1);
                    Ok(Reply::Deployed(deployed))
                }
                reply => Ok(reply),
            },
            Ok(Answer::Noted) => Err(Response::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the change was answered as if it were a status",
            )),
            Err(stopped) => Err(Response::error(
                StatusCode::SERVICE_UNAVAILABLE,
                &stopped.to_string(),
            )),
        }
    }

    /// Tells everybody what somebody asked for.
    fn tell_of_request(&self, request: &Http, app: Option<&crate::app::App>) {
        let now = jiff::Timestamp::now().as_millisecond();
        let event = Event {
            kind: "api_post_event",
            data: serde_json::json!({
                "eventType": "api_post_event",
                "timestamp": crate::timestamp::Timestamp::from_millis(now),
                "clientIp": request.remote.ip().to_string(),
                "uri": request.path,
                "appDefinition": app,
            }),
        };
        self.events.publish(event.kind, &event.data.to_string());
    }
}

fn path(text: &str) -> Result<PathId, Response> {
    PathId::parse(text, &PathId::root()).map_err(|error| {
        let mut wrong = crate::violations::Violations::new();
        wrong.add("/id", error.to_string());
        errors::invalid(&wrong)
    })
}
