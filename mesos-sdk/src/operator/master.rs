//! The operator API of masters.

mod agents;
mod resources;

use std::time::Duration;

use futures::TryFutureExt as _;
use mesos_proto::v1;
use mesos_proto::v1::master::{Call, Response, call, call::Type, response};
use mesos_proto::v1::quota;

use super::calls::{ENCODING, nanoseconds};
use super::{Client, Error, FilePart, Files};
use crate::address::HostAddress;
use crate::credentials::Credentials;
use crate::detect::{DetectError, Detector};
use crate::transport::Transport;

/// Asks and tells the leading master. A master that does not lead names the one
/// that does, and is followed; clones share what was learned.
///
/// Every method fails with [`Error`]: [`Refused`](Error::Refused) has the
/// master's own words and status.
#[derive(Debug, Clone)]
pub struct MasterClient(pub(super) Client);

impl MasterClient {
    /// A client of the master at `server`, or of the one that leads there.
    #[must_use]
    pub fn new(
        server: HostAddress,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Self {
        Self(Client::new(server, "", transport, credentials))
    }

    /// A client of the leading master, as a detector finds it now.
    ///
    /// # Errors
    ///
    /// [`DetectError`] when ZooKeeper cannot be used.
    pub async fn find(
        detector: &mut Detector,
        transport: Transport,
        credentials: Option<Credentials>,
    ) -> Result<Self, DetectError> {
        let server = detector.leader().await?;
        Ok(Self::new(server, transport, credentials))
    }

    /// The master that is asked.
    #[must_use]
    pub fn server(&self) -> HostAddress {
        self.0.server()
    }

    /// The master's own files: its logs.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::of_master(self.clone())
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

    /// Whether the master is healthy.
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

    /// Lists a directory of its files.
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

    /// Reads a part of one of its files. It decides how much at most.
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

    /// Everything: agents, frameworks, executors and tasks.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn state(&self) -> Result<response::GetState, Error> {
        let response = self.ask(Type::GetState, |_| {}).await?;
        Ok(response.get_state.unwrap_or_default())
    }

    /// The agents, with those that have not come back since a failover.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn agents(&self) -> Result<response::GetAgents, Error> {
        let response = self.ask(Type::GetAgents, |_| {}).await?;
        Ok(response.get_agents.unwrap_or_default())
    }

    /// The frameworks, with those that have ended.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn frameworks(&self) -> Result<response::GetFrameworks, Error> {
        let response = self.ask(Type::GetFrameworks, |_| {}).await?;
        Ok(response.get_frameworks.unwrap_or_default())
    }

    /// The executors.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn executors(&self) -> Result<Vec<response::get_executors::Executor>, Error> {
        let response = self.ask(Type::GetExecutors, |_| {}).await?;
        Ok(response.get_executors.unwrap_or_default().executors)
    }

    /// The operations that are pending or not acknowledged.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn operations(&self) -> Result<Vec<v1::Operation>, Error> {
        let response = self.ask(Type::GetOperations, |_| {}).await?;
        Ok(response.get_operations.unwrap_or_default().operations)
    }

    /// The tasks, with those that have ended or cannot be reached.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn tasks(&self) -> Result<response::GetTasks, Error> {
        let response = self.ask(Type::GetTasks, |_| {}).await?;
        Ok(response.get_tasks.unwrap_or_default())
    }

    /// The roles, with their frameworks and what they hold.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn roles(&self) -> Result<Vec<v1::Role>, Error> {
        let response = self.ask(Type::GetRoles, |_| {}).await?;
        Ok(response.get_roles.unwrap_or_default().roles)
    }

    /// The weights of roles that have another than 1.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn weights(&self) -> Result<Vec<v1::WeightInfo>, Error> {
        let response = self.ask(Type::GetWeights, |_| {}).await?;
        Ok(response.get_weights.unwrap_or_default().weight_infos)
    }

    /// Sets the weights of roles; offers in these roles are rescinded.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn update_weights(&self, weight_infos: Vec<v1::WeightInfo>) -> Result<(), Error> {
        self.tell(Type::UpdateWeights, |call| {
            call.update_weights = Some(call::UpdateWeights { weight_infos });
        })
        .await
    }

    /// The master itself, and since when it leads.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn master(&self) -> Result<response::GetMaster, Error> {
        let response = self.ask(Type::GetMaster, |_| {}).await?;
        Ok(response.get_master.unwrap_or_default())
    }

    /// What roles can have for certain, and at most.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn quota(&self) -> Result<quota::QuotaStatus, Error> {
        let response = self.ask(Type::GetQuota, |_| {}).await?;
        Ok(response.get_quota.unwrap_or_default().status)
    }

    /// Sets quotas, all of them or none. `force`: although the cluster has not so
    /// much.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn update_quota(
        &self,
        quota_configs: Vec<quota::QuotaConfig>,
        force: bool,
    ) -> Result<(), Error> {
        self.tell(Type::UpdateQuota, |call| {
            call.update_quota = Some(call::UpdateQuota {
                force: force.then_some(true),
                quota_configs,
            });
        })
        .await
    }

    /// Sets the guarantee of a role. Mesos advises
    /// [`update_quota`](Self::update_quota).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn set_quota(&self, quota_request: quota::QuotaRequest) -> Result<(), Error> {
        self.tell(Type::SetQuota, |call| {
            call.set_quota = Some(call::SetQuota { quota_request });
        })
        .await
    }

    /// Removes the quota of a role. Mesos advises
    /// [`update_quota`](Self::update_quota).
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn remove_quota(&self, role: impl Into<String>) -> Result<(), Error> {
        self.tell(Type::RemoveQuota, |call| {
            call.remove_quota = Some(call::RemoveQuota { role: role.into() });
        })
        .await
    }

    /// Removes a framework: its tasks are killed and its id is used up.
    ///
    /// # Errors
    ///
    /// [`Error`], with status 400 when there is no such framework.
    pub async fn teardown(&self, framework_id: v1::FrameworkId) -> Result<(), Error> {
        self.tell(Type::Teardown, |call| {
            call.teardown = Some(call::Teardown { framework_id });
        })
        .await
    }
}
