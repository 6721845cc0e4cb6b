//! `POST /api/v1/scheduler`: what a scheduler's bytes mean, and the bytes of
//! the answer, as `Master::Http::scheduler` has them (`src/master/http.cpp`). What a
//! call does, and the checks of its content, are the master's business.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mesos_sdk::v1::scheduler::Call;
use mesos_sdk::v1::scheduler::call::Type;

use crate::cluster::MasterHandle;
use crate::http::negotiate::{accepted, decode_call};
use crate::http::stream::event_stream;
use crate::http::{Refusal, Request, Response};

/// The header that ties calls to the subscription they belong to.
const STREAM_ID: &str = "Mesos-Stream-Id";

/// Answers one request.
pub(crate) async fn answer(master: &MasterHandle, request: Request) -> Response {
    if request.method != Method::POST {
        return Response::method_not_allowed("POST", &request.method);
    }
    match accept(master, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into(),
    }
}

async fn accept(master: &MasterHandle, request: Request) -> Result<Response, Refusal> {
    let call: Call = decode_call(&request.headers, &request.body)?;
    match call.r#type() {
        Type::Subscribe => subscribe(master, request, call).await,
        Type::ReconcileOperations => {
            accepted(&request.headers)?;
            pass_on(master, &request, call).await
        }
        _ => pass_on(master, &request, call).await,
    }
}

async fn subscribe(
    master: &MasterHandle,
    request: Request,
    call: Call,
) -> Result<Response, Refusal> {
    let encoding = accepted(&request.headers)?;
    let has_stream_id = request.headers.contains_key(STREAM_ID);
    let connection = master.next_connection();
    let told = master.clone();
    let (events, body) = event_stream(request.peer, master.stream_buffer_bytes(), move || {
        told.disconnected(connection);
    });
    let stream_id = master
        .subscribe(
            connection,
            call,
            has_stream_id,
            request.principal,
            (encoding, events),
        )
        .await?;
    let mut response = Response::empty(StatusCode::OK).with(
        header::CONTENT_TYPE,
        HeaderValue::from_static(encoding.media_type()),
    );
    if let Some(stream_id) = stream_id {
        response = response.with(
            HeaderName::from_static("mesos-stream-id"),
            HeaderValue::try_from(stream_id).expect("a stream id is a UUID"),
        );
    }
    response.body = body;
    Ok(response)
}

async fn pass_on(
    master: &MasterHandle,
    request: &Request,
    call: Call,
) -> Result<Response, Refusal> {
    let stream_id = request.headers.get(STREAM_ID);
    let stream_id = stream_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let status = master
        .call(call, stream_id, request.principal.clone())
        .await?;
    Ok(Response::empty(status))
}
