//! What requests say of an app: any part of a definition, in today's form or in
//! those of earlier versions. Here it is read and laid over what is known;
//! `legacy` turns old forms into today's, [`complete`] fills in what nobody
//! said. Whether the outcome makes sense is asked in [`crate::validate`].

mod complete;
mod json;
mod legacy;

pub use complete::{AcceptedRoles, Defaults, Said, complete};
pub use json::{InvalidJson, read, read_list, read_texts};

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::app::{
    App, Artifact, Check, Container, EnvValue, ExecutorResources, HealthCheck, KillSelection,
    LegacyIpAddress, Network, NetworkMode, PortDefinition, ReadinessCheck, ResourceLimits, Secret,
    UnreachableStrategy, UpgradeStrategy,
};
use crate::path_id::PathId;
use crate::timestamp::Timestamp;
use crate::violations::Violations;

/// Any part of an app's definition, as a request has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "they are those of `App`, and say so there")]
pub struct AppInput {
    pub id: Option<String>,
    pub accepted_resource_roles: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    pub backoff_factor: Option<f64>,
    pub backoff_seconds: Option<u64>,
    pub check: Option<Check>,
    pub cmd: Option<String>,
    pub constraints: Option<Vec<Vec<String>>>,
    pub container: Option<Container>,
    pub cpus: Option<f64>,
    pub deployment_timeout_seconds: Option<u64>,
    pub dependencies: Option<Vec<String>>,
    pub disk: Option<f64>,
    pub env: Option<BTreeMap<String, EnvValue>>,
    pub executor: Option<String>,
    pub executor_resources: Option<ExecutorResources>,
    pub fetch: Option<Vec<Artifact>>,
    pub health_checks: Option<Vec<HealthCheck>>,
    pub gpus: Option<u32>,
    pub instances: Option<u32>,
    pub kill_selection: Option<KillSelection>,
    pub labels: Option<BTreeMap<String, String>>,
    pub max_launch_delay_seconds: Option<u64>,
    pub mem: Option<f64>,
    pub networks: Option<Vec<Network>>,
    pub on_every_agent: Option<bool>,
    pub port_definitions: Option<Vec<PortDefinition>>,
    pub readiness_checks: Option<Vec<ReadinessCheck>>,
    pub require_ports: Option<bool>,
    pub resource_limits: Option<ResourceLimits>,
    pub role: Option<String>,
    pub secrets: Option<BTreeMap<String, Secret>>,
    pub start_before_kill_seconds: Option<u64>,
    pub task_kill_grace_period_seconds: Option<u64>,
    pub tty: Option<bool>,
    pub unreachable_strategy: Option<UnreachableStrategy>,
    pub upgrade_strategy: Option<UpgradeStrategy>,
    pub user: Option<String>,
    /// The version to go back to; with nothing else but the id.
    pub version: Option<Timestamp>,
    /// An old form of `networks`.
    pub ip_address: Option<LegacyIpAddress>,
    /// An old form of `portDefinitions`.
    pub ports: Option<Vec<u16>>,
    /// Without effect since volumes say it.
    pub residency: Option<Value>,
    /// An old form of `fetch`.
    pub uris: Option<Vec<String>>,
}

impl AppInput {
    /// Whether nothing but a version, and perhaps the id, is said: the app is to
    /// become again what it was.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        let rest = Self {
            id: None,
            version: None,
            ..self.clone()
        };
        self.version.is_some() && rest == Self::default()
    }

    /// Lays this over `base` in today's form. What `base` names is relative to
    /// the group that it is in.
    ///
    /// # Errors
    ///
    /// When two forms of the same thing are said, or a path is none.
    pub fn over(self, mut base: App, defaults: &Defaults) -> Result<App, Violations> {
        let mut wrong = Violations::new();
        let input = legacy::modernised(self, &base, &defaults.bridge_name, &mut wrong);
        if let Some(networks) = &input.networks {
            forget_ports_of_other_networks(&mut base, networks);
        }
        if let Some(dependencies) = &input.dependencies {
            base.dependencies.clear();
            for (index, path) in dependencies.iter().enumerate() {
                match PathId::parse(path, &base.id.parent()) {
                    Ok(path) => base.dependencies.push(path),
                    Err(error) => wrong.add(format!("/dependencies({index})"), error.to_string()),
                }
            }
        }
        wrong.into_result()?;
        input.lay_over(&mut base);
        Ok(base)
    }

    fn lay_over(self, app: &mut App) {
        // A command takes the place of arguments, and the other way round.
        match (&self.cmd, &self.args) {
            (Some(_), None) => app.args = None,
            (None, Some(_)) => app.cmd = None,
            _ => {}
        }
        macro_rules! lay {
            ($($field:ident),* ; optional: $($option:ident),*) => {
                $(if let Some(value) = self.$field { app.$field = value; })*
                $(if self.$option.is_some() { app.$option = self.$option; })*
            };
        }
        lay!(
            backoff_factor, backoff_seconds, constraints, cpus, disk, env, executor, fetch,
            health_checks, gpus, instances, kill_selection, labels, max_launch_delay_seconds, mem,
            networks, on_every_agent, readiness_checks, require_ports, role, secrets, unreachable_strategy,
            upgrade_strategy;
            optional: accepted_resource_roles, args, check, cmd, container,
            deployment_timeout_seconds, executor_resources, port_definitions, resource_limits, start_before_kill_seconds, task_kill_grace_period_seconds, tty, user
        );
    }
}

/// Ports of the host mean nothing in other networks, nor mappings in its own.
fn forget_ports_of_other_networks(base: &mut App, networks: &[Network]) {
    if networks.iter().all(|it| it.mode == NetworkMode::Host) {
        if let Some(container) = base.container.as_mut() {
            container.port_mappings = None;
        }
    } else {
        base.port_definitions = None;
        base.require_ports = false;
    }
}

#[cfg(test)]
mod tests;
