//! Describes a framework to the master, with defaults that are safe.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::framework_info::capability::Type as Capability;

/// How long the master keeps the tasks of a service whose scheduler is away.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The same for work that somebody waits for.
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Builds a [`v1::FrameworkInfo`].
///
/// By default a framework checkpoints, so that its tasks survive a restart of
/// their agent; has a failover timeout, so that they survive a restart of the
/// scheduler (Mesos's own default of zero kills them at once); and has the
/// capabilities PARTITION_AWARE, MULTI_ROLE, RESERVATION_REFINEMENT and
/// TASK_KILLING_STATE, without which states and reservations are told in an
/// older, poorer way.
///
/// ```
/// use mesos_sdk::framework_info::FrameworkInfo;
///
/// let info = FrameworkInfo::service("web").role("eng/web").principal("web").build();
/// assert!(info.checkpoint());
/// assert_eq!(info.failover_timeout(), 604_800.0);
/// ```
#[derive(Debug, Clone)]
pub struct FrameworkInfo(v1::FrameworkInfo);

impl FrameworkInfo {
    /// A framework whose tasks run until somebody stops them: the master keeps
    /// them for a week without a scheduler.
    pub fn service(name: impl Into<String>) -> Self {
        Self::new(name.into(), WEEK)
    }

    /// A framework that ends with its work: the master keeps its tasks for five
    /// minutes without a scheduler.
    pub fn batch(name: impl Into<String>) -> Self {
        Self::new(name.into(), FIVE_MINUTES)
    }

    fn new(name: String, failover_timeout: Duration) -> Self {
        let capabilities = [
            Capability::PartitionAware,
            Capability::MultiRole,
            Capability::ReservationRefinement,
            Capability::TaskKillingState,
        ];
        let info = v1::FrameworkInfo {
            user: default_user(),
            name,
            failover_timeout: Some(failover_timeout.as_secs_f64()),
            checkpoint: Some(true),
            ..Default::default()
        };
        capabilities.into_iter().fold(Self(info), Self::capability)
    }

    /// The user that tasks run as unless they say otherwise. By default the
    /// user of this process.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.0.user = user.into();
        self
    }

    /// Subscribes to a role; repeat for more. Without any it is `*`.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.0.roles.push(role.into());
        self
    }

    /// The name under which the framework is authenticated and its resources
    /// are reserved.
    #[must_use]
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.0.principal = Some(principal.into());
        self
    }

    /// How long the master keeps the tasks without a scheduler.
    #[must_use]
    pub fn failover_timeout(mut self, timeout: Duration) -> Self {
        self.0.failover_timeout = Some(timeout.as_secs_f64());
        self
    }

    /// Whether tasks survive a restart of their agent.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: bool) -> Self {
        self.0.checkpoint = Some(checkpoint);
        self
    }

    /// Where people find the framework's own page.
    #[must_use]
    pub fn webui_url(mut self, url: impl Into<String>) -> Self {
        self.0.webui_url = Some(url.into());
        self
    }

    /// Adds a capability.
    #[must_use]
    pub fn capability(mut self, capability: Capability) -> Self {
        let capability = v1::framework_info::Capability {
            r#type: Some(capability as i32),
        };
        if !self.0.capabilities.contains(&capability) {
            self.0.capabilities.push(capability);
        }
        self
    }

    /// The message that SUBSCRIBE carries.
    #[must_use]
    pub fn build(mut self) -> v1::FrameworkInfo {
        if self.0.roles.is_empty() {
            self.0.roles.push("*".to_owned());
        }
        self.0
    }
}

/// The user of this process, as its environment tells it.
fn default_user() -> String {
    std::env::var("USER")
        .ok()
        .filter(|user| !user.is_empty())
        .unwrap_or_else(|| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_safe() {
        let info = FrameworkInfo::service("x").build();
        assert_eq!(info.checkpoint, Some(true));
        assert_eq!(info.failover_timeout, Some(WEEK.as_secs_f64()));
        assert_eq!(info.roles, ["*"]);
        assert_eq!(info.role, None);
        assert_eq!(info.capabilities.len(), 4);
    }
}
