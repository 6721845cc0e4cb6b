//! The endpoints from before the v1 API with which operators change something:
//! what their forms and documents mean as calls of the operator API
//! (`src/master/http.cpp`, `src/master/weights_handler.cpp`,
//! `src/master/quota_handler.cpp`).

use http::{Method, StatusCode};
use mesos_proto::{json, v1};
use mesos_sdk::ids;
use prost::{Message, Name};
use serde_json::Value;
use v1::master::Call;
use v1::master::call::{self, Type};

use crate::cluster::MasterHandle;
use crate::http::path::query_value;
use crate::http::{Refusal, Request, Response};
use crate::views::Snapshot;

/// Those endpoints.
pub(super) const ENDPOINTS: &[&str] = &[
    "create-volumes",
    "destroy-volumes",
    "machine/down",
    "machine/up",
    "maintenance/schedule",
    "maintenance/status",
    "quota",
    "reserve",
    "teardown",
    "unreserve",
    "weights",
];

/// Answers one of them.
pub(super) async fn answer(
    master: &MasterHandle,
    endpoint: &str,
    request: &Request,
) -> Result<Response, Refusal> {
    let methods = methods(endpoint);
    if !methods.contains(&request.method.as_str()) {
        return Ok(Response::none_of_methods(methods, &request.method));
    }
    if request.method == Method::GET || request.method == Method::HEAD {
        let snapshot = master.snapshot(request.principal.clone()).await?;
        return Ok(super::written(request, &shown(endpoint, &snapshot)));
    }
    let call = meant(endpoint, request)?;
    let status = master.operate(call, request.principal.clone()).await?;
    Ok(Response::empty(status))
}

fn methods(endpoint: &str) -> &'static [&'static str] {
    match endpoint {
        "weights" => &["GET", "PUT"],
        "quota" => &["GET", "POST", "DELETE"],
        "maintenance/schedule" => &["GET", "POST"],
        "maintenance/status" => &["GET"],
        _ => &["POST"],
    }
}

fn shown(endpoint: &str, snapshot: &Snapshot) -> Value {
    let operator = &snapshot.operator;
    match endpoint {
        "weights" => operator.weights.iter().map(json::to_value).collect(),
        "quota" => json::to_value(&operator.quota),
        "maintenance/schedule" => json::to_value(&operator.schedule),
        _ => json::to_value(&operator.cluster_status),
    }
}

fn meant(endpoint: &str, request: &Request) -> Result<Call, Refusal> {
    let form = String::from_utf8_lossy(&request.body);
    let form = Form(form.trim());
    let mut call = Call::default();
    let kind = match endpoint {
        "weights" => {
            let weight_infos = list(&request.body)?;
            call.update_weights = Some(call::UpdateWeights { weight_infos });
            Type::UpdateWeights
        }
        "quota" if request.method == Method::DELETE => {
            let role = role_in(&request.path)?;
            call.remove_quota = Some(call::RemoveQuota { role });
            Type::RemoveQuota
        }
        "quota" => {
            let quota_request = message(&request.body)?;
            call.set_quota = Some(call::SetQuota { quota_request });
            Type::SetQuota
        }
        "maintenance/schedule" => {
            let schedule = message(&request.body)?;
            call.update_maintenance_schedule = Some(call::UpdateMaintenanceSchedule { schedule });
            Type::UpdateMaintenanceSchedule
        }
        "machine/down" => {
            let machines = list(&request.body)?;
            call.start_maintenance = Some(call::StartMaintenance { machines });
            Type::StartMaintenance
        }
        "machine/up" => {
            let machines = list(&request.body)?;
            call.stop_maintenance = Some(call::StopMaintenance { machines });
            Type::StopMaintenance
        }
        "teardown" => {
            let framework_id = ids::framework_id(form.value("frameworkId")?);
            call.teardown = Some(call::Teardown { framework_id });
            Type::Teardown
        }
        "reserve" => {
            call.reserve_resources = Some(call::ReserveResources {
                agent_id: form.agent()?,
                source: form.optional_resources("source")?,
                resources: form.resources("resources")?,
            });
            Type::ReserveResources
        }
        "unreserve" => {
            call.unreserve_resources = Some(call::UnreserveResources {
                agent_id: form.agent()?,
                resources: form.resources("resources")?,
            });
            Type::UnreserveResources
        }
        "create-volumes" => {
            call.create_volumes = Some(call::CreateVolumes {
                agent_id: form.agent()?,
                volumes: form.resources("volumes")?,
            });
            Type::CreateVolumes
        }
        _ => {
            call.destroy_volumes = Some(call::DestroyVolumes {
                agent_id: form.agent()?,
                volumes: form.resources("volumes")?,
            });
            Type::DestroyVolumes
        }
    };
    call.set_type(kind);
    Ok(call)
}

/// The body of a request as a form.
struct Form<'a>(&'a str);

impl Form<'_> {
    fn value(&self, name: &str) -> Result<String, Refusal> {
        query_value(self.0, name).ok_or_else(|| {
            Refusal::bad_request(format!(
                "Missing '{name}' query parameter in the request body"
            ))
        })
    }

    fn agent(&self) -> Result<v1::AgentId, Refusal> {
        Ok(ids::agent_id(self.value("slaveId")?))
    }

    fn optional_resources(&self, name: &str) -> Result<Vec<v1::Resource>, Refusal> {
        match query_value(self.0, name) {
            Some(_) => self.resources(name),
            None => Ok(Vec::new()),
        }
    }

    fn resources(&self, name: &str) -> Result<Vec<v1::Resource>, Refusal> {
        list(self.value(name)?.as_bytes()).map_err(|refusal| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                format!(
                    "Error in parsing '{name}' query parameter in the request body: {}",
                    refusal.text
                ),
            )
        })
    }
}

fn message<M: Message + Name + Default>(body: &[u8]) -> Result<M, Refusal> {
    json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn list<M: Message + Name + Default>(body: &[u8]) -> Result<Vec<M>, Refusal> {
    let bad = |error: String| Refusal::bad_request(error);
    let items: Vec<Value> = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    items
        .iter()
        .map(|item| json::from_value(item).map_err(|error| bad(error.to_string())))
        .collect()
}

/// `/quota/<role>`, whose role may have slashes itself.
fn role_in(path: &str) -> Result<String, Refusal> {
    let (_, role) = path.split_once("quota/").unwrap_or_default();
    let role = role.trim_matches('/');
    if role.is_empty() {
        return Err(Refusal::bad_request(format!(
            "Failed to parse remove quota request for path '{path}': expected a role"
        )));
    }
    let decoded = percent_encoding::percent_decode_str(role).decode_utf8();
    Ok(decoded
        .map_err(|_| Refusal::bad_request("the role is not UTF-8"))?
        .into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_removed_by_its_path() {
        assert_eq!(role_in("/quota/db").unwrap(), "db");
        assert_eq!(role_in("/master/quota/a/b/").unwrap(), "a/b");
        assert_eq!(role_in("/quota/a%2Fb").unwrap(), "a/b");
        assert!(role_in("/quota").is_err());
        assert!(role_in("/quota/").is_err());
    }

    #[test]
    fn resources_of_a_form_are_a_list_in_json() {
        let text = r#"slaveId=S0&resources=[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]"#;
        let form = Form(text);
        assert_eq!(form.agent().unwrap(), ids::agent_id("S0"));
        assert_eq!(form.resources("resources").unwrap()[0].name, "cpus");
        assert!(form.optional_resources("source").unwrap().is_empty());
        let missing = form.resources("volumes").unwrap_err();
        assert_eq!(
            missing.text,
            "Missing 'volumes' query parameter in the request body"
        );
    }

    #[test]
    fn lists_of_messages_are_read() {
        let machines: Vec<v1::MachineId> = list(br#"[{"hostname": "a"}]"#).unwrap();
        assert_eq!(machines[0].hostname(), "a");
        assert!(list::<v1::MachineId>(b"{}").is_err());
    }
}
