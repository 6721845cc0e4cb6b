//! What a master, and its successors after it, are started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use mesos_sdk::address::HostAddress;

use super::election::{LeaderPlace, Standing};
use super::{ClusterConfig, flags};
use crate::master::MasterConfig;

/// What a master is started with, and its successors after it.
#[derive(Debug, Clone)]
pub(super) struct MasterPlan {
    pub(super) config: MasterConfig,
    pub(super) flags: BTreeMap<String, String>,
    pub(super) cluster: Option<String>,
    place: HostAddress,
    pub(super) stream_buffer_bytes: usize,
}

impl MasterPlan {
    pub(super) fn new(config: &ClusterConfig, address: SocketAddr, hostname: String) -> Self {
        let place = HostAddress::http(&hostname, address.port());
        let flags = flags::of(config, address, &hostname);
        Self {
            config: MasterConfig {
                allocation_interval: config.allocation_interval,
                offer_timeout: config.offer_timeout,
                agent_ping_timeout: config.agent_ping_timeout,
                max_agent_ping_timeouts: config.max_agent_ping_timeouts,
                agent_reregister_timeout: config.agent_reregister_timeout,
                max_completed_frameworks: config.max_completed_frameworks,
                max_completed_tasks_per_framework: config.max_completed_tasks_per_framework,
                max_unreachable_tasks_per_framework: config.max_unreachable_tasks_per_framework,
                acls: Arc::new(config.security.acls.clone()),
                seed: config.seed.unwrap_or_default(),
                ..MasterConfig::new(String::new(), address, hostname)
            },
            flags,
            cluster: config.name.clone(),
            place,
            stream_buffer_bytes: config.stream_buffer_bytes,
        }
    }

    /// The standing of a master that has no rivals.
    pub(super) fn leads(&self) -> Standing {
        Standing::Leads(LeaderPlace::alone(self.place.clone()))
    }

    /// The configuration of one reign; each has an id of its own, which follows
    /// from the seed.
    pub(super) fn reign(&self, generation: u64) -> MasterConfig {
        let seed = self.config.seed.wrapping_add(generation);
        let bits = u128::from(seed) << 64 | u128::from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        MasterConfig {
            id: id.to_string(),
            seed,
            ..self.config.clone()
        }
    }
}
