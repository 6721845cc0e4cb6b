//! Calls of operators that change something
//! (`docs/operator-http-api.md`): who carries each of them out.
//!
//! Calls that only read are answered from what [`Master::operator_report`]
//! and its neighbours show.

use mesos_sdk::v1;
use mesos_sdk::v1::master::{Call, call::Type};

use super::{Master, Reply, report};
use crate::logging;

/// What operators have set, and what became of it.
#[derive(Debug, Clone, Default)]
pub struct OperatorReport {
    /// How much is logged.
    pub logging_level: u32,
    /// Weights of roles that were given one.
    pub weights: Vec<v1::WeightInfo>,
    /// Quotas of roles that were given one.
    pub quota: v1::quota::QuotaStatus,
    /// When machines will be down.
    pub schedule: v1::maintenance::Schedule,
    /// Machines that will be or are down, and what frameworks said to it.
    pub cluster_status: v1::maintenance::ClusterStatus,
    /// Operations that are not done, or whose end nobody has acknowledged.
    pub operations: Vec<v1::Operation>,
}

impl Master {
    /// Carries out a call that changes something.
    pub(super) fn operator_call(&mut self, call: Call, principal: Option<&str>) -> Reply {
        if let Err(reply) = self.authorize_operator(&call, principal) {
            return reply;
        }
        match call.r#type() {
            Type::UpdateWeights => {
                self.update_weights(call.update_weights.unwrap_or_default().weight_infos)
            }
            Type::SetLoggingLevel => {
                let wanted = call.set_logging_level.unwrap_or_default();
                self.set_logging_level(wanted.level, wanted.duration)
            }
            Type::UpdateQuota => {
                let update = call.update_quota.unwrap_or_default();
                self.update_quota(&update.quota_configs, update.force())
            }
            Type::SetQuota => self.set_quota(&call.set_quota.unwrap_or_default().quota_request),
            Type::RemoveQuota => self.remove_quota(&call.remove_quota.unwrap_or_default().role),
            Type::UpdateMaintenanceSchedule => {
                let update = call.update_maintenance_schedule.unwrap_or_default();
                self.update_maintenance_schedule(update.schedule)
            }
            Type::StartMaintenance => {
                self.start_maintenance(&call.start_maintenance.unwrap_or_default().machines)
            }
            Type::StopMaintenance => {
                self.stop_maintenance(&call.stop_maintenance.unwrap_or_default().machines)
            }
            Type::DrainAgent => self.drain_agent(&call.drain_agent.unwrap_or_default()),
            Type::DeactivateAgent => {
                self.deactivate_agent(&call.deactivate_agent.unwrap_or_default().agent_id.value)
            }
            Type::ReactivateAgent => {
                self.reactivate_agent(&call.reactivate_agent.unwrap_or_default().agent_id.value)
            }
            Type::MarkAgentGone => {
                self.mark_agent_gone(&call.mark_agent_gone.unwrap_or_default().agent_id.value)
            }
            Type::Teardown => {
                self.operator_teardown(&call.teardown.unwrap_or_default().framework_id.value)
            }
            Type::ReserveResources
            | Type::UnreserveResources
            | Type::CreateVolumes
            | Type::DestroyVolumes
            | Type::GrowVolume
            | Type::ShrinkVolume => self.operate_on_resources(call, principal),
            // What only reads is answered without the model.
            kind => Reply::new(
                501,
                format!("mesos-local knows no call of type {}", kind.as_str_name()),
            ),
        }
    }

    fn set_logging_level(&mut self, level: u32, duration: v1::DurationInfo) -> Reply {
        match logging::validate(level) {
            Ok(()) => {
                self.state.logging.set(self.now, level, duration);
                Reply::new(200, "")
            }
            Err(text) => Reply::new(400, text),
        }
    }

    /// How much is to be logged now: 0 is the usual, above it every step is.
    #[must_use]
    pub fn logging_level(&self) -> u32 {
        self.state.logging.level()
    }

    /// What operators have set.
    #[must_use]
    pub fn operator_report(&self) -> OperatorReport {
        OperatorReport {
            logging_level: self.logging_level(),
            weights: self.weights_report(),
            quota: self.quota_status(),
            schedule: self.state.maintenance.schedule.clone(),
            cluster_status: self.cluster_status(),
            operations: self.state.operations.values().cloned().collect(),
        }
    }

    pub(super) fn has_agent(&self, key: &str) -> bool {
        self.state.agents.contains_key(key)
            || self.state.recovered_agents.contains_key(key)
            || self.state.unreachable_agents.contains_key(key)
    }

    pub(super) fn now_info(&self) -> v1::TimeInfo {
        report::time_info(self.now)
    }
}
