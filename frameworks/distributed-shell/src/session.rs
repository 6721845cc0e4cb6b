//! One run from start to exit: registers the framework, waits, stamps the
//! time, steps the shell, does what it says. Decides nothing itself.

use std::{
    collections::BTreeMap,
    io, process,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::OptionFuture;
use mesos_local::Cluster;
use mesos_sdk::{
    address::MasterAddress,
    credentials::Credentials,
    framework_info::FrameworkInfo,
    offer::Offer,
    operator::MasterClient,
    scheduler::{BoxError, Disconnect, Handle, Scheduler, SchedulerDriver},
    status::StatusUpdate,
    transport::{Transport, TransportConfig},
    v1,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    args::Args,
    demand::Demand,
    follow::{Followed, Followers},
    output::{Presentation, Printer},
    shell::{Effects, Input, OfferView, Output, Settings, Shell},
};

/// The cluster could not be used.
pub(crate) const UNUSABLE: u8 = 125;
/// As a shell tells that a process died of a closed pipe.
const PIPE_CLOSED: u8 = 141;
/// How long to try to reach a master when `--timeout` does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a framework that vanished keeps its tasks.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long leaving in good order may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the commands and returns what to exit with.
pub(crate) async fn run(args: Args) -> u8 {
    let presentation = Presentation {
        tag: args.tag,
        json: args.json,
        quiet: args.quiet,
        output_dir: args.output_dir.clone(),
        raw: args.commands.len() == 1 && !args.on_every_agent,
    };
    let mut printer = match Printer::new(presentation) {
        Ok(printer) => printer,
        Err(error) => {
            anstream::eprintln!("distributed-shell: cannot keep output: {error}");
            return UNUSABLE;
        }
    };
    match Session::start(args).await {
        Ok(session) => Box::pin(session.run(printer)).await,
        Err(error) => {
            printer.finish();
            printer.error(&error.to_string());
            UNUSABLE
        }
    }
}

/// What the framework's events become on their way to the loop.
#[derive(Debug)]
enum Event {
    Subscribed(v1::FrameworkId, Option<v1::MasterInfo>),
    Disconnected(String),
    Offers(Vec<Offer>),
    Update(v1::TaskStatus),
}

/// Hands events to the loop; an update is acknowledged once it is handed over.
#[derive(Debug)]
struct Forward(mpsc::UnboundedSender<Event>);

#[async_trait]
impl Scheduler for Forward {
    async fn subscribed(
        &mut self,
        _: &Handle,
        framework_id: &v1::FrameworkId,
        info: &v1::scheduler::event::Subscribed,
    ) -> Result<(), BoxError> {
        let event = Event::Subscribed(framework_id.clone(), info.master_info.clone());
        Ok(self.0.send(event)?)
    }

    async fn disconnected(&mut self, _: &Handle, reason: &Disconnect) -> Result<(), BoxError> {
        Ok(self.0.send(Event::Disconnected(reason.to_string()))?)
    }

    async fn offers(&mut self, _: &Handle, offers: Vec<Offer>) -> Result<(), BoxError> {
        Ok(self.0.send(Event::Offers(offers))?)
    }

    async fn update(&mut self, _: &Handle, update: &StatusUpdate) -> Result<(), BoxError> {
        Ok(self.0.send(Event::Update(update.status().clone()))?)
    }
}

struct Session {
    started: Instant,
    connect_until: Instant,
    shell: Shell,
    cluster: Option<Cluster>,
    master: MasterAddress,
    on_every_agent: bool,
    handle: Handle,
    driver: JoinHandle<Result<(), mesos_sdk::Error>>,
    events: mpsc::UnboundedReceiver<Event>,
    followed: mpsc::Receiver<Followed>,
    followers: Followers,
    transport: Transport,
    credentials: Option<Credentials>,
    framework_id: Option<v1::FrameworkId>,
    /// Where each agent that made an offer answers.
    agents: BTreeMap<String, v1::Url>,
    has_told_unreachable: bool,
    /// What to exit with because output cannot be printed, and what to say of it.
    cannot_print: Option<(u8, Option<String>)>,
    /// Decided while offers were handled.
    exit: Option<u8>,
}

impl Session {
    async fn start(args: Args) -> Result<Self, BoxError> {
        let started = Instant::now();
        let credentials = credentials(&args)?;
        let (master, cluster) =
            mesos_local::connect(args.master(), mesos_local::ClusterConfig::default()).await?;
        let (send, events) = mpsc::unbounded_channel();
        let mut builder = SchedulerDriver::builder(master.clone(), framework_info(&args));
        if let Some(credentials) = &credentials {
            builder = builder.credentials(credentials.clone());
        }
        let driver = builder.build()?;
        let handle = driver.handle();
        let driver = tokio::spawn(driver.run(Forward(send)));
        let transport = Transport::new(TransportConfig::default());
        let (tell, followed) = mpsc::channel(64);
        Ok(Self {
            started,
            connect_until: started + args.timeout.unwrap_or(CONNECT_TIMEOUT),
            shell: Shell::new(settings(&args)),
            cluster,
            master,
            on_every_agent: args.on_every_agent,
            handle,
            driver,
            events,
            followed,
            followers: Followers::new(transport.clone(), credentials.clone(), tell),
            transport,
            credentials,
            framework_id: None,
            agents: BTreeMap::new(),
            has_told_unreachable: false,
            cannot_print: None,
            exit: None,
        })
    }

    async fn run(mut self, mut printer: Printer) -> u8 {
        let status = self.until_exit(&mut printer).await;
        printer.finish();
        let status = match self.cannot_print.take() {
            Some((status, why)) => {
                // The last line says why.
                why.inspect(|why| printer.error(why));
                status
            }
            None => status,
        };
        self.leave().await;
        status
    }

    async fn until_exit(&mut self, printer: &mut Printer) -> u8 {
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            printer.error("cannot listen for signals");
            return UNUSABLE;
        };
        loop {
            let wake: OptionFuture<_> = self
                .wake_at()
                .map(|at| tokio::time::sleep_until(at.into()))
                .into();
            let input = tokio::select! {
                biased;
                _ = interrupt.recv() => Some(Input::Interrupt),
                _ = terminate.recv() => Some(Input::Interrupt),
                Some(event) = self.events.recv() => self.event(event, printer).await,
                Some(followed) = self.followed.recv() => self.followed(followed, printer),
                result = &mut self.driver => {
                    printer.error(&driver_end(result));
                    return UNUSABLE;
                }
                Some(()) = wake => Some(Input::Tick),
            };
            if self.framework_id.is_none() {
                if matches!(input, Some(Input::Interrupt)) {
                    return 130;
                }
                if Instant::now() >= self.connect_until {
                    self.tell_unreachable("no answer", printer);
                    return UNUSABLE;
                }
            }
            if let Some(status) = self.exit.take() {
                return status;
            }
            if let Some(input) = input
                && let Some(status) = self.step(input, printer).await
            {
                return status;
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let connect = self.framework_id.is_none().then_some(self.connect_until);
        let shell = self.shell.wake_at().map(|at| self.started + at);
        connect.into_iter().chain(shell).min()
    }

    async fn event(&mut self, event: Event, printer: &mut Printer) -> Option<Input> {
        match event {
            Event::Subscribed(framework_id, master) => {
                let is_first = self.framework_id.is_none();
                self.framework_id = Some(framework_id.clone());
                if is_first && self.on_every_agent {
                    self.agents_known(master, printer).await;
                }
                Some(Input::Subscribed { framework_id })
            }
            Event::Disconnected(why) => {
                if self.framework_id.is_none() {
                    self.tell_unreachable(&why, printer);
                }
                None
            }
            Event::Offers(offers) => {
                self.exit = self.offers(offers, printer).await;
                None
            }
            Event::Update(status) => Some(Input::Update(Box::new(status))),
        }
    }

    fn tell_unreachable(&mut self, why: &str, printer: &Printer) {
        if !std::mem::replace(&mut self.has_told_unreachable, true) {
            printer.error(&format!("cannot use the master at {}: {why}", self.master));
        }
    }

    /// With `--on-every-agent` the agents there are now are meant.
    async fn agents_known(&mut self, master: Option<v1::MasterInfo>, printer: &mut Printer) {
        let Some(server) = self.handle.master() else {
            return;
        };
        drop(master);
        let client = MasterClient::new(server, self.transport.clone(), self.credentials.clone());
        match client.agents().await {
            Ok(agents) => {
                let agents = agents
                    .agents
                    .into_iter()
                    .filter(|agent| agent.active)
                    .filter_map(|agent| {
                        let info = agent.agent_info;
                        Some((info.id?, info.hostname))
                    })
                    .collect();
                let effects = self
                    .shell
                    .step(self.started.elapsed(), Input::Agents(agents));
                self.apply(effects, printer).await;
            }
            Err(error) => printer.error(&format!("cannot list the agents: {error}")),
        }
    }

    async fn offers(&mut self, offers: Vec<Offer>, printer: &mut Printer) -> Option<u8> {
        let mut held: BTreeMap<String, Offer> = BTreeMap::new();
        let mut views = Vec::with_capacity(offers.len());
        for offer in offers {
            if let Some(url) = offer.url() {
                self.agents
                    .insert(offer.agent_id().value.clone(), url.clone());
            }
            views.push(OfferView {
                id: offer.id().clone(),
                agent_id: offer.agent_id().clone(),
                hostname: offer.hostname().to_owned(),
                resources: offer.resources().clone(),
                attributes: offer.attributes().to_vec(),
            });
            held.insert(offer.id().value.clone(), offer);
        }
        let mut effects = self
            .shell
            .step(self.started.elapsed(), Input::Offers(views));
        let launches = std::mem::take(&mut effects.launches);
        let mut status = self.apply(effects, printer).await;
        for (offer_id, tasks) in launches {
            let Some(offer) = held.remove(&offer_id.value) else {
                continue;
            };
            let task_ids: Vec<String> = tasks.iter().map(|t| t.task_id.value.clone()).collect();
            match offer.launch(tasks).await {
                Ok(()) => {}
                Err(error) if error.had_no_effect() => {
                    let why = error.to_string();
                    let input = Input::NotLaunched { task_ids, why };
                    status = self.step(input, printer).await.or(status);
                }
                // Reconciliation tells what became of them.
                Err(error) => tracing::warn!(%error, "launch in doubt"),
            }
        }
        // What is left in `held` is declined when it is dropped.
        status
    }

    fn followed(&mut self, followed: Followed, printer: &mut Printer) -> Option<Input> {
        let result = match followed {
            Followed::Data { run, stream, data } => printer.output(&self.shell, run, stream, &data),
            Followed::Ended { run, task_id } => {
                let result = printer.output_ended(&self.shell, run);
                if result.is_ok() {
                    return Some(Input::OutputEnded { task_id });
                }
                result
            }
            Followed::Lost { run, why } => {
                printer.error(&format!("[{}] output is missing: {why}", run + 1));
                Ok(())
            }
        };
        self.printed(result)
    }

    /// Output that cannot be printed ends the run, quietly when nobody reads.
    fn printed(&mut self, result: io::Result<()>) -> Option<Input> {
        let error = result.err()?;
        if self.cannot_print.is_some() {
            return None;
        }
        self.cannot_print = Some(if error.kind() == io::ErrorKind::BrokenPipe {
            (PIPE_CLOSED, None)
        } else {
            (UNUSABLE, Some(format!("cannot write output: {error}")))
        });
        Some(Input::Interrupt)
    }

    async fn step(&mut self, input: Input, printer: &mut Printer) -> Option<u8> {
        let effects = self.shell.step(self.started.elapsed(), input);
        Box::pin(self.apply(effects, printer)).await
    }

    async fn apply(&mut self, effects: Effects, printer: &mut Printer) -> Option<u8> {
        let mut stop = None;
        for notice in &effects.notices {
            let result = printer.notice(&self.shell, notice);
            stop = stop.or(self.printed(result));
        }
        for output in effects.follow {
            self.follow(output, printer);
        }
        let mut unread = Vec::new();
        for task_id in effects.drain {
            self.followers.drain(&task_id);
            // Nobody reads what would be read still.
            if self.cannot_print.is_some() {
                unread.push(task_id);
            }
        }
        for (task_id, agent_id) in effects.kills {
            let handle = self.handle.clone();
            // A kill that is lost is made up for by the teardown at the end.
            tokio::spawn(async move { handle.kill(task_id, Some(agent_id), None).await });
        }
        if effects.revive || effects.suppress {
            let handle = self.handle.clone();
            let result = if effects.revive {
                handle.revive(Vec::new()).await
            } else {
                handle.suppress(Vec::new()).await
            };
            if let Err(error) = result {
                // The next subscription begins revived.
                tracing::debug!(%error, "offers are not balanced");
            }
        }
        if effects.exit.is_some() {
            return effects.exit;
        }
        for task_id in unread {
            let input = Input::OutputEnded { task_id };
            let status = Box::pin(self.step(input, printer)).await;
            if status.is_some() {
                return status;
            }
        }
        match stop {
            Some(input) => Box::pin(self.step(input, printer)).await,
            None => None,
        }
    }

    fn follow(&mut self, output: Output, printer: &Printer) {
        let agent = self.agents.get(&output.agent_id.value);
        let (Some(url), Some(framework_id)) = (agent, &self.framework_id) else {
            printer.error(&format!(
                "[{}] output is missing: the agent's address is not known",
                output.run + 1
            ));
            return;
        };
        if !self.followers.follow(url, framework_id, output) {
            printer.error("output is missing: the agent's address cannot be used");
        }
    }

    /// Leaves in good order: the framework is removed and with it whatever of
    /// it still runs.
    async fn leave(self) {
        let goodbye = async {
            if self.framework_id.is_some()
                && let Err(error) = self.handle.teardown().await
            {
                tracing::debug!(%error, "teardown");
            }
            self.handle.stop();
            if let Some(cluster) = self.cluster {
                cluster.stop().await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
    }
}

fn driver_end(result: Result<Result<(), mesos_sdk::Error>, tokio::task::JoinError>) -> String {
    match result {
        Ok(Ok(())) => "the driver stopped".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => format!("the driver failed: {error}"),
    }
}

fn credentials(args: &Args) -> Result<Option<Credentials>, BoxError> {
    match (&args.principal, &args.secret_file) {
        (Some(principal), Some(file)) => Ok(Some(Credentials::basic_from_file(principal, file)?)),
        _ => Ok(None),
    }
}

fn framework_info(args: &Args) -> v1::FrameworkInfo {
    let mut info = FrameworkInfo::batch(&args.name)
        .role(&args.role)
        .failover_timeout(FAILOVER_TIMEOUT);
    if let Some(user) = &args.user {
        info = info.user(user);
    }
    if let Some(principal) = &args.principal {
        info = info.principal(principal);
    }
    if args.gpus > 0 {
        info = info.capability(v1::framework_info::capability::Type::GpuResources);
    }
    info.build()
}

fn settings(args: &Args) -> Settings {
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Settings {
        commands: args.commands.clone(),
        demand: Demand {
            cpus: args.cpus,
            mem_mib: args.mem,
            disk_mib: args.disk,
            gpus: args.gpus,
            ports: args.ports,
            role: args.role.clone(),
            attributes: args.attributes.clone(),
            user: args.user.clone(),
            environment: args.environment.clone(),
            uris: args.uris.clone(),
            docker_image: args.docker_image.clone(),
        },
        on_every_agent: args.on_every_agent,
        max_parallel: args.max_parallel.map_or(usize::MAX, |n| n as usize),
        retries: args.retries,
        deadline: args.timeout,
        run_id: format!("{:x}-{:x}", started.as_millis(), process::id()),
    }
}
