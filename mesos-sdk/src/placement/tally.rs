//! How many instances of a group have which value of a field: what constraints
//! that count look at.

use std::collections::{BTreeMap, HashMap};

use super::constraint::Operator;

/// A value of a field, by number. Instances without one are counted too.
pub(super) type Value = Option<u32>;

/// What a constraint asks of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    Unique,
    Cluster,
    GroupBy(u32),
    MaxPer(i32),
}

impl Rule {
    pub(super) fn of(operator: &Operator) -> Option<Self> {
        match operator {
            Operator::Unique => Some(Self::Unique),
            Operator::Cluster(None) => Some(Self::Cluster),
            Operator::GroupBy(values) => Some(Self::GroupBy(values.unwrap_or(0))),
            Operator::MaxPer(number) => Some(Self::MaxPer(*number)),
            Operator::Cluster(Some(_))
            | Operator::Like(_)
            | Operator::Unlike(_)
            | Operator::Is(_) => None,
        }
    }
}

/// The instances of one group by the values of one field.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    counts: HashMap<Value, u32>,
    /// How many values have so many instances.
    sizes: BTreeMap<u32, u32>,
    /// The value of the first instance.
    head: Option<Value>,
    instances: u32,
}

impl Tally {
    /// Counts one more instance.
    pub(super) fn add(&mut self, value: Value) {
        self.head.get_or_insert(value);
        self.instances += 1;
        let count = self.counts.entry(value).or_default();
        let before = *count;
        *count += 1;
        self.resize(before, before + 1);
    }

    /// Takes the instance that was counted last away.
    pub(super) fn remove_last(&mut self, value: Value) {
        self.instances -= 1;
        if self.instances == 0 {
            self.head = None;
        }
        let count = self.counts.get_mut(&value).expect("it was counted");
        let before = *count;
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&value);
        }
        self.resize(before, before - 1);
    }

    fn resize(&mut self, before: u32, after: u32) {
        if before > 0 {
            let of_size = self.sizes.get_mut(&before).expect("it was counted");
            *of_size -= 1;
            if *of_size == 0 {
                self.sizes.remove(&before);
            }
        }
        if after > 0 {
            *self.sizes.entry(after).or_default() += 1;
        }
    }

    /// Whether one more instance may have the value.
    pub(super) fn admits(&self, rule: Rule, value: Value) -> bool {
        // Without a value nothing that counts is satisfied.
        if value.is_none() {
            return false;
        }
        let count = self.counts.get(&value).copied().unwrap_or(0);
        match rule {
            Rule::Unique => count == 0,
            Rule::Cluster => self.head.is_none_or(|head| head == value),
            Rule::MaxPer(most) => count == 0 || i64::from(count) < i64::from(most),
            Rule::GroupBy(values) => {
                let smallest = self.sizes.keys().next().copied();
                count == 0 || (self.counts.len() >= values as usize && Some(count) == smallest)
            }
        }
    }

    /// The value of the first instance.
    pub(super) fn head(&self) -> Option<Value> {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[Value]) -> Tally {
        let mut tally = Tally::default();
        for value in values {
            tally.add(*value);
        }
        tally
    }

    #[test]
    fn group_by_waits_for_as_many_values_as_it_expects() {
        let two = Rule::GroupBy(2);
        let admits = |placed: &[Value], value| tally(placed).admits(two, Some(value));
        assert!(admits(&[], 1));
        assert!(!admits(&[Some(1)], 1));
        assert!(admits(&[Some(1)], 2));
        assert!(admits(&[Some(1), Some(2)], 1));
        assert!(!admits(&[Some(1), Some(1), Some(2)], 1));
        assert!(!tally(&[]).admits(two, None));
    }

    #[test]
    fn instances_without_a_value_are_a_group_of_their_own() {
        let placed = tally(&[None, Some(1), Some(1)]);
        assert!(!placed.admits(Rule::GroupBy(0), Some(1)));
        assert!(placed.admits(Rule::GroupBy(2), Some(2)));
        assert!(!placed.admits(Rule::Cluster, Some(1)));
    }

    #[test]
    fn the_first_of_a_value_is_always_welcome() {
        assert!(tally(&[]).admits(Rule::MaxPer(0), Some(1)));
        assert!(!tally(&[Some(1)]).admits(Rule::MaxPer(0), Some(1)));
        assert!(tally(&[Some(1)]).admits(Rule::MaxPer(2), Some(1)));
        assert!(!tally(&[Some(1), Some(1)]).admits(Rule::MaxPer(2), Some(1)));
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut placed = tally(&[Some(1)]);
        placed.remove_last(Some(1));
        assert!(placed.admits(Rule::Unique, Some(1)));
        assert!(placed.admits(Rule::Cluster, Some(2)));
        assert_eq!(placed.head(), None);
    }
}
