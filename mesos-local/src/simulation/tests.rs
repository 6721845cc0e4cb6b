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
    Blameless,
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

/// Wants no task to run.
struct Strict {
    is_healed: bool,
}

impl Judge for Strict {
    fn see(&mut self, _: Now, sight: Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::TaskStarted { task, agent } if !self.is_healed => {
                Err(format!("{task} runs on {agent}"))
            }
            Sight::Healed => {
                self.is_healed = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn unmet(&self) -> Option<String> {
        Some("the judge is never content".to_owned())
    }
}

#[test]
fn a_judge_has_a_say() {
    let violation = |is_healed, fault| {
        let info = FrameworkInfo::service("judged").build();
        let simulation = Simulation::new(info, move |saved: &[_]| {
            let (id, task) = saved.last().cloned().unwrap_or_default();
            Wrong { fault, id, task }
        });
        let simulation = simulation
            .judge(move |_| Box::new(Strict { is_healed }))
            .faults([])
            .script(|_, _| Script::runs_for_ever());
        simulation.run(1).unwrap_err().violation
    };
    let found = violation(false, Fault::Blameless);
    assert!(found.to_string().starts_with("t runs on agent-"), "{found}");
    let what = "the judge is never content".to_owned();
    assert_eq!(violation(true, Fault::Blameless), Violation::Unmet { what });
}

/// An answer waits for what is saved before it, and one that a crash cuts off is
/// never given.
#[test]
fn an_answer_follows_what_it_tells_of() {
    #[derive(Default)]
    struct Log(std::cell::RefCell<Vec<u64>>);
    struct Answers {
        log: std::rc::Rc<Log>,
        saved: u64,
    }
    impl Framework for Answers {
        type Change = u64;
        fn step(&mut self, _: Now, input: Input) -> Effects<u64> {
            let mut effects = Effects::new();
            if let Input::Subscribed { .. } = input {
                self.saved += 1;
                effects.save(self.saved);
                let (log, number) = (std::rc::Rc::clone(&self.log), self.saved);
                effects.then(move || log.0.borrow_mut().push(number));
            }
            effects
        }
        fn framework_id(&self) -> Option<v1::FrameworkId> {
            None
        }
        fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
            Vec::new()
        }
        fn unmet(&self) -> Option<String> {
            None
        }
    }
    let log = std::rc::Rc::new(Log::default());
    let shared = std::rc::Rc::clone(&log);
    let torn = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = std::rc::Rc::clone(&torn);
    let info = FrameworkInfo::service("answers").build();
    let simulation = Simulation::new(info, move |saved: &[u64]| {
        let saved = saved.last().copied().unwrap_or_default();
        // Every answer that was given tells of something that was saved.
        assert!(shared.0.borrow().last().is_none_or(|last| *last <= saved));
        Answers {
            log: std::rc::Rc::clone(&shared),
            saved,
        }
    });
    let simulation = simulation
        .faults([super::Fault::FrameworkCrash])
        .fault_interval(Duration::from_secs(20))
        .torn_saves(move |_, _, _| {
            counted.set(counted.get() + 1);
            false
        });
    simulation.run(1).unwrap();
    assert!(log.0.borrow().len() > 10 && torn.get() > 10);
    let numbers = log.0.borrow();
    assert!(numbers.is_sorted(), "what was torn is done again");
}
