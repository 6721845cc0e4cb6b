//! The agent's HTTP endpoints: a function from a request to a response.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use mesos_proto::json;
use mesos_sdk::v1;
use serde_json::{Map, Value};
use v1::agent::call::Type;
use v1::agent::response::{
    GetFlags, GetHealth, GetLoggingLevel, GetMetrics, GetOperations, GetResourceProviders,
    GetVersion, ListFiles, ReadFile, Type as Answer,
};
use v1::agent::{Call, Response as Message};

use crate::agent::files::{Files, FilesError, mode_text};
use crate::agent::usage::{System, Usage};
use crate::agent::views::{self, Container};
use crate::agent::{Agent, AgentConfig};
use crate::agent::{container_api, executor_api};
use crate::http::negotiate::{accepted, decode_call};
use crate::http::path::endpoint;
use crate::http::{Body, Handler, Refusal, Request, Response};
use crate::logging;
use crate::operator_api::written_with;
use crate::security::Realm;
use crate::time::Timestamp;
use crate::version;

use super::shell::WeakHandle;

/// The name of the agent's process, under which every endpoint answers too.
const PROCESS: &str = "slave(1)";

const ENDPOINTS: &[&str] = &[
    "api/v1",
    "api/v1/executor",
    "containers",
    "flags",
    "health",
    "state",
];

/// Endpoints of processes of their own.
const OWN: &[&str] = &[
    "files/browse",
    "files/browse.json",
    "files/debug",
    "files/download",
    "files/download.json",
    "files/read",
    "files/read.json",
    "metrics/snapshot",
    "monitor/statistics",
    "monitor/statistics.json",
    "version",
];

/// Lists that an agent prints in JSON even when they are empty.
const LISTS: &[(&str, &[&str])] = &[
    (
        "get_tasks",
        &[
            "pending_tasks",
            "queued_tasks",
            "launched_tasks",
            "terminated_tasks",
            "completed_tasks",
        ],
    ),
    ("get_executors", &["executors", "completed_executors"]),
    ("get_frameworks", &["frameworks", "completed_frameworks"]),
];

/// Answers the requests of one agent. It does not keep the agent alive.
#[derive(Debug, Clone)]
pub(crate) struct AgentApi {
    agent: WeakHandle,
    config: Arc<AgentConfig>,
}

/// What one has to be known for to ask for a path.
pub(crate) fn realm(path: &str) -> Option<Realm> {
    match endpoint(path, PROCESS, ENDPOINTS, OWN)? {
        "health" | "version" | "api/v1/executor" => None,
        "api/v1" => Some(Realm::AgentReadwrite),
        _ => Some(Realm::AgentReadonly),
    }
}

impl Handler for AgentApi {
    async fn handle(&self, request: Request) -> Response {
        match self.answer(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.into(),
        }
    }
}

impl From<FilesError> for Refusal {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::NotFound => Self::new(StatusCode::NOT_FOUND, ""),
            FilesError::Invalid(text) => Self::bad_request(text),
            FilesError::Broken(text) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, text),
        }
    }
}

impl AgentApi {
    pub(crate) fn new(agent: WeakHandle, config: Arc<AgentConfig>) -> Self {
        Self { agent, config }
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Refusal> {
        let Some(endpoint) = endpoint(&request.path, PROCESS, ENDPOINTS, OWN) else {
            return Ok(Response::not_found());
        };
        if endpoint == "api/v1/executor" {
            return executor_api::answer(&self.agent, &self.config, request).await;
        }
        if let Some(stream) = request.stream.take() {
            return match endpoint {
                "api/v1" if request.method == Method::POST => {
                    container_api::input(&self.agent, &request.headers, stream).await
                }
                _ => Err(Refusal::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "Expecting 'Content-Type' of application/json or application/x-protobuf",
                )),
            };
        }
        let request = &request;
        if endpoint == "api/v1" {
            if request.method != Method::POST {
                return Ok(Response::method_not_allowed("POST", &request.method));
            }
            return self.call(request).await;
        }
        match endpoint {
            "containers" => {
                let containers = self.containers(false).await?;
                Ok(json_response(&views::containers_json(&containers)))
            }
            "monitor/statistics" | "monitor/statistics.json" => {
                let containers = self.containers(false).await?;
                Ok(json_response(&views::statistics_json(&containers)))
            }
            "flags" => {
                let flags = self.ask(|agent, _| views::flags(agent)).await?;
                Ok(json_response(&serde_json::json!({ "flags": flags })))
            }
            "health" => Ok(Response::empty(StatusCode::OK)),
            "metrics/snapshot" => {
                let metrics = self.metrics().await?;
                Ok(json_response(&serde_json::json!(metrics)))
            }
            "state" => {
                let version = version::info();
                let state = self.ask(move |agent, _| views::state(agent, &version));
                Ok(json_response(&state.await?))
            }
            "version" => Ok(json_response(&json::to_value(&version::info()))),
            "files/debug" => Ok(json_response(&self.attached().await?)),
            files => {
                let path = request
                    .query_value("path")
                    .filter(|path| !path.is_empty())
                    .ok_or_else(|| Refusal::bad_request("Expecting 'path=value' in query.\n"))?;
                let agent_id = self.agent_id().await?;
                let files_of = self.files(agent_id.as_deref());
                match files {
                    "files/browse" | "files/browse.json" => browse(&files_of, &path),
                    "files/download" | "files/download.json" => download(&files_of, &path),
                    _ => read(&files_of, &path, request),
                }
            }
        }
    }

    async fn call(&self, request: &Request) -> Result<Response, Refusal> {
        let mut call: Call = decode_call(&request.headers, &request.body)?;
        validate(&call)?;
        if let Some(response) = container_api::answer(&self.agent, request, &mut call).await {
            return response;
        }
        let encoding = accepted(&request.headers)?;
        let mut message = Message::default();
        let answer = match call.r#type() {
            Type::GetHealth => {
                message.get_health = Some(GetHealth { healthy: true });
                Answer::GetHealth
            }
            Type::GetFlags => {
                let flags = self.ask(|agent, _| views::flags(agent)).await?;
                let flag = |(name, value)| v1::Flag {
                    name,
                    value: Some(value),
                };
                message.get_flags = Some(GetFlags {
                    flags: flags.into_iter().map(flag).collect(),
                });
                Answer::GetFlags
            }
            Type::GetVersion => {
                message.get_version = Some(GetVersion {
                    version_info: version::info(),
                });
                Answer::GetVersion
            }
            Type::GetMetrics => {
                let metric = |(name, value)| v1::Metric {
                    name,
                    value: Some(value),
                };
                message.get_metrics = Some(GetMetrics {
                    metrics: self.metrics().await?.into_iter().map(metric).collect(),
                });
                Answer::GetMetrics
            }
            Type::GetLoggingLevel => {
                let level = self.ask(|agent, _| agent.logging_level()).await?;
                message.get_logging_level = Some(GetLoggingLevel { level });
                Answer::GetLoggingLevel
            }
            Type::SetLoggingLevel => {
                let wanted = call.set_logging_level.unwrap_or_default();
                logging::validate(wanted.level).map_err(Refusal::bad_request)?;
                self.agent.set_logging_level(wanted.level, wanted.duration);
                return Ok(Response::empty(StatusCode::OK));
            }
            Type::ListFiles => {
                let agent_id = self.agent_id().await?;
                let path = call.list_files.unwrap_or_default().path;
                let file_infos = self.files(agent_id.as_deref()).list(&path)?;
                message.list_files = Some(ListFiles { file_infos });
                Answer::ListFiles
            }
            Type::ReadFile => {
                let agent_id = self.agent_id().await?;
                let wanted = call.read_file.unwrap_or_default();
                let files = self.files(agent_id.as_deref());
                let piece = files.read(&wanted.path, wanted.offset, wanted.length)?;
                message.read_file = Some(ReadFile {
                    size: piece.size,
                    data: piece.data,
                });
                Answer::ReadFile
            }
            Type::GetState => {
                message.get_state = Some(self.ask(|agent, _| views::get_state(agent)).await?);
                Answer::GetState
            }
            Type::GetContainers => {
                let wanted = call.get_containers.unwrap_or_default();
                let containers = self.containers(wanted.show_nested()).await?;
                message.get_containers = Some(views::get_containers(containers));
                Answer::GetContainers
            }
            Type::GetFrameworks => {
                let frameworks = self.ask(|agent, _| views::get_frameworks(agent)).await?;
                message.get_frameworks = Some(frameworks);
                Answer::GetFrameworks
            }
            Type::GetExecutors => {
                let executors = self.ask(|agent, _| views::get_executors(agent)).await?;
                message.get_executors = Some(executors);
                Answer::GetExecutors
            }
            Type::GetOperations => {
                let operations = self.ask(|agent, _| views::operations(agent)).await?;
                message.get_operations = Some(GetOperations { operations });
                Answer::GetOperations
            }
            Type::GetTasks => {
                message.get_tasks = Some(self.ask(|agent, _| views::get_tasks(agent)).await?);
                Answer::GetTasks
            }
            Type::GetAgent => {
                message.get_agent = Some(self.ask(|agent, _| views::get_agent(agent)).await?);
                Answer::GetAgent
            }
            Type::GetResourceProviders => {
                message.get_resource_providers = Some(GetResourceProviders::default());
                Answer::GetResourceProviders
            }
            other => return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, lacking(other))),
        };
        message.r#type = Some(answer.into());
        Ok(Response::content(
            StatusCode::OK,
            encoding.media_type(),
            written_with(encoding, &message, LISTS),
        ))
    }

    async fn ask<T, F>(&self, question: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Agent, Timestamp) -> T + Send + 'static,
    {
        let answer = self.agent.ask(question).await;
        answer.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The agent has ended"))
    }

    async fn agent_id(&self) -> Result<Option<String>, Refusal> {
        self.ask(|agent, _| agent.id().map(|id| id.value.clone()))
            .await
    }

    fn files<'a>(&'a self, agent_id: Option<&'a str>) -> Files<'a> {
        Files {
            work_dir: &self.config.work_dir,
            agent_id,
        }
    }

    async fn containers(&self, with_nested: bool) -> Result<Vec<Container>, Refusal> {
        let (containers, now) = self
            .ask(move |agent, now| (views::containers(agent, with_nested), now))
            .await?;
        Ok(views::with_usage(containers, now, Usage::of_group))
    }

    async fn metrics(&self) -> Result<BTreeMap<String, f64>, Refusal> {
        let system = System::now();
        self.ask(move |agent, now| views::metrics(agent, now, &system))
            .await
    }

    /// Virtual paths and what they stand for.
    async fn attached(&self) -> Result<Value, Refusal> {
        let sandboxes = self.ask(|agent, _| views::sandboxes(agent)).await?;
        let paths: Map<String, Value> = sandboxes
            .into_iter()
            .map(|(path, directory)| (path, Value::String(directory)))
            .collect();
        Ok(paths.into())
    }
}

/// What an agent of this kind does not have.
fn lacking(kind: Type) -> String {
    let name = kind.as_str_name();
    match kind {
        Type::PruneImages => {
            format!("mesos-local has no image store: {name} is not supported")
        }
        Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig
        | Type::MarkResourceProviderGone => {
            format!("mesos-local has no storage plugins: {name} is not supported")
        }
        _ => format!("mesos-local knows no call of type {name}"),
    }
}

/// `agent::validation::agent::call::validate`: a type, and what it needs.
fn validate(call: &Call) -> Result<(), Refusal> {
    let missing = match call.r#type() {
        _ if call.r#type.is_none() => "type",
        Type::GetMetrics if call.get_metrics.is_none() => "get_metrics",
        Type::SetLoggingLevel if call.set_logging_level.is_none() => "set_logging_level",
        Type::ListFiles if call.list_files.is_none() => "list_files",
        Type::ReadFile if call.read_file.is_none() => "read_file",
        Type::AttachContainerInput if call.attach_container_input.is_none() => {
            "attach_container_input"
        }
        Type::AddResourceProviderConfig if call.add_resource_provider_config.is_none() => {
            "add_resource_provider_config"
        }
        Type::UpdateResourceProviderConfig if call.update_resource_provider_config.is_none() => {
            "update_resource_provider_config"
        }
        Type::RemoveResourceProviderConfig if call.remove_resource_provider_config.is_none() => {
            "remove_resource_provider_config"
        }
        Type::MarkResourceProviderGone if call.mark_resource_provider_gone.is_none() => {
            "mark_resource_provider_gone"
        }
        _ => return Ok(()),
    };
    Err(Refusal::bad_request(format!(
        "Failed to validate agent::Call: Expecting '{missing}' to be present"
    )))
}

fn json_response(value: &Value) -> Response {
    Response::json(value.to_string())
}

fn browse(files: &Files<'_>, path: &str) -> Result<Response, Refusal> {
    let show = |info: v1::FileInfo| {
        let nanoseconds = info.mtime.map_or(0, |time| time.nanoseconds);
        serde_json::json!({
            "gid": info.gid,
            "mode": mode_text(info.mode.unwrap_or_default()),
            "mtime": (nanoseconds / 1_000_000_000) as f64,
            "nlink": info.nlink,
            "path": info.path,
            "size": info.size,
            "uid": info.uid,
        })
    };
    let infos: Value = files.list(path)?.into_iter().map(show).collect();
    Ok(json_response(&infos))
}

fn read(files: &Files<'_>, path: &str, request: &Request) -> Result<Response, Refusal> {
    let offset = number(request, "offset")?;
    let length = number(request, "length")?.and_then(|length| u64::try_from(length).ok());
    // Without an offset, or with -1, only the size is told.
    let Some(offset) = offset.and_then(|offset| u64::try_from(offset).ok()) else {
        let size = files.read(path, 0, Some(0))?.size;
        return Ok(read_response(size, b""));
    };
    let piece = files.read(path, offset, length)?;
    Ok(read_response(offset, &piece.data))
}

/// A number of the query, at least -1.
fn number(request: &Request, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = request.query_value(name) else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(number) if number >= -1 => Ok(Some(number)),
        Ok(number) => Err(Refusal::bad_request(format!(
            "Negative {name} provided: {number}.\n"
        ))),
        Err(_) => Err(Refusal::bad_request(format!(
            "Failed to parse {name}: Failed to convert '{text}' to number.\n"
        ))),
    }
}

/// A piece as a JSON string. Bytes that are no text pass as they are, so that
/// pieces cut anywhere give the file when they are put together.
fn read_response(offset: u64, data: &[u8]) -> Response {
    let mut body = b"{\"data\":\"".to_vec();
    for byte in data {
        match byte {
            b'"' => body.extend(b"\\\""),
            b'\\' => body.extend(b"\\\\"),
            b'\n' => body.extend(b"\\n"),
            b'\r' => body.extend(b"\\r"),
            b'\t' => body.extend(b"\\t"),
            0..0x20 | 0x7f => body.extend(format!("\\u{byte:04x}").into_bytes()),
            _ => body.push(*byte),
        }
    }
    body.extend(format!("\",\"offset\":{offset}}}").into_bytes());
    Response::json(body)
}

fn download(files: &Files<'_>, path: &str) -> Result<Response, Refusal> {
    let (file, size) = files.open_file(path, "Cannot download a directory.\n")?;
    let mut response = Response::empty(StatusCode::OK);
    response.body = Body::file(file, size);
    let name = Path::new(path).file_name().unwrap_or_default();
    let attachment = format!("attachment; filename={}", name.to_string_lossy());
    response = response.with(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if let Ok(attachment) = HeaderValue::from_str(&attachment) {
        response = response.with(header::CONTENT_DISPOSITION, attachment);
    }
    Ok(response)
}
