//! The side of the master: what it tells becomes inputs, what is decided becomes
//! calls.

use std::sync::Arc;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::scheduler::{Handle, SchedulerDriver};
use mesos_sdk::v1::scheduler::event;
use mesos_sdk::{CallError, v1};
use mesos_service::cluster::{self, Caller, ClusterMachine, Follower, HeldOffers};
use mesos_service::event_loop;

use crate::effects::{Call, Input};
use crate::machine::{Ask, Marathon};
use crate::state::State;

use super::{Error, measure};

/// A driver that is yet to run, and the framework as it registers.
pub(super) struct Cluster {
    driver: SchedulerDriver,
    framework: v1::FrameworkInfo,
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
        Ok(Self { driver, framework })
    }

    /// The driver, whom it is to tell, and what makes calls.
    pub(super) fn split(
        self,
        logic: event_loop::Handle<Marathon>,
    ) -> (SchedulerDriver, Follower<Marathon>, Caller<Call>) {
        let offers = HeldOffers::default();
        let follower = Follower::new(logic.clone(), offers.clone());
        let calls = Calls(Arc::new(Inner {
            handle: self.driver.handle(),
            framework: self.framework,
            offers,
            logic,
        }));
        let caller = Caller::start(move |call| calls.clone().make(call));
        (self.driver, follower, caller)
    }
}

/// What makes calls.
#[derive(Clone)]
struct Calls(Arc<Inner>);

struct Inner {
    handle: Handle,
    framework: v1::FrameworkInfo,
    offers: HeldOffers,
    logic: event_loop::Handle<Marathon>,
}

impl Calls {
    async fn make(self, call: Call) -> Result<(), CallError> {
        let Inner {
            handle,
            framework,
            offers,
            logic,
        } = &*self.0;
        let launches = call.launches();
        match call {
            Call::Accept {
                offers: ids,
                operations,
            } => {
                let result = offers.accept(handle, &ids, operations).await;
                if result.as_ref().is_err_and(CallError::had_no_effect) && !launches.is_empty() {
                    // Where nobody hears of it any more the process is about to end.
                    let _ = logic.tell(Input::NotLaunched(launches)).await;
                }
                result
            }
            Call::Decline {
                offers: ids,
                refuse_seconds,
            } => offers.decline(handle, &ids, refuse_seconds).await,
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
        }
    }
}

impl cluster::Call for Call {
    /// A kill must not overtake the launch that it undoes, nor a decline pass an
    /// asking for offers.
    fn is_independent(&self) -> bool {
        matches!(self, Self::Accept { .. } | Self::Decline { .. })
    }
}

impl ClusterMachine for Marathon {
    fn subscribed(framework_id: String, subscribed: &event::Subscribed) -> Input {
        Input::Subscribed {
            framework_id,
            master: subscribed.master_info.clone().map(Box::new),
        }
    }

    fn disconnected() -> Input {
        Input::Disconnected
    }

    fn offers(offers: Vec<v1::Offer>) -> Input {
        measure::count_offers(offers.len());
        Input::Offers(offers)
    }

    fn rescinded(offer_id: String) -> Input {
        Input::Rescind(offer_id)
    }

    fn update(status: Box<v1::TaskStatus>) -> Ask {
        measure::count_update(&status);
        Ask::Note(status)
    }
}
