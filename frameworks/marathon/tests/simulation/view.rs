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
    /// When it last became anything else but another number.
    pub(crate) config: i64,
    /// When somebody last wanted another number of it, or a restart.
    pub(crate) scaled_at: i64,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deploying {
    pub(crate) step: usize,
    pub(crate) steps: Vec<BTreeSet<(String, Kind)>>,
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
                    let steps = deployment.plan.steps.iter().map(|actions| {
                        let actions = actions.iter();
                        let actions = actions.map(|it| (it.id.to_string(), it.kind));
                        actions.collect()
                    });
                    let (step, steps) = (deployment.step, steps.collect());
                    (id.clone(), Deploying { step, steps })
                })
                .collect(),
        }
    }

    /// Whether all instances of an app are being replaced now: its turn has come,
    /// and is not over.
    pub(crate) fn is_replaced(&self, app: &str) -> bool {
        let deployments = self.deployments.values();
        let mut now = deployments.filter_map(|it| it.steps.get(it.step)).flatten();
        now.any(|(other, kind)| other == app && *kind == Kind::Restart)
    }

    /// Whether an app is being changed.
    pub(crate) fn is_deployed(&self, app: &str) -> bool {
        let mut deployments = self.deployments.values();
        deployments.any(|it| it.apps().any(|other| other == app))
    }
}

impl Deploying {
    /// The apps that it changes.
    pub(crate) fn apps(&self) -> impl Iterator<Item = &String> {
        self.steps.iter().flatten().map(|(app, _)| app)
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
            config: app.version_info.last_config_change_at.as_millis(),
            scaled_at: app.version_info.last_scaling_at.as_millis(),
        }
    }
}
