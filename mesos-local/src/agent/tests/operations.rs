//! Operations: done, told until they are acknowledged, and kept over a change
//! of the master; draining.

use std::time::Duration;

use mesos_sdk::resources::Resources;
use v1::OperationState::{OperationDropped, OperationFailed, OperationFinished};
use v1::offer::operation::Type;

use super::scene::Scene;
use super::*;
use crate::agent::{Action, Agent, Input, VolumeChanges};
use crate::messages::{FromAgent, OperationUpdate, ToAgent};

const KEY: [u8; 16] = [7; 16];

fn scene() -> Scene {
    let mut scene = Scene::new();
    let mut config = config(Path::new("/agent"));
    config.resources = Resources::parse("cpus:4;disk:1000", "*")
        .unwrap()
        .into_vec();
    scene.agent = Agent::new(Arc::new(config), scene.now);
    scene.give(Input::Connected);
    scene.tell(ToAgent::Registered {
        agent_id: agent_id(),
    });
    scene.messages.clear();
    scene
}

fn reserved(mib: f64) -> v1::Resource {
    v1::Resource {
        name: "disk".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: mib }),
        reservations: vec![v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("db".into()),
            ..Default::default()
        }],
        // As a framework's operation has it.
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("db".into()),
        }),
        ..Default::default()
    }
}

fn volume(mib: f64) -> v1::Resource {
    v1::Resource {
        disk: Some(Box::new(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence {
                id: "v".into(),
                principal: None,
            }),
            volume: Some(v1::Volume {
                container_path: "data".into(),
                mode: v1::volume::Mode::Rw.into(),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..reserved(mib)
    }
}

fn reserve(mib: f64, id: Option<&str>) -> v1::offer::Operation {
    v1::offer::Operation {
        r#type: Some(Type::Reserve.into()),
        id: id.map(|id| v1::OperationId { value: id.into() }),
        reserve: Some(v1::offer::operation::Reserve {
            source: Vec::new(),
            resources: vec![reserved(mib)],
        }),
        ..Default::default()
    }
}

fn create() -> v1::offer::Operation {
    v1::offer::Operation {
        r#type: Some(Type::Create.into()),
        create: Some(v1::offer::operation::Create {
            volumes: vec![volume(64.0)],
        }),
        ..Default::default()
    }
}

fn apply(scene: &mut Scene, info: v1::offer::Operation) {
    scene.tell(ToAgent::ApplyOperation {
        framework_id: Some(framework_id()),
        info,
        operation: KEY.to_vec(),
    });
}

fn updates(scene: &mut Scene) -> Vec<OperationUpdate> {
    let messages = std::mem::take(&mut scene.messages);
    let update = |message| match message {
        FromAgent::OperationUpdate(update) => Some(update),
        _ => None,
    };
    messages.into_iter().filter_map(update).collect()
}

#[test]
fn an_operation_with_an_id_is_told_until_it_is_acknowledged() {
    let mut scene = scene();
    apply(&mut scene, reserve(64.0, Some("op")));
    let first = updates(&mut scene).remove(0);
    assert_eq!(first.status.state(), OperationFinished);
    let mut kept = reserved(64.0);
    kept.allocation_info = None;
    assert_eq!(first.checkpointed_resources, [kept]);
    scene.pass(Duration::from_secs(9));
    assert!(updates(&mut scene).is_empty());
    scene.pass(Duration::from_secs(2));
    assert_eq!(updates(&mut scene), std::slice::from_ref(&first));
    scene.pass(Duration::from_secs(18));
    assert!(updates(&mut scene).is_empty());
    scene.pass(Duration::from_secs(2));
    assert_eq!(updates(&mut scene).len(), 1);
    // Nothing is told while no master listens, and all of it afterwards.
    scene.give(Input::Disconnected);
    scene.pass(Duration::from_secs(100));
    assert!(updates(&mut scene).is_empty());
    scene.give(Input::Connected);
    let registration = scene.messages.iter().find_map(|message| match message {
        FromAgent::Reregister { registration, .. } => Some(registration.clone()),
        _ => None,
    });
    assert_eq!(registration.unwrap().operations.len(), 1);
    scene.tell(ToAgent::Reregistered {
        agent_id: agent_id(),
        unknown_tasks: Vec::new(),
    });
    assert_eq!(updates(&mut scene), std::slice::from_ref(&first));
    let uuid = first.status.uuid.unwrap().value.to_vec();
    let acknowledge = |uuid: Vec<u8>| ToAgent::AcknowledgeOperation {
        operation: KEY.to_vec(),
        uuid,
    };
    scene.tell(acknowledge(vec![0; 16]));
    scene.pass(Duration::from_secs(11));
    assert_eq!(updates(&mut scene).len(), 1);
    scene.tell(acknowledge(uuid));
    scene.pass(Duration::from_secs(10_000));
    assert!(updates(&mut scene).is_empty());
}

#[test]
fn a_volume_is_confirmed_when_its_directory_is_there() {
    let mut scene = scene();
    apply(&mut scene, reserve(64.0, None));
    let told = updates(&mut scene).remove(0);
    assert!(told.status.uuid.is_none());
    apply(&mut scene, create());
    assert!(updates(&mut scene).is_empty());
    let expected = Action::ChangeVolumes {
        operation: KEY.to_vec(),
        volumes: VolumeChanges {
            made: vec!["/agent/volumes/roles/db/v".into()],
            removed: Vec::new(),
        },
    };
    assert_eq!(scene.actions.pop(), Some(expected));
    scene.give(Input::VolumesChanged {
        operation: KEY.to_vec(),
        problem: None,
    });
    let told = updates(&mut scene).remove(0);
    assert_eq!(told.status.state(), OperationFinished);
    assert_eq!(told.checkpointed_resources.len(), 1);
    assert!(told.checkpointed_resources[0].disk.is_some());
}

#[test]
fn what_cannot_be_done_is_undone() {
    let mut scene = scene();
    apply(&mut scene, reserve(5000.0, Some("op")));
    let told = updates(&mut scene).remove(0);
    assert_eq!(told.status.state(), OperationDropped);
    assert!(told.checkpointed_resources.is_empty());
    apply(&mut scene, reserve(64.0, None));
    let before = updates(&mut scene).remove(0).checkpointed_resources;
    apply(&mut scene, create());
    scene.give(Input::VolumesChanged {
        operation: KEY.to_vec(),
        problem: Some("no space left".into()),
    });
    let told = updates(&mut scene).remove(0);
    assert_eq!(told.status.state(), OperationFailed);
    assert_eq!(told.status.message(), "no space left");
    assert_eq!(told.checkpointed_resources, before);
}

fn drain(scene: &mut Scene, mark_gone: bool) {
    scene.tell(ToAgent::Drain {
        config: v1::DrainConfig {
            max_grace_period: Some(v1::DurationInfo {
                nanoseconds: 1_000_000_000,
            }),
            mark_gone: Some(mark_gone),
        },
    });
}

#[test]
fn a_drained_agent_says_why_its_tasks_end() {
    let mut scene = scene();
    let container = scene.start(task("t", "sleep 1000"));
    scene.sent.clear();
    drain(&mut scene, false);
    assert_eq!(scene.sent[0].state(), v1::TaskState::TaskKilling);
    let reason = v1::task_status::Reason::AgentDraining;
    assert_eq!(scene.sent[0].reason(), reason);
    // The operator grants a second, not the default.
    scene.actions.clear();
    scene.pass(Duration::from_millis(1100));
    let is_killed = |action: &Action| {
        let kill = crate::agent::Signal::Kill;
        matches!(action, Action::Signal { signal, .. } if *signal == kill)
    };
    assert!(scene.actions.iter().any(is_killed));
    // What comes meanwhile is dropped.
    scene.tell(ToAgent::RunTask {
        framework: scene.framework.clone(),
        task: task("late", "true"),
    });
    let dropped = scene.sent.last().unwrap();
    assert_eq!(dropped.state(), v1::TaskState::TaskDropped);
    assert_eq!(dropped.reason(), reason);
    scene.give(Input::Exited {
        container,
        status: crate::agent::ExitStatus::Signaled {
            signal: 9,
            core_dumped: false,
        },
    });
    let killed = scene.sent.last().unwrap();
    assert_eq!(killed.state(), v1::TaskState::TaskKilled);
    assert_eq!(killed.reason(), reason);
    // Nothing is left: tasks are welcome again.
    scene.run(task("next", "true"));
}

#[test]
fn tasks_of_an_agent_that_goes_for_good_are_gone() {
    let mut scene = scene();
    let container = scene.start(task("t", "sleep 1000"));
    drain(&mut scene, true);
    assert_eq!(
        scene.sent.last().unwrap().state(),
        v1::TaskState::TaskKilling
    );
    scene.give(Input::Exited {
        container,
        status: crate::agent::ExitStatus::Signaled {
            signal: 15,
            core_dumped: false,
        },
    });
    let gone = scene.sent.last().unwrap();
    assert_eq!(gone.state(), v1::TaskState::TaskGoneByOperator);
    assert_eq!(gone.reason(), v1::task_status::Reason::AgentDraining);
}
