//! What was broken in scenes, and what was waited for.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use bytes::Bytes;
use mesos_tests::fixture::PATIENCE;

use crate::player::{Player, headers};

impl Player<'_> {
    /// Does what an action without a request says.
    pub(crate) async fn fault(&mut self, what: &str) -> Result<(), String> {
        let cluster = &self.cluster;
        match what {
            "the agent is killed with SIGKILL"
            | "the agent gets SIGKILL"
            | "the agent gets SIGTERM" => cluster.crash_agent(0).await,
            "the executors and their tasks are killed with SIGKILL" => cluster.kill_agent(0).await,
            "the agent gets SIGUSR1 (shut down and unregister)" => cluster.stop_agent(0).await,
            "the agent starts again with the same work directory" => cluster.start_agent(0).await,
            "the master is killed with SIGKILL" => {
                cluster.kill_master().await;
                self.master_died = Some(Instant::now());
            }
            "the master starts again"
            | "the master starts again with the same work directory, no ZooKeeper" => {
                cluster.start_master().await;
            }
            "the agent has not registered again yet" => return self.is_not_back_yet().await,
            "the agent has registered again" | "the agent is registered again" => {
                return self.wait_for_agent().await;
            }
            "nothing is acknowledged" | "from here on the framework acknowledges nothing" => {
                self.acknowledges.send_replace(false);
            }
            "TASK_STARTING, then each later update once, is acknowledged"
            | "from here on the framework acknowledges again, also what it saw before" => {
                self.acknowledges.send_replace(true);
            }
            _ if what.starts_with("an agent with an empty work directory starts") => {
                cluster.replace_agent(0).await;
            }
            // Remarks on what comes next or was seen.
            _ => {}
        }
        Ok(())
    }

    /// Closes a stream, which the master has then noticed.
    pub(crate) async fn hang_up(&mut self, label: &str) -> Result<(), String> {
        let playing = self.streams.get_mut(label).ok_or("no such stream")?;
        playing.opened = None;
        let id = playing.framework_id.clone();
        let deadline = Instant::now() + PATIENCE;
        while id.is_some() && Instant::now() < deadline {
            let frameworks = self.ask(json!({"type": "GET_FRAMEWORKS"})).await?;
            let all = frameworks["get_frameworks"]["frameworks"].as_array();
            let is_there = |framework: &&Value| {
                let info = &framework["framework_info"];
                info["id"]["value"].as_str() == id.as_deref() && framework["connected"] == true
            };
            if !all
                .into_iter()
                .flatten()
                .any(|framework| is_there(&framework))
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if id.is_some() {
            return Err(format!("the master does not notice that {label} hangs up"));
        }
        Ok(())
    }

    /// An agent notices by its silence that a master is gone; when this test is
    /// late it may have.
    async fn is_not_back_yet(&self) -> Result<(), String> {
        let count = self.active_agents().await?;
        let elapsed = self.master_died.map(|died| died.elapsed());
        if count > 0 && elapsed < Some(self.scene.silence()) {
            return Err(format!("the agent is back after {elapsed:.1?}"));
        }
        Ok(())
    }

    async fn wait_for_agent(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.active_agents().await? == 0 {
            if Instant::now() > deadline {
                return Err("the agent does not come back".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn active_agents(&self) -> Result<usize, String> {
        let answer = self.ask(json!({"type": "GET_AGENTS"})).await?;
        let agents = answer["get_agents"]["agents"].as_array();
        let is_active = |agent: &&Value| agent["active"] == true;
        Ok(agents.into_iter().flatten().filter(is_active).count())
    }

    /// Asks the master something that the scene does not.
    async fn ask(&self, call: Value) -> Result<Value, String> {
        let json = "application/json";
        let headers = headers(&json!({"Content-Type": json, "Accept": json}));
        let body = Bytes::from(call.to_string());
        let response = self.transport.post(&self.master, "/api/v1", headers, body);
        let response = response.await.map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&response.body).unwrap_or_default())
    }
}
