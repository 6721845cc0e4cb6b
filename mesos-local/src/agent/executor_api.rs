//! `POST /api/v1/executor`: what an executor's bytes mean, and the bytes of the
//! answer, as `Http::executor` of an agent has them (`src/slave/http.cpp`). What a
//! call does is the model's business.

use http::{HeaderValue, Method, StatusCode, header};
use mesos_sdk::v1;
use v1::executor::Call;
use v1::executor::call::Type;

use crate::agent::shell::{Stream, WeakHandle};
use crate::agent::{AgentConfig, Reply};
use crate::http::negotiate::{accepted, decode_call};
use crate::http::stream::event_stream;
use crate::http::{Refusal, Request, Response};
use crate::security::Claims;

/// What an executor without its token is asked for.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"mesos-agent-executor\"");

/// Answers one request.
pub(crate) async fn answer(
    agent: &WeakHandle,
    config: &AgentConfig,
    request: Request,
) -> Result<Response, Refusal> {
    let mut claims = None;
    if let Some(tokens) = &config.tokens {
        claims = tokens.authenticate(&request.headers);
        if claims.is_none() {
            return Ok(
                Response::text(StatusCode::UNAUTHORIZED, "401 Unauthorized.")
                    .with(header::WWW_AUTHENTICATE, CHALLENGE),
            );
        }
    }
    if request.method != Method::POST {
        return Ok(Response::method_not_allowed("POST", &request.method));
    }
    let call: Call = decode_call(&request.headers, &request.body)?;
    validate(&call).map_err(|text| {
        Refusal::bad_request(format!("Failed to validate Executor::Call: {text}"))
    })?;
    if let Some(claims) = claims
        && !is_of(agent, claims, &call).await
    {
        return Err(Refusal::forbidden());
    }
    if call.r#type() != Type::Subscribe {
        let id = agent.next_call();
        let reply = agent.executor_call(id, call, None).await;
        return finish(reply).map(Response::empty);
    }
    let encoding = accepted(&request.headers)?;
    let id = agent.next_call();
    let told = agent.clone();
    let (events, body) = event_stream(
        request.peer,
        config.limits.executor_buffer_bytes,
        move || {
            told.executor_gone(id);
        },
    );
    let stream = Stream { encoding, events };
    let status = finish(agent.executor_call(id, call, Some(stream)).await)?;
    let mut response = Response::empty(status).with(
        header::CONTENT_TYPE,
        HeaderValue::from_static(encoding.media_type()),
    );
    response.body = body;
    Ok(response)
}

/// Whether a token is the one of the executor that calls, and of its present
/// container.
async fn is_of(agent: &WeakHandle, claims: Claims, call: &Call) -> bool {
    if claims.fid != call.framework_id.value || claims.eid != call.executor_id.value {
        return false;
    }
    let known = agent.ask(move |agent, _| agent.has_container(&claims));
    known.await == Some(true)
}

fn finish(reply: Option<Reply>) -> Result<StatusCode, Refusal> {
    let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The agent has ended");
    let reply = reply.ok_or_else(gone)?;
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() {
        Ok(status)
    } else {
        Err(Refusal::new(status, reply.body))
    }
}

/// `executor::validation` (`src/slave/validation.cpp`), with its texts.
fn validate(call: &Call) -> Result<(), String> {
    let Some(kind) = call.r#type.map(|_| call.r#type()) else {
        return Err("Expecting 'type' to be present".to_owned());
    };
    let missing = match kind {
        Type::Subscribe => call.subscribe.is_none().then_some("subscribe"),
        Type::Update => call.update.is_none().then_some("update"),
        Type::Message => call.message.is_none().then_some("message"),
        Type::Heartbeat | Type::Unknown => None,
    };
    if let Some(field) = missing {
        return Err(format!("Expecting '{field}' to be present"));
    }
    match &call.update {
        Some(update) if kind == Type::Update => validate_status(call, &update.status),
        _ => Ok(()),
    }
}

fn validate_status(call: &Call, status: &v1::TaskStatus) -> Result<(), String> {
    let executor = &call.executor_id.value;
    let framework = &call.framework_id.value;
    match &status.uuid {
        None => return Err("Expecting 'uuid' to be present".to_owned()),
        Some(uuid) if uuid.len() != 16 => return Err("Not a valid UUID".to_owned()),
        Some(_) => {}
    }
    if let Some(other) = &status.executor_id
        && other != &call.executor_id
    {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            other.value
        ));
    }
    if status.source() != v1::task_status::Source::Executor {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, expecting 'SOURCE_EXECUTOR'"
        ));
    }
    if status.state() == v1::TaskState::TaskStaging {
        return Err(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(change: impl FnOnce(&mut v1::TaskStatus)) -> Result<(), String> {
        let mut status = v1::TaskStatus {
            state: v1::TaskState::TaskRunning.into(),
            source: Some(v1::task_status::Source::Executor.into()),
            uuid: Some(vec![1; 16].into()),
            ..Default::default()
        };
        change(&mut status);
        validate(&Call {
            executor_id: mesos_sdk::ids::executor_id("e"),
            framework_id: mesos_sdk::ids::framework_id("f"),
            r#type: Some(Type::Update.into()),
            update: Some(v1::executor::call::Update { status }),
            ..Default::default()
        })
    }

    /// The texts of the recorded dialogue `executor-exchange`, and those beside.
    #[test]
    fn refuses_updates_that_are_none() {
        assert_eq!(update(|_| ()), Ok(()));
        let refused = |change: fn(&mut v1::TaskStatus)| update(change).unwrap_err();
        assert_eq!(
            refused(|status| status.uuid = None),
            "Expecting 'uuid' to be present"
        );
        assert_eq!(
            refused(|status| status.uuid = Some("short".into())),
            "Not a valid UUID"
        );
        assert_eq!(
            refused(|status| status.executor_id = Some(mesos_sdk::ids::executor_id("x"))),
            "ExecutorID in Call: e does not match ExecutorID in TaskStatus: x"
        );
        assert!(refused(|status| status.source = None).ends_with("expecting 'SOURCE_EXECUTOR'"));
        assert_eq!(
            refused(|status| status.state = v1::TaskState::TaskStaging.into()),
            "Received TASK_STAGING from executor e of framework f which is not allowed"
        );
    }
}
