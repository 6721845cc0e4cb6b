//! Where a Docker engine listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a Docker engine: a Unix socket, or a host and port without
/// TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineAddress {
    /// `unix:///var/run/docker.sock`, or the path alone.
    Unix(PathBuf),
    /// `tcp://host:port` or `http://host:port`.
    Tcp(String),
}

impl Default for EngineAddress {
    /// The socket that engines listen on unless told otherwise.
    fn default() -> Self {
        Self::Unix(PathBuf::from("/var/run/docker.sock"))
    }
}

impl FromStr for EngineAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || {
            format!(
                "`{text}` is no address of a Docker engine; unix:///path and tcp://host:port are"
            )
        };
        if let Some(path) = text
            .strip_prefix("unix://")
            .or(text.strip_prefix('/').map(|_| text))
        {
            // The path stands in a line that the guard of processes reads.
            if path.starts_with('/') && !path.contains('\n') {
                return Ok(Self::Unix(PathBuf::from(path)));
            }
            return Err(refuse());
        }
        let authority = text
            .strip_prefix("tcp://")
            .or(text.strip_prefix("http://"))
            .ok_or_else(refuse)?
            .trim_end_matches('/');
        let uri: http::uri::Authority = authority.parse().map_err(|_| refuse())?;
        if uri.port().is_none() || authority.contains('@') {
            return Err(refuse());
        }
        Ok(Self::Tcp(authority.to_owned()))
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_hosts_are_addresses() {
        let read = |text: &str| text.parse::<EngineAddress>();
        assert_eq!(
            read("/run/d.sock"),
            Ok(EngineAddress::Unix("/run/d.sock".into()))
        );
        assert_eq!(
            read("unix:///run/d.sock").unwrap().to_string(),
            "unix:///run/d.sock"
        );
        assert_eq!(
            read("tcp://h:2375/"),
            Ok(EngineAddress::Tcp("h:2375".into()))
        );
        assert_eq!(
            read("http://[::1]:2375").unwrap().to_string(),
            "tcp://[::1]:2375"
        );
        for wrong in [
            "",
            "d.sock",
            "unix://d.sock",
            "tcp://h",
            "https://h:1",
            "tcp://u@h:1",
            "/a\nb",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
