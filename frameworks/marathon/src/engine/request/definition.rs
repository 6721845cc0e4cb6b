//! What a request says of an app becomes its definition, with all that others
//! have to say to it: its group's role, what it keeps, its service ports.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::app::{App, VersionInfo};
use crate::engine::task::total;
use crate::input::{AppInput, Said, complete};
use crate::path_id::PathId;
use crate::request::Refusal;
use crate::root::{Root, ServicePorts};
use crate::spec::Spec;
use crate::state::State;
use crate::timestamp::Timestamp;
use crate::validate::validate;
use crate::violations::Violations;

impl State {
    /// A new app.
    pub(super) fn made(
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
    pub(super) fn changed(
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
                    "App '{}' does not exist in version {wanted}",
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
        let mut app = input.over(base, &self.settings.defaults).map_err(at)?;
        complete(&mut app, said, &self.settings.defaults).map_err(at)?;
        validate(&app, self.settings.features).map_err(at)?;
        self.check_role(root, &app.id, &app.role).map_err(at)?;
        self.check_residency(&app.clone().into()).map_err(at)?;
        self.check_volumes(root, &app).map_err(at)?;
        Ok(app)
    }

    /// Volumes of other providers that no two may mount are those of one app.
    fn check_volumes(&self, root: &Root, app: &App) -> Result<(), Violations> {
        let mut wrong = Violations::new();
        for (index, provider, name) in app.exclusive_volumes() {
            let others = root.apps().filter(|other| other.id != app.id);
            let others = others.filter(|other| {
                let mut those = other.exclusive_volumes();
                those.any(|(_, of, named)| (of, named) == (provider, name))
            });
            let others: Vec<String> = others.map(|other| other.id.to_string()).collect();
            wrong.require(
                others.is_empty(),
                format!("/container/volumes({index})"),
                format!(
                    "Volume name '{name}' in {} conflicts with volume(s) of same name in app(s): {}",
                    app.id,
                    others.join(", ")
                ),
            );
        }
        wrong.into_result()
    }

    /// The role of an app or pod is that of its group, or the default.
    pub(super) fn check_role(
        &self,
        root: &Root,
        id: &PathId,
        role: &str,
    ) -> Result<(), Violations> {
        let mut allowed: BTreeSet<String> = BTreeSet::new();
        match root.enforced_role(id) {
            Some(expected) => {
                allowed.insert(expected);
            }
            None => {
                allowed.insert(self.settings.defaults.role.clone());
                let group = id.top_level().filter(|_| id.segments().len() > 1);
                allowed.extend(group.map(str::to_owned));
            }
        }
        // What it has it may keep.
        allowed.extend(self.root.spec(id).map(|before| before.role().to_owned()));
        let mut wrong = Violations::new();
        let names: Vec<&str> = allowed.iter().map(String::as_str).collect();
        wrong.require(
            allowed.contains(role),
            "/role",
            format!("is not one of ({})", names.join(",")),
        );
        wrong.into_result()
    }

    /// Whether what keeps volumes can: in a role that may reserve, and with what
    /// it reserved before.
    pub(super) fn check_residency(&self, spec: &Spec) -> Result<(), Violations> {
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
                total(before, &self.settings) == total(spec, &self.settings),
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
    pub(super) fn default_role(&self, root: &Root, id: &PathId) -> String {
        root.enforced_role(id)
            .unwrap_or_else(|| self.settings.defaults.role.clone())
    }

    /// Every port by which proxies know apps gets a number.
    pub(super) fn assign_ports(&self, root: &mut Root) -> Result<(), Refusal> {
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
pub(super) fn with_version(before: &Spec, mut spec: Spec, version: Timestamp) -> Spec {
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
