//! What of constraints the master can check, so that useless offers are never
//! made (`docs/scheduler-http-api.md`, "Offer constraints"; Mesos 1.11).

use std::collections::BTreeMap;

use mesos_proto::v1::scheduler::attribute_constraint::{Predicate, Selector, predicate, selector};
use mesos_proto::v1::scheduler::offer_constraints::{RoleConstraints, role_constraints::Group};
use mesos_proto::v1::scheduler::{AttributeConstraint, OfferConstraints};

use super::constraint::{Constraint, Field, Operator, normalised};
use super::demand::Demand;
use super::pattern::Pattern;
use super::place::Running;

/// So many groups are sent for a role; with more it is not constrained.
const MOST_GROUPS: usize = 64;
/// So many values are excluded for a constraint; with more only the existence
/// of the field is asked for.
const MOST_VALUES: usize = 64;

/// Constraints of demands in the master's language, and what it cannot say.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompiledConstraints {
    /// For SUBSCRIBE and UPDATE_FRAMEWORK. A role of which some demand could use
    /// any agent is not in it.
    pub offer_constraints: OfferConstraints,
    /// For each demand the constraints which the master does not decide alone:
    /// it lets agents through that the [`Placer`](super::Placer) then refuses.
    pub remainder: Vec<Vec<Constraint>>,
}

/// Compiles the constraints of demands for the roles that a framework has
/// subscribed to.
///
/// No agent is left out where a demand could be placed as things are: for each
/// role the master offers agents that satisfy all of the constraints of *some*
/// demand, as far as it can tell. The rest is decided when the offers come. What
/// depends on running instances (UNIQUE, MAX_PER, CLUSTER) has to be compiled
/// again when they change; as long as that is not done, agents may be missing
/// that became possible. GROUP_BY asks for its field only, because what it
/// excludes changes with every launch.
///
/// The master's regular expressions are limited in size, and it refuses a
/// framework with a larger one. So only short and plain ones are sent.
///
/// ```
/// use mesos_sdk::placement::{Constraint, Demand, compile_offer_constraints};
///
/// let demand = Demand::new("db").constraint(Constraint::is("@zone", "z1"));
/// let compiled = compile_offer_constraints(&[demand], &[], &["*".to_owned()]);
/// let groups = &compiled.offer_constraints.role_constraints["*"].groups;
/// assert_eq!(groups[0].attribute_constraints.len(), 1);
/// assert!(compiled.remainder[0].is_empty());
/// ```
#[must_use]
pub fn compile_offer_constraints(
    demands: &[Demand],
    running: &[Running],
    roles: &[String],
) -> CompiledConstraints {
    let mut remainder = Vec::with_capacity(demands.len());
    // `None`: some demand of the role can use any agent.
    let mut groups: BTreeMap<&str, Option<Vec<Group>>> = BTreeMap::new();
    for demand in demands {
        let mut sent = Vec::new();
        let mut left = Vec::new();
        for constraint in demand.all_constraints() {
            if !send(constraint, demand, running, &mut sent) {
                left.push(constraint.clone());
            }
        }
        remainder.push(left);
        if demand.instances() == 0 {
            continue;
        }
        let of_demand = |role: &&String| demand.role_name().is_none_or(|own| own == *role);
        for role in roles.iter().filter(of_demand) {
            let known = groups.entry(role).or_insert_with(|| Some(Vec::new()));
            add_group(known, &sent);
        }
    }
    let role_constraints = groups.into_iter().filter_map(|(role, groups)| {
        let groups = groups?;
        Some((role.to_owned(), RoleConstraints { groups }))
    });
    CompiledConstraints {
        offer_constraints: OfferConstraints {
            role_constraints: role_constraints.collect(),
        },
        remainder,
    }
}

fn add_group(known: &mut Option<Vec<Group>>, constraints: &[AttributeConstraint]) {
    let Some(groups) = known else { return };
    if constraints.is_empty() || groups.len() >= MOST_GROUPS {
        *known = None;
        return;
    }
    let group = Group {
        attribute_constraints: constraints.to_vec(),
    };
    if !groups.contains(&group) {
        groups.push(group);
    }
}

/// Says as much of a constraint as can be said; whether that is all of it.
fn send(
    constraint: &Constraint,
    demand: &Demand,
    running: &[Running],
    sent: &mut Vec<AttributeConstraint>,
) -> bool {
    use predicate::{NotExists, Predicate as Kind, TextEquals, TextMatches};
    use predicate::{TextNotEquals, TextNotMatches};
    let field = constraint.field();
    let mut say = |kind: Option<Kind>| {
        let Some(kind) = kind.or_else(|| exists(field)) else {
            return;
        };
        let said = AttributeConstraint {
            selector: selects(field),
            predicate: Predicate {
                predicate: Some(kind),
            },
        };
        if !sent.contains(&said) {
            sent.push(said);
        }
    };
    // Attributes that are no texts satisfy every test of texts.
    let is_text = !matches!(field, Field::Attribute(_));
    let equals = |value: String| Some(Kind::TextEquals(TextEquals { value }));
    match constraint.operator() {
        Operator::Cluster(Some(value)) => {
            say(equals(value.clone()));
            is_text
        }
        Operator::Is(value) => {
            say(equals(normalised(value)));
            is_text
        }
        Operator::Like(pattern) => {
            let regex = plain(pattern);
            let is_said = regex.is_some();
            say(regex.map(|regex| Kind::TextMatches(TextMatches { regex })));
            is_text && is_said
        }
        Operator::Unlike(pattern) => match plain(pattern) {
            Some(regex) => {
                say(Some(Kind::TextNotMatches(TextNotMatches { regex })));
                is_text
            }
            None => false,
        },
        Operator::Cluster(None) => {
            let head = members(demand, running).next();
            match head.map(|instance| instance.place.value(field)) {
                None => say(None),
                Some(Some(value)) => say(equals(value.into_owned())),
                // The first instance has no value, so none has.
                Some(None) => say(Some(Kind::NotExists(NotExists {}))),
            }
            false
        }
        Operator::Unique | Operator::MaxPer(_) => {
            say(None);
            let most = match constraint.operator() {
                Operator::MaxPer(most) => usize::try_from(*most).unwrap_or(0).max(1),
                _ => 1,
            };
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for instance in members(demand, running) {
                if let Some(value) = instance.place.value(field) {
                    *counts.entry(value.into_owned()).or_default() += 1;
                }
            }
            counts.retain(|_, count| *count >= most);
            if counts.len() <= MOST_VALUES {
                for value in counts.into_keys() {
                    say(Some(Kind::TextNotEquals(TextNotEquals { value })));
                }
            }
            false
        }
        Operator::GroupBy(_) => {
            say(None);
            false
        }
    }
}

fn members<'a>(
    demand: &'a Demand,
    running: &'a [Running],
) -> impl Iterator<Item = &'a Running> + 'a {
    let group = demand.group_name();
    running
        .iter()
        .filter(move |instance| instance.group == group)
}

/// Every agent has a host name.
fn exists(field: &Field) -> Option<predicate::Predicate> {
    (*field != Field::Hostname).then_some(predicate::Predicate::Exists(predicate::Exists {}))
}

fn selects(field: &Field) -> Selector {
    use selector::{PseudoattributeType as Pseudo, Selector as Kind};
    let pseudo = |kind: Pseudo| Kind::PseudoattributeType(kind.into());
    Selector {
        selector: Some(match field {
            Field::Hostname => pseudo(Pseudo::Hostname),
            Field::Region => pseudo(Pseudo::Region),
            Field::Zone => pseudo(Pseudo::Zone),
            Field::Attribute(name) => Kind::AttributeName(name.clone()),
        }),
    }
}

/// The pattern, if it means the same to the master and surely is not too large
/// for it. By default the master allows programs of 100 instructions within
/// 4 KiB; what is counted here is more than what it counts.
fn plain(pattern: &Pattern) -> Option<String> {
    const LARGEST: usize = 60;
    // What is not in ASCII takes several instructions a character.
    const ANY: usize = 12;
    let text = pattern.as_str();
    let mut size = 0;
    let mut before = None;
    for c in text.chars() {
        size += match (before, c) {
            (Some('\\'), 'd' | 'w' | 's') => 4,
            (Some('\\'), c) if c.is_ascii_punctuation() => 1,
            (Some('\\'), _) => return None,
            (Some('('), '?') => return None,
            (Some('['), '^') | (_, '.') => ANY,
            (Some('['), '[') | (Some('&'), '&') => return None,
            (_, '{' | '}') => return None,
            (_, c) if c.is_ascii_graphic() || c == ' ' => 1,
            _ => return None,
        };
        // An escaped backslash escapes nothing.
        before = if before == Some('\\') { None } else { Some(c) };
    }
    (size <= LARGEST).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_patterns_are_sent() {
        let plain = |text: &str| plain(&Pattern::new(text).unwrap());
        for text in [
            "r1",
            "rack-[1-3]",
            "(a|b)+",
            r"host-\d+\.example\.com",
            "a.*",
            "[^a]",
        ] {
            assert_eq!(plain(text).as_deref(), Some(text));
        }
        for text in ["(?i)a", "a{3}", "\u{e4}", r"\Qa\E", r"\bx", "[a-z&&[^b]]"] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!(plain(&"a".repeat(61)), None);
        assert_eq!(plain("......"), None);
    }
}
