//! Where something runs, and the values that constraints compare.

use std::borrow::Cow;
use std::fmt::Write as _;

use mesos_proto::v1;

use super::constraint::Field;

/// Where an instance runs: what constraints look at. It is worth storing with
/// the instance, because the agent's attributes are not told again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// The agent.
    pub agent_id: String,
    /// Its host name.
    pub hostname: String,
    /// The region of its fault domain.
    pub region: Option<String>,
    /// The zone of its fault domain.
    pub zone: Option<String>,
    /// Its attributes.
    pub attributes: Vec<v1::Attribute>,
}

impl Place {
    /// The agent of an offer.
    #[must_use]
    pub fn of(offer: &v1::Offer) -> Self {
        let domain = fault_domain(offer.domain.as_ref());
        Self {
            agent_id: offer.agent_id.value.clone(),
            hostname: offer.hostname.clone(),
            region: domain.map(|domain| domain.region.name.clone()),
            zone: domain.map(|domain| domain.zone.name.clone()),
            attributes: offer.attributes.clone(),
        }
    }

    /// The value of a field as text, if the agent has one.
    #[must_use]
    pub fn value(&self, field: &Field) -> Option<Cow<'_, str>> {
        match field {
            Field::Hostname => Some(Cow::Borrowed(&self.hostname)),
            Field::Region => self.region.as_deref().map(Cow::Borrowed),
            Field::Zone => self.zone.as_deref().map(Cow::Borrowed),
            Field::Attribute(name) => attribute(&self.attributes, name),
        }
    }
}

/// An instance that runs, or is about to. It counts for the constraints of the
/// demands of its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The group: that of the [`Demand`](super::Demand).
    pub group: String,
    /// Where it runs.
    pub place: Place,
}

impl Running {
    /// An instance of a group.
    pub fn new(group: impl Into<String>, place: Place) -> Self {
        Self {
            group: group.into(),
            place,
        }
    }
}

fn fault_domain(domain: Option<&v1::DomainInfo>) -> Option<&v1::domain_info::FaultDomain> {
    domain?.fault_domain.as_ref()
}

/// The region of an offer's agent.
pub(super) fn region(offer: &v1::Offer) -> Option<&str> {
    fault_domain(offer.domain.as_ref()).map(|domain| domain.region.name.as_str())
}

/// The value of a field of an offer's agent.
pub(super) fn value<'a>(offer: &'a v1::Offer, field: &Field) -> Option<Cow<'a, str>> {
    match field {
        Field::Hostname => Some(Cow::Borrowed(&offer.hostname)),
        Field::Region => region(offer).map(Cow::Borrowed),
        Field::Zone => {
            let domain = fault_domain(offer.domain.as_ref());
            domain.map(|domain| Cow::Borrowed(domain.zone.name.as_str()))
        }
        Field::Attribute(name) => attribute(&offer.attributes, name),
    }
}

/// The first attribute of that name.
fn attribute<'a>(attributes: &'a [v1::Attribute], name: &str) -> Option<Cow<'a, str>> {
    let attribute = attributes.iter().find(|a| a.name == name)?;
    Some(match &attribute.text {
        Some(text) => Cow::Borrowed(&text.value),
        None => Cow::Owned(value_text(attribute)),
    })
}

/// An attribute's value as constraints compare it: text as it is, scalars
/// rounded to the thousandth (half to even) without trailing zeros, ranges as
/// `[1-5,7-9]` in order, sets as `{a,b}` sorted. It differs from
/// [`attributes::value_text`](crate::attributes::value_text), which is Mesos's
/// form.
#[must_use]
pub fn value_text(attribute: &v1::Attribute) -> String {
    if let Some(text) = &attribute.text {
        return text.value.clone();
    }
    if let Some(scalar) = &attribute.scalar {
        return scalar_text(scalar.value);
    }
    if let Some(ranges) = &attribute.ranges {
        let mut ranges: Vec<_> = ranges.range.iter().map(|r| (r.begin, r.end)).collect();
        ranges.sort_by_key(|(begin, _)| *begin);
        let mut text = String::from("[");
        for (index, (begin, end)) in ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{begin}-{end}");
        }
        return text + "]";
    }
    let mut items: Vec<&str> = attribute
        .set
        .iter()
        .flat_map(|set| set.item.iter().map(String::as_str))
        .collect();
    items.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    format!("{{{}}}", items.join(","))
}

/// A number as Java's `DecimalFormat("0.###")` writes it.
pub(super) fn scalar_text(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_half_to_even() {
        for (value, text) in [
            (0.8, "0.8"),
            (10.0, "10"),
            (0.0, "0"),
            (100.0, "100"),
            (1.0005, "1"),
            (1.00051, "1.001"),
            (1.1005, "1.101"),
            (0.0625, "0.062"),
            (0.1875, "0.188"),
            (-1.5, "-1.5"),
        ] {
            assert_eq!(scalar_text(value), text, "{value}");
        }
    }

    #[test]
    fn values_have_the_forms_that_marathon_documents() {
        let of = |text: &str| {
            let attributes = crate::attributes::parse(text).unwrap();
            value_text(&attributes[0])
        };
        assert_eq!(of("rack:r1"), "r1");
        assert_eq!(of("level:0.80"), "0.8");
        assert_eq!(of("range:[100-200]"), "[100-200]");
        let ranges = v1::Attribute {
            ranges: Some(v1::value::Ranges {
                range: vec![
                    v1::value::Range { begin: 7, end: 9 },
                    v1::value::Range { begin: 1, end: 5 },
                ],
            }),
            ..Default::default()
        };
        assert_eq!(value_text(&ranges), "[1-5,7-9]");
        let set = v1::Attribute {
            set: Some(v1::value::Set {
                item: vec!["b".to_owned(), "a".to_owned()],
            }),
            ..Default::default()
        };
        assert_eq!(value_text(&set), "{a,b}");
    }
}
