//! Each example runs and does what it says.

use std::process::{Command, Output};

/// The examples are built beside the tests, but not by a `cargo test` that is
/// given the name of one: then they are what they were.
fn run(name: &str, args: &[&str]) -> Output {
    let mut path = std::env::current_exe().expect("this test's path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    Command::new(&path)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn connect_and_print_events() {
    let printed = text(&run("connect_and_print_events", &["local"]));
    assert!(printed.contains("SUBSCRIBED"), "{printed}");
    assert!(printed.contains("OFFERS"), "{printed}");
}

#[test]
fn run_one_task() {
    for name in ["run_one_task", "run_one_task_with_a_scheduler"] {
        let printed = text(&run(name, &["local", "true"]));
        assert!(
            printed.ends_with("TASK_FINISHED Command exited with status 0\n"),
            "{printed}"
        );
        let failed = run(name, &["local", "exit 3"]);
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    }
}

#[test]
fn reconcile_after_a_failover() {
    let printed = text(&run("reconcile_after_a_failover", &["local"]));
    assert!(
        printed.contains("second: sleeper-1 is TASK_RUNNING"),
        "{printed}"
    );
    assert!(
        printed.contains("second: sleeper-1 is TASK_KILLED"),
        "{printed}"
    );
}

#[test]
fn custom_executor() {
    let printed = text(&run("custom_executor", &["local"]));
    assert!(printed.contains("square-7 49"), "{printed}");
    assert!(printed.ends_with("sum 385\n"), "{printed}");
}

#[test]
fn task_group() {
    let printed = text(&run("task_group", &["local"]));
    for task in ["main", "side"] {
        assert!(
            printed.contains(&format!("{task} TASK_RUNNING")),
            "{printed}"
        );
        assert!(
            printed.contains(&format!("{task} TASK_KILLED")),
            "{printed}"
        );
    }
}

#[test]
fn follow_stdout() {
    let printed = text(&run("follow_stdout", &["local"]));
    assert_eq!(printed, "line 1\nline 2\nline 3\nTASK_FINISHED\n");
}

#[test]
fn drain_agent() {
    let printed = text(&run("drain_agent", &["local"]));
    assert!(
        printed.contains("TASK_KILLED REASON_AGENT_DRAINING"),
        "{printed}"
    );
    assert!(
        printed.ends_with("operator: drained\noperator: reactivated\n"),
        "{printed}"
    );
}

#[test]
fn reserve_and_create_volume() {
    let printed = text(&run("reserve_and_create_volume", &["local"]));
    for operation in ["reserve", "create", "destroy", "unreserve"] {
        assert!(
            printed.contains(&format!("{operation} OPERATION_FINISHED")),
            "{printed}"
        );
    }
    // The second one fails unless it finds what the first one wrote.
    for task in ["write", "read"] {
        assert!(
            printed.contains(&format!("{task} TASK_FINISHED")),
            "{printed}"
        );
    }
}

#[test]
fn exec_into_a_task() {
    let printed = text(&run("exec_into_a_task", &["local"]));
    assert_eq!(printed, "hello from the task\nexit status: 3\n");
}

#[test]
fn placement_with_constraints() {
    let printed = text(&run("placement_with_constraints", &["local"]));
    for line in [
        "web: large port ",
        "web: other-rack port ",
        "refused large: UNIQUE rack\n",
        "refused same-rack: UNIQUE rack\n",
        "refused small: 0.5 cpus short\n",
        "refused far: LIKE rack r[0-9]+\n",
        "refused plain: UNIQUE rack, LIKE rack r[0-9]+\n",
        "1 left over: 4 of 6 offers refused: 3 UnfulfilledConstraint, 1 InsufficientCpus\n",
        "web-0 TASK_FINISHED\n",
        "web-1 TASK_FINISHED\n",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn simulated_framework() {
    let printed = text(&run("simulated_framework", &[]));
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].ends_with("nothing found"), "{printed}");
    assert!(lines[1].contains("finds it: "), "{printed}");
    assert_eq!(lines[2], "and again: true");
}
