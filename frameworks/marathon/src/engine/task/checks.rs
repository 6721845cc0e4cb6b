//! The checks that an executor is to make of an app's task: of its health, and
//! those that only tell.

use mesos_sdk::v1;

use crate::app::{App, Check, CheckCommand, HealthCheck, HealthProtocol};

use super::seconds;

/// What tells the executor that the task is healthy; nothing when Marathon checks
/// itself, or there is no port to ask.
pub(super) fn health(app: &App, check: &HealthCheck, ports: &[u16]) -> Option<v1::HealthCheck> {
    use v1::health_check::{HttpCheckInfo, TcpCheckInfo, Type};
    let port = || port(app, check.port, check.port_index, ports);
    let mut info = v1::HealthCheck {
        delay_seconds: seconds(check.delay_seconds),
        interval_seconds: seconds(check.interval_seconds),
        timeout_seconds: seconds(check.timeout_seconds),
        consecutive_failures: Some(check.max_consecutive_failures),
        grace_period_seconds: seconds(check.grace_period_seconds),
        ..v1::HealthCheck::default()
    };
    match check.protocol {
        HealthProtocol::Command => {
            info.r#type = Some(Type::Command.into());
            info.command = Some(v1::CommandInfo {
                shell: Some(true),
                value: check.command.as_ref().map(|it| it.value.clone()),
                ..v1::CommandInfo::default()
            });
        }
        HealthProtocol::MesosTcp => {
            info.r#type = Some(Type::Tcp.into());
            info.tcp = Some(TcpCheckInfo {
                port: port()?,
                protocol: Some(family(check)),
            });
        }
        HealthProtocol::MesosHttp | HealthProtocol::MesosHttps => {
            let is_tls = check.protocol == HealthProtocol::MesosHttps;
            info.r#type = Some(Type::Http.into());
            info.http = Some(HttpCheckInfo {
                port: port()?,
                path: check.path.clone(),
                scheme: Some(if is_tls { "https" } else { "http" }.to_owned()),
                protocol: Some(family(check)),
                ..HttpCheckInfo::default()
            });
        }
        HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Tcp => return None,
    }
    Some(info)
}

fn family(check: &HealthCheck) -> i32 {
    use crate::app::IpProtocol;
    match check.ip_protocol {
        IpProtocol::V4 => v1::network_info::Protocol::IPv4.into(),
        IpProtocol::V6 => v1::network_info::Protocol::IPv6.into(),
    }
}

/// What only tells; nothing when there is no port to ask.
pub(super) fn plain(app: &App, check: &Check, ports: &[u16]) -> Option<v1::CheckInfo> {
    let mut info = timed(
        check.delay_seconds,
        check.interval_seconds,
        check.timeout_seconds,
    );
    if let Some(http) = &check.http {
        let port = port(app, http.port, http.port_index, ports)?;
        ask(&mut info, port, http.path.clone());
    } else if let Some(tcp) = &check.tcp {
        connect(&mut info, port(app, tcp.port, tcp.port_index, ports)?);
    } else {
        run(&mut info, command(&check.exec.as_ref()?.command));
    }
    Some(info)
}

/// A check that does nothing yet.
pub(super) fn timed(delay: u64, interval: u64, timeout: u64) -> v1::CheckInfo {
    v1::CheckInfo {
        delay_seconds: seconds(delay),
        interval_seconds: seconds(interval),
        timeout_seconds: seconds(timeout),
        ..v1::CheckInfo::default()
    }
}

/// It asks over HTTP.
pub(super) fn ask(info: &mut v1::CheckInfo, port: u32, path: Option<String>) {
    info.r#type = Some(v1::check_info::Type::Http.into());
    info.http = Some(v1::check_info::Http { port, path });
}

/// It connects.
pub(super) fn connect(info: &mut v1::CheckInfo, port: u32) {
    info.r#type = Some(v1::check_info::Type::Tcp.into());
    info.tcp = Some(v1::check_info::Tcp { port });
}

/// It runs a command.
pub(super) fn run(info: &mut v1::CheckInfo, command: v1::CommandInfo) {
    info.r#type = Some(v1::check_info::Type::Command.into());
    info.command = Some(v1::check_info::Command { command });
}

fn command(command: &CheckCommand) -> v1::CommandInfo {
    let mut info = v1::CommandInfo {
        shell: Some(command.shell.is_some()),
        ..v1::CommandInfo::default()
    };
    match (&command.shell, &command.argv) {
        (Some(line), _) => info.value = Some(line.clone()),
        (None, words) => {
            let words = words.as_deref().unwrap_or_default();
            info.value = words.first().cloned();
            info.arguments = words.to_vec();
        }
    }
    info
}

/// The port that is asked, from inside of the container.
fn port(app: &App, port: Option<u16>, index: Option<u32>, ports: &[u16]) -> Option<u32> {
    if let Some(port) = port {
        return Some(u32::from(port));
    }
    let index = index? as usize;
    let mapping = app.port_mappings().get(index);
    let inside = mapping.map(|it| it.container_port);
    let inside = inside.filter(|port| *port != 0);
    let port = inside.or_else(|| ports.get(index).copied())?;
    Some(u32::from(port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::{Container, PortDefinition};

    fn app() -> App {
        let mut app = App::new("/a".parse().unwrap(), "*", Default::default());
        app.port_definitions = Some(vec![PortDefinition::tcp(0), PortDefinition::tcp(0)]);
        app
    }

    fn info(app: &App, check: serde_json::Value) -> v1::CheckInfo {
        let check: Check = serde_json::from_value(check).unwrap();
        plain(app, &check, &[31_000, 31_001]).unwrap()
    }

    #[test]
    fn a_check_asks_connects_or_runs() {
        let http = info(
            &app(),
            json!({"http": {"portIndex": 1, "path": "/state"}, "intervalSeconds": 5}),
        );
        assert_eq!(http.r#type(), v1::check_info::Type::Http);
        let asked = http.http.unwrap();
        assert_eq!((asked.port, asked.path()), (31_001, "/state"));
        let times = [
            http.delay_seconds,
            http.interval_seconds,
            http.timeout_seconds,
        ];
        assert_eq!(times, [Some(15.0), Some(5.0), Some(20.0)]);
        let tcp = info(&app(), json!({"tcp": {"port": 80}})).tcp.unwrap();
        assert_eq!(tcp.port, 80);
        let of = |command| info(&app(), json!({"exec": {"command": command}}));
        let shell = of(json!({"shell": "exit 3"})).command.unwrap().command;
        assert_eq!((shell.shell(), shell.value()), (true, "exit 3"));
        let words = of(json!({"argv": ["test", "-e", "x"]}));
        let words = words.command.unwrap().command;
        assert_eq!((words.shell(), words.value()), (false, "test"));
        assert_eq!(words.arguments, ["test", "-e", "x"]);
    }

    #[test]
    fn inside_a_container_its_own_port_is_asked() {
        let mut app = app();
        app.networks = vec![crate::app::Network::bridge()];
        let container: Container = serde_json::from_value(json!({
            "type": "MESOS", "portMappings": [{"containerPort": 80}, {"containerPort": 0}],
        }))
        .unwrap();
        app.container = Some(container);
        let ports = [0, 1].map(|index| {
            let check = info(&app, json!({"tcp": {"portIndex": index}}));
            check.tcp.unwrap().port
        });
        assert_eq!(ports, [80, 31_001]);
    }
}
