//! A recorded scene: its cluster, what was done when, and what each stream
//! heard when.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_local::{AgentSpec, Cluster};
use mesos_tests::captures;
use serde_json::Value;

/// How often batches were allocated.
pub(crate) const ALLOCATION_INTERVAL: Duration = Duration::from_secs(1);

/// Scenes that are played faster than they were recorded, their pings too.
const FASTER: &[(&str, f64)] = &[("fault-master-restart-default-ping", 2.0)];

/// How long agents were not pinged unless a flag said otherwise.
const AGENT_PING_TIMEOUT: Duration = Duration::from_secs(15);

/// One recorded scene.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    record: Value,
    /// How much faster than recorded it is played.
    pace: f64,
}

/// Something that was done.
pub(crate) struct Action<'a> {
    pub(crate) at: Duration,
    pub(crate) what: &'a str,
    pub(crate) request: &'a Value,
    pub(crate) response: &'a Value,
}

impl Action<'_> {
    /// What was heard before this was heard before the action. What is killed
    /// or torn down had been heard, but may not have been noted.
    pub(crate) fn heard_until(&self) -> Duration {
        let ends = ["killed with SIGKILL", " sends TEARDOWN"];
        if ends.iter().any(|end| self.what.ends_with(end)) || self.what.contains(" gets SIG") {
            self.at + Duration::from_millis(2)
        } else {
            self.at
        }
    }
}

/// What a stream had heard at a time.
pub(crate) struct Stream<'a> {
    pub(crate) request: &'a Value,
    pub(crate) response: &'a Value,
}

impl Scene {
    pub(crate) fn read(name: &'static str) -> Self {
        let pace = FASTER.iter().find(|(faster, _)| *faster == name);
        let pace = pace.map_or(1.0, |(_, pace)| *pace);
        let mut record = captures::read(name);
        if pace > 1.0 {
            hurry(&mut record, pace);
        }
        Self { name, record, pace }
    }

    pub(crate) fn actions(&self) -> Vec<Action<'_>> {
        let actions = self.record["actions"].as_array().unwrap();
        actions
            .iter()
            .map(|value| Action {
                at: seconds(&value["at"]),
                what: value["what"].as_str().unwrap(),
                request: &value["request"],
                response: &value["response"],
            })
            .collect()
    }

    pub(crate) fn stream(&self, label: &str) -> Option<Stream<'_>> {
        let stream = self.record["streams"].get(label)?;
        Some(Stream {
            request: &stream["request"],
            response: &stream["response"],
        })
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = &String> {
        self.record["streams"].as_object().unwrap().keys()
    }

    /// Offers of all streams, in the order of their ids.
    pub(crate) fn offers(&self) -> BTreeMap<&str, (&str, &Value)> {
        let mut offers = BTreeMap::new();
        for label in self.labels() {
            for record in self.stream(label).unwrap().records() {
                for offer in record["offers"]["offers"].as_array().into_iter().flatten() {
                    offers.insert(
                        offer["id"]["value"].as_str().unwrap(),
                        (label.as_str(), offer),
                    );
                }
            }
        }
        offers
    }

    /// Whether it is part of it which offers came when.
    pub(crate) fn is_about_offers(&self) -> bool {
        self.name.starts_with("alloc-")
    }

    /// How long after whole seconds of the scene batches were allocated: when
    /// most offers came.
    pub(crate) fn batch_phase(&self) -> Duration {
        let mut times = Vec::new();
        for label in self.labels() {
            let response = self.stream(label).unwrap().response;
            let at = response["at"].as_array().into_iter().flatten();
            let records = response["records"].as_array().into_iter().flatten();
            let offers = records
                .zip(at)
                .filter(|(record, _)| record["type"] == "OFFERS");
            times.extend(offers.map(|(_, at)| at.as_f64().unwrap().fract()));
        }
        let is_near = |a: f64, b: f64| (a - b).rem_euclid(1.0).min((b - a).rem_euclid(1.0)) < 0.03;
        let near = |a: f64| times.iter().filter(|b| is_near(a, **b)).count();
        let most = times.iter().copied().max_by_key(|time| near(*time));
        Duration::from_secs_f64(most.filter(|most| near(*most) > 1).unwrap_or_default())
    }

    /// How long a master is silent before agents know that it is gone.
    pub(crate) fn silence(&self) -> Duration {
        AGENT_PING_TIMEOUT.div_f64(self.pace) * 5
    }

    /// The cluster as its flags and the offers of its agents describe it.
    pub(crate) async fn cluster(&self) -> Cluster {
        let cluster = &self.record["cluster"];
        let mut agents: BTreeMap<u64, &Value> = BTreeMap::new();
        for (_, offer) in self.offers().values() {
            let id = offer["agent_id"]["value"].as_str().unwrap();
            let index = id.rsplit_once("-S").unwrap().1.parse().unwrap();
            agents.entry(index).or_insert(offer);
        }
        let mut builder = Cluster::builder()
            .allocation_interval(ALLOCATION_INTERVAL)
            .configure(|config| {
                config.agent_ping_timeout = AGENT_PING_TIMEOUT.div_f64(self.pace);
            });
        for index in 0..cluster["agents"].as_u64().unwrap() {
            let resources = "cpus:8;mem:8192;disk:20480;ports:[31000-32000]";
            let mut spec = AgentSpec::new(resources);
            if let Some(offer) = agents.get(&index) {
                spec = spec.hostname(offer["hostname"].as_str().unwrap());
                let attributes = attributes(&offer["attributes"]);
                if !attributes.is_empty() {
                    spec = spec.attributes(attributes);
                }
            }
            builder = builder.agent(spec);
        }
        for flag in cluster["master_flags"].as_array().into_iter().flatten() {
            let flag = flag.as_str().unwrap();
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            builder = match name {
                "--offer_timeout" => builder.offer_timeout(duration(value)),
                "--agent_ping_timeout" => {
                    builder.configure(|config| config.agent_ping_timeout = duration(value))
                }
                "--max_agent_ping_timeouts" => builder
                    .configure(|config| config.max_agent_ping_timeouts = value.parse().unwrap()),
                _ => panic!("{}: {flag}: no such flag here", self.name),
            };
        }
        for flag in cluster["agent_flags"].as_array().into_iter().flatten() {
            if flag == "--http_command_executor=true" {
                builder = builder.configure(|config| config.http_command_executor = true);
            }
        }
        builder.start().await.unwrap()
    }
}

impl<'a> Stream<'a> {
    pub(crate) fn records(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.response["records"].as_array().into_iter().flatten()
    }

    /// Those that came before a time.
    pub(crate) fn before(&self, time: Duration) -> impl Iterator<Item = &'a Value> + use<'a> {
        let times = self.response["at"].as_array().into_iter().flatten();
        self.records()
            .zip(times)
            .filter(move |(_, at)| seconds(at) < time)
            .map(|(record, _)| record)
    }

    /// The other side ended it.
    pub(crate) fn is_ended(&self) -> bool {
        let closed = self.response["closed"].as_str();
        closed.is_some_and(|how| how != "by the client")
    }
}

/// Divides all times at which something was done or heard.
fn hurry(value: &mut Value, pace: f64) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hurry(item, pace)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), &mut *field) {
                    ("at", Value::Number(at)) => *field = (at.as_f64().unwrap() / pace).into(),
                    ("at", Value::Array(times)) => {
                        for at in times {
                            *at = (at.as_f64().unwrap() / pace).into();
                        }
                    }
                    (_, field) => hurry(field, pace),
                }
            }
        }
        _ => {}
    }
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap())
}

fn duration(text: &str) -> Duration {
    let seconds = text.strip_suffix("secs").unwrap();
    Duration::from_secs(seconds.parse().unwrap())
}

fn attributes(list: &Value) -> String {
    let attribute = |attribute: &Value| {
        let name = attribute["name"].as_str().unwrap();
        let value = match attribute["type"].as_str().unwrap() {
            "TEXT" => attribute["text"]["value"].as_str().unwrap().to_owned(),
            "SCALAR" => attribute["scalar"]["value"].to_string(),
            _ => {
                let range = &attribute["ranges"]["range"][0];
                format!("[{}-{}]", range["begin"], range["end"])
            }
        };
        format!("{name}:{value}")
    };
    let all: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(attribute)
        .collect();
    all.join(";")
}
