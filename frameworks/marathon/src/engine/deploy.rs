//! Deployments go from step to step.

use serde_json::json;

use crate::deployment::{Action, Kind, Plan};
use crate::path_id::PathId;
use crate::spec::Spec;
use crate::state::{Change, State};

use super::Step;

impl Step<'_> {
    /// A plan is carried out from now on. What it is in conflict with was
    /// refused or cancelled before.
    pub(super) fn begin(&mut self, plan: Plan) {
        let id = plan.id.clone();
        self.tell(
            "deployment_info",
            json!({
                "plan": plan_json(&plan),
                "currentStep": step_json(&plan, 0),
            }),
        );
        self.touched.extend(plan.affected().cloned());
        // Whoever changes an app wants to see at once what comes of it.
        let delayed = plan
            .affected()
            .filter(|app| self.state.delays.contains_key(*app));
        for app in delayed.cloned().collect::<Vec<_>>() {
            self.change(Change::Delay(app, None));
        }
        self.change(Change::Deployment(id.clone(), Some(Box::new(plan))));
        self.change(Change::Progress(id, Some((0, self.now))));
    }

    /// A deployment ends where it is, for this reason.
    pub(super) fn cancel(&mut self, id: &str, reason: &str) {
        let Some(deployment) = self.state.deployments.get(id) else {
            return;
        };
        let plan = deployment.plan.clone();
        self.touched.extend(plan.affected().cloned());
        self.forget_deployment(id);
        self.tell(
            "deployment_failed",
            json!({
                "id": id,
                "plan": plan_json(&plan),
                "reason": reason,
            }),
        );
    }

    fn forget_deployment(&mut self, id: &str) {
        self.change(Change::Deployment(id.to_owned(), None));
        self.change(Change::Progress(id.to_owned(), None));
    }

    pub(super) fn aim(&self, app: &PathId) -> Aim {
        self.state.aim(app)
    }

    /// An app is as its deployment's step wants it.
    pub(super) fn is_as_wanted(&mut self, app: &PathId, is_it: bool) {
        let state = &mut *self.state;
        let id = state.changing.get(app);
        if let Some(deployment) = id.and_then(|id| state.deployments.get_mut(id)) {
            deployment.note(app, is_it);
        }
    }

    /// Goes on to the next step wherever one is complete.
    pub(super) fn finish_steps(&mut self) {
        let complete = self.state.deployments.values();
        let complete: Vec<_> = complete
            .filter(|deployment| deployment.is_step_complete())
            .map(|deployment| deployment.plan.id.clone())
            .collect();
        for id in complete {
            let Some(deployment) = self.state.deployments.get(&id) else {
                continue;
            };
            let (plan, next) = (deployment.plan.clone(), deployment.step + 1);
            if !plan.steps.is_empty() {
                self.tell(
                    "deployment_step_success",
                    json!({
                        "plan": plan_json(&plan),
                        "currentStep": step_json(&plan, next - 1),
                    }),
                );
            }
            for action in plan.steps.get(next - 1).into_iter().flatten() {
                if action.kind == Kind::Stop && !plan.changes[&action.id].is_pod() {
                    self.tell("app_terminated_event", json!({"appId": action.id}));
                }
            }
            self.touched.extend(plan.affected().cloned());
            if next < plan.steps.len() {
                self.change(Change::Progress(id, Some((next, self.now))));
                self.tell(
                    "deployment_info",
                    json!({
                        "plan": plan_json(&plan),
                        "currentStep": step_json(&plan, next),
                    }),
                );
            } else {
                self.forget_deployment(&id);
                self.tell(
                    "deployment_success",
                    json!({"id": id, "plan": plan_json(&plan)}),
                );
            }
        }
    }
}

impl State {
    /// Whether a deployment is to change an app, and has not come to it yet.
    pub(super) fn is_ahead(&self, app: &PathId) -> bool {
        self.deployment_of(app).is_some_and(|deployment| {
            let actions = deployment.actions_of(app);
            let is_now = actions.iter().any(|(step, _)| *step == deployment.step);
            !is_now && actions.iter().any(|(step, _)| *step > deployment.step)
        })
    }

    /// What is to become of an app, as far as deployments have come.
    pub(super) fn aim(&self, app: &PathId) -> Aim {
        let Some(deployment) = self.deployment_of(app) else {
            return match self.root.spec(app) {
                Some(spec) => Aim::Scale(spec.clone()),
                None => Aim::Stop,
            };
        };
        let change = &deployment.plan.changes[app];
        let actions = deployment.actions_of(app);
        let now = actions.iter().find(|(step, _)| *step == deployment.step);
        let is_ahead = self.is_ahead(app);
        match (now.map(|(_, kind)| *kind), &change.from, &change.to) {
            (Some(Kind::Start), ..) => Aim::Nothing,
            (Some(Kind::Restart), _, Some(to)) => Aim::Replace(to.clone()),
            (Some(Kind::Scale), _, Some(to)) => Aim::Scale(to.clone()),
            (Some(_), ..) => Aim::Stop,
            // Its turn is yet to come: until then it is what it was.
            (None, Some(from), _) if is_ahead => Aim::Scale(from.clone()),
            (None, None, _) if is_ahead => Aim::Nothing,
            (None, _, Some(to)) => Aim::Scale(to.clone()),
            (None, _, None) => Aim::Stop,
        }
    }
}

/// What is to become of an app at present.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// Nothing is done to it.
    Nothing,
    /// It ends.
    Stop,
    /// So many run, of whichever version.
    Scale(Spec),
    /// So many run, of this version.
    Replace(Spec),
}

pub(super) fn plan_json(plan: &Plan) -> serde_json::Value {
    let steps = (0..plan.steps.len()).map(|step| step_json(plan, step));
    json!({
        "id": plan.id,
        "version": plan.version,
        // Older clients expect the groups before and after, and make do with less.
        "original": {"id": "/"},
        "target": {"id": "/", "version": plan.version},
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn step_json(plan: &Plan, step: usize) -> serde_json::Value {
    let actions = plan.steps.get(step).into_iter().flatten();
    json!({"actions": actions.map(Action::shown).collect::<Vec<_>>()})
}
