//! What is to be placed.

use std::collections::{BTreeMap, BTreeSet};

use mesos_proto::v1;

use super::constraint::Constraint;
use crate::resources::{Ranges, Resources, Scalar};
use crate::task::Task;

/// A host port that an instance wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// Any port, drawn from the offered ones by the seed.
    Any,
    /// This port.
    Fixed(u16),
    /// Any port from the first to the last, both included.
    Within(u16, u16),
}

/// Which of the offered resources a demand takes, by reservation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Source {
    /// Reserved ones first, then unreserved ones.
    #[default]
    Any,
    /// Reserved ones only.
    Reserved,
    /// Unreserved ones only.
    Unreserved,
    /// Those whose reservation carries at least these labels.
    Labelled(BTreeMap<String, String>),
}

/// What to do with agents that offer GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Gpus {
    /// Agents with GPUs are as good as any other.
    #[default]
    Unrestricted,
    /// Agents with GPUs are for instances that want some. Demands for resources
    /// that exist on one agent only ([`Demand::exactly`]) are exempt.
    Restricted,
}

/// A number of equal instances, and what each of them wants.
///
/// ```
/// use mesos_sdk::placement::{Constraint, Demand, Port};
///
/// let web = Demand::new("web")
///     .count(3)
///     .cpus(0.5)
///     .mem_mib(128.0)
///     .port(Port::Any)
///     .constraint(Constraint::unique("hostname"));
/// assert_eq!(web.group_name(), "web");
/// ```
#[derive(Debug, Clone)]
pub struct Demand {
    pub(super) name: String,
    pub(super) group: Option<String>,
    pub(super) count: u32,
    pub(super) wants: Wants,
    pub(super) exact: Vec<v1::Resource>,
}

/// What makes two demands interchangeable, except for their groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Wants {
    pub(super) role: Option<String>,
    pub(super) scalars: BTreeMap<String, Scalar>,
    pub(super) revocable: BTreeSet<String>,
    pub(super) ports: Vec<Port>,
    pub(super) source: Source,
    pub(super) constraints: Vec<Constraint>,
    pub(super) agents: Option<BTreeSet<String>>,
    pub(super) gpus: Option<Gpus>,
}

impl Demand {
    /// One instance that wants nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            group: None,
            count: 1,
            wants: Wants::default(),
            exact: Vec::new(),
        }
    }

    /// One instance that wants what a task and its executor ask for; its name
    /// is the task's id.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let demand = Self::new(task.id()).resources(task.resources());
        match task.executor_resources() {
            Some(executor) => demand.resources(&executor),
            None => demand,
        }
    }

    /// How many instances.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// The group whose instances count for constraints, and among which agents
    /// are shared evenly. By default the demand's name.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Takes only what is offered for this role. By default any role's offers
    /// will do.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.wants.role = Some(role.into());
        self
    }

    /// Processors.
    #[must_use]
    pub fn cpus(self, cpus: f64) -> Self {
        self.scalar("cpus", cpus)
    }

    /// Memory in MiB.
    #[must_use]
    pub fn mem_mib(self, mem_mib: f64) -> Self {
        self.scalar("mem", mem_mib)
    }

    /// Disk in MiB, on the agent's own disk and in no volume.
    #[must_use]
    pub fn disk_mib(self, disk_mib: f64) -> Self {
        self.scalar("disk", disk_mib)
    }

    /// GPUs.
    #[must_use]
    pub fn gpus(self, gpus: f64) -> Self {
        self.scalar("gpus", gpus)
    }

    /// More of any scalar resource.
    #[must_use]
    pub fn scalar(mut self, name: &str, amount: f64) -> Self {
        self.add(name, Scalar::from_f64(amount));
        self
    }

    fn add(&mut self, name: &str, amount: Scalar) {
        if amount <= Scalar::ZERO {
            return;
        }
        match self.wants.scalars.get_mut(name) {
            Some(sum) => *sum += amount,
            None => {
                self.wants.scalars.insert(name.to_owned(), amount);
            }
        }
    }

    /// More of everything in the bag, wherever it is reserved: scalars by name,
    /// `ports` as [`Port::Fixed`]. What else there is, volumes for instance, is
    /// wanted [exactly](Self::exactly).
    #[must_use]
    pub fn resources(mut self, resources: &Resources) -> Self {
        for resource in resources {
            let is_plain = resource.disk.is_none() && resource.shared.is_none();
            match (&resource.scalar, &resource.ranges) {
                (Some(scalar), _) if is_plain => {
                    self.add(&resource.name, Scalar::from_f64(scalar.value));
                }
                (_, Some(ranges)) if resource.name == "ports" => {
                    let ports = Ranges::from(ranges);
                    let ports = ports.values().map_while(|port| u16::try_from(port).ok());
                    self.wants.ports.extend(ports.map(Port::Fixed));
                }
                _ => self.exact.push(resource.clone()),
            }
        }
        self
    }

    /// A resource that is to be taken as it is: a persistent volume, a disk, or
    /// a part of a resource that is neither a scalar nor `ports`. Everything but
    /// the allocation matters.
    #[must_use]
    pub fn exactly(mut self, resource: v1::Resource) -> Self {
        self.exact.push(resource);
        self
    }

    /// Takes revocable resources of this name, and those only.
    #[must_use]
    pub fn revocable(mut self, name: impl Into<String>) -> Self {
        self.wants.revocable.insert(name.into());
        self
    }

    /// One more host port. The ports of a
    /// [`Launch`](super::Launch::ports) are in the order of these calls.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.wants.ports.push(port);
        self
    }

    /// So many more host ports, whichever they are.
    #[must_use]
    pub fn ports(mut self, count: usize) -> Self {
        let ports = std::iter::repeat_n(Port::Any, count);
        self.wants.ports.extend(ports);
        self
    }

    /// Which resources are taken, by reservation.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.wants.source = source;
        self
    }

    /// One more constraint; all of them have to hold.
    #[must_use]
    pub fn constraint(mut self, constraint: Constraint) -> Self {
        self.wants.constraints.push(constraint);
        self
    }

    /// More constraints.
    #[must_use]
    pub fn constraints(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.wants.constraints.extend(constraints);
        self
    }

    /// Only on this agent; repeat for others.
    #[must_use]
    pub fn on_agent(mut self, agent_id: impl Into<String>) -> Self {
        let agents = self.wants.agents.get_or_insert_default();
        agents.insert(agent_id.into());
        self
    }

    /// What to do with agents that offer GPUs, for this demand.
    #[must_use]
    pub fn gpu_agents(mut self, gpus: Gpus) -> Self {
        self.wants.gpus = Some(gpus);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its group.
    #[must_use]
    pub fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.name)
    }

    /// How many instances are wanted.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.count
    }

    /// Its constraints.
    #[must_use]
    pub fn all_constraints(&self) -> &[Constraint] {
        &self.wants.constraints
    }

    /// The role whose offers it takes, if only one.
    #[must_use]
    pub fn role_name(&self) -> Option<&str> {
        self.wants.role.as_deref()
    }
}
