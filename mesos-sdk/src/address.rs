//! Where a master is: the forms in which users name it.

use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

/// The port a Mesos master listens on when none is named.
pub const DEFAULT_MASTER_PORT: u16 = 5050;
/// The port a ZooKeeper server listens on when none is named.
pub const DEFAULT_ZOOKEEPER_PORT: u16 = 2181;
/// A file that holds an address is not larger than this.
const LARGEST_FILE: u64 = 64 * 1024;

/// A master, or the way to find it.
///
/// ```
/// use mesos_sdk::address::MasterAddress;
///
/// let one: MasterAddress = "mesos.example.org".parse()?;
/// assert_eq!(one.to_string(), "http://mesos.example.org:5050");
/// let zk: MasterAddress = "zk://user:secret@zk1,zk2:2182/mesos".parse()?;
/// assert_eq!(zk.to_string(), "zk://user:***@zk1:2181,zk2:2182/mesos");
/// # Ok::<(), mesos_sdk::address::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MasterAddress {
    /// A cluster inside this process; `mesos_local::connect` starts it.
    Local,
    /// One master or several of which one leads.
    Hosts(Vec<HostAddress>),
    /// The leader is written in ZooKeeper.
    ZooKeeper(ZooKeeperAddress),
}

/// A server that speaks HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostAddress {
    /// Whether TLS is spoken.
    pub is_https: bool,
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A path in a ZooKeeper ensemble.
#[derive(Clone, PartialEq, Eq)]
pub struct ZooKeeperAddress {
    /// `host:port` of each server.
    pub servers: Vec<(String, u16)>,
    /// The path of the group, such as `/mesos`.
    pub path: String,
    /// User and password for the `digest` scheme.
    pub credentials: Option<(String, String)>,
}

/// Text that names no master.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing is named.
    #[error(
        "the master's address is empty: host:port, zk://host:port/path, file:///path or `local` is expected"
    )]
    Empty,
    /// A host cannot be read.
    #[error("`{host}` is no host: {reason}")]
    Host {
        /// As written.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The scheme means nothing here.
    #[error("`{scheme}://` is no way to find a master: http, https, zk and file are")]
    Scheme {
        /// As written.
        scheme: String,
    },
    /// ZooKeeper without a path.
    #[error("a ZooKeeper address needs a path, as in zk://host:port/mesos")]
    NoPath,
    /// The file cannot be read.
    #[error("cannot read the master's address from {path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What went wrong.
        reason: String,
    },
}

impl FromStr for MasterAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text == "local" {
            return Ok(Self::Local);
        }
        if let Some(rest) = text.strip_prefix("zk://") {
            return rest.parse().map(Self::ZooKeeper);
        }
        if let Some(path) = text.strip_prefix("file://") {
            return Self::from_file(Path::new(path));
        }
        text.split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()
            .map(Self::Hosts)
    }
}

impl MasterAddress {
    fn from_file(path: &Path) -> Result<Self, AddressError> {
        let wrong = |reason: String| AddressError::File {
            path: path.display().to_string(),
            reason,
        };
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut text))
            .map_err(|error| wrong(error.to_string()))?;
        let text = text.trim();
        if text.starts_with("file://") {
            return Err(wrong("it names another file".to_owned()));
        }
        text.parse()
            .map_err(|error: AddressError| wrong(error.to_string()))
    }
}

impl fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Hosts(hosts) => {
                for (index, host) in hosts.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{host}")?;
                }
                Ok(())
            }
            Self::ZooKeeper(address) => address.fmt(f),
        }
    }
}

impl HostAddress {
    /// A server that speaks HTTP without TLS.
    pub fn http(host: impl Into<String>, port: u16) -> Self {
        Self {
            is_https: false,
            host: host.into(),
            port,
        }
    }

    /// The URL of a path on this server; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Reads the `Location` of a redirect to the leading master, which leaves
    /// the scheme out (`//host:port/api/v1/scheduler`): then it is this
    /// server's.
    #[must_use]
    pub fn redirected(&self, location: &str) -> Option<Self> {
        let (is_https, rest) = if let Some(rest) = location.strip_prefix("//") {
            (self.is_https, rest)
        } else if let Some(rest) = location.strip_prefix("http://") {
            (false, rest)
        } else {
            (true, location.strip_prefix("https://")?)
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = split_port(authority, DEFAULT_MASTER_PORT).ok()?;
        Some(Self {
            is_https,
            host,
            port,
        })
    }
}

impl FromStr for HostAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (is_https, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(AddressError::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
            None => (false, text),
        };
        let (host, port) = split_port(rest.trim_end_matches('/'), DEFAULT_MASTER_PORT)?;
        Ok(Self {
            is_https,
            host,
            port,
        })
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl FromStr for ZooKeeperAddress {
    type Err = AddressError;

    /// Reads what follows `zk://`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (authority, path) = text.split_once('/').ok_or(AddressError::NoPath)?;
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return Err(AddressError::NoPath);
        }
        let (credentials, servers) = match authority.rsplit_once('@') {
            Some((credentials, servers)) => {
                let (user, password) = credentials.split_once(':').ok_or(AddressError::Host {
                    host: "***@".to_owned(),
                    reason: "user:password is expected before the `@`",
                })?;
                (Some((user.to_owned(), password.to_owned())), servers)
            }
            None => (None, authority),
        };
        let servers = servers
            .split(',')
            .map(|server| split_port(server.trim(), DEFAULT_ZOOKEEPER_PORT))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            servers,
            path: format!("/{path}"),
            credentials,
        })
    }
}

impl fmt::Display for ZooKeeperAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("zk://")?;
        if let Some((user, _)) = &self.credentials {
            write!(f, "{user}:***@")?;
        }
        let servers: Vec<String> = self
            .servers
            .iter()
            .map(|(host, port)| HostAddress::http(host, *port).authority())
            .collect();
        write!(f, "{}{}", servers.join(","), self.path)
    }
}

impl fmt::Debug for ZooKeeperAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZooKeeperAddress({self})")
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(text: &str, default_port: u16) -> Result<(String, u16), AddressError> {
    let wrong = |reason| AddressError::Host {
        host: text.to_owned(),
        reason,
    };
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(wrong("`]` is missing"))?;
        if !matches!(host.parse(), Ok(IpAddr::V6(_))) {
            return Err(wrong("an IPv6 address is expected within `[` and `]`"));
        }
        let port = match port {
            "" => None,
            port => Some(
                port.strip_prefix(':')
                    .ok_or(wrong("`:port` is expected after `]`"))?,
            ),
        };
        (host, port)
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(wrong("an IPv6 address is written within `[` and `]`"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(wrong("a host name or an IP address is expected"));
    }
    let port = match port {
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(wrong("the port is not a number from 1 to 65535"))?,
        None => default_port,
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MasterAddress {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<MasterAddress>().unwrap_err().to_string()
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(parse("local"), MasterAddress::Local);
        assert_eq!(parse("a:1,b").to_string(), "http://a:1,http://b:5050");
        assert_eq!(parse("https://m/").to_string(), "https://m:5050");
        assert_eq!(parse("[::1]:5051").to_string(), "http://[::1]:5051");
        assert_eq!(parse("zk://a,b:3/x/y").to_string(), "zk://a:2181,b:3/x/y");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(refusal("").contains("empty"));
        assert!(refusal("a:0").contains("1 to 65535"));
        assert!(refusal("a:99999").contains("1 to 65535"));
        assert!(refusal("::1").contains("within `[`"));
        assert!(refusal("ftp://a").contains("`ftp://`"));
        assert!(refusal("zk://a:2181").contains("needs a path"));
        assert!(refusal("two words").contains("host name"));
        assert!(refusal("file:///no/such/file").contains("/no/such/file"));
    }

    #[test]
    fn a_file_holds_an_address() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"zk://h/mesos\n").unwrap();
        let address = parse(&format!("file://{}", file.path().display()));
        assert_eq!(address.to_string(), "zk://h:2181/mesos");
    }

    #[test]
    fn passwords_are_not_shown() {
        let address = parse("zk://u:secret@h/mesos");
        assert!(!format!("{address} {address:?}").contains("secret"));
    }

    #[test]
    fn redirects_keep_the_scheme() {
        let master = HostAddress::http("a", 5050);
        let to = |location| master.redirected(location).map(|to| to.to_string());
        assert_eq!(
            to("//b:5051/api/v1/scheduler").as_deref(),
            Some("http://b:5051")
        );
        assert_eq!(to("https://b/").as_deref(), Some("https://b:5050"));
        assert_eq!(to("/elsewhere"), None);
    }
}
