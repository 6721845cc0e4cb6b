//! What Marathon shows to whoever asks: apps, their versions, deployments.

use std::collections::{BTreeMap, BTreeSet};

use marathon::app::{App, EnvValue};
use marathon::deployment::Kind;
use marathon::state::State;

/// What is shown at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) framework_id: Option<String>,
    pub(crate) apps: BTreeMap<String, Shown>,
    /// Every version of each app that is kept.
    pub(crate) versions: BTreeMap<String, BTreeSet<i64>>,
    pub(crate) deployments: BTreeMap<String, Deploying>,
}

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What names the request that made it what it is but for the number.
    pub(crate) mark: String,
    pub(crate) instances: usize,
    pub(crate) version: i64,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deploying {
    pub(crate) step: usize,
    pub(crate) actions: BTreeSet<(String, Kind)>,
}

impl View {
    pub(crate) fn of(state: &State) -> Self {
        let apps = state.root.apps();
        let versions = state.versions.iter();
        let deployments = state.deployments.iter();
        Self {
            framework_id: state.framework_id.clone(),
            apps: apps
                .map(|app| (app.id.to_string(), Shown::of(app)))
                .collect(),
            versions: versions
                .map(|(app, versions)| {
                    let versions = versions.keys().map(|version| version.as_millis());
                    (app.to_string(), versions.collect())
                })
                .collect(),
            deployments: deployments
                .map(|(id, deployment)| {
                    let actions = deployment.plan.steps.iter().flatten();
                    let actions = actions.map(|action| (action.id.to_string(), action.kind));
                    let step = deployment.step;
                    let actions = actions.collect();
                    (id.clone(), Deploying { step, actions })
                })
                .collect(),
        }
    }

    /// Whether all instances of an app are being replaced.
    pub(crate) fn is_replaced(&self, app: &str) -> bool {
        self.has_action(app, |kind| kind == Kind::Restart)
    }

    /// Whether an app is being changed.
    pub(crate) fn is_deployed(&self, app: &str) -> bool {
        self.has_action(app, |_| true)
    }

    fn has_action(&self, app: &str, is_it: impl Fn(Kind) -> bool) -> bool {
        let mut actions = self.deployments.values().flat_map(|it| &it.actions);
        actions.any(|(other, kind)| other == app && is_it(*kind))
    }
}

impl Shown {
    fn of(app: &App) -> Self {
        let mark = match app.env.get("MARK") {
            Some(EnvValue::Text(mark)) => mark.clone(),
            _ => String::new(),
        };
        Self {
            mark,
            instances: app.instances as usize,
            version: app.version.as_millis(),
        }
    }
}
