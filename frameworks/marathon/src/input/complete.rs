//! Fills in what a definition leaves open.

use crate::app::{
    App, HealthProtocol, NetworkMode, PortDefinition, PortMapping, UnreachableStrategy,
    UpgradeStrategy,
};
use crate::validate::is_exclusive;
use crate::violations::Violations;

use super::legacy::mesos_container;

/// What definitions get that do not say it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The role of apps outside of groups that enforce theirs.
    pub role: String,
    /// The network of those that name none.
    pub network_name: Option<String>,
    /// The network that Mesos knows as the bridge of its hosts.
    pub bridge_name: String,
    /// The user that tasks run as.
    pub user: Option<String>,
    /// The roles whose resources are used.
    pub accepted_roles: AcceptedRoles,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            role: "*".to_owned(),
            network_name: None,
            bridge_name: "mesos-bridge".to_owned(),
            user: None,
            accepted_roles: AcceptedRoles::default(),
        }
    }
}

/// The roles whose resources an app uses that does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptedRoles {
    /// Those reserved for its role, and the others.
    #[default]
    Any,
    /// Those that are not reserved.
    Unreserved,
    /// Those reserved for its role.
    Reserved,
}

/// Which parts a request said itself, so that no default may take their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `upgradeStrategy`.
    pub upgrade_strategy: bool,
    /// `unreachableStrategy`.
    pub unreachable_strategy: bool,
}

/// Fills in what an app leaves open: names of networks, ports where none are
/// told, the strategies of apps with volumes or in one place, indices of checked
/// ports.
///
/// # Errors
///
/// When a network has no name and there is no default.
pub fn complete(app: &mut App, said: Said, defaults: &Defaults) -> Result<(), Violations> {
    let mut wrong = Violations::new();
    networks(app, defaults, &mut wrong);
    ports(app);
    health_checks(app);
    for constraint in &mut app.constraints {
        if let Some(operator) = constraint.get_mut(1) {
            *operator = operator.to_uppercase();
        }
    }
    strategies(app, said);
    volumes(app);
    wrong.into_result()
}

fn volumes(app: &mut App) {
    let volumes = app.container.iter_mut().flat_map(|it| &mut it.volumes);
    for external in volumes.filter_map(|volume| volume.external.as_mut()) {
        if external.provider.as_deref() == Some("dvdi") {
            external.shared.get_or_insert(false);
        }
    }
}

fn networks(app: &mut App, defaults: &Defaults, wrong: &mut Violations) {
    if app.networks.is_empty() {
        app.networks.push(crate::app::Network::host());
    }
    for (index, network) in app.networks.iter_mut().enumerate() {
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
}

fn ports(app: &mut App) {
    if app.has_host_network() {
        if let Some(container) = app.container.as_mut() {
            // Mappings that a change of networks left behind.
            let is_empty = container.port_mappings.as_ref().is_some_and(Vec::is_empty);
            if is_empty {
                container.port_mappings = None;
            }
        }
        app.port_definitions.get_or_insert_with(|| {
            vec![PortDefinition {
                name: Some("default".to_owned()),
                ..PortDefinition::tcp(0)
            }]
        });
        return;
    }
    app.require_ports = false;
    if app.port_definitions.as_ref().is_some_and(Vec::is_empty) {
        app.port_definitions = None;
    }
    let is_bridge = app
        .networks
        .iter()
        .all(|network| network.mode == NetworkMode::Bridge);
    let container = app.container.get_or_insert_with(mesos_container);
    let mappings = container.port_mappings.get_or_insert_with(|| {
        vec![PortMapping {
            name: Some("default".to_owned()),
            ..PortMapping::tcp(0)
        }]
    });
    if is_bridge {
        for mapping in mappings {
            mapping.host_port.get_or_insert(0);
        }
    }
}

fn health_checks(app: &mut App) {
    let has_ports = app.port_count() > 0;
    for check in &mut app.health_checks {
        let needs_port = check.protocol != HealthProtocol::Command;
        if needs_port && has_ports && check.port.is_none() {
            check.port_index.get_or_insert(0);
        }
    }
}

fn strategies(app: &mut App, said: Said) {
    let is_bound = app.is_resident() || app.has_external_volumes();
    if !said.upgrade_strategy && app.upgrade_strategy == UpgradeStrategy::default() {
        let is_exclusive = is_exclusive(&app.constraints, &app.host_ports());
        if app.is_single_instance() || (is_exclusive && !is_bound) {
            app.upgrade_strategy = UpgradeStrategy::single();
        } else if is_bound {
            app.upgrade_strategy = UpgradeStrategy::resident();
        }
    }
    if !said.unreachable_strategy && app.is_resident() {
        app.unreachable_strategy = UnreachableStrategy::DISABLED;
    }
}
