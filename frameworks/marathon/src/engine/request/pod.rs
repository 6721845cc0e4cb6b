//! Pods: what is asked of them becomes another root, as with apps.

use crate::path_id::PathId;
use crate::pod::PodInput;
use crate::request::{Refusal, Reply};
use crate::root::Root;
use crate::spec::Spec;
use crate::state::State;
use crate::timestamp::Timestamp;
use crate::validate::validate_pod;
use crate::violations::Violations;

use super::definition::with_version;
use super::{Step, exists, named};

impl Step<'_> {
    pub(super) fn create_pod(&mut self, input: PodInput, force: bool) -> Result<Reply, Refusal> {
        let id = named(input.id.as_deref(), &PathId::root())?;
        self.is_free(&id)?;
        self.put_pod(&id, input, force)
    }

    pub(super) fn update_pod(
        &mut self,
        id: &PathId,
        input: PodInput,
        force: bool,
    ) -> Result<Reply, Refusal> {
        let said = named(input.id.as_deref(), &PathId::root())?;
        if said != *id {
            return Err(Refusal::Bad(format!(
                "'{id}' does not match definition's id ('{said}')"
            )));
        }
        self.state.root.pod(id).ok_or_else(|| no_pod(id))?;
        self.put_pod(id, input, force)
    }

    fn put_pod(&mut self, id: &PathId, input: PodInput, force: bool) -> Result<Reply, Refusal> {
        let version = self.version();
        let mut root = self.state.root.clone();
        let pod = self.state.made_pod(&root, id, input, version, "")?;
        root.put(pod, version);
        let mut deployed = self.deploy(root, version, force)?;
        deployed.pod = self.state.root.pod(id).cloned();
        Ok(Reply::Deployed(deployed))
    }

    pub(super) fn delete_pod(&mut self, id: &PathId, force: bool) -> Result<Reply, Refusal> {
        let version = self.version();
        let mut root = self.state.root.clone();
        root.pod(id).ok_or_else(|| no_pod(id))?;
        root.remove(id, version);
        self.deploy(root, version, force).map(Reply::Deployed)
    }
}

impl State {
    /// A new pod, or what one becomes; the same again when nothing is said that
    /// it is not.
    pub(super) fn made_pod(
        &self,
        root: &Root,
        id: &PathId,
        input: PodInput,
        version: Timestamp,
        path: &str,
    ) -> Result<Spec, Refusal> {
        let at = |wrong: Violations| {
            let mut all = Violations::new();
            all.within(if path.is_empty() { "/" } else { path }, wrong);
            Refusal::Invalid(all)
        };
        let role = self.default_role(root, id);
        let pod = input
            .complete(id.clone(), &role, &self.settings.defaults, version)
            .map_err(at)?;
        validate_pod(&pod, self.settings.features).map_err(at)?;
        self.check_role(root, id, &pod.role).map_err(at)?;
        let pod: Spec = pod.into();
        self.check_residency(&pod).map_err(at)?;
        match root.spec(id) {
            Some(Spec::App(_)) => Err(exists("app", id)),
            Some(before) => Ok(with_version(before, pod, version)),
            None => Ok(pod),
        }
    }
}

pub(super) fn no_pod(id: &PathId) -> Refusal {
    Refusal::NotFound(format!("pod with {id} does not exist"))
}
