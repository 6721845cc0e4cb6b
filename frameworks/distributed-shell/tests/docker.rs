//! Commands in containers of a Docker engine. Where there can be none the test
//! says why and passes; see `mesos_tests::engine`.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use mesos_tests::engine::Engine;
use mesos_tests::fixture::PATIENCE;

fn run(engine: &Engine, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_distributed-shell"))
        .args(args)
        .env("DOCKER_HOST", engine.address())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

#[tokio::test]
async fn commands_run_in_containers_of_the_image() {
    let Some(engine) = Engine::shared().await else {
        return;
    };
    let where_am_i = "test -e /bin/busybox && ls $MESOS_SANDBOX && echo err >&2; exit 3";
    let output = run(engine, &["-q", "local", "--docker-image", "bb", where_am_i]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "stderr\nstdout\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");

    let missing = ["local", "--docker-image", "no-such-image-here:1", "true"];
    let output = run(engine, &missing);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("TASK_FAILED: Failed to launch container: Failed to run 'docker -H"),
        "{said}"
    );

    let start = Instant::now();
    loop {
        let all = engine.containers().await;
        if all.is_empty() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "left behind: {all:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
