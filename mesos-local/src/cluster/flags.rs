//! The master's flags: those that mean something here, with the values that
//! hold, as Mesos prints them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::ClusterConfig;
use crate::duration;

/// The master's flags, as `/flags` shows them.
pub(super) fn of(
    config: &ClusterConfig,
    address: SocketAddr,
    hostname: &str,
) -> BTreeMap<String, String> {
    let security = &config.security;
    let mut flags: Vec<(&str, String)> = vec![
        (
            "agent_ping_timeout",
            duration::display(config.agent_ping_timeout),
        ),
        (
            "agent_reregister_timeout",
            duration::display(config.agent_reregister_timeout),
        ),
        (
            "allocation_interval",
            duration::display(config.allocation_interval),
        ),
        ("allocator", "hierarchical".to_owned()),
        (
            "authenticate_agents",
            security.authenticate_agents.to_string(),
        ),
        ("authenticate_frameworks", "false".to_owned()),
        (
            "authenticate_http_frameworks",
            security.authenticate_frameworks.to_string(),
        ),
        (
            "authenticate_http_readonly",
            security.authenticate_readonly.to_string(),
        ),
        (
            "authenticate_http_readwrite",
            security.authenticate_readwrite.to_string(),
        ),
        ("filter_gpu_resources", "true".to_owned()),
        ("framework_sorter", "drf".to_owned()),
        ("hostname", hostname.to_owned()),
        ("ip", address.ip().to_string()),
        (
            "max_agent_ping_timeouts",
            config.max_agent_ping_timeouts.to_string(),
        ),
        (
            "max_completed_frameworks",
            config.max_completed_frameworks.to_string(),
        ),
        (
            "max_completed_tasks_per_framework",
            config.max_completed_tasks_per_framework.to_string(),
        ),
        ("max_operator_event_stream_subscribers", "1000".to_owned()),
        (
            "max_unreachable_tasks_per_framework",
            config.max_unreachable_tasks_per_framework.to_string(),
        ),
        ("min_allocatable_resources", "cpus:0.01|mem:32".to_owned()),
        ("port", address.port().to_string()),
        ("registry", "in_memory".to_owned()),
        ("role_sorter", "drf".to_owned()),
        ("root_submissions", "true".to_owned()),
    ];
    if let Some(name) = &config.name {
        flags.push(("cluster", name.clone()));
    }
    if let Some(group) = &config.zookeeper {
        flags.push(("zk", group.to_string()));
        flags.push((
            "zk_session_timeout",
            duration::display(config.zookeeper_session_timeout),
        ));
    }
    if let Some(timeout) = config.offer_timeout {
        flags.push(("offer_timeout", duration::display(timeout)));
    }
    flags
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
