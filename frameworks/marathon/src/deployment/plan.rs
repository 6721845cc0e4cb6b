//! The plan of a deployment: steps one after the other, in each of which apps
//! change side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::path_id::PathId;
use crate::root::{Cycle, Dependencies, Root};
use crate::timestamp::Timestamp;

/// A deployment: what changes, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id, as clients name it.
    pub id: String,
    /// The version of everything that it leads to.
    pub version: Timestamp,
    /// The apps that change: what they were, what they are to be.
    pub changes: BTreeMap<PathId, Change>,
    /// What is done, step by step.
    pub steps: Vec<Vec<Action>>,
}

/// What an app was before a deployment, and what it is to be after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Nothing, when it is new.
    pub from: Option<Arc<App>>,
    /// Nothing, when it goes.
    pub to: Option<Arc<App>>,
}

/// What becomes of one app in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What is done.
    #[serde(rename = "action")]
    pub kind: Kind,
    /// The app.
    pub app: PathId,
}

/// What can become of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// It is made, without instances yet.
    #[serde(rename = "StartApplication")]
    Start,
    /// All its instances end, and it goes.
    #[serde(rename = "StopApplication")]
    Stop,
    /// Instances are added or taken.
    #[serde(rename = "ScaleApplication")]
    Scale,
    /// Every instance is replaced.
    #[serde(rename = "RestartApplication")]
    Restart,
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
        })
    }

    /// The apps that change.
    pub fn affected(&self) -> impl Iterator<Item = &PathId> {
        self.changes.keys()
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
                    let mut app = App::clone(before);
                    app.version = version;
                    root.put_app(app, version);
                }
                None => {
                    root.remove_app(id, version);
                }
            }
        }
        root
    }
}

fn changes(from: &Root, to: &Root) -> BTreeMap<PathId, Change> {
    let mut changes = BTreeMap::new();
    for app in to.apps() {
        let before = from.app(&app.id);
        let is_same =
            before.is_some_and(|before| Arc::ptr_eq(before, app) || is_unchanged(before, app));
        if !is_same {
            let change = Change {
                from: before.cloned(),
                to: Some(Arc::clone(app)),
            };
            changes.insert(app.id.clone(), change);
        }
    }
    for app in from.apps().filter(|app| to.app(&app.id).is_none()) {
        let change = Change {
            from: Some(Arc::clone(app)),
            to: None,
        };
        changes.insert(app.id.clone(), change);
    }
    changes
}

fn is_unchanged(before: &App, app: &App) -> bool {
    before.instances == app.instances && !is_replaced(before, app)
}

fn is_replaced(before: &App, app: &App) -> bool {
    before.is_upgrade(app) || before.needs_restart(app)
}

fn steps(changes: &BTreeMap<PathId, Change>, to: &Root) -> Result<Vec<Vec<Action>>, Cycle> {
    let action = |kind, app: &PathId| Action {
        kind,
        app: app.clone(),
    };
    let stops = changes.iter().filter(|(_, change)| change.to.is_none());
    let starts = changes.iter().filter(|(_, change)| change.from.is_none());
    let mut steps = vec![
        stops.map(|(id, _)| action(Kind::Stop, id)).collect(),
        starts.map(|(id, _)| action(Kind::Start, id)).collect(),
    ];
    let classes = Dependencies::of(to).classes()?;
    let used: BTreeSet<usize> = changes
        .keys()
        .filter_map(|id| classes.get(id))
        .copied()
        .collect();
    for class in used {
        let members = changes
            .iter()
            .filter(|(id, _)| classes.get(id) == Some(&class));
        let actions = members.filter_map(|(id, change)| {
            let app = change.to.as_ref()?;
            let kind = match &change.from {
                Some(before) if app.instances > 0 && is_replaced(before, app) => Kind::Restart,
                _ => Kind::Scale,
            };
            Some(action(kind, id))
        });
        steps.push(actions.collect());
    }
    steps.retain(|step: &Vec<Action>| !step.is_empty());
    Ok(steps)
}

#[cfg(test)]
mod tests;
