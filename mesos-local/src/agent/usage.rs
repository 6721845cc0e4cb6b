//! What processes and the machine use, from `/proc`.

use std::fs;

/// Ticks of processor time a second, the same on every Linux that we run on.
const TICKS: f64 = 100.0;

/// What the processes of one group use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) user_secs: f64,
    pub(crate) system_secs: f64,
    pub(crate) rss_bytes: u64,
}

impl Usage {
    /// Adds up a process group and the children it has waited for. `None` when
    /// nothing of it is left.
    pub(crate) fn of_group(group: u32) -> Option<Self> {
        let mut total: Option<Self> = None;
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Some(usage) = of_member(pid, group) else {
                continue;
            };
            let sum = total.get_or_insert(Self {
                user_secs: 0.0,
                system_secs: 0.0,
                rss_bytes: 0,
            });
            sum.user_secs += usage.user_secs;
            sum.system_secs += usage.system_secs;
            sum.rss_bytes += usage.rss_bytes;
        }
        total
    }
}

fn of_member(pid: u32, group: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    if field(2)? != u64::from(group) {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage {
        user_secs: (field(11)? + field(13)?) as f64 / TICKS,
        system_secs: (field(12)? + field(14)?) as f64 / TICKS,
        rss_bytes: kib(&status, "VmRSS:").unwrap_or_default() * 1024,
    })
}

/// The number of a line such as `VmRSS:   123 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How the machine fares.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct System {
    pub(crate) cpus: usize,
    /// Over 1, 5 and 15 minutes.
    pub(crate) load: [f64; 3],
    pub(crate) mem_free_bytes: u64,
    pub(crate) mem_total_bytes: u64,
}

impl System {
    /// The machine as it is now; what cannot be read is zero.
    pub(crate) fn now() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let mut load = [0.0; 3];
        let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        for (slot, text) in load.iter_mut().zip(loads.split_whitespace()) {
            *slot = text.parse().unwrap_or_default();
        }
        Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            load,
            mem_free_bytes: kib(&memory, "MemFree:").unwrap_or_default() * 1024,
            mem_total_bytes: kib(&memory, "MemTotal:").unwrap_or_default() * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_uses_memory() {
        let group = nix::unistd::getpgrp().as_raw().cast_unsigned();
        let usage = Usage::of_group(group).unwrap();
        assert!(usage.rss_bytes > 100_000, "{usage:?}");
        assert!(System::now().mem_total_bytes > usage.rss_bytes);
        assert_eq!(Usage::of_group(u32::MAX), None);
    }
}
