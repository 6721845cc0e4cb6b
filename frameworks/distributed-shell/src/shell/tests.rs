use mesos_sdk::{
    ids,
    resources::Scalar,
    v1::{TaskState, task_status::Reason},
};

use super::*;

fn seconds(n: u64) -> Now {
    Duration::from_secs(n)
}

fn settings(commands: &[&str]) -> Settings {
    Settings {
        commands: commands.iter().map(|text| (*text).to_owned()).collect(),
        demand: Demand {
            cpus: Scalar::from_f64(1.0),
            mem_mib: Scalar::from_f64(32.0),
            disk_mib: Scalar::from_f64(0.0),
            gpus: 0,
            ports: 0,
            role: "*".to_owned(),
            attributes: Vec::new(),
            user: None,
            environment: Vec::new(),
            uris: Vec::new(),
            docker_image: None,
        },
        on_every_agent: false,
        max_parallel: 100,
        retries: 0,
        deadline: None,
        run_id: "run".to_owned(),
    }
}

fn registered(settings: Settings) -> Shell {
    let mut shell = Shell::new(settings);
    shell.step(
        seconds(0),
        Input::Subscribed {
            framework_id: ids::framework_id("F-1"),
        },
    );
    shell
}

fn offer(agent: &str, resources: &str) -> Input {
    Input::Offers(vec![OfferView {
        id: ids::offer_id("O-1"),
        agent_id: ids::agent_id(agent),
        hostname: format!("{agent}.example"),
        resources: resources.parse().unwrap(),
        attributes: Vec::new(),
    }])
}

fn launched(effects: &Effects) -> Vec<String> {
    let tasks = effects.launches.iter().flat_map(|(_, tasks)| tasks);
    tasks.map(|task| task.task_id.value.clone()).collect()
}

fn status(task: &str, state: TaskState, message: &str) -> Input {
    Input::Update(Box::new(v1::TaskStatus {
        task_id: ids::task_id(task),
        state: state.into(),
        message: Some(message.to_owned()),
        ..Default::default()
    }))
}

fn exited(task: &str, code: u8) -> Input {
    let state = if code == 0 {
        TaskState::TaskFinished
    } else {
        TaskState::TaskFailed
    };
    status(task, state, &format!("Command exited with status {code}"))
}

#[test]
fn commands_run_in_order_as_many_as_fit_and_may() {
    let mut shell = registered(Settings {
        max_parallel: 2,
        ..settings(&["a", "b", "c"])
    });
    let first = shell.step(seconds(0), offer("A", "cpus:8;mem:1024"));
    assert_eq!(launched(&first), ["run.1.0", "run.2.0"]);
    let full = shell.step(seconds(1), offer("A", "cpus:8;mem:1024"));
    assert_eq!((launched(&full).len(), full.declines.len()), (0, 1));
    let ended = shell.step(seconds(2), exited("run.1.0", 0));
    assert!(ended.revive && ended.exit.is_none());
    let small = shell.step(seconds(3), offer("B", "cpus:0.5;mem:1024"));
    assert_eq!(launched(&small).len(), 0);
    let last = shell.step(seconds(4), offer("B", "cpus:1;mem:32"));
    assert_eq!(launched(&last), ["run.3.0"]);
    assert!(last.suppress, "nothing waits any more");
    shell.step(seconds(5), exited("run.2.0", 0));
    let done = shell.step(seconds(6), exited("run.3.0", 3));
    assert_eq!(done.exit, Some(1), "one of them failed");
}

#[test]
fn a_shell_that_cannot_do_anything_sleeps() {
    let mut shell = registered(Settings {
        max_parallel: 1,
        ..settings(&["a", "b", "c"])
    });
    shell.step(seconds(0), offer("A", "cpus:8;mem:1024"));
    shell.step(seconds(1), exited("run.1.0", 0));
    shell.step(seconds(2), offer("A", "cpus:8;mem:1024"));
    // Its end is told, and its output is still to be read.
    let container = v1::ContainerStatus {
        container_id: Some(v1::ContainerId::default()),
        ..Default::default()
    };
    let ended = v1::TaskStatus {
        task_id: ids::task_id("run.2.0"),
        state: TaskState::TaskFinished.into(),
        container_status: Some(container),
        ..Default::default()
    };
    let effects = shell.step(seconds(3), Input::Update(Box::new(ended)));
    assert_eq!(effects.drain, ["run.2.0"]);
    let now = seconds(60);
    shell.step(now, Input::Tick);
    assert!(
        shell.wake_at().is_none_or(|at| at > now),
        "{:?}",
        shell.wake_at()
    );
    let task_id = "run.2.0".to_owned();
    let room = shell.step(now, Input::OutputEnded { task_id });
    assert!(room.revive);
}

#[test]
fn a_failure_is_tried_again_as_often_as_asked() {
    let mut shell = registered(Settings {
        retries: 1,
        ..settings(&["a"])
    });
    for task in ["run.1.0", "run.1.1"] {
        let effects = shell.step(seconds(1), offer("A", "cpus:1;mem:32"));
        assert_eq!(launched(&effects), [task]);
        let ended = shell.step(seconds(2), exited(task, 7));
        let is_last = task == "run.1.1";
        assert_eq!(ended.exit, is_last.then_some(7));
    }
}

#[test]
fn a_task_that_never_ran_is_launched_again_and_is_no_failure() {
    let mut shell = registered(settings(&["a"]));
    shell.step(seconds(0), offer("A", "cpus:1;mem:32"));
    let dropped = shell.step(
        seconds(1),
        status("run.1.0", TaskState::TaskDropped, "late"),
    );
    let again = Notice::Again {
        run: 0,
        why: "TASK_DROPPED: late".to_owned(),
    };
    assert!(dropped.notices.contains(&again), "{dropped:?}");
    let next = shell.step(seconds(2), offer("A", "cpus:1;mem:32"));
    assert_eq!(launched(&next), ["run.1.1"]);
    let why = "the offer was rescinded".to_owned();
    let task_ids = vec!["run.1.1".to_owned()];
    shell.step(seconds(3), Input::NotLaunched { task_ids, why });
    let next = shell.step(seconds(4), offer("A", "cpus:1;mem:32"));
    assert_eq!(launched(&next), ["run.1.2"]);
    // One that was seen running and is gone has failed.
    shell.step(seconds(5), status("run.1.2", TaskState::TaskRunning, ""));
    let gone = shell.step(seconds(6), status("run.1.2", TaskState::TaskDropped, ""));
    assert_eq!(gone.exit, Some(125));
}

#[test]
fn an_interrupt_kills_waits_and_leaves_at_once_when_repeated() {
    let mut shell = registered(settings(&["a", "b"]));
    shell.step(seconds(0), offer("A", "cpus:1;mem:32"));
    let first = shell.step(seconds(1), Input::Interrupt);
    assert_eq!(first.kills.len(), 1);
    assert_eq!(first.exit, None);
    let mut other = registered(settings(&["a"]));
    other.step(seconds(0), offer("A", "cpus:1;mem:32"));
    other.step(seconds(1), Input::Interrupt);
    assert_eq!(other.step(seconds(1), Input::Interrupt).exit, Some(130));

    let killed = shell.step(seconds(2), status("run.1.0", TaskState::TaskKilled, ""));
    assert_eq!(killed.exit, Some(130));
}

#[test]
fn a_task_that_does_not_die_is_left_to_the_teardown() {
    let mut shell = registered(Settings {
        deadline: Some(seconds(10)),
        ..settings(&["a"])
    });
    shell.step(seconds(0), offer("A", "cpus:1;mem:32"));
    assert_eq!(shell.wake_at(), Some(seconds(10)));
    let over = shell.step(seconds(10), Input::Tick);
    assert_eq!(over.notices, [Notice::TimedOut]);
    assert_eq!(over.kills.len(), 1);
    let give_up_at = shell.wake_at().unwrap();
    assert_eq!(shell.step(give_up_at, Input::Tick).exit, Some(124));
}

#[test]
fn who_waits_is_told_why() {
    let mut shell = registered(settings(&["a"]));
    shell.step(seconds(0), offer("A", "cpus:0.5;mem:32"));
    let told = shell.step(seconds(5), Input::Tick);
    let [Notice::NothingFits { why }] = &told.notices[..] else {
        panic!("{told:?}");
    };
    assert_eq!(why, "A.example: needs cpus 1, offered 0.5");
    // Once.
    assert!(shell.step(seconds(60), Input::Tick).notices.is_empty());
}

#[test]
fn every_command_runs_on_every_agent() {
    let mut shell = registered(Settings {
        on_every_agent: true,
        ..settings(&["a", "b"])
    });
    let agents = ["A", "B"].map(|id| (ids::agent_id(id), format!("{id}.example")));
    shell.step(seconds(0), Input::Agents(agents.to_vec()));
    assert_eq!(shell.counts().total, 4);
    let on_b = shell.step(seconds(1), offer("B", "cpus:8;mem:1024"));
    assert_eq!(launched(&on_b), ["run.2.0", "run.4.0"]);
    assert_eq!(shell.run(1).hostname.as_deref(), Some("B.example"));
}

#[test]
fn answers_to_reconciliation_are_no_news() {
    let mut shell = registered(settings(&["a"]));
    shell.step(seconds(0), offer("A", "cpus:1;mem:32"));
    let running = v1::TaskStatus {
        task_id: ids::task_id("run.1.0"),
        state: TaskState::TaskRunning.into(),
        reason: Some(Reason::Reconciliation.into()),
        ..Default::default()
    };
    let effects = shell.step(seconds(1), Input::Update(Box::new(running)));
    assert!(effects.notices.is_empty(), "{effects:?}");
}
