//! What Mesos says of tasks.

use mesos_sdk::v1::{self, TaskState, task_status};
use serde_json::json;

use crate::effects::Call;
use crate::instance::{Address, Condition, Goal, Instance, TaskId};
use crate::launch_delay::LaunchDelay;
use crate::state::{Change, TaskFailure};

use super::Step;

/// What a status says of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It is on its way, or runs.
    Is(Condition),
    /// Its agent is out of reach.
    Lost,
    /// It has ended, or never was.
    Ended(End),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By itself, in whichever way: the next launch waits.
    ByItself,
    /// Because somebody wanted it.
    Killed,
}

/// The longest message of a status that is kept.
const MAX_MESSAGE: usize = 10_000;

impl Step<'_> {
    pub(super) fn update(&mut self, status: v1::TaskStatus) {
        let news = news(&status);
        let task = status.task_id.value.parse::<TaskId>().ok();
        let instance = task
            .as_ref()
            .and_then(|task| self.state.instances.get(&task.instance))
            .filter(|instance| Some(instance.incarnation) == task.as_ref().map(|it| it.incarnation))
            .filter(|instance| instance.is_launched())
            .cloned();
        let Some(instance) = instance else {
            return self.stranger(&status, news);
        };
        self.tell_of_status(&instance, &status);
        match news {
            News::Is(condition) => self.goes_on(instance, condition, &status),
            News::Lost => self.lost(instance),
            News::Ended(end) => self.ended(instance, end, &status),
        }
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

    fn goes_on(&mut self, mut instance: Instance, condition: Condition, status: &v1::TaskStatus) {
        let was_running = instance.condition == Condition::Running;
        if let Some(place) = instance.place.as_mut() {
            place.lost_at = None;
            if condition == Condition::Running {
                place.started_at.get_or_insert(self.now);
            }
            let addresses = addresses(status);
            if !addresses.is_empty() {
                place.addresses = addresses;
            }
            if let Some(is_healthy) = status.healthy
                && place.is_healthy != Some(is_healthy)
            {
                place.is_healthy = Some(is_healthy);
                let data = json!({
                    "instanceId": instance.id,
                    "runSpecId": instance.app,
                    "healthy": is_healthy,
                    "runSpecVersion": instance.version,
                });
                self.tell("instance_health_changed_event", data);
            }
        }
        if let Some(delay) = self.state.delays.get(&instance.app) {
            let delay = delay.after_progress(self.now);
            self.change(Change::Delay(instance.app.clone(), Some(delay)));
        }
        if condition == Condition::Running && !was_running {
            let tokens = self.state.launch_tokens + 1;
            self.state.launch_tokens = tokens.min(self.state.settings.launch_tokens);
        }
        self.put(instance, condition);
    }

    fn lost(&mut self, mut instance: Instance) {
        let is_known = matches!(
            instance.condition,
            Condition::Unreachable | Condition::UnreachableInactive
        );
        if is_known {
            return;
        }
        if let Some(place) = instance.place.as_mut() {
            place.lost_at = Some(self.now);
        }
        self.put(instance, Condition::Unreachable);
    }

    fn ended(&mut self, mut instance: Instance, end: End, status: &v1::TaskStatus) {
        let id = instance.app.clone();
        let is_wanted = instance.goal == Goal::Running;
        if end == End::ByItself && is_wanted {
            self.note_failure(&instance, status);
            if let Some(app) = self.state.root.app(&id).cloned() {
                let before = self.state.delays.get(&id).copied();
                let delay = LaunchDelay::after_failure(before, &app, self.now);
                self.change(Change::Delay(id.clone(), Some(delay)));
                self.look_again(&id, delay.until());
            }
        }
        let is_current = self.state.definition_of(&instance).is_some();
        let has_app = self.state.root.app(&id).is_some();
        if !is_wanted || !is_current || !has_app {
            let state = status.state().as_str_name();
            return self.forget(&instance.id, state.strip_prefix("TASK_").unwrap_or(state));
        }
        // An old one that ends while it is being replaced is not started again.
        let is_outdated = matches!(self.aim(&id), super::deploy::Aim::Replace(app)
            if app.version != instance.version);
        let is_given_up = instance.condition == Condition::UnreachableInactive;
        if is_outdated || is_given_up {
            return self.forget(&instance.id, "Gone");
        }
        self.state.probes.health.remove(&instance.id);
        self.state.probes.readiness.remove(&instance.id);
        instance.incarnation += 1;
        instance.place = None;
        instance.killed_at = None;
        self.put(instance, Condition::Scheduled);
    }

    fn note_failure(&mut self, instance: &Instance, status: &v1::TaskStatus) {
        let message = status.message();
        let cut = message
            .char_indices()
            .nth(MAX_MESSAGE)
            .map_or(message, |(end, _)| &message[..end]);
        let place = instance.place.as_ref();
        let failure = TaskFailure {
            app_id: instance.app.clone(),
            host: place
                .map(|place| place.hostname.clone())
                .unwrap_or_default(),
            message: cut.to_owned(),
            state: status.state().as_str_name().to_owned(),
            task_id: status.task_id.value.clone(),
            timestamp: self.now,
            version: instance.version,
            slave_id: place.map(|place| place.agent_id.clone()),
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
            _ => News::Ended(End::ByItself),
        },
        TaskState::TaskKilled => News::Ended(End::Killed),
        TaskState::TaskGoneByOperator if status.reason() == Reason::AgentDraining => {
            News::Ended(End::Killed)
        }
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskError
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown => News::Ended(End::ByItself),
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
