//! Lesson 10: a shell beside a task that runs, as an operator would open one to
//! look around: what is written to its standard input it runs, in the task's
//! sandbox, and what it prints comes back.
//!
//!     cargo run --example exec_into_a_task -- [MASTER] [COMMANDS]

use std::io::Write as _;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::framework_info::FrameworkInfo;
use mesos_sdk::offer::Offer;
use mesos_sdk::operator::{AgentClient, Output};
use mesos_sdk::scheduler::{BoxError, Handle, Scheduler, SchedulerDriver};
use mesos_sdk::status::StatusUpdate;
use mesos_sdk::transport::{Transport, TransportConfig};
use mesos_sdk::{async_trait, task, v1};

struct Visiting {
    task: Option<task::Task>,
    agent: Option<AgentClient>,
    commands: String,
}

impl Visiting {
    async fn visit(&self, container_id: &v1::ContainerId) -> Result<(), BoxError> {
        let agent = self.agent.as_ref().ok_or("the agent is not known")?;
        let mut session = agent.exec(container_id, "/bin/sh").start().await?;
        let input = session.input().await?;
        input.write(self.commands.clone()).await;
        input.finish().await?; // The shell reads the end of its input.
        while let Some(output) = session.output.next().await {
            match output? {
                Output::Stdout(bytes) => std::io::stdout().write_all(&bytes)?,
                Output::Stderr(bytes) => std::io::stderr().write_all(&bytes)?,
            }
        }
        let exit = session.wait().await?;
        let status = exit.status.ok_or("the agent does not know how it ended")?;
        println!("{status}");
        Ok(())
    }
}

#[async_trait]
impl Scheduler for Visiting {
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
            let container = update.status().container_status.as_ref();
            let container_id = container.and_then(|container| container.container_id.as_ref());
            self.visit(container_id.ok_or("the task has no container")?)
                .await?;
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
    let commands = args
        .next()
        .unwrap_or_else(|| "cat greeting; exit 3".to_owned());
    let (address, _cluster) = mesos_local::connect(&address, Default::default()).await?;
    let command = "echo hello from the task > greeting; exec sleep 1000";
    let visiting = Visiting {
        task: Some(task::command("visited", command).cpus(0.1).mem_mib(32.0)),
        agent: None,
        commands: format!("while ! test -s greeting; do sleep 0.1; done\n{commands}\n"),
    };
    let info = FrameworkInfo::batch("visiting").build();
    let driver = SchedulerDriver::builder(address, info).build()?;
    Ok(driver.run(visiting).await?)
}
