//! A Marathon with a cluster of three agents, and who asks it.

use std::net::SocketAddr;
use std::time::Duration;

use mesos_service::run::Stop;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::Client;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Marathon with a cluster in this process; it ends with the test.
pub(crate) struct Server {
    running: JoinHandle<()>,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Server {
    pub(crate) async fn start(flags: &str) -> Self {
        let line = "--master local --http_port 0 --http_address 127.0.0.1 --hostname localhost";
        let line = format!("{line} {flags}");
        let line = line.split_whitespace().map(str::to_owned);
        let args = marathon::args::parse(line, []).unwrap().flags;
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let config = args.config(&user, 1, Stop::new()).await.unwrap();
        let address = config.plan.listeners.addresses()[0];
        let client = Client::new(address);
        let running = tokio::spawn(async {
            let ended = marathon::io::run(config).await;
            panic!("Marathon has ended: {ended:?}");
        });
        let server = Self {
            running,
            address,
            client,
        };
        let is_it = |body: &Value| body["leader"].is_string();
        server.until("/v2/leader", "there", is_it).await;
        server
    }

    /// Waits until an answer is as it should be.
    pub(crate) async fn until(
        &self,
        path: &str,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let waited = async {
            loop {
                let (_, body) = self.client.get(path).await;
                if is_it(&body) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waited).await {
            Ok(body) => body,
            Err(_) => panic!(
                "{path} does not come to be {what}: {:#}",
                self.client.get(path).await.1
            ),
        }
    }

    /// Waits until no deployment is left.
    pub(crate) async fn settle(&self) {
        let is_done = |deployments: &Value| *deployments == json!([]);
        self.until("/v2/deployments", "done", is_done).await;
    }

    /// The status, the head in lower case, and the body.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (u16, String, Value) {
        let body = body.to_string();
        let answer = self.client.exchange(method, path, "", Some(&body)).await;
        let (status, head, body) = answer.unwrap();
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        (status, head.to_lowercase(), body)
    }
}
