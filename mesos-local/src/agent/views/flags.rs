//! The flags an agent would have been started with.

use std::collections::BTreeMap;

use crate::agent::{Agent, EngineAddress};
use crate::duration;

/// Flags by name: what this agent was told, and for the rest what `mesos-agent`
/// shows when it was told nothing (docs/configuration/agent.md).
pub(crate) fn flags(agent: &Agent) -> BTreeMap<String, String> {
    let config = &agent.config;
    let limits = &config.limits;
    let work_dir = config.work_dir.display();
    let told = [
        ("attributes", config.attributes_flag.clone()),
        (
            "docker_socket",
            match &config.docker {
                EngineAddress::Unix(path) => path.display().to_string(),
                address => address.to_string(),
            },
        ),
        (
            "executor_registration_timeout",
            duration::display(limits.executor_registration_timeout),
        ),
        (
            "executor_reregistration_timeout",
            duration::display(limits.executor_reregistration_timeout),
        ),
        (
            "executor_shutdown_grace_period",
            duration::display(limits.executor_shutdown_grace),
        ),
        ("fetcher_cache_dir", format!("{work_dir}/fetch")),
        ("fetcher_cache_size", format!("{}B", limits.max_fetch_bytes)),
        ("hostname", config.hostname.clone()),
        (
            "http_command_executor",
            config.http_command_executor.to_string(),
        ),
        ("ip", config.address.ip().to_string()),
        ("master", config.master.clone()),
        (
            "max_completed_executors_per_framework",
            limits.max_completed_executors.to_string(),
        ),
        ("port", config.address.port().to_string()),
        (
            "recovery_timeout",
            duration::display(limits.recovery_timeout),
        ),
        (
            "registration_backoff_factor",
            duration::display(limits.registration_retry),
        ),
        ("resources", config.resources_flag.clone()),
        ("switch_user", config.switch_user.to_string()),
        ("work_dir", work_dir.to_string()),
    ];
    let untold = UNTOLD.map(|(name, value)| (name, value.to_owned()));
    untold
        .into_iter()
        .chain(told)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

const UNTOLD: [(&str, &str); 60] = [
    ("appc_simple_discovery_uri_prefix", "http://"),
    ("appc_store_dir", "/tmp/mesos/store/appc"),
    ("authenticate_http_readonly", "false"),
    ("authenticate_http_readwrite", "false"),
    ("authenticatee", "crammd5"),
    ("authentication_backoff_factor", "1secs"),
    ("authentication_timeout_max", "1mins"),
    ("authentication_timeout_min", "5secs"),
    ("authorizer", "local"),
    ("cgroups_cpu_enable_pids_and_tids_count", "false"),
    ("cgroups_destroy_timeout", "1mins"),
    ("cgroups_enable_cfs", "false"),
    ("cgroups_limit_swap", "false"),
    ("container_disk_watch_interval", "15secs"),
    ("containerizers", "docker,mesos"),
    ("default_role", "*"),
    ("disallow_sharing_agent_ipc_namespace", "false"),
    ("disallow_sharing_agent_pid_namespace", "false"),
    ("disk_watch_interval", "1mins"),
    ("docker", "docker"),
    ("docker_ignore_runtime", "false"),
    ("docker_kill_orphans", "true"),
    ("docker_registry", "https://registry-1.docker.io"),
    ("docker_remove_delay", "0ns"),
    ("docker_stop_timeout", "0ns"),
    ("docker_store_dir", "/tmp/mesos/store/docker"),
    (
        "docker_volume_checkpoint_dir",
        "/var/run/mesos/isolators/docker/volume",
    ),
    ("docker_volume_chown", "false"),
    ("enforce_container_disk_quota", "false"),
    ("fetcher_stall_timeout", "1mins"),
    ("frameworks_home", ""),
    ("gc_delay", "1weeks"),
    ("gc_disk_headroom", "0.1"),
    ("gc_non_executor_container_sandboxes", "false"),
    ("help", "false"),
    ("hostname_lookup", "true"),
    ("http_executor_domain_sockets", "false"),
    ("http_heartbeat_interval", "30secs"),
    ("initialize_driver_logging", "true"),
    ("isolation", "posix/cpu,posix/mem"),
    ("launcher", "posix"),
    ("logbufsecs", "0"),
    ("logging_level", "INFO"),
    ("memory_profiling", "false"),
    ("network_cni_metrics", "true"),
    ("network_cni_root_dir_persist", "false"),
    ("oversubscribed_resources_interval", "15secs"),
    ("perf_duration", "10secs"),
    ("perf_interval", "1mins"),
    ("qos_correction_interval_min", "0ns"),
    ("quiet", "true"),
    ("reconfiguration_policy", "equal"),
    ("recover", "reconnect"),
    ("revocable_cpu_low_priority", "true"),
    ("sandbox_directory", "/mnt/mesos/sandbox"),
    ("strict", "true"),
    ("systemd_enable_support", "false"),
    ("systemd_runtime_directory", "/run/systemd/system"),
    ("version", "false"),
    ("zk_session_timeout", "10secs"),
];
