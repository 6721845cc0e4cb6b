//! Offer constraints: which agents a framework wants offers of
//! (`docs/scheduler-http-api.md`, "Offer constraints").

use std::collections::{BTreeMap, BTreeSet};

use mesos_sdk::v1;
use mesos_sdk::v1::scheduler::attribute_constraint::{Predicate, Selector, predicate, selector};
use mesos_sdk::v1::scheduler::offer_constraints::RoleConstraints;
use mesos_sdk::v1::scheduler::{AttributeConstraint, OfferConstraints};
use regex::{Regex, RegexBuilder};

/// Larger programs of regular expressions are refused, as the master's flag
/// `--offer_constraints_re2_max_mem` does.
const LARGEST_REGEX: usize = 64 * 1024;

/// Checks constraints as they came.
///
/// # Errors
///
/// Mesos's text for the first that is wrong, its missing spaces included.
pub fn validate(constraints: &OfferConstraints, roles: &BTreeSet<String>) -> Result<(), String> {
    for (role, constraints) in &constraints.role_constraints {
        validate_role(role, constraints)
            .map_err(|error| format!("Offer constraints are not valid: {error}"))?;
    }
    let mut constrained = constraints.role_constraints.keys();
    match constrained.find(|role| !roles.contains(*role)) {
        Some(role) => Err(format!(
            "Offer constraints specify `role_constraints` for a role '{role}'not contained in the set of roles"
        )),
        None => Ok(()),
    }
}

fn validate_role(role: &str, constraints: &RoleConstraints) -> Result<(), String> {
    if constraints.groups.is_empty() {
        return Err(format!(
            "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
        ));
    }
    for group in &constraints.groups {
        if group.attribute_constraints.is_empty() {
            return Err(format!(
                "'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty RoleConstraints::Group"
            ));
        }
        for constraint in &group.attribute_constraints {
            compile(constraint).map_err(|error| {
                format!("A role {role} has an invalid 'AttributeConstraint': {error}")
            })?;
        }
    }
    Ok(())
}

/// Constraints, ready to be asked: by role, any group of which all hold.
#[derive(Debug, Default)]
pub struct Compiled(BTreeMap<String, Vec<Vec<Constraint>>>);

#[derive(Debug)]
struct Constraint {
    selects: Selects,
    test: Test,
}

#[derive(Debug)]
enum Selects {
    Hostname,
    Region,
    Zone,
    Attribute(String),
}

#[derive(Debug)]
enum Test {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Regex),
    NotMatches(Regex),
}

impl Compiled {
    /// Compiles constraints that are valid; what is not is left out.
    #[must_use]
    pub fn new(constraints: Option<&OfferConstraints>) -> Self {
        let mut compiled = BTreeMap::new();
        for (role, constraints) in constraints.iter().flat_map(|all| &all.role_constraints) {
            let groups = constraints
                .groups
                .iter()
                .map(|group| {
                    let constraints = group.attribute_constraints.iter();
                    constraints.filter_map(|c| compile(c).ok()).collect()
                })
                .collect();
            compiled.insert(role.clone(), groups);
        }
        Self(compiled)
    }

    /// Whether offers of the agent are wanted in the role.
    #[must_use]
    pub fn admit(&self, role: &str, agent: &v1::AgentInfo) -> bool {
        self.0.get(role).is_none_or(|groups| {
            groups
                .iter()
                .any(|group| group.iter().all(|constraint| constraint.holds(agent)))
        })
    }
}

impl Constraint {
    fn holds(&self, agent: &v1::AgentInfo) -> bool {
        match &self.selects {
            Selects::Hostname => self.test.holds(Some(&agent.hostname)),
            Selects::Region => self
                .test
                .holds(domain(agent).map(|d| d.region.name.as_str())),
            Selects::Zone => self.test.holds(domain(agent).map(|d| d.zone.name.as_str())),
            Selects::Attribute(name) => {
                let named: Vec<_> = agent
                    .attributes
                    .iter()
                    .filter(|a| a.name == *name)
                    .collect();
                if named.is_empty() {
                    return self.test.holds(None);
                }
                // An attribute that is no text satisfies every test of text.
                named.iter().any(|attribute| match &attribute.text {
                    Some(text) => self.test.holds(Some(&text.value)),
                    None => !matches!(self.test, Test::NotExists),
                })
            }
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Exists, value) => value.is_some(),
            (Self::NotExists, value) => value.is_none(),
            (Self::Equals(text), Some(value)) => text == value,
            (Self::Matches(regex), Some(value)) => regex.is_match(value),
            (Self::Equals(_) | Self::Matches(_), None) => false,
            (Self::NotEquals(text), Some(value)) => text != value,
            (Self::NotMatches(regex), Some(value)) => !regex.is_match(value),
            (Self::NotEquals(_) | Self::NotMatches(_), None) => true,
        }
    }
}

fn domain(agent: &v1::AgentInfo) -> Option<&v1::domain_info::FaultDomain> {
    agent.domain.as_ref()?.fault_domain.as_ref()
}

fn compile(constraint: &AttributeConstraint) -> Result<Constraint, String> {
    let selects = compile_selector(&constraint.selector)?;
    let test = compile_predicate(&constraint.predicate)?;
    Ok(Constraint { selects, test })
}

fn compile_selector(selector: &Selector) -> Result<Selects, String> {
    use selector::{PseudoattributeType, Selector as Kind};
    match &selector.selector {
        Some(Kind::AttributeName(name)) => Ok(Selects::Attribute(name.clone())),
        Some(Kind::PseudoattributeType(kind)) => match PseudoattributeType::try_from(*kind) {
            Ok(PseudoattributeType::Hostname) => Ok(Selects::Hostname),
            Ok(PseudoattributeType::Region) => Ok(Selects::Region),
            Ok(PseudoattributeType::Zone) => Ok(Selects::Zone),
            Ok(PseudoattributeType::Unknown) | Err(_) => {
                Err("Unknown pseudoattribute type".to_owned())
            }
        },
        None => Err("Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set".to_owned()),
    }
}

fn compile_predicate(predicate: &Predicate) -> Result<Test, String> {
    use predicate::Predicate as Kind;
    match &predicate.predicate {
        Some(Kind::Exists(_)) => Ok(Test::Exists),
        Some(Kind::NotExists(_)) => Ok(Test::NotExists),
        Some(Kind::TextEquals(text)) => Ok(Test::Equals(text.value.clone())),
        Some(Kind::TextNotEquals(text)) => Ok(Test::NotEquals(text.value.clone())),
        Some(Kind::TextMatches(text)) => regex(&text.regex).map(Test::Matches),
        Some(Kind::TextNotMatches(text)) => regex(&text.regex).map(Test::NotMatches),
        None => Err("Unknown predicate type".to_owned()),
    }
}

/// A regular expression that matches whole texts.
fn regex(pattern: &str) -> Result<Regex, String> {
    let refuse = |why: &str| format!("Failed to construct regex from pattern '{pattern}': {why}");
    // The pattern on its own first, so that brackets must match within it.
    RegexBuilder::new(pattern)
        .size_limit(LARGEST_REGEX)
        .build()
        .and_then(|_| {
            RegexBuilder::new(&format!("^(?:{pattern})$"))
                .size_limit(LARGEST_REGEX)
                .build()
        })
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => refuse("pattern too large - compile failed"),
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let why = last.strip_prefix("error: ").unwrap_or(last);
                match why {
                    "unclosed group" => refuse(&format!("missing ): {pattern}")),
                    why => refuse(why),
                }
            }
        })
}
