//! A scheduler can be lent to the driver, so that whoever runs it has it back
//! afterwards, and boxed.

use async_trait::async_trait;
use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::event;

use super::{BoxError, Disconnect, Handle, Scheduler};
use crate::offer::Offer;
use crate::operation::OperationUpdate;
use crate::status::StatusUpdate;

macro_rules! forward {
    ($($scheduler:ty),*) => {$(
        #[async_trait]
        impl<S: Scheduler + ?Sized> Scheduler for $scheduler {
            async fn subscribed(
                &mut self,
                handle: &Handle,
                framework_id: &v1::FrameworkId,
                info: &event::Subscribed,
            ) -> Result<(), BoxError> {
                (**self).subscribed(handle, framework_id, info).await
            }

            async fn disconnected(
                &mut self,
                handle: &Handle,
                reason: &Disconnect,
            ) -> Result<(), BoxError> {
                (**self).disconnected(handle, reason).await
            }

            async fn offers(
                &mut self,
                handle: &Handle,
                offers: Vec<Offer>,
            ) -> Result<(), BoxError> {
                (**self).offers(handle, offers).await
            }

            async fn inverse_offers(
                &mut self,
                handle: &Handle,
                inverse_offers: Vec<v1::InverseOffer>,
            ) -> Result<(), BoxError> {
                (**self).inverse_offers(handle, inverse_offers).await
            }

            async fn rescinded(
                &mut self,
                handle: &Handle,
                offer_id: v1::OfferId,
            ) -> Result<(), BoxError> {
                (**self).rescinded(handle, offer_id).await
            }

            async fn inverse_offer_rescinded(
                &mut self,
                handle: &Handle,
                inverse_offer_id: v1::OfferId,
            ) -> Result<(), BoxError> {
                (**self).inverse_offer_rescinded(handle, inverse_offer_id).await
            }

            async fn update(
                &mut self,
                handle: &Handle,
                update: &StatusUpdate,
            ) -> Result<(), BoxError> {
                (**self).update(handle, update).await
            }

            async fn operation_update(
                &mut self,
                handle: &Handle,
                update: &OperationUpdate,
            ) -> Result<(), BoxError> {
                (**self).operation_update(handle, update).await
            }

            async fn message(
                &mut self,
                handle: &Handle,
                agent_id: v1::AgentId,
                executor_id: v1::ExecutorId,
                data: Bytes,
            ) -> Result<(), BoxError> {
                (**self).message(handle, agent_id, executor_id, data).await
            }

            async fn agent_lost(
                &mut self,
                handle: &Handle,
                agent_id: v1::AgentId,
            ) -> Result<(), BoxError> {
                (**self).agent_lost(handle, agent_id).await
            }

            async fn executor_lost(
                &mut self,
                handle: &Handle,
                agent_id: v1::AgentId,
                executor_id: v1::ExecutorId,
                status: Option<i32>,
            ) -> Result<(), BoxError> {
                (**self)
                    .executor_lost(handle, agent_id, executor_id, status)
                    .await
            }

            async fn heartbeat(&mut self, handle: &Handle) -> Result<(), BoxError> {
                (**self).heartbeat(handle).await
            }
        }
    )*};
}

forward!(&mut S, Box<S>);
