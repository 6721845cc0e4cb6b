//! The calls of an agent's operator API that make, watch and enter containers:
//! what their bytes mean, streams included (`src/slave/http.cpp`). What they do is
//! the model's business, and the switchboard's.

use http::{HeaderValue, StatusCode, header};
use mesos_sdk::recordio::Decoder;
use mesos_sdk::{ids, v1};
use v1::agent::call::{AttachContainerInput, Type, attach_container_input};
use v1::agent::process_io::{self, control, data};
use v1::agent::response::{Type as Answer, WaitContainer, WaitNestedContainer};
use v1::agent::{Call, ProcessIo, Response as Message};

use crate::agent::shell::{Stream, WeakHandle};
use crate::agent::switchboard::ToProcess;
use crate::agent::{ContainerAnswer, ContainerCall, ContainerKey, ContainerLaunch};
use crate::http::negotiate::{Encoding, accepted, accepted_stream, message_encoding};
use crate::http::stream::event_stream;
use crate::http::{Refusal, Request, RequestStream, Response};

/// How many bytes of output wait for a client before the process has to.
const OUTPUT_BYTES: usize = 1 << 20;
/// The largest record of an input.
const MAX_INPUT_RECORD_BYTES: u64 = 4 << 20;
/// The signal of those who do not say which.
const SIGKILL: i32 = 9;

/// Answers a call about containers; `None` when it is about something else.
pub(crate) async fn answer(
    agent: &WeakHandle,
    request: &Request,
    call: &mut Call,
) -> Option<Result<Response, Refusal>> {
    let response = match call.r#type() {
        Type::LaunchNestedContainer | Type::LaunchContainer => launch(agent, call).await,
        Type::LaunchNestedContainerSession => session(agent, request, call).await,
        Type::WaitNestedContainer | Type::WaitContainer => wait(agent, request, call).await,
        Type::KillNestedContainer | Type::KillContainer => kill(agent, call).await,
        Type::RemoveNestedContainer | Type::RemoveContainer => remove(agent, call).await,
        Type::AttachContainerOutput => output(agent, request, call).await,
        Type::AttachContainerInput => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call",
        )),
        _ => return None,
    };
    Some(response)
}

async fn launch(agent: &WeakHandle, call: &mut Call) -> Result<Response, Refusal> {
    let (field, wanted) = match (
        call.launch_container.take(),
        call.launch_nested_container.take(),
    ) {
        (Some(launch), _) => (
            "launch_container",
            (launch.container_id, launch.command, launch.container),
        ),
        (None, Some(launch)) => (
            "launch_nested_container",
            (launch.container_id, launch.command, launch.container),
        ),
        (None, None) => return Err(missing(call)),
    };
    let (id, command, info) = wanted;
    let needs_parent = call.r#type() == Type::LaunchNestedContainer;
    let launch = ContainerLaunch {
        container: key(field, Some(id), needs_parent)?,
        command: command.unwrap_or_default(),
        info,
        is_session: false,
    };
    plain(ask(agent, ContainerCall::Launch(Box::new(launch))).await?)
}

async fn session(
    agent: &WeakHandle,
    request: &Request,
    call: &mut Call,
) -> Result<Response, Refusal> {
    let wanted = call.launch_nested_container_session.take();
    let Some(wanted) = wanted else {
        return Err(missing(call));
    };
    let field = "launch_nested_container_session";
    let container = key(field, Some(wanted.container_id), true)?;
    let (media_type, encoding) = accepted_stream(&request.headers)?;
    let launch = ContainerLaunch {
        container: container.clone(),
        command: wanted.command.unwrap_or_default(),
        info: wanted.container,
        is_session: true,
    };
    let answer = ask(agent, ContainerCall::Launch(Box::new(launch))).await?;
    if answer != ContainerAnswer::Done {
        return plain(answer);
    }
    // Whatever runs in it dies with the connection.
    let told = agent.clone();
    let destroyed = container.clone();
    let on_end = move || told.destroy_container(destroyed);
    stream(agent, request, container, media_type, encoding, on_end).await
}

async fn output(
    agent: &WeakHandle,
    request: &Request,
    call: &mut Call,
) -> Result<Response, Refusal> {
    let Some(wanted) = call.attach_container_output.take() else {
        return Err(missing(call));
    };
    let container = key("attach_container_output", Some(wanted.container_id), false)?;
    let (media_type, encoding) = accepted_stream(&request.headers)?;
    let answer = ask(agent, ContainerCall::Attach(container.clone())).await?;
    if answer != ContainerAnswer::Done {
        return plain(answer);
    }
    stream(agent, request, container, media_type, encoding, || ()).await
}

async fn stream(
    agent: &WeakHandle,
    request: &Request,
    container: ContainerKey,
    media_type: &'static str,
    encoding: Encoding,
    on_end: impl FnOnce() + Send + 'static,
) -> Result<Response, Refusal> {
    let (events, body) = event_stream(request.peer.clone(), OUTPUT_BYTES, on_end);
    let board = agent.switchboard(container.clone()).await;
    let board = board.ok_or_else(|| not_found(&container))?;
    board.attach(Stream { encoding, events });
    let mut response = Response::empty(StatusCode::OK)
        .with(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.body = body;
    Ok(response)
}

async fn wait(agent: &WeakHandle, request: &Request, call: &mut Call) -> Result<Response, Refusal> {
    let encoding = accepted(&request.headers)?;
    let is_nested = call.r#type() == Type::WaitNestedContainer;
    let container = if is_nested {
        let wanted = call.wait_nested_container.take();
        let id = wanted.map(|wanted| wanted.container_id);
        key("wait_nested_container", id, true)?
    } else {
        let wanted = call.wait_container.take();
        key(
            "wait_container",
            wanted.map(|wanted| wanted.container_id),
            false,
        )?
    };
    let status = match ask(agent, ContainerCall::Wait(container)).await? {
        ContainerAnswer::Ended(status) => status.raw(),
        answer => return plain(answer),
    };
    let mut message = Message::default();
    if is_nested {
        message.r#type = Some(Answer::WaitNestedContainer.into());
        message.wait_nested_container = Some(WaitNestedContainer {
            exit_status: Some(status),
            ..Default::default()
        });
    } else {
        message.r#type = Some(Answer::WaitContainer.into());
        message.wait_container = Some(WaitContainer {
            exit_status: Some(status),
            ..Default::default()
        });
    }
    Ok(encoding.response(&message))
}

async fn kill(agent: &WeakHandle, call: &mut Call) -> Result<Response, Refusal> {
    let (container, signal) = if call.r#type() == Type::KillNestedContainer {
        let wanted = call.kill_nested_container.take();
        let signal = wanted.as_ref().and_then(|wanted| wanted.signal);
        let id = wanted.map(|wanted| wanted.container_id);
        (key("kill_nested_container", id, true)?, signal)
    } else {
        let wanted = call.kill_container.take();
        let signal = wanted.as_ref().and_then(|wanted| wanted.signal);
        let id = wanted.map(|wanted| wanted.container_id);
        (key("kill_container", id, false)?, signal)
    };
    let signal = signal.unwrap_or(SIGKILL);
    plain(ask(agent, ContainerCall::Kill(container, signal)).await?)
}

async fn remove(agent: &WeakHandle, call: &mut Call) -> Result<Response, Refusal> {
    let container = if call.r#type() == Type::RemoveNestedContainer {
        let wanted = call.remove_nested_container.take();
        let id = wanted.map(|wanted| wanted.container_id);
        key("remove_nested_container", id, true)?
    } else {
        let wanted = call.remove_container.take();
        key(
            "remove_container",
            wanted.map(|wanted| wanted.container_id),
            false,
        )?
    };
    plain(ask(agent, ContainerCall::Remove(container)).await?)
}

/// ATTACH_CONTAINER_INPUT: records of calls, the first of which names the
/// container. Answered when the input has ended, or nobody reads it any more.
pub(crate) async fn input(
    agent: &WeakHandle,
    headers: &http::HeaderMap,
    stream: RequestStream,
) -> Result<Response, Refusal> {
    let mut calls = Calls {
        encoding: message_encoding(headers)?,
        decoder: Decoder::new(MAX_INPUT_RECORD_BYTES),
        stream,
    };
    let first = calls.next().await?;
    let first =
        first.ok_or_else(|| Refusal::bad_request("Received EOF while reading request body"))?;
    if first.r#type() != attach_container_input::Type::ContainerId {
        return Err(Refusal::bad_request(
            "Expecting 'attach_container_input.type' to be CONTAINER_ID",
        ));
    }
    let container = key("attach_container_input", first.container_id, false)?;
    let answer = ask(agent, ContainerCall::Attach(container.clone())).await?;
    if answer != ContainerAnswer::Done {
        return plain(answer);
    }
    let board = agent.switchboard(container.clone()).await;
    let board = board.ok_or_else(|| not_found(&container))?;
    let Some(turn) = board.take_input() else {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "Multiple input connections are not allowed",
        ));
    };
    loop {
        let call = tokio::select! {
            call = calls.next() => call?,
            () = turn.input.closed() => break,
        };
        let Some(call) = call else {
            break;
        };
        let Some(piece) = call.process_io.and_then(|io| piece(&io)) else {
            continue;
        };
        if turn.input.send(piece).await.is_err() {
            break;
        }
    }
    Ok(Response::empty(StatusCode::OK))
}

/// What a message says to the process, if anything.
fn piece(io: &ProcessIo) -> Option<ToProcess> {
    match io.r#type() {
        process_io::Type::Data => {
            let data = io.data.as_ref()?;
            if data.r#type() != data::Type::Stdin {
                return None;
            }
            let bytes = data.data.clone().unwrap_or_default();
            Some(if bytes.is_empty() {
                ToProcess::End
            } else {
                ToProcess::Data(bytes)
            })
        }
        process_io::Type::Control => {
            let control = io.control.as_ref()?;
            if control.r#type() != control::Type::TtyInfo {
                return None;
            }
            let size = control.tty_info?.window_size?;
            let bound = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
            Some(ToProcess::Resize(bound(size.rows), bound(size.columns)))
        }
        process_io::Type::Unknown => None,
    }
}

/// The records of an ATTACH_CONTAINER_INPUT.
struct Calls {
    encoding: Encoding,
    decoder: Decoder,
    stream: RequestStream,
}

impl Calls {
    async fn next(&mut self) -> Result<Option<AttachContainerInput>, Refusal> {
        let broken = |error: mesos_sdk::recordio::Error| Refusal::bad_request(error.to_string());
        loop {
            if let Some(record) = self.decoder.next_record().map_err(broken)? {
                let call: Call = self.encoding.decode(&record)?;
                let is_input = call.r#type() == Type::AttachContainerInput;
                let input = call.attach_container_input.filter(|_| is_input);
                let input = input.ok_or_else(|| {
                    Refusal::bad_request(
                        "Failed to validate agent::Call: Expecting 'attach_container_input' to be present",
                    )
                })?;
                return Ok(Some(input));
            }
            match self.stream.chunk().await {
                Some(chunk) => self.decoder.push(chunk),
                None => return Ok(None),
            }
        }
    }
}

async fn ask(agent: &WeakHandle, call: ContainerCall) -> Result<ContainerAnswer, Refusal> {
    let answer = agent.container_call(call).await;
    answer.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The agent has ended"))
}

fn plain(answer: ContainerAnswer) -> Result<Response, Refusal> {
    match answer {
        ContainerAnswer::Done | ContainerAnswer::Ended(_) => Ok(Response::empty(StatusCode::OK)),
        ContainerAnswer::AlreadyThere => Ok(Response::empty(StatusCode::ACCEPTED)),
        ContainerAnswer::Refused(status, text) => {
            let status = StatusCode::from_u16(status);
            Err(Refusal::new(
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                text,
            ))
        }
    }
}

fn not_found(container: &ContainerKey) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("Container {container} cannot be found"),
    )
}

fn invalid(text: impl std::fmt::Display) -> Refusal {
    Refusal::bad_request(format!("Failed to validate agent::Call: {text}"))
}

fn missing(call: &Call) -> Refusal {
    let field = call.r#type().as_str_name().to_lowercase();
    invalid(format!("Expecting '{field}' to be present"))
}

/// The container that a call names, when its id is one
/// (`src/slave/validation.cpp`).
fn key(
    field: &str,
    id: Option<v1::ContainerId>,
    needs_parent: bool,
) -> Result<ContainerKey, Refusal> {
    let id = id.ok_or_else(|| invalid(format!("Expecting '{field}' to be present")))?;
    validate(&id).map_err(|why| invalid(format!("'{field}.container_id' is invalid: {why}")))?;
    if needs_parent && id.parent.is_none() {
        return Err(invalid(format!(
            "Expecting '{field}.container_id.parent' to be present"
        )));
    }
    Ok(ContainerKey::of(&id))
}

fn validate(id: &v1::ContainerId) -> Result<(), String> {
    ids::validate_id(&id.value).map_err(|error| error.to_string())?;
    if id.value.contains(['.', ' ']) {
        return Err(format!(
            "'ContainerID.value' '{}' contains invalid characters",
            id.value
        ));
    }
    match &id.parent {
        Some(parent) => {
            validate(parent).map_err(|why| format!("'ContainerID.parent' is invalid: {why}"))
        }
        None => Ok(()),
    }
}
