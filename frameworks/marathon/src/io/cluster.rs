//! The side of the master: what it tells becomes inputs, what is decided becomes
//! calls. Offers are kept here as what they are, things that can be used once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::future::BoxFuture;
use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::offer::Offer;
use mesos_sdk::scheduler::{BoxError, Disconnect, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::{Ack, StatusUpdate};
use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::event;
use mesos_service::event_loop;
use tokio::sync::mpsc;

use crate::effects::{Call, Input};
use crate::machine::{Ask, Marathon};
use crate::state::State;

use super::{Error, measure};

/// Calls that wait to be made; more than a cluster's worth of launches.
const CALLS: usize = 65_536;

/// The offers in hand.
type Offers = Arc<Mutex<HashMap<String, Offer>>>;

fn locked(offers: &Offers) -> MutexGuard<'_, HashMap<String, Offer>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A driver that is yet to run, and what makes its calls.
pub(super) struct Cluster {
    driver: SchedulerDriver,
    framework: v1::FrameworkInfo,
    offers: Offers,
}

impl Cluster {
    pub(super) fn connect(
        mut framework: v1::FrameworkInfo,
        credentials: Option<Credentials>,
        master: MasterAddress,
        state: &State,
    ) -> Result<Self, Error> {
        framework.roles.extend(state.first_roles.iter().cloned());
        let framework_id = state.framework_id.clone();
        let mut builder = SchedulerDriver::builder(master, framework.clone())
            .framework_id(framework_id.map(|value| v1::FrameworkId { value }));
        if let Some(credentials) = credentials {
            builder = builder.credentials(credentials);
        }
        let driver = builder.build()?;
        // What became of them meanwhile is asked as soon as there is a master.
        driver
            .handle()
            .track_tasks(state.instances.values().flat_map(|instance| {
                let agent = instance.place.as_ref().map(|place| v1::AgentId {
                    value: place.agent_id.clone(),
                });
                let ids = instance.open_task_ids();
                ids.map(move |id| {
                    let value = id.to_string();
                    (v1::TaskId { value }, agent.clone())
                })
            }));
        Ok(Self {
            driver,
            framework,
            offers: Offers::default(),
        })
    }

    pub(super) fn offers(&self) -> Offers {
        self.offers.clone()
    }

    pub(super) fn split(self, logic: event_loop::Handle<Marathon>) -> (SchedulerDriver, Caller) {
        let (send, calls) = mpsc::channel(CALLS);
        let handle = self.driver.handle();
        let offers = self.offers;
        tokio::spawn(make_calls(handle, self.framework, logic, offers, calls));
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
    framework: v1::FrameworkInfo,
    logic: event_loop::Handle<Marathon>,
    offers: Offers,
    mut calls: mpsc::Receiver<Call>,
) {
    while let Some(call) = calls.recv().await {
        let launches = call.launches();
        let result = match call {
            Call::Accept {
                offers: ids,
                operations,
            } => {
                let those: Vec<Offer> = {
                    let mut offers = locked(&offers);
                    ids.iter().filter_map(|id| offers.remove(id)).collect()
                };
                if those.len() < ids.len() {
                    // Some are void by now, and the others do not suffice.
                    tracing::debug!("offers are gone before they are used");
                    let _ = logic.tell(Input::NotLaunched(launches)).await;
                    continue;
                }
                // What is left of an offer is wanted again at once.
                let filters = v1::Filters {
                    refuse_seconds: Some(0.0),
                };
                handle.accept(those, operations, Some(filters)).await
            }
            Call::Decline {
                offers: ids,
                refuse_seconds,
            } => {
                let those: Vec<Offer> = {
                    let mut offers = locked(&offers);
                    ids.iter().filter_map(|id| offers.remove(id)).collect()
                };
                let filters = v1::Filters {
                    refuse_seconds: Some(refuse_seconds),
                };
                handle.decline_all(those, Some(filters)).await
            }
            Call::Kill { task_id, agent_id } => {
                let task_id = v1::TaskId { value: task_id };
                let agent_id = agent_id.map(|value| v1::AgentId { value });
                handle.kill(task_id, agent_id, None).await
            }
            Call::Suppress(role) => handle.suppress(vec![role]).await,
            Call::Revive(role) => handle.revive(vec![role]).await,
            Call::Roles { roles, suppressed } => {
                let framework = v1::FrameworkInfo {
                    roles: roles.into_iter().collect(),
                    ..framework.clone()
                };
                let suppressed = suppressed.into_iter().collect();
                handle.update_framework(framework, suppressed, None).await
            }
        };
        if let Err(error) = result {
            tracing::warn!(%error, "a call to the master failed");
            if error.had_no_effect() && !launches.is_empty() {
                // Where nobody hears of it any more the process is about to end.
                let _ = logic.tell(Input::NotLaunched(launches)).await;
            }
        }
    }
}

/// Hands what the master tells to the logic.
pub(super) struct Follow {
    logic: event_loop::Handle<Marathon>,
    offers: Offers,
    unsaved: mpsc::Sender<Unsaved>,
}

/// Updates that are handed to the logic and not saved yet.
const UNSAVED: usize = 4096;

/// An acknowledgement, and what tells when it may leave.
type Unsaved = (BoxFuture<'static, Result<(), event_loop::Stopped>>, Ack);

/// Acknowledges updates in the order in which they are saved.
async fn acknowledge(mut unsaved: mpsc::Receiver<Unsaved>) {
    while let Some((saved, acknowledgement)) = unsaved.recv().await {
        // Whatever was not saved comes again.
        if saved.await.is_ok() {
            acknowledgement.send();
        }
    }
}

impl Follow {
    pub(super) fn new(logic: event_loop::Handle<Marathon>, offers: Offers) -> Self {
        let (unsaved, to_save) = mpsc::channel(UNSAVED);
        tokio::spawn(acknowledge(to_save));
        Self {
            logic,
            offers,
            unsaved,
        }
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
        info: &event::Subscribed,
    ) -> Result<(), BoxError> {
        tracing::info!(framework_id = %framework_id.value, "subscribed");
        locked(&self.offers).clear();
        self.tell(Input::Subscribed {
            framework_id: framework_id.value.clone(),
            master: info.master_info.clone().map(Box::new),
        })
        .await
    }

    async fn disconnected(&mut self, _: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        tracing::warn!(%reason, retry_in = ?reason.retry_in, "disconnected");
        locked(&self.offers).clear();
        self.tell(Input::Disconnected).await
    }

    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        measure::count_offers(offers.len());
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

    /// Updates that come together are saved together: this one is acknowledged
    /// when it is saved, and the next one is taken meanwhile.
    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        let acknowledgement = update.acknowledge_later();
        let saved: BoxFuture<'static, _> = if update.is_redelivery() {
            // It was handed over before, and is saved when all of that is.
            let logic = self.logic.clone();
            Box::pin(async move { logic.inspect(|_| ()).await })
        } else {
            measure::count_update(update.status());
            let note = Ask::Note(Box::new(update.status().clone()));
            let noted = self.logic.begin_to_ask(note).await?;
            Box::pin(async { noted.await.map(|_| ()) })
        };
        if let Some(acknowledgement) = acknowledgement {
            let sent = self.unsaved.send((saved, acknowledgement)).await;
            sent.map_err(|_| "nothing acknowledges updates any more")?;
        }
        Ok(())
    }
}
