//! Asks instances how they are.

use std::time::Duration;

use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_service::event_loop::Handle;

use crate::app::HealthProtocol;
use crate::effects::{Input, Probe};
use crate::machine::Marathon;
use crate::probes::{Outcome, Response};

/// How much of an answer is read at most.
const MAX_BODY: usize = 64 * 1024;

/// Asks instances how they are, each in a task of its own.
pub(super) struct Prober {
    logic: Handle<Marathon>,
    transport: Transport,
}

impl Prober {
    pub(super) fn new(logic: Handle<Marathon>) -> Self {
        let config = TransportConfig {
            connect_timeout: Duration::from_secs(3600),
            request_timeout: Duration::from_secs(3600),
            max_response_bytes: MAX_BODY,
            ..TransportConfig::default()
        };
        Self {
            logic,
            transport: Transport::new(config),
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
    match transport.get(&server, &path, http::HeaderMap::new()).await {
        Ok(response) => Outcome::Answer(Response {
            status: response.status.as_u16(),
            content_type: response
                .headers
                .get(http::header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: String::from_utf8_lossy(&response.body).into_owned(),
        }),
        Err(error) => Outcome::Failure(error.to_string()),
    }
}
