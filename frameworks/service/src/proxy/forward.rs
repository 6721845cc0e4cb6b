//! One request to the leader, and its answer as it comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{LeaderProxyConfig, without_hops};
use crate::http::{Body, Request, Response};

/// Why the leader has not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// There is no connection.
    #[error("cannot connect to the leader {leader}: {reason}")]
    Connect {
        /// Who leads.
        leader: String,
        /// Why.
        reason: String,
    },
    /// The connection broke.
    #[error("the leader {leader} did not answer: {reason}")]
    Broken {
        /// Who leads.
        leader: String,
        /// Why.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("the leader {leader} did not answer within {limit:?}")]
    TimedOut {
        /// Who leads.
        leader: String,
        /// How long was waited.
        limit: Duration,
    },
}

/// How the leader's certificate is looked at.
#[derive(Clone)]
pub struct LeaderTls(Arc<rustls::ClientConfig>);

impl std::fmt::Debug for LeaderTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderTls").finish_non_exhaustive()
    }
}

impl LeaderTls {
    /// Trusts the certificates in a PEM file, or without one those that the
    /// system trusts. The leader's certificate has to name its host, unless that
    /// is not to count.
    ///
    /// # Errors
    ///
    /// When the certificates cannot be read.
    pub fn new(ca_file: Option<&PathBuf>, ignores_host_name: bool) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(path) => {
                let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
                let certificates: Vec<_> = read.map_err(std::io::Error::other)?;
                for certificate in certificates {
                    roots.add(certificate).map_err(std::io::Error::other)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(std::io::Error::other)?;
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?;
        let config = if ignores_host_name {
            let verifier = Arc::new(AnyHostName(verifier));
            config
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth()
        } else {
            config.with_webpki_verifier(verifier).with_no_client_auth()
        };
        Ok(Self(Arc::new(config)))
    }
}

/// Trusts whom the verifier trusts, whatever its certificate calls it.
#[derive(Debug)]
struct AnyHostName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHostName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last, when the chain is known to be good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

pub(super) struct Forwarder {
    tls: Option<TlsConnector>,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Forwarder {
    pub(super) fn new(config: &LeaderProxyConfig) -> Self {
        let tls = config.tls.as_ref();
        Self {
            tls: tls.map(|tls| TlsConnector::from(Arc::clone(&tls.0))),
            connect_timeout: config.connect_timeout,
            read_timeout: config.read_timeout,
        }
    }

    pub(super) async fn forward(
        &self,
        request: Request,
        leader: &str,
    ) -> Result<Response, ForwardError> {
        let failed = |reason: String| ForwardError::Connect {
            leader: leader.to_owned(),
            reason,
        };
        let opening = tokio::time::timeout(self.connect_timeout, self.open(request, leader));
        let (mut sender, message) = match opening.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => {
                return Err(failed(format!(
                    "it took more than {:?}",
                    self.connect_timeout
                )));
            }
        };
        let answering = tokio::time::timeout(self.read_timeout, sender.send_request(message));
        let answer = match answering.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err(ForwardError::Broken {
                    leader: leader.to_owned(),
                    reason: error.to_string(),
                });
            }
            Err(_) => {
                return Err(ForwardError::TimedOut {
                    leader: leader.to_owned(),
                    limit: self.read_timeout,
                });
            }
        };
        let (mut parts, body) = answer.into_parts();
        without_hops(&mut parts.headers);
        let limit = self.read_timeout;
        let pieces = futures::stream::unfold(body, move |mut body| async move {
            loop {
                let frame = match tokio::time::timeout(limit, body.frame()).await {
                    Ok(frame) => frame?.map_err(|_| ()),
                    Err(_) => Err(()),
                };
                match frame.map(hyper::body::Frame::into_data) {
                    Ok(Ok(data)) => return Some((Ok(data), body)),
                    Ok(Err(_)) => {} // trailers
                    Err(()) => return Some((Err(()), body)),
                }
            }
        });
        let mut response = Response::of(parts.status, Body::fallible_stream(pieces));
        response.headers = parts.headers;
        Ok(response)
    }

    async fn open(
        &self,
        request: Request,
        leader: &str,
    ) -> std::io::Result<(http1::SendRequest<Full<Bytes>>, hyper::Request<Full<Bytes>>)> {
        let mut target = request.path;
        if !request.query.as_str().is_empty() {
            target = format!("{target}?{}", request.query.as_str());
        }
        let mut message = hyper::Request::new(Full::new(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() = target.parse().map_err(std::io::Error::other)?;
        *message.headers_mut() = request.headers;
        let host = HeaderValue::try_from(leader).map_err(std::io::Error::other)?;
        message.headers_mut().insert(header::HOST, host);
        let stream = TcpStream::connect(leader).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok((shake(stream).await?, message));
        };
        let host = leader.rsplit_once(':').map_or(leader, |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        Ok((shake(tls.connect(name, stream).await?).await?, message))
    }
}

async fn shake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<http1::SendRequest<Full<Bytes>>> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(std::io::Error::other)?;
    // It ends with the answer's body, or with whoever reads it.
    tokio::spawn(connection);
    Ok(sender)
}
