//! The life of a framework: subscribing, failing over, disconnecting, being
//! torn down or removed when it stays away.

use std::time::Duration;

use mesos_sdk::resources::Resources;
use mesos_sdk::v1::framework_info::capability::Type as Capability;
use mesos_sdk::v1::scheduler::{Call, OfferConstraints};
use mesos_sdk::v1::task_status::Reason;
use mesos_sdk::{ids, v1};

use super::state::{Framework, capabilities_of, is_terminal, roles_of};
use super::{ConnectionId, HEARTBEAT_INTERVAL, Master, Reply, RequestId, events};
use crate::allocator::{FrameworkProfile, constraints};
use crate::messages::ToAgent;

/// What a framework asks for besides its info.
struct Wishes {
    suppressed: Vec<String>,
    constraints: Option<OfferConstraints>,
}

impl Master {
    pub(super) fn subscribe(
        &mut self,
        connection: ConnectionId,
        request: RequestId,
        call: Call,
        has_stream_id: bool,
        principal: Option<String>,
    ) {
        if let Err(reply) = check_call(&call, has_stream_id, principal.as_deref()) {
            self.out.replies.push((request, reply));
            return;
        }
        let Some(subscribe) = call.subscribe else {
            return;
        };
        let mut info = subscribe.framework_info;
        if info.principal.is_none() {
            info.principal.clone_from(&principal);
        }
        let stream_id = self.random.uuid().to_string();
        self.out
            .accepted
            .push((connection, Some(stream_id.clone())));
        let wishes = Wishes {
            suppressed: subscribe.suppressed_roles,
            constraints: subscribe.offer_constraints,
        };
        let id = info.id.clone().filter(|id| !id.value.is_empty());
        let refusal = self
            .check_info(&info, &wishes)
            .and_then(|()| self.authorize_roles(&info))
            .and_then(|()| self.check_known(id.as_ref(), &info));
        if let Err(message) = refusal {
            self.notice(format!(
                "refused subscription of framework {}: {message}",
                info.name
            ));
            self.out.events.push((connection, events::error(message)));
            self.out.closes.push(connection);
            return;
        }
        let Some(id) = id else {
            let key = self.new_framework_id();
            info.id = Some(ids::framework_id(&key));
            return self.add_framework(&key, info, wishes, connection, stream_id);
        };
        let key = id.value;
        info.id = Some(ids::framework_id(&key));
        if !self.state.frameworks.contains_key(&key) {
            self.add_recovered_framework(&key, info.clone());
        }
        self.fail_over(&key, info, wishes, connection, stream_id);
    }

    /// A framework of another master, or one that was forgotten, until it
    /// subscribes: its id is all that a master has to know of it.
    pub(super) fn add_recovered_framework(&mut self, key: &str, info: v1::FrameworkInfo) {
        let framework = Framework {
            capabilities: capabilities_of(&info),
            connection: None,
            stream_id: None,
            is_recovered: true,
            registered: self.now,
            reregistered: self.now,
            unregistered: None,
            failover_deadline: None,
            next_heartbeat: self.now,
            suppressed: Default::default(),
            offer_constraints: None,
            offers: Default::default(),
            tasks: Default::default(),
            completed_tasks: Default::default(),
            unreachable_tasks: Default::default(),
            executors: Default::default(),
            info,
        };
        self.allocator
            .set_framework(key, profile(&framework), false);
        self.tell_framework_added(&framework);
        self.state.frameworks.insert(key.to_owned(), framework);
    }

    fn new_framework_id(&mut self) -> String {
        let number = self.state.framework_count;
        self.state.framework_count += 1;
        format!("{}-{number:04}", self.config.id)
    }

    fn check_info(&self, info: &v1::FrameworkInfo, wishes: &Wishes) -> Result<(), String> {
        validate_info(info)?;
        validate_wishes(info, wishes)
    }

    fn check_known(
        &self,
        id: Option<&v1::FrameworkId>,
        info: &v1::FrameworkInfo,
    ) -> Result<(), String> {
        let Some(id) = id else {
            return Ok(());
        };
        let is_completed = self
            .state
            .completed_frameworks
            .iter()
            .any(|framework| framework.id() == *id);
        if is_completed {
            return Err("Framework has been removed".to_owned());
        }
        match self.state.frameworks.get(&id.value) {
            Some(known) if known.info.principal != info.principal => {
                Err("Changing framework's principal is not allowed.".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn add_framework(
        &mut self,
        key: &str,
        info: v1::FrameworkInfo,
        wishes: Wishes,
        connection: ConnectionId,
        stream_id: String,
    ) {
        let framework = Framework {
            capabilities: capabilities_of(&info),
            connection: Some(connection),
            stream_id: Some(stream_id),
            is_recovered: false,
            registered: self.now,
            reregistered: self.now,
            unregistered: None,
            failover_deadline: None,
            next_heartbeat: self.now + HEARTBEAT_INTERVAL,
            suppressed: wishes.suppressed.into_iter().collect(),
            offer_constraints: wishes.constraints,
            offers: Default::default(),
            tasks: Default::default(),
            completed_tasks: Default::default(),
            unreachable_tasks: Default::default(),
            executors: Default::default(),
            info,
        };
        self.state.connections.insert(connection, key.to_owned());
        self.tell_framework_added(&framework);
        self.allocator.set_framework(key, profile(&framework), true);
        self.state.frameworks.insert(key.to_owned(), framework);
        self.greet(key);
        self.allocate();
    }

    fn fail_over(
        &mut self,
        key: &str,
        mut info: v1::FrameworkInfo,
        wishes: Wishes,
        connection: ConnectionId,
        stream_id: String,
    ) {
        self.discard_offers_of(key);
        self.discard_inverse_offers_of(key);
        let Some(framework) = self.state.frameworks.get_mut(key) else {
            return;
        };
        // User and checkpoint cannot change; a new value is ignored.
        info.user.clone_from(&framework.info.user);
        info.checkpoint = framework.info.checkpoint;
        let was_recovered = std::mem::take(&mut framework.is_recovered);
        if let Some(old) = framework.connection.replace(connection) {
            self.state.connections.remove(&old);
            self.out
                .events
                .push((old, events::error("Framework failed over")));
            self.out.closes.push(old);
        }
        framework.capabilities = capabilities_of(&info);
        framework.info = info;
        framework.stream_id = Some(stream_id);
        framework.reregistered = self.now;
        if was_recovered {
            framework.registered = self.now;
        }
        framework.failover_deadline = None;
        framework.next_heartbeat = self.now + HEARTBEAT_INTERVAL;
        framework.suppressed = wishes.suppressed.into_iter().collect();
        framework.offer_constraints = wishes.constraints;
        let profile = profile(framework);
        self.allocator.set_framework(key, profile, true);
        self.state.connections.insert(connection, key.to_owned());
        self.tell_framework_updated(key);
        self.greet(key);
        self.tell_agents_of_framework(key);
        self.allocate();
    }

    fn greet(&mut self, key: &str) {
        let subscribed = events::subscribed(ids::framework_id(key), self.info());
        self.send(key, subscribed);
        self.send(key, events::heartbeat());
    }

    pub(super) fn tell_agents_of_framework(&mut self, key: &str) {
        let Some(framework) = self.state.frameworks.get(key) else {
            return;
        };
        let info = framework.info.clone();
        let agents: Vec<_> = self
            .state
            .agents
            .iter()
            .filter(|(_, agent)| agent.tasks.iter().any(|(owner, _)| owner == key))
            .map(|(id, _)| id.clone())
            .collect();
        for agent in agents {
            let framework = info.clone();
            self.send_to_agent(&agent, ToAgent::UpdateFramework { framework });
        }
    }

    /// A stream has ended from its other side.
    pub(super) fn disconnected(&mut self, connection: ConnectionId) {
        self.state.operators.remove(&connection);
        let Some(key) = self.state.connections.remove(&connection) else {
            return;
        };
        let Some(framework) = self.state.frameworks.get_mut(&key) else {
            return;
        };
        framework.connection = None;
        framework.stream_id = None;
        let timeout = framework.info.failover_timeout.unwrap_or(0.0);
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
        framework.failover_deadline = Some(self.now + timeout);
        self.notice(format!("framework {key} disconnected"));
        self.discard_offers_of(&key);
        self.discard_inverse_offers_of(&key);
        self.allocator.set_active(&key, false);
    }

    pub(super) fn remove_frameworks_that_are_late(&mut self) {
        let late: Vec<_> = self
            .state
            .frameworks
            .iter()
            .filter(|(_, framework)| {
                framework
                    .failover_deadline
                    .is_some_and(|deadline| deadline <= self.now)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in late {
            self.notice(format!("framework {key} did not come back in time"));
            self.remove_framework(&key);
        }
    }

    pub(super) fn operator_teardown(&mut self, key: &str) -> Reply {
        if !self.state.frameworks.contains_key(key) {
            return Reply::new(400, "No framework found with specified ID");
        }
        self.remove_framework(key);
        Reply::new(200, "")
    }

    /// Forgets a framework: its tasks and executors are killed, its stream
    /// ends, and nothing is reported to it any more.
    pub(super) fn remove_framework(&mut self, key: &str) {
        self.discard_offers_of(key);
        self.discard_inverse_offers_of(key);
        self.forget_inverse_answers(key);
        self.forget_operations_of(key);
        let Some(mut framework) = self.state.frameworks.remove(key) else {
            return;
        };
        if let Some(connection) = framework.connection.take() {
            self.state.connections.remove(&connection);
            self.out.closes.push(connection);
        }
        framework.stream_id = None;
        framework.unregistered = Some(self.now);
        framework.failover_deadline = None;
        self.kill_tasks_of(key, &mut framework);
        for agent in self.agents_that_know(key) {
            let framework_id = ids::framework_id(key);
            self.send_to_agent(&agent, ToAgent::ShutdownFramework { framework_id });
        }
        self.allocator.remove_framework(key);
        self.tell_framework_removed(&framework.info);
        self.state.completed_frameworks.push_back(framework);
        while self.state.completed_frameworks.len() > self.config.max_completed_frameworks {
            self.state.completed_frameworks.pop_front();
        }
    }

    fn kill_tasks_of(&mut self, key: &str, framework: &mut Framework) {
        let id = ids::framework_id(key);
        for (task_key, mut task) in std::mem::take(&mut framework.tasks) {
            let agent_key = task.agent_id.value.clone();
            if let Some(agent) = self.state.agents.get_mut(&agent_key) {
                agent.tasks.remove(&(key.to_owned(), task_key));
            }
            if !is_terminal(task.state()) {
                let resources = Resources::from(task.resources.as_slice());
                self.allocator.recover(key, &agent_key, &resources);
                let status = events::master_status(
                    self.now,
                    task.task_id.clone(),
                    Some(task.agent_id.clone()),
                    v1::TaskState::TaskKilled,
                    Reason::FrameworkRemoved,
                    format!("Framework {key} removed"),
                );
                task.set_state(v1::TaskState::TaskKilled);
                self.tell_task_updated(&id, &status, v1::TaskState::TaskKilled);
                task.statuses.push(status);
            }
            remember(
                &mut framework.completed_tasks,
                task,
                self.config.max_completed_tasks_per_framework,
            );
        }
        for (agent_key, executors) in std::mem::take(&mut framework.executors) {
            for executor in executors.values() {
                let resources = Resources::from(executor.resources.as_slice());
                self.allocator.recover(key, &agent_key, &resources);
            }
        }
    }

    fn agents_that_know(&self, _key: &str) -> Vec<String> {
        // An executor of the framework may run where the master knows no task
        // of it any more, so every agent is told.
        self.state.agents.keys().cloned().collect()
    }

    pub(super) fn update_framework(&mut self, call: Call) -> Reply {
        let Some(update) = call.update_framework else {
            return Reply::new(400, "Expecting 'update_framework' to be present");
        };
        let info = update.framework_info;
        let wishes = Wishes {
            suppressed: update.suppressed_roles,
            constraints: update.offer_constraints,
        };
        let key = info.id.clone().unwrap_or_default().value;
        let Some(known) = self.state.frameworks.get(&key) else {
            return Reply::new(400, "Framework cannot be found");
        };
        let checks = validate_info(&info)
            .map_err(|text| format!("Supplied FrameworkInfo is not valid: {text}"))
            .and_then(|()| {
                check_immutable(&known.info, &info)
                    .map_err(|text| format!("FrameworkInfo update is not valid: {text}"))
            })
            .and_then(|()| {
                validate_wishes(&info, &wishes)
                    .map_err(|text| format!("'UpdateFramework' call is not valid: {text}"))
            });
        if let Err(message) = checks {
            return Reply::new(400, message);
        }
        if let Err(message) = self.authorize_roles(&info) {
            return Reply::new(403, message);
        }
        let removed: Vec<String> = known
            .roles()
            .difference(&roles_of(&info))
            .cloned()
            .collect();
        let Some(framework) = self.state.frameworks.get_mut(&key) else {
            return Reply::new(400, "Framework cannot be found");
        };
        framework.capabilities = capabilities_of(&info);
        let is_changed = framework.info != info;
        framework.info = info;
        framework.suppressed = wishes.suppressed.into_iter().collect();
        framework.offer_constraints = wishes.constraints;
        let profile = profile(framework);
        self.allocator.set_framework(&key, profile, true);
        self.rescind_roles(&key, &removed);
        if is_changed {
            self.tell_framework_updated(&key);
        }
        self.tell_agents_of_framework(&key);
        // What is free for it is offered with the next batch.
        Reply::new(200, "")
    }
}

/// What the allocator has to know of a framework.
pub(super) fn profile(framework: &Framework) -> FrameworkProfile {
    FrameworkProfile {
        roles: framework.roles(),
        suppressed: framework.suppressed.clone(),
        takes_gpus: framework.has(Capability::GpuResources),
        takes_refined: framework.has(Capability::ReservationRefinement),
        takes_shared: framework.has(Capability::SharedResources),
        takes_revocable: framework.has(Capability::RevocableResources),
        offer_filters: framework.info.offer_filters.clone(),
        constraints: framework.offer_constraints.clone(),
    }
}

pub(super) fn remember(
    tasks: &mut std::collections::VecDeque<v1::Task>,
    task: v1::Task,
    limit: usize,
) {
    tasks.push_back(task);
    while tasks.len() > limit {
        tasks.pop_front();
    }
}

fn check_call(call: &Call, has_stream_id: bool, principal: Option<&str>) -> Result<(), Reply> {
    let invalid = |text: String| {
        Err(Reply::new(
            400,
            format!("Failed to validate scheduler::Call: {text}"),
        ))
    };
    let Some(subscribe) = &call.subscribe else {
        return invalid("Expecting 'subscribe' to be present".to_owned());
    };
    let info = &subscribe.framework_info;
    if call.framework_id != info.id {
        return invalid("'framework_id' differs from 'subscribe.framework_info.id'".to_owned());
    }
    if let (Some(authenticated), Some(stated)) = (principal, &info.principal)
        && authenticated != stated
    {
        return invalid(format!(
            "Authenticated principal '{authenticated}' does not match principal '{stated}' set in `FrameworkInfo`"
        ));
    }
    if has_stream_id {
        return Err(Reply::new(
            400,
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ));
    }
    Ok(())
}

fn validate_info(info: &v1::FrameworkInfo) -> Result<(), String> {
    let is_multi_role = capabilities_of(info).contains(&(Capability::MultiRole as i32));
    if is_multi_role {
        if info.role.is_some() {
            return Err(
                "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
                    .to_owned(),
            );
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut twice = std::collections::BTreeSet::new();
        for role in &info.roles {
            if !seen.insert(role.as_str()) {
                twice.insert(role.as_str());
            }
        }
        if !twice.is_empty() {
            let twice: Vec<_> = twice.into_iter().collect();
            return Err(format!(
                "'FrameworkInfo.roles' contains duplicate items: {{ {} }}",
                twice.join(", ")
            ));
        }
        for role in &info.roles {
            ids::validate_role(role)
                .map_err(|error| format!("'FrameworkInfo.roles' contains invalid role: {error}"))?;
        }
    } else {
        if !info.roles.is_empty() {
            return Err("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable".to_owned());
        }
        ids::validate_role(info.role.as_deref().unwrap_or("*"))
            .map_err(|error| format!("'FrameworkInfo.role' is not a valid role: {error}"))?;
    }
    if let Some(id) = info.id.as_ref().filter(|id| !id.value.is_empty()) {
        ids::validate_id(&id.value).map_err(|error| error.to_string())?;
    }
    let timeout = info.failover_timeout.unwrap_or(0.0);
    // Mesos counts in nanoseconds that fit 64 bits with a sign.
    if timeout.is_nan() || timeout.abs() > 9_223_372_036.0 {
        return Err(format!(
            "The framework failover_timeout ({timeout}) is invalid"
        ));
    }
    info.offer_filters
        .values()
        .try_for_each(validate_offer_filter)
}

fn validate_offer_filter(filter: &v1::OfferFilters) -> Result<(), String> {
    let minimum = filter.min_allocatable_resources.as_ref();
    for quantities in minimum.iter().flat_map(|minimum| &minimum.quantities) {
        if quantities.quantities.is_empty() {
            return Err("Resource quantities must contain at least one quantity".to_owned());
        }
        for (name, value) in &quantities.quantities {
            let why = match value.value {
                value if value.is_nan() => "NaN not supported",
                value if value.is_infinite() => "Infinite values not supported",
                value if value < 0.0 => "Negative values not supported",
                _ => continue,
            };
            return Err(format!("Invalid resource quantity for '{name}': {why}"));
        }
    }
    Ok(())
}

fn validate_wishes(info: &v1::FrameworkInfo, wishes: &Wishes) -> Result<(), String> {
    let roles = roles_of(info);
    let strangers: Vec<&str> = wishes
        .suppressed
        .iter()
        .filter(|role| !roles.contains(*role))
        .map(String::as_str)
        .collect();
    if !strangers.is_empty() {
        return Err(format!(
            "Suppressed roles {{ {} }} are not contained in the set of roles",
            strangers.join(", ")
        ));
    }
    match &wishes.constraints {
        Some(wanted) => constraints::validate(wanted, &roles),
        None => Ok(()),
    }
}

fn check_immutable(old: &v1::FrameworkInfo, new: &v1::FrameworkInfo) -> Result<(), String> {
    if old.principal != new.principal {
        return Err("Changing framework's principal is not allowed.".to_owned());
    }
    if old.user != new.user {
        return Err(format!(
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
            old.user, new.user
        ));
    }
    let (old, new) = (old.checkpoint(), new.checkpoint());
    if old != new {
        return Err(format!(
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{old}' to '{new}'"
        ));
    }
    Ok(())
}
