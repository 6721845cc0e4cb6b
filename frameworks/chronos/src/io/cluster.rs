//! The side of the master: what it tells becomes inputs, what is decided becomes
//! calls. Offers are kept here as what they are, things that can be used once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::{Offer, launch_operation};
use mesos_sdk::scheduler::{BoxError, Disconnect, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::v1::scheduler::{call, event};
use mesos_sdk::{CallError, v1};
use mesos_service::event_loop;
use tokio::sync::mpsc;

use crate::effects::{Call, Input};
use crate::machine::{Ask, Chronos};
use crate::state::State;

use super::{Error, observe};

/// Calls that wait to be made; more than a cluster's worth of launches.
const CALLS: usize = 65_536;

/// The offers in hand.
type Offers = Arc<Mutex<HashMap<String, Offer>>>;

fn locked(offers: &Offers) -> MutexGuard<'_, HashMap<String, Offer>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the master is told of the framework.
pub(super) struct About {
    pub(super) framework_name: String,
    pub(super) checkpoint: bool,
    pub(super) failover_timeout: Duration,
    pub(super) webui_url: Option<String>,
    pub(super) credentials: Option<Credentials>,
}

/// A driver that is yet to run, and what makes its calls.
pub(super) struct Cluster {
    driver: SchedulerDriver,
    offers: Offers,
}

impl Cluster {
    pub(super) fn connect(
        about: About,
        master: MasterAddress,
        state: &State,
    ) -> Result<Self, Error> {
        let settings = &state.settings;
        let mut info = FrameworkInfo::service(about.framework_name)
            .failover_timeout(about.failover_timeout)
            .checkpoint(about.checkpoint)
            .role(settings.role.clone());
        if !settings.user.is_empty() {
            info = info.user(settings.user.clone());
        }
        if let Some(url) = about.webui_url {
            info = info.webui_url(url);
        }
        if let Some(principal) = about.credentials.as_ref().and_then(|it| it.principal()) {
            info = info.principal(principal);
        }
        let framework_id = state.framework_id.clone();
        let mut builder = SchedulerDriver::builder(master, info.build())
            .framework_id(framework_id.map(|value| v1::FrameworkId { value }));
        if let Some(credentials) = about.credentials {
            builder = builder.credentials(credentials);
        }
        let driver = builder.build()?;
        // What became of them meanwhile is asked as soon as there is a master.
        driver.handle().track_tasks(state.tracked_tasks());
        Ok(Self {
            driver,
            offers: Offers::default(),
        })
    }

    pub(super) fn offers(&self) -> Offers {
        self.offers.clone()
    }

    pub(super) fn split(self, logic: event_loop::Handle<Chronos>) -> (SchedulerDriver, Caller) {
        let (send, calls) = mpsc::channel(CALLS);
        tokio::spawn(make_calls(self.driver.handle(), self.offers, calls, logic));
        (self.driver, Caller(send))
    }
}

/// Makes calls in the order in which they are decided.
pub(super) struct Caller(mpsc::Sender<Call>);

impl Caller {
    pub(super) fn call(&mut self, call: Call) {
        if self.0.try_send(call).is_err() {
            // What is lost this way is asked for again: launches are reconciled
            // and found missing, kills are repeated.
            tracing::error!("too many calls wait for the master: one is dropped");
        }
    }
}

async fn make_calls(
    handle: Handle,
    offers: Offers,
    mut calls: mpsc::Receiver<Call>,
    logic: event_loop::Handle<Chronos>,
) {
    let take = |ids: &[String]| -> Vec<Offer> {
        let mut offers = locked(&offers);
        ids.iter().filter_map(|id| offers.remove(id)).collect()
    };
    while let Some(call) = calls.recv().await {
        let result = match call {
            Call::Launch { offers: ids, tasks } => {
                let task_ids = tasks.iter().map(|task| task.task_id.value.clone());
                let task_ids: Vec<String> = task_ids.collect();
                let those = take(&ids);
                // What is left of an offer is wanted again at once.
                let filters = v1::Filters {
                    refuse_seconds: Some(0.0),
                };
                let operations = vec![launch_operation(tasks)];
                let was_rescinded = those.len() < ids.len();
                let result = match was_rescinded {
                    true => Ok(()),
                    false => handle.accept(those, operations, Some(filters)).await,
                };
                if !was_rescinded && result.is_ok() {
                    observe::called(&task_ids);
                }
                let is_lost = was_rescinded || result.as_ref().is_err_and(CallError::had_no_effect);
                if is_lost && logic.tell(Input::NotLaunched(task_ids)).await.is_err() {
                    return;
                }
                result
            }
            Call::Decline {
                offers: ids,
                refuse_seconds,
            } => {
                let mut result = Ok(());
                for offer in take(&ids) {
                    let filters = v1::Filters {
                        refuse_seconds: Some(refuse_seconds),
                    };
                    result = result.and(handle.decline(offer, Some(filters)).await);
                }
                result
            }
            Call::Kill { task_id, agent_id } => {
                let task_id = v1::TaskId { value: task_id };
                let agent_id = agent_id.map(|value| v1::AgentId { value });
                handle.kill(task_id, agent_id, None).await
            }
            Call::Reconcile { tasks } => {
                let tasks = tasks
                    .into_iter()
                    .map(|(task, agent)| call::reconcile::Task {
                        task_id: v1::TaskId { value: task },
                        agent_id: Some(v1::AgentId { value: agent }),
                    });
                handle.reconcile(tasks.collect()).await
            }
            Call::Suppress => handle.suppress(Vec::new()).await,
            Call::Revive => handle.revive(Vec::new()).await,
        };
        if let Err(error) = result {
            tracing::warn!(%error, "a call to the master failed");
        }
    }
}

/// Hands what the master tells to the logic.
pub(super) struct Follow {
    logic: event_loop::Handle<Chronos>,
    offers: Offers,
}

impl Follow {
    pub(super) fn new(logic: event_loop::Handle<Chronos>, offers: Offers) -> Self {
        Self { logic, offers }
    }

    async fn tell(&self, input: Input) -> Result<(), BoxError> {
        Ok(self.logic.tell(input).await?)
    }
}

#[async_trait]
impl Scheduler for Follow {
    async fn subscribed(
        &mut self,
        _: &Handle,
        framework_id: &v1::FrameworkId,
        _: &event::Subscribed,
    ) -> Result<(), BoxError> {
        tracing::info!(framework_id = %framework_id.value, "subscribed");
        locked(&self.offers).clear();
        let framework_id = framework_id.value.clone();
        // The id is saved before anything is launched under it.
        let input = Input::Subscribed { framework_id };
        Ok(self.logic.tell_and_save(input).await?)
    }

    async fn disconnected(&mut self, _: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        tracing::warn!(%reason, retry_in = ?reason.retry_in, "disconnected");
        locked(&self.offers).clear();
        self.tell(Input::Disconnected).await
    }

    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        let infos = offers.iter().map(|offer| offer.info().clone()).collect();
        locked(&self.offers).extend(
            offers
                .into_iter()
                .map(|offer| (offer.id().value.clone(), offer)),
        );
        self.tell(Input::Offers(infos)).await
    }

    async fn rescinded(&mut self, _: &Handle, offer_id: v1::OfferId) -> Result<(), BoxError> {
        locked(&self.offers).remove(&offer_id.value);
        self.tell(Input::Rescind(offer_id.value)).await
    }

    /// The answer comes when the note is saved; only then is it acknowledged.
    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.is_redelivery() {
            return Ok(());
        }
        let status = Box::new(update.status().clone());
        self.logic.ask(Ask::Note(status)).await?;
        Ok(())
    }
}
