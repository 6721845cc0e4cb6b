//! What a task is told in its environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{App, PortMapping};
use crate::instance::Instance;
use crate::state::Settings;

use super::{Value, value_of};

/// The longest value of the environment that tells of a label.
const MAX_LABEL: usize = 512;

/// What the variables of labels begin with.
const PREFIX: &str = "MARATHON_APP_LABEL_";

/// What is told of a task besides its app.
pub(super) struct Told<'a> {
    /// Its id.
    pub(super) task_id: &'a str,
    /// Its host.
    pub(super) hostname: &'a str,
    /// Its ports on the host; 0 for none.
    pub(super) ports: &'a [u16],
    /// Its ports inside that nobody said.
    pub(super) inside: &'a [u16],
    /// Whether its group enforces its role.
    pub(super) enforces_role: bool,
}

/// The environment: what Marathon tells of the app and its ports, and over all
/// of it what the app itself says.
pub(super) fn of_app(app: &App, told: &Told<'_>, settings: &Settings) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |name: String, value: String| {
        all.insert(name, value);
    };
    let prefix = settings.env_vars_prefix.as_deref().unwrap_or_default();
    put(format!("{prefix}HOST"), told.hostname.to_owned());
    for (name, value) in port_variables(app, told.ports, told.inside) {
        put(format!("{prefix}{name}"), value);
    }
    put("MESOS_TASK_ID".to_owned(), told.task_id.to_owned());
    put("MARATHON_APP_ID".to_owned(), app.id.to_string());
    put("MARATHON_APP_VERSION".to_owned(), app.version.to_string());
    for (name, amount) in [("CPUS", app.cpus), ("MEM", app.mem), ("DISK", app.disk)] {
        put(format!("MARATHON_APP_RESOURCE_{name}"), decimal(amount));
    }
    let gpus = app.gpus.to_string();
    put("MARATHON_APP_RESOURCE_GPUS".to_owned(), gpus);
    put(
        "MARATHON_APP_ENFORCE_GROUP_ROLE".to_owned(),
        told.enforces_role.to_string().to_uppercase(),
    );
    let image = app.container.as_ref().and_then(|it| it.docker.as_ref());
    if let Some(docker) = image {
        put("MARATHON_APP_DOCKER_IMAGE".to_owned(), docker.image.clone());
    }
    for (name, value) in label_variables(&app.labels) {
        put(name, value);
    }
    let mut all: BTreeMap<String, Value> = all
        .into_iter()
        .map(|(name, text)| (name, Value::Text(text)))
        .collect();
    for (name, value) in &app.env {
        if let Some(value) = value_of(value, &app.secrets) {
            all.insert(name.clone(), value);
        }
    }
    all
}

/// What the environment tells of labels: what no variable can be called becomes
/// `_`.
pub(super) fn label_variables(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let short = labels
        .iter()
        .filter(|(name, value)| name.len() < MAX_LABEL - PREFIX.len() && value.len() < MAX_LABEL);
    let labels: Vec<(String, &String)> = short
        .map(|(name, value)| (variable_name(name), value))
        .collect();
    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    let all = ("MARATHON_APP_LABELS".to_owned(), names.join(" "));
    let each = labels.iter();
    let each = each.map(|(name, value)| (format!("{PREFIX}{name}"), (*value).clone()));
    std::iter::once(all).chain(each).collect()
}

fn variable_name(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    let mut is_gap = false;
    for letter in label.chars() {
        let is_kept = letter.is_ascii_alphanumeric() || letter == '_';
        if is_kept {
            name.push(letter.to_ascii_uppercase());
        } else if !is_gap {
            name.push('_');
        }
        is_gap = !is_kept;
    }
    name
}

/// Numbers as Marathon wrote them into the environment: `1.0`, `0.5`.
pub(super) fn decimal(amount: f64) -> String {
    format!("{amount:?}")
}

/// The ports inside of containers that have none on the host and ask for any: 0
/// for all others. The same instance has the same ones each time.
pub(super) fn own_ports(app: &App, instance: &Instance, ports: &[u16]) -> Vec<u16> {
    let mappings = app.port_mappings();
    let said = mappings.iter().map(|it| it.container_port);
    let mut taken: BTreeSet<u16> = said.chain(ports.iter().copied()).collect();
    let mut chance = instance
        .task_id()
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut next = || loop {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let port = 1025 + (chance >> 33) % (65_536 - 1025);
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        if taken.insert(port) {
            return port;
        }
    };
    let is_open =
        |mapping: &PortMapping| mapping.host_port.is_none() && mapping.container_port == 0;
    let own = mappings
        .iter()
        .map(|it| if is_open(it) { next() } else { 0 });
    own.collect()
}

/// `PORT0` and the like, and the ports by their numbers and names.
fn port_variables(app: &App, ports: &[u16], inside: &[u16]) -> Vec<(String, String)> {
    let mut named: Vec<(Option<u16>, Option<&str>)> = Vec::new();
    if app.has_host_network() {
        let definitions = app.port_definitions.iter().flatten();
        named.extend(definitions.map(|it| (Some(it.port), it.name.as_deref())));
    } else {
        let mappings = app.port_mappings().iter();
        named.extend(mappings.map(|it| (Some(it.container_port), it.name.as_deref())));
    }
    let effective: Vec<u16> = named
        .iter()
        .zip(ports)
        .enumerate()
        .map(|(index, ((number, _), port))| match (port, number) {
            (0, None | Some(0)) => inside.get(index).copied().unwrap_or(0),
            (0, Some(number)) => *number,
            (port, _) => *port,
        })
        .collect();
    let mut all = Vec::new();
    for (index, ((number, name), port)) in named.iter().zip(&effective).enumerate() {
        let port = port.to_string();
        all.push((format!("PORT{index}"), port.clone()));
        match number {
            Some(0) | None => all.push((format!("PORT_{port}"), port.clone())),
            Some(number) => all.push((format!("PORT_{number}"), port.clone())),
        }
        if let Some(name) = name {
            let name = name.to_uppercase();
            // Shells know no hyphens in names.
            let spelt = name.replace('-', "_");
            all.push((format!("PORT_{name}"), port.clone()));
            all.push((format!("PORT_{spelt}"), port));
        }
    }
    if let Some(first) = effective.first() {
        all.push(("PORT".to_owned(), first.to_string()));
        let texts: Vec<String> = effective.iter().map(ToString::to_string).collect();
        all.push(("PORTS".to_owned(), texts.join(",")));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::instance::InstanceId;
    use crate::spec::Spec;

    #[test]
    fn labels_become_names_that_variables_can_have() {
        let labels = [
            ("a.b--c", "1"),
            ("HAPROXY_0", "2"),
            ("long", &"x".repeat(512)),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            label_variables(&labels.into()),
            [
                ("MARATHON_APP_LABELS", "HAPROXY_0 A_B_C"),
                ("MARATHON_APP_LABEL_HAPROXY_0", "2"),
                ("MARATHON_APP_LABEL_A_B_C", "1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_port_inside_that_nobody_said_is_a_free_one_and_stays_it() {
        let mut app = App::new("/a".parse().unwrap(), "*", Default::default());
        app.networks = vec![crate::app::Network::container(
            Some("n".to_owned()),
            BTreeMap::new(),
        )];
        let container = json!({"type": "MESOS", "portMappings": [
            {"containerPort": 0, "name": "http-api"}, {"containerPort": 80}, {"containerPort": 0},
        ]});
        app.container = Some(serde_json::from_value(container).unwrap());
        let spec = Spec::from(app.clone());
        let id = InstanceId::new(&app.id, uuid::Uuid::from_u128(7));
        let instance = Instance::scheduled(id, &spec, Default::default());
        let inside = own_ports(&app, &instance, &[0, 0, 0]);
        assert_eq!(inside, own_ports(&app, &instance, &[0, 0, 0]));
        assert!(inside[0] >= 1025 && inside[2] >= 1025 && inside[0] != inside[2]);
        assert_eq!(inside[1], 0);
        let all: BTreeMap<_, _> = port_variables(&app, &[0, 0, 0], &inside)
            .into_iter()
            .collect();
        let first = inside[0].to_string();
        for name in [
            "PORT",
            "PORT0",
            "PORT_HTTP-API",
            "PORT_HTTP_API",
            &format!("PORT_{first}"),
        ] {
            assert_eq!(all[name], first, "{name}");
        }
        assert_eq!((&*all["PORT1"], &*all["PORT_80"]), ("80", "80"));
    }
}
