//! What the flags mean.

use std::net::SocketAddr;
use std::time::Duration;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::{Credentials, CredentialsError};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::placement::Gpus;
use mesos_sdk::v1;
use mesos_service::flags::HttpFlagsError;
use mesos_service::http::EventBusConfig;
use mesos_service::metrics::{MetricsConfig, MetricsRegistry};
use mesos_service::run::{Place, Plan, Stop};
use mesos_service::zookeeper::ZooKeeperConfig;
use serde_json::{Value, json};

use super::{Args, EnforceRole, GpuScheduling, Resources};
use crate::api::About;
use crate::input::{AcceptedRoles, Defaults};
use crate::io::{Config, ELECTION, SCHEMA};
use crate::state::Settings;
use crate::validate::Features;

/// A command line that says something that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A flag is no good.
    #[error("--{flag}: {reason}")]
    Flag {
        /// Which one.
        flag: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Nothing says where the state is to be.
    #[error(
        "say where the state is to be kept: --data_dir DIR, or --zk zk://host:port/path; only \
         with --master local may it end with the process"
    )]
    NoPlace,
    /// The HTTP side cannot be as it was asked for.
    #[error(transparent)]
    Http(HttpFlagsError),
    /// The secret cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Invalid {
    /// Whether it is a port that cannot be had, and no flag that is wrong.
    #[must_use]
    pub fn is_port(&self) -> bool {
        matches!(self, Self::Http(HttpFlagsError::Listen { .. }))
    }
}

fn invalid(flag: &'static str, reason: impl Into<String>) -> Invalid {
    let reason = reason.into();
    Invalid::Flag { flag, reason }
}

impl Args {
    /// How Marathon is to be started; its ports are listened on from here on.
    ///
    /// # Errors
    ///
    /// When something that was said cannot be.
    pub async fn config(&self, user: &str, seed: u64, stop: Stop) -> Result<Config, Invalid> {
        let place = self.place()?;
        let settings = self.settings()?;
        let credentials = self.credentials()?;
        let listeners = self.http.listen().await.map_err(Invalid::Http)?;
        let proxy = self.http.leader_proxy("marathon", &listeners);
        let mut proxy = proxy.map_err(Invalid::Http)?;
        if !self.proxy_events {
            proxy.redirected_prefixes.push("/v2/events".to_owned());
        }
        let ports: Vec<u16> = listeners.addresses().iter().map(SocketAddr::port).collect();
        let user = self.mesos_user.as_deref().unwrap_or(user);
        let framework = self.framework(user, &proxy.name, &settings);
        let about = self.about(&proxy.name, &ports, &framework);
        let events = EventBusConfig {
            max_outstanding: self.event_stream_max_outstanding_messages.max(1),
            ..EventBusConfig::default()
        };
        Ok(Config {
            master: self.master.clone(),
            credentials,
            settings,
            framework,
            about,
            events,
            metrics: MetricsRegistry::new(MetricsConfig::new(&self.metrics_name_prefix)),
            shows_prometheus: self.metrics_prometheus,
            log_levels: None,
            plan: Plan {
                place,
                schema: SCHEMA,
                election: ELECTION.to_owned(),
                listeners,
                proxy,
                stop,
            },
            seed,
        })
    }

    fn place(&self) -> Result<Place, Invalid> {
        let zookeeper = match &self.zk {
            Some(text) => {
                let read = ZooKeeperConfig::parse(text.reveal());
                Some(read.map_err(|error| invalid("zk", error.to_string()))?)
            }
            None => None,
        };
        match (zookeeper, &self.data_dir) {
            (Some(mut config), _) => {
                if self.zk_session_timeout == 0 || self.zk_connection_timeout == 0 {
                    return Err(invalid("zk_session_timeout", "0 ms are never enough"));
                }
                config.session_timeout = Duration::from_millis(self.zk_session_timeout);
                config.connect_timeout = Duration::from_millis(self.zk_connection_timeout);
                Ok(Place::ZooKeeper(config))
            }
            (None, Some(directory)) => Ok(Place::Directory(directory.clone())),
            (None, None) if self.master == MasterAddress::Local => Ok(Place::Memory),
            (None, None) => Err(Invalid::NoPlace),
        }
    }

    fn settings(&self) -> Result<Settings, Invalid> {
        if self.local_port_min > self.local_port_max {
            let (min, max) = (self.local_port_min, self.local_port_max);
            let reason = format!("{min} is greater than --local_port_max {max}");
            return Err(invalid("local_port_min", reason));
        }
        Ok(Settings {
            defaults: Defaults {
                role: self.mesos_role.clone(),
                network_name: self.default_network_name.clone(),
                bridge_name: self.mesos_bridge_name.clone(),
                user: None,
                accepted_roles: self.accepted_roles()?,
            },
            features: self.features()?,
            new_groups_enforce_role: self.new_group_enforce_role == EnforceRole::Top,
            service_ports: self.local_port_min..=self.local_port_max,
            max_running_deployments: self.max_running_deployments,
            max_apps: self.max_apps,
            max_versions: self.zk_max_versions.max(1),
            launch_confirm_timeout: Duration::from_millis(self.task_launch_confirm_timeout),
            launch_timeout: Duration::from_millis(self.task_launch_timeout),
            launch_tokens: self.launch_tokens.max(1),
            launch_token_refresh: Duration::from_millis(self.launch_token_refresh_interval),
            decline_duration: Duration::from_millis(self.decline_offer_duration),
            suppress_offers: self.suppress_offers,
            maintenance: self
                .maintenance_mode
                .then(|| Duration::from_secs(self.draining_seconds)),
            gpu_agents: match self.gpu_scheduling_behavior {
                GpuScheduling::Restricted => Gpus::Restricted,
                GpuScheduling::Unrestricted => Gpus::Unrestricted,
            },
            executor: self.executor.clone(),
            principal: self.mesos_authentication_principal.clone(),
            env_vars_prefix: self.env_vars_prefix.clone(),
            max_concurrent_probes: self.max_concurrent_marathon_health_checks.max(1),
            ..Settings::default()
        })
    }

    fn accepted_roles(&self) -> Result<AcceptedRoles, Invalid> {
        let roles = &self.default_accepted_resource_roles;
        let own = roles.contains(&self.mesos_role);
        let unreserved = roles.iter().any(|role| role == "*");
        if let Some(other) = roles
            .iter()
            .find(|role| **role != self.mesos_role && *role != "*")
        {
            let reason = format!("no offers come for {other}, only for * and --mesos_role");
            return Err(invalid("default_accepted_resource_roles", reason));
        }
        Ok(match self.accepted_resource_roles_default_behavior {
            Resources::Any if own && !unreserved => AcceptedRoles::Reserved,
            Resources::Any if unreserved && !own => AcceptedRoles::Unreserved,
            Resources::Any => AcceptedRoles::Any,
            Resources::Unreserved => AcceptedRoles::Unreserved,
            Resources::Reserved => AcceptedRoles::Reserved,
        })
    }

    fn features(&self) -> Result<Features, Invalid> {
        let mut features = Features::default();
        for name in &self.enable_features {
            match name.trim() {
                "secrets" => features.secrets = true,
                "external_volumes" => features.external_volumes = true,
                "gpu_resources" => features.gpu_resources = true,
                // What these enable is always there.
                "vips" | "task_killing" | "" => {}
                other => {
                    let reason = format!(
                        "there is no feature {other}; there are secrets, external_volumes, \
                         gpu_resources, vips and task_killing"
                    );
                    return Err(invalid("enable_features", reason));
                }
            }
        }
        Ok(features)
    }

    fn credentials(&self) -> Result<Option<Credentials>, Invalid> {
        let Some(principal) = &self.mesos_authentication_principal else {
            return Ok(None);
        };
        let secret = self.mesos_authentication_secret.as_ref();
        Ok(match (secret, &self.mesos_authentication_secret_file) {
            (Some(secret), _) => Some(Credentials::basic(principal, secret.reveal())?),
            (None, Some(file)) => Some(Credentials::basic_from_file(principal, file)?),
            (None, None) => None,
        })
    }

    /// All but the roles, which depend on what is stored.
    fn framework(&self, user: &str, name: &str, settings: &Settings) -> v1::FrameworkInfo {
        use v1::framework_info::capability::Type as Capability;
        let mut info = FrameworkInfo::service(self.framework_name.clone())
            .user(user)
            .checkpoint(self.checkpoint)
            .failover_timeout(Duration::from_secs(self.failover_timeout))
            .webui_url(self.webui(name));
        if let Some(principal) = &self.mesos_authentication_principal {
            info = info.principal(principal);
        }
        if settings.features.gpu_resources {
            info = info.capability(Capability::GpuResources);
        }
        let mut info = info.build();
        info.roles.clear();
        info.hostname = Some(host(name).to_owned());
        info
    }

    fn webui(&self, name: &str) -> String {
        let scheme = if self.http.disable_http {
            "https"
        } else {
            "http"
        };
        let url = self.webui_url.clone();
        url.unwrap_or_else(|| format!("{scheme}://{name}"))
    }

    /// What Marathon tells of itself. Secrets are no part of it.
    fn about(&self, name: &str, ports: &[u16], framework: &v1::FrameworkInfo) -> About {
        let (http_port, https_port) = match (self.http.disable_http, ports) {
            (false, [http, https]) => (Some(*http), Some(*https)),
            (false, [http, ..]) => (Some(*http), None),
            (true, [https, ..]) => (None, Some(*https)),
            (_, []) => (None, None),
        };
        About {
            name: self.framework_name.clone(),
            address: name.to_owned(),
            is_https: self.http.disable_http,
            config: self.shown_config(name, framework),
            zookeeper: self.shown_zookeeper(),
            http: json!({
                "http_port": http_port,
                "https_port": https_port,
            }),
        }
    }

    fn shown_config(&self, name: &str, framework: &v1::FrameworkInfo) -> Value {
        let features: Vec<&String> = self.enable_features.iter().collect();
        json!({
            "access_control_allow_origin": self.http.access_control_allow_origin,
            "checkpoint": self.checkpoint,
            "decline_offer_duration": self.decline_offer_duration,
            "default_network_name": self.default_network_name,
            "env_vars_prefix": self.env_vars_prefix,
            "executor": self.executor,
            "failover_timeout": self.failover_timeout,
            "features": features,
            "framework_name": self.framework_name,
            "ha": self.zk.is_some(),
            "hostname": host(name),
            "launch_token": self.launch_tokens,
            "launch_token_refresh_interval": self.launch_token_refresh_interval,
            "leader_proxy_connection_timeout_ms": self.http.leader_proxy_connection_timeout,
            "leader_proxy_read_timeout_ms": self.http.leader_proxy_read_timeout,
            "local_port_max": self.local_port_max,
            "local_port_min": self.local_port_min,
            "master": self.master.to_string(),
            "max_instances_per_offer": Value::Null,
            "mesos_bridge_name": self.mesos_bridge_name,
            "maintenance_mode": self.maintenance_mode,
            "mesos_leader_ui_url": self.mesos_leader_ui_url,
            "mesos_role": self.mesos_role,
            "mesos_user": framework.user,
            "new_group_enforce_role": match self.new_group_enforce_role {
                EnforceRole::Off => "off",
                EnforceRole::Top => "top",
            },
            "task_launch_confirm_timeout": self.task_launch_confirm_timeout,
            "task_launch_timeout": self.task_launch_timeout,
            "webui_url": self.webui(name),
        })
    }

    fn shown_zookeeper(&self) -> Value {
        let Ok(Place::ZooKeeper(config)) = self.place() else {
            return json!({});
        };
        json!({
            // Without the password.
            "zk": config.address.to_string(),
            "zk_connection_timeout": self.zk_connection_timeout,
            "zk_max_versions": self.zk_max_versions,
            "zk_session_timeout": self.zk_session_timeout,
            "zk_timeout": self.zk_session_timeout,
        })
    }
}

/// The host of `host:port`.
fn host(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(host, _)| host)
}
