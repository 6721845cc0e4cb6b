//! What requests say of a pod. They always say all of it, so there is nothing
//! to lay it over; what nobody said is filled in here.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::app::{
    EnvValue, ExecutorResources, KillSelection, LinuxInfo, Network, NetworkMode, Secret,
    UnreachableStrategy, UpgradeStrategy, VersionInfo,
};
use crate::input::Defaults;
use crate::path_id::PathId;
use crate::timestamp::Timestamp;
use crate::validate::is_exclusive;
use crate::violations::Violations;

use super::{Backoff, Placement, Pod, PodConstraint, PodContainer, PodVolume, Scaling, Scheduling};

/// A pod's definition as a request has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "they are those of `Pod`, and say so there")]
pub struct PodInput {
    pub id: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub user: Option<String>,
    pub environment: BTreeMap<String, EnvValue>,
    pub containers: Vec<PodContainer>,
    pub secrets: BTreeMap<String, Secret>,
    pub volumes: Vec<PodVolume>,
    pub networks: Vec<Network>,
    pub scaling: Scaling,
    pub scheduling: SchedulingInput,
    pub deployment_timeout_seconds: Option<u64>,
    pub executor_resources: ExecutorResources,
    pub role: Option<String>,
    pub linux_info: Option<LinuxInfo>,
    pub legacy_shared_cgroups: Option<bool>,
}

/// [`Scheduling`] as a request has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulingInput {
    /// How long launches wait after failures.
    pub backoff: Backoff,
    /// How many run while a deployment replaces them.
    pub upgrade: Option<UpgradeStrategy>,
    /// Where.
    pub placement: Placement,
    /// Which go first when there are too many.
    pub kill_selection: KillSelection,
    /// What becomes of instances whose agent is out of reach.
    pub unreachable_strategy: Option<UnreachableStrategy>,
}

impl PodInput {
    /// The pod of this name, with everything that was left open.
    ///
    /// # Errors
    ///
    /// When a network has no name and there is no default.
    pub fn complete(
        self,
        id: PathId,
        role: &str,
        defaults: &Defaults,
        version: Timestamp,
    ) -> Result<Pod, Violations> {
        let is_resident = self.volumes.iter().any(|it| it.persistent.is_some());
        let (upgrade, unreachable) = if is_resident {
            (UpgradeStrategy::resident(), UnreachableStrategy::DISABLED)
        } else {
            (UpgradeStrategy::default(), UnreachableStrategy::default())
        };
        let scheduling = self.scheduling;
        let is_said = scheduling.upgrade.is_some();
        let mut pod = Pod {
            id,
            labels: self.labels,
            version,
            user: self.user,
            environment: self.environment,
            containers: self.containers,
            secrets: self.secrets,
            volumes: self.volumes,
            networks: self.networks,
            scaling: self.scaling,
            scheduling: Scheduling {
                backoff: scheduling.backoff,
                upgrade: scheduling.upgrade.unwrap_or(upgrade),
                placement: scheduling.placement,
                kill_selection: scheduling.kill_selection,
                unreachable_strategy: scheduling.unreachable_strategy.unwrap_or(unreachable),
            },
            deployment_timeout_seconds: self.deployment_timeout_seconds,
            executor_resources: self.executor_resources,
            role: self.role.unwrap_or_else(|| role.to_owned()),
            linux_info: self.linux_info,
            legacy_shared_cgroups: self.legacy_shared_cgroups,
            version_info: VersionInfo {
                last_scaling_at: version,
                last_config_change_at: version,
            },
        };
        networks(&mut pod, defaults)?;
        for constraint in &mut pod.scheduling.placement.constraints {
            constraint.operator = constraint.operator.to_uppercase();
        }
        let of = &pod.scheduling.placement.constraints;
        let constraints: Vec<_> = of.iter().map(PodConstraint::parts).collect();
        let host_ports: Vec<_> = pod.endpoints().map(|(_, it)| it.host_port).collect();
        if !is_said && !is_resident && is_exclusive(&constraints, &host_ports) {
            pod.scheduling.upgrade = UpgradeStrategy::single();
        }
        Ok(pod)
    }
}

fn networks(pod: &mut Pod, defaults: &Defaults) -> Result<(), Violations> {
    if pod.networks.is_empty() {
        pod.networks.push(Network::host());
    }
    let mut wrong = Violations::new();
    for (index, network) in pod.networks.iter_mut().enumerate() {
        if network.mode != NetworkMode::Container || network.name.is_some() {
            continue;
        }
        network.name.clone_from(&defaults.network_name);
        wrong.require(
            network.name.is_some(),
            format!("/networks({index})"),
            "Network name must be specified when container network is selected.",
        );
    }
    let has_own_address = pod
        .networks
        .iter()
        .any(|network| network.mode == NetworkMode::Container);
    if !has_own_address {
        let containers = pod.containers.iter_mut();
        for endpoint in containers.flat_map(|it| &mut it.endpoints) {
            endpoint.host_port.get_or_insert(0);
        }
    }
    wrong.into_result()
}
