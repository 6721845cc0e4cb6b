//! Which instances go when there are too many.

use std::collections::BTreeMap;

use crate::app::KillSelection;
use crate::timestamp::Timestamp;

/// What is looked at of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<Id> {
    /// Its id.
    pub id: Id,
    /// How far it has come.
    pub stage: Stage,
    /// When its task was sent to the agent.
    pub staged_at: Timestamp,
    /// The values of the fields that `GROUP_BY` spreads the app over.
    pub groups: Vec<String>,
}

/// How far an instance has come, those that serve least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// About to end without our doing.
    Ending,
    /// Its agent is out of reach.
    Unreachable,
    /// Not placed yet, or sent to its agent.
    Staging,
    /// Being started there.
    Starting,
    /// Running, and its health checks fail.
    Unhealthy,
    /// Running.
    Running,
}

/// The ids of those that go, in the order in which they do: out of the fullest
/// groups of `GROUP_BY` first, then those that serve least, then the youngest or
/// oldest.
pub fn choose<Id: Clone + Ord>(
    mut candidates: Vec<Candidate<Id>>,
    count: usize,
    selection: KillSelection,
) -> Vec<Id> {
    candidates.sort_by(|left, right| {
        let age = match selection {
            KillSelection::YoungestFirst => right.staged_at.cmp(&left.staged_at),
            KillSelection::OldestFirst => left.staged_at.cmp(&right.staged_at),
        };
        let stage = left.stage.cmp(&right.stage);
        stage.then(age).then_with(|| left.id.cmp(&right.id))
    });
    let mut sizes = sizes(&candidates);
    let mut chosen = Vec::new();
    while chosen.len() < count && !candidates.is_empty() {
        let fullness = |candidate: &Candidate<Id>| {
            let groups = candidate.groups.iter().enumerate();
            groups
                .map(|(field, value)| sizes[&(field, value.clone())])
                .collect::<Vec<_>>()
        };
        // The first of the fullest: the order within them is the one above.
        let mut best = 0;
        let mut fullest = fullness(&candidates[0]);
        for (index, candidate) in candidates.iter().enumerate().skip(1) {
            let fullness = fullness(candidate);
            if fullness > fullest {
                (best, fullest) = (index, fullness);
            }
        }
        let candidate = candidates.remove(best);
        for (field, value) in candidate.groups.iter().enumerate() {
            if let Some(size) = sizes.get_mut(&(field, value.clone())) {
                *size -= 1;
            }
        }
        chosen.push(candidate.id);
    }
    chosen
}

fn sizes<Id>(candidates: &[Candidate<Id>]) -> BTreeMap<(usize, String), usize> {
    let mut sizes = BTreeMap::new();
    for candidate in candidates {
        for (field, value) in candidate.groups.iter().enumerate() {
            *sizes.entry((field, value.clone())).or_default() += 1;
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u32, stage: Stage, groups: &[&str]) -> Candidate<u32> {
        Candidate {
            id,
            stage,
            staged_at: Timestamp::from_millis(i64::from(id)),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    #[test]
    fn those_that_serve_least_go_first_then_the_youngest() {
        let all = vec![
            candidate(1, Stage::Running, &[]),
            candidate(2, Stage::Running, &[]),
            candidate(3, Stage::Staging, &[]),
            candidate(4, Stage::Unreachable, &[]),
        ];
        let youngest = choose(all.clone(), 3, KillSelection::YoungestFirst);
        assert_eq!(youngest, [4, 3, 2]);
        let oldest = choose(all.clone(), 3, KillSelection::OldestFirst);
        assert_eq!(oldest, [4, 3, 1]);
        assert_eq!(choose(all, 9, KillSelection::OldestFirst).len(), 4);
    }

    #[test]
    fn groups_stay_even() {
        let all = vec![
            candidate(1, Stage::Running, &["a"]),
            candidate(2, Stage::Running, &["a"]),
            candidate(3, Stage::Running, &["a"]),
            candidate(4, Stage::Staging, &["b"]),
            candidate(5, Stage::Running, &["b"]),
        ];
        let gone = choose(all, 3, KillSelection::YoungestFirst);
        assert_eq!(gone, [3, 4, 2]);
    }
}
