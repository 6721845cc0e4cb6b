//! Tasks: end them, tell how they went.

use http::StatusCode;
use mesos_service::http::Request as Http;
use serde_json::Value;

use crate::request::Request;
use crate::run::TaskId;

use super::{Answered, Api, error, is_older};

pub(super) async fn kill(api: Api, request: Http) -> Answered {
    let kill = Request::Kill {
        job: request.parameter("name").to_owned(),
        with_waiting: is_older(&request),
    };
    api.ask(kill).await
}

pub(super) async fn purge(api: Api, _: Http) -> Answered {
    api.ask(Request::Purge).await
}

/// A field of the body that is a whole number.
fn number(request: &Http, name: &str) -> Result<i64, super::Response> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|wrong| {
        let message = format!("the body is no JSON: {wrong}");
        error(StatusCode::BAD_REQUEST, &message)
    })?;
    body[name].as_i64().ok_or_else(|| {
        let message = format!("{name}: a whole number is expected, as in {{\"{name}\": 0}}");
        error(StatusCode::BAD_REQUEST, &message)
    })
}

fn check(task: &str) -> Result<(), super::Response> {
    match TaskId::parse(task) {
        Some(_) => Ok(()),
        None => {
            let message = format!(
                "'{task}' is no id of a task, which has the form \
                 ct:<due in ms>:<attempt>:<job>:<arguments>"
            );
            Err(error(StatusCode::BAD_REQUEST, &message))
        }
    }
}

pub(super) async fn complete(api: Api, request: Http) -> Answered {
    let task_id = request.parameter("task").to_owned();
    check(&task_id)?;
    let status = number(&request, "statusCode")?;
    api.ask(Request::Complete { task_id, status }).await
}

pub(super) async fn progress(api: Api, request: Http) -> Answered {
    let task_id = request.parameter("task").to_owned();
    check(&task_id)?;
    let elements = number(&request, "numAdditionalElementsProcessed")?;
    let elements = u64::try_from(elements).map_err(|_| {
        let message = "numAdditionalElementsProcessed: it must not be negative";
        error(StatusCode::BAD_REQUEST, message)
    })?;
    let processed = Request::Processed {
        job: request.parameter("name").to_owned(),
        task_id,
        elements,
    };
    api.ask(processed).await
}
