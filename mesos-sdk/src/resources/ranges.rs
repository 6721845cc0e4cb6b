//! Sets of unsigned integers as sorted, disjoint, coalesced inclusive ranges.

use std::fmt;

use mesos_proto::v1;

/// A set of numbers, such as ports.
///
/// ```
/// use mesos_sdk::resources::Ranges;
///
/// let mut ports = Ranges::from_iter([(31000, 31002), (31003, 31005)]);
/// assert_eq!(ports.to_string(), "[31000-31005]");
/// ports.remove(31001, 31001);
/// assert_eq!(ports.first(), Some(31000));
/// assert_eq!(ports.len(), 5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Ranges {
    /// Sorted; a gap of at least one number is between two neighbours.
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    /// No numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().fold(0, |sum: u64, (begin, end)| {
            sum.saturating_add((end - begin).saturating_add(1))
        })
    }

    /// The ranges, first and last number each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().copied()
    }

    /// Every number, in order.
    pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(|(begin, end)| *begin..=*end)
    }

    /// The smallest number.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.ranges.first().map(|(begin, _)| *begin)
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn contains_value(&self, value: u64) -> bool {
        let after = self.ranges.partition_point(|(begin, _)| *begin <= value);
        after > 0 && self.ranges[after - 1].1 >= value
    }

    /// Whether all of `other` is in the set.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.ranges.iter().all(|(begin, end)| {
            let after = self.ranges.partition_point(|(b, _)| b <= begin);
            after > 0 && self.ranges[after - 1].1 >= *end
        })
    }

    /// Adds the numbers from `begin` to `end`, both included; an inverted range
    /// adds nothing.
    pub fn insert(&mut self, begin: u64, end: u64) {
        if begin > end {
            return;
        }
        let from = self
            .ranges
            .partition_point(|(_, e)| e.saturating_add(1) < begin);
        let to = self
            .ranges
            .partition_point(|(b, _)| *b <= end.saturating_add(1));
        let merged = self.ranges[from..to]
            .iter()
            .fold((begin, end), |(b, e), range| {
                (b.min(range.0), e.max(range.1))
            });
        self.ranges.splice(from..to, [merged]);
    }

    /// Takes the numbers from `begin` to `end`, both included, away.
    pub fn remove(&mut self, begin: u64, end: u64) {
        if begin > end {
            return;
        }
        let from = self.ranges.partition_point(|(_, e)| *e < begin);
        let to = self.ranges.partition_point(|(b, _)| *b <= end);
        if from >= to {
            return;
        }
        let (first, last) = (self.ranges[from], self.ranges[to - 1]);
        let before = (first.0 < begin).then(|| (first.0, begin - 1));
        let after = (last.1 > end).then(|| (end + 1, last.1));
        self.ranges
            .splice(from..to, before.into_iter().chain(after));
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        for (begin, end) in other.iter() {
            self.insert(begin, end);
        }
    }

    /// Takes all of `other` away.
    pub fn subtract(&mut self, other: &Self) {
        for (begin, end) in other.iter() {
            self.remove(begin, end);
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut outside = self.clone();
        outside.subtract(other);
        let mut both = self.clone();
        both.subtract(&outside);
        both
    }
}

impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<T: IntoIterator<Item = (u64, u64)>>(ranges: T) -> Self {
        let mut all = Self::new();
        for (begin, end) in ranges {
            all.insert(begin, end);
        }
        all
    }
}

impl From<&v1::value::Ranges> for Ranges {
    fn from(ranges: &v1::value::Ranges) -> Self {
        ranges.range.iter().map(|r| (r.begin, r.end)).collect()
    }
}

impl From<Ranges> for v1::value::Ranges {
    fn from(ranges: Ranges) -> Self {
        let range = ranges
            .iter()
            .map(|(begin, end)| v1::value::Range { begin, end })
            .collect();
        Self { range }
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, (begin, end)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{begin}-{end}")?;
        }
        f.write_str("]")
    }
}
