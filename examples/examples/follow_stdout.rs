//! Lesson 7: what a task prints, while it runs. The agent shows the files of
//! its sandbox; they are followed like with `tail -f` until the task has ended.
//!
//!     cargo run --example follow_stdout -- [MASTER] [COMMAND]

use std::io::Write as _;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operator::{AgentClient, FollowEnd, sandbox_path};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::{async_trait, ids, task, v1};
use tokio::task::JoinHandle;

struct Printed {
    task: Option<task::Task>,
    agent: Option<AgentClient>,
    following: Option<(FollowEnd, JoinHandle<()>)>,
}

impl Printed {
    fn follow(
        &self,
        handle: &Handle,
        status: &v1::TaskStatus,
    ) -> Option<(FollowEnd, JoinHandle<()>)> {
        let container_id = status.container_status.as_ref()?.container_id.as_ref()?;
        // The executor of a command has the id of its task.
        let executor_id = ids::executor_id(&status.task_id.value);
        let sandbox = sandbox_path(&handle.framework_id()?, &executor_id, container_id);
        let files = self.agent.as_ref()?.files();
        let mut follow = files.follow(format!("{sandbox}/stdout"), 0);
        let end = follow.end();
        let printing = tokio::spawn(async move {
            while let Some(Ok(bytes)) = follow.next().await {
                let _ = std::io::stdout().write_all(&bytes);
            }
        });
        Some((end, printing))
    }
}

#[async_trait]
impl Scheduler for Printed {
    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        for offer in offers {
            if let Some(task) = self.task.take_if(|task| task.fits(&offer)) {
                let transport = Transport::new(TransportConfig::default());
                let url = offer
                    .url()
                    .ok_or("the offer does not say where its agent is")?;
                self.agent = AgentClient::of_url(url, transport, None);
                let tasks = vec![task.on(&offer)];
                offer.launch(tasks).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, handle: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        if update.state() == v1::TaskState::TaskRunning {
            self.following = self.follow(handle, update.status());
        }
        if update.is_terminal() {
            if let Some((end, printing)) = self.following.take() {
                end.is_complete(); // What is left is still printed.
                printing.await?;
            }
            println!("{}", update.state().as_str_name());
            handle.teardown().await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    mesos_examples::show_warnings();
    let mut args = std::env::args().skip(1);
    let address: MasterAddress = args.next().unwrap_or_else(|| "local".to_owned()).parse()?;
    let command = "for i in 1 2 3; do echo line $i; sleep 0.3; done".to_owned();
    let command = args.next().unwrap_or(command);
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let scheduler = Printed {
        task: Some(task::command("printer", command).cpus(0.1).mem_mib(32.0)),
        agent: None,
        following: None,
    };
    let info = FrameworkInfo::batch("follow-stdout").build();
    SchedulerDriver::builder(address, info)
        .build()?
        .run(scheduler)
        .await?;
    Ok(())
}
