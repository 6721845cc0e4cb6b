//! The plan of a deployment: steps one after the other, in each of which apps
//! and pods change side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::path_id::PathId;
use crate::root::{Cycle, Dependencies, Root};
use crate::spec::Spec;
use crate::timestamp::Timestamp;

/// A deployment: what changes, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id, as clients name it.
    pub id: String,
    /// The version of everything that it leads to.
    pub version: Timestamp,
    /// The apps and pods that change: what they were, what they are to be.
    pub changes: BTreeMap<PathId, Change>,
    /// What is done, step by step.
    pub steps: Vec<Vec<Action>>,
    /// When it is rolled back by itself, if it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// What an app or pod was before a deployment, and what it is to be after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Nothing, when it is new.
    pub from: Option<Spec>,
    /// Nothing, when it goes.
    pub to: Option<Spec>,
}

/// What becomes of one app or pod in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What is done.
    pub kind: Kind,
    /// To which app or pod.
    pub id: PathId,
    /// Whether that is a pod.
    pub is_pod: bool,
}

/// What can become of an app or pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// It is made, without instances yet.
    Start,
    /// All its instances end, and it goes.
    Stop,
    /// Instances are added or taken.
    Scale,
    /// Every instance is replaced.
    Restart,
}

impl Action {
    /// Its name as the API has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match (self.kind, self.is_pod) {
            (Kind::Start, false) => "StartApplication",
            (Kind::Stop, false) => "StopApplication",
            (Kind::Scale, false) => "ScaleApplication",
            (Kind::Restart, false) => "RestartApplication",
            (Kind::Start, true) => "StartPod",
            (Kind::Stop, true) => "StopPod",
            (Kind::Scale, true) => "ScalePod",
            (Kind::Restart, true) => "RestartPod",
        }
    }

    /// As the API shows it.
    #[must_use]
    pub fn shown(&self) -> serde_json::Value {
        let field = if self.is_pod { "pod" } else { "app" };
        serde_json::json!({"action": self.name(), field: self.id})
    }
}

impl Change {
    /// Whether it is a pod that changes.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        let spec = self.to.as_ref().or(self.from.as_ref());
        spec.is_some_and(|spec| spec.pod().is_some())
    }
}

impl Plan {
    /// How `from` becomes `to`.
    ///
    /// # Errors
    ///
    /// When apps of `to` wait for one another.
    pub fn between(id: String, from: &Root, to: &Root) -> Result<Self, Cycle> {
        let changes = changes(from, to);
        let steps = steps(&changes, to)?;
        Ok(Self {
            id,
            version: to.version(),
            changes,
            steps,
            deadline: None,
        })
    }

    /// The apps and pods that change.
    pub fn affected(&self) -> impl Iterator<Item = &PathId> {
        self.changes.keys()
    }

    /// How long it may take: the shortest time of all that it changes.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let next = self
            .changes
            .values()
            .filter_map(|change| change.to.as_ref());
        next.filter_map(|spec| spec.patience().deployment).min()
    }

    /// Whether both change an app.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let (few, many) = if self.changes.len() <= other.changes.len() {
            (self, other)
        } else {
            (other, self)
        };
        few.affected().any(|id| many.changes.contains_key(id))
    }

    /// What is wanted when this deployment never was: `now` without its
    /// changes, and with those that others made.
    #[must_use]
    pub fn revert(&self, now: &Root, version: Timestamp) -> Root {
        let mut root = now.clone();
        for (id, change) in &self.changes {
            match &change.from {
                Some(before) => {
                    let info = before.version_info();
                    root.put(before.renamed(version, info), version);
                }
                None => {
                    root.remove(id, version);
                }
            }
        }
        root
    }
}

fn changes(from: &Root, to: &Root) -> BTreeMap<PathId, Change> {
    let mut changes = BTreeMap::new();
    for spec in to.specs() {
        let before = from.spec(spec.id());
        if !before.is_some_and(|before| is_unchanged(before, spec)) {
            let change = Change {
                from: before.cloned(),
                to: Some(spec.clone()),
            };
            changes.insert(spec.id().clone(), change);
        }
    }
    for spec in from.specs().filter(|spec| to.spec(spec.id()).is_none()) {
        let change = Change {
            from: Some(spec.clone()),
            to: None,
        };
        changes.insert(spec.id().clone(), change);
    }
    changes
}

fn is_unchanged(before: &Spec, spec: &Spec) -> bool {
    before.is_very(spec)
        || (before.instances() == spec.instances()
            && before.patience() == spec.patience()
            && !is_replaced(before, spec))
}

fn is_replaced(before: &Spec, spec: &Spec) -> bool {
    before.is_upgrade(spec) || before.needs_restart(spec)
}

fn steps(changes: &BTreeMap<PathId, Change>, to: &Root) -> Result<Vec<Vec<Action>>, Cycle> {
    let action = |kind, (id, change): (&PathId, &Change)| Action {
        kind,
        id: id.clone(),
        is_pod: change.is_pod(),
    };
    let stops = changes.iter().filter(|(_, change)| change.to.is_none());
    let starts = changes.iter().filter(|(_, change)| change.from.is_none());
    let mut steps = vec![
        stops.map(|it| action(Kind::Stop, it)).collect(),
        starts.map(|it| action(Kind::Start, it)).collect(),
    ];
    let classes = Dependencies::of(to).classes()?;
    let mut by_class: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
    for (id, change) in changes {
        let Some(spec) = change.to.as_ref() else {
            continue;
        };
        let kind = match &change.from {
            Some(before) if spec.instances() > 0 && is_replaced(before, spec) => Kind::Restart,
            _ => Kind::Scale,
        };
        let class = classes.get(id).copied().unwrap_or_default();
        let actions = by_class.entry(class).or_default();
        actions.push(action(kind, (id, change)));
    }
    steps.extend(by_class.into_values());
    steps.retain(|step: &Vec<Action>| !step.is_empty());
    Ok(steps)
}

#[cfg(test)]
mod tests;
