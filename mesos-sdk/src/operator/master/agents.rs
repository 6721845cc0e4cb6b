//! How agents and their machines are taken out of use, for a while or for good.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::maintenance;
use mesos_proto::v1::master::{call, call::Type};

use super::{Error, MasterClient};

impl MasterClient {
    /// Which machines drain or are down, and what frameworks answered.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn maintenance_status(&self) -> Result<maintenance::ClusterStatus, Error> {
        let response = self.ask(Type::GetMaintenanceStatus, |_| {}).await?;
        Ok(response.get_maintenance_status.unwrap_or_default().status)
    }

    /// The maintenance that is planned.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn maintenance_schedule(&self) -> Result<maintenance::Schedule, Error> {
        let response = self.ask(Type::GetMaintenanceSchedule, |_| {}).await?;
        Ok(response
            .get_maintenance_schedule
            .unwrap_or_default()
            .schedule)
    }

    /// Plans maintenance, in place of what was planned. Machines in it begin to
    /// drain: frameworks are asked to leave with inverse offers.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn update_maintenance_schedule(
        &self,
        schedule: maintenance::Schedule,
    ) -> Result<(), Error> {
        self.tell(Type::UpdateMaintenanceSchedule, |call| {
            call.update_maintenance_schedule = Some(call::UpdateMaintenanceSchedule { schedule });
        })
        .await
    }

    /// Takes machines down that are planned to be. Their agents are told to exit.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn start_maintenance(&self, machines: Vec<v1::MachineId>) -> Result<(), Error> {
        self.tell(Type::StartMaintenance, |call| {
            call.start_maintenance = Some(call::StartMaintenance { machines });
        })
        .await
    }

    /// Takes machines back that were down.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn stop_maintenance(&self, machines: Vec<v1::MachineId>) -> Result<(), Error> {
        self.tell(Type::StopMaintenance, |call| {
            call.stop_maintenance = Some(call::StopMaintenance { machines });
        })
        .await
    }

    /// Drains an agent: it gets no more tasks, and those it has are killed, within
    /// `max_grace_period` if it is given. `mark_gone`: when that is done the agent is
    /// gone for good. [`MasterClient::agents`] tells when it is drained.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 400 when there is no such agent.
    pub async fn drain_agent(
        &self,
        agent_id: v1::AgentId,
        max_grace_period: Option<Duration>,
        mark_gone: bool,
    ) -> Result<(), Error> {
        // What does not fit is longer than anybody waits.
        let max_grace_period = max_grace_period.and_then(|period| period.try_into().ok());
        self.tell(Type::DrainAgent, |call| {
            call.drain_agent = Some(call::DrainAgent {
                agent_id,
                max_grace_period,
                mark_gone: mark_gone.then_some(true),
            });
        })
        .await
    }

    /// Keeps an agent from new tasks; those it has go on.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 400 when there is no such agent.
    pub async fn deactivate_agent(&self, agent_id: v1::AgentId) -> Result<(), Error> {
        self.tell(Type::DeactivateAgent, |call| {
            call.deactivate_agent = Some(call::DeactivateAgent { agent_id });
        })
        .await
    }

    /// Takes an agent back that was deactivated or is drained.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 400 when it is active, or drains still.
    pub async fn reactivate_agent(&self, agent_id: v1::AgentId) -> Result<(), Error> {
        self.tell(Type::ReactivateAgent, |call| {
            call.reactivate_agent = Some(call::ReactivateAgent { agent_id });
        })
        .await
    }

    /// Gives an agent up for good: its tasks are gone, and it is refused should it
    /// come back.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such agent, and 503 while it is
    /// being marked unreachable.
    pub async fn mark_agent_gone(&self, agent_id: v1::AgentId) -> Result<(), Error> {
        self.tell(Type::MarkAgentGone, |call| {
            call.mark_agent_gone = Some(call::MarkAgentGone { agent_id });
        })
        .await
    }
}
