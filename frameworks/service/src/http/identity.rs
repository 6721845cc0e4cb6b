//! Who a server says it is: a certificate and its key, in PEM.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, with which a server speaks TLS.
#[derive(Clone)]
pub struct Identity(Arc<rustls::ServerConfig>);

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot speak TLS as {path}: {reason}")]
#[non_exhaustive]
pub struct IdentityError {
    /// The file at fault.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Identity {
    /// Reads a PEM file of a certificate, and those between it and whom clients
    /// trust, and a PEM file of its key; both may be the same file.
    ///
    /// # Errors
    ///
    /// When either cannot be read, or the key is not the certificate's.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let wrong = |path: &Path, reason: String| IdentityError {
            path: path.display().to_string(),
            reason,
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| wrong(certificate, error.to_string()))?;
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(chain, private)
            })
            .map_err(|error| wrong(certificate, error.to_string()))?;
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
