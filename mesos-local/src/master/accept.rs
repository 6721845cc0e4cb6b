//! ACCEPT: offers are checked as a whole, then the operations run in order on
//! what remains of them; what is left over goes back
//! (`docs/scheduler-http-api.md`, "ACCEPT"; `src/master/master.cpp`).

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::offer::operation::Type;
use mesos_sdk::v1::task_status::Reason;

use super::state::Offer;
use super::{Master, events};
use crate::conversion;
use crate::messages::ToAgent;

/// An ACCEPT that is being carried out.
pub(super) struct Acceptance {
    pub(super) framework: String,
    pub(super) agent: String,
    pub(super) role: String,
    /// What is left of the offers, operations so far applied.
    pub(super) remaining: Resources,
    /// What operations have made: reservations and volumes.
    pub(super) converted: Resources,
}

impl Master {
    pub(super) fn accept(
        &mut self,
        framework: &str,
        offer_ids: Vec<v1::OfferId>,
        operations: Vec<v1::offer::Operation>,
        filters: Option<&v1::Filters>,
    ) {
        let checked = self.check_offers(framework, &offer_ids);
        let offers = match checked {
            Ok(()) => {
                let taken = offer_ids.iter().filter_map(|id| self.take_offer(&id.value));
                taken.collect::<Vec<_>>()
            }
            Err(message) => {
                self.refuse_acceptance(framework, &offer_ids, &operations, &message);
                return;
            }
        };
        let Some(first) = offers.first().cloned() else {
            return;
        };
        let mut remaining = Resources::new();
        for offer in &offers {
            remaining += &offer.resources;
        }
        if let Some((reason, message)) = self.agent_trouble(&first.agent) {
            self.drop_tasks(framework, &operations, reason, message);
            self.allocator.recover(framework, &first.agent, &remaining);
            return;
        }
        let mut acceptance = Acceptance {
            framework: framework.to_owned(),
            agent: first.agent.clone(),
            role: first.role.clone(),
            remaining,
            converted: Resources::new(),
        };
        for operation in operations {
            self.carry_out_operation(&mut acceptance, operation);
        }
        self.give_leftovers_back(&first, &acceptance, filters);
    }

    /// The checks of the offers themselves, with Mesos's texts.
    fn check_offers(&self, framework: &str, ids: &[v1::OfferId]) -> Result<(), String> {
        if ids.is_empty() {
            return Err("No offers specified".to_owned());
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = ids.iter().find(|id| !seen.insert(&id.value)) {
            return Err(format!("Duplicate offer {} in offer list", twice.value));
        }
        let mut first: Option<&Offer> = None;
        for id in ids {
            let id = &id.value;
            let Some(offer) = self.state.offers.get(id) else {
                return Err(format!("Offer {id} is no longer valid"));
            };
            if offer.framework != framework {
                return Err(format!(
                    "Offer {id} has invalid framework {} while framework {framework} is expected",
                    offer.framework
                ));
            }
            let first = *first.get_or_insert(offer);
            if first.role != offer.role {
                return Err(format!(
                    "Aggregated offers must be allocated to the same role. Offer {id} uses role '{}' but another is using role '{}'",
                    offer.role, first.role
                ));
            }
            if first.agent != offer.agent {
                return Err(format!(
                    "Aggregated offers must belong to one single agent. Offer {id} uses agent {} but another is using agent {}",
                    offer.agent, first.agent
                ));
            }
        }
        Ok(())
    }

    /// One bad offer spoils them all: what is still valid is taken back.
    fn refuse_acceptance(
        &mut self,
        framework: &str,
        ids: &[v1::OfferId],
        operations: &[v1::offer::Operation],
        message: &str,
    ) {
        for id in ids {
            let is_own = self
                .state
                .offers
                .get(&id.value)
                .is_some_and(|offer| offer.framework == framework);
            if is_own {
                self.discard_offer(&id.value);
            }
        }
        let text = format!("Task launched with invalid offers: {message}");
        self.drop_tasks(framework, operations, Reason::InvalidOffers, text);
        for operation in operations {
            if operation.id.is_some() && !is_launch(operation) {
                let text = format!("Operation attempted with invalid offers: {message}");
                self.refuse_operation(framework, operation, None, text);
            }
        }
    }

    fn agent_trouble(&self, agent: &str) -> Option<(Reason, String)> {
        match self.state.agents.get(agent) {
            None => Some((Reason::AgentRemoved, "Agent removed".to_owned())),
            Some(agent) if !agent.is_connected() => {
                Some((Reason::AgentDisconnected, "Agent disconnected".to_owned()))
            }
            Some(_) => None,
        }
    }

    fn drop_tasks(
        &mut self,
        framework: &str,
        operations: &[v1::offer::Operation],
        reason: Reason,
        message: String,
    ) {
        for operation in operations {
            for task in tasks_of(operation) {
                self.tell_not_launched(
                    framework,
                    task,
                    v1::TaskState::TaskDropped,
                    reason,
                    message.clone(),
                );
            }
        }
    }

    /// Tells the framework that a task was not launched, and why.
    pub(super) fn tell_not_launched(
        &mut self,
        framework: &str,
        task: &v1::TaskInfo,
        state: v1::TaskState,
        reason: Reason,
        message: impl Into<String>,
    ) {
        let Some(known) = self.state.frameworks.get(framework) else {
            return;
        };
        let mut status = events::master_status(
            self.now,
            task.task_id.clone(),
            Some(task.agent_id.clone()),
            known.told(state),
            reason,
            message,
        );
        status.executor_id = task.executor.as_ref().map(|e| e.executor_id.clone());
        self.send(framework, events::update(status));
    }

    fn carry_out_operation(
        &mut self,
        acceptance: &mut Acceptance,
        mut operation: v1::offer::Operation,
    ) {
        if !is_launch(&operation)
            && let Err(text) = valid_for_schedulers(&mut operation)
        {
            let framework = acceptance.framework.clone();
            let text = format!("Operation attempted with invalid resources: {text}");
            return self.refuse_operation(&framework, &operation, None, text);
        }
        conversion::allocate(&mut operation, &acceptance.role);
        match operation.r#type() {
            Type::Launch => {
                let has_id = operation.id.is_some();
                let launch = operation.launch.unwrap_or_default();
                for task in launch.task_infos {
                    if has_id {
                        let text = "The `id` field cannot be set on LAUNCH operations";
                        self.refuse_task(acceptance, &task, text);
                    } else {
                        self.launch(acceptance, task);
                    }
                }
            }
            Type::LaunchGroup => {
                let has_id = operation.id.is_some();
                let launch = operation.launch_group.unwrap_or_default();
                self.launch_group(acceptance, launch, has_id);
            }
            _ => self.convert(acceptance, &operation),
        }
    }

    fn refuse_task(&mut self, acceptance: &Acceptance, task: &v1::TaskInfo, message: &str) {
        self.tell_not_launched(
            &acceptance.framework,
            task,
            v1::TaskState::TaskError,
            Reason::TaskInvalid,
            message,
        );
    }

    fn launch(&mut self, acceptance: &mut Acceptance, mut task: v1::TaskInfo) {
        if let Some(executor) = &mut task.executor
            && executor.framework_id.is_none()
        {
            executor.framework_id = Some(mesos_sdk::ids::framework_id(&acceptance.framework));
        }
        let executor = task.executor.as_ref();
        if let Some(what) = self.unauthorized_launch(&acceptance.framework, &task, executor) {
            let who = self.principal_text(&acceptance.framework);
            self.tell_not_launched(
                &acceptance.framework,
                &task,
                v1::TaskState::TaskError,
                Reason::TaskUnauthorized,
                format!("{who} no authorized to {what}"),
            );
            return;
        }
        if let Err(message) = self.validate_task(acceptance, &task) {
            self.refuse_task(acceptance, &task, &message);
            return;
        }
        if let Some(executor) = &task.executor {
            self.add_executor(acceptance, executor);
        }
        self.add_task(acceptance, &task, task.executor.as_ref());
        let framework = self.framework_info(&acceptance.framework);
        self.send_to_agent(&acceptance.agent, ToAgent::RunTask { framework, task });
    }

    fn launch_group(
        &mut self,
        acceptance: &mut Acceptance,
        launch: v1::offer::operation::LaunchGroup,
        has_id: bool,
    ) {
        let mut executor = launch.executor;
        if executor.framework_id.is_none() {
            executor.framework_id = Some(mesos_sdk::ids::framework_id(&acceptance.framework));
        }
        let tasks = launch.task_group.tasks;
        let unauthorized = tasks.iter().find_map(|task| {
            let what = self.unauthorized_launch(&acceptance.framework, task, Some(&executor))?;
            // The missing space is Mesos's.
            let id = &task.task_id.value;
            Some(format!("Task '{id}' is not authorized to{what}"))
        });
        let checked = if has_id {
            let text = "The `id` field cannot be set on LAUNCH_GROUP operations";
            Err((Reason::TaskGroupInvalid, text.to_owned()))
        } else if let Some(message) = unauthorized {
            Err((Reason::TaskGroupUnauthorized, message))
        } else {
            self.validate_group(acceptance, &executor, &tasks)
                .map_err(|message| (Reason::TaskGroupInvalid, message))
        };
        if let Err((reason, message)) = checked {
            for task in &tasks {
                self.tell_not_launched(
                    &acceptance.framework,
                    task,
                    v1::TaskState::TaskError,
                    reason,
                    message.clone(),
                );
            }
            return;
        }
        self.add_executor(acceptance, &executor);
        for task in &tasks {
            self.add_task(acceptance, task, Some(&executor));
        }
        let framework = self.framework_info(&acceptance.framework);
        let tasks = tasks
            .into_iter()
            .map(|task| v1::TaskInfo {
                executor: Some(executor.clone()),
                ..task
            })
            .collect();
        let message = ToAgent::RunTaskGroup {
            framework,
            executor: executor.clone(),
            group: v1::TaskGroupInfo { tasks },
        };
        self.send_to_agent(&acceptance.agent, message);
    }

    fn framework_info(&self, key: &str) -> v1::FrameworkInfo {
        self.state
            .frameworks
            .get(key)
            .map(|framework| framework.info.clone())
            .unwrap_or_default()
    }

    fn add_executor(&mut self, acceptance: &mut Acceptance, executor: &v1::ExecutorInfo) {
        let Some(framework) = self.state.frameworks.get_mut(&acceptance.framework) else {
            return;
        };
        let executors = framework
            .executors
            .entry(acceptance.agent.clone())
            .or_default();
        let key = executor.executor_id.value.clone();
        if executors.contains_key(&key) {
            return;
        }
        executors.insert(key, executor.clone());
        acceptance.remaining -= Resources::from(executor.resources.as_slice());
    }

    fn add_task(
        &mut self,
        acceptance: &mut Acceptance,
        info: &v1::TaskInfo,
        executor: Option<&v1::ExecutorInfo>,
    ) {
        let framework_id = mesos_sdk::ids::framework_id(&acceptance.framework);
        let task = v1::Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id,
            executor_id: executor.map(|executor| executor.executor_id.clone()),
            agent_id: info.agent_id.clone(),
            state: v1::TaskState::TaskStaging as i32,
            resources: info.resources.clone(),
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            container: info.container.clone(),
            health_check: info.health_check.clone(),
            kill_policy: info.kill_policy,
            user: info
                .command
                .as_ref()
                .or(executor.and_then(|executor| executor.command.as_ref()))
                .and_then(|command| command.user.clone()),
            limits: info.limits.clone(),
            ..Default::default()
        };
        let resources = Resources::from(info.resources.as_slice());
        acceptance.remaining -= resources.filter(|item| item.shared.is_none());
        // What is shared stays for other tasks; this one holds it too.
        let shared = resources.filter(|item| item.shared.is_some());
        if !shared.is_empty() {
            let (framework, agent) = (&acceptance.framework, &acceptance.agent);
            self.allocator.book(framework, agent, &shared);
        }
        self.tell_task_added(&task);
        let key = info.task_id.value.clone();
        if let Some(agent) = self.state.agents.get_mut(&acceptance.agent) {
            agent
                .tasks
                .insert((acceptance.framework.clone(), key.clone()));
        }
        if let Some(framework) = self.state.frameworks.get_mut(&acceptance.framework) {
            framework.tasks.insert(key, task);
        }
    }

    /// Converted resources are offered again at once, the rest is filtered.
    fn give_leftovers_back(
        &mut self,
        offer: &Offer,
        acceptance: &Acceptance,
        filters: Option<&v1::Filters>,
    ) {
        let mut plain = acceptance.remaining.clone();
        let mut converted = Resources::new();
        for item in &acceptance.converted {
            let item = Resources::from(vec![item.clone()]);
            if plain.contains(&item) {
                plain -= &item;
                converted += item;
            }
        }
        self.allocator
            .recover(&offer.framework, &offer.agent, &converted);
        self.recover_with_filter(offer, &plain, filters);
    }
}

fn is_launch(operation: &v1::offer::Operation) -> bool {
    matches!(operation.r#type(), Type::Launch | Type::LaunchGroup)
}

fn valid_for_schedulers(operation: &mut v1::offer::Operation) -> Result<(), String> {
    conversion::upgrade(operation)?;
    let reserve = operation.reserve.as_ref();
    if reserve.is_some_and(|reserve| !reserve.source.is_empty()) {
        let text = "Reservation updates are not yet implemented for the scheduler API.";
        return Err(text.to_owned());
    }
    Ok(())
}

fn tasks_of(operation: &v1::offer::Operation) -> impl Iterator<Item = &v1::TaskInfo> {
    let single = operation
        .launch
        .iter()
        .flat_map(|launch| &launch.task_infos);
    let grouped = operation
        .launch_group
        .iter()
        .flat_map(|launch| &launch.task_group.tasks);
    single.chain(grouped)
}
