//! Opens connections: TCP, and TLS on top where the address says so; or a Unix
//! domain socket.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::body::RequestBody;
use super::{Error, TransportConfig};
use crate::address::HostAddress;

/// Whom `https` connections trust.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// A file of PEM certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate is taken for good: what is said is not read by
    /// others, but nothing proves who is spoken to. For asking whether a server
    /// answers at all, never with credentials.
    pub trusts_anybody: bool,
}

pub(super) struct Connector {
    timeout: Duration,
    tls: TlsConfig,
    tls_connector: OnceLock<TlsConnector>,
    unix_socket: Option<PathBuf>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .field("unix_socket", &self.unix_socket)
            .finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(config: &TransportConfig) -> Self {
        Self {
            timeout: config.connect_timeout,
            tls: config.tls.clone(),
            tls_connector: OnceLock::new(),
            unix_socket: config.unix_socket.clone(),
        }
    }

    pub(super) async fn connect(
        &self,
        server: &HostAddress,
    ) -> Result<SendRequest<RequestBody>, Error> {
        match tokio::time::timeout(self.timeout, self.connect_untimed(server)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Connect {
                server: server.authority(),
                reason: format!("no connection within {:?}", self.timeout),
            }),
        }
    }

    async fn connect_untimed(
        &self,
        server: &HostAddress,
    ) -> Result<SendRequest<RequestBody>, Error> {
        let failed = |reason: String| Error::Connect {
            server: server.authority(),
            reason,
        };
        if let Some(path) = &self.unix_socket {
            let socket = UnixStream::connect(path)
                .await
                .map_err(|error| failed(format!("{}: {}", path.display(), reason(&error))))?;
            return handshake(socket).await.map_err(failed);
        }
        let tcp = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|error| failed(reason(&error)))?;
        // Calls are small and answered at once; waiting to fill packets hurts.
        tcp.set_nodelay(true)
            .map_err(|error| failed(reason(&error)))?;
        if !server.is_https {
            return handshake(tcp).await.map_err(failed);
        }
        let name =
            ServerName::try_from(server.host.clone()).map_err(|error| failed(error.to_string()))?;
        let tls = self.tls_connector()?;
        let stream = tls
            .connect(name, tcp)
            .await
            .map_err(|error| failed(reason(&error)))?;
        handshake(stream).await.map_err(failed)
    }

    fn tls_connector(&self) -> Result<&TlsConnector, Error> {
        if let Some(connector) = self.tls_connector.get() {
            return Ok(connector);
        }
        let connector = tls_connector(&self.tls).map_err(|reason| Error::Tls { reason })?;
        Ok(self.tls_connector.get_or_init(|| connector))
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<RequestBody>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| reason(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %reason(&error), "connection ended");
        }
    });
    Ok(sender)
}

fn tls_connector(config: &TlsConfig) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if config.trusts_anybody {
        let verifier = Arc::new(Anybody(algorithms));
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    } else {
        builder.with_root_certificates(roots(config)?)
    };
    let config = builder.with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(config: &TlsConfig) -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = &config.ca_file {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err("there are no trusted certificates on this system".to_owned());
    }
    Ok(roots)
}

/// Takes every certificate, of which the server only has to have the key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The innermost reason of an error, which is the one that tells something.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_lowercase(),
        None => text,
    }
}
