//! Who may do and see what: what the rules of the cluster mean for frameworks,
//! tasks and operators, and how refusals read
//! (`docs/authorization.md`, `src/master/master.cpp`).

use std::collections::BTreeMap;

use mesos_sdk::v1;
use mesos_sdk::v1::master::response::GetState;
use mesos_sdk::v1::master::{Call, Event, call::Type, event::Type as Told};

use super::resource_acls::{Need, needs};
use super::state::roles_of;
use super::{Master, Reply};
use crate::security::Action;

impl Master {
    fn may(&self, principal: Option<&str>, action: Action, object: Option<&str>) -> bool {
        self.config.acls.allow(principal, action, object)
    }

    /// Why a framework may not have its roles.
    pub(super) fn authorize_roles(&self, info: &v1::FrameworkInfo) -> Result<(), String> {
        let roles = roles_of(info);
        let principal = info.principal.as_deref();
        let is_allowed =
            |role: &String| self.may(principal, Action::RegisterFrameworks, Some(role));
        if roles.iter().all(is_allowed) {
            return Ok(());
        }
        let id = info.id.clone().unwrap_or_default().value;
        let roles: Vec<String> = roles.into_iter().collect();
        let roles = roles.join(", ");
        Err(format!(
            "Not authorized to register framework {id} with roles {{ {roles} }}"
        ))
    }

    /// What a framework may not launch, in words that follow "not authorized".
    pub(super) fn unauthorized_launch(
        &self,
        framework: &str,
        task: &v1::TaskInfo,
        executor: Option<&v1::ExecutorInfo>,
    ) -> Option<String> {
        let info = &self.state.frameworks.get(framework)?.info;
        let user = user_of(
            info,
            [
                task.command.as_ref(),
                executor.and_then(|executor| executor.command.as_ref()),
            ],
        );
        if self.may(info.principal.as_deref(), Action::RunTasks, Some(user)) {
            return None;
        }
        Some(format!(
            "launch task {} of framework {framework} under user '{user}'",
            task.task_id.value
        ))
    }

    /// Who asks on a framework's behalf, for messages: `Principal 'alice'`.
    pub(super) fn principal_text(&self, framework: &str) -> String {
        let known = self.state.frameworks.get(framework);
        match known.and_then(|known| known.info.principal.as_deref()) {
            Some(principal) => format!("Principal '{principal}'"),
            None => "Any principal".to_owned(),
        }
    }

    /// What somebody may not do of what an operation needs.
    pub(super) fn unauthorized_operation<'a>(
        &self,
        principal: Option<&str>,
        operation: &'a v1::offer::Operation,
    ) -> Option<Need<'a>> {
        let is_refused = |need: &Need<'_>| !self.may(principal, need.action, need.value());
        needs(operation).into_iter().find(is_refused)
    }

    /// Why a framework may not have an operation carried out.
    pub(super) fn authorize_operation(
        &self,
        framework: &str,
        operation: &v1::offer::Operation,
    ) -> Result<(), String> {
        let known = self.state.frameworks.get(framework);
        let principal = known.and_then(|known| known.info.principal.as_deref());
        match self.unauthorized_operation(principal, operation) {
            Some(need) => {
                let who = self.principal_text(framework);
                Err(format!("{who} no authorized to {need}"))
            }
            None => Ok(()),
        }
    }

    /// The refusal of an operator's call.
    pub(super) fn authorize_operator(
        &self,
        call: &Call,
        principal: Option<&str>,
    ) -> Result<(), Reply> {
        let any = |action| self.may(principal, action, None);
        let roles = |action, roles: Vec<&str>| {
            roles
                .into_iter()
                .all(|role| self.may(principal, action, Some(role)))
        };
        let is_allowed = match call.r#type() {
            Type::Teardown => {
                let teardown = call.teardown.clone().unwrap_or_default();
                let known = self.state.frameworks.get(&teardown.framework_id.value);
                let owner = known.and_then(|known| known.info.principal.as_deref());
                self.may(principal, Action::TeardownFrameworks, owner)
            }
            Type::UpdateWeights => {
                let update = call.update_weights.iter();
                let weights = update.flat_map(|update| &update.weight_infos);
                let names = weights.map(v1::WeightInfo::role).collect();
                roles(Action::UpdateWeights, names)
            }
            Type::UpdateQuota => {
                let update = call.update_quota.iter();
                let quotas = update.flat_map(|update| &update.quota_configs);
                let names = quotas.map(|quota| quota.role.as_str()).collect();
                roles(Action::UpdateQuotas, names)
            }
            Type::SetQuota | Type::RemoveQuota => any(Action::UpdateQuotas),
            Type::SetLoggingLevel => any(Action::SetLogLevel),
            Type::MarkAgentGone => any(Action::MarkAgentsGone),
            Type::DrainAgent => any(Action::DrainAgents),
            Type::DeactivateAgent => any(Action::DeactivateAgents),
            Type::ReactivateAgent => any(Action::ReactivateAgents),
            Type::UpdateMaintenanceSchedule => any(Action::UpdateMaintenanceSchedules),
            Type::StartMaintenance => any(Action::StartMaintenances),
            Type::StopMaintenance => any(Action::StopMaintenances),
            _ => true,
        };
        if is_allowed {
            Ok(())
        } else {
            Err(Reply::forbidden())
        }
    }

    /// The state, less what somebody may not see.
    #[must_use]
    pub fn state_report_for(&self, principal: Option<&str>) -> GetState {
        let mut state = self.state_report();
        if self.config.acls.allow_all() {
            return state;
        }
        let users: BTreeMap<String, String> = state
            .get_frameworks
            .iter()
            .flat_map(|get| get.frameworks.iter().chain(&get.completed_frameworks))
            .map(|known| {
                let info = &known.framework_info;
                let id = info.id.clone().unwrap_or_default().value;
                (id, info.user.clone())
            })
            .collect();
        let sees = |action, user: Option<&str>| self.may(principal, action, user);
        let sees_of = |id: &v1::FrameworkId| {
            let user = users.get(&id.value).map(String::as_str);
            sees(Action::ViewFrameworks, user)
        };
        if let Some(get) = &mut state.get_frameworks {
            for known in [&mut get.frameworks, &mut get.completed_frameworks] {
                known
                    .retain(|known| sees(Action::ViewFrameworks, Some(&known.framework_info.user)));
            }
        }
        if let Some(get) = &mut state.get_tasks {
            for tasks in [
                &mut get.pending_tasks,
                &mut get.tasks,
                &mut get.unreachable_tasks,
                &mut get.completed_tasks,
            ] {
                tasks.retain(|task| {
                    let owner = users.get(&task.framework_id.value).map(String::as_str);
                    sees_of(&task.framework_id)
                        && sees(Action::ViewTasks, task.user.as_deref().or(owner))
                });
            }
        }
        if let Some(get) = &mut state.get_executors {
            get.executors.retain(|executor| {
                let info = &executor.executor_info;
                let id = info.framework_id.clone().unwrap_or_default();
                let user = info
                    .command
                    .as_ref()
                    .and_then(|command| command.user.as_deref());
                let owner = users.get(&id.value).map(String::as_str);
                sees_of(&id) && sees(Action::ViewExecutors, user.or(owner))
            });
        }
        state
    }

    /// Whether somebody may hear an event of the operators' stream.
    pub(super) fn may_hear(&self, principal: Option<&str>, event: &Event) -> bool {
        if self.config.acls.allow_all() {
            return true;
        }
        let sees = |action, user: Option<&str>| self.may(principal, action, user);
        let sees_task = |framework: &v1::FrameworkId, user: Option<&str>| {
            let known = self.state.frameworks.get(&framework.value);
            let owner = known.map(|known| known.info.user.as_str());
            sees(Action::ViewFrameworks, owner) && sees(Action::ViewTasks, user.or(owner))
        };
        let sees_framework =
            |info: &v1::FrameworkInfo| sees(Action::ViewFrameworks, Some(&info.user));
        match event.r#type() {
            Told::TaskAdded => event.task_added.as_ref().is_none_or(|added| {
                sees_task(&added.task.framework_id, added.task.user.as_deref())
            }),
            Told::TaskUpdated => event.task_updated.as_ref().is_none_or(|updated| {
                let id = &updated.framework_id;
                let known = self.state.frameworks.get(&id.value);
                let task = known.and_then(|known| known.tasks.get(&updated.status.task_id.value));
                sees_task(id, task.and_then(|task| task.user.as_deref()))
            }),
            Told::FrameworkAdded => event
                .framework_added
                .as_ref()
                .is_none_or(|added| sees_framework(&added.framework.framework_info)),
            Told::FrameworkUpdated => event
                .framework_updated
                .as_ref()
                .is_none_or(|updated| sees_framework(&updated.framework.framework_info)),
            Told::FrameworkRemoved => event
                .framework_removed
                .as_ref()
                .is_none_or(|removed| sees_framework(&removed.framework_info)),
            _ => true,
        }
    }
}

/// As whom something runs: the user of the first command that names one, or
/// the framework's.
fn user_of<'a>(info: &'a v1::FrameworkInfo, commands: [Option<&'a v1::CommandInfo>; 2]) -> &'a str {
    commands
        .into_iter()
        .flatten()
        .find_map(|command| command.user.as_deref())
        .unwrap_or(&info.user)
}
