//! What the engine shows of a container, in the engine's own words: a task's
//! status carries that text, which a typed model would lose parts of.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

use super::{EngineAddress, Started};

/// Far more than an engine says about a container.
const MAX_BYTES: usize = 4 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Asks for one container.
pub(super) async fn inspect(address: &EngineAddress, name: &str) -> Result<String, String> {
    let asked = async {
        let sender = match address {
            EngineAddress::Unix(path) => connect(UnixStream::connect(path).await?).await?,
            EngineAddress::Tcp(authority) => connect(TcpStream::connect(authority).await?).await?,
        };
        ask(sender, name).await
    };
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the engine does not answer".to_owned()),
    }
}

async fn connect<S>(stream: S) -> Result<http1::SendRequest<Empty<Bytes>>, Problem>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with its sender.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the Docker engine broke");
        }
    });
    Ok(sender)
}

async fn ask(mut sender: http1::SendRequest<Empty<Bytes>>, name: &str) -> Result<String, Problem> {
    let request = http::Request::get(format!("/containers/{name}/json"))
        .header(http::header::HOST, "docker")
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES)
        .collect()
        .await?;
    let text = String::from_utf8(body.to_bytes().into())?;
    if status.is_success() {
        Ok(text.trim().to_owned())
    } else {
        Err(format!("the engine answers {status}: {}", text.trim()).into())
    }
}

/// Reads what matters of the answer, and the signal that ends the container.
pub(super) fn read(text: &str) -> Result<(Started, String), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let pid = value["State"]["Pid"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok());
    let signal = value["Config"]["StopSignal"]
        .as_str()
        .filter(|signal| !signal.is_empty())
        .unwrap_or("SIGTERM");
    let started = Started {
        address: address(&value["NetworkSettings"]),
        pid: pid.filter(|pid| *pid > 1),
        inspect: format!("[{text}]"),
    };
    Ok((started, signal.to_owned()))
}

/// The address of a container that does not share this machine's. Older engines
/// repeat that of the bridge at the top.
fn address(settings: &Value) -> Option<IpAddr> {
    let of = |place: &Value, name: &str| place[name].as_str()?.parse().ok();
    let networks: Vec<&Value> = settings["Networks"]
        .as_object()
        .map(|networks| networks.values().collect())
        .unwrap_or_default();
    let places = || std::iter::once(settings).chain(networks.iter().copied());
    places()
        .find_map(|place| of(place, "IPAddress"))
        .or_else(|| places().find_map(|place| of(place, "GlobalIPv6Address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_containers_own() {
        let address = |settings: &str| {
            let text = format!(r#"{{"State": {{"Pid": 77}}, "NetworkSettings": {settings}}}"#);
            let (started, signal) = read(&text).unwrap();
            assert_eq!(signal, "SIGTERM");
            assert_eq!(started.pid, Some(77));
            assert_eq!(started.inspect, format!("[{text}]"));
            started.address.map(|address| address.to_string())
        };
        let old = r#"{"IPAddress": "172.17.0.2", "Networks": {}}"#;
        assert_eq!(address(old).as_deref(), Some("172.17.0.2"));
        let new = r#"{"Networks": {"n": {"IPAddress": "10.1.0.3"}}}"#;
        assert_eq!(address(new).as_deref(), Some("10.1.0.3"));
        let host = r#"{"IPAddress": "", "Networks": {"host": {"IPAddress": ""}}}"#;
        assert_eq!(address(host), None);
        assert!(read("no json").is_err());
        let (_, signal) = read(r#"{"Config": {"StopSignal": "SIGQUIT"}}"#).unwrap();
        assert_eq!(signal, "SIGQUIT");
    }
}
