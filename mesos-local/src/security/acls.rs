//! Who may do what, by the rules and in the form of Mesos's local authorizer
//! (`docs/authorization.md`, `src/authorizer/local/authorizer.cpp`).
//!
//! Every action has a list of rules, each of principals and objects. The first
//! rule that is about the principal and the object at hand decides; where none
//! is, `permissive` does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The rules. The default allows everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Acls {
    permissive: bool,
    rules: BTreeMap<Action, Vec<Rule>>,
}

impl Default for Acls {
    fn default() -> Self {
        Self {
            permissive: true,
            rules: BTreeMap::new(),
        }
    }
}

/// Text that holds no rules.
#[derive(Debug, thiserror::Error)]
#[error("no acls: {reason}")]
#[non_exhaustive]
pub struct AclsError {
    /// What is wrong.
    pub reason: String,
}

/// What is allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    RegisterFrameworks,
    RunTasks,
    TeardownFrameworks,
    ReserveResources,
    UnreserveResources,
    CreateVolumes,
    DestroyVolumes,
    ResizeVolumes,
    ViewFrameworks,
    ViewTasks,
    ViewExecutors,
    ViewRoles,
    ViewFlags,
    GetEndpoints,
    UpdateWeights,
    UpdateQuotas,
    SetLogLevel,
    AccessMesosLogs,
    MarkAgentsGone,
    DrainAgents,
    DeactivateAgents,
    ReactivateAgents,
    UpdateMaintenanceSchedules,
    StartMaintenances,
    StopMaintenances,
}

/// How actions and their objects are named in the rules.
const NAMES: &[(&str, &str, Action)] = &[
    ("register_frameworks", "roles", Action::RegisterFrameworks),
    ("run_tasks", "users", Action::RunTasks),
    (
        "teardown_frameworks",
        "framework_principals",
        Action::TeardownFrameworks,
    ),
    ("reserve_resources", "roles", Action::ReserveResources),
    (
        "unreserve_resources",
        "reserver_principals",
        Action::UnreserveResources,
    ),
    ("create_volumes", "roles", Action::CreateVolumes),
    (
        "destroy_volumes",
        "creator_principals",
        Action::DestroyVolumes,
    ),
    ("resize_volumes", "roles", Action::ResizeVolumes),
    ("view_frameworks", "users", Action::ViewFrameworks),
    ("view_tasks", "users", Action::ViewTasks),
    ("view_executors", "users", Action::ViewExecutors),
    ("view_roles", "roles", Action::ViewRoles),
    ("view_flags", "flags", Action::ViewFlags),
    ("get_endpoints", "paths", Action::GetEndpoints),
    ("update_weights", "roles", Action::UpdateWeights),
    ("update_quotas", "roles", Action::UpdateQuotas),
    ("set_log_level", "level", Action::SetLogLevel),
    ("access_mesos_logs", "logs", Action::AccessMesosLogs),
    ("mark_agents_gone", "agents", Action::MarkAgentsGone),
    ("drain_agents", "agents", Action::DrainAgents),
    ("deactivate_agents", "agents", Action::DeactivateAgents),
    ("reactivate_agents", "agents", Action::ReactivateAgents),
    (
        "update_maintenance_schedules",
        "machines",
        Action::UpdateMaintenanceSchedules,
    ),
    ("start_maintenances", "machines", Action::StartMaintenances),
    ("stop_maintenances", "machines", Action::StopMaintenances),
];

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    principals: Entity,
    objects: Entity,
}

/// Some values, all, or none.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entity {
    #[serde(default, rename = "type")]
    kind: Kind,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    #[default]
    Some,
    Any,
    None,
}

impl Entity {
    /// Whether a rule about this is about the value; any value at all if there
    /// is none.
    fn matches(&self, value: Option<&str>) -> bool {
        self.kind != Kind::Some || self.names(value)
    }

    fn allows(&self, value: Option<&str>) -> bool {
        match self.kind {
            Kind::Any => true,
            Kind::None => false,
            Kind::Some => self.names(value),
        }
    }

    fn names(&self, value: Option<&str>) -> bool {
        let is_named = |value: &str| {
            self.values.iter().any(|named| {
                named == value
                    || named
                        .strip_suffix('%')
                        .filter(|parent| parent.ends_with('/'))
                        .is_some_and(|parent| value.starts_with(parent))
            })
        };
        value.is_some_and(is_named)
    }
}

impl Acls {
    /// Reads the JSON that Mesos's `--acls` takes.
    ///
    /// # Errors
    ///
    /// When it is none, or has actions that are not checked here: rules that
    /// nobody keeps are worse than none.
    pub fn parse(text: &str) -> Result<Self, AclsError> {
        let wrong = |reason: String| AclsError { reason };
        let json: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut acls = Self::default();
        for (key, value) in json {
            if key == "permissive" {
                acls.permissive = value
                    .as_bool()
                    .ok_or_else(|| wrong("`permissive` is no boolean".to_owned()))?;
                continue;
            }
            let (_, objects, action) = NAMES
                .iter()
                .find(|(name, ..)| *name == key)
                .ok_or_else(|| wrong(format!("`{key}` is not supported by mesos-local")))?;
            let rules: Vec<BTreeMap<String, Entity>> = serde_json::from_value(value)
                .map_err(|error| wrong(format!("`{key}`: {error}")))?;
            for mut rule in rules {
                let mut part = |name: &str| {
                    let missing = || wrong(format!("`{key}`: a rule has no `{name}`"));
                    rule.remove(name).ok_or_else(missing)
                };
                let rule = Rule {
                    principals: part("principals")?,
                    objects: part(objects)?,
                };
                acls.rules.entry(*action).or_default().push(rule);
            }
        }
        Ok(acls)
    }

    /// Whether there is nothing to check at all.
    pub(crate) fn allow_all(&self) -> bool {
        self.permissive && self.rules.is_empty()
    }

    /// Whether somebody may do something; without an object, to all objects.
    pub(crate) fn allow(
        &self,
        principal: Option<&str>,
        action: Action,
        object: Option<&str>,
    ) -> bool {
        let rules = self.rules.get(&action).map_or(&[][..], Vec::as_slice);
        rules
            .iter()
            .find(|rule| rule.principals.matches(principal) && rule.objects.matches(object))
            .map_or(self.permissive, |rule| {
                rule.principals.allows(principal) && rule.objects.allows(object)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"{
        "permissive": true,
        "register_frameworks": [
            {"principals": {"values": ["alice"]}, "roles": {"values": ["a", "b/%"]}},
            {"principals": {"values": ["alice"]}, "roles": {"type": "NONE"}}],
        "teardown_frameworks": [
            {"principals": {"type": "NONE"}, "framework_principals": {"values": ["alice"]}}],
        "view_flags": [
            {"principals": {"values": ["alice"]}, "flags": {"type": "ANY"}},
            {"principals": {"type": "NONE"}, "flags": {"type": "ANY"}}]
    }"#;

    #[test]
    fn the_first_rule_about_both_decides() {
        let acls = Acls::parse(RULES).unwrap();
        let may = |who, action, what| acls.allow(who, action, what);
        let alice = Some("alice");
        let (bob, nobody) = (Some("bob"), None);
        for (role, expected) in [("a", true), ("b/c", true), ("b", false), ("c", false)] {
            let allowed = may(alice, Action::RegisterFrameworks, Some(role));
            assert_eq!(allowed, expected, "{role}");
            assert!(may(bob, Action::RegisterFrameworks, Some(role)));
        }
        assert!(!may(bob, Action::TeardownFrameworks, alice));
        assert!(may(bob, Action::TeardownFrameworks, bob));
        assert!(may(alice, Action::ViewFlags, None));
        assert!(!may(bob, Action::ViewFlags, None));
        assert!(!may(nobody, Action::ViewFlags, None));
        // Of actions without rules `permissive` decides.
        assert!(may(nobody, Action::RunTasks, Some("root")));
        let strict = Acls::parse(r#"{"permissive": false}"#).unwrap();
        assert!(!strict.allow(alice, Action::RunTasks, Some("root")));
    }

    #[test]
    fn what_would_not_be_kept_is_refused() {
        for (text, reason) in [
            ("[]", "expected a map"),
            (r#"{"permissive": 1}"#, "no boolean"),
            (r#"{"launch_nested_containers": []}"#, "not supported"),
            (r#"{"run_tasks": [{"principals": {}}]}"#, "no `users`"),
            (
                r#"{"run_tasks": [{"principals": {"type": "ALL"}, "users": {}}]}"#,
                "unknown variant",
            ),
        ] {
            let error = Acls::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
