//! The driver, between a scripted agent and an executor that tells the test
//! what it sees.

use async_trait::async_trait;
use bytes::Bytes;
use mesos_sdk::{
    executor::{Disconnect, Error, Executor, ExecutorDriver, ExecutorEnvironment, Handle, Status},
    ids,
    scheduler::BoxError,
    v1::{
        self, TaskState,
        executor::{call::Type, event},
    },
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::agent::{Agent, event, soon, task_info};

#[derive(Debug, PartialEq)]
enum Seen {
    Launch(String),
    Group(Vec<String>),
    Kill(String),
    Message(Bytes),
    Refused(String),
    Disconnected,
    Shutdown,
    Error(String),
}

/// Runs what it is told to, and has it killed when it shuts down.
struct Recorder {
    seen: mpsc::UnboundedSender<Seen>,
    handles: mpsc::UnboundedSender<Handle>,
    running: Vec<v1::TaskId>,
    never_shuts_down: bool,
}

#[async_trait]
impl Executor for Recorder {
    async fn subscribed(&mut self, handle: &Handle, _: &event::Subscribed) -> Result<(), BoxError> {
        Ok(self.handles.send(handle.clone())?)
    }

    async fn disconnected(&mut self, _: &Handle, _: &Disconnect) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Disconnected)?)
    }

    async fn launch(&mut self, handle: &Handle, task: v1::TaskInfo) -> Result<(), BoxError> {
        handle.running(&task.task_id);
        self.seen.send(Seen::Launch(task.task_id.value.clone()))?;
        self.running.push(task.task_id);
        Ok(())
    }

    async fn launch_group(
        &mut self,
        handle: &Handle,
        tasks: Vec<v1::TaskInfo>,
    ) -> Result<(), BoxError> {
        let ids = tasks.into_iter().map(|task| task.task_id);
        let ids: Vec<_> = ids.inspect(|id| handle.starting(id)).collect();
        let names = ids.into_iter().map(|id| id.value).collect();
        Ok(self.seen.send(Seen::Group(names))?)
    }

    async fn kill(
        &mut self,
        handle: &Handle,
        task_id: v1::TaskId,
        _: Option<v1::KillPolicy>,
    ) -> Result<(), BoxError> {
        handle.update(Status::killed(&task_id).message("as asked"));
        self.running.retain(|id| *id != task_id);
        Ok(self.seen.send(Seen::Kill(task_id.value))?)
    }

    async fn update_refused(
        &mut self,
        _: &Handle,
        _: v1::TaskStatus,
        reason: String,
    ) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Refused(reason))?)
    }

    async fn message(&mut self, handle: &Handle, data: Bytes) -> Result<(), BoxError> {
        if &data[..] == b"fail" {
            return Err("cannot read this".into());
        }
        handle.message(data.clone()).await?;
        Ok(self.seen.send(Seen::Message(data))?)
    }

    async fn shutdown(&mut self, handle: &Handle) -> Result<(), BoxError> {
        self.seen.send(Seen::Shutdown)?;
        if self.never_shuts_down {
            std::future::pending::<()>().await;
        }
        for task_id in self.running.drain(..) {
            handle.killed(&task_id);
        }
        Ok(())
    }

    async fn error(&mut self, _: &Handle, message: String) -> Result<(), BoxError> {
        Ok(self.seen.send(Seen::Error(message))?)
    }
}

struct Running {
    run: JoinHandle<Result<(), Error>>,
    seen: mpsc::UnboundedReceiver<Seen>,
    handles: mpsc::UnboundedReceiver<Handle>,
}

fn start(environment: ExecutorEnvironment) -> Running {
    start_with(environment, false)
}

fn start_with(environment: ExecutorEnvironment, never_shuts_down: bool) -> Running {
    let (seen_by, seen) = mpsc::unbounded_channel();
    let (to_handles, handles) = mpsc::unbounded_channel();
    let recorder = Recorder {
        seen: seen_by,
        handles: to_handles,
        running: Vec::new(),
        never_shuts_down,
    };
    let run = tokio::spawn(ExecutorDriver::new(environment).run(recorder));
    Running { run, seen, handles }
}

impl Running {
    async fn handle(&mut self) -> Handle {
        soon("a subscription", self.handles.recv()).await.unwrap()
    }

    async fn sees(&mut self) -> Seen {
        soon("an event", self.seen.recv()).await.unwrap()
    }

    async fn ends(self) -> Result<(), Error> {
        soon("the end of the run", self.run).await.unwrap()
    }
}

const CHECKPOINT: (&str, &str) = ("MESOS_CHECKPOINT", "1");

#[tokio::test]
async fn updates_are_complete_and_in_order() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[]));
    let subscribing = agent.subscribing().await;
    assert_eq!(subscribing.path, "/slave(1)/api/v1/executor");
    assert_eq!(subscribing.headers["Accept"], "application/x-protobuf");
    assert!(!subscribing.headers.contains_key("Authorization"));
    let mut stream = subscribing.accept().await;
    let handle = executor.handle().await;
    stream.launch("t-1").await;
    assert_eq!(executor.sees().await, Seen::Launch("t-1".into()));
    let task_id = ids::task_id("t-1");
    for n in 0..3 {
        handle.update(Status::running(&task_id).message(n.to_string()));
    }
    handle.finished(&task_id);

    let first = agent.update().await;
    assert_eq!(first.source(), v1::task_status::Source::Executor);
    assert_eq!(first.executor_id.as_ref().unwrap().value, "E-1");
    assert_eq!(first.agent_id.as_ref().unwrap().value, "A-1");
    assert_eq!(first.uuid.as_ref().unwrap().len(), 16);
    assert!(first.timestamp.unwrap() > 1.0);
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(agent.update().await.message().to_owned());
    }
    assert_eq!(texts, ["0", "1", "2"]);
    assert_eq!(agent.update().await.state(), TaskState::TaskFinished);
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_with_the_next_subscription() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[CHECKPOINT]));
    let mut stream = agent.subscribe().await;
    let handle = executor.handle().await;
    stream.launch("t-1").await;
    stream.launch("t-2").await;
    let (one, two) = (agent.update().await, agent.update().await);
    stream.acknowledge(&one).await;
    drop(stream);
    for _ in 0..2 {
        executor.sees().await;
    }
    assert_eq!(executor.sees().await, Seen::Disconnected);
    // Said while nobody listens.
    handle.finished(&ids::task_id("t-1"));

    // An agent that recovers asks for patience.
    let subscribing = agent.subscribing().await;
    subscribing.refuse(503, "Agent has not finished recovery");
    assert_eq!(executor.sees().await, Seen::Disconnected);
    let subscribing = agent.subscribing().await;
    let tasks = &subscribing.subscribe.unacknowledged_tasks;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].task_id.value, "t-2");
    assert_eq!(
        subscribing.updates(),
        [TaskState::TaskRunning, TaskState::TaskFinished]
    );
    let updates = subscribing.subscribe.unacknowledged_updates.clone();
    assert_eq!(updates[0].status.uuid, two.uuid);
    let mut stream = subscribing.accept().await;
    executor.handle().await;
    handle.killed(&ids::task_id("t-2"));
    // The replayed ones are not sent again.
    let killed = agent.update().await;
    assert_eq!(killed.state(), TaskState::TaskKilled);
    assert_eq!(handle.unacknowledged(), 3);
    for update in &updates {
        stream.acknowledge(&update.status).await;
    }
    stream.acknowledge(&killed).await;
    soon("all acknowledgements", handle.all_acknowledged()).await;
}

#[tokio::test]
async fn an_update_that_got_no_answer_is_sent_again() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[]));
    let _stream = agent.subscribe().await;
    let handle = executor.handle().await;
    agent.answer_next(Type::Update, 503, "Agent has not finished recovery");
    handle.running(&ids::task_id("t-1"));
    let first = agent.update().await;
    assert_eq!(agent.update().await, first);
}

#[tokio::test]
async fn an_update_that_is_refused_is_told() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[]));
    let _stream = agent.subscribe().await;
    let handle = executor.handle().await;
    agent.answer_next(Type::Update, 400, "Expecting a state");
    handle.update(Status::new(&ids::task_id("t-1"), TaskState::TaskStaging));
    assert_eq!(
        executor.sees().await,
        Seen::Refused("Expecting a state".into())
    );
    assert_eq!(handle.unacknowledged(), 0);
}

#[tokio::test]
async fn without_checkpointing_the_end_of_the_stream_is_the_end() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[("MESOS_CHECKPOINT", "0")]));
    let stream = agent.subscribe().await;
    executor.handle().await;
    drop(stream);
    assert_eq!(executor.sees().await, Seen::Shutdown);
    let error = executor.ends().await.unwrap_err();
    assert!(matches!(error, Error::AgentLost { .. }), "{error}");
}

#[tokio::test]
async fn an_agent_that_stays_away_is_given_up_after_the_recovery_timeout() {
    let mut agent = Agent::start().await;
    let short = ("MESOS_RECOVERY_TIMEOUT", "200ms");
    let mut executor = start(agent.read(&[CHECKPOINT, short]));
    let stream = agent.subscribe().await;
    executor.handle().await;
    drop(stream);
    drop(agent);
    while executor.sees().await == Seen::Disconnected {}
    let error = executor.ends().await.unwrap_err();
    assert!(matches!(error, Error::AgentLost { .. }), "{error}");
}

#[tokio::test]
async fn a_shutdown_ends_after_the_last_acknowledgement() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[]));
    let mut stream = agent.subscribe().await;
    executor.handle().await;
    stream.launch("t-1").await;
    let running = agent.update().await;
    stream.acknowledge(&running).await;
    stream.shutdown().await;
    let killed = agent.update().await;
    assert_eq!(killed.state(), TaskState::TaskKilled);
    stream.acknowledge(&killed).await;
    executor.ends().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_that_takes_too_long_ends_all_the_same() {
    let mut agent = Agent::start().await;
    let grace = ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "100ms");
    let mut executor = start_with(agent.read(&[grace]), true);
    let mut stream = agent.subscribe().await;
    executor.handle().await;
    stream.shutdown().await;
    assert_eq!(executor.sees().await, Seen::Shutdown);
    executor.ends().await.unwrap();
}

#[tokio::test]
async fn stopping_ends_when_everything_is_acknowledged() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[]));
    let mut stream = agent.subscribe().await;
    let handle = executor.handle().await;
    handle.finished(&ids::task_id("t-1"));
    handle.stop();
    let finished = agent.update().await;
    assert!(!executor.run.is_finished());
    stream.acknowledge(&finished).await;
    executor.ends().await.unwrap();
}

#[tokio::test]
async fn every_event_has_its_method() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[]));
    let mut stream = agent.subscribe().await;
    executor.handle().await;
    stream
        .send(event(event::Type::LaunchGroup, |event| {
            let tasks = vec![task_info("a"), task_info("b")];
            event.launch_group = Some(event::LaunchGroup {
                task_group: v1::TaskGroupInfo { tasks },
            });
        }))
        .await;
    let names = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(executor.sees().await, Seen::Group(names));
    for _ in 0..2 {
        agent.update().await;
    }
    stream
        .send(event(event::Type::Kill, |event| {
            event.kill = Some(event::Kill {
                task_id: ids::task_id("a"),
                kill_policy: None,
            });
        }))
        .await;
    assert_eq!(executor.sees().await, Seen::Kill("a".into()));
    assert_eq!(agent.update().await.message(), "as asked");
    let message = |text: &'static str| {
        event(event::Type::Message, |event| {
            event.message = Some(event::Message {
                data: Bytes::from_static(text.as_bytes()),
            });
        })
    };
    stream.send(message("hi")).await;
    assert_eq!(executor.sees().await, Seen::Message("hi".into()));
    assert_eq!(&agent.call().await.message.unwrap().data[..], b"hi");
    // A method that fails ends the run.
    stream.send(message("fail")).await;
    let error = executor.ends().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Executor {
                method: "message",
                ..
            }
        ),
        "{error}"
    );
}

/// Implements nothing.
struct Idle;

impl Executor for Idle {}

#[tokio::test]
async fn what_an_executor_does_not_implement_is_safe() {
    let mut agent = Agent::start().await;
    let run = tokio::spawn(ExecutorDriver::new(agent.read(&[])).run(Idle));
    let mut stream = agent.subscribe().await;
    // Nobody waits for a task that will never run.
    stream.launch("t-1").await;
    let refused = agent.update().await;
    assert_eq!(refused.state(), TaskState::TaskFailed);
    assert_eq!(refused.message(), "this executor runs no tasks");
    stream.acknowledge(&refused).await;
    stream
        .send(event(event::Type::LaunchGroup, |event| {
            let tasks = vec![task_info("a"), task_info("b")];
            event.launch_group = Some(event::LaunchGroup {
                task_group: v1::TaskGroupInfo { tasks },
            });
        }))
        .await;
    for _ in 0..2 {
        let refused = agent.update().await;
        assert_eq!(refused.state(), TaskState::TaskFailed);
        assert_eq!(refused.message(), "this executor runs no task groups");
        stream.acknowledge(&refused).await;
    }
    // What cannot be done is no reason to end.
    stream
        .send(event(event::Type::Kill, |event| {
            event.kill = Some(event::Kill {
                task_id: ids::task_id("t-9"),
                kill_policy: None,
            });
        }))
        .await;
    stream
        .send(event(event::Type::Message, |event| {
            event.message = Some(event::Message { data: "hi".into() });
        }))
        .await;
    stream.launch("t-2").await;
    let refused = agent.update().await;
    assert_eq!(refused.task_id.value, "t-2");
    stream.acknowledge(&refused).await;
    stream.shutdown().await;
    soon("the end of the run", run).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_error_is_told_and_ends_the_run() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[CHECKPOINT]));
    let mut stream = agent.subscribe().await;
    executor.handle().await;
    stream
        .send(event(event::Type::Error, |event| {
            event.error = Some(event::Error {
                message: "odd".into(),
            });
        }))
        .await;
    assert_eq!(executor.sees().await, Seen::Error("odd".into()));
    assert_eq!(executor.sees().await, Seen::Shutdown);
    let error = executor.ends().await.unwrap_err();
    assert_eq!(error.to_string(), "the agent reports an error: odd");
}

#[tokio::test]
async fn an_agent_that_does_not_know_the_executor_ends_it() {
    let mut agent = Agent::start().await;
    let executor = start(agent.read(&[CHECKPOINT]));
    let subscribing = agent.subscribing().await;
    subscribing.refuse(400, "Executor cannot be found");
    let error = executor.ends().await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn the_domain_socket_is_the_way_when_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let mut agent = Agent::start_on_socket(&path).await;
    let socket = ("MESOS_DOMAIN_SOCKET", path.to_str().unwrap());
    let token = ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "s3cret");
    let mut executor = start(agent.read(&[socket, token]));
    let subscribing = agent.subscribing().await;
    assert_eq!(subscribing.headers["Authorization"], "Bearer s3cret");
    let _stream = subscribing.accept().await;
    let handle = executor.handle().await;
    handle.running(&ids::task_id("t-1"));
    assert_eq!(agent.update().await.state(), TaskState::TaskRunning);
}

#[tokio::test]
async fn a_dropped_run_closes_its_stream() {
    let mut agent = Agent::start().await;
    let mut executor = start(agent.read(&[CHECKPOINT]));
    let mut stream = agent.subscribe().await;
    let handle = executor.handle().await;
    executor.run.abort();
    soon("closing the stream", async {
        while stream.try_send(event(event::Type::Heartbeat, |_| {})).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(handle.message("late").await.is_err());
}
