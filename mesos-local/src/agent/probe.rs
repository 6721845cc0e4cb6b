//! Finds out how a task is: runs a command beside it, asks it by HTTP, connects
//! to its port. What the finding means is the model's business.

mod https;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use nix::unistd::Pid;
use tokio::net::TcpStream;

use crate::agent::docker::Neighbour;
use crate::agent::environment::add_variables;
use crate::agent::process::{Account, Group, build};
use crate::agent::{Finding, Probe, Warden};

/// What a check sees of its task.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) directory: PathBuf,
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) user: Option<Account>,
    pub(crate) warden: Arc<Warden>,
    /// The task runs in this container of the Docker engine.
    pub(crate) container: Option<Neighbour>,
}

impl Surroundings {
    /// Where the task's ports are: a container without an address of its own
    /// shares this machine's.
    fn host(&self, is_ipv6: bool) -> IpAddr {
        match self.container.as_ref().and_then(|known| known.address) {
            Some(address) => address,
            None if is_ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// Runs one probe. When it takes longer than it may, or fails to run at all,
/// there is no result.
pub(crate) async fn run(
    probe: Probe,
    timeout: Option<Duration>,
    surroundings: Surroundings,
) -> Finding {
    // A refused connection is a finding; one that takes too long is one too.
    let late = match probe {
        Probe::Tcp { .. } => Finding::Connected(false),
        Probe::Command(_) | Probe::Http { .. } => Finding::Nothing,
    };
    let found = async {
        match probe {
            Probe::Command(info) => match &surroundings.container {
                Some(container) => container.exec(&info).await,
                None => command(&info, &surroundings).await,
            },
            Probe::Http {
                is_https,
                is_ipv6,
                port,
                path,
            } => http(is_https, surroundings.host(is_ipv6), port, &path).await,
            Probe::Tcp { is_ipv6, port } => {
                let host = surroundings.host(is_ipv6);
                Finding::Connected(connect(host, port).await.is_some())
            }
        }
    };
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, found).await.unwrap_or(late),
        None => found.await,
    }
}

async fn command(info: &mesos_sdk::v1::CommandInfo, surroundings: &Surroundings) -> Finding {
    let mut environment = surroundings.environment.to_vec();
    add_variables(&mut environment, info.environment.as_ref());
    let mut command = build(
        info,
        &environment,
        &surroundings.directory,
        surroundings.user,
    );
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::debug!(%error, "cannot run the command of a check");
            return Finding::Nothing;
        }
    };
    // Dropped at the end, or when time is over: what still runs is killed.
    let _group = child.id().map(|pid| {
        Group::new(
            Arc::clone(&surroundings.warden),
            Pid::from_raw(pid.cast_signed()),
        )
    });
    match child.wait().await.map(|status| status.code()) {
        Ok(Some(code)) => Finding::ExitCode(code),
        Ok(None) | Err(_) => Finding::Nothing,
    }
}

async fn connect(host: IpAddr, port: u32) -> Option<TcpStream> {
    let address = SocketAddr::new(host, u16::try_from(port).ok()?);
    TcpStream::connect(address).await.ok()
}

async fn http(is_https: bool, host: IpAddr, port: u32, path: &str) -> Finding {
    let answer = if is_https {
        let Ok(port) = u16::try_from(port) else {
            return Finding::Nothing;
        };
        https::ask(host, port, path).await.map_err(Into::into)
    } else {
        let Some(stream) = connect(host, port).await else {
            return Finding::Nothing;
        };
        let name = match host {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        ask(stream, &name, port, path).await
    };
    match answer {
        Ok(code) => Finding::StatusCode(code),
        Err(error) => {
            tracing::debug!(%error, port, "no answer to a check");
            Finding::Nothing
        }
    }
}

async fn ask(
    stream: TcpStream,
    host: &str,
    port: u32,
    path: &str,
) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(if path.is_empty() { "/" } else { path })
        .header(http::header::HOST, format!("{host}:{port}"))
        .header(http::header::ACCEPT, "*/*")
        .body(Empty::<Bytes>::new())?;
    // The connection may end in the moment in which it hands the answer over.
    // The answer's head is enough; the rest is dropped.
    let connection = async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, port, "the connection of a check broke");
        }
        std::future::pending().await
    };
    tokio::select! {
        response = sender.send_request(request) => Ok(u32::from(response?.status().as_u16())),
        never = connection => never,
    }
}
