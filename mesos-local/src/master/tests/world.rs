//! Frameworks that keep what they hear, agents that keep what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_sdk::ids;
use mesos_sdk::resources::Resources;
use mesos_sdk::v1;
use mesos_sdk::v1::master::call::Type as Operation;
use mesos_sdk::v1::scheduler::{self, call, event};
use v1::framework_info::capability::Type as Capability;

use crate::master::{
    ConnectionId, Input, LinkId, Master, MasterConfig, Registry, Reply, RequestId,
};
use crate::messages::{AgentRegistration, FromAgent, OperationUpdate, ToAgent};
use crate::time::Timestamp;

/// A master, and all that was said to anybody and not looked at yet.
pub(super) struct World {
    pub(super) master: Master,
    now: Timestamp,
    heard: BTreeMap<ConnectionId, Vec<scheduler::Event>>,
    told: BTreeMap<LinkId, Vec<ToAgent>>,
    pub(super) operator_events: Vec<v1::master::Event>,
    /// Streams that were ended.
    pub(super) closes: Vec<ConnectionId>,
    streams: BTreeMap<ConnectionId, String>,
    next: u64,
}

/// A framework that is subscribed.
#[derive(Debug, Clone)]
pub(super) struct Framework {
    pub(super) id: v1::FrameworkId,
    pub(super) connection: ConnectionId,
    stream_id: String,
}

/// An agent that is registered.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) id: v1::AgentId,
    pub(super) link: LinkId,
    pub(super) registration: AgentRegistration,
}

fn config(id: &str) -> MasterConfig {
    MasterConfig::new(id, "127.0.0.1:5050".parse().unwrap(), "localhost")
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A master that is told something else.
    pub(super) fn with(change: impl FnOnce(&mut MasterConfig)) -> Self {
        let now = Timestamp::from_secs(1_000_000);
        let mut config = config("m0");
        change(&mut config);
        Self {
            master: Master::new(config, now),
            now,
            heard: BTreeMap::new(),
            told: BTreeMap::new(),
            operator_events: Vec::new(),
            closes: Vec::new(),
            streams: BTreeMap::new(),
            next: 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn step(&mut self, input: Input) -> Vec<(RequestId, Reply)> {
        let effects = self.master.step(self.now, input);
        for (connection, stream_id) in effects.accepted {
            self.streams
                .insert(connection, stream_id.unwrap_or_default());
        }
        for (connection, event) in effects.events {
            self.heard.entry(connection).or_default().push(event);
        }
        for (link, message) in effects.to_agents {
            self.told.entry(link).or_default().push(message);
        }
        self.operator_events
            .extend(effects.operator_events.into_iter().map(|(_, event)| event));
        self.closes.extend(effects.closes);
        effects.replies
    }

    /// Lets time pass, a tenth of a second at a time.
    pub(super) fn pass(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.now = self.now + Duration::from_millis(100);
            self.step(Input::Tick);
        }
    }

    /// Another master takes over.
    pub(super) fn fail_over(&mut self) {
        let registry: Registry = self.master.registry();
        self.master = Master::recover(config("m1"), registry, self.now);
        self.heard.clear();
        self.told.clear();
    }

    /// Registers an agent at its own address.
    pub(super) fn agent(&mut self, resources: &str) -> Agent {
        self.agent_with(resources, "")
    }

    pub(super) fn agent_with(&mut self, resources: &str, oversubscribed: &str) -> Agent {
        let oversubscribed = Resources::parse(oversubscribed, "*").unwrap().into_vec();
        let revocable = |mut item: v1::Resource| {
            item.revocable = Some(v1::resource::RevocableInfo {});
            item
        };
        let number = self.next();
        let port = 6000 + u16::try_from(number).unwrap();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let registration = AgentRegistration {
            info: v1::AgentInfo {
                hostname: "localhost".to_owned(),
                port: Some(port.into()),
                resources: Resources::parse(resources, "*").unwrap().into_vec(),
                ..Default::default()
            },
            pid: format!("slave(1)@{address}"),
            address,
            version: "1.12.0".to_owned(),
            checkpointed_resources: Vec::new(),
            oversubscribed_resources: oversubscribed.into_iter().map(revocable).collect(),
            operations: Vec::new(),
        };
        let link = LinkId(number);
        self.agent_says(link, FromAgent::Register(registration.clone()));
        let id = self
            .told(link)
            .into_iter()
            .find_map(|message| match message {
                ToAgent::Registered { agent_id } => Some(agent_id),
                _ => None,
            });
        let mut registration = registration;
        registration.info.id.clone_from(&id);
        Agent {
            id: id.unwrap_or_default(),
            link,
            registration,
        }
    }

    /// The agent comes again, with what it runs.
    pub(super) fn come_back(&mut self, agent: &Agent, tasks: Vec<v1::Task>) -> Agent {
        let link = LinkId(self.next());
        let message = FromAgent::Reregister {
            registration: agent.registration.clone(),
            frameworks: Vec::new(),
            executors: Vec::new(),
            tasks,
            completed_tasks: Vec::new(),
        };
        self.agent_says(link, message);
        Agent {
            link,
            ..agent.clone()
        }
    }

    pub(super) fn agent_says(&mut self, link: LinkId, message: FromAgent) {
        self.step(Input::FromAgent { link, message });
    }

    /// What an agent was told since the last look.
    pub(super) fn told(&mut self, link: LinkId) -> Vec<ToAgent> {
        self.told.remove(&link).unwrap_or_default()
    }

    pub(super) fn framework(&mut self, role: &str) -> Framework {
        self.framework_with(|info| info.roles = vec![role.to_owned()])
    }

    pub(super) fn framework_with(
        &mut self,
        change: impl FnOnce(&mut v1::FrameworkInfo),
    ) -> Framework {
        let capabilities = [
            Capability::MultiRole,
            Capability::PartitionAware,
            Capability::ReservationRefinement,
            Capability::TaskKillingState,
        ];
        let mut info = v1::FrameworkInfo {
            user: "root".to_owned(),
            name: "f".to_owned(),
            roles: vec!["*".to_owned()],
            failover_timeout: Some(60.0),
            checkpoint: Some(true),
            capabilities: capabilities.map(capability).to_vec(),
            ..Default::default()
        };
        change(&mut info);
        let connection = ConnectionId(self.next());
        let call = scheduler::Call {
            r#type: Some(call::Type::Subscribe as i32),
            framework_id: info.id.clone(),
            subscribe: Some(call::Subscribe {
                framework_info: info,
                ..Default::default()
            }),
            ..Default::default()
        };
        self.step(Input::Subscribe {
            connection,
            request: RequestId(connection.0),
            call: Box::new(call),
            has_stream_id: false,
            principal: None,
        });
        let id = self.heard[&connection][0]
            .subscribed
            .as_ref()
            .expect("SUBSCRIBED comes first")
            .framework_id
            .clone();
        Framework {
            id,
            connection,
            stream_id: self.streams[&connection].clone(),
        }
    }

    /// What a framework heard since the last look, other than heartbeats.
    pub(super) fn heard(&mut self, framework: &Framework) -> Vec<scheduler::Event> {
        let events = self.heard.remove(&framework.connection).unwrap_or_default();
        events
            .into_iter()
            .filter(|event| event.r#type() != event::Type::Heartbeat)
            .collect()
    }

    /// The kinds of events that a framework heard since the last look.
    pub(super) fn kinds(&mut self, framework: &Framework) -> Vec<event::Type> {
        let events = self.heard(framework);
        events.iter().map(scheduler::Event::r#type).collect()
    }

    /// The offers that a framework heard of since the last look.
    pub(super) fn offers(&mut self, framework: &Framework) -> Vec<v1::Offer> {
        let events = self.heard(framework);
        let offers = events.into_iter().filter_map(|event| event.offers);
        offers.flat_map(|event| event.offers).collect()
    }

    /// The statuses of tasks that a framework heard since the last look.
    pub(super) fn updates(&mut self, framework: &Framework) -> Vec<v1::TaskStatus> {
        let events = self.heard(framework);
        let updates = events.into_iter().filter_map(|event| event.update);
        updates.map(|update| update.status).collect()
    }

    pub(super) fn call(&mut self, framework: &Framework, mut call: scheduler::Call) -> Reply {
        call.framework_id = Some(framework.id.clone());
        let request = RequestId(self.next());
        let replies = self.step(Input::Call {
            request,
            call: Box::new(call),
            stream_id: Some(framework.stream_id.clone()),
            principal: None,
        });
        replies.into_iter().next().expect("a reply").1
    }

    pub(super) fn accept(
        &mut self,
        framework: &Framework,
        offer: &v1::Offer,
        operations: Vec<v1::offer::Operation>,
    ) {
        let reply = self.call(
            framework,
            scheduler::Call {
                r#type: Some(call::Type::Accept as i32),
                accept: Some(call::Accept {
                    offer_ids: vec![offer.id.clone()],
                    operations,
                    filters: Some(v1::Filters {
                        refuse_seconds: Some(0.0),
                    }),
                }),
                ..Default::default()
            },
        );
        assert_eq!(reply.status, 202, "{}", reply.body);
    }

    /// Launches a task and has it run.
    pub(super) fn run(
        &mut self,
        framework: &Framework,
        offer: &v1::Offer,
        agent: &Agent,
        id: &str,
        resources: &str,
    ) {
        let role = offer.allocation_info.as_ref().map_or("*", |a| a.role());
        let resources = Resources::parse(resources, "*").unwrap().allocate(role);
        let task = v1::TaskInfo {
            name: id.to_owned(),
            task_id: ids::task_id(id),
            agent_id: offer.agent_id.clone(),
            resources: resources.into_vec(),
            command: Some(v1::CommandInfo {
                value: Some("sleep 1000".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let launch = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch {
                task_infos: vec![task],
            }),
            ..Default::default()
        };
        self.accept(framework, offer, vec![launch]);
        self.update(framework, agent, id, v1::TaskState::TaskRunning);
        self.heard(framework);
        self.told(agent.link);
    }

    /// An update of an agent, which the framework acknowledges.
    pub(super) fn update(
        &mut self,
        framework: &Framework,
        agent: &Agent,
        task: &str,
        state: v1::TaskState,
    ) {
        let uuid = self.next().to_be_bytes().repeat(2);
        let status = v1::TaskStatus {
            task_id: ids::task_id(task),
            state: state as i32,
            uuid: Some(uuid.clone().into()),
            agent_id: Some(agent.id.clone()),
            ..Default::default()
        };
        self.agent_says(
            agent.link,
            FromAgent::StatusUpdate {
                framework_id: framework.id.clone(),
                status,
                latest_state: state,
            },
        );
        self.call(
            framework,
            scheduler::Call {
                r#type: Some(call::Type::Acknowledge as i32),
                acknowledge: Some(call::Acknowledge {
                    agent_id: agent.id.clone(),
                    task_id: ids::task_id(task),
                    uuid: uuid.into(),
                }),
                ..Default::default()
            },
        );
    }

    /// The agent does the operations that it was told since the last look, and
    /// says so; gives their uuids.
    pub(super) fn confirm(&mut self, agent: &Agent) -> Vec<Vec<u8>> {
        self.answer(agent, v1::OperationState::OperationFinished)
    }

    /// The agent says how the operations went that it was told of.
    pub(super) fn answer(&mut self, agent: &Agent, state: v1::OperationState) -> Vec<Vec<u8>> {
        let mut uuids = Vec::new();
        for message in self.told(agent.link) {
            let ToAgent::ApplyOperation {
                framework_id,
                info,
                operation,
            } = message
            else {
                continue;
            };
            let is_awaited = info.id.is_some() && framework_id.is_some();
            let value = operation.clone().into();
            let update = OperationUpdate {
                framework_id,
                operation: operation.clone(),
                status: v1::OperationStatus {
                    operation_id: info.id,
                    state: state as i32,
                    uuid: is_awaited.then_some(v1::Uuid { value }),
                    ..Default::default()
                },
                checkpointed_resources: Vec::new(),
            };
            self.agent_says(agent.link, FromAgent::OperationUpdate(update));
            uuids.push(operation);
        }
        uuids
    }

    /// The statuses of operations that a framework heard since the last look.
    pub(super) fn operation_updates(&mut self, framework: &Framework) -> Vec<v1::OperationStatus> {
        let events = self.heard(framework);
        let updates = events
            .into_iter()
            .filter_map(|event| event.update_operation_status);
        updates.map(|update| update.status).collect()
    }

    /// A call of an operator.
    pub(super) fn operate(
        &mut self,
        kind: Operation,
        fill: impl FnOnce(&mut v1::master::Call),
    ) -> Reply {
        let mut call = v1::master::Call::default();
        call.set_type(kind);
        fill(&mut call);
        let request = RequestId(self.next());
        let replies = self.step(Input::OperatorCall {
            request,
            call: Box::new(call),
            principal: None,
        });
        replies.into_iter().next().expect("a reply").1
    }

    /// The agent as operators see it.
    pub(super) fn shown(&self, agent: &Agent) -> v1::master::response::get_agents::Agent {
        let report = self.master.agents_report();
        let shown = report
            .agents
            .into_iter()
            .find(|shown| shown.agent_info.id.as_ref() == Some(&agent.id));
        shown.expect("the agent is registered")
    }
}

pub(super) fn dynamic(role: &str) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        role: Some(role.to_owned()),
        ..Default::default()
    }
}

/// Resources reserved for a role by an operation.
pub(super) fn reserved(text: &str, role: &str) -> Resources {
    Resources::parse(text, "*")
        .unwrap()
        .push_reservation(&dynamic(role))
}

/// A persistent volume of 64 MiB.
pub(super) fn volume(role: &str, id: &str, is_shared: bool) -> v1::Resource {
    let mut item = reserved("disk:64", role).into_vec().remove(0);
    item.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        volume: Some(v1::Volume {
            container_path: "data".to_owned(),
            mode: v1::volume::Mode::Rw as i32,
            ..Default::default()
        }),
        ..Default::default()
    }));
    item.shared = is_shared.then_some(v1::resource::SharedInfo {});
    item
}

pub(super) fn operation(
    kind: v1::offer::operation::Type,
    id: Option<&str>,
) -> v1::offer::Operation {
    v1::offer::Operation {
        r#type: Some(kind as i32),
        id: id.map(|id| v1::OperationId {
            value: id.to_owned(),
        }),
        ..Default::default()
    }
}

pub(super) fn reserve(resources: &Resources, id: Option<&str>) -> v1::offer::Operation {
    v1::offer::Operation {
        reserve: Some(v1::offer::operation::Reserve {
            source: Vec::new(),
            resources: resources.to_vec(),
        }),
        ..operation(v1::offer::operation::Type::Reserve, id)
    }
}

pub(super) fn create(volume: v1::Resource, id: Option<&str>) -> v1::offer::Operation {
    v1::offer::Operation {
        create: Some(v1::offer::operation::Create {
            volumes: vec![volume],
        }),
        ..operation(v1::offer::operation::Type::Create, id)
    }
}

pub(super) fn destroy(volume: v1::Resource, id: Option<&str>) -> v1::offer::Operation {
    v1::offer::Operation {
        destroy: Some(v1::offer::operation::Destroy {
            volumes: vec![volume],
        }),
        ..operation(v1::offer::operation::Type::Destroy, id)
    }
}

pub(super) fn capability(kind: Capability) -> v1::framework_info::Capability {
    v1::framework_info::Capability {
        r#type: Some(kind as i32),
    }
}
