//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME: checked
//! and booked by the master, done and confirmed by the agent, and told to the
//! framework until it acknowledges when the operation has an id
//! (`docs/reservation.md`, `docs/persistent-volume.md`, `docs/operations.md`).

use mesos_sdk::operation::is_terminal;
use mesos_sdk::resources::{Resources, allocation_role, reservation_role};
use mesos_sdk::v1;
use mesos_sdk::v1::framework_info::capability::Type as Capability;
use mesos_sdk::v1::offer::operation::Type;
use mesos_sdk::v1::scheduler::call;

use super::accept::Acceptance;
use super::state::OperationKey;
use super::{Master, events};
use crate::conversion::{self, Conversion};
use crate::messages::{OperationUpdate, ToAgent};

impl Master {
    /// Applies one operation, or drops it and says why.
    pub(super) fn convert(
        &mut self,
        acceptance: &mut Acceptance,
        operation: &v1::offer::Operation,
    ) {
        let authorized = self.authorize_operation(&acceptance.framework, operation);
        let conversion = authorized.and_then(|()| Conversion::of(operation));
        let checked = conversion.and_then(|conversion| {
            self.check_operation(acceptance, operation, &conversion)?;
            if acceptance.remaining.contains(&conversion.consumed) {
                return Ok(conversion);
            }
            let (has, wants) = (&acceptance.remaining, &conversion.consumed);
            Err(format!("{has} does not contain {wants}"))
        });
        match checked {
            Ok(conversion) => self.apply_conversion(acceptance, operation, conversion),
            Err(message) => {
                let framework = acceptance.framework.clone();
                self.refuse_operation(&framework, operation, None, message);
            }
        }
    }

    fn check_operation(
        &self,
        acceptance: &Acceptance,
        operation: &v1::offer::Operation,
        conversion: &Conversion,
    ) -> Result<(), String> {
        let Some(framework) = self.state.frameworks.get(&acceptance.framework) else {
            return Ok(());
        };
        let principal = framework.info.principal.as_deref();
        match operation.r#type() {
            Type::Reserve => {
                check_roles(&conversion.made)?;
                check_reserver(&conversion.made, principal)
            }
            Type::Create => {
                let is_shared = |item: &&v1::Resource| item.shared.is_some();
                if let Some(volume) = conversion.made.iter().find(is_shared)
                    && !framework.has(Capability::SharedResources)
                {
                    return Err(format!(
                        "Create volume operation for '{}' has been attempted by framework '{}' with no SHARED_RESOURCES capability",
                        Resources::from(vec![volume.clone()]),
                        acceptance.framework
                    ));
                }
                self.check_creation(&acceptance.agent, &conversion.made, principal)
            }
            Type::Destroy => self.check_destruction(&acceptance.agent, &conversion.consumed),
            _ => Ok(()),
        }
    }

    /// Volumes are new on their agent, and their creator says who it is.
    pub(super) fn check_creation(
        &self,
        agent: &str,
        volumes: &Resources,
        principal: Option<&str>,
    ) -> Result<(), String> {
        let known = self.state.agents.get(agent).map(|agent| agent.total.iter());
        conversion::check_unique(known.into_iter().flatten().chain(volumes))?;
        let Some(principal) = principal else {
            return Ok(());
        };
        for volume in volumes {
            let disk = volume.disk.as_ref();
            let persistence = disk.and_then(|disk| disk.persistence.as_ref());
            match persistence.and_then(|persistence| persistence.principal.as_deref()) {
                Some(creator) if creator == principal => {}
                Some(creator) => {
                    return Err(format!(
                        "Create volume operation attempted by authenticated principal '{principal}', which does not match a volume in the operation with principal '{creator}' set in 'disk.persistence'"
                    ));
                }
                None => {
                    return Err(format!(
                        "Create volume operation attempted by principal '{principal}', but there is a volume in the operation with no principal set in 'disk.persistence'"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Volumes are there, and no task uses them.
    pub(super) fn check_destruction(
        &self,
        agent_key: &str,
        volumes: &Resources,
    ) -> Result<(), String> {
        let volumes = volumes.unallocate();
        let Some(agent) = self.state.agents.get(agent_key) else {
            return Ok(());
        };
        let is_each = |resources: &Resources| {
            let has =
                |item: &v1::Resource| resources.contains(&Resources::from(vec![item.clone()]));
            (volumes.iter().all(has), volumes.iter().any(has))
        };
        if !is_each(&agent.total).0 {
            return Err("Persistent volumes not found".to_owned());
        }
        for framework in self.state.frameworks.values() {
            if is_each(&self.held_on(framework, agent_key).unallocate()).1 {
                return Err("Persistent volumes in use".to_owned());
            }
        }
        Ok(())
    }

    fn apply_conversion(
        &mut self,
        acceptance: &mut Acceptance,
        operation: &v1::offer::Operation,
        conversion: Conversion,
    ) {
        let Conversion { consumed, made } = conversion;
        self.allocator.convert(&acceptance.agent, &consumed, &made);
        acceptance.remaining -= &consumed;
        acceptance.remaining += &made;
        acceptance.converted -= &consumed;
        acceptance.converted += made;
        let agent = acceptance.agent.clone();
        self.note_total(&agent);
        if operation.r#type() == Type::Destroy {
            self.rescind_offers_with(&agent, &consumed.unallocate());
        }
        let framework_id = mesos_sdk::ids::framework_id(&acceptance.framework);
        self.send_operation(Some(framework_id), &agent, operation.clone());
    }

    /// Others may have been offered a shared volume that is destroyed.
    pub(super) fn rescind_offers_with(&mut self, agent: &str, volumes: &Resources) {
        let has = |offered: &Resources| {
            let offered = offered.unallocate();
            volumes
                .iter()
                .any(|item| offered.contains(&Resources::from(vec![item.clone()])))
        };
        let offers = self.state.offers.iter();
        let keys: Vec<String> = offers
            .filter(|(_, offer)| offer.agent == agent && has(&offer.resources))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.rescind_offer(&key);
        }
    }

    /// Takes over what the allocator says an agent has.
    pub(super) fn note_total(&mut self, key: &str) {
        if let (Some(total), Some(agent)) = (
            self.allocator.agent_total(key),
            self.state.agents.get_mut(key),
        ) {
            agent.total = total.clone();
        }
    }

    /// Has an agent carry an operation out.
    pub(super) fn send_operation(
        &mut self,
        framework_id: Option<v1::FrameworkId>,
        agent: &str,
        info: v1::offer::Operation,
    ) {
        let uuid = self.random.uuid_bytes();
        let agent_id = mesos_sdk::ids::agent_id(agent);
        let operation = v1::Operation {
            framework_id: framework_id.clone(),
            agent_id: Some(agent_id.clone()),
            latest_status: v1::OperationStatus {
                operation_id: info.id.clone(),
                state: v1::OperationState::OperationPending as i32,
                agent_id: Some(agent_id),
                ..Default::default()
            },
            statuses: Vec::new(),
            uuid: v1::Uuid {
                value: uuid.clone(),
            },
            info: info.clone(),
        };
        self.add_operation(operation);
        self.send_to_agent(
            &agent.to_owned(),
            ToAgent::ApplyOperation {
                framework_id,
                info,
                operation: uuid.to_vec(),
            },
        );
    }

    pub(super) fn add_operation(&mut self, operation: v1::Operation) {
        let key = operation.uuid.value.to_vec();
        if let Some(named) = name_of(&operation) {
            self.state.operation_names.insert(named, key.clone());
        }
        self.state.operations.insert(key, operation);
    }

    fn remove_operation(&mut self, key: &OperationKey) {
        let Some(operation) = self.state.operations.remove(key) else {
            return;
        };
        if let Some(name) = name_of(&operation)
            && self.state.operation_names.get(&name) == Some(key)
        {
            self.state.operation_names.remove(&name);
        }
    }

    /// An agent says how an operation went.
    pub(super) fn operation_updated(&mut self, agent: &str, update: OperationUpdate) {
        let OperationUpdate {
            framework_id,
            operation: key,
            mut status,
            checkpointed_resources,
        } = update;
        status.agent_id = Some(mesos_sdk::ids::agent_id(agent));
        let was_pending = match self.state.operations.get_mut(&key) {
            Some(operation) => {
                let was_pending = !is_terminal(operation.latest_status.state());
                operation.latest_status = status.clone();
                if operation.statuses.last() != Some(&status) {
                    operation.statuses.push(status.clone());
                }
                was_pending
            }
            None => false,
        };
        let is_done = status.state() == v1::OperationState::OperationFinished;
        if was_pending && is_terminal(status.state()) && !is_done {
            self.undo_conversion(agent, &checkpointed_resources);
        }
        let framework = framework_id.map(|id| id.value);
        let is_orphan = framework.as_ref().is_none_or(|key| {
            let completed = &self.state.completed_frameworks;
            completed.iter().any(|f| f.id().value == *key)
        });
        match &status.uuid {
            Some(uuid) if is_orphan => {
                let uuid = uuid.value.to_vec();
                self.confirm_operation_status(agent, &key, uuid);
                self.remove_operation(&key);
            }
            None if is_terminal(status.state()) => self.remove_operation(&key),
            _ => {}
        }
        if let Some(framework) = framework
            && status.operation_id.is_some()
        {
            self.send(&framework, events::operation_update(status));
        }
    }

    /// The agent did not do what was booked already: its word counts.
    fn undo_conversion(&mut self, key: &str, checkpointed: &[v1::Resource]) {
        self.rescind_offers_of_agent(key);
        let Some(agent) = self.state.agents.get_mut(key) else {
            return;
        };
        agent.registration.checkpointed_resources = checkpointed.to_vec();
        let total = agent.registration.total();
        agent.total = total.clone();
        self.allocator.set_agent_total(key, total);
    }

    fn confirm_operation_status(&mut self, agent: &str, key: &OperationKey, uuid: Vec<u8>) {
        let operation = key.clone();
        let message = ToAgent::AcknowledgeOperation { operation, uuid };
        self.send_to_agent(&agent.to_owned(), message);
    }

    /// What an agent that has come says of its operations. Those that it was
    /// sent and does not know never came to it.
    pub(super) fn reconcile_agent_operations(&mut self, agent: &str, known: Vec<v1::Operation>) {
        let pending: Vec<OperationKey> = self
            .state
            .operations
            .iter()
            .filter(|(_, operation)| is_on(operation, agent))
            .filter(|(key, _)| known.iter().all(|known| known.uuid.value != key.as_slice()))
            .map(|(key, _)| key.clone())
            .collect();
        for key in pending {
            let message = "Reconciliation: operation unknown to the agent";
            self.end_operation(&key, v1::OperationState::OperationDropped, message);
        }
        for operation in known {
            self.add_operation(operation);
        }
    }

    /// Operations of an agent that is gone or out of reach.
    pub(super) fn end_operations(&mut self, agent: &str, state: v1::OperationState, message: &str) {
        for key in self.operations_on(agent) {
            self.end_operation(&key, state, message);
        }
    }

    /// Operations of an agent that has left: nobody is told, as of Mesos.
    pub(super) fn forget_operations_on(&mut self, agent: &str) {
        for key in self.operations_on(agent) {
            self.remove_operation(&key);
        }
    }

    fn operations_on(&self, agent: &str) -> Vec<OperationKey> {
        let operations = self.state.operations.iter();
        operations
            .filter(|(_, operation)| is_on(operation, agent))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn end_operation(&mut self, key: &OperationKey, state: v1::OperationState, message: &str) {
        let Some(operation) = self.state.operations.get(key) else {
            return;
        };
        if let Some((framework, _)) = name_of(operation) {
            let status = v1::OperationStatus {
                operation_id: operation.info.id.clone(),
                state: state as i32,
                message: Some(message.to_owned()),
                agent_id: operation.agent_id.clone(),
                ..Default::default()
            };
            self.send(&framework, events::operation_update(status));
        }
        self.remove_operation(key);
    }

    /// Nobody is left to acknowledge what became of a framework's operations.
    pub(super) fn forget_operations_of(&mut self, framework: &str) {
        let is_own = |operation: &v1::Operation| {
            let owner = operation.framework_id.as_ref();
            owner.is_some_and(|owner| owner.value == framework)
        };
        let operations = self.state.operations.iter();
        let own: Vec<(OperationKey, v1::Operation)> = operations
            .filter(|(_, operation)| is_own(operation))
            .map(|(key, operation)| (key.clone(), operation.clone()))
            .collect();
        for (key, operation) in own {
            let agent = operation.agent_id.unwrap_or_default().value;
            if let Some(uuid) = operation.latest_status.uuid {
                self.confirm_operation_status(&agent, &key, uuid.value.to_vec());
                self.remove_operation(&key);
            }
        }
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
    pub(super) fn has_operations(&self, agent: &str) -> bool {
        let mut operations = self.state.operations.values();
        operations.any(|operation| is_on(operation, agent))
    }

    pub(super) fn acknowledge_operation(
        &mut self,
        framework: &str,
        acknowledge: &call::AcknowledgeOperationStatus,
    ) {
        let name = (framework.to_owned(), acknowledge.operation_id.value.clone());
        let Some(key) = self.state.operation_names.get(&name).cloned() else {
            return;
        };
        let Some(operation) = self.state.operations.get(&key) else {
            return;
        };
        let agent = operation.agent_id.clone().unwrap_or_default().value;
        let is_connected = self.state.agents.get(&agent);
        let is_connected = is_connected.is_some_and(super::state::Agent::is_connected);
        let told = operation.statuses.iter().find(|status| {
            let uuid = status.uuid.as_ref();
            uuid.is_some_and(|uuid| uuid.value == acknowledge.uuid)
        });
        // The agent sends its update again when it is back.
        let Some(told) = told.filter(|_| is_connected) else {
            return;
        };
        let is_over = is_terminal(told.state());
        self.confirm_operation_status(&agent, &key, acknowledge.uuid.to_vec());
        if is_over {
            self.remove_operation(&key);
        }
    }

    /// Answers with what is known of operations: all of them when none is named.
    pub(super) fn reconcile_operations(
        &mut self,
        framework: &str,
        asked: &[call::reconcile_operations::Operation],
    ) {
        let known = |id: &str| {
            let name = (framework.to_owned(), id.to_owned());
            let key = self.state.operation_names.get(&name)?;
            self.state.operations.get(key).map(last_told)
        };
        let answers: Vec<v1::OperationStatus> = if asked.is_empty() {
            let operations = self.state.operations.values();
            operations
                .filter(|operation| name_of(operation).is_some_and(|(f, _)| f == framework))
                .map(last_told)
                .collect()
        } else {
            let answer = |operation: &call::reconcile_operations::Operation| {
                known(&operation.operation_id.value)
                    .unwrap_or_else(|| self.unknown_operation(operation))
            };
            asked.iter().map(answer).collect()
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
        } else if is_in(&|id| self.state.agents.contains_key(id)) {
            (OperationUnknown, "Reconciliation: Operation is unknown")
        } else if is_in(&|id| self.state.unreachable_agents.contains_key(id)) {
            (OperationUnreachable, "Reconciliation: Agent is unreachable")
        } else if is_in(&|id| self.state.gone_agents.contains(id)) {
            (
                OperationGoneByOperator,
                "Reconciliation: Agent marked gone by operator",
            )
        } else if agent.is_some() {
            (
                OperationUnknown,
                "Reconciliation: Both operation and agent are unknown",
            )
        } else {
            (
                OperationUnknown,
                "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            )
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

/// The name under which a framework knows an operation, if it gave it one.
fn name_of(operation: &v1::Operation) -> Option<(String, String)> {
    let framework = operation.framework_id.as_ref()?;
    let id = operation.info.id.as_ref()?;
    Some((framework.value.clone(), id.value.clone()))
}

fn is_on(operation: &v1::Operation, agent: &str) -> bool {
    let on = operation.agent_id.as_ref();
    on.is_some_and(|on| on.value == agent)
}

/// What the framework was told last, to be told without need to acknowledge.
fn last_told(operation: &v1::Operation) -> v1::OperationStatus {
    let last = operation.statuses.last();
    v1::OperationStatus {
        uuid: None,
        ..last.unwrap_or(&operation.latest_status).clone()
    }
}

/// A framework reserves for the role to which it was offered something.
fn check_roles(reserved: &Resources) -> Result<(), String> {
    for item in reserved {
        let (role, offered) = (reservation_role(item), allocation_role(item));
        if let (Some(role), Some(offered)) = (role, offered)
            && role != offered
        {
            return Err(format!(
                "A reserve operation was attempted for a resource with role '{role}', but the resource was allocated to role '{offered}'"
            ));
        }
    }
    Ok(())
}

/// Who reserves says so.
pub(super) fn check_reserver(reserved: &Resources, principal: Option<&str>) -> Result<(), String> {
    let Some(principal) = principal else {
        return Ok(());
    };
    for item in reserved {
        let top = item.reservations.last();
        match top.and_then(|reservation| reservation.principal.as_deref()) {
            Some(reserver) if reserver == principal => {}
            Some(reserver) => {
                return Err(format!(
                    "A reserve operation was attempted by authenticated principal '{principal}', which does not match a reserved resource in the request with principal '{reserver}'"
                ));
            }
            None => {
                return Err(format!(
                    "A reserve operation was attempted by principal '{principal}', but there is a reserved resource in the request with no principal set"
                ));
            }
        }
    }
    Ok(())
}
