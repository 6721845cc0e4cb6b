//! An offer that can be used once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mesos_proto::v1;

use crate::error::CallError;
use crate::operation;
use crate::resources::Resources;
use crate::scheduler::calls::Calls;

/// Resources of one agent in one role, for one use: launching on it or
/// declining it consumes it. An offer that is dropped is declined, so that the
/// resources go to whoever can use them. One that the master has rescinded
/// refuses to be used before anything is sent.
pub struct Offer {
    info: v1::Offer,
    resources: Resources,
    standing: Standing,
    /// Taken when the offer is used; what is left is declined on drop.
    calls: Option<Calls>,
}

/// Whether an offer still stands, shared with whoever hears that it does not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<AtomicBool>);

impl Standing {
    pub(crate) fn rescind(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_rescinded(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Whether nobody but the asker holds it: the offer is gone.
    pub(crate) fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Offer {
    pub(crate) fn new(info: v1::Offer, standing: Standing, calls: Calls) -> Self {
        Self {
            resources: Resources::from(info.resources.as_slice()),
            info,
            standing,
            calls: Some(calls),
        }
    }

    /// The offer's id.
    #[must_use]
    pub fn id(&self) -> &v1::OfferId {
        &self.info.id
    }

    /// Whose resources they are.
    #[must_use]
    pub fn agent_id(&self) -> &v1::AgentId {
        &self.info.agent_id
    }

    /// The agent's host name.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.info.hostname
    }

    /// The agent's attributes.
    #[must_use]
    pub fn attributes(&self) -> &[v1::Attribute] {
        &self.info.attributes
    }

    /// Where the agent's HTTP API answers.
    #[must_use]
    pub fn url(&self) -> Option<&v1::Url> {
        self.info.url.as_ref()
    }

    /// The role for which the offer is made.
    #[must_use]
    pub fn role(&self) -> &str {
        self.info
            .allocation_info
            .as_ref()
            .and_then(|info| info.role.as_deref())
            .unwrap_or("*")
    }

    /// What is offered.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The message as it came.
    #[must_use]
    pub fn info(&self) -> &v1::Offer {
        &self.info
    }

    /// Whether the master has taken the offer back.
    #[must_use]
    pub fn is_rescinded(&self) -> bool {
        self.standing.is_rescinded()
    }

    /// Launches tasks on the offer; what they leave over is not offered again
    /// for five seconds.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether anything may have been launched.
    pub async fn launch(self, tasks: Vec<v1::TaskInfo>) -> Result<(), CallError> {
        self.accept([operation::launch(tasks)], None).await
    }

    /// Carries out operations on the offer, in order; see [`operation`].
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether anything may have been done.
    pub fn accept(
        self,
        operations: impl IntoIterator<Item = impl Into<v1::offer::Operation>>,
        filters: Option<v1::Filters>,
    ) -> impl Future<Output = Result<(), CallError>> + Send {
        // Outside of the future, which would hold what is large otherwise.
        let operations = operations.into_iter().map(Into::into).collect();
        accept_all(vec![self], operations, filters)
    }

    /// Declines the offer; without filters its resources are not offered again
    /// for five seconds.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the offer is gone all the same.
    pub async fn decline(mut self, filters: Option<v1::Filters>) -> Result<(), CallError> {
        match self.calls.take() {
            Some(calls) if !self.is_rescinded() => {
                calls.decline(vec![self.info.id.clone()], filters).await
            }
            _ => Ok(()),
        }
    }
}

/// Uses several offers of one agent and role together.
pub(crate) async fn accept_all(
    mut offers: Vec<Offer>,
    operations: Vec<v1::offer::Operation>,
    filters: Option<v1::Filters>,
) -> Result<(), CallError> {
    if let Some(rescinded) = offers.iter().find(|offer| offer.is_rescinded()) {
        return Err(CallError::Rescinded {
            offer_id: rescinded.info.id.value.clone(),
        });
    }
    let ids = offers.iter().map(|offer| offer.info.id.clone()).collect();
    let mut calls = None;
    for offer in &mut offers {
        calls = offer.calls.take().or(calls);
    }
    match calls {
        Some(calls) => calls.accept(ids, operations, filters).await,
        None => Ok(()),
    }
}

/// Declines offers in one call. Those that do not stand any more need none.
pub(crate) async fn decline_all(
    mut offers: Vec<Offer>,
    filters: Option<v1::Filters>,
) -> Result<(), CallError> {
    let mut calls = None;
    let mut ids = Vec::new();
    for offer in &mut offers {
        let own = offer.calls.take();
        if own.is_some() && !offer.is_rescinded() {
            ids.push(offer.info.id.clone());
            calls = own;
        }
    }
    match calls {
        Some(calls) => calls.decline(ids, filters).await,
        None => Ok(()),
    }
}

/// The operation that launches tasks, each with its own executor or command.
#[must_use]
pub fn launch_operation(tasks: Vec<v1::TaskInfo>) -> v1::offer::Operation {
    operation::launch(tasks).into()
}

impl Drop for Offer {
    fn drop(&mut self) {
        if let Some(calls) = self.calls.take().filter(|_| !self.standing.is_rescinded()) {
            calls.decline_in_background(self.info.id.clone());
        }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("id", &self.info.id.value)
            .field("hostname", &self.info.hostname)
            .field("resources", &self.resources.to_string())
            .field("is_rescinded", &self.is_rescinded())
            .finish_non_exhaustive()
    }
}
