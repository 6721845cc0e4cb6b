//! What goes wrong, when, and how it comes right again.

use std::time::Duration;

use super::{Happening, World};
use crate::agent::Input;
use crate::simulation::framework::Framework;
use crate::simulation::judge::Sight;
use crate::simulation::network::Route;
use crate::simulation::plan::Fault;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

impl<F: Framework> World<'_, F> {
    /// Each seed has faults of its own: where everything breaks all the time
    /// some things never come about.
    pub(super) fn plan_faults(&mut self) {
        let mut faults = Vec::new();
        for fault in &self.plan.faults {
            if self.chance.permille(600) {
                faults.push(*fault);
            }
        }
        if faults.is_empty() {
            faults.clone_from(&self.plan.faults);
        }
        self.faults = faults;
        self.next_fault();
    }

    fn next_fault(&mut self) {
        if !self.faults.is_empty() {
            let delay = self.chance.around(self.plan.fault_interval);
            self.after(delay, Happening::Fault);
        }
    }

    pub(super) fn fault(&mut self) {
        if self.is_healed {
            return;
        }
        let fault = self.faults[self.chance.index(self.faults.len())];
        let host = self.chance.index(self.hosts.len());
        self.break_something(fault, host);
        self.next_fault();
    }

    fn break_something(&mut self, fault: Fault, host: usize) {
        self.note(|| match fault {
            Fault::AgentCrash
            | Fault::MachineCrash
            | Fault::MachineLoss
            | Fault::AgentLeave
            | Fault::AgentPartition
            | Fault::LinkBreak => format!("fault: {fault:?} of agent-{host}"),
            _ => format!("fault: {fault:?}"),
        });
        match fault {
            // As a rule while it is at work, where it matters most.
            Fault::FrameworkCrash if self.chance.permille(800) => {
                self.doom = Some(self.chance.below(4));
            }
            Fault::FrameworkCrash => {
                let away_for = self.chance.around(20 * SECOND);
                self.end_process(away_for);
            }
            Fault::FrameworkPartition => {
                self.network.is_framework_cut = true;
                let lasts = self.chance.around(MINUTE);
                self.after(lasts, Happening::HealFramework);
            }
            Fault::StreamCut => {
                if let Some(connection) = self.connection() {
                    self.network.breaks(Route::Events(connection));
                    let delay = self.dice.around(SECOND);
                    self.after(delay, Happening::StreamGone(self.reign, connection));
                    if !self.chance.permille(300) {
                        self.end_stream(connection);
                    }
                }
            }
            Fault::MasterFailover => {
                self.end_master();
                let delay = self.chance.around(15 * SECOND);
                self.after(delay, Happening::NewMaster);
            }
            Fault::AgentCrash => {
                let away_for = self.chance.around(20 * SECOND);
                let how = Input::Crashed {
                    with_machine: false,
                };
                self.end_host(host, how, away_for);
            }
            Fault::MachineCrash => {
                let away_for = self.chance.around(2 * MINUTE);
                self.end_host(host, Input::Crashed { with_machine: true }, away_for);
            }
            Fault::MachineLoss => self.lose_machine(host),
            Fault::AgentLeave => {
                let away_for = self.chance.around(30 * SECOND);
                self.end_host(host, Input::Unregister, away_for);
            }
            Fault::AgentPartition => {
                self.network.cut_agents.insert(host);
                let lasts = self.chance.around(2 * MINUTE);
                self.after(lasts, Happening::HealAgent(host));
            }
            Fault::Halves => {
                let lasts = self.chance.around(2 * MINUTE);
                for index in 0..self.hosts.len() {
                    if self.chance.permille(500) {
                        self.network.cut_agents.insert(index);
                        self.after(lasts, Happening::HealAgent(index));
                    }
                }
                if self.chance.permille(500) {
                    self.network.is_framework_cut = true;
                    self.after(lasts, Happening::HealFramework);
                }
            }
            Fault::LinkBreak => self.break_link(host),
            Fault::Slowness => {
                self.network.is_slow = true;
                let lasts = self.chance.around(MINUTE);
                self.after(lasts, Happening::HealWeather);
            }
            Fault::Loss => {
                self.network.is_lossy = true;
                let lasts = self.chance.around(3 * MINUTE);
                self.after(lasts, Happening::HealWeather);
            }
        }
    }

    /// Both sides notice that what they had has ended.
    pub(super) fn heal_framework(&mut self) {
        if !std::mem::take(&mut self.network.is_framework_cut) {
            return;
        }
        self.note(|| "healed: the framework reaches the master".to_owned());
        if let Some(connection) = self.connection()
            && self.network.is_broken(Route::Events(connection))
        {
            self.end_stream(connection);
            let delay = self.dice.around(SECOND);
            self.after(delay, Happening::StreamGone(self.reign, connection));
        }
    }

    pub(super) fn heal_agent(&mut self, index: usize) {
        if self.network.cut_agents.remove(&index) {
            self.note(|| format!("healed: agent-{index} reaches the master"));
            self.break_link(index);
        }
    }

    /// From here on nothing breaks any more.
    pub(super) fn all_healed(&mut self) {
        self.note(|| "healed: everything, for good".to_owned());
        self.is_healed = true;
        self.show(Sight::Healed);
        self.doom = None;
        self.heal_framework();
        for index in 0..self.hosts.len() {
            self.heal_agent(index);
        }
        self.network.is_slow = false;
        self.network.is_lossy = false;
        self.new_master();
        self.after(Duration::ZERO, Happening::StartProcess);
        self.look();
    }
}
