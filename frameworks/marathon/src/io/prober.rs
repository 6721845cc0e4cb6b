//! Asks instances how they are.

use std::time::Duration;

use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{BodyStream, TlsConfig, Transport, TransportConfig};
use mesos_service::event_loop::Handle;

use crate::app::HealthProtocol;
use crate::effects::{Input, Probe, ProbeKind};
use crate::machine::Marathon;
use crate::probes::{Outcome, Response};

/// How much of an answer is read; how it begins is enough.
const MAX_BODY: usize = 64 * 1024;

/// Asks instances how they are, each in a task of its own.
pub(super) struct Prober {
    logic: Handle<Marathon>,
    transport: Transport,
}

impl Prober {
    pub(super) fn new(logic: Handle<Marathon>) -> Self {
        Self {
            logic,
            transport: transport(),
        }
    }

    /// Begins to ask. The check's own timeout is the only one.
    pub(super) fn probe(&self, probe: Probe) {
        let (logic, transport) = (self.logic.clone(), self.transport.clone());
        tokio::spawn(async move {
            let asked = tokio::time::timeout(probe.timeout, ask(&transport, &probe)).await;
            let outcome = asked.unwrap_or_else(|_| {
                let seconds = probe.timeout.as_secs();
                Outcome::Failure(format!("no answer within {seconds} seconds"))
            });
            // Nobody wants to know it any more once the logic has ended.
            let _ = logic.tell(Input::Probed(probe, outcome)).await;
        });
    }
}

/// The timeouts are those of the checks.
fn transport() -> Transport {
    Transport::new(TransportConfig {
        connect_timeout: Duration::from_secs(3600),
        request_timeout: Duration::from_secs(3600),
        tls: TlsConfig {
            // Whether it answers is asked, and nothing is told.
            trusts_anybody: true,
            ..TlsConfig::default()
        },
        ..TransportConfig::default()
    })
}

async fn ask(transport: &Transport, probe: &Probe) -> Outcome {
    let server = match probe.protocol {
        HealthProtocol::Tcp => {
            let connected = tokio::net::TcpStream::connect((probe.host.as_str(), probe.port)).await;
            return match connected {
                Ok(_) => Outcome::Connected,
                Err(error) => Outcome::Failure(error.to_string()),
            };
        }
        HealthProtocol::Https => HostAddress {
            is_https: true,
            ..HostAddress::http(probe.host.clone(), probe.port)
        },
        _ => HostAddress::http(probe.host.clone(), probe.port),
    };
    let path = if probe.path.starts_with('/') {
        probe.path.clone()
    } else {
        format!("/{}", probe.path)
    };
    // A connection of its own: an instance may have gone since the last one.
    let answer = transport.open_download(&server, &path, http::HeaderMap::new());
    match answer.await {
        Ok(answer) => Outcome::Answer(Response {
            status: answer.status.as_u16(),
            content_type: answer
                .headers
                .get(http::header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: match probe.kind {
                ProbeKind::Readiness => beginning(answer.body).await,
                ProbeKind::Health(_) => String::new(),
            },
        }),
        Err(error) => Outcome::Failure(error.to_string()),
    }
}

/// How a body begins, as far as it comes.
async fn beginning(mut body: BodyStream) -> String {
    let mut read = Vec::new();
    while let Some(Ok(chunk)) = body.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() >= MAX_BODY {
            read.truncate(MAX_BODY);
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use http::StatusCode;
    use mesos_service::http::{Identity, Request, Response, Router, Server, ServerConfig};

    use super::*;
    use crate::path_id::PathId;

    /// A server whose certificate nobody has signed but itself.
    async fn server(is_https: bool) -> Server {
        let directory = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../mesos-local/tests/security"
        );
        let file = |name| Path::new(directory).join(name);
        let identity = Identity::read(&file("certificate.pem"), &file("key.pem")).unwrap();
        let large = |(), request: Request| async move {
            let status = request.query.get("status").unwrap_or("200").parse::<u16>();
            Response::text(
                StatusCode::from_u16(status.unwrap()).unwrap(),
                "x".repeat(1 << 20),
            )
        };
        let router = Router::new(()).get("/health", large);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let identity = is_https.then_some(&identity);
        let config = ServerConfig::default();
        Server::start(listener, identity, config, Arc::new(router)).unwrap()
    }

    fn probe(server: &Server, protocol: HealthProtocol, kind: ProbeKind) -> Probe {
        let app: PathId = "/web".parse().unwrap();
        Probe {
            instance: crate::instance::InstanceId::new(&app, uuid::Uuid::nil()),
            incarnation: 1,
            kind,
            protocol,
            host: "127.0.0.1".to_owned(),
            port: server.local_addr().port(),
            path: "health?status=201".to_owned(),
            timeout: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_has_signed_is_no_sickness() {
        let server = server(true).await;
        let probe = probe(&server, HealthProtocol::Https, ProbeKind::Health(0));
        let Outcome::Answer(answer) = ask(&transport(), &probe).await else {
            panic!("no answer");
        };
        assert_eq!(answer.status, 201);
    }

    #[tokio::test]
    async fn a_long_answer_is_an_answer() {
        let server = server(false).await;
        for (kind, length) in [(ProbeKind::Health(0), 0), (ProbeKind::Readiness, MAX_BODY)] {
            let probe = probe(&server, HealthProtocol::Http, kind);
            let Outcome::Answer(answer) = ask(&transport(), &probe).await else {
                panic!("no answer");
            };
            assert_eq!((answer.status, answer.body.len()), (201, length));
            assert_eq!(answer.content_type, "text/plain; charset=utf-8");
        }
        // Plain text where TLS is spoken is none.
        let probe = probe(&server, HealthProtocol::Https, ProbeKind::Health(0));
        let outcome = ask(&transport(), &probe).await;
        assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
    }
}
