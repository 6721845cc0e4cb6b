//! Containers that are asked for by name: inside those of executors and tasks,
//! for a session or to stay, and beside them (docs/nested-container-and-task-group.md,
//! `src/slave/http.cpp`, `src/slave/containerizer/mesos/containerizer.cpp`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesos_sdk::v1;

use crate::agent::environment::add_variables;
use crate::agent::executor::{Kind, Phase};
use crate::agent::{Action, Agent, CallId, ContainerKey, Effects, ExitStatus, Io, Launch, Signal};

/// A call about a container.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerCall {
    /// Make one.
    Launch(Box<ContainerLaunch>),
    /// Tell when it has ended.
    Wait(ContainerKey),
    /// Send it a signal, by its number.
    Kill(ContainerKey, i32),
    /// Forget it and remove its sandbox.
    Remove(ContainerKey),
    /// Whether one may attach to its input and output.
    Attach(ContainerKey),
    /// Whoever wanted it has gone.
    Destroy(ContainerKey),
}

/// What a container is to be like.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerLaunch {
    /// Its id, with its parent's.
    pub container: ContainerKey,
    /// What runs in it.
    pub command: v1::CommandInfo,
    /// What surrounds it.
    pub info: Option<v1::ContainerInfo>,
    /// It lives as long as the connection that asked for it, in the sandbox and
    /// with the environment of its parent.
    pub is_session: bool,
}

/// The answer to a [`ContainerCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerAnswer {
    /// It is done.
    Done,
    /// There is such a container already.
    AlreadyThere,
    /// It has ended.
    Ended(ExitStatus),
    /// An HTTP status and a sentence.
    Refused(u16, String),
}

/// Every container that was asked for by name.
#[derive(Debug, Default)]
pub(crate) struct Nested {
    containers: BTreeMap<ContainerKey, Container>,
    /// Who waits for the end of a container, of an executor too.
    waiting: BTreeMap<ContainerKey, Vec<CallId>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Container {
    state: State,
    place: Place,
    /// Its sandbox is its own.
    has_sandbox: bool,
    is_attachable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Launching(CallId),
    Running(Option<u32>),
    Ended(ExitStatus),
}

/// What a process sees of its surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) user: Option<String>,
}

impl Nested {
    pub(crate) fn has(&self, container: &ContainerKey) -> bool {
        self.containers.contains_key(container)
    }

    /// Those in which something runs, and its process.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&ContainerKey, Option<u32>)> {
        let pid = |container: &Container| match container.state {
            State::Running(pid) => Some(pid),
            State::Launching(_) | State::Ended(_) => None,
        };
        self.containers
            .iter()
            .filter_map(move |(key, container)| Some((key, pid(container)?)))
    }
}

impl Agent {
    pub(super) fn container_call(
        &mut self,
        id: CallId,
        call: ContainerCall,
        effects: &mut Effects,
    ) {
        let answer = match call {
            ContainerCall::Launch(launch) => match self.launch_container(id, *launch, effects) {
                Ok(None) => return,
                Ok(Some(answer)) => answer,
                Err(text) => ContainerAnswer::Refused(400, text),
            },
            ContainerCall::Wait(container) => match self.wait_for_container(id, &container) {
                Some(answer) => answer,
                None => return,
            },
            ContainerCall::Kill(container, signal) => {
                if self.is_running(&container) {
                    effects.actions.push(Action::Raise { container, signal });
                    ContainerAnswer::Done
                } else {
                    ContainerAnswer::Refused(
                        404,
                        format!("Container '{container}' cannot be found (or is already killed)"),
                    )
                }
            }
            ContainerCall::Remove(container) => self.remove_container(&container, effects),
            ContainerCall::Attach(container) => self.attach_to_container(&container),
            ContainerCall::Destroy(container) => {
                self.destroy_container(&container, effects);
                ContainerAnswer::Done
            }
        };
        effects.answers.push((id, answer));
    }

    /// Asks for a container to be made; the answer comes when it was.
    fn launch_container(
        &mut self,
        id: CallId,
        launch: ContainerLaunch,
        effects: &mut Effects,
    ) -> Result<Option<ContainerAnswer>, String> {
        let container = launch.container;
        if self.nested.has(&container) || self.containers.contains_key(&container) {
            return Ok(Some(ContainerAnswer::AlreadyThere));
        }
        let has_image = launch.info.as_ref().is_some_and(|info| {
            let mesos = info.mesos.as_ref();
            info.r#type() == v1::container_info::Type::Docker
                || mesos.is_some_and(|mesos| mesos.image.is_some())
        });
        if has_image {
            return Err("The provided ContainerInfo is not supported".to_owned());
        }
        let mut place = match container.parent() {
            None => self.standalone_place(&container),
            Some(parent) => {
                let outer = self
                    .place_of(&parent)
                    .ok_or_else(|| format!("Parent container {parent} does not exist"))?;
                if launch.is_session {
                    outer
                } else {
                    let directory = outer.directory.join("containers").join(container.name());
                    Place {
                        environment: of_sandbox(&outer.environment, &directory),
                        directory,
                        user: outer.user,
                    }
                }
            }
        };
        add_variables(&mut place.environment, launch.command.environment.as_ref());
        if launch.command.user.is_some() {
            place.user = launch
                .command
                .user
                .clone()
                .filter(|_| self.config.switch_user);
        }
        let terminal = launch.info.and_then(|info| info.tty_info);
        let io = match (terminal, launch.is_session) {
            (Some(terminal), _) => Io::Terminal {
                size: terminal.window_size.map(|size| (size.rows, size.columns)),
                is_logged: !launch.is_session,
            },
            (None, true) => Io::Streams,
            (None, false) => Io::Files,
        };
        effects.actions.push(Action::Launch(Box::new(Launch {
            container: container.clone(),
            directory: place.directory.clone(),
            executor_directory: None,
            command: launch.command,
            environment: place.environment.clone(),
            user: place.user.clone(),
            volumes: Vec::new(),
            image: None,
            is_guest: launch.is_session,
            io,
        })));
        self.nested.containers.insert(
            container,
            Container {
                state: State::Launching(id),
                place,
                has_sandbox: !launch.is_session,
                is_attachable: io != Io::Files,
            },
        );
        Ok(None)
    }

    /// Where a container is that has no parent.
    fn standalone_place(&self, container: &ContainerKey) -> Place {
        let directory = self
            .config
            .work_dir
            .join("containers")
            .join(container.name());
        let ip = self.config.address.ip().to_string();
        let environment = [
            ("PATH", crate::agent::environment::PATH),
            ("LIBPROCESS_IP", ip.as_str()),
            ("MESOS_CONTAINER_IP", ip.as_str()),
        ];
        let environment: Vec<_> = environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Place {
            environment: of_sandbox(&environment, &directory),
            directory,
            user: None,
        }
    }

    /// The surroundings of a container in which something runs.
    fn place_of(&self, container: &ContainerKey) -> Option<Place> {
        if let Some(known) = self.nested.containers.get(container) {
            return matches!(known.state, State::Running(_)).then(|| known.place.clone());
        }
        let (framework, executor) = self.containers.get(container)?;
        let executor = self.executor(framework, executor)?;
        if executor.container == *container {
            // A container of the Docker engine is entered in another way.
            let is_entered = match &executor.kind {
                Kind::Command(run) => !run.is_docker(),
                Kind::Custom(custom) => !custom.is_docker(),
                Kind::Default(_) => true,
            };
            return (executor.phase != Phase::Terminated && is_entered)
                .then(|| executor.place.clone());
        }
        let Kind::Default(pod) = &executor.kind else {
            return None;
        };
        pod.runs()
            .find(|run| run.container == *container && run.phase == Phase::Running)
            .map(|run| run.place.clone())
    }

    fn is_running(&self, container: &ContainerKey) -> bool {
        match self.nested.containers.get(container) {
            Some(known) => matches!(known.state, State::Running(_)),
            None => self.containers.contains_key(container),
        }
    }

    fn wait_for_container(
        &mut self,
        id: CallId,
        container: &ContainerKey,
    ) -> Option<ContainerAnswer> {
        if let Some(Container {
            state: State::Ended(status),
            ..
        }) = self.nested.containers.get(container)
        {
            return Some(ContainerAnswer::Ended(*status));
        }
        if !self.nested.has(container) && !self.containers.contains_key(container) {
            return Some(not_found(container));
        }
        let waiting = self.nested.waiting.entry(container.clone());
        waiting.or_default().push(id);
        None
    }

    fn remove_container(
        &mut self,
        container: &ContainerKey,
        effects: &mut Effects,
    ) -> ContainerAnswer {
        if self.is_running(container) {
            let text = "Nested container has not terminated yet";
            return ContainerAnswer::Refused(500, text.to_owned());
        }
        if let Some(known) = self.nested.containers.remove(container) {
            effects.actions.push(Action::Abandon {
                container: container.clone(),
            });
            if known.has_sandbox {
                effects.actions.push(Action::RemoveSandbox {
                    directory: known.place.directory,
                });
            }
        }
        ContainerAnswer::Done
    }

    fn attach_to_container(&self, container: &ContainerKey) -> ContainerAnswer {
        let known = self.nested.containers.get(container);
        match known {
            Some(known) if known.is_attachable => ContainerAnswer::Done,
            None if !self.containers.contains_key(container) => not_found(container),
            Some(_) | None => ContainerAnswer::Refused(
                500,
                "IO switchboard server was disabled for this container".to_owned(),
            ),
        }
    }

    fn destroy_container(&mut self, container: &ContainerKey, effects: &mut Effects) {
        let Some(known) = self.nested.containers.get(container) else {
            return;
        };
        let container = container.clone();
        match known.state {
            State::Launching(_) => {
                self.nested.containers.remove(&container);
                effects.actions.push(Action::Abandon { container });
            }
            State::Running(_) => effects.actions.push(Action::Signal {
                container,
                signal: Signal::Kill,
            }),
            State::Ended(_) => {}
        }
    }

    /// A container that was asked for runs.
    pub(super) fn container_launched(
        &mut self,
        container: &ContainerKey,
        pid: Option<u32>,
        effects: &mut Effects,
    ) {
        if let Some(known) = self.nested.containers.get_mut(container)
            && let State::Launching(id) = known.state
        {
            known.state = State::Running(pid);
            effects.answers.push((id, ContainerAnswer::Done));
        }
    }

    pub(super) fn container_not_launched(
        &mut self,
        container: &ContainerKey,
        message: String,
        effects: &mut Effects,
    ) {
        if let Some(known) = self.nested.containers.remove(container)
            && let State::Launching(id) = known.state
        {
            let refused = ContainerAnswer::Refused(400, message);
            effects.answers.push((id, refused));
        }
    }

    /// The process of a container has ended, whoever asked for it.
    pub(super) fn container_exited(
        &mut self,
        container: &ContainerKey,
        status: ExitStatus,
        effects: &mut Effects,
    ) {
        if let Some(known) = self.nested.containers.get_mut(container) {
            known.state = State::Ended(status);
        }
        self.tell_waiting(container, status, effects);
    }

    fn tell_waiting(
        &mut self,
        container: &ContainerKey,
        status: ExitStatus,
        effects: &mut Effects,
    ) {
        let waiting = self.nested.waiting.remove(container).unwrap_or_default();
        let ended = waiting
            .into_iter()
            .map(|id| (id, ContainerAnswer::Ended(status)));
        effects.answers.extend(ended);
    }

    /// A container has gone, and with it all those inside.
    pub(super) fn forget_nested(&mut self, container: &ContainerKey, effects: &mut Effects) {
        let killed = ExitStatus::Signaled {
            signal: 9,
            core_dumped: false,
        };
        let inside: Vec<ContainerKey> = self
            .nested
            .containers
            .range(container..)
            .map(|(key, _)| key)
            .take_while(|key| key.is_in(container))
            .cloned()
            .collect();
        for key in inside {
            let known = self.nested.containers.remove(&key);
            match known.map(|known| known.state) {
                Some(State::Launching(id)) => {
                    let text = format!("Parent container {container} does not exist");
                    let refused = ContainerAnswer::Refused(400, text);
                    effects.answers.push((id, refused));
                }
                Some(State::Running(_)) => self.tell_waiting(&key, killed, effects),
                Some(State::Ended(_)) | None => {}
            }
            effects.actions.push(Action::Abandon { container: key });
        }
        self.tell_waiting(container, killed, effects);
    }

    /// Containers without a parent go with the machine.
    pub(super) fn forget_standalone(&mut self, effects: &mut Effects) {
        let all: Vec<ContainerKey> = self.nested.containers.keys().cloned().collect();
        for container in all {
            self.forget_nested(&container, effects);
        }
    }
}

fn not_found(container: &ContainerKey) -> ContainerAnswer {
    ContainerAnswer::Refused(404, format!("Container {container} cannot be found"))
}

/// The variables that a container takes over from the one around it, and those
/// that name its own sandbox.
fn of_sandbox(outer: &[(String, String)], directory: &std::path::Path) -> Vec<(String, String)> {
    const KEPT: [&str; 3] = ["PATH", "LIBPROCESS_IP", "MESOS_CONTAINER_IP"];
    let mut environment: Vec<(String, String)> = outer
        .iter()
        .filter(|(name, _)| KEPT.contains(&name.as_str()))
        .cloned()
        .collect();
    let sandbox = directory.to_string_lossy().into_owned();
    environment.push(("MESOS_SANDBOX".to_owned(), sandbox));
    environment
}
