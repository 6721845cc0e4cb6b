//! The side of the master: what it tells becomes inputs, what is decided becomes
//! calls.

use std::time::Duration;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::launch_operation;
use mesos_sdk::scheduler::{Handle, SchedulerDriver};
use mesos_sdk::v1::scheduler::{call, event};
use mesos_sdk::{CallError, v1};
use mesos_service::cluster::{self, Caller, ClusterMachine, Follower, HeldOffers};
use mesos_service::event_loop;

use crate::effects::{Call, Input};
use crate::machine::{Ask, Chronos};
use crate::state::State;

use super::{Error, observe};

/// What the master is told of the framework.
pub(super) struct About {
    pub(super) framework_name: String,
    pub(super) checkpoint: bool,
    pub(super) failover_timeout: Duration,
    pub(super) webui_url: Option<String>,
    pub(super) credentials: Option<Credentials>,
}

/// A driver that is yet to run.
pub(super) struct Cluster(SchedulerDriver);

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
        Ok(Self(driver))
    }

    /// The driver, whom it is to tell, and what makes calls.
    pub(super) fn split(
        self,
        logic: event_loop::Handle<Chronos>,
    ) -> (SchedulerDriver, Follower<Chronos>, Caller<Call>) {
        let offers = HeldOffers::default();
        let follower = Follower::new(logic.clone(), offers.clone());
        let handle = self.0.handle();
        let caller =
            Caller::start(move |call| make(call, handle.clone(), offers.clone(), logic.clone()));
        (self.0, follower, caller)
    }
}

async fn make(
    call: Call,
    handle: Handle,
    offers: HeldOffers,
    logic: event_loop::Handle<Chronos>,
) -> Result<(), CallError> {
    match call {
        Call::Launch { offers: ids, tasks } => {
            let task_ids = tasks.iter().map(|task| task.task_id.value.clone());
            let task_ids: Vec<String> = task_ids.collect();
            let operations = vec![launch_operation(tasks)];
            let result = offers.accept(&handle, &ids, operations).await;
            match &result {
                Ok(()) => observe::called(&task_ids),
                Err(error) if error.had_no_effect() => {
                    // Where nobody hears of it any more the process is about to end.
                    let _ = logic.tell(Input::NotLaunched(task_ids)).await;
                }
                Err(_) => {}
            }
            result
        }
        Call::Decline {
            offers: ids,
            refuse_seconds,
        } => offers.decline(&handle, &ids, refuse_seconds).await,
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
    }
}

impl cluster::Call for Call {
    /// A kill must not overtake the launch that it undoes, nor a decline pass an
    /// asking for offers.
    fn is_independent(&self) -> bool {
        matches!(self, Self::Launch { .. } | Self::Decline { .. })
    }
}

impl ClusterMachine for Chronos {
    fn subscribed(framework_id: String, _: &event::Subscribed) -> Input {
        Input::Subscribed { framework_id }
    }

    fn disconnected() -> Input {
        Input::Disconnected
    }

    fn offers(offers: Vec<v1::Offer>) -> Input {
        Input::Offers(offers)
    }

    fn rescinded(offer_id: String) -> Input {
        Input::Rescind(offer_id)
    }

    fn update(status: Box<v1::TaskStatus>) -> Ask {
        Ask::Note(status)
    }
}
