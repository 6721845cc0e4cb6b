//! `/help`: what can be asked, for people.

use std::fmt::Write as _;

use http::StatusCode;
use mesos_service::http::{Request as Http, Response};

use super::{Answered, Api};

/// Where the page is.
const PAGE: &str = "/api-console/index.html";

/// What can be asked, and what comes of it.
pub(super) const ENDPOINTS: &[(&str, &str, &str)] = &[
    (
        "GET",
        "/v2/apps",
        "all apps; ?cmd=, id=, label=, embed=, limit=, offset=",
    ),
    ("POST", "/v2/apps", "makes an app"),
    (
        "PUT",
        "/v2/apps",
        "makes and changes several apps in one deployment; ?force, partialUpdate",
    ),
    (
        "PATCH",
        "/v2/apps",
        "changes several apps in one deployment",
    ),
    (
        "GET",
        "/v2/apps/{id...}",
        "an app; all of a group as group/*; also its /tasks, /versions, /versions/{version}",
    ),
    (
        "PUT",
        "/v2/apps/{id...}",
        "makes or changes an app; with a version alone it goes back to it",
    ),
    ("PATCH", "/v2/apps/{id...}", "changes an app"),
    (
        "POST",
        "/v2/apps/{id...}",
        "id/restart: replaces its instances",
    ),
    (
        "DELETE",
        "/v2/apps/{id...}",
        "an app, or its /tasks, or /tasks/{task}; ?scale, wipe, host",
    ),
    (
        "GET",
        "/v2/groups",
        "all groups with what is in them; ?embed=",
    ),
    ("POST", "/v2/groups", "makes a group"),
    ("PUT", "/v2/groups", "changes the root; ?dryRun, force"),
    ("DELETE", "/v2/groups", "deletes everything; ?force"),
    (
        "GET",
        "/v2/groups/{id...}",
        "a group, or its /apps, /versions",
    ),
    ("POST", "/v2/groups/{id...}", "makes a group at a path"),
    (
        "PUT",
        "/v2/groups/{id...}",
        "changes a group; scaleBy, version",
    ),
    (
        "DELETE",
        "/v2/groups/{id...}",
        "a group with all that is in it",
    ),
    (
        "GET",
        "/v2/tasks",
        "all tasks, as JSON or as text/plain for proxies; ?status=",
    ),
    (
        "POST",
        "/v2/tasks/delete",
        "ends the tasks of a list; ?scale, wipe, force",
    ),
    ("GET", "/v2/deployments", "deployments on their way"),
    (
        "DELETE",
        "/v2/deployments/{id}",
        "rolls one back; ?force stops it where it is",
    ),
    ("GET", "/v2/queue", "apps whose instances wait, and why"),
    (
        "DELETE",
        "/v2/queue/{id...}",
        "id/delay: launches an app again at once",
    ),
    (
        "GET",
        "/v2/events",
        "what happens, as server-sent events; ?event_type=",
    ),
    ("GET", "/v2/info", "which Marathon this is"),
    ("GET", "/v2/leader", "who leads"),
    (
        "DELETE",
        "/v2/leader",
        "lays leadership down; ?backup=file:///.., restore=file:///..",
    ),
    ("GET", "/v2/plugins", "none"),
    ("GET", "/ping", "pong"),
    ("GET", "/config", "how it was started"),
    ("GET", "/logging", "how much is logged"),
    (
        "POST",
        "/logging",
        "changes that: level, logger, durationSeconds",
    ),
    ("GET", "/metrics", "numbers as JSON"),
    ("GET", "/metrics/prometheus", "numbers for Prometheus"),
    ("GET", "/help", "this page"),
];

/// The page of apps, once there is one; what can be asked until then.
pub(super) async fn home(_: Api, _: Http) -> Answered {
    Ok(Response::redirect("/help"))
}

pub(super) async fn help(_: Api, _: Http) -> Answered {
    Ok(Response::redirect(PAGE))
}

pub(super) async fn page(_: Api, _: Http) -> Answered {
    let mut rows = String::new();
    for (method, path, text) in ENDPOINTS {
        // Nothing here means anything in HTML.
        let _ = writeln!(
            rows,
            "<tr><td>{method}<td><code>{path}</code><td>{}",
            text.replace('&', "&amp;")
        );
    }
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Marathon's API</title>\n\
         <style>body{{font-family:sans-serif;margin:2em}}td{{padding:.2em 1em .2em 0}}</style>\n\
         <h1>Marathon's API</h1>\n<table>\n{rows}</table>\n</html>\n"
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
    fn everything_that_is_answered_is_on_the_page() {
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
        let answered: BTreeSet<String> = serde_json::from_str(&format!("{router:?}")).unwrap();
        let shown = ENDPOINTS.iter();
        let shown: BTreeSet<String> = shown.map(|it| format!("{} {}", it.0, it.1)).collect();
        let of_the_page = ["GET /", "GET /api-console", "GET /api-console/index.html"];
        let of_the_page = of_the_page.map(str::to_owned).into();
        assert_eq!(
            answered
                .difference(&shown)
                .cloned()
                .collect::<BTreeSet<_>>(),
            of_the_page
        );
        assert_eq!(shown.difference(&answered).next(), None);
    }
}
