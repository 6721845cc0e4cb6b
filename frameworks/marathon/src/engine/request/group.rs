//! Groups: many apps in one change.

use crate::deployment::Plan;
use crate::path_id::PathId;
use crate::pod::PodInput;
use crate::request::{GroupInput, Refusal, Reply};
use crate::root::Root;
use crate::spec::Spec;
use crate::state::Change;
use crate::timestamp::Timestamp;
use crate::violations::Violations;

use super::{Step, app_id};

/// Groups in groups in groups, at most.
const MAX_DEPTH: usize = 100;

impl Step<'_> {
    pub(super) fn update_group(
        &mut self,
        id: &PathId,
        input: &GroupInput,
        must_create: bool,
        is_dry_run: bool,
        force: bool,
    ) -> Result<Reply, Refusal> {
        let id = match &input.id {
            Some(name) => {
                PathId::parse(name, id).map_err(|error| invalid("/id", &error.to_string()))?
            }
            None => id.clone(),
        };
        let is_there = self.state.root.group(&id).is_some();
        if must_create && is_there && !id.is_root() {
            return Err(Refusal::Exists(format!(
                "Group {id} is already created. Use PUT to change this group."
            )));
        }
        if let Some(spec) = self.state.root.spec(&id) {
            let article = if spec.app().is_some() { "An" } else { "A" };
            let kind = spec.kind();
            return Err(Refusal::Exists(format!(
                "{article} {kind} with the path {id} already exists."
            )));
        }
        alone(input)?;
        let version = self.version();
        let mut root = self.state.root.clone();
        match (input.version, input.scale_by) {
            (Some(wanted), _) => self.roll_group_back(&mut root, &id, wanted, version)?,
            (None, Some(factor)) => scale(&mut root, &id, factor, version)?,
            (None, None) => self.lay_group(&mut root, &id, input, version, 0)?,
        }
        if is_dry_run {
            let plan = Plan::between(String::new(), &self.state.root, &root)
                .map_err(|cycle| invalid("/dependencies", &cycle.to_string()))?;
            return Ok(Reply::Planned(plan.steps));
        }
        let mut deployed = self.deploy(root, version, force)?;
        deployed.is_new = !is_there;
        Ok(Reply::Deployed(deployed))
    }

    /// Whose role apps in a group have from now on. Those that are there keep
    /// theirs.
    pub(super) fn patch_group(
        &mut self,
        id: &PathId,
        enforce_role: Option<bool>,
    ) -> Result<Reply, Refusal> {
        if id.segments().len() != 1 {
            return Err(invalid("/", "Path needs to be top-level"));
        }
        let group = self.state.root.group(id).cloned();
        let mut group = group.ok_or_else(|| no_group(id))?;
        group.enforce_role = enforce_role.unwrap_or(self.state.settings.new_groups_enforce_role);
        if self.state.root.group(id) != Some(&group) {
            self.change(Change::Group(id.clone(), Some(group)));
        }
        Ok(Reply::Done)
    }

    pub(super) fn delete_group(&mut self, id: &PathId, force: bool) -> Result<Reply, Refusal> {
        let version = self.version();
        let mut root = self.state.root.clone();
        if !root.remove_group(id, version) {
            return Err(no_group(id));
        }
        self.deploy(root, version, force).map(Reply::Deployed)
    }

    /// What is said of a group, and of what is in it, takes the place of what
    /// was there; what is not said stays.
    fn lay_group(
        &self,
        root: &mut Root,
        id: &PathId,
        input: &GroupInput,
        version: Timestamp,
        depth: usize,
    ) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(invalid("/groups", "groups are nested too deep"));
        }
        let mut group = root
            .group(id)
            .cloned()
            .unwrap_or_else(|| root.new_group(id, version));
        group.version = version;
        if let Some(dependencies) = &input.dependencies {
            group.dependencies.clear();
            for (index, path) in dependencies.iter().enumerate() {
                let path = PathId::parse(path, id).map_err(|error| {
                    invalid(&format!("/dependencies({index})"), &error.to_string())
                })?;
                // Whatever comes into it would wait for itself.
                if path.is_in(id) || id.is_in(&path) {
                    let at = format!("/dependencies({index})");
                    return Err(invalid(&at, "Dependency graph has cyclic dependencies."));
                }
                group.dependencies.push(path);
            }
        }
        if let Some(enforce_role) = input.enforce_role {
            if id.segments().len() != 1 && enforce_role {
                let text = format!(
                    "enforceRole can only be set for top-level groups, and {id} is not top-level"
                );
                return Err(invalid("/enforceRole", &text));
            }
            let is_there = self.state.root.group(id).is_some();
            if is_there && group.enforce_role != enforce_role && changes_specs(input) {
                let text = "enforceRole cannot be modified in a request that adds, removes or \
                            modifies services; please make these changes in separate requests.";
                return Err(invalid("/enforceRole", text));
            }
            group.enforce_role = enforce_role;
        }
        root.put_group(id, group);
        if let Some(apps) = &input.apps {
            self.lay_apps(root, id, apps, version)?;
        }
        if let Some(pods) = &input.pods {
            self.lay_pods(root, id, pods, version)?;
        }
        if let Some(groups) = &input.groups {
            let mut named = Vec::new();
            for (index, inner) in groups.iter().enumerate() {
                let path = format!("/groups({index})/id");
                let name = inner
                    .id
                    .as_deref()
                    .ok_or_else(|| invalid(&path, "not defined"))?;
                let inner_id =
                    PathId::parse(name, id).map_err(|error| invalid(&path, &error.to_string()))?;
                is_inside(&inner_id, id, &format!("/groups({index})"))?;
                if inner.version.is_some() || inner.scale_by.is_some() {
                    let path = format!("/groups({index})");
                    let text = "version and scaleBy are of the group that is asked for only";
                    return Err(invalid(&path, text));
                }
                self.lay_group(root, &inner_id, inner, version, depth + 1)?;
                named.push(inner_id);
            }
            let gone: Vec<PathId> = root
                .groups_right_in(id)
                .map(|(id, _)| id.clone())
                .filter(|right_in| !named.iter().any(|named| named.is_in(right_in)))
                .collect();
            for id in gone {
                root.remove_group(&id, version);
            }
        }
        Ok(())
    }

    fn lay_apps(
        &self,
        root: &mut Root,
        id: &PathId,
        apps: &[crate::input::AppInput],
        version: Timestamp,
    ) -> Result<(), Refusal> {
        let mut named = Vec::new();
        for (index, input) in apps.iter().enumerate() {
            let path = format!("/apps({index})");
            let app = app_id(input, id)?;
            is_inside(&app, id, &path)?;
            if root.pod(&app).is_some() {
                return Err(super::exists("pod", &app));
            }
            let made: Spec = match root.app(&app).cloned() {
                Some(before) => {
                    self.state
                        .changed(root, &before, input.clone(), false, version, &path)?
                }
                None => self
                    .state
                    .made(root, &app, input.clone(), version, &path)?
                    .into(),
            };
            root.put(made, version);
            named.push(app);
        }
        let gone: Vec<PathId> = root
            .apps_in(id)
            .map(|app| app.id.clone())
            .filter(|app| app.parent() == *id && !named.contains(app))
            .collect();
        for app in gone {
            root.remove(&app, version);
        }
        Ok(())
    }

    fn lay_pods(
        &self,
        root: &mut Root,
        id: &PathId,
        pods: &[PodInput],
        version: Timestamp,
    ) -> Result<(), Refusal> {
        let mut named = Vec::new();
        for (index, input) in pods.iter().enumerate() {
            let path = format!("/pods({index})");
            let pod = super::named(input.id.as_deref(), id)?;
            is_inside(&pod, id, &path)?;
            let made = self
                .state
                .made_pod(root, &pod, input.clone(), version, &path)?;
            root.put(made, version);
            named.push(pod);
        }
        let gone: Vec<PathId> = root
            .pods_in(id)
            .map(|pod| pod.id.clone())
            .filter(|pod| pod.parent() == *id && !named.contains(pod))
            .collect();
        for pod in gone {
            root.remove(&pod, version);
        }
        Ok(())
    }

    /// Everything in a group becomes what it was then; those that were not there
    /// go.
    fn roll_group_back(
        &self,
        root: &mut Root,
        id: &PathId,
        wanted: Timestamp,
        version: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(then) = self.state.specs_then(id, wanted) else {
            return Err(Refusal::NotFound(format!(
                "Group '{id}' does not exist in version {wanted}"
            )));
        };
        let ids: Vec<PathId> = root.specs_in(id).map(|it| it.id().clone()).collect();
        for id in ids {
            root.remove(&id, version);
        }
        for then in then {
            let spec = match self.state.root.spec(then.id()) {
                Some(now) => super::definition::with_version(now, then.clone(), version),
                None => then.renamed(version, then.version_info()),
            };
            root.put(spec, version);
        }
        Ok(())
    }
}

/// What goes back or is scaled is not changed otherwise.
fn alone(input: &GroupInput) -> Result<(), Refusal> {
    let others = [
        input.apps.is_some(),
        input.pods.is_some(),
        input.groups.is_some(),
        input.dependencies.is_some(),
        input.enforce_role.is_some(),
        input.version.is_some() && input.scale_by.is_some(),
    ];
    let path = match (input.version, input.scale_by) {
        (Some(_), _) => "/version",
        (None, Some(_)) => "/scaleBy",
        (None, None) => return Ok(()),
    };
    if others.contains(&true) {
        let text = "not allowed in conjunction with other properties.";
        return Err(invalid(path, text));
    }
    Ok(())
}

/// Whether apps or pods may be others after this.
fn changes_specs(input: &GroupInput) -> bool {
    let is_right_in_it = input.apps.is_some() || input.pods.is_some();
    is_right_in_it || input.groups.iter().flatten().any(changes_specs)
}

fn no_group(id: &PathId) -> Refusal {
    Refusal::NotFound(format!("Group '{id}' does not exist"))
}

/// What a group names is in it.
fn is_inside(inner: &PathId, group: &PathId, path: &str) -> Result<(), Refusal> {
    if inner.is_in(group) && inner != group {
        return Ok(());
    }
    let hint = format!("identifier {inner} is not child of '{group}'. Hint: use relative paths.");
    Err(invalid(&format!("{path}/id"), &hint))
}

fn scale(root: &mut Root, id: &PathId, factor: f64, version: Timestamp) -> Result<(), Refusal> {
    if !factor.is_finite() || factor < 0.0 {
        return Err(invalid("/scaleBy", "must be a number that is not negative"));
    }
    if root.group(id).is_none() {
        return Err(no_group(id));
    }
    let specs: Vec<Spec> = root.specs_in(id).cloned().collect();
    for spec in specs {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and cut to the greatest"
        )]
        let instances = (f64::from(spec.instances()) * factor).ceil() as u32;
        if instances != spec.instances() {
            root.put(spec.scaled(instances, version), version);
        }
    }
    Ok(())
}

fn invalid(path: &str, error: &str) -> Refusal {
    let mut wrong = Violations::new();
    wrong.add(path, error);
    Refusal::Invalid(wrong)
}
