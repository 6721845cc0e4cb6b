//! When a task is checked and what a result means: checks, which only report,
//! and health checks, which also kill (docs/health-checks.md,
//! `src/checks/checker_process.cpp`). Nothing here probes anything.

use std::time::Duration;

use mesos_sdk::v1;
use v1::{check_info, check_status_info, health_check};

use crate::time::Timestamp;

/// The least pause between two probes, whatever the task asks for.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// What is done to find out how a task is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Probe {
    /// Run a command in the task's sandbox.
    Command(Box<v1::CommandInfo>),
    /// GET a path of the task.
    Http {
        /// `https` instead of `http`.
        is_https: bool,
        /// Over IPv6.
        is_ipv6: bool,
        /// The port on the loopback interface.
        port: u32,
        /// Starts with a slash, or is empty.
        path: String,
    },
    /// Connect to a port of the task.
    Tcp {
        /// Over IPv6.
        is_ipv6: bool,
        /// The port on the loopback interface.
        port: u32,
    },
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The command exited with this code.
    ExitCode(i32),
    /// The server answered with this status.
    StatusCode(u32),
    /// The connection was accepted, or not.
    Connected(bool),
    /// There was no result: no answer, no exit code, or not in time.
    Nothing,
}

/// When the next probe starts. Not set while one runs.
#[derive(Debug, Clone)]
struct Schedule {
    next: Option<Timestamp>,
    interval: Duration,
    timeout: Option<Duration>,
}

impl Schedule {
    fn new(now: Timestamp, delay: f64, interval: f64, timeout: f64) -> Self {
        Self {
            next: Some(now + duration(delay)),
            interval: duration(interval).max(MIN_INTERVAL),
            // Zero means that a probe may take for ever.
            timeout: Some(duration(timeout)).filter(|timeout| !timeout.is_zero()),
        }
    }

    fn begin(&mut self, now: Timestamp) -> bool {
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.next = None;
        }
        is_due
    }

    fn end(&mut self, now: Timestamp) {
        self.next = Some(now + self.interval);
    }
}

/// Seconds as messages have them; what is no duration is none.
fn duration(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or_default()
}

/// A task's check.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    probe: Probe,
    schedule: Schedule,
    last: v1::CheckStatusInfo,
}

impl Check {
    /// `None` for a check whose type says nothing to do.
    pub(crate) fn new(info: &v1::CheckInfo, now: Timestamp) -> Option<Self> {
        let probe = match info.r#type() {
            check_info::Type::Command => Probe::Command(Box::new(info.command.clone()?.command)),
            check_info::Type::Http => {
                let http = info.http.as_ref()?;
                Probe::Http {
                    is_https: false,
                    is_ipv6: false,
                    port: http.port,
                    path: http.path().to_owned(),
                }
            }
            check_info::Type::Tcp => Probe::Tcp {
                is_ipv6: false,
                port: info.tcp?.port,
            },
            check_info::Type::Unknown => return None,
        };
        Some(Self {
            probe,
            schedule: Schedule::new(
                now,
                info.delay_seconds(),
                info.interval_seconds(),
                info.timeout_seconds(),
            ),
            last: empty_check_status(info),
        })
    }

    /// When a probe is to start.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.schedule.next
    }

    /// The probe to start now, if any, and how long it may take.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Option<(Probe, Option<Duration>)> {
        self.schedule
            .begin(now)
            .then(|| (self.probe.clone(), self.schedule.timeout))
    }

    /// Takes a result. Returns the new status when it has changed.
    pub(crate) fn end(&mut self, now: Timestamp, finding: Finding) -> Option<v1::CheckStatusInfo> {
        self.schedule.end(now);
        let mut status = v1::CheckStatusInfo {
            r#type: self.last.r#type,
            ..Default::default()
        };
        match &self.probe {
            Probe::Command(_) => {
                let exit_code = match finding {
                    Finding::ExitCode(code) => Some(code),
                    _ => None,
                };
                status.command = Some(check_status_info::Command { exit_code });
            }
            Probe::Http { .. } => {
                let status_code = match finding {
                    Finding::StatusCode(code) => Some(code),
                    _ => None,
                };
                status.http = Some(check_status_info::Http { status_code });
            }
            Probe::Tcp { .. } => {
                let succeeded = Some(finding == Finding::Connected(true));
                status.tcp = Some(check_status_info::Tcp { succeeded });
            }
        }
        (status != self.last).then(|| {
            self.last = status;
            status
        })
    }
}

/// The status of a check that has no result yet: only its type is known.
pub(crate) fn empty_check_status(info: &v1::CheckInfo) -> v1::CheckStatusInfo {
    let mut status = v1::CheckStatusInfo {
        r#type: info.r#type,
        ..Default::default()
    };
    match info.r#type() {
        check_info::Type::Command => status.command = Some(check_status_info::Command::default()),
        check_info::Type::Http => status.http = Some(check_status_info::Http::default()),
        check_info::Type::Tcp => status.tcp = Some(check_status_info::Tcp::default()),
        check_info::Type::Unknown => {}
    }
    status
}

/// A task's health check.
#[derive(Debug, Clone)]
pub(crate) struct HealthCheck {
    probe: Probe,
    schedule: Schedule,
    /// Failures before this do not count until there was a success.
    grace_end: Timestamp,
    was_healthy: bool,
    failures: u32,
    max_failures: u32,
}

/// A result of a health check that is worth an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) is_healthy: bool,
    /// It failed too often in a row.
    pub(crate) kill: bool,
}

impl HealthCheck {
    /// `None` for a check whose type says nothing to do.
    pub(crate) fn new(info: &v1::HealthCheck, now: Timestamp) -> Option<Self> {
        let probe = match info.r#type() {
            health_check::Type::Command => Probe::Command(Box::new(info.command.clone()?)),
            health_check::Type::Http => {
                let http = info.http.as_ref()?;
                Probe::Http {
                    is_https: http.scheme() == "https",
                    is_ipv6: http.protocol() == v1::network_info::Protocol::IPv6,
                    port: http.port,
                    path: http.path().to_owned(),
                }
            }
            health_check::Type::Tcp => {
                let tcp = info.tcp.as_ref()?;
                Probe::Tcp {
                    is_ipv6: tcp.protocol() == v1::network_info::Protocol::IPv6,
                    port: tcp.port,
                }
            }
            health_check::Type::Unknown => return None,
        };
        Some(Self {
            probe,
            schedule: Schedule::new(
                now,
                info.delay_seconds(),
                info.interval_seconds(),
                info.timeout_seconds(),
            ),
            grace_end: now + duration(info.grace_period_seconds()),
            was_healthy: false,
            failures: 0,
            max_failures: info.consecutive_failures(),
        })
    }

    /// When a probe is to start.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.schedule.next
    }

    /// The probe to start now, if any, and how long it may take.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Option<(Probe, Option<Duration>)> {
        self.schedule
            .begin(now)
            .then(|| (self.probe.clone(), self.schedule.timeout))
    }

    /// Takes a result. Every counted failure is reported, a success only when
    /// it is the first or follows a failure.
    pub(crate) fn end(&mut self, now: Timestamp, finding: Finding) -> Option<Health> {
        self.schedule.end(now);
        let is_healthy = match finding {
            Finding::ExitCode(code) => code == 0,
            // What curl --location calls a success.
            Finding::StatusCode(code) => (200..400).contains(&code),
            Finding::Connected(is_connected) => is_connected,
            Finding::Nothing => false,
        };
        if is_healthy {
            let is_news = !self.was_healthy || self.failures > 0;
            self.was_healthy = true;
            self.failures = 0;
            return is_news.then_some(Health {
                is_healthy: true,
                kill: false,
            });
        }
        if !self.was_healthy && now < self.grace_end {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        Some(Health {
            is_healthy: false,
            kill: self.failures >= self.max_failures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(5000) + Duration::from_millis(millis)
    }

    fn health_check(delay: f64, grace: f64, failures: u32) -> HealthCheck {
        let info = v1::HealthCheck {
            r#type: Some(health_check::Type::Tcp.into()),
            tcp: Some(health_check::TcpCheckInfo {
                port: 80,
                ..Default::default()
            }),
            delay_seconds: Some(delay),
            interval_seconds: Some(1.0),
            grace_period_seconds: Some(grace),
            consecutive_failures: Some(failures),
            ..Default::default()
        };
        HealthCheck::new(&info, at(0)).unwrap()
    }

    const UP: Finding = Finding::Connected(true);
    const DOWN: Finding = Finding::Connected(false);
    const HEALTHY: Option<Health> = Some(Health {
        is_healthy: true,
        kill: false,
    });
    const UNHEALTHY: Option<Health> = Some(Health {
        is_healthy: false,
        kill: false,
    });
    const DEADLY: Option<Health> = Some(Health {
        is_healthy: false,
        kill: true,
    });

    #[test]
    fn waits_for_the_delay_and_between_probes_for_the_interval() {
        let mut check = health_check(2.0, 0.0, 3);
        assert_eq!(check.begin(at(1999)), None);
        let (_, timeout) = check.begin(at(2000)).unwrap();
        assert_eq!(timeout, Some(Duration::from_secs(20)));
        assert_eq!(check.wake_at(), None, "one probe at a time");
        check.end(at(2300), UP);
        assert_eq!(check.wake_at(), Some(at(3300)));
    }

    /// `tcp-never`, `flaps` and `zero-failures` of the scene `check-health`.
    #[test]
    fn kills_after_consecutive_failures_only() {
        let mut check = health_check(0.0, 0.0, 2);
        assert_eq!(check.end(at(0), DOWN), UNHEALTHY);
        assert_eq!(check.end(at(1), UP), HEALTHY);
        assert_eq!(check.end(at(2), UP), None);
        assert_eq!(check.end(at(3), DOWN), UNHEALTHY);
        assert_eq!(check.end(at(4), DOWN), DEADLY);
        assert_eq!(health_check(0.0, 0.0, 0).end(at(0), DOWN), DEADLY);
    }

    #[test]
    fn failures_in_the_grace_period_do_not_count_before_a_success() {
        let mut check = health_check(0.0, 3.0, 1);
        assert_eq!(check.end(at(2999), DOWN), None);
        assert_eq!(check.end(at(3000), DOWN), DEADLY);
        let mut check = health_check(0.0, 3.0, 1);
        assert_eq!(check.end(at(1000), UP), HEALTHY);
        assert_eq!(check.end(at(2000), DOWN), DEADLY);
    }

    /// `http-stops` of the scene `check-http-tcp`.
    #[test]
    fn a_check_reports_changes_only() {
        let info = v1::CheckInfo {
            r#type: Some(check_info::Type::Http.into()),
            http: Some(check_info::Http {
                port: 80,
                path: None,
            }),
            ..Default::default()
        };
        let mut check = Check::new(&info, at(0)).unwrap();
        let code = |status: Option<v1::CheckStatusInfo>| status.unwrap().http.unwrap().status_code;
        assert_eq!(code(check.end(at(0), Finding::StatusCode(200))), Some(200));
        assert_eq!(check.end(at(1), Finding::StatusCode(200)), None);
        assert_eq!(code(check.end(at(2), Finding::Nothing)), None);
        assert_eq!(check.end(at(3), Finding::Nothing), None);
    }

    #[test]
    fn a_refused_connection_is_news_a_timed_out_command_is_not() {
        let tcp = v1::CheckInfo {
            r#type: Some(check_info::Type::Tcp.into()),
            tcp: Some(check_info::Tcp { port: 80 }),
            ..Default::default()
        };
        let status = Check::new(&tcp, at(0)).unwrap().end(at(0), DOWN).unwrap();
        assert_eq!(status.tcp.unwrap().succeeded, Some(false));
        let command = v1::CheckInfo {
            r#type: Some(check_info::Type::Command.into()),
            command: Some(check_info::Command::default()),
            ..Default::default()
        };
        let mut check = Check::new(&command, at(0)).unwrap();
        assert_eq!(check.end(at(0), Finding::Nothing), None);
    }
}
