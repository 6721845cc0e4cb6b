//! `DockerInfo.parameters`: options of `docker run`, as fields of the request
//! that the engine is sent.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HostConfig, HostConfigLogConfig,
    NetworkingConfig, ResourcesUlimits,
};

use super::plan::publish;

/// Applies one option.
///
/// # Errors
///
/// In the words of `docker run`, for an option that it has not or that means
/// nothing for a task, and for a value that the option does not take.
pub(super) fn apply(body: &mut ContainerCreateBody, key: &str, value: &str) -> Result<(), String> {
    let mut host = body.host_config.take().unwrap_or_default();
    let result = set(body, &mut host, key, value);
    body.host_config = Some(host);
    result.map_err(|problem| match problem {
        Problem::Unknown => format!("unknown flag: --{key}"),
        Problem::Value(why) => format!("invalid argument \"{value}\" for \"--{key}\" flag: {why}"),
    })
}

enum Problem {
    Unknown,
    Value(String),
}

/// Each option is one line, so that what is supported can be read off.
fn set(
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    key: &str,
    value: &str,
) -> Result<(), Problem> {
    let text = || Some(value.to_owned());
    match key {
        "add-host" => add(&mut host.extra_hosts, value),
        "cap-add" => add(&mut host.cap_add, value),
        "cap-drop" => add(&mut host.cap_drop, value),
        "cgroup-parent" => host.cgroup_parent = text(),
        "cpu-period" => host.cpu_period = Some(integer(value)?),
        "cpu-quota" => host.cpu_quota = Some(integer(value)?),
        "cpu-shares" | "c" => host.cpu_shares = Some(integer(value)?),
        "cpus" => host.nano_cpus = Some(nano_cpus(value)?),
        "cpuset-cpus" => host.cpuset_cpus = text(),
        "cpuset-mems" => host.cpuset_mems = text(),
        "device" => host.devices.get_or_insert_default().push(device(value)),
        "dns" => add(&mut host.dns, value),
        "dns-opt" | "dns-option" => add(&mut host.dns_options, value),
        "dns-search" => add(&mut host.dns_search, value),
        "domainname" => body.domainname = text(),
        "entrypoint" => body.entrypoint = Some(vec![value.to_owned()]),
        "env" | "e" => add(&mut body.env, value),
        "expose" => add(&mut body.exposed_ports, &with_protocol(value)),
        "group-add" => add(&mut host.group_add, value),
        "hostname" | "h" => body.hostname = text(),
        "init" => host.init = Some(boolean(value)?),
        "interactive" | "i" => body.open_stdin = Some(boolean(value)?),
        "ipc" => host.ipc_mode = text(),
        "label" | "l" => put(&mut body.labels, value),
        "link" => add(&mut host.links, value),
        "log-driver" => log(host).typ = text(),
        "log-opt" => put(&mut log(host).config, value),
        "memory" | "m" => host.memory = Some(bytes(value)?),
        "memory-reservation" => host.memory_reservation = Some(bytes(value)?),
        "memory-swap" if value == "-1" => host.memory_swap = Some(-1),
        "memory-swap" => host.memory_swap = Some(bytes(value)?),
        "memory-swappiness" => host.memory_swappiness = Some(integer(value)?),
        "net" | "network" => host.network_mode = text(),
        "net-alias" | "network-alias" => alias(body, host, value),
        "oom-kill-disable" => host.oom_kill_disable = Some(boolean(value)?),
        "oom-score-adj" => host.oom_score_adj = Some(integer(value)?),
        "pid" => host.pid_mode = text(),
        "pids-limit" => host.pids_limit = Some(integer(value)?),
        "privileged" => host.privileged = Some(boolean(value)?),
        "publish" | "p" => publish_port(body, host, value)?,
        "publish-all" | "P" => host.publish_all_ports = Some(boolean(value)?),
        "read-only" => host.readonly_rootfs = Some(boolean(value)?),
        // Containers are removed once their end has been reported, always.
        "rm" => boolean(value).map(drop)?,
        "runtime" => host.runtime = text(),
        "security-opt" => add(&mut host.security_opt, value),
        "shm-size" => host.shm_size = Some(bytes(value)?),
        "stop-signal" => body.stop_signal = text(),
        "stop-timeout" => body.stop_timeout = Some(integer(value)?),
        "storage-opt" => put(&mut host.storage_opt, value),
        "sysctl" => put(&mut host.sysctls, value),
        "tmpfs" => {
            let (path, options) = value.split_once(':').unwrap_or((value, ""));
            let all = host.tmpfs.get_or_insert_default();
            all.insert(path.to_owned(), options.to_owned());
        }
        "tty" | "t" => body.tty = Some(boolean(value)?),
        "ulimit" => host.ulimits.get_or_insert_default().push(ulimit(value)?),
        "user" | "u" => body.user = text(),
        "userns" => host.userns_mode = text(),
        "uts" => host.uts_mode = text(),
        "volume" | "v" => add(&mut host.binds, value),
        "volume-driver" => host.volume_driver = text(),
        "volumes-from" => add(&mut host.volumes_from, value),
        "workdir" | "w" => body.working_dir = text(),
        _ => return Err(Problem::Unknown),
    }
    Ok(())
}

fn add(list: &mut Option<Vec<String>>, value: &str) {
    list.get_or_insert_default().push(value.to_owned());
}

/// `KEY=VALUE`; a key alone has an empty value.
fn put(map: &mut Option<HashMap<String, String>>, value: &str) {
    let (key, value) = value.split_once('=').unwrap_or((value, ""));
    map.get_or_insert_default()
        .insert(key.to_owned(), value.to_owned());
}

fn log(host: &mut HostConfig) -> &mut HostConfigLogConfig {
    host.log_config.get_or_insert_default()
}

fn integer(value: &str) -> Result<i64, Problem> {
    value
        .parse()
        .map_err(|error| Problem::Value(format!("{error}")))
}

fn boolean(value: &str) -> Result<bool, Problem> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Problem::Value("invalid syntax".to_owned())),
    }
}

/// A size as `512m` or `1.5g`; without a unit, bytes.
fn bytes(value: &str) -> Result<i64, Problem> {
    let invalid = || Problem::Value(format!("invalid size: '{value}'"));
    let lower = value.trim().to_lowercase();
    let split = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let shift = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(invalid()),
    };
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let bytes = number * (1_u64 << shift) as f64;
    if bytes.is_finite() && bytes < i64::MAX as f64 {
        Ok(bytes as i64)
    } else {
        Err(invalid())
    }
}

fn nano_cpus(value: &str) -> Result<i64, Problem> {
    match value.parse::<f64>() {
        Ok(cpus) if (0.0..1e6).contains(&cpus) => Ok((cpus * 1e9).round() as i64),
        _ => Err(Problem::Value(
            "failed to parse as a rational number".to_owned(),
        )),
    }
}

/// `HOST[:CONTAINER[:PERMISSIONS]]`.
fn device(value: &str) -> DeviceMapping {
    let mut parts = value.splitn(3, ':');
    let outside = parts.next().unwrap_or_default();
    let second = parts.next();
    let is_mode = |part: &str| !part.is_empty() && part.bytes().all(|byte| b"rwm".contains(&byte));
    let (inside, mode) = match (second, parts.next()) {
        (Some(mode), None) if is_mode(mode) => (outside, mode),
        (inside, mode) => (inside.unwrap_or(outside), mode.unwrap_or("rwm")),
    };
    DeviceMapping {
        path_on_host: Some(outside.to_owned()),
        path_in_container: Some(inside.to_owned()),
        cgroup_permissions: Some(mode.to_owned()),
    }
}

/// `NAME=SOFT[:HARD]`.
fn ulimit(value: &str) -> Result<ResourcesUlimits, Problem> {
    let invalid = || Problem::Value(format!("invalid ulimit argument: {value}"));
    let (name, limits) = value.split_once('=').ok_or_else(invalid)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| invalid());
    Ok(ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(number(soft)?),
        hard: Some(number(hard)?),
    })
}

/// `[[IP:]HOST:]CONTAINER[/PROTOCOL]`; without a host's port a free one is taken.
fn publish_port(
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    value: &str,
) -> Result<(), Problem> {
    let (outside, inside) = value.rsplit_once(':').unwrap_or(("", value));
    let (ip, port) = outside.rsplit_once(':').unwrap_or(("", outside));
    let (number, _) = inside.split_once('/').unwrap_or((inside, ""));
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    if !is_port(number) || !(port.is_empty() || is_port(port)) {
        return Err(Problem::Value(format!("invalid containerPort: {inside}")));
    }
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    publish(body, host, &with_protocol(inside), ip, port);
    Ok(())
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

/// Another name in the network that the task has asked for.
fn alias(body: &mut ContainerCreateBody, host: &HostConfig, value: &str) {
    let network = host.network_mode.clone().unwrap_or_default();
    let endpoint: &mut EndpointSettings = body
        .networking_config
        .get_or_insert_with(NetworkingConfig::default)
        .endpoints_config
        .get_or_insert_default()
        .entry(network)
        .or_default();
    add(&mut endpoint.aliases, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(all: &[(&str, &str)]) -> ContainerCreateBody {
        let mut body = ContainerCreateBody::default();
        for (key, value) in all {
            apply(&mut body, key, value).unwrap();
        }
        body
    }

    #[test]
    fn options_become_fields() {
        let body = applied(&[
            ("label", "a=b"),
            ("label", "c"),
            ("env", "X=1"),
            ("hostname", "inside"),
            ("cap-add", "NET_ADMIN"),
            ("cap-add", "SYS_TIME"),
            ("ulimit", "nofile=10:20"),
            ("ulimit", "core=-1"),
            ("memory", "64m"),
            ("memory-swap", "-1"),
            ("cpus", "1.5"),
            ("device", "/dev/null:/dev/nothing:r"),
            ("device", "/dev/zero:rw"),
            ("publish", "127.0.0.1:80:8080/udp"),
            ("publish", "9000"),
            ("read-only", "true"),
            ("tmpfs", "/run:size=1m"),
            ("user", "1000:1000"),
            ("rm", ""),
        ]);
        let host = body.host_config.unwrap();
        let labels = body.labels.unwrap();
        assert_eq!((labels["a"].as_str(), labels["c"].as_str()), ("b", ""));
        assert_eq!(body.env.unwrap(), ["X=1"]);
        assert_eq!(body.hostname.unwrap(), "inside");
        assert_eq!(body.user.unwrap(), "1000:1000");
        assert_eq!(host.cap_add.unwrap(), ["NET_ADMIN", "SYS_TIME"]);
        let ulimits = host.ulimits.unwrap();
        assert_eq!((ulimits[0].soft, ulimits[0].hard), (Some(10), Some(20)));
        assert_eq!((ulimits[1].soft, ulimits[1].hard), (Some(-1), Some(-1)));
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(-1)));
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
        let devices = host.devices.unwrap();
        assert_eq!(
            devices[0].path_in_container.as_deref(),
            Some("/dev/nothing")
        );
        assert_eq!(devices[1].path_in_container.as_deref(), Some("/dev/zero"));
        assert_eq!(devices[1].cgroup_permissions.as_deref(), Some("rw"));
        let ports = host.port_bindings.unwrap();
        let binding = &ports["8080/udp"].as_ref().unwrap()[0];
        assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(binding.host_port.as_deref(), Some("80"));
        assert_eq!(
            ports["9000/tcp"].as_ref().unwrap()[0].host_port.as_deref(),
            Some("")
        );
        assert_eq!(body.exposed_ports.unwrap(), ["8080/udp", "9000/tcp"]);
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.tmpfs.unwrap()["/run"], "size=1m");
    }

    /// `bad-parameter` of the scene `docker-failures`.
    #[test]
    fn what_is_not_known_is_refused_as_the_command_line_does() {
        let refuse = |key: &str, value: &str| {
            apply(&mut ContainerCreateBody::default(), key, value).unwrap_err()
        };
        assert_eq!(
            refuse("no-such-option", "x"),
            "unknown flag: --no-such-option"
        );
        // The agent itself needs these.
        assert_eq!(refuse("name", "x"), "unknown flag: --name");
        assert_eq!(refuse("detach", "true"), "unknown flag: --detach");
        assert_eq!(
            refuse("memory", "much"),
            "invalid argument \"much\" for \"--memory\" flag: invalid size: 'much'"
        );
        for (key, value) in [
            ("memory", "1e400g"),
            ("init", "maybe"),
            ("ulimit", "nofile"),
            ("ulimit", "nofile=a"),
            ("cpus", "NaN"),
            ("cpu-shares", "many"),
            ("publish", "80:http"),
        ] {
            assert!(refuse(key, value).starts_with("invalid argument"), "{key}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let size = |text: &str| bytes(text).ok();
        assert_eq!(size("10"), Some(10));
        assert_eq!(size("1.5K"), Some(1536));
        assert_eq!(size("2GiB"), Some(2 << 30));
        assert_eq!(size("3mb"), Some(3 << 20));
        assert_eq!(size("m"), None);
        assert_eq!(size("1x"), None);
    }
}
