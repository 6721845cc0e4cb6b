//! The program as its users meet it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distributed-shell"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn prints_what_the_commands_write() {
    let output = run(&["local", "echo hello", "echo how are you"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["hello", "how are you"]);
    assert!(stderr(&output).contains("TASK_FINISHED"));
}

#[test]
fn one_command_gives_its_own_status_several_the_number_that_failed() {
    assert_eq!(run(&["-q", "local", "exit 3"]).status.code(), Some(3));
    assert_eq!(run(&["-q", "local", "kill -9 $$"]).status.code(), Some(137));
    let output = run(&["-q", "local", "true", "false", "false"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_master_that_cannot_be_reached_is_named_once() {
    let output = run(&["--timeout", "300ms", "127.0.0.1:1", "true"]);
    assert_eq!(output.status.code(), Some(125));
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("127.0.0.1:1") && said.contains("refused"),
        "{said}"
    );
}

#[test]
fn a_command_line_that_cannot_be_used_exits_with_2() {
    let output = run(&["local"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Usage:"));
    assert_eq!(run(&["nowhere:0", "true"]).status.code(), Some(2));
    assert_eq!(
        run(&["--cpus", "many", "local", "true"]).status.code(),
        Some(2)
    );
}

#[test]
fn completions_and_dry_runs_need_no_cluster() {
    let output = run(&["--completions", "bash"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("distributed-shell"));
    let output = run(&["--dry-run", "zk://nowhere/mesos", "echo never"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("echo never"));
}

#[test]
fn output_that_cannot_be_written_is_told_last() {
    let full = || fs::File::options().write(true).open("/dev/full");
    for (args, status) in [
        (&["local", "echo a"][..], 125),
        (&["--completions", "bash"], 1),
        (&["--dry-run", "local", "true"], 1),
    ] {
        let full = full().expect("a full device");
        let output = program(args).stdout(full).output();
        let output = output.expect("the program starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.contains("No space left on device"), "{said}");
    }
}

#[test]
fn every_command_of_a_file_runs_once() {
    let mut child = program(&["-q", "--file", "-", "local"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let commands: String = (0..200).map(|n| format!("echo line {n}\n")).collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(commands.as_bytes()).expect("it is read");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let mut lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (0..200).map(|n| format!("line {n}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn output_is_tagged_kept_or_json_when_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let output = run(&[
        "-q",
        "--tag",
        "--output-dir",
        path,
        "local",
        "echo a",
        "printf b >&2",
    ]);
    assert!(
        stdout(&output).contains("[1 localhost] a\n"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("[2 localhost] b\n"),
        "{}",
        stderr(&output)
    );
    let kept = |name: &str| fs::read_to_string(dir.path().join(name)).expect("it is kept");
    assert_eq!(
        (kept("1.stdout"), kept("2.stderr")),
        ("a\n".into(), "b".into())
    );
    let output = run(&["--json", "local", "echo a"]);
    for line in stdout(&output).lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(object["type"].is_string(), "{line}");
    }
}

/// The processes that carry a mark in their environment.
fn marked(mark: &str) -> Vec<String> {
    let is_marked = |pid: &str| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    };
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && is_marked(name))
        .collect()
}

/// Starts two tasks that do not end, and waits until both run.
fn start_marked(mark: &str) -> (Child, BufReader<ChildStdout>) {
    let command = "echo up; sleep 1000";
    let mut child = program(&["-q", "-e", mark, "local", command, command])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    for _ in 0..2 {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        assert_eq!(line, "up\n");
    }
    assert!(marked(mark).len() >= 2);
    (child, lines)
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(sent.success());
}

fn none_is_left(mark: &str) {
    let started = Instant::now();
    while !marked(mark).is_empty() {
        assert!(
            started.elapsed() < PATIENCE,
            "still there: {:?}",
            marked(mark)
        );
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupt_leaves_no_process_behind() {
    let mark = format!("MARK=interrupt-{}", std::process::id());
    let (mut child, _lines) = start_marked(&mark);
    signal(&child, "-INT");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    none_is_left(&mark);
}

#[test]
fn a_kill_leaves_no_process_behind() {
    let mark = format!("MARK=kill-{}", std::process::id());
    let (mut child, _lines) = start_marked(&mark);
    signal(&child, "-KILL");
    child.wait().expect("it ends");
    none_is_left(&mark);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let mut child = program(&["-q", "local", "yes", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = [0; 2];
    let mut pipe = child.stdout.take().expect("a pipe");
    pipe.read_exact(&mut first).expect("output");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_run_survives_a_failover_of_the_master() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime
        .block_on(
            mesos_local::Cluster::builder()
                .resources("cpus:4;mem:512")
                .start(),
        )
        .expect("a cluster");
    let mut child = program(&["-q", &cluster.address()])
        .args((0..12).map(|n| format!("echo begun; sleep 0.2; echo line {n}")))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    pipe.read_line(&mut first).expect("a line");
    assert_eq!(first, "begun\n");
    runtime.block_on(cluster.fail_over_master());
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).expect("text");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut lines: Vec<&str> = rest.lines().filter(|line| *line != "begun").collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (0..12).map(|n| format!("line {n}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}
