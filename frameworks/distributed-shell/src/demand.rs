//! What every task of the run asks for, whether an offer has it, and the task
//! that is launched when it has.

use mesos_sdk::{
    attributes,
    resources::{Ranges, Resources, Scalar},
    v1,
};

use crate::shell::OfferView;

/// What each task gets and how its command is started.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    pub(crate) cpus: Scalar,
    pub(crate) mem_mib: Scalar,
    pub(crate) disk_mib: Scalar,
    pub(crate) gpus: u32,
    pub(crate) ports: u32,
    pub(crate) role: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) user: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) uris: Vec<String>,
    pub(crate) docker_image: Option<String>,
}

impl Demand {
    /// Whether the offer's agent is one that was asked for.
    pub(crate) fn admits(&self, offer: &OfferView) -> Result<(), String> {
        for (name, wanted) in &self.attributes {
            let has = offer
                .attributes
                .iter()
                .any(|a| a.name == *name && attributes::value_text(a) == *wanted);
            if !has {
                return Err(format!(
                    "{}: has no attribute {name}={wanted}",
                    offer.hostname
                ));
            }
        }
        Ok(())
    }

    /// Takes one task's resources out of what is left of an offer.
    pub(crate) fn take(&self, left: &mut Resources) -> Result<Resources, String> {
        let scalars = [
            ("cpus", self.cpus),
            ("mem", self.mem_mib),
            ("disk", self.disk_mib),
            (
                "gpus",
                Scalar::from_thousandths(i64::from(self.gpus) * 1000),
            ),
        ];
        let mut wanted = Vec::new();
        for (name, amount) in scalars {
            if amount.thousandths() == 0 {
                continue;
            }
            let offered = left.scalar(name).unwrap_or_default();
            if offered < amount {
                return Err(format!("needs {name} {amount}, offered {offered}"));
            }
            wanted.push(v1::Resource {
                name: name.to_owned(),
                r#type: v1::value::Type::Scalar as i32,
                scalar: Some(v1::value::Scalar {
                    value: amount.as_f64(),
                }),
                ..Default::default()
            });
        }
        if self.ports > 0 {
            wanted.push(port_resource(&self.pick_ports(left)?));
        }
        let wanted = Resources::from(wanted);
        let taken = left
            .find(&wanted, &self.role)
            .ok_or_else(|| format!("needs {wanted}, offered {left}"))?;
        *left -= taken.clone();
        Ok(taken)
    }

    fn pick_ports(&self, left: &Resources) -> Result<Vec<u64>, String> {
        let offered = left.ports();
        let picked: Vec<u64> = offered.values().take(self.ports as usize).collect();
        if picked.len() < self.ports as usize {
            return Err(format!(
                "needs {} ports, offered {}",
                self.ports,
                picked.len()
            ));
        }
        Ok(picked)
    }

    /// The task for a command that got `resources`.
    pub(crate) fn task(
        &self,
        task_id: String,
        command: &str,
        agent_id: v1::AgentId,
        resources: Resources,
    ) -> v1::TaskInfo {
        let ports: Vec<u64> = resources.ports().values().collect();
        v1::TaskInfo {
            name: name_of(command),
            task_id: v1::TaskId { value: task_id },
            agent_id,
            resources: resources.into_vec(),
            command: Some(self.command(command, &ports)),
            container: self.container(),
            ..Default::default()
        }
    }

    fn command(&self, command: &str, ports: &[u64]) -> v1::CommandInfo {
        let mut variables = self.environment.clone();
        for (index, port) in ports.iter().enumerate() {
            variables.push((format!("PORT{index}"), port.to_string()));
        }
        if !ports.is_empty() {
            let all: Vec<String> = ports.iter().map(ToString::to_string).collect();
            variables.push(("PORTS".to_owned(), all.join(",")));
        }
        let variables: Vec<_> = variables
            .into_iter()
            .map(|(name, value)| v1::environment::Variable {
                name,
                value: Some(value),
                ..Default::default()
            })
            .collect();
        v1::CommandInfo {
            shell: Some(true),
            value: Some(command.to_owned()),
            user: self.user.clone(),
            environment: (!variables.is_empty()).then_some(v1::Environment { variables }),
            uris: self
                .uris
                .iter()
                .map(|uri| v1::command_info::Uri {
                    value: uri.clone(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    fn container(&self) -> Option<v1::ContainerInfo> {
        let image = self.docker_image.clone()?;
        Some(v1::ContainerInfo {
            r#type: v1::container_info::Type::Docker as i32,
            docker: Some(v1::container_info::DockerInfo {
                image,
                ..Default::default()
            }),
            ..Default::default()
        })
    }
}

fn port_resource(ports: &[u64]) -> v1::Resource {
    let mut ranges = Ranges::new();
    for port in ports {
        ranges.insert(*port, *port);
    }
    v1::Resource {
        name: "ports".to_owned(),
        r#type: v1::value::Type::Ranges as i32,
        ranges: Some(ranges.into()),
        ..Default::default()
    }
}

/// A task's name: the command, cut to a length that tables can show.
fn name_of(command: &str) -> String {
    const LONGEST: usize = 60;
    let line = command.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}
