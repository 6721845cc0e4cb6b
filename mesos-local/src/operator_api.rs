//! `POST /api/v1` of the master: reading the cluster's state, watching it, and
//! the few calls that change it.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::master::call::Type;
use mesos_sdk::v1::master::response::{self, Type as Answer};
use mesos_sdk::v1::master::{Call, Response as Message};
use serde_json::Value;

use crate::cluster::MasterHandle;
use crate::http::negotiate::{Encoding, accepted, decode_call};
use crate::http::stream::event_stream;
use crate::http::{Refusal, Request, Response};
use crate::security::Action;
use crate::views::{self, Snapshot, Viewer};

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
    validate(&call)?;
    let encoding = accepted(&request.headers)?;
    match call.r#type() {
        Type::Subscribe => {
            let connection = master.next_connection();
            let told = master.clone();
            let (events, body) =
                event_stream(request.peer, master.stream_buffer_bytes(), move || {
                    told.disconnected(connection);
                });
            master
                .watch(connection, request.principal, (encoding, events))
                .await?;
            let mut response = Response::empty(StatusCode::OK).with(
                header::CONTENT_TYPE,
                HeaderValue::from_static(encoding.media_type()),
            );
            response.body = body;
            Ok(response)
        }
        kind if is_read(kind) => {
            let snapshot = master.snapshot(request.principal).await?;
            if kind == Type::GetFlags && !snapshot.viewer.may(Action::ViewFlags, None) {
                return Err(Refusal::forbidden());
            }
            Ok(Response::content(
                StatusCode::OK,
                encoding.media_type(),
                written(encoding, &read(kind, &snapshot)),
            ))
        }
        Type::ListFiles => {
            let path = call.list_files.unwrap_or_default().path;
            let snapshot = master.snapshot(request.principal).await?;
            let message = list_files(&snapshot.viewer, &path)?;
            Ok(encoding.response(&message))
        }
        Type::ReadFile => {
            let path = call.read_file.unwrap_or_default().path;
            let snapshot = master.snapshot(request.principal).await?;
            let message = read_file(&snapshot.viewer, &path)?;
            Ok(encoding.response(&message))
        }
        _ => {
            let status = master.operate(call, request.principal).await?;
            Ok(Response::empty(status))
        }
    }
}

/// `master::validation::master::call::validate`: a type, and what it needs.
fn validate(call: &Call) -> Result<(), Refusal> {
    let missing = |name: &str| Err(invalid(format!("Expecting '{name}' to be present")));
    if call.r#type.is_none() {
        return missing("type");
    }
    match call.r#type() {
        Type::GetMetrics if call.get_metrics.is_none() => missing("get_metrics"),
        Type::SetLoggingLevel if call.set_logging_level.is_none() => missing("set_logging_level"),
        Type::ListFiles if call.list_files.is_none() => missing("list_files"),
        Type::ReadFile if call.read_file.is_none() => missing("read_file"),
        Type::UpdateWeights if call.update_weights.is_none() => missing("update_weights"),
        Type::ReserveResources if call.reserve_resources.is_none() => missing("reserve_resources"),
        Type::UnreserveResources if call.unreserve_resources.is_none() => {
            missing("unreserve_resources")
        }
        Type::CreateVolumes if call.create_volumes.is_none() => missing("create_volumes"),
        Type::DestroyVolumes if call.destroy_volumes.is_none() => missing("destroy_volumes"),
        Type::GrowVolume if call.grow_volume.is_none() => missing("grow_volume"),
        Type::ShrinkVolume if call.shrink_volume.is_none() => missing("shrink_volume"),
        Type::UpdateMaintenanceSchedule if call.update_maintenance_schedule.is_none() => {
            missing("update_maintenance_schedule")
        }
        Type::StartMaintenance if call.start_maintenance.is_none() => missing("start_maintenance"),
        Type::StopMaintenance if call.stop_maintenance.is_none() => missing("stop_maintenance"),
        Type::DrainAgent if call.drain_agent.is_none() => missing("drain_agent"),
        Type::DeactivateAgent if call.deactivate_agent.is_none() => missing("deactivate_agent"),
        Type::ReactivateAgent if call.reactivate_agent.is_none() => missing("reactivate_agent"),
        Type::SetQuota if call.set_quota.is_none() => missing("set_quota"),
        Type::UpdateQuota if call.update_quota.is_none() => missing("update_quota"),
        Type::RemoveQuota if call.remove_quota.is_none() => missing("remove_quota"),
        Type::Teardown if call.teardown.is_none() => missing("teardown"),
        Type::MarkAgentGone if call.mark_agent_gone.is_none() => missing("mark_agent_gone"),
        Type::ReserveResources => {
            let call = call.reserve_resources.iter();
            validate_resources(call.flat_map(|call| &call.resources))
        }
        Type::UnreserveResources => {
            let call = call.unreserve_resources.iter();
            validate_resources(call.flat_map(|call| &call.resources))
        }
        Type::GrowVolume => agent_id(call.grow_volume.iter().any(|call| call.agent_id.is_some())),
        Type::ShrinkVolume => agent_id(
            call.shrink_volume
                .iter()
                .any(|call| call.agent_id.is_some()),
        ),
        _ => Ok(()),
    }
}

fn invalid(text: impl Display) -> Refusal {
    Refusal::bad_request(format!("Failed to validate master::Call: {text}"))
}

fn validate_resources<'a>(
    resources: impl Iterator<Item = &'a v1::Resource>,
) -> Result<(), Refusal> {
    for resource in resources {
        Resources::validate(std::slice::from_ref(resource)).map_err(invalid)?;
    }
    Ok(())
}

fn agent_id(is_there: bool) -> Result<(), Refusal> {
    if is_there {
        return Ok(());
    }
    Err(invalid(
        "Expecting 'agent_id' to be present; only agent default resources are supported right now",
    ))
}

/// Whether the answer follows from a snapshot.
fn is_read(kind: Type) -> bool {
    matches!(
        kind,
        Type::GetHealth
            | Type::GetFlags
            | Type::GetVersion
            | Type::GetMetrics
            | Type::GetLoggingLevel
            | Type::GetState
            | Type::GetAgents
            | Type::GetFrameworks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetTasks
            | Type::GetRoles
            | Type::GetWeights
            | Type::GetMaster
            | Type::GetMaintenanceStatus
            | Type::GetMaintenanceSchedule
            | Type::GetQuota
    )
}

fn read(kind: Type, snapshot: &Snapshot) -> Message {
    let mut message = Message::default();
    let answer = match kind {
        Type::GetHealth => {
            message.get_health = Some(response::GetHealth { healthy: true });
            Answer::GetHealth
        }
        Type::GetFlags => {
            message.get_flags = Some(response::GetFlags {
                flags: flags(&snapshot.flags),
            });
            Answer::GetFlags
        }
        Type::GetVersion => {
            message.get_version = Some(response::GetVersion {
                version_info: snapshot.version.clone(),
            });
            Answer::GetVersion
        }
        Type::GetMetrics => {
            message.get_metrics = Some(response::GetMetrics {
                metrics: metrics(views::metrics(snapshot)),
            });
            Answer::GetMetrics
        }
        Type::GetLoggingLevel => {
            message.get_logging_level = Some(response::GetLoggingLevel {
                level: snapshot.operator.logging_level,
            });
            Answer::GetLoggingLevel
        }
        Type::GetState => {
            message.get_state = Some(snapshot.state.clone());
            Answer::GetState
        }
        Type::GetAgents => {
            message.get_agents = snapshot.state.get_agents.clone();
            Answer::GetAgents
        }
        Type::GetFrameworks => {
            message.get_frameworks = snapshot.state.get_frameworks.clone();
            Answer::GetFrameworks
        }
        Type::GetExecutors => {
            message.get_executors = snapshot.state.get_executors.clone();
            Answer::GetExecutors
        }
        Type::GetOperations => {
            message.get_operations = Some(response::GetOperations {
                operations: snapshot.operator.operations.clone(),
            });
            Answer::GetOperations
        }
        Type::GetTasks => {
            message.get_tasks = snapshot.state.get_tasks.clone();
            Answer::GetTasks
        }
        Type::GetRoles => {
            message.get_roles = Some(response::GetRoles {
                roles: views::role_messages(snapshot),
            });
            Answer::GetRoles
        }
        Type::GetMaster => {
            message.get_master = Some(response::GetMaster {
                master_info: Some(snapshot.master.clone()),
                start_time: Some(snapshot.start_time),
                elected_time: Some(snapshot.elected_time),
            });
            Answer::GetMaster
        }
        Type::GetMaintenanceStatus => {
            message.get_maintenance_status = Some(response::GetMaintenanceStatus {
                status: snapshot.operator.cluster_status.clone(),
            });
            Answer::GetMaintenanceStatus
        }
        Type::GetMaintenanceSchedule => {
            message.get_maintenance_schedule = Some(response::GetMaintenanceSchedule {
                schedule: snapshot.operator.schedule.clone(),
            });
            Answer::GetMaintenanceSchedule
        }
        Type::GetQuota => {
            message.get_quota = Some(response::GetQuota {
                status: snapshot.operator.quota.clone(),
            });
            Answer::GetQuota
        }
        _ => {
            let weight_infos = snapshot.operator.weights.clone();
            // A master answers with the type alone when no weight was set.
            message.get_weights =
                (!weight_infos.is_empty()).then_some(response::GetWeights { weight_infos });
            Answer::GetWeights
        }
    };
    message.set_type(answer);
    message
}

/// The master keeps no files; its log, which a master always has, is empty.
fn check_file(viewer: &Viewer, path: &str) -> Result<(), Refusal> {
    if path == "/master/log" && viewer.may(Action::AccessMesosLogs, None) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::NOT_FOUND, ""))
}

fn read_file(viewer: &Viewer, path: &str) -> Result<Message, Refusal> {
    check_file(viewer, path)?;
    let mut message = Message {
        read_file: Some(response::ReadFile::default()),
        ..Message::default()
    };
    message.set_type(Answer::ReadFile);
    Ok(message)
}

fn list_files(viewer: &Viewer, path: &str) -> Result<Message, Refusal> {
    check_file(viewer, path)?;
    let mut message = Message {
        list_files: Some(response::ListFiles::default()),
        ..Message::default()
    };
    message.set_type(Answer::ListFiles);
    Ok(message)
}

/// Lists that a master prints in JSON even when they are empty.
const LISTS: &[(&str, &[&str])] = &[
    (
        "get_tasks",
        &["tasks", "unreachable_tasks", "completed_tasks"],
    ),
    ("get_executors", &["executors"]),
    ("get_frameworks", &["frameworks", "completed_frameworks"]),
    ("get_agents", &["agents", "recovered_agents"]),
];

/// Writes a message that shows state, in JSON with its empty lists.
pub(crate) fn written<M: prost::Message + prost::Name + Default>(
    encoding: Encoding,
    message: &M,
) -> Bytes {
    written_with(encoding, message, LISTS)
}

/// Writes a message, in JSON with the lists of each part even when empty.
pub(crate) fn written_with<M: prost::Message + prost::Name + Default>(
    encoding: Encoding,
    message: &M,
    lists: &[(&str, &[&str])],
) -> Bytes {
    let plain = encoding.encode(message);
    if encoding == Encoding::Protobuf {
        return plain;
    }
    let Ok(mut value) = serde_json::from_slice(&plain) else {
        return plain;
    };
    fill(&mut value, lists);
    value.to_string().into()
}

fn fill(value: &mut Value, lists: &[(&str, &[&str])]) {
    let Value::Object(object) = value else {
        return;
    };
    for part in ["get_state", "subscribed"] {
        if let Some(inner) = object.get_mut(part) {
            fill(inner, lists);
        }
    }
    for (name, lists) in lists {
        if let Some(Value::Object(part)) = object.get_mut(*name) {
            for list in *lists {
                part.entry(*list)
                    .or_insert_with(|| Value::Array(Vec::new()));
            }
        }
    }
}

fn flags(flags: &BTreeMap<String, String>) -> Vec<v1::Flag> {
    let flag = |(name, value): (&String, &String)| v1::Flag {
        name: name.clone(),
        value: Some(value.clone()),
    };
    flags.iter().map(flag).collect()
}

fn metrics(metrics: BTreeMap<String, f64>) -> Vec<v1::Metric> {
    let metric = |(name, value)| v1::Metric {
        name,
        value: Some(value),
    };
    metrics.into_iter().map(metric).collect()
}
