//! Makes the events that schedulers and operators are sent, and sends them.

use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::{Event, event};
use mesos_sdk::v1::task_status::{Reason, Source};

use super::state::{AgentKey, Framework};
use super::{ConnectionId, HEARTBEAT_INTERVAL, Master, MasterConfig, VERSION};
use crate::time::Timestamp;

pub(super) fn master_info(config: &MasterConfig) -> v1::MasterInfo {
    use v1::master_info::capability::Type;
    let ip = match config.address.ip() {
        // The octets in network order, read on a little-endian machine.
        std::net::IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        std::net::IpAddr::V6(_) => 0,
    };
    let port = config.address.port();
    v1::MasterInfo {
        id: config.id.clone(),
        ip,
        port: u32::from(port),
        pid: Some(format!("master@{}", config.address)),
        hostname: Some(config.hostname.clone()),
        version: Some(VERSION.to_owned()),
        address: Some(v1::Address {
            hostname: Some(config.hostname.clone()),
            ip: Some(config.address.ip().to_string()),
            port: i32::from(port),
        }),
        domain: None,
        capabilities: [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2]
            .into_iter()
            .map(|kind| v1::master_info::Capability {
                r#type: Some(kind as i32),
            })
            .collect(),
    }
}

pub(super) fn error(message: impl Into<String>) -> Event {
    Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error {
            message: message.into(),
        }),
        ..Default::default()
    }
}

pub(super) fn heartbeat() -> Event {
    Event {
        r#type: Some(event::Type::Heartbeat as i32),
        ..Default::default()
    }
}

pub(super) fn subscribed(framework_id: v1::FrameworkId, master: v1::MasterInfo) -> Event {
    Event {
        r#type: Some(event::Type::Subscribed as i32),
        subscribed: Some(event::Subscribed {
            framework_id,
            heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL.as_secs_f64()),
            master_info: Some(master),
        }),
        ..Default::default()
    }
}

pub(super) fn offers(offers: Vec<v1::Offer>) -> Event {
    Event {
        r#type: Some(event::Type::Offers as i32),
        offers: Some(event::Offers { offers }),
        ..Default::default()
    }
}

pub(super) fn rescind(offer_id: &str) -> Event {
    Event {
        r#type: Some(event::Type::Rescind as i32),
        rescind: Some(event::Rescind {
            offer_id: v1::OfferId {
                value: offer_id.to_owned(),
            },
        }),
        ..Default::default()
    }
}

pub(super) fn update(status: v1::TaskStatus) -> Event {
    Event {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update { status }),
        ..Default::default()
    }
}

pub(super) fn operation_update(status: v1::OperationStatus) -> Event {
    Event {
        r#type: Some(event::Type::UpdateOperationStatus as i32),
        update_operation_status: Some(event::UpdateOperationStatus { status }),
        ..Default::default()
    }
}

pub(super) fn message(
    agent_id: v1::AgentId,
    executor_id: v1::ExecutorId,
    data: bytes::Bytes,
) -> Event {
    Event {
        r#type: Some(event::Type::Message as i32),
        message: Some(event::Message {
            agent_id,
            executor_id,
            data,
        }),
        ..Default::default()
    }
}

pub(super) fn failure(
    agent_id: v1::AgentId,
    executor_id: Option<v1::ExecutorId>,
    status: Option<i32>,
) -> Event {
    Event {
        r#type: Some(event::Type::Failure as i32),
        failure: Some(event::Failure {
            agent_id: Some(agent_id),
            executor_id,
            status,
        }),
        ..Default::default()
    }
}

/// A status that the master itself makes: it has no uuid, so there is nothing
/// to acknowledge.
pub(super) fn master_status(
    now: Timestamp,
    task_id: v1::TaskId,
    agent_id: Option<v1::AgentId>,
    state: v1::TaskState,
    reason: Reason,
    message: impl Into<String>,
) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id,
        state: state as i32,
        message: Some(message.into()),
        source: Some(Source::Master as i32),
        reason: Some(reason as i32),
        agent_id,
        timestamp: Some(now.as_secs_f64()),
        ..Default::default()
    }
}

impl Master {
    /// Sends an event to a framework, if it is connected.
    pub(super) fn send(&mut self, framework: &str, event: Event) {
        let connection = self
            .state
            .frameworks
            .get(framework)
            .and_then(|framework| framework.connection);
        if let Some(connection) = connection {
            self.out.events.push((connection, event));
        }
    }

    pub(super) fn send_to_all(&mut self, event: &Event) {
        for framework in self.state.frameworks.values() {
            if let Some(connection) = framework.connection {
                self.out.events.push((connection, event.clone()));
            }
        }
    }

    pub(super) fn send_to_agent(&mut self, agent: &AgentKey, message: crate::messages::ToAgent) {
        if let Some(link) = self.state.agents.get(agent).and_then(|agent| agent.link) {
            self.out.to_agents.push((link, message));
        }
    }

    /// Sends an event to every operator who watches.
    pub(super) fn tell_operators(&mut self, event: v1::master::Event) {
        for (connection, (_, principal)) in &self.state.operators {
            if self.may_hear(principal.as_deref(), &event) {
                self.out.operator_events.push((*connection, event.clone()));
            }
        }
    }

    pub(super) fn has_operators(&self) -> bool {
        !self.state.operators.is_empty()
    }

    /// A framework as events show it: times that are not known are zero.
    fn told_framework(
        &self,
        framework: &Framework,
    ) -> v1::master::response::get_frameworks::Framework {
        let mut told = self.framework_report(framework);
        let never = v1::TimeInfo { nanoseconds: 0 };
        if framework.is_recovered {
            (told.registered_time, told.reregistered_time) = (Some(never), Some(never));
        }
        told.unregistered_time.get_or_insert(never);
        told
    }

    pub(super) fn tell_framework_added(&mut self, framework: &Framework) {
        if !self.has_operators() {
            return;
        }
        let framework = self.told_framework(framework);
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::FrameworkAdded as i32),
            framework_added: Some(v1::master::event::FrameworkAdded { framework }),
            ..Default::default()
        });
    }

    pub(super) fn tell_framework_updated(&mut self, framework: &str) {
        let Some(framework) = self.state.frameworks.get(framework) else {
            return;
        };
        if !self.has_operators() {
            return;
        }
        let framework = self.told_framework(framework);
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::FrameworkUpdated as i32),
            framework_updated: Some(v1::master::event::FrameworkUpdated { framework }),
            ..Default::default()
        });
    }

    pub(super) fn tell_framework_removed(&mut self, info: &v1::FrameworkInfo) {
        if !self.has_operators() {
            return;
        }
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::FrameworkRemoved as i32),
            framework_removed: Some(v1::master::event::FrameworkRemoved {
                framework_info: info.clone(),
            }),
            ..Default::default()
        });
    }

    pub(super) fn tell_task_added(&mut self, task: &v1::Task) {
        if !self.has_operators() {
            return;
        }
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::TaskAdded as i32),
            task_added: Some(v1::master::event::TaskAdded { task: task.clone() }),
            ..Default::default()
        });
    }

    pub(super) fn tell_task_updated(
        &mut self,
        framework_id: &v1::FrameworkId,
        status: &v1::TaskStatus,
        state: v1::TaskState,
    ) {
        if !self.has_operators() {
            return;
        }
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::TaskUpdated as i32),
            task_updated: Some(v1::master::event::TaskUpdated {
                framework_id: framework_id.clone(),
                status: status.clone(),
                state: state as i32,
            }),
            ..Default::default()
        });
    }

    pub(super) fn tell_agent_added(&mut self, agent: &str) {
        let Some(agent) = self
            .state
            .agents
            .get(agent)
            .filter(|_| self.has_operators())
        else {
            return;
        };
        let agent = self.agent_report(agent);
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::AgentAdded as i32),
            agent_added: Some(v1::master::event::AgentAdded { agent }),
            ..Default::default()
        });
    }

    pub(super) fn tell_agent_removed(&mut self, agent_id: v1::AgentId) {
        if !self.has_operators() {
            return;
        }
        self.tell_operators(v1::master::Event {
            r#type: Some(v1::master::event::Type::AgentRemoved as i32),
            agent_removed: Some(v1::master::event::AgentRemoved { agent_id }),
            ..Default::default()
        });
    }

    pub(super) fn beat_hearts(&mut self) {
        for framework in self.state.frameworks.values_mut() {
            if let Some(connection) = framework.connection
                && framework.next_heartbeat <= self.now
            {
                framework.next_heartbeat = self.now + HEARTBEAT_INTERVAL;
                self.out.events.push((connection, heartbeat()));
            }
        }
        for (connection, (due, _)) in &mut self.state.operators {
            if *due <= self.now {
                *due = self.now + HEARTBEAT_INTERVAL;
                self.out
                    .operator_events
                    .push((*connection, operator_heartbeat()));
            }
        }
    }

    pub(super) fn operator_subscribe(
        &mut self,
        connection: ConnectionId,
        principal: Option<String>,
    ) {
        if self.state.operators.len() >= self.config.max_operator_subscribers
            && let Some((oldest, _)) = self.state.operators.pop_first()
        {
            self.out.closes.push(oldest);
        }
        self.out.accepted.push((connection, None));
        let subscribed = v1::master::Event {
            r#type: Some(v1::master::event::Type::Subscribed as i32),
            subscribed: Some(v1::master::event::Subscribed {
                get_state: Some(self.state_report_for(principal.as_deref())),
                heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL.as_secs_f64()),
            }),
            ..Default::default()
        };
        self.out.operator_events.push((connection, subscribed));
        self.out
            .operator_events
            .push((connection, operator_heartbeat()));
        let due = self.now + HEARTBEAT_INTERVAL;
        self.state.operators.insert(connection, (due, principal));
    }
}

fn operator_heartbeat() -> v1::master::Event {
    v1::master::Event {
        r#type: Some(v1::master::event::Type::Heartbeat as i32),
        ..Default::default()
    }
}
