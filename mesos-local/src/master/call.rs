//! Calls of schedulers other than SUBSCRIBE: the checks in Mesos's order
//! (`src/master/http.cpp`, `src/master/validation.cpp`), then on to whoever
//! carries the call out.

use mesos_sdk::v1::allocator::inverse_offer_status::Status;
use mesos_sdk::v1::scheduler::{Call, call::Type};

use super::{Master, Reply};
use crate::messages::ToAgent;

impl Master {
    pub(super) fn call(
        &mut self,
        call: Call,
        stream_id: Option<&str>,
        principal: Option<&str>,
    ) -> Reply {
        if let Err(text) = validate(&call) {
            return Reply::new(400, format!("Failed to validate scheduler::Call: {text}"));
        }
        let key = call.framework_id.clone().unwrap_or_default().value;
        if let Err(reply) = self.check_sender(&key, stream_id, principal) {
            return reply;
        }
        self.carry_out(&key, call)
    }

    fn check_sender(
        &self,
        key: &str,
        stream_id: Option<&str>,
        principal: Option<&str>,
    ) -> Result<(), Reply> {
        let refuse = |status, text: &str| Err(Reply::new(status, text));
        let Some(framework) = self.state.frameworks.get(key) else {
            return refuse(400, "Framework cannot be found");
        };
        if let (Some(principal), Some(owner)) = (principal, &framework.info.principal)
            && principal != owner
        {
            return Err(Reply::new(
                400,
                format!(
                    "Authenticated principal '{principal}' does not match principal '{owner}' set in `FrameworkInfo`"
                ),
            ));
        }
        let Some(current) = framework.stream_id.as_deref() else {
            return refuse(403, "Framework is not subscribed");
        };
        let Some(stream_id) = stream_id else {
            return refuse(
                400,
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            );
        };
        if stream_id != current {
            return Err(Reply::new(
                400,
                format!(
                    "The stream ID '{stream_id}' included in this request didn't match the stream ID currently associated with framework ID {key}"
                ),
            ));
        }
        Ok(())
    }

    fn carry_out(&mut self, key: &str, call: Call) -> Reply {
        match call.r#type() {
            Type::Unknown | Type::Subscribe => {
                return Reply::new(501, "Received 'UNKNOWN' call");
            }
            Type::Teardown => self.remove_framework(key),
            Type::Accept => {
                let accept = call.accept.unwrap_or_default();
                self.accept(
                    key,
                    accept.offer_ids,
                    accept.operations,
                    accept.filters.as_ref(),
                );
            }
            Type::Decline => {
                let decline = call.decline.unwrap_or_default();
                self.decline(key, &decline.offer_ids, decline.filters.as_ref());
            }
            Type::AcceptInverseOffers => {
                let accept = call.accept_inverse_offers.unwrap_or_default();
                let filters = accept.filters.as_ref();
                self.answer_inverse_offers(key, &accept.inverse_offer_ids, Status::Accept, filters);
            }
            Type::DeclineInverseOffers => {
                let decline = call.decline_inverse_offers.unwrap_or_default();
                let (ids, filters) = (&decline.inverse_offer_ids, decline.filters.as_ref());
                self.answer_inverse_offers(key, ids, Status::Decline, filters);
            }
            Type::Revive => self.revive(key, &call.revive.unwrap_or_default().roles),
            Type::Suppress => self.suppress(key, &call.suppress.unwrap_or_default().roles),
            Type::Kill => {
                let kill = call.kill.unwrap_or_default();
                self.kill(key, kill.task_id, kill.agent_id, kill.kill_policy);
            }
            Type::Shutdown => {
                let shutdown = call.shutdown.unwrap_or_default();
                let message = ToAgent::ShutdownExecutor {
                    framework_id: call.framework_id.unwrap_or_default(),
                    executor_id: shutdown.executor_id,
                };
                self.send_to_agent(&shutdown.agent_id.value, message);
            }
            Type::Acknowledge => {
                let acknowledge = call.acknowledge.unwrap_or_default();
                self.acknowledge(key, acknowledge);
            }
            Type::AcknowledgeOperationStatus => {
                let acknowledge = call.acknowledge_operation_status.unwrap_or_default();
                self.acknowledge_operation(key, &acknowledge);
            }
            Type::Reconcile => {
                let tasks = call.reconcile.unwrap_or_default().tasks;
                self.reconcile(key, tasks);
            }
            Type::ReconcileOperations => {
                let operations = call.reconcile_operations.unwrap_or_default().operations;
                self.reconcile_operations(key, &operations);
            }
            Type::Message => {
                let message = call.message.unwrap_or_default();
                let forwarded = ToAgent::FrameworkMessage {
                    framework_id: call.framework_id.unwrap_or_default(),
                    executor_id: message.executor_id,
                    data: message.data,
                };
                self.send_to_agent(&message.agent_id.value, forwarded);
            }
            // The built-in allocator of Mesos does not look at requests either.
            Type::Request => {}
            Type::UpdateFramework => return self.update_framework(call),
        }
        Reply::accepted()
    }

    fn revive(&mut self, key: &str, roles: &[String]) {
        if let Some(roles) = self.known_roles(key, roles) {
            if let Some(framework) = self.state.frameworks.get_mut(key) {
                for role in &roles {
                    framework.suppressed.remove(role);
                }
            }
            self.allocator.revive(key, &roles);
            self.forget_inverse_filters(key);
            self.allocate();
        }
    }

    fn suppress(&mut self, key: &str, roles: &[String]) {
        if let Some(roles) = self.known_roles(key, roles) {
            if let Some(framework) = self.state.frameworks.get_mut(key) {
                framework.suppressed.extend(roles.iter().cloned());
            }
            self.allocator.suppress(key, &roles);
        }
    }

    /// The roles that are meant, all when none is named; none at all when one
    /// of them is not the framework's, which drops the call.
    fn known_roles(&self, key: &str, roles: &[String]) -> Option<Vec<String>> {
        let known = self.state.frameworks.get(key)?.roles();
        if roles.is_empty() {
            return Some(known.into_iter().collect());
        }
        roles
            .iter()
            .all(|role| known.contains(role))
            .then(|| roles.to_vec())
    }
}

fn validate(call: &Call) -> Result<(), String> {
    let kind = call.r#type.and_then(|kind| Type::try_from(kind).ok());
    let Some(kind) = kind.filter(|kind| *kind != Type::Unknown) else {
        return Err("Expecting 'type' to be present".to_owned());
    };
    if call.framework_id.is_none() {
        return Err("Expecting 'framework_id' to be present".to_owned());
    }
    let (field, is_present) = match kind {
        Type::Accept => ("accept", call.accept.is_some()),
        Type::Decline => ("decline", call.decline.is_some()),
        Type::AcceptInverseOffers => (
            "accept_inverse_offers",
            call.accept_inverse_offers.is_some(),
        ),
        Type::DeclineInverseOffers => (
            "decline_inverse_offers",
            call.decline_inverse_offers.is_some(),
        ),
        Type::Kill => ("kill", call.kill.is_some()),
        Type::Shutdown => ("shutdown", call.shutdown.is_some()),
        Type::Acknowledge => ("acknowledge", call.acknowledge.is_some()),
        Type::AcknowledgeOperationStatus => (
            "acknowledge_operation_status",
            call.acknowledge_operation_status.is_some(),
        ),
        Type::Reconcile => ("reconcile", call.reconcile.is_some()),
        Type::ReconcileOperations => ("reconcile_operations", call.reconcile_operations.is_some()),
        Type::Message => ("message", call.message.is_some()),
        Type::Request => ("request", call.request.is_some()),
        Type::UpdateFramework => ("update_framework", call.update_framework.is_some()),
        Type::Unknown | Type::Subscribe | Type::Teardown | Type::Revive | Type::Suppress => {
            ("", true)
        }
    };
    if !is_present {
        return Err(format!("Expecting '{field}' to be present"));
    }
    validate_fields(call)
}

fn validate_fields(call: &Call) -> Result<(), String> {
    if let Some(acknowledge) = &call.acknowledge {
        validate_uuid(&acknowledge.uuid)?;
    }
    if let Some(acknowledge) = &call.acknowledge_operation_status {
        validate_uuid(&acknowledge.uuid)?;
        if acknowledge.agent_id.is_none() {
            return Err("Expecting 'agent_id' to be present".to_owned());
        }
    }
    if let Some(update) = &call.update_framework
        && update.framework_info.id != call.framework_id
    {
        return Err("'framework_id' differs from 'update_framework.framework_info.id'".to_owned());
    }
    Ok(())
}

fn validate_uuid(uuid: &[u8]) -> Result<(), String> {
    if uuid.len() == 16 {
        Ok(())
    } else {
        Err("Not a valid UUID".to_owned())
    }
}
