//! `POST /mesos-local/link`: how agents in other processes speak with the
//! master. Mesos's own agents speak libprocess, which is no part of the v1 API;
//! this is ours, between processes of the same version.
//!
//! Without a `Mesos-Local-Link` header the request opens a link: the response
//! names it in that header, and is a stream of RecordIO whose records are
//! messages for the agent. With the header the request brings messages of the
//! agent, records too, and is answered with 202, or 404 when the link is over.
//! Records are [`messages`](crate::messages) as JSON. The link ends with its
//! stream.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mesos_sdk::recordio::Decoder;

use crate::cluster::MasterHandle;
use crate::http::stream::event_stream;
use crate::http::{Refusal, Request, Response};
use crate::messages::FromAgent;

/// The endpoint.
pub(crate) const PATH: &str = "/mesos-local/link";
/// Names a link.
pub(crate) const LINK: HeaderName = HeaderName::from_static("mesos-local-link");
/// What both sides must be.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mesos-local-version");
/// This side.
pub(crate) const OWN_VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// Answers one request.
pub(crate) fn answer(master: &MasterHandle, request: Request) -> Response {
    if request.method != Method::POST {
        return Response::method_not_allowed("POST", &request.method);
    }
    if request.headers.get(VERSION) != Some(&OWN_VERSION) {
        let text = "Agents and masters of one cluster must be of one version of mesos-local";
        return Refusal::bad_request(text).into();
    }
    match request.headers.get(LINK).cloned() {
        None => open(master, request),
        Some(name) => match take(master, &name, &request) {
            Ok(()) => Response::empty(StatusCode::ACCEPTED),
            Err(refusal) => refusal.into(),
        },
    }
}

fn open(master: &MasterHandle, request: Request) -> Response {
    let name = uuid::Uuid::new_v4().to_string();
    let (told, ended) = (master.clone(), name.clone());
    let (events, body) = event_stream(request.peer, master.stream_buffer_bytes(), move || {
        told.cut_remote(&ended);
    });
    master.lay_remote(&name, events);
    let mut response = Response::empty(StatusCode::OK)
        .with(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
        .with(
            LINK,
            HeaderValue::try_from(name).expect("a UUID is visible characters"),
        );
    response.body = body;
    response
}

fn take(master: &MasterHandle, name: &HeaderValue, request: &Request) -> Result<(), Refusal> {
    let bad = |text: String| Refusal::bad_request(text);
    let mut decoder = Decoder::new(request.body.len() as u64);
    decoder.push(request.body.clone());
    let mut messages: Vec<FromAgent> = Vec::new();
    while let Some(record) = decoder.next_record().map_err(|e| bad(e.to_string()))? {
        let message = serde_json::from_slice(&record).map_err(|e| bad(e.to_string()))?;
        messages.push(message);
    }
    let name = name.to_str().unwrap_or_default();
    if master.take_remote(name, messages) {
        Ok(())
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, "There is no such link"))
    }
}
