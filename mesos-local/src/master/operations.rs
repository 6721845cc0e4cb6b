//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME on what
//! remains of an offer, and the feedback for those that have an id
//! (`docs/reservation.md`, `docs/persistent-volume.md`,
//! `docs/operations.md`).

use mesos_sdk::resources::{Resources, Scalar, is_unreserved};
use mesos_sdk::v1;
use mesos_sdk::v1::offer::operation::Type;
use mesos_sdk::v1::scheduler::call;

use super::accept::Acceptance;
use super::{Master, events};
use crate::messages::ToAgent;

impl Master {
    /// Applies one operation, or drops it and says why.
    pub(super) fn convert(
        &mut self,
        acceptance: &mut Acceptance,
        operation: &v1::offer::Operation,
    ) {
        let authorized = self.authorize_reservation(&acceptance.framework, operation);
        let conversion = authorized.and_then(|()| conversion(operation));
        match conversion.and_then(|(consumed, made)| {
            if acceptance.remaining.contains(&consumed) {
                Ok((consumed, made))
            } else {
                Err(format!(
                    "{} does not contain {consumed}",
                    acceptance.remaining
                ))
            }
        }) {
            Ok((consumed, made)) => self.apply_conversion(acceptance, operation, &consumed, made),
            Err(message) => {
                let framework = acceptance.framework.clone();
                self.refuse_operation(&framework, operation, None, message);
            }
        }
    }

    fn apply_conversion(
        &mut self,
        acceptance: &mut Acceptance,
        operation: &v1::offer::Operation,
        consumed: &Resources,
        made: Resources,
    ) {
        self.allocator.convert(&acceptance.agent, consumed, &made);
        acceptance.remaining -= consumed;
        acceptance.remaining += &made;
        acceptance.converted -= consumed;
        acceptance.converted += made;
        if let (Some(total), Some(agent)) = (
            self.allocator.agent_total(&acceptance.agent),
            self.state.agents.get_mut(&acceptance.agent),
        ) {
            agent.total = total.clone();
            let kept = total.filter(|item| !is_unreserved(item) || item.disk.is_some());
            let message = ToAgent::CheckpointResources {
                resources: kept.into_vec(),
            };
            self.send_to_agent(&acceptance.agent.clone(), message);
        }
        self.confirm_operation(acceptance, operation);
    }

    fn confirm_operation(&mut self, acceptance: &Acceptance, operation: &v1::offer::Operation) {
        let Some(id) = &operation.id else {
            return;
        };
        let status = v1::OperationStatus {
            operation_id: Some(id.clone()),
            state: v1::OperationState::OperationFinished as i32,
            uuid: Some(v1::Uuid {
                value: self.random.uuid_bytes(),
            }),
            agent_id: Some(mesos_sdk::ids::agent_id(&acceptance.agent)),
            ..Default::default()
        };
        if let Some(framework) = self.state.frameworks.get_mut(&acceptance.framework) {
            framework
                .operations
                .insert(id.value.clone(), status.clone());
        }
        self.send(&acceptance.framework, events::operation_update(status));
    }

    /// Tells the framework that an operation failed, if it asked to be told.
    pub(super) fn refuse_operation(
        &mut self,
        framework: &str,
        operation: &v1::offer::Operation,
        agent_id: Option<v1::AgentId>,
        message: String,
    ) {
        self.notice(format!(
            "dropped a {} operation of framework {framework}: {message}",
            operation.r#type().as_str_name()
        ));
        if let Some(id) = &operation.id {
            let status = v1::OperationStatus {
                operation_id: Some(id.clone()),
                state: v1::OperationState::OperationError as i32,
                message: Some(message),
                agent_id,
                ..Default::default()
            };
            self.send(framework, events::operation_update(status));
        }
    }

    /// Whether operations of an agent are not over.
    pub(super) fn has_operations(&self, _agent: &str) -> bool {
        false
    }

    pub(super) fn acknowledge_operation(
        &mut self,
        framework: &str,
        acknowledge: &call::AcknowledgeOperationStatus,
    ) {
        let Some(framework) = self.state.frameworks.get_mut(framework) else {
            return;
        };
        let id = &acknowledge.operation_id.value;
        let is_current = framework.operations.get(id).is_some_and(|status| {
            status.uuid.as_ref().map(|uuid| &uuid.value) == Some(&acknowledge.uuid)
        });
        if is_current {
            framework.operations.remove(id);
        }
    }

    /// Answers with what is known of operations: all of them when none is named.
    pub(super) fn reconcile_operations(
        &mut self,
        framework: &str,
        asked: &[call::reconcile_operations::Operation],
    ) {
        let Some(known) = self.state.frameworks.get(framework) else {
            return;
        };
        let told = |status: &v1::OperationStatus| v1::OperationStatus {
            uuid: None,
            ..status.clone()
        };
        let answers: Vec<v1::OperationStatus> = if asked.is_empty() {
            known.operations.values().map(told).collect()
        } else {
            asked
                .iter()
                .map(
                    |operation| match known.operations.get(&operation.operation_id.value) {
                        Some(status) => told(status),
                        None => self.unknown_operation(operation),
                    },
                )
                .collect()
        };
        for status in answers {
            self.send(framework, events::operation_update(status));
        }
    }

    fn unknown_operation(
        &self,
        operation: &call::reconcile_operations::Operation,
    ) -> v1::OperationStatus {
        use v1::OperationState::{
            OperationGoneByOperator, OperationRecovering, OperationUnknown, OperationUnreachable,
        };
        let agent = operation.agent_id.as_ref().map(|id| id.value.as_str());
        let is_in = |known: &dyn Fn(&str) -> bool| agent.is_some_and(known);
        let (state, message) = if is_in(&|id| self.state.recovered_agents.contains_key(id)) {
            (
                OperationRecovering,
                "Reconciliation: Agent is recovered but has not re-registered",
            )
        } else if is_in(&|id| self.state.unreachable_agents.contains_key(id)) {
            (OperationUnreachable, "Reconciliation: Agent is unreachable")
        } else if is_in(&|id| self.state.gone_agents.contains(id)) {
            (
                OperationGoneByOperator,
                "Reconciliation: Agent marked gone by operator",
            )
        } else {
            (OperationUnknown, "Reconciliation: Operation is unknown")
        };
        v1::OperationStatus {
            operation_id: Some(operation.operation_id.clone()),
            state: state as i32,
            message: Some(message.to_owned()),
            agent_id: operation.agent_id.clone(),
            resource_provider_id: operation.resource_provider_id.clone(),
            ..Default::default()
        }
    }
}

/// What an operation takes and what it makes of it.
fn conversion(operation: &v1::offer::Operation) -> Result<(Resources, Resources), String> {
    let valid = |resources: &[v1::Resource]| {
        Resources::validate(resources)
            .map(|()| Resources::from(resources))
            .map_err(|error| format!("Invalid resources: {error}"))
    };
    let missing = || format!("Expecting the body of {}", operation.r#type().as_str_name());
    match operation.r#type() {
        Type::Reserve => {
            let made = valid(&operation.reserve.as_ref().ok_or_else(missing)?.resources)?;
            for item in &made {
                check_reserved(item)?;
            }
            Ok((made.pop_reservation(), made))
        }
        Type::Unreserve => {
            let taken = valid(&operation.unreserve.as_ref().ok_or_else(missing)?.resources)?;
            for item in &taken {
                check_reserved(item)?;
                if is_volume(item) {
                    return Err(format!(
                        "A dynamically reserved persistent volume {} cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource",
                        Resources::from(vec![item.clone()])
                    ));
                }
            }
            let made = taken.pop_reservation();
            Ok((taken, made))
        }
        Type::Create => {
            let made = valid(&operation.create.as_ref().ok_or_else(missing)?.volumes)?;
            check_volumes(&made)?;
            Ok((without_volume(&made), made))
        }
        Type::Destroy => {
            let taken = valid(&operation.destroy.as_ref().ok_or_else(missing)?.volumes)?;
            check_volumes(&taken)?;
            let made = without_volume(&taken);
            Ok((taken, made))
        }
        Type::GrowVolume => {
            let grow = operation.grow_volume.as_ref().ok_or_else(missing)?;
            let addition = Scalar::from_f64(grow.addition.scalar.map_or(0.0, |s| s.value));
            let mut grown = grow.volume.clone();
            resize(&mut grown, addition)?;
            let taken = valid(&[grow.volume.clone(), grow.addition.clone()])?;
            Ok((taken, Resources::from(vec![grown])))
        }
        Type::ShrinkVolume => {
            let shrink = operation.shrink_volume.as_ref().ok_or_else(missing)?;
            let amount = Scalar::from_f64(shrink.subtract.value);
            let mut shrunk = shrink.volume.clone();
            resize(&mut shrunk, -amount)?;
            let mut freed =
                without_volume(&valid(std::slice::from_ref(&shrink.volume))?).into_vec();
            for item in &mut freed {
                item.scalar = Some(v1::value::Scalar {
                    value: amount.as_f64(),
                });
            }
            freed.push(shrunk);
            Ok((
                Resources::from(vec![shrink.volume.clone()]),
                Resources::from(freed),
            ))
        }
        other => Err(format!(
            "{} operations are not supported: there is no storage plugin",
            other.as_str_name()
        )),
    }
}

fn check_reserved(item: &v1::Resource) -> Result<(), String> {
    let is_dynamic = item.reservations.last().is_some_and(|reservation| {
        reservation.r#type() == v1::resource::reservation_info::Type::Dynamic
    });
    if is_dynamic {
        return Ok(());
    }
    Err(format!(
        "Resource {} is not dynamically reserved",
        Resources::from(vec![item.clone()])
    ))
}

fn is_volume(item: &v1::Resource) -> bool {
    item.disk
        .as_ref()
        .is_some_and(|disk| disk.persistence.is_some())
}

fn check_volumes(volumes: &Resources) -> Result<(), String> {
    for volume in volumes {
        let wrong = |why: &str| {
            Err(format!(
                "Not a persistent volume: Resource {} {why}",
                Resources::from(vec![volume.clone()])
            ))
        };
        let Some(disk) = volume
            .disk
            .as_ref()
            .filter(|disk| disk.persistence.is_some())
        else {
            return wrong("does not have persistence");
        };
        if is_unreserved(volume) {
            return wrong("is not reserved");
        }
        match &disk.volume {
            None => return wrong("does not have a volume"),
            Some(volume) if volume.host_path.is_some() => {
                return wrong("sets a host path, which is not allowed");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The disk that a volume is made of.
fn without_volume(volumes: &Resources) -> Resources {
    volumes
        .iter()
        .cloned()
        .map(|mut item| {
            item.shared = None;
            item.disk = item.disk.and_then(|disk| {
                disk.source.map(|source| v1::resource::DiskInfo {
                    source: Some(source),
                    ..Default::default()
                })
            });
            item
        })
        .collect()
}

fn resize(volume: &mut v1::Resource, by: Scalar) -> Result<(), String> {
    if !is_volume(volume) {
        return Err("only persistent volumes can be resized".to_owned());
    }
    let size = Scalar::from_f64(volume.scalar.map_or(0.0, |scalar| scalar.value)) + by;
    if by.is_zero() || size <= Scalar::ZERO {
        return Err("a volume's size must change and stay above zero".to_owned());
    }
    volume.scalar = Some(v1::value::Scalar {
        value: size.as_f64(),
    });
    Ok(())
}
