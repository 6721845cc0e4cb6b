//! Deployments that take longer than they may are rolled back by themselves.

use std::time::Duration;

use crate::deployment::Plan;
use crate::effects::Notice;
use crate::request::Refusal;
use crate::state::Deployment;
use crate::timestamp::Timestamp;

use super::Step;
use super::tend::RECONCILED_IN;

/// Why a deployment ends that somebody gives up, or that is in the way.
pub(super) const CANCELLED: &str = "cancelled";

/// A rollback that was refused is tried again after this.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Why a deployment comes about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// Somebody wants it; perhaps whatever is in the way.
    Asked { force: bool },
    /// Somebody wants another one undone.
    RollBack,
    /// Another one was not done by this time.
    Overdue(Timestamp),
}

impl Cause {
    /// By when it is to be done. What undoes another has all the time that there
    /// is: behind it is nothing to go back to.
    pub(super) fn deadline(self, plan: &Plan, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Asked { .. } => plan.timeout().map(|timeout| now.after(timeout)),
            Self::RollBack | Self::Overdue(_) => None,
        }
    }

    /// Whether deployments in the way end for it.
    pub(super) fn makes_way(self) -> bool {
        !matches!(self, Self::Asked { force: false })
    }

    /// What those are told that end for `plan`.
    pub(super) fn reason(self, plan: &Plan) -> String {
        match self {
            Self::Asked { .. } | Self::RollBack => CANCELLED.to_owned(),
            Self::Overdue(deadline) => format!(
                "not done by {deadline}, and rolled back by {} as deploymentTimeoutSeconds wants it",
                plan.id
            ),
        }
    }
}

impl Step<'_> {
    /// Deployments whose time is over become other ones that undo them.
    pub(super) fn roll_back_overdue(&mut self) {
        let now = self.now;
        let overdue: Vec<String> = self
            .state
            .deployments
            .values()
            .filter(|it| self.overdue_at(it).is_some_and(|at| at <= now))
            .map(|it| it.plan.id.clone())
            .collect();
        for id in &overdue {
            self.roll_back(id);
        }
        if !overdue.is_empty() {
            self.carry_on();
        }
    }

    /// When the first deployment is rolled back, if none is done before.
    pub(super) fn next_overdue(&self) -> Option<Timestamp> {
        let deployments = self.state.deployments.values();
        deployments.filter_map(|it| self.overdue_at(it)).min()
    }

    /// When a deployment is rolled back. Not before it can be known how far it
    /// has come: somebody must speak with the master, and have heard of what was
    /// there before.
    fn overdue_at(&self, deployment: &Deployment) -> Option<Timestamp> {
        let deadline = deployment.plan.deadline?;
        self.state.master.as_ref()?;
        let since = self.state.subscribed_at;
        let is_older = deployment.plan.version < since;
        let known = is_older.then(|| since.after(RECONCILED_IN));
        let tried = deployment.kept.as_ref();
        let again = tried.map(|(at, _)| at.after(TRIED_AGAIN_AFTER));
        [Some(deadline), known, again].into_iter().flatten().max()
    }

    fn roll_back(&mut self, id: &str) {
        let Some(deployment) = self.state.deployments.get(id) else {
            return;
        };
        let Some(deadline) = deployment.plan.deadline else {
            return;
        };
        let version = self.version();
        let root = deployment.plan.revert(&self.state.root, version);
        match self.deploy_because(root, version, Cause::Overdue(deadline)) {
            Ok(made) => self.warn(format!(
                "deployment {id} was not done by {deadline}: {} rolls it back",
                made.id
            )),
            Err(Refusal::Invalid(wrong)) => self.keep(id, wrong.to_string()),
            Err(refusal) => self.keep(id, refusal.to_string()),
        }
    }

    /// A deployment goes on though its time is over, because what others changed
    /// since cannot be without it.
    fn keep(&mut self, id: &str, refusal: String) {
        let now = self.now;
        let Some(deployment) = self.state.deployments.get_mut(id) else {
            return;
        };
        let before = deployment.kept.replace((now, refusal.clone()));
        if before.is_some_and(|(_, before)| before == refusal) {
            return;
        }
        self.warn(format!(
            "deployment {id} is not done in time and cannot be rolled back: {refusal}"
        ));
        let version = self.state.root.version();
        let data = serde_json::json!({"groupId": "/", "version": version, "reason": refusal});
        self.tell("group_change_failed", data);
    }

    fn warn(&mut self, text: String) {
        self.effects.notices.push(Notice::Warning(text));
    }
}
