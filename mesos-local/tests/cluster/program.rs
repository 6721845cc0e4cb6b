//! The program `mesos-local` as somebody starts it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{Subscription, framework, get, soon};

/// A child that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-local"));
    command.args(arguments);
    command
}

#[tokio::test]
async fn says_where_it_listens_and_ends_on_signals() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let arguments = ["--agents", "2", "--port", "0", "--agent-port", "0"];
        let mut child = Program(program(&arguments).stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let master = first.strip_prefix("master listening on ").expect(&first);
        for index in 0..2 {
            let line = lines.next().unwrap().unwrap();
            let start = format!("agent {index} listening on 127.0.0.{}:", index + 1);
            assert!(line.starts_with(&start), "{line}");
        }
        assert_eq!(get(master.parse().unwrap(), "/health").await.status, 200);
        let pid = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
        kill(pid, signal).unwrap();
        assert!(child.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn tasks_end_with_a_program_that_was_killed() {
    let arguments = ["--agents", "1", "--port", "0", "--agent-port", "0"];
    let mut child = Program(program(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let master = first.strip_prefix("master listening on ").expect(&first);
    let mut scheduler = Subscription::open(master.parse().unwrap(), framework("killed")).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "stays", "exec sleep 1000").await;
    let status = scheduler.state("stays", "TASK_RUNNING").await;
    let pid = &status["container_status"]["executor_pid"];
    let pid = Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap());
    assert!(kill(pid, None).is_ok());
    child.0.kill().unwrap();
    soon("the task's end", async {
        while kill(pid, None).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn serves_when_nobody_reads_what_it_prints() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let number = port.port().to_string();
    let arguments = ["--agents", "1", "--port", &number, "--agent-port", "0"];
    let mut child = Program(program(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    drop(child.0.stdout.take());
    soon("an answer", async {
        while tokio::net::TcpStream::connect(port).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(get(port, "/health").await.status, 200);
    assert!(child.0.try_wait().unwrap().is_none());
}

#[test]
fn tells_what_is_wrong_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = program(&["--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with(&format!("mesos-local: cannot listen on 127.0.0.1:{port}: ")),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");

    let output = program(&["--resources", "cpus:many", "--port", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("`cpus:many`"), "{text}");

    let output = program(&["--offer-timeout", "5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn teaches() {
    let output = program(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "--allocation-interval",
        "MESOS_LOCAL_PORT",
        "EXAMPLES",
        "/api/v1",
    ] {
        assert!(text.contains(part), "{part} is missing");
    }
}
