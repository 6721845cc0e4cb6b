//! Machines that will be down: the schedule, the modes of machines, and the
//! inverse offers that ask frameworks to leave
//! (`docs/maintenance.md`, `src/master/maintenance.cpp`).

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::v1;
use mesos_sdk::v1::machine_info::Mode;
use mesos_sdk::v1::maintenance::{ClusterStatus, Schedule, cluster_status};

use super::state::AgentKey;
use super::{Master, Reply};
use crate::messages::{AgentRegistration, ToAgent};
use crate::time::Timestamp;

/// A machine's host name, in lower case, and address, each of which may be
/// left out: what makes two ids the same.
pub(super) type MachineKey = (Option<String>, Option<String>);

/// What is planned, and what frameworks said to it.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    pub(super) schedule: Schedule,
    /// Machines in the schedule; those that are not are up.
    pub(super) machines: BTreeMap<MachineKey, v1::MachineInfo>,
    /// The last answer to an inverse offer, by agent and framework.
    pub(super) answers: BTreeMap<AgentKey, BTreeMap<String, v1::allocator::InverseOfferStatus>>,
    /// Until when a framework wants no inverse offer of an agent.
    pub(super) filters: BTreeMap<(String, AgentKey), Timestamp>,
}

impl Maintenance {
    pub(super) fn new(schedule: Schedule, machines: Vec<v1::MachineInfo>) -> Self {
        Self {
            schedule,
            machines: machines
                .into_iter()
                .map(|machine| (machine_key(&machine.id), machine))
                .collect(),
            ..Self::default()
        }
    }
}

impl Master {
    /// UPDATE_MAINTENANCE_SCHEDULE: machines that are new in the schedule begin
    /// to drain, those that are no longer in it are up again.
    pub(super) fn update_maintenance_schedule(&mut self, schedule: Schedule) -> Reply {
        if let Err(text) = self.check_schedule(&schedule) {
            return Reply::new(400, text);
        }
        let mut wanted = BTreeMap::new();
        for window in &schedule.windows {
            for id in &window.machine_ids {
                wanted.insert(machine_key(id), (id.clone(), window.unavailability));
            }
        }
        let known = std::mem::take(&mut self.state.maintenance.machines);
        let removed: Vec<MachineKey> = known
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        let changed: Vec<MachineKey> = wanted.keys().cloned().collect();
        self.state.maintenance.machines = wanted
            .into_iter()
            .map(|(key, (id, unavailability))| {
                let mode = known
                    .get(&key)
                    .map_or(Mode::Draining, v1::MachineInfo::mode);
                let machine = v1::MachineInfo {
                    id,
                    mode: Some(mode.into()),
                    unavailability: Some(unavailability),
                };
                (key, machine)
            })
            .collect();
        self.state.maintenance.schedule = schedule;
        for key in removed.into_iter().chain(changed) {
            self.unavailability_changed(&key);
        }
        self.allocate();
        Reply::new(200, "")
    }

    /// Frameworks learn of it at once: what stands of these agents is taken
    /// back and offered anew.
    fn unavailability_changed(&mut self, machine: &MachineKey) {
        for agent in self.agents_on(machine) {
            self.state.maintenance.answers.remove(&agent);
            self.state
                .maintenance
                .filters
                .retain(|(_, filtered), _| *filtered != agent);
            self.rescind_offers_of_agent(&agent);
            self.rescind_inverse_offers_of_agent(&agent);
        }
    }

    /// START_MAINTENANCE: the agents are told to end, and their tasks are lost.
    pub(super) fn start_maintenance(&mut self, machines: &[v1::MachineId]) -> Reply {
        const WHY: &str = "Operator initiated 'Machine DOWN'";
        let not_draining = |id: &v1::MachineId| {
            let id = machine_json(id);
            let text = format!("Machine '{id}' is not in DRAINING mode and cannot be brought down");
            Reply::new(400, text)
        };
        if let Err(reply) = self.check_machines(machines, Mode::Draining, not_draining) {
            return reply;
        }
        for id in machines {
            let key = machine_key(id);
            for agent in self.agents_on(&key) {
                let message = WHY.to_owned();
                self.send_to_agent(&agent, ToAgent::Shutdown { message });
                self.remove_agent(&agent, WHY);
            }
            if let Some(machine) = self.state.maintenance.machines.get_mut(&key) {
                machine.set_mode(Mode::Down);
            }
            self.notice(format!("machine {} is down", machine_text(id)));
        }
        Reply::new(200, "")
    }

    /// STOP_MAINTENANCE: the machines are up and no longer in the schedule.
    pub(super) fn stop_maintenance(&mut self, machines: &[v1::MachineId]) -> Reply {
        let not_down = |id: &v1::MachineId| {
            let id = machine_json(id);
            let text = format!("Machine '{id}' is not in DOWN mode and cannot be brought up");
            Reply::new(400, text)
        };
        if let Err(reply) = self.check_machines(machines, Mode::Down, not_down) {
            return reply;
        }
        let keys: BTreeSet<MachineKey> = machines.iter().map(machine_key).collect();
        let maintenance = &mut self.state.maintenance;
        maintenance.machines.retain(|key, _| !keys.contains(key));
        for window in &mut maintenance.schedule.windows {
            window
                .machine_ids
                .retain(|id| !keys.contains(&machine_key(id)));
        }
        maintenance
            .schedule
            .windows
            .retain(|window| !window.machine_ids.is_empty());
        Reply::new(200, "")
    }

    fn check_schedule(&self, schedule: &Schedule) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for window in &schedule.windows {
            if window.machine_ids.is_empty() {
                return Err("List of machines in the maintenance window is empty".to_owned());
            }
            let duration = window.unavailability.duration;
            if duration.is_some_and(|duration| duration.nanoseconds < 0) {
                return Err("Unavailability 'duration' is negative".to_owned());
            }
            check_unique(&window.machine_ids, &mut seen)?;
        }
        let missing = self
            .state
            .maintenance
            .machines
            .iter()
            .find(|(key, machine)| machine.mode() == Mode::Down && !seen.contains(*key));
        match missing {
            Some((_, machine)) => Err(format!(
                "Machine '{}' is deactivated and cannot be removed from the schedule",
                machine_json(&machine.id)
            )),
            None => Ok(()),
        }
    }

    fn check_machines(
        &self,
        machines: &[v1::MachineId],
        mode: Mode,
        wrong_mode: impl Fn(&v1::MachineId) -> Reply,
    ) -> Result<(), Reply> {
        let bad = |text: String| Reply::new(400, text);
        if machines.is_empty() {
            return Err(bad("List of machines is empty".to_owned()));
        }
        check_unique(machines, &mut BTreeSet::new()).map_err(bad)?;
        for id in machines {
            let key = machine_key(id);
            match self.state.maintenance.machines.get(&key) {
                Some(machine) if machine.mode() == mode => {}
                None if self.agents_on(&key).is_empty() => {
                    return Err(bad(format!(
                        "Machine '{}' is not part of a maintenance schedule",
                        machine_json(id)
                    )));
                }
                _ => return Err(wrong_mode(id)),
            }
        }
        Ok(())
    }

    fn agents_on(&self, machine: &MachineKey) -> Vec<AgentKey> {
        let agents = self.state.agents.iter();
        agents
            .filter(|(_, agent)| machine_key(&machine_of(&agent.registration)) == *machine)
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn machine(&self, agent: &str) -> Option<&v1::MachineInfo> {
        if self.state.maintenance.machines.is_empty() {
            return None;
        }
        let agent = self.state.agents.get(agent)?;
        let key = machine_key(&machine_of(&agent.registration));
        self.state.maintenance.machines.get(&key)
    }

    /// When an agent's machine will be down, if that is planned.
    pub(super) fn unavailability_of(&self, agent: &str) -> Option<v1::Unavailability> {
        self.machine(agent)?.unavailability
    }

    /// The agent's machine, when it is in the schedule.
    pub(super) fn scheduled_machine_of(&self, agent: &str) -> Option<v1::MachineId> {
        Some(self.machine(agent)?.id.clone())
    }

    /// Whether an agent runs on a machine that is down, and may not register.
    pub(super) fn is_machine_down(&self, registration: &AgentRegistration) -> bool {
        let key = machine_key(&machine_of(registration));
        let machine = self.state.maintenance.machines.get(&key);
        machine.is_some_and(|machine| machine.mode() == Mode::Down)
    }

    pub(super) fn cluster_status(&self) -> ClusterStatus {
        let mut status = ClusterStatus::default();
        for (key, machine) in &self.state.maintenance.machines {
            match machine.mode() {
                Mode::Draining => {
                    let agents = self.agents_on(key);
                    let answers = agents
                        .iter()
                        .filter_map(|agent| self.state.maintenance.answers.get(agent))
                        .flat_map(BTreeMap::values);
                    status
                        .draining_machines
                        .push(cluster_status::DrainingMachine {
                            id: machine.id.clone(),
                            statuses: answers.cloned().collect(),
                        });
                }
                Mode::Down => status.down_machines.push(machine.id.clone()),
                Mode::Up => {}
            }
        }
        status
    }
}

fn machine_of(registration: &AgentRegistration) -> v1::MachineId {
    v1::MachineId {
        hostname: Some(registration.info.hostname.clone()),
        ip: Some(registration.address.ip().to_string()),
    }
}

pub(super) fn machine_key(id: &v1::MachineId) -> MachineKey {
    let hostname = id.hostname.as_ref().map(|name| name.to_lowercase());
    (hostname, id.ip.clone())
}

fn check_unique(machines: &[v1::MachineId], seen: &mut BTreeSet<MachineKey>) -> Result<(), String> {
    for id in machines {
        if id.hostname().is_empty() && id.ip().is_empty() {
            return Err("Both 'hostname' and 'ip' for a machine are empty".to_owned());
        }
        if !id.ip().is_empty() && id.ip().parse::<std::net::Ipv4Addr>().is_err() {
            return Err(format!("Failed to parse IP '{}'", id.ip()));
        }
        if !seen.insert(machine_key(id)) {
            return Err(format!(
                "Machine '{}' appears more than once in the schedule",
                machine_json(id)
            ));
        }
    }
    Ok(())
}

/// `{"hostname":"h","ip":"1.2.3.4"}`
fn machine_json(id: &v1::MachineId) -> String {
    mesos_proto::json::to_value(id).to_string()
}

/// `h (1.2.3.4)`
pub(super) fn machine_text(id: &v1::MachineId) -> String {
    match (&id.hostname, &id.ip) {
        (Some(hostname), Some(ip)) => format!("{hostname} ({ip})"),
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => String::new(),
    }
}
