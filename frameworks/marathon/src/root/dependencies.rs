//! Which app or pod is deployed before which.

use std::collections::{BTreeMap, BTreeSet};

use crate::path_id::PathId;

use super::Root;

/// What apps depend on, groups resolved to the apps in them; those that depend
/// on nothing are left out.
#[derive(Clone, Debug)]
pub struct Dependencies {
    of: BTreeMap<PathId, BTreeSet<PathId>>,
}

/// Apps that wait for one another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Dependency graph has cyclic dependencies.")]
#[non_exhaustive]
pub struct Cycle {
    /// Them, each depending on the next, and the last on the first.
    pub apps: Vec<PathId>,
}

impl Dependencies {
    /// Those of everything in `root`. What an app or group names and what is
    /// not there is nothing to wait for.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        let mut of = BTreeMap::new();
        let has_any = root.specs().any(|spec| !spec.dependencies().is_empty())
            || root
                .groups()
                .any(|(_, group)| !group.dependencies.is_empty());
        if !has_any {
            return Self { of };
        }
        for spec in root.specs() {
            let id = spec.id();
            let mut needs = BTreeSet::new();
            let inherited = id.ancestors().filter_map(|id| root.group(&id));
            let named = inherited
                .flat_map(|group| &group.dependencies)
                .chain(spec.dependencies());
            for path in named {
                needs.extend(root.specs_in(path).map(|spec| spec.id().clone()));
            }
            // A group that depends on what holds it would wait for itself.
            if !spec.dependencies().contains(id) {
                needs.remove(id);
            }
            if !needs.is_empty() {
                of.insert(id.clone(), needs);
            }
        }
        Self { of }
    }

    /// How many apps an app waits for at most, one after the other: apps of the
    /// same number may be deployed together, those of smaller numbers first. The
    /// number of apps that are not there is 0.
    ///
    /// # Errors
    ///
    /// When apps wait for one another.
    pub fn classes(&self) -> Result<BTreeMap<PathId, usize>, Cycle> {
        let mut classes = BTreeMap::new();
        for start in self.of.keys() {
            self.visit(start, &mut classes)?;
        }
        Ok(classes)
    }

    /// Walks depth first without recursion, for chains may be long.
    fn visit<'a>(
        &'a self,
        start: &'a PathId,
        classes: &mut BTreeMap<PathId, usize>,
    ) -> Result<(), Cycle> {
        if classes.contains_key(start) {
            return Ok(());
        }
        let mut path: Vec<(&PathId, Vec<&PathId>)> = vec![(start, self.needs(start))];
        while let Some((id, rest)) = path.last_mut() {
            let id = *id;
            match rest.pop() {
                Some(next) if classes.contains_key(next) => {}
                Some(next) => {
                    if let Some(begin) = path.iter().position(|(id, _)| *id == next) {
                        let apps = path[begin..].iter().map(|(id, _)| (*id).clone());
                        return Err(Cycle {
                            apps: apps.collect(),
                        });
                    }
                    path.push((next, self.needs(next)));
                }
                None => {
                    let below = self.needs(id).into_iter().map(|need| classes[need] + 1);
                    let class = below.max().unwrap_or(0);
                    classes.insert(id.clone(), class);
                    path.pop();
                }
            }
        }
        Ok(())
    }

    fn needs<'a>(&'a self, id: &PathId) -> Vec<&'a PathId> {
        self.of.get(id).into_iter().flatten().collect()
    }
}
