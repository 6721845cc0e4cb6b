//! The flags of every framework's HTTP side, and the servers that they ask for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use tokio::net::TcpListener;

use crate::http::{BasicCredentials, Handler, Identity, Server, ServerConfig};
use crate::proxy::{LeaderProxyConfig, LeaderTls};

/// Flags about HTTP; flatten them into a framework's.
#[derive(Debug, Clone, Args)]
#[command(rename_all = "snake_case")]
pub struct HttpFlags {
    /// The name under which other instances and clients reach this one; the
    /// machine's by default
    #[arg(long)]
    pub hostname: Option<String>,
    /// The address to listen on for HTTP; all by default
    #[arg(long)]
    pub http_address: Option<String>,
    /// The port to listen on for HTTP
    #[arg(long, default_value_t = 8080)]
    pub http_port: u16,
    /// Listen for HTTPS only
    #[arg(long, default_value_t = false, action = ArgAction::Set, hide_possible_values = true)]
    pub disable_http: bool,
    /// The address to listen on for HTTPS; all by default
    #[arg(long)]
    pub https_address: Option<String>,
    /// The port to listen on for HTTPS, where there is a certificate
    #[arg(long, default_value_t = 8443)]
    pub https_port: u16,
    /// A PEM file with the certificate, those above it, and the key
    #[arg(long)]
    pub ssl_keystore_path: Option<PathBuf>,
    /// Not needed for PEM files
    #[arg(long, hide = true)]
    pub ssl_keystore_password: Option<Secret>,
    /// user:password that clients have to show
    #[arg(long)]
    pub http_credentials: Option<Secret>,
    /// What clients show to users who are asked for the password
    #[arg(long, default_value = "Mesosphere")]
    pub http_realm: String,
    /// Compress large answers for clients that take it
    #[arg(long, default_value_t = true, action = ArgAction::Set, hide_possible_values = true)]
    pub http_compression: bool,
    /// Requests at once; more are answered 503
    #[arg(long)]
    pub http_max_concurrent_requests: Option<usize>,
    /// The origin from which pages of browsers may ask, or *
    #[arg(long)]
    pub access_control_allow_origin: Option<String>,
    /// Milliseconds that a follower takes at most to connect to the leader
    #[arg(long, default_value_t = 5000)]
    pub leader_proxy_connection_timeout: u64,
    /// Milliseconds that a follower waits at most for the leader's answer
    #[arg(long, default_value_t = 10_000)]
    pub leader_proxy_read_timeout: u64,
    /// Requests that a follower passes on at once
    #[arg(long, default_value_t = 64)]
    pub leader_proxy_max_open_connections: usize,
    /// Whether the leader's certificate may be of another host
    #[arg(long, default_value_t = false, action = ArgAction::Set, hide_possible_values = true)]
    pub leader_proxy_ssl_ignore_hostname: bool,
}

/// A value that is not shown.
#[derive(Clone)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// The value.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The HTTP side cannot be as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpFlagsError {
    /// A flag is no good.
    #[error("--{flag}: {reason}")]
    Flag {
        /// Which one.
        flag: &'static str,
        /// Why.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which one.
        address: String,
        /// Why.
        reason: String,
    },
}

/// Ports that are listened on, before anything is answered.
#[derive(Debug)]
pub struct Listeners {
    http: Option<TcpListener>,
    https: Option<(TcpListener, Identity)>,
    config: ServerConfig,
}

impl HttpFlags {
    /// Names in the environment that the originals' packages set besides, and the
    /// flags that they stand for.
    pub const ENVIRONMENT: &'static [(&'static str, &'static str)] = &[
        ("MESOSPHERE_KEYSTORE_PATH", "ssl_keystore_path"),
        ("MESOSPHERE_KEYSTORE_PASS", "ssl_keystore_password"),
        ("MESOSPHERE_HTTP_CREDENTIALS", "http_credentials"),
    ];

    /// Listens on what the flags say.
    ///
    /// # Errors
    ///
    /// When a flag is no good or a port is in use.
    pub async fn listen(&self) -> Result<Listeners, HttpFlagsError> {
        let config = self.server_config()?;
        let identity = match &self.ssl_keystore_path {
            Some(path) => Some(identity(path)?),
            None => None,
        };
        if self.disable_http && identity.is_none() {
            return Err(HttpFlagsError::Flag {
                flag: "disable_http",
                reason: "then a certificate is needed, with --ssl_keystore_path".to_owned(),
            });
        }
        let http = match self.disable_http {
            true => None,
            false => Some(listen(self.http_address.as_deref(), self.http_port).await?),
        };
        let https = match identity {
            Some(identity) => {
                let listener = listen(self.https_address.as_deref(), self.https_port).await?;
                Some((listener, identity))
            }
            None => None,
        };
        Ok(Listeners {
            http,
            https,
            config,
        })
    }

    fn server_config(&self) -> Result<ServerConfig, HttpFlagsError> {
        let mut config = ServerConfig {
            allow_origin: self.access_control_allow_origin.clone(),
            is_compressing: self.http_compression,
            ..ServerConfig::default()
        };
        config.limits.max_concurrent_requests = self.http_max_concurrent_requests;
        if let Some(credentials) = &self.http_credentials {
            let credentials = credentials.reveal().parse::<BasicCredentials>();
            let credentials = credentials.map_err(|error| HttpFlagsError::Flag {
                flag: "http_credentials",
                reason: error.to_string(),
            })?;
            config.credentials = Some(credentials.with_realm(&self.http_realm));
        }
        Ok(config)
    }

    /// How this instance answers for the leader. `product` is what stands in
    /// headers, such as `marathon`.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be read.
    pub fn leader_proxy(
        &self,
        product: &str,
        listeners: &Listeners,
    ) -> Result<LeaderProxyConfig, HttpFlagsError> {
        let hostname = match &self.hostname {
            Some(hostname) => hostname.clone(),
            None => machine(),
        };
        let port = listeners
            .http
            .as_ref()
            .or(listeners.https.as_ref().map(|(it, _)| it));
        let port = port.and_then(|listener| listener.local_addr().ok());
        let port = port.map_or(self.http_port, |address| address.port());
        let mut config = LeaderProxyConfig::new(product, &format!("{hostname}:{port}"));
        config.connect_timeout = Duration::from_millis(self.leader_proxy_connection_timeout);
        config.read_timeout = Duration::from_millis(self.leader_proxy_read_timeout);
        config.max_connections = self.leader_proxy_max_open_connections.max(1);
        if self.disable_http {
            let tls = LeaderTls::new(
                self.ssl_keystore_path.as_ref(),
                self.leader_proxy_ssl_ignore_hostname,
            );
            config.tls = Some(tls.map_err(|error| HttpFlagsError::Flag {
                flag: "ssl_keystore_path",
                reason: error.to_string(),
            })?);
        }
        Ok(config)
    }
}

impl Listeners {
    /// Where HTTP and HTTPS are listened on.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let https = self.https.as_ref().map(|(listener, _)| listener);
        let listeners = self.http.iter().chain(https);
        listeners.filter_map(|it| it.local_addr().ok()).collect()
    }

    /// Begins to answer.
    ///
    /// # Errors
    ///
    /// When a listener does not work.
    pub fn serve(self, handler: Arc<dyn Handler>) -> std::io::Result<Vec<Server>> {
        let mut servers = Vec::new();
        if let Some(listener) = self.http {
            let handler = Arc::clone(&handler);
            servers.push(Server::start(listener, None, self.config.clone(), handler)?);
        }
        if let Some((listener, identity)) = self.https {
            servers.push(Server::start(
                listener,
                Some(&identity),
                self.config,
                handler,
            )?);
        }
        Ok(servers)
    }
}

async fn listen(address: Option<&str>, port: u16) -> Result<TcpListener, HttpFlagsError> {
    let bound = match address {
        Some(address) => TcpListener::bind((address.trim_matches(['[', ']']), port)).await,
        // Both families, or what there is.
        None => match TcpListener::bind(("::", port)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
        },
    };
    bound.map_err(|error| HttpFlagsError::Listen {
        address: format!("{}:{port}", address.unwrap_or("*")),
        reason: error.to_string(),
    })
}

fn identity(path: &Path) -> Result<Identity, HttpFlagsError> {
    let wrong = |reason: String| HttpFlagsError::Flag {
        flag: "ssl_keystore_path",
        reason,
    };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    if !bytes.windows(10).any(|ten| ten == b"-----BEGIN") {
        let text = "it is no PEM file; make one of a Java keystore or PKCS#12 file, with \
                    keytool -importkeystore -deststoretype pkcs12 and openssl pkcs12 -nodes";
        return Err(wrong(text.to_owned()));
    }
    Identity::read(path, path).map_err(|error| wrong(error.to_string()))
}

/// The machine's name.
fn machine() -> String {
    let name = nix::unistd::gethostname().ok();
    let name = name.and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::flags::{FlagRules, parse};
    use crate::http::{Response, Router};

    #[derive(Debug, Parser)]
    #[command(name = "test", rename_all = "snake_case")]
    struct Flags {
        #[command(flatten)]
        http: HttpFlags,
    }

    fn flags(line: &str) -> HttpFlags {
        let arguments = line.split_whitespace().map(str::to_owned);
        let parsed = parse::<Flags>(&FlagRules::default(), arguments, []);
        parsed.unwrap().flags.http
    }

    /// A file with a certificate and its key.
    fn keystore() -> tempfile::NamedTempFile {
        let directory = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../mesos-local/tests/security/"
        );
        let read = |name: &str| std::fs::read(format!("{directory}{name}")).unwrap();
        let both = [read("certificate.pem"), read("key.pem")].concat();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), both).unwrap();
        file
    }

    #[tokio::test]
    async fn listens_on_what_is_asked_for() {
        let keystore = keystore();
        let path = keystore.path().display();
        let flags = flags(&format!(
            "--http_port 0 --http-address 127.0.0.1 --https_port=0 --https_address 127.0.0.1 \
             --ssl_keystore_path {path} --http_credentials alice:wonder --hostname here"
        ));
        assert!(!format!("{flags:?}").contains("wonder"));
        let listeners = flags.listen().await.unwrap();
        let addresses = listeners.addresses();
        assert_eq!(addresses.len(), 2);
        let proxy = flags.leader_proxy("test", &listeners).unwrap();
        assert_eq!(proxy.name, format!("here:{}", addresses[0].port()));
        assert!(proxy.tls.is_none());
        let router = Router::new(()).get("/ping", |(), _| async {
            Response::text(http::StatusCode::OK, "pong")
        });
        let servers = listeners.serve(Arc::new(router)).unwrap();
        assert_eq!(servers.len(), 2);
        let mut stream = tokio::net::TcpStream::connect(addresses[0]).await.unwrap();
        let text = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(text).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("realm=\"Mesosphere\""), "{answer}");
    }

    #[tokio::test]
    async fn what_cannot_be_is_said_with_the_flag() {
        let said = |flags: HttpFlags| async move { flags.listen().await.unwrap_err().to_string() };
        let text = said(flags("--disable_http")).await;
        assert!(text.starts_with("--disable_http: "), "{text}");
        let text = said(flags("--http_credentials wonder")).await;
        assert!(!text.contains("wonder"), "{text}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\xfe\xed\xfe\xed keystore").unwrap();
        let line = format!("--ssl_keystore_path {}", file.path().display());
        let text = said(flags(&line)).await;
        assert!(text.contains("no PEM file"), "{text}");
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let line = format!("--http_address 127.0.0.1 --http_port {port}");
        let text = said(flags(&line)).await;
        assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    }

    #[tokio::test]
    async fn without_http_the_leader_is_asked_by_https() {
        let keystore = keystore();
        let flags = flags(&format!(
            "--disable_http --https_port 0 --https_address 127.0.0.1 --ssl_keystore_path {}",
            keystore.path().display()
        ));
        let listeners = flags.listen().await.unwrap();
        assert_eq!(listeners.addresses().len(), 1);
        let proxy = flags.leader_proxy("test", &listeners).unwrap();
        assert!(proxy.tls.is_some());
        let port = listeners.addresses()[0].port();
        assert!(proxy.name.ends_with(&format!(":{port}")), "{}", proxy.name);
    }
}
