//! What the master and its agents tell each other.
//!
//! Both sides are models without io; these messages are the whole of what
//! passes between them, so a network that delays, drops or cuts can be put in
//! between. Who carries them, and the faults, live in the cluster's shell.

use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use serde::{Deserialize, Serialize};

use crate::as_json;
use crate::conversion::with_kept;

/// A message from the master to one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once through a channel"
)]
pub enum ToAgent {
    /// The agent is part of the cluster under this id.
    Registered {
        /// The id the master gave, or confirmed after a re-registration.
        #[serde(with = "as_json::one")]
        agent_id: v1::AgentId,
    },
    /// Answers a re-registration: tasks that the master knows and the agent did
    /// not name; the agent reports each as dropped.
    Reregistered {
        /// The confirmed id.
        #[serde(with = "as_json::one")]
        agent_id: v1::AgentId,
        /// Tasks to report as unknown to the agent.
        unknown_tasks: Vec<UnknownTask>,
    },
    /// Launch one task.
    RunTask {
        /// The framework as the master knows it, with its id.
        #[serde(with = "as_json::one")]
        framework: v1::FrameworkInfo,
        /// The task, its resources allocated to a role.
        #[serde(with = "as_json::one")]
        task: v1::TaskInfo,
    },
    /// Launch a task group, all or none.
    RunTaskGroup {
        /// The framework as the master knows it, with its id.
        #[serde(with = "as_json::one")]
        framework: v1::FrameworkInfo,
        /// The executor all tasks of the group share.
        #[serde(with = "as_json::one")]
        executor: v1::ExecutorInfo,
        /// The tasks.
        #[serde(with = "as_json::one")]
        group: v1::TaskGroupInfo,
    },
    /// Kill one task.
    KillTask {
        /// Whose task.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// Which task.
        #[serde(with = "as_json::one")]
        task_id: v1::TaskId,
        /// Overrides the task's own policy.
        #[serde(with = "as_json::optional")]
        kill_policy: Option<v1::KillPolicy>,
    },
    /// The framework has acknowledged a status update.
    Acknowledge {
        /// Whose task.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// Which task.
        #[serde(with = "as_json::one")]
        task_id: v1::TaskId,
        /// The update's uuid, 16 bytes.
        #[serde(with = "as_json::bytes")]
        uuid: Vec<u8>,
    },
    /// A message of the framework for one of its executors.
    FrameworkMessage {
        /// Who sends it.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// For whom.
        #[serde(with = "as_json::one")]
        executor_id: v1::ExecutorId,
        /// The payload.
        #[serde(with = "as_json::bytes")]
        data: bytes::Bytes,
    },
    /// Shut one executor down.
    ShutdownExecutor {
        /// Whose executor.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// Which executor.
        #[serde(with = "as_json::one")]
        executor_id: v1::ExecutorId,
    },
    /// The framework is gone: kill everything of it, report nothing.
    ShutdownFramework {
        /// Which framework.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
    },
    /// The framework's info has changed.
    UpdateFramework {
        /// The new info, with its id.
        #[serde(with = "as_json::one")]
        framework: v1::FrameworkInfo,
    },
    /// Reserve, unreserve, create, destroy or resize: answered with
    /// [`FromAgent::OperationUpdate`].
    ApplyOperation {
        /// Whose operation; none of an operator's.
        #[serde(with = "as_json::optional")]
        framework_id: Option<v1::FrameworkId>,
        /// What is to be done.
        #[serde(with = "as_json::one")]
        info: v1::offer::Operation,
        /// The operation's uuid, 16 bytes.
        #[serde(with = "as_json::bytes")]
        operation: Vec<u8>,
    },
    /// What became of an operation is known to whoever asked for it.
    AcknowledgeOperation {
        /// The operation's uuid, 16 bytes.
        #[serde(with = "as_json::bytes")]
        operation: Vec<u8>,
        /// The status's uuid, 16 bytes.
        #[serde(with = "as_json::bytes")]
        uuid: Vec<u8>,
    },
    /// Bring every task to an end and take no new one.
    Drain {
        /// How long tasks may take, and whether the agent goes for good.
        #[serde(with = "as_json::one")]
        config: v1::DrainConfig,
    },
    /// Are you there? Answered with [`FromAgent::Pong`].
    Ping,
    /// The agent is not wanted any more and must exit.
    Shutdown {
        /// Why, for the log.
        message: String,
    },
}

/// A task that the master believes to be on an agent that did not name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownTask {
    /// Whose task.
    #[serde(with = "as_json::one")]
    pub framework_id: v1::FrameworkId,
    /// Which task.
    #[serde(with = "as_json::one")]
    pub task_id: v1::TaskId,
    /// Whether the framework can be told of dropped tasks; an agent to which
    /// the launch never came does not know the framework.
    pub is_partition_aware: bool,
}

/// A message from an agent to the master.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// A new agent asks to join.
    Register(AgentRegistration),
    /// An agent that has an id comes back, with what it runs.
    Reregister {
        /// The agent, `info.id` set.
        registration: AgentRegistration,
        /// Frameworks that have executors or unacknowledged updates here.
        #[serde(with = "as_json::many")]
        frameworks: Vec<v1::FrameworkInfo>,
        /// Executors that run here, with `framework_id` set.
        #[serde(with = "as_json::many")]
        executors: Vec<v1::ExecutorInfo>,
        /// Tasks: every one that is not terminal, and terminal ones whose last
        /// update nobody has acknowledged.
        #[serde(with = "as_json::many")]
        tasks: Vec<v1::Task>,
        /// Tasks of frameworks that have nothing here any more.
        #[serde(with = "as_json::many")]
        completed_tasks: Vec<v1::Task>,
    },
    /// The agent leaves in good order.
    Unregister,
    /// A task's status. `latest_state` runs ahead of `status.state` while older
    /// updates wait for their acknowledgement.
    StatusUpdate {
        /// Whose task.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// The status, with its uuid when an acknowledgement is expected.
        #[serde(with = "as_json::one")]
        status: v1::TaskStatus,
        /// The newest state the agent knows of this task.
        #[serde(with = "as_json::task_state")]
        latest_state: v1::TaskState,
    },
    /// An executor has ended.
    ExecutorExited {
        /// Whose executor.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// Which executor.
        #[serde(with = "as_json::one")]
        executor_id: v1::ExecutorId,
        /// Its wait status as Mesos reports it: exit code times 256, or signal.
        status: i32,
        /// Command executors are not told to the framework.
        is_command_executor: bool,
    },
    /// A message of an executor for its framework.
    ExecutorMessage {
        /// For whom.
        #[serde(with = "as_json::one")]
        framework_id: v1::FrameworkId,
        /// Who sends it.
        #[serde(with = "as_json::one")]
        executor_id: v1::ExecutorId,
        /// The payload.
        #[serde(with = "as_json::bytes")]
        data: bytes::Bytes,
    },
    /// How an operation went.
    OperationUpdate(OperationUpdate),
    /// Answers [`ToAgent::Ping`].
    Pong,
}

/// How an operation went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationUpdate {
    /// Whose operation; none of an operator's.
    #[serde(with = "as_json::optional")]
    pub framework_id: Option<v1::FrameworkId>,
    /// The operation's uuid, 16 bytes.
    #[serde(with = "as_json::bytes")]
    pub operation: Vec<u8>,
    /// The status, with a uuid when an acknowledgement is expected.
    #[serde(with = "as_json::one")]
    pub status: v1::OperationStatus,
    /// Reserved resources and volumes that the agent has now.
    #[serde(with = "as_json::many")]
    pub checkpointed_resources: Vec<v1::Resource>,
}

/// What an agent says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentRegistration {
    /// Host name, resources, attributes; `id` is set on re-registration.
    #[serde(with = "as_json::one")]
    pub info: v1::AgentInfo,
    /// `slave(1)@ip:port`, as Mesos writes process ids.
    pub pid: String,
    /// Where its HTTP API listens.
    pub address: std::net::SocketAddr,
    /// Mesos's version, as `/version` tells it.
    pub version: String,
    /// Reserved resources and volumes that the agent has on disk.
    #[serde(with = "as_json::many")]
    pub checkpointed_resources: Vec<v1::Resource>,
    /// What may be taken back at any time, which `info` does not name.
    #[serde(with = "as_json::many", default)]
    pub oversubscribed_resources: Vec<v1::Resource>,
    /// Operations whose end nobody has acknowledged.
    #[serde(with = "as_json::many", default)]
    pub operations: Vec<v1::Operation>,
}

impl AgentRegistration {
    /// All that the agent has: reserved, and made into volumes.
    #[must_use]
    pub fn total(&self) -> Resources {
        let info = self.info.resources.iter();
        let all: Vec<v1::Resource> = info
            .chain(&self.oversubscribed_resources)
            .cloned()
            .collect();
        with_kept(&all, &self.checkpointed_resources)
    }
}

#[cfg(test)]
mod tests {
    use mesos_sdk::ids;

    use super::*;

    fn there_and_back<M>(message: &M) -> String
    where
        M: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
    {
        let text = serde_json::to_string(message).unwrap();
        assert_eq!(
            &serde_json::from_str::<M>(&text).unwrap(),
            message,
            "{text}"
        );
        text
    }

    #[test]
    fn messages_survive_as_json() {
        let text = there_and_back(&ToAgent::RunTask {
            framework: v1::FrameworkInfo {
                user: "root".to_owned(),
                failover_timeout: Some(0.1 + 0.2),
                ..Default::default()
            },
            task: v1::TaskInfo {
                task_id: ids::task_id("t-\u{1f980}"),
                agent_id: ids::agent_id("a"),
                data: Some(vec![0, 255, 10].into()),
                ..Default::default()
            },
        });
        assert!(
            text.starts_with(r#"{"run_task":{"framework":{"user":"root""#),
            "{text}"
        );
        there_and_back(&ToAgent::Ping);
        there_and_back(&ToAgent::KillTask {
            framework_id: ids::framework_id("f"),
            task_id: ids::task_id("t"),
            kill_policy: None,
        });
        there_and_back(&ToAgent::Acknowledge {
            framework_id: ids::framework_id("f"),
            task_id: ids::task_id("t"),
            uuid: (0..16).collect(),
        });
        there_and_back(&FromAgent::Reregister {
            registration: AgentRegistration {
                info: v1::AgentInfo::default(),
                pid: "slave(1)@127.0.0.1:5051".to_owned(),
                address: ([127, 0, 0, 1], 5051).into(),
                version: "1.12.0".to_owned(),
                checkpointed_resources: vec![v1::Resource::default(); 2],
                oversubscribed_resources: vec![],
                operations: vec![],
            },
            frameworks: vec![v1::FrameworkInfo::default()],
            executors: vec![],
            tasks: vec![v1::Task::default()],
            completed_tasks: vec![],
        });
        there_and_back(&FromAgent::StatusUpdate {
            framework_id: ids::framework_id("f"),
            status: v1::TaskStatus::default(),
            latest_state: v1::TaskState::TaskKilling,
        });
        there_and_back(&FromAgent::Pong);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            r#"{"run_task":{}}"#,
            r#"{"registered":{"agent_id":{}}}"#,
            r#"{"acknowledge":{"framework_id":{"value":"f"},"task_id":{"value":"t"},"uuid":"?"}}"#,
            r#""something""#,
        ] {
            assert!(serde_json::from_str::<ToAgent>(text).is_err(), "{text}");
        }
    }
}
