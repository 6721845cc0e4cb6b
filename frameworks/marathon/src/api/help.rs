//! `/help`: what can be asked, for people.

use std::fmt::Write as _;
use std::sync::LazyLock;

use http::StatusCode;
use mesos_service::http::{Description, Request as Http, Response};

use super::{Answered, Api};

/// Where the page is.
const PAGE: &str = "/api-console/index.html";

/// What can be asked, and what comes of it.
pub(super) static DESCRIPTION: LazyLock<Description> =
    LazyLock::new(|| Description::parse(include_str!("openapi.json")));

pub(super) async fn openapi(_: Api, _: Http) -> Answered {
    Ok(DESCRIPTION.response())
}

/// The page of apps, once there is one; what can be asked until then.
pub(super) async fn home(_: Api, _: Http) -> Answered {
    Ok(Response::redirect("/help"))
}

pub(super) async fn help(_: Api, _: Http) -> Answered {
    Ok(Response::redirect(PAGE))
}

pub(super) async fn page(_: Api, _: Http) -> Answered {
    let mut rows = String::new();
    for operation in DESCRIPTION.operations() {
        // Nothing here means anything in HTML.
        let _ = writeln!(
            rows,
            "<tr><td>{}<td><code>{}</code><td>{}<td>{}",
            operation.method,
            operation.path,
            operation.summary,
            operation.query.join(", ")
        );
    }
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Marathon's API</title>\n\
         <style>body{{font-family:sans-serif;margin:2em}}td,th{{text-align:left;padding:.2em 1em .2em 0}}</style>\n\
         <h1>Marathon's API</h1>\n<p>For programs: <a href=\"/v2/openapi.json\">openapi.json</a></p>\n\
         <table>\n<tr><th>Method<th>Path<th>What it does<th>Parameters\n{rows}</table>\n</html>\n"
    );
    Ok(Response::content(
        StatusCode::OK,
        "text/html; charset=utf-8",
        page,
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mesos_service::event_loop::EventLoop;
    use mesos_service::http::{EventBus, EventBusConfig};
    use mesos_service::metrics::{MetricsConfig, MetricsRegistry};
    use mesos_service::run::Stop;
    use serde_json::json;

    use super::*;
    use crate::api::{About, Context};
    use crate::io::Office;

    #[test]
    fn everything_that_is_answered_is_described() {
        let (_, handle) = EventLoop::new();
        let about = About {
            name: "marathon".to_owned(),
            address: "here:8080".to_owned(),
            is_https: false,
            config: json!({}),
            zookeeper: json!({}),
            http: json!({}),
        };
        let context = Context {
            about,
            office: Office::new(Stop::new()),
            metrics: MetricsRegistry::new(MetricsConfig::new("marathon")),
            shows_prometheus: true,
            log_levels: None,
        };
        let events = EventBus::new("x", EventBusConfig::default());
        let router = Api::new(handle, events, context).router();
        let [unknown, unanswered] = DESCRIPTION.differences(&router);
        let of_the_page = ["GET /", "GET /api-console", "GET /api-console/index.html"];
        let unknown: BTreeSet<&str> = unknown.iter().map(String::as_str).collect();
        assert_eq!(unknown, of_the_page.into());
        assert_eq!(unanswered, [""; 0]);
    }
}
