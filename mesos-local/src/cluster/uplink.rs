//! The agent's side of a link to a master in another process, and what keeps an
//! agent with whoever leads. The master's side is `links` and `link_api`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mesos_sdk::address::HostAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::recordio::{self, Decoder};
use mesos_sdk::transport::{BodyStream, Transport};
use tokio::sync::{Notify, mpsc, watch};

use super::election::Standing;
use super::network::{Arrival, Partition, ToAgentEnd, Weather, link};
use crate::agent::{AgentHandle, MasterLink};
use crate::link_api::{LINK, OWN_VERSION, PATH, VERSION};
use crate::messages::FromAgent;

/// How long after a link broke the next one is laid.
const RETRY: Duration = Duration::from_millis(100);
/// How many messages one request carries at most.
const BATCH: usize = 256;

/// How agents reach masters of other processes.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) transport: Transport,
    pub(super) credentials: Option<Credentials>,
    /// A master that says nothing for so long, not even a ping, is gone.
    pub(super) silence: Duration,
}

/// Keeps one agent linked with the leading master, whichever process it is in.
pub(super) struct Follower {
    pub(super) agent: AgentHandle,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) wire: Wire,
    pub(super) weather: Arc<Weather>,
    pub(super) partition: Partition,
    /// Asks for a new link instead of the one there is.
    pub(super) relay: Arc<Notify>,
}

impl Follower {
    /// Follows until the election is over.
    pub(super) async fn run(mut self) {
        loop {
            let leads = self
                .standing
                .wait_for(|standing| standing.leader().is_some());
            let Ok(standing) = leads.await.map(|standing| standing.clone()) else {
                return;
            };
            let Some(leader) = standing.leader() else {
                continue;
            };
            let is_other =
                |standing: &Standing| standing.leader().is_some_and(|place| place != leader);
            let another = async {
                // The guard is not to be held while anything waits.
                self.standing.wait_for(is_other).await.map(drop)
            };
            let linked = uplink(
                &self.wire,
                &leader.address,
                &self.agent,
                Arc::clone(&self.weather),
                self.partition.clone(),
            );
            tokio::select! {
                reason = linked => {
                    tracing::debug!(master = %leader.address, reason, "the link is over");
                    tokio::time::sleep(RETRY).await;
                }
                _ = another => {}
                () = self.relay.notified() => {}
            }
        }
    }
}

/// Links an agent with a master until the link breaks; says why it did.
async fn uplink(
    wire: &Wire,
    master: &HostAddress,
    agent: &AgentHandle,
    weather: Arc<Weather>,
    partition: Partition,
) -> String {
    let opened = wire
        .transport
        .open_stream(master, PATH, wire.headers(None), Bytes::new());
    let response = match opened.await {
        Ok(response) => response,
        Err(error) => return error.to_string(),
    };
    let name = response.headers.get(LINK).cloned();
    let (StatusCode::OK, Some(name)) = (response.status, name) else {
        return format!("the master answers {}", response.status);
    };
    let (outgoing, messages) = mpsc::unbounded_channel();
    let (to_agent, end) = link(weather, partition, move |arrival| match arrival {
        Arrival::Message(message) => outgoing.send(message).is_ok(),
        Arrival::Closed => false,
    });
    agent.connect(MasterLink {
        to_master: end.to_master,
        from_master: end.from_master,
    });
    tokio::select! {
        reason = receive(response.body, &to_agent, wire.silence) => reason,
        reason = send(wire, master, &name, messages) => reason,
    }
}

/// Passes on what the master says.
async fn receive(mut body: BodyStream, to_agent: &ToAgentEnd, silence: Duration) -> String {
    let mut decoder = Decoder::default();
    loop {
        match tokio::time::timeout(silence, body.chunk()).await {
            Ok(Some(Ok(chunk))) => decoder.push(chunk),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(None) => return "the master has ended it".to_owned(),
            Err(_) => return format!("the master was silent for {silence:?}"),
        }
        loop {
            match decoder.next_record() {
                Ok(None) => break,
                Ok(Some(record)) => match serde_json::from_slice(&record) {
                    Ok(message) => to_agent.send(message),
                    Err(error) => return format!("no message of a master: {error}"),
                },
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// Carries the agent's messages, each after the one before has arrived.
async fn send(
    wire: &Wire,
    master: &HostAddress,
    name: &HeaderValue,
    mut messages: mpsc::UnboundedReceiver<FromAgent>,
) -> String {
    let mut batch = Vec::new();
    loop {
        if messages.recv_many(&mut batch, BATCH).await == 0 {
            return "the agent has ended it".to_owned();
        }
        let mut body = BytesMut::new();
        for message in batch.drain(..) {
            let text = serde_json::to_vec(&message).expect("messages can be written");
            body.extend_from_slice(&recordio::encode(&text));
        }
        let headers = wire.headers(Some(name));
        let sent = wire.transport.post(master, PATH, headers, body.freeze());
        match sent.await {
            Ok(response) if response.status == StatusCode::ACCEPTED => {}
            Ok(response) => return format!("the master answers {}", response.status),
            Err(error) => return error.to_string(),
        }
    }
}

impl Wire {
    fn headers(&self, link: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(VERSION, OWN_VERSION);
        if let Some(link) = link {
            headers.insert(LINK, link.clone());
        }
        if let Some(credentials) = &self.credentials {
            headers.insert(header::AUTHORIZATION, credentials.authorization());
        }
        headers
    }
}
