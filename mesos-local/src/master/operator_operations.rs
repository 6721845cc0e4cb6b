//! Operations that operators ask for, on what no task holds: offers in their
//! way are taken back (RESERVE_RESOURCES and its like; `src/master/http.cpp`).

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::master::{Call, call::Type as CallType};
use mesos_sdk::v1::offer::operation::{self, Type};

use super::operations::check_reserver;
use super::{Master, Reply};
use crate::conversion::{self, Conversion};

impl Master {
    pub(super) fn operate_on_resources(&mut self, call: Call, principal: Option<&str>) -> Reply {
        let Some((agent_id, mut operation)) = operation_of(call) else {
            return Reply::new(400, "Expecting the body of the call");
        };
        let key = agent_id.value;
        let Some(agent) = self.state.agents.get(&key) else {
            return Reply::new(400, "No agent found with specified ID");
        };
        let place = format!(
            "{key} at {} ({})",
            agent.registration.pid, agent.info.hostname
        );
        if let Err(text) = conversion::upgrade(&mut operation) {
            return Reply::new(400, text);
        }
        let checked = Conversion::of(&operation).and_then(|conversion| {
            self.check_call(&key, &operation, &conversion, principal)?;
            Ok(conversion)
        });
        let conversion = match checked {
            Ok(conversion) => conversion.unallocated(),
            Err(text) => return Reply::new(400, refusal(&operation, &place, &text)),
        };
        if self.unauthorized_operation(principal, &operation).is_some() {
            return Reply::forbidden();
        }
        self.make_room(&key, &conversion.consumed);
        let free = self.free_resources(&key);
        if !free.contains(&conversion.consumed) {
            let text = format!("{free} does not contain {}", conversion.consumed);
            return Reply::new(409, text);
        }
        self.allocator
            .convert_free(&key, &conversion.consumed, &conversion.made);
        self.note_total(&key);
        self.send_operation(None, &key, operation);
        Reply::accepted()
    }

    fn check_call(
        &self,
        agent: &str,
        operation: &v1::offer::Operation,
        conversion: &Conversion,
        principal: Option<&str>,
    ) -> Result<(), String> {
        match operation.r#type() {
            Type::Reserve => {
                let mut made = conversion.made.iter();
                if made.any(|item| item.allocation_info.is_some()) {
                    return Err("A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources".to_owned());
                }
                check_reserver(&conversion.made, principal)
            }
            Type::Create => self.check_creation(agent, &conversion.made, principal),
            Type::Destroy => self.check_destruction(agent, &conversion.consumed),
            _ => Ok(()),
        }
    }

    /// Takes back one offer after the other as long as that helps.
    fn make_room(&mut self, agent: &str, wanted: &Resources) {
        let offers: Vec<String> = match self.state.agents.get(agent) {
            Some(agent) => agent.offers.iter().cloned().collect(),
            None => return,
        };
        let mut missing = wanted.clone();
        let mut recovered = Resources::new();
        for key in offers {
            let Some(offer) = self.state.offers.get(&key).cloned() else {
                continue;
            };
            let offered = offer.resources.unallocate();
            let less = missing.clone() - &offered;
            if less == missing {
                continue;
            }
            missing = less;
            recovered += offered;
            self.rescind_offer(&key);
            // It is not offered the same again before this is done.
            self.allocator.refuse(
                self.now,
                &offer.framework,
                &offer.role,
                &offer.agent,
                &offer.resources,
                None,
            );
            if recovered.contains(wanted) {
                break;
            }
        }
    }

    fn free_resources(&self, agent: &str) -> Resources {
        let total = self.allocator.agent_total(agent).cloned();
        let allocated = self.allocator.agent_allocated(agent).cloned();
        total.unwrap_or_default() - allocated.unwrap_or_default().unallocate()
    }
}

/// The operation that a call asks for, and on which agent.
fn operation_of(call: Call) -> Option<(v1::AgentId, v1::offer::Operation)> {
    let mut operation = v1::offer::Operation::default();
    let (agent_id, kind) = match call.r#type() {
        CallType::ReserveResources => {
            let call = call.reserve_resources?;
            operation.reserve = Some(operation::Reserve {
                source: call.source,
                resources: call.resources,
            });
            (call.agent_id, Type::Reserve)
        }
        CallType::UnreserveResources => {
            let call = call.unreserve_resources?;
            operation.unreserve = Some(operation::Unreserve {
                resources: call.resources,
            });
            (call.agent_id, Type::Unreserve)
        }
        CallType::CreateVolumes => {
            let call = call.create_volumes?;
            operation.create = Some(operation::Create {
                volumes: call.volumes,
            });
            (call.agent_id, Type::Create)
        }
        CallType::DestroyVolumes => {
            let call = call.destroy_volumes?;
            operation.destroy = Some(operation::Destroy {
                volumes: call.volumes,
            });
            (call.agent_id, Type::Destroy)
        }
        CallType::GrowVolume => {
            let call = call.grow_volume?;
            operation.grow_volume = Some(operation::GrowVolume {
                volume: call.volume,
                addition: call.addition,
            });
            (call.agent_id.unwrap_or_default(), Type::GrowVolume)
        }
        _ => {
            let call = call.shrink_volume?;
            operation.shrink_volume = Some(operation::ShrinkVolume {
                volume: call.volume,
                subtract: call.subtract,
            });
            (call.agent_id.unwrap_or_default(), Type::ShrinkVolume)
        }
    };
    operation.set_type(kind);
    Some((agent_id, operation))
}

fn refusal(operation: &v1::offer::Operation, agent: &str, text: &str) -> String {
    let kind = operation.r#type().as_str_name();
    match operation.r#type() {
        Type::Unreserve | Type::Destroy => format!("Invalid {kind} operation: {text}"),
        _ => format!("Invalid {kind} operation on agent {agent}: {text}"),
    }
}
