//! The master's side of links to agents in other processes: what arrives for
//! each over HTTP, and the stream that leaves. The agents' side is `uplink`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use mesos_sdk::recordio;
use tokio::sync::mpsc;

use super::master_shell::MasterHandle;
use super::network::{Partition, Weather, link};
use crate::http::stream::EventSender;
use crate::messages::FromAgent;

/// The open links, by the names that agents give with their messages.
#[derive(Debug, Default)]
pub(super) struct RemoteLinks(Mutex<BTreeMap<String, mpsc::UnboundedSender<FromAgent>>>);

impl RemoteLinks {
    fn open(&self) -> MutexGuard<'_, BTreeMap<String, mpsc::UnboundedSender<FromAgent>>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the links")
    }
}

impl MasterHandle {
    /// Lays a link to an agent in another process. It lasts until
    /// [`cut_remote`](Self::cut_remote), or until the master drops it.
    pub(crate) fn lay_remote(&self, name: &str, events: EventSender) {
        let link_id = self.next_link();
        let master = self.clone();
        let deliver = move |arrival| master.arrive(link_id, arrival);
        let (to_agent, mut end) = link(Arc::new(Weather::default()), Partition::default(), deliver);
        self.remote_links()
            .open()
            .insert(name.to_owned(), end.to_master);
        self.attach(link_id, to_agent);
        tokio::spawn(async move {
            while let Some(message) = end.from_master.recv().await {
                let text = serde_json::to_vec(&message).expect("messages can be written");
                if events.send(recordio::encode(&text)).is_err() {
                    return;
                }
            }
        });
    }

    /// Takes messages from an agent in another process. `false` when there is
    /// no such link, or no more.
    pub(crate) fn take_remote(&self, name: &str, messages: Vec<FromAgent>) -> bool {
        let links = self.remote_links().open();
        let Some(link) = links.get(name) else {
            return false;
        };
        messages
            .into_iter()
            .all(|message| link.send(message).is_ok())
    }

    /// The agent's stream has ended.
    pub(crate) fn cut_remote(&self, name: &str) {
        self.remote_links().open().remove(name);
    }
}
