//! A scheduler that knows nothing of the SDK works with `mesos-local`.

use std::process::Command;

use mesos_tests::fixture::Fixture;

#[tokio::test]
async fn a_scheduler_in_python_runs_a_task() {
    let fixture = Fixture::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/scheduler.py");
    let master = fixture.master.authority();
    let run = move || Command::new("python3").arg(script).arg(master).output();
    let ended = tokio::task::spawn_blocking(run).await.expect("a thread");
    let output = match ended {
        Ok(output) => output,
        Err(error) => {
            let why = format!("skipped: python3 cannot be run: {error}");
            assert!(
                std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none(),
                "{why}"
            );
            println!("{why}");
            return;
        }
    };
    assert!(output.status.success(), "{output:?}");
    let states = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(states, "TASK_STARTING\nTASK_RUNNING\nTASK_FINISHED\n");
}
