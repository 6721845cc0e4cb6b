//! What the master and its agents tell each other.
//!
//! Both sides are models without io; these messages are the whole of what
//! passes between them, so a network that delays, drops or cuts can be put in
//! between. Who carries them, and the faults, live in the cluster's shell.

use mesos_sdk::v1;

/// A message from the master to one agent.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "short-lived values, moved once through a channel"
)]
pub enum ToAgent {
    /// The agent is part of the cluster under this id.
    Registered {
        /// The id the master gave, or confirmed after a re-registration.
        agent_id: v1::AgentId,
    },
    /// Answers a re-registration: tasks that the master knows and the agent did
    /// not name; the agent reports each as dropped.
    Reregistered {
        /// The confirmed id.
        agent_id: v1::AgentId,
        /// Tasks to report as unknown to the agent.
        unknown_tasks: Vec<UnknownTask>,
    },
    /// Launch one task.
    RunTask {
        /// The framework as the master knows it, with its id.
        framework: v1::FrameworkInfo,
        /// The task, its resources allocated to a role.
        task: v1::TaskInfo,
    },
    /// Launch a task group, all or none.
    RunTaskGroup {
        /// The framework as the master knows it, with its id.
        framework: v1::FrameworkInfo,
        /// The executor all tasks of the group share.
        executor: v1::ExecutorInfo,
        /// The tasks.
        group: v1::TaskGroupInfo,
    },
    /// Kill one task.
    KillTask {
        /// Whose task.
        framework_id: v1::FrameworkId,
        /// Which task.
        task_id: v1::TaskId,
        /// Overrides the task's own policy.
        kill_policy: Option<v1::KillPolicy>,
    },
    /// The framework has acknowledged a status update.
    Acknowledge {
        /// Whose task.
        framework_id: v1::FrameworkId,
        /// Which task.
        task_id: v1::TaskId,
        /// The update's uuid, 16 bytes.
        uuid: Vec<u8>,
    },
    /// A message of the framework for one of its executors.
    FrameworkMessage {
        /// Who sends it.
        framework_id: v1::FrameworkId,
        /// For whom.
        executor_id: v1::ExecutorId,
        /// The payload.
        data: bytes::Bytes,
    },
    /// Shut one executor down.
    ShutdownExecutor {
        /// Whose executor.
        framework_id: v1::FrameworkId,
        /// Which executor.
        executor_id: v1::ExecutorId,
    },
    /// The framework is gone: kill everything of it, report nothing.
    ShutdownFramework {
        /// Which framework.
        framework_id: v1::FrameworkId,
    },
    /// The framework's info has changed.
    UpdateFramework {
        /// The new info, with its id.
        framework: v1::FrameworkInfo,
    },
    /// The agent's resources, reservations and volumes, are these from now on.
    CheckpointResources {
        /// All reserved resources and volumes of the agent.
        resources: Vec<v1::Resource>,
    },
    /// Bring every task to an end and take no new one.
    Drain {
        /// How long tasks may take, and whether the agent goes for good.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTask {
    /// Whose task.
    pub framework_id: v1::FrameworkId,
    /// Which task.
    pub task_id: v1::TaskId,
    /// Whether the framework can be told of dropped tasks; an agent to which
    /// the launch never came does not know the framework.
    pub is_partition_aware: bool,
}

/// A message from an agent to the master.
#[derive(Debug, Clone, PartialEq)]
pub enum FromAgent {
    /// A new agent asks to join.
    Register(AgentRegistration),
    /// An agent that has an id comes back, with what it runs.
    Reregister {
        /// The agent, `info.id` set.
        registration: AgentRegistration,
        /// Frameworks that have executors or unacknowledged updates here.
        frameworks: Vec<v1::FrameworkInfo>,
        /// Executors that run here, with `framework_id` set.
        executors: Vec<v1::ExecutorInfo>,
        /// Tasks: every one that is not terminal, and terminal ones whose last
        /// update nobody has acknowledged.
        tasks: Vec<v1::Task>,
    },
    /// The agent leaves in good order.
    Unregister,
    /// A task's status. `latest_state` runs ahead of `status.state` while older
    /// updates wait for their acknowledgement.
    StatusUpdate {
        /// Whose task.
        framework_id: v1::FrameworkId,
        /// The status, with its uuid when an acknowledgement is expected.
        status: v1::TaskStatus,
        /// The newest state the agent knows of this task.
        latest_state: v1::TaskState,
    },
    /// An executor has ended.
    ExecutorExited {
        /// Whose executor.
        framework_id: v1::FrameworkId,
        /// Which executor.
        executor_id: v1::ExecutorId,
        /// Its wait status as Mesos reports it: exit code times 256, or signal.
        status: i32,
        /// Command executors are not told to the framework.
        is_command_executor: bool,
    },
    /// A message of an executor for its framework.
    ExecutorMessage {
        /// For whom.
        framework_id: v1::FrameworkId,
        /// Who sends it.
        executor_id: v1::ExecutorId,
        /// The payload.
        data: bytes::Bytes,
    },
    /// Answers [`ToAgent::Ping`].
    Pong,
}

/// What an agent says of itself when it registers.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRegistration {
    /// Host name, resources, attributes; `id` is set on re-registration.
    pub info: v1::AgentInfo,
    /// `slave(1)@ip:port`, as Mesos writes process ids.
    pub pid: String,
    /// Where its HTTP API listens.
    pub address: std::net::SocketAddr,
    /// Mesos's version, as `/version` tells it.
    pub version: String,
    /// Reserved resources and volumes that the agent has on disk.
    pub checkpointed_resources: Vec<v1::Resource>,
}
