//! Whatever happens in whichever order: nothing is launched twice, an upgrade
//! never goes below its minimum by its own doing, and when the faults stop all
//! is as it is wanted.

use std::time::Duration;

use mesos_sdk::v1::TaskState;
use proptest::prelude::*;
use serde_json::json;

use crate::request::Request;

use super::indexes::indexes_hold;
use super::world::World;

#[derive(Clone, Debug)]
enum Happening {
    Offer,
    GoOn,
    Answer,
    Pass(u8),
    Fail(u8),
    Lose(u8),
    Return(u8),
    Restart,
    Disconnect,
    Scale(u8, u8),
    Change(u8, u8),
    Delete(u8),
    RestartApp(u8),
    CancelFirst(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        4 => Just(Offer),
        8 => Just(GoOn),
        2 => Just(Answer),
        4 => any::<u8>().prop_map(Pass),
        2 => any::<u8>().prop_map(Fail),
        1 => any::<u8>().prop_map(Lose),
        1 => any::<u8>().prop_map(Return),
        1 => Just(Restart),
        1 => Just(Disconnect),
        2 => (any::<u8>(), 0..6_u8).prop_map(|(app, count)| Scale(app, count)),
        2 => any::<(u8, u8)>().prop_map(|(app, value)| Change(app, value)),
        1 => any::<u8>().prop_map(Delete),
        1 => any::<u8>().prop_map(RestartApp),
        1 => any::<bool>().prop_map(CancelFirst),
    ]
}

fn app(number: u8) -> String {
    format!("/app{}", number % 3)
}

fn happen(world: &mut World, happening: &Happening) {
    let nth_task = |world: &World, number: u8| {
        let count = world.tasks.len().max(1);
        world.tasks.keys().nth(usize::from(number) % count).cloned()
    };
    match happening {
        Happening::Offer => world.offer(),
        Happening::GoOn => {
            world.go_on();
        }
        Happening::Answer => {
            world.answer();
        }
        Happening::Pass(seconds) => world.pass(Duration::from_secs(u64::from(*seconds))),
        Happening::Fail(number) => {
            if let Some(task) = nth_task(world, *number) {
                world.tell(&task, TaskState::TaskFailed);
            }
        }
        Happening::Lose(number) => {
            if let Some(task) = nth_task(world, *number) {
                world.tell(&task, TaskState::TaskUnreachable);
            }
        }
        Happening::Return(number) => {
            let lost: Vec<_> = world
                .tasks
                .iter()
                .filter(|(_, (_, state))| *state == TaskState::TaskUnreachable)
                .map(|(id, _)| id.clone())
                .collect();
            if let Some(task) = lost.get(usize::from(*number) % lost.len().max(1)) {
                world.tell(task, TaskState::TaskRunning);
            }
        }
        Happening::Restart => world.restart(),
        Happening::Disconnect => {
            world.step(crate::effects::Input::Disconnected);
            world.subscribe();
        }
        Happening::Scale(number, count) => {
            let body = json!({"cmd": "sleep 1", "instances": count});
            let _ = world.try_update(&app(*number), body, true);
        }
        Happening::Change(number, value) => {
            let body = json!({"cmd": "sleep 1", "env": {"V": value.to_string()}});
            let _ = world.try_update(&app(*number), body, value % 2 == 0);
        }
        Happening::Delete(number) => {
            let id = app(*number).parse().unwrap();
            world.ask(Request::DeleteApp { id, force: true });
        }
        Happening::RestartApp(number) => {
            let id = app(*number).parse().unwrap();
            world.ask(Request::Restart { id, force: true });
        }
        Happening::CancelFirst(force) => {
            if let Some(id) = world.state.deployments.keys().next().cloned() {
                world.ask(Request::CancelDeployment { id, force: *force });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn when_the_faults_stop_all_is_as_it_is_wanted(
        happenings in proptest::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new();
        world.create(json!({"id": "/app0", "cmd": "sleep 1", "instances": 3}));
        for happening in &happenings {
            happen(&mut world, happening);
            indexes_hold(&world.state);
            for instance in world.state.instances.values() {
                prop_assert!(
                    world.state.definition_of(instance).is_some(),
                    "{} has no definition", instance.id
                );
            }
        }
        // Agents out of reach come back, delays pass.
        let lost: Vec<String> = world
            .tasks
            .iter()
            .filter(|(_, (_, state))| *state == TaskState::TaskUnreachable)
            .map(|(id, _)| id.clone())
            .collect();
        for task in lost {
            world.tell(&task, TaskState::TaskRunning);
        }
        for _ in 0..3 {
            world.settle();
            world.pass(Duration::from_secs(400));
        }
        world.settle();
        prop_assert!(world.state.deployments.is_empty());
        for app in world.state.root.apps() {
            prop_assert_eq!(world.running(&app.id.to_string()).len(), app.instances as usize);
        }
        let wanted: u32 = world.state.root.apps().map(|app| app.instances).sum();
        prop_assert_eq!(world.tasks.len(), wanted as usize);
    }
}
