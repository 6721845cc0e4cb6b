//! Scenarios of the model in virtual time, and of the shell with real processes.

mod api;
mod docker;
mod docker_executors;
mod executors;
mod limits;
mod model;
mod nested;
mod operations;
mod pods;
mod processes;
mod recovery;
mod scene;
mod tokens;
mod warden;

use std::path::Path;
use std::sync::Arc;

use mesos_sdk::v1;

use super::{AgentConfig, AgentLimits, EngineAddress};

/// A small agent with its directory under `work_dir`.
fn config(work_dir: &Path) -> AgentConfig {
    AgentConfig {
        hostname: "localhost".into(),
        address: "127.0.0.1:5051".parse().unwrap(),
        resources: Vec::new(),
        attributes: Vec::new(),
        domain: None,
        work_dir: work_dir.to_owned(),
        master: "127.0.0.1:5050".into(),
        version: "1.12.0".into(),
        resources_flag: String::new(),
        attributes_flag: String::new(),
        seed: 7,
        http_command_executor: false,
        switch_user: true,
        tokens: None,
        is_https: false,
        docker: EngineAddress::default(),
        limits: AgentLimits::default(),
    }
}

fn framework(capabilities: &[v1::framework_info::capability::Type]) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: "test".into(),
        id: Some(framework_id()),
        checkpoint: Some(true),
        capabilities: capabilities
            .iter()
            .map(|r#type| v1::framework_info::Capability {
                r#type: Some((*r#type).into()),
            })
            .collect(),
        ..Default::default()
    }
}

fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId {
        value: "framework-0".into(),
    }
}

fn agent_id() -> v1::AgentId {
    v1::AgentId {
        value: "agent-S0".into(),
    }
}

fn task_id(id: &str) -> v1::TaskId {
    v1::TaskId { value: id.into() }
}

/// A task that runs a shell command.
fn task(id: &str, command: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: task_id(id),
        agent_id: agent_id(),
        command: Some(v1::CommandInfo {
            value: Some(command.into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn shared_config(work_dir: &Path) -> Arc<AgentConfig> {
    Arc::new(config(work_dir))
}
