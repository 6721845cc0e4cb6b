//! Whether the master's books agree with each other. For simulations: a master
//! that is right need not ask.

use mesos_sdk::resources::Resources;

use super::Master;
use super::state::is_terminal;

impl Master {
    /// Compares what is offered and what tasks and executors hold of each agent
    /// with what the allocator has booked, and that with what the agent has.
    pub(crate) fn audit(&self) -> Result<(), String> {
        for (key, agent) in &self.state.agents {
            let mut held = Resources::new();
            for offer in &agent.offers {
                let offer = self.state.offers.get(offer);
                held += &offer.ok_or("an offer is not known")?.resources;
            }
            for (framework, task) in &agent.tasks {
                let framework = self.state.frameworks.get(framework);
                let task = framework.and_then(|framework| framework.tasks.get(task));
                let task = task.ok_or_else(|| format!("a task of agent {key} is not known"))?;
                if !is_terminal(task.state()) {
                    held += Resources::from(task.resources.as_slice());
                }
            }
            for framework in self.state.frameworks.values() {
                let executors = framework.executors.get(key);
                for executor in executors.iter().flat_map(|all| all.values()) {
                    held += Resources::from(executor.resources.as_slice());
                }
            }
            let booked = self.allocator.agent_allocated(key);
            let booked = booked.ok_or_else(|| format!("agent {key} is not in the books"))?;
            if !(booked.contains(&held) && held.contains(booked)) {
                return Err(format!("agent {key}: {held} are held, {booked} booked"));
            }
            let total = self.allocator.agent_total(key).cloned().unwrap_or_default();
            if !total.contains(&booked.unallocate()) {
                return Err(format!("agent {key} has {total}, and {booked} are booked"));
            }
        }
        Ok(())
    }
}
