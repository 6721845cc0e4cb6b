//! Refusals as answers.

use http::StatusCode;
use mesos_service::http::Response;
use serde_json::json;

use crate::input::InvalidJson;
use crate::request::Refusal;
use crate::timestamp::{InvalidTimestamp, Timestamp};
use crate::violations::Violations;

/// A refusal as it is answered.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let message = refusal.to_string();
    match refusal {
        Refusal::Invalid(wrong) => invalid(wrong),
        Refusal::Bad(_) => Response::error(StatusCode::BAD_REQUEST, &message),
        Refusal::NotFound(_) => Response::error(StatusCode::NOT_FOUND, &message),
        Refusal::Exists(_) => Response::error(StatusCode::CONFLICT, &message),
        Refusal::Locked(ids) => {
            let deployments: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
            let body = json!({"message": message, "deployments": deployments});
            Response::json(StatusCode::CONFLICT, &body)
        }
        Refusal::TooMany(_) => Response::error(StatusCode::FORBIDDEN, &message),
    }
}

/// A definition that makes no sense.
pub(super) fn invalid(wrong: &Violations) -> Response {
    let details = json!(wrong.details());
    Response::error_with(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Object is not valid",
        &details,
    )
}

/// A body that cannot be read.
pub(super) fn unreadable(error: &InvalidJson) -> Response {
    match error {
        InvalidJson::Syntax(text) => {
            Response::error_with(StatusCode::BAD_REQUEST, "Invalid JSON", &json!(text))
        }
        InvalidJson::Types(wrong) => Response::error_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid JSON",
            &json!(wrong.details()),
        ),
    }
}

/// A version as paths name it.
pub(super) fn version(text: &str) -> Result<Timestamp, Response> {
    text.parse().map_err(|error: InvalidTimestamp| {
        let mut wrong = Violations::new();
        wrong.add("/version", error.to_string());
        invalid(&wrong)
    })
}

pub(super) fn bad(message: &str) -> Response {
    Response::error(StatusCode::BAD_REQUEST, message)
}

pub(super) fn not_found(message: &str) -> Response {
    Response::error(StatusCode::NOT_FOUND, message)
}
