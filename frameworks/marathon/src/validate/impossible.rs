//! What can never go on, whatever agents there are: it is refused at once, with
//! what would be right. What depends on the agents is not known here; a
//! deployment that waits for them says so.

use crate::deployment::rolling;
use crate::spec::Spec;
use crate::violations::Violations;

/// Where an app or a pod says what is looked at here.
pub(super) struct Paths {
    pub(super) constraints: &'static str,
    pub(super) instances: &'static str,
    pub(super) minimum: &'static str,
}

/// Those of apps.
pub(super) const OF_APPS: Paths = Paths {
    constraints: "/constraints",
    instances: "/instances",
    minimum: "/upgradeStrategy/minimumHealthCapacity",
};

/// Those of pods.
pub(super) const OF_PODS: Paths = Paths {
    constraints: "/scheduling/placement/constraints",
    instances: "/scaling/instances",
    minimum: "/scheduling/upgrade/minimumHealthCapacity",
};

pub(super) fn validate(spec: &Spec, at: &Paths, wrong: &mut Violations) {
    let constraints = spec.constraints();
    for (index, constraint) in constraints.iter().enumerate() {
        let is_none = matches!(parts(constraint), (_, "MAX_PER", Some(most)) if is_zero(most));
        wrong.require(
            !is_none,
            format!("{}({index})", at.constraints),
            "MAX_PER 0 leaves no place for any instance",
        );
    }
    if spec.is_everywhere() {
        return;
    }
    let limits = constraints.iter().filter_map(|it| limit(it, &constraints));
    if let Some((most, why)) = limits.min_by_key(|(most, _)| *most) {
        wrong.require(
            spec.instances() <= most,
            at.instances,
            format!("must be {most} at most: {why}"),
        );
    }
    let ports = fixed(&spec.host_ports());
    let Some(host) = bound_host(&constraints).filter(|_| !ports.is_empty()) else {
        return;
    };
    let where_ = match host {
        Some(host) => format!("to the host {host}"),
        None => "to one host".to_owned(),
    };
    let why = format!("constraints bind it {where_}, which has host port {ports} only once");
    wrong.require(
        spec.instances() <= 1,
        at.instances,
        format!("must be 1 at most: {why}"),
    );
    let (least, _) = rolling::bounds_of(spec, 1);
    wrong.require(
        spec.instances() != 1 || host.is_none() || least == 0,
        at.minimum,
        format!(
            "must be 0: {why}, so that the next instance cannot start before the last has ended"
        ),
    );
}

/// Whether an instance can only start when the one before has ended: the
/// constraints bind it to one host, where its ports are there once.
pub(crate) fn is_exclusive(constraints: &[Vec<String>], host_ports: &[Option<u16>]) -> bool {
    let host = bound_host(constraints);
    host.is_some_and(|host| host.is_some()) && !fixed(host_ports).is_empty()
}

/// The field, the operator and the value of a constraint.
fn parts(constraint: &[String]) -> (&str, &str, Option<&str>) {
    let part = |index: usize| constraint.get(index).map(String::as_str);
    let field = match part(0).unwrap_or_default() {
        "@hostname" => "hostname",
        field => field,
    };
    (field, part(1).unwrap_or_default(), part(2))
}

fn is_zero(number: &str) -> bool {
    number.parse() == Ok(0_u32)
}

/// The field of a constraint that has the same value for all instances, and the
/// value if it is said.
fn bound(constraint: &[String]) -> Option<(&str, Option<&str>)> {
    let is_literal = |value: &str| {
        // The dots of names of hosts match themselves.
        let mut bytes = value.bytes();
        !value.is_empty() && bytes.all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
    };
    match parts(constraint) {
        (field, "IS", Some(value)) => Some((field, Some(value))),
        (field, "CLUSTER", value) => Some((field, value.filter(|it| !it.is_empty()))),
        (field, "LIKE", Some(value)) if is_literal(value) => Some((field, Some(value))),
        _ => None,
    }
}

/// Whether all instances are bound to one host, and to which if that is said.
fn bound_host(constraints: &[Vec<String>]) -> Option<Option<&str>> {
    let bound = constraints.iter().filter_map(|it| bound(it));
    let hosts = bound.filter(|(field, _)| *field == "hostname");
    // One that is named says more than one that is not.
    hosts.map(|(_, value)| value).max_by_key(Option::is_some)
}

/// How many instances there can be where each value of a field has so many, and
/// another constraint leaves it one value; and why.
fn limit(constraint: &[String], all: &[Vec<String>]) -> Option<(u32, String)> {
    let (field, operator, value) = parts(constraint);
    let most = match (operator, value) {
        ("UNIQUE", _) => 1,
        ("MAX_PER", Some(value)) if !is_zero(value) => value.parse().ok()?,
        _ => return None,
    };
    let mut bound = all.iter().filter_map(|it| bound(it));
    bound.find(|(other, _)| *other == field)?;
    Some((
        most,
        format!("{field} has one value by one constraint, and {operator} by another"),
    ))
}

/// The ports that are wanted by their numbers, in words.
fn fixed(host_ports: &[Option<u16>]) -> String {
    let fixed = host_ports.iter().flatten().filter(|port| **port != 0);
    let fixed: Vec<String> = fixed.map(ToString::to_string).collect();
    fixed.join(", ")
}
