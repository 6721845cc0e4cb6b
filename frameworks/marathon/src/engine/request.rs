//! What people ask for becomes another root, and a plan that leads there; or a
//! refusal, and nothing has changed.

mod definition;
mod group;
mod kill;
mod pod;
mod save;

use crate::deployment::{Kind, Plan};
use crate::input::AppInput;
use crate::instance::Goal;
use crate::path_id::PathId;
use crate::request::{Deployed, Refusal, Reply, Request};
use crate::root::Root;
use crate::spec::Spec;
use crate::timestamp::Timestamp;
use crate::violations::Violations;

use super::Step;
use super::overdue::{CANCELLED, Cause};

impl Step<'_> {
    pub(super) fn request(&mut self, request: Request) -> Reply {
        let outcome = match request {
            Request::CreateApp { input, force } => self.create_app(*input, force),
            Request::UpdateApps {
                id,
                inputs,
                is_partial,
                may_create,
                force,
            } => self.update_apps(id, inputs, is_partial, may_create, force),
            Request::DeleteApp { id, force } => self.delete_app(&id, force),
            Request::CreatePod { input, force } => self.create_pod(*input, force),
            Request::UpdatePod { id, input, force } => self.update_pod(&id, *input, force),
            Request::DeletePod { id, force } => self.delete_pod(&id, force),
            Request::Restart { id, force } => self.restart(&id, force),
            Request::UpdateGroup {
                id,
                input,
                must_create,
                is_dry_run,
                force,
            } => self.update_group(&id, &input, must_create, is_dry_run, force),
            Request::PatchGroup { id, enforce_role } => self.patch_group(&id, enforce_role),
            Request::DeleteGroup { id, force } => self.delete_group(&id, force),
            Request::Kill {
                instances,
                scale,
                wipe,
                force,
            } => self.kill(&instances, scale, wipe, force),
            Request::CancelDeployment { id, force } => self.cancel_deployment(&id, force),
            Request::ResetDelay(id) => self.reset(&id),
        };
        outcome.unwrap_or_else(Reply::Refused)
    }

    /// The moment as a version: later than any before, for versions are names.
    pub(super) fn version(&self) -> Timestamp {
        let last = self.state.root.version();
        if self.now > last {
            self.now
        } else {
            Timestamp::from_millis(last.as_millis() + 1)
        }
    }

    fn create_app(&mut self, input: AppInput, force: bool) -> Result<Reply, Refusal> {
        let id = app_id(&input, &PathId::root())?;
        self.is_free(&id)?;
        let version = self.version();
        let mut root = self.state.root.clone();
        let app = self.state.made(&root, &id, input, version, "")?;
        root.put(app, version);
        let mut deployed = self.deploy(root, version, force)?;
        deployed.is_new = true;
        deployed.app = self.state.root.app(&id).cloned();
        Ok(Reply::Deployed(deployed))
    }

    fn update_apps(
        &mut self,
        id: Option<PathId>,
        inputs: Vec<AppInput>,
        is_partial: bool,
        may_create: bool,
        force: bool,
    ) -> Result<Reply, Refusal> {
        let version = self.version();
        let mut root = self.state.root.clone();
        let mut is_new = false;
        let is_list = id.is_none();
        for (index, input) in inputs.into_iter().enumerate() {
            let path = if is_list {
                format!("({index})")
            } else {
                String::new()
            };
            let id = match &id {
                Some(id) => id.clone(),
                None => app_id(&input, &PathId::root())?,
            };
            if root.pod(&id).is_some() {
                return Err(exists("pod", &id));
            }
            let before = root.app(&id).cloned();
            let spec: Spec = match before {
                None if !may_create => return Err(no_app(&id)),
                None if input.is_rollback() => return Err(no_app(&id)),
                None => {
                    is_new = true;
                    self.state.made(&root, &id, input, version, &path)?.into()
                }
                Some(before) => self
                    .state
                    .changed(&root, &before, input, is_partial, version, &path)?,
            };
            root.put(spec, version);
        }
        let mut deployed = self.deploy(root, version, force)?;
        deployed.is_new = is_new;
        deployed.app = id.and_then(|id| self.state.root.app(&id).cloned());
        Ok(Reply::Deployed(deployed))
    }

    fn delete_app(&mut self, id: &PathId, force: bool) -> Result<Reply, Refusal> {
        let version = self.version();
        let mut root = self.state.root.clone();
        root.app(id).ok_or_else(|| no_app(id))?;
        root.remove(id, version);
        self.deploy(root, version, force).map(Reply::Deployed)
    }

    fn restart(&mut self, id: &PathId, force: bool) -> Result<Reply, Refusal> {
        let version = self.version();
        let mut root = self.state.root.clone();
        let app = Spec::App(root.app(id).ok_or_else(|| no_app(id))?.clone());
        root.put(app.scaled(app.instances(), version), version);
        self.deploy(root, version, force).map(Reply::Deployed)
    }

    fn reset(&mut self, id: &PathId) -> Result<Reply, Refusal> {
        if !self.state.queue.waiting.contains_key(id) && !self.state.delays.contains_key(id) {
            return Err(Refusal::NotFound(format!(
                "Application {id} not found in tasks queue."
            )));
        }
        self.reset_delay(id);
        Ok(Reply::Done)
    }

    fn cancel_deployment(&mut self, id: &str, force: bool) -> Result<Reply, Refusal> {
        let deployment = self
            .state
            .deployments
            .get(id)
            .ok_or_else(|| Refusal::NotFound(format!("DeploymentPlan {id} does not exist")))?;
        if force {
            self.cancel(id, CANCELLED);
            return Ok(Reply::Done);
        }
        let version = self.version();
        let root = deployment.plan.revert(&self.state.root, version);
        self.deploy_because(root, version, Cause::RollBack)
            .map(Reply::Deployed)
    }

    /// What is wanted becomes `root`, as soon as it can be.
    fn deploy(&mut self, root: Root, version: Timestamp, force: bool) -> Result<Deployed, Refusal> {
        self.deploy_because(root, version, Cause::Asked { force })
    }

    /// The same, for any cause.
    pub(super) fn deploy_because(
        &mut self,
        mut root: Root,
        version: Timestamp,
        cause: Cause,
    ) -> Result<Deployed, Refusal> {
        self.state.assign_ports(&mut root)?;
        if let Some(max) = self.state.settings.max_apps
            && root.specs().count() > max
        {
            let mut wrong = Violations::new();
            wrong.add(
                "/",
                format!("This Marathon instance may only handle up to {max} Apps! (Override with command line option --max_apps)"),
            );
            return Err(Refusal::Invalid(wrong));
        }
        let (uuid, ids) = self.state.next_uuid();
        let mut plan =
            Plan::between(uuid.to_string(), &self.state.root, &root).map_err(|cycle| {
                let mut wrong = Violations::new();
                wrong.add("/dependencies", cycle.to_string());
                Refusal::Invalid(wrong)
            })?;
        no_name_twice(&plan, &root)?;
        self.finish_what_was_given_up(&mut plan);
        plan.deadline = cause.deadline(&plan, self.now);
        self.make_way(&plan, cause)?;
        self.change(ids);
        self.save_root(&plan, &root);
        let deployed = Deployed {
            id: plan.id.clone(),
            version,
            is_new: false,
            app: None,
            pod: None,
        };
        self.tell(
            "group_change_success",
            serde_json::json!({"groupId": "/", "version": version}),
        );
        self.begin(plan);
        Ok(deployed)
    }

    /// Whether nothing has this path yet.
    fn is_free(&self, id: &PathId) -> Result<(), Refusal> {
        match self.state.root.spec(id) {
            Some(spec) => Err(exists(spec.kind(), id)),
            None => Ok(()),
        }
    }

    /// What is scaled while some of its instances are still of an older
    /// configuration, because their replacement was given up, has them replaced.
    fn finish_what_was_given_up(&self, plan: &mut Plan) {
        for action in plan.steps.iter_mut().flatten() {
            let to = plan.changes.get(&action.id).and_then(|it| it.to.as_ref());
            let Some(to) = to.filter(|to| action.kind == Kind::Scale && to.instances() > 0) else {
                continue;
            };
            let mut instances = self.state.instances_of(&action.id);
            if instances.any(|it| it.goal == Goal::Running && it.config != to.config()) {
                action.kind = Kind::Restart;
            }
        }
    }

    /// Deployments that change the same apps are in the way.
    fn make_way(&mut self, plan: &Plan, cause: Cause) -> Result<(), Refusal> {
        let deployments = self.state.deployments.values();
        let conflicts: Vec<String> = deployments
            .filter(|deployment| deployment.plan.conflicts_with(plan))
            .map(|deployment| deployment.plan.id.clone())
            .collect();
        if !conflicts.is_empty() && !cause.makes_way() {
            return Err(Refusal::Locked(conflicts));
        }
        let max = self.state.settings.max_running_deployments;
        let left = self.state.deployments.len() - conflicts.len();
        if left >= max && !plan.steps.is_empty() {
            return Err(Refusal::TooMany(max));
        }
        for id in conflicts {
            self.cancel(&id, &cause.reason(plan));
        }
        Ok(())
    }
}

pub(super) fn no_app(id: &PathId) -> Refusal {
    Refusal::NotFound(format!("App '{id}' does not exist"))
}

fn exists(kind: &str, id: &PathId) -> Refusal {
    Refusal::Exists(match kind {
        "app" => format!("An app with id [{id}] already exists."),
        _ => format!("A {kind} with id [{id}] already exists."),
    })
}

fn app_id(input: &AppInput, base: &PathId) -> Result<PathId, Refusal> {
    named(input.id.as_deref(), base)
}

/// The path that an app or pod is to have.
fn named(id: Option<&str>, base: &PathId) -> Result<PathId, Refusal> {
    let mut wrong = Violations::new();
    match id.map(|id| PathId::parse(id, base)) {
        Some(Ok(id)) => return Ok(id),
        Some(Err(error)) => wrong.add("/id", error.to_string()),
        None => wrong.add("/id", "error.path.missing"),
    }
    Err(Refusal::Invalid(wrong))
}

/// Nothing that is made has the path of a group, nor is it in a group with the
/// path of something else that runs.
fn no_name_twice(plan: &Plan, root: &Root) -> Result<(), Refusal> {
    let made = plan
        .changes
        .iter()
        .filter(|(_, change)| change.to.is_some());
    for (id, _) in made {
        let mut above = id.ancestors();
        let twice = match root.group(id) {
            Some(_) => Some(id.clone()),
            None => above.find(|group| root.spec(group).is_some()),
        };
        let Some(twice) = twice else { continue };
        let kind = match root.spec(&twice) {
            Some(Spec::Pod(_)) => "Pods",
            _ => "Applications",
        };
        let mut wrong = Violations::new();
        let text = format!("Groups and {kind} may not have the same identifier. ({twice})");
        wrong.add("/", text);
        return Err(Refusal::Invalid(wrong));
    }
    Ok(())
}
