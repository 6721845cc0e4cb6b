//! The master's model: whatever calls schedulers and operators make, and
//! whatever agents say, it goes on, and promises no resource twice.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_local::master::{ConnectionId, Effects, Input, LinkId, Master, MasterConfig, RequestId};
use mesos_local::messages::{AgentRegistration, FromAgent, ToAgent};
use mesos_local::time::Timestamp;
use mesos_proto::{json, v1, wire};
use mesos_sdk::resources::Resources;
use prost::{Message, Name};
use serde_json::Value;

use super::{Target, kind};

/// After so many inputs a new master begins.
const REIGN: u64 = 400;

pub(super) struct Models {
    master: Master,
    now: Timestamp,
    inputs: u64,
    framework: Option<v1::FrameworkId>,
    stream: Option<String>,
    agent: Option<v1::AgentId>,
    offers: Vec<String>,
}

impl Models {
    pub(super) fn new() -> Self {
        let mut models = Self {
            master: fresh(),
            now: Timestamp::from_secs(1_000_000),
            inputs: 0,
            framework: None,
            stream: None,
            agent: None,
            offers: Vec::new(),
        };
        models.begin();
        models
    }

    fn begin(&mut self) {
        self.master = fresh();
        self.offers.clear();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5051));
        let resources = Resources::parse("cpus:8;mem:8192;disk:20480;ports:[31000-32000]", "*");
        self.step(Input::FromAgent {
            link: LinkId(1),
            message: FromAgent::Register(AgentRegistration {
                info: v1::AgentInfo {
                    hostname: "localhost".to_owned(),
                    port: Some(5051),
                    resources: resources.expect("resources").into_vec(),
                    ..Default::default()
                },
                pid: format!("slave(1)@{address}"),
                address,
                version: "1.12.0".to_owned(),
                checkpointed_resources: Vec::new(),
                oversubscribed_resources: Vec::new(),
                operations: Vec::new(),
            }),
        });
        let call = r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"f",
            "roles":["*","a"],"failover_timeout":60.0,"checkpoint":true,"capabilities":[
            {"type":"MULTI_ROLE"},{"type":"PARTITION_AWARE"},{"type":"RESERVATION_REFINEMENT"}]}}}"#;
        self.subscribe(json::from_str(call).expect("a call"));
        self.step(Input::OperatorSubscribe {
            connection: ConnectionId(2),
            principal: None,
        });
    }

    fn subscribe(&mut self, call: v1::scheduler::Call) {
        self.step(Input::Subscribe {
            connection: ConnectionId(1),
            request: RequestId(1),
            call: Box::new(call),
            has_stream_id: false,
            principal: None,
        });
    }

    fn step(&mut self, input: Input) -> String {
        self.now = self.now + Duration::from_millis(50);
        let effects = self.master.step(self.now, input);
        let heard = self.hear(&effects);
        let state = self.master.state_report();
        let agents = state.get_agents.unwrap_or_default().agents;
        for agent in agents {
            let total = Resources::from(plain(agent.total_resources));
            let allocated = Resources::from(plain(agent.allocated_resources));
            assert!(
                sums(&total, &allocated),
                "{allocated} is allocated of {total}"
            );
        }
        heard
    }

    /// Learns ids, and names the kinds of what was said.
    fn hear(&mut self, effects: &Effects) -> String {
        let mut heard = String::new();
        for (_, stream) in &effects.accepted {
            if let Some(stream) = stream {
                self.stream = Some(stream.clone());
            }
        }
        for (_, reply) in &effects.replies {
            heard.push_str(&reply.body);
        }
        for (_, event) in &effects.events {
            heard.push_str(event.r#type().as_str_name());
            if let Some(subscribed) = &event.subscribed {
                self.framework = Some(subscribed.framework_id.clone());
            }
            if let Some(offers) = &event.offers {
                let ids = offers.offers.iter().map(|offer| offer.id.value.clone());
                self.offers.extend(ids);
            }
            if let Some(update) = &event.update {
                heard.push_str(update.status.state().as_str_name());
                heard.push_str(update.status.message());
            }
        }
        for (_, message) in &effects.to_agents {
            if let ToAgent::Registered { agent_id } = message {
                self.agent = Some(agent_id.clone());
            }
        }
        heard
    }

    /// Ids of the recording are no ids here: the last ones that are replace
    /// them, most of the time.
    fn made_current(&self, call: &mut v1::scheduler::Call) {
        call.framework_id.clone_from(&self.framework);
        let agent = self.agent.clone().unwrap_or_default();
        if let Some(accept) = &mut call.accept {
            for (id, known) in accept.offer_ids.iter_mut().zip(self.offers.iter().rev()) {
                id.value.clone_from(known);
            }
            for operation in &mut accept.operations {
                let launch = operation.launch.iter_mut();
                let groups = operation.launch_group.iter_mut();
                let tasks = launch
                    .flat_map(|launch| &mut launch.task_infos)
                    .chain(groups.flat_map(|group| &mut group.task_group.tasks));
                for task in tasks {
                    task.agent_id.clone_from(&agent);
                }
            }
        }
        if let Some(kill) = &mut call.kill {
            kill.agent_id = kill.agent_id.as_ref().map(|_| agent.clone());
        }
        for task in call.reconcile.iter_mut().flat_map(|r| &mut r.tasks) {
            task.agent_id = task.agent_id.as_ref().map(|_| agent.clone());
        }
    }
}

fn fresh() -> Master {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5050));
    let config = MasterConfig::new("m", address, "localhost");
    Master::new(config, Timestamp::from_secs(1_000_000))
}

/// Resources without whose they are.
fn plain(resources: Vec<v1::Resource>) -> Vec<v1::Resource> {
    let mut plain = resources;
    for resource in &mut plain {
        resource.allocation_info = None;
        resource.reservations.clear();
        resource.reservation = None;
        resource.role = None;
        resource.disk = None;
        resource.shared = None;
    }
    plain
}

/// Whether no more of any kind is allocated than there is.
fn sums(total: &Resources, allocated: &Resources) -> bool {
    let scalars = |resources: &Resources| {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for resource in resources {
            if let Some(scalar) = &resource.scalar {
                *sums.entry(resource.name.clone()).or_default() += scalar.value;
            }
        }
        sums
    };
    let there = scalars(total);
    scalars(allocated)
        .into_iter()
        .all(|(name, value)| value <= there.get(&name).copied().unwrap_or_default() + 1e-6)
}

/// Reads a call in the encoding that it can be read in.
fn read<M: Message + Name + Default>(input: &[u8]) -> Option<M> {
    let bytes = bytes::Bytes::copy_from_slice(input);
    json::from_slice(input)
        .ok()
        .or_else(|| wire::decode(bytes).ok())
}

impl Target for Models {
    fn name(&self) -> &'static str {
        "models"
    }

    fn take(&mut self, input: &[u8]) -> u64 {
        self.inputs += 1;
        if self.inputs.is_multiple_of(REIGN) {
            self.begin();
        }
        let mut outcomes = Vec::new();
        if let Some(mut call) = read::<v1::scheduler::Call>(input) {
            let kind = call.r#type().as_str_name();
            if call.r#type() == v1::scheduler::call::Type::Subscribe {
                self.subscribe(call);
            } else {
                if !self.inputs.is_multiple_of(16) {
                    self.made_current(&mut call);
                }
                let stream_id = self.stream.clone();
                outcomes.push(self.step(Input::Call {
                    request: RequestId(3),
                    call: Box::new(call),
                    stream_id,
                    principal: None,
                }));
            }
            outcomes.push(kind.to_owned());
        }
        if let Some(call) = read::<v1::master::Call>(input) {
            let kind = call.r#type().as_str_name();
            outcomes.push(kind.to_owned());
            outcomes.push(self.step(Input::OperatorCall {
                request: RequestId(4),
                call: Box::new(call),
                principal: None,
            }));
        }
        // What an agent might say: statuses are in updates of the recordings.
        if let Ok(value) = serde_json::from_slice::<Value>(input)
            && let status = &value["update"]["status"]
            && let Ok(status) = json::from_slice::<v1::TaskStatus>(status.to_string().as_bytes())
        {
            let latest_state = status.state();
            let message = FromAgent::StatusUpdate {
                framework_id: self.framework.clone().unwrap_or_default(),
                status,
                latest_state,
            };
            outcomes.push(self.step(Input::FromAgent {
                link: LinkId(1),
                message,
            }));
        }
        outcomes.push(self.step(Input::Tick));
        let outcomes: Vec<&str> = outcomes.iter().map(String::as_str).collect();
        kind(&outcomes)
    }
}
