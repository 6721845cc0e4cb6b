//! Constraints: which agents a demand may go to, in Marathon's language.

use std::fmt;

use super::pattern::Pattern;
use super::place::scalar_text;

/// What of an agent a constraint looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The host name: `hostname` or `@hostname`.
    Hostname,
    /// The region of its fault domain: `@region`.
    Region,
    /// The zone of its fault domain: `@zone`.
    Zone,
    /// An attribute, by name.
    Attribute(String),
}

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        match name {
            "hostname" | "@hostname" => Self::Hostname,
            "@region" => Self::Region,
            "@zone" => Self::Zone,
            name => Self::Attribute(name.to_owned()),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "hostname",
            Self::Region => "@region",
            Self::Zone => "@zone",
            Self::Attribute(name) => name,
        })
    }
}

/// What a constraint asks of the value of its field.
///
/// An agent without the field satisfies UNLIKE and nothing else. *Instances*
/// are those of the demand's group: what runs already and what was placed
/// before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operator {
    /// No instance has the value.
    Unique,
    /// The value given; without one, the value of the first instance.
    Cluster(Option<String>),
    /// No instance has the value; or there are at least as many values in use
    /// as the number says (without one: any number) and none has fewer
    /// instances than this one.
    GroupBy(Option<u32>),
    /// The whole value matches.
    Like(Pattern),
    /// The whole value does not match.
    Unlike(Pattern),
    /// Fewer instances than this have the value. The first instance of a value
    /// is always welcome, as in Marathon.
    MaxPer(i32),
    /// The value is this text; a number is compared as one: `IS 0.80` accepts a
    /// scalar 0.8.
    Is(String),
}

impl Operator {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unique => "UNIQUE",
            Self::Cluster(_) => "CLUSTER",
            Self::GroupBy(_) => "GROUP_BY",
            Self::Like(_) => "LIKE",
            Self::Unlike(_) => "UNLIKE",
            Self::MaxPer(_) => "MAX_PER",
            Self::Is(_) => "IS",
        }
    }

    /// Whether the answer depends on where other instances are.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(
            self,
            Self::Unique | Self::Cluster(None) | Self::GroupBy(_) | Self::MaxPer(_)
        )
    }

    /// Whether an agent with this value, or without one, will do, for operators
    /// that do not count; those that do accept it.
    pub(super) fn accepts(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::Unlike(_));
        };
        match self {
            Self::Like(pattern) => pattern.matches(value),
            Self::Unlike(pattern) => !pattern.matches(value),
            Self::Cluster(Some(text)) => value == text,
            Self::Is(text) => value == normalised(text),
            Self::Unique | Self::Cluster(None) | Self::GroupBy(_) | Self::MaxPer(_) => true,
        }
    }
}

/// A value that IS compares with: a number in the form that attributes have.
pub(super) fn normalised(text: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(fraction) {
        return text.to_owned();
    }
    text.parse().map_or_else(|_| text.to_owned(), scalar_text)
}

/// Why something is no constraint. The texts are those of Marathon's API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConstraint {
    /// Not a field, an operator and perhaps a value.
    #[error("Each constraint must have either 2 or 3 fields")]
    Form,
    /// The field has no name.
    #[error("illegal constraint specification")]
    Field,
    /// No such operator.
    #[error(
        "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS"
    )]
    Operator,
    /// UNIQUE with a value.
    #[error("UNIQUE does not accept a value")]
    UniqueValue,
    /// GROUP_BY with something else than a number.
    #[error("GROUP BY must define an integer value or else no value at all")]
    GroupByValue,
    /// MAX_PER without a number.
    #[error("MAX_PER requires an integer value")]
    MaxPerValue,
    /// LIKE or UNLIKE without a value.
    #[error("LIKE and UNLIKE require a non-empty, regular expression value")]
    NoPattern,
    /// LIKE or UNLIKE with something that is no regular expression.
    #[error("is not a valid regular expression")]
    Pattern,
    /// IS with something else than a text or a number.
    #[error(
        "IS only supports Mesos text and float values (see http://mesos.apache.org/documentation/latest/attributes-resources/)"
    )]
    IsValue,
}

/// A field and what is asked of it.
///
/// ```
/// use mesos_sdk::placement::Constraint;
///
/// let apart = Constraint::unique("hostname");
/// let here = Constraint::parse(&["rack", "like", "rack-[1-3]"])?;
/// assert_eq!(apart.to_string(), "UNIQUE hostname");
/// assert_eq!(here.to_string(), "LIKE rack rack-[1-3]");
/// # Ok::<(), mesos_sdk::placement::InvalidConstraint>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    field: Field,
    operator: Operator,
}

impl Constraint {
    fn new(field: impl Into<Field>, operator: Operator) -> Self {
        Self {
            field: field.into(),
            operator,
        }
    }

    /// Reads a constraint as Marathon's API writes it: field, operator in any
    /// case, and perhaps a value.
    ///
    /// # Errors
    ///
    /// What is wrong, in the words of Marathon.
    pub fn parse(parts: &[impl AsRef<str>]) -> Result<Self, InvalidConstraint> {
        let (field, operator, value) = match parts {
            [field, operator] => (field, operator, None),
            [field, operator, value] => (field, operator, Some(value.as_ref())),
            _ => return Err(InvalidConstraint::Form),
        };
        let field = field.as_ref();
        if field.is_empty() {
            return Err(InvalidConstraint::Field);
        }
        let operator = match operator.as_ref().to_uppercase().as_str() {
            "UNIQUE" if value.is_some() => return Err(InvalidConstraint::UniqueValue),
            "UNIQUE" => Operator::Unique,
            "CLUSTER" => Operator::Cluster(value.filter(|v| !v.is_empty()).map(str::to_owned)),
            "GROUP_BY" => Operator::GroupBy(value.map(group_count).transpose()?),
            "MAX_PER" => {
                let number = value.and_then(|value| value.parse().ok());
                Operator::MaxPer(number.ok_or(InvalidConstraint::MaxPerValue)?)
            }
            "LIKE" => Operator::Like(pattern(value)?),
            "UNLIKE" => Operator::Unlike(pattern(value)?),
            "IS" => {
                let value = value.unwrap_or_default();
                let is_text = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
                if !value.chars().all(is_text) {
                    return Err(InvalidConstraint::IsValue);
                }
                Operator::Is(value.to_owned())
            }
            _ => return Err(InvalidConstraint::Operator),
        };
        Ok(Self::new(field, operator))
    }

    /// No two instances share the value.
    pub fn unique(field: impl Into<Field>) -> Self {
        Self::new(field, Operator::Unique)
    }

    /// All instances share the value, whichever it is.
    pub fn cluster(field: impl Into<Field>) -> Self {
        Self::new(field, Operator::Cluster(None))
    }

    /// Instances are spread evenly over the values, of which there are at least
    /// `values` when that is given.
    pub fn group_by(field: impl Into<Field>, values: Option<u32>) -> Self {
        Self::new(field, Operator::GroupBy(values))
    }

    /// The value matches a regular expression.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn like(field: impl Into<Field>, regex: &str) -> Result<Self, InvalidConstraint> {
        Ok(Self::new(field, Operator::Like(pattern(Some(regex))?)))
    }

    /// The value does not match a regular expression, or there is none.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn unlike(field: impl Into<Field>, regex: &str) -> Result<Self, InvalidConstraint> {
        Ok(Self::new(field, Operator::Unlike(pattern(Some(regex))?)))
    }

    /// At most so many instances share a value.
    pub fn max_per(field: impl Into<Field>, instances: i32) -> Self {
        Self::new(field, Operator::MaxPer(instances))
    }

    /// The value is this one.
    pub fn is(field: impl Into<Field>, value: impl Into<String>) -> Self {
        Self::new(field, Operator::Is(value.into()))
    }

    /// What it looks at.
    #[must_use]
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// What it asks.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.operator
    }
}

fn pattern(value: Option<&str>) -> Result<Pattern, InvalidConstraint> {
    let value = value.filter(|value| !value.is_empty());
    let value = value.ok_or(InvalidConstraint::NoPattern)?;
    Pattern::new(value).ok_or(InvalidConstraint::Pattern)
}

/// Fewer than none is none, as in Marathon.
fn group_count(value: &str) -> Result<u32, InvalidConstraint> {
    let number: i32 = value.parse().map_err(|_| InvalidConstraint::GroupByValue)?;
    Ok(u32::try_from(number).unwrap_or(0))
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operator.name(), self.field)?;
        match &self.operator {
            Operator::Unique | Operator::Cluster(None) | Operator::GroupBy(None) => Ok(()),
            Operator::Cluster(Some(value)) | Operator::Is(value) => write!(f, " {value}"),
            Operator::GroupBy(Some(number)) => write!(f, " {number}"),
            Operator::MaxPer(number) => write!(f, " {number}"),
            Operator::Like(pattern) | Operator::Unlike(pattern) => {
                write!(f, " {}", pattern.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_marathon() {
        let refusal = |parts: &[&str]| Constraint::parse(parts).unwrap_err();
        assert_eq!(refusal(&["hostname"]), InvalidConstraint::Form);
        assert_eq!(refusal(&["a", "b", "c", "d"]), InvalidConstraint::Form);
        assert_eq!(refusal(&["", "UNIQUE"]), InvalidConstraint::Field);
        assert_eq!(refusal(&["a", "NEAR"]), InvalidConstraint::Operator);
        assert_eq!(
            refusal(&["a", "UNIQUE", "1"]),
            InvalidConstraint::UniqueValue
        );
        assert_eq!(
            refusal(&["a", "GROUP_BY", "x"]),
            InvalidConstraint::GroupByValue
        );
        assert_eq!(refusal(&["a", "MAX_PER"]), InvalidConstraint::MaxPerValue);
        assert_eq!(
            refusal(&["a", "MAX_PER", "1.5"]),
            InvalidConstraint::MaxPerValue
        );
        assert_eq!(refusal(&["a", "LIKE"]), InvalidConstraint::NoPattern);
        assert_eq!(refusal(&["a", "UNLIKE", "("]), InvalidConstraint::Pattern);
        assert_eq!(refusal(&["a", "IS", "{a,b}"]), InvalidConstraint::IsValue);
    }

    #[test]
    fn operators_are_read_in_any_case() {
        for (parts, text) in [
            (&["@hostname", "unique"][..], "UNIQUE hostname"),
            (&["@zone", "Cluster", ""], "CLUSTER @zone"),
            (&["rack", "cluster", "r1"], "CLUSTER rack r1"),
            (&["rack", "group_by"], "GROUP_BY rack"),
            (&["rack", "GROUP_BY", "-3"], "GROUP_BY rack 0"),
            (&["@region", "max_per", "+2"], "MAX_PER @region 2"),
            (&["rack", "is", "r-1"], "IS rack r-1"),
        ] {
            assert_eq!(Constraint::parse(parts).unwrap().to_string(), text);
        }
    }

    #[test]
    fn is_compares_numbers_as_numbers() {
        let is = |value: &str| Operator::Is(value.to_owned());
        for value in ["0.8", "0.80", "00.8001"] {
            assert!(is(value).accepts(Some("0.8")), "{value}");
        }
        assert!(!is("0.80").accepts(Some("0.80")));
        assert!(is("1.").accepts(Some("1.")));
        assert!(is("-1.50").accepts(Some("-1.50")));
        assert!(is("v1.50").accepts(Some("v1.50")));
        assert!(!is("r1").accepts(None));
    }
}
