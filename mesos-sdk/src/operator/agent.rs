//! The operator API of agents.

use std::time::Duration;

use futures::TryFutureExt as _;
use mesos_proto::v1;
use mesos_proto::v1::agent::{Call, Response, call, call::Type, response};

use super::calls::{ENCODING, nanoseconds};
use super::{Client, Error, FilePart, Files};
use crate::address::HostAddress;
use crate::credentials::Credentials;
use crate::transport::Transport;

/// Asks and tells an agent. For commands in containers see
/// [`exec`](Self::exec) and [`attach`](Self::attach).
///
/// Every method fails with [`Error`]: [`Refused`](Error::Refused) has the
/// agent's own words and status.
#[derive(Debug, Clone)]
pub struct AgentClient(pub(super) Client);

impl AgentClient {
    /// A client of the agent at `server`.
    #[must_use]
    pub fn new(
        server: HostAddress,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Self {
        Self(Client::new(server, "", transport, credentials))
    }

    /// A client of the agent that an offer names.
    #[must_use]
    pub fn of_url(
        url: &v1::Url,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Option<Self> {
        let address = &url.address;
        let server = HostAddress {
            is_https: url.scheme == "https",
            host: address.ip.clone().or_else(|| address.hostname.clone())?,
            port: u16::try_from(address.port).ok()?,
        };
        let prefix = url.path.clone().unwrap_or_default();
        Some(Self(Client::new(server, &prefix, transport, credentials)))
    }

    /// A client of an agent as a master describes it.
    #[must_use]
    pub fn of_info(
        info: &v1::AgentInfo,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Option<Self> {
        let server = HostAddress::http(&info.hostname, u16::try_from(info.port()).ok()?);
        Some(Self::new(server, transport, credentials))
    }

    /// The agent that is asked.
    #[must_use]
    pub fn server(&self) -> HostAddress {
        self.0.server()
    }

    /// The files of the agent: its logs and the sandboxes of its tasks.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::of_agent(self.clone())
    }

    /// Makes any call that has no stream for an answer.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn call(&self, call: Call) -> Result<Response, Error> {
        let name = call.r#type().as_str_name();
        let body = ENCODING.encode(&call);
        drop(call);
        self.0.ask(name, body).await
    }

    /// The call is large; the future holds its encoding only.
    fn ask(
        &self,
        kind: Type,
        fill: impl FnOnce(&mut Call),
    ) -> impl Future<Output = Result<Response, Error>> {
        let mut call = Call {
            r#type: Some(kind.into()),
            ..Default::default()
        };
        fill(&mut call);
        self.0.ask(kind.as_str_name(), ENCODING.encode(&call))
    }

    fn tell(
        &self,
        kind: Type,
        fill: impl FnOnce(&mut Call),
    ) -> impl Future<Output = Result<(), Error>> {
        self.ask(kind, fill).map_ok(drop)
    }

    /// Whether the agent is healthy.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn is_healthy(&self) -> Result<bool, Error> {
        let response = self.ask(Type::GetHealth, |_| {}).await?;
        Ok(response.get_health.is_some_and(|health| health.healthy))
    }

    /// The flags it was started with.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn flags(&self) -> Result<Vec<v1::Flag>, Error> {
        let response = self.ask(Type::GetFlags, |_| {}).await?;
        Ok(response.get_flags.unwrap_or_default().flags)
    }

    /// Its version.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn version(&self) -> Result<v1::VersionInfo, Error> {
        let response = self.ask(Type::GetVersion, |_| {}).await?;
        Ok(response.get_version.unwrap_or_default().version_info)
    }

    /// Its metrics. With a timeout, those that can be had within it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn metrics(&self, timeout: Option<Duration>) -> Result<Vec<v1::Metric>, Error> {
        let timeout = timeout.map(nanoseconds);
        let fill = |call: &mut Call| call.get_metrics = Some(call::GetMetrics { timeout });
        let response = self.ask(Type::GetMetrics, fill).await?;
        Ok(response.get_metrics.unwrap_or_default().metrics)
    }

    /// How verbosely it logs.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn logging_level(&self) -> Result<u32, Error> {
        let response = self.ask(Type::GetLoggingLevel, |_| {}).await?;
        Ok(response.get_logging_level.unwrap_or_default().level)
    }

    /// Has it log more verbosely for a while.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn set_logging_level(&self, level: u32, duration: Duration) -> Result<(), Error> {
        self.tell(Type::SetLoggingLevel, |call| {
            call.set_logging_level = Some(call::SetLoggingLevel {
                level,
                duration: nanoseconds(duration),
            });
        })
        .await
    }

    /// Lists a directory.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such directory.
    pub async fn list_files(&self, path: &str) -> Result<Vec<v1::FileInfo>, Error> {
        let path = path.to_owned();
        let fill = |call: &mut Call| call.list_files = Some(call::ListFiles { path });
        let response = self.ask(Type::ListFiles, fill).await?;
        Ok(response.list_files.unwrap_or_default().file_infos)
    }

    /// Reads a part of a file. The agent decides how much at most.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such file.
    pub async fn read_file(
        &self,
        path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<FilePart, Error> {
        let read = call::ReadFile {
            path: path.to_owned(),
            offset,
            length,
        };
        let fill = |call: &mut Call| call.read_file = Some(read);
        let response = self.ask(Type::ReadFile, fill).await?;
        let part = response.read_file.unwrap_or_default();
        Ok(FilePart {
            size: part.size,
            data: part.data,
        })
    }

    /// Everything: frameworks, executors and tasks.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn state(&self) -> Result<response::GetState, Error> {
        let response = self.ask(Type::GetState, |_| {}).await?;
        Ok(response.get_state.unwrap_or_default())
    }

    /// The containers, with those inside others and those of no framework if that
    /// is wanted.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn containers(
        &self,
        show_nested: bool,
        show_standalone: bool,
    ) -> Result<Vec<response::get_containers::Container>, Error> {
        let get = call::GetContainers {
            show_nested: Some(show_nested),
            show_standalone: Some(show_standalone),
        };
        let fill = |call: &mut Call| call.get_containers = Some(get);
        let response = self.ask(Type::GetContainers, fill).await?;
        Ok(response.get_containers.unwrap_or_default().containers)
    }

    /// The frameworks with executors here, and those that had some.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn frameworks(&self) -> Result<response::GetFrameworks, Error> {
        let response = self.ask(Type::GetFrameworks, |_| {}).await?;
        Ok(response.get_frameworks.unwrap_or_default())
    }

    /// The executors, with those that have ended.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn executors(&self) -> Result<response::GetExecutors, Error> {
        let response = self.ask(Type::GetExecutors, |_| {}).await?;
        Ok(response.get_executors.unwrap_or_default())
    }

    /// The operations on its resources.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn operations(&self) -> Result<Vec<v1::Operation>, Error> {
        let response = self.ask(Type::GetOperations, |_| {}).await?;
        Ok(response.get_operations.unwrap_or_default().operations)
    }

    /// The tasks, by how far they are.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn tasks(&self) -> Result<response::GetTasks, Error> {
        let response = self.ask(Type::GetTasks, |_| {}).await?;
        Ok(response.get_tasks.unwrap_or_default())
    }

    /// The agent itself, and whether it drains.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn agent(&self) -> Result<response::GetAgent, Error> {
        let response = self.ask(Type::GetAgent, |_| {}).await?;
        Ok(response.get_agent.unwrap_or_default())
    }

    /// The providers of its resources.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn resource_providers(
        &self,
    ) -> Result<Vec<response::get_resource_providers::ResourceProvider>, Error> {
        let response = self.ask(Type::GetResourceProviders, |_| {}).await?;
        Ok(response
            .get_resource_providers
            .unwrap_or_default()
            .resource_providers)
    }

    /// Launches a container: inside another when its id has a parent, else one of
    /// no framework.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 400 when it cannot be launched.
    pub async fn launch_container(&self, launch: call::LaunchContainer) -> Result<(), Error> {
        self.tell(Type::LaunchContainer, |call| {
            call.launch_container = Some(launch);
        })
        .await
    }

    /// Waits until a container has ended, for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such container.
    pub async fn wait_container(
        &self,
        container_id: v1::ContainerId,
    ) -> Result<response::WaitContainer, Error> {
        let call = Call {
            r#type: Some(Type::WaitContainer.into()),
            wait_container: Some(call::WaitContainer { container_id }),
            ..Default::default()
        };
        let body = ENCODING.encode(&call);
        drop(call);
        let response: Response = self.0.ask_patiently("WAIT_CONTAINER", body).await?;
        Ok(response.wait_container.unwrap_or_default())
    }

    /// Sends a container a signal, SIGKILL unless another is named.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 404 when there is no such container.
    pub async fn kill_container(
        &self,
        container_id: v1::ContainerId,
        signal: Option<i32>,
    ) -> Result<(), Error> {
        self.tell(Type::KillContainer, |call| {
            call.kill_container = Some(call::KillContainer {
                container_id,
                signal,
            });
        })
        .await
    }

    /// Removes what is left of a container that has ended.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn remove_container(&self, container_id: v1::ContainerId) -> Result<(), Error> {
        self.tell(Type::RemoveContainer, |call| {
            call.remove_container = Some(call::RemoveContainer { container_id });
        })
        .await
    }

    /// Launches a container inside another. Mesos advises
    /// [`launch_container`](Self::launch_container).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn launch_nested_container(
        &self,
        launch: call::LaunchNestedContainer,
    ) -> Result<(), Error> {
        self.tell(Type::LaunchNestedContainer, |call| {
            call.launch_nested_container = Some(launch);
        })
        .await
    }

    /// Waits until a container inside another has ended. Mesos advises
    /// [`wait_container`](Self::wait_container).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn wait_nested_container(
        &self,
        container_id: v1::ContainerId,
    ) -> Result<response::WaitNestedContainer, Error> {
        let call = Call {
            r#type: Some(Type::WaitNestedContainer.into()),
            wait_nested_container: Some(call::WaitNestedContainer { container_id }),
            ..Default::default()
        };
        let body = ENCODING.encode(&call);
        drop(call);
        let response: Response = self.0.ask_patiently("WAIT_NESTED_CONTAINER", body).await?;
        Ok(response.wait_nested_container.unwrap_or_default())
    }

    /// Sends a container inside another a signal. Mesos advises
    /// [`kill_container`](Self::kill_container).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn kill_nested_container(
        &self,
        container_id: v1::ContainerId,
        signal: Option<i32>,
    ) -> Result<(), Error> {
        self.tell(Type::KillNestedContainer, |call| {
            call.kill_nested_container = Some(call::KillNestedContainer {
                container_id,
                signal,
            });
        })
        .await
    }

    /// Removes what is left of a container inside another. Mesos advises
    /// [`remove_container`](Self::remove_container).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn remove_nested_container(
        &self,
        container_id: v1::ContainerId,
    ) -> Result<(), Error> {
        self.tell(Type::RemoveNestedContainer, |call| {
            call.remove_nested_container = Some(call::RemoveNestedContainer { container_id });
        })
        .await
    }

    /// Adds a provider of resources.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 409 when there is one of this type and name.
    pub async fn add_resource_provider_config(
        &self,
        info: v1::ResourceProviderInfo,
    ) -> Result<(), Error> {
        self.tell(Type::AddResourceProviderConfig, |call| {
            call.add_resource_provider_config = Some(call::AddResourceProviderConfig { info });
        })
        .await
    }

    /// Changes a provider of resources.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 409 when there is none of this type and name.
    pub async fn update_resource_provider_config(
        &self,
        info: v1::ResourceProviderInfo,
    ) -> Result<(), Error> {
        self.tell(Type::UpdateResourceProviderConfig, |call| {
            call.update_resource_provider_config =
                Some(call::UpdateResourceProviderConfig { info });
        })
        .await
    }

    /// Removes a provider of resources.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn remove_resource_provider_config(
        &self,
        provider_type: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<(), Error> {
        self.tell(Type::RemoveResourceProviderConfig, |call| {
            call.remove_resource_provider_config = Some(call::RemoveResourceProviderConfig {
                r#type: provider_type.into(),
                name: name.into(),
            });
        })
        .await
    }

    /// Gives a provider of resources up for good.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn mark_resource_provider_gone(
        &self,
        resource_provider_id: v1::ResourceProviderId,
    ) -> Result<(), Error> {
        self.tell(Type::MarkResourceProviderGone, |call| {
            call.mark_resource_provider_gone = Some(call::MarkResourceProviderGone {
                resource_provider_id,
            });
        })
        .await
    }

    /// Removes images from its store, but for those named and those in use.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn prune_images(&self, excluded_images: Vec<v1::Image>) -> Result<(), Error> {
        self.tell(Type::PruneImages, |call| {
            call.prune_images = Some(call::PruneImages { excluded_images });
        })
        .await
    }
}
