//! The flags an agent would have been started with.

use std::collections::BTreeMap;

use crate::agent::Agent;
use crate::duration;

/// Flags by name: those of `mesos-agent` that mean something here.
pub(crate) fn flags(agent: &Agent) -> BTreeMap<String, String> {
    let config = &agent.config;
    let limits = &config.limits;
    let work_dir = config.work_dir.display();
    [
        ("attributes", config.attributes_flag.clone()),
        ("authenticate_http_readonly", "false".into()),
        ("authenticate_http_readwrite", "false".into()),
        ("containerizers", "mesos".into()),
        ("default_role", "*".into()),
        ("fetcher_cache_dir", format!("{work_dir}/fetch")),
        ("fetcher_cache_size", format!("{}B", limits.max_fetch_bytes)),
        ("hostname", config.hostname.clone()),
        ("http_command_executor", "false".into()),
        ("ip", config.address.ip().to_string()),
        ("isolation", "posix/cpu,posix/mem".into()),
        ("launcher", "posix".into()),
        ("master", config.master.clone()),
        (
            "max_completed_executors_per_framework",
            limits.max_completed_executors.to_string(),
        ),
        ("port", config.address.port().to_string()),
        (
            "registration_backoff_factor",
            duration::display(limits.registration_retry),
        ),
        ("resources", config.resources_flag.clone()),
        ("switch_user", config.switch_user.to_string()),
        ("version", "false".into()),
        ("work_dir", work_dir.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
