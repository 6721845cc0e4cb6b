//! The simulation itself: what its checks say of frameworks that break a rule
//! in the plainest way.

use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::{ids, task, v1};

use super::*;

/// Does one thing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    UsesAnOfferTwice,
    LaunchesTwice,
    Forgets,
    Spins,
    NeverComesToIt,
}

struct Wrong {
    fault: Fault,
    id: Option<v1::FrameworkId>,
    task: Option<v1::AgentId>,
}

impl Framework for Wrong {
    type Change = (Option<v1::FrameworkId>, Option<v1::AgentId>);

    fn step(&mut self, _: Now, input: Input) -> Effects<Self::Change> {
        let mut effects = Effects::new();
        match input {
            Input::Subscribed { framework_id } => {
                self.id = Some(framework_id);
                effects.save((self.id.clone(), None));
            }
            Input::Offers(offers) => {
                let work = task::command("t", "work").cpus(0.5).mem_mib(32.0);
                for offer in offers {
                    let is_first = self.task.is_none();
                    if self.fault != Fault::NeverComesToIt
                        && (is_first || self.fault == Fault::LaunchesTwice)
                    {
                        self.task = Some(offer.agent_id.clone());
                        effects.save((self.id.clone(), self.task.clone()));
                        effects.launch(&offer, work.for_offer(&offer).into_iter().collect());
                        if self.fault == Fault::UsesAnOfferTwice {
                            effects.decline(&offer, None);
                        }
                    } else {
                        effects.decline(&offer, None);
                    }
                }
            }
            _ => {}
        }
        effects
    }

    fn wake_at(&self) -> Option<Now> {
        (self.fault == Fault::Spins).then_some(Now::ZERO)
    }

    fn framework_id(&self) -> Option<v1::FrameworkId> {
        self.id.clone()
    }

    fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        let is_known = self.task.is_some() && self.fault != Fault::Forgets;
        let task = is_known.then(|| (ids::task_id("t"), self.task.clone()));
        task.into_iter().collect()
    }

    fn unmet(&self) -> Option<String> {
        self.task.is_none().then(|| "nothing runs".to_owned())
    }
}

fn violation(fault: Fault) -> Violation {
    let info = FrameworkInfo::service("wrong").build();
    let simulation = Simulation::new(info, move |saved: &[_]| {
        let (id, task) = saved.last().cloned().unwrap_or_default();
        Wrong { fault, id, task }
    });
    let simulation = simulation.faults([]).script(|_, _| Script::runs_for_ever());
    simulation.run(1).unwrap_err().violation
}

#[test]
fn an_offer_is_used_once() {
    let found = violation(Fault::UsesAnOfferTwice);
    assert!(matches!(found, Violation::OfferUsedTwice { .. }), "{found}");
}

#[test]
fn a_task_is_launched_once() {
    let found = violation(Fault::LaunchesTwice);
    assert_eq!(found, Violation::TaskLaunchedTwice { task: "t".into() });
}

#[test]
fn a_task_is_not_forgotten() {
    let found = violation(Fault::Forgets);
    assert_eq!(found, Violation::Forgotten { task: "t".into() });
}

#[test]
fn time_goes_on() {
    assert_eq!(violation(Fault::Spins), Violation::Spinning);
}

#[test]
fn what_is_wanted_comes_about() {
    let found = violation(Fault::NeverComesToIt);
    let what = "nothing runs".to_owned();
    assert_eq!(found, Violation::Unmet { what });
}
