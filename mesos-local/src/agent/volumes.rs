//! Persistent volumes on disk: directories below the agent's own, or below the
//! root of the disk they were made of, that outlive the tasks that use them
//! (`docs/persistent-volume.md`; `src/slave/paths.cpp`,
//! `getPersistentVolumePath`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mesos_sdk::resources::{Resources, reservation_role};
use mesos_sdk::v1;

use crate::agent::Volume;
use crate::agent::executor::Executor;

/// What an operation changes on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeChanges {
    /// Directories to make.
    pub made: Vec<PathBuf>,
    /// Directories to remove with all that is in them.
    pub removed: Vec<PathBuf>,
}

impl VolumeChanges {
    /// The volumes that are new, and those that are no more; one that only
    /// changes its size is neither.
    pub(super) fn between(work_dir: &Path, consumed: &Resources, made: &Resources) -> Self {
        let before = directories(work_dir, consumed);
        let after = directories(work_dir, made);
        let without = |all: &[PathBuf], others: &[PathBuf]| -> Vec<PathBuf> {
            let is_alone = |path: &&PathBuf| !others.contains(path);
            all.iter().filter(is_alone).cloned().collect()
        };
        Self {
            made: without(&after, &before),
            removed: without(&before, &after),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.made.is_empty() && self.removed.is_empty()
    }

    /// Makes and removes. What is removed is out of sight at once and named in
    /// the result, to be deleted when there is time.
    pub(super) fn carry_out(&self) -> io::Result<Vec<PathBuf>> {
        let mut trash = Vec::new();
        for directory in &self.removed {
            let name = format!(".removed-{}", uuid::Uuid::new_v4());
            let hidden = directory.with_file_name(name);
            match fs::rename(directory, &hidden) {
                Ok(()) => trash.push(hidden),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for directory in &self.made {
            fs::create_dir_all(directory)?;
        }
        Ok(trash)
    }
}

fn directories(work_dir: &Path, resources: &Resources) -> Vec<PathBuf> {
    let volumes = resources.iter();
    volumes
        .filter_map(|volume| directory(work_dir, volume))
        .collect()
}

/// Where a resource's volume lies, if it is one.
pub(super) fn directory(work_dir: &Path, resource: &v1::Resource) -> Option<PathBuf> {
    let disk = resource.disk.as_ref()?;
    let id = &disk.persistence.as_ref()?.id;
    let role = reservation_role(resource).or(resource.role.as_deref());
    // A role with slashes is one directory, not many.
    let role = role.unwrap_or("*").replace('/', " ");
    let source = disk.source.as_ref();
    let root = source.and_then(|source| {
        let path = source.path.as_ref().and_then(|path| path.root.as_ref());
        let mount = source.mount.as_ref().and_then(|mount| mount.root.as_ref());
        path.or(mount)
    });
    // A relative root lies in the agent's directory, as does no root.
    let root = root.map_or_else(|| work_dir.to_owned(), |root| work_dir.join(root));
    Some(root.join("volumes/roles").join(role).join(id))
}

/// The volumes of a task's resources, and where it sees them.
pub(super) fn shown(work_dir: &Path, resources: &[v1::Resource]) -> Vec<Volume> {
    let volume = |resource: &v1::Resource| {
        let target = &resource.disk.as_ref()?.volume.as_ref()?.container_path;
        Some(Volume {
            source: directory(work_dir, resource)?,
            target: PathBuf::from(target),
        })
    };
    resources.iter().filter_map(volume).collect()
}

/// What a container of a default executor sees: its own volumes, and the parts
/// of its executor's sandbox that it mounts (`docs/nested-container-and-task-group.md`,
/// "Sharing between containers").
pub(super) fn of_nested(work_dir: &Path, executor: &Executor, task: &v1::TaskInfo) -> Vec<Volume> {
    use v1::volume::source::{Type, sandbox_path};
    let mut volumes = shown(work_dir, &task.resources);
    let of_executor = shown(work_dir, &executor.info.resources);
    let mounted = task.container.iter().flat_map(|it| &it.volumes);
    volumes.extend(mounted.filter_map(|volume| {
        let source = volume.source.as_ref()?;
        let path = source.sandbox_path.as_ref()?;
        let is_shared =
            source.r#type() == Type::SandboxPath && path.r#type() == sandbox_path::Type::Parent;
        let path = Path::new(&path.path);
        let kept = of_executor.iter().find(|it| it.target == path);
        is_shared.then(|| Volume {
            source: kept.map_or_else(|| executor.directory.join(path), |it| it.source.clone()),
            target: PathBuf::from(&volume.container_path),
        })
    }));
    volumes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(role: &str, id: &str) -> v1::Resource {
        v1::Resource {
            name: "disk".to_owned(),
            scalar: Some(v1::value::Scalar { value: 1.0 }),
            reservations: vec![v1::resource::ReservationInfo {
                role: Some(role.to_owned()),
                ..Default::default()
            }],
            disk: Some(Box::new(v1::resource::DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence {
                    id: id.to_owned(),
                    principal: None,
                }),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    #[test]
    fn a_role_is_one_directory() {
        assert_eq!(
            directory(Path::new("/w"), &volume("a/b", "v")),
            Some(PathBuf::from("/w/volumes/roles/a b/v"))
        );
    }

    #[test]
    fn what_is_destroyed_is_gone_at_once() {
        let place = tempfile::tempdir().unwrap();
        let one = Resources::from(vec![volume("r", "one")]);
        let none = Resources::new();
        let made = VolumeChanges::between(place.path(), &none, &one);
        assert!(made.carry_out().unwrap().is_empty());
        let directory = place.path().join("volumes/roles/r/one");
        fs::write(directory.join("data"), "x").unwrap();
        // It is there again when it is made again, and keeps nothing.
        let removed = VolumeChanges::between(place.path(), &one, &none);
        let trash = removed.carry_out().unwrap();
        assert!(!directory.exists());
        assert!(trash[0].join("data").exists());
        made.carry_out().unwrap();
        assert!(!directory.join("data").exists());
        // A volume that is not there is removed already.
        removed.carry_out().unwrap();
        assert!(removed.carry_out().unwrap().is_empty());
    }
}
