//! Asks a task by HTTPS how it is. Whoever answers is believed: a task's own
//! certificate is nobody's business, and Mesos asks `curl --insecure`.

use std::net::IpAddr;
use std::sync::LazyLock;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Error, TlsConfig, Transport, TransportConfig};

/// Made once: every probe of every task uses the same.
static TRANSPORT: LazyLock<Transport> = LazyLock::new(|| {
    Transport::new(TransportConfig {
        tls: TlsConfig {
            trusts_anybody: true,
            ..TlsConfig::default()
        },
        ..TransportConfig::default()
    })
});

/// GETs a path and returns the status of the answer, on a connection of its own.
pub(super) async fn ask(host: IpAddr, port: u16, path: &str) -> Result<u32, Error> {
    let server = HostAddress {
        is_https: true,
        ..HostAddress::http(host.to_string(), port)
    };
    let path = if path.is_empty() { "/" } else { path };
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("*/*"))]);
    let answer = TRANSPORT.open_download(&server, path, headers).await?;
    Ok(u32::from(answer.status.as_u16()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Arc;

    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
        let asked = ask(Ipv4Addr::LOCALHOST.into(), port, "/health").await;
        assert_eq!(asked.unwrap(), 204);
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
