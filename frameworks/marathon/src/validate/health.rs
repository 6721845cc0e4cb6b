//! Health checks, readiness checks and checks that tell only.

use crate::app::{App, Check, ContainerKind, HealthCheck, HealthProtocol, IpProtocol};
use crate::violations::Violations;

use super::has_duplicates;

/// What a check says whose port is none of the app's.
const NO_SUCH_PORT: &str = "Health check port indices must address an element of the ports array or container port mappings.";

pub(super) fn validate(app: &App, wrong: &mut Violations) {
    for (index, check) in app.health_checks.iter().enumerate() {
        one_check(app, check, &format!("/healthChecks({index})"), wrong);
    }
    let mesos = app
        .health_checks
        .iter()
        .filter(|check| check.protocol.is_of_mesos() && check.protocol != HealthProtocol::Command);
    let of_mesos = mesos.count();
    let commands = app
        .health_checks
        .iter()
        .any(|check| check.protocol == HealthProtocol::Command);
    wrong.require(
        of_mesos <= 1 && !(of_mesos == 1 && commands),
        "/healthChecks",
        "AppDefinition can contain at most one Mesos health check",
    );
    if let Some(check) = &app.check {
        plain_check(app, check, wrong);
    }
    readiness(app, wrong);
}

fn one_check(app: &App, check: &HealthCheck, path: &str, wrong: &mut Violations) {
    if check.protocol == HealthProtocol::Command {
        wrong.require(
            check
                .command
                .as_ref()
                .is_some_and(|it| !it.value.is_empty()),
            format!("{path}/command"),
            "not defined",
        );
    } else {
        wrong.require(
            check.command.is_none(),
            format!("{path}/command"),
            "is of the protocol COMMAND only",
        );
        let is_there = match (check.port, check.port_index) {
            (_, Some(index)) => (index as usize) < app.port_count(),
            (port, None) => port.is_some(),
        };
        wrong.require(is_there, path, NO_SUCH_PORT);
        wrong.require(
            check.port.is_none() || check.port_index.is_none(),
            path,
            "Health check must specify either a port or a portIndex",
        );
    }
    wrong.require(
        check.interval_seconds > 0,
        format!("{path}/intervalSeconds"),
        "must be greater than 0",
    );
    wrong.require(
        check.timeout_seconds > 0,
        format!("{path}/timeoutSeconds"),
        "must be greater than 0",
    );
    if check.ip_protocol == IpProtocol::V6 {
        let is_docker = app
            .container
            .as_ref()
            .is_some_and(|it| it.kind == ContainerKind::Docker && it.docker.is_some());
        let is_asked_for = matches!(
            check.protocol,
            HealthProtocol::MesosHttp | HealthProtocol::MesosHttps | HealthProtocol::MesosTcp
        );
        wrong.require(
            is_docker && is_asked_for,
            path,
            "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks",
        );
    }
}

fn plain_check(app: &App, check: &Check, wrong: &mut Violations) {
    let kinds = [
        check.http.is_some(),
        check.tcp.is_some(),
        check.exec.is_some(),
    ];
    wrong.require(
        kinds.into_iter().filter(|is_it| *is_it).count() == 1,
        "/check",
        "must have exactly one of http, tcp and exec",
    );
    let is_docker = app
        .container
        .as_ref()
        .is_some_and(|it| it.kind == ContainerKind::Docker);
    wrong.require(
        !is_docker,
        "/check",
        "checks are not supported by the Docker containerizer",
    );
    let http = check.http.as_ref().map(|it| (it.port, it.port_index));
    let tcp = check.tcp.as_ref().map(|it| (it.port, it.port_index));
    for (port, index) in http.into_iter().chain(tcp) {
        wrong.require(
            port.is_some() != index.is_some(),
            "/check",
            "Check must specify either a port or a portIndex",
        );
        let is_there = index.is_none_or(|index| (index as usize) < app.port_count());
        wrong.require(is_there, "/check", NO_SUCH_PORT);
    }
    if let Some(http) = &check.http {
        wrong.require(
            http.scheme.as_deref().is_none_or(|scheme| scheme == "HTTP"),
            "/check/http/scheme",
            "must be HTTP: Mesos makes no checks over HTTPS that only tell",
        );
    }
    if let Some(exec) = &check.exec {
        let words = exec.command.argv.as_ref();
        let is_said = [
            exec.command.shell.as_ref().is_some_and(|it| !it.is_empty()),
            words.is_some_and(|words| !words.is_empty()),
        ];
        wrong.require(
            is_said[0] != is_said[1],
            "/check/exec/command",
            "must have exactly one of shell and argv",
        );
    }
}

fn readiness(app: &App, wrong: &mut Violations) {
    wrong.require(
        app.readiness_checks.len() <= 1,
        "/readinessChecks",
        "may have at most one readiness check",
    );
    let definitions = app.port_definitions.iter().flatten();
    let mappings = app.port_mappings().iter();
    let mut names: Vec<_> = definitions
        .filter_map(|definition| definition.name.as_deref())
        .collect();
    names.extend(mappings.filter_map(|mapping| mapping.name.as_deref()));
    for (index, check) in app.readiness_checks.iter().enumerate() {
        let path = format!("/readinessChecks({index})");
        wrong.require(
            names.contains(&check.port_name.as_str()),
            format!("{path}/portName"),
            format!(
                "No port definition reference for portName {}",
                check.port_name
            ),
        );
        wrong.require(
            check.timeout_seconds > 0 && check.timeout_seconds < check.interval_seconds,
            format!("{path}/timeoutSeconds"),
            "must be less than intervalSeconds, and greater than 0",
        );
        wrong.require(
            !check.http_status_codes_for_ready.is_empty()
                && !has_duplicates(&check.http_status_codes_for_ready),
            format!("{path}/httpStatusCodesForReady"),
            "must name at least one status, and each once",
        );
    }
}
