//! Operations on the agent's resources: done here, and told to the master until
//! somebody acknowledges when they have an id
//! (`src/slave/slave.cpp`, `applyOperation`;
//! `src/status_update_manager/operation.hpp`).

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;

use crate::agent::volumes::VolumeChanges;
use crate::agent::{Action, Agent, Effects};
use crate::conversion::{self, Conversion};
use crate::messages::{FromAgent, OperationUpdate};
use crate::time::Timestamp;

/// Operations that are not over, or whose end nobody has acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    held: BTreeMap<Vec<u8>, Held>,
}

#[derive(Debug)]
struct Held {
    operation: v1::Operation,
    /// When the status is told again, and how long it was waited for.
    retry: Option<(Timestamp, Duration)>,
}

impl Operations {
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        let held = self.held.values();
        held.filter_map(|held| held.retry.map(|(at, _)| at)).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// As the read side and a registration show them.
    pub(crate) fn all(&self) -> Vec<v1::Operation> {
        let held = self.held.values();
        held.map(|held| held.operation.clone()).collect()
    }

    /// No master listens.
    pub(crate) fn pause(&mut self) {
        for held in self.held.values_mut() {
            held.retry = None;
        }
    }
}

impl Agent {
    /// Does what an operation says. Directories are made and removed before the
    /// master hears that it is done.
    pub(super) fn apply_operation(
        &mut self,
        now: Timestamp,
        framework_id: Option<v1::FrameworkId>,
        info: v1::offer::Operation,
        key: Vec<u8>,
        effects: &mut Effects,
    ) {
        let status = v1::OperationStatus {
            operation_id: info.id.clone(),
            state: v1::OperationState::OperationPending.into(),
            agent_id: self.id.clone(),
            ..Default::default()
        };
        let operation = v1::Operation {
            framework_id,
            agent_id: self.id.clone(),
            info,
            latest_status: status,
            statuses: Vec::new(),
            uuid: v1::Uuid {
                value: key.clone().into(),
            },
        };
        let converted = self.convert(&operation.info);
        let held = Held {
            operation,
            retry: None,
        };
        self.operations.held.insert(key.clone(), held);
        match converted {
            Ok(volumes) if volumes.is_empty() => {
                self.end_operation(now, &key, Ok(()), effects);
            }
            Ok(volumes) => {
                let operation = key;
                effects
                    .actions
                    .push(Action::ChangeVolumes { operation, volumes });
            }
            Err(message) => {
                let state = v1::OperationState::OperationDropped;
                self.end_operation(now, &key, Err((state, message)), effects);
            }
        }
    }

    /// Books what the operation does, and says what it changes on disk.
    fn convert(&mut self, info: &v1::offer::Operation) -> Result<VolumeChanges, String> {
        let Conversion { consumed, made } = Conversion::of(info)?.unallocated();
        let mut total = self.total_resources();
        if !total.contains(&consumed) {
            return Err(format!(
                "Operation assumes outdated resource state: {total} does not contain {consumed}"
            ));
        }
        total -= &consumed;
        total += &made;
        self.keep(&total);
        let work_dir = &self.config.work_dir;
        Ok(VolumeChanges::between(work_dir, &consumed, &made))
    }

    fn keep(&mut self, total: &Resources) {
        let kept = conversion::to_keep(&self.config.resources, total);
        self.checkpointed_resources = kept.into_vec();
    }

    /// The directories are as they are to be, or could not be made so.
    pub(super) fn volumes_changed(
        &mut self,
        now: Timestamp,
        key: &[u8],
        problem: Option<String>,
        effects: &mut Effects,
    ) {
        let Some(message) = problem else {
            return self.end_operation(now, key, Ok(()), effects);
        };
        // It is undone in the books: what is there is what was there.
        let info = self.operations.held.get(key);
        let info = info.map(|held| held.operation.info.clone());
        if let Some(Ok(conversion)) = info.as_ref().map(Conversion::of) {
            let Conversion { consumed, made } = conversion.unallocated();
            let mut total = self.total_resources();
            total -= &made;
            total += &consumed;
            self.keep(&total);
        }
        let state = v1::OperationState::OperationFailed;
        self.end_operation(now, key, Err((state, message)), effects);
    }

    fn end_operation(
        &mut self,
        now: Timestamp,
        key: &[u8],
        result: Result<(), (v1::OperationState, String)>,
        effects: &mut Effects,
    ) {
        let uuid = self.random.uuid_bytes();
        let Some(held) = self.operations.held.get_mut(key) else {
            return;
        };
        let operation = &mut held.operation;
        // Only a framework that gave an id waits for the end and confirms it.
        let is_awaited = operation.info.id.is_some() && operation.framework_id.is_some();
        let (state, message) = match result {
            Ok(()) => (v1::OperationState::OperationFinished, None),
            Err((state, message)) => (state, Some(message)),
        };
        operation.latest_status.state = state.into();
        operation.latest_status.message = message;
        operation.latest_status.uuid = is_awaited.then(|| v1::Uuid { value: uuid });
        operation.statuses.push(operation.latest_status.clone());
        let delay = self.config.limits.update_retry_min;
        self.tell_operation(now, key, delay, effects);
        if !is_awaited {
            self.operations.held.remove(key);
        }
    }

    fn tell_operation(
        &mut self,
        now: Timestamp,
        key: &[u8],
        delay: Duration,
        effects: &mut Effects,
    ) {
        let Some(held) = self.operations.held.get_mut(key) else {
            return;
        };
        if self.link == super::Link::Disconnected {
            return;
        }
        let operation = &held.operation;
        if operation.latest_status.uuid.is_some() {
            held.retry = Some((now + delay, delay));
        }
        let update = OperationUpdate {
            framework_id: operation.framework_id.clone(),
            operation: key.to_vec(),
            status: operation.latest_status.clone(),
            checkpointed_resources: self.checkpointed_resources.clone(),
        };
        effects.to_master.push(FromAgent::OperationUpdate(update));
    }

    /// There is a master again: it hears of everything that is not
    /// acknowledged.
    pub(super) fn tell_operations(&mut self, now: Timestamp, effects: &mut Effects) {
        let delay = self.config.limits.update_retry_min;
        let ended = |held: &Held| held.operation.latest_status.uuid.is_some();
        let held = self.operations.held.iter();
        let keys: Vec<Vec<u8>> = held
            .filter(|(_, held)| ended(held))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.tell_operation(now, &key, delay, effects);
        }
    }

    /// Tells again what was not acknowledged in time, with twice the delay.
    pub(super) fn operations_due(&mut self, now: Timestamp, effects: &mut Effects) {
        let longest = self.config.limits.update_retry_max;
        let held = self.operations.held.iter();
        let due: Vec<(Vec<u8>, Duration)> = held
            .filter_map(|(key, held)| {
                let (at, delay) = held.retry?;
                (at <= now).then(|| (key.clone(), delay * 2))
            })
            .collect();
        for (key, delay) in due {
            self.tell_operation(now, &key, delay.min(longest), effects);
        }
    }

    pub(super) fn operation_acknowledged(&mut self, key: &[u8], uuid: &[u8]) {
        let told = self.operations.held.get(key);
        let told = told.and_then(|held| held.operation.latest_status.uuid.as_ref());
        if told.is_some_and(|told| told.value == uuid) {
            self.operations.held.remove(key);
        }
    }
}
