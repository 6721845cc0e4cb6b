//! The master's paths: the v1 API and the older endpoints that people and tools
//! still read.

mod older;

use http::{HeaderValue, StatusCode, header};
use mesos_proto::json;
use serde_json::{Value, json};

use crate::cluster::{MasterHandle, Standing};
use crate::http::path::endpoint;
use crate::http::{Handler, Refusal, Request, Response};
use crate::security::{Action, Realm};
use crate::views::{self, TasksQuery};
use crate::{duration, link_api, operator_api, scheduler_api, version};

/// Endpoints of the master's process, which answer under `/master` too.
const ENDPOINTS: &[&str] = &[
    "api/v1",
    "api/v1/scheduler",
    "create-volumes",
    "destroy-volumes",
    "flags",
    "frameworks",
    "health",
    "machine/down",
    "machine/up",
    "maintenance/schedule",
    "maintenance/status",
    "mesos-local/link",
    "quota",
    "redirect",
    "reserve",
    "roles",
    "slaves",
    "state",
    "state-summary",
    "tasks",
    "teardown",
    "unreserve",
    "weights",
];

/// Endpoints of processes of their own.
const OWN: &[&str] = &[
    "files/browse",
    "files/browse.json",
    "files/download",
    "files/download.json",
    "files/read",
    "files/read.json",
    "metrics/snapshot",
    "version",
];

/// Answers everything that is asked of the master.
#[derive(Debug, Clone)]
pub(crate) struct MasterApi {
    master: MasterHandle,
}

impl MasterApi {
    pub(crate) fn new(master: MasterHandle) -> Self {
        Self { master }
    }
}

/// What one has to be known for to ask for a path.
pub(crate) fn realm(path: &str) -> Option<Realm> {
    match endpoint(path, "master", ENDPOINTS, OWN)? {
        "health" | "redirect" | "version" => None,
        "api/v1/scheduler" => Some(Realm::Scheduler),
        "mesos-local/link" => Some(Realm::MasterAgents),
        "api/v1" => Some(Realm::MasterReadwrite),
        endpoint if older::ENDPOINTS.contains(&endpoint) => Some(Realm::MasterReadwrite),
        _ => Some(Realm::MasterReadonly),
    }
}

impl Handler for MasterApi {
    async fn handle(&self, request: Request) -> Response {
        let master = &self.master;
        let Some(endpoint) = endpoint(&request.path, "master", ENDPOINTS, OWN) else {
            return Response::not_found();
        };
        if let Some(response) = elsewhere(&master.standing(), &request, endpoint) {
            return response;
        }
        match endpoint {
            "mesos-local/link" => link_api::answer(master, request),
            "api/v1/scheduler" => scheduler_api::answer(master, request).await,
            "api/v1" => operator_api::answer(master, request).await,
            "health" => Response::empty(StatusCode::OK),
            "version" => written(&request, &json::to_value(&version::info())),
            endpoint if endpoint.starts_with("files/") => no_file(&request),
            endpoint if older::ENDPOINTS.contains(&endpoint) => {
                older::answer(master, endpoint, &request)
                    .await
                    .unwrap_or_else(Response::from)
            }
            _ => view(master, &request, endpoint)
                .await
                .unwrap_or_else(Response::from),
        }
    }
}

/// The master has no files to show.
fn no_file(request: &Request) -> Response {
    match request.query_value("path").filter(|path| !path.is_empty()) {
        Some(_) => Response::text(StatusCode::NOT_FOUND, ""),
        None => Refusal::bad_request("Expecting 'path=value' in query.\n").into(),
    }
}

/// JSON, wrapped in a call of the function a `jsonp` parameter names.
fn written(request: &Request, value: &Value) -> Response {
    let text = value.to_string();
    let is_name = |name: &String| {
        !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "_$.".contains(character))
    };
    match request.query_value("jsonp").filter(is_name) {
        Some(name) => {
            Response::content(StatusCode::OK, "text/javascript", format!("{name}({text})"))
        }
        None => Response::json(text),
    }
}

/// The answer of a master that does not lead: to the leader, with the path as
/// its process has it. `/redirect` leads to the leader's address alone, from
/// the leader too, and to nothing under `/redirect/`. Some endpoints every
/// master answers for itself.
fn elsewhere(standing: &Standing, request: &Request, endpoint: &str) -> Option<Response> {
    let is_redirect = endpoint == "redirect";
    if is_redirect && !request.path.trim_end_matches('/').ends_with("/redirect") {
        return Some(Response::not_found());
    }
    let leader = match standing {
        _ if matches!(endpoint, "health" | "version" | "metrics/snapshot") => return None,
        Standing::Leads(_) if !is_redirect => return None,
        Standing::Leads(leader) | Standing::Follows(leader) => leader,
        Standing::Nobody => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Some(Response::text(status, "No leader elected"));
        }
    };
    let mut location = format!("//{}", leader.host_port);
    if !is_redirect {
        let path = request.path.trim_start_matches('/');
        location.push_str("/master/");
        location.push_str(path.strip_prefix("master/").unwrap_or(path));
        if !request.query.is_empty() {
            location.push('?');
            location.push_str(&request.query);
        }
    }
    let location = HeaderValue::try_from(location).ok()?;
    let response = Response::empty(StatusCode::TEMPORARY_REDIRECT);
    Some(response.with(header::LOCATION, location))
}

async fn view(
    master: &MasterHandle,
    request: &Request,
    endpoint: &str,
) -> Result<Response, Refusal> {
    if endpoint == "metrics/snapshot"
        && let Some(timeout) = request.query_value("timeout")
        && duration::parse(&timeout).is_err()
    {
        return Err(Refusal::bad_request(format!(
            "Invalid timeout '{timeout}': Failed to convert '' to number.\n"
        )));
    }
    let snapshot = master.snapshot(request.principal.clone()).await?;
    let viewer = &snapshot.viewer;
    let is_allowed = match endpoint {
        "flags" => viewer.may(Action::ViewFlags, None),
        "metrics/snapshot" => viewer.may(Action::GetEndpoints, Some("/metrics/snapshot")),
        _ => true,
    };
    if !is_allowed {
        return Err(Refusal::forbidden());
    }
    let value = match endpoint {
        "flags" => json!({ "flags": snapshot.flags }),
        "frameworks" => {
            views::frameworks(&snapshot, request.query_value("framework_id").as_deref())
        }
        "roles" => views::roles(&snapshot),
        "slaves" => views::slaves(&snapshot, request.query_value("slave_id").as_deref()),
        "state" => views::state(&snapshot),
        "state-summary" => views::state_summary(&snapshot),
        "tasks" => views::tasks(&snapshot, &tasks_query(request)),
        _ => json!(views::metrics(&snapshot)),
    };
    Ok(written(request, &value))
}

fn tasks_query(request: &Request) -> TasksQuery {
    let number = |name| request.query_value(name).and_then(|text| text.parse().ok());
    TasksQuery {
        limit: number("limit"),
        offset: number("offset").unwrap_or_default(),
        is_ascending: request.query_value("order").as_deref() == Some("asc"),
        framework_id: request.query_value("framework_id"),
        task_id: request.query_value("task_id"),
    }
}
