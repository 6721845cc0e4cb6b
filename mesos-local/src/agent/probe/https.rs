//! Asks a task by HTTPS how it is. Whoever answers is believed: a task's own
//! certificate is nobody's business, and Mesos asks `curl --insecure`.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// GETs a URI and returns the status of the answer.
pub(super) async fn ask(uri: Uri) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let host = uri.host().ok_or("the URI has no host")?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, HeaderValue::try_from(authority)?)
        .body(Empty::<Bytes>::new())?;
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    let tls = connector()
        .connect(ServerName::try_from(host)?, tcp)
        .await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    Ok(u32::from(response.status().as_u16()))
}

/// Made once: every probe of every task uses the same.
fn connector() -> TlsConnector {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the usual versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        Arc::new(config)
    };
    TlsConnector::from(Arc::clone(CONFIG.get_or_init(make)))
}

/// Takes every certificate, but wants its key to be used.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ServerConfig, ServerConnection, Stream};

    use super::*;

    /// Signed by nobody, and guards nothing.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUMlPRXs1bgcRuZ08LtvkuJkDVHS0wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyMTA0Mzk0MVoYDzIxMjYxMDI4MDQz
OTQxWjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASkZ++MtEODqRm6BcXIOFYXNb2EzKdLc0OMMJC91K3wExPpTBRJA2DV50o3hg8t
XBZaBlBh0gfgI/44d/HtPoW6o1MwUTAdBgNVHQ4EFgQUrfeDSv2Mg5ITnltUOTKb
mseIpy0wHwYDVR0jBBgwFoAUrfeDSv2Mg5ITnltUOTKbmseIpy0wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAVuUIpnG1ojKjnUpUSP/NMfI9iwgGy
FK33cp24dCQKTwIhAL32AnsxPjQV1oq5N/pNX3GL1UqN1nN3qm/YCpK/DV5c
-----END CERTIFICATE-----";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg157s18Rij2O04e8o
oA03BXPXfhFa5sWyNK/mhpUujZahRANCAASkZ++MtEODqRm6BcXIOFYXNb2EzKdL
c0OMMJC91K3wExPpTBRJA2DV50o3hg8tXBZaBlBh0gfgI/44d/HtPoW6
-----END PRIVATE KEY-----";

    #[tokio::test]
    async fn a_certificate_that_nobody_signed_is_good_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || answer_once(&listener));
        let uri = format!("https://127.0.0.1:{port}/health").parse().unwrap();
        assert_eq!(ask(uri).await.unwrap(), 204);
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /health HTTP/1.1\r\n")
        );
    }

    fn answer_once(listener: &TcpListener) -> String {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        String::from_utf8(request).unwrap()
    }
}
