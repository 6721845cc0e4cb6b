//! The executors of recorded scenes, as programs: `resilient` keeps to the rules
//! and subscribes again when its agent was away; `mute` does not.

use mesos_sdk::executor::{Executor, ExecutorDriver, ExecutorEnvironment, Handle, Status};
use mesos_sdk::recordio::Decoder;
use mesos_sdk::scheduler::BoxError;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::{async_trait, v1};
use serde_json::{Value, json};

/// Says of its task what it is told to say, and once on its own: when its agent
/// goes away.
#[derive(Default)]
struct Resilient {
    task: Option<v1::TaskId>,
    was_away: bool,
}

impl Resilient {
    fn say(&self, handle: &Handle, message: &str) {
        if let Some(task) = &self.task {
            handle.update(Status::running(task).message(message));
        }
    }
}

#[async_trait]
impl Executor for Resilient {
    async fn launch(&mut self, handle: &Handle, task: v1::TaskInfo) -> Result<(), BoxError> {
        self.task = Some(task.task_id);
        self.say(handle, "started");
        Ok(())
    }

    async fn message(&mut self, handle: &Handle, data: bytes::Bytes) -> Result<(), BoxError> {
        self.say(handle, std::str::from_utf8(&data)?);
        Ok(())
    }

    async fn disconnected(
        &mut self,
        handle: &Handle,
        _: &mesos_sdk::executor::Disconnect,
    ) -> Result<(), BoxError> {
        if !std::mem::replace(&mut self.was_away, true) {
            self.say(handle, "said while the agent was away");
        }
        Ok(())
    }

    async fn kill(
        &mut self,
        handle: &Handle,
        task_id: v1::TaskId,
        _: Option<v1::KillPolicy>,
    ) -> Result<(), BoxError> {
        handle.update(Status::killed(&task_id).message("as asked"));
        Ok(())
    }
}

/// Subscribes once, says of each task that it runs, and stays when nobody
/// speaks to it any more.
async fn mute() -> Result<(), BoxError> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let agent = variable("MESOS_AGENT_ENDPOINT").parse()?;
    let call = |more: Value| {
        let mut call = json!({
            "executor_id": {"value": variable("MESOS_EXECUTOR_ID")},
            "framework_id": {"value": variable("MESOS_FRAMEWORK_ID")},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            call[key] = value.clone();
        }
        bytes::Bytes::from(call.to_string())
    };
    let mut headers = http::HeaderMap::new();
    for name in [http::header::CONTENT_TYPE, http::header::ACCEPT] {
        headers.insert(name, http::HeaderValue::from_static("application/json"));
    }
    let transport = Transport::new(TransportConfig::default());
    let subscribe = call(json!({"type": "SUBSCRIBE", "subscribe": {}}));
    let path = "/api/v1/executor";
    let mut stream = transport
        .open_stream(&agent, path, headers.clone(), subscribe)
        .await?;
    let mut decoder = Decoder::default();
    while let Some(Ok(chunk)) = stream.body.chunk().await {
        decoder.push(chunk);
        while let Some(record) = decoder.next_record()? {
            let event: Value = serde_json::from_slice(&record)?;
            if event["type"] != "LAUNCH" {
                continue;
            }
            let status = json!({
                "task_id": event["launch"]["task"]["task_id"], "state": "TASK_RUNNING",
                "source": "SOURCE_EXECUTOR", "message": "started", "uuid": "AAAAAAAAAAAAAAAAAAAAAQ==",
            });
            let update = call(json!({"type": "UPDATE", "update": {"status": status}}));
            transport
                .post(&agent, path, headers.clone(), update)
                .await?;
        }
    }
    std::future::pending().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    if std::env::args().nth(1).as_deref() == Some("mute") {
        return mute().await;
    }
    let environment = ExecutorEnvironment::take()?;
    Ok(ExecutorDriver::new(environment)
        .run(Resilient::default())
        .await?)
}
