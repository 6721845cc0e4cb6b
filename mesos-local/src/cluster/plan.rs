//! What a cluster is to be, once nothing of it can be refused any more.

use std::path::{Path, PathBuf};

use std::net::SocketAddr;

use mesos_sdk::resources::Resources;
use mesos_sdk::transport::{TlsConfig, Transport, TransportConfig};
use tempfile::TempDir;

use super::crowd;
use super::places::{self, Place};
use super::uplink::Wire;
use super::{AgentPlace, ClusterConfig, Error};
use crate::agent::{AgentConfig, AgentLimits, EngineAddress};
use crate::scratch;
use crate::security::TokenKey;
use crate::version::MESOS_VERSION;

/// Everything that can be refused before anything runs: sockets that listen,
/// resources that make sense, a directory.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: ClusterConfig,
    pub(super) master: Place,
    pub(super) agents: Vec<PlannedAgent>,
    /// The configurations of simulated agents.
    pub(super) simulated: Vec<AgentConfig>,
    pub(super) work_dir: PathBuf,
    /// Goes with a plan that comes to nothing.
    pub(super) temporary: Option<TempDir>,
}

#[derive(Debug)]
pub(super) struct PlannedAgent {
    pub(super) place: Place,
    pub(super) config: AgentConfig,
}

impl Plan {
    pub(super) fn new(config: ClusterConfig) -> Result<Self, Error> {
        let master = places::master(&config)?;
        let (work_dir, temporary) = work_dir(&config)?;
        let seed = config.seed.unwrap_or_else(random_seed);
        let docker = engine(&config)?;
        let count = config.agents.len();
        let tokens = match config.security.authenticate_executors {
            true => Some(TokenKey::random().map_err(|source| Error::Start {
                what: "with tokens for executors".to_owned(),
                source,
            })?),
            false => None,
        };
        let mut agents = Vec::with_capacity(count);
        for (index, spec) in config.agents.iter().enumerate() {
            let place = places::agent(&config, index)?;
            let resources = spec.offered(index, count)?;
            let agent = AgentConfig {
                hostname: place.hostname.clone(),
                address: place.address,
                resources_flag: Resources::from(resources.clone()).to_string(),
                resources,
                attributes: spec.parsed_attributes()?,
                attributes_flag: spec.attributes.clone().unwrap_or_default(),
                domain: spec.domain.clone(),
                work_dir: work_dir.join(format!("agent-{index}")),
                master: match &config.zookeeper {
                    Some(group) => group.to_string(),
                    None => master.address.to_string(),
                },
                version: MESOS_VERSION.to_owned(),
                seed: seed.wrapping_add(index as u64 + 1),
                tokens: tokens.clone(),
                is_https: config.security.identity.is_some(),
                switch_user: config.switch_user && nix::unistd::Uid::effective().is_root(),
                http_command_executor: config.http_command_executor,
                docker: docker.clone(),
                limits: AgentLimits {
                    kill_grace: config.kill_grace,
                    executor_registration_timeout: config.executor_registration_timeout,
                    executor_reregistration_timeout: config.executor_reregistration_timeout,
                    executor_shutdown_grace: config.executor_shutdown_grace,
                    update_retry_min: config.update_retry,
                    ..AgentLimits::default()
                },
            };
            agents.push(PlannedAgent {
                place,
                config: agent,
            });
        }
        let simulated = crowd::configs(&config, seed, &work_dir)?;
        Ok(Self {
            simulated,
            config: ClusterConfig {
                seed: Some(seed),
                ..config
            },
            master,
            agents,
            work_dir,
            temporary,
        })
    }

    pub(super) fn master_address(&self) -> SocketAddr {
        self.master.address
    }

    pub(super) fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    pub(super) fn agents(&self) -> Vec<AgentPlace> {
        let place = |(index, agent): (usize, &PlannedAgent)| AgentPlace {
            index,
            address: agent.place.address,
            hostname: agent.place.hostname.clone(),
            resources: agent.config.resources_flag.clone(),
        };
        self.agents.iter().enumerate().map(place).collect()
    }
}

/// The work directory, and what removes it when it is a temporary one.
fn work_dir(config: &ClusterConfig) -> Result<(PathBuf, Option<TempDir>), Error> {
    let refuse = |source| Error::Start {
        what: "in the work directory".to_owned(),
        source,
    };
    match &config.work_dir {
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(refuse)?;
            let directory = directory.canonicalize().map_err(refuse)?;
            Ok((directory, None))
        }
        None => {
            let mut builder = tempfile::Builder::new();
            builder.prefix("mesos-local-");
            let directory = builder
                .tempdir_in(scratch::parent())
                .or_else(|_| builder.tempdir())
                .map_err(refuse)?;
            Ok((directory.path().to_owned(), Some(directory)))
        }
    }
}

/// How agents reach a master in another process.
pub(super) fn wire(config: &ClusterConfig) -> Wire {
    let pings = config.max_agent_ping_timeouts.saturating_add(1);
    Wire {
        transport: Transport::new(TransportConfig {
            connect_timeout: config.agent_ping_timeout,
            request_timeout: config.agent_ping_timeout,
            tls: TlsConfig {
                ca_file: config.security.ca_file.clone(),
                ..TlsConfig::default()
            },
            ..TransportConfig::default()
        }),
        credentials: config.security.agent_credential.as_client(),
        silence: config.agent_ping_timeout.saturating_mul(pings),
    }
}

/// The Docker engine's address. What the environment names is for all programs;
/// one that this program cannot use, such as `ssh://`, is an engine for others.
fn engine(config: &ClusterConfig) -> Result<EngineAddress, Error> {
    if let Some(text) = &config.docker_socket {
        return text.parse().map_err(Error::Docker);
    }
    let named = std::env::var("DOCKER_HOST").ok();
    let address = named.and_then(|text| text.parse().ok());
    Ok(address.unwrap_or_default())
}

/// From the operating system, by way of a UUID.
fn random_seed() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    high ^ low
}
