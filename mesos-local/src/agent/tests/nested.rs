//! Containers that are asked for by name, in virtual time.

use mesos_sdk::v1;

use super::scene::Scene;
use super::*;
use crate::agent::{
    Action, CallId, ContainerAnswer, ContainerCall, ContainerKey, ContainerLaunch, ExitStatus,
    Input, Io, Launch, Signal,
};

const KILLED: ExitStatus = ExitStatus::Signaled {
    signal: 9,
    core_dumped: false,
};

impl Scene {
    fn ask(&mut self, number: u64, call: ContainerCall) -> Option<ContainerAnswer> {
        let id = CallId(number);
        self.give(Input::Container { id, call });
        self.answer(number)
    }

    fn answer(&mut self, number: u64) -> Option<ContainerAnswer> {
        let position = self
            .answers
            .iter()
            .position(|(id, _)| *id == CallId(number))?;
        Some(self.answers.remove(position).1)
    }

    fn ask_for(&mut self, number: u64, container: &ContainerKey, is_session: bool) {
        let launch = ContainerLaunch {
            container: container.clone(),
            command: v1::CommandInfo {
                value: Some("sh".into()),
                ..Default::default()
            },
            info: None,
            is_session,
        };
        let answer = self.ask(number, ContainerCall::Launch(Box::new(launch)));
        assert_eq!(answer, None, "it is not made yet");
    }

    /// Makes a container inside another.
    fn make(&mut self, container: &ContainerKey, is_session: bool) -> Launch {
        self.ask_for(1, container, is_session);
        let Some(Action::Launch(launch)) = self.actions.pop() else {
            panic!("expected a launch");
        };
        self.give(Input::Launched {
            container: container.clone(),
            pid: Some(99),
        });
        assert_eq!(self.answer(1), Some(ContainerAnswer::Done));
        *launch
    }
}

#[test]
fn a_session_shares_what_its_parent_sees() {
    let mut scene = Scene::new();
    let parent = scene.run(task("t", "sleep"));
    scene.give(Input::Launched {
        container: parent.clone(),
        pid: Some(1),
    });
    let session = parent.nested("session");
    let launch = scene.make(&session, true);
    assert!(launch.is_guest);
    assert_eq!(launch.io, Io::Streams);
    assert!(launch.directory.ends_with(parent.as_str()));
    let variable = ("MESOS_TASK_ID".to_owned(), "t".to_owned());
    assert!(launch.environment.contains(&variable));
    assert_eq!(scene.ask(2, ContainerCall::Wait(session.clone())), None);
    scene.exit(&session, ExitStatus::Exited(4));
    let ended = Some(ContainerAnswer::Ended(ExitStatus::Exited(4)));
    assert_eq!(scene.answer(2), ended);
    // Its end is told to whoever asks later, too.
    assert_eq!(scene.ask(3, ContainerCall::Wait(session)), ended);
}

#[test]
fn a_container_that_stays_has_a_sandbox_of_its_own() {
    let mut scene = Scene::new();
    let group = scene.start_group(vec![task("a", "sleep")]);
    let inner = group[0].nested("inner");
    let launch = scene.make(&inner, false);
    assert_eq!(launch.io, Io::Files);
    assert!(launch.directory.ends_with("tasks/a/containers/inner"));
    let sandbox = launch.directory.to_string_lossy().into_owned();
    let variable = ("MESOS_SANDBOX".to_owned(), sandbox);
    assert!(launch.environment.contains(&variable));
    let again = ContainerCall::Launch(Box::new(ContainerLaunch {
        container: inner.clone(),
        command: v1::CommandInfo::default(),
        info: None,
        is_session: false,
    }));
    assert_eq!(scene.ask(2, again), Some(ContainerAnswer::AlreadyThere));
    let remove = || ContainerCall::Remove(inner.clone());
    assert!(matches!(
        scene.ask(3, remove()),
        Some(ContainerAnswer::Refused(500, _))
    ));
    let kill = ContainerCall::Kill(inner.clone(), 15);
    assert_eq!(scene.ask(4, kill), Some(ContainerAnswer::Done));
    let raise = Action::Raise {
        container: inner.clone(),
        signal: 15,
    };
    assert_eq!(scene.actions.pop(), Some(raise));
    scene.exit(&inner, KILLED);
    assert_eq!(scene.ask(5, remove()), Some(ContainerAnswer::Done));
    assert!(matches!(
        scene.actions.pop(),
        Some(Action::RemoveSandbox { directory }) if directory == launch.directory
    ));
}

#[test]
fn what_cannot_be_found_is_refused_in_the_words_of_mesos() {
    let mut scene = Scene::new();
    let nowhere = ContainerKey::new("nowhere");
    let refused = |status, text: &str| Some(ContainerAnswer::Refused(status, text.to_owned()));
    let launch = ContainerCall::Launch(Box::new(ContainerLaunch {
        container: nowhere.nested("inner"),
        command: v1::CommandInfo::default(),
        info: None,
        is_session: true,
    }));
    assert_eq!(
        scene.ask(1, launch),
        refused(400, "Parent container nowhere does not exist")
    );
    assert_eq!(
        scene.ask(2, ContainerCall::Wait(nowhere.clone())),
        refused(404, "Container nowhere cannot be found")
    );
    assert_eq!(
        scene.ask(3, ContainerCall::Attach(nowhere.clone())),
        refused(404, "Container nowhere cannot be found")
    );
    assert_eq!(
        scene.ask(4, ContainerCall::Kill(nowhere.clone(), 9)),
        refused(
            404,
            "Container 'nowhere' cannot be found (or is already killed)"
        )
    );
    let image = ContainerCall::Launch(Box::new(ContainerLaunch {
        container: nowhere,
        command: v1::CommandInfo::default(),
        info: Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Docker.into(),
            ..Default::default()
        }),
        is_session: false,
    }));
    assert_eq!(
        scene.ask(5, image),
        refused(400, "The provided ContainerInfo is not supported")
    );
}

#[test]
fn a_container_that_cannot_be_made_is_told_and_forgotten() {
    let mut scene = Scene::new();
    let alone = ContainerKey::new("alone");
    scene.ask_for(1, &alone, false);
    scene.give(Input::LaunchFailed {
        container: alone.clone(),
        message: "no room".into(),
        is_fetch: false,
    });
    let refused = Some(ContainerAnswer::Refused(400, "no room".into()));
    assert_eq!(scene.answer(1), refused);
    assert!(matches!(
        scene.ask(2, ContainerCall::Wait(alone)),
        Some(ContainerAnswer::Refused(404, _))
    ));
}

#[test]
fn what_is_inside_goes_with_what_is_around_it() {
    let mut scene = Scene::new();
    let group = scene.start_group(vec![task("a", "sleep"), task("b", "sleep")]);
    let inner = group[0].nested("inner");
    let innermost = inner.nested("innermost");
    let other = group[1].nested("other");
    for container in [&inner, &innermost, &other] {
        scene.make(container, true);
    }
    assert_eq!(scene.ask(7, ContainerCall::Wait(innermost.clone())), None);
    scene.actions.clear();
    scene.exit(&group[0], ExitStatus::Exited(0));
    assert_eq!(scene.answer(7), Some(ContainerAnswer::Ended(KILLED)));
    let abandoned: Vec<_> = scene
        .actions
        .drain(..)
        .map(|action| match action {
            Action::Abandon { container } => container,
            action => panic!("unexpected {action:?}"),
        })
        .collect();
    assert_eq!(abandoned, [inner, innermost]);
    assert_eq!(scene.ask(8, ContainerCall::Wait(other.clone())), None);
    scene.exit(&group[1], ExitStatus::Exited(0));
    assert_eq!(scene.answer(8), Some(ContainerAnswer::Ended(KILLED)));
}

#[test]
fn a_session_ends_when_nobody_wants_it() {
    let mut scene = Scene::new();
    let parent = scene.start(task("t", "sleep"));
    let session = parent.nested("session");
    scene.make(&session, true);
    scene.ask(2, ContainerCall::Destroy(session.clone()));
    let kill = Action::Signal {
        container: session.clone(),
        signal: Signal::Kill,
    };
    assert_eq!(scene.actions.pop(), Some(kill));
    scene.exit(&session, KILLED);
    let ended = Some(ContainerAnswer::Ended(KILLED));
    assert_eq!(scene.ask(3, ContainerCall::Wait(session)), ended);
}

#[test]
fn the_end_of_a_task_can_be_waited_for_as_that_of_any_container() {
    let mut scene = Scene::new();
    let container = scene.start(task("t", "sleep"));
    assert_eq!(scene.ask(1, ContainerCall::Wait(container.clone())), None);
    assert!(matches!(
        scene.ask(2, ContainerCall::Attach(container.clone())),
        Some(ContainerAnswer::Refused(500, _))
    ));
    scene.exit(&container, ExitStatus::Exited(3));
    let ended = Some(ContainerAnswer::Ended(ExitStatus::Exited(3)));
    assert_eq!(scene.answer(1), ended);
}
