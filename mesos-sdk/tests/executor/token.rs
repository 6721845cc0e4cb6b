//! The token is not inherited by what an executor starts. This test is its own
//! executor: it starts itself with an agent's environment.

use std::process::{Command, Stdio};

use mesos_sdk::executor::{ExecutorEnvironment, TOKEN_VARIABLE, child_command};

/// Says that this process is to be the executor.
const ROLE: &str = "TOKEN_TEST_ROLE";
const THIS: &str = "token::an_executor_starts_its_tasks_without_the_token";

fn shell(command: &mut Command) -> String {
    let output = command.args(["-c", "env; cat"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_executor_starts_its_tasks_without_the_token() {
    match std::env::var(ROLE).as_deref() {
        Ok("take") => {
            let environment = ExecutorEnvironment::take().unwrap();
            let header = environment.credentials.unwrap().authorization();
            assert_eq!(header.to_str().unwrap(), "Bearer s3cret");
            assert!(std::env::var_os(TOKEN_VARIABLE).is_none());
            // By any means: the process itself has it no more.
            let seen = shell(Command::new("sh").stdin(Stdio::inherit()));
            println!("TASK {} {seen}", std::process::id());
        }
        Ok("leave") => {
            let environment = ExecutorEnvironment::from_env().unwrap();
            assert!(environment.credentials.is_some());
            println!(
                "TASK {} {}",
                std::process::id(),
                shell(&mut child_command("sh"))
            );
        }
        _ => {
            for role in ["take", "leave"] {
                start(role);
            }
        }
    }
}

fn start(role: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([THIS, "--exact", "--nocapture"])
        .env(ROLE, role)
        .env(TOKEN_VARIABLE, "s3cret")
        .env("MESOS_FRAMEWORK_ID", "F-1")
        .env("MESOS_EXECUTOR_ID", "E-1")
        .env("MESOS_AGENT_ENDPOINT", "127.0.0.1:1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{role}: {output:?}");
    // The same process, and its task was there.
    assert!(text.contains(&format!("TASK {pid} ")), "{role}: {text}");
    assert!(text.contains("MESOS_EXECUTOR_ID=E-1"), "{role}: {text}");
    assert!(!text.contains("s3cret"), "{role}: {text}");
}
