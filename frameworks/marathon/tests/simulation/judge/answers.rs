//! What is answered, what is shown afterwards, and what there is in the end.

use std::collections::{BTreeMap, BTreeSet};

use marathon::effects::Event;
use marathon::request::Reply;
use mesos_sdk::v1::TaskInfo;
use serde_json::Value;

use super::{Judge, Marks};
use crate::client::{Asked, Expects};
use crate::outside::is_undone;
use crate::view::{Deploying, View};

impl Judge {
    /// A process has begun, and shows this.
    pub(crate) fn restored(&mut self, view: View) {
        let next = self.next.take();
        if view == self.view {
            return;
        }
        let Some(next) = next.filter(|next| *next == view) else {
            let before = std::mem::take(&mut self.view);
            return self.blame(format!(
                "a failover changes what there is: {before:?} has become {view:?}"
            ));
        };
        // What ended with the process ended all the same.
        self.owed.retain(|id| next.deployments.contains_key(id));
        self.show(next);
    }

    pub(crate) fn about_to_save(
        &mut self,
        view: Option<View>,
        kills: Vec<String>,
        launching: Vec<TaskInfo>,
    ) {
        self.next = view;
        self.kills = kills;
        self.launching = launching;
    }

    /// What a step said is said; what it was about to save is saved.
    pub(crate) fn heard(
        &mut self,
        now_ms: i64,
        asked: Option<Asked>,
        replies: Vec<(u64, Box<Reply>)>,
        events: &[Event],
        view: Option<View>,
        marks: &Marks,
    ) {
        self.doubt = None;
        self.next = None;
        let view = view.unwrap_or_else(|| self.view.clone());
        let refused = replies
            .iter()
            .any(|(_, reply)| matches!(**reply, Reply::Refused(_)));
        match &asked {
            _ if view.apps == self.view.apps => {}
            _ if self.is_undone(&view, events, marks) => {}
            Some(_) if !refused => {}
            Some(asked) => self.blame(format!("{}: refused, and yet done", asked.what)),
            None => self.blame("apps change, and nobody wanted it".to_owned()),
        }
        for (_, reply) in replies {
            if let Reply::Deployed(deployed) = *reply {
                self.owed.insert(deployed.id);
            }
        }
        for event in events {
            if matches!(event.kind, "deployment_success" | "deployment_failed") {
                self.owed
                    .remove(event.data["id"].as_str().unwrap_or_default());
            }
        }
        let lost = self
            .owed
            .iter()
            .find(|id| !view.deployments.contains_key(*id));
        if let Some(lost) = lost.cloned() {
            self.blame(format!("deployment {lost} is lost"));
        }
        self.note_given_up(&view, events);
        self.show(view);
        if let Some(asked) = &asked {
            for id in asked.kills.iter().filter(|_| !refused) {
                self.want_gone(id);
            }
        }
        for id in std::mem::take(&mut self.kills) {
            self.kills(&id, marks);
        }
        let launching = std::mem::take(&mut self.launching);
        for info in &launching {
            self.launches(info, marks);
        }
        self.look_at_groups(now_ms, &launching, marks);
        if let Some(asked) = asked.filter(|_| !refused) {
            for expected in &asked.expects {
                if let Some(what) = self.misses(expected) {
                    self.blame(format!("{}: {what}", asked.what));
                }
            }
        }
    }

    /// Whether apps change because deployments took longer than they may, and no
    /// others do.
    fn is_undone(&self, view: &View, events: &[Event], marks: &Marks) -> bool {
        let overdue = events.iter().filter(|event| is_undone(event));
        let overdue = overdue.filter_map(|it| it.data["id"].as_str());
        let overdue = overdue.filter_map(|id| self.view.deployments.get(id));
        let undone: BTreeSet<&String> = overdue
            .filter(|it| it.apps().any(|app| self.has_deadline(app, marks)))
            .flat_map(Deploying::apps)
            .collect();
        let mut all = self.view.apps.keys().chain(view.apps.keys());
        all.all(|app| self.view.apps.get(app) == view.apps.get(app) || undone.contains(app))
    }

    fn has_deadline(&self, app: &str, marks: &Marks) -> bool {
        let shown = self.view.apps.get(app);
        shown.is_some_and(|shown| marks[&shown.mark].has_deadline)
    }

    fn misses(&self, expected: &Expects) -> Option<String> {
        match expected {
            Expects::App {
                id,
                mark,
                instances,
            } => {
                let shown = self.view.apps.get(id);
                let is_it = shown.is_some_and(|it| {
                    it.instances == *instances && mark.as_ref().is_none_or(|mark| *mark == it.mark)
                });
                (!is_it).then(|| format!("{id} is shown as {shown:?}, not {mark:?} x{instances}"))
            }
            Expects::Gone(id) => {
                let shown = self.view.apps.get(id);
                shown.map(|_| format!("{id} is still shown"))
            }
            Expects::Newer(id, version) => {
                let shown = self.view.apps.get(id);
                let is_it = shown.is_some_and(|it| it.version > *version);
                (!is_it).then(|| format!("{id} is shown as {shown:?}"))
            }
        }
    }

    /// Deployments that were cancelled leave apps as they are.
    fn note_given_up(&mut self, view: &View, events: &[Event]) {
        let failed = events
            .iter()
            .filter(|event| event.kind == "deployment_failed");
        for event in failed {
            let id = event.data["id"].as_str().unwrap_or_default();
            let deployment = self.view.deployments.get(id);
            let apps = deployment.into_iter().flat_map(Deploying::apps);
            self.loose.extend(apps.cloned());
        }
        // Some begin and end at once.
        let begun = events.iter().filter(|it| it.kind == "deployment_info");
        for app in begun.flat_map(|event| apps_of(&event.data["plan"])) {
            self.loose.remove(app);
        }
        self.loose.retain(|app| view.apps.contains_key(app));
        // Whoever deletes an app wants all of it to end.
        for task in self.tasks.values_mut() {
            task.is_unwanted |= !view.apps.contains_key(&task.app);
        }
    }

    fn show(&mut self, view: View) {
        let mut in_force = BTreeMap::new();
        for (id, shown) in &view.apps {
            let version = (id.clone(), shown.version);
            self.configs.insert(version, shown.config);
            let mut those = self.in_force.remove(id).unwrap_or_default();
            if !view.is_deployed(id) {
                those.clear();
            }
            if those.last() != Some(shown) {
                those.push(shown.clone());
            }
            in_force.insert(id.clone(), those);
        }
        self.in_force = in_force;
        self.view = view;
    }

    /// What runs that is not wanted, or is wanted and does not run.
    pub(crate) fn unmet(&self) -> Option<String> {
        for (id, shown) in &self.view.apps {
            let running = self.processes.keys();
            let running = running.filter(|task| self.tasks[*task].app == *id);
            let (current, other): (Vec<_>, Vec<_>) =
                running.partition(|task| self.tasks[*task].mark == shown.mark);
            if current.len() != shown.instances || !other.is_empty() {
                return Some(format!(
                    "{id} is to run {} x{}: {current:?} do, and {other:?}",
                    shown.mark, shown.instances
                ));
            }
        }
        let mut strangers = self.processes.keys();
        let stranger = strangers.find(|task| !self.view.apps.contains_key(&self.tasks[*task].app));
        stranger.map(|task| format!("{task} runs, and its app is gone"))
    }
}

/// The apps that a plan changes, as it is shown.
fn apps_of(plan: &Value) -> impl Iterator<Item = &str> {
    let steps = plan["steps"].as_array().into_iter().flatten();
    let actions = steps
        .filter_map(|step| step["actions"].as_array())
        .flatten();
    actions.filter_map(|action| action["app"].as_str())
}
