//! Where and when instances run: constraints, strategies, roles, backoff.

use regex::Regex;

use crate::app::{App, UnreachableStrategy};
use crate::violations::Violations;

use super::has_duplicates;

/// The operators of constraints.
pub const OPERATORS: [&str; 7] = [
    "UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "MAX_PER", "UNLIKE", "IS",
];

pub(super) fn validate(app: &App, wrong: &mut Violations) {
    for (index, constraint) in app.constraints.iter().enumerate() {
        if let Some(error) = constraint_error(constraint) {
            wrong.add(format!("/constraints({index})"), error);
        }
    }
    everywhere(app, wrong);
    strategies(app, wrong);
    roles(app, wrong);
    wrong.require(
        app.backoff_factor.is_finite() && app.backoff_factor >= 1.0,
        "/backoffFactor",
        "error.min: must be at least 1",
    );
    timeout(app.deployment_timeout_seconds, wrong);
    start_before_kill(app, wrong);
    wrong.require(
        !has_duplicates(&app.dependencies),
        "/dependencies",
        "Elements must be unique.",
    );
    wrong.require(
        !app.is_single_instance() || app.instances <= 1,
        "/instances",
        "Single instance app may only have one instance",
    );
    if app.labels.contains_key("DCOS_MIGRATION_API_VERSION") {
        let is_set = |label| app.labels.get(label).is_some_and(|value| !value.is_empty());
        wrong.require(
            app.labels["DCOS_MIGRATION_API_VERSION"] == "v1"
                && is_set("DCOS_PACKAGE_FRAMEWORK_NAME")
                && is_set("DCOS_MIGRATION_API_PATH"),
            "/labels",
            "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using \
             DCOS_MIGRATION_API_VERSION",
        );
    }
}

/// The longest time that can be asked for: about thirty years.
const MAX_SECONDS: u64 = 1_000_000_000;

/// How long deployments may take.
pub(super) fn timeout(seconds: Option<u64>, wrong: &mut Violations) {
    wrong.require(
        seconds.is_none_or(|it| (1..=MAX_SECONDS).contains(&it)),
        "/deploymentTimeoutSeconds",
        format!(
            "must be from 1 to {MAX_SECONDS}; without it deployments take as long as they take"
        ),
    );
}

/// Whether there can be another instance for one that is not healthy.
fn start_before_kill(app: &App, wrong: &mut Violations) {
    let at = "/startBeforeKillSeconds";
    let Some(seconds) = app.start_before_kill_seconds else {
        return;
    };
    wrong.require(
        (1..=MAX_SECONDS).contains(&seconds),
        at,
        format!("must be from 1 to {MAX_SECONDS}; without it the unhealthy are killed at once"),
    );
    let is_alone = app.is_resident() || app.has_external_volumes() || app.on_every_agent;
    wrong.require(
        !is_alone && !app.is_single_instance(),
        at,
        "is not for apps of which no second instance can take a place: those with volumes that \
         are kept, onEveryAgent, or of a single instance",
    );
    wrong.require(
        is_alone || app.upgrade_strategy.maximum_over_capacity > 0.0,
        at,
        "needs an upgradeStrategy whose maximumOverCapacity is more than 0: another instance is \
         started beside the one that is not healthy",
    );
}

/// What says how many run, and what says it for every agent.
fn everywhere(app: &App, wrong: &mut Violations) {
    if !app.on_every_agent {
        return;
    }
    for (index, constraint) in app.constraints.iter().enumerate() {
        let operator = constraint.get(1).map(String::as_str);
        wrong.require(
            matches!(operator, Some("LIKE" | "UNLIKE" | "IS")),
            format!("/constraints({index})"),
            "only LIKE, UNLIKE and IS say on which agents an app runs that is onEveryAgent",
        );
    }
    wrong.require(
        !app.is_resident() && !app.is_single_instance(),
        "/onEveryAgent",
        "is neither for apps with persistent volumes nor for those of a single instance",
    );
}

/// What is wrong with a constraint, if anything.
pub(crate) fn constraint_error(constraint: &[String]) -> Option<String> {
    let (field, operator, value) = match constraint {
        [field, operator] => (field, operator, None),
        [field, operator, value] => (field, operator, Some(value.as_str())),
        _ => return Some("Each constraint must have either 2 or 3 fields".to_owned()),
    };
    if field.is_empty() {
        return Some("missing field for constraint declaration".to_owned());
    }
    let is_whole = |value: &str| value.parse::<u32>().is_ok();
    let error = match (operator.as_str(), value) {
        ("UNIQUE", Some(value)) if !value.is_empty() => "UNIQUE does not accept a value",
        ("UNIQUE" | "CLUSTER", _) => return None,
        ("GROUP_BY", None) => return None,
        ("GROUP_BY", Some(value)) if is_whole(value) => return None,
        ("GROUP_BY", _) => "GROUP BY must define an integer value or else no value at all",
        ("MAX_PER", Some(value)) if is_whole(value) => return None,
        ("MAX_PER", _) => "MAX_PER requires an integer value",
        ("LIKE" | "UNLIKE", Some(value)) if !value.is_empty() => {
            if Regex::new(value).is_ok() {
                return None;
            }
            return Some(format!("'{value}' is not a valid regular expression"));
        }
        ("LIKE" | "UNLIKE", _) => "LIKE and UNLIKE require a non-empty, regular expression value",
        ("IS", Some(value)) if is_text_or_number(value) => return None,
        ("IS", _) => {
            "IS only supports Mesos text and float values \
             (see http://mesos.apache.org/documentation/latest/attributes-resources/)"
        }
        _ => {
            "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, \
             UNLIKE or IS"
        }
    };
    Some(error.to_owned())
}

fn is_text_or_number(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_/.-".contains(&byte))
}

fn strategies(app: &App, wrong: &mut Violations) {
    let upgrade = app.upgrade_strategy;
    for (name, share) in [
        ("minimumHealthCapacity", upgrade.minimum_health_capacity),
        ("maximumOverCapacity", upgrade.maximum_over_capacity),
    ] {
        wrong.require(
            (0.0..=1.0).contains(&share),
            format!("/upgradeStrategy/{name}"),
            "must be between 0.0 and 1.0",
        );
    }
    if app.is_single_instance() {
        wrong.require(
            upgrade.minimum_health_capacity == 0.0 && upgrade.maximum_over_capacity == 0.0,
            "/upgradeStrategy",
            "must have minimumHealthCapacity 0 and maximumOverCapacity 0 for a single instance app",
        );
    }
    if app.has_exclusive_volumes() {
        wrong.require(
            upgrade.maximum_over_capacity == 0.0,
            "/upgradeStrategy/maximumOverCapacity",
            "must be 0 for apps with persistent or external volumes",
        );
    }
    match app.unreachable_strategy {
        UnreachableStrategy::Disabled(_) => {}
        UnreachableStrategy::Enabled { .. } if app.is_resident() => wrong.add(
            "/unreachableStrategy",
            "unreachableStrategy must be disabled for resident tasks",
        ),
        UnreachableStrategy::Enabled {
            inactive_after_seconds,
            expunge_after_seconds,
        } => wrong.require(
            expunge_after_seconds >= inactive_after_seconds,
            "/unreachableStrategy",
            "inactiveAfterSeconds must be less or equal to expungeAfterSeconds",
        ),
    }
}

fn roles(app: &App, wrong: &mut Violations) {
    let Some(accepted) = &app.accepted_resource_roles else {
        return;
    };
    let at = "/acceptedResourceRoles";
    wrong.require(!accepted.is_empty(), at, "must not be empty");
    wrong.require(!has_duplicates(accepted), at, "Elements must be unique.");
    let is_known = |role: &String| role == "*" || *role == app.role;
    wrong.require(
        accepted.iter().all(is_known),
        at,
        format!("must be of \"*\" and the app's role, \"{}\"", app.role),
    );
    if app.is_resident() {
        wrong.require(
            accepted.iter().any(|role| role == "*"),
            at,
            "A resident app must have `acceptedResourceRoles = [\"*\"]`.",
        );
    }
}
