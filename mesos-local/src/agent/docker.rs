//! Tasks in containers of a Docker engine.
//!
//! What a container is to be like follows from the task alone and is worked out
//! here as a value: [`plan`], [`parameters`] and [`reference`] know no engine.
//! [`containers`] carries plans out through [`engine`], and decides nothing.
//! Apache Mesos runs `docker run` for the same purpose (`src/docker/docker.cpp`,
//! `src/docker/executor.cpp`); its messages are kept.

mod address;
mod containers;
mod engine;
mod inspect;
mod output;
mod parameters;
mod plan;
mod reference;

use std::net::IpAddr;

use mesos_sdk::v1;

pub use address::EngineAddress;
pub(crate) use containers::{Containers, Neighbour};
pub use plan::{ContainerPlan, Refusal};
pub(crate) use plan::{Setting, Wanted, new_plan};

/// The image of a container that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As the task names it.
    pub name: String,
    /// Ask the registry even when the engine has one of that name.
    pub force_pull: bool,
}

impl Image {
    /// The image of a container of type DOCKER.
    pub(crate) fn of(container: Option<&v1::ContainerInfo>) -> Option<Self> {
        let container = container?;
        if container.r#type() != v1::container_info::Type::Docker {
            return None;
        }
        let docker = container.docker.clone().unwrap_or_default();
        Some(Self {
            force_pull: docker.force_pull_image(),
            name: docker.image,
        })
    }
}

/// What the engine says of a container that it has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its address, when it has one of its own.
    pub address: Option<IpAddr>,
    /// Its first process, as this machine sees it.
    pub pid: Option<u32>,
    /// What the engine shows of it: a JSON list of one object, as
    /// `docker inspect` prints it.
    pub inspect: String,
}

/// The name the engine knows a container under.
#[must_use]
pub(crate) fn name(container: &super::ContainerKey) -> String {
    format!("mesos-{container}")
}
