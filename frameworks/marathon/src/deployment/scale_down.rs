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
    /// Not placed yet.
    Waiting,
    /// Sent to its agent.
    Staging,
    /// Being started there.
    Starting,
    /// Running, and its health checks fail.
    Unhealthy,
    /// Running, and its health checks have yet to say something.
    Unknown,
    /// Running, and well.
    Running,
}

impl Stage {
    /// Whether it is anywhere, so that others are spread beside it.
    fn is_there(self) -> bool {
        self > Self::Waiting
    }

    /// Whether such a one may go where so many are well, and so many are to be.
    fn may_go(self, well: usize, least: usize) -> bool {
        match self {
            Self::Running => well > least,
            // It may be one of those that are needed.
            Self::Unknown => well >= least,
            _ => true,
        }
    }
}

/// The ids of those that go, in the order in which they do: whoever is nowhere, or
/// not any more, then out of the fullest groups of `GROUP_BY`, then those that serve
/// least, then the youngest or oldest. Fewer than so many go where fewer than
/// `least` would stay that are well.
pub fn choose<Id: Clone + Ord>(
    mut candidates: Vec<Candidate<Id>>,
    count: usize,
    selection: KillSelection,
    least: usize,
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
    let is_well = |candidate: &&Candidate<Id>| candidate.stage == Stage::Running;
    let mut well = candidates.iter().filter(is_well).count();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let fullness = |candidate: &Candidate<Id>| {
            let groups = candidate.groups.iter().enumerate();
            let fullness = groups.map(|(field, value)| {
                let size = sizes.get(&(field, value.clone()));
                size.copied().unwrap_or_default()
            });
            (!candidate.stage.is_there(), fullness.collect::<Vec<_>>())
        };
        // The first of the fullest: the order within them is the one above.
        let mut best = None;
        for (index, candidate) in candidates.iter().enumerate() {
            if !candidate.stage.may_go(well, least) {
                continue;
            }
            let fullness = fullness(candidate);
            if best.as_ref().is_none_or(|(_, fullest)| fullness > *fullest) {
                best = Some((index, fullness));
            }
        }
        let Some((best, _)) = best else {
            break;
        };
        let candidate = candidates.remove(best);
        well -= usize::from(candidate.stage == Stage::Running);
        for (field, value) in candidate.groups.iter().enumerate() {
            if let Some(size) = sizes.get_mut(&(field, value.clone()))
                && candidate.stage.is_there()
            {
                *size -= 1;
            }
        }
        chosen.push(candidate.id);
    }
    chosen
}

fn sizes<Id>(candidates: &[Candidate<Id>]) -> BTreeMap<(usize, String), usize> {
    let mut sizes = BTreeMap::new();
    for candidate in candidates.iter().filter(|it| it.stage.is_there()) {
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
        let youngest = choose(all.clone(), 3, KillSelection::YoungestFirst, 0);
        assert_eq!(youngest, [4, 3, 2]);
        let oldest = choose(all.clone(), 3, KillSelection::OldestFirst, 0);
        assert_eq!(oldest, [4, 3, 1]);
        assert_eq!(choose(all, 9, KillSelection::OldestFirst, 0).len(), 4);
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
        let gone = choose(all, 3, KillSelection::YoungestFirst, 0);
        assert_eq!(gone, [3, 4, 2]);
    }

    #[test]
    fn whoever_is_out_of_reach_goes_before_groups_are_made_even() {
        let all = vec![
            candidate(1, Stage::Running, &["a"]),
            candidate(2, Stage::Running, &["a"]),
            candidate(3, Stage::Unreachable, &["b"]),
            candidate(4, Stage::Unreachable, &["b"]),
        ];
        let gone = choose(all, 2, KillSelection::YoungestFirst, 0);
        assert_eq!(gone, [4, 3]);
    }

    #[test]
    fn so_many_stay_as_are_known_to_be_well() {
        let all = vec![
            candidate(1, Stage::Running, &["a"]),
            candidate(2, Stage::Running, &["a"]),
            candidate(3, Stage::Unknown, &["b"]),
            candidate(4, Stage::Unhealthy, &["b"]),
        ];
        let gone = |count, least| choose(all.clone(), count, KillSelection::OldestFirst, least);
        assert_eq!(gone(2, 0), [4, 1]);
        assert_eq!(gone(2, 2), [4, 3], "though groups are not even then");
        assert_eq!(gone(3, 3), [4], "the others may be needed");
    }
}
