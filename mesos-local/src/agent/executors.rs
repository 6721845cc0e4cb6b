//! Executors as the agent handles them: stepping one, whichever input it is
//! for, reporting what it says, and the calls of those that speak the executor
//! API (`src/slave/http.cpp`, `src/slave/slave.cpp`).

use mesos_sdk::v1;
use v1::executor::Call;
use v1::executor::call::Type;

use crate::agent::custom::Welcome;
use crate::agent::executor::{Executor, Kind, Outcome, Phase};
use crate::agent::{Agent, CallId, ContainerKey, Effects, Reply, drain};
use crate::messages::FromAgent;
use crate::random::Random;
use crate::time::Timestamp;

impl Agent {
    /// Steps the executor of a container, then reports what it says and asks
    /// for what it wants.
    pub(super) fn with_executor(
        &mut self,
        now: Timestamp,
        container: &ContainerKey,
        effects: &mut Effects,
        step: impl FnOnce(&mut Executor, &mut Random) -> Outcome,
    ) {
        let Some((framework_id, executor_id)) = self.containers.get(container).cloned() else {
            return;
        };
        let Some(framework) = self.frameworks.get_mut(&framework_id) else {
            return;
        };
        let is_silent = framework.is_terminating;
        let is_aware = framework.is_partition_aware();
        let Some(executor) = framework.executors.get_mut(&executor_id) else {
            return;
        };
        let key = executor.container.clone();
        if let Some(at) = executor.wake_at() {
            self.timers.remove(&(at, key.clone()));
        }
        let was_terminated = executor.phase == Phase::Terminated;
        let outcome = step(executor, &mut self.random);
        let has_ended = executor.phase == Phase::Terminated;
        if !has_ended && let Some(at) = executor.wake_at() {
            self.timers.insert((at, key.clone()));
        }
        let has_left = *container != key && !executor.has_container(container);
        effects.actions.extend(outcome.actions);
        effects.events.extend(outcome.events);
        effects.closes.extend(outcome.closes);
        let is_command = executor.is_command();
        let executor_key = executor.info.executor_id.clone();
        if let Some(status) = outcome.exit.filter(|_| !is_command && !is_silent) {
            self.exits.push(FromAgent::ExecutorExited {
                framework_id: mesos_sdk::ids::framework_id(&framework_id),
                executor_id: executor_key,
                status,
                is_command_executor: false,
            });
        }
        for mut status in outcome.statuses {
            drain::explain(self.draining, is_aware, &mut status);
            if is_silent {
                executor.conclude(&status);
            } else {
                executor.record(&status);
            }
            self.counters.count(status.state());
            if !is_silent {
                self.updates.push(
                    now,
                    &framework_id,
                    status,
                    &self.config.limits,
                    &mut effects.to_master,
                );
            }
        }
        self.tell_exits(effects);
        if has_left {
            self.containers.remove(container);
            self.forget_nested(container, effects);
        }
        if has_ended && !was_terminated {
            self.counters.executors_terminated += 1;
            self.forget_containers(&key);
            self.forget_nested(&key, effects);
        }
        if has_ended || is_silent {
            self.complete_executor(&framework_id, &executor_id, effects);
        }
    }

    /// Executors that ended while no master listened are told of later.
    pub(super) fn tell_exits(&mut self, effects: &mut Effects) {
        if self.is_registered() {
            effects.to_master.append(&mut self.exits);
        }
    }

    /// Forgets a container and those in it, which follow it in their order.
    fn forget_containers(&mut self, container: &ContainerKey) {
        let all: Vec<ContainerKey> = self
            .containers
            .range(container..)
            .map(|(key, _)| key)
            .take_while(|key| key.is_in(container))
            .cloned()
            .collect();
        for key in all {
            self.containers.remove(&key);
        }
    }

    pub(super) fn shut_down_executor(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        executor_id: &v1::ExecutorId,
        effects: &mut Effects,
    ) {
        let container = self
            .executor(&framework_id.value, &executor_id.value)
            .map(|executor| executor.container.clone());
        if let Some(container) = container {
            self.with_executor(now, &container, effects, |executor, random| {
                executor.shut_down(now, random)
            });
        }
    }

    pub(super) fn shut_down_framework(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        effects: &mut Effects,
    ) {
        self.updates.remove_framework(&framework_id.value);
        let Some(framework) = self.frameworks.get_mut(&framework_id.value) else {
            return;
        };
        framework.is_terminating = true;
        framework.refused.clear();
        let executors: Vec<(String, ContainerKey)> = framework
            .executors
            .iter()
            .map(|(id, executor)| (id.clone(), executor.container.clone()))
            .collect();
        for (executor_id, container) in executors {
            self.with_executor(now, &container, effects, |executor, random| {
                executor.shut_down(now, random)
            });
            self.complete_executor(&framework_id.value, &executor_id, effects);
        }
    }

    /// A message of a framework for one of its executors.
    pub(super) fn framework_message(
        &mut self,
        now: Timestamp,
        framework_id: &v1::FrameworkId,
        executor_id: &v1::ExecutorId,
        data: bytes::Bytes,
        effects: &mut Effects,
    ) {
        // A command executor has no use for messages, and the default one none.
        let known = self.executor(&framework_id.value, &executor_id.value);
        let container = known.and_then(|executor| match &executor.kind {
            Kind::Custom(custom) if custom.is_connected() => Some(executor.container.clone()),
            _ => None,
        });
        if !self.frameworks.contains_key(&framework_id.value) {
            self.counters.invalid_framework_messages += 1;
            return;
        }
        self.counters.valid_framework_messages += 1;
        if let Some(container) = container {
            self.with_executor(now, &container, effects, |executor, _| {
                match &executor.kind {
                    Kind::Custom(custom) => custom.message(data),
                    _ => Outcome::default(),
                }
            });
        }
    }

    /// A call of an executor.
    pub(super) fn executor_call(
        &mut self,
        now: Timestamp,
        id: CallId,
        call: Call,
        effects: &mut Effects,
    ) {
        let reply = match self.check_caller(&call) {
            Ok(container) => self.carry_out_call(now, id, &container, call, effects),
            Err(reply) => reply,
        };
        effects.replies.push((id, reply));
    }

    fn check_caller(&self, call: &Call) -> Result<ContainerKey, Reply> {
        let framework = self
            .frameworks
            .get(&call.framework_id.value)
            .ok_or_else(|| Reply::new(400, "Framework cannot be found"))?;
        let executor = framework
            .executors
            .get(&call.executor_id.value)
            .filter(|executor| executor.phase != Phase::Terminated)
            .ok_or_else(|| Reply::new(400, "Executor cannot be found"))?;
        let has_registered = match &executor.kind {
            Kind::Custom(custom) => custom.has_registered(),
            // It is no process, so whoever calls is not it.
            Kind::Command(_) | Kind::Default(_) => {
                return Err(Reply::new(400, "Executor cannot be found"));
            }
        };
        if !has_registered && call.r#type() != Type::Subscribe {
            return Err(Reply::new(403, "Executor is not subscribed"));
        }
        Ok(executor.container.clone())
    }

    fn carry_out_call(
        &mut self,
        now: Timestamp,
        id: CallId,
        container: &ContainerKey,
        call: Call,
        effects: &mut Effects,
    ) -> Reply {
        match call.r#type() {
            Type::Subscribe => {
                let Some(framework) = self.frameworks.get(&call.framework_id.value) else {
                    return Reply::new(400, "Framework cannot be found");
                };
                let welcome = Welcome {
                    framework: framework.info.clone(),
                    agent: self.info(),
                    is_partition_aware: framework.is_partition_aware(),
                };
                let subscribe = call.subscribe.unwrap_or_default();
                self.streams.insert(id, container.clone());
                self.with_executor(now, container, effects, |executor, random| {
                    executor.subscribed(now, id, subscribe, welcome, random)
                });
                return Reply::new(200, "");
            }
            Type::Update => {
                let status = call.update.unwrap_or_default().status;
                self.with_executor(now, container, effects, |executor, _| {
                    executor.updated(now, status)
                });
            }
            Type::Message => effects.to_master.push(FromAgent::ExecutorMessage {
                framework_id: call.framework_id,
                executor_id: call.executor_id,
                data: call.message.unwrap_or_default().data,
            }),
            Type::Heartbeat => {}
            Type::Unknown => return Reply::new(501, "Received 'UNKNOWN' call"),
        }
        Reply::new(202, "")
    }

    /// The stream of an executor is over from the other side.
    pub(super) fn executor_gone(&mut self, now: Timestamp, id: CallId, effects: &mut Effects) {
        let Some(container) = self.streams.remove(&id) else {
            return;
        };
        self.with_executor(now, &container, effects, |executor, _| {
            if let Kind::Custom(custom) = &mut executor.kind {
                custom.disconnected(id);
            }
            Outcome::default()
        });
    }

    pub(super) fn executor(&self, framework_id: &str, executor_id: &str) -> Option<&Executor> {
        self.frameworks
            .get(framework_id)?
            .executors
            .get(executor_id)
            .map(Box::as_ref)
    }
}
