//! Operations on offers: reservations and volumes besides tasks, and what the
//! agent says of them.
//!
//! An operation with an [`id`](Operation::id) is answered with updates
//! ([`Scheduler::operation_update`](crate::scheduler::Scheduler::operation_update)),
//! which are acknowledged as those of tasks are, and is reconciled until its
//! fate is known. One without an id shows its effect in the next offers only.
//!
//! ```
//! use mesos_sdk::operation;
//! use mesos_sdk::v1::{self, Resource};
//!
//! # let reserved: Vec<Resource> = Vec::new();
//! # let volumes: Vec<Resource> = Vec::new();
//! // With `offer.accept(operations, None)` they are carried out in this order.
//! let operations = [
//!     operation::reserve(reserved).id("reserve-1"),
//!     operation::create(volumes).id("create-1"),
//! ];
//! # let operations = operations.map(v1::offer::Operation::from);
//! # assert_eq!(operations[1].id.as_ref().unwrap().value, "create-1");
//! ```

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::offer::operation;
use mesos_proto::v1::offer::operation::Type;
use mesos_proto::v1::scheduler::call;

use crate::scheduler::calls::Calls;

/// An operation on an offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation(v1::offer::Operation);

impl Operation {
    /// Asks for updates about the operation, which name it so. The id is to be
    /// unique within the framework. Mesos refuses it on launches.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.0.id = Some(crate::ids::operation_id(id));
        self
    }
}

impl From<Operation> for v1::offer::Operation {
    fn from(operation: Operation) -> Self {
        operation.0
    }
}

fn operation(kind: Type, fill: impl FnOnce(&mut v1::offer::Operation)) -> Operation {
    let mut operation = v1::offer::Operation {
        r#type: Some(kind as i32),
        ..Default::default()
    };
    fill(&mut operation);
    Operation(operation)
}

/// Launches tasks, each with its own executor or command.
#[must_use]
pub fn launch(task_infos: Vec<v1::TaskInfo>) -> Operation {
    operation(Type::Launch, |operation| {
        operation.launch = Some(operation::Launch { task_infos });
    })
}

/// Launches tasks that live and die together, under one executor.
#[must_use]
pub fn launch_group(executor: v1::ExecutorInfo, tasks: Vec<v1::TaskInfo>) -> Operation {
    operation(Type::LaunchGroup, |operation| {
        operation.launch_group = Some(operation::LaunchGroup {
            executor,
            task_group: v1::TaskGroupInfo { tasks },
        });
    })
}

/// Reserves resources: they carry the reservation that is wanted
/// ([`push_reservation`](crate::resources::Resources::push_reservation)).
#[must_use]
pub fn reserve(resources: Vec<v1::Resource>) -> Operation {
    operation(Type::Reserve, |operation| {
        operation.reserve = Some(operation::Reserve {
            source: Vec::new(),
            resources,
        });
    })
}

/// Gives a reservation up.
#[must_use]
pub fn unreserve(resources: Vec<v1::Resource>) -> Operation {
    operation(Type::Unreserve, |operation| {
        operation.unreserve = Some(operation::Unreserve { resources });
    })
}

/// Creates persistent volumes on reserved disk.
#[must_use]
pub fn create(volumes: Vec<v1::Resource>) -> Operation {
    operation(Type::Create, |operation| {
        operation.create = Some(operation::Create { volumes });
    })
}

/// Destroys persistent volumes with what is in them.
#[must_use]
pub fn destroy(volumes: Vec<v1::Resource>) -> Operation {
    operation(Type::Destroy, |operation| {
        operation.destroy = Some(operation::Destroy { volumes });
    })
}

/// Makes a persistent volume larger by `addition`.
#[must_use]
pub fn grow_volume(volume: v1::Resource, addition: v1::Resource) -> Operation {
    operation(Type::GrowVolume, |operation| {
        operation.grow_volume = Some(operation::GrowVolume { volume, addition });
    })
}

/// Makes a persistent volume smaller by `subtract_mib`.
#[must_use]
pub fn shrink_volume(volume: v1::Resource, subtract_mib: f64) -> Operation {
    operation(Type::ShrinkVolume, |operation| {
        operation.shrink_volume = Some(operation::ShrinkVolume {
            volume,
            subtract: v1::value::Scalar {
                value: subtract_mib,
            },
        });
    })
}

/// Whether an operation in this state has ended for good.
/// `OPERATION_UNREACHABLE` is no end: its agent may come back with it.
#[must_use]
pub fn is_terminal(state: v1::OperationState) -> bool {
    use v1::OperationState::{
        OperationDropped, OperationError, OperationFailed, OperationFinished,
        OperationGoneByOperator,
    };
    matches!(
        state,
        OperationFinished
            | OperationFailed
            | OperationError
            | OperationDropped
            | OperationGoneByOperator
    )
}

/// Whether nothing more is to be heard of an operation in this state: it has
/// [ended for good](is_terminal), or nobody knows it.
#[must_use]
pub fn is_over(state: v1::OperationState) -> bool {
    is_terminal(state) || state == v1::OperationState::OperationUnknown
}

/// What an agent or the master says of an operation. The driver acknowledges it
/// once the scheduler's method has returned `Ok`, unless
/// [`acknowledge_later`](OperationUpdate::acknowledge_later) was called.
#[derive(Debug)]
pub struct OperationUpdate {
    status: v1::OperationStatus,
    is_redelivery: bool,
    acknowledgement: Mutex<Option<OperationAck>>,
}

impl OperationUpdate {
    pub(crate) fn new(status: v1::OperationStatus, is_redelivery: bool, calls: Calls) -> Self {
        let acknowledgement = OperationAck::of(&status, calls);
        Self {
            status,
            is_redelivery,
            acknowledgement: Mutex::new(acknowledgement),
        }
    }

    /// Which operation. Empty for one that has no id.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        let id = self.status.operation_id.as_ref();
        id.map_or("", |id| &id.value)
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> v1::OperationState {
        self.status.state()
    }

    /// The whole status.
    #[must_use]
    pub fn status(&self) -> &v1::OperationStatus {
        &self.status
    }

    /// What the agent or the master says about it.
    #[must_use]
    pub fn message(&self) -> &str {
        self.status.message()
    }

    /// What the operation made of its resources, where the agent says so.
    #[must_use]
    pub fn converted_resources(&self) -> &[v1::Resource] {
        &self.status.converted_resources
    }

    /// Whether the operation has ended for good.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        is_terminal(self.state())
    }

    /// Whether somebody waits for an acknowledgement.
    #[must_use]
    pub fn needs_acknowledgement(&self) -> bool {
        self.status.uuid.is_some()
    }

    /// Whether this very update was handled before without being acknowledged.
    #[must_use]
    pub fn is_redelivery(&self) -> bool {
        self.is_redelivery
    }

    /// Takes the acknowledgement out of the driver's hands: it is sent with
    /// [`OperationAck::send`]. Dropping it sends nothing, and the update comes
    /// again. `None` when there is nothing to acknowledge.
    pub fn acknowledge_later(&self) -> Option<OperationAck> {
        self.take_acknowledgement()
    }

    pub(crate) fn take_acknowledgement(&self) -> Option<OperationAck> {
        self.acknowledgement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) fn uuid(&self) -> Option<&Bytes> {
        self.status.uuid.as_ref().map(|uuid| &uuid.value)
    }
}

/// The acknowledgement of one update of an operation.
#[derive(Debug)]
#[must_use = "an update that is not acknowledged comes again"]
pub struct OperationAck {
    acknowledge: call::AcknowledgeOperationStatus,
    calls: Calls,
}

impl OperationAck {
    fn of(status: &v1::OperationStatus, calls: Calls) -> Option<Self> {
        let acknowledge = call::AcknowledgeOperationStatus {
            // Masters want it although the message could do without.
            agent_id: status.agent_id.clone(),
            resource_provider_id: status.resource_provider_id.clone(),
            uuid: status.uuid.clone()?.value,
            operation_id: status.operation_id.clone()?,
        };
        Some(Self { acknowledge, calls })
    }

    /// Sends the acknowledgement in the background. When it is lost with its
    /// subscription the update comes again.
    pub fn send(self) {
        self.calls
            .acknowledge_operation_in_background(self.acknowledge);
    }
}
