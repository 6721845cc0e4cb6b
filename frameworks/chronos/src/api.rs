//! The REST API of both generations: what clients ask, and what they are
//! answered. `/scheduler` is that of the second, `/v1/scheduler` of the third.

mod graph;
mod jobs;
mod runs;
mod service;
mod stats;
mod tasks;

use std::sync::Arc;

use http::StatusCode;
use mesos_service::event_loop::Handle;
use mesos_service::http::{Request as Http, Response, Router};
use mesos_service::logging::LogLevels;
use mesos_service::metrics::MetricsRegistry;
use serde_json::json;

use crate::io::Sandboxes;
use crate::machine::{Ask, Chronos};
use crate::request::{Reply, Request};
use crate::state::{Settings, State};

/// Under what everything is found.
const PREFIXES: [&str; 2] = ["/scheduler", "/v1/scheduler"];

/// What answers requests.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: Handle<Chronos>,
    settings: Settings,
    /// What this instance is called: `host:port`.
    name: String,
    metrics: MetricsRegistry,
    log_levels: Option<LogLevels>,
    sandboxes: Sandboxes,
}

/// An answer, or the one that says why there is none.
type Answered = Result<Response, Response>;

impl Api {
    pub(crate) fn new(
        handle: Handle<Chronos>,
        settings: Settings,
        name: String,
        metrics: MetricsRegistry,
        log_levels: Option<LogLevels>,
        sandboxes: Sandboxes,
    ) -> Self {
        Self(Arc::new(Inner {
            handle,
            settings,
            name,
            metrics,
            log_levels,
            sandboxes,
        }))
    }

    /// Everything that can be asked.
    #[must_use]
    pub fn router(self) -> Router<Self> {
        let mut router = Router::new(self)
            .get("/ping", service::ping)
            .get("/leader", service::leader)
            .get("/info", service::info)
            .get("/metrics", service::metrics)
            .get("/metrics/prometheus", service::prometheus)
            .get("/logging", service::log_levels)
            .post("/logging", service::set_log_level)
            .get("/openapi.json", service::openapi);
        for prefix in PREFIXES {
            let at = |path: &str| format!("{prefix}/{path}");
            router = router
                .get(&at("leader"), service::leader)
                .get(&at("jobs"), jobs::list)
                .get(&at("jobs/summary"), jobs::summary)
                .get(&at("jobs/search"), jobs::search)
                .get(&at("job/{name}"), jobs::get)
                .put(&at("job/{name}"), jobs::force)
                .delete(&at("job/{name}"), jobs::delete)
                .put(&at("job/success/{name}"), jobs::mark_success)
                .get(&at("job/stat/{name}"), stats::job)
                .get(&at("job/{name}/runs"), runs::list)
                .get(&at("job/{name}/task/{task}/{file}"), runs::output)
                .post(&at("job/{name}/task/{task}/progress"), tasks::progress)
                .post(&at("iso8601"), jobs::put_scheduled)
                .put(&at("iso8601"), jobs::put_scheduled)
                .post(&at("dependency"), jobs::put_dependent)
                .put(&at("dependency"), jobs::put_dependent)
                .delete(&at("task/kill/{name}"), tasks::kill)
                .delete(&at("task/all"), tasks::purge)
                .put(&at("task/{task}"), tasks::complete)
                .get(&at("queue"), runs::queue)
                .get(&at("graph/dot"), graph::dot)
                .get(&at("graph/csv"), graph::csv)
                .get(&at("stats/{quantile}"), stats::all);
        }
        router
    }

    /// Looks at the state; what is seen is saved.
    async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> R + Send + 'static,
    ) -> Result<R, Response> {
        let seen = self.0.handle.inspect(|chronos| look(&chronos.state)).await;
        seen.map_err(|stopped| error(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string()))
    }

    /// Asks for something to be done, and waits until it is saved.
    async fn ask(&self, request: Request) -> Result<Response, Response> {
        match self.0.handle.ask(Ask::Do(request)).await {
            Ok(Reply::Done) => Ok(Response::empty(StatusCode::NO_CONTENT)),
            Ok(Reply::Refused(why)) => Err(error(StatusCode::BAD_REQUEST, &why)),
            Ok(Reply::NoJob(name)) => Err(unknown(&name)),
            Err(stopped) => Err(error(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string())),
        }
    }
}

/// An error in the form that clients of either generation read.
fn error(status: StatusCode, message: &str) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    Response::json(status, &json!({"status": reason, "message": message}))
}

fn unknown(name: &str) -> Response {
    let message = format!("there is no job '{name}'");
    error(StatusCode::BAD_REQUEST, &message)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Whether a request speaks as the second generation did.
fn is_older(request: &Http) -> bool {
    !request.path.trim_start_matches('/').starts_with("v1/")
}

#[cfg(test)]
mod tests {
    use mesos_service::event_loop::EventLoop;
    use mesos_service::metrics::MetricsConfig;

    use super::*;

    #[test]
    fn everything_that_is_answered_is_described() {
        let (_, handle) = EventLoop::new();
        let metrics = MetricsRegistry::new(MetricsConfig::new("chronos"));
        let sandboxes = Sandboxes::new(None);
        let name = "here:4400".to_owned();
        let router = Api::new(handle, Settings::default(), name, metrics, None, sandboxes).router();
        let [unknown, unanswered] = service::DESCRIPTION.differences(&router);
        assert_eq!(unknown, [""; 0]);
        assert_eq!(unanswered, [""; 0]);
    }
}
