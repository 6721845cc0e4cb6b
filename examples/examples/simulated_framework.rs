//! A framework that runs one task until it has finished meets every fault in
//! virtual time. The bug that is planted in it is found by a seed, again and again.

use mesos_local::simulation::{Effects, Framework, Input, Now, Simulation};
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::{ids, task, v1};

/// All there is to know; saved as a whole, whenever it changes.
#[derive(Debug, Clone, Default)]
struct Job {
    id: Option<v1::FrameworkId>,
    /// The agent of the present try.
    agent: Option<v1::AgentId>,
    tries: u32,
    is_done: bool,
    has_bug: bool,
}

impl Framework for Job {
    type Change = Self;

    fn step(&mut self, _: Now, input: Input) -> Effects<Self> {
        let mut effects = Effects::new();
        match input {
            Input::Subscribed { framework_id } => {
                self.id = Some(framework_id);
                effects.save(self.clone());
            }
            Input::Offers(offers) => {
                for offer in offers {
                    let task = task::command((self.tries + 1).to_string(), "work").cpus(1.0);
                    match task.for_offer(&offer) {
                        Some(task) if self.agent.is_none() && !self.is_done => {
                            self.tries += 1;
                            self.agent = Some(offer.agent_id.clone());
                            effects.save(self.clone());
                            effects.launch(&offer, vec![task]);
                        }
                        _ => effects.decline(&offer, None),
                    }
                }
            }
            Input::Update(update) => {
                if self.has_bug {
                    effects.acknowledge(&update); // Too early: nothing is saved yet.
                }
                let is_mine = self.agent.is_some() && update.task_id() == self.tries.to_string();
                if is_mine && update.may_be_forgotten() {
                    self.agent = None;
                    self.is_done = update.state() == v1::TaskState::TaskFinished;
                    effects.save(self.clone());
                } else if !is_mine && !update.may_be_forgotten() {
                    effects.kill(&update.status.task_id, update.status.agent_id.as_ref());
                }
            }
            _ => {}
        }
        effects
    }

    fn framework_id(&self) -> Option<v1::FrameworkId> {
        self.id.clone()
    }

    fn tasks(&self) -> Vec<(v1::TaskId, Option<v1::AgentId>)> {
        let id = || ids::task_id(self.tries.to_string());
        self.agent
            .iter()
            .map(|agent| (id(), Some(agent.clone())))
            .collect()
    }

    fn unmet(&self) -> Option<String> {
        (!self.is_done).then(|| format!("try {} has not finished", self.tries))
    }
}

fn main() {
    let simulation = |has_bug| {
        let info = FrameworkInfo::service("job").build();
        Simulation::new(info, move |saved: &[Job]| Job {
            has_bug,
            ..saved.last().cloned().unwrap_or_default()
        })
    };
    let totals = simulation(false).run_seeds(0..20).expect("no bug");
    println!("20 seeds, {} launches, nothing found", totals.launches);
    let failure = simulation(true).run_seeds(0..200).expect_err("a bug");
    println!("seed {} finds it: {}", failure.seed, failure.violation);
    let again = simulation(true).run(failure.seed).expect_err("a bug");
    println!("and again: {}", again == failure);
}
