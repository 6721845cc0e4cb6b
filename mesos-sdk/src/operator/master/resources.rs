//! What operators do with the resources of an agent.

use mesos_proto::v1;
use mesos_proto::v1::master::{call, call::Type};

use super::{Error, MasterClient};

impl MasterClient {
    /// Reserves resources of an agent; they carry the reservation that is wanted.
    /// Taken when it is queued.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 409 when the agent has not so much to reserve.
    pub async fn reserve_resources(
        &self,
        agent_id: v1::AgentId,
        resources: Vec<v1::Resource>,
    ) -> Result<(), Error> {
        self.tell(Type::ReserveResources, |call| {
            call.reserve_resources = Some(call::ReserveResources {
                agent_id,
                source: Vec::new(),
                resources,
            });
        })
        .await
    }

    /// Gives a reservation up.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 409 when the resources are not there or in use.
    pub async fn unreserve_resources(
        &self,
        agent_id: v1::AgentId,
        resources: Vec<v1::Resource>,
    ) -> Result<(), Error> {
        self.tell(Type::UnreserveResources, |call| {
            call.unreserve_resources = Some(call::UnreserveResources {
                agent_id,
                resources,
            });
        })
        .await
    }

    /// Creates persistent volumes on reserved disk.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 409 when there is no such disk.
    pub async fn create_volumes(
        &self,
        agent_id: v1::AgentId,
        volumes: Vec<v1::Resource>,
    ) -> Result<(), Error> {
        self.tell(Type::CreateVolumes, |call| {
            call.create_volumes = Some(call::CreateVolumes { agent_id, volumes });
        })
        .await
    }

    /// Destroys persistent volumes with what is in them.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 409 when they are not there or in use.
    pub async fn destroy_volumes(
        &self,
        agent_id: v1::AgentId,
        volumes: Vec<v1::Resource>,
    ) -> Result<(), Error> {
        self.tell(Type::DestroyVolumes, |call| {
            call.destroy_volumes = Some(call::DestroyVolumes { agent_id, volumes });
        })
        .await
    }

    /// Makes a persistent volume larger by `addition`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn grow_volume(
        &self,
        agent_id: v1::AgentId,
        volume: v1::Resource,
        addition: v1::Resource,
    ) -> Result<(), Error> {
        self.tell(Type::GrowVolume, |call| {
            call.grow_volume = Some(call::GrowVolume {
                agent_id: Some(agent_id),
                volume,
                addition,
            });
        })
        .await
    }

    /// Makes a persistent volume smaller by `subtract_mib`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn shrink_volume(
        &self,
        agent_id: v1::AgentId,
        volume: v1::Resource,
        subtract_mib: f64,
    ) -> Result<(), Error> {
        self.tell(Type::ShrinkVolume, |call| {
            call.shrink_volume = Some(call::ShrinkVolume {
                agent_id: Some(agent_id),
                volume,
                subtract: v1::value::Scalar {
                    value: subtract_mib,
                },
            });
        })
        .await
    }
}
