//! What Mesos says of tasks.

use mesos_sdk::v1::{self, TaskState, task_status};
use serde_json::json;

use crate::effects::Call;
use crate::instance::{Address, Bond, CheckResult, Condition, Goal, Instance, Task, TaskId};
use crate::launch_delay::LaunchDelay;
use crate::path_id::PathId;
use crate::spec::Spec;
use crate::state::{Change, TaskFailure};

use super::Step;
use super::deploy::Aim;

/// What a status says of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It is on its way, or runs.
    Is(Condition),
    /// Its agent is out of reach.
    Lost,
    /// It has ended, or never was; in any way but `Killed` by itself, so that
    /// the next launch waits.
    Ended(Condition),
}

/// The longest message of a status that is kept.
const MAX_MESSAGE: usize = 10_000;

impl Step<'_> {
    pub(super) fn update(&mut self, status: v1::TaskStatus) {
        let news = news(&status);
        let Some((instance, task)) = self.named_by(&status) else {
            return self.stranger(&status, news);
        };
        self.state.unconfirmed.remove(&instance.id);
        self.touched.insert(instance.app.clone());
        self.tell_of_status(&instance, &status);
        match news {
            News::Is(condition) => self.goes_on(instance, task, condition, &status),
            News::Lost => self.lost(instance, task),
            News::Ended(condition) => self.ended(instance, task, condition, &status),
        }
    }

    /// The instance that a status is about, and the place of the task among its
    /// tasks: one that is not over yet.
    fn named_by(&self, status: &v1::TaskStatus) -> Option<(Instance, usize)> {
        let id: TaskId = status.task_id.value.parse().ok()?;
        let instance = self.state.instance(&id.instance)?;
        let is_it = |task: &Task| task.container == id.container && !task.condition.is_over();
        let task = instance.tasks.iter().position(is_it)?;
        (instance.incarnation == id.incarnation).then(|| (instance.clone(), task))
    }

    /// Tasks that were sent out and never left wait for offers again, at once:
    /// nothing of them failed.
    pub(super) fn not_launched(&mut self, tasks: &[String]) {
        for task in tasks.iter().filter_map(|it| it.parse::<TaskId>().ok()) {
            let instance = self.state.instance(&task.instance);
            let Some(instance) = instance
                .filter(|it| it.incarnation == task.incarnation)
                .filter(|it| it.condition == Condition::Provisioned)
                .cloned()
            else {
                continue;
            };
            if instance.goal == Goal::Running {
                self.schedule_again(instance);
            } else {
                self.forget(&instance.id, "Killed");
            }
        }
    }

    pub(super) fn schedule_again(&mut self, instance: Instance) {
        self.state.probes.health.remove(&instance.id);
        self.state.probes.readiness.remove(&instance.id);
        self.put(instance.again(), Condition::Scheduled);
    }

    /// A task that is none of ours any more is to end.
    fn stranger(&mut self, status: &v1::TaskStatus, news: News) {
        match news {
            News::Is(_) => self.effects.calls.push(Call::Kill {
                task_id: status.task_id.value.clone(),
                agent_id: status.agent_id.as_ref().map(|id| id.value.clone()),
            }),
            News::Lost | News::Ended(_) => {
                let data = json!({
                    "instanceId": status.task_id.value,
                    "runSpecId": null,
                    "condition": status.state().as_str_name(),
                });
                self.tell("unknown_instance_terminated_event", data);
            }
        }
    }

    fn goes_on(
        &mut self,
        mut instance: Instance,
        task: usize,
        condition: Condition,
        status: &v1::TaskStatus,
    ) {
        let was_running = instance.condition == Condition::Running;
        if let Some(place) = instance.place.as_mut() {
            place.lost_at = None;
        }
        // The master itself speaks of tasks that their agent does not know yet.
        if status.source() != task_status::Source::Master
            && let Some(bond) = instance.bond.as_mut()
        {
            bond.is_confirmed = true;
        }
        let of_task = &mut instance.tasks[task];
        if of_task.condition != condition {
            (of_task.condition, of_task.since) = (condition, self.now);
        }
        if condition == Condition::Running {
            of_task.started_at.get_or_insert(self.now);
        }
        let addresses = addresses(status);
        if !addresses.is_empty() {
            of_task.addresses = addresses;
        }
        if let Some(found) = &status.check_status {
            of_task.check_result = CheckResult::of(found);
        }
        if let Some(is_healthy) = status.healthy
            && of_task.is_healthy != Some(is_healthy)
        {
            of_task.is_healthy = Some(is_healthy);
            let data = json!({
                "instanceId": instance.id,
                "runSpecId": instance.app,
                "healthy": is_healthy,
                "runSpecVersion": instance.version,
            });
            self.tell("instance_health_changed_event", data);
            let spec = self.state.definition_of(&instance);
            if spec.and_then(Spec::app).is_some() {
                let data = json!({
                    "appId": instance.app,
                    "instanceId": instance.id,
                    "version": instance.version,
                    "alive": is_healthy,
                });
                self.tell("health_status_changed_event", data);
            }
        }
        if let Some(delay) = self.state.delays.get(&instance.app) {
            let delay = delay.after_progress(self.now);
            self.change(Change::Delay(instance.app.clone(), Some(delay)));
        }
        let condition = instance.condition_of_tasks();
        if condition == Condition::Running && !was_running {
            let tokens = self.state.launch_tokens + 1;
            self.state.launch_tokens = tokens.min(self.state.settings.launch_tokens);
        }
        self.put(instance, condition);
    }

    fn lost(&mut self, mut instance: Instance, task: usize) {
        let is_lost = |condition| {
            matches!(
                condition,
                Condition::Unreachable | Condition::UnreachableInactive
            )
        };
        if is_lost(instance.tasks[task].condition) {
            return;
        }
        let was_lost = is_lost(instance.condition);
        if let Some(place) = instance.place.as_mut()
            && !was_lost
        {
            place.lost_at = Some(self.now);
        }
        let of_task = &mut instance.tasks[task];
        (of_task.condition, of_task.since) = (Condition::Unreachable, self.now);
        let condition = instance.condition_of_tasks();
        self.put(instance, condition);
    }

    /// A task has ended. Its instance has when all of its tasks have.
    fn ended(
        &mut self,
        mut instance: Instance,
        task: usize,
        condition: Condition,
        status: &v1::TaskStatus,
    ) {
        let id = instance.app.clone();
        let is_wanted = instance.goal == Goal::Running;
        let is_given_up = instance.condition == Condition::UnreachableInactive;
        let of_task = &mut instance.tasks[task];
        (of_task.condition, of_task.since) = (condition, self.now);
        of_task.message = status.message.as_deref().map(|it| cut(it).to_owned());
        let is_last = !instance.is_launched();
        let is_bad = condition != Condition::Killed && condition != Condition::Finished;
        if is_wanted && (is_bad || (is_last && condition == Condition::Finished)) {
            self.note_failure(&instance, task, status);
        }
        let together = instance.condition_of_tasks();
        if !is_last {
            return self.put(instance, together);
        }
        if is_wanted && together != Condition::Killed {
            self.delay_next(&id);
        }
        self.loosen(&mut instance, together, status);
        let is_current = self.state.definition_of(&instance).is_some();
        let has_spec = self.state.root.spec(&id).is_some();
        let may_rest = instance.bond.is_some() && is_current && has_spec;
        // Without its agent, an instance that is for that agent is for nothing.
        let spec = self.state.root.spec(&id);
        if spec.is_some_and(Spec::is_everywhere) && instance.bond.is_none() {
            return self.forget(&instance.id, together.name());
        }
        if instance.goal == Goal::Stopped && may_rest {
            return self.put(instance, together);
        }
        if !is_wanted || !is_current || !has_spec {
            return self.forget(&instance.id, together.name());
        }
        // An old one that ends is not started again: the next is as it should be.
        let is_outdated = match self.aim(&id) {
            Aim::Replace(spec) | Aim::Scale(spec) => !self.alike(&spec).are(&instance),
            Aim::Nothing | Aim::Stop => false,
        };
        if is_outdated && may_rest {
            instance.goal = Goal::Stopped;
            return self.put(instance, together);
        }
        if is_outdated || is_given_up {
            return self.forget(&instance.id, "Gone");
        }
        self.schedule_again(instance);
    }

    /// Frees an instance from its agent when that is gone, or never had it.
    fn loosen(&mut self, instance: &mut Instance, end: Condition, status: &v1::TaskStatus) {
        let is_of_master = status.source() == task_status::Source::Master;
        let was_never = |bond: &Bond| {
            let is_lost = matches!(end, Condition::Dropped | Condition::Error | Condition::Gone);
            is_of_master && is_lost && !bond.is_confirmed
        };
        let is_gone = matches!(
            status.state(),
            TaskState::TaskGone | TaskState::TaskGoneByOperator
        );
        match instance.bond.as_mut() {
            Some(bond) if (is_gone && end == Condition::Gone) || was_never(bond) => {
                self.abandon(instance);
                instance.bond = None;
            }
            Some(bond) if !is_of_master => bond.is_confirmed = true,
            _ => {}
        }
    }

    /// The next launch waits, after a failure.
    fn delay_next(&mut self, id: &PathId) {
        if let Some(spec) = self.state.root.spec(id).cloned() {
            let before = self.state.delays.get(id).copied();
            let delay = LaunchDelay::after_failure(before, &spec, self.now);
            self.change(Change::Delay(id.clone(), Some(delay)));
            self.look_again(id, delay.until());
        }
    }

    fn note_failure(&mut self, instance: &Instance, task: usize, status: &v1::TaskStatus) {
        let of_task = &instance.tasks[task];
        let place = instance.place.as_ref();
        let failure = TaskFailure {
            app_id: instance.app.clone(),
            host: place
                .map(|place| place.hostname.clone())
                .unwrap_or_default(),
            message: cut(status.message()).to_owned(),
            state: status.state().as_str_name().to_owned(),
            task_id: status.task_id.value.clone(),
            timestamp: self.now,
            version: instance.version,
            slave_id: place.map(|place| place.agent_id.clone()),
            started_at: of_task.container.as_ref().and(of_task.started_at),
        };
        self.change(Change::Failure(
            instance.app.clone(),
            Some(Box::new(failure)),
        ));
    }

    fn tell_of_status(&mut self, instance: &Instance, status: &v1::TaskStatus) {
        let place = instance.place.as_ref();
        let addresses = addresses(status);
        let data = json!({
            "slaveId": status.agent_id.as_ref().map(|id| &id.value),
            "taskId": status.task_id.value,
            "taskStatus": status.state().as_str_name(),
            "message": status.message(),
            "appId": instance.app,
            "host": place.map(|place| &place.hostname),
            "ipAddresses": addresses,
            "ports": place.map(|place| &place.ports),
            "version": instance.version,
        });
        self.tell("status_update_event", data);
    }
}

/// As much of a message as is kept.
fn cut(message: &str) -> &str {
    let end = message.char_indices().nth(MAX_MESSAGE);
    end.map_or(message, |(end, _)| &message[..end])
}

fn news(status: &v1::TaskStatus) -> News {
    use task_status::Reason;
    match status.state() {
        TaskState::TaskStaging => News::Is(Condition::Staging),
        TaskState::TaskStarting => News::Is(Condition::Starting),
        TaskState::TaskRunning => News::Is(Condition::Running),
        TaskState::TaskKilling => News::Is(Condition::Killing),
        TaskState::TaskUnreachable => News::Lost,
        TaskState::TaskLost => match status.reason() {
            Reason::Reconciliation | Reason::AgentDisconnected | Reason::AgentRemoved => News::Lost,
            _ => News::Ended(Condition::Gone),
        },
        TaskState::TaskKilled => News::Ended(Condition::Killed),
        TaskState::TaskGoneByOperator if status.reason() == Reason::AgentDraining => {
            News::Ended(Condition::Killed)
        }
        TaskState::TaskFinished => News::Ended(Condition::Finished),
        TaskState::TaskFailed => News::Ended(Condition::Failed),
        TaskState::TaskError => News::Ended(Condition::Error),
        TaskState::TaskDropped => News::Ended(Condition::Dropped),
        TaskState::TaskGone | TaskState::TaskGoneByOperator => News::Ended(Condition::Gone),
        TaskState::TaskUnknown => News::Ended(Condition::Unknown),
    }
}

fn addresses(status: &v1::TaskStatus) -> Vec<Address> {
    let container = status.container_status.iter();
    let infos = container.flat_map(|status| &status.network_infos);
    let addresses = infos.flat_map(|info| &info.ip_addresses);
    addresses
        .filter_map(|address| {
            let ip_address = address.ip_address.clone()?;
            let is_v6 = ip_address.contains(':');
            Some(Address {
                ip_address,
                protocol: if is_v6 { "IPv6" } else { "IPv4" }.to_owned(),
            })
        })
        .collect()
}
