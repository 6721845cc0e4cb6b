//! What people ask for becomes another root, and a plan that leads there; or a
//! refusal, and nothing has changed.

mod group;
mod kill;
mod pod;

use std::sync::Arc;

use crate::app::{App, VersionInfo};
use crate::deployment::{Kind, Plan};
use crate::input::{AppInput, Said, complete};
use crate::instance::Goal;
use crate::path_id::PathId;
use crate::request::{Deployed, Refusal, Reply, Request};
use crate::root::{Root, ServicePorts};
use crate::spec::Spec;
use crate::state::{Change, State};
use crate::timestamp::Timestamp;
use crate::validate::validate;
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

    fn save_root(&mut self, plan: &Plan, root: &Root) {
        for (id, group) in root.groups() {
            if self.state.root.group(id) != Some(group) {
                self.effects
                    .changes
                    .push(Change::Group(id.clone(), Some(group.clone())));
            }
        }
        let gone: Vec<PathId> = self
            .state
            .root
            .groups()
            .filter(|(id, _)| root.group(id).is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.effects.changes.push(Change::Group(id, None));
        }
        // Groups as a whole: the changes above say the same, one by one.
        self.state.root = root.clone();
        for (id, change) in &plan.changes {
            match &change.to {
                Some(spec) => {
                    let version = spec.version();
                    self.change(Change::Version(id.clone(), version, Some(spec.clone())));
                    self.change(Change::Wanted(id.clone(), Some(version)));
                    self.prune_versions(id);
                }
                None => {
                    self.change(Change::Wanted(id.clone(), None));
                    if self.state.failures.contains_key(id) {
                        self.change(Change::Failure(id.clone(), None));
                    }
                }
            }
        }
    }

    /// Old versions go, but for those that something still runs or may become
    /// again.
    fn prune_versions(&mut self, id: &PathId) {
        let Some(versions) = self.state.versions.get(id) else {
            return;
        };
        let surplus = versions
            .len()
            .saturating_sub(self.state.settings.max_versions);
        if surplus == 0 {
            return;
        }
        let mut kept: Vec<Timestamp> = self.state.instances_of(id).map(|it| it.version).collect();
        kept.extend(self.state.root.spec(id).map(Spec::version));
        let old = versions.keys().filter(|version| !kept.contains(version));
        let old: Vec<Timestamp> = old.take(surplus).copied().collect();
        for version in old {
            self.change(Change::Version(id.clone(), version, None));
        }
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

impl State {
    /// A new app.
    fn made(
        &self,
        root: &Root,
        id: &PathId,
        input: AppInput,
        version: Timestamp,
        path: &str,
    ) -> Result<App, Refusal> {
        let role = self.default_role(root, id);
        let base = App::new(id.clone(), &role, version);
        self.checked(root, input, base, path)
    }

    /// What an app becomes; the same again when nothing is said that it is not.
    fn changed(
        &self,
        root: &Root,
        before: &Arc<App>,
        input: AppInput,
        is_partial: bool,
        version: Timestamp,
        path: &str,
    ) -> Result<Spec, Refusal> {
        let app = if input.is_rollback() {
            let wanted = input.version.unwrap_or_default();
            let versions = self.versions.get(&before.id);
            let old = versions.and_then(|versions| versions.get(&wanted)?.app());
            App::clone(old.ok_or_else(|| {
                Refusal::NotFound(format!(
                    "App '{}' with version '{wanted}' does not exist",
                    before.id
                ))
            })?)
        } else if is_partial {
            self.checked(root, input, App::clone(before), path)?
        } else {
            self.made(root, &before.id, input, version, path)?
        };
        Ok(with_version(&before.clone().into(), app.into(), version))
    }

    fn checked(&self, root: &Root, input: AppInput, base: App, path: &str) -> Result<App, Refusal> {
        let at = |wrong: Violations| {
            let mut all = Violations::new();
            all.within(if path.is_empty() { "/" } else { path }, wrong);
            Refusal::Invalid(all)
        };
        if input.version.is_some() {
            let mut wrong = Violations::new();
            wrong.add(
                "/",
                "The 'version' field may only be combined with the 'id' field.",
            );
            return Err(at(wrong));
        }
        let said = Said {
            upgrade_strategy: input.upgrade_strategy.is_some(),
            unreachable_strategy: input.unreachable_strategy.is_some(),
        };
        let mut app = input.over(base).map_err(at)?;
        complete(&mut app, said, &self.settings.defaults).map_err(at)?;
        validate(&app, self.settings.features).map_err(at)?;
        self.check_role(root, &app.id, &app.role).map_err(at)?;
        self.check_residency(&app.clone().into()).map_err(at)?;
        Ok(app)
    }

    /// The role of an app or pod is that of its group, or the default.
    fn check_role(&self, root: &Root, id: &PathId, role: &str) -> Result<(), Violations> {
        let own = id.top_level().unwrap_or_default();
        let default = &self.settings.defaults.role;
        let (is_allowed, names) = match root.enforced_role(id) {
            Some(expected) => (role == expected, expected),
            None => (role == default || role == own, format!("{default},{own}")),
        };
        let mut wrong = Violations::new();
        wrong.require(is_allowed, "/role", format!("is not one of ({names})"));
        wrong.into_result()
    }

    /// Whether what keeps volumes can: in a role that may reserve, and with what
    /// it reserved before.
    fn check_residency(&self, spec: &Spec) -> Result<(), Violations> {
        let mut wrong = Violations::new();
        if spec.is_resident() {
            wrong.require(
                spec.role() != "*",
                "/role",
                "nothing can be reserved for the role *, so that no volume can be kept: \
                 use another, with --mesos_role or a group's enforceRole",
            );
        }
        let before = self.root.spec(spec.id());
        if let Some(before) = before.filter(|before| before.is_resident()) {
            wrong.require(
                before.persistent_volumes() == spec.persistent_volumes(),
                "/",
                "Persistent volumes can not be changed!",
            );
            wrong.require(
                crate::engine::task::total(before) == crate::engine::task::total(spec),
                "/",
                "Resident Tasks may not change resource requirements!",
            );
            wrong.require(
                before.host_ports() == spec.host_ports(),
                "/",
                "Resident Tasks may not change host ports!",
            );
            wrong.require(
                before.role() == spec.role(),
                "/role",
                "Resident Tasks may not change the role that their resources are reserved for!",
            );
        }
        wrong.into_result()
    }

    /// The role of an app or pod that says none.
    fn default_role(&self, root: &Root, id: &PathId) -> String {
        root.enforced_role(id)
            .unwrap_or_else(|| self.settings.defaults.role.clone())
    }

    /// Every port by which proxies know apps gets a number.
    fn assign_ports(&self, root: &mut Root) -> Result<(), Refusal> {
        let open: Vec<Arc<App>> = root
            .apps()
            .filter(|app| app.service_ports().contains(&0))
            .cloned()
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut ports = ServicePorts::of(root, self.settings.service_ports.clone());
        for app in open {
            let mut app = App::clone(&app);
            let before = self.root.app(&app.id);
            ports
                .assign(&mut app, before.map(Arc::as_ref))
                .map_err(|error| {
                    let mut wrong = Violations::new();
                    wrong.add("/", error.to_string());
                    Refusal::Invalid(wrong)
                })?;
            let id = app.id.clone();
            root.set(&id, Some(app.into()));
        }
        Ok(())
    }
}

/// The app or pod with the version that its change makes; unchanged, as it was.
fn with_version(before: &Spec, mut spec: Spec, version: Timestamp) -> Spec {
    if let (Spec::App(before), Spec::App(app)) = (before, &mut spec) {
        keep_service_ports(before, Arc::make_mut(app));
    }
    let is_upgrade = before.is_upgrade(&spec);
    if !is_upgrade && before.instances() == spec.instances() {
        if before.patience() == spec.patience() {
            return before.clone();
        }
        return spec.renamed(version, before.version_info());
    }
    let last_config_change_at = if is_upgrade { version } else { before.config() };
    let info = VersionInfo {
        last_scaling_at: version,
        last_config_change_at,
    };
    spec.renamed(version, info)
}

/// Service ports that nobody asked for stay what they were, so that saying the
/// same again changes nothing.
fn keep_service_ports(before: &App, app: &mut App) {
    if before.has_host_network() != app.has_host_network() {
        return;
    }
    let ports = app.service_ports_mut().into_iter();
    for (port, had) in ports.zip(before.service_ports()) {
        if *port == 0 {
            *port = had;
        }
    }
}
