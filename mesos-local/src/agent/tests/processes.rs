//! The shell with real processes in real sandboxes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::v1;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::agent::{AgentHandle, AgentShell, MasterLink, Warden};
use crate::messages::{FromAgent, ToAgent};

/// Longer than anything here takes on the slowest machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// An agent whose master is the test.
pub(super) struct Place {
    pub(super) agent: AgentHandle,
    pub(super) warden: Arc<Warden>,
    from_agent: mpsc::UnboundedReceiver<FromAgent>,
    to_agent: mpsc::UnboundedSender<ToAgent>,
    directory: TempDir,
}

impl Place {
    pub(super) async fn new() -> Self {
        Self::with_engine(EngineAddress::default()).await
    }

    /// An agent that uses this Docker engine.
    pub(super) async fn with_engine(docker: EngineAddress) -> Self {
        Self::with(|config| config.docker = docker).await
    }

    /// An agent that is told something else.
    pub(super) async fn with(change: impl FnOnce(&mut AgentConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).unwrap();
        let warden = Arc::new(Warden::start(&directory.path().join("work"), true).unwrap());
        let mut config = config(&warden.work_dir().join("0"));
        change(&mut config);
        let agent = AgentShell::start(config, Arc::clone(&warden)).unwrap();
        let (to_master, from_agent) = mpsc::unbounded_channel();
        let (to_agent, from_master) = mpsc::unbounded_channel();
        agent.connect(MasterLink {
            to_master,
            from_master,
        });
        let mut place = Self {
            agent,
            warden,
            from_agent,
            to_agent,
            directory,
        };
        assert!(matches!(place.hear().await, FromAgent::Register(_)));
        place.tell(ToAgent::Registered {
            agent_id: agent_id(),
        });
        place
    }

    pub(super) async fn hear(&mut self) -> FromAgent {
        tokio::time::timeout(PATIENCE, self.from_agent.recv())
            .await
            .expect("the agent said nothing")
            .expect("the agent ended")
    }

    pub(super) fn tell(&self, message: ToAgent) {
        self.to_agent.send(message).unwrap();
    }

    pub(super) fn run(&self, task: v1::TaskInfo) {
        self.tell(ToAgent::RunTask {
            framework: framework(&[]),
            task,
        });
    }

    pub(super) fn kill(&self, id: &str) {
        self.tell(ToAgent::KillTask {
            framework_id: framework_id(),
            task_id: task_id(id),
            kill_policy: None,
        });
    }

    /// Acknowledges and returns the next update.
    pub(super) async fn update(&mut self) -> v1::TaskStatus {
        loop {
            if let FromAgent::StatusUpdate { status, .. } = self.hear().await {
                self.tell(ToAgent::Acknowledge {
                    framework_id: framework_id(),
                    task_id: status.task_id.clone(),
                    uuid: status.uuid.clone().unwrap().to_vec(),
                });
                return status;
            }
        }
    }

    /// Waits for the answer to a ping.
    pub(super) async fn pong(&mut self) {
        while !matches!(self.hear().await, FromAgent::Pong) {}
    }

    pub(super) async fn until(&mut self, state: v1::TaskState) -> v1::TaskStatus {
        loop {
            let status = self.update().await;
            if status.state() == state {
                return status;
            }
        }
    }

    pub(super) fn sandbox(&self, task: &str) -> PathBuf {
        let path = format!("0/slaves/agent-S0/frameworks/framework-0/executors/{task}/runs/latest");
        self.warden.work_dir().join(path)
    }

    pub(super) fn stdout(&self, task: &str) -> String {
        fs::read_to_string(self.sandbox(task).join("stdout")).unwrap()
    }

    /// Waits until a task has written something.
    pub(super) async fn written(&self, task: &str) -> String {
        let path = self.sandbox(task).join("stdout");
        wait_for(|| {
            let text = fs::read_to_string(&path).ok()?;
            text.ends_with('\n').then_some(text)
        })
        .await
    }
}

async fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the condition never came true")
}

/// Whether a process lives; a zombie does not.
pub(super) fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[tokio::test]
async fn a_command_runs_in_its_sandbox_with_its_environment() {
    let mut place = Place::new().await;
    place.run(task(
        "t",
        "pwd; echo $MESOS_SANDBOX $MESOS_TASK_ID; echo err >&2",
    ));
    let status = place.until(v1::TaskState::TaskFinished).await;
    assert_eq!(status.message(), "Command exited with status 0");
    let sandbox = fs::canonicalize(place.sandbox("t")).unwrap();
    let sandbox = sandbox.to_str().unwrap();
    assert_eq!(place.stdout("t"), format!("{sandbox}\n{sandbox} t\n"));
    let stderr = fs::read_to_string(place.sandbox("t").join("stderr")).unwrap();
    assert_eq!(stderr, "err\n");
}

#[tokio::test]
async fn an_argument_vector_is_run_without_a_shell() {
    let mut place = Place::new().await;
    let mut echo = task("t", "/bin/echo");
    echo.command = Some(v1::CommandInfo {
        shell: Some(false),
        value: Some("echo".into()),
        arguments: ["echo", "a  b", "$HOME"].map(String::from).into(),
        ..Default::default()
    });
    place.run(echo);
    place.until(v1::TaskState::TaskFinished).await;
    assert_eq!(place.stdout("t"), "a  b $HOME\n");
}

/// `task-no-command` of the capture `stream-lifecycle`.
#[tokio::test]
async fn a_program_that_does_not_exist_fails_with_status_1() {
    let mut place = Place::new().await;
    let mut missing = task("t", "");
    missing.command = Some(v1::CommandInfo {
        shell: Some(false),
        value: Some("/no/such/program".into()),
        ..Default::default()
    });
    place.run(missing);
    let mut states = Vec::new();
    let last = loop {
        let status = place.update().await;
        states.push(status.state());
        if states.len() == 3 {
            break status;
        }
    };
    assert_eq!(
        states,
        [
            v1::TaskState::TaskStarting,
            v1::TaskState::TaskRunning,
            v1::TaskState::TaskFailed
        ]
    );
    assert_eq!(last.message(), "Command exited with status 1");
    let stderr = fs::read_to_string(place.sandbox("t").join("stderr")).unwrap();
    assert_eq!(
        stderr,
        "Failed to execute command: No such file or directory\n"
    );
}

#[tokio::test]
async fn an_unknown_user_is_refused() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can run tasks as somebody else");
        return;
    }
    let mut place = Place::new().await;
    let mut nobody = task("t", "true");
    nobody.command.as_mut().unwrap().user = Some("no-such-user".into());
    place.run(nobody);
    let status = place.update().await;
    assert_eq!(
        status.message(),
        "Failed to launch container: No such user 'no-such-user'"
    );
}

#[tokio::test]
async fn a_task_runs_as_the_user_it_names() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can run tasks as somebody else");
        return;
    }
    let mut place = Place::new().await;
    let mut nobody = task("t", "id -un; touch mine");
    nobody.command.as_mut().unwrap().user = Some("nobody".into());
    place.run(nobody);
    place.until(v1::TaskState::TaskFinished).await;
    assert_eq!(place.stdout("t"), "nobody\n");
}

#[tokio::test]
async fn uris_are_in_the_sandbox_before_the_command_starts() {
    let mut place = Place::new().await;
    let source = place.directory.path().join("hello.txt");
    fs::write(&source, "hello\n").unwrap();
    let uri = |value: String| v1::command_info::Uri {
        value,
        ..Default::default()
    };
    let mut reads = task("reads", "cat hello.txt");
    reads.command.as_mut().unwrap().uris = vec![uri(source.display().to_string())];
    place.run(reads);
    place.until(v1::TaskState::TaskFinished).await;
    assert_eq!(place.stdout("reads"), "hello\n");
    let mut misses = task("misses", "true");
    misses.command.as_mut().unwrap().uris = vec![uri("file:///no/such".into())];
    place.run(misses);
    let status = place.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskFailed);
    assert_eq!(
        status.reason(),
        v1::task_status::Reason::ContainerLaunchFailed
    );
    let message = status.message();
    assert!(
        message.starts_with("Failed to launch container: Failed to fetch all URIs for container"),
        "{message}"
    );
    assert!(message.contains("'file:///no/such'"), "{message}");
}

/// A task that listens and is asked how it is, in each of the ways.
#[tokio::test]
async fn checks_look_at_the_task() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            // A TCP check leaves without a word.
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    let mut place = Place::new().await;
    let check = |r#type: v1::check_info::Type| v1::CheckInfo {
        r#type: Some(r#type.into()),
        command: Some(v1::check_info::Command {
            command: v1::CommandInfo {
                value: Some("exit $((${#MESOS_SANDBOX} > 0 ? 7 : 8))".into()),
                ..Default::default()
            },
        }),
        http: Some(v1::check_info::Http {
            port,
            path: Some("/x".into()),
        }),
        tcp: Some(v1::check_info::Tcp { port }),
        delay_seconds: Some(0.0),
        ..Default::default()
    };
    let mut found = Vec::new();
    for r#type in [
        v1::check_info::Type::Command,
        v1::check_info::Type::Http,
        v1::check_info::Type::Tcp,
    ] {
        place.run(v1::TaskInfo {
            check: Some(check(r#type)),
            ..task(r#type.as_str_name(), "sleep 1000")
        });
        let changed = loop {
            let status = place.update().await;
            if status.reason.is_some() {
                break status;
            }
        };
        assert_eq!(
            changed.reason(),
            v1::task_status::Reason::TaskCheckStatusUpdated
        );
        found.push(changed.check_status.unwrap());
    }
    assert_eq!(found[0].command.unwrap().exit_code, Some(7));
    assert_eq!(found[1].http.unwrap().status_code, Some(404));
    assert_eq!(found[2].tcp.unwrap().succeeded, Some(true));
}

#[tokio::test]
async fn a_kill_reaches_the_whole_process_group() {
    let mut place = Place::new().await;
    place.run(task("t", "sleep 1000 & echo $!; wait"));
    let child = place.written("t").await;
    place.kill("t");
    let status = place.until(v1::TaskState::TaskKilled).await;
    assert_eq!(
        status.message(),
        "Command terminated with signal Terminated"
    );
    wait_for(|| (!is_alive(child.trim())).then_some(())).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed() {
    let mut place = Place::new().await;
    place.run(task("t", "sleep 1000 & echo $!"));
    place.until(v1::TaskState::TaskFinished).await;
    let child = place.stdout("t");
    wait_for(|| (!is_alive(child.trim())).then_some(())).await;
}

#[tokio::test]
async fn nothing_survives_a_stopped_agent() {
    let place = Place::new().await;
    // In a session of its own the child is out of reach of the group.
    place.run(task("t", "setsid sleep 1000 & echo $! $$; wait"));
    let pids = place.written("t").await;
    place.agent.stop().await;
    place.warden.stop();
    for pid in pids.split_whitespace() {
        wait_for(|| (!is_alive(pid)).then_some(())).await;
    }
    assert!(!place.directory.path().join("work").exists());
}

#[tokio::test]
async fn nothing_survives_a_dropped_agent() {
    let place = Place::new().await;
    place.run(task("t", "echo $$; exec sleep 1000"));
    let pid = place.written("t").await;
    drop(place.agent);
    wait_for(|| (!is_alive(pid.trim())).then_some(())).await;
}
